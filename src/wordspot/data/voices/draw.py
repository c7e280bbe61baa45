"""Who speaks: voices drawn from a generator."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from wordspot.data.voices.engine import Engine, Voice
from wordspot.errors import ConfigError

#: Times the usual, drawn evenly on a logarithmic scale (the intonation: on a linear one). People who speak one word at
#: a time take longer than an engine does within a sentence: at these rates the median length is that of recordings.
PITCH = (0.8, 1.25)
RATE = (0.55, 1.1)
INTONATION = (0.5, 1.6)


def draw_voices(engines: Iterable[Engine], language: str, n: int, rng: np.random.Generator) -> list[Voice]:
    """`n` voices. Every speaker comes once before any comes twice, so that each set gets its share of them.

    A speaker's variant and accent are drawn evenly from those it has; then its pitch, rate and intonation.

    Raises:
        ConfigError: no engine speaks the language; the message says which ones are spoken.
    """
    engines = list(engines)
    by_speaker: dict[str, list[Voice]] = {}
    for engine in engines:
        for voice in engine.voices(language):
            by_speaker.setdefault(voice.speaker, []).append(voice)
    if not by_speaker:
        known = sorted({code.split("-")[0] for engine in engines for code in engine.languages()})
        raise ConfigError(f"no voice speaks the language {language!r}; expected one of {', '.join(known)}")
    speakers = sorted(by_speaker)
    drawn: list[Voice] = []
    while len(drawn) < n:
        for position in rng.permutation(len(speakers))[: n - len(drawn)]:
            choices = by_speaker[speakers[position]]
            drawn.append(_draw_manner(choices[rng.integers(len(choices))], rng))
    return drawn


def _draw_manner(voice: Voice, rng: np.random.Generator) -> Voice:
    """Rounded to a percent, so that the file's name tells the voice exactly."""
    pitch, rate = (float(np.exp(rng.uniform(*np.log(span)))) for span in (PITCH, RATE))
    return dataclasses.replace(
        voice, pitch=round(pitch, 2), rate=round(rate, 2), intonation=round(float(rng.uniform(*INTONATION)), 2)
    )
