"""The streams that `hearing.py` measures a model on, of one set: split by speaker, sentence source and noise source.

A set of speech_commands is the usual one, by a hash of the speaker. Of the other folders, speakers (english_speech,
arabic_commands) are sorted by the SHA-1 of their names; the first ones are for validation, the next for testing, the rest for
training. Sources of sounds (environment) fall into a set by the SHA-1 itself, modulo 100.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from wordspot.audio.files import read_audio
from wordspot.audio.folder import is_audio_name
from wordspot.audio.samples import Samples
from wordspot.audio.speech import speech_bounds
from wordspot.data.scenes.classic import classic_stream
from wordspot.data.scenes.material import StreamMaterial
from wordspot.data.scenes.soundscape import SoundscapeConfig, make_soundscape
from wordspot.data.split import noise_source
from wordspot.data.truth import SpokenWord

RATE = 16_000
PAUSE_S = 0.5
QUIET_DB = -70.0
#: How many speakers are for validation and for testing.
SPEAKERS = {"english_speech": (8, 6), "arabic_commands": (3, 3)}
#: Percent of the sources of sounds that are for validation and for testing.
SOUNDS = (20, 15)
Stream = tuple[Samples, tuple[SpokenWord, ...]]


def _rank(name: str) -> int:
    return int(hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest(), 16)


def set_of_speakers(names: Iterable[str], n_validation: int, n_testing: int) -> dict[str, str]:
    """The set of each speaker."""
    return {
        name: "validation" if place < n_validation else "testing" if place < n_validation + n_testing else "training"
        for place, name in enumerate(sorted(set(names), key=_rank))
    }


def set_of_source(name: str) -> str:
    """The set of a source of sounds."""
    percent = _rank(name) % 100
    return "validation" if percent < SOUNDS[0] else "testing" if percent < sum(SOUNDS) else "training"


def recordings(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and is_audio_name(path.name))


def source_of(path: Path) -> str:
    """What a sound was cut from: a recording of ESC-10, a household appliance, a baby."""
    if path.parent.name == "baby":
        return "baby-" + "-".join(path.stem.split("-")[1:6])
    if path.parent.name == "household":
        return "_".join(path.stem.split("_")[:2])
    return noise_source(path.as_posix())


def sounds(data: Path, split: str) -> Stream:
    """Sounds without speech, concatenated."""
    paths = recordings(data / "environment")
    return np.concatenate([read_audio(path, RATE)[0] for path in paths if set_of_source(source_of(path)) == split]), ()


def foreign_words(data: Path, split: str) -> Stream:
    """Words of another language, each recording as long as it is."""
    paths = recordings(data / "arabic_commands")
    speaker = {path: path.name.split("_nohash_")[0] for path in paths}
    sets = set_of_speakers(speaker.values(), *SPEAKERS["arabic_commands"])
    return np.concatenate([read_audio(path, RATE)[0] for path in paths if sets[speaker[path]] == split]), ()


def sentences(data: Path, split: str, words: Sequence[str], rng: np.random.Generator) -> tuple[Stream, Stream]:
    """Read sentences: those without any of the words, and those with some, whose places are annotated."""
    folder, places = data / "english_speech", _word_places(data / "english_speech" / "words.csv")
    paths = recordings(folder)
    sets = set_of_speakers((path.parts[-3] for path in paths), *SPEAKERS["english_speech"])
    without, within, spoken, at = [], [], [], 0.0
    for path in paths:
        if sets[path.parts[-3]] != split or path.stem not in places:
            continue
        audio = np.concatenate([read_audio(path, RATE)[0], _quiet(PAUSE_S, rng)])
        found = [place for place in places[path.stem] if place[0] in words]
        if not found:
            without.append(audio)
            continue
        within.append(audio)
        spoken += [SpokenWord(word, at + start, at + stop) for word, start, stop in found]
        at += 1000 * len(audio) / RATE
    return (np.concatenate(without), ()), (np.concatenate(within), tuple(spoken))


def clips(material: StreamMaterial, decibels: float, rng: np.random.Generator, most: int = 100) -> Stream:
    """Up to `most` clips of each word at this gain, a second of quiet before each."""
    parts, spoken, at = [], [], 0
    for word, found in material.clips.items():
        for position in rng.permutation(len(found))[:most]:
            clip = material.read_clip(found[position])
            first, stop = speech_bounds(clip, RATE)
            parts += [_quiet(1.0, rng), clip * np.float32(10 ** (decibels / 20))]
            at += RATE
            spoken.append(SpokenWord(word, 1000 * (at + first) / RATE, 1000 * (at + stop) / RATE))
            at += len(clip)
    return np.concatenate(parts), tuple(spoken)


def classic(material: StreamMaterial, seeds: Iterable[int]) -> Iterator[Stream]:
    """The tutorial's ten-minute streams."""
    for seed in seeds:
        scene = classic_stream(material, 600, np.random.default_rng(seed))
        yield scene.audio, scene.words


def scenes(material: StreamMaterial, seeds: Iterable[int], minutes: float) -> Iterator[Stream]:
    """Realistic streams: noise, babble, reverberation, near misses, a word every few seconds."""
    for seed in seeds:
        config = SoundscapeConfig(gap_s=(1.0, 12.0))
        scene = make_soundscape(material, 60 * minutes, np.random.default_rng(seed), config)
        yield scene.audio, scene.words


def _quiet(seconds: float, rng: np.random.Generator) -> Samples:
    return rng.standard_normal(int(seconds * RATE), dtype=np.float32) * np.float32(10 ** (QUIET_DB / 20))


def _word_places(path: Path) -> dict[str, list[tuple[str, float, float]]]:
    """Words with their start and end in milliseconds, by utterance."""
    places: dict[str, list[tuple[str, float, float]]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            place = (row["word"].lower(), float(row["start_ms"]), float(row["end_ms"]))
            places.setdefault(row["utterance"], []).append(place)
    return places
