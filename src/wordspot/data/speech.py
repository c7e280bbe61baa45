"""Recordings of speech for training, with their text if there is one, and with the time of each word if it is known.

A folder of speech holds recordings of any kind that can be read, at any depth. Their text is taken from, in this order:

- ``words.csv`` in the folder: ``utterance,word,start_ms,end_ms``, one row a word; the utterance is the file's name without its
  suffix;
- ``*.trans.txt`` anywhere, as in LibriSpeech: the utterance, a space, its text, one line a recording;
- ``NAME.txt`` beside ``NAME.wav``.

Recordings are split by speaker: the folder at the top, below those that all share, if there are several, or the part of a file's
name before ``_nohash_``, or else each by itself.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wordspot.audio.folder import walk_folder
from wordspot.config import DataConfig
from wordspot.data.cache import decode_folder
from wordspot.data.folders import MIN_SPEAKER_FOLDERS, Listing, Recording, hash_name, is_utf8
from wordspot.data.split import which_set
from wordspot.errors import DataError, NotFoundError
from wordspot.files import read_text
from wordspot.progress import OnProgress

_TIMES = "words.csv"
_COLUMNS = ("utterance", "word", "start_ms", "end_ms")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")

Words = Sequence[tuple[str, float, float]]


@dataclass(frozen=True)
class Speech:
    """The speech of the speakers of one set.

    audio: int16 [samples], the recordings end to end; recording i is ``audio[bounds[i]:bounds[i + 1]]``.
    texts: the words of each recording; empty if they are not known.
    times: int64 [words, 2] for each recording, the first sample of each word and the one after the last; None: not known.
    problems: one line for each recording that could not be read.
    speakers: who decides the set of each recording, see above; the name of the file if nobody is known.
    """

    paths: tuple[str, ...]
    hashes: tuple[str, ...]
    audio: NDArray[np.int16]
    bounds: tuple[int, ...]
    texts: tuple[tuple[str, ...], ...]
    times: tuple[NDArray[np.int64] | None, ...]
    sample_rate: int
    problems: tuple[str, ...] = ()
    speakers: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    def samples(self, number: int) -> NDArray[np.int16]:
        """A recording: int16 [samples]."""
        return self.audio[self.bounds[number] : self.bounds[number + 1]]

    @cached_property
    def vocabulary(self) -> set[str]:
        """All words of all texts."""
        return {word for text in self.texts for word in text}

    def describe(self) -> str:
        """How much there is, and what is known of its words."""
        timed, with_text = sum(one is not None for one in self.times), sum(map(bool, self.texts))
        known = (
            f"{timed} with the times of their words" if timed else f"{with_text} with a text" if with_text else "without texts"
        )
        return f"{len(self.audio) / self.sample_rate / 60:.0f} minutes of speech in {len(self)} recordings, {known}"


def load_speech(
    folder: Path, sample_rate: int, config: DataConfig, progress: OnProgress | None = None, *, split: str = "training"
) -> Speech:
    """Read the part of a folder of speech that belongs to one set.

    If the percentages of `config` leave nothing for training, as with a single recording, all of it is for training.

    Args:
        folder: see above.
        sample_rate: Hz; recordings at other rates are resampled.
        config: how much is held out.
        progress: called after each recording.
        split: ``training``, ``validation`` or ``testing``.

    Raises:
        NotFoundError: no such folder.
        DataError: there are no recordings, or none of this set, none can be read, or ``words.csv`` is damaged.
    """
    if not folder.is_dir():
        raise NotFoundError(f"{folder}: no such folder; expected recordings of speech")
    found = tuple(_list(folder))
    if not found:
        raise DataError(f"{folder}: no recordings found; expected sound files with speech, at any depth")
    decoded = decode_folder(Listing(folder, (), found), sample_rate, sample_rate, progress)
    kept = decoded.listing.noise
    if not kept:
        raise DataError(f"{folder}: none of the {len(found)} recordings could be read; {decoded.problems[0]}")
    speakers = _speakers([one.path for one in kept])
    sets = [which_set(speaker, config.validation_percent, config.testing_percent) for speaker in speakers]
    chosen = [place for place, name in enumerate(sets) if name == split]
    if not chosen and split != "training":
        raise DataError(f"{folder}: its {len(kept)} recordings are too few to hold any out for {split}; add more speakers")
    chosen = chosen or list(range(len(kept)))
    stretches = [decoded.noise[decoded.bounds[place] : decoded.bounds[place + 1]] for place in chosen]
    times, texts = _read_times(folder / _TIMES), _read_texts(folder)
    paths = tuple(kept[place].path for place in chosen)
    known = [_words_of(folder / path, times, texts, sample_rate, len(one)) for path, one in zip(paths, stretches, strict=True)]
    return Speech(
        paths=paths,
        hashes=tuple(hashlib.sha256((folder / path).read_bytes()).hexdigest() for path in paths),
        audio=np.concatenate(stretches),
        bounds=(0, *np.cumsum([len(one) for one in stretches]).tolist()),
        texts=tuple(text for text, _ in known),
        times=tuple(time for _, time in known),
        sample_rate=sample_rate,
        problems=decoded.problems,
        speakers=tuple(speakers[place] for place in chosen),
    )


def _list(folder: Path) -> Iterator[Recording]:
    for path in walk_folder(folder).sounds:
        name = path.relative_to(folder).as_posix()
        if is_utf8(name):
            stat = path.stat()
            yield Recording(name, "", stat.st_size, stat.st_mtime_ns)


def _speakers(paths: Sequence[str]) -> list[str]:
    """The name whose hash decides the set of each recording."""
    parts = [path.split("/") for path in paths]
    while len({one[0] for one in parts}) == 1 and all(len(one) > 2 for one in parts):  # LibriSpeech/dev-clean/84/...
        parts = [one[1:] for one in parts]
    tops = [one[0] if len(one) > 1 else "" for one in parts]
    if len(set(tops)) >= MIN_SPEAKER_FOLDERS and all(tops):
        return tops
    return [hash_name(path) for path in paths]


def _words_of(
    path: Path, times: dict[str, Words], texts: dict[str, str], sample_rate: int, n_samples: int
) -> tuple[tuple[str, ...], NDArray[np.int64] | None]:
    """The words of a recording, and when they are said."""
    if path.stem in times:
        words = times[path.stem]
        bounds = np.array([[start, stop] for _, start, stop in words], float).reshape(-1, 2) * sample_rate / 1000
        return tuple(word for word, _, _ in words), bounds.astype(np.int64).clip(0, n_samples)
    beside = path.with_suffix(".txt")
    text = texts.get(path.stem) or (read_text(beside) if beside.is_file() else "")
    return tuple(_WORD.findall(text.lower())), None


def _read_times(path: Path) -> dict[str, Words]:
    """The words of each utterance in ``words.csv``, with start and end in milliseconds."""
    words: dict[str, list[tuple[str, float, float]]] = {}
    if not path.is_file():
        return {}
    rows = csv.DictReader(read_text(path).splitlines())
    if missing := [name for name in _COLUMNS if name not in (rows.fieldnames or ())]:
        raise DataError(f"{path}: no column {missing[0]}; expected {','.join(_COLUMNS)}")
    for row in rows:
        try:
            place = (row["word"].lower(), float(row["start_ms"]), float(row["end_ms"]))
            if not 0 <= place[1] <= place[2] < 1e9:
                raise ValueError
        except (ValueError, AttributeError, TypeError) as error:
            raise DataError(
                f"{path}, line {rows.line_num}: expected a word with its start and end in milliseconds, got "
                f"{row['word']!r}, {row['start_ms']!r}, {row['end_ms']!r}"
            ) from error
        words.setdefault(row["utterance"], []).append(place)
    return {name: sorted(found, key=lambda one: one[1]) for name, found in words.items()}


def _read_texts(folder: Path) -> dict[str, str]:
    """The text of each utterance in LibriSpeech's lists."""
    texts: dict[str, str] = {}
    for path in sorted(folder.rglob("*.trans.txt")):
        for line in read_text(path).splitlines():
            name, _, text = line.partition(" ")
            texts[name] = text
    return texts
