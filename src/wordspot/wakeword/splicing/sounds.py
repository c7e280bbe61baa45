"""The sounds of English as a small network recognises them, and texts as such sounds.

The network comes with wordspot as `sounds.onnx`; dev/hearing describes its training. It was taught the sounds of words of
LibriSpeech and Speech Commands.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wordspot.audio.samples import Samples
from wordspot.data.voices.espeak import Espeak
from wordspot.data.voices.sounds import cost_of, to_sounds
from wordspot.runtime.detector import Scorer
from wordspot.runtime.model import open_model

_FILE = Path(__file__).parent / "sounds.onnx"
RATE = 16_000
#: Samples from one row of posteriors to the next.
FRAME = 320
_ACCENT = "en-us"
_ROW = 160  # samples, of the network
_AGO = 4000 + 80  # samples from the middle of what a row tells to its end
_LEAST = 1e-6
#: Sounds that accents and espeak-ng tell apart and the network does not.
SAME = {"ɾ": "t", "ʔ": "t", "ɐ": "ə", "ʌ": "ə", "ɜ": "ə", "ᵻ": "ɪ", "ɫ": "l", "r": "ɹ", "e": "ɛ", "a": "æ", "ɒ": "ɑ"}


class SoundNetwork:
    """The network. Sounds are numbers: 0 is silence, the others are places in `names`."""

    def __init__(self) -> None:
        self._scorer = Scorer(open_model(_FILE), self_test=False)
        labels = self._scorer.card.labels
        self._used = [0, *range(2, len(labels))]  # without "unknown", which it never answers
        self.names = tuple(labels[place] for place in self._used)
        self._numbers = dict[str, int]()  # of sounds, its own and others
        self._before = round(self._scorer.card.clip_seconds * RATE) - _AGO - FRAME // 2

    def log_posteriors(self, audio: Samples) -> NDArray[np.float32]:
        """float32 [samples] → float32 [samples // FRAME, sounds], of 20 ms each."""
        n = len(audio) // FRAME
        padded = np.zeros(self._before + n * FRAME + _AGO, np.float32)
        padded[self._before : self._before + n * FRAME] = audio[: n * FRAME]
        scores = np.concatenate([self._scorer.feed(padded)[0], self._scorer.flush()[0]])
        rows: NDArray[np.float32] = scores[:: FRAME // _ROW][:n, self._used].clip(_LEAST)
        return np.log(rows)

    def numbers_of(self, texts: Collection[str], espeak: Espeak) -> dict[str, tuple[int, ...]]:
        """The sounds of each text; those that the network does not know are replaced by the most similar one."""
        words = espeak.pronounce(list(texts), _ACCENT)
        return {text: tuple(map(self._number_of, to_sounds(one))) for text, one in zip(texts, words, strict=True)}

    def _number_of(self, sound: str) -> int:
        if sound not in self._numbers:
            known = SAME.get(sound, sound)
            self._numbers[sound] = min(range(1, len(self.names)), key=lambda number: cost_of(known, self.names[number]))
        return self._numbers[sound]
