"""Habits of the command line: options between names, `--`, `-`, repeated options, mistyped models, pipes, folders."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile

from support.made_onnx import RATE, made_model
from support.made_recordings import recording_model
from support.made_streams import spoken
from wordspot.commands.arguments import options_first
from wordspot.commands.main import build_parser, main

COMMANDS = build_parser().get_default("commands")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model, a stream with two words, and a file that is no sound."""
    (tmp_path / "m.onnx").write_bytes(made_model(clip_samples=1600))
    soundfile.write(tmp_path / "two.wav", spoken(), RATE)
    soundfile.write(tmp_path / "clip.wav", np.full(1600, 0.3, np.float32), RATE)
    (tmp_path / "bad.wav").write_bytes(b"no sound at all")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("detect a.onnx --threshold 0.5 b.wav --json c.wav", "detect --threshold 0.5 --json a.onnx b.wav c.wav"),
        ("detect a.wav --threshold=0.5 b.wav", "detect --threshold=0.5 a.wav b.wav"),
        ("detect a.wav --thres 0.5 b.wav", "detect --thres 0.5 a.wav b.wav"),
        ("detect a.wav --chime -- -b.wav --json", "detect --chime -- a.wav -b.wav --json"),
        ("detect - --json -", "detect --json - -"),
        ("label a --top -1 b", "label --top -1 a b"),
        ("label a --nonsense b", "label --nonsense a b"),
        ("classify m --threshold 0.5 a b", "classify --threshold 0.5 m a b"),
        ("speak yes no --out a --noise", "speak --out a --noise -- yes no"),
        ("speak yes --noise 5 no --out a", "speak --noise 5 --out a -- yes no"),
        ("train a --init --words yes", "train --init --words yes -- a"),
        ("nonsense a --top 1 b", "nonsense a --top 1 b"),
        ("--version", "--version"),
        ("", ""),
    ],
)
def test_options_may_stand_between_names(words: str, expected: str) -> None:
    assert options_first(words.split(), COMMANDS) == expected.split()


@pytest.mark.parametrize("given", ["yes no --out a --noise", "--noise --out a yes no", "--noise 60 yes --out a no"])
def test_an_option_without_its_value_takes_no_name(given: str) -> None:
    args = build_parser().parse_args(options_first(["speak", *given.split()], COMMANDS))
    assert (args.words, args.noise) == (["yes", "no"], 60.0)


def test_the_last_of_repeated_options_counts_with_a_note(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, stream = str(folder / "m.onnx"), str(folder / "two.wav")
    assert main(["detect", model, "--threshold", "0.999", stream, "--threshold", "0.5"]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2
    assert err == "--threshold is given 2 times; the last value, 0.5, counts\n"
    assert main(["detect", model, "--json", stream, "--json", "--threshold", "0.5", "--threshold", "0.5"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("args", "match"),
    [
        (["label", "words", "clip.wav"], "words: neither a model nor a recording, .* the name of a model ends in .onnx"),
        (["detect", "m", "two.wav"], "m: neither a model nor a recording, .* did you mean m.onnx?"),
        (["detect", "m.onnxx", "two.wav"], "m.onnxx: neither"),
        (["label", "clip.wav", "m.onnx"], "m.onnx is a model; name a single model, before the recordings"),
        (["test-stream", "modle", "two.wav"], "modle: neither"),
        (["listen", "m"], "m: no such file; expected a sound file"),
    ],
)
def test_a_mistyped_model_is_an_error(
    folder: Path, args: list[str], match: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    assert main(args) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"wordspot: {match.split(' .* ')[0]}")
    assert err.count("\n") == 1
    assert match.split(" .* ")[-1] in err


def test_a_batch_goes_on_and_its_status_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    Path("empty").mkdir()
    assert main(["detect", "m.onnx", "two.wav", "bad.wav", "empty", "gone.wav", "two.wav"]) == 1
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 4
    assert "empty: the folder contains no sound files" in err
    assert "3 of 5 files could not be read" in err
    assert main(["label", "m.onnx", "empty"]) == 1
    assert "contains no recordings" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["detect", "label", "classify"])
@pytest.mark.skipif(not Path("/dev/stdin").exists(), reason="a pipe of POSIX")
@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_a_recording_from_a_pipe(folder: Path, command: str, name: str) -> None:
    sound = folder / ("clip.wav" if command == "label" else "two.wav")
    (folder / "c.onnx").write_bytes(recording_model())
    model = folder / ("c.onnx" if command == "classify" else "m.onnx")
    with subprocess.Popen(["cat", sound], stdout=subprocess.PIPE) as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "wordspot", command, model, name, "--csv"],
            stdin=pipe.stdout, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1].startswith(f"{name},")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a pipe of POSIX")
def test_a_fifo_and_a_picture_of_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "c.onnx").write_bytes(recording_model())
    os.mkfifo(folder / "pipe")
    with subprocess.Popen(f"cat {folder / 'two.wav'} > {folder / 'pipe'}", shell=True):
        args = ["classify", str(folder / "c.onnx"), str(folder / "pipe"), "--picture", str(folder / "p.png")]
        assert main(args) == 0
    assert capsys.readouterr().out.startswith(f"{folder / 'pipe'}: ")
    assert (folder / "p.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "-: the file is empty"),
        (bytes(10_000), "raw samples, which have no header, are for `wordspot listen -`"),
        (b"\x1aE\xdf\xa3" + bytes(1000), "is WebM or Matroska, which cannot be read"),
    ],
)
def test_a_pipe_without_a_sound_file(
    folder: Path, content: bytes, match: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(content)))
    assert main(["detect", str(folder / "m.onnx"), "-"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("wordspot: -: ")
    assert match in err
    assert "/tmp" not in err


def test_a_pipe_without_end(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("wordspot.audio.spool.MAX_BYTES", 1 << 20)
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(bytes(3 << 20))))
    assert main(["detect", str(folder / "m.onnx"), "-"]) == 1
    assert "-: longer than" in capsys.readouterr().err
