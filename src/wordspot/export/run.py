"""From a trained network to one ONNX file with front end, network, softmax and card, compared with torch before it is written."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from wordspot.config import RunConfig
from wordspot.data.cache import decode_folder
from wordspot.data.clips import build_sets
from wordspot.data.folders import list_recordings
from wordspot.errors import ConfigError, DataError, ExportError
from wordspot.export.parity import check_parity, rejections, torch_scores
from wordspot.export.tracing import trace, why_no_stream
from wordspot.features import make_front_end
from wordspot.files import atomic_path
from wordspot.models import make_model
from wordspot.runtime.modelfile.card import Card, read_card, with_card
from wordspot.runtime.modelfile.self_test import self_test_audio, self_test_rows, self_test_scores
from wordspot.runtime.modelfile.session import judge_clips, open_session
from wordspot.tasks import TASKS, labels_of_run
from wordspot.training.batches import Batches
from wordspot.training.log import trained_on
from wordspot.training.run_folder import RunFolder
from wordspot.training.weights import load_weights

_LEAST = 1e-30  # of a posterior, before its logarithm


@dataclass(frozen=True)
class Exported:
    """The content of an exported file, also with 8-bit weights if requested, and its largest difference from torch."""

    model: bytes
    card: Card
    difference: float
    int8: bytes | None = None


def export_network(network: nn.Module, config: RunConfig, *, int8: bool = False, **about: Any) -> Exported:
    """A trained network as a file whose scores are those of torch, within `parity.TOLERANCE`.

    Args:
        network: the network, on the CPU.
        config: the configuration of its run.
        int8: also make the file with 8-bit weights.
        about: other fields of the card: decoder, data.

    Raises:
        ExportError: the exporter does not support the network, the file would be rejected, or it differs from torch.
    """
    network, front_end = network.eval(), make_front_end(config.features)
    with torch.no_grad():
        graph, card = trace(network, front_end, config)  # first, as it reports missing packages
        from wordspot.export.quantize import quantize_weights
        from wordspot.export.rewrite import tidy

        card = dataclasses.replace(card, **about)
        scores = torch_scores(network, front_end, card, self_test_audio(card))
        card = _with_answers(card, self_test_rows(card, scores))
    small = type(graph)()
    small.CopyFrom(graph)
    model = with_card(tidy(graph), card)
    apart = check_parity(model, card, network, front_end)
    if not int8:
        return Exported(model, card, apart)
    quantize_weights(small)
    unsure = with_card(tidy(small), dataclasses.replace(card, quantization="int8"))
    with rejections():
        read_card(unsure)
        answers = _with_answers(card, self_test_scores(open_session(unsure), card))
    return Exported(model, card, apart, with_card(unsure, dataclasses.replace(answers, quantization="int8")))


def _with_answers(card: Card, scores: NDArray[np.float32]) -> Card:
    """`card` with these scores [rows, labels] as the expected ones of its self-test."""
    logs = np.log(np.maximum(scores.astype(np.float64), _LEAST)).round(6)
    rows = tuple(tuple(row) for row in logs.tolist())
    return dataclasses.replace(card, self_test=dataclasses.replace(card.self_test, log_posteriors=rows))


@dataclass(frozen=True)
class Int8Cost:
    """What 8-bit weights change on the validation clips; accuracies from 0 to 1, `loss` in points."""

    clips: int
    accuracy_before: float
    accuracy: float
    loss: float
    changed: int


@dataclass(frozen=True)
class ExportResult:
    """An exported file.

    Attributes:
        difference: largest difference of a score from torch's.
        note: why the file takes clips instead of a stream; empty for a stream.
        int8: what 8-bit weights cost, if requested.
    """

    out: Path
    bytes: int
    kind: str
    labels: tuple[str, ...]
    step: int
    step_ms: float
    clip_ms: float
    difference: float
    note: str
    int8: Int8Cost | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict of all fields."""
        return {**dataclasses.asdict(self), "out": str(self.out), "labels": list(self.labels)}


