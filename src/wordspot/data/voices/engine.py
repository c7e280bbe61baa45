"""What the engines have in common: a voice, and what an engine can be asked."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Protocol

from wordspot.audio.samples import Samples


@dataclass(frozen=True)
class Voice:
    """One way to speak. `speaker` and `variant` make the timbre, the rest is how that speaker happens to talk.

    A file is named ``<speaker>_nohash_<manner>-<take>.wav``, so the speaker alone decides the set. The accent is left
    out of the hash on purpose: espeak-ng's variants are vocal tracts, its accents only change which phonemes are sung
    through them. Were the accent hashed too, a test on "f3 from Scotland" would hear the throat that "f3 from New York"
    trained, and flatter the model. Pitch, rate and intonation are moods of one speaker and never split.
    """

    engine: str
    speaker: str
    """Who it is, as hashed: ``espeak-f3``. Shared by variants, and engines, that sound like the same person."""
    variant: str
    """The engine's own name of the timbre: ``f3``, ``slt``."""
    accent: str
    """``en-gb-scotland``: the engine's name of the pronunciation."""
    pitch: float = 1.0
    """Times the speaker's usual pitch."""
    rate: float = 1.0
    """Times the engine's usual speed; espeak-ng's is 175 words a minute."""
    intonation: float = 1.0
    """Times the speaker's usual rise and fall. flite and festival keep their own."""

    @property
    def manner(self) -> str:
        """All but the speaker, for a file's name: ``f3-en-us-p110-r080-i095`` (percent of the usual)."""
        variant = "-".join(self.variant.lower().split())
        shares = (self.pitch, self.rate, self.intonation)
        pitch, rate, intonation = (f"{round(100 * share):03d}" for share in shares)
        return f"{variant}-{self.accent}-p{pitch}-r{rate}-i{intonation}"


class Engine(Protocol):
    """A program that turns text into speech."""

    name: str

    def voices(self, language: str) -> list[Voice]:
        """Every accent of `language` in every timbre, at its usual pitch and rate; empty where it does not speak it."""
        ...

    def languages(self) -> list[str]:
        """What `voices` knows, sorted."""
        ...

    def reads(self, text: str, language: str) -> bool:
        """Whether the letters of `text` are ones this engine can read aloud in `language`."""
        ...

    def reset(self) -> None:
        """Forget what was spoken before: the same calls after it give the same samples."""
        ...

    def speak(self, text: str, voice: Voice, seed: int = 0) -> tuple[Samples, int]:
        """Speech: float32 [samples] in [-1, 1], and its rate in Hz; empty where there was nothing to say.

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
    """The scripts in `text` that need another language, sorted; empty for letters that any language reads somehow."""
    spoken = language.lower().split("-")[0]
    return sorted(script for script in scripts_of(text) if spoken not in _SCRIPTS.get(script, spoken).split())


def languages_of_script(script: str) -> str:
    """The languages that read a script, for a message."""
    return _SCRIPTS.get(script, "").replace(" ", ", ")
