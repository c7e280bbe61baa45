"""Leave out clips of the phrases that do not hold them, as the teacher finds: voices that slipped, and other recordings.

A clip that is left out stays where it is, with `LEFT_OUT` after its name, so that it can be listened to and is not copied again.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wordspot.data.folders import list_recordings
from wordspot.data.teacher import find_teacher
from wordspot.errors import install_command
from wordspot.formats import percent, some
from wordspot.labels import normalize_word
from wordspot.progress import OnNote, OnProgress
from wordspot.wakeword.project import Project, Request
from wordspot.wakeword.recordings import FALSE_ACCEPTS, LEFT_OUT, TAKE, first_copies
from wordspot.wakeword.teacher import Encoder, cross_fit, encode_clips, open_encoder

_OTHER = 0  # the class of what holds no phrase
#: A clip of a phrase with a lower posterior of it is left out; so is a false accept with a lower posterior of holding none.
_WRONG, _WRONG_FALSE_ACCEPT = 0.1, 0.05


@dataclass(frozen=True)
class _Clip:
    """A clip, its class (from 1 on, that of a phrase), and who speaks."""

    path: Path
    number: int
    speaker: str

    @property
    def is_by_people(self) -> bool:
        return self.path.name.startswith(TAKE)


def check_recordings(project: Project, request: Request, progress: OnProgress, on_note: OnNote) -> None:
    """Let the teacher listen to the project's clips, if it is there, and leave out those that are not what they should be."""
    restore(project)
    folder = find_teacher()
    if folder is None:
        return
    if importlib.util.find_spec("faster_whisper") is None:
        on_note(f"the teacher in {folder} is not used, since faster-whisper is not installed; run: {install_command('teacher')}")
        return
    judge_recordings(project, request, open_encoder(folder), progress, on_note)


def judge_recordings(project: Project, request: Request, encode: Encoder, progress: OnProgress, on_note: OnNote) -> None:
    """Leave out the clips that a layer on the encoder's frames finds wrong, and say how well it tells clips apart."""
    clips = list(_clips_of(project, request))
    if {clip.number for clip in clips if not clip.is_by_people} != set(range(len(request.phrases) + 1)):
        return  # nothing to learn from
    values = encode_clips([clip.path for clip in clips], encode, np.random.default_rng(request.seed), progress)
    classes, spoken = np.array([clip.number for clip in clips]), np.array([not clip.is_by_people for clip in clips])
    posteriors = cross_fit(values, classes, [clip.speaker for clip in clips], spoken, request.seed)
    right = (posteriors.argmax(axis=1) == classes)[spoken]
    on_note(
        f"the teacher knows {percent(right.mean(), unit=' %')} of the {len(right)} clips by voices that it has not learned from"
    )
    own = posteriors[np.arange(len(clips)), classes]
    for clip, posterior in zip(clips, own, strict=True):
        is_wrong = posterior < (_WRONG if clip.number != _OTHER else _WRONG_FALSE_ACCEPT)
        if is_wrong and (clip.number != _OTHER or clip.is_by_people):
            clip.path.rename(f"{clip.path}{LEFT_OUT}")


def restore(project: Project) -> None:
    """Give clips that were left out their names back."""
    for path in _left_out(project):
        path.rename(path.with_suffix(""))


def what_was_left_out(project: Project, request: Request) -> list[str]:
    """What the teacher left out, a line for each kind."""
    found = list(_left_out(project))
    phrases = {normalize_word(phrase) for phrase in request.phrases}
    voices = [path for path in found if not path.name.startswith(TAKE)]
    takes = [path for path in found if path.name.startswith(TAKE) and path.parent.name in phrases]
    wrong = [path for path in found if path.parent.name == FALSE_ACCEPTS]
    kinds = (
        (voices, "clips by voices were left out, since the teacher does not hear the phrase in them"),
        (takes, "recordings of people were left out, since the teacher does not hear the phrase in them"),
        (wrong, "false accepts were left out, since the teacher hears the phrase in them"),
    )
    return [f"{len(paths)} {what}: {some([str(path) for path in paths])}" for paths, what in kinds if paths]


def _left_out(project: Project) -> Iterable[Path]:
    return sorted(project.recordings.glob(f"*/*{LEFT_OUT}"))


def _clips_of(project: Project, request: Request) -> Iterator[_Clip]:
    """All clips that hold one sound each, without the copies that give recordings of people more weight."""
    numbers = {normalize_word(phrase): number for number, phrase in enumerate(request.phrases, start=1)}
    firsts = {path for name in (*numbers, FALSE_ACCEPTS) for path in first_copies(project.recordings / name)}
    for clip in list_recordings(project.recordings).clips:
        path = project.recordings / clip.path
        if not path.name.startswith(TAKE) or path in firsts:
            yield _Clip(path, numbers.get(clip.word, _OTHER), path.name.partition("_nohash_")[0])
