"""The page about whole recordings: the right recordings, the right places in them, and nothing a name could break."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from wordspot.config import FeatureConfig, RunConfig
from wordspot.data.manifest.load import RecordingSet
from wordspot.data.manifest.rows import ManifestRow
from wordspot.evaluation.judging import Judge, PosteriorTrack, no_prediction
from wordspot.evaluation.recordings import BinaryMetrics, DetPoints, measure_recordings
from wordspot.evaluation.results import RecordingsResult
from wordspot.evaluation.scores import ScoreMetrics
from wordspot.intervals import Proportion
from wordspot.metrics import Floats, Ints
from wordspot.reports.recording_charts import ScoreRow, draw_det, draw_scores, draw_time_curve
from wordspot.reports.recordings import PLAYED_S, most_typical, most_wrong
from wordspot.reports.report import write_report

RATE = 1000
TRUTH = np.array([0, 0, 0, 1, 1, 1])
FIRST = np.array([0.9, 0.7, 0.2, 0.1, 0.6, 0.3])
POSTERIORS = np.stack([FIRST, 1 - FIRST], axis=1)
GENERATORS = [None, None, None, "<i>vits", "<i>vits", "flite"]
LABELS = ("real", "made & up")


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter() if element.tag.endswith("text")]


def recording_set(labels: tuple[str, ...] = LABELS, truth: Ints = TRUTH, seconds: float = 20.0) -> RecordingSet:
    """Recordings whose samples count milliseconds."""
    rows = tuple(
        ManifestRow(f"<b>{at}.wav", Path(f"{at}.wav"), labels[truth[at]], f"sp&{at % 2}", name)
        for at, name in enumerate(GENERATORS)
    )
    audio = np.arange(round(seconds * RATE), dtype=np.int16)
    return RecordingSet(labels, rows, (audio,) * len(rows), truth)


def over_time(recordings: Sequence[NDArray[np.int16]]) -> list[PosteriorTrack]:
    """A window a second. The first label is likely except at 15.5 s; that window and the silent one at 2.5 s are low."""
    tracks = []
    for audio in recordings:
        first = np.full(len(audio) // RATE, 0.8)
        first[[2, min(15, len(first) - 1)]] = 0.0, 0.1
        has_sound = np.ones(len(first), bool)
        has_sound[2] = False
        time_ms = 1000 * np.arange(len(first)) + 500.0
        tracks.append(PosteriorTrack(time_ms, np.stack([first, 1 - first, 1 - first], axis=1), has_sound))
    return tracks


def page_of(
    tmp_path: Path,
    labels: tuple[str, ...] = LABELS,
    truth: Ints = TRUTH,
    posteriors: Floats = POSTERIORS,
    seconds: float = 20.0,
) -> str:
    config = RunConfig(words=labels, task="recordings", features=FeatureConfig(sample_rate=RATE, high_hz=400))
    recordings = recording_set(labels, truth, seconds)
    metrics = measure_recordings(
        labels, truth, posteriors, [row.speaker for row in recordings.rows], [row.generator for row in recordings.rows]
    )
    result = RecordingsResult(
        model="runs/<i>x", step=8, data="labels.csv", split="testing", left_out=("<a>.wav: damaged",), warnings=(),
        metrics=metrics, overlap=None, recordings=recordings, posteriors=posteriors,
        judge=Judge("runs/<i>x", config, labels, no_prediction, over_time),
    )  # fmt: skip
    write_report(result, tmp_path / "r.html")
    return (tmp_path / "r.html").read_text(encoding="utf-8")


def test_worst_and_typical_recordings() -> None:
    assert most_wrong(TRUTH, POSTERIORS) == [2, 4, 1, 5, 0, 3]  # 0.2, 0.4, then 0.7 twice, and 0.9 twice
    assert most_wrong(TRUTH, POSTERIORS, n=2) == [2, 4]
    assert most_typical(TRUTH, POSTERIORS, GENERATORS) == [1, 3, 5]  # the middle; the upper of vits' two; the only one
    assert most_typical(TRUTH, POSTERIORS, GENERATORS, n=1) == [1]


@pytest.mark.slow
def test_page(tmp_path: Path) -> None:
    page = page_of(tmp_path)
    for broken in ("<b>0.wav", "<i>vits", "<i>x", "<a>.wav", "made & up", "sp&1"):
        assert broken not in page
    assert "&lt;a&gt;.wav: damaged" in page
    assert "checkpoint of step 8" in page
    assert "<b>real</b> predicted as <b>made &amp; up</b> (80.0 %)" in page
    assert "<b>real</b> correctly predicted as <b>real</b> (90.0 %)" in page
    assert "since a class has too few speakers" in page
    assert page.count("<audio") == 6  # all are among the worst: none is shown twice
    assert "Typical recordings" not in page


@pytest.mark.slow
def test_what_is_played_is_around_the_worst_moment(tmp_path: Path) -> None:
    """A "real" one is worst at 15.5 s, at its end therefore 12 to 20 s; another one where the first label is likely: at once."""
    page = page_of(tmp_path)
    items = {name: item for item in page.split("<li>")[1:] for name in re.findall(r"&lt;b&gt;(\d)\.wav", item)}
    for name, first in (("2", 11_500), ("4", 0)):
        source = re.search(r'src="data:audio/wav;base64,([^"]+)"', items[name])
        assert source
        samples, rate = soundfile.read(io.BytesIO(base64.b64decode(source[1])), dtype="int16")
        assert (rate, len(samples)) == (RATE, PLAYED_S * RATE)
        assert samples[0] == first
        assert f"{first / 1000:.1f} to {first / 1000 + 8:.1f} of 20.0 s" in items[name]
        assert 'class="marked"' in items[name]
    assert 'class="marked"' not in page_of(tmp_path, seconds=5.0).split("</style>", 2)[-1]


def test_a_page_without_rates(tmp_path: Path) -> None:
    page = page_of(tmp_path, truth=np.zeros(6, np.int64))
    assert "Misses against false alarms" not in page
    assert "equal error rate" not in page
    assert "accuracy" in page


@pytest.mark.slow
def test_a_page_of_three_classes(tmp_path: Path) -> None:
    posteriors = np.concatenate([0.9 * POSTERIORS, np.full((6, 1), 0.1)], axis=1)
    page = page_of(tmp_path, ("dog", "cat", "cow"), truth=np.array([0, 0, 1, 1, 2, 2]), posteriors=posteriors)
    assert "<h2>Per label</h2>" in page
    assert "<h2>Confusion</h2>" in page
    assert "Misses against" not in page
    assert "posterior of its own label" in page


@pytest.mark.slow
def test_few_and_many_windows(tmp_path: Path) -> None:
    """A recording that is one window has no line; a silent window breaks the line."""
    page = page_of(tmp_path, seconds=3.0)
    assert page.count('class="curve"') == 6
    posteriors = np.array([[0.0], [1.0], [0.5], [0.5]])
    track = PosteriorTrack(1000 * np.arange(4) + 500.0, posteriors, np.array([True, True, False, True]))
    svg = draw_time_curve(track, 0, 4.0, 0.25, None, "a<b")
    paths = [element.get("d") or "" for element in ET.fromstring(svg).iter() if element.get("class") == "line"]
    assert paths == ["M40.5 52.0h0.01L113.5 4.0M259.5 28.0h0.01"]
    assert ET.fromstring(svg).get("aria-label") == "a<b"


@pytest.mark.slow
def test_det_has_axes_in_percent() -> None:
    def drawn(n: int) -> list[str]:
        det = DetPoints([None, 0.9, 0.5, 0.1], [1, 0.5, 0, 0], [0, 0, 0.1, 1])
        binary = BinaryMetrics(0.5, ScoreMetrics(), Proportion(0, n), Proportion(n // 10, n), det, ())
        return texts(draw_det(binary))

    assert {"5", "10", "20", "40", "60", "80", "90", "misses, percent", "false alarms, percent"} <= set(drawn(20))
    assert "1" not in drawn(20)  # 20 recordings show nothing below 2.5 %
    assert "1" in drawn(200)


def test_scores_name_every_row() -> None:
    rows = [ScoreRow("real: $a$ 汪 (2)", np.array([0.0, 1.0]), 0), ScoreRow("made (1)", np.array([0.5]), 1)]
    written = texts(draw_scores(rows, 0.5, "posterior of real"))
    assert {"real: $a$ 汪 (2)", "made (1)", "posterior of real", "0.5", "0.999"} <= set(written)
