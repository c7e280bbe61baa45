"""Decoded clips, kept once as one memory-mapped int16 array, so that a second run starts in a second.

A cache folder holds ``clips.npy`` (int16 [clips, clip_samples]), ``noise.npy`` (int16 [samples], all noise recordings end
to end) and ``index.json``. Its name is a hash of the folder's listing (paths, sizes, times of change) and of how the clips
were decoded. It is made aside and renamed when whole, so two runs that start together end with one good cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from wordspot.audio.files import read_audio
from wordspot.audio.samples import to_int16
from wordspot.data.folders import Listing, Recording
from wordspot.errors import DataError, WordspotError
from wordspot.files import atomic_folder, read_json, write_json

_LAYOUT = 1
_CHUNK = 256

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class DecodedClips:
    """A data folder's decoded recordings, with the damaged ones left out.

    listing: what was decoded, in order.
    clips: int16 [len(listing.clips), clip_samples], cropped or padded with zeros at the end.
    noise: int16 [samples], the noise recordings end to end; recording i is ``noise[bounds[i]:bounds[i + 1]]``.
    hashes: SHA-256 of each clip's file.
    problems: one line for each recording that could not be decoded.
    """

    listing: Listing
    clips: NDArray[np.int16]
    noise: NDArray[np.int16]
    bounds: tuple[int, ...]
    hashes: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def noise_lengths(self) -> list[int]:
        return [stop - start for start, stop in zip(self.bounds, self.bounds[1:], strict=False)]


@dataclass(frozen=True)
class _Problem:
    text: str
    may_pass: bool
    """The file could not be opened, rather than decoded: try again next time."""


def cache_root() -> Path:
    """Where caches live: ``$WORDSPOT_CACHE``, or the platform's folder for such things."""
    if given := os.environ.get("WORDSPOT_CACHE"):
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "wordspot" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "wordspot"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "wordspot"


def decode_folder(
    listing: Listing, sample_rate: int, clip_samples: int, progress: Progress | None = None
) -> DecodedClips:
    """The folder's clips from the cache, which is filled first where it is not there.

    Args:
        listing: the recordings.
        sample_rate: Hz; recordings at other rates are resampled.
        clip_samples: samples a clip is cropped or padded to.
        progress: called with the number of recordings done and their total.

    Raises:
        DataError: not one clip could be decoded, or there is no place for the cache.
        OSError: the cache cannot be written (a full disk, say); nothing half-written stays.
    """
    _make_root()
    family = cache_root() / hashlib.sha256(str(listing.root.resolve()).encode()).hexdigest()[:16]
    folder = family / f"{_listing_hash(listing, sample_rate, clip_samples)}-{sample_rate}-{clip_samples}"
    was_there = folder.is_dir()
    decoded = _load(folder, listing)
    if decoded is None:
        if was_there:  # damaged, or to be tried again; never one that another run finishes just now
            shutil.rmtree(folder, ignore_errors=True)
        try:
            with atomic_folder(folder) as temporary:
                _fill(temporary, listing, sample_rate, clip_samples, progress)
        except OSError:
            if _load(folder, listing, again=False) is None:  # else another run was faster
                raise
        _drop_outdated(family, folder, f"-{sample_rate}-{clip_samples}")
        decoded = _load(folder, listing, again=False)
    if decoded is None:
        raise DataError(f"{folder}: the cache of decoded clips was written but cannot be read back; is the disk sound?")
    return decoded


def _make_root() -> None:
    root = cache_root()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{root}: decoded clips cannot be kept here ({error.strerror}); set WORDSPOT_CACHE to a folder you may write to"
        ) from error


