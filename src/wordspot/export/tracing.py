"""Export a front end and a network to an ONNX graph and its card, through torch's exporter."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

import wordspot
from wordspot.config import DecoderConfig, RunConfig
from wordspot.errors import ExportError, missing_extra
from wordspot.export.modules import DFT, ClipScores, ConvolvedDft, StreamScores
from wordspot.features.spectral import SpectralFrontEnd
from wordspot.models.streaming import StepNetwork, StreamingNetwork
from wordspot.overrides import to_json
from wordspot.runtime.modelfile.card import Card, State, make_self_test
from wordspot.tasks import TASKS, labels_of_run

if TYPE_CHECKING:
    import onnx

OPSET = 18
_TRACED_STEPS, _TRACED_CLIPS = 11, 3
_MOST = 1 << 20  # steps or clips that one call may take
_TRIGGER_TEST_MS = 2000  # before the first row of a trigger's self-test: more than the window of its network


def why_no_stream(network: nn.Module, front_end: nn.Module, config: RunConfig) -> str:
    """Why network and front end cannot be exported as a stream; empty if they can."""
    features, is_trigger = config.features, TASKS[config.task].predicts_steps
    if not isinstance(network, StreamingNetwork):
        return f"the network {config.model.name} works on clips only"
    if not isinstance(front_end, SpectralFrontEnd):
        return f"the front end {features.kind} cannot be exported as a stream"
    if features.window_samples % features.hop_samples and not is_trigger:
        return f"the window of {features.window_ms:g} ms is not a multiple of the hop of {features.hop_ms:g} ms"
    if any(0 in state.shape for state in StreamScores(front_end, network).initial_state()):
        return "a part of its state is empty, as with a window no longer than the hop"
    step = step_samples(network, config)
    if features.clip_samples % step and not is_trigger:
        return f"the clip of {features.clip_samples} samples is not a multiple of the network's step of {step}"
    return ""


def step_samples(network: nn.Module, config: RunConfig) -> int:
    """Samples from one row of a stream's scores to the next: the hop times the frames of a step."""
    return config.features.hop_samples * int(getattr(network, "hop_frames", 1))


def trace(network: nn.Module, front_end: nn.Module, config: RunConfig) -> tuple[onnx.ModelProto, Card]:
    """The graph, before `rewrite.tidy`, and the card, without the expected scores of its self-test.

    The clip of a trigger ends with its first meaningful step.

    Raises:
        ExportError: the exporter does not support the network, or a network of the task trigger cannot stream.
        MissingExtraError: the packages of the exporter are not installed.
    """
    task, reason = TASKS[config.task], why_no_stream(network, front_end, config)
    is_trigger = task.predicts_steps
    if reason and is_trigger:
        raise ExportError(f"a model of the task {task.name} must be exported as a stream, but {reason}")
    step = 0 if reason else step_samples(network, config)
    early = 0
    if isinstance(network, StepNetwork) and isinstance(front_end, SpectralFrontEnd):
        early = network.early_steps(front_end.early_frames)
    clip = step * (1 + early) if is_trigger else config.features.clip_samples
    first_row = clip
    if is_trigger:
        first_row = -(-config.features.sample_rate * _TRIGGER_TEST_MS // (1000 * step)) * step
    graph = _stream(network, front_end, config, step) if step else _clips(network, front_end, config)
    states = [
        State(value.name, tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)) for value in graph.graph.input[1:]
    ]
    card = Card(
        kind="stream" if step else "clip",
        labels=labels_of_run(config),
        sample_rate=config.features.sample_rate,
        clip_samples=clip,
        step_samples=step,
        states=tuple(states),
        decoder=DecoderConfig(**task.decoder),
        self_test=make_self_test(first_row, step),
        config=to_json(config),
        wordspot_version=wordspot.__version__,
    )
    return graph, card


def _stream(network: Any, front_end: Any, config: RunConfig, step: int) -> onnx.ModelProto:
    module = StreamScores(front_end, network)
    state = module.initial_state()
    names = ["sound", *(f"state_{number}" for number in range(len(state) - 1))]
    steps = torch.export.Dim("steps", min=1, max=_MOST)
    shapes: Any = ({1: step * steps}, {}, tuple({} for _ in state[1:]))
    outputs = ["scores", *(f"new_{name}" for name in names)]
    model = _to_onnx(module, (torch.zeros(1, step * _TRACED_STEPS), *state), ["audio", *names], outputs, shapes, config)
    _free(model.graph.output[0], 1, "steps")
    return model


