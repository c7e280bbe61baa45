"""`wordspot train --leave-one-generator-out`: a run for each generator, what each is tested on, and the table."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from support.command_line import run
from support.made_voices import GENERATORS, make_voices
from support.small_recordings import SMALL
from wordspot.commands.main import build_parser, main
from wordspot.commands.options import config_arguments
from wordspot.commands.train import print_generators
from wordspot.config import RunConfig
from wordspot.errors import DataError
from wordspot.training.leave_one_out import TABLE, folder_of, generators_in, summary, train_each
from wordspot.training.recipes import make_config
from wordspot.training.run import begin_run
from wordspot.training.tasks.recordings import RecordingsTask
from wordspot.training.trainer import Trainer


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_voices(tmp_path_factory.mktemp("voices"), n_speakers=6, n_takes=1)


def test_a_row_for_each_generator_and_their_mean(capsys: pytest.CaptureFixture[str], listed: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    command = ("train", listed, "--task", "recordings", "--leave-one-generator-out", "--out", out, *SMALL)
    status, text, error = run(capsys, *command)
    assert status == 0, error
    assert re.findall(r"generator \d of 2: (\w+)", error) == list(GENERATORS)
    table = json.loads((out / TABLE).read_text())
    rows = table["generators"]
    assert [row["generator"] for row in rows] == list(GENERATORS)
    for row in rows:
        assert {part["generator"] for part in row["per_generator"]} == {row["generator"], "person"}
        config = json.loads((out / row["generator"] / "config.json").read_text())
        assert config["recordings"]["hold_out"] == [row["generator"]]
        assert row["training_seconds"] > 0
    for key in ("eer", "auc", "accuracy"):
        assert table["mean"][key] == pytest.approx(sum(row[key] for row in rows) / 2)
    assert 0 <= table["mean"]["eer_low"] <= table["mean"]["eer_high"] <= 1
    assert table["mean"]["interval"]["over"] in ("speakers", "recordings")
    for name in (*GENERATORS, "mean", "equal error rate", f"all results: {out / TABLE}"):
        assert name in text
    status, _, error = run(capsys, *command)
    assert (status, "--force to begin anew" in error) == (1, True)


def test_every_speaker_is_tested_in_turn(listed: Path, tmp_path: Path) -> None:
    """Three folds: each person's recording is tested once a generator, each machine's where it is held out. Untrained."""
    args = build_parser().parse_args(
        ["train", str(listed), "--task", "recordings", "--leave-one-generator-out", "--speaker-folds", "3", "--out",
         str(tmp_path / "runs"), *SMALL]
    )  # fmt: skip
    tested: dict[tuple[str, ...], list[str]] = {}

    def start(config: RunConfig, out: Path) -> Trainer:
        trainer = begin_run(config, listed, out, device="cpu", force=True)
        assert isinstance(trainer.task, RecordingsTask)
        sets = trainer.task.recordings.sets
        trained = {row.generator for name in ("training", "validation") for row in sets[name].rows}
        assert trained == {"person", *GENERATORS} - set(config.recordings.hold_out)
        tested.setdefault(config.recordings.hold_out, []).extend(row.path for row in sets["testing"].rows)
        assert out == tmp_path / "runs" / config.recordings.hold_out[0] / f"fold-{config.recordings.fold}"
        return trainer

    config = make_config(args.data, **config_arguments(args))
    result = train_each(config, args.data, args.out, start)
    for generator in GENERATORS:
        expected = [f"{name}-{speaker}-0.wav" for name in ("person", generator) for speaker in range(6)]
        assert sorted(tested[(generator,)]) == sorted(expected)
    rows = json.loads((tmp_path / "runs" / TABLE).read_text())["generators"]
    assert [row["n"] for row in rows] == [12, 12] == [one.metrics.n for one in result.generators]


def test_the_mean_is_over_what_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[dict[str, Any]] = [
        {"generator": "a", "n": 3, "eer": 0.1, "eer_low": 0.0, "eer_high": 0.2, "auc": 0.9, "accuracy": 0.8},
        {"generator": "b", "n": 4, "eer": 0.3, "eer_low": None, "eer_high": None, "auc": 0.7, "accuracy": 0.6},
    ]
    mean = summary(rows)["mean"]
    assert mean == pytest.approx({"eer": 0.2, "auc": 0.8, "accuracy": 0.7})
    assert summary([])["mean"]["eer"] is None
    print_generators(summary(rows))
    text = capsys.readouterr().out
    assert re.search(r"b\W+4\W+30\.0\W+– to –\W+70\.0\W+60\.0", text)
    assert re.search(r"mean\W+20\.0\W+– to –\W+80\.0\W+70\.0", text)


def test_generators_of_the_first_class_are_no_machines(listed: Path) -> None:
    assert generators_in(listed, ("real", "synthetic")) == GENERATORS
    with pytest.raises(DataError, match="at least two generators of real are needed, got person"):
        generators_in(listed, ("synthetic", "real"))


def test_one_generator_cannot_be_left_out(listed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line for line in listed.read_text().splitlines() if not line.endswith("vits")]
    (tmp_path / "l.csv").write_text("\n".join([lines[0], *(f"{listed.parent}/{line}" for line in lines[1:])]) + "\n")
    status, _, error = run(
        capsys,
        "train",
        tmp_path / "l.csv",
        "--task",
        "recordings",
        "--leave-one-generator-out",
        "--out",
        tmp_path / "r",
    )
    assert (status, error.count("\n")) == (1, 1)
    assert "at least two generators of synthetic are needed, got flite; name them in a column generator" in error
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    "flags", [("--task", "words", "--words", "a"), ("--resume",), ("--hold-out-generator", "vits"), ("--init", "x")]
)
def test_refusals(capsys: pytest.CaptureFixture[str], listed: Path, tmp_path: Path, flags: tuple[str, ...]) -> None:
    task = () if "--task" in flags else ("--task", "recordings")
    status, _, error = run(capsys, "train", listed, "--leave-one-generator-out", "--out", tmp_path / "r", *task, *flags)
    assert (status, error.count("\n")) == (1, 1), error
    assert "begins new runs of --task recordings; leave out --resume, --init, --hold-out-generator" in error


@pytest.mark.parametrize("name", ["a/b", "..", ".", "espeak-ng", "c:d", "語"])
def test_a_generator_s_folder_is_one_folder_below_out(name: str) -> None:
    folder = Path("out") / folder_of(name)
    assert folder.parent == Path("out")
    assert folder.resolve().parent == Path("out").resolve()
    assert folder.name not in (".", "..")


def test_what_some_run_would_reject_is_rejected_before_the_first(listed: Path, tmp_path: Path, capsys: Any) -> None:
    rows = listed.read_text(encoding="utf-8").splitlines()
    with_split = listed.with_name("with-split.csv")
    with_split.write_text("\n".join([f"{rows[0]},split", *(f"{row},training" for row in rows[1:])]), encoding="utf-8")
    words = [
        "train",
        str(with_split),
        "--task",
        "recordings",
        "--leave-one-generator-out",
        "--out",
        str(tmp_path / "out"),
    ]
    assert main([*words, "--speaker-folds", "3", *SMALL]) == 1
    assert "leave out recordings.n_folds (--speaker-folds), or the column" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*/*"))


def test_words_are_compared_as_labels_are(listed: Path) -> None:
    command = ["train", str(listed), "--task", "recordings", "--words", "Real,SYNTHETIC", "--out", "x"]
    args = build_parser().parse_args(command)
    config = make_config(args.data, **config_arguments(args))
    assert generators_in(listed, config.words) == tuple(sorted(GENERATORS))
