"""The studio in a process of its own, and its page as a user goes through it.

`WORDSPOT_AXE` may name axe-core's ``axe.min.js`` (npm); without it accessibility is not checked. `WORDSPOT_SCREENSHOTS` may name
a folder for pictures of every view; those of the documentation are made by ``tests/studio/test_pictures.py``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from support.browser import Browser, Page
from wordspot.audio.files import read_audio
from wordspot.files import write_json
from wordspot.runtime.model import read_model
from wordspot.studio.job import FINISHED, Job, write_job
from wordspot.studio.project import StudioProject
from wordspot.studio.sounds import list_sounds

RATE = 16_000
SIZES = {"phone": (390, 844), "desktop": (1280, 860)}


class Server:
    """`wordspot studio` in a process of its own."""

    def __init__(self, folder: Path, port: int = 0, *flags: str) -> None:
        command = ["-m", "wordspot", "studio", "--dir", str(folder), "--port", str(port), "--no-browser", *flags]
        self.process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().split()[-1]
        self.port = int(self.url.rsplit(":", 1)[1].partition("/")[0])

    def kill(self) -> None:
        self.process.kill()
        self.close()

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.close()

    def close(self) -> None:
        assert self.process.stdout is not None
        self.process.wait(60)
        self.process.stdout.close()


def clips(shared_data: Path, word: str) -> list[Path]:
    return sorted((shared_data / "speech_commands" / word).glob("*.opus"))


def played(paths: list[Path], out: Path, first_s: float, every_s: float) -> Path:
    """A microphone's WAV in which a clip begins at `first_s`, and then another one every `every_s`."""
    whole = np.zeros(round((first_s + every_s * len(paths) + 2) * RATE), np.float32)
    for number, path in enumerate(paths):
        audio, start = read_audio(path, RATE)[0], round((first_s + number * every_s) * RATE)
        whole[start : start + len(audio)] += audio
    whole += 1e-3 * np.random.default_rng(0).standard_normal(len(whole)).astype(np.float32)
    soundfile.write(out, whole, RATE, subtype="PCM_16")
    return out


def open_page(browser: Browser, url: str, **options: Any) -> Page:
    page = browser.open(url, **options)
    page.wait_for("window.studio")
    page.evaluate("window.studio.ready")
    return page


def go(page: Page, step: str, name: str) -> None:
    page.evaluate(f"location.hash = '#/{name}/{step}'")
    page.wait_for(f"document.getElementById('view').dataset.step === '{step}' && document.querySelector('#steps [aria-current]')")


def fill(page: Page, selector: str, text: str) -> None:
    page.evaluate(f"document.querySelector({json.dumps(selector)}).value = {json.dumps(text)}")
    page.evaluate(f"document.querySelector({json.dumps(selector)}).form?.requestSubmit()")


def check_view(page: Page, name: str) -> None:
    """In light and dark no violation that axe-core finds, and nothing wider than the window; pictures, if they are asked for."""
    for scheme, suffix in (("dark", "-dark"), ("light", "")):
        page.prefer(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")  # no colour on its way to another
        for size, (width, height) in SIZES.items():
            page.resize(width, height)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (name, size)
            if axe := os.environ.get("WORDSPOT_AXE"):
                page.evaluate(Path(axe).read_text(encoding="utf-8") + "; 0")
                found = page.evaluate("axe.run().then((all) => all.violations.map((one) => [one.id, one.nodes[0].html]))")
                assert found == [], (name, scheme, size)
            picture(page, f"{name}-{size}{suffix}")
    page.resize(*SIZES["desktop"])


def picture(page: Page, name: str) -> None:
    """A picture of what the window shows, if pictures are asked for."""
    if folder := os.environ.get("WORDSPOT_SCREENSHOTS"):
        page.evaluate("new Promise((done) => setTimeout(done, 300))")
        page.screenshot(Path(folder) / f"studio-{name}.png")


def add_version(project: StudioProject) -> None:
    """A finished training, whose model is the one that comes with wordspot, with a report of invented numbers."""
    takes = list_sounds(project.word_folder("hey lamp"))
    judged = [
        {"file": one.file, "digest": one.digest, "set": "testing" if number == 0 else "training", "score": 0.4,
         "heard": "hey lamp" if number else ""}
        for number, one in enumerate(takes)
    ]  # fmt: skip
    share = {"n": 20, "n_found": 18, "found": 0.9, "found_low": 0.7, "found_high": 0.97}
    rates = {"n_false_accepts": 1, "hours": 0.5, "false_accepts_per_hour": 2.0, "false_accepts_per_hour_high": 11.1}
    measured = {
        "voices": share,
        "takes": {**share, "n": 1, "n_found": 0, "found": 0.0},
        "near_misses": share,
        "woken_by": ["hey lamb"],
    }
    report = {
        "number": 1, "made": 1.8e9, "words": ["hey lamp"], "settings": {},
        "warnings": ["no `speech` was given: expect more false accepts on people who talk than these figures say"],
        "measured": {**measured, **rates},
        "curve": {
            "thresholds": [0.1, 0.3, 0.5, 0.7, 0.9], "n_hits": [20, 19, 18, 15, 9], "n_false_accepts": [12, 5, 2, 1, 0],
            "n_words": 20, "hours": 0.5,
        },
        "confusion": {"rows": ["hey lamp", "other words"], "columns": ["hey lamp", "nothing"], "counts": [[18, 2], [1, 29]]},
        "takes": {"hey lamp": judged}, "not_words": [],
        "before": {"number": 0, "heard": {one.digest: "" for one in takes}},
    }  # fmt: skip
    project.versions.mkdir()
    (project.versions / "1.onnx").write_bytes(read_model(None)[1])
    write_json(project.versions / "1.json", report)
    curve = [(step, 2 / (1 + step / 20), 0.5) for step in range(1, 200)]
    found = [(20 * n, 2 * n, 20, n // 4, 30) for n in range(1, 10)]
    write_job(project.path, Job(state=FINISHED, stage="Done", fraction=1.0, trains=True, version=1, curve=curve, found=found))
