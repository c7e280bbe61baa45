"""A stream with two words in it, for the stub models of `made_onnx`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from support.made_onnx import RATE


def spoken(rate: int = RATE) -> NDArray[np.float32]:
    """A second of silence, 0.3 s of "a", a second of silence, 0.3 s of "b", a second of silence."""
    parts = [(1.0, 0.0), (0.3, 0.8), (1.0, 0.0), (0.3, -0.8), (1.0, 0.0)]
    return np.concatenate([np.full(int(seconds * rate), level, np.float32) for seconds, level in parts])
