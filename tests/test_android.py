"""The classes of the phone app that do not need Android, on a desktop's JVM: a WAV file is the microphone.

The app's screen and its `AudioRecord` are not tested: there is no Android SDK in the package registries that the tests use.
"""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

import wordspot as ws
from support.made import RATE, spoken_tones
from support.made_engine import HERE, compiled, engine_sources
from wordspot.export.c_target import engine_model
from wordspot.runtime.modelfile.engine.blob import make_blob

pytestmark = pytest.mark.slow

APP = Path(__file__).parents[1] / "examples" / "android" / "app" / "src" / "main"
PACKAGE = APP / "java" / "io" / "github" / "wordspot"
WITHOUT_ANDROID = ("Detection", "Listener", "Microphone", "ModelFile", "Wordspot")
MODEL = Path(__file__).parent / "files" / "0.1" / "words.onnx"
HOPS = 4  # of a call, as in Listener.java


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that listens to a file."""
    javac = shutil.which("javac")
    if javac is None:
        pytest.skip("there is no javac (openjdk-17-jdk-headless)")
    folder, home = tmp_path_factory.mktemp("java"), Path(javac).resolve().parents[1]
    sources = [*(PACKAGE / f"{name}.java" for name in WITHOUT_ANDROID), HERE / "java/io/github/wordspot/ListenToFile.java"]
    subprocess.run([javac, "-Xlint:all", "-Werror", "-d", folder, *sources], check=True)
    includes = (f"-I{home}/include", f"-I{home}/include/linux")
    c_sources = [*engine_sources(), APP / "cpp" / "wordspot_jni.c"]
    compiled(folder / "libwordspot_jni.so", c_sources, "-shared", "-fPIC", "-O2", *includes)
    java = str(Path(javac).with_name("java"))
    return [java, "-Xcheck:jni", f"-Djava.library.path={folder}", "-cp", str(folder), "io.github.wordspot.ListenToFile"]


def listen(program: list[str], model: Path, sound: Path) -> list[list[str]]:
    """The words of each line that is printed."""
    done = subprocess.run([*program, model, sound], capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stdout  # of -Xcheck:jni
    return [line.split() for line in done.stdout.splitlines()]


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "spoken.wav", spoken_tones(), RATE, subtype="PCM_16")
    return tmp_path / "spoken.wav"


def test_the_phone_detects_what_the_detector_does(program: list[str], sound: Path, tmp_path: Path) -> None:
    read, card = engine_model(MODEL)
    names = tuple(f"كلمة{i}" if not label.startswith("_") else label for i, label in enumerate(card.labels))
    (tmp_path / "model.bin").write_bytes(make_blob(read, dataclasses.replace(card, labels=names)))
    lines = listen(program, tmp_path / "model.bin", sound)
    assert lines[0] == ["labels", *names]
    assert lines[1] == ["facts", "16000", "160", str(card.clip_samples // card.step_samples - 1)]
    assert lines[2] == ["self-test", "true"]
    assert lines[-1] == ["ended", "null"]
    audio, _ = soundfile.read(sound, dtype="float32")
    audio = audio[: len(audio) // (HOPS * 160) * HOPS * 160]
    detector = ws.Detector(MODEL)
    expected = detector.feed(audio) + detector.flush()
    assert len(expected) >= 2
    found = [line[1:] for line in lines if line[0] == "detected"]
    assert [label for label, _, _ in found] == [names[card.labels.index(one.label)] for one in expected]
    for (_, time_ms, score), one in zip(found, expected, strict=True):
        assert float(time_ms) == pytest.approx(one.time_ms)
        assert float(score) == pytest.approx(one.score, abs=1e-4)
    scores = np.array([[float(word) for word in line[1:]] for line in lines if line[0] == "scores"])
    rows, _ = ws.Scorer(MODEL).feed(audio)
    early = card.clip_samples // card.step_samples - 1
    last = np.arange(HOPS - 1, len(audio) // 160, HOPS)  # the newest hop of each call
    np.testing.assert_allclose(scores[last >= early], rows[last[last >= early] - early], atol=1e-4)


def test_a_bad_file_is_one_clear_line(program: list[str], sound: Path, tmp_path: Path) -> None:
    blob = make_blob(*engine_model(MODEL))
    damaged = bytearray(blob)
    damaged[8] += 1  # the version
    other = "is not a model for this app. Open the file model.bin that `wordspot export words.onnx --target wasm"
    again = "is damaged, or was exported by another version of wordspot. Export it again."
    for name, content, message in (
        ("words.onnx", MODEL.read_bytes(), other),
        ("empty.bin", b"", other),
        ("old.bin", bytes(damaged), again),
        ("half.bin", blob[: len(blob) // 2], again),
    ):
        (tmp_path / name).write_bytes(content)
        lines = listen(program, tmp_path / name, sound)
        assert [line[0] for line in lines] == ["error"]
        assert f"error {name} {message}" in " ".join(lines[0])
