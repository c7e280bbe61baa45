"""Every example runs, on small made data."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import soundfile

import wordspot as ws
from support.browser import Browser, find_browser
from support.made_onnx import RATE, made_model
from support.made_server import made_models, running
from support.made_streams import spoken
from support.static_site import serve_folder

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Detects constant sound: "a", negative: "b"."""
    path = tmp_path / "words.onnx"
    path.write_bytes(made_model(clip_samples=RATE // 10))
    return path


@pytest.fixture
def stream(tmp_path: Path) -> Path:
    path = tmp_path / "evening.wav"
    soundfile.write(path, spoken(), RATE)
    return path


def test_every_example_is_tested_and_listed() -> None:
    names = {path.name for path in EXAMPLES.glob("*.py")} | {"index.html"}
    tests, listed = Path(__file__).read_text(encoding="utf-8"), (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for name in names:
        assert name in listed
        assert f'"{name.removesuffix(".py")}"' in tests or name == "index.html"


def test_the_lamp_is_switched_by_the_words_that_have_a_message() -> None:
    sent: list[str] = []
    heard = [ws.Detection(label, 1000.0, 0.9, 1100.0) for label in ("on", "stop", "off")]
    example("lamp").switch(heard, {"on": "ON", "off": "OFF"}, sent.append)
    assert sent == ["ON", "OFF"]


def test_the_lamp_runs_dry_on_a_recording(model: Path, stream: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example("lamp").main(["--dry-run", "--file", str(stream), "--model", str(model), "--on", "a", "--off", "b"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.rsplit(" ", 1)[1] for line in lines] == ["ON", "OFF"]


def test_two_words_are_trained_measured_and_exported(
    tone_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "two.onnx"
    example("train_two_words").main([str(tone_folder), "low", "high", "--out", str(out), "--steps", "10"])
    assert "% of the testing clips are right" in capsys.readouterr().out
    assert set(ws.open_model(out).card.labels) >= {"low", "high"}


def test_a_wake_word_starts_from_another_run(tone_folder: Path, tmp_path: Path) -> None:
    from support.made_trigger import make_trigger_folder

    folder, out = make_trigger_folder(tmp_path / "lamp"), tmp_path / "lamp.onnx"
    module = example("finetune_trigger")
    few: dict[str, Any] = {"training.batch_size": 4, "model.n_channels": 8}
    words = few | {"model.dilations": module.SAME_BODY["model.dilations"]}
    ws.train(tone_folder, words=["low"], out=tmp_path / "ten", steps=2, settings=words)
    few |= {"trigger.validation_minutes": 0.5, "trigger.testing_minutes": 0.5}
    module.finetune(str(folder), str(tmp_path / "ten"), out, module.SAME_BODY | few, steps=2)
    assert len(ws.open_model(out).card.labels) == 2


def test_a_stream_without_and_with_words_is_evaluated(
    model: Path, stream: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = example("eval_my_stream")
    module.main([str(model), str(stream)])
    assert "hours: " in capsys.readouterr().out
    truth = tmp_path / "evening.csv"
    truth.write_text("label,start_ms,end_ms\na,1000,1300\nb,2300,2600\n")
    tuned = tmp_path / "tuned.onnx"
    module.main([str(model), str(stream), "--truth", str(truth), "--tuned", str(tuned)])
    assert "missed: 0.0 % of 2 words" in capsys.readouterr().out
    assert tuned.is_file()


@pytest.fixture
def site() -> Iterator[str]:
    """The address of the page."""
    with serve_folder(EXAMPLES / "browser") as address:
        yield address


@pytest.mark.skipif(find_browser() is None, reason="no Chromium")
def test_the_page_shows_what_the_server_detects(tmp_path: Path, site: str) -> None:
    loud = tmp_path / "loud.wav"
    soundfile.write(loud, np.full(5 * RATE, 0.5, np.float32), RATE)
    with (
        running(made_models(tmp_path), allow_origins=(site,)) as server,
        Browser(tmp_path / "browser", "--autoplay-policy=no-user-gesture-required", microphone=loud) as browser,
    ):
        page = browser.open(f"{site}/?server={server.ws}")
        page.evaluate("document.getElementById('listen').click()")
        page.wait_for("document.getElementById('word').textContent === 'a'")
        assert page.problems() == []
        page.close()
