"""From a typed phrase to a measured wake word: `making.new`.

The stages, each in its own module: `recordings` (voices say the phrases and what sounds like them), `rounds` (training, and
training again on what the model falls for, which `mining` finds), `measuring` (thresholds from validation, figures from testing).
"""
