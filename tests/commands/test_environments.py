"""Terminals that lack letters, odd locales and users without a home: results or one line, never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from support.made_onnx import RATE, made_model
from wordspot.config import RunConfig
from wordspot.overrides import to_json

WORDS = ("да", "ça 日本")
ENCODINGS = [{"PYTHONIOENCODING": name} for name in ("cp1252", "ISO-8859-1", "ascii", "ascii:strict", "cp1252:replace")]
LOCALES: list[dict[str, str]] = [
    {"LC_ALL": name, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"} for name in ("C", "POSIX", "C.utf8", "xx_XX.none")
]
#: Runs the commands of its argument one after the other, without a home if `pwd` knows none either.
RUN = """
import json, os, sys
commands, homeless = json.loads(sys.argv[1])
if homeless:
    import pwd
    def nobody(uid): raise KeyError(uid)
    pwd.getpwuid = nobody
from wordspot.commands.main import main
statuses = [main([os.fsdecode(word.encode("utf-8", "surrogateescape")) for word in command]) for command in commands]
sys.stdout.flush()
sys.stderr.write("\\n" + json.dumps(statuses))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of two words that ASCII lacks, and a recording of the first, at 1 s."""
    folder = tmp_path_factory.mktemp("папка")
    config = to_json(RunConfig(words=WORDS))
    model = made_model(labels=("_silence_", "_unknown_", *WORDS), config=config, data={"name": "голос", "licence": "©"})
    (folder / "модель.onnx").write_bytes(model)
    samples = np.repeat([0.0, 0.7, 0.0], RATE)
    soundfile.write(folder / "слово.wav", samples, RATE)
    soundfile.write(folder / "clip.wav", samples[:RATE], RATE)
    return folder


def environment(**changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "PYTHONIO", "LANG"))}
    return {**kept, "PYTHONPATH": os.pathsep.join(sys.path), **changes}


def run(folder: Path, commands: list[list[str]], *, home: str | None = "", **changes: str) -> tuple[list[int], bytes, bytes]:
    """The exit statuses of the commands, and what they printed. home: without a cache of its own; None: there is none."""
    variables = environment(**changes)
    if home != "":
        for name in ("HOME", "WORDSPOT_CACHE", "XDG_CACHE_HOME", "MPLCONFIGDIR"):
            variables.pop(name, None)
        variables |= {} if home is None else {"HOME": home}
    words = json.dumps([commands, home is None])
    done = subprocess.run(
        [sys.executable, "-c", RUN, words], cwd=folder, env=variables, capture_output=True, check=False, timeout=300
    )
    assert b"Traceback" not in done.stderr, done.stderr.decode(errors="replace")
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    notes, _, statuses = done.stderr.rpartition(b"\n")
    return json.loads(statuses), done.stdout, notes


@pytest.mark.slow
@pytest.mark.parametrize("changes", ENCODINGS + LOCALES, ids=lambda changes: "-".join(changes.values()))
def test_labels_and_names_that_cannot_be_shown(folder: Path, changes: dict[str, str]) -> None:
    model, sound = "модель.onnx", "слово.wav"
    statuses, out, notes = run(
        folder,
        [
            ["info", model], ["info", model, "--json"], ["verify", model], ["detect", model, sound],
            ["detect", model, sound, "--csv"], ["detect", model, sound, "--audacity"], ["label", model, "clip.wav"],
            ["listen", model, sound, "--fast"], ["info", "нет.onnx"], ["label", model, "\udcff.wav"],
        ],
        **changes,
    )  # fmt: skip
    assert statuses == [0] * 8 + [1] * 2
    assert out.count(b"\n") > 30
    assert notes.count(b"wordspot: ") + notes.count(b"skipped: ") >= 2


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "ascii", "ISO-8859-1"])
def test_json_stays_what_it_is(folder: Path, encoding: str) -> None:
    _, out, _ = run(folder, [["info", "модель.onnx", "--json"]], PYTHONIOENCODING=encoding)
    card = json.loads(out.decode(encoding))
    assert tuple(card["labels"][2:]) == WORDS
    assert card["data"] == {"name": "голос", "licence": "©"}
    _, out, _ = run(folder, [["detect", "модель.onnx", "слово.wav", "--json"]], PYTHONIOENCODING=encoding)
    assert json.loads(out.decode(encoding))["label"] == "да"


@pytest.mark.slow
def test_a_terminal_that_knows_only_ascii(folder: Path) -> None:
    pty = pytest.importorskip("pty")
    terminal, side = pty.openpty()
    command = [sys.executable, "-m", "wordspot", "detect", "модель.onnx", "слово.wav"]
    changes = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(command, cwd=folder, env=environment(**changes), stdout=side, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    shown = os.read(terminal, 1000)
    os.close(side)
    os.close(terminal)
    assert rb"\u0434\u0430" in shown


@pytest.mark.slow
def test_names_that_command_a_terminal_are_shown(folder: Path, tmp_path: Path) -> None:
    """A line break, a colour and a change of the direction of writing, in names of files."""
    names = ["new\nline.wav", "\x1b[31mred.wav", "\u202egnp.wav"]
    for name in names:
        (tmp_path / "a" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "a" / name).write_bytes((folder / "clip.wav").read_bytes())
    (tmp_path / "a" / "bro\nken.wav").write_bytes(b"RIFF")
    model = str(folder / "модель.onnx")
    commands = [["label", model, "a"], ["detect", model, "a"], ["check", "."]]
    statuses, output, notes = run(tmp_path, commands, PYTHONIOENCODING="utf-8")
    assert statuses == [1, 1, 1]
    for shown in ("new\\nline.wav", "\\x1b[31mred.wav", "\\u202egnp.wav"):
        assert shown.encode() in output
    assert b"skipped: a/bro ken.wav: " in notes
    for text in (output, notes):
        assert b"\x1b" not in text
        assert "\u202e".encode() not in text


HOMES = [None, "/dev/null/home", "relative"]


@pytest.mark.slow
@pytest.mark.parametrize("home", HOMES)
def test_without_a_home_a_model_works(folder: Path, tmp_path: Path, home: str | None) -> None:
    model, sound = "модель.onnx", "слово.wav"
    (tmp_path / "truth.csv").write_text("label,start_ms,end_ms\nда,1000,2000\n")
    before = sorted(folder.iterdir())
    bench = [model, sound, "--truth", str(tmp_path / "truth.csv")]
    commands = [
        ["info", model], ["verify"], ["detect", model, sound], ["label", model, "clip.wav"], ["listen", model, sound],
        ["spectrogram", "clip.wav", "--out", str(tmp_path / "a.png")],
        ["test-stream", *bench, "--report", str(tmp_path / "r.html")],
        ["tune", *bench, "--false-accepts-per-hour", "1", "--out", str(tmp_path / "tuned.onnx")],
        ["export-web", model, "--out", str(tmp_path / "web")],
    ]  # fmt: skip
    statuses, _, notes = run(folder, commands, home=home)
    assert statuses == [0] * len(commands), notes.decode()
    assert b"atplotlib" not in notes.replace(b"Matplotlib is building the font cache; this may take a moment.", b"")
    assert sorted(folder.iterdir()) == before


@pytest.mark.slow
@pytest.mark.parametrize("home", HOMES)
def test_without_a_home_training_keeps_nothing(tone_folder: Path, tmp_path: Path, home: str | None) -> None:
    words = ["--words", "low,high", "--steps", "2", "--batch-size", "8", "--set", "model.n_channels=8"]
    commands = [
        ["check", str(tone_folder)], ["train", str(tone_folder), *words, "--out", "run"],
        ["evaluate", "run", str(tone_folder), "--report", "report.html"], ["export", "run", "--out", "a.onnx"],
        ["evaluate", "a.onnx", str(tone_folder)],
    ]  # fmt: skip
    statuses, _, notes = run(tmp_path, commands, home=home)
    assert statuses == [0] * len(commands), notes.decode()
    assert b"so decoded clips are kept for this command only; set WORDSPOT_CACHE to a folder to keep them" in notes
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.onnx", "report.html", "run"]
