"""espeak-ng from the wheel `espeakng-loader`: a shared library and its data, called through ctypes.

The library keeps state in static variables: the voice, but also the phases of pitch flutter and breath noise, which no call
resets. The result of a call therefore depends on everything spoken before, in any part of the program. So each engine loads a
private copy of the library, and `Espeak.reset` loads a fresh one: the same calls after it give the same samples.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
import shutil
import tempfile
import threading
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from wordspot.audio.samples import Samples, to_float32
from wordspot.data.voices.common_words import common_words
from wordspot.data.voices.engine import Manners, Voice, unread_scripts
from wordspot.data.voices.ipa import BRACKETED, Word, read_ipa
from wordspot.data.voices.tones import TONAL, numbered, words_with_tones
from wordspot.data.voices.variants import Variant, read_variants
from wordspot.errors import WordspotError

_SYNCHRONOUS = 2  # samples go to the callback, and espeak_Synth returns when all are there
_DONT_EXIT = 0x8000  # report an error instead of ending the process
_UTF8, _PHONEME_INPUT = 1, 0x100
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_BUFFER_MS = 500
_WORDS_A_MINUTE = 175
_MIN_WORDS_A_MINUTE, _MAX_WORDS_A_MINUTE = 80, 390  # above, the sound is sped up rather than spoken fast
_HALF_VOLUME = 50  # at 100, one variant in four is clipped
_MAX_DATA_PATH = 120  # the library holds paths to its data in 160 bytes, its own names included
_DEFAULT_PRIORITY = 5
_LOCK = threading.Lock()
_MNEMONICS, _IPA, _SEPARATOR = 0, 2, "_"  # phonemes in its own notation or in IPA, with this character between two of them
_LANGUAGE_FLAG = re.compile(r"\([a-z-]+\)")  # "(en)" before a word that is read in another language
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Espeak:
    """The `Engine` of espeak-ng: 8 English accents, some 130 languages, dozens of timbres in each."""

    name = "espeak-ng"
    manners = Manners()
    concurrent = False

    def __init__(self, library: Path, data: Path) -> None:
        self._path = library
        self._data = data
        self._library: _Library | None = None
        self._variants: tuple[Variant, ...] | None = None
        self._accents: list[_Accent] | None = None
        self._inventories: dict[str, dict[str, str]] = {}

    def voices(self, language: str) -> list[Voice]:
        if self._variants is None:
            self._variants = read_variants(self._data / "voices" / "!v")
        return [
            Voice(self.name, f"espeak-{variant.speaker}", variant.name, accent.name)
            for accent in accents_of(self._list_accents(), language)
            for variant in self._variants
        ]

    def languages(self) -> list[str]:
        return sorted({code for accent in self._list_accents() for code in accent.codes})

    def reads(self, text: str, language: str) -> bool:
        accents = accents_of(self._list_accents(), language)
        return bool(accents) and not unread_scripts(text, next(iter(accents[0].codes)))

    def reset(self) -> None:
        with _LOCK:
            if self._library is not None:
                self._library.close()
            self._library = None

    def speak(self, text: str, voice: Voice, seed: int = 0) -> tuple[Samples, int]:
        accent = next((a for a in self._list_accents() if a.name == voice.accent), None)
        if accent is None:
            raise WordspotError(f"espeak-ng has no voice {voice.accent!r}; name another `language`")
        if BRACKETED.search(text):
            text = BRACKETED.sub(lambda found: self._to_mnemonics(found[1], accent), text)
        with _LOCK:
            library = self._open()
            return library.speak(_readable(text, accent), accent.identifier, voice, seed), library.sample_rate

    def phonemes(self, text: str, language: str) -> tuple[Word, ...]:
        """How a text is pronounced: for each word its phonemes in IPA, with the stress marks ``ˈ`` and ``ˌ`` before them.

        Diphthongs, affricates and long vowels are one phoneme: ``hey`` in ``en-us`` is ``("h", "ˈeɪ")``. Punctuation is left
        out. Words that espeak-ng joins (``ok robot``) may come as one.

        Raises:
            WordspotError: espeak-ng does not have the language.
        """
        return self._pronounce([text], language, with_tones=False)[0]

    def pronounce(self, texts: Iterable[str], language: str) -> list[tuple[Word, ...]]:
        """`phonemes` of many texts, at 30 µs each; of languages with tones, with the number of each; see `data.voices.tones`.

        Raises:
            WordspotError: espeak-ng does not have the language.
        """
        return self._pronounce(list(texts), language, with_tones=True)

    def _pronounce(self, texts: Sequence[str], language: str, *, with_tones: bool) -> list[tuple[Word, ...]]:
        accents = accents_of(self._list_accents(), language)
        if not accents:
            raise WordspotError(f"espeak-ng has no voice {language!r}; name another `language`")
        best = min(accents, key=lambda a: (a.name != language.lower(), a.codes.get(language.lower(), 99), a.name))
        plain = [_readable(part, best) for text in texts for part in BRACKETED.split(text)[::2]]
        kinds = (_IPA, _MNEMONICS) if with_tones and best.language in TONAL else (_IPA,)
        with _LOCK:
            said = [list(self._open().phonemes(plain, best.identifier, kind)) for kind in kinds]
        if len(said) == 1:
            spoken = map(_split_phonemes, said[0])
        else:
            spoken = map(lambda ipa, own: tuple(words_with_tones(ipa, own, best.language, _SEPARATOR)), *said)
        return [self._join(text, spoken, best) for text in texts]

    def _join(self, text: str, spoken: Iterator[tuple[Word, ...]], accent: _Accent) -> tuple[Word, ...]:
        """The words of a text, of which some are in IPA; those of the others come from `spoken`."""
        words: list[Word] = []
        for place, part in enumerate(BRACKETED.split(text)):
            words += read_ipa(part, self._inventory(accent)) if place % 2 else next(spoken)
        return tuple(words)

    def _to_mnemonics(self, ipa: str, accent: _Accent) -> str:
        """A pronunciation in espeak-ng's notation, which has a comma for the weak stress and bars between phonemes."""
        known, marks = self._inventory(accent), {"ˈ": "'", "ˌ": ","}
        words = ["|".join(marks.get(one[0], "") + known[one.lstrip("ˈˌ")] for one in word) for word in read_ipa(ipa, list(known))]
        return " ".join(f"[[{word}]]" for word in words)

    def _inventory(self, accent: _Accent) -> dict[str, str]:
        """The phonemes of an accent in IPA, and the usual one in espeak-ng's notation: what common words are made of."""
        if accent.name not in self._inventories:
            with _LOCK:
                library = self._open()
                ipa, own = (library.phonemes(common_words(), accent.identifier, kind) for kind in (_IPA, _MNEMONICS))
                counts = Counter(pair for two in zip(ipa, own, strict=True) for pair in _pair_phonemes(*two))
            rarest_first = sorted(counts, key=lambda pair: (counts[pair], pair))
            self._inventories[accent.name] = dict(rarest_first)
        return self._inventories[accent.name]

    def _open(self) -> _Library:
        """The library; the lock must be held."""
        if self._library is None:
            self._library = _Library(self._path, self._data)
        return self._library

    def _list_accents(self) -> list[_Accent]:
        if self._accents is None:
            self._accents = [_Accent(path) for path in sorted((self._data / "lang").glob("*/*")) if path.is_file()]
            self._accents += [_Accent(path) for path in sorted((self._data / "lang").glob("*")) if path.is_file()]
        return self._accents


