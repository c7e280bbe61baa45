"""The model card inside an exported file: labels, sizes, decoder settings, licences of the data and a self-test.

The card is JSON in the metadata of the file, under the key ``wordspot``. `read_card` checks the entire file in bounded steps
before onnxruntime sees any of it, and rejects everything that wordspot does not write itself.

The signal of the self-test, for ports to other languages: with integers, for sample n from 0 ::

    phase(n) = (start · n + sweep · n · n) mod 2**24                of two tones, (start, sweep) each
    random(n) = 48271 · random(n - 1) mod (2**31 - 1)               with random(-1) = seed
    loud(n) = 1 + (n div 2048) mod 4                                four levels in turn
    value(n) = loud(n) / 4 · (6000 · sin(2π · phase_1(n) / 2**24) + 4000 · sin(2π · phase_2(n) / 2**24))
             + 1000 · (2 · random(n) / (2**31 - 1) - 1)
    sample(n) = floor(value(n) + 1/2) / 32768

All products stay below 2**53, where floating point is exact, and each sample is a 16-bit value.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wordspot.errors import CardError, NotFoundError
from wordspot.formats import shown
from wordspot.runtime.modelfile import graph as onnx_walk
from wordspot.runtime.modelfile import shapes as onnx_shapes
from wordspot.runtime.modelfile.schema import MODULUS, PHASES, Card, SelfTest, State, parse_card, to_json

__all__ = [
    "Card", "SelfTest", "State", "make_self_test", "most_at_once", "read_card", "read_content", "self_test_signal", "to_json",
    "with_card",
]  # fmt: skip

KEY = "wordspot"
_MAX_FILE_BYTES = 64 << 20
_FACTOR, _BLOCK = 48271, 2048
_MOST_STEPS, _MOST_CLIPS, _MOST_SAMPLES = 256, 32, 1 << 21  # of one call
_MANY_SCALE = 8  # more than for one step or clip, so that cost cannot grow with the square
MAX_TEST_WORK = 1 << 36  # multiplications, and values made, in a whole self-test: some seconds


def read_card(model: Path | str | bytes, name: str = "", *, max_test_work: int = MAX_TEST_WORK) -> Card:
    """The card of an exported file, after checking the entire file in bounded steps.

    Args:
        model: the file, or its content.
        name: name of the content in messages; a file is named by its path.
        max_test_work: the largest allowed number of multiplications and computed values in the entire self-test.

    Raises:
        NotFoundError: there is no such file.
        CardError: the file was not written by wordspot or exceeds a limit; the message says which.
    """
    return read_card_and_graph(model, name, max_test_work=max_test_work)[0]


def read_card_and_graph(
    model: Path | str | bytes, name: str = "", *, max_test_work: int = MAX_TEST_WORK
) -> tuple[Card, onnx_walk.Walked]:
    """As `read_card`, with the content of the file."""
    name, data = (name or "the model", model) if isinstance(model, bytes) else read_content(Path(model))
    if len(data) > _MAX_FILE_BYTES:
        raise CardError(f"{name}: the file is too large; an exported model has at most {_MAX_FILE_BYTES >> 20} MB")
    if data.lstrip()[:1] == b"{":
        raise CardError(
            f"{name}: a JSON file, not an .onnx file written by `wordspot export`. If it is the manifest of a wake word for "
            "ESPHome: it has no self-test, and `wordspot info`, `detect`, `test-stream` and `tune` accept it"
        )
    try:
        walked = onnx_walk.walk(data)
        card = parse_card(walked.metadata.get(KEY))
        _check_against(card, walked, max_test_work)
    except CardError as error:
        raise CardError(f"{name}: {error}") from error.__cause__
    return card, walked


def read_content(path: Path) -> tuple[str, bytes]:
    """The name of a file, and its content for `read_card`; of a file that is too large, only the beginning.

    Raises:
        NotFoundError: no such file.
    """
    if not path.is_file():
        kind = "is a folder" if path.is_dir() else "no such file"
        raise NotFoundError(f"{path}: {kind}; expected a model file written by `wordspot export`")
    with path.open("rb") as file:
        return str(path), file.read(_MAX_FILE_BYTES + 1)


def most_at_once(card: Card) -> int:
    """The number of steps (of a stream) or clips that one call may process, for which `read_card` has checked the file."""
    return _MOST_STEPS if card.kind == "stream" else max(min(_MOST_CLIPS, _MOST_SAMPLES // card.clip_samples), 1)


def with_card(model: bytes, card: Card) -> bytes:
    """The ONNX file `model` with `card` as its card."""
    text = json.dumps(to_json(card), ensure_ascii=False, allow_nan=False)
    return onnx_walk.with_metadata(model, KEY, text)


def self_test_signal(test: SelfTest) -> NDArray[np.float32]:
    """The signal of the self-test, by the formula in the module docstring: float32 [n_samples]."""
    n = np.arange(test.n_samples, dtype=np.int64)
    phases = [2 * np.pi / PHASES * ((start * n + sweep * n * n) % PHASES) for start, sweep in test.tones]
    loudness = (1 + n // 2048 % 4) / 4
    tones = loudness * (6000 * np.sin(phases[0]) + 4000 * np.sin(phases[1]))
    noise = 1000 * (2 * _random(test.seed, test.n_samples) / MODULUS - 1)
    result: NDArray[np.float32] = (np.floor(tones + noise + 0.5) / 32768).astype(np.float32)
    return result


def _random(seed: int, n_samples: int) -> NDArray[np.int64]:
    """The random numbers of the formula, computed in blocks of `_BLOCK`; each block continues the previous one."""
    powers = np.array([_FACTOR], np.int64)
    while len(powers) < _BLOCK:
        powers = np.concatenate([powers, powers * powers[-1] % MODULUS])
    blocks = []
    for _ in range(-(-n_samples // _BLOCK)):
        blocks.append(powers * seed % MODULUS)
        seed = int(blocks[-1][-1])
    return np.concatenate(blocks)[:n_samples]


def make_self_test(first_end: int, step_samples: int) -> SelfTest:
    """A self-test without its expected scores, 1.5 times as long as `first_end`, the end of its first row.

    `first_end` is the length of a clip, or for a stream a longer multiple of `step_samples`.
    """
    step = step_samples or 1
    ends = tuple(first_end + first_end * part // 8 // step * step for part in (0, 1, 2, 4))
    sweep = 3 * PHASES // (20 * ends[-1])  # the upper tone moves by 0.3 of the sample rate
    return SelfTest(
        n_samples=ends[-1],
        seed=1,
        tones=((PHASES // 80, sweep), (PHASES // 20, 0)),
        ends=tuple(sorted(set(ends))),
        log_posteriors=(),
    )


def _check_against(card: Card, walked: onnx_walk.Walked, max_test_work: int) -> None:
    """Check that card and graph agree on inputs and outputs and stay within the limits of a keyword spotter."""
    if set(walked.opsets) != {""} or walked.opsets[""] not in onnx_shapes.OPSETS:
        raise CardError(
            f"the ONNX operators are of version {shown(walked.opsets)}; supported are "
            f"{onnx_shapes.OPSETS[0]} to {onnx_shapes.OPSETS[-1]}"
        )
    free = 0 if card.kind == "clip" else 1
    states = [(state.name, state.shape, None) for state in card.states]
    new_states = [(f"new_{state.name}", state.shape, None) for state in card.states]
    _check_values("inputs", [("audio", (1, card.clip_samples), free), *states], walked.inputs)
    _check_values("outputs", [("scores", (1,) * (free + 1) + (len(card.labels),), free), *new_states], walked.outputs)
    _check_shapes(card, walked, 1, 1)
    count = most_at_once(card)
    known = _check_shapes(card, walked, count, _MANY_SCALE)
    n_rows = len(card.self_test.ends) if card.kind == "clip" else card.self_test.n_samples // card.step_samples
    if (known.products + known.total) * n_rows > max_test_work * count:
        raise CardError(f"the self-test needs more than the allowed {max_test_work} multiplications")


def _check_shapes(card: Card, walked: onnx_walk.Walked, count: int, scale: int) -> onnx_shapes.Shapes:
    """Infer all shapes for so many steps or clips at once, and check those of the outputs."""
    sizes = {state.name: state.shape for state in card.states}
    audio = (count, card.clip_samples) if card.kind == "clip" else (1, count * card.step_samples)
    known = onnx_shapes.infer_shapes(walked, {"audio": audio, **sizes}, scale)
    scores = (count, len(card.labels)) if card.kind == "clip" else (1, count, len(card.labels))
    for name, shape in {"scores": scores, **{f"new_{name}": shape for name, shape in sizes.items()}}.items():
        if known.shapes.get(name) != shape:
            raise CardError(
                f"the graph's output {name!r} has the shape {shown(known.shapes.get(name))}, but the card says {list(shape)}"
            )
    return known


def _check_values(what: str, expected: list[tuple[str, tuple[int, ...], int | None]], found: list[onnx_walk.Value]) -> None:
    """Check names, element types and shapes. An expected value is a name, a shape and its free axis."""
    names, given = [name for name, _, _ in expected], [value.name for value in found]
    if names != given:
        raise CardError(f"the graph has the {what} {shown(given)}, but the card says {shown(names)}")
    for (name, shape, free), value in zip(expected, found, strict=True):
        fits = len(value.shape) == len(shape) and all(
            isinstance(size, str) if axis == free else size == shape[axis] for axis, size in enumerate(value.shape)
        )
        if value.element_type != "float32" or not fits:
            raise CardError(
                f"{name!r} is {value.element_type} {shown(list(value.shape))} in the graph, "
                f"but float32 {shown(list(shape))} by the card"
            )
