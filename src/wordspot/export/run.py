"""Export a trained network to one ONNX file with front end, softmax and card, and compare it with torch before writing it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from wordspot.config import RunConfig
from wordspot.errors import ConfigError, ExportError
from wordspot.export.int8_cost import Int8Cost, measure_int8
from wordspot.export.parity import check_parity, rejections, torch_scores
from wordspot.export.tracing import trace, why_no_stream
from wordspot.features import make_front_end
from wordspot.files import atomic_path
from wordspot.models import make_model
from wordspot.runtime.modelfile.card import Card, read_card, with_card
from wordspot.runtime.modelfile.self_test import self_test_audio, self_test_rows, self_test_scores
from wordspot.runtime.modelfile.session import open_session
from wordspot.tasks import TASKS, labels_of_run
from wordspot.training.checkpoint import Checkpoint
from wordspot.training.log import trained_on
from wordspot.training.run_folder import RunFolder
from wordspot.training.weights import load_weights

_LEAST = 1e-30  # of a posterior whose logarithm is taken


#: What a model card says about the recordings, if the user says it.
ABOUT = {"name", "licence", "attribution"}


@dataclass(frozen=True)
class Exported:
    """An exported file's content, optionally also with weights in 8 bits, and its difference from torch."""

    model: bytes
    card: Card
    difference: float
    int8: bytes | None = None


def export_network(network: nn.Module, config: RunConfig, *, int8: bool = False, **about: Any) -> Exported:
    """A trained network as a file whose scores are torch's, within `TOLERANCE`.

    Args:
        network: on the CPU.
        config: of its run.
        int8: make the file with weights in 8 bits as well.
        about: other fields of the card: decoder, data.

    Raises:
        ExportError: torch cannot export the network, it uses operators that a file may not contain, or the scores differ.
    """
    network, front_end = network.eval(), make_front_end(config.features)
    with torch.no_grad():
        graph, card = trace(network, front_end, config)  # first, as it says which packages are missing
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
    """`card` with these scores [rows, labels] as those of its self-test."""
    logs = np.log(np.maximum(scores.astype(np.float64), _LEAST)).round(6)
    rows = tuple(tuple(row) for row in logs.tolist())
    return dataclasses.replace(card, self_test=dataclasses.replace(card.self_test, log_posteriors=rows))


@dataclass(frozen=True)
class ExportedFile:
    """A file that `export_run` wrote.

    Attributes:
        out: the file.
        bytes: its size.
        kind: ``stream`` or ``clip``.
        labels: in the order of its scores.
        step: of the checkpoint.
        step_ms: from one row of a stream's scores to the next; 0 for clips.
        clip_ms: length of the audio that a row of scores refers to.
        difference: the largest difference of its scores from those of torch.
        note: why it is not a stream; empty if it is.
        int8: the cost of 8-bit weights; None if they are in float32.
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

    def summary(self) -> str:
        """The file in one line for people."""
        runs_on = f"a stream, {self.step_ms:g} ms or more at a time" if self.kind == "stream" else f"clips of {self.clip_ms:g} ms"
        return f"{self.out}: {self.bytes / 1000:.0f} kB, takes {runs_on}; differs from torch by {self.difference:.1g}"

    def to_json(self) -> dict[str, Any]:
        cost = None if self.int8 is None else self.int8.to_json()
        return {**dataclasses.asdict(self), "out": str(self.out), "labels": list(self.labels), "int8": cost}


def export_run(
    run: Path,
    out: Path,
    *,
    checkpoint: int | None = None,
    int8: bool = False,
    data: Path | None = None,
    max_loss: float | None = 1.0,
    about_data: Mapping[str, str] | None = None,
    force: bool = False,
) -> ExportedFile:
    """Export a run's model to one ONNX file.

    Args:
        run: the folder of the run.
        out: the file to write; its name ends in ``.onnx``.
        checkpoint: the step of the checkpoint to export; None: the best one on validation.
        int8: weights in 8 bits, a file of a third of the size.
        data: the folder of the run's recordings, which `int8` is measured on.
        max_loss: percentage points of accuracy on the validation clips that `int8` may cost; None: any, and `data` may be left
            out.
        about_data: name, licence and attribution of the recordings, for the model card.
        force: replace `out` if it exists.

    Raises:
        ConfigError: `out` exists or has another suffix; `about_data` has another name; `int8` without `data`, or measured for the
            task trigger.
        ExportError: the model cannot be exported, the file differs from torch, or `int8` costs too much; nothing is written.
    """
    _check_file(out, force=force)
    if strange := set(about_data or {}) - ABOUT:
        raise ConfigError(f"`about_data` has {', '.join(sorted(strange))}; it may have {', '.join(sorted(ABOUT))}")
    if int8 and data is None and max_loss is not None:
        raise ConfigError("`int8` is measured on the recordings of the run; name their folder with `data`")
    loaded = RunFolder(run).load(checkpoint)
    config = loaded.config
    if int8 and data is not None and TASKS[config.task].predicts_steps:
        raise ConfigError(f"`int8` is measured on clips, but a run of the task {config.task} has none; leave it out")
    network = _network_of(loaded)
    about = {"clips": len(trained_on(run)[0]), **(about_data or {})}
    exported = export_network(network, config, int8=int8, data=about)
    cost = None if data is None else _cost_of_int8(exported, config, data, max_loss)
    card, model = exported.card, exported.int8 or exported.model
    with atomic_path(out) as temporary:
        temporary.write_bytes(model)
    return ExportedFile(
        out=out,
        bytes=len(model),
        kind=card.kind,
        labels=card.labels,
        step=loaded.step,
        step_ms=1000 * card.step_samples / card.sample_rate,
        clip_ms=1000 * card.clip_samples / card.sample_rate,
        difference=exported.difference,
        note=why_no_stream(network, make_front_end(config.features), config),
        int8=cost,
    )


def _cost_of_int8(exported: Exported, config: RunConfig, data: Path, max_loss: float | None) -> Int8Cost | None:
    """What weights in 8 bits cost on the validation clips of `data`; None if there are none.

    Raises:
        ExportError: more than `max_loss` percentage points.
    """
    if exported.int8 is None:
        return None
    cost = measure_int8(exported.model, exported.int8, exported.card, config, data)
    if max_loss is not None and not cost.loss <= max_loss:
        raise ExportError(
            f"int8 costs {cost.loss:.2f} percentage points of accuracy on {cost.clips} clips, more than {max_loss:g}; "
            "nothing was written. Leave out `int8`, or raise `max_loss`"
        )
    return cost


def _network_of(checkpoint: Checkpoint) -> nn.Module:
    config, features = checkpoint.config, checkpoint.config.features
    network = make_model(config.model, features.n_frames, features.n_features, len(labels_of_run(config)))
    load_weights(network, checkpoint)
    return network


def _check_file(out: Path, *, force: bool) -> None:
    """Check that `out` may be written.

    Raises:
        ConfigError: it exists and `force` is off, it is a folder, or its name has another suffix.
    """
    if out.is_dir() or (out.exists() and not force):
        raise ConfigError(f"{out} already exists; choose another `out`, or set `force` to replace a file")
    if out.suffix.lower() != ".onnx":
        raise ConfigError(f"{out}: the name must end in .onnx, by which other commands recognise a model")
