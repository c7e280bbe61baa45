"""The report: the right clips, the right metrics, playable sound, and robust against any label."""

from __future__ import annotations

import base64
import io
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import soundfile

from wordspot.evaluation.clips import measure_clips
from wordspot.evaluation.results import ClipsSeen, WordsResult
from wordspot.metrics import det_curve
from wordspot.presets import FEATURES
from wordspot.reports.charts import draw_confusion, draw_error_curves, draw_learning
from wordspot.reports.clips import most_confused
from wordspot.reports.pictures import save_features
from wordspot.reports.report import write_report

LABELS = ("_silence_", "_unknown_", "<b>&", "汪汪叫")
TRUTH = np.array([2, 2, 3, 3, 1, 0])
POSTERIORS = np.array(
    [
        [0.1, 0.1, 0.7, 0.1],
        [0.0, 0.0, 0.4, 0.6],
        [0.0, 0.0, 0.2, 0.8],
        [0.05, 0.9, 0.0, 0.05],
        [0.0, 0.3, 0.7, 0.0],
        [1.0, 0.0, 0.0, 0.0],
    ]
)
LOG = [{"step": s, "kind": "step", "learning_rate": 0.1, "accuracy": s / 10, "loss": 2 / s} for s in range(1, 9)]
LOG.append({"step": 8, "kind": "evaluation", "set": "validation", "accuracy": 0.5, "n": 6, "cross_entropy": 1.0})


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter() if element.tag.endswith("text")]


def test_the_surest_mistakes_come_first() -> None:
    assert most_confused(TRUTH, POSTERIORS) == [3, 4, 1]
    assert most_confused(TRUTH, POSTERIORS, n=1) == [3]
    assert most_confused(np.array([2]), POSTERIORS[:1]) == []


@pytest.mark.slow
def test_page(tmp_path: Path) -> None:
    audio = (0.5 * np.sin(np.arange(1600) / 5)).astype(np.float32)
    result = WordsResult(
        model="runs/<i>x",
        step=8,
        data="data",
        split="testing",
        left_out=("a.wav: damaged",),
        warnings=(),
        metrics=measure_clips(LABELS, TRUTH, POSTERIORS, ["s1", "s1", "s2", "s2", "s3", None]),
        overlap=None,
        clips=ClipsSeen([f"w/<{n}>.wav" for n in range(6)], TRUTH, POSTERIORS, lambda at: audio * (at == 3), 16_000),
        log=tuple(LOG),
    )
    write_report(result, tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<b>&<" not in page
    assert "<i>x" not in page
    assert "&lt;b&gt;&amp;" in page
    assert "50.0 %" in page  # 3 of 6
    assert "a.wav: damaged" in page
    assert "<b>汪汪叫</b> predicted as <b>_unknown_</b> (posterior 90.0 %)</div><code>w/&lt;3&gt;.wav" in page
    source = re.search(r'src="data:audio/wav;base64,([^"]+)"', page)
    assert source
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(source[1])), dtype="float32")
    assert rate == 16_000
    np.testing.assert_allclose(samples, audio, atol=1 / 32768)


@pytest.mark.slow
def test_confusion_picture_holds_every_count() -> None:
    svg = draw_confusion(LABELS, np.array([[5, 0, 0, 0], [0, 17, 3, 0], [0, 0, 11, 0], [0, 0, 0, 0]]))
    written = texts(svg)
    assert {"5", "17", "3", "11"} <= set(written)
    assert [written.count(label) for label in LABELS] == [2, 2, 2, 2]
    assert {"true label", "predicted label"} <= set(written)


@pytest.mark.slow
def test_every_label_is_in_the_legend() -> None:
    """matplotlib would leave out those that begin with an underscore, and draw $x$ as a formula."""
    curve = det_curve(np.array([0.1, 0.9, 0.4]), np.array([False, True, True]))
    written = [text.strip() for text in texts(draw_error_curves({"_silence_": curve, "$x$": curve}))]
    assert {"_silence_", "$x$"} <= set(written)


@pytest.mark.slow
def test_learning_curves_show_what_they_are() -> None:
    written = texts(draw_learning(LOG))
    assert {"Loss, and cross-entropy of validation", "Accuracy, percent", "validation", "step"} <= set(written)
    assert draw_learning(LOG[:1]).startswith("<svg")


@pytest.mark.slow
def test_a_log_that_calls_the_loss_cross_entropy_draws_the_same() -> None:
    old = [{("cross_entropy" if name == "loss" else name): value for name, value in line.items()} for line in LOG]
    assert old != LOG
    assert draw_learning(old) == draw_learning(LOG)


DRAW = """
import hashlib
import numpy as np
from wordspot.metrics import calibration, det_curve
from wordspot.reports.charts import draw_calibration, draw_error_curves

curve = det_curve(np.array([0.1, 0.9, 0.4]), np.array([False, True, True]))
posteriors = np.array([[0.9, 0.1], [0.3, 0.7], [0.6, 0.4]])
pages = draw_error_curves({"a": curve, "b": curve}) + draw_calibration(calibration(posteriors, np.array([0, 1, 1])))
print(hashlib.sha256(pages.encode()).hexdigest())
"""


@pytest.mark.slow
def test_the_same_metrics_draw_the_same_page() -> None:
    """In another process, with other hashes and at another time: no ids or dates in the SVG are random."""
    drawn = [
        subprocess.run([sys.executable, "-c", DRAW], capture_output=True, text=True, check=True, env=environment).stdout
        for environment in (
            {**os.environ, "PYTHONHASHSEED": "1"},
            {**os.environ, "PYTHONHASHSEED": "2", "TZ": "Asia/Tokyo"},
        )
    ]
    assert drawn[0] == drawn[1] != ""


@pytest.mark.slow
def test_a_spectrogram_stands_upright(tmp_path: Path) -> None:
    """Energy in the low channels of the second half: the bright quarter is at the lower right."""
    from PIL import Image

    picture = np.zeros((100, 40), np.float32)
    picture[50:, :20] = 1
    save_features(tmp_path / "s.png", picture, FEATURES["logmel"], "title")
    with Image.open(tmp_path / "s.png") as image:
        pixels = np.asarray(image.convert("L")).astype(float)
    height, width = pixels.shape
    inner = pixels[int(0.15 * height) : int(0.8 * height), int(0.15 * width) : int(0.7 * width)]
    rows, columns = inner.shape
    quarters = {
        (top, left): inner[
            slice(0, rows // 3) if top else slice(2 * rows // 3, rows),
            slice(0, columns // 3) if left else slice(2 * columns // 3, columns),
        ].mean()
        for top in (True, False)
        for left in (True, False)
    }
    assert max(quarters, key=lambda key: quarters[key]) == (False, False)
