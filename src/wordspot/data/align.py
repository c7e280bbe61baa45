"""Badly aligned recordings → clips: of each recording its loudest stretch of a clip's length, in a new folder.

A word spoken into a longer recording is where the energy is. The sets of a hash split stay as they are for names with
``_nohash_``; other names are hashed with their suffix, and all files become ``.wav`` here.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from wordspot.audio.files import read_audio, write_audio
from wordspot.audio.folder import is_audio_name
from wordspot.audio.speech import loudest_window
from wordspot.config import FeatureConfig
from wordspot.data.folders import NOISE_FOLDER, Listing, list_recordings
from wordspot.errors import ConfigError, DataError, WordspotError
from wordspot.files import atomic_folder, prepare_out

_COPIED_FILES = ("readme", "licen", "copying")
_LIST_FILES = ("validation_list.txt", "testing_list.txt")


@dataclass(frozen=True)
class Aligned:
    """One recording that was dealt with: `done` of `total`; `problem` says why it was left out."""

    path: str
    done: int
    total: int
    problem: str = ""


def align(
    root: Path,
    out: Path,
    *,
    sample_rate: int | None = None,
    clip_ms: float | None = None,
    force: bool = False,
) -> Iterator[Aligned]:
    """Write each recording of `root` to `out`, cut to its loudest `clip_ms`, as 16-bit WAV at `sample_rate` Hz.

    Folders and names stay, shorter recordings stay whole, damaged ones are left out. Noise is copied as it is, the two
    list files with the new suffix, and README and licence files. `out` appears when it is complete.

    Args:
        sample_rate, clip_ms: None takes the defaults of `FeatureConfig`.
        force: write into an `out` that holds files, one by one.

    Raises:
        NotFoundError, DataError: `root` holds no recordings, or none that can be read.
        ConfigError: `out` is not empty, or lies within `root`; a rate or a length that no front end takes.
    """
    rate = FeatureConfig.sample_rate if sample_rate is None else sample_rate
    length = FeatureConfig.clip_ms if clip_ms is None else clip_ms
    size = FeatureConfig(
        sample_rate=rate, clip_ms=length, window_ms=length, hop_ms=length, low_hz=0, high_hz=rate / 2
    ).clip_samples
    listing, out = list_recordings(root), out.resolve()
    if out.is_relative_to(root.resolve()):
        raise ConfigError(f"{out}: expected a folder outside {root}, whose folders are words; name another --out")
    if out.exists():
        prepare_out(out, force=force)
    in_use = out == Path.cwd() or (out.is_dir() and any(out.iterdir()))
    written = ""
    with contextlib.nullcontext(out) if in_use else atomic_folder(out) as folder:
        for step in _cut_all(listing, folder, rate, size):
            written = written or ("" if step.problem else _wav_path(step.path))
            yield step
        if not written:
            raise DataError(f"{root}: expected recordings, but none of the {len(listing.clips)} can be read")
        _copy_others(listing, folder)
    if not (out / written).is_file():
        raise DataError(f"{out}: the finished folder could not take this name; give an --out that does not exist")


def _cut_all(listing: Listing, folder: Path, sample_rate: int, size: int) -> Iterator[Aligned]:
    """Cut on all cores; records come in the listing's order."""
    taken: dict[str, str] = {}
    for clip in listing.clips:
        taken.setdefault(_wav_path(clip.path), clip.path)

    def cut(path: str) -> str:
        if taken[_wav_path(path)] != path:
            return f"{path}: left out, {taken[_wav_path(path)]} has the same name but for its suffix"
        try:
            audio, _ = read_audio(listing.root / path, sample_rate)
        except (WordspotError, OSError) as error:
            return str(error).replace(str(listing.root / path), path)
        start = loudest_window(audio, size)
        write_audio(folder / _wav_path(path), audio[start : start + size], sample_rate)
        return ""

    paths = [clip.path for clip in listing.clips]
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        for done, (path, problem) in enumerate(zip(paths, pool.map(cut, paths), strict=True), 1):
            yield Aligned(path, done, len(paths), problem)
    finally:
        pool.shutdown(cancel_futures=True)


def _copy_others(listing: Listing, folder: Path) -> None:
    for path in sorted(listing.root.iterdir()):
        if path.name == NOISE_FOLDER:
            (folder / path.name).mkdir(exist_ok=True)
            for file in sorted(path.iterdir()):
                if file.is_file():
                    shutil.copyfile(file, folder / path.name / file.name)
        elif path.name in _LIST_FILES:
            lines = path.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines()
            text = "".join(f"{_wav_path(line.strip())}\n" for line in lines)
            (folder / path.name).write_text(text, encoding="utf-8", errors="surrogateescape", newline="\n")
        elif path.is_file() and path.name.lower().startswith(_COPIED_FILES):
            shutil.copyfile(path, folder / path.name)


def _wav_path(path: str) -> str:
    """The path with its sound suffix changed to ``.wav``; other text stays."""
    return path[: -len(PurePosixPath(path).suffix)] + ".wav" if is_audio_name(PurePosixPath(path).name) else path
