"""`wordspot label`, `detect`, `listen` and `evaluate FILE.onnx` as a user runs them."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from support.command_line import fails, run
from support.fake_sounddevice import FakeSoundDevice, FakeStream, device
from support.made_onnx import RATE, made_card, made_model
from support.made_streams import spoken
from wordspot.audio.files import read_audio
from wordspot.commands import main as cli
from wordspot.config import RunConfig
from wordspot.data.cache import decode_folder
from wordspot.data.clips import build_sets, build_whole
from wordspot.data.folders import list_recordings
from wordspot.data.silence import Silence, noise_stretches
from wordspot.overrides import override, to_json
from wordspot.seeds import step_seed

CLIP = 1600
USED = ("label", "detect", "listen")


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "COMMANDS", (*cli.COMMANDS, *(name for name in USED if name not in cli.COMMANDS)))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "short.onnx"
    path.write_bytes(made_model(clip_samples=CLIP))
    return path


def wav(path: Path, audio: NDArray[Any], rate: int = RATE, subtype: str = "PCM_16") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, rate, subtype=subtype)
    return path


def level(value: float, n_samples: int = CLIP) -> NDArray[np.float32]:
    return np.full(n_samples, value, np.float32)


# ------------------------------------------------------------------------------------------------------------------- label


def test_label_prints_the_classic_lines(capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path) -> None:
    clip = wav(tmp_path / "clip.wav", level(0.25))
    assert run(capsys, "label", model, clip) == (
        0,
        "_silence_ (score = 0.73000)\na (score = 0.25000)\nb (score = 0.01000)\n",  # 0.96 · 0.75 + 0.01, ...
        "",
    )


def test_label_over_a_folder_names_each_file(capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path) -> None:
    wav(tmp_path / "in" / "x.wav", level(0.75))
    wav(tmp_path / "in" / "deep" / "y.flac", level(-0.75))
    (tmp_path / "in" / "notes.txt").write_text("no sound")
    status, out, _ = run(capsys, "label", model, tmp_path / "in", "--top", "1")
    assert (status, out) == (0, "\ndeep/y.flac\nb (score = 0.73000)\n\nx.wav\na (score = 0.73000)\n")


def test_label_over_two_folders_tells_them_apart(capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path) -> None:
    paths = [wav(tmp_path / name / "x.wav", level(0.75)) for name in ("one", "two")]
    _, out, _ = run(capsys, "label", model, tmp_path / "one", tmp_path / "two", "--json")
    assert [answer["file"] for answer in json.loads(out)] == [str(path) for path in paths]


def test_labels_are_written_in_utf8_whatever_the_locale(tmp_path: Path) -> None:
    path, clip = tmp_path / "m.onnx", wav(tmp_path / "c.wav", level(0.75))
    path.write_bytes(made_model(clip_samples=CLIP, labels=("_silence_", "_unknown_", "наверх", "b"), config={}))
    env = {name: value for name, value in os.environ.items() if name not in ("LANG", "PYTHONIOENCODING")}
    done = subprocess.run(
        [sys.executable, "-m", "wordspot", "label", path, clip, "--top", "1"],
        capture_output=True,
        env={**env, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    )
    assert (done.stdout.decode("utf-8"), done.stderr) == (f"наверх (score = 0.73000){os.linesep}", b"")


def test_label_as_json_and_csv(capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path) -> None:
    first, second = wav(tmp_path / "1.wav", level(0.75)), wav(tmp_path / "2,2.wav", level(-0.75))
    _, out, _ = run(capsys, "label", model, first, second, "--json", "--top", "2")
    answers = json.loads(out)
    assert [(answer["file"], answer["labels"][0]["label"]) for answer in answers] == [
        (str(first), "a"),
        (str(second), "b"),
    ]
    assert [round(label["score"], 3) for label in answers[0]["labels"]] == [0.73, 0.25]
    _, out, _ = run(capsys, "label", model, first, second, "--csv", "--top", "2")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(row["file"], row["rank"], row["label"]) for row in rows[::2]] == [
        (str(first), "1", "a"),
        (str(second), "1", "b"),
    ]
    assert float(rows[0]["score"]) == pytest.approx(0.73, abs=1e-3)


def test_label_crops_pads_and_resamples_as_training_does(capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path) -> None:
    half = wav(tmp_path / "half.wav", level(0.8, CLIP // 2))
    longer = wav(tmp_path / "longer.wav", np.concatenate([level(0.4), level(-1, 100)]))
    stereo = wav(tmp_path / "stereo.wav", np.stack([level(0.4), level(0)], axis=1))
    other = wav(tmp_path / "other.wav", level(0.4, 4 * CLIP), 64_000)
    status, out, error = run(capsys, "label", model, half, longer, stereo, other, "--json", "--top", "4")
    assert status == 0
    for answer in json.loads(out):
        scores = {label["label"]: label["score"] for label in answer["labels"]}
        assert scores["a"] == pytest.approx(0.394, abs=5e-3), answer
    assert error == f"{longer}: only its first 0.1 s of 0.11 s are used\n"


def test_label_rejects_a_long_recording(capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path) -> None:
    long = wav(tmp_path / "long.wav", level(0, RATE))
    fails(capsys, r"long.wav is 1.0 s long; this model takes clips of 0.1 s. Use `wordspot detect`", "label", model, long)


def test_label_leaves_out_what_cannot_be_read(capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path) -> None:
    wav(tmp_path / "in" / "good.wav", level(0.75))
    (tmp_path / "in" / "bad.wav").write_bytes(b"RIFF nothing")
    status, out, error = run(capsys, "label", model, tmp_path / "in", "--top", "1")
    assert status == 1
    assert out.startswith("\ngood.wav\na (score = 0.7")
    assert re.match(r"skipped: .*bad\.wav: .*\n1 of 2 files could not be read\n$", error)
    fails(capsys, r"bad\.wav: ", "label", model, tmp_path / "in" / "bad.wav")


@pytest.mark.parametrize("command", ["label", "detect"])
def test_mistakes_are_one_line(
    capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = wav(tmp_path / "clip.wav", level(0))
    fails(capsys, "got the model .*short.onnx and no recordings; name files", command, model)
    fails(capsys, "none.onnx: no such file; expected a model file", command, tmp_path / "none.onnx", clip)
    fails(capsys, "none.wav: no such file; expected a sound file", command, model, tmp_path / "none.wav")
    (tmp_path / "bad.onnx").write_bytes(b"not a model")
    fails(capsys, "bad.onnx: ", command, tmp_path / "bad.onnx", clip)
    if command == "label":
        (tmp_path / "empty").mkdir()
        fails(capsys, "empty: the folder contains no recordings", command, model, tmp_path / "empty")
        fails(capsys, "--top must be at least 1, got 0", command, model, clip, "--top", "0")
    monkeypatch.setattr("wordspot.runtime.model.FOLDER", tmp_path)
    fails(capsys, "the model that comes with wordspot is missing", command, clip)
    (tmp_path / "default.onnx").write_bytes(model.read_bytes())
    assert run(capsys, command, clip)[0] == 0


# ------------------------------------------------------------------------------------------------------------------ detect


def test_detect_says_when_each_word_ended(capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path) -> None:
    path = wav(tmp_path / "s.wav", spoken())
    status, out, error = run(capsys, "detect", model, path)
    assert (status, error) == (0, "")
    lines = [re.fullmatch(r" +(\d+\.\d\d) s  ([ab]) \(score = (\d\.\d\d)\)", line) for line in out.splitlines()]
    assert [line[2] for line in lines if line] == ["a", "b"]
    assert [1.1 <= float(line[1]) <= 1.36 or 2.4 <= float(line[1]) <= 2.66 for line in lines if line] == [True, True]


def test_detect_takes_any_format_and_rate_and_several_files(
    capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path
) -> None:
    paths = [
        wav(tmp_path / "s.wav", spoken(), subtype="PCM_24"),
        wav(tmp_path / "s.flac", spoken(44_100), 44_100),
        wav(tmp_path / "stereo.wav", np.stack([spoken(48_000)] * 2, axis=1), 48_000),
        wav(tmp_path / "float.wav", spoken(8000), 8000, "FLOAT"),
    ]
    _, out, _ = run(capsys, "detect", model, *paths, "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [(row["file"], row["label"]) for row in rows] == [(str(path), label) for path in paths for label in "ab"]
    times = np.array([row["time_ms"] for row in rows]).reshape(4, 2)
    assert (abs(times - times[0]) <= 20).all()
    assert all(row["emitted_ms"] >= row["time_ms"] for row in rows)
    _, out, _ = run(capsys, "detect", model, *paths)
    assert out.startswith(f"{paths[0]}: ")
    _, out, _ = run(capsys, "detect", model, *paths[:2], "--csv")
    table = list(csv.DictReader(io.StringIO(out)))
    assert [(row["file"], row["label"]) for row in table] == [(str(path), label) for path in paths[:2] for label in "ab"]


def test_detect_writes_a_label_track(capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path) -> None:
    path = wav(tmp_path / "s.wav", spoken())
    _, out, _ = run(capsys, "detect", model, path, "--audacity")
    rows = [line.split("\t") for line in out.splitlines()]
    assert [row[2] for row in rows] == ["a", "b"]
    assert all(row[0] == row[1] and re.fullmatch(r"\d\.\d{6}", row[0]) for row in rows)


def test_detect_mixes_a_chime_in_where_a_word_ended(capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path) -> None:
    path, out = wav(tmp_path / "s.wav", spoken(48_000), 48_000), tmp_path / "out.wav"
    _, shown, _ = run(capsys, "detect", model, path, "--json", "--chime", out)
    ends = [int(json.loads(line)["time_ms"] * 48) for line in shown.splitlines()]
    before, _ = read_audio(path)
    after, rate = read_audio(out)
    assert rate == 48_000
    changed = np.flatnonzero(np.abs(after[: len(before)] - before) > 1e-3)
    assert all(any(end <= at <= end + 14_400 for end in ends) for at in changed.tolist())
    for end in ends:
        spectrum = np.abs(np.fft.rfft((after - np.pad(before, (0, len(after) - len(before))))[end : end + 4800]))
        assert spectrum.argmax() * 10 == pytest.approx(880, abs=10)


def test_detect_rejects_a_chime_that_cannot_be_written_before_it_listens(
    capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path
) -> None:
    path = wav(tmp_path / "s.wav", spoken())
    fails(capsys, r"out\.mp3: the name must end in \.wav", "detect", model, path, "--chime", tmp_path / "out.mp3")
    fails(capsys, "--chime: .* is the recording itself", "detect", model, path, "--chime", tmp_path / "." / "s.wav")


def test_detect_with_another_threshold(capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path) -> None:
    path = wav(tmp_path / "s.wav", spoken())
    assert run(capsys, "detect", model, path, "--threshold", "0.9")[:2] == (0, "")
    fails(capsys, "threshold must lie between 0 and 1, got 1.5", "detect", model, path, "--threshold", "1.5")


def test_detect_of_what_is_shorter_than_a_clip_says_so(capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path) -> None:
    path = wav(tmp_path / "s.wav", level(0.8, CLIP - 1))
    status, out, error = run(capsys, "detect", model, path)
    assert (status, out) == (0, "")
    assert "shorter than the 0.1 s that one score needs; use `wordspot label` for clips" in error


def test_detect_rejects_two_files_where_one_is_meant(capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path) -> None:
    path = wav(tmp_path / "s.wav", spoken())
    fails(capsys, "--audacity and --chime take one FILE, got 2", "detect", model, path, path, "--audacity")


def test_detections_before_a_file_breaks_off_are_given(capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path) -> None:
    audio = spoken()
    audio[-100] = np.nan
    path = wav(tmp_path / "s.wav", audio, subtype="FLOAT")
    status, out, error = run(capsys, "detect", model, path)
    assert status == 1
    assert " a (score" in out
    assert "s.wav: 1 of " in error


# ------------------------------------------------------------------------------------------------------------------- listen


class FakeInput:
    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)


def pcm(audio: NDArray[np.float32]) -> bytes:
    return (audio * 32767).astype("<i2").tobytes()


@pytest.fixture
def listen_to(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def listen_to(data: bytes, *args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", FakeInput(data))
        return run(capsys, "listen", *args)

    return listen_to


def test_listen_to_standard_input(listen_to: Callable[..., tuple[int, str, str]], model: Path) -> None:
    status, out, error = listen_to(pcm(spoken()), model, "-")
    assert (status, error) == (0, "")
    assert [line.split()[2] for line in out.splitlines()] == ["a", "b"]
    status, out, _ = listen_to(pcm(spoken(44_100)), model, "-", "--rate", "44100", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["label"] for row in rows] == ["a", "b"]
    assert set(rows[0]) == {"label", "time_ms", "score", "emitted_ms"}
    assert 1100 <= rows[0]["time_ms"] <= 1360


def test_standard_input_that_ends_inside_a_sample(listen_to: Callable[..., tuple[int, str, str]], model: Path) -> None:
    status, out, error = listen_to(pcm(spoken()) + b"\1", model, "-")
    assert status == 0
    assert [line.split()[2] for line in out.splitlines()] == ["a", "b"]
    assert error == "the stream ended in the middle of a sample; its last byte was dropped\n"
    assert listen_to(b"", model, "-") == (1, "", "wordspot: standard input is empty; expected samples\n")


@pytest.mark.slow
def test_listen_to_a_file_fast_and_at_its_own_speed(capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path) -> None:
    path = wav(tmp_path / "s.wav", spoken()[10_000:24_000])
    start = time.monotonic()
    status, fast, _ = run(capsys, "listen", model, path, "--fast")
    assert (status, fast.split()[2]) == (0, "a")
    middle = time.monotonic()
    _, slow, _ = run(capsys, "listen", model, path)
    assert slow == fast
    assert time.monotonic() - middle >= 14_000 / RATE > middle - start


def test_listen_to_what_is_shorter_than_a_clip_says_so(
    capsys: pytest.CaptureFixture[str], listen_to: Callable[..., tuple[int, str, str]], model: Path, tmp_path: Path
) -> None:
    needed = "0.10 s of audio, shorter than the 0.1 s that one score needs; use `wordspot label` for clips"
    for status, out, error in (
        run(capsys, "listen", model, wav(tmp_path / "s.wav", level(0.8, CLIP - 1))),
        listen_to(pcm(level(0.8, CLIP - 1)), model, "-"),
    ):
        assert (status, out) == (0, "")
        assert needed in error
    assert "shorter" not in run(capsys, "listen", model, wav(tmp_path / "s.wav", level(0.8, CLIP)))[2]


def test_listen_saves_what_it_detected(listen_to: Callable[..., tuple[int, str, str]], model: Path, tmp_path: Path) -> None:
    audio = spoken()
    _, out, _ = listen_to(pcm(audio), model, "-", "--json", "--save", tmp_path / "heard")
    rows = [json.loads(line) for line in out.splitlines()]
    assert len({row["saved"] for row in rows}) == 2
    for row in rows:
        kept, rate = read_audio(Path(row["saved"]))
        start, stop = (round((row["time_ms"] + around) * 16) for around in (-2000, 500))
        assert rate == RATE
        assert re.fullmatch(rf"\d{{8}}-\d{{6}}-{row['label']}-{row['score']:.2f}\.wav", Path(row["saved"]).name)
        np.testing.assert_allclose(kept, audio[max(start, 0) : stop], atol=1e-3)
    _, again, _ = listen_to(pcm(audio), model, "-", "--save", tmp_path / "heard")
    assert str(tmp_path / "heard") in again
    assert len(list((tmp_path / "heard").iterdir())) == 4


WRITER = (
    "from os import environ as e; import pathlib; "
    "pathlib.Path(e['OUT'] + e['WORDSPOT_LABEL']).write_text(e['WORDSPOT_SCORE'] + ' ' + e['WORDSPOT_TIME_MS'])"
)


def test_listen_runs_a_program_for_each_detection(
    listen_to: Callable[..., tuple[int, str, str]], model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUT", str(tmp_path / "heard "))
    _, out, error = listen_to(pcm(spoken()), model, "-", "--json", "--exec", f'"{sys.executable}" -c "{WRITER}"')
    assert error == ""
    for row in map(json.loads, out.splitlines()):
        score, time_ms = (tmp_path / f"heard {row['label']}").read_text().split()
        assert float(score) == pytest.approx(row["score"], abs=1e-4)
        assert float(time_ms) == pytest.approx(row["time_ms"], abs=0.5)


def test_no_shell_sees_the_command(listen_to: Callable[..., tuple[int, str, str]], model: Path, tmp_path: Path) -> None:
    code = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text(' '.join(sys.argv[2:]))"
    command = f'"{sys.executable}" -c "{code}" {tmp_path / "args"} $HOME * ; rm'
    _, _, error = listen_to(pcm(spoken()), model, "-", "--exec", command)
    assert error == ""
    assert (tmp_path / "args").read_text() == "$HOME * ; rm"


def test_a_program_that_fails_is_a_note(listen_to: Callable[..., tuple[int, str, str]], model: Path) -> None:
    status, out, error = listen_to(pcm(spoken()), model, "-", "--exec", f'"{sys.executable}" -c "raise SystemExit(3)"')
    assert status == 0
    assert len(out.splitlines()) == 2
    assert error == f"{sys.executable} ended with status 3\n" * 2


@pytest.mark.parametrize(
    ("args", "match"),
    [
        (["a.wav", "b.wav"], "listen takes one source, - or a sound file, got a.wav, b.wav"),
        (["a.wav", "--rate", "8000"], "--rate is for raw samples; a file and a microphone"),
        (["-", "--microphone", "x"], "--microphone names a microphone, but another source was given"),
        (["-", "--fast"], "--fast is for a file"),
        (["none.wav"], "none.wav: no such file"),
        (["-", "--threshold", "-0.1"], "threshold must lie between 0 and 1"),
        (["-", "--rate", "12"], "the sample rate must lie between 1000"),
        (["-", "--exec", "/no/such/program"], "--exec: there is no program '/no/such/program'"),
    ],
)
def test_listen_rejects_what_makes_no_sense(capsys: pytest.CaptureFixture[str], model: Path, args: list[str], match: str) -> None:
    fails(capsys, match, "listen", model, *args)


def test_listen_to_a_microphone_until_it_is_lost(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, model: Path
) -> None:
    fake = FakeSoundDevice([device("USB", 1, 48_000.0)])
    fake.refused_rates = {RATE}
    monkeypatch.setitem(sys.modules, "sounddevice", fake)

    def play(stream: FakeStream) -> None:
        whole = np.frombuffer(pcm(spoken(48_000)), "<i2")
        for start in range(0, len(whole), 960):
            stream.give(*whole[start : start + 960].tolist(), overflow=start == 0)
        stream.settings["finished_callback"]()

    fake.on_start = play
    status, out, error = run(capsys, "listen", model, "--json")
    assert status == 1
    assert [json.loads(line)["label"] for line in out.splitlines()] == ["a", "b"]
    assert error.splitlines() == [
        "listening to USB at 48000 Hz; Ctrl-C ends",
        "audio was lost, 1 times so far: this computer is too busy",
        "wordspot: the microphone USB no longer delivers audio; plug it in and start again",
    ]
    assert fake.streams[0].closed


def test_microphones_are_listed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", FakeSoundDevice([device("USB", 1), device("Loud [x]", 0)]))
    status, out, _ = run(capsys, "listen", "--list-microphones")
    assert status == 0
    assert "USB" in out
    assert "Loud" not in out
    _, out, _ = run(capsys, "listen", "--list-microphones", "--json")
    assert [row["name"] for row in json.loads(out)] == ["USB"]
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    fails(capsys, r'pip install "wordspot\[listen\]"', "listen", "--list-microphones")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_meter_that_leaves_the_lines_alone(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("wordspot.commands.listen._METER_SECONDS", 0.0)
    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    status, out, _ = run(capsys, "listen", model, wav(tmp_path / "s.wav", spoken()), "--fast")
    assert (status, len(out.splitlines())) == (0, 2)
    meters = re.findall(r"\r\[(#*) *\] ( *-?\d+) dB", screen.getvalue())
    assert ("", " -60") in [(bar, text.rjust(4)) for bar, text in meters]
    assert max(len(bar) for bar, _ in meters) == round(30 * (1 - 1.94 / 60))  # 0.8 of full scale is -1.94 dB
    assert re.search(r"\] +-?\d+ dB \r {41}\r$", screen.getvalue())  # wiped in the end


def listen_program(model: Path, *args: object) -> subprocess.Popen[bytes]:
    code = (
        "import sys; from wordspot.commands import main as cli; cli.COMMANDS = ('listen',); "
        "sys.exit(cli.main(['listen', *sys.argv[1:]]))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, str(model), *map(str, args)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
    )


@pytest.mark.skipif(sys.platform == "win32", reason="a signal of POSIX")
def test_lines_come_at_once_and_ctrl_c_is_quiet(model: Path) -> None:
    with listen_program(model, "-", "--json") as program:
        assert program.stdin is not None
        assert program.stdout is not None
        program.stdin.write(pcm(spoken()[: 2 * RATE]))
        program.stdin.flush()
        assert json.loads(program.stdout.readline())["label"] == "a"  # while the stream goes on
        program.send_signal(signal.SIGINT)
        _, error = program.communicate(timeout=30)
    assert (program.returncode, error) == (130, b"")


# ------------------------------------------------------------------------------------------------------- evaluate FILE.onnx


@pytest.fixture(scope="module")
def tone_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hand-made model under the labels of the tone folder."""
    config = override(RunConfig(words=("low", "high")), {"data.silence_percent": 30.0, "data.unknown_percent": 50.0})
    path = tmp_path_factory.mktemp("models") / "tones.onnx"
    path.write_bytes(made_model(labels=("_silence_", "_unknown_", "low", "high"), config=to_json(config)))
    return path


