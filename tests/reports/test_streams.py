"""The report on a trigger's scenes: the metrics of streams, without sound."""

from __future__ import annotations

from pathlib import Path

from support.made_bench import bench
from wordspot.config import DecoderConfig
from wordspot.evaluation.bench import Bench, measure_bench
from wordspot.evaluation.curves import make_curves, sweep
from wordspot.evaluation.results import TriggerResult
from wordspot.evaluation.scenes import SceneMetrics
from wordspot.reports.report import write_report

__all__ = ["bench"]


def test_the_page_on_scenes(bench: Bench, tmp_path: Path) -> None:
    config = DecoderConfig()
    measured = measure_bench(bench, config, make_curves(bench, list(sweep(bench, config))))
    result = TriggerResult(
        model="runs/<i>x", step=3, data="data", split="testing", left_out=("<a>.wav: damaged",), warnings=(),
        metrics=SceneMetrics(0.95, 0.9, measured),
    )  # fmt: skip
    write_report(result, tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "checkpoint of step 3, on the testing set" in page
    assert "Accuracy of single steps: 95.00 %; predicting zeros only would give 90.00 %" in page
    assert "<h2>Misses against false accepts</h2>" in page
    assert "<audio" not in page
    assert "<i>x" not in page
    assert "&lt;a&gt;.wav: damaged" in page
