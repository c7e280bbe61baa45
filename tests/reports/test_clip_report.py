"""The report: the right clips, the right figures, playable sound, and nothing that a label could break."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import soundfile

from wordspot.evaluation.clips import measure_clips
from wordspot.metrics import det_curve
from wordspot.presets import FEATURES
from wordspot.reports.charts import draw_calibration, draw_confusion, draw_error_curves, draw_learning, save_spectrogram
from wordspot.reports.clips import ConfusedClip, most_confused, write_report

LABELS = ("_silence_", "_unknown_", "<b>&", "汪汪叫")
TRUTH = np.array([2, 2, 3, 3, 1, 0])
POSTERIORS = np.array([
    [0.1, 0.1, 0.7, 0.1], [0.0, 0.0, 0.4, 0.6], [0.0, 0.0, 0.2, 0.8], [0.05, 0.9, 0.0, 0.05], [0.0, 0.3, 0.7, 0.0],
    [1.0, 0.0, 0.0, 0.0],
])  # fmt: skip
LOG = [{"step": s, "kind": "step", "learning_rate": 0.1, "accuracy": s / 10, "loss": 2 / s} for s in range(1, 9)]
LOG.append({"step": 8, "kind": "evaluation", "set": "validation", "accuracy": 0.5, "n": 6, "cross_entropy": 1.0})


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter() if element.tag.endswith("text")]


def test_the_surest_mistakes_come_first() -> None:
    assert most_confused(TRUTH, POSTERIORS) == [3, 4, 1]
    assert most_confused(TRUTH, POSTERIORS, n=1) == [3]
    assert most_confused(np.array([2]), POSTERIORS[:1]) == []


def test_page(tmp_path: Path) -> None:
    audio = (0.5 * np.sin(np.arange(1600) / 5)).astype(np.float32)
    measures = {
        "model": "runs/<i>x", "step": 8, "data": "data", "split": "testing", "left_out": ["a.wav: damaged"],
        **measure_clips(LABELS, TRUTH, POSTERIORS, ["s1", "s1", "s2", "s2", "s3", None]).to_json(),
    }  # fmt: skip
    clip = ConfusedClip("w/<x>.wav", LABELS[3], LABELS[1], 0.9, audio)
    write_report(tmp_path / "r.html", measures, TRUTH, POSTERIORS, LOG, [clip], 16_000)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<b>&<" not in page
    assert "<i>x" not in page
    assert "&lt;b&gt;&amp;" in page
    assert "50.0 %" in page  # 3 of 6
    assert "a.wav: damaged" in page
    assert "<b>汪汪叫</b> heard as <b>_unknown_</b> (90.0 % sure)" in page
    source = re.search(r'src="data:audio/wav;base64,([^"]+)"', page)
    assert source
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(source[1])), dtype="float32")
    assert rate == 16_000
    np.testing.assert_allclose(samples, audio, atol=1 / 32768)


def test_confusion_picture_holds_every_count() -> None:
    svg = draw_confusion(LABELS, [[5, 0, 0, 0], [0, 17, 3, 0], [0, 0, 11, 0], [0, 0, 0, 0]])
    written = texts(svg)
    assert {"5", "17", "3", "11"} <= set(written)
    assert [written.count(label) for label in LABELS] == [2, 2, 2, 2]
    assert "truth" in written


def test_learning_curves_show_what_they_are() -> None:
    written = texts(draw_learning(LOG))
    assert {"Loss, and cross-entropy of validation", "Accuracy, percent", "validation", "step"} <= set(written)
    assert draw_learning(LOG[:1]).startswith("<svg")


def test_a_log_that_calls_the_loss_cross_entropy_draws_the_same() -> None:
    old = [{("cross_entropy" if name == "loss" else name): value for name, value in line.items()} for line in LOG]
    assert old != LOG
    assert draw_learning(old) == draw_learning(LOG)


def test_the_same_figures_draw_the_same_page() -> None:
    curves = {"a": det_curve(np.array([0.1, 0.9, 0.4]), np.array([False, True, True]))}
    assert draw_error_curves(curves) == draw_error_curves(curves)
    calibration = measure_clips(LABELS, TRUTH, POSTERIORS, ["s"] * 6).to_json()["calibration"]
    assert draw_calibration(calibration) == draw_calibration(calibration)


def test_a_spectrogram_stands_upright(tmp_path: Path) -> None:
    """Energy in the low channels of the second half: the bright quarter is at the lower right."""
    from PIL import Image

    picture = np.zeros((100, 40), np.float32)
    picture[50:, :20] = 1
    save_spectrogram(tmp_path / "s.png", picture, FEATURES["logmel"], "title")
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
