"""Kokoro-82M, a neural voice (Apache-2.0): its ONNX file run directly, with espeak-ng's phonemes.

A style vector defines the speaker: there are 54, and a weighted mean of two sounds like a third person. The vector also
depends on the number of tokens, since it was learned together with the length of sentences.
"""

from __future__ import annotations

import hashlib
import re
import threading
from typing import Any

import numpy as np

from wordspot.audio.samples import Samples
from wordspot.config import DataConfig
from wordspot.data.split import which_set
from wordspot.data.voices.engine import ENDINGS, Manners, Voice, unread_scripts
from wordspot.data.voices.espeak import Espeak
from wordspot.data.voices.kokoro_alphabet import to_symbols, to_tokens
from wordspot.data.voices.kokoro_mandarin import to_mandarin_symbols
from wordspot.data.voices.neural import open_voice, run_voice, spell
from wordspot.data.voices.weights import KokoroFiles, Styles
from wordspot.errors import DataError, WordspotError

SAMPLE_RATE = 24_000
MAX_TOKENS = 510
_MANDARIN = "cmn"
#: First letter of a voice's name → its own accent. Japanese needs phonemes that espeak-ng lacks.
ACCENTS = {"a": "en-us", "b": "en-gb", "e": "es", "f": "fr", "h": "hi", "i": "it", "p": "pt-br", "z": _MANDARIN}
#: A word of one syllable lasts 0.4 to 0.6 s at speed 1. The network has no input for the pitch.
MANNERS = Manners(pitch=(1.0, 1.0), rate=(0.75, 1.25), intonation=(1.0, 1.0), endings=tuple(ENDINGS))
#: What voices of other languages speak besides their own: they are recognised as well as American ones (dev/LOG.md).
_FOREIGNERS = "en-us"
_PERCENT = (30, 70)  # of the first voice in a mixture: outside, it sounds like one of the two
_MIXTURE = re.compile(r"(\w+)-(\d{1,2})-(\w+)")
_NAMED = re.compile(r"[a-z][fm]_\w+")


class Kokoro:
    """The `Engine` of Kokoro-82M.

    Args:
        files: its model and style vectors.
        espeak: for the phonemes.
        n_speakers: if there are fewer voices of a language, mixtures of two are added up to this number.
    """

    name = "kokoro"
    manners = MANNERS
    concurrent = True

    def __init__(self, files: KokoroFiles, espeak: Espeak, n_speakers: int = 0) -> None:
        self._files = files
        self._espeak = espeak
        self._n_speakers = n_speakers
        self._styles = files.read_styles()
        self._session: Any = None
        self._fingerprint = ""
        self._lock = threading.Lock()

    def voices(self, language: str) -> list[Voice]:
        names = {name: accent for name in self._styles if (accent := _spoken_accent(name, language.lower()))}
        mixtures = draw_mixtures(list(names), self._n_speakers - len(names))
        return [Voice(self.name, speaker_of(variant), variant, names[variant.split("-")[0]]) for variant in (*names, *mixtures)]

    def languages(self) -> list[str]:
        return sorted({accent_of(name) for name in self._styles} - {""})

    def reads(self, text: str, language: str) -> bool:
        return any(c.isalnum() for c in text) and not unread_scripts(text, language)

    def reset(self) -> None:
        """Nothing lasts from one call to the next."""

    def fingerprint(self, voice: Voice) -> str:
        """A hash of the model and of the voice's style vectors: what the sound depends on besides text and manner."""
        with self._lock:
            if not self._fingerprint:
                self._fingerprint = hashlib.sha256(self._files.read_model()).hexdigest()
        return hashlib.sha256(self._fingerprint.encode() + self._style(voice.variant).tobytes()).hexdigest()

    def speak(self, text: str, voice: Voice, seed: int = 0) -> tuple[Samples, int]:
        tokens = self._tokens(text + voice.ending, voice.accent)
        if not tokens:
            return np.zeros(0, np.float32), SAMPLE_RATE
        session, styles = self._open(), self._style(voice.variant)
        types = {put.name: put.type for put in session.get_inputs()}
        feeds = {
            "input_ids" if "input_ids" in types else "tokens": np.array([[0, *tokens, 0]], np.int64),
            "style": styles[min(len(tokens), len(styles)) - 1][None],
            "speed": np.array([voice.rate], np.float32),
        }
        return run_voice(session, feeds, self._where()), SAMPLE_RATE

    def _tokens(self, text: str, accent: str) -> list[int]:
        symbols = ""
        is_mandarin = accent == _MANDARIN
        for words, marks in spell(text, accent, self._espeak, with_tones=is_mandarin):
            symbols += f"{to_mandarin_symbols(words) if is_mandarin else to_symbols(words, accent)}{marks} "
        tokens = to_tokens(symbols.strip())
        if len(tokens) > MAX_TOKENS:
            raise DataError(
                f"{text[:40]!r} ... has {len(tokens)} phonemes; kokoro speaks at most {MAX_TOKENS} at once. Split the text"
            )
        return tokens

    def _style(self, variant: str) -> Styles:
        """float32 [rows, 256]: a voice's own, or the weighted mean of two."""
        if variant in self._styles:
            return self._styles[variant]
        found = _MIXTURE.fullmatch(variant)
        if found is None or not {found[1], found[3]} <= self._styles.keys():
            raise WordspotError(
                f"kokoro has no voice {variant!r}; expected one of {', '.join(self._styles)}, or a mixture of two"
            )
        first, second = self._styles[found[1]], self._styles[found[3]]
        rows, share = min(len(first), len(second)), np.float32(int(found[2]) / 100)
        return share * first[:rows] + (1 - share) * second[:rows]

    def _open(self) -> Any:
        with self._lock:
            if self._session is None:
                session = open_voice(self._files.read_model(), self._where())
                names = {put.name for put in session.get_inputs()}
                if names not in ({"tokens", "style", "speed"}, {"input_ids", "style", "speed"}):
                    raise DataError(
                        f"{self._where()}: the model's inputs are {', '.join(sorted(names))}; Kokoro's are tokens, style and "
                        "speed. Get it with: wordspot download voices"
                    )
                self._session = session
        return self._session

    def _where(self) -> str:
        return str(self._files.model[0])


