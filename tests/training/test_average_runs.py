"""One run from several, by hand."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from wordspot.config import RunConfig
from wordspot.errors import CheckpointError, NotFoundError
from wordspot.training.average_runs import average_runs, beginning_of, mean_weights
from wordspot.training.checkpoint import Checkpoint, save_checkpoint
from wordspot.training.run_folder import RunFolder

CONFIG = RunConfig(words=("yes",))


def make_run(folder: Path, step: int, weights: dict[str, Tensor], average: dict[str, Tensor] | None = None) -> Path:
    run = RunFolder(folder)
    run.checkpoints.mkdir(parents=True)
    run.write_config(CONFIG)
    save_checkpoint(run.checkpoint_path(step), Checkpoint(CONFIG, step, 0, 0.0, weights, {}, average=average or {}))
    for name in ("data.csv", "versions.json", "log.jsonl"):
        (folder / name).write_text(f"{folder.name} {name}", encoding="utf-8")
    return folder


def test_the_weights_that_would_be_exported_are_averaged(tmp_path: Path) -> None:
    """Those of the moving average, where a run has one; counters are those of the first run."""
    one = {"layer": torch.tensor([1.0, 2.0]), "counter": torch.tensor(7)}
    other = {"layer": torch.tensor([5.0, -2.0]), "counter": torch.tensor(9)}
    runs = [make_run(tmp_path / "a", 4, one), make_run(tmp_path / "b", 5, other, {"layer": torch.tensor([4.0, 1.0])})]
    out = tmp_path / "out"
    average_runs(runs, out)
    written = RunFolder(out).load()
    assert written.weights["layer"].tolist() == [2.5, 1.5]
    assert written.weights["counter"].item() == 7
    assert (written.config, written.step, written.average, written.optimizer) == (CONFIG, 5, {}, {})
    names = {path.name for path in out.iterdir()}
    assert names == {"checkpoints", "config.json", "data.csv", "labels.txt", "versions.json"}
    assert (out / "data.csv").read_text(encoding="utf-8") == "a data.csv"


def test_what_an_earlier_run_left_is_removed(tmp_path: Path) -> None:
    out = make_run(tmp_path / "out", 900, {"layer": torch.zeros(2)})
    average_runs([make_run(tmp_path / "a", 4, {"layer": torch.ones(2)})], out)
    assert RunFolder(out).steps() == [4]
    assert not (out / "log.jsonl").exists()


def test_runs_that_cannot_be_averaged(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", 4, {"layer": torch.ones(2)})
    wider = make_run(tmp_path / "b", 4, {"layer": torch.ones(3)})
    with pytest.raises(CheckpointError, match="the runs are of different networks"):
        average_runs([run, wider], tmp_path / "out")
    with pytest.raises(NotFoundError, match="has no checkpoint"):
        average_runs([run, tmp_path / "none"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_mean_of_three() -> None:
    mean = mean_weights([{"w": torch.tensor(value)} for value in (1.0, 2.0, 6.0)])
    assert math.isclose(mean["w"].item(), 3.0)


def test_others_start_where_a_run_began(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", 0, {"layer": torch.zeros(2)})
    save_checkpoint(RunFolder(run).checkpoint_path(9), Checkpoint(CONFIG, 9, 9, 1.0, {"layer": torch.ones(2)}, {}))
    start = RunFolder(beginning_of(run, tmp_path / "start")).load()
    assert (start.step, start.config, start.weights["layer"].tolist()) == (0, CONFIG, [0.0, 0.0])


def test_a_run_whose_beginning_is_gone(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", 9, {"layer": torch.zeros(2)})
    with pytest.raises(NotFoundError, match="no checkpoint of step 0; those kept: 9"):
        beginning_of(run, tmp_path / "start")
    assert not (tmp_path / "start").exists()
