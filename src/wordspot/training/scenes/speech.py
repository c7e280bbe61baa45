"""Sentences in scenes: speech that holds no word of the model, except where its transcript says so."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from wordspot.data.sound_alikes import sounds_alike
from wordspot.data.speech import Speech
from wordspot.labels import UNKNOWN, normalize_word
from wordspot.training.loss import IGNORED, SILENCE_OR_UNKNOWN
from wordspot.training.scenes.copies import Recording


class SpeechReader:
    """Gives the recordings of speech by number.

    If it is known when each word is said, words are unknown, and those of the model, or that sound alike, do not count. If only
    the text is known, recordings whose text has such a word are left out. Without a text, nothing is left out.

    Args:
        speech: of the training speakers.
        words: of the model.
    """

    def __init__(self, speech: Speech, words: Sequence[str]) -> None:
        self._speech = speech
        self._alike = {text for text in speech.vocabulary if sounds_alike(text, words)}
        self._phrases = [phrase for word in words if len(phrase := tuple(normalize_word(word).split())) > 1]
        self._used = [
            number for number, text in enumerate(speech.texts) if speech.times[number] is not None or not any(self._said(text))
        ]

    def __len__(self) -> int:
        return len(self._used)

    @property
    def left_out(self) -> tuple[str, ...]:
        """The recordings whose text has a word of the model, and which are not used."""
        used = set(self._used)
        return tuple(path for number, path in enumerate(self._speech.paths) if number not in used)

    def __call__(self, place: int) -> Recording:
        number = self._used[place]
        samples, times = self._speech.samples(number), self._speech.times[number]
        if times is None:
            return Recording(samples, np.array([[0, len(samples), SILENCE_OR_UNKNOWN]], np.int64))
        labels = [IGNORED if said else UNKNOWN for said in self._said(self._speech.texts[number])]
        return Recording(samples, np.column_stack([times, np.array(labels, np.int64)]).astype(np.int64))

    def _said(self, text: Sequence[str]) -> list[bool]:
        """Which words of a text sound like a word of the model, or are a part of one that has several."""
        said = [word in self._alike for word in text]
        for phrase, start in itertools.product(self._phrases, range(len(text))):
            if tuple(text[start : start + len(phrase)]) == phrase:
                said[start : start + len(phrase)] = [True] * len(phrase)
        return said
