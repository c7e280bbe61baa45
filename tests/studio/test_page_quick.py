"""The studio's page in a real browser, without a training: how soon it is there, how large it is, and steps taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from support.browser import Browser, Page, find_browser
from support.studio_page import RATE, Server, check_view, go, open_page
from wordspot.audio.files import write_audio
from wordspot.studio.project import StudioFolder, StudioProject
from wordspot.studio.sounds import list_sounds, save_take

Record = Callable[[str, object], None]

FIRST_VIEW_S = 1.0
MOST_BYTES = 150_000
_LOADS = 5  # of the page; the quickest counts, since other programs may run beside this one

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
def page(project: StudioProject, tmp_path: Path) -> Iterator[Page]:
    """The page of a studio that runs."""
    server = Server(project.path.parent)
    try:
        with Browser(tmp_path / "browser") as browser:
            yield open_page(browser, server.url)
    finally:
        server.kill()


def shown_in_s(page: Page, url: str) -> float:
    """Seconds from the beginning of a load, with nothing in the cache, to the complete first view."""
    page.call("Network.setCacheDisabled", cacheDisabled=True)
    page.go("about:blank")
    page.go(url)
    ms = page.evaluate("window.studio.ready.then(() => new Promise(requestAnimationFrame)).then(() => performance.now())")
    assert "Your projects" in page.shown()
    return ms / 1000


def test_the_first_view_is_there_within_a_second(page: Page, record_property: Record) -> None:
    url = page.evaluate("location.href")
    seconds = [shown_in_s(page, url) for _ in range(_LOADS)]
    record_property("first_view_s", seconds)
    assert min(seconds) < FIRST_VIEW_S


def test_the_page_is_small(page: Page, record_property: Record) -> None:
    """All that any view of the page loads, as it is sent: compressed, with headers; not the models and the engine."""
    for step in ("words", "train", "review"):
        go(page, step, "lamp")
    page.evaluate("import('../worker.js').catch(() => 0)")  # what the view that listens starts
    page.evaluate("import('../worklet.js').catch(() => 0)")
    received = {event["requestId"]: event["encodedDataLength"] for event in page.events("Network.loadingFinished")}
    sent = {event["requestId"]: event["request"]["url"] for event in page.events("Network.requestWillBeSent")}
    sizes = {sent[one]: size for one, size in received.items() if "/v1/" not in sent[one]}
    n_bytes = sum(sizes.values())
    record_property("page_bytes", n_bytes)
    assert any(name.endswith("/studio/words.js") for name in sizes)
    assert 10_000 < n_bytes <= MOST_BYTES


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
