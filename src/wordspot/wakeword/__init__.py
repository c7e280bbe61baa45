"""From a typed phrase to a measured wake word: `new`.

The stages, each in its own module: `recordings` (voices say the phrases and what sounds like them), `rounds` (training, and
training again on what the model falls for, which `mining` finds), `measuring` (thresholds from validation, figures from testing).
"""

from __future__ import annotations

from wordspot.wakeword.making import new as new

__all__ = ["new"]
