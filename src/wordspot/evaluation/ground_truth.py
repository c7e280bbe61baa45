"""Annotations of streams: which file belongs to which stream, and whether it fits the model and the audio.

`wordspot.data.truth` reads the files. Labels are compared with a model's words as folder names are, regardless of case; what
looks like a mistake (other spellings, seconds instead of milliseconds) is reported.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from wordspot.data.truth import SpokenWord, read_truth
from wordspot.errors import ConfigError, DataError
from wordspot.formats import some
from wordspot.labels import SILENCE_LABEL, UNKNOWN_LABEL, normalize_word


def find_truths(streams: Sequence[Path], truth: Sequence[Path] | None = None, *, no_words: bool = False) -> list[Path | None]:
    """The annotation file of each stream; None if nothing is spoken.

    Args:
        streams: sound files.
        truth: one file per stream, in the same order; None or empty for the CSV file beside each stream.
        no_words: none of the model's words is spoken in any stream.

    Raises:
        ConfigError: not one file per stream, or files together with `no_words`.
    """
    if no_words and truth:
        raise ConfigError("got both `truth` and `no_words`; leave one out")
    if no_words:
        return [None] * len(streams)
    beside = [stream.with_suffix(".csv") for stream in streams]
    if not truth and all(path.is_file() for path in beside):
        return list(beside)
    if len(truth or ()) != len(streams):
        raise ConfigError(
            f"got {len(truth or ())} files of annotations for {len(streams)} streams; expected one `truth` per stream, "
            "in the order of the streams, or `no_words` if nothing is spoken"
        )
    return list(truth or ())


def read_ground_truth(path: Path, words: Sequence[str]) -> tuple[tuple[SpokenWord, ...], list[str]]:
    """The words of an annotation file, spelled as the model's, and warnings about those that were not.

    Case and blanks are ignored: ``Yes`` and ``hey lamp`` are the model's ``yes`` and ``hey_lamp``.

    Raises:
        NotFoundError: no such file.
        DataError: no text, or a line that cannot be read.
    """
    known = {_plain(word): word for word in words}
    spoken, respelled = [], {}
    for word in read_truth(path):
        is_word = word.label in words or word.label in (SILENCE_LABEL, UNKNOWN_LABEL)
        own = word.label if is_word else known.get(_plain(word.label), word.label)
        if own != word.label:
            respelled[word.label] = own
        spoken.append(dataclasses.replace(word, label=own))
    pairs = some(f"{other!r} as {own!r}" for other, own in respelled.items())
    return tuple(spoken), [f"{path}: labels are matched regardless of case and blanks: {pairs}"] if respelled else []


def check_times(words: Sequence[SpokenWord], truth: Path, stream: Path, duration_ms: float) -> list[str]:
    """Compare annotated times with the length of the stream; returns warnings.

    Raises:
        DataError: a word begins after the stream's end.
    """
    for word in words:
        if word.start_ms >= duration_ms:
            raise DataError(
                f"{truth}: {word.label} at {word.start_ms:.0f} ms lies after the end of {stream} at {duration_ms:.0f} ms; "
                "is it the annotation of another stream?"
            )
    last = max((word.start_ms for word in words), default=0.0)
    if 0 < last <= duration_ms / 1000:  # as seconds, all of them would lie within the stream
        return [
            f"{truth}: all words start within the first {last:g} ms of {stream}, which is {duration_ms / 1000:.1f} s long; "
            "start_ms and end_ms are in milliseconds: are these seconds?"
        ]
    return []


def _plain(label: str) -> str:
    return "".join(normalize_word(label).replace("_", " ").split())
