"""The studio in a process of its own, and its page as a user goes through it.

`WORDSPOT_AXE` may name axe-core's ``axe.min.js`` (npm); without it accessibility is not checked. `WORDSPOT_SCREENSHOTS` names
the folder of the pictures of the documentation.
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

RATE = 16_000
SIZES = {"phone": (390, 844), "desktop": (1280, 860)}


class Server:
    """`wordspot studio` in a process of its own."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        command = ["-m", "wordspot", "studio", "--dir", str(folder), "--port", str(port), "--no-browser"]
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
            if pictures := os.environ.get("WORDSPOT_SCREENSHOTS"):
                page.evaluate("new Promise((done) => setTimeout(done, 300))")
                page.screenshot(Path(pictures) / f"studio-{name}-{size}{suffix}.png")
    page.resize(*SIZES["desktop"])
