"""From a trained network to one ONNX file: front end, network, softmax and card, compared with torch before it is written."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wordspot.config import RunConfig
from wordspot.data.cache import decode_folder
from wordspot.data.clips import build_sets
from wordspot.data.folders import list_recordings
from wordspot.errors import CardError, ConfigError, DataError, ExportError
from wordspot.export.tracing import trace, why_no_stream
from wordspot.features import make_front_end
from wordspot.files import atomic_path
from wordspot.models import make_model
from wordspot.models.streaming import initial_state
from wordspot.runtime.modelfile.card import Card, read_card, self_test_signal, with_card
from wordspot.runtime.modelfile.self_test import (
    difference,
    run_self_test,
    self_test_audio,
    self_test_rows,
    self_test_scores,
)
from wordspot.runtime.modelfile.session import judge_clips, open_session, run_clips, run_stream
from wordspot.tasks import TASKS, labels_of_run
from wordspot.training.batches import Batches
from wordspot.training.log import trained_on
from wordspot.training.run_folder import RunFolder
from wordspot.training.weights import load_weights

TOLERANCE = 1e-4
_CHUNKS = (1, 2, 7, 100)  # steps of a stream that one call takes
_LEAST = 1e-30  # of a posterior whose logarithm is taken

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Exported:
    """An exported file's content, with weights in 8 bits beside it where asked, and how far it is from torch."""

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
        ExportError: torch's exporter cannot take the network, it holds what a file may not, or the file differs from torch.
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
    apart = _compared(model, card, network, front_end)
    if not int8:
        return Exported(model, card, apart)
    quantize_weights(small)
    unsure = with_card(tidy(small), dataclasses.replace(card, quantization="int8"))
    with _refusals():
        read_card(unsure)
        answers = _with_answers(card, self_test_scores(open_session(unsure), card))
    return Exported(model, card, apart, with_card(unsure, dataclasses.replace(answers, quantization="int8")))


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """What no reader would take is not written."""
    try:
        yield
    except CardError as error:
        raise ExportError(f"the exported file would be refused: {error}; nothing was written") from error


def _compared(model: bytes, card: Card, network: nn.Module, front_end: nn.Module) -> float:
    """The file's largest difference from torch.

    Raises:
        ExportError: the file is refused, fails at a length that was not traced, or differs by more than `TOLERANCE`.
    """
    with _refusals():
        read_card(model)
        apart = compare(model, card, network, front_end)
    if not apart <= TOLERANCE:
        raise ExportError(
            f"expected scores within {TOLERANCE:g} of torch's from the exported file, but they differ by {apart:.2g}; "
            "nothing was written"
        )
    return apart


def compare(model: bytes, card: Card, network: nn.Module, front_end: nn.Module) -> float:
    """The largest difference of a file from torch: its self-test, and sounds fed in chunks of several lengths, with state.

    Raises:
        CardError: onnxruntime cannot load it, or cannot run it at some length.
    """
    session = open_session(model)
    apart = run_self_test(session, card).difference
    for audio in _test_sounds(card):
        expected = torch_scores(network, front_end, card, audio)
        if card.kind == "stream":
            given = [run_stream(session, card, audio, n_steps) for n_steps in _CHUNKS]
        else:
            given = [run_clips(session, audio)]
        apart = max(apart, *(difference(scores, expected) for scores in given))
    return float(apart)


