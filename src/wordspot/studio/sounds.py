"""The recordings in a folder of a project: saved, listed with what is wrong with them, trimmed and discarded.

Every recording is a 16-bit mono WAV at `RATE`. A name that a client sends is looked up in the folder's listing; no path is
made of it.
"""

from __future__ import annotations

import hashlib
import re
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from wordspot.audio.files import read_audio, write_audio
from wordspot.audio.folder import is_audio_name
from wordspot.audio.resample import resample
from wordspot.audio.samples import Samples
from wordspot.audio.speech import is_silent, start_of_word
from wordspot.config import FeatureConfig
from wordspot.data.checks.findings import is_clipped, is_cut_off
from wordspot.errors import AudioError, ConfigError, NotFoundError
from wordspot.formats import shown
from wordspot.server.uploads import read_bounded
from wordspot.studio.project import move_aside
from wordspot.wakeword.project import CLIP_MS

RATE = FeatureConfig.sample_rate
#: Seconds of a recording that is accepted, and of the part of a longer take that is kept: what a network sees at once.
MOST_SECONDS, LONGEST_TAKE = 120.0, CLIP_MS / 1000
MOST_SOUNDS = 5000
N_PEAKS = 48
_QUIET_PEAK = 0.02  # hardly speech, as on the page that records
_SHORTEST_S = 0.1
_SPEAKER = re.compile(r"[A-Za-z0-9]{1,32}")
_saving = threading.Lock()


@dataclass(frozen=True)
class Sound:
    """A recording.

    Attributes:
        file: its name in the folder.
        speaker: who speaks, by the name; empty if the name does not say.
        seconds: its duration.
        peaks: the largest sample of each of `N_PEAKS` equal parts, 0 to 100.
        problem: ``too quiet``, ``too loud``, ``cut off``, ``unreadable`` or nothing.
        digest: of the file; a recording that was renamed keeps it.
    """

    file: str
    speaker: str
    seconds: float
    peaks: tuple[int, ...]
    problem: str
    digest: str

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "peaks": list(self.peaks), "seconds": round(self.seconds, 2)}


def list_sounds(folder: Path) -> list[Sound]:
    """The recordings in a folder, oldest first; an empty list if there is no such folder."""
    if not folder.is_dir():
        return []
    found = [(path.stat(), path) for path in folder.iterdir() if is_audio_name(path.name) and path.is_file()]
    found.sort(key=lambda one: (one[0].st_mtime_ns, one[1].name))
    return [_describe(path, facts.st_mtime_ns, facts.st_size) for facts, path in found]


def find_sound(folder: Path, name: str) -> Path:
    """The recording of that name in a folder.

    Raises:
        NotFoundError: there is none.
    """
    if folder.is_dir():
        for path in folder.iterdir():
            if path.name == name and is_audio_name(name) and path.is_file():
                return path
    raise NotFoundError(f"there is no recording {shown(name)}; it may have been moved or discarded")


def save_take(folder: Path, speaker: str, upload: Path) -> Sound:
    """Save a recording of one word; of a long one, `LONGEST_TAKE` seconds around the word.

    Raises:
        AudioError: it cannot be read, is longer than `MOST_SECONDS` or too short.
        ConfigError: a speaker that cannot be part of a name, or a folder that is full.
    """
    audio = _read_upload(upload)
    size = round(LONGEST_TAKE * RATE)
    start = start_of_word(audio, size, RATE)
    return _save(folder, speaker, audio[start : start + size])


def save_background(folder: Path, upload: Path) -> Sound:
    """Save a recording of the room, or of anything else without the words.

    Raises:
        AudioError, ConfigError: as for `save_take`.
    """
    return _save(folder, "room", _read_upload(upload))


def adopt_sound(folder: Path, speaker: str, path: Path) -> Path:
    """Move a recording of the project into `folder`, under a new name."""
    with _saving:
        target = _free_name(folder, speaker, path.suffix.lower())
        folder.mkdir(parents=True, exist_ok=True)
        return path.rename(target)


