"""From a run or an exported file to a TensorFlow Lite file: load, calibrate, measure the loss, build."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wordspot.config import DecoderConfig, FeatureConfig, RunConfig
from wordspot.data.calibration import calibration_streams, recordings_by_folder, validation_recordings
from wordspot.errors import ConfigError, ExportError
from wordspot.export.read_weights import checkpoint_of_file
from wordspot.export.tflite import fixed
from wordspot.export.tflite.fixed import Ints, Scale
from wordspot.export.tflite.flatbuffer import Graph, write_model
from wordspot.export.tflite.graph import build_graphs
from wordspot.export.tflite.heads import ALL, scores_of, with_head
from wordspot.export.tflite.network import Network, float_activations, read_network
from wordspot.export.tflite.quantized import Quantized, quantize, quantized_scores
from wordspot.features import make_front_end
from wordspot.features.micro import FEATURE_SCALE
from wordspot.models import make_model
from wordspot.runtime.modelfile.card import read_card, read_content
from wordspot.runtime.modelfile.engine.model import Array
from wordspot.tasks import TASKS, labels_of_run
from wordspot.training.run_folder import RunFolder
from wordspot.training.weights import load_weights

MOST_STRIDE = 16
#: ESPHome scales the integers of the micro front end to 8 bits by 256 / 666.
_DEVICE_UNITS, _DEVICE_STEPS = 666, 256
MICRO_FEATURES = Scale(float(np.float32(_DEVICE_UNITS / _DEVICE_STEPS * FEATURE_SCALE)), -128)


@dataclass(frozen=True)
class Loss:
    """How much 8 bits change the scores, on recordings that were not used for calibration.

    Attributes:
        seconds: length of those recordings.
        largest: largest difference of a score.
        mean: mean difference of the scores.
        changed_percent: percentage of scores on the other side of the cut-off, or, with all labels, with another best label.
    """

    seconds: float
    largest: float
    mean: float
    changed_percent: float

    def to_json(self) -> dict[str, float]:
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Source:
    """A trained network, and what is known about it."""

    name: str
    config: RunConfig
    labels: tuple[str, ...]
    network: Network
    decoder: DecoderConfig


@dataclass(frozen=True)
class Made:
    """A TensorFlow Lite file.

    Attributes:
        content: of the file.
        arena_bytes: memory that an interpreter needs, an upper bound.
        operators: their names, sorted.
        quantized: the network in 8 bits.
        loss: how much 8 bits change the scores.
    """

    content: bytes
    arena_bytes: int
    operators: tuple[str, ...]
    quantized: Quantized
    loss: Loss


def load_source(source: Path, checkpoint: int | None = None) -> Source:
    """A trained network from the folder of a run, or from an exported file.

    Raises:
        NotFoundError, CheckpointError, CardError: there is no such run or file, or it is damaged.
        ExportError: a network that cannot be written as TensorFlow Lite.
        ConfigError: `checkpoint` is given with a file.
    """
    if source.is_dir():
        loaded = RunFolder(source).load(checkpoint)
        decoder = DecoderConfig(**TASKS[loaded.config.task].decoder)
    else:
        if checkpoint is not None:
            raise ConfigError(f"{source} is a file and has no checkpoints; leave out `checkpoint`")
        name, data = read_content(source)
        loaded, decoder = checkpoint_of_file(name, data), read_card(data, name).decoder
    config, features, labels = loaded.config, loaded.config.features, labels_of_run(loaded.config)
    module = make_model(config.model, features.n_frames, features.n_features, len(labels)).eval()
    load_weights(module, loaded)
    try:
        network = read_network(module, config.model.name)
    except ExportError as error:
        raise ExportError(f"{source}: {error}") from error
    return Source(str(source), config, labels, network, decoder)


def calibration_sound(
    source: Path, sample_rate: int, calibrate: Path | Sequence[Path] | None, data: Path | None
) -> tuple[Any, Any]:
    """The recordings to calibrate on: those in the folder or list `calibrate`, or the run's validation recordings in `data`.

    Raises:
        ConfigError: neither or both are given, or `data` with a file.
        NotFoundError, DataError: missing, or too few.
    """
    if (calibrate is None) == (data is None):
        raise ConfigError(
            "8 bits are calibrated on recordings: name a folder of them with `calibrate`, or the run's own with `data`"
            + (", not both" if calibrate is not None else "")
        )
    if calibrate is not None:
        return calibration_streams(recordings_by_folder(calibrate), sample_rate, _shown(calibrate))
    assert data is not None
    if not source.is_dir():
        raise ConfigError(f"{source} is a file, which does not list its recordings; name a folder of them with `calibrate`")
    return calibration_streams(validation_recordings(source / "data.csv", data), sample_rate, f"the validation set of {source}")


def _shown(calibrate: Path | Sequence[Path]) -> str:
    return str(calibrate) if isinstance(calibrate, Path) else ", ".join(map(str, calibrate))


def make_tflite(source: Source, sounds: tuple[Any, Any], *, word: str | None, stride: int, cutoff: float) -> Made:
    """Quantize a network and build its file.

    Args:
        source: from `load_source`.
        sounds: from `calibration_sound`.
        word: the word whose score the network gives; None: all labels.
        stride: frames in a call.
        cutoff: the score above which the word is detected, to measure the loss.

    Raises:
        ConfigError: a stride that is not from 1 to 16.
        ExportError: the network gives no finite numbers.
    """
    if not 1 <= stride <= MOST_STRIDE:
        raise ConfigError(f"`stride` must be from 1 to {MOST_STRIDE} frames, got {stride}")
    network, head = with_head(source.network, source.labels, word)
    features = source.config.features
    streams = [_features(sound, features) for sound in sounds]
    scale = MICRO_FEATURES if features.kind == "micro" else fixed.scale_of(*np.quantile(streams[0], [1e-4, 1 - 1e-4]).tolist())
    ints = [as_ints(stream, scale, features) for stream in streams]
    model = quantize(network, scale, [scale.numbers(ints[0])], head)
    exact = scores_of(float_activations(network, scale.numbers(ints[1]))["logits"], head)[stride - 1 :: stride]
    given = quantized_scores(model, ints[1], stride) / 256
    loss = _loss(exact, given, head, cutoff, len(sounds[1]) / features.sample_rate)
    graphs = build_graphs(model, stride)
    operators = tuple(sorted({operator.name for graph in graphs for operator in graph.operators}))
    return Made(write_model(graphs, f"wordspot: {word or ', '.join(source.labels)}"), arena_bytes(graphs), operators, model, loss)


def check_loss(loss: Loss, max_loss: float) -> None:
    """Raises ExportError if 8 bits change more than `max_loss` percent of the scores' decisions."""
    if not loss.changed_percent <= max_loss:
        raise ExportError(
            f"8 bits change {loss.changed_percent:.2f} % of the decisions on {loss.seconds:.0f} s of recordings, more than "
            f"{max_loss:g} %; nothing was written. Calibrate on more recordings like those of its use, or raise `max_loss`"
        )