def torch_scores(network: nn.Module, front_end: Any, card: Card, audio: Array) -> Array:
    """What torch gives for a stream [1, samples], in one piece from a zero state, or for clips [n, clip_samples]."""
    sound, streaming = torch.from_numpy(audio), cast(Any, network)
    with torch.no_grad():
        if card.kind == "stream":
            whole = sound[:, : sound.shape[1] // card.step_samples * card.step_samples]
            features, _ = front_end.step(whole, front_end.initial_state(1))
            logits: Tensor = streaming.step(features, initial_state(streaming, 1, front_end.early_frames))[0]
        else:
            logits = network(front_end(sound))
    scores: Array = logits.softmax(dim=-1).numpy()
    return scores


def _with_answers(card: Card, scores: Array) -> Card:
    """`card` with these scores [rows, labels] as those of its self-test."""
    logs = np.log(np.maximum(scores.astype(np.float64), _LEAST)).round(6)
    rows = tuple(tuple(row) for row in logs.tolist())
    return dataclasses.replace(card, self_test=dataclasses.replace(card.self_test, log_posteriors=rows))


def _test_sounds(card: Card) -> Iterator[Array]:
    """Noise of falling loudness, and the self-test's signal over faint noise, of lengths that are not traced."""
    rng = np.random.default_rng(0)
    shape = (1, card.self_test.ends[0] + 77 * card.step_samples) if card.step_samples else (2, card.clip_samples)
    noise = rng.standard_normal(shape)
    yield (noise * np.geomspace(0.3, 1e-3, shape[1])).astype(np.float32)
    signal = np.resize(self_test_signal(card.self_test), shape)
    yield (signal + 1e-3 * noise).astype(np.float32)


def export_run(
    run: Path,
    out: Path,
    *,
    checkpoint: int | None = None,
    int8: bool = False,
    data: Path | None = None,
    max_loss: float = 1.0,
    about_data: dict[str, str] | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Export a run's checkpoint to the file `out`.

    Args:
        run: the folder of the run.
        checkpoint: of this step; None: the best on validation.
        int8: with weights in 8 bits; `data`, the folder of the run's recordings, tells what that costs.
        max_loss: points of accuracy on the validation clips that 8 bits may cost.
        about_data: name, licence and attribution of the recordings, for the card.
        force: replace `out` where it exists.

    Returns:
        out, bytes, kind, labels, step_ms, clip_ms, difference from torch, note (why it is no stream) and int8's measures.

    Raises:
        ConfigError: `out` exists or does not end in ``.onnx``, or `int8` without `data`, or of the task trigger.
        ExportError: the model cannot be exported, the file differs from torch, or 8 bits cost too much; nothing is written.
    """
    if out.is_dir() or (out.exists() and not force):
        raise ConfigError(f"{out}: expected no such file yet; name another --out, or --force to replace a file")
    if out.suffix.lower() != ".onnx":
        raise ConfigError(f"{out}: expected a name that ends in .onnx, by which other commands know a model")
    if int8 and data is None:
        raise ConfigError("int8 is measured on the recordings of the run; name their folder with --data")
    loaded = RunFolder(run).load(checkpoint)
    config = loaded.config
    if int8 and TASKS[config.task].predicts_steps:
        raise ConfigError("int8 is measured on clips, which a run of the task trigger has none of; leave out --int8")
    features, labels = config.features, labels_of_run(config)
    network = make_model(config.model, features.n_frames, features.n_features, len(labels))
    load_weights(network, loaded)
    told = {"clips": _count_clips(run), **(about_data or {})}
    exported = export_network(network, config, int8=int8, data=told)
    model, measures = exported.model, None
    if exported.int8 is not None and data is not None:
        measures = measure_int8(exported, config, data)
        if not measures["loss"] <= max_loss:
            raise ExportError(
                f"expected int8 to cost at most {max_loss:g} points of accuracy, but it costs {measures['loss']:.2f} on "
                f"{measures['clips']} clips; leave out --int8, or allow it with --max-loss; nothing was written"
            )
        model = exported.int8
    with atomic_path(out) as temporary:
        temporary.write_bytes(model)
    card = exported.card
    return {
        "out": str(out), "bytes": len(model), "kind": card.kind, "labels": list(card.labels), "step": loaded.step,
        "step_ms": 1000 * card.step_samples / card.sample_rate, "clip_ms": 1000 * card.clip_samples / card.sample_rate,
        "difference": exported.difference, "note": why_no_stream(network, make_front_end(features), config),
        "int8": measures,
    }  # fmt: skip


def measure_int8(exported: Exported, config: RunConfig, data: Path) -> dict[str, Any]:
    """What 8 bits change on the validation clips of a folder.

    Returns:
        clips, accuracy_before and accuracy, loss in points, and changed: the clips whose answer is another.

    Raises:
        DataError: the folder holds none of the words, or no validation clips.
    """
    assert exported.int8 is not None
    listing = list_recordings(data)
    sets = {"validation": build_sets(listing, config.words, config.data)["validation"]}
    decoded = decode_folder(listing, config.features.sample_rate, config.features.clip_samples)
    if len(decoded.listing.clips) < len(listing.clips):
        sets["validation"] = build_sets(decoded.listing, config.words, config.data)["validation"]
    truth = sets["validation"].labels
    if not len(truth):
        raise DataError(
            f"{data}: expected validation clips to measure int8 on, but there are none; give more recordings"
        )
    batches = Batches(config, decoded, sets, torch.device("cpu"))
    sessions = [open_session(model) for model in (exported.model, exported.int8)]
    before: list[NDArray[np.int64]] = []
    after: list[NDArray[np.int64]] = []
    for audio, _ in batches.evaluation_batches("validation"):
        for session, answers in zip(sessions, (before, after), strict=True):
            answers.append(judge_clips(session, exported.card, audio.numpy()).argmax(axis=1))
    answer, new_answer = np.concatenate(before), np.concatenate(after)
    right, new_right = (float((given == truth).mean()) for given in (answer, new_answer))
    return {
        "clips": len(truth), "accuracy_before": right, "accuracy": new_right, "loss": 100 * (right - new_right),
        "changed": int((answer != new_answer).sum()),
    }  # fmt: skip


def _count_clips(run: Path) -> int:
    """How many recordings a run was trained on, by its ``data.csv``."""
    return len(trained_on(run)[0])
