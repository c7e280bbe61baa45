"""What the scripts share: the words, the sample rate, and the arrays and indexes in the cache folder."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

RATE = 16_000
WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
SILENCE, UNKNOWN = 0, 1
#: Labels of the model: silence, unknown and the words.
N_LABELS = 2 + len(WORDS)
#: A label that does not count in the loss.
IGNORE = -1
#: Components of the teacher's frames that the body learns.
N_COMPONENTS = 64
#: The versions of each clip: as recorded, twice at another speed, twice at another speed in a room.
VERSIONS = ("", "_fast", "_room", "_fast2", "_room2")


class Clip(NamedTuple):
    """A recording of one word; row i of `NAME.npy`, int16 [clips, 16000]."""

    path: str
    word: str
    split: str


class Piece(NamedTuple):
    """A recording of any length: samples [start, stop) of `NAME.npy`, int16 [samples]."""

    path: str
    start: int
    stop: int
    split: str


class Sentence(NamedTuple):
    """A sentence in `train_sentences.npy`, perhaps at another speed.

    words: each word with its first sample and the one after its last, in that array.
    number: its position among the pieces of `sentences`.
    speed: how many times as fast as the original.
    """

    start: int
    stop: int
    words: list[tuple[str, int, int]]
    number: int
    speed: float


def write_rows(path: Path, rows: Iterable[Any]) -> None:
    path.write_text(json.dumps(list(rows)), encoding="utf-8")


def _rows(path: Path) -> list[Any]:
    rows: list[Any] = json.loads(path.read_text(encoding="utf-8"))
    return rows


def read_clips(cache: Path, name: str) -> list[Clip]:
    return [Clip(*row) for row in _rows(cache / f"{name}.json")]


def read_pieces(cache: Path, name: str) -> list[Piece]:
    return [Piece(*row) for row in _rows(cache / f"{name}.json")]


def read_sentences(cache: Path) -> list[Sentence]:
    return [Sentence(*row) for row in _rows(cache / "train_sentences.json")]


def read_mislabelled(cache: Path) -> set[str]:
    """Paths of clips that are inaudible or hold another word; empty before `teacher_labels.py` has run."""
    path = cache / "mislabelled.json"
    return {row[0] for row in _rows(path)} if path.is_file() else set()


def class_names(clips: Sequence[Clip]) -> list[str]:
    """All words of the clips, the ten first. The class of names[k] is k + 2; 0 is silence, 1 other speech."""
    return [*WORDS, *sorted({clip.word for clip in clips} - set(WORDS))]


def arguments(doc: str | None, *, data: bool = True) -> argparse.ArgumentParser:
    """A parser with `--cache` and, unless `data` is false, `--data`."""
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    if data:
        parser.add_argument("--data", type=Path, required=True, help="the folder of speech_commands, english_speech, ...")
    parser.add_argument("--cache", type=Path, required=True, help="the folder for decoded audio, targets and weights")
    return parser
