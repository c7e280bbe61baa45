"""Speak words with random voices, and write one folder of clips per word."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wordspot.audio.effects import soften_ends
from wordspot.audio.files import write_audio
from wordspot.audio.noise import PINK, WHITE, coloured_noise, from_db, to_unit
from wordspot.audio.resample import resample
from wordspot.audio.samples import Samples
from wordspot.audio.speech import trim
from wordspot.config import MAX_SAMPLE_RATE, FeatureConfig
from wordspot.data.voices.engine import Engine, Voice, draw_voices, languages_of_script, unread_scripts
from wordspot.data.voices.speech_cache import speak_ahead
from wordspot.errors import ConfigError, DataError
from wordspot.files import PREFIX, atomic_folder
from wordspot.labels import normalize_word

_FILLED = 0.95  # a word longer than this part of the clip is spoken again, faster
_MAX_RATE = 2.0
_N_FASTER = 2
_MAX_NAME_BYTES = 200


@dataclass(frozen=True)
class SpokenWords:
    """The clips that `speak_words` wrote for one word."""

    word: str
    folder: str
    n_clips: int
    n_cut: int
    """Clips with only the loudest part of the word, which is longer than a clip even if spoken fast."""
    speakers: tuple[str, ...]
    clips: tuple[tuple[str, Voice], ...]
    """Each clip's file, as a path below the data folder (``yes/espeak-f3_nohash_...wav``), and the voice that speaks it."""


def speak_words(
    words: Sequence[str],
    out: Path,
    *,
    per_word: int,
    seed: int,
    engines: Mapping[str, Engine],
    language: str = "en",
    sample_rate: int = FeatureConfig.sample_rate,
    clip_ms: float = FeatureConfig.clip_ms,
    n_speakers: int | None = None,
    tempo: tuple[float, float] = (1.0, 1.0),
    jobs: int = 1,
    progress: Callable[[str], None] | None = None,
) -> list[SpokenWords]:
    """Write ``out/<word>/<speaker>_nohash_<manner>-<take>.wav``, `per_word` 16-bit clips of `clip_ms` for each word.

    The word is trimmed and mixed at a random position and level over a faint noise floor (between -70 and -50 dB of full
    scale), so that no model can recognise synthetic clips by digital silence. A word that is too long is spoken again, up to
    twice as fast as usual; if that is not enough, its loudest `clip_ms` are kept and the clip is counted as cut. If most
    clips of a word would be cut, that is an error.

    A new `out` appears only once it is complete. Finished words are moved into an existing `out` at the end, replacing files
    of the same name, so Ctrl-C leaves nothing half-written. The same arguments with the same engines give the same bytes;
    each word's voices do not depend on the other words.

    Args:
        n_speakers: how many speakers say each word (default: all).
        tempo: factors of the lowest and of the highest rate at which an engine speaks.
        jobs: threads for the engines that can use several.
        progress: called with the word after each clip.

    Raises:
        ConfigError: a word that cannot be a folder's name, two that are the same, or a number out of range.
        DataError: a word that no engine can read in this language, that comes out as silence, or that is longer than a
            clip in most voices.
    """
    folders = check_words(words)
    _check_numbers(per_word, seed, sample_rate, clip_ms, n_speakers, jobs)
    for engine in engines.values():
        engine.reset()
    readers = {word: _readers(word, engines, language) for word in words}
    shape = _Shape(int(sample_rate * clip_ms / 1000), sample_rate, jobs)
    spoken = []
    with open_folder(out) as staging:
        for word, folder in zip(words, folders, strict=True):
            rng = _generator(seed, folder)
            voices = draw_voices(readers[word].values(), language, per_word, rng, n_speakers, tempo)
            spoken.append(_speak_word(word, staging / folder, voices, engines, shape, rng, progress))
    return spoken


