"""The C engine against ONNX Runtime, and its decoder on the vectors that every port runs."""

from __future__ import annotations

import ctypes
import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from support.made_engine import (
    HERE,
    PROCESSORS,
    Detection,
    Settings,
    Stream,
    aligned,
    compiled,
    engine_sources,
    flags_for,
    load_engine,
)
from support.made_exports import export_made
from wordspot.config import DecoderConfig
from wordspot.errors import WordspotError
from wordspot.export.c_target import engine_model
from wordspot.overrides import decoder_from_json
from wordspot.runtime.detector import Detector
from wordspot.runtime.model import read_model
from wordspot.runtime.modelfile.card import read_card, self_test_signal
from wordspot.runtime.modelfile.engine.blob import make_blob, rounded
from wordspot.runtime.modelfile.engine.reference import reference_scores
from wordspot.runtime.modelfile.session import open_session, run_stream

OLD = Path(__file__).parents[1] / "files" / "0.1" / "words.onnx"
VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "decoder.json").read_text(encoding="utf-8"))
KINDS = ("peak", "classic", "micro")

#: Networks of other shapes than the default one; a name, and the settings that differ.
MADE: dict[str, tuple[str, dict[str, Any]]] = {
    "8 kHz, widths that vectors do not divide": (
        "residual_1d",
        {
            "features__sample_rate": 8000, "features__high_hz": 3800.0, "features__n_mels": 23, "model__n_channels": 20,
            "model__expansion": 3, "model__dilations": "1,3",
        },
    ),
    "a transform of 1024, hops of 20 ms": (
        "residual_1d",
        {"features__fft_size": 1024, "features__window_ms": 60.0, "features__hop_ms": 20.0, "model__n_channels": 32,
         "model__dilations": "1,2"},
    ),
    "local patterns": ("residual_1d", {"model__n_local": 32, "model__n_channels": 24, "model__dilations": "1,2"}),
    "local patterns of odd widths": (
        "residual_1d",
        {"features__n_mels": 23, "model__n_local": 37, "model__n_channels": 20, "model__dilations": "2"},
    ),
    "one local pattern": ("residual_1d", {"features__n_mels": 33, "model__n_local": 1, "model__dilations": "1"}),
    "a wake word": ("trigger_1d", {"model__dilations": "1,4"}),
    "a wake word with local patterns": ("trigger_1d", {"model__dilations": "2", "model__n_channels": 20, "model__n_local": 12}),
    "a wake word whose window is no multiple of the hop": (
        "trigger_1d",
        {"features__window_ms": 25.0, "model__n_channels": 18, "model__dilations": "2", "model__window_frames": 60},
    ),
}  # fmt: skip


@cache
def content(name: str) -> bytes:
    if name == "shipped":
        return read_model(None)[1]
    if name == "0.1":
        return OLD.read_bytes()
    network, settings = MADE[name]
    return export_made(network, **settings).model


@pytest.fixture(scope="module", params=[1, 4, 8, 16], ids=lambda lanes: f"{lanes} lanes")
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_engine(tmp_path_factory.mktemp("engine"), "-O2", f"-DWS_LANES={request.param}")