def trim_sound(folder: Path, name: str, start_s: float, stop_s: float, aside: Path) -> Sound:
    """Replace a recording by a part of it. The whole one is moved to the folder `aside`.

    Raises:
        NotFoundError: there is no such recording.
        ConfigError: times outside the recording, or too near to each other.
    """
    path = find_sound(folder, name)
    audio, rate = read_audio(path, RATE)
    if not (start_s >= 0 and start_s + _SHORTEST_S <= stop_s <= len(audio) / rate + 0.01):
        raise ConfigError(f"a part from {start_s:g} to {stop_s:g} s cannot be cut from {len(audio) / rate:.2f} s")
    part = audio[round(start_s * rate) : round(stop_s * rate)]
    speaker = speaker_of(name)
    kept = _save(folder, speaker if _SPEAKER.fullmatch(speaker) else "someone", part)
    move_aside(path, aside / path.name)
    return kept


def discard_sound(folder: Path, name: str, aside: Path) -> str:
    """Move a recording to the folder `aside`. Returns its name there, with which `restore_sound` finds it.

    Raises:
        NotFoundError: there is no such recording.
    """
    path = find_sound(folder, name)
    return move_aside(path, aside / path.name).name


def restore_sound(folder: Path, name: str, aside: Path) -> Sound:
    """Move a discarded recording back from the folder `aside`, under its name if that is free.

    Raises:
        NotFoundError: there is no such recording.
        ConfigError: the folder is full.
    """
    path = find_sound(aside, name)
    with _saving:
        target = folder / path.name
        if target.exists():
            target = _free_name(folder, speaker_of(name) or "someone", path.suffix.lower())
        folder.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    facts = target.stat()
    return _describe(target, facts.st_mtime_ns, facts.st_size)


def digest_of(path: Path) -> str:
    """What identifies a recording: the beginning of its SHA-256, as `wordspot new` names its copies."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def speaker_of(name: str) -> str:
    """The speaker that a file's name gives; empty if it gives none."""
    before, mark, _ = name.partition("_nohash_")
    return before if mark else ""


def _read_upload(upload: Path) -> Samples:
    audio, rate = read_bounded(upload, MOST_SECONDS)
    audio = resample(audio, rate, RATE)
    if len(audio) < _SHORTEST_S * RATE:
        raise AudioError(f"the recording is {1000 * len(audio) / RATE:.0f} ms long; expected at least {1000 * _SHORTEST_S:g} ms")
    return audio


def _save(folder: Path, speaker: str, audio: Samples) -> Sound:
    if not _SPEAKER.fullmatch(speaker):
        raise ConfigError(f"{shown(speaker)} is no name of a speaker; use 1 to 32 letters and digits (a to z, 0 to 9)")
    with _saving:
        path = _free_name(folder, speaker, ".wav")
        write_audio(path, audio, RATE)
    facts = path.stat()
    return _describe(path, facts.st_mtime_ns, facts.st_size)


def _free_name(folder: Path, speaker: str, suffix: str) -> Path:
    taken = {one.stem for one in folder.iterdir()} if folder.is_dir() else set()
    if len(taken) >= MOST_SOUNDS:
        raise ConfigError(f"there are {len(taken)} recordings already; discard some first")
    number = next(n for n in range(MOST_SOUNDS + 1) if f"{speaker}_nohash_{n}" not in taken)
    return folder / f"{speaker}_nohash_{number}{suffix}"


@lru_cache(maxsize=20_000)
def _describe(path: Path, changed_ns: int, n_bytes: int) -> Sound:
    """A recording's description; the times and sizes are only there so that a changed file is described anew."""
    speaker = speaker_of(path.name)
    try:
        audio, rate = read_audio(path)
    except (AudioError, OSError):
        return Sound(path.name, speaker, 0.0, (0,) * N_PEAKS, "unreadable", "")
    parts = np.array_split(np.abs(audio), N_PEAKS)
    peaks = tuple(min(round(100 * float(part.max(initial=0))), 100) for part in parts)
    return Sound(path.name, speaker, len(audio) / rate, peaks, _problem(audio, rate), digest_of(path))


def _problem(audio: Samples, rate: int) -> str:
    if float(np.abs(audio).max(initial=0)) < _QUIET_PEAK or is_silent(audio, rate):
        return "too quiet"
    if is_clipped(audio):
        return "too loud"
    return "cut off" if is_cut_off(audio, rate) else ""
