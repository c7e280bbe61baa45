"""The studio's page in a real browser, as a user takes it: words, recordings, training, report, listening, review, export.

Needs Chromium, espeak-ng and real recordings. `WORDSPOT_AXE` may name axe-core's ``axe.min.js`` (npm); without it accessibility
is not checked. The screenshots of docs/images/ are made again by

    WORDSPOT_SCREENSHOTS=docs/images python -m pytest tests/studio/test_page.py
"""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from support.browser import Browser, Page, find_browser
from wordspot.audio.files import read_audio
from wordspot.runtime.detector import Detector
from wordspot.runtime.modelfile.engine.wasm import has_wasm
from wordspot.studio.job import STOPPED, ask_to_stop
from wordspot.studio.project import StudioFolder, TrainingSettings
from wordspot.studio.sounds import list_sounds

pytest.importorskip("torch")
pytest.importorskip("espeakng_loader", reason="espeak-ng is not installed: pip install 'wordspot[voices]'")

RATE = 16_000
WORDS = ("marvin", "sheila")
N_TAKES = 8
SMALL = TrainingSettings(
    minutes=0.1, n_voices=24, n_near_misses=6, stream_minutes=1.0, engine="espeak-ng", false_accepts_per_hour=600
)
SIZES = {"phone": (390, 844), "desktop": (1280, 860)}
TRAINED_S = 900.0  # for busy machines; two free cores need less than a minute

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_browser() is None, reason="no Chromium is installed, so the studio's page is not tested"),
    pytest.mark.skipif(not has_wasm(), reason="the engine in WebAssembly is missing; see `make web`"),
]


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


@pytest.fixture
def folder(tmp_path: Path) -> StudioFolder:
    made = StudioFolder(tmp_path / "studio")
    made.path.mkdir()
    return made


@pytest.fixture
def start(folder: StudioFolder) -> Iterator[Callable[..., Server]]:
    """Starts servers; what a test leaves running is ended."""
    started: list[Server] = []

    def make(port: int = 0) -> Server:
        started.append(Server(folder.path, port))
        return started[-1]

    yield make
    for server in started:
        if server.process.poll() is None:
            server.kill()
    for project in folder.projects():
        ask_to_stop(project.path, STOPPED)


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


def go(page: Page, step: str, name: str = WORDS[0]) -> None:
    page.evaluate(f"location.hash = '#/{name}/{step}'")
    page.wait_for(f"document.getElementById('view').dataset.step === '{step}' && document.querySelector('#steps [aria-current]')")


def fill(page: Page, selector: str, text: str) -> None:
    page.evaluate(f"document.querySelector({json.dumps(selector)}).value = {json.dumps(text)}")
    page.evaluate(f"document.querySelector({json.dumps(selector)}).form?.requestSubmit()")