@pytest.mark.parametrize("name", ["training", "validation", "testing", "all"])
def test_silence_is_what_torch_makes_to_the_bit(tone_folder: Path, name: str) -> None:
    torch = pytest.importorskip("torch")
    from wordspot.training.batches import Batches

    config = override(RunConfig(words=("low", "high")), {"data.silence_percent": 60.0, "training.batch_size": 7})
    decoded = decode_folder(list_recordings(tone_folder), 16_000, 16_000)
    sets = {"all": build_whole(decoded.listing, config.words), **build_sets(decoded.listing, config.words, config.data)}
    batches = Batches(config, decoded, {name: sets[name]}, torch.device("cpu"))
    made = sets[name].rows < 0
    silence = Silence(config, decoded, name, n := int(made.sum()))
    number = ("training", "validation", "testing", "all").index(name)
    generator = torch.Generator().manual_seed(step_seed(config.data.seed, 0, number))
    stretches = noise_stretches(config, decoded, name)
    which = torch.randint(len(stretches), (n,), generator=generator).tolist()
    places = torch.rand(n, generator=generator, dtype=torch.float64).tolist()
    volumes = torch.rand(n, generator=generator).numpy()
    theirs = torch.cat([audio for audio, _ in batches.evaluation_batches(name)]).numpy()[made]
    assert n == len(theirs) >= 3
    for position, (of, place, volume) in enumerate(zip(which, places, volumes, strict=True)):
        start = int(place * (len(stretches[of]) - 16_000 + 1))
        expected = stretches[of][start : start + 16_000].astype(np.float32) / 32768 * volume
        assert np.abs(expected).max() > 1e-4
        assert (silence.clip(position) == expected).all()
        assert (theirs[position] == expected).all()


