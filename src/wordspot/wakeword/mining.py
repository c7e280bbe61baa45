"""Find what a model falls for: windows of negatives at which it detects a word, to train on as unknown speech."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wordspot.audio.files import write_audio
from wordspot.audio.samples import to_float32
from wordspot.config import DecoderConfig
from wordspot.data.speech import Speech
from wordspot.labels import normalize_word
from wordspot.runtime.detector import Detector
from wordspot.runtime.model import Model, open_model

#: A detection above this is worth training on, far below the threshold of a finished model.
THRESHOLD = 0.3
_AFTER_MS = 100.0  # of sound after a detection
_BATCH = 500  # recordings fed as one stream


def mine(model: Path, negatives: Iterable[NDArray[np.int16]], sample_rate: int, out: Path, name: str, at_most: int) -> int:
    """Write the windows of `negatives` in which the model detects anything, one WAV each.

    Args:
        model: an exported file.
        negatives: recordings in which none of its words is said, int16 [samples] at `sample_rate`.
        out: the folder to write into.
        name: the files are ``NAME-<number>_nohash_0.wav``.
        at_most: windows; those with the highest scores are kept.

    Returns:
        how many were written.
    """
    opened = open_model(model)
    found: list[tuple[float, NDArray[np.int16]]] = []
    for audio in negatives:
        found += _detected(opened, audio, sample_rate)
    found.sort(key=lambda one: -one[0])
    out.mkdir(parents=True, exist_ok=True)
    for number, (_, window) in enumerate(found[:at_most]):
        write_audio(out / f"{name}-{number}_nohash_0.wav", to_float32(window), sample_rate)
    return min(len(found), at_most)


def _detected(model: Model, audio: NDArray[np.int16], sample_rate: int) -> list[tuple[float, NDArray[np.int16]]]:
    detector = Detector(model, easily(model.card.decoder), sample_rate, self_test=False)
    size = model.card.clip_samples * sample_rate // model.card.sample_rate
    found = []
    for one in (*detector.feed(audio), *detector.flush()):
        stop = min(int((one.time_ms + _AFTER_MS) * sample_rate / 1000), len(audio))
        window = audio[max(stop - size, 0) : stop]
        if len(window) > size // 4:
            found.append((one.score, window))
    return found


def easily(decoder: DecoderConfig) -> DecoderConfig:
    """A decoder that detects at `THRESHOLD`, whatever the thresholds of the words are."""
    return dataclasses.replace(decoder, threshold=THRESHOLD, thresholds={})


def without_phrases(speech: Speech, phrases: Sequence[str]) -> Iterable[NDArray[np.int16]]:
    """The recordings of speech whose text, if there is one, holds none of the phrases."""
    wanted = [normalize_word(phrase) for phrase in phrases]
    for number in range(len(speech)):
        text = f" {' '.join(speech.texts[number])} "
        if not any(f" {phrase} " in text for phrase in wanted):
            yield speech.samples(number)
