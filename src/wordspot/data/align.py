"""Cut each recording of a data folder to its loudest part of one clip's length, and write the clips to a new folder.

A word in a longer recording is assumed to be where the energy is highest. File names with ``_nohash_`` stay in the same set
of a hash split. Other names may change sets, since their suffix is part of the hash and all files become ``.wav`` here.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from wordspot.audio.files import read_audio, write_audio
from wordspot.audio.folder import is_audio_name
from wordspot.audio.samples import Samples
from wordspot.audio.speech import loudest_window
from wordspot.config import FeatureConfig
from wordspot.data.decode import Problem, decode_many
from wordspot.data.folders import NOISE_FOLDER, Listing, Recording, left_out_notes, list_recordings
from wordspot.errors import ConfigError, DataError, WordspotError
from wordspot.files import atomic_folder, prepare_out
from wordspot.progress import OnProgress

_COPIED_FILES = ("readme", "licen", "copying")
_LIST_FILES = ("validation_list.txt", "testing_list.txt")


@dataclass(frozen=True)
class AlignedFolder:
    """What `align` wrote.

    Attributes:
        out: the new data folder.
        n_clips: clips written.
        clip_ms: length of the longest clip.
        problems: a line for each recording, or kind of file, that was skipped.
    """

    out: Path
    n_clips: int
    clip_ms: float
    problems: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {"out": str(self.out), "n_clips": self.n_clips, "clip_ms": self.clip_ms, "problems": list(self.problems)}


def align(
    data: str | Path,
    out: str | Path,
    *,
    sample_rate: int | None = None,
    clip_ms: float | None = None,
    force: bool = False,
    progress: OnProgress | None = None,
) -> AlignedFolder:
    """Write each recording of a data folder to `out`, cut to its loudest `clip_ms`, as 16-bit WAV.

    Folders and names are kept. Shorter recordings are not cut; damaged ones are skipped. Noise, README and licence files are
    copied unchanged, the two list files with the new suffix. `out` appears only once it is complete.

    Args:
        data: a folder with one folder per word.
        out: the new folder.
        sample_rate: in Hz (default: that of `FeatureConfig`).
        clip_ms: length to keep (default: that of `FeatureConfig`).
        force: write into an `out` that holds files, one by one.
        progress: called after each recording.

    Raises:
        NotFoundError, DataError: `data` holds no recordings, or none that can be read.
        ConfigError: `out` is not empty, or lies within `data`; an impossible rate or length.
    """
    root, out = Path(data), Path(out).resolve()
    rate = FeatureConfig.sample_rate if sample_rate is None else sample_rate
    length = FeatureConfig.clip_ms if clip_ms is None else clip_ms
    size = FeatureConfig(
        sample_rate=rate, clip_ms=length, window_ms=length, hop_ms=length, low_hz=0, high_hz=rate / 2
    ).clip_samples
    listing = list_recordings(root)
    if out.is_relative_to(root.resolve()):
        raise ConfigError(f"{out} lies in {root}, whose folders are words; choose another `out`")
    if out.exists():
        prepare_out(out, force=force)
    in_use = out == Path.cwd() or (out.is_dir() and any(out.iterdir()))
    written: list[str] = []
    problems = left_out_notes(listing.left_out)
    with contextlib.nullcontext(out) if in_use else atomic_folder(out) as folder:
        for path, problem in _cut_all(listing, folder, rate, size, progress):
            if problem:
                problems.append(problem)
            else:
                written.append(_wav_path(path))
        if not written:
            raise DataError(f"{root}: none of the {len(listing.clips)} recordings can be read; {problems[-1]}")
        _copy_others(listing, folder)
    if not (out / written[0]).is_file():
        raise DataError(f"{out}: the finished folder could not be given this name; choose an `out` that does not exist")
    return AlignedFolder(out, len(written), length, tuple(problems))


def _cut_all(
    listing: Listing, folder: Path, sample_rate: int, size: int, progress: OnProgress | None
) -> Iterator[tuple[str, str]]:
    """Write each clip. Yields each recording's path and why it was skipped (empty if it was not), in the listing's order."""
    named: dict[str, str] = {}
    for clip in listing.clips:
        named.setdefault(_wav_path(clip.path), clip.path)

    def cut(recording: Recording) -> Samples | Problem:
        path = recording.path
        if named[_wav_path(path)] != path:
            return Problem(f"{path}: left out, {named[_wav_path(path)]} has the same name except for its suffix")
        try:
            audio, _ = read_audio(listing.root / path, sample_rate)
        except (WordspotError, OSError) as error:
            return Problem(str(error).replace(str(listing.root / path), path))
        start = loudest_window(audio, size)
        return audio[start : start + size]

    for recording, result in decode_many(listing.clips, cut, progress, stage="aligning recordings"):
        if isinstance(result, Problem):
            yield recording.path, result.text
        else:
            write_audio(folder / _wav_path(recording.path), result, sample_rate)
            yield recording.path, ""


def _copy_others(listing: Listing, folder: Path) -> None:
    for path in sorted(listing.root.iterdir()):
        if path.name == NOISE_FOLDER:
            shutil.copytree(path, folder / path.name, dirs_exist_ok=True)
        elif path.name in _LIST_FILES:
            lines = path.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines()
            text = "".join(f"{_wav_path(line.strip())}\n" for line in lines)
            (folder / path.name).write_text(text, encoding="utf-8", errors="surrogateescape", newline="\n")
        elif path.is_file() and path.name.lower().startswith(_COPIED_FILES):
            shutil.copyfile(path, folder / path.name)


def _wav_path(path: str) -> str:
    """The path with its sound suffix changed to ``.wav``; other text stays."""
    return path[: -len(PurePosixPath(path).suffix)] + ".wav" if is_audio_name(PurePosixPath(path).name) else path
