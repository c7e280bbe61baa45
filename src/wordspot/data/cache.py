"""Cache decoded clips as one memory-mapped int16 array, so that a second run starts within a second.

A cache folder holds ``clips.npy`` (int16 [clips, clip_samples]), ``noise.npy`` (int16 [samples], all noise recordings end
to end) and ``index.json``. Its name is a hash of the folder's listing (paths, sizes, times of change) and of how the clips
were decoded. It is written under another name and renamed when complete, so two runs that start together share one valid cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from wordspot.audio.files import read_audio
from wordspot.audio.samples import to_float32, to_int16
from wordspot.audio.speech import is_loud_part_cut
from wordspot.cache_folder import usable_cache
from wordspot.data.decode import Problem, decode_many
from wordspot.data.folders import Listing, Recording, left_out_notes
from wordspot.errors import DataError, WordspotError
from wordspot.files import atomic_folder, read_json, write_json
from wordspot.progress import OnProgress

Decoded = Iterator[tuple[Recording, tuple[NDArray[np.int16], str, list[str]] | Problem]]

_LAYOUT = 3  # raised when the same files are decoded to other samples
_NOTES_KEPT = 3


@dataclass(frozen=True)
class DecodedClips:
    """A data folder's decoded recordings, with the damaged ones left out.

    listing: what was decoded, in order.
    clips: int16 [len(listing.clips), clip_samples], cropped or padded with zeros at the end.
    noise: int16 [samples], the noise recordings end to end; recording i is ``noise[bounds[i]:bounds[i + 1]]``.
    hashes: SHA-256 of each clip's file.
    problems: one line for each recording that could not be decoded.
    warnings: other data that training does not use: unused files, and the ends of recordings longer than a clip.
    """

    listing: Listing
    clips: NDArray[np.int16]
    noise: NDArray[np.int16]
    bounds: tuple[int, ...]
    hashes: tuple[str, ...]
    problems: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    @property
    def noise_lengths(self) -> list[int]:
        return [stop - start for start, stop in zip(self.bounds, self.bounds[1:], strict=False)]


def decode_folder(listing: Listing, sample_rate: int, clip_samples: int, progress: OnProgress | None = None) -> DecodedClips:
    """A folder's decoded clips from the cache, which is filled first if necessary.

    Args:
        listing: the recordings.
        sample_rate: Hz; recordings at other rates are resampled.
        clip_samples: samples a clip is cropped or padded to.
        progress: called after each recording.

    Raises:
        DataError: none of the clips could be decoded.
        ConfigError: ``$WORDSPOT_CACHE`` cannot be written to.
        OSError: the cache cannot be written (a full disk, say); nothing half-written stays.
    """
    root, note = usable_cache()
    family = root / hashlib.sha256(str(listing.root.resolve()).encode()).hexdigest()[:16]
    folder = family / f"{_listing_hash(listing, sample_rate, clip_samples)}-{sample_rate}-{clip_samples}"
    was_there = folder.is_dir()
    decoded = _load(folder, listing)
    if decoded is None:
        if was_there:  # damaged, or to be tried again; never one that another run is just finishing
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
        raise DataError(f"{folder}: the cache of decoded clips was written but cannot be read back; is the disk damaged?")
    return replace(decoded, warnings=(*decoded.warnings, note)) if note else decoded


def _fill(folder: Path, listing: Listing, sample_rate: int, clip_samples: int, progress: OnProgress | None) -> None:
    """Decode a folder's recordings into three files."""
    total = len(listing.clips) + len(listing.noise)
    read = partial(_read, listing.root, sample_rate)
    clips, of_clips = _write_clips(folder, listing, clip_samples, decode_many(listing.clips, read, progress, total=total))
    noise, of_noise = _write_noise(folder, decode_many(listing.noise, read, progress, before=len(listing.clips), total=total))
    problems = [*of_clips, *of_noise]
    texts, final = [problem.text for problem in problems], not any(problem.may_pass for problem in problems)
    write_json(folder / "index.json", {**clips, **noise, "problems": texts, "final": final})


