"""Sweeps: the grid of trainings, going on where they were interrupted, the means over seeds; and Ray Tune, if it is installed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import wordspot as ws
from support.command_line import fails, run
from wordspot.errors import ConfigError, TrainingError
from wordspot.sweeps import sweep as sweeping
from wordspot.sweeps.grid import Point, make_points
from wordspot.sweeps.result import make_result
from wordspot.sweeps.training import EVALUATION, Trained, train_point

pytest.importorskip("torch")

SETTINGS = {"training.batch_size": 8, "training.evaluate_every": 2, "model.n_channels": 8, "scenes.length_s": 0.0}
FLAGS = ("--words", "high,low", "--model", "residual_1d", "--init", "none", "--steps", "2", "--device", "cpu", *(
    f"--set={name}={value}" for name, value in SETTINGS.items()
))  # fmt: skip


def sweep(data: Path, out: Path, **arguments: Any) -> Any:
    chosen: dict[str, Any] = {
        "model": "residual_1d", "init": "none", "device": "cpu", "engine": "one-by-one",
        "settings": {**SETTINGS, "training.steps": (2,)},
    }  # fmt: skip
    return ws.sweep(data, ["high", "low"], out=out, **{**chosen, **arguments})


def test_every_combination_has_every_seed() -> None:
    points = make_points({"model.n_channels": [8, 16], "training.learning_rates": [(0.1, 0.01)]}, range(5, 7))
    assert [(dict(point.settings)["model.n_channels"], point.seed) for point in points] == [(8, 5), (8, 6), (16, 5), (16, 6)]
    assert points[0].folder == "model.n_channels=8 training.learning_rates=0.1,0.01 seed=5"
    assert [point.folder for point in make_points({}, range(2))] == ["seed=0", "seed=1"]


def test_a_folder_has_a_name_that_every_system_takes() -> None:
    names = [Point({"model.x": text}, 1).folder for text in ("a/b:c", "x" * 300, "y" * 300)]
    assert names[0] == "model.x=a%2Fb%3Ac seed=1"
    assert all(len(name) <= 120 for name in names)
    assert names[1] != names[2]


@pytest.mark.parametrize(
    ("vary", "seeds", "match"),
    [
        ({}, 0, "`seeds` must be at least 1"),
        ({"training.seed": [1, 2]}, 1, "set the number of `seeds`"),
        ({"model.n_channels": []}, 1, "different values of model.n_channels, got none"),
        ({"model.n_channels": [8, "8"]}, 1, "different values of model.n_channels, got 8, 8"),
    ],
)
def test_a_grid_that_makes_no_sense_is_rejected(vary: dict[str, Any], seeds: int, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        make_points(vary, range(seeds))


def test_the_mean_over_seeds_has_an_interval() -> None:
    """By hand: accuracies 0.5, 0.6 and 0.7 have the mean 0.6 and the interval 0.6 ± 4.303 · 0.1 / √3."""
    points = make_points({"model.n_channels": [8, 16]}, range(3))
    measures = [{"accuracy": 0.5, "eer": None}, {"accuracy": 0.6, "eer": None}, {"accuracy": 0.7, "eer": None}]
    trained = [Trained(point, one) for point, one in zip(points, measures, strict=False)]
    trained += [Trained(points[3], {"false_accepts_per_hour": 0.2}), Trained(points[4], {"false_accepts_per_hour": 3.0})]
    trained += [Trained(points[5], error="broken")]
    first, second = make_result(Path("out"), "testing", trained).rows
    accuracy = first.measures["accuracy"]
    assert (accuracy.value, accuracy.low, accuracy.high) == pytest.approx((0.6, 0.3516, 0.8484), abs=1e-4)
    assert first.measures["eer"].value is None
    rate = second.measures["false_accepts_per_hour"]
    assert rate.value == pytest.approx(1.6)
    assert (rate.low, rate.high) == pytest.approx((0.0, 1.6 + 12.7062 * 1.4), abs=1e-3)  # a rate is never negative
    assert (second.n_seeds, second.to_json()["runs"][2]["error"]) == (2, "broken")


@pytest.mark.slow
def test_a_sweep_goes_on_and_grows(tone_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, begun = tmp_path / "sweep", list[str]()

    def count(plan: Any, point: Point, **callbacks: Any) -> Trained:
        begun.append(point.folder)
        return train_point(plan, point, **callbacks)

    monkeypatch.setattr(sweeping, "train_point", count)
    n_asked = 0

    def stop() -> bool:
        nonlocal n_asked
        n_asked += 1
        return n_asked == 3  # in the first step of the second training

    vary = {"training.learning_rates": ["0.001", "0.002"]}
    with pytest.raises(KeyboardInterrupt):
        sweep(tone_folder, out, vary=vary, seeds=1, stop=stop)
    result = sweep(tone_folder, out, vary=vary, seeds=1)
    first, second = (f"training.learning_rates={rate} seed=0" for rate in ("0.001", "0.002"))
    assert begun == [first, second, second]
    assert [record["step"] for record in ws.load_run(out / second).log() if record["kind"] == "step"] == [1, 2]
    more = sweep(tone_folder, out, vary=vary, seeds=2)
    assert begun[3:] == [f"training.learning_rates={rate} seed=1" for rate in ("0.001", "0.002")]
    assert [row.n_seeds for row in more.rows] == [2, 2]
    assert [row.trained[0].measures for row in more.rows] == [row.trained[0].measures for row in result.rows]
    table = json.loads((out / "sweep.json").read_text())
    assert table["rows"] == json.loads(json.dumps(more.to_json()["rows"]))
    with pytest.raises(ConfigError, match="has a sweep with settings"):
        sweep(tone_folder, out, vary=vary, settings={**SETTINGS, "training.steps": (3,)})


@pytest.mark.slow
def test_the_command_prints_a_table(tone_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ("sweep", tone_folder, "--out", tmp_path / "sweep", "--engine", "one-by-one", "--seeds", "2", *FLAGS)
    status, text, error = run(capsys, *command)
    assert status == 0, error
    assert "2 of 2: seed=1: accuracy" in error
    for part in ("On testing, mean over the seeds", "accuracy", "keyword accuracy", "95 %", f"runs: {tmp_path / 'sweep'}"):
        assert part in text
    status, text, _ = run(capsys, *command, "--json")
    rows = json.loads(text)["rows"]
    assert (status, rows[0]["n_seeds"], len(rows[0]["runs"])) == (0, 2, 2)
    assert rows[0]["accuracy_low"] <= rows[0]["accuracy"] <= rows[0]["accuracy_high"]
    assert (tmp_path / "sweep" / "seed=0" / EVALUATION).is_file()


def test_what_is_wrong_is_said_before_anything_is_trained(
    tone_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ("sweep", tone_folder, "--out", tmp_path / "sweep", "--words", "high,low", "--engine", "one-by-one")
    fails(capsys, "no setting 'model_channels'", *base, "--vary", "model_channels=8/16")
    fails(capsys, "training.batch_size", *base, "--vary", "training.batch_size=8/none")
    fails(capsys, "section.field=value", *base, "--vary", "8/16")
    fails(capsys, "--workers is for --engine ray", *base, "--workers", "2")
    fails(capsys, "training.seed must be a whole number", *base, "--seed", "x")
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "mine.txt").write_text("")
    fails(capsys, "contains files", *base)


def test_a_second_sweep_in_the_same_folder_is_rejected(
    tone_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the first trains: the second changes nothing and says so in a line, and the first ends as if alone."""
    out, seen = tmp_path / "sweep", list[set[Path]]()

    def train_beside_another(plan: Any, point: Point, **callbacks: Any) -> Trained:
        before = set(out.iterdir())
        command = ("sweep", tone_folder, "--out", out, "--engine", "one-by-one", "--seeds", "5", *FLAGS)
        fails(capsys, f"{out}: another sweep is running there", *command)
        seen.append(set(out.iterdir()) ^ before)
        return Trained(point, {"accuracy": 1.0})

    monkeypatch.setattr(sweeping, "train_point", train_beside_another)
    assert [row.n_seeds for row in sweep(tone_folder, out, seeds=2).rows] == [2]
    assert seen == [set(), set()]
    monkeypatch.setattr(sweeping, "train_point", lambda plan, point, **callbacks: Trained(point, {"accuracy": 1.0}))
    assert sweep(tone_folder, out, seeds=1).rows  # the lock has ended with the first
    (out / "sweep.json").unlink()
    for path in out.iterdir():
        if path.name != ".lock":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert sweep(tone_folder, out, seeds=1).rows  # one that was killed at its very beginning leaves the lock alone


