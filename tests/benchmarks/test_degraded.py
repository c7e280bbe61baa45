"""The benchmark of what codecs and noise do to judged recordings: its ways, and one small run."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from support.made_voices import GENERATORS, make_voices
from support.small_recordings import SMALL
from wordspot.commands.main import main as wordspot
from wordspot.training.leave_one_out import TABLE

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import degraded

pytestmark = pytest.mark.slow

RATE = 16_000
TIME = np.arange(RATE) / RATE
TONE = (0.3 * np.sin(2 * np.pi * 440 * TIME)).astype(np.float32)


@pytest.mark.parametrize("snr_db", [15.0, 30.0])
def test_noise_is_so_far_below(snr_db: float) -> None:
    noise = degraded.over_noise(snr_db)(TONE, RATE) - TONE
    assert 10 * np.log10(np.square(TONE).mean() / np.square(noise).mean()) == pytest.approx(snr_db, abs=0.2)
    np.testing.assert_array_equal(noise, degraded.over_noise(snr_db)(TONE, RATE) - TONE)


@pytest.mark.parametrize("name", [name for name in degraded.WAYS if "noise" not in name])
def test_a_tone_stays_a_tone_of_its_length(name: str) -> None:
    """A codec may begin later, by less than a tenth of a second."""
    heard = degraded.WAYS[name](TONE, RATE)
    assert abs(len(heard) - len(TONE)) < RATE / 10
    middle = heard[4000:12_000]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert spectrum.argmax() == 220  # of bins of 2 Hz


def test_a_codec_that_does_not_know_the_rate_takes_another() -> None:
    rate = 22_050
    tone = (0.3 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)).astype(np.float32)
    heard = degraded.WAYS["Opus, poor"](tone, rate)
    assert abs(len(heard) - rate) < rate / 10


def test_a_small_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Unchanged recordings have the metrics that training printed, and each degradation has its row."""
    listed = make_voices(tmp_path, n_speakers=6, n_takes=1)
    out, figures = tmp_path / "runs", tmp_path / "figures.json"
    folds = ("--leave-one-generator-out", "--speaker-folds", "3")
    assert wordspot(["train", str(listed), "--task", "recordings", *folds, "--out", str(out), *SMALL]) == 0
    degraded.main([str(out), str(listed), "--json", str(figures)])
    shown, table = json.loads(figures.read_text())["measurements"], json.loads((out / TABLE).read_text())
    assert shown.keys() == degraded.WAYS.keys()
    assert shown["as it is"]["eer_of_each"] == {row["generator"]: row["eer"] for row in table["generators"]}
    for key in ("eer", "eer_low", "eer_high", "auc"):
        assert shown["as it is"][key] == pytest.approx(table["mean"][key])
    printed = capsys.readouterr().out
    for name in (*GENERATORS, *degraded.WAYS):
        assert name in printed


def test_a_folder_without_runs_is_rejected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        degraded.main([str(tmp_path), str(tmp_path / "labels.csv")])
    assert "expected the runs of --leave-one-generator-out, found none" in capsys.readouterr().err
