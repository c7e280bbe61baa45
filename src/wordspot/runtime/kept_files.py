"""A folder of sound that was kept to be reviewed: the names of its files, and its bounded size.

A file is named ``20261129-181530-hey lamp-0.93.wav``: local time, word, score. What nearly was a detection is in a subfolder
`NEARLY`; a server has a folder for each satellite, with one of its own. Only files with such names in these places count as
ours; what was reviewed (`MEANT`, `NOT_MEANT`) and all other files are neither counted nor removed.
"""

from __future__ import annotations

import re
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordspot.errors import ConfigError

if TYPE_CHECKING:
    from wordspot.audio.samples import Samples

NEARLY, MEANT, NOT_MEANT = "nearly", "meant", "not-meant"
#: How many megabytes (of a million bytes) are kept unless the caller says otherwise.
SAVE_MB = 200.0
_FEWEST_MB, _MOST_MB = 1.0, 1e6
_NAME = re.compile(r"(\d{8}-\d{6})-(.+)-([01]\.\d\d)(?:-(\d+))?\.wav")
_LONGEST_IN_A_NAME = 50  # letters; of four bytes each, they leave room in the 255 that a name may have


@dataclass(frozen=True)
class KeptFile:
    """A file of ours.

    Attributes:
        path: of the WAV.
        time: local time of the detection, as ``20261129-181530``.
        label: the word, as its name has it.
        score: two decimals, 0 to 1.
        is_near: whether it only nearly was a detection.
    """

    path: Path
    time: str
    label: str
    score: float
    is_near: bool

    def to_json(self) -> dict[str, Any]:
        """The file as a JSON object."""
        return {"path": str(self.path), "time": self.time, "label": self.label, "score": self.score, "is_near": self.is_near}


def list_kept(folder: Path) -> list[KeptFile]:
    """The files of ours in `folder`, oldest first: detections and near ones, of satellites too, except what was reviewed."""
    places = [folder, folder / NEARLY]
    reviewed = {folder / MEANT, folder / NOT_MEANT}
    if folder.is_dir():
        satellites = [one for one in folder.iterdir() if one.is_dir() and one not in reviewed and one != places[1]]
        places += [place for one in satellites if not one.is_symlink() for place in (one, one / NEARLY)]
    found = []
    for place in places:
        for path in place.iterdir() if place.is_dir() else ():
            if (name := _NAME.fullmatch(path.name)) and path.is_file() and not path.is_symlink():
                file = KeptFile(path, name[1], name[2], float(name[3]), place.name == NEARLY)
                found.append((file.time, int(name[4] or 1), str(path), file))
    return [file for *_, file in sorted(found, key=lambda one: one[:3])]


def in_a_name(text: str) -> str:
    """`text` as part of a file's name, on any system."""
    letters = text[:_LONGEST_IN_A_NAME]
    return "".join(letter if letter.isalnum() or letter in "-_ " else "_" for letter in letters).strip() or "_"


def satellite_folder(name: str) -> str:
    """The name of a satellite's folder: its name or address, never that of a folder with another meaning."""
    clean = ".".join(in_a_name(part) for part in name[:_LONGEST_IN_A_NAME].split("."))
    return f"{clean}_" if clean.casefold() in (NEARLY, MEANT, NOT_MEANT) else clean


def free_path(folder: Path, stem: str, taken: set[Path] | None = None) -> Path:
    """The path of a new WAV: ``stem.wav``, or with the first number that neither a file nor `taken` has."""
    path, number = folder / f"{stem}.wav", 1
    while path.exists() or path in (taken or ()):
        number += 1
        path = folder / f"{stem}-{number}.wav"
    return path


class KeptFolder:
    """Writes files below a folder, and removes the oldest of ours as soon as all of them exceed a size. Threads may share it.

    Args:
        folder: created if it is missing.
        max_mb: the most that our files may take together, in megabytes.

    Raises:
        ConfigError: the folder cannot be created or written to, or a size outside 1 to 1,000,000 MB.
    """

    def __init__(self, folder: Path, max_mb: float = SAVE_MB) -> None:
        if not _FEWEST_MB <= max_mb <= _MOST_MB:
            raise ConfigError(f"`save_mb` must lie between {_FEWEST_MB:g} and {_MOST_MB:g}, got {max_mb:g}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            reason = error.strerror or str(error)
            raise ConfigError(f"{folder}: sound cannot be saved there: {reason}; use another folder as `save`") from error
        self.folder, self._max = folder, int(max_mb * 1e6)
        self._lock, self._promised = threading.Lock(), set[Path]()
        self._size = sum(_size(one.path) for one in list_kept(folder))

    def promise(self, place: str, time: str, label: str, score: float) -> Path:
        """A path for a file that `write` will write, in the subfolder `place` (empty: none)."""
        with self._lock:
            stem = f"{time}-{in_a_name(label)}-{score:.2f}"
            path = free_path(self.folder / place, stem, self._promised)
            self._promised.add(path)
            return path

    def write(self, path: Path, audio: Samples, sample_rate: int) -> None:
        """Write float32 [samples] to a promised path, as 16-bit WAV.

        Raises:
            OSError: the file cannot be written.
        """
        from wordspot.audio.files import write_audio  # so that flags can be defined without it

        with self._lock:
            self._promised.discard(path)
            self._make_room(2 * len(audio) + 44)
            write_audio(path, audio, sample_rate)
            self._size += _size(path)

    def _make_room(self, n_bytes: int) -> None:
        """Remove the oldest files until `n_bytes` more fit. Files may have been moved away, so they are counted again first."""
        if self._size + n_bytes <= self._max:
            return
        files = [(one.path, _size(one.path)) for one in list_kept(self.folder)]
        self._size = sum(size for _, size in files)
        for path, size in files:
            if self._size + n_bytes <= self._max:
                return
            path.unlink(missing_ok=True)
            self._size -= size


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # moved or removed by another program
        return 0
