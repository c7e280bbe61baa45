"""From a folder of words to clips in three sets: the index, the split, and the unknown and silence rules.

The rules are those of TensorFlow's speech_commands example, to the bit: a file's set follows from a hash of its name,
so that it never migrates and one speaker's takes stay together. Where the example listed files in whatever order the
file system gave, this sorts them.
"""

from __future__ import annotations

import hashlib
import math
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wordspot.audio import is_audio_name
from wordspot.config import SETS, DataConfig, RunConfig
from wordspot.errors import ConfigError, DataError, NotFoundError

SILENCE_LABEL = "_silence_"
UNKNOWN_LABEL = "_unknown_"
SILENCE, UNKNOWN = 0, 1
NOISE_FOLDER = "_background_noise_"
_MAX_PER_WORD = 2**27 - 1
_WHOLE_SILENCE_PERCENT = 10
_SHUFFLE_ORDER = ("validation", "testing", "training")


@dataclass(frozen=True)
class Recording:
    """One sound file below a data folder."""

    path: str
    """Relative to the data folder, with forward slashes."""
    word: str
    """The parent folder's name, lower-cased (NFC), or `NOISE_FOLDER`."""
    size: int
    mtime_ns: int

    @property
    def speaker(self) -> str | None:
        """What stands before ``_nohash_`` in the file's name; None where the name does not say."""
        return hash_name(self.path) if "_nohash_" in self.path.rsplit("/", 1)[-1] else None


@dataclass(frozen=True)
class Listing:
    """What a data folder holds: `clips` in words' folders and long `noise` recordings, each sorted by path."""

    root: Path
    clips: tuple[Recording, ...]
    noise: tuple[Recording, ...]

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(sorted({clip.word for clip in self.clips}))


@dataclass(frozen=True)
class ClipSet:
    """The examples of one set, as parallel arrays.

    rows: int64 [n], the clip's position among `Listing.clips`, -1 for silence.
    labels: int64 [n], its label's position.
    weights: float64 [n], how often training draws it, relative to the others.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    weights: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rows)


def normalize_word(text: str) -> str:
    """A label as it is compared: NFC, lower case. macOS hands out folder names in NFD."""
    return unicodedata.normalize("NFC", text).lower()


def labels_of(words: Sequence[str]) -> tuple[str, ...]:
    """All labels of a model: silence, unknown, then the wanted words in their order."""
    return (SILENCE_LABEL, UNKNOWN_LABEL, *words)


def labels_of_run(config: RunConfig) -> tuple[str, ...]:
    """All labels of a run's model: a trigger's tells its word from all else, one for recordings its classes."""
    if config.task == "recordings":
        return config.words
    return (SILENCE_LABEL, *config.words) if config.task == "trigger" else labels_of(config.words)


def hash_name(path: str) -> str:
    """The part of a file's name that is hashed: cut at the first ``_nohash_``; it names the speaker."""
    return re.sub(r"_nohash_.*$", "", path.rsplit("/", 1)[-1])


def hash_percent(path: str) -> float:
    """Where a file stands between 0 and 100, by SHA-1 of its `hash_name`."""
    digest = int(hashlib.sha1(hash_name(path).encode("utf-8"), usedforsecurity=False).hexdigest(), 16)
    return (digest % (_MAX_PER_WORD + 1)) * (100.0 / _MAX_PER_WORD)


def which_set(path: str, validation_percent: float, testing_percent: float) -> str:
    """The set of a file: ``validation``, ``testing`` or ``training``."""
    percent = hash_percent(path)
    if percent < validation_percent:
        return "validation"
    if percent < validation_percent + testing_percent:
        return "testing"
    return "training"


def list_recordings(root: Path) -> Listing:
    """All recordings one folder below `root`, sorted; hidden folders and those that begin with ``_`` are no words.

    Folders named `SILENCE_LABEL` and `UNKNOWN_LABEL`, as in Google's test archive, hold recordings of just that.

    Raises:
        NotFoundError: no such folder.
        DataError: no recordings at all, a `NOISE_FOLDER` that is empty, or a name that is not UTF-8.
    """
    if not root.is_dir():
        raise NotFoundError(f"{root}: expected a folder with one folder per word, but there is no such folder")
    clips: list[Recording] = []
    noise: list[Recording] = []
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        if folder.name == NOISE_FOLDER:
            noise = _list_folder(folder, NOISE_FOLDER)
            if not noise:
                raise DataError(f"{folder}: expected noise recordings, but it is empty; add some or remove the folder")
        elif folder.name in (SILENCE_LABEL, UNKNOWN_LABEL) or not folder.name.startswith((".", "_")):
            clips += _list_folder(folder, normalize_word(folder.name))
    if not clips:
        raise DataError(
            f"{root}: expected one folder per word with recordings in it (WAV, FLAC, Ogg or MP3), but found no recordings"
        )
    return Listing(root, tuple(clips), tuple(noise))