def _write_clips(folder: Path, listing: Listing, clip_samples: int, decoded: Decoded) -> tuple[dict[str, Any], list[Problem]]:
    """Write ``clips.npy``: int16 [clips, samples], the clips that can be read and zeros for the others.

    Returns:
        Their part of the index, and what is wrong with the others.
    """
    kept: list[int] = []
    hashes: list[str] = []
    problems: list[Problem] = []
    notes: list[str] = []
    n_long = n_cut = 0
    # written as a plain file: writing to a memory map on a full disk kills the process
    with (folder / "clips.npy").open("wb") as file:
        header = {"descr": "<i2", "fortran_order": False, "shape": (len(listing.clips), clip_samples)}
        np.lib.format.write_array_header_2_0(file, header)
        for position, (_, result) in enumerate(decoded):
            if isinstance(result, Problem):
                problems.append(result)
                continue
            samples, digest, heard = result
            notes += heard
            n_long += len(samples) > clip_samples
            n_cut += is_loud_part_cut(to_float32(samples), clip_samples)
            row = np.zeros(clip_samples, "<i2")
            row[: min(len(samples), clip_samples)] = samples[:clip_samples]
            file.write(row.tobytes())
            kept.append(position)
            hashes.append(digest)
        for _ in problems:
            file.write(bytes(2 * clip_samples))
        _sync(file)
    if listing.clips and not kept:
        raise DataError(f"{listing.root}: none of the {len(listing.clips)} recordings could be read; {problems[0].text}")
    counts = {"n_long": n_long, "n_loud_part_cut": n_cut, "n_notes": len(notes), "first_notes": notes[:_NOTES_KEPT]}
    return {"clips": kept, "hashes": hashes, **counts}, problems


def _write_noise(folder: Path, decoded: Decoded) -> tuple[dict[str, Any], list[Problem]]:
    """Write ``noise.npy``: int16 [samples], all noise that can be read, end to end; see `_write_clips`."""
    kept: list[int] = []
    problems: list[Problem] = []
    noise: list[NDArray[np.int16]] = []
    for position, (_, result) in enumerate(decoded):
        if isinstance(result, Problem):
            problems.append(result)
        else:
            kept.append(position)
            noise.append(result[0])
    with (folder / "noise.npy").open("wb") as file:
        np.save(file, np.concatenate([*noise, np.zeros(0, np.int16)]), allow_pickle=False)
        _sync(file)
    bounds = [0, *np.cumsum([len(samples) for samples in noise]).tolist()]
    return {"noise": kept, "bounds": bounds}, problems


def _read(root: Path, sample_rate: int, recording: Recording) -> tuple[NDArray[np.int16], str, list[str]]:
    """One channel of a recording, int16 [samples], its file's SHA-256, and notes about a silent channel or a wrong header."""
    path = root / recording.path
    notes: list[str] = []
    audio, _ = read_audio(path, sample_rate, on_note=notes.append)
    return to_int16(audio), hashlib.sha256(path.read_bytes()).hexdigest(), notes


def _load(folder: Path, listing: Listing, *, again: bool = True) -> DecodedClips | None:
    """What `folder` holds; None if it is missing or damaged, or (with `again`) if some files could not be opened."""
    try:
        index = read_json(folder / "index.json")
        if again and not index["final"]:
            return None
        kept = replace(
            listing,
            clips=tuple(listing.clips[position] for position in index["clips"]),
            noise=tuple(listing.noise[position] for position in index["noise"]),
        )
        # "c" (copy on write): changes never reach the file, but torch gets the writable array that it wants
        clips = np.load(folder / "clips.npy", mmap_mode="c", allow_pickle=False)[: len(kept.clips)]
        noise = np.load(folder / "noise.npy", allow_pickle=False)
        bounds, hashes, problems = (tuple(index[name]) for name in ("bounds", "hashes", "problems"))
        warnings = (*left_out_notes(listing.left_out), *_warn_of_long(index, len(kept.clips)), *_warn_of_input(index))
    except (WordspotError, OSError, ValueError, KeyError, TypeError, IndexError, EOFError):
        return None
    return DecodedClips(kept, clips, noise, bounds, hashes, problems, warnings)


def _warn_of_long(index: dict[str, int], n_clips: int) -> list[str]:
    """A line if recordings are longer than a clip, so that training loses a part of them."""
    n_long, n_cut = index["n_long"], index["n_loud_part_cut"]
    if not n_long:
        return []
    loud = f"; in {n_cut} of them that is the loudest part" if n_cut else ""
    return [
        f"{n_long} of {n_clips} recordings are longer than a clip, and their end is not used{loud}; "
        "cut them with `wordspot align`, or raise features.clip_ms"
    ]


def _warn_of_input(index: dict[str, Any]) -> list[str]:
    """Lines about recordings that were read although something is odd: the first channel is silent, a header is wrong."""
    first, n_notes = index.get("first_notes", []), index.get("n_notes", 0)
    more = [f"{n_notes - len(first)} more recordings have such notes"] if n_notes > len(first) else []
    return [*first, *more]


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _listing_hash(listing: Listing, sample_rate: int, clip_samples: int) -> str:
    rows = [[r.path, r.word, r.size, r.mtime_ns] for r in (*listing.clips, *listing.noise)]
    text = json.dumps([_LAYOUT, sample_rate, clip_samples, rows], ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _drop_outdated(family: Path, current: Path, suffix: str) -> None:
    """Remove this folder's caches of earlier contents. One still in use keeps working if the system allows it."""
    for old in family.iterdir():
        if old != current and old.name.endswith(suffix) and not old.name.startswith("."):
            shutil.rmtree(old, ignore_errors=True)