def find_espeak() -> Espeak | None:
    """espeak-ng, if its wheel is installed."""
    if importlib.util.find_spec("espeakng_loader") is None:
        return None
    import espeakng_loader

    library, data = Path(espeakng_loader.get_library_path()), Path(espeakng_loader.__file__).parent / "espeak-ng-data"
    return Espeak(library, data) if library.is_file() and data.is_dir() else None


class _Accent:
    """A language file of espeak-ng: ``lang/gmw/en-US``."""

    def __init__(self, path: Path) -> None:
        self.name = path.name.lower()
        self.identifier = path.name if path.parent.name == "lang" else f"{path.parent.name}/{path.name}"
        self.codes: dict[str, int] = {}
        """Language code → priority, low first; in the file's order, so the first code names the language."""
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            words = line.split()
            if len(words) > 1 and words[0] == "language":
                priority = int(words[2]) if words[2:] and words[2].isdigit() else _DEFAULT_PRIORITY
                self.codes.setdefault(words[1].lower(), priority)

    @property
    def language(self) -> str:
        return next(iter(self.codes), self.name).split("-")[0]

    @property
    def in_another_script(self) -> bool:
        """Whether it reads a transcription: ``cmn-Latn-pinyin`` has a script of four letters in its name."""
        return any(len(part) == 4 and part.isalpha() for part in self.name.split("-")[1:])


def accents_of(accents: list[_Accent], language: str) -> list[_Accent]:
    """The accents of a language: ``en`` → all of English, ``en-us`` → two of them, ``zh`` → Mandarin.

    If a code stands for several languages (``zh``: Mandarin, Cantonese), the one with the best priority is used. Voices that
    read a transcription in another script are used only if they are named.
    """
    asked = language.lower()
    named = [a for a in accents if a.name == asked]
    if named and named[0].in_another_script:
        return named
    matching = [
        a for a in accents if not a.in_another_script and any(c == asked or c.startswith(asked + "-") for c in (a.name, *a.codes))
    ]
    if not matching:
        return []
    best = min(matching, key=lambda a: (asked not in a.codes, a.codes.get(asked, 99), a.name))
    return [a for a in matching if a.language == best.language]


def _readable(text: str, accent: _Accent) -> str:
    """A text as espeak-ng reads it."""
    return numbered(text) if accent.language == "cmn" else text


def _split_phonemes(spoken: str) -> tuple[Word, ...]:
    words = (tuple(part for part in word.split(_SEPARATOR) if part) for word in _LANGUAGE_FLAG.sub("", spoken).split())
    return tuple(word for word in words if word)