def test_a_sweep_of_which_nothing_succeeds_is_an_error(tone_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no training succeeded; the first ended with: .*other"):
        ws.sweep(tone_folder, ["high", "other word"], out=tmp_path / "sweep", seeds=1, engine="one-by-one", init="none")


@pytest.fixture
def with_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray.tune", reason="Ray Tune is not installed; pip install 'wordspot[cluster]'")
    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_worker_niceness", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"):
        monkeypatch.setenv(name, "0")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_ray_tune_gives_the_same_as_one_by_one(with_ray: None, tone_folder: Path, tmp_path: Path) -> None:
    side_by_side = sweep(tone_folder, tmp_path / "ray", seeds=2, engine="ray", workers=2)
    one_by_one = sweep(tone_folder, tmp_path / "one", seeds=2)
    assert side_by_side.to_json()["rows"] == one_by_one.to_json()["rows"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_of_trainings_on_ray_the_others_go_on_if_one_fails(with_ray: None, tone_folder: Path, tmp_path: Path) -> None:
    """The network cannot be made with more dilations than a clip has frames for; that shows only when it is made."""
    vary = {"model.dilations": ["1", "1,2,4,8,16,32"]}
    result = sweep(tone_folder, tmp_path / "ray", seeds=1, engine="ray", workers=1, vary=vary)
    assert [row.n_seeds for row in result.rows] == [1, 0]
