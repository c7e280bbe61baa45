"""Reading the card and graph of an exported file: valid files are accepted, all others rejected quickly and in one line."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import math
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from support.made_onnx import LABELS, made_card, made_model, stream_graph
from wordspot.errors import CardError, NotFoundError
from wordspot.runtime.modelfile import shapes as onnx_shapes
from wordspot.runtime.modelfile.card import SelfTest, make_self_test, read_card, self_test_signal, to_json, with_card
from wordspot.runtime.modelfile.schema import parse_card

Change = Callable[[onnx.ModelProto], object]


@pytest.fixture(scope="module")
def stream() -> bytes:
    return made_model("stream")


def changed(model: bytes, change: Change) -> bytes:
    proto = onnx.load_from_string(model)
    change(proto)
    return bytes(proto.SerializeToString())


def signal_by_hand(test: SelfTest) -> list[int]:
    """The formula of the module's docstring, as whole numbers of 16 bits, one sample after the other."""
    random_number, samples = test.seed, []
    for n in range(test.n_samples):
        random_number = 48271 * random_number % (2**31 - 1)
        phases = [(start * n + sweep * n * n) % 2**24 for start, sweep in test.tones]
        loud = (1 + (n // 2048) % 4) / 4
        value = loud * sum(
            level * math.sin(2 * math.pi * phase / 2**24) for level, phase in zip((6000, 4000), phases, strict=True)
        )
        value += 1000 * (2 * random_number / (2**31 - 1) - 1)
        samples.append(math.floor(value + 0.5))
    return samples


def test_the_self_tests_signal_follows_its_formula() -> None:
    test = dataclasses.replace(make_self_test(16_000, 160), seed=77)
    signal = self_test_signal(test)
    assert signal.dtype == np.float32
    assert (signal * 32768).tolist() == signal_by_hand(test)
    assert np.abs(signal).max() < 0.5


def test_the_first_samples_of_the_signal() -> None:
    """For ports: n = 0 has no tone, and noise of 48271 / (2**31 - 1) above its lowest; the next ones with tones."""
    test = SelfTest(4, 1, ((1 << 20, 0), (1 << 22, 0)), (4,), ())
    # tones at loudness 1/4: 1500 sin(pi n / 8) + 1000 sin(pi n / 2); noise: 48271, 182605794, 1291394886, 1914720637
    noise = [1000 * (2 * number / 2147483647 - 1) for number in (48271, 182605794, 1291394886, 1914720637)]
    tones = [0, 574.0251 + 1000, 1060.6602, 1385.8193 - 1000]
    expected = [math.floor(tone + each + 0.5) for tone, each in zip(tones, noise, strict=True)]
    assert (self_test_signal(test) * 32768).tolist() == expected


@pytest.mark.parametrize(("clip", "step"), [(16_000, 160), (16_000, 320), (22_050, 0), (480, 480), (2_000_000, 0)])
def test_a_self_test_fits_the_model(clip: int, step: int) -> None:
    test = make_self_test(clip, step)
    assert test.ends[0] == clip
    assert test.n_samples == test.ends[-1] <= 2 * clip
    assert all(end % (step or 1) == 0 for end in test.ends)
    assert all(start * test.n_samples + sweep * test.n_samples**2 < 2**53 for start, sweep in test.tones)


@pytest.mark.parametrize("kind", ["stream", "clip"])
def test_a_card_comes_back_as_it_was_written(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "words.onnx"
    card = dataclasses.replace(made_card(kind), labels=("_silence_", "_unknown_", "наверх", "می\u200cروم"))
    path.write_bytes(made_model(kind, labels=card.labels, config={}))
    assert read_card(path) == read_card(path.read_bytes()) == dataclasses.replace(card, config={})


def test_a_new_card_takes_the_place_of_the_old_one(stream: bytes) -> None:
    other = changed(stream, lambda model: helper.set_model_props(model, {"author": "me", **props(model)}))
    card = dataclasses.replace(read_card(other), data={"name": "others", "clips": 3})
    written = with_card(other, card)
    assert read_card(written) == card
    model = onnx.load_from_string(written)
    assert sorted(props(model)) == ["author", "wordspot"]
    assert model.graph == onnx.load_from_string(other).graph
    assert with_card(written, card) == written


def props(model: onnx.ModelProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in model.metadata_props}


def test_what_is_no_onnx_file(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such file"):
        read_card(tmp_path / "missing.onnx")
    path = tmp_path / "picture.onnx"
    for content in (b"", b"hello\n", b"\x89PNG\r\n\x1a\n" + bytes(100), bytes(1000), b"PK\x03\x04" * 50, b"\xff" * 500):
        path.write_bytes(content)
        with pytest.raises(CardError, match=r"picture\.onnx: the file (has no ONNX graph|is damaged|is truncated|contains|has)"):
            read_card(path)


def test_a_file_cut_short_anywhere_is_rejected(stream: bytes) -> None:
    for length in range(0, len(stream), 13):
        with pytest.raises(CardError, match=r"^the model: the file (is|has) "):
            read_card(stream[:length])


def test_a_file_without_a_card() -> None:
    with pytest.raises(CardError, match="the file has no model card; use a file written by `wordspot export`"):
        read_card(stream_graph())


def test_a_file_too_large(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.truncate(100 << 20)
    with pytest.raises(CardError, match="at most 64 MB"):
        read_card(path)


@pytest.mark.parametrize("field", [b"\x22\x00", b"\x32\x00", b"\x08\x01"])
def test_a_file_of_nothing_but_entries_takes_no_time(field: bytes) -> None:
    begun = time.process_time()
    with pytest.raises(CardError, match=r"the file (is|has) "):
        read_card(field * 5_000_000)
    assert time.process_time() - begun < 3


def external_data(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"


def location_only(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL


def subgraph(model: onnx.ModelProto) -> None:
    body = helper.make_graph([helper.make_node("Relu", ["audio"], ["y"])], "body", [], [])
    model.graph.node.append(helper.make_node("If", ["c"], ["z"], then_branch=body, else_branch=body))


def function(model: onnx.ModelProto) -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    model.functions.append(helper.make_function("here", "F", ["x"], ["y"], [node], [helper.make_opsetid("", 18)]))


def sparse(model: onnx.ModelProto) -> None:
    values = helper.make_tensor("s", TensorProto.FLOAT, [1], [1.0])
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [1 << 40]))


def add_node(op_type: str, *inputs: str, domain: str = "", **attributes: Any) -> Change:
    return lambda model: model.graph.node.append(helper.make_node(op_type, list(inputs), ["made"], domain=domain, **attributes))


def add_constants(**constants: np.ndarray) -> Change:
    return lambda model: model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())


def both(*changes: Change) -> Change:
    return lambda model: [change(model) for change in changes]


def outer_product(op_type: str) -> Change:
    """300 kB that become 10**9 values at load."""
    column, row = np.zeros((32_000, 1), np.float32), np.zeros((1, 32_000), np.float32)
    return both(add_constants(column=column, row=row), add_node(op_type, "column", "row"))


def hidden_growth(model: onnx.ModelProto) -> None:
    """A slice that is empty in Python and holds one sample in ONNX, 5,000 times beside itself, thrice: 10**11 values."""
    constants = {"s": np.array([-(10**9)]), "e": np.array([-(2**62)]), "axis": np.array([1]), "back": np.array([-1])}
    add_constants(**constants)(model)
    nodes = [helper.make_node("Slice", ["audio", "s", "e", "axis", "back"], ["grown_0"])]
    for number in range(3):
        nodes.append(helper.make_node("Concat", [f"grown_{number}"] * 5000, [f"grown_{number + 1}"], axis=1))
    model.graph.node.extend(nodes)


def many_products(model: onnx.ModelProto) -> None:
    add_constants(column=np.ones((4096, 1), np.float32), row=np.ones((1, 4096), np.float32))(model)
    model.graph.node.extend(helper.make_node("Mul", ["column", "row"], [f"made_{number}"]) for number in range(4))


def nothing_sliced(model: onnx.ModelProto) -> None:
    add_constants(s=np.array([5]), axis=np.array([1]))(model)
    add_node("Slice", "audio", "s", "s", "axis")(model)


def set_dims(*dims: int) -> Change:
    def change(model: onnx.ModelProto) -> None:
        tensor = next(tensor for tensor in model.graph.initializer if tensor.name == "one")
        tensor.dims[:] = dims

    return change


def text_tensor(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(helper.make_tensor("t", TensorProto.STRING, [1], [b"x"]))


def float_data(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(helper.make_tensor("t", TensorProto.FLOAT, [1], [1.0]))


def computed_shape(model: onnx.ModelProto) -> None:
    add_node("Reshape", "audio", "computed")(model)
    model.graph.node.insert(len(model.graph.node) - 1, helper.make_node("Cast", ["audio"], ["computed"], to=7))


def rename_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].name = "sound"


def fix_length(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 160


def double_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE


def swap_outputs(model: onnx.ModelProto) -> None:
    outputs = list(model.graph.output)[::-1]
    del model.graph.output[:]
    model.graph.output.extend(outputs)


def fewer_labels(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.shape.dim[2].dim_value = 3


def drop_last_node(model: onnx.ModelProto) -> None:
    del model.graph.node[-1]


def first_last(model: onnx.ModelProto) -> None:
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes[1:], nodes[0]])


def mistype_attribute(model: onnx.ModelProto) -> None:
    node = next(node for node in model.graph.node if node.op_type == "AveragePool")
    next(each for each in node.attribute if each.name == "kernel_shape").type = onnx.AttributeProto.FLOATS


def widen_pool(model: onnx.ModelProto) -> None:
    node = next(node for node in model.graph.node if node.op_type == "AveragePool")
    next(each for each in node.attribute if each.name == "kernel_shape").ints[:] = [50]


HOSTILE: dict[str, tuple[Change, str]] = {
    "external data": (external_data, "contains external data"),
    "external by its location alone": (location_only, "the file stores 'one' as external data"),
    "a subgraph": (subgraph, "contains a subgraph"),
    "a function": (function, "contains local functions"),
    "sparse": (sparse, "contains sparse tensors"),
    "text": (text_tensor, "contains text tensors"),
    "data elsewhere": (float_data, "contains a tensor outside raw_data"),
    "training": (lambda model: model.training_info.add(), "contains training_info"),
    "shapes within": (lambda model: model.graph.value_info.add(), "contains shapes of values"),
    "Loop": (add_node("Loop", "", "", "audio"), "operator ':Loop', which wordspot"),
    "ConstantOfShape": (both(add_constants(n=np.array([1 << 40])), add_node("ConstantOfShape", "n")), "ConstantOfShape"),
    "Expand": (both(add_constants(n=np.array([1 << 40])), add_node("Expand", "one", "n")), "the operator ':Expand'"),
    "Tile": (both(add_constants(n=np.array([1 << 40])), add_node("Tile", "one", "n")), "the operator ':Tile'"),
    "Range": (both(add_constants(n=np.array(1 << 40)), add_node("Range", "zero", "n", "one")), "the operator ':Range'"),
    "Resize": (add_node("Resize", "audio"), "the operator ':Resize'"),
    "another domain": (add_node("Relu", "audio", domain="com.evil"), "the operator 'com.evil:Relu'"),
    "another opset": (lambda model: model.opset_import.append(helper.make_opsetid("com.evil", 1)), "supported are 18 to"),
    "an old opset": (lambda model: setattr(model.opset_import[0], "version", 9), "supported are 18 to"),
    "a product at load": (outer_product("MatMul"), "makes an array of shape"),
    "a sum at load": (outer_product("Add"), "makes an array of shape"),
    "padding": (
        both(add_constants(n=np.array([0, 0, 0, 1 << 40])), add_node("Pad", "audio", "n")),
        "makes an array of shape",
    ),
    "text made": (add_node("Cast", "audio", to=8), "Cast has inputs or attributes that wordspot does not use"),
    "a shape computed": (computed_shape, "a constant of the file"),
    "more dims than bytes": (set_dims(1000), "expected 4000"),
    "a product of dims beyond 64 bits": (set_dims(*[1 << 25] * 6), "the file's constant 'one' .* bytes; expected"),
    "negative dims": (set_dims(-1), "sizes from 1 to"),
    "no elements": (set_dims(0), "sizes from 1 to"),
    "an array made empty": (nothing_sliced, "an empty array: 'made' has the shape"),
    "growth hidden behind an empty slice": (hidden_growth, "makes an array of shape"),
    "many large arrays": (many_products, "values together"),
    "many numbers in an attribute": (add_node("LeakyRelu", "audio", alpha=[0.0] * 200_000), "more than 100000 entries"),
    "many dims": (set_dims(*[1] * 30), "at most 8 sizes"),
    "a value made twice": (lambda model: model.graph.node.append(model.graph.node[0]), "defines 'hops' twice"),
    "a constant named as an input": (add_constants(audio=np.zeros(1, np.float32)), "defines 'audio' twice"),
    "an input named otherwise": (rename_input, r"the card says \['audio', 'mean_state'\]"),
    "an input of one length": (fix_length, "'audio' is float32"),
    "an input of doubles": (double_input, "'audio' is float64"),
    "outputs the other way around": (swap_outputs, "the graph has the outputs"),
    "fewer labels": (fewer_labels, "'scores' is float32"),
    "no scores": (drop_last_node, "output 'scores' has the shape None, but the card says"),
    "operators out of order": (first_last, "is not made before it"),
    "an attribute of another type": (mistype_attribute, "needs one value of its type"),
    "another shape than it says": (widen_pool, "output 'scores' has the shape"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_rejected(name: str, stream: bytes) -> None:
    change, message = HOSTILE[name]
    with pytest.raises(CardError, match=message) as caught:
        read_card(changed(stream, change))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_self_test_that_takes_too_long_is_rejected(stream: bytes) -> None:
    """119 or 120 steps; each makes some 1,000 values and products at least."""
    with pytest.raises(CardError, match="the self-test needs more than the allowed 10000 multiplications"):
        read_card(stream, max_test_work=10_000)
    read_card(stream, max_test_work=10_000_000)


def test_slices_are_as_long_as_onnxs_own() -> None:
    """Against onnx's reference evaluator, for all starts, ends and steps about an array of 5."""
    nodes = [helper.make_node("Slice", ["x", "start", "end", "axes", "step"], ["y"])]
    model = ReferenceEvaluator(nodes[0])
    x, axes = np.zeros(5, np.float32), np.array([0])
    for start, end, step in itertools.product((-9, -6, -5, -2, 0, 3, 5, 9), (-9, -6, -5, -1, 0, 4, 5, 9), (-3, -1, 1, 2)):
        if step < 0 and start < -5:
            continue  # there it is Python's rule that the evaluator follows, and onnxruntime ONNX's
        values = {"x": x, "start": np.array([start]), "end": np.array([end]), "axes": axes, "step": np.array([step])}
        assert len(model.run(None, values)[0]) == onnx_shapes.slice_length(5, start, end, step), (start, end, step)
    assert onnx_shapes.slice_length(5, -9, -(2**62), -1) == 1


def test_a_field_given_twice_is_rejected(stream: bytes) -> None:
    """Two graphs would be merged by onnxruntime."""
    graph = onnx.load_from_string(stream).graph.SerializeToString()
    second = onnx.ModelProto()
    second.graph.ParseFromString(graph)
    with pytest.raises(CardError, match="the file has a model with several entries graph"):
        read_card(stream + second.SerializeToString())


def text_of(**changes: Any) -> str:
    return json.dumps({**to_json(made_card()), **changes})


def in_test(**changes: Any) -> str:
    return text_of(self_test={**to_json(made_card())["self_test"], **changes})


BAD_CARDS: dict[str, tuple[str, str]] = {
    "no JSON": ("{", "is not valid JSON"),
    "no object": ("[]", "JSON object"),
    "NaN": (text_of().replace('"tolerance": 0.0001', '"tolerance": NaN'), "is not valid JSON"),
    "infinity": (text_of(data={}).replace('"data": {}', '"data": {"clips": 1e999}'), "not finite"),
    "a number of many digits": (
        text_of(data={}).replace('"data": {}', f'"data": {{"clips": {"9" * 5000}}}'),
        "is not valid JSON",
    ),
    "nested deep": ('{"data": ' * 50_000, "is not valid JSON"),
    "nested less deep": (text_of(data={"a": [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}), "more than 12 levels"),
    "too long": (text_of(data={"a": "x" * (1 << 20)}), "at most 1048576 are allowed"),
    "newer": (text_of(format_version=2), "Install a newer wordspot"),
    "an unknown entry": (text_of(colour="red"), "unknown entry 'colour'"),
    "another kind": (text_of(kind="box"), "kind is 'box'; expected one of stream, clip"),
    "no labels": (text_of(labels=[]), "expected 1 to 1000, all text"),
    "a label twice": (text_of(labels=["a", "a", "b", "c"]), "repeats a label"),
    "a label of a terminal's orders": (text_of(labels=["a", "b", "c", "\x1b[2J"]), "with control characters"),
    "orders in the attribution": (text_of(data={"attribution": "\x1b]0;x\x07"}), "with control characters"),
    "orders in the network's name": (text_of(config={"model": {"name": "\x9b2J"}}), "with control characters"),
    "a rate of text": (text_of(sample_rate="16000"), "sample_rate is '16000'; expected a whole number"),
    "a rate of truth": (text_of(sample_rate=True), "sample_rate is True; expected a whole number"),
    "a rate far off": (text_of(sample_rate=10**9), "sample_rate is 1000000000; expected 1000 to 192000"),
    "a huge clip": (text_of(clip_samples=10**12), "clip_samples is 1000000000000; expected 1 to"),
    "a step of nothing": (text_of(step_samples=0), "step_samples is 0; expected 1 to"),
    "a step that does not fit": (text_of(step_samples=161), "not a multiple of step_samples"),
    "a huge state": (text_of(states=[{"name": "s", "shape": [4000, 4000]}]), "more than .* values"),
    "a state of strange shape": (text_of(states=[{"name": "s", "shape": [-1]}]), "shape is -1; expected 1 to"),
    "a state twice": (text_of(states=[{"name": "s", "shape": [1]}] * 2), "repeats a state's name"),
    "a state without a shape": (text_of(states=[{"name": "s"}]), "a name and a shape"),
    "too many states": (text_of(states=[{"name": "s", "shape": [1]}] * 101), "at most 100 are allowed"),
    "states of clips": (text_of(kind="clip", step_samples=0), "only for a streaming model"),
    "a threshold above 1": (text_of(decoder={"threshold": 2}), "decoder settings are invalid"),
    "a threshold of no label": (text_of(decoder={"thresholds": {"up": 0.5}}), "'up', which is not one of its labels"),
    "8 bits of another kind": (text_of(quantization="int3"), "quantization is 'int3'; expected one of"),
    "no self-test": (text_of(self_test=None), "self_test is None; expected a JSON object"),
    "a self-test of other entries": (text_of(self_test={"ends": []}), "the self-test has other entries"),
    "a self-test of hours": (in_test(n_samples=1 << 40), "n_samples is .*; expected"),
    "no rows": (in_test(ends=[], log_posteriors=[]), "1 to 64"),
    "a row too few": (in_test(log_posteriors=[[0.0, -9, -9, -9]]), "2 ends and 1 rows"),
    "a row too short": (in_test(log_posteriors=[[0.0], [0.0]]), "expected 4 values"),
    "rows that are no posteriors": (in_test(log_posteriors=[[-5.0] * 4] * 2), "do not add up to 1"),
    "an end between two steps": (in_test(ends=[16_000, 16_001]), "expected multiples of 160 samples"),
    "an end before the clip": (in_test(ends=[160, 16_000]), "ends is 160; expected 16000 to"),
    "three tones": (in_test(tones=[[1, 1]] * 3), "expected two"),
    "a tone beyond floating point": (in_test(tones=[[1, 1 << 40], [1, 1]]), "the card's sweep is"),
    "any tolerance": (in_test(tolerance=5), "the card's tolerance is 5; expected"),
    "clips of a gigabyte": (
        text_of(
            kind="clip",
            step_samples=0,
            states=[],
            clip_samples=1 << 20,
            self_test={
                **to_json(made_card())["self_test"],
                "n_samples": 1 << 20,
                "ends": [1 << 20] * 64,
                "log_posteriors": [[0.0, -99.0, -99.0, -99.0]] * 64,
            },
        ),
        "the self-test's clips have more than",
    ),
}


@pytest.mark.parametrize("name", BAD_CARDS)
def test_a_card_that_makes_no_sense_is_rejected(name: str) -> None:
    text, message = BAD_CARDS[name]
    with pytest.raises(CardError, match=message) as caught:
        parse_card(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_good_card_is_taken() -> None:
    assert parse_card(text_of()).labels == LABELS


@pytest.mark.parametrize("seed", range(4))
def test_mutated_files_are_rejected_or_read(seed: int, stream: bytes) -> None:
    """Bytes changed, left out, doubled, inserted: a card or a `CardError`, never anything else."""
    rng = random.Random(seed)
    n_refused = 0
    for _ in range(100):
        mutated = bytearray(stream)
        for _ in range(rng.choice((1, 1, 1, 2, 8))):
            at, length = rng.randrange(len(mutated)), rng.choice((1, 1, 2, 20))
            piece = mutated[at : at + length]
            new = rng.choice((rng.randbytes(length), b"", piece + piece, bytes([piece[0] ^ 1 << rng.randrange(8)])))
            mutated[at : at + length] = new
        with contextlib.suppress(CardError):
            read_card(bytes(mutated))
            n_refused -= 1
        n_refused += 1
    assert n_refused > 30  # the others hit a weight, a name for people, or a value of the card


@pytest.mark.slow
def test_reading_a_card_needs_neither_torch_nor_onnx() -> None:
    heavy = ("torch", "onnx", "onnxruntime", "google")
    code = f"import sys, wordspot.runtime.modelfile.card; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
