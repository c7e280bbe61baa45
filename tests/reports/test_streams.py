"""The reports on streams and on a trigger's scenes: strips, events, curves, and nothing that a label could break."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import soundfile

import wordspot as ws
from support.made_bench import bench
from support.made_onnx import RATE, made_model
from wordspot.config import DecoderConfig
from wordspot.evaluation.bench import Bench, ScoredStream, measure_bench
from wordspot.evaluation.curves import make_curves, sweep
from wordspot.evaluation.results import TriggerResult
from wordspot.evaluation.scenes import SceneMetrics
from wordspot.metrics import StreamCurve
from wordspot.reports.charts import draw_latencies, draw_stream_curves
from wordspot.reports.report import write_report
from wordspot.reports.stream_events import Event, cut_pieces, most_telling, smooth
from wordspot.reports.streams import write_stream_report
from wordspot.reports.timeline import Mark, draw_strip

__all__ = ["bench"]


@pytest.mark.slow
def test_the_page_on_scenes(bench: Bench, tmp_path: Path) -> None:
    config = DecoderConfig()
    measured = measure_bench(bench, config, make_curves(bench, list(sweep(bench, config))))
    result = TriggerResult(
        model="runs/<i>x",
        step=3,
        data="data",
        split="testing",
        left_out=("<a>.wav: damaged",),
        warnings=(),
        metrics=SceneMetrics(0.95, 0.9, measured),
    )
    write_report(result, tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "checkpoint of step 3, on the testing set" in page
    assert "Accuracy of single steps: 95.00 %; predicting zeros only would give 90.00 %" in page
    assert "<h2>Misses against false accepts</h2>" in page
    assert "<audio" not in page
    assert "<i>x" not in page
    assert "&lt;a&gt;.wav: damaged" in page


def test_a_label_cannot_break_a_strip() -> None:
    scores = np.linspace(0, 1, 100, dtype=np.float32)[:, None]
    marks = [Mark("<b>&", 500.0, "miss", 'a "quoted" <i>', "event-1"), Mark("<b>&", 900.0, "hit", "heard")]
    root = ET.fromstring(draw_strip(0, ["<b>&"], scores, 10.0 * np.arange(100), marks, [0.5]))
    assert "<b>&" in [element.text for element in root.iter()]
    assert [element.get("href") for element in root.iter() if element.tag == "a"] == ["#event-1"]


def test_a_strip_shows_its_minute_alone() -> None:
    """A score of 1 at 90 s, on the strip from 60 s: its area reaches the top of the lane in the middle."""
    end_ms = 100.0 * np.arange(1, 1801)
    scores = np.zeros((1800, 2), np.float32)
    scores[899, 0] = 1
    svg = draw_strip(60_000, ["a", "b"], scores, end_ms, [], [0.5, 0.5])
    root = ET.fromstring(svg)
    assert [element.text for element in root.iter() if element.tag == "text"][-1] == "a"  # b is quiet
    (area,) = [element.get("d") for element in root.iter() if element.get("class") == "score"]
    assert area is not None
    assert area.startswith("M546.0 ")  # 96 + 900 / 2
    assert 'class="score"' not in draw_strip(0, ["a", "b"], scores, end_ms, [], [0.5, 0.5])


def test_pieces_are_cut_across_blocks(tmp_path: Path) -> None:
    audio = (np.arange(3 * 8000) / 32768).astype(np.float32)
    soundfile.write(tmp_path / "x.wav", audio, 8000, subtype="PCM_16")
    pieces, rate = cut_pieces(tmp_path / "x.wav", [(-500, 250), (900, 2100), (2900, 9000), (5000, 6000)])
    assert rate == 8000
    for piece, (start, stop) in zip(pieces, [(0, 2000), (7200, 16_800), (23_200, 24_000), (0, 0)], strict=True):
        np.testing.assert_array_equal(piece, audio[start:stop])


def test_drawn_scores_are_what_a_threshold_is_compared_with() -> None:
    """The peak decoder gives the score at a row: the same mean."""
    rng = np.random.default_rng(0)
    scores = rng.dirichlet(np.ones(3), 50).astype(np.float32)
    end_ms = np.cumsum(rng.integers(5, 40, 50)).astype(np.float64)
    drawn = smooth(ScoredStream(scores, end_ms, (), 2000.0), [2], 100.0)
    expected = [scores[(end_ms >= now - 100) & (end_ms <= now), 2].mean() for now in end_ms]
    np.testing.assert_allclose(drawn[:, 0], expected, rtol=1e-5)
    assert smooth(ScoredStream(np.zeros((0, 3), np.float32), np.zeros(0), (), 0.0), [2], 100.0).shape == (0, 1)


def test_the_most_telling_events_are_few() -> None:
    events = [Event(0, kind, "a", float(n), "", float(n)) for n in range(100) for kind in ("hit", "miss", "false accept")]
    chosen = most_telling(events)
    assert [event.kind for event in chosen] == ["false accept"] * 16 + ["miss"] * 16 + ["hit"] * 6
    assert [event.time_ms for event in chosen if event.kind == "hit"] == [94, 95, 96, 97, 98, 99]


@pytest.mark.slow
def test_curves_are_drawn_with_their_names() -> None:
    curve = StreamCurve(np.array([0.1, 0.5, 0.9]), np.array([9, 8, 0]), np.array([30, 1, 0]), 10, 0.5)
    none = dataclasses.replace(curve, n_words=0)
    svg = draw_stream_curves({"a": curve, "汪": curve, "never": none}, {"a": (2.0, 0.2)})
    written = [element.text for element in ET.fromstring(svg).iter() if element.tag.endswith("text")]
    assert {"a", "汪", "misses, percent", "false accepts per hour"} <= set(written)
    assert "never" not in written
    assert draw_stream_curves({}, {}).startswith("<svg")
    assert " median 150 ms" in "".join(ET.fromstring(draw_latencies([100, 150, 200])).itertext())


def test_minutes_in_which_nothing_scores_are_not_drawn(tmp_path: Path) -> None:
    """Four minutes of zeros, with a sound that the network gives a score of 0.96 · 0.9 + 0.01 for "a" in the third."""
    audio = np.zeros(4 * 60 * RATE, np.float32)
    audio[130 * RATE : 131 * RATE] = 0.9
    soundfile.write(tmp_path / "x.wav", audio, RATE)
    (tmp_path / "model.onnx").write_bytes(made_model())
    write_stream_report(tmp_path / "r.html", ws.test_stream(tmp_path / "model.onnx", [tmp_path / "x.wav"], no_words=True))
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.count('<svg class="strip"') == 1
    assert 'aria-label="scores from 2:00.0 on"' in page
    assert "1 of 4 minutes are shown: in the others no word scores." in page
