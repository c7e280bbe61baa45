"""The interface of speech engines: a voice, the engine protocol, and drawing random voices."""

from __future__ import annotations

import dataclasses
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from wordspot.audio.samples import Samples
from wordspot.data.voices.ipa import without_ipa
from wordspot.errors import ConfigError

#: Ranges of the factors, which are log-uniform (the intonation: uniform). People speak single words more slowly than an engine
#: speaks within a sentence; at these rates the median length equals that of recordings.
PITCH = (0.8, 1.25)
RATE = (0.55, 1.1)
INTONATION = (0.5, 1.6)
#: Punctuation marks after a text → what they add to the name of a clip.
ENDINGS = {"": "", ".": "-stop", "!": "-call", "?": "-ask", ",": "-more"}


@dataclass(frozen=True)
class Manners:
    """What `draw_voices` varies for one speaker: the range of each factor, and the endings to choose from."""

    pitch: tuple[float, float] = PITCH
    rate: tuple[float, float] = RATE
    intonation: tuple[float, float] = INTONATION
    endings: tuple[str, ...] = ("",)


@dataclass(frozen=True)
class Voice:
    """One way to speak. `speaker` and `variant` define the timbre; the other fields vary for the same speaker.

    A file is named ``<speaker>_nohash_<manner>-<take>.wav``, so the speaker alone decides the set. The accent is not part of
    the hash: espeak-ng's variants are vocal tracts, and its accents only change the phonemes spoken through them. If the
    accent were hashed too, a test on "f3 from Scotland" would use the vocal tract that "f3 from New York" was trained on, and
    its results would be too optimistic. Pitch, rate and intonation also vary within one speaker.
    """

    engine: str
    speaker: str
    """The hashed name of the speaker: ``espeak-f3``. Variants and engines that sound like the same person share it."""
    variant: str
    """The engine's own name of the timbre: ``f3``, ``slt``."""
    accent: str
    """``en-gb-scotland``: the engine's name of the pronunciation."""
    pitch: float = 1.0
    """Times the speaker's usual pitch."""
    rate: float = 1.0
    """Times the engine's usual speed; espeak-ng's is 175 words a minute."""
    intonation: float = 1.0
    """Times the speaker's usual rise and fall. Only espeak-ng changes it."""
    ending: str = ""
    """The punctuation mark after the text, which changes the tune; one of `ENDINGS`. Only neural engines use it."""

    @property
    def manner(self) -> str:
        """All but the speaker, for a file's name: ``f3-en-us-p110-r080-i095`` (percent of the usual)."""
        variant = "-".join(self.variant.lower().split())
        shares = (self.pitch, self.rate, self.intonation)
        pitch, rate, intonation = (f"{round(100 * share):03d}" for share in shares)
        return f"{variant}-{self.accent}-p{pitch}-r{rate}-i{intonation}{ENDINGS[self.ending]}"


class Engine(Protocol):
    """A program that turns text into speech."""

    name: str
    manners: Manners
    """What it can vary."""
    concurrent: bool
    """Whether several threads may call `speak` at once, in any order, with the same result."""

    def voices(self, language: str) -> list[Voice]:
        """Every accent of `language` in every timbre, at its usual pitch and rate; empty if it does not speak it."""
        ...

    def languages(self) -> list[str]:
        """The languages that `voices` knows, sorted."""
        ...

    def reads(self, text: str, language: str) -> bool:
        """Whether the letters of `text` are ones this engine can read aloud in `language`."""
        ...

    def reset(self) -> None:
        """Reset the engine's state: the same calls after it give the same samples."""
        ...

    def speak(self, text: str, voice: Voice, seed: int = 0) -> tuple[Samples, int]:
        """Speech: float32 [samples] in [-1, 1], and its rate in Hz; empty if there is nothing to say.

        If the engine uses phonemes, parts of the text may be in IPA; see `data.voices.ipa`.

        Raises:
            WordspotError: the engine failed or took too long.
        """
        ...