@pytest.fixture(scope="module")
def one_library(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_engine(tmp_path_factory.mktemp("engine"), "-O2")


def scores_of_file(data: bytes, samples: NDArray[np.int16]) -> NDArray[np.float32]:
    card = read_card(data)
    return run_stream(open_session(data), card, (samples / np.float32(32768))[None], 100)[0]


def made_sound(card: Any) -> NDArray[np.int16]:
    """The signal of the self-test, silence, then loud noise."""
    signal = (self_test_signal(card.self_test) * 32768).astype(np.int16)
    noise = np.random.default_rng(0).integers(-32768, 32768, card.sample_rate // 2).astype(np.int16)
    return np.concatenate([signal, np.zeros(card.sample_rate // 4, np.int16), noise])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["shipped", "0.1", *MADE])
def test_scores_are_those_of_onnx_runtime(library: Any, name: str) -> None:
    data = content(name)
    model, card = engine_model(data)
    stream = Stream(library, make_blob(model, card), len(card.labels))
    samples = made_sound(card)
    expected = scores_of_file(data, samples)
    for n_hops in (1, 2, 7, 48):
        size = n_hops * card.step_samples
        pieces = [samples[start : start + size] for start in range(0, len(expected) * card.step_samples, size)]
        scores = np.concatenate([stream.feed(piece, len(piece) // card.step_samples)[0] for piece in pieces])
        assert np.abs(scores - expected).max() < 1e-5  # float32, added in another order
        stream.reset()
    difference, tolerance = stream.self_test()
    assert tolerance == pytest.approx(card.self_test.tolerance)
    assert difference < tolerance / 2


@pytest.mark.slow
@pytest.mark.parametrize("processor", PROCESSORS)
def test_weights_in_8_bits_give_the_scores_of_numpy(tmp_path: Path, processor: str) -> None:
    library = load_engine(tmp_path, "-O2", *flags_for(processor))
    for data in (content("shipped"), content("0.1"), content("local patterns"), content("local patterns of odd widths")):
        model, card = engine_model(data)
        stream = Stream(library, make_blob(model, card, "int8"), len(card.labels))
        difference, tolerance = stream.self_test()
        assert difference < tolerance / 4
        samples = made_sound(card)
        rows = slice(card.clip_samples // card.step_samples, None)
        scores = stream.feed(samples, len(samples) // card.step_samples)[0][rows]
        in_numpy = reference_scores(model.with_weights(rounded), samples / np.float32(32768), small=True)[rows]
        assert np.abs(scores - in_numpy).max() < 1e-3
        assert np.abs(scores - scores_of_file(data, samples)[rows]).max() < 0.1  # a weight moves by up to 0.4 % of its peak


def test_the_self_test_fails_if_a_weight_is_wrong(one_library: Any) -> None:
    model, card = engine_model(OLD)
    blob = bytearray(make_blob(model, card))
    assert Stream(one_library, bytes(blob), len(card.labels)).self_test()[0] < 1e-4
    weights = np.frombuffer(blob, np.float32)[64:]  # after the header
    weights[len(model.window) // 2] *= 1.5  # the middle of the window
    assert Stream(one_library, bytes(blob), len(card.labels)).self_test()[0] > 1e-2


@pytest.mark.slow
def test_detections_are_those_of_the_detector(one_library: Any, shared_data: Path) -> None:
    """Clips of words, one after another with a second of silence between."""
    from wordspot.audio.files import read_audio

    files = (
        sorted((shared_data / "speech_commands").rglob("yes/*.opus"))[:10]
        + sorted((shared_data / "speech_commands").rglob("stop/*.opus"))[:10]
    )
    if not files:
        pytest.skip("there are no recordings of speech_commands")
    data = read_model(None)[1]
    parts = [np.concatenate([read_audio(file, 16000)[0], np.zeros(16000, np.float32)]) for file in files]
    samples = (np.concatenate(parts) * 32767).astype(np.int16)
    detector = Detector(data)
    expected = detector.feed(samples) + detector.flush()
    assert len(expected) > 8
    model, card = engine_model(data)
    stream = Stream(one_library, make_blob(model, card), len(card.labels))
    found = stream.feed(samples, len(samples) // card.step_samples)[1] + stream.flush()
    assert [(stream.label(one.label), one.time_ms, one.emitted_ms) for one in found] == [
        (one.label, one.time_ms, one.emitted_ms) for one in expected
    ]
    assert [one.score for one in found] == pytest.approx([one.score for one in expected], abs=1e-5)


def expand(runs: list[list[Any]]) -> list[tuple[float, list[float]]]:
    """The rows of a case, as the vectors' `about` explains them."""
    rows = []
    for first, last, step, scores, *count in runs:
        times = [first] * (count[0] if count else 1) if step == 0 else np.arange(first, last + step / 2, step).tolist()
        rows += [(float(time), scores) for time in times]
    return rows


def decode(library: Any, config: DecoderConfig, labels: list[str], rows: list[tuple[float, list[float]]]) -> list[Any]:
    """Detections of the C decoder. Raises ValueError if it rejects the configuration or a row."""
    number = {label: labels.index(label) if label in labels else len(labels) for label in ("_silence_", "_unknown_")}
    settings = Settings(
        KINDS.index(config.kind), config.minimum_count, config.average_ms, config.suppression_ms, config.refractory_ms,
        config.confirm_ms, config.stride_ms,
    )  # fmt: skip
    thresholds = np.array([config.threshold_of(label) for label in labels])
    most_rows = max(len(rows), 1)
    n_bytes = library.ws_decoder_size(ctypes.byref(settings), len(labels), most_rows)
    memory = np.full(n_bytes, 0xA5, np.uint8)
    decoder = library.ws_decoder_init(
        memory.ctypes.data, n_bytes, ctypes.byref(settings), thresholds.ctypes.data, len(labels), number["_silence_"],
        number["_unknown_"], most_rows,
    )  # fmt: skip
    if not decoder:
        raise ValueError("rejected settings")
    found, two = [], (Detection * 2)()
    for time, scores in rows:
        row = np.array(scores, np.float64)
        n = library.ws_decode(decoder, row.ctypes.data, time, two)
        if n < 0:
            raise ValueError("rejected row")
        found += [(labels[one.label], one.time_ms, one.score, one.emitted_ms) for one in two[:n]]
    n = library.ws_decoder_flush(decoder, two)
    return found + [(labels[one.label], one.time_ms, one.score, one.emitted_ms) for one in two[:n]]


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["name"])
def test_decoder_vector(one_library: Any, case: dict[str, Any]) -> None:
    rows = expand(case["rows"])
    if case.get("error"):
        if any(len(scores) != len(case["labels"]) for _, scores in rows) or set(case["config"].get("thresholds", {})) - {
            *case["labels"]
        }:
            pytest.skip("scores and thresholds are C arrays, which have no length and no names to check")
        with pytest.raises((ValueError, WordspotError)):
            decode(one_library, decoder_from_json(case["config"]), case["labels"], rows)
        return
    found = decode(one_library, decoder_from_json(case["config"]), case["labels"], rows)
    expected = [(label, time, pytest.approx(score, abs=1e-6), out) for label, time, score, out in case["detections"]]
    assert found == expected


@pytest.mark.parametrize("change", ["settings", "threshold", "time", "score"])
def test_the_decoder_rejects_what_is_out_of_range(one_library: Any, change: str) -> None:
    nan = float("nan")
    config = DecoderConfig()
    rows = [(0.0, [0.5, 0.5]), (nan if change == "time" else 10.0, [0.5, nan if change == "score" else 0.5])]
    if change == "settings":
        object.__setattr__(config, "average_ms", nan)
    if change == "threshold":
        object.__setattr__(config, "threshold", nan)
    with pytest.raises(ValueError, match="rejected"):
        decode(one_library, config, ["a", "b"], rows)


def test_a_blob_that_is_cut_or_too_long_or_of_another_version_is_rejected(one_library: Any) -> None:
    blob = make_blob(*engine_model(OLD))
    changed = bytearray(blob)
    changed[8] = 1
    for wrong in (blob[:-64], blob + bytes(64), blob[:100], b"", bytes(changed), b"W" + blob[1:]):
        kept, at = aligned(wrong)
        assert one_library.ws_size(at, len(wrong)) == 0
        assert len(kept) > len(wrong)  # it lives until here
    kept, at = aligned(blob)
    assert one_library.ws_size(at, len(blob)) > 0
    assert one_library.ws_size(at + 4, len(blob)) == 0  # not aligned
    assert len(kept) > len(blob)


@pytest.mark.slow
@pytest.mark.parametrize("processor", ["as it is", "AVX2", "AVX-512"])
def test_mutated_blobs_neither_crash_nor_read_beyond_their_end(tmp_path: Path, processor: str) -> None:
    """With AddressSanitizer and UndefinedBehaviorSanitizer; docs/devices.md says how many more were run by hand."""
    flags = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", *flags_for(processor))
    program = tmp_path / "fuzz"
    try:
        compiled(program, [*engine_sources(), HERE / "fuzz_engine.c"], *flags)
    except AssertionError as error:
        if "asan" in str(error) or "sanitize" in str(error):
            pytest.skip("the compiler has no sanitizers")
        raise
    for name in ("0.1", "local patterns of odd widths"):
        for weights in ("float32", "int8"):
            (tmp_path / "blob").write_bytes(make_blob(*engine_model(content(name)), weights))
            done = subprocess.run([program, tmp_path / "blob", "4000", "7"], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr[-3000:]
            accepted = int(done.stdout.split()[2])
            assert 400 < accepted < 3600  # both ways of the reader are taken
