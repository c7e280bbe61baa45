"""The studio's page in a real browser, as a user takes it: words, recordings, training, report, listening, review, export.

Needs Chromium, espeak-ng and real recordings. With `WORDSPOT_AXE` and `WORDSPOT_SCREENSHOTS` (see `support.studio_page`) it
checks accessibility, and makes pictures of every view, in light and dark.
"""

from __future__ import annotations

import contextlib
import io
import time
import urllib.request
import zipfile
from bisect import bisect
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.browser import TIMEOUT, Browser, BrowserError, Page, find_browser
from support.studio_page import RATE, Server, check_view, clips, fill, go, open_page, played
from wordspot.audio.files import read_audio
from wordspot.runtime.detector import Detector
from wordspot.runtime.modelfile.engine.wasm import has_wasm
from wordspot.studio.job import STOPPED, ask_to_stop
from wordspot.studio.project import StudioFolder, TrainingSettings
from wordspot.studio.sounds import list_sounds
from wordspot.studio.versions import Version, list_versions
from wordspot.wakeword.measuring import hear

pytest.importorskip("torch")
pytest.importorskip("espeakng_loader", reason="espeak-ng is not installed: pip install 'wordspot[voices]'")

WORDS = ("marvin", "sheila")
N_TAKES = 8
SMALL = TrainingSettings(
    minutes=0.6, n_voices=24, n_near_misses=6, stream_minutes=0.5, engine="espeak-ng", false_accepts_per_hour=120
)
OTHERS = ("seven", "visual", "follow", "happy", "learn", "nine")  # which a model of few steps takes for the words
N_FALSE, N_OF_EACH = 6, 20
EAGER = 0.5  # the threshold while false accepts are collected, as a part of the lowest score among them
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
    """Wait for the training on the page, and for the steps that need a model to open."""
    report = folder.project(WORDS[0]).versions / f"{number}.json"
    deadline = time.monotonic() + TRAINED_S
    while not report.is_file():
        state = page.evaluate("document.querySelector('.stage-name')?.textContent ?? ''")
        assert "failed" not in state
        assert time.monotonic() < deadline, state
        time.sleep(0.5)
    page.wait_for("!document.querySelector('#steps .closed')")


def mistaken(model: Path, shared_data: Path) -> tuple[list[Path], float]:
    """The clips of other words that a model takes for its own most confidently, and the lowest score among them."""
    detector = Detector(model)
    others = [path for word in OTHERS for path in clips(shared_data, word)[:N_OF_EACH]]
    ranked = sorted(others, key=lambda path: score_of(detector, path), reverse=True)[:N_FALSE]
    return ranked, score_of(detector, ranked[-1])


def score_of(detector: Detector, path: Path) -> float:
    """The highest score of any of the words in a recording."""
    return float(hear(detector, path)[1][:, [label in WORDS for label in detector.card.labels]].max())


def lower_threshold(page: Page, version: Version, wanted: float) -> None:
    """Move the slider of the report to the highest threshold that is at most `wanted`, and save it in the model."""
    go(page, "report", WORDS[0])
    place = max(bisect(version.read()["curve"]["thresholds"], wanted) - 1, 0)
    slider = "document.getElementById('threshold')"
    page.evaluate(f"{slider}.value = {place}; {slider}.dispatchEvent(new Event('input')); {slider}.dataset.moved = 'yes'")
    page.evaluate("[...document.querySelectorAll('button')].find((one) => one.textContent === 'Use this threshold').click()")
    page.wait_for(f"{slider} && !{slider}.dataset.moved")  # the view is a new one


def listen(page: Page, n: int, seconds: float = TIMEOUT) -> list[str]:
    """Start to listen on the page, and return what is heard as soon as there are `n` words; fewer after `seconds`."""
    go(page, "try", WORDS[0])
    page.wait_for("!document.getElementById('try-listen').disabled")
    page.click("#try-listen")
    with contextlib.suppress(BrowserError):
        page.wait_for(f"document.querySelectorAll('.heard li').length >= {n}", seconds=seconds)
    heard = page.evaluate("[...document.querySelectorAll('.heard strong')].map((one) => one.textContent)")
    assert set(heard) <= set(WORDS)
    return list(heard)


