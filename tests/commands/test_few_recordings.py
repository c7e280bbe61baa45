"""One person's few recordings, through the command line: every step works, and nothing is measured on an empty set."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wordspot.commands.main import main

QUICK = ["--steps", "4", "--evaluate-every", "2", "--batch-size", "8", "--model", "tiny_conv"]


def record(root: Path, n: int, name: str) -> None:
    time = np.arange(16_000) / 16_000
    for hertz, word in zip((300, 1200, 3000), ("a", "b", "other"), strict=True):
        (root / word).mkdir(parents=True)
        for number in range(n):
            tone = 0.3 * np.sin(2 * np.pi * (hertz + 20 * number) * time)
            tone[:4000] = tone[12_000:] = 0
            soundfile.write(root / word / name.format(number), tone, 16_000, subtype="PCM_16")


def command(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[str, str]:
    assert main([str(argument) for argument in arguments]) == 0
    return capsys.readouterr()


@pytest.mark.parametrize(("n", "speaker"), [(1, "44cb"), (2, "8298"), (6, "0114")])
def test_the_entire_way(capsys: pytest.CaptureFixture[str], tmp_path: Path, n: int, speaker: str) -> None:
    data, out = tmp_path / "my words", tmp_path / "it's a run"
    record(data, n, speaker + "_nohash_{}.wav")

    checked, _ = command(capsys, "check", data)
    assert f"all recordings are by one speaker ({speaker})" in checked
    assert "few-recordings" in checked
    trained, notes = command(capsys, "train", data, "--words", "a,b", "--out", out, *QUICK)
    assert notes.count("one speaker") == 1
    assert "N=0" not in notes
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert all(line["n"] for line in log if line["kind"] == "evaluation")
    metrics = json.loads((out / "metrics.json").read_text())
    assert (metrics["testing"] == {"n": 0}) == (n == 1)
    assert (metrics["validation"] == {"n": 0}) == (n < 3)

    words = shlex.split(trained.removeprefix("next: "))
    assert words[:2] == ["wordspot", "export" if n == 1 else "evaluate"]
    command(capsys, *words[1:])
    evaluated, notes = command(capsys, "evaluate", out, data, "--json")
    result = json.loads(evaluated)
    assert result["n"] > 0
    if n == 1:
        assert result["split"] == "all"
        assert "the model was trained on 3 of these" in notes
    else:
        assert result["split"] == "testing"
        assert "measured on held-out recordings of the same speaker" in notes
    assert main(["evaluate", str(out), str(data), "--split", "testing"]) == (1 if n == 1 else 0)
    capsys.readouterr()


def test_the_next_line_of_paths_with_blanks_and_hyphens(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    record(tmp_path / "-data", 3, "take {}.wav")
    trained, _ = command(capsys, "train", "./-data", "--words", "a,b", "--out", "./-run $HOME", *QUICK)
    words = shlex.split(trained.removeprefix("next: "))
    assert words == ["wordspot", "evaluate", "./-run $HOME", "./-data", "--report", "./-run $HOME/report.html"]
    command(capsys, *words[1:])
    assert (tmp_path / "-run $HOME" / "report.html").is_file()


def test_a_folder_that_lacks_words_names_the_split_that_works(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    record(tmp_path / "data", 3, "0114_nohash_{}.wav")
    command(capsys, "train", tmp_path / "data", "--words", "a,b", "--out", tmp_path / "run", *QUICK)
    record(tmp_path / "mine", 2, "8298_nohash_{}.wav")
    (tmp_path / "mine" / "a").rename(tmp_path / "mine" / "c")
    assert main(["evaluate", str(tmp_path / "run"), str(tmp_path / "mine")]) == 1
    assert "no recordings of a; the folders here are b, c, other. To evaluate every recording" in (
        error := capsys.readouterr().err
    )
    assert "set --split to all" in error
    evaluated, _ = command(capsys, "evaluate", tmp_path / "run", tmp_path / "mine", "--split", "all", "--json")
    assert json.loads(evaluated)["n"] == 7  # two each of three words, and a silence
