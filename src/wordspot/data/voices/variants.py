"""Select espeak-ng's variants that sound like a person, and group those that sound like the same person.

A variant is a small text file that modifies the default voice: its formants (the resonances of the vocal tract), its pitch and
its source. Some imitate people; others are robots, echoes and whispers. The settings in the file decide, not its name. A
variant counts as a person if it

- moves the three formants that make vowels by what vocal tracts differ in: an adult man of average size is 1, a big
  man 0.8, a woman 1.15, a small child 1.4. All three move by about the same factor, since one tube is longer or
  shorter: the largest is at most 1.4 times the smallest. None of the three is missing;
- speaks at a pitch between 50 Hz (a low bass at rest) and 350 Hz (a lively child), and not on one note;
- has audible vocal folds: `voicing` is neither next to nothing (a whisper) nor so loud that the sound is clipped,
  breath does not drown it, and a Klatt source is a sampled pulse of real folds (3 and up), not a plain formula (1, 2);
- has no echo to speak of: it belongs to a room, and one above a fifth of the sound makes a robot;
- wavers (`flutter`) and creaks (`roughness`) little: the documentation calls a flutter of 20 "croaky";
- speaks consonants neither at next to nothing nor at twice their strength, and no vowel stretched to a drawl;
- follows one of espeak-ng's four documented intonations.

A file that sets nothing of the timbre (``fast``) is not a separate voice.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

Settings = dict[str, tuple[float, ...]]

#: key, position of the number, default, lowest and highest that a person has, what it is.
_BOUNDS: tuple[tuple[str, int, float, float, float, str], ...] = (
    ("pitch", 0, 82, 50, 280, "lowest pitch"),
    ("pitch", 1, 118, 70, 350, "highest pitch"),
    ("voicing", 0, 100, 25, 250, "voicing"),
    ("klatt", 0, 3, 3, 6, "Klatt source"),
    ("echo", 1, 0, 0, 20, "echo"),
    ("flutter", 0, 2, 0, 15, "flutter"),
    ("roughness", 0, 2, 0, 4, "roughness"),
    ("consonants", 0, 100, 40, 180, "unvoiced consonants"),
    ("consonants", 1, 100, 40, 180, "voiced consonants"),
    ("intonation", 0, 1, 1, 4, "intonation"),
)
_TRACT = (0.8, 1.4)
_MAX_TRACT_RATIO = 1.4
_NEUTRAL_HZ = (500.0, 1500.0, 2500.0)  # F1 to F3 of a neutral vowel: what a shift in Hz is compared with
_MIN_STRENGTH = 25
_MAX_BREATH = 30
_MAX_DRAWL = 200
_TIMBRE = ("formant1", "formant2", "formant3", "klatt", "pitch", "tone", "voicing")


@dataclass(frozen=True)
class Variant:
    """A variant that sounds like a person; variants with the same vocal tract share `speaker`."""

    name: str
    speaker: str


def read_variants(folder: Path) -> tuple[Variant, ...]:
    """The variants in espeak-ng's folder ``voices/!v`` that sound like a person, sorted by name.

    Those that agree in frequency and width of the formants 1 to 3 and in the kind of source differ in mood only (steph
    and steph3, say): they are one speaker, named by the first of them.
    """
    speakers: dict[tuple[object, ...], str] = {}
    variants = []
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        settings = parse_variant(path.read_text(encoding="utf-8", errors="replace"))
        if why_no_person(settings) is None:
            speaker = speakers.setdefault(_throat(settings), "-".join(path.name.lower().split()))
            variants.append(Variant(path.name, speaker))
    return tuple(variants)


def parse_variant(text: str) -> Settings:
    """The numbers of a variant file by key; ``formant 1`` becomes ``formant1``. Words and comments are left out."""
    settings: Settings = {}
    for line in text.splitlines():
        key, *words = line.split("//")[0].split("#")[0].split() or [""]
        if key == "formant" and words:
            key, words = f"formant{words[0]}", words[1:]
        numbers = []
        for word in words:
            try:
                numbers.append(float(word))
            except ValueError:
                break
        if key and numbers:
            settings[key] = tuple(numbers)
    return settings


def why_no_person(settings: Settings) -> str | None:
    """Why a variant does not sound like a person, or None; see the module's docstring for the rules."""
    if not any(key in settings for key in _TIMBRE):
        return "it sets nothing of the timbre"
    for key, position, default, low, high, what in _BOUNDS:
        value = _number(settings, key, position, default)
        if not low <= value <= high:
            return f"{what} of {value:g}, a person has {low:g} to {high:g}"
    if _number(settings, "pitch", 1, 118) <= _number(settings, "pitch", 0, 82):
        return "it speaks on one note"
    if (breath := max((abs(value) for value in settings.get("breath", ())), default=0)) > _MAX_BREATH:
        return f"breath of {breath:g}, a person's is at most {_MAX_BREATH}"
    if (drawl := max(settings.get("stressAdd", (0.0,)))) > _MAX_DRAWL:
        return f"vowels stretched by {drawl:g}, a person's are by at most {_MAX_DRAWL}"
    return _why_no_tract(settings)


def _why_no_tract(settings: Settings) -> str | None:
    factors = []
    for formant, neutral in enumerate(_NEUTRAL_HZ, start=1):
        key = f"formant{formant}"
        if (strength := _number(settings, key, 1, 100)) < _MIN_STRENGTH:
            return f"formant {formant} of strength {strength:g}, a person's is at least {_MIN_STRENGTH}"
        factors.append(_number(settings, key, 0, 100) / 100 + _number(settings, key, 3, 0) / neutral)
    for formant, factor in enumerate(factors, start=1):
        if not _TRACT[0] <= round(factor, 3) <= _TRACT[1]:
            return f"formant {formant} at {factor:.2f} of a man's, a person's is at {_TRACT[0]} to {_TRACT[1]}"
    if max(factors) > _MAX_TRACT_RATIO * min(factors):
        return "formants shifted by factors that differ more than in any vocal tract"
    return None


def _throat(settings: Settings) -> tuple[object, ...]:
    """The settings that distinguish one speaker's vocal tract from another's."""
    formants = [
        (_number(settings, key, 0, 100), _number(settings, key, 2, 100), _number(settings, key, 3, 0))
        for key in ("formant1", "formant2", "formant3")
    ]
    return (*formants, "klatt" in settings)


def _number(settings: Settings, key: str, position: int, default: float) -> float:
    numbers = settings.get(key, ())
    return numbers[position] if position < len(numbers) else default
