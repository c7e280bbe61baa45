"""The examples for devices, compiled on a PC: they detect in a recording what the detector does in Python.

The Raspberry Pi's program records through ALSA's `file` plugin, the ESP32's and Arduino's through stand-ins for their headers.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import wordspot as ws
from support.made import spoken_tones
from support.made_engine import HERE, compiled, compiler

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[1] / "examples"
MODEL = Path(__file__).parent / "files" / "0.1" / "words.onnx"
#: A capture device that plays a file; it goes on with silence at the end.
ALSA = """
pcm.recording {{
    type file
    slave.pcm {{ type null }}
    file /dev/null
    infile "{path}"
    format raw
}}
"""


@pytest.fixture(scope="module")
def samples() -> NDArray[np.int16]:
    return (spoken_tones() * 32767).astype(np.int16)


@pytest.fixture(scope="module")
def expected(samples: NDArray[np.int16]) -> list[tuple[str, str]]:
    """Time in seconds and label of what the detector detects."""
    detector = ws.Detector(MODEL)
    found = detector.feed((samples / 32768).astype(np.float32))
    assert len(found) >= 2
    return [(f"{one.time_ms / 1000:.2f}", one.label) for one in found]


def detections(text: str) -> list[tuple[str, str]]:
    return re.findall(r"([\d.]+) s:? +(\S+) \(score = ", text)


def test_the_raspberry_pi_detects_what_alsa_records(
    samples: NDArray[np.int16], expected: list[tuple[str, str]], tmp_path: Path
) -> None:
    if not shutil.which("cmake") or not Path("/usr/include/alsa/asoundlib.h").is_file():
        pytest.skip("there is no cmake or no libasound2-dev")
    ws.export_c(MODEL, tmp_path / "words-c")
    options = ["-S", EXAMPLES / "raspberry-pi", "-B", tmp_path / "build", f"-DWORDSPOT_DIR={tmp_path / 'words-c'}"]
    subprocess.run(["cmake", *options, "-DCMAKE_C_FLAGS=-Wall -Wextra -Werror"], check=True, capture_output=True)
    subprocess.run(["cmake", "--build", tmp_path / "build"], check=True, capture_output=True)
    samples.tofile(tmp_path / "spoken.raw")
    (tmp_path / "asound.conf").write_text(ALSA.format(path=tmp_path / "spoken.raw"))
    with subprocess.Popen(
        [tmp_path / "build" / "listen", "recording"],
        env={"ALSA_CONFIG_PATH": str(tmp_path / "asound.conf")}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as program:  # fmt: skip
        assert program.stdout is not None
        heard = [program.stdout.readline() for _ in expected]
        program.kill()
    assert detections("".join(heard)) == expected
    done = subprocess.run([tmp_path / "build" / "listen", "nothing"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "the microphone nothing cannot be opened" in done.stderr


def test_the_esp32_detects_what_its_microphone_hears(
    samples: NDArray[np.int16], expected: list[tuple[str, str]], tmp_path: Path
) -> None:
    folder = ws.export_c(MODEL, tmp_path / "words-c").folder
    sources = [path for path in sorted(folder.glob("*.c")) if path.name != "main.c"]
    sources += [EXAMPLES / "esp32" / "main" / "main.c", HERE / "esp_idf.c"]
    program = compiled(tmp_path / "program", sources, f"-I{folder}", f"-I{HERE / 'esp_idf'}", "-O2", "-DWS_LANES=1")
    done = subprocess.run([program], input=samples.tobytes(), capture_output=True)
    assert done.returncode == 0
    assert detections(done.stdout.decode()) == expected


@pytest.mark.parametrize("board", ["-DARDUINO_ARCH_ESP32", "-DARDUINO_ARCH_MBED"], ids=["ESP32", "Nano 33 BLE Sense"])
def test_the_arduino_sketch_detects_what_its_microphone_hears(
    board: str, samples: NDArray[np.int16], expected: list[tuple[str, str]], tmp_path: Path
) -> None:
    if not shutil.which("c++"):
        pytest.skip("there is no C++ compiler")
    sketch = tmp_path / "words"
    shutil.copytree(EXAMPLES / "arduino" / "words", sketch)
    engine = ws.export_c(MODEL, sketch / "src" / "words-c").folder
    (engine / "main.c").unlink()  # as the README says
    warnings = ("-O2", "-DWS_LANES=1", "-Wall", "-Wextra", "-Werror")
    subprocess.run([compiler(), "-std=gnu11", *warnings, "-c", *sorted(engine.glob("*.c"))], check=True, cwd=tmp_path)
    sources = ("-x", "c++", "-include", "Arduino.h", sketch / "words.ino", HERE / "arduino" / "arduino.cpp", "-x", "none")
    program = tmp_path / "program"
    command = ["c++", "-std=gnu++17", *warnings, board, f"-I{HERE / 'arduino'}", *sources, *sorted(tmp_path.glob("*.o"))]
    subprocess.run([*command, "-o", program], check=True)
    done = subprocess.run([program], input=samples.tobytes(), capture_output=True)
    assert done.returncode == 0
    assert detections(done.stdout.decode()) == expected
    assert "Sound was lost" not in done.stdout.decode()
    late = subprocess.run([program], env={"LATE": "1"}, input=samples.tobytes(), capture_output=True)
    assert (b"Sound was lost" in late.stdout) == ("MBED" in board)  # the ring of the sketch; an ESP32's driver has its own
    silent = subprocess.run([program], env={"NO_MICROPHONE": "1"}, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert silent.returncode == 3
    assert "The microphone cannot be opened" in silent.stdout
