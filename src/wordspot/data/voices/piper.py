"""Piper: neural voices as pairs of files, ``NAME.onnx`` and ``NAME.onnx.json``, run directly with espeak-ng's phonemes.

A file has one speaker or, such as LibriTTS-R's, hundreds. The network draws noise, so a speaker says a word differently
each time.
"""

from __future__ import annotations

import hashlib
import re
import threading
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wordspot.audio.samples import Samples
from wordspot.data.voices.engine import Manners, Voice, unread_scripts
from wordspot.data.voices.espeak import Espeak
from wordspot.data.voices.neural import open_voice, run_voice, spell
from wordspot.errors import DataError, WordspotError
from wordspot.files import read_json
from wordspot.runtime.modelfile.onnx_runtime import import_onnxruntime

_PAD, _BEGIN, _END = "_", "^", "$"
_SCALES = {"noise_scale": 0.667, "length_scale": 1.0, "noise_w": 0.8}  # Piper's own defaults
_MAX_SPEAKERS = 10_000


@dataclass(frozen=True)
class PiperVoice:
    """What the configuration of a voice says.

    Attributes:
        model: the ONNX file.
        accent: espeak-ng's name of the language: ``en-us``.
        sample_rate: in Hz.
        symbols: each symbol's numbers.
        n_speakers: how many speakers the file has.
        scales: noise, length and noise of the lengths.
    """

    model: Path
    accent: str
    sample_rate: int
    symbols: Mapping[str, tuple[int, ...]]
    n_speakers: int
    scales: tuple[float, float, float]

    @property
    def name(self) -> str:
        """``en_US-joe-medium``, in characters that a file's name may have."""
        return re.sub(r"[^A-Za-z0-9]+", "-", self.model.stem)


def read_piper(model: Path) -> PiperVoice:
    """Read ``NAME.onnx.json``.

    Raises:
        DataError: it is not the configuration of a voice that speaks espeak-ng's phonemes.
    """
    path = model.with_name(f"{model.name}.json")
    config = read_json(path)
    try:
        kind = config.get("phoneme_type", "espeak")
        inference = _SCALES | config.get("inference", {})
        voice = PiperVoice(
            model,
            str(config["espeak"]["voice"]).lower(),
            int(config["audio"]["sample_rate"]),
            {str(symbol): tuple(int(number) for number in numbers) for symbol, numbers in config["phoneme_id_map"].items()},
            int(config.get("num_speakers", 1)),
            (float(inference["noise_scale"]), float(inference["length_scale"]), float(inference["noise_w"])),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path} is not the configuration of a Piper voice ({error!r}); get it again with its .onnx file"
        ) from error
    if kind != "espeak":
        raise DataError(f"{path}: the voice reads {kind!r} phonemes; expected espeak-ng's. Use another voice")
    missing = {_PAD, _BEGIN, _END} - voice.symbols.keys()
    if missing or not 1 <= voice.n_speakers <= _MAX_SPEAKERS or not 4000 <= voice.sample_rate <= 192_000:
        raise DataError(f"{path} is not the configuration of a Piper voice; get it again with its .onnx file")
    return voice


class Piper:
    """The `Engine` of Piper's voices.

    Args:
        voices: the voices, by any number of files.
        espeak: for the phonemes.
    """

    name = "piper"
    manners = Manners(pitch=(1.0, 1.0), rate=(0.75, 1.25), intonation=(1.0, 1.0), endings=("", ".", "!", "?", ","))
    concurrent = False  # the noise depends on the calls before

    def __init__(self, voices: Iterable[PiperVoice], espeak: Espeak) -> None:
        self._voices = {voice.name: voice for voice in voices}
        self._espeak = espeak
        self._sessions: dict[str, Any] = {}
        self._hashes: dict[str, str] = {}
        self._lock = threading.Lock()

    def voices(self, language: str) -> list[Voice]:
        accents = {voice.accent for voice in self._espeak.voices(language)} | {language.lower()}
        return [
            Voice(self.name, f"piper-{variant.lower()}", variant, voice.accent)
            for voice in self._voices.values()
            if voice.accent in accents or voice.accent.startswith(f"{language.lower()}-")
            for variant in _variants(voice)
        ]

    def languages(self) -> list[str]:
        return sorted({voice.accent for voice in self._voices.values()})

    def reads(self, text: str, language: str) -> bool:
        return any(c.isalnum() for c in text) and not unread_scripts(text, language)

    def reset(self) -> None:
        """Close the networks: their noise begins anew."""
        with self._lock:
            self._sessions.clear()

    def fingerprint(self, voice: Voice) -> str:
        name, _ = self._find(voice.variant)
        if name not in self._hashes:
            model = self._voices[name].model
            files = (model, model.with_name(f"{model.name}.json"))
            self._hashes[name] = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
        return self._hashes[name]

    def speak(self, text: str, voice: Voice, seed: int = 0) -> tuple[Samples, int]:
        name, speaker = self._find(voice.variant)
        settings = self._voices[name]
        tokens = self._tokens(text + voice.ending, settings)
        if not tokens:
            return np.zeros(0, np.float32), settings.sample_rate
        noise, length, noise_of_lengths = settings.scales
        feeds: dict[str, Any] = {
            "input": np.array([tokens], np.int64),
            "input_lengths": np.array([len(tokens)], np.int64),
            "scales": np.array([noise, length / voice.rate, noise_of_lengths], np.float32),
        }
        if settings.n_speakers > 1:
            feeds["sid"] = np.array([speaker], np.int64)
        with self._lock:
            if name not in self._sessions:
                import_onnxruntime().set_seed(seed % 2**31)
                self._sessions[name] = open_voice(settings.model.read_bytes(), str(settings.model))
            speech = run_voice(self._sessions[name], feeds, str(settings.model))
        return speech, settings.sample_rate

    def _find(self, variant: str) -> tuple[str, int]:
        """A variant's file and the number of its speaker."""
        if variant in self._voices:
            return variant, 0
        name, _, number = variant.rpartition("-s")
        if name not in self._voices or not number.isdecimal() or int(number) >= self._voices[name].n_speakers:
            raise WordspotError(f"piper has no voice {variant!r}; expected one of {', '.join(self._voices)}")
        return name, int(number)

    def _tokens(self, text: str, voice: PiperVoice) -> list[int]:
        """The numbers of a text's symbols, each followed by a pause; empty if there is nothing to say."""
        spelt = ""
        for words, marks in spell(text, voice.accent, self._espeak):
            spelt += f"{' '.join(''.join(word) for word in words)}{marks[:1]} "
        symbols = [symbol for symbol in unicodedata.normalize("NFD", spelt.strip()) if symbol in voice.symbols]
        if not any(symbol.isalpha() for symbol in symbols):
            return []
        pause = voice.symbols[_PAD]
        middle = [number for symbol in symbols for number in (*voice.symbols[symbol], *pause)]
        return [*voice.symbols[_BEGIN], *pause, *middle, *voice.symbols[_END]]


def _variants(voice: PiperVoice) -> list[str]:
    """The names of a file's speakers: that of the file, or one with a number for each."""
    if voice.n_speakers == 1:
        return [voice.name]
    return [f"{voice.name}-s{number}" for number in range(voice.n_speakers)]
