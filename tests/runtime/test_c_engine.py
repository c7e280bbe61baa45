"""The detector on the compiled C engine: the scores are those of ONNX Runtime, which runs whatever the engine does not."""

from __future__ import annotations

import ctypes
import dataclasses
import shutil
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import wordspot as ws
from support.command_line import run
from wordspot.errors import CardError, ConfigError, ExportError
from wordspot.runtime.model import Model, open_model, read_model
from wordspot.runtime.modelfile.card import read_card, with_card
from wordspot.runtime.modelfile.engine import compile as engine_compile
from wordspot.runtime.modelfile.engine import library as engine_library
from wordspot.runtime.modelfile.engine.library import Library, load_from
from wordspot.runtime.modelfile.engine.opening import open_engine
from wordspot.runtime.modelfile.graph import walk

OLD = Path(__file__).parents[1] / "files" / "0.1" / "words.onnx"
OPENING = "wordspot.runtime.modelfile.engine.opening.load_library"
#: Names of files, see `content`: those in the repository, and networks with random weights.
FILES = ("shipped", "0.1", "8 kHz", "local patterns", "a wake word", "weights in 8 bits", "a wake word in 8 bits")


@cache
def content(name: str) -> bytes:
    if name == "shipped":
        return read_model(None)[1]
    if name == "0.1":
        return OLD.read_bytes()
    pytest.importorskip("torch")
    from support.made_exports import export_made

    if name == "a wake word":
        return export_made("trigger_1d", model__dilations="1,4").model
    if name == "weights in 8 bits":  # n_local 40: so many that the first convolution over coefficients is in 8 bits too
        return export_made("residual_1d", int8=True, model__dilations="1,2", model__n_local=40).int8 or b""
    if name == "a wake word in 8 bits":
        return export_made("trigger_1d", int8=True, model__dilations="1,4").int8 or b""
    if name == "local patterns":
        return export_made("residual_1d", model__n_local=32, model__n_channels=24, model__dilations="1,2").model
    changes = {"features__sample_rate": 8000, "features__high_hz": 3800.0, "model__n_channels": 20, "model__dilations": "1,3"}
    return export_made("residual_1d", **changes).model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The engine, compiled from the sources as they are."""
    compiler = engine_compile.find_compiler()
    if compiler is None:
        pytest.skip("there is no C compiler")
    out = tmp_path_factory.mktemp("compiled")
    missing: list[str] = []
    made = engine_compile.compile_engine(out, compiler, missing.append)
    assert missing == []
    assert sorted(out.iterdir()) == sorted(made)
    return out


@pytest.fixture(scope="module")
def libraries(folder: Path) -> dict[str, Library]:
    """By name, as many as this processor can run; the last is the one that it takes."""
    handles = {path.stem: engine_library._open(path) for path in sorted(folder.iterdir())}
    lanes = {"engine": 4, "engine-avx2": 8, "engine-avx512": 16}
    found = {name: engine_library._library(name, handle) for name, handle in handles.items()}
    best = load_from(folder)
    assert best is not None
    able = {name: found[name] for name in lanes if name in found and lanes[name] <= handles["engine"].wordspot_lanes()}
    assert best.name == list(able)[-1]
    return able


def test_the_library_is_the_one_for_this_processor(folder: Path) -> None:
    """As Linux sees the processor."""
    if not Path("/proc/cpuinfo").is_file():
        pytest.skip("there is no /proc/cpuinfo")
    flags = set(Path("/proc/cpuinfo").read_text().split())
    expected = "engine-avx2" if {"avx2", "fma"} <= flags else "engine"
    if {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni"} <= flags:
        expected = "engine-avx512"
    found = load_from(folder)
    assert found is not None
    assert found.name == expected


@pytest.fixture
def library(libraries: dict[str, Library], monkeypatch: pytest.MonkeyPatch) -> Library:
    """The best one for this processor, which files are opened in."""
    best = list(libraries.values())[-1]
    monkeypatch.setattr(OPENING, lambda: best)
    monkeypatch.delenv("WORDSPOT_ENGINE", raising=False)
    return best


def sound(card: Any, seconds: float = 4.0, seed: int = 0) -> NDArray[np.float32]:
    """Noise of changing level and tones, as float that is no multiple of 1/32768; it begins loud."""
    n = int(seconds * card.sample_rate)
    rng, time = np.random.default_rng(seed), np.arange(n) / card.sample_rate
    level = 10 ** (-1.5 * np.abs(np.sin(2 * time + seed)))
    tones = np.sin(2 * np.pi * (300 + 200 * np.sin(3 * time)) * time)
    return (0.3 * level * (tones + 0.5 * rng.standard_normal(n))).clip(-1, 1).astype(np.float32)


def scores(model: Model, audio: NDArray[np.float32], *sizes: int) -> tuple[NDArray[np.float32], list[float]]:
    """Scores and times of audio that is fed in chunks of these sizes in turn; of all at once without any."""
    scorer, rows, ends, start, turn = ws.Scorer(model), [], [], 0, 0
    while start < len(audio):
        size = sizes[turn % len(sizes)] if sizes else len(audio)
        found, end_ms = scorer.feed(audio[start : start + size])
        rows.append(found)
        ends += end_ms.tolist()
        start, turn = start + size, turn + 1
    return np.concatenate(rows), ends


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["engine", "engine-avx2", "engine-avx512"])
def test_scores_are_those_of_onnx_runtime(
    libraries: dict[str, Library], monkeypatch: pytest.MonkeyPatch, name: str, kind: str
) -> None:
    if kind not in libraries:
        pytest.skip("this processor has no AVX2 or no AVX-512")
    monkeypatch.setattr(OPENING, lambda: libraries[kind])
    data = content(name)
    in_c, in_onnx = open_model(data, engine="c"), open_model(data, engine="onnx")
    assert in_c.engine == "C engine" + {"engine": "", "engine-avx2": ", AVX2", "engine-avx512": ", AVX-512"}[kind]
    assert in_onnx.engine == "ONNX Runtime"
    audio, hop = sound(in_c.card), in_c.card.step_samples
    expected, end_ms = scores(in_onnx, audio)
    assert expected.max() > 0.1
    for sizes in ((), (hop,), (7 * hop,), (1, 2 * hop + 3, 700, 17 * hop)):
        found, ends = scores(in_c, audio, *sizes)
        assert ends == end_ms
        np.testing.assert_allclose(found, expected, atol=2e-5)  # float32, added in another order
    clips = sound(in_c.card, 3 * in_c.card.clip_seconds, seed=1).reshape(3, -1)
    clips[1] *= 0.001
    np.testing.assert_allclose(ws.Classifier(in_c).classify(clips), ws.Classifier(in_onnx).classify(clips), atol=2e-5)


@pytest.mark.slow
def test_detections_in_real_recordings_are_those_of_onnx_runtime(library: Library, shared_data: Path) -> None:
    files = [file for word in ("yes", "stop", "left", "bed") for file in sorted(shared_data.rglob(f"{word}/*.opus"))[:12]]
    speech = sorted((shared_data / "english_speech").rglob("*.opus"))[:6]
    if len(files) < 24 or not speech:
        pytest.skip("there are no recordings of Speech Commands and english_speech")
    from wordspot.audio.files import read_audio

    quiet = 1e-4 * np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    audio = np.concatenate([part for file in [*files, *speech] for part in (read_audio(file, 16000)[0], quiet)])
    in_c, in_onnx = open_model(engine="c"), open_model(engine="onnx")
    expected, _ = scores(in_onnx, audio)
    np.testing.assert_allclose(scores(in_c, audio)[0], expected, atol=1e-4)
    np.testing.assert_allclose(scores(in_c, audio, 320)[0], expected, atol=1e-4)
    found = []
    for model in (in_c, in_onnx):
        detector = ws.Detector(model, sample_rate=22050, gain="auto")  # resampled and amplified: no whole numbers
        rows = [one for part in np.array_split(audio, 400) for one in detector.feed(part)]
        found.append([(one.label, one.time_ms, round(one.score, 3)) for one in rows + detector.flush()])
    assert found[0] == found[1]
    assert len(found[0]) > 5


def test_a_stream_ends_and_begins_anew(library: Library) -> None:
    model = open_model(OLD)
    assert model.engine.startswith("C engine")
    audio = sound(model.card)
    scorer = ws.Scorer(model)
    first, _ = scorer.feed(audio)
    scorer.reset()
    again, _ = scorer.feed(audio[: len(audio) // 2 + 5])
    assert (again == first[: len(again)]).all()
    scorer.flush()
    assert (scorer.feed(audio)[0] == first).all()


@pytest.mark.slow
def test_streams_in_many_threads_do_not_disturb_each_other(library: Library) -> None:
    model = open_model(OLD)
    audios = [sound(model.card, seed=seed) for seed in range(8)]
    expected = [scores(model, audio, 320)[0] for audio in audios]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: scores(model, audios[number % 8], 320)[0], range(32)))
    for number, rows in enumerate(found):
        assert (rows == expected[number % 8]).all()


def test_arrays_in_other_layouts_score_as_usual(library: Library) -> None:
    model = open_model(OLD)
    audio = sound(model.card)
    expected, _ = scores(model, audio)
    doubled = np.repeat(audio, 2)
    assert (ws.Scorer(model).feed(doubled[::2])[0] == expected).all()  # not contiguous
    both = np.stack([audio, audio], axis=1)
    assert (ws.Scorer(model).feed(both[:, 0])[0] == expected).all()
    clips = np.asfortranarray(np.tile(audio[: model.card.clip_samples], (2, 1)))
    assert (ws.Classifier(model).classify(clips)[0] == ws.Classifier(model).classify(clips)[1]).all()


def test_what_the_engine_does_not_know_runs_in_onnx_runtime(library: Library) -> None:
    """Without a warning: it is nothing that a user could change."""
    pytest.importorskip("torch")
    from support.made_exports import export_made

    other = export_made("conv").model
    assert open_model(other).engine == "ONNX Runtime"
    with pytest.raises(ConfigError, match=r"cannot run in the C engine: this file .*the C engine runs streaming files"):
        open_model(other, engine="c")


def zeros(scores: int, n_hops: int) -> None:
    """Write zeros over all scores [n_hops, labels] of `OLD`: what is left untouched may be right by stale memory."""
    ctypes.memset(scores, 0, n_hops * len(read_card(OLD.read_bytes()).labels) * ctypes.sizeof(ctypes.c_float))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"self_test": lambda stream: 0.5}, "its scores differ from those at export by 0.5"),
        ({"self_test": lambda stream: float("nan")}, "its scores differ from those at export by nan"),
        ({"feed": lambda stream, samples, n_hops, scores: zeros(scores, n_hops)}, "its scores differ"),
        ({"size": lambda *arguments: 0}, "does not accept the model's data"),
        ({"init": lambda *arguments: None}, "cannot start a stream"),
    ],
)
def test_an_engine_that_computes_wrongly_is_not_used(
    library: Library, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], message: str
) -> None:
    wrong = dataclasses.replace(library, **changes)
    monkeypatch.setattr(OPENING, lambda: wrong)
    with pytest.warns(RuntimeWarning, match=f"in the C engine .*{message}.*ONNX Runtime runs it") as warned:
        model = open_model(OLD)
    assert len(warned) == 1
    assert model.engine == "ONNX Runtime"
    with pytest.raises(ConfigError, match=message):
        open_model(OLD, engine="c")


def test_a_damaged_file_is_rejected_as_ever(library: Library) -> None:
    """The engine's self-test fails too, but it is the file's fault: no warning about the engine."""
    data = content("0.1")
    card = read_card(data)
    rows = tuple(tuple(value - 0.01 for value in row) for row in card.self_test.log_posteriors)
    other = with_card(data, dataclasses.replace(card, self_test=dataclasses.replace(card.self_test, log_posteriors=rows)))
    with pytest.raises(CardError, match="its self-test failed"):
        open_model(other)
    assert open_model(other, self_test=False).engine == "ONNX Runtime"


def test_a_weight_that_is_no_number_is_left_to_onnx_runtime(library: Library) -> None:
    """A ReLU of the engine turns NaN into 0, so that its self-test might pass."""
    data = content("0.1")
    walked = walk(data)
    bias = min((tensor for tensor in walked.initializers if tensor.shape[:1] == (16,)), key=lambda tensor: len(tensor.data))
    at = data.index(bias.data.tobytes())
    damaged = data[:at] + np.float32(np.nan).tobytes() + data[at + 4 :]
    with pytest.raises(ExportError, match="weights that are not finite numbers"):
        open_engine(walk(damaged), read_card(damaged))
    with pytest.raises(CardError, match="its self-test failed"):
        open_model(damaged)


def test_the_environment_and_the_argument_choose(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORDSPOT_ENGINE", "onnx")
    assert open_model(OLD).engine == "ONNX Runtime"
    assert ws.verify(OLD).engine == ws.info(OLD).engine == "ONNX Runtime"
    assert open_model(OLD, engine="auto").engine == open_model(OLD, engine="c").engine != "ONNX Runtime"
    monkeypatch.setenv("WORDSPOT_ENGINE", "")
    assert ws.verify(OLD).engine == ws.info(OLD).engine == open_model(OLD, engine="c").engine
    monkeypatch.setenv("WORDSPOT_ENGINE", "rust")
    with pytest.raises(ConfigError, match=r"WORDSPOT_ENGINE must be auto, c or onnx, got 'rust'"):
        open_model(OLD)
    with pytest.raises(ConfigError, match=r"`engine` must be auto, c or onnx, got 'C'"):
        open_model(OLD, engine="C")


def test_the_commands_say_which_engine_runs(library: Library, capsys: pytest.CaptureFixture[str]) -> None:
    name = open_model(OLD).engine
    assert f"runs in        {name}\n" in run(capsys, "info", OLD)[1]
    assert f"({name})" in run(capsys, "verify", OLD)[1]


def test_without_a_compiled_engine_onnx_runtime_runs_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OPENING, lambda: load_from(tmp_path / "nothing"))
    assert open_model(OLD).engine == "ONNX Runtime"
    with pytest.raises(ConfigError, match="cannot run in the C engine: this installation has no compiled engine"):
        open_model(OLD, engine="c")


def test_a_library_that_does_not_load_is_warned_of_once(tmp_path: Path) -> None:
    (tmp_path / f"engine{engine_library.ENDING}").write_bytes(b"no library")
    with pytest.warns(RuntimeWarning, match="the compiled engine cannot be used .*; ONNX Runtime runs all models"):
        assert load_from(tmp_path) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_from(tmp_path) is None


def test_a_library_of_other_sources_is_not_used(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    monkeypatch.setattr(engine_library, "INTERFACE", 99)
    with pytest.warns(RuntimeWarning, match=r"is of version 2, expected 99"):
        assert load_from(tmp_path / "copy") is None


@pytest.mark.slow
def test_onnx_runtime_is_not_needed(folder: Path) -> None:
    code = (
        "import sys; sys.modules['onnxruntime'] = None  # importing it raises ImportError\n"
        "from pathlib import Path; import wordspot.runtime.modelfile.engine.opening as opening\n"
        f"found = opening.load_library.__globals__['load_from'](Path({str(folder)!r})); opening.load_library = lambda: found\n"
        "import numpy as np, wordspot as ws\n"
        "detector = ws.Detector(); detector.feed(np.zeros(16000, np.float32)); detector.flush()\n"
        "print(detector.card.labels[-1])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == open_model(engine="onnx").card.labels[-1]


def test_a_compiler_that_fails_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert engine_compile.find_compiler() is None
    failing = tmp_path / "failing.py"
    failing.write_text("import sys; sys.exit('no vectors here')")
    out = tmp_path / "out"
    with pytest.raises(OSError, match="failed: no vectors here"):
        engine_compile.compile_engine(out, [sys.executable, str(failing)], pytest.fail)
    assert list(out.iterdir()) == []


def test_a_compiler_that_does_not_know_avx_512_makes_the_other_libraries(tmp_path: Path) -> None:
    """It says so, and an AVX-512 library of another version goes: it would not go with the others."""
    compiler = engine_compile.find_compiler()
    if compiler is None or not engine_compile._defines(compiler, "__x86_64__"):
        pytest.skip("there is no C compiler for x86-64")
    old = tmp_path / "old.py"
    run = f"sys.exit('no such flag' if '-mavx512f' in sys.argv else subprocess.call([*{compiler!r}, *sys.argv[1:]]))"
    old.write_text(f"import subprocess, sys; {run}")
    out = tmp_path / "out"
    out.mkdir()
    stale = out / f"engine-avx512{engine_library.ENDING}"
    stale.write_bytes(b"another version")
    missing: list[str] = []
    made = engine_compile.compile_engine(out, [sys.executable, str(old)], missing.append)
    assert [path.stem for path in made] == ["engine", "engine-avx2"]
    assert sorted(out.iterdir()) == sorted(made)
    (line,) = missing
    assert line.startswith(f"{stale.name} cannot be compiled: ")
    assert line.endswith("no such flag")
