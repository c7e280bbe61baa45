"""flite and festival: speech programs that a system's packages bring (``apt install flite festival``).

Their voices are built from recordings of people, so they sound unlike espeak-ng's. Each word is one run of the program,
without a shell, with the text in a file or on standard input and a time limit.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wordspot.audio.files import read_audio
from wordspot.audio.samples import Samples
from wordspot.data.voices.engine import Manners, Voice
from wordspot.data.voices.ipa import BRACKETED
from wordspot.errors import WordspotError

_TIMEOUT_S = 30
_KAL_HZ = 105  # festival's usual pitch for kal
#: The accents of the people who were recorded.
_ACCENTS = {"awb": "en-gb-scotland", "rab": "en-gb"}
#: kal is kal16 at 8 kHz, awb_time only speaks the time.
_LEFT_OUT = ("kal", "awb_time")


class Flite:
    """The `Engine` of flite: a handful of American and Scottish speakers. The pitch of rms is fixed."""

    name = "flite"
    manners = Manners()
    concurrent = False

    def __init__(self, program: str) -> None:
        self._program = program
        self._names: list[str] | None = None

    def voices(self, language: str) -> list[Voice]:
        if self._names is None:
            listed = _run([self._program, "-lv"]).partition(":")[2].split()
            self._names = sorted(name for name in listed if re.fullmatch(r"\w+", name) and name not in _LEFT_OUT)
        return _english(self.name, self._names, language)

    def languages(self) -> list[str]:
        return _spoken_codes(self.voices("en"))

    def reads(self, text: str, language: str) -> bool:
        return _is_english_text(text)

    def reset(self) -> None:
        """Nothing lasts from one run to the next."""

    def speak(self, text: str, voice: Voice, seed: int = 0) -> tuple[Samples, int]:
        with tempfile.TemporaryDirectory(prefix="wordspot-") as folder:
            source, target = Path(folder, "text"), Path(folder, "speech.wav")
            source.write_text(text, encoding="utf-8")
            stretch = ["--setf", f"duration_stretch={1 / voice.rate:.4f}", "--setf", f"f0_shift={voice.pitch:.4f}"]
            _run([self._program, "-voice", voice.variant, *stretch, "-f", str(source), "-o", str(target)])
            return _read(target, self.name)


class Festival:
    """The `Engine` of festival: the English voices that are installed beside it."""

    name = "festival"
    manners = Manners()
    concurrent = False

    def __init__(self, program: str, text2wave: str) -> None:
        self._program = program
        self._text2wave = text2wave
        self._names: list[str] | None = None

    def voices(self, language: str) -> list[Voice]:
        if self._names is None:
            printed = _run([self._program, "--batch", "(print (voice.list))"])
            lists = re.findall(r"^\(([\w\s-]*)\)\s*$", printed, re.MULTILINE)  # around it, festival may warn; "nil" is none
            self._names = sorted(name for name in " ".join(lists[-1:]).split() if _person(name))
        return _english(self.name, self._names, language)

    def languages(self) -> list[str]:
        return _spoken_codes(self.voices("en"))

    def reads(self, text: str, language: str) -> bool:
        return _is_english_text(text)

    def reset(self) -> None:
        """Nothing lasts from one run to the next."""

    def speak(self, text: str, voice: Voice, seed: int = 0) -> tuple[Samples, int]:
        # Only numbers and a name of letters go into the Scheme expression; the text stays on standard input.
        hertz = f"(target_f0_mean {_KAL_HZ * voice.pitch:.1f}) (target_f0_std 14) (model_f0_mean 170) (model_f0_std 34)"
        setting = f"(Parameter.set 'Duration_Stretch {1 / voice.rate:.4f}) (set! int_lr_params '({hertz}))"
        with tempfile.TemporaryDirectory(prefix="wordspot-") as folder:
            target = Path(folder, "speech.wav")
            expression = f"(begin (voice_{voice.variant}) {setting})"
            _run([self._text2wave, "-eval", expression, "-o", str(target)], text)
            return _read(target, self.name)


def find_flite() -> Flite | None:
    """flite, if it is on the PATH."""
    program = shutil.which("flite")
    return Flite(program) if program else None


def find_festival() -> Festival | None:
    """festival, if it and its text2wave are on the PATH."""
    program, text2wave = shutil.which("festival"), shutil.which("text2wave")
    return Festival(program, text2wave) if program and text2wave else None


def _person(name: str) -> str:
    """The recorded person: ``kal16``, ``kal_diphone`` → ``kal``; ``cmu_us_slt_arctic`` → ``slt``; "" if unknown."""
    match = re.match(r"(?:cmu_us_)?(awb|bdl|clb|jmk|kal|ked|ksp|rab|rms|slt)(?:16)?(?:_|$)", name)
    return match[1] if match else ""


def _english(engine: str, names: Sequence[str], language: str) -> list[Voice]:
    """Voices of one speaker share a name in both engines: kal is the same man in either."""
    voices = []
    for name in names:
        person = _person(name)
        accent = _ACCENTS.get(person, "en-us")
        if f"{accent}-".startswith(f"{language.lower()}-"):
            voices.append(Voice(engine, f"festvox-{person or name}", name, accent))
    return voices


def _spoken_codes(voices: Sequence[Voice]) -> list[str]:
    return sorted({"en", *(voice.accent for voice in voices)})


def _is_english_text(text: str) -> bool:
    return text.isascii() and any(c.isalnum() for c in text) and not BRACKETED.search(text)


def _run(command: list[str], text: str = "") -> str:
    try:
        done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=_TIMEOUT_S, check=True)
    except subprocess.TimeoutExpired as error:
        raise WordspotError(f"{command[0]} took longer than {_TIMEOUT_S} s; name another `engine`") from error
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", b"") or b""
        raise WordspotError(f"{command[0]} failed ({said.decode(errors='replace').strip() or error})") from error
    return done.stdout.decode(errors="replace")


def _read(path: Path, engine: str) -> tuple[Samples, int]:
    if not path.is_file():
        raise WordspotError(f"{engine} ended well but wrote no sound; name another `engine`")
    if path.stat().st_size <= 44:  # a WAV header alone: nothing was said
        return np.zeros(0, np.float32), 16_000
    return read_audio(path)
