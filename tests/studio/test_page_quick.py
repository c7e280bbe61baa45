"""The studio's page in a real browser, without a training: how soon it is there, how large it is, and steps taken back."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from support.browser import Browser, Page, find_browser
from support.studio_page import RATE, Server, add_version, check_view, go, open_page
from wordspot.audio.files import write_audio
from wordspot.studio.kept import keep_sound
from wordspot.studio.project import StudioFolder, StudioProject
from wordspot.studio.sounds import list_sounds, save_take

#: Of one core. It takes about one on a busy machine; a few times that is a fault, on any machine.
MOST_FIRST_VIEW_S = 3.0
MOST_BYTES = 150_000
_LOADS = 5  # of the page; the median counts

pytestmark = pytest.mark.skipif(find_browser() is None, reason="no Chromium is installed, so the studio's page is not tested")


@pytest.fixture
def project(tmp_path: Path) -> StudioProject:
    """A project with a word and three takes of noise."""
    project = StudioFolder(tmp_path / "studio").create("lamp")
    project.add_word("hey lamp")
    for number in range(3):
        noise = 0.1 * np.random.default_rng(number).standard_normal(RATE).astype(np.float32)
        write_audio(tmp_path / "noise.wav", noise, RATE)
        save_take(project.word_folder("hey lamp"), "ann", tmp_path / "noise.wav")
    return project


@pytest.fixture
def server(project: StudioProject) -> Iterator[Server]:
    """A studio that runs."""
    server = Server(project.path.parent)
    yield server
    server.kill()


@pytest.fixture
def page(server: Server, tmp_path: Path) -> Iterator[Page]:
    """Its page."""
    with Browser(tmp_path / "browser") as browser:
        yield open_page(browser, server.url)


def cpu_s(*roots: int) -> float:
    """Seconds that the processors have worked for some processes and all that descend from them (Linux)."""
    rows: dict[int, list[str]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            rows[int(path.parent.name)] = path.read_text().rpartition(")")[2].split()
    family = set(roots)
    while more := {number for number, row in rows.items() if int(row[1]) in family} - family:
        family |= more
    ticks = sum(int(row[11]) + int(row[12]) for number, row in rows.items() if number in family)
    return ticks / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="the time of processors is read as Linux tells it")
def test_the_first_view_costs_little(server: Server, page: Page) -> None:
    """Browser and server together: what they work, not what passes."""
    url, own = page.evaluate("location.href"), (server.process.pid, page.browser.pid)
    page.call("Network.setCacheDisabled", cacheDisabled=True)
    worked, waited = list[float](), list[float]()
    for _ in range(_LOADS):
        page.go("about:blank")
        before = cpu_s(*own)
        page.go(url)
        shown = "window.studio.ready.then(() => new Promise(requestAnimationFrame)).then(() => performance.now())"
        waited.append(page.evaluate(shown) / 1000)
        worked.append(cpu_s(*own) - before)
        assert "Your projects" in page.shown()
    sys.stdout.write(f"first view: {sorted(waited)[_LOADS // 2]:.2f} s, {sorted(worked)[_LOADS // 2]:.2f} s of one core\n")
    assert sorted(worked)[_LOADS // 2] < MOST_FIRST_VIEW_S


def test_the_page_is_small(page: Page) -> None:
    """All that any view of the page loads, as it is sent: compressed, with headers; not the models and the engine."""
    for step in ("words", "train", "review"):
        go(page, step, "lamp")
    page.evaluate("import('../worker.js').catch(() => 0)")  # what the view that listens starts
    page.evaluate("import('../worklet.js').catch(() => 0)")
    received = {event["requestId"]: event["encodedDataLength"] for event in page.events("Network.loadingFinished")}
    sent = {event["requestId"]: event["request"]["url"] for event in page.events("Network.requestWillBeSent")}
    sizes = {sent[one]: size for one, size in received.items() if "/v1/" not in sent[one]}
    n_bytes = sum(sizes.values())
    sys.stdout.write(f"page: {n_bytes / 1000:.1f} kB in {len(sizes)} files\n")
    assert any(name.endswith("/studio/words.js") for name in sizes)
    assert 10_000 < n_bytes <= MOST_BYTES


def test_every_view_of_a_finished_project(page: Page, project: StudioProject, tmp_path: Path) -> None:
    """They show what they should, and axe-core finds nothing if it is there; see `support.studio_page`."""
    add_version(project)
    keep_sound(project, "hey lamp", 0.7, tmp_path / "noise.wav", was_missed=False)
    shows = {
        "words": "3 takes: 5 more would help",
        "train": "18 of 20",
        "report": "of what new voices say is found",
        "try": "It did not hear me",
        "review": "It was the word (M)",
        "take": "ESPHome detects one word, and this model has 10",
    }
    for step, sentence in shows.items():
        go(page, step, "lamp")
        page.wait_for(f"document.body.innerText.includes({json.dumps(sentence)})")
        check_view(page, f"made-{step}")
    assert page.evaluate("document.querySelectorAll('.exports button').length") == 5
    go(page, "try", "lamp")
    page.wait_for("document.querySelector('#words li')")
    for number in range(10):  # every colour that a word lights up in
        page.evaluate(f"window.tried.words.light({number + 2}, 0.9, false)")
    check_view(page, "made-lit")
    assert page.problems() == []


def test_a_discarded_take_comes_back(page: Page, project: StudioProject) -> None:
    takes, folder = "document.querySelectorAll('.take').length", project.word_folder("hey lamp")
    before = list_sounds(folder)
    go(page, "words", "lamp")
    check_view(page, "words-few")
    page.evaluate("document.querySelectorAll('.take .icon:last-child')[1].focus()")
    page.press("Enter", 13, "\r")
    page.wait_for(f"{takes} === 2 && document.activeElement.id === 'undo'")
    assert "Take 2 of hey lamp was discarded" in page.shown()
    check_view(page, "undo")
    assert len(list_sounds(folder)) == 2
    page.press("Enter", 13, "\r")  # on “Undo”, where the keyboard is now
    page.wait_for(f"{takes} === 3 && document.activeElement.closest('.take')")
    assert list_sounds(folder) == before
    page.evaluate("document.querySelectorAll('.take .icon:last-child')[0].click()")
    page.wait_for(f"{takes} === 2")
    page.evaluate("document.querySelectorAll('.take .icon:last-child')[0].click()")
    page.wait_for(f"{takes} === 1")
    for n in (2, 3):
        page.evaluate("document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'z', ctrlKey: true, bubbles: true }))")
        page.wait_for(f"{takes} === {n}")
    assert list_sounds(folder) == before
    page.wait_for("document.querySelector('.undo').hidden")
    assert page.problems() == []
