"""What a user should know about the phrases before anything is made: whether they fit into a clip, and what resembles them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wordspot.data.voices import find_engines
from wordspot.data.voices.clips import check_words, spoken_seconds
from wordspot.data.voices.common_words import common_words
from wordspot.data.voices.espeak import find_espeak
from wordspot.data.voices.near_misses.candidates import is_mandarin
from wordspot.data.voices.sounds import is_vowel, to_sounds
from wordspot.data.voices.tones import numbered
from wordspot.errors import ConfigError, DataError
from wordspot.progress import OnNote, ignore_note
from wordspot.wakeword.project import CLIP_MS, Request
from wordspot.wakeword.recordings import choose_engine, other_texts, simple_engines, tempo_of

#: Voices that say a phrase, and the parts of them that may need longer than a clip: without a warning, and at all.
_N_VOICES, _SOME, _MOST = 24, 0.35, 0.5
#: Fewer texts leave a set without any: each is said by voices of three sets.
_FEW_OTHERS = 8
#: Measured by benchmarks/wake_words.py at the thresholds that `new` chose; see dev/LOG.md.
_MEASURED = (
    'a model of "go" found 73 % of 300 people, with 3 false accepts an hour of speech and sounds, one of "athena" 85 %, with 1.4'
)


def check_phrases(request: Request, on_note: OnNote) -> None:
    """Let a few voices say the phrases, and look for what sounds like them; nothing is written.

    Raises:
        ConfigError: a phrase that cannot be a folder's name, or that is given twice, or there is nothing to tell it from.
        DataError: a phrase that no voice can say, or that most voices need longer than a clip for.
        MissingExtraError: no voices are installed.
    """
    for phrase in request.phrases:
        if not any(character.isalnum() for character in phrase):
            raise DataError(f"{phrase!r} holds nothing that a voice can say; expected a phrase in the letters of its `language`")
    check_words(request.phrases)
    for phrase in request.phrases:
        _check_length(phrase, request, on_note)
        if toneless := _toneless(phrase, request.language):
            on_note(
                f"{toneless!r} is read as an English word; write Chinese characters, or pinyin with its tones: ni3 hao3 or nǐ hǎo"
            )
        if n_syllables(phrase, request.language) == 1:
            on_note(
                f"{phrase!r} is a single syllable, which many other words contain: {_MEASURED}. Choose a longer phrase if you can"
            )
    _check_others(request, other_texts(request), on_note)


def _check_length(phrase: str, request: Request, on_note: OnNote) -> None:
    engines = find_engines(simple_engines(choose_engine(request, ignore_note)))
    seconds = spoken_seconds(
        phrase, n=_N_VOICES, seed=request.seed, engines=engines, language=request.language, tempo=tempo_of(request)
    )
    limit = CLIP_MS / 1000
    longer = sum(one > limit for one in seconds) / len(seconds)
    how_long = f"voices take {np.median(seconds):.1f} s to say {phrase!r}, the slowest {max(seconds):.1f} s"
    if longer > _MOST:
        raise DataError(f"{how_long}, and a model sees {limit:g} s at once; choose a phrase with fewer syllables")
    if longer > _SOME:
        on_note(
            f"{how_long}, and a model sees {limit:g} s at once: slow voices are sped up, and people who speak slowly will be "
            "found less often. Choose a phrase with fewer syllables if you can"
        )


def _check_others(request: Request, others: Sequence[str], on_note: OnNote) -> None:
    if not others and len(request.phrases) == 1:
        raise ConfigError(
            "no text sounds like the phrase, so a model has nothing to tell it from; raise `n_near_misses`, or name some "
            "with `excluded`"
        )
    if len(others) < _FEW_OTHERS:
        found = f"only {len(others)} texts sound" if others else "no texts sound"
        on_note(
            f"{found} like {', '.join(request.phrases)}: the model learns less about what it must not detect, and is hardly "
            "tested on it. Name similar phrases with `excluded`, raise `n_near_misses`, or give `speech`"
        )


def _toneless(phrase: str, language: str) -> str:
    """The first word of a phrase of Mandarin in Latin letters without tones that is no common English one; empty if none is."""
    words = numbered(phrase).lower().split() if is_mandarin(language) else []
    known = {*common_words(), "hey"}
    return next((word for word in words if word.isascii() and word.isalpha() and word not in known), "")


def n_syllables(phrase: str, language: str) -> int:
    """How many vowels a phrase has when it is spoken; 0 if espeak-ng, which knows that, is not installed."""
    espeak = find_espeak()
    return 0 if espeak is None else sum(map(is_vowel, to_sounds(espeak.pronounce([phrase], language)[0])))