def check_view(page: Page, name: str) -> None:
    """No violation that axe-core finds, in light and dark, and nothing wider than a phone; pictures, if they are asked for."""
    axe = os.environ.get("WORDSPOT_AXE", "")
    for scheme in ("light", "dark"):
        page.prefer(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")  # no colour on its way to another
        if axe:
            page.evaluate(Path(axe).read_text(encoding="utf-8") + "; 0")
            found = page.evaluate("axe.run().then((all) => all.violations.map((one) => [one.id, one.nodes[0].html]))")
            assert found == [], (name, scheme)
    page.prefer(prefers_color_scheme="light")
    for size, (width, height) in SIZES.items():
        page.resize(width, height)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (name, size)
        if pictures := os.environ.get("WORDSPOT_SCREENSHOTS"):
            page.evaluate("new Promise((done) => setTimeout(done, 300))")
            page.screenshot(Path(pictures) / f"studio-{name}-{size}.png")
    page.resize(*SIZES["desktop"])


def train(page: Page) -> None:
    go(page, "train")
    page.wait_for("document.getElementById('train')")
    page.click("#train")
    page.wait_for("document.querySelector('.stage-name') && !document.getElementById('train')")


def wait_for_model(page: Page, number: int, folder: StudioFolder) -> None:
    report = folder.project(WORDS[0]).versions / f"{number}.json"
    deadline = time.monotonic() + TRAINED_S
    while not report.is_file():
        state = page.evaluate("document.querySelector('.stage-name')?.textContent ?? ''")
        assert "failed" not in state
        assert time.monotonic() < deadline, state
        time.sleep(0.5)
    page.wait_for("!document.querySelector('#steps .closed')")


def assert_exports(server: Server, version: int) -> None:
    """Every ZIP file holds what its command writes."""
    expected = {"page": "index.html", "wasm": "wordspot.js", "c": "wordspot.h"}
    for kind, name in expected.items():
        address = f"http://localhost:{server.port}/v1/studio/projects/{WORDS[0]}/versions/{version}/exports/{kind}"
        with urllib.request.urlopen(address, timeout=300) as answer:
            names = zipfile.ZipFile(io.BytesIO(answer.read())).namelist()
        assert any(Path(one).name == name for one in names), names


def test_two_words_are_taught(folder: StudioFolder, start: Callable[..., Server], shared_data: Path, tmp_path: Path) -> None:
    server = start()
    takes = played(clips(shared_data, WORDS[0])[:N_TAKES], tmp_path / "takes.wav", first_s=2.6, every_s=2.6)
    with Browser(tmp_path / "recording", microphone=takes) as browser:
        page = open_page(browser, server.url)
        check_view(page, "home")
        fill(page, "#project-name", WORDS[0])
        page.wait_for("document.getElementById('new-word')")
        fill(page, "#new-word", WORDS[1])
        page.wait_for(f"document.querySelector('[data-word={WORDS[1]}]')")
        fill(page, "#take-count", str(N_TAKES))
        page.click(f"[data-word={WORDS[0]}] button.primary")
        page.wait_for(f"document.querySelectorAll('[data-word={WORDS[0]}] .take').length === {N_TAKES}")
        files = clips(shared_data, WORDS[1])[:N_TAKES]
        with zipfile.ZipFile(tmp_path / "more.zip", "w", zipfile.ZIP_DEFLATED) as packed:
            for path in files[N_TAKES // 2 :]:
                packed.write(path, f"{WORDS[1]}/{path.name}")
        page.choose_files(f"[data-word={WORDS[1]}] input[type=file]", *files[: N_TAKES // 2], tmp_path / "more.zip")
        page.wait_for(f"document.querySelectorAll('[data-word={WORDS[1]}] .take').length === {N_TAKES}")
        project = folder.project(WORDS[0])
        recorded = list_sounds(project.takes / WORDS[0])
        assert [one.problem for one in recorded].count("too quiet") == 0
        check_view(page, "words")

        project.write_settings(SMALL)
        train(page)
        check_view(page, "training")
        server.kill()  # the training goes on, and the next server shows it
        server = start(server.port)
        page.go(server.url)
        go(page, "train")
        wait_for_model(page, 1, folder)
        assert [one for one in page.problems() if "ERR_CONNECTION_REFUSED" not in one] == []  # while there was no server

    sounds = [clips(shared_data, word)[N_TAKES + number] for number in range(4) for word in WORDS]
    spoken = played(sounds, tmp_path / "spoken.wav", first_s=1.0, every_s=2.0)
    with Browser(tmp_path / "trying", microphone=spoken) as browser:
        page = open_page(browser, server.url)
        go(page, "report")
        assert "of what new voices say is found" in page.shown()
        assert page.evaluate("document.querySelectorAll('tbody tr').length") == len(WORDS) + 1
        check_view(page, "report")
        go(page, "try")
        page.wait_for("!document.getElementById('listen').disabled")
        page.click("#listen")
        page.wait_for("document.querySelectorAll('.heard li').length >= 2")
        heard = page.evaluate("[...document.querySelectorAll('.heard strong')].map((one) => one.textContent)")
        assert set(heard) <= set(WORDS)
        page.wait_for("document.querySelector('.heard button:not(:disabled)')")
        page.click(".heard button:not(:disabled)")
        page.wait_for("document.getElementById('try-status').textContent.includes('1 sound kept')")
        page.click("#listen")
        page.wait_for("!document.querySelector('#words .lit')")
        check_view(page, "try")
        go(page, "review")
        check_view(page, "review")
        page.press("n", 78, "n")
        page.wait_for("document.getElementById('review-empty')")
        (false,) = list_sounds(project.not_words)
        assert 1.0 < false.seconds <= 2.5  # less if it was heard early

        train(page)
        wait_for_model(page, 2, folder)
        go(page, "report")
        assert f"On your {2 * N_TAKES + 1} recordings" in page.shown()
        go(page, "take")
        check_view(page, "take")
        downloads = tmp_path / "downloads"
        browser.call("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(downloads)})
        page.click("#take-python")
        deadline = time.monotonic() + 60
        while not list(downloads.glob("*.onnx")):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert page.problems() == []
    assert_exports(server, 2)
    server.interrupt()

    detector = Detector(next(downloads.glob("*.onnx")))
    whole = read_audio(spoken, RATE)[0]
    found = {one.label for one in [*detector.feed(whole), *detector.flush()]}
    assert found
    assert found <= set(WORDS)
