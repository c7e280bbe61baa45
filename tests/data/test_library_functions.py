"""What the commands of data do, called from Python: frozen results that are JSON, errors that name parameters."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

import wordspot as ws
from wordspot.config import TriggerConfig
from wordspot.errors import ConfigError
from wordspot.progress import Progress


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for place, word in enumerate(("low", "high", "other")):
        for speaker in range(12):
            path = tmp_path / "data" / word / f"{speaker:04x}_nohash_0.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            tone = np.sin(2 * np.pi * 300 * (place + 1) * np.arange(16_000) / 16_000)
            soundfile.write(path, 0.3 * tone * (np.arange(16_000) > 6000) + rng.normal(0, 0.001, 16_000), 16_000)
    return tmp_path / "data"


@pytest.mark.slow
def test_results_are_frozen_and_json(data: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    steps: list[Progress] = []
    results = [
        ws.check(data, progress=steps.append),
        ws.align(data, tmp_path / "aligned", clip_ms=500, progress=steps.append),
        ws.make_stream(data, ["low", "high"], minutes=0.2, split="training", out=tmp_path / "s.wav"),
        ws.make_scenes(data, tmp_path / "scenes", count=1, seconds=2, trigger=TriggerConfig(("low",), ("other",))),
        ws.spectrogram(data / "low" / "0000_nohash_0.wav", tmp_path / "picture.png", features="logmel"),
    ]
    for result in results:
        assert json.loads(json.dumps(result.to_json(), allow_nan=False))
        assert dataclasses.is_dataclass(result)
        with pytest.raises(dataclasses.FrozenInstanceError):
            result.out = 1  # type: ignore[union-attr, misc]
    assert {step.stage for step in steps} == {"checking recordings", "aligning recordings"}
    assert [step.done for step in steps] == [*range(1, 37), *range(1, 37)]
    assert (tmp_path / "s.wav").is_file()
    assert (tmp_path / "picture.png").is_file()


def test_a_stream_without_files_is_in_memory(data: Path) -> None:
    made = ws.make_stream(data, ["low"], minutes=0.2, split="training", kind="scene", gap_s=(0.5, 1), rooms=0)
    assert made.files == {}
    assert len(made.scene.audio) == made.seconds * made.scene.sample_rate == 192_000
    assert sum(made.counts.values()) == len(made.scene.words) > 0


def test_errors_name_parameters_and_are_no_exits(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="`kind` must be one of classic, scene, got 'x'"):
        ws.make_stream(data, ["low"], kind="x")
    with pytest.raises(ConfigError, match="`gap_s` is the lowest and the highest gap"):
        ws.make_stream(data, ["low"], kind="scene", gap_s=1.0)
    with pytest.raises(ConfigError, match="`task` must be one of words, recordings, got 'trigger'"):
        ws.check(data, task="trigger")
    with pytest.raises(ConfigError, match="`features` must be one of"):
        ws.spectrogram(data / "low" / "0000_nohash_0.wav", tmp_path / "a.png", features="samples")
    with pytest.raises(ConfigError, match="`count` must lie between 1 and 999, got 0"):
        ws.make_scenes(data, tmp_path / "out", count=0)
    with pytest.raises(ConfigError, match="`label` is the label in the manifest"):
        ws.speak(["yes"], tmp_path / "out", label="x")
