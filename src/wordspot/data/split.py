"""Split recordings into training, validation and testing sets: by speaker for words, by source for noise.

The rules for words reproduce TensorFlow's speech_commands example exactly: a hash of a file's name decides its set, so it
never changes sets, and all recordings of one speaker stay together.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from wordspot.config import SETS, DataConfig
from wordspot.data.folders import Listing, Recording, _read_list, hash_name
from wordspot.errors import DataError

_MAX_PER_WORD = 2**27 - 1


def hash_percent(path: str) -> float:
    """A number from 0 to 100 that decides a file's set: the SHA-1 hash of its `hash_name`.

    >>> round(hash_percent("yes/ab00c4b2_nohash_0.wav"), 6)  # as in TensorFlow's example
    3.408466
    """
    digest = int(hashlib.sha1(hash_name(path).encode("utf-8"), usedforsecurity=False).hexdigest(), 16)
    return (digest % (_MAX_PER_WORD + 1)) * (100.0 / _MAX_PER_WORD)


def which_set(path: str, validation_percent: float, testing_percent: float) -> str:
    """The set of a file: ``validation``, ``testing`` or ``training``.

    >>> [which_set(path, 10, 10) for path in ("yes/ab00c4b2_nohash_0.wav", "no/ab00c4b2_nohash_1.wav", "yes/e.wav")]
    ['validation', 'validation', 'testing']
    """
    percent = hash_percent(path)
    if percent < validation_percent:
        return "validation"
    if percent < validation_percent + testing_percent:
        return "testing"
    return "training"


def assign_sets(listing: Listing, config: DataConfig) -> list[str]:
    """The set of each of `Listing.clips`, by hash or by the folder's two list files.

    Raises:
        NotFoundError: ``split="lists"`` and a list file is missing.
        DataError: both lists name the same recording, or a list names none that exists.
    """
    if config.split == "hash":
        return [which_set(clip.split_name, config.validation_percent, config.testing_percent) for clip in listing.clips]
    validation, testing = (_read_list(listing.root / f"{name}_list.txt") for name in ("validation", "testing"))
    if both := sorted(validation & testing):
        raise DataError(f"{listing.root}: {both[0]} is in validation_list.txt and in testing_list.txt; remove one")
    paths = [unicodedata.normalize("NFC", clip.path) for clip in listing.clips]
    for name, listed in (("validation", validation), ("testing", testing)):
        if listed and listed.isdisjoint(paths):
            raise DataError(
                f"{listing.root}: none of the {len(listed)} recordings in {name}_list.txt, such as {min(listed)}, exists; "
                f"expected lines like {paths[0]}"
            )
    return ["validation" if path in validation else "testing" if path in testing else "training" for path in paths]


def unused_lists(root: Path, split: str) -> str:
    """One line about list files in a folder that this way to split does not use; empty if there are none."""
    names = [name for name in ("validation_list.txt", "testing_list.txt") if (root / name).is_file()]
    if split == "lists" or not names:
        return ""
    return f"{' and '.join(names)}: not used, the sets follow from the names of the recordings; `split` lists uses both files"


def split_noise(
    noise: Sequence[Recording], lengths: Sequence[int], config: DataConfig, clip_samples: int
) -> dict[str, list[tuple[int, int, int]]]:
    """The segments of noise that each set may use: ``{set: [(position in noise, start, end), ...]}``.

    A long recording is split in time by the sets' percentages. A recording too short for that (a part would be shorter than
    two clips) goes entirely to the set given by the hash of its source, so that recordings cut from one source stay together.
    If that would leave a set without noise, every recording is split in time. ``noise_split="shared"`` gives all to every set.

    Args:
        noise: the recordings.
        lengths: their lengths in samples.
    """
    whole = [(position, 0, length) for position, length in enumerate(lengths)]
    if config.noise_split == "shared":
        return {name: list(whole) for name in SETS}
    shares = set_shares(config)
    smallest = min((share for share in shares.values() if share > 0), default=100)
    parts: dict[str, list[tuple[int, int, int]]] = {name: [] for name in SETS}
    for position, start, end in whole:
        if (end - start) * smallest / 100 >= 2 * clip_samples:
            _add_in_time(parts, position, end, shares)
        else:
            name = which_set(noise_source(noise[position].path), config.validation_percent, config.testing_percent)
            parts[name].append((position, 0, end))
    if all(parts[name] for name in SETS if shares[name] > 0):
        return parts
    parts = {name: [] for name in SETS}
    for position, _, end in whole:
        _add_in_time(parts, position, end, shares)
    return parts


def noise_source(path: str) -> str:
    """The recording that a noise file was cut from: its name without a suffix such as ``-A``, ``_3`` or ``-A-10``.

    >>> noise_source("environment/rain/1-17367-A.ogg")  # cuts of one source share it
    '1-17367'
    """
    stem = path.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    return re.sub(r"(?<=.)(?:[-_](?:[A-Za-z]|\d{1,2}))+$", "", stem)


def _add_in_time(parts: dict[str, list[tuple[int, int, int]]], position: int, end: int, shares: dict[str, float]) -> None:
    start = 0
    done = 0.0
    for name in SETS:
        done += shares[name]
        stop = round(end * done / 100)
        if stop > start:
            parts[name].append((position, start, stop))
        start = stop


def deal_names(names: Iterable[str], shares: dict[str, float]) -> dict[str, str]:
    """Deal names (speakers, or files' `hash_name`) to sets in the order of their hashes; see `split_words`."""
    ordered = sorted(set(names), key=lambda name: (hash_percent(name), name))
    counts = n_held_out(len(ordered), shares)
    first, second = counts["validation"], counts["validation"] + counts["testing"]
    return {
        name: "validation" if place < first else "testing" if place < second else "training" for place, name in enumerate(ordered)
    }


def n_held_out(n: int, shares: dict[str, float]) -> dict[str, int]:
    """How many of `n` are for validation and for testing: at least one for testing of two, and for validation of three.

    One at least is left for training.
    """
    counts = {"testing": 0, "validation": 0}
    for least, name in ((2, "testing"), (3, "validation")):
        if n >= least and shares[name] > 0:
            left = n - 1 - counts["testing"]
            counts[name] = min(max(1, min(round(n * shares[name] / 100), n - least + 1)), left)
    return counts


def set_shares(data: DataConfig) -> dict[str, float]:
    """The percentage of the recordings intended for each set."""
    shares = {"validation": data.validation_percent, "testing": data.testing_percent}
    return shares | {"training": 100 - sum(shares.values())}
