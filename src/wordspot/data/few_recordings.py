"""The sets of a folder with few recordings or speakers, for which the hash of `data.split` leaves a set empty.

1. The hash, unless it leaves a set of the keywords' recordings empty. Big folders are always split so.
2. Else whole speakers, if there are three or more and each keyword then has recordings for training: those with the fewest
   recordings are held out.
3. Else single recordings of each word, by a hash of the file's name: the same speaker is in all sets, so results are too
   optimistic for other speakers. Of two recordings of a word one is for testing, of three one for validation too.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from wordspot.config import SETS, DataConfig
from wordspot.data.folders import Listing, Recording
from wordspot.data.split import assign_sets, hash_percent, n_held_out, set_shares
from wordspot.formats import some
from wordspot.labels import SILENCE_LABEL, UNKNOWN_LABEL

#: Fewer speakers cannot fill three sets.
MIN_SPEAKERS = 3


@dataclass(frozen=True)
class Split:
    """The sets of a folder's recordings.

    Attributes:
        sets: the set of each of `Listing.clips`.
        note: one line if the sets are not those of the hash; it says what is held out instead.
        same_speakers: speakers of training are in the other sets too.
    """

    sets: tuple[str, ...]
    note: str = ""
    same_speakers: bool = False


def split_recordings(listing: Listing, config: DataConfig, words: Collection[str] | None = None) -> Split:
    """The set of each of `Listing.clips`.

    Args:
        listing: the recordings.
        config: how they are split.
        words: the keywords, lower-cased; None: all words of the folder.

    Raises:
        NotFoundError, DataError: as for `assign_sets`.
    """
    sets = assign_sets(listing, config)
    wanted = set(listing.words) - {SILENCE_LABEL, UNKNOWN_LABEL} if words is None else set(words)
    keywords = [row for row, clip in enumerate(listing.clips) if clip.word in wanted]
    others = [row for row, clip in enumerate(listing.clips) if clip.word not in wanted and clip.word != SILENCE_LABEL]
    needed = [name for name, share in set_shares(config).items() if share > 0]
    if config.split != "hash" or not keywords or "training" not in needed or not _lacks(sets, keywords, needed):
        return Split(tuple(sets))
    clips = listing.clips
    by_speaker = _deal_speakers([clips[row] for row in keywords], config)
    if by_speaker is not None:
        for row in keywords:
            sets[row] = by_speaker[clips[row].split_name]
    else:
        _deal_takes(sets, clips, keywords, config)
    if _lacks(sets, others, needed):
        for row in others:
            if by_speaker is not None and clips[row].split_name in by_speaker:
                sets[row] = by_speaker[clips[row].split_name]
        if _lacks(sets, others, needed):
            _deal_takes(sets, clips, others, config)
    if by_speaker is not None:
        text = f"few speakers: of {len(by_speaker)} speakers, those with the fewest recordings are held out"
        return Split(tuple(sets), text)
    held_out = [name for name in needed if name != "training" and any(sets[row] == name for row in keywords)]
    return Split(tuple(sets), _note(sorted({_who(clips[row]) for row in keywords}), held_out, needed), bool(held_out))


def _lacks(sets: Sequence[str], rows: Sequence[int], needed: Sequence[str]) -> bool:
    return bool(rows) and not {sets[row] for row in rows}.issuperset(needed)


def _deal_speakers(clips: Sequence[Recording], config: DataConfig) -> dict[str, str] | None:
    """The set of each speaker; None if that is not possible."""
    counts = Counter(clip.split_name for clip in clips)
    if len(counts) < MIN_SPEAKERS or any(clip.speaker is None for clip in clips):
        return None
    ordered = sorted(counts, key=lambda name: (counts[name], hash_percent(name), name))
    sets = _deal(ordered, config)
    if {clip.word for clip in clips if sets[clip.split_name] == "training"} != {clip.word for clip in clips}:
        return None
    return sets


def _deal_takes(sets: list[str], clips: Sequence[Recording], rows: Sequence[int], config: DataConfig) -> None:
    """Deal the recordings of each word into sets, by a hash of their names."""
    of_words: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        of_words[clips[row].word].append(row)
    for group in of_words.values():
        paths = {clips[row].path: row for row in group}
        for path, name in deal_takes(paths, config).items():
            sets[paths[path]] = name


def deal_takes(paths: Iterable[str], config: DataConfig) -> dict[str, str]:
    """The set of each recording of one word, by a hash of its name below the word's folder."""
    return _deal(sorted(paths, key=lambda path: (_digest(path), path)), config)


def _digest(path: str) -> str:
    return hashlib.sha1(path.partition("/")[2].encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def _deal(ordered: Sequence[str], config: DataConfig) -> dict[str, str]:
    """The first of `ordered` for validation, the next for testing, and the rest for training."""
    counts = n_held_out(len(ordered), set_shares(config))
    names = [name for name in ("validation", "testing") for _ in range(counts[name])]
    return dict(zip(ordered, [*names, *["training"] * (len(ordered) - len(names))], strict=True))


def _who(clip: Recording) -> str:
    return clip.speaker or ""


def _note(speakers: Sequence[str], held_out: Sequence[str], needed: Sequence[str]) -> str:
    if speakers == [""]:
        whose = "the names of the recordings do not say who speaks"
    elif len(speakers) == 1:
        whose = f"all recordings of the words are by one speaker ({speakers[0]})"
    else:
        whose = f"the recordings of the words are by few speakers ({some([name or 'unknown' for name in speakers])})"
    missing = " and ".join(name for name in SETS if name in needed and name != "training" and name not in held_out)
    if not held_out:
        return f"{whose}, and there is one recording of each word: none can be held out, so nothing is measured; record more"
    same = "of the same speaker, which is too optimistic for others" if speakers != [""] else "perhaps of the same speaker"
    rest = f"; none are left for {missing}" if missing else ""
    return f"{whose}: measured on held-out recordings {same}{rest}"
