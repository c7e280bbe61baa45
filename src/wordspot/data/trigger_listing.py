"""Which recordings the task trigger has: the three kinds of folders, and the set of each recording.

A recording's set follows from the hash of its name, as for words, before any scene is made of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from wordspot.audio.folder import is_audio_name
from wordspot.config import SETS, DataConfig, TriggerConfig
from wordspot.data.folders import Listing, Recording, hash_name
from wordspot.data.split import assign_sets, hash_percent
from wordspot.errors import DataError, NotFoundError
from wordspot.labels import normalize_word

KINDS = ("positive", "negative", "background")


@dataclass(frozen=True)
class Sources:
    """The recordings of each kind, sorted by path; none of them is of two kinds."""

    positives: tuple[Recording, ...]
    negatives: tuple[Recording, ...]
    backgrounds: tuple[Recording, ...]


def find_sources(root: Path, config: TriggerConfig) -> Sources:
    """The recordings in the folders that `config` names, and in all folders below them.

    A folder whose name begins with ``.`` or ``_`` is left out, unless it is named itself. What is a positive is nothing
    else, and what is a negative is no background: so the whole of a words' folder can be named as the negatives of one of
    its words. Folders of negatives and backgrounds may be missing where they have their usual names.

    Raises:
        NotFoundError: no such folder.
        DataError: a folder without recordings.
    """
    if not root.is_dir():
        raise NotFoundError(
            f"{root}: expected a folder with positives, negatives and backgrounds; there is no such folder"
        )
    usual = TriggerConfig()
    positives = recordings_in(root, config.positives, "positives")
    negatives = recordings_in(root, config.negatives, "negatives", may_miss=config.negatives == usual.negatives)
    backgrounds = recordings_in(
        root, config.backgrounds, "backgrounds", may_miss=config.backgrounds == usual.backgrounds
    )
    return Sources(
        tuple(positives.values()),
        tuple(found for path, found in negatives.items() if path not in positives),
        tuple(found for path, found in backgrounds.items() if path not in positives and path not in negatives),
    )


def split_words(root: Path, sources: Sources, data: DataConfig) -> tuple[list[str], list[str]]:
    """The set of each positive, and of each negative.

    By the hash of their names, or by the folder's lists. Where the hash leaves a set without positives, since there are
    so few, the names are dealt in the order of their hashes: at least one to testing, then at least one to validation,
    the others to training, which always has one. Negatives of the same name (the same speaker) follow.
    """
    clips = (*sources.positives, *sources.negatives)
    sets = assign_sets(Listing(root, clips, ()), data)
    n_positives = len(sources.positives)
    positives, negatives = sets[:n_positives], sets[n_positives:]
    shares = set_shares(data)
    if data.split == "hash" and not {name for name in SETS if shares[name] > 0} <= set(positives):
        dealt = deal_names((hash_name(clip.path) for clip in sources.positives), shares)
        positives = [dealt[hash_name(clip.path)] for clip in sources.positives]
        negatives = [
            dealt.get(hash_name(clip.path), name) for clip, name in zip(sources.negatives, negatives, strict=True)
        ]
    return positives, negatives


def deal_names(names: Iterable[str], shares: dict[str, float]) -> dict[str, str]:
    """The set of each name (a speaker's, or a file's `hash_name`): dealt in the order of their hashes, see `split_words`."""
    ordered = sorted(set(names), key=lambda name: (hash_percent(name), name))
    counts = {"testing": 0, "validation": 0}
    for least, name in ((2, "testing"), (3, "validation")):
        if len(ordered) >= least and shares[name] > 0:
            counts[name] = max(1, min(round(len(ordered) * shares[name] / 100), len(ordered) - least + 1))
    first, second = counts["validation"], counts["validation"] + counts["testing"]
    return {
        name: "validation" if place < first else "testing" if place < second else "training"
        for place, name in enumerate(ordered)
    }


def set_shares(data: DataConfig) -> dict[str, float]:
    """The percentage of the recordings that each set is to hold."""
    shares = {"validation": data.validation_percent, "testing": data.testing_percent}
    return shares | {"training": 100 - sum(shares.values())}


def recordings_in(root: Path, names: Sequence[str], kind: str, *, may_miss: bool = False) -> dict[str, Recording]:
    """The recordings in the folders `names` of `root`, and in all folders below them, by their paths.

    Args:
        kind: what they are, for messages: the name of the flag that names the folders.
        may_miss: a folder that is not there holds none.

    Raises:
        NotFoundError: no such folder.
        DataError: a folder without recordings.
    """
    found: dict[str, Recording] = {}
    for name in names:
        folder = root / name
        if not folder.is_dir():
            if may_miss:
                continue
            raise NotFoundError(
                f"{folder}: expected the folder of {kind}, but there is no such folder; name it with --{kind}"
                f"{_which_are_there(root)}"
            )
        within = {recording.path: recording for recording in _walk(root, folder)}
        if not within:
            raise DataError(
                f"{folder}: expected recordings (WAV, FLAC, Ogg or MP3) among the {kind}, but found none; "
                "add some or name another folder"
            )
        found |= within
    return dict(sorted(found.items()))


def _walk(root: Path, folder: Path) -> Iterator[Recording]:
    base = root.resolve()
    for place, folders, files in os.walk(folder.resolve()):
        folders[:] = [name for name in folders if not name.startswith((".", "_"))]
        for name in files:
            path = Path(place, name)
            if is_audio_name(name) and path.is_file():
                stat = path.stat()
                shown = path.relative_to(base) if path.is_relative_to(base) else path
                yield Recording(shown.as_posix(), normalize_word(path.parent.name), stat.st_size, stat.st_mtime_ns)


def _which_are_there(root: Path) -> str:
    names = sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    return f"; the folders here are {shown}" if names else ""