def accent_of(name: str) -> str:
    """A voice's own accent by its name: ``bf_emma`` → ``en-gb``; "" if it cannot be spoken; American for other names."""
    return ACCENTS.get(name[0], "") if _NAMED.fullmatch(name) else "en-us"


def _spoken_accent(name: str, language: str) -> str:
    """The accent in which a voice speaks a language, "" if it does not. Voices of other languages speak American English too."""
    own = accent_of(name)
    language = _MANDARIN if language.split("-")[0] == "zh" else language
    if f"{own}-".startswith(f"{language}-"):
        return own
    return _FOREIGNERS if own[:2] != "en" and f"{_FOREIGNERS}-".startswith(f"{language}-") else ""


def speaker_of(variant: str) -> str:
    """The hashed name of the speaker: ``af_heart`` → ``kokoro-af-heart``."""
    return f"kokoro-{variant.lower().replace('_', '-')}"


def draw_mixtures(names: list[str], n: int) -> list[str]:
    """`n` mixtures of two voices, as ``af_heart-40-am_adam``: 40 % of the first, the rest of the second.

    They do not depend on a seed, so the first of them are always the same. Each is in the same set as both its voices
    (training, validation, testing, by the usual shares): nobody is tested on a voice that was trained on as part of a mixture.
    """
    rng, found = np.random.default_rng(0), dict[str, None]()
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(_set_of(name), []).append(name)
    usable = sorted(name for group in groups.values() if len(group) > 1 for name in group)
    most = len(usable) * (_PERCENT[1] - _PERCENT[0])  # leaves room: there are several times as many
    tries = 0
    while usable and len(found) < min(n, most) and tries < 100 * max(n, 1):
        tries += 1
        first = usable[rng.integers(len(usable))]
        others = [name for name in groups[_set_of(first)] if name != first]
        variant = f"{first}-{rng.integers(_PERCENT[0], _PERCENT[1] + 1)}-{others[rng.integers(len(others))]}"
        if _set_of(variant) == _set_of(first):
            found.setdefault(variant)
    return list(found)


def _set_of(variant: str) -> str:
    defaults = DataConfig()
    return which_set(speaker_of(variant), defaults.validation_percent, defaults.testing_percent)
