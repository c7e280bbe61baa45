"""Networks with the interface of Kokoro and of Piper, whose sound can be computed by hand: a tone.

Kokoro's lasts 0.1 s for each token, pauses included, divided by the speed; its frequency in Hz is the first number of the
style vector. Piper's lasts 0.05 s for each number, times the length scale; its frequency is 200 Hz and 100 for each speaker;
its noise is as loud as the noise scale says, times `noise`.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

KOKORO_RATE, PIPER_RATE = 24_000, 22_050
#: Numbers of the symbols that the made Piper voice has.
PIPER_SYMBOLS = {symbol: [number] for number, symbol in enumerate("_^$ .?!,jɛsnˈoʊʌplæmphaɪeə")}


def kokoro_model(tokens: str = "tokens") -> bytes:
    """A network of inputs `tokens` int64 [1, n], `style` float32 [1, 256] and `speed` float32 [1]."""
    inputs = [
        helper.make_tensor_value_info(tokens, TensorProto.INT64, [1, "n"]),
        helper.make_tensor_value_info("style", TensorProto.FLOAT, [1, 256]),
        helper.make_tensor_value_info("speed", TensorProto.FLOAT, [1]),
    ]
    nodes = [
        helper.make_node("Size", [tokens], ["count"]),
        helper.make_node("Cast", ["count"], ["count_f"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["count_f", "samples_a_token"], ["usual"]),
        helper.make_node("Div", ["usual", "speed"], ["length_1"]),
        helper.make_node("Squeeze", ["length_1"], ["length"]),
        helper.make_node("Gather", ["style", "zero"], ["first"], axis=1),
        helper.make_node("Mul", ["first", "step"], ["turn_2"]),
        helper.make_node("Squeeze", ["turn_2"], ["turn"]),
        *_tone("audio"),
    ]
    constants = {"samples_a_token": 0.1 * KOKORO_RATE, "step": 2 * np.pi / KOKORO_RATE}
    return _model(nodes, inputs, ["samples"], constants)


def piper_model(n_speakers: int = 1, noise: float = 0.0) -> bytes:
    """A network of inputs `input` int64 [1, n], `input_lengths` and (if several speakers) `sid` int64 [1], `scales` [3]."""
    inputs = [
        helper.make_tensor_value_info("input", TensorProto.INT64, [1, "n"]),
        helper.make_tensor_value_info("input_lengths", TensorProto.INT64, [1]),
        helper.make_tensor_value_info("scales", TensorProto.FLOAT, [3]),
    ]
    nodes = [
        helper.make_node("Cast", ["input_lengths"], ["count_f"], to=TensorProto.FLOAT),
        helper.make_node("Gather", ["scales", "one"], ["scale"]),
        helper.make_node("Mul", ["count_f", "scale"], ["scaled"]),
        helper.make_node("Mul", ["scaled", "samples_a_token"], ["length_1"]),
        helper.make_node("Squeeze", ["length_1"], ["length"]),
    ]
    if n_speakers > 1:
        inputs.append(helper.make_tensor_value_info("sid", TensorProto.INT64, [1]))
        nodes += [
            helper.make_node("Cast", ["sid"], ["sid_f"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["sid_f", "hundred"], ["more"]),
            helper.make_node("Add", ["more", "two_hundred"], ["hertz"]),
        ]
    else:
        nodes.append(helper.make_node("Identity", ["two_hundred"], ["hertz"]))
    nodes += [
        helper.make_node("Mul", ["hertz", "step"], ["turn_1"]),
        helper.make_node("Squeeze", ["turn_1"], ["turn"]),
        *_tone("pure"),
        helper.make_node("RandomNormalLike", ["pure"], ["hiss"]),
        helper.make_node("Gather", ["scales", "zero"], ["noise_scale"]),
        helper.make_node("Mul", ["noise_scale", "noise"], ["loudness"]),
        helper.make_node("Mul", ["hiss", "loudness"], ["soft_hiss"]),
        helper.make_node("Add", ["pure", "soft_hiss"], ["output_1"]),
        helper.make_node("Unsqueeze", ["output_1", "axes"], ["output"]),
    ]
    constants = {
        "samples_a_token": 0.05 * PIPER_RATE,
        "step": 2 * np.pi / PIPER_RATE,
        "hundred": 100.0,
        "two_hundred": 200.0,
        "noise": noise,
    }
    return _model(nodes, inputs, [1, 1, 1, "samples"], constants, "output")


def write_kokoro(folder: Path, styles: dict[str, float], rows: int = 20) -> Path:
    """A folder with a model and ``voices/NAME.bin``: each voice's frequency in Hz, and 1 Hz more for each further token."""
    (folder / "voices").mkdir(parents=True, exist_ok=True)
    (folder / "kokoro.onnx").write_bytes(kokoro_model())
    for name, hertz in styles.items():
        style_rows(hertz, rows).tofile(folder / "voices" / f"{name}.bin")
    return folder


def style_rows(hertz: float, rows: int = 20) -> NDArray[np.float32]:
    """float32 [rows, 256]: row k begins with `hertz` + k."""
    styles = np.zeros((rows, 256), np.float32)
    styles[:, 0] = hertz + np.arange(rows)
    return styles


def write_piper(folder: Path, name: str = "en_US-made-low", n_speakers: int = 1, noise: float = 0.0, **changes: object) -> Path:
    """``NAME.onnx`` with ``NAME.onnx.json`` beside it; `changes` replace keys of the configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "audio": {"sample_rate": PIPER_RATE},
        "espeak": {"voice": "en-us"},
        "inference": {"noise_scale": 0.5, "length_scale": 1.0, "noise_w": 0.8},
        "phoneme_type": "espeak",
        "phoneme_id_map": PIPER_SYMBOLS,
        "num_speakers": n_speakers,
    }
    path = folder / f"{name}.onnx"
    path.write_bytes(piper_model(n_speakers, noise))
    path.with_name(f"{path.name}.json").write_text(json.dumps(config | changes), encoding="utf-8")
    return path


def _tone(output: str) -> list[onnx.NodeProto]:
    """A sine of `length` samples that turns by `turn` a sample, at half of full scale."""
    return [
        helper.make_node("Range", ["begin", "length", "unit"], ["times"]),
        helper.make_node("Mul", ["times", "turn"], ["phase"]),
        helper.make_node("Sin", ["phase"], ["wave"]),
        helper.make_node("Mul", ["wave", "half"], [output]),
    ]


def _model(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    shape: list[int | str],
    constants: dict[str, float],
    output: str = "audio",
) -> bytes:
    numbers = {**constants, "begin": 0.0, "unit": 1.0, "half": 0.5}
    values = [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in numbers.items()]
    values += [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in (("zero", 0), ("one", 1))]
    values.append(numpy_helper.from_array(np.array([0, 1, 2], np.int64), "axes"))
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)]
    graph = helper.make_graph(nodes, "voice", inputs, outputs, values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