#: Scripts that espeak-ng reads in these languages only. In any other it names each letter ("Chinese letter, Chinese
#: letter"), which is sound, but not the word.
_SCRIPTS = {
    "CJK": "cmn yue zh",
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "HANGUL": "ko",
    "CYRILLIC": "ba be bg cv kaa kk ky mk nog ru sr tk tt ug uk uz",
    "GREEK": "el grc",
    "ARABIC": "ar fa ku pa sd ug ur",
    "HEBREW": "he",
    "DEVANAGARI": "hi kok mr ne sd",
    "BENGALI": "as bn bpy",
    "GURMUKHI": "pa",
    "GUJARATI": "gu",
    "ORIYA": "or",
    "TAMIL": "ta",
    "TELUGU": "te",
    "KANNADA": "kn",
    "MALAYALAM": "ml",
    "SINHALA": "si",
    "THAI": "th",
    "MYANMAR": "my shn",
    "GEORGIAN": "ka",
    "ARMENIAN": "hy hyw",
    "ETHIOPIC": "am ti",
    "CHEROKEE": "chr",
}


def scripts_of(text: str) -> set[str]:
    """The scripts of a text's letters, by their Unicode names: ``{"LATIN", "CJK"}``."""
    return {unicodedata.name(c, "UNNAMED").split()[0] for c in text if unicodedata.category(c).startswith("L")}


def unread_scripts(text: str, language: str) -> list[str]:
    """The scripts in `text`, besides IPA, that need another language, sorted; empty for letters that are read in any."""
    spoken = language.lower().split("-")[0]
    return sorted(script for script in scripts_of(without_ipa(text)) if spoken not in _SCRIPTS.get(script, spoken).split())


def languages_of_script(script: str) -> str:
    """The languages that read a script, for a message."""
    return _SCRIPTS.get(script, "").replace(" ", ", ")


def draw_voices(
    engines: Iterable[Engine],
    language: str,
    n: int,
    rng: np.random.Generator,
    n_speakers: int | None = None,
    tempo: tuple[float, float] = (1.0, 1.0),
) -> list[Voice]:
    """Draw `n` voices. Every speaker is used once before any is used twice, so that each set gets its share of them.

    A speaker's variant and accent are drawn uniformly, then its pitch, rate and intonation.

    Args:
        n_speakers: how many speakers may speak (default: all).
        tempo: factors of the lowest and of the highest rate of each engine.

    Raises:
        ConfigError: no engine speaks the language; the message says which ones are spoken.
    """
    engines = list(engines)
    manners = {engine.name: engine.manners for engine in engines}
    by_speaker: dict[str, list[Voice]] = {}
    for engine in engines:
        for voice in engine.voices(language):
            by_speaker.setdefault(voice.speaker, []).append(voice)
    if not by_speaker:
        known = sorted({code.split("-")[0] for engine in engines for code in engine.languages()})
        raise ConfigError(f"no voice speaks the language {language!r}; expected one of {', '.join(known)}")
    speakers = sorted(by_speaker)
    if n_speakers is not None and n_speakers < len(speakers):
        speakers = sorted(speakers[position] for position in rng.permutation(len(speakers))[:n_speakers])
    drawn: list[Voice] = []
    while len(drawn) < n:
        for position in rng.permutation(len(speakers))[: n - len(drawn)]:
            choices = by_speaker[speakers[position]]
            voice = choices[rng.integers(len(choices))]
            drawn.append(_draw_manner(voice, manners[voice.engine], tempo, rng))
    return drawn


def _draw_manner(voice: Voice, manners: Manners, tempo: tuple[float, float], rng: np.random.Generator) -> Voice:
    """Rounded to a percent, so that the file's name identifies the voice exactly."""
    rates = np.multiply(manners.rate, tempo)
    pitch, rate = (round(float(np.exp(rng.uniform(*np.log(span)))), 2) for span in (manners.pitch, rates))
    intonation = round(float(rng.uniform(*manners.intonation)), 2)
    ending = manners.endings[rng.integers(len(manners.endings))] if len(manners.endings) > 1 else manners.endings[0]
    return dataclasses.replace(voice, pitch=pitch, rate=rate, intonation=intonation, ending=ending)