def assign_sets(listing: Listing, config: DataConfig) -> list[str]:
    """The set of each of `Listing.clips`, by hash or by the folder's two list files.

    Raises:
        NotFoundError: ``split="lists"`` and a list file is missing.
        DataError: a list names the same recording as the other one, or none that exists.
    """
    if config.split == "hash":
        return [which_set(clip.path, config.validation_percent, config.testing_percent) for clip in listing.clips]
    validation, testing = (_read_list(listing.root / f"{name}_list.txt") for name in ("validation", "testing"))
    if both := sorted(validation & testing):
        raise DataError(f"{listing.root}: {both[0]} stands in validation_list.txt and in testing_list.txt; remove one")
    paths = [unicodedata.normalize("NFC", clip.path) for clip in listing.clips]
    for name, listed in (("validation", validation), ("testing", testing)):
        if listed and listed.isdisjoint(paths):
            raise DataError(
                f"{listing.root}: none of the {len(listed)} recordings in {name}_list.txt is here, such as "
                f"{min(listed)}; expected a line like {paths[0]}"
            )
    return ["validation" if path in validation else "testing" if path in testing else "training" for path in paths]


def build_sets(listing: Listing, words: Sequence[str], config: DataConfig) -> dict[str, ClipSet]:
    """The examples of every set, by the classic rules.

    Silence makes up `silence_percent` of each set's keyword clips, unknown words `unknown_percent`: the first so many of
    the set's shuffled unknown clips. With ``unknown_pool="all"`` training holds every unknown clip instead, each drawn
    seldom enough that together they come as often.

    Raises:
        DataError: a wanted word has no recordings; the message says which folders exist.
    """
    wanted = {word: position + 2 for position, word in enumerate(check_words(listing, words))}
    sets = assign_sets(listing, config)
    keywords: dict[str, list[tuple[int, int]]] = {name: [] for name in SETS}
    unknown: dict[str, list[tuple[int, int]]] = {name: [] for name in SETS}
    for row, (clip, name) in enumerate(zip(listing.clips, sets, strict=True)):
        label = wanted.get(clip.word, UNKNOWN)
        if clip.word != SILENCE_LABEL:  # silence is made from noise
            (unknown if label == UNKNOWN else keywords)[name].append((row, label))

    shuffler = random.Random(config.seed)
    chosen: dict[str, list[tuple[int, int]]] = {}
    n_unknown: dict[str, int] = {}
    for name in _SHUFFLE_ORDER:
        n_silence = math.ceil(len(keywords[name]) * config.silence_percent / 100)
        n_unknown[name] = math.ceil(len(keywords[name]) * config.unknown_percent / 100)
        shuffler.shuffle(unknown[name])
        take_all = name == "training" and config.unknown_pool == "all" and n_unknown[name] > 0
        taken = unknown[name] if take_all else unknown[name][: n_unknown[name]]
        chosen[name] = keywords[name] + [(-1, SILENCE)] * n_silence + taken
    for name in _SHUFFLE_ORDER:
        shuffler.shuffle(chosen[name])
    weights = {"training": config.unknown_weight}
    return {name: _clip_set(chosen[name], n_unknown[name], config.balance, weights.get(name, 1.0)) for name in SETS}


def build_whole(listing: Listing, words: Sequence[str]) -> ClipSet:
    """Every clip of a folder once, and silence as ten percent of the keyword clips: how a foreign folder is judged.

    The same for every model, whatever it was trained with.

    Folders that are none of `words` count as unknown. Wanted words without a folder are allowed. Where the folder brings
    recorded silence of its own (`SILENCE_LABEL`), none is made.
    """
    wanted = {normalize_word(word): position + 2 for position, word in enumerate(words)} | {SILENCE_LABEL: SILENCE}
    examples = [(row, wanted.get(clip.word, UNKNOWN)) for row, clip in enumerate(listing.clips)]
    if SILENCE_LABEL not in listing.words:
        n_keywords = sum(label != UNKNOWN for _, label in examples)
        examples += [(-1, SILENCE)] * math.ceil(n_keywords * _WHOLE_SILENCE_PERCENT / 100)
    return _clip_set(examples, n_unknown=0, balance=0)


