"""The speech that must not wake a model: the user's, what `wordspot download speech` got, or sentences that voices read."""

from __future__ import annotations

import itertools
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from wordspot.data.download import LIBRISPEECH, find_speech
from wordspot.data.voices import find_engines
from wordspot.data.voices.reading import Text, read_aloud, text_for
from wordspot.errors import ConfigError, NotFoundError
from wordspot.files import atomic_folder, read_json, write_json
from wordspot.progress import OnNote, OnProgress, Progress
from wordspot.wakeword.project import Project, Request
from wordspot.wakeword.recordings import choose_engine, shares

#: The stage of the progress in which voices read.
READING = "reading sentences"
_SIMPLE_SHARE = 0.85  # of simple engines: a sentence takes a neural voice several seconds
_MEGABYTES = round((LIBRISPEECH.size or 0) / 1e6)


@dataclass(frozen=True)
class Heard:
    """A folder of speech, or None; `by_people` if people speak in it."""

    folder: Path | None
    by_people: bool


def choose_speech(project: Project, request: Request, given: Path | None, progress: OnProgress, on_note: OnNote) -> Heard:
    """The user's recordings, or those that were downloaded, or else sentences that voices read.

    While there is a run, its speech is that which it was begun with, unless the user gives another.

    Args:
        project: sentences by voices and the choice are kept in it.
        request: with the voices.
        given: the user's recordings.
        progress: called after each sentence that is read.
        on_note: called with one line about what a new run uses, if the user gave nothing.

    Raises:
        NotFoundError: the recordings that the run was begun with are gone.
    """
    if project.run.is_dir():
        return Heard(given, by_people=True) if given is not None else _begun_with(project, request, progress)
    people = given
    if given is None and (people := find_speech()) is not None:
        on_note(f"speech: {people}, from `wordspot download speech`")
    if people is not None:
        shutil.rmtree(project.spoken, ignore_errors=True)
        write_json(project.begun_with, {"people": str(people.resolve())})
        return Heard(people, by_people=True)
    on_note(
        "no `speech` was given: voices read sentences instead, so expect more false accepts; `wordspot download speech` gets 5 "
        f"hours of people ({_MEGABYTES} MB), which `new` finds by itself"
    )
    heard = _read_by_voices(project, request, progress)
    write_json(project.begun_with, {"people": None})
    return heard


def _begun_with(project: Project, request: Request, progress: OnProgress) -> Heard:
    """The speech that the run was begun with; none if nothing says so, as in projects of earlier versions."""
    if not project.begun_with.is_file():
        return Heard(None, by_people=False)
    try:
        people = read_json(project.begun_with)["people"]
        folder = None if people is None else Path(people)
    except (KeyError, TypeError) as error:
        raise ConfigError(f"{project.begun_with} is damaged; begin anew in another folder") from error
    if folder is None:
        return _read_by_voices(project, request, progress)
    if not folder.is_dir():
        raise NotFoundError(f"{folder}: no such folder; training was begun with it. Give it as `speech` if it has moved")
    return Heard(folder, by_people=True)


def _read_by_voices(project: Project, request: Request, progress: OnProgress) -> Heard:
    if not project.spoken.is_dir():
        _read(project.spoken, request, progress)
    return Heard(project.spoken, by_people=False)


def _read(out: Path, request: Request, progress: OnProgress) -> None:
    """Let the voices of the phrase read as many sentences as there are clips of it."""
    text, done = text_for(request.language, request.phrases), itertools.count(1)
    parts = shares(choose_engine(request, lambda _: None), request.n_voices, _SIMPLE_SHARE)
    jobs = os.cpu_count() or 1
    with atomic_folder(out) as folder:
        for names, n in parts:
            engines = find_engines(names, n_speakers=n)
            if not any(engine.voices(text.language) for engine in engines.values()):  # English, with an accent
                text = Text(request.language, text.sentences)
            read_aloud(
                text, folder, n=n, seed=request.seed, engines=engines, n_speakers=n, jobs=jobs,
                progress=lambda _: progress(Progress(READING, next(done), request.n_voices)),
            )  # fmt: skip