def spoken_seconds(
    word: str,
    *,
    n: int,
    seed: int,
    engines: Mapping[str, Engine],
    language: str = "en",
    sample_rate: int = FeatureConfig.sample_rate,
    tempo: tuple[float, float] = (1.0, 1.0),
) -> list[float]:
    """How long `n` of the voices that `speak_words` draws take to say a word, in seconds, before any is made to say it faster.

    Raises:
        ConfigError, DataError: as for `speak_words`.
    """
    (folder,) = check_words([word])
    rng, shape = _generator(seed, folder), _Shape(0, sample_rate)
    voices = draw_voices(_readers(word, engines, language).values(), language, n, rng, None, tempo)
    return [len(_say(word, voice, engines[voice.engine], shape, seed)) / sample_rate for voice in voices]


def check_words(words: Sequence[str]) -> list[str]:
    """The folder of each word: NFC, lower case.

    Raises:
        ConfigError: none, one that cannot be a folder's name, or two that are the same.
    """
    if not words:
        raise ConfigError("at least one word to speak is expected, got none")
    for word in words:
        bad = not word or word != word.strip() or word.startswith(("_", ".")) or set(word) & set("/\\")
        if bad or not word.isprintable() or len(normalize_word(word).encode()) > _MAX_NAME_BYTES:
            raise ConfigError(
                f"a word becomes a folder's name: it must not be empty or long, start with '_' or '.', or hold slashes, "
                f"got {word!r}"
            )
    folders = [normalize_word(word) for word in words]
    if repeated := sorted({folder for folder in folders if folders.count(folder) > 1}):
        raise ConfigError(f"each word must be named once, got {', '.join(repeated)} more than once (case is ignored)")
    return folders


@contextlib.contextmanager
def open_folder(out: Path) -> Iterator[Path]:
    """Yield a folder to fill. On success it becomes `out`, or its files move into an existing `out`; on failure it is removed."""
    if not out.exists():
        with atomic_folder(out) as staging:
            yield staging
        return
    with tempfile.TemporaryDirectory(dir=out, prefix=PREFIX) as name:
        yield Path(name)
        for folder in sorted(Path(name).iterdir()):
            target = out / folder.name
            target.mkdir(exist_ok=True)
            for path in sorted(folder.iterdir()):
                path.replace(target / path.name)


def _check_numbers(per_word: int, seed: int, sample_rate: int, clip_ms: float, n_speakers: int | None, jobs: int) -> None:
    for name, value, low, high in (
        ("per_word", per_word, 1, 100_000),
        ("seed", seed, 0, 2**63 - 1),
        ("sample_rate", sample_rate, 4000, MAX_SAMPLE_RATE),
        ("clip_ms", clip_ms, 100, 60_000),
        ("n_speakers", 1 if n_speakers is None else n_speakers, 1, 100_000),
        ("jobs", jobs, 1, 1024),
    ):
        if not low <= value <= high:
            raise ConfigError(f"{name} must lie between {low:g} and {high:g}, got {value:g}")


def _readers(word: str, engines: Mapping[str, Engine], language: str) -> dict[str, Engine]:
    """The engines that speak the language and can read the word."""
    speaking = {name: engine for name, engine in engines.items() if engine.voices(language)}
    readers = {name: engine for name, engine in speaking.items() if engine.reads(word, language)}
    if readers or not speaking:
        return readers or dict(engines)  # if no engine speaks the language, draw_voices raises
    scripts = unread_scripts(word, language)
    others = "; ".join(f"{script} letters are read by `language` {languages_of_script(script)}" for script in scripts)
    why = others or f"{', '.join(speaking)} reads none of its letters"
    raise DataError(f"{word!r} cannot be read aloud in language {language!r}: {why}")


@dataclass(frozen=True)
class _Shape:
    """The settings that all clips share."""

    n_samples: int
    sample_rate: int
    jobs: int = 1


