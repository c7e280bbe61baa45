"""Sounds that wait for a judgement: what the page, `listen --save` or a satellite kept because it was or should have been a
detection.

A judged recording becomes a take of its word or a recording of what is not the word, and goes into the next training.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from wordspot.errors import ConfigError, NotFoundError
from wordspot.formats import shown
from wordspot.runtime.kept_files import MEANT, NEARLY, NOT_MEANT, KeptFile, KeptFolder, in_a_name, list_kept
from wordspot.server.uploads import read_bounded
from wordspot.studio.project import StudioProject, move_aside
from wordspot.studio.sounds import adopt_sound

DISCARD = "discard"
ANSWERS = (MEANT, NOT_MEANT, DISCARD)
_MOST_SECONDS = 10.0


def keep_sound(project: StudioProject, word: str, score: float, upload: Path, *, was_missed: bool) -> KeptFile:
    """Keep what was detected wrongly, or what was said and not detected.

    Raises:
        NotFoundError: the project has no such word.
        AudioError: the recording cannot be read or is too long.
    """
    project.word_folder(word)
    audio, rate = read_bounded(upload, _MOST_SECONDS)
    folder = KeptFolder(project.kept)
    path = folder.promise(NEARLY if was_missed else "", time.strftime("%Y%m%d-%H%M%S"), word, min(max(score, 0.0), 1.0))
    folder.write(path, audio, rate)
    return find_kept(project, path.relative_to(project.kept).as_posix())


def kept_json(project: StudioProject) -> list[dict[str, Any]]:
    """What waits for a judgement, oldest first."""
    return [
        {**one.to_json(), "path": one.path.relative_to(project.kept).as_posix(), "word": _word_of(project, one)}
        for one in list_kept(project.kept)
    ]


def find_kept(project: StudioProject, name: str) -> KeptFile:
    """The kept recording of that name, relative to the folder.

    Raises:
        NotFoundError: there is none.
    """
    for one in list_kept(project.kept):
        if one.path.relative_to(project.kept).as_posix() == name:
            return one
    raise NotFoundError(f"there is no kept recording {shown(name)}; it may have been judged already")


def judge(project: StudioProject, name: str, answer: str, word: str) -> None:
    """Make a kept recording a take of `word` (``meant``), of no word (``not-meant``), or discard it.

    Raises:
        ConfigError: another answer.
        NotFoundError: there is no such recording or word.
    """
    if answer not in ANSWERS:
        raise ConfigError(f"the answer must be one of {', '.join(ANSWERS)}, got {shown(answer)}")
    file = find_kept(project, name)
    if answer == DISCARD:
        move_aside(file.path, project.discarded / "kept" / file.path.name)
    elif answer == MEANT:
        adopt_sound(project.word_folder(word), "heard", file.path)
    else:
        adopt_sound(project.not_words, "heard", file.path)


def adopt_reviewed(project: StudioProject) -> None:
    """Take over what `wordspot review` sorted in the project's folder of kept sounds."""
    for word in project.words:
        folder = project.kept / MEANT / in_a_name(word)
        for path in sorted(folder.glob("*.wav")) if folder.is_dir() else ():
            adopt_sound(project.word_folder(word), "heard", path)
    folder = project.kept / NOT_MEANT
    for path in sorted(folder.glob("*.wav")) if folder.is_dir() else ():
        adopt_sound(project.not_words, "heard", path)


def _word_of(project: StudioProject, file: KeptFile) -> str:
    """The project's word whose name the file has; the label itself if it is none of them any more."""
    return next((word for word in project.words if in_a_name(word) == file.label), file.label)