def export_run(
    run: Path | str,
    out: Path | str,
    *,
    checkpoint: int | None = None,
    int8: bool = False,
    data: Path | str | None = None,
    max_loss: float = 1.0,
    about_data: dict[str, str] | None = None,
    force: bool = False,
) -> ExportResult:
    """Export a checkpoint of a run to the file `out`.

    Args:
        run: the folder of the run.
        out: the file to write; its name ends in ``.onnx``.
        checkpoint: the step of the checkpoint (default: the best one on the validation set).
        int8: store weights in 8 bits; what that costs is measured on the validation clips of `data`.
        data: the folder of the run's recordings.
        max_loss: points of accuracy that `int8` may cost.
        about_data: name, licence and attribution of the recordings, for the card.
        force: replace `out` if it exists.

    Raises:
        ConfigError: `out` exists or does not end in ``.onnx``, or `int8` without `data` or for the task trigger.
        ExportError: the model cannot be exported, the file differs from torch, or 8 bits cost too much; nothing is written.
    """
    run, out = Path(run), Path(out)
    _check_out(out, force)
    if int8 and data is None:
        raise ConfigError("int8 needs data, the folder of the run's recordings, to measure what 8 bits cost")
    loaded = RunFolder(run).load(checkpoint)
    config = loaded.config
    if int8 and TASKS[config.task].predicts_steps:
        raise ConfigError(f"int8 is measured on clips, and the task {config.task} has none; leave it out")
    features, labels = config.features, labels_of_run(config)
    network = make_model(config.model, features.n_frames, features.n_features, len(labels))
    load_weights(network, loaded)
    about = {"clips": len(trained_on(run)[0]), **(about_data or {})}
    exported = export_network(network, config, int8=int8, data=about)
    model, cost = exported.model, None
    if exported.int8 is not None and data is not None:
        model, cost = exported.int8, measure_int8(exported, config, Path(data))
        if not cost.loss <= max_loss:
            raise ExportError(
                f"int8 costs {cost.loss:.2f} points of accuracy on {cost.clips} clips, but max_loss allows {max_loss:g}; leave out "
                "int8 or raise max_loss. Nothing was written"
            )
    with atomic_path(out) as temporary:
        temporary.write_bytes(model)
    card = exported.card
    return ExportResult(
        out=out,
        bytes=len(model),
        kind=card.kind,
        labels=card.labels,
        step=loaded.step,
        step_ms=1000 * card.step_samples / card.sample_rate,
        clip_ms=1000 * card.clip_samples / card.sample_rate,
        difference=exported.difference,
        note=why_no_stream(network, make_front_end(features), config),
        int8=cost,
    )


def _check_out(out: Path, force: bool) -> None:
    if out.is_dir() or (out.exists() and not force):
        raise ConfigError(f"{out} exists already; choose another out, or set force to replace a file")
    if out.suffix.lower() != ".onnx":
        raise ConfigError(f"{out} does not end in .onnx, which is how other commands recognise a model; rename out")


def measure_int8(exported: Exported, config: RunConfig, data: Path) -> Int8Cost:
    """What 8-bit weights change on the validation clips of a folder.

    Raises:
        DataError: the folder contains none of the words, or no validation clips.
    """
    assert exported.int8 is not None
    listing = list_recordings(data)
    sets = {"validation": build_sets(listing, config.words, config.data)["validation"]}
    decoded = decode_folder(listing, config.features.sample_rate, config.features.clip_samples)
    if len(decoded.listing.clips) < len(listing.clips):
        sets["validation"] = build_sets(decoded.listing, config.words, config.data)["validation"]
    truth = sets["validation"].labels
    if not len(truth):
        raise DataError(f"{data} has no validation clips to measure int8 on; add more recordings")
    batches = Batches(config, decoded, sets, torch.device("cpu"))
    sessions = [open_session(model) for model in (exported.model, exported.int8)]
    before: list[NDArray[np.int64]] = []
    after: list[NDArray[np.int64]] = []
    for audio, _ in batches.evaluation_batches("validation"):
        for session, answers in zip(sessions, (before, after), strict=True):
            answers.append(judge_clips(session, exported.card, audio.numpy()).argmax(axis=1))
    answer, new_answer = np.concatenate(before), np.concatenate(after)
    right, new_right = (float((given == truth).mean()) for given in (answer, new_answer))
    return Int8Cost(len(truth), right, new_right, 100 * (right - new_right), int((answer != new_answer).sum()))
