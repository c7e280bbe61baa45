"""Runs and exported files that earlier versions wrote still load and give the same scores.

`tests/files/0.1/` was written by wordspot 0.1.0 as of 2026-11-28, before its modules moved into folders:
``wordspot train TONES --words low,high --steps 30 --set model.n_channels=8 --batch-size 32 --seed 3`` on the folder of
`support.made.make_tone_folder`, then ``wordspot export``.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from wordspot.commands.main import main
from wordspot.runtime.detector import Classifier

FILES = Path(__file__).parent / "files" / "0.1"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    shutil.copytree(FILES / "run", tmp_path / "run")
    return tmp_path / "run"


def test_an_exported_file_passes_its_self_test() -> None:
    assert main(["verify", str(FILES / "words.onnx")]) == 0


@pytest.mark.slow
def test_a_run_exports_to_the_same_scores(run: Path, tmp_path: Path) -> None:
    assert main(["export", str(run), "--out", str(tmp_path / "words.onnx")]) == 0
    clips = np.random.default_rng(0).normal(0, 0.1, (4, 16_000)).astype(np.float32)
    then, now = Classifier(FILES / "words.onnx"), Classifier(tmp_path / "words.onnx")
    for clip in clips:  # tolerance: float32 sums in another order
        np.testing.assert_allclose(now.classify(clip), then.classify(clip), atol=1e-5)


def test_a_run_can_be_evaluated(run: Path, tone_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run), str(tone_folder)]) == 0
    assert "Accuracy on testing" in capsys.readouterr().out
