"""`wordspot export --target wasm`: the page detects in Chromium what the detector does in Python."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import build_wasm
import numpy as np
import pytest
import soundfile

import wordspot as ws
from support.browser import Browser, find_browser
from support.command_line import fails, run
from support.made import RATE, spoken_tones
from support.static_site import serve_folder
from wordspot.errors import ConfigError, NotFoundError
from wordspot.runtime.modelfile.engine import wasm

OLD = Path(__file__).parents[1] / "files" / "0.1" / "words.onnx"
SOURCES = build_wasm.OUT.parent


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `importlib.resources` finds as the package: with the engine built from the sources as they are."""
    if not (shutil.which("clang") and shutil.which("wasm-ld")):
        pytest.skip("there is no clang or no wasm-ld")
    folder = tmp_path_factory.mktemp("package")
    build_wasm.build(folder / "engine" / "wasm" / "engine.wasm")
    for name in ("wordspot.js", "index.html"):
        shutil.copy(SOURCES / name, folder / "engine" / "wasm")
    return folder


@pytest.fixture
def engine(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wasm.importlib.resources, "files", lambda name: package)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """The address of what is in `page`."""
    with serve_folder(tmp_path / "page") as address:
        yield address


@pytest.mark.slow
@pytest.mark.skipif(find_browser() is None, reason="no Chromium")
@pytest.mark.parametrize("weights", ["int8", "float32"])
def test_the_page_detects_what_the_detector_does(engine: None, tmp_path: Path, site: str, weights: str) -> None:
    audio = spoken_tones()
    soundfile.write(tmp_path / "spoken.wav", audio, RATE, subtype="PCM_16")
    detector = ws.Detector(OLD)
    expected = [one.label for one in detector.feed(audio) + detector.flush()]
    assert len(expected) >= 2
    ws.export_wasm(OLD, tmp_path / "page", weights=weights)
    flags = ("--autoplay-policy=no-user-gesture-required",)
    with Browser(tmp_path / "browser", *flags, microphone=tmp_path / "spoken.wav") as browser:
        page = browser.open(f"{site}/")
        page.click("#listen")
        page.wait_for(f"document.querySelectorAll('#heard li').length >= {len(expected)}")
        heard = page.evaluate("[...document.querySelectorAll('#heard li')].map(line => line.textContent.split(' ')[2])")
        assert heard == expected
        code = """(async () => {
            const { Wordspot } = await import("./wordspot.js");
            const content = async (name) => (await fetch(name)).arrayBuffer();
            const words = new Wordspot(await content("engine.wasm"), await content("model.bin"));
            const test = words.selfTest(), rows = [], found = [];
            const audio = Float32Array.from({ length: 48000 }, (_, n) => 0.3 * Math.sin(n * n / 300000));
            for (let start = 0; start < audio.length; start += 160) {
              found.push(...words.feed(audio.subarray(start, start + 160)));
              rows.push([...words.scores]);
            }
            return JSON.stringify({ test, rows: rows.slice(words.earlyRows), labels: words.labels });
        })()"""
        result = json.loads(page.evaluate(code))
        problems = page.problems()
        page.close()
    assert problems == []
    assert result["test"]["difference"] <= result["test"]["tolerance"]
    n = np.arange(48000)
    scores, _ = ws.Scorer(OLD).feed((0.3 * np.sin(n * n / 300000)).astype(np.float32))
    assert result["labels"] == list(detector.card.labels)
    np.testing.assert_allclose(result["rows"], scores, atol=0.1 if weights == "int8" else 1e-4)


def test_the_command_writes_the_page_and_says_its_size(engine: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = json.loads(run(capsys, "export", OLD, "--target", "wasm", "--out", tmp_path / "page", "--json")[1])
    assert written["weights"] == "int8"
    assert written["model_bytes"] == (tmp_path / "page" / "model.bin").stat().st_size
    assert written["engine_bytes"] == (tmp_path / "page" / "engine.wasm").stat().st_size
    assert written["engine_compressed"] < 20_000
    names = {"engine.wasm", "model.bin", "wordspot.js", "index.html", "README.md"}
    assert {path.name for path in (tmp_path / "page").iterdir()} == names
    fails(capsys, "contains files", "export", OLD, "--target", "wasm", "--out", tmp_path / "page")
    fails(capsys, "--target wasm takes an exported file", "export", tmp_path, "--target", "wasm", "--out", tmp_path / "other")


def test_without_the_engine_it_says_how_to_build_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wasm.importlib.resources, "files", lambda name: tmp_path / "nothing")
    with pytest.raises(NotFoundError, match=r"engine\.wasm: .* missing .*`python tools/build_wasm.py`"):
        ws.export_wasm(OLD, tmp_path / "page")
    with pytest.raises(ConfigError, match="`weights` must be float32 or int8, got 'int4'"):
        ws.export_wasm(OLD, tmp_path / "page", weights="int4")
    assert not (tmp_path / "page").exists()
