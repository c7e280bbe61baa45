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
THRESHOLD = 0.05
_AFTER_MS = (50.0, 200.0, 350.0)  # audio after a detection: the same error at several places in the window
_BATCH = 500  # recordings fed as one stream


def mine(model: Path, negatives: Iterable[NDArray[np.int16]], sample_rate: int, out: Path, name: str, at_most: int) -> int:
    """Write the windows of `negatives` in which the model detects anything, each cut at several places, one WAV each.

    Args:
        model: an exported file.
        negatives: recordings in which none of its words is said, int16 [samples] at `sample_rate`.
        out: the folder to write into.
        name: the files are ``NAME-<number>_nohash_<place>.wav``.
        at_most: the largest number of detections; those with the highest scores are kept.

    Returns:
        how many detections there were, at most `at_most`.
    """
    opened = open_model(model)
    found: list[tuple[float, list[NDArray[np.int16]]]] = []
    for audio in negatives:
        found += _detected(opened, audio, sample_rate)
    found.sort(key=lambda one: -one[0])
    out.mkdir(parents=True, exist_ok=True)
    for number, (_, windows) in enumerate(found[:at_most]):
        for place, window in enumerate(windows):
            write_audio(out / f"{name}-{number}_nohash_{place}.wav", to_float32(window), sample_rate)
    return min(len(found), at_most)


def _detected(model: Model, audio: NDArray[np.int16], sample_rate: int) -> list[tuple[float, list[NDArray[np.int16]]]]:
    """The score of each detection, and windows that end some time after it."""
    detector = Detector(model, easily(model.card.decoder), sample_rate, self_test=False)
    size = model.card.clip_samples * sample_rate // model.card.sample_rate
    found = []
    for one in (*detector.feed(audio), *detector.flush()):
        stops = dict.fromkeys(min(int((one.time_ms + after) * sample_rate / 1000), len(audio)) for after in _AFTER_MS)
        windows = [audio[max(stop - size, 0) : stop] for stop in stops]
        if len(windows[0]) > size // 4:
            found.append((one.score, windows))
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
