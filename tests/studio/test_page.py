"""The studio's page in a real browser, as a user takes it: words, recordings, training, report, listening, review, export.

Needs Chromium, espeak-ng and real recordings. With `WORDSPOT_AXE` and `WORDSPOT_SCREENSHOTS` (see `support.studio_page`) it
checks accessibility, and makes the pictures of docs/images/ again, in light and dark.
"""

from __future__ import annotations

import io
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.browser import Browser, Page, find_browser
from support.studio_page import RATE, Server, check_view, clips, fill, go, open_page, played
from wordspot.audio.files import read_audio
from wordspot.runtime.detector import Detector
from wordspot.runtime.modelfile.engine.wasm import has_wasm
from wordspot.studio.job import STOPPED, ask_to_stop
from wordspot.studio.project import StudioFolder, TrainingSettings
from wordspot.studio.sounds import list_sounds

pytest.importorskip("torch")
pytest.importorskip("espeakng_loader", reason="espeak-ng is not installed: pip install 'wordspot[voices]'")

WORDS = ("marvin", "sheila")
N_TAKES = 8
SMALL = TrainingSettings(
    minutes=0.1, n_voices=24, n_near_misses=6, stream_minutes=1.0, engine="espeak-ng", false_accepts_per_hour=600
)
TRAINED_S = 900.0  # for busy machines; two free cores need less than a minute

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_browser() is None, reason="no Chromium is installed, so the studio's page is not tested"),
    pytest.mark.skipif(not has_wasm(), reason="the engine in WebAssembly is missing; see `make web`"),
]


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


def train(page: Page) -> None:
    go(page, "train", WORDS[0])
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
        go(page, "train", WORDS[0])
        wait_for_model(page, 1, folder)
        page.wait_for("document.querySelector('.learning polyline.found')?.points.length")
        check_view(page, "trained")
        assert [one for one in page.problems() if "ERR_CONNECTION_REFUSED" not in one] == []  # while there was no server

    sounds = [clips(shared_data, word)[N_TAKES + number] for number in range(4) for word in WORDS]
    spoken = played(sounds, tmp_path / "spoken.wav", first_s=1.0, every_s=2.0)
    with Browser(tmp_path / "trying", microphone=spoken) as browser:
        page = open_page(browser, server.url)
        go(page, "report", WORDS[0])
        assert "of what new voices say is found" in page.shown()
        assert page.evaluate("document.querySelectorAll('tbody tr').length") == len(WORDS) + 1
        check_view(page, "report")
        go(page, "try", WORDS[0])
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
        go(page, "review", WORDS[0])
        check_view(page, "review")
        page.press("n", 78, "n")
        page.wait_for("document.getElementById('review-empty')")
        (false,) = list_sounds(project.not_words)
        assert 1.0 < false.seconds <= 2.5  # less if it was heard early

        train(page)
        wait_for_model(page, 2, folder)
        go(page, "report", WORDS[0])
        assert f"On your {2 * N_TAKES + 1} recordings" in page.shown()
        go(page, "take", WORDS[0])
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