def _pair_phonemes(ipa: str, mnemonics: str) -> Iterator[tuple[str, str]]:
    """Each phoneme of a text in IPA and in espeak-ng's notation, without stress; none of words in another language."""
    one, other = (re.split(f"[ {_SEPARATOR}]+", text.strip(f" {_SEPARATOR}")) for text in (ipa, mnemonics))
    if "(" not in ipa and len(one) == len(other):
        yield from ((a.lstrip("ˈˌ"), b.lstrip("',%=")) for a, b in zip(one, other, strict=True) if a.lstrip("ˈˌ"))


class _Library:
    """One private copy of the shared library."""

    def __init__(self, path: Path, data: Path) -> None:
        folder = tempfile.mkdtemp(prefix="wordspot-")
        self._clean_up = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        copy = Path(shutil.copy2(path, folder))
        if len(os.fsencode(data)) > _MAX_DATA_PATH:
            short = Path(folder, "data")
            short.symlink_to(data.resolve(), target_is_directory=True)
            data = short
        try:
            self._call = ctypes.CDLL(str(copy))
        except OSError as error:
            raise WordspotError(f"{path}: espeak-ng does not load here ({error}); reinstall espeakng-loader") from error
        self.sample_rate = int(self._call.espeak_Initialize(_SYNCHRONOUS, _BUFFER_MS, os.fsencode(data), _DONT_EXIT))
        if self.sample_rate <= 0:
            raise WordspotError(f"{data}: espeak-ng cannot read its data; reinstall espeakng-loader")
        self._chunks: list[bytes] = []
        self._raised: BaseException | None = None
        self._callback = _CALLBACK(self._take)  # kept: the library calls it for as long as it lives
        self._call.espeak_SetSynthCallback(self._callback)

    def close(self) -> None:
        """Give its data back; the code itself stays loaded."""
        self._call.espeak_Terminate()
        self._clean_up()

    def speak(self, text: str, identifier: str, voice: Voice, seed: int) -> Samples:
        if self._call.espeak_SetVoiceByName(f"{identifier}+{voice.variant}".encode()) != 0:
            raise WordspotError(f"espeak-ng has no voice {identifier}+{voice.variant}; reinstall espeakng-loader")
        words = min(max(round(_WORDS_A_MINUTE * voice.rate), _MIN_WORDS_A_MINUTE), _MAX_WORDS_A_MINUTE)
        # espeak-ng's pitch is in fiftieths of an octave around 50, its range in fiftieths of the usual one.
        pitch, width = round(50 + 50 * np.log2(voice.pitch)), round(50 * voice.intonation)
        for parameter, value in ((_RATE, words), (_VOLUME, _HALF_VOLUME), (_PITCH, pitch), (_RANGE, width)):
            limit = 99 if parameter in (_PITCH, _RANGE) else value
            self._call.espeak_SetParameter(parameter, int(min(max(value, 0), limit)), 0)
        if hasattr(self._call, "espeak_ng_SetRandSeed"):  # since 1.52
            self._call.espeak_ng_SetRandSeed(ctypes.c_long(seed % 2**31))
        self._chunks, self._raised = [], None
        encoded = text.encode("utf-8") + b"\0"
        flags = _UTF8 | (_PHONEME_INPUT if BRACKETED.search(text) else 0)
        status = self._call.espeak_Synth(encoded, ctypes.c_size_t(len(encoded)), 0, 1, 0, flags, None, None)
        if self._raised is not None:
            raise self._raised
        if status != 0:
            raise WordspotError(f"espeak-ng cannot speak {text!r} as {identifier}+{voice.variant} (status {status})")
        return to_float32(np.frombuffer(b"".join(self._chunks), dtype=np.int16))

    def phonemes(self, texts: Iterable[str], identifier: str, kind: int = _IPA) -> Iterator[str]:
        """The phonemes of each text, with `_SEPARATOR` between two phonemes and a space between two words."""
        if self._call.espeak_SetVoiceByName(identifier.encode()) != 0:
            raise WordspotError(f"espeak-ng has no voice {identifier}; reinstall espeakng-loader")
        translate = self._call.espeak_TextToPhonemes
        translate.restype = ctypes.c_char_p
        translate.argtypes = [ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.c_int]
        for text in texts:
            rest = ctypes.c_char_p(text.encode("utf-8"))
            clauses = []
            while rest.value is not None:  # each call reads one clause; after the last, the pointer is null
                clauses.append(translate(ctypes.byref(rest), _UTF8, kind | ord(_SEPARATOR) << 8) or b"")
            yield b" ".join(clauses).decode("utf-8", "replace")

    def _take(self, samples: ctypes._Pointer[ctypes.c_short], count: int, _events: int | None) -> int:
        """The library's callback; 0 asks it to go on. Nothing may be raised into C, Ctrl-C included: it waits."""
        try:
            if samples and count > 0:
                self._chunks.append(ctypes.string_at(samples, 2 * count))
        except BaseException as error:
            self._raised = error
            return 1
        return 0