def mark_false_accepts(page: Page) -> int:
    """Say “That was not it” to all that is heard, and judge that in the review. Returns how many there were."""
    page.click("#try-listen")
    page.wait_for("document.getElementById('try-listen').textContent === 'Start listening'")
    n = int(page.evaluate("document.querySelectorAll('.heard button:not(:disabled)').length"))
    for number in range(1, n + 1):
        page.click(".heard button:not(:disabled)")
        page.wait_for(f"document.getElementById('try-status').textContent.includes('{number} sound')")
    check_view(page, "try")
    go(page, "review", WORDS[0])
    check_view(page, "review")
    for left in reversed(range(n)):
        page.press("n", 78, "n")
        shown = f"document.querySelector('.judge')?.innerText.includes('{left} recording')"
        page.wait_for(shown if left else "document.getElementById('review-empty')")
    return n


def assert_exports(server: Server, version: int) -> None:
    """Every ZIP file holds what its command writes."""
    expected = {"page": "index.html", "wasm": "wordspot.js", "c": "wordspot.h"}
    for kind, name in expected.items():
        address = f"http://localhost:{server.port}/v1/studio/projects/{WORDS[0]}/versions/{version}/exports/{kind}"
        with urllib.request.urlopen(address, timeout=300) as answer:
            names = zipfile.ZipFile(io.BytesIO(answer.read())).namelist()
        assert any(Path(one).name == name for one in names), names


def record(page: Page, shared_data: Path, tmp_path: Path) -> None:
    """A project with two words: takes of the first from the microphone, of the second from files and a ZIP file."""
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
    check_view(page, "words")


def test_two_words_are_taught(folder: StudioFolder, start: Callable[..., Server], shared_data: Path, tmp_path: Path) -> None:
    server = start()
    takes = played(clips(shared_data, WORDS[0])[:N_TAKES], tmp_path / "takes.wav", first_s=2.6, every_s=2.6)
    with Browser(tmp_path / "recording", microphone=takes) as browser:
        page = open_page(browser, server.url)
        record(page, shared_data, tmp_path)
        project = folder.project(WORDS[0])
        assert [one.problem for one in list_sounds(project.takes / WORDS[0])].count("too quiet") == 0
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

    (first,) = list_versions(project)
    false, score = mistaken(first.model, shared_data)
    sounds = [clips(shared_data, word)[N_TAKES + number] for number in range(4) for word in WORDS]
    spoken = played(sounds, tmp_path / "spoken.wav", first_s=1.0, every_s=2.0)
    with Browser(tmp_path / "trying", microphone=spoken) as browser:
        page = open_page(browser, server.url)
        go(page, "report", WORDS[0])
        assert "of what new voices say is found" in page.shown()
        assert page.evaluate("document.querySelectorAll('tbody tr').length") == len(WORDS) + 1
        check_view(page, "report")
        lower_threshold(page, first, EAGER * score)
        assert len(listen(page, 2)) >= 2
        assert page.problems() == []

    others = played(false, tmp_path / "others.wav", first_s=1.5, every_s=3.0)
    with Browser(tmp_path / "marking", microphone=others) as browser:
        page = open_page(browser, server.url)
        assert len(listen(page, N_FALSE, seconds=3.0 * N_FALSE + 2)) >= N_FALSE // 2  # a microphone's sound differs a little
        n_false = mark_false_accepts(page)
        marked = list_sounds(project.not_words)
        assert len(marked) == n_false >= N_FALSE // 2
        assert all(1.0 < one.seconds <= 2.5 for one in marked)  # less if it was heard early
        before = [score_of(Detector(first.model), project.not_words / one.file) for one in marked]

        train(page)
        wait_for_model(page, 2, folder)
        go(page, "report", WORDS[0])
        assert f"On your {2 * N_TAKES + n_false} recordings" in page.shown()
        assert "Better now" in page.shown()
        assert "not a word not heard" in page.shown()
        assert page.shown().count("not a word heard as") <= n_false // 2  # all of them were, by the model before
        check_view(page, "report-2")
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
    detector = Detector(next(downloads.glob("*.onnx")))
    after = [score_of(detector, project.not_words / one.file) for one in marked]
    assert sum(after) < 0.7 * sum(before)  # it has learned from them; that is not only a higher threshold
    assert_exports(server, 2)
    server.interrupt()

    whole = read_audio(spoken, RATE)[0]
    found = {one.label for one in [*detector.feed(whole), *detector.flush()]}
    assert found
    assert found <= set(WORDS)
