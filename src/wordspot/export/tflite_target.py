"""`wordspot export --target tflite`: one TensorFlow Lite file, streaming and in 8 bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordspot.errors import ConfigError
from wordspot.export.tflite.heads import find_word
from wordspot.export.tflite.making import Loss, Made, Source, calibration_sound, check_loss, load_source, make_tflite
from wordspot.files import atomic_path


@dataclass(frozen=True)
class ExportedTflite:
    """A TensorFlow Lite file that was written.

    Attributes:
        out: the file.
        bytes: its size.
        labels: of its scores.
        stride: frames in a call.
        arena_bytes: memory that an interpreter needs, an upper bound.
        multiply_adds: of the network for each frame.
        loss: how much 8 bits change the scores.
    """

    out: Path
    bytes: int
    labels: tuple[str, ...]
    stride: int
    arena_bytes: int
    multiply_adds: int
    loss: Loss

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object."""
        return {
            "out": str(self.out),
            "bytes": self.bytes,
            "labels": list(self.labels),
            "stride": self.stride,
            "arena_bytes": self.arena_bytes,
            "multiply_adds": self.multiply_adds,
            "loss": self.loss.to_json(),
        }


def export_tflite(
    source: Path | str,
    out: Path | str,
    *,
    calibrate: Path | str | Sequence[Path | str] | None = None,
    data: Path | str | None = None,
    word: str | None = None,
    stride: int = 3,
    checkpoint: int | None = None,
    max_loss: float = 1.0,
    force: bool = False,
) -> ExportedTflite:
    """Write a network as a TensorFlow Lite file that takes features and keeps its state in variables.

    Its input is int8 [1, stride, features], its output uint8 scores in 256ths: [1, 1] of one word, or [1, labels].

    Args:
        source: the folder of a run, or an exported file, of `residual_1d` or `trigger_1d`.
        out: the file to write; its name ends in ``.tflite``.
        calibrate: a folder of recordings, or a list of them; the ranges of activations are measured on parts of them, the loss
            on the others.
        data: instead of `calibrate`, the folder of the run's recordings, whose validation set is used.
        word: the word whose score the network gives; None: the only word of the model, or all labels if it has several.
        stride: frames of features in a call.
        checkpoint: the step of the run's checkpoint; None: the best one.
        max_loss: the largest percentage of decisions that 8 bits may change.
        force: replace `out` if it exists.

    Raises:
        ConfigError: `out` exists or has another suffix, or the recordings are not named exactly once.
        NotFoundError, DataError: no such source, or too few recordings.
        ExportError: a network that cannot be written, or too large a loss; nothing is written.
    """
    path = Path(out)
    if path.is_dir() or (path.exists() and not force):
        raise ConfigError(f"{path} already exists; choose another `out`, or set `force` to replace a file")
    if path.suffix.lower() != ".tflite":
        raise ConfigError(f"{path}: the name must end in .tflite")
    loaded = load_source(Path(source), checkpoint)
    if word is not None or len(loaded.labels) == 2:
        word = find_word(loaded.labels, word)
    made = calibrated(loaded, Path(source), calibrate, data, word=word, stride=stride, max_loss=max_loss)
    with atomic_path(path) as temporary:
        temporary.write_bytes(made.content)
    labels = loaded.labels if word is None else (word,)
    n_bytes, multiply_adds = len(made.content), loaded.network.multiply_adds
    return ExportedTflite(path, n_bytes, labels, stride, made.arena_bytes, multiply_adds, made.loss)


def calibrated(
    loaded: Source,
    source: Path,
    calibrate: Path | str | Sequence[Path | str] | None,
    data: Path | str | None,
    *,
    word: str | None,
    stride: int,
    max_loss: float,
) -> Made:
    """Calibrate and build the file.

    Raises:
        ExportError: 8 bits change more than `max_loss` percent of the decisions.
    """
    given: Path | list[Path] | None = None
    if calibrate is not None:
        given = Path(calibrate) if isinstance(calibrate, (str, Path)) else [Path(path) for path in calibrate]
    sounds = calibration_sound(source, loaded.config.features.sample_rate, given, None if data is None else Path(data))
    cutoff = loaded.decoder.threshold if word is None else loaded.decoder.threshold_of(word)
    made = make_tflite(loaded, sounds, word=word, stride=stride, cutoff=cutoff)
    check_loss(made.loss, max_loss)
    return made