def test_a_set_without_noise_has_silence_of_zeros(tone_folder: Path) -> None:
    listing = list_recordings(tone_folder)
    decoded = decode_folder(listing, 16_000, 16_000)
    silent = decoded.__class__(
        decoded.listing.__class__(listing.root, listing.clips, ()),
        decoded.clips,
        decoded.noise[:0],
        (0,),
        decoded.hashes,
        (),
    )
    silence = Silence(RunConfig(words=("low",)), silent, "testing", 3)
    assert not silence.has_noise
    assert not silence.clip(2).any()


def test_evaluate_a_file(capsys: pytest.CaptureFixture[str], tone_model: Path, tone_folder: Path) -> None:
    """Tones have no mean, so the hand-made model takes everything for silence: its share is the accuracy."""
    status, out, error = run(capsys, "evaluate", tone_model, tone_folder, "--json")
    assert (status, error) == (0, "")
    measures = json.loads(out)
    confusion = np.array(measures["confusion"])
    assert measures["labels"] == ["_silence_", "_unknown_", "low", "high"]
    assert (confusion[:, 1:] == 0).all()
    assert measures["accuracy"] == pytest.approx(confusion[0, 0] / confusion.sum())
    assert (measures["step"], measures["clips_trained_on"]) == (None, None)
    sets = build_sets(
        list_recordings(tone_folder),
        ("low", "high"),
        override(RunConfig(words=("low", "high")), {"data.silence_percent": 30.0, "data.unknown_percent": 50.0}).data,
    )
    assert confusion.sum(axis=1).tolist() == np.bincount(sets["testing"].labels, minlength=4).tolist()
    status, out, error = run(capsys, "evaluate", tone_model, tone_folder, "--split", "all")
    assert status == 0
    assert "Accuracy on all" in out
    assert "does not list the clips it was trained on" in error


