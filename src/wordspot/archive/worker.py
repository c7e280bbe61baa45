"""What a worker does with a task: find words in a few recordings, or score a piece of a long one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from wordspot.archive.pieces import Piece, score_piece
from wordspot.archive.sources import SourceFile, content_hash, opened
from wordspot.audio.gain import Gain
from wordspot.config import DecoderConfig
from wordspot.errors import WordspotError
from wordspot.runtime.decoder import Detection
from wordspot.runtime.detect import detect_file
from wordspot.runtime.model import Model, open_model


@dataclass(frozen=True)
class Setup:
    """What all tasks of a scan share.

    Attributes:
        model: content of the model file.
        decoder: settings from scores to detections.
        channel: of each recording; None: as `detect` chooses.
        gain: as for `detect`.
    """

    model: bytes = field(repr=False)
    decoder: DecoderConfig
    channel: int | None = None
    gain: Gain = None


@dataclass(frozen=True)
class FilesTask:
    """Find words in some recordings, except those whose content still has the hash in `known`, by their names."""

    files: tuple[SourceFile, ...]
    known: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PieceTask:
    """Score piece `number` of a recording."""

    file: SourceFile
    piece: Piece
    number: int


@dataclass(frozen=True)
class FileResult:
    """The result of a recording.

    Attributes:
        file: the recording.
        content: SHA-256 of it; empty if it could not be read.
        seconds: its length.
        detections: in the order of time.
        error: why it could not be read; empty if it could.
        is_unchanged: its content is what it was in an earlier scan, so it was not scanned.
    """

    file: SourceFile
    content: str = ""
    seconds: float = 0.0
    detections: tuple[Detection, ...] = ()
    error: str = ""
    is_unchanged: bool = False


@dataclass(frozen=True)
class PieceResult:
    """The scores of a piece.

    Attributes:
        scores: float32 [n, labels].
        ends: int64 [n], the sample at which the audio of each row ends.
        n_samples: length of the piece.
        content: SHA-256 of the whole recording, from its first piece.
        error: why it could not be read; empty if it could.
    """

    scores: NDArray[np.float32]
    ends: NDArray[np.int64]
    n_samples: int
    content: str = ""
    error: str = ""


Task = FilesTask | PieceTask


def run_task(setup: Setup, task: Task) -> list[FileResult] | PieceResult:
    """Do a task. Recordings that cannot be read are results too; only bugs raise."""
    model = _open(setup.model)
    if isinstance(task, FilesTask):
        return [_scan_file(model, setup, file, task.known.get(file.name)) for file in task.files]
    return _scan_piece(model, setup, task)


@lru_cache(maxsize=2)
def _open(content: bytes) -> Model:
    """The model, opened once in each process."""
    return open_model(content)


def _scan_file(model: Model, setup: Setup, file: SourceFile, known: str | None) -> FileResult:
    try:
        with opened(file) as path:
            content = content_hash(path)
            if content == known:
                return FileResult(file, content, is_unchanged=True)
            found = detect_file(model, setup.decoder, path, file.name, channel=setup.channel, gain=setup.gain)
    except (WordspotError, OSError) as error:
        return FileResult(file, error=str(error))
    return FileResult(file, content, found.seconds, found.detections)


def _scan_piece(model: Model, setup: Setup, task: PieceTask) -> PieceResult:
    try:
        with opened(task.file) as path:
            content = content_hash(path) if task.number == 0 else ""
            scores, ends, n_samples = score_piece(model, path, task.piece, channel=setup.channel, gain=setup.gain)
    except (WordspotError, OSError) as error:
        nothing = np.zeros((0, len(model.card.labels)), np.float32), np.zeros(0, np.int64)
        return PieceResult(nothing[0], nothing[1], 0, error=str(error))
    return PieceResult(scores, ends, n_samples, content)