def _clips(network: nn.Module, front_end: nn.Module, config: RunConfig) -> onnx.ModelProto:
    audio = torch.zeros(_TRACED_CLIPS, config.features.clip_samples)
    shapes = ({0: torch.export.Dim("clips", min=1, max=_MOST)},)
    model = _to_onnx(ClipScores(front_end, network), (audio,), ["audio"], ["scores"], shapes, config)
    _free(model.graph.output[0], 0, "clips")
    return model


def _to_onnx(
    module: Any, inputs: tuple[Tensor, ...], names: list[str], outputs: list[str], shapes: Any, config: RunConfig
) -> onnx.ModelProto:
    try:
        from wordspot.export.rewrite import fold_constants, put_formulas

        integers = _integer_translations()
    except ModuleNotFoundError as error:
        raise missing_extra(error, "exporting") from error
    with _quiet():
        try:
            program = torch.onnx.export(
                module.eval(), inputs, dynamo=True, opset_version=OPSET, input_names=names, output_names=outputs,
                dynamic_shapes=shapes, external_data=False, verbose=False, custom_translation_table=integers,
            )  # fmt: skip
            assert program is not None
            model = program.model_proto
            fold_constants(model)
            transforms = {
                f"{name}.{DFT}": (part.n_fft, part.first_bin)
                for name, part in module.named_modules()
                if isinstance(part, ConvolvedDft)
            }
            put_formulas(model, transforms)
        except Exception as error:  # the exporter may raise anything on a user's own network
            reason = " ".join(f"{type(error).__name__}: {error.__cause__ or error}".split())[:300]
            raise ExportError(f"the model {config.model.name!r} cannot be exported ({reason})") from error
    return model


def _integer_translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Shifts and masks of signed integers for the exporter, as ONNX has them for unsigned ones only.

    A shift to the right by n divides by 2**n and rounds down; a mask of 2**n - 1 is the remainder. Both are exact as long as no
    number overflows its type, which the front end `micro` ensures.
    """
    from onnxscript import opset18

    op: Any = opset18  # its types cannot say that one number has the type of another
    aten = torch.ops.aten

    def left(values: Any, n: int) -> Any:
        return op.Mul(values, op.CastLike(op.Constant(value_int=1 << n), values))

    def right(values: Any, n: int) -> Any:
        divisor = op.CastLike(op.Constant(value_int=1 << n), values)
        return op.Div(op.Sub(values, op.Mod(values, divisor)), divisor)

    def left_by(values: Any, shifts: Any) -> Any:
        return op.Mul(values, op.Pow(op.CastLike(op.Constant(value_int=2), values), shifts))

    def right_by(values: Any, shifts: Any) -> Any:
        divisor = op.Pow(op.CastLike(op.Constant(value_int=2), values), shifts)
        return op.Div(op.Sub(values, op.Mod(values, divisor)), divisor)

    def mask(values: Any, mask: int) -> Any:
        if mask & (mask + 1):
            raise ValueError(f"only masks of the low bits can be exported, got {mask}")
        return op.Mod(values, op.CastLike(op.Constant(value_int=mask + 1), values))

    return {
        aten.__lshift__.Scalar: left,
        aten.__rshift__.Scalar: right,
        aten.__and__.Scalar: mask,
        aten.bitwise_left_shift.Tensor_Scalar: left,
        aten.bitwise_right_shift.Tensor_Scalar: right,
        aten.bitwise_left_shift.Tensor: left_by,
        aten.bitwise_right_shift.Tensor: right_by,
        aten.bitwise_and.Scalar: mask,
    }


def _free(value: onnx.ValueInfoProto, axis: int, name: str) -> None:
    """Declare a free dimension of an output; some of torch's operators fix it to the traced length."""
    value.type.tensor_type.shape.dim[axis].Clear()
    value.type.tensor_type.shape.dim[axis].dim_param = name


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's remarks on optional packages."""
    logs = [logging.getLogger(name) for name in ("torch.onnx._internal.exporter._registration", "onnxscript", "onnx_ir")]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)
