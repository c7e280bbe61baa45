"""The pictures of the documentation: every view of a project that was trained for real, at phone and desktop size.

python benchmarks/studio_time.py --data RECORDINGS --plans good --keep PROJECTS
WORDSPOT_STUDIO=PROJECTS/good WORDSPOT_SCREENSHOTS=docs/images pytest tests/studio/test_pictures.py
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
from pathlib import Path

import pytest

from support.browser import Browser, Page, find_browser
from support.studio_page import SIZES, Server, clips, go, open_page, picture, played
from wordspot.locks import hold_lock
from wordspot.studio.job import RUNNING, read_job, write_job
from wordspot.studio.project import StudioFolder, StudioProject
from wordspot.studio.worker import lock_path

WORDS = ("marvin", "sheila")
N_TAKES = 10  # that the project was trained with
FOLDER = os.environ.get("WORDSPOT_STUDIO", "")

pytestmark = [
    pytest.mark.skipif(not FOLDER, reason="WORDSPOT_STUDIO names no folder with a trained project: no pictures are asked for"),
    pytest.mark.skipif(find_browser() is None, reason="no Chromium is installed"),
]


@pytest.fixture
def project(tmp_path: Path) -> StudioProject:
    """A copy of the trained project, under the name that a user would have given it."""
    (trained,) = StudioFolder(Path(FOLDER)).projects()
    root = tmp_path / "studio"
    shutil.copytree(trained.path, root / WORDS[0], ignore=shutil.ignore_patterns("recordings", "streams", "run", "backgrounds"))
    return StudioProject(root / WORDS[0])


def show(page: Page, name: str, when: str = "true") -> None:
    """A picture of a view at each size, as soon as the condition `when` is met."""
    page.prefer(prefers_color_scheme="light", prefers_reduced_motion="reduce")
    for size, (width, height) in SIZES.items():
        page.resize(width, height)
        page.evaluate("document.querySelector('#steps [aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' })")
        page.evaluate("scrollTo(0, 0)")
        page.wait_for(when)
        picture(page, f"{name}-{size}")


def test_pictures_of_every_view(project: StudioProject, shared_data: Path, tmp_path: Path) -> None:
    sounds = [clips(shared_data, word)[N_TAKES + number] for number in range(4) for word in WORDS]
    spoken = played(sounds, tmp_path / "spoken.wav", first_s=1.0, every_s=2.0)
    server = Server(project.path.parent, 0, "--host", "0.0.0.0", "--token", "only-for-pictures")
    with Browser(tmp_path / "browser", microphone=spoken) as browser:
        page = open_page(browser, server.url)
        page.evaluate("document.querySelector('.path').textContent = 'Projects are folders in /home/ann/studio'")
        page.evaluate("document.querySelector('details').open = true")
        show(page, "home")
        for step in ("words", "train", "report", "take"):
            go(page, step, WORDS[0])
            page.wait_for("document.querySelector('.panel')")
            show(page, step)
        show_training(page, project)
        go(page, "try", WORDS[0])
        page.wait_for("!document.getElementById('try-listen').disabled")
        page.click("#try-listen")
        page.wait_for("document.querySelectorAll('.heard button:not(:disabled)').length >= 2")
        page.click(".heard button:not(:disabled)")
        page.wait_for("document.getElementById('try-status').textContent.includes('1 sound kept')")
        show(page, "try", "document.querySelector('#words .lit')")
        go(page, "review", WORDS[0])
        page.wait_for("document.querySelector('.judge .wave')")
        show(page, "review")
        assert page.problems() == []
    server.interrupt()


def show_training(page: Page, project: StudioProject) -> None:
    """The view while it trains: the real curves up to their middle."""
    job = read_job(project.path)
    assert job is not None
    curve, found = job.curve[: len(job.curve) * 3 // 5], job.found[: len(job.found) * 3 // 5]
    middle = dataclasses.replace(
        job, state=RUNNING, stage="Training", done=int(curve[-1][0]), total=int(job.curve[-1][0]), fraction=0.5, curve=curve,
        found=found, started=time.time() - 0.6 * (job.updated - job.started), version=0,
    )  # fmt: skip
    with hold_lock(lock_path(project.path.parent)):
        write_job(project.path, middle)
        go(page, "train", WORDS[0])
        page.wait_for("document.querySelector('.learning polyline.found') && document.getElementById('busy').textContent")
        show(page, "training")
        write_job(project.path, job)
    page.wait_for("document.getElementById('train') && !document.getElementById('busy').textContent")
