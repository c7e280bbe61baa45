"""The speech that must not wake a model: the user's, what `wordspot download speech` got, or sentences that voices read."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from pathlib import Path

from wordspot.data.download import LIBRISPEECH, find_speech
from wordspot.data.voices import find_engines
from wordspot.data.voices.reading import Text, read_aloud, text_for
from wordspot.files import atomic_folder
from wordspot.progress import OnNote, OnProgress, Progress
from wordspot.wakeword.project import Project, Request
from wordspot.wakeword.recordings import choose_engine, shares

#: The stage of the progress in which voices read.
READING = "reading sentences"
_SIMPLE_SHARE = 0.85  # of simple engines: a sentence takes a neural voice several seconds
_MEGABYTES = round((LIBRISPEECH.size or 0) / 1e6)


@dataclass(frozen=True)
class Heard:
    """A folder of speech; `by_people` if people speak in it."""

    folder: Path
    by_people: bool


def choose_speech(
    project: Project, request: Request, given: Path | None, progress: OnProgress, on_note: OnNote, *, quiet: bool = False
) -> Heard:
    """The user's recordings, or those that were downloaded, or else sentences that voices read.

    A training that has begun goes on with what it was begun with.

    Args:
        project: sentences by voices are kept in it.
        request: with the voices.
        given: the user's recordings.
        progress: called after each sentence that is read.
        on_note: called with one line about what is used, if the user gave nothing.
        quiet: there is nothing to train, so nothing to say.
    """
    if given is not None:
        return Heard(given, by_people=True)
    note = (lambda _: None) if quiet else on_note
    is_begun_with_voices = project.spoken.is_dir() and project.run.is_dir()
    if (downloaded := find_speech()) is not None and not is_begun_with_voices:
        note(f"speech: {downloaded}, from `wordspot download speech`")
        return Heard(downloaded, by_people=True)
    note(
        "no `speech` was given: voices read sentences instead, so expect more false accepts; `wordspot download speech` gets 5 "
        f"hours of people ({_MEGABYTES} MB), which `new` finds by itself"
    )
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