def check_words(listing: Listing, words: Sequence[str]) -> tuple[str, ...]:
    """`words` as folders are compared with them.

    Raises:
        ConfigError: two of them are the same word but for case.
        DataError: one has no folder, or there is but one word and nothing to tell it from.
    """
    normalized = tuple(normalize_word(word) for word in words)
    if repeated := [word for word, count in Counter(normalized).items() if count > 1]:
        raise ConfigError(f"each word must be named once, got {', '.join(repeated)} more than once (case is ignored)")
    existing = set(listing.words)
    if missing := [word for word in normalized if word not in existing]:
        raise DataError(
            f"{listing.root}: no recordings of {', '.join(missing)}; the folders here are {', '.join(sorted(existing))}"
        )
    if len(existing) < 2:
        raise DataError(
            f"{listing.root}: expected at least two words' folders (one may hold any other words), got only "
            f"{next(iter(existing))!r}; add a folder of other words to tell it from"
        )
    return normalized


def split_noise(
    noise: Sequence[Recording], lengths: Sequence[int], config: DataConfig, clip_samples: int
) -> dict[str, list[tuple[int, int, int]]]:
    """Which stretches of which noise recordings each set may use: ``{set: [(position in noise, start, end), ...]}``.

    A long recording is split in time by the sets' percentages. One too short for that (a set's part would not hold two
    clips) goes whole to the set its source hashes to, so that recordings cut from one source stay together; where that
    would leave a set without noise, every recording is split in time. ``noise_split="shared"`` gives all of it to all.

    Args:
        noise: the recordings.
        lengths: their lengths in samples.
    """
    whole = [(position, 0, length) for position, length in enumerate(lengths)]
    if config.noise_split == "shared":
        return {name: list(whole) for name in SETS}
    shares = {"validation": config.validation_percent, "testing": config.testing_percent}
    shares["training"] = 100 - sum(shares.values())
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
    """The recording that a noise file was cut from: its name without what ends it, such as ``-A``, ``_3`` or ``-A-10``.

    ``environment/rain/1-17367-A.ogg`` → ``1-17367``: cuts of one source share it.
    """
    stem = path.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    return re.sub(r"(?<=.)(?:[-_](?:[A-Za-z]|\d{1,2}))+$", "", stem)


def _add_in_time(
    parts: dict[str, list[tuple[int, int, int]]], position: int, end: int, shares: dict[str, float]
) -> None:
    start = 0
    done = 0.0
    for name in SETS:
        done += shares[name]
        stop = round(end * done / 100)
        if stop > start:
            parts[name].append((position, start, stop))
        start = stop


def _clip_set(
    examples: Iterable[tuple[int, int]], n_unknown: int, balance: float, unknown_weight: float = 1.0
) -> ClipSet:
    pairs = np.array(list(examples), dtype=np.int64).reshape(-1, 2)
    rows, labels = pairs[:, 0].copy(), pairs[:, 1].copy()
    weights = np.ones(len(rows))
    held = int((labels == UNKNOWN).sum())
    if held > n_unknown > 0:
        weights[labels == UNKNOWN] = n_unknown / held
    weights[labels == UNKNOWN] *= unknown_weight
    counts = np.bincount(labels[labels > UNKNOWN]) if (labels > UNKNOWN).any() else np.zeros(0)
    if balance > 0 and counts.size:
        mean = counts[counts > 0].mean()
        for label in np.flatnonzero(counts):
            weights[labels == label] = (mean / counts[label]) ** balance
    return ClipSet(rows, labels, weights)


def _list_folder(folder: Path, word: str) -> list[Recording]:
    recordings = []
    for path in sorted(folder.iterdir()):
        if is_audio_name(path.name) and path.is_file():
            if not _is_utf8(f"{folder.name}/{path.name}"):
                raise DataError(f"{folder.parent}: expected names in UTF-8, got {folder.name}/{path.name!r}; rename it")
            stat = path.stat()
            recordings.append(Recording(f"{folder.name}/{path.name}", word, stat.st_size, stat.st_mtime_ns))
    return recordings


def _read_list(path: Path) -> set[str]:
    if not path.is_file():
        raise NotFoundError(f"{path}: expected a list of recordings, one word/file a line, but there is no such file")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected UTF-8 text, but it is not ({error.reason}); save it as UTF-8") from error
    return {unicodedata.normalize("NFC", line.strip().replace("\\", "/")) for line in lines if line.strip()}


def _is_utf8(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