def _speak_word(
    word: str,
    folder: Path,
    voices: Sequence[Voice],
    engines: Mapping[str, Engine],
    shape: _Shape,
    rng: np.random.Generator,
    progress: Callable[[str], None] | None,
) -> SpokenWords:
    cut, clips = [], []
    with speak_ahead(engines, [(word, voice) for voice in voices], shape.jobs) as wait_for:
        for take, voice in enumerate(voices):
            wait_for(take)
            voice, speech = _speak_to_fit(word, voice, engines[voice.engine], shape, rng)
            if len(speech) > shape.n_samples:
                cut.append(len(speech))
            path = folder / f"{voice.speaker}_nohash_{voice.manner}-{take:0{len(str(len(voices) - 1))}d}.wav"
            write_audio(path, place(speech, shape.n_samples, shape.sample_rate, rng), shape.sample_rate)
            clips.append((f"{folder.name}/{path.name}", voice))
            if progress is not None:
                progress(word)
    if 2 * len(cut) > len(voices):
        needed = 100 * math.ceil(10 * max(cut) / shape.sample_rate / _FILLED)
        has = 1000 * shape.n_samples / shape.sample_rate
        raise DataError(f"{word!r} is longer than {has:g} ms however fast it is spoken; set `clip_ms` to {needed}")
    return SpokenWords(word, folder.name, len(voices), len(cut), tuple(sorted({voice.speaker for voice in voices})), tuple(clips))


def _speak_to_fit(word: str, voice: Voice, engine: Engine, shape: _Shape, rng: np.random.Generator) -> tuple[Voice, Samples]:
    """The trimmed word, spoken again faster while it is too long, and the voice that finally spoke it."""
    seed = int(rng.integers(2**31))
    speech = _say(word, voice, engine, shape, seed)
    for _ in range(_N_FASTER):
        excess = len(speech) / (_FILLED * shape.n_samples)
        if excess <= 1 or voice.rate >= _MAX_RATE:
            break
        voice = dataclasses.replace(voice, rate=min(round(1.05 * excess * voice.rate, 2), _MAX_RATE))
        speech = _say(word, voice, engine, shape, seed)
    return voice, speech


def _say(word: str, voice: Voice, engine: Engine, shape: _Shape, seed: int) -> Samples:
    speech = trim(resample(*engine.speak(word, voice, seed), shape.sample_rate), shape.sample_rate)
    if not len(speech):
        raise DataError(
            f"{word!r} comes out as silence from {engine.name} in {voice.accent}; spell it otherwise, or name its `language`"
        )
    return speech


def _generator(seed: int, folder: str) -> np.random.Generator:
    """A word's own generator, so that its clips do not depend on which other words are spoken."""
    return np.random.default_rng([seed, int.from_bytes(hashlib.sha256(folder.encode()).digest()[:8], "big")])


_LEVEL_DB = (-34.0, -14.0)  # root mean square of the word against full scale: what recordings by many people have


_FLOOR_DB = (-70.0, -50.0)


_PEAK = 0.95


_MARGIN = 0.1  # room before and after the word, as a part of the clip: what the usual time shift moves


def place(speech: Samples, n_samples: int, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Trimmed `speech` float32 [samples] somewhere in a clip: float32 [n_samples], at a random level over faint noise.

    If possible, a tenth of the clip stays free on either side. If the speech is longer than the clip, its loudest part is kept.
    """
    if len(speech) > n_samples:
        energy = np.concatenate([[0.0], np.cumsum(np.square(speech, dtype=np.float64))])
        start = int(np.argmax(energy[n_samples:] - energy[:-n_samples]))
        speech = soften_ends(speech[start : start + n_samples].copy(), sample_rate)
    free = n_samples - len(speech)
    margin = min(int(_MARGIN * n_samples), free // 2)
    start = int(rng.integers(margin, free - margin + 1))
    white = rng.uniform()
    floor = np.sqrt(white) * coloured_noise(rng, n_samples, WHITE, sample_rate)
    floor += np.sqrt(1 - white) * coloured_noise(rng, n_samples, PINK, sample_rate)
    clip = to_unit(floor) * np.float32(from_db(rng.uniform(*_FLOOR_DB)))
    word = to_unit(speech)
    loudest = float(np.abs(word).max(initial=0))
    gain = from_db(rng.uniform(*_LEVEL_DB))
    clip[start : start + len(speech)] += word * np.float32(min(gain, _PEAK / loudest if loudest else gain))
    return clip