def _fill(folder: Path, listing: Listing, sample_rate: int, clip_samples: int, progress: Progress | None) -> None:
    total = len(listing.clips) + len(listing.noise)
    kept: list[int] = []
    hashes: list[str] = []
    problems: list[_Problem] = []
    # written as a plain file: a page of a memory map that finds the disk full kills the process
    with (folder / "clips.npy").open("wb") as file:
        header = {"descr": "<i2", "fortran_order": False, "shape": (len(listing.clips), clip_samples)}
        np.lib.format.write_array_header_2_0(file, header)
        for done, (position, result) in enumerate(_decode_all(listing, listing.clips, sample_rate)):
            if isinstance(result, _Problem):
                problems.append(result)
            else:
                samples, digest = result
                row = np.zeros(clip_samples, "<i2")
                row[: min(len(samples), clip_samples)] = samples[:clip_samples]
                file.write(row.tobytes())
                kept.append(position)
                hashes.append(digest)
            if progress:
                progress(done + 1, total)
        for _ in problems:
            file.write(bytes(2 * clip_samples))
        _sync(file)
    noise_kept, noise, noise_problems = _decode_noise(listing, sample_rate)
    with (folder / "noise.npy").open("wb") as file:
        np.save(file, np.concatenate([*noise, np.zeros(0, np.int16)]), allow_pickle=False)
        _sync(file)
    if progress:
        progress(total, total)
    if not kept:
        raise DataError(
            f"{listing.root}: none of the {len(listing.clips)} recordings could be read; {problems[0].text}"
        )
    bounds = [0, *np.cumsum([len(samples) for samples in noise]).tolist()]
    problems += noise_problems
    index = {
        "clips": kept, "hashes": hashes, "noise": noise_kept, "bounds": bounds,
        "problems": [problem.text for problem in problems],
        "final": not any(problem.may_pass for problem in problems),
    }  # fmt: skip
    write_json(folder / "index.json", index)


def _decode_noise(listing: Listing, sample_rate: int) -> tuple[list[int], list[NDArray[np.int16]], list[_Problem]]:
    kept: list[int] = []
    noise: list[NDArray[np.int16]] = []
    problems: list[_Problem] = []
    for position, result in _decode_all(listing, listing.noise, sample_rate):
        if isinstance(result, _Problem):
            problems.append(result)
        else:
            kept.append(position)
            noise.append(result[0])
    return kept, noise, problems


def _decode_all(
    listing: Listing, recordings: tuple[Recording, ...], sample_rate: int
) -> Iterator[tuple[int, tuple[NDArray[np.int16], str] | _Problem]]:
    """Decode in threads (libsndfile runs outside Python's lock), a bounded number ahead, in order."""

    def decode(recording: Recording) -> tuple[NDArray[np.int16], str] | _Problem:
        path = listing.root / recording.path
        try:
            audio, _ = read_audio(path, sample_rate)
            return to_int16(audio), hashlib.sha256(path.read_bytes()).hexdigest()
        except (WordspotError, OSError) as error:
            may_pass = isinstance(error, OSError) or isinstance(error.__cause__, OSError)
            return _Problem(str(error), may_pass)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(recordings), _CHUNK):
            yield from enumerate(pool.map(decode, recordings[start : start + _CHUNK]), start)


def _load(folder: Path, listing: Listing, *, again: bool = True) -> DecodedClips | None:
    """What `folder` holds; None where it is missing, damaged, or (with `again`) where some files could not be opened."""
    try:
        index = read_json(folder / "index.json")
        if again and not index["final"]:
            return None
        kept = replace(
            listing,
            clips=tuple(listing.clips[position] for position in index["clips"]),
            noise=tuple(listing.noise[position] for position in index["noise"]),
        )
        # "c": changes stay in memory and never reach the file, yet torch sees a writable array
        clips = np.load(folder / "clips.npy", mmap_mode="c", allow_pickle=False)[: len(kept.clips)]
        noise = np.load(folder / "noise.npy", allow_pickle=False)
        bounds, hashes, problems = (tuple(index[name]) for name in ("bounds", "hashes", "problems"))
    except (WordspotError, OSError, ValueError, KeyError, TypeError, IndexError, EOFError):
        return None
    return DecodedClips(kept, clips, noise, bounds, hashes, problems)


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _listing_hash(listing: Listing, sample_rate: int, clip_samples: int) -> str:
    rows = [[r.path, r.word, r.size, r.mtime_ns] for r in (*listing.clips, *listing.noise)]
    text = json.dumps([_LAYOUT, sample_rate, clip_samples, rows], ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _drop_outdated(family: Path, current: Path, suffix: str) -> None:
    """Remove this folder's caches of earlier contents. One still in use keeps working where the system allows it."""
    for old in family.iterdir():
        if old != current and old.name.endswith(suffix) and not old.name.startswith("."):
            shutil.rmtree(old, ignore_errors=True)