@pytest.mark.slow
def test_evaluate_a_file_needs_no_torch(tone_model: Path, tone_folder: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None; from wordspot.commands.main import main; "
        "sys.exit(main(['evaluate', *sys.argv[1:]]))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(tone_model), str(tone_folder), "--split", "validation"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "Accuracy on validation" in result.stdout


@pytest.mark.slow
def test_evaluate_a_file_with_a_page(
    capsys: pytest.CaptureFixture[str], tone_model: Path, tone_folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    status, out, _ = run(capsys, "evaluate", tone_model, tone_folder, "--report", tmp_path / "r.html")
    assert status == 0
    assert f"report: {tmp_path / 'r.html'}" in out
    assert "<audio" in (tmp_path / "r.html").read_text()


def test_evaluate_a_file_that_does_not_fit(
    capsys: pytest.CaptureFixture[str], tone_model: Path, tone_folder: Path, model: Path, tmp_path: Path
) -> None:
    fails(capsys, "--checkpoint is for the folder of a run", "evaluate", tone_model, tone_folder, "--checkpoint", "3")
    fails(capsys, "contradict its own configuration", "evaluate", model, tone_folder)
    fails(capsys, "none.onnx: no such file", "evaluate", tmp_path / "none.onnx", tone_folder)
    rate = tmp_path / "rate.onnx"
    slow = {"features.sample_rate": 8000, "features.clip_ms": 2000, "features.high_hz": 3900}
    rate.write_bytes(made_model(config=to_json(override(RunConfig(words=("a", "b")), slow))))
    fails(capsys, "contradict its own configuration", "evaluate", rate, tone_folder)
    other = tmp_path / "other.onnx"
    other.write_bytes(made_model())
    assert made_card().labels[2:] == ("a", "b")
    fails(capsys, "no recordings of a, b; the folders here are", "evaluate", other, tone_folder)