def arena_bytes(graphs: list[Graph]) -> int:
    """Memory that TensorFlow Lite for Microcontrollers needs for its tensors, rounded up with some room.

    The arena holds the variables, the largest activations at any time, 8 bytes for each output of a convolution, and the
    interpreter's records of tensors and operators. Their sizes were fitted to a 64-bit interpreter; a device has smaller ones.
    """
    main, initial = graphs
    variables = sum(len(tensor.data) for tensor in initial.tensors)
    outputs = sum(len(tensor.steps) for tensor in main.tensors if tensor.axis or len(tensor.steps) > 1)
    sizes = sorted(int(np.prod(tensor.shape)) for tensor in main.tensors if not tensor.data and tensor.kind != "resource")
    records = 24 * sum(len(graph.tensors) for graph in graphs) + 200 * sum(len(graph.operators) for graph in graphs)
    return -(-int(1.1 * (variables + sum(sizes[-3:]) + 8 * outputs + records + 1024)) // 1000) * 1000


def _features(sound: Any, config: FeatureConfig) -> Array:
    with torch.no_grad():
        features: Array = make_front_end(config)(torch.from_numpy(sound)[None])[0].double().numpy()
    return features


def as_ints(features: Array, scale: Scale, config: FeatureConfig) -> Ints:
    """Round features to integers; those of the micro front end by ESPHome's formula."""
    if config.kind != "micro":
        return scale.ints(features)
    units = np.rint(features / FEATURE_SCALE).astype(np.int64)
    result: Ints = ((_DEVICE_STEPS * units + _DEVICE_UNITS // 2) // _DEVICE_UNITS + scale.zero).clip(fixed.LOWEST, fixed.HIGHEST)
    return result


def _loss(exact: Array, given: Array, head: str, cutoff: float, seconds: float) -> Loss:
    apart = np.abs(exact - given)
    changed = exact.argmax(axis=1) != given.argmax(axis=1) if head == ALL else (exact > cutoff) != (given > cutoff)
    return Loss(seconds, float(apart.max()), float(apart.mean()), 100 * float(changed.mean()))
