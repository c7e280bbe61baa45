"""The process that trains a project: ``python -m wordspot.studio.worker PROJECT [--speech DIR]``.

It does what `wordspot new` does, at a low priority. One runs in a studio's folder at a time.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from wordspot.errors import ConfigError, WordspotError
from wordspot.locks import hold_lock
from wordspot.progress import Progress
from wordspot.studio.job import FAILED, FINISHED, JobWriter, asked_to_stop, forget_stop
from wordspot.studio.judging import judge_model
from wordspot.studio.kept import adopt_reviewed
from wordspot.studio.project import StudioProject, TrainingSettings, can_resume, request_of
from wordspot.studio.versions import add_version
from wordspot.wakeword.making import WakeWord, new

_LOCK = ".training.lock"
_NICE = 10


def lock_path(root: Path) -> Path:
    """The file whose lock the one training in a studio's folder holds."""
    return root / _LOCK


def train_project(project: StudioProject, speech: Path | None) -> None:
    """Train, measure and file a new version; the project's job says how it goes.

    Raises:
        KeyboardInterrupt: it was asked to stop; the same call goes on.
        WordspotError: it cannot be done.
    """
    adopt_reviewed(project)
    settings = project.settings()
    writer = JobWriter(project.path)
    try:
        made = _make(project, settings, speech, writer)
        writer.write(stage="Listening to the recordings", done=0, total=0)
        version = add_version(project, made, settings, lambda model, before: judge_model(project, made, model, before))
        writer.write(state=FINISHED, stage="Done", fraction=1.0, version=version)
    except KeyboardInterrupt:
        writer.write(state=asked_to_stop(project.path) or writer.job.state)
        raise
    except (WordspotError, OSError) as error:
        writer.write(state=FAILED, error=str(error))
        raise
    except BaseException as error:
        writer.write(state=FAILED, error=f"{type(error).__name__}: {error}; training.log has the details")
        raise
    finally:
        forget_stop(project.path)


def _make(project: StudioProject, settings: TrainingSettings, speech: Path | None, writer: JobWriter) -> WakeWord:
    words = project.words
    if not words:
        raise ConfigError("the project has no words; add one first")
    request_of(words, settings)  # raises what is wrong with them, before anything is removed
    resume = can_resume(project, settings)
    if not resume:
        shutil.rmtree(project.model, ignore_errors=True)
    return new(
        words, out=project.model, takes=_takes(project), false_accepts=_recorded(project.not_words),
        backgrounds=_recorded(project.backgrounds), speech=speech, resume=resume, mirror=True,
        stop=lambda: bool(asked_to_stop(project.path)), on_record=writer.on_record, on_note=writer.on_note,
        progress=_watched(project, writer), **dataclasses.asdict(settings),
    )  # fmt: skip


def _takes(project: StudioProject) -> Path | None:
    """The recordings of people as `new` expects them: for one word its folder, else a folder with one for each."""
    recorded = [word for word in project.words if _recorded(project.takes / word)]
    if not recorded:
        return None
    return project.takes / recorded[0] if len(project.words) == 1 else project.takes


def _recorded(folder: Path) -> Path | None:
    """The folder, if it holds anything."""
    return folder if folder.is_dir() and any(not one.name.startswith(".") for one in folder.iterdir()) else None


def _watched(project: StudioProject, writer: JobWriter) -> Callable[[Progress], None]:
    """The callback of progress, which also interrupts stages that cannot be asked to stop."""

    def on_progress(progress: Progress) -> None:
        writer.on_progress(progress)
        if not writer.is_training and asked_to_stop(project.path):
            raise KeyboardInterrupt

    return on_progress


def main(argv: list[str] | None = None) -> int:
    """Train the project of the command line."""
    parser = argparse.ArgumentParser(prog="wordspot.studio.worker", description=__doc__)
    parser.add_argument("project", type=Path)
    parser.add_argument("--speech", type=Path)
    args = parser.parse_args(argv)
    if hasattr(os, "nice"):
        os.nice(_NICE)
    try:
        with hold_lock(lock_path(args.project.parent), "another training is running in this studio; wait until it has ended"):
            train_project(StudioProject(args.project), args.speech)
    except KeyboardInterrupt:
        return 130
    except (WordspotError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
