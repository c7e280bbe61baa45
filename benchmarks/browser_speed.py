"""Cost of the page of `wordspot serve` in a browser: headless Chromium with a sound file as its microphone.

    python benchmarks/browser_speed.py SOUND.wav [MODEL.onnx ...] [--seconds 60] [--page-weights int8] [--json OUT]

Each model processes the sound twice: live from the microphone, for `--seconds` of it, and as a file, as fast as
possible. The result is the real-time factor: the time of features, network and decoder, without drawing, over the duration of
the sound. wordspot's engine runs live in the audio thread, whose clock has whole milliseconds: a block of 20 ms takes less, and
the mean over `--seconds` is right to about 5 %. ONNX Runtime, for files that the engine does not know, runs in a worker.
Without a model: the one that comes with wordspot. Needs Chromium and a checkout in which `make web` has run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import soundfile

from results import write_result
from wordspot.audio.files import read_audio

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.browser import Browser, Page

RATE = 48_000  # of the microphone, as browsers give it
COLUMNS = (
    "model",
    "runs in",
    "the microphone, share of real time",
    "a file, share of real time",
    "words live",
    "words in the file",
)


def main() -> None:
    parser = argparse.ArgumentParser(description="real-time factor of the page in Chromium")
    parser.add_argument("sound", type=Path)
    parser.add_argument("models", type=Path, nargs="*")
    parser.add_argument("--seconds", type=float, default=60.0, help="of sound, live (default: 60)")
    parser.add_argument(
        "--page-weights", choices=("int8", "float32"), default="int8", help="of wordspot's engine (default: int8)"
    )
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        samples, rate = read_audio(args.sound, sample_rate=RATE)
        soundfile.write(folder / "sound.wav", samples, rate, subtype="PCM_16")
        measured = measure(folder, args.models, args.seconds, args.page_weights)
    rows = [
        [one["model"], one["engine"], percent(one["live"]), percent(one["file"]), one["n_live"], one["n_file"]]
        for one in measured
    ]
    for row in (COLUMNS, *rows):
        print(*row, sep=" | ")
    if args.json:
        write_result(args.json, measured, COLUMNS, rows)


def percent(share: float) -> str:
    """A share of real time with two digits."""
    return f"{100 * share:.2g} %"


def measure(folder: Path, models: list[Path], seconds: float, weights: str) -> list[dict[str, Any]]:
    """A row per model."""
    command = [sys.executable, "-m", "wordspot", "serve", *map(str, models), "--port", "0", "--page-weights", weights]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            line = server.stdout.readline()
            if not line:
                sys.exit("the server ended before it began")
            url = line.split()[-1]
            with Browser(folder, microphone=folder / "sound.wav") as browser:
                page = browser.open(url)
                if not page.evaluate("wordspot.ready"):
                    sys.exit(f"the page does not come up: {page.shown()}")
                names = page.evaluate("[...document.getElementById('model').options].map((option) => option.text)")
                return [one(page, name, folder / "sound.wav", seconds) for name in names]
        finally:
            server.terminate()


def one(page: Page, name: str, sound: Path, seconds: float) -> dict[str, Any]:
    """The real-time factors of one model, and how many words it found."""
    if page.evaluate("wordspot.model") != name:
        page.evaluate(
            f"""(() => {{ const choice = document.getElementById('model');
            choice.value = [...choice.options].find((option) => option.text === {json.dumps(name)}).value;
            choice.dispatchEvent(new Event('change')); }})()"""
        )
    page.wait_for(f"wordspot.state === 'ready' && wordspot.model === {json.dumps(name)}")
    page.choose_files("#file", sound)
    done = "document.getElementById('status').textContent.startsWith('sound.wav')"
    page.wait_for(done, seconds=soundfile.info(sound).duration + 60)
    file, n_file = factor(page)
    page.click("#start")
    page.wait_for(f"wordspot.heard.seconds >= {seconds} && wordspot.state === 'listening'", seconds=seconds + 60)
    live, n_live = factor(page)
    page.click("#start")
    page.wait_for("wordspot.state === 'ready'")
    engine = page.evaluate("wordspot.engine")
    runs_in = f"wordspot's engine, {engine['weights']}" if engine else "ONNX Runtime"
    return {"model": name, "engine": runs_in, "live": live, "file": file, "n_live": n_live, "n_file": n_file}


def factor(page: Page) -> tuple[float, int]:
    """The time it took over the time of the sound, and the number of detections, of the stream that is shown."""
    heard = page.evaluate("wordspot.heard")
    return heard["ms"] / 1000 / heard["seconds"], int(page.evaluate("wordspot.detections.length"))


if __name__ == "__main__":
    main()
