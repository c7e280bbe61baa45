"""Decode recordings for the scenes of the task `trigger`: check that each is usable, and trim it to its word."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wordspot.audio.effects import fft_size
from wordspot.audio.files import read_audio
from wordspot.audio.samples import Samples, to_int16
from wordspot.audio.speech import find_word, is_silent
from wordspot.data.decode import Problem, decode_many
from wordspot.data.folders import Recording, is_utf8
from wordspot.progress import OnProgress

_MARGIN_S = 0.15  # kept on either side of a word, unless there is another sound
_SHORTEST_S = 0.05
_PEAK = 0.9  # words are stored at this peak (scenes set the level later), since 16 bits would round quiet ones coarsely
_RUMBLE_HZ = (40.0, 80.0)


@dataclass(frozen=True)
class DecodedRecording:
    """A decoded recording: int16 [samples], the bounds of its word, and its file's SHA-256."""

    recording: Recording
    samples: NDArray[np.int16]
    speech: tuple[int, int]
    sha256: str


@dataclass(frozen=True)
class Reader:
    """Reads recordings for scenes: trimmed to their words if `cut`, otherwise entire."""

    root: Path
    cut: bool
    sample_rate: int
    scene_ms: float

    def decode_all(
        self,
        recordings: Sequence[Recording],
        kind: str,
        problems: list[str],
        progress: OnProgress | None = None,
        *,
        before: int = 0,
        total: int | None = None,
    ) -> list[DecodedRecording]:
        """The usable recordings, in order. A line for each of the others is appended to `problems`.

        `progress`, `before` and `total`: see `decode_many`.
        """
        decoded: list[DecodedRecording] = []
        for _, result in decode_many(recordings, partial(self._decode, kind), progress, before=before, total=total):
            if isinstance(result, Problem):
                problems.append(result.text)
            else:
                decoded.append(result)
        return decoded

    def _decode(self, kind: str, recording: Recording) -> DecodedRecording | Problem:
        path = self.root / recording.path
        if not is_utf8(recording.path):
            return Problem(f"{recording.path!r}: the name is not UTF-8; rename it")
        audio, _ = read_audio(path, self.sample_rate)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        if kind == "background":
            return DecodedRecording(recording, to_int16(audio), (0, len(audio)), sha256)
        if is_silent(audio, self.sample_rate):
            return Problem(f"{path}: the {kind} is silent; record it again or remove it")
        speech = (0, len(audio))
        if self.cut:
            audio, speech = _cut(audio, self.sample_rate)
        seconds, longest = (speech[1] - speech[0]) / self.sample_rate, self.scene_ms / 1000
        if not _SHORTEST_S <= seconds <= longest:
            hint = "a long recording can be a background instead" if kind == "negative" else "trim it to its word"
            return Problem(
                f"{path}: the {kind} is {seconds:.2f} s long; expected {_SHORTEST_S:g} s to a scene's {longest:g} s; {hint}"
            )
        return DecodedRecording(recording, to_int16(audio), speech, sha256)


def _cut(audio: Samples, sample_rate: int) -> tuple[Samples, tuple[int, int]]:
    """A recording's word with a quiet margin, normalised, and the bounds of the word in it."""
    begin, first, stop, end = find_word(audio, sample_rate)
    margin = int(_MARGIN_S * sample_rate)
    begin, end = max(begin, first - margin), min(end, stop + margin)
    piece = _without_rumble(audio, sample_rate)[begin:end]
    return piece * np.float32(_PEAK / max(float(np.abs(piece).max()), 1e-9)), (first - begin, stop - begin)


def _without_rumble(audio: Samples, sample_rate: int) -> Samples:
    """High-pass float32 [samples] below speech; otherwise a microphone's rumble and offset would reveal the word."""
    n_fft = fft_size(len(audio) + sample_rate // 10)  # zeros at the end, so that it does not wrap around
    hertz = np.fft.rfftfreq(n_fft, 1 / sample_rate)
    gain = np.clip((hertz - _RUMBLE_HZ[0]) / (_RUMBLE_HZ[1] - _RUMBLE_HZ[0]), 0, 1)
    smooth = 0.5 - 0.5 * np.cos(np.pi * gain)
    return np.fft.irfft(np.fft.rfft(audio, n_fft) * smooth, n_fft)[: len(audio)].astype(np.float32)
