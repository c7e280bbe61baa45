"""Leave out clips of the phrases that do not hold them, as the teacher finds: voices that slipped, and other recordings.

They move to the project's folder of what is left out, where they can be played, and are not copied again. If the teacher does not
classify clips by voices well enough, as with very few of them, nothing is left out.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wordspot.data.folders import list_recordings
from wordspot.data.teacher import find_teacher
from wordspot.errors import install_command
from wordspot.formats import percent, some
from wordspot.labels import normalize_word
from wordspot.progress import OnNote, OnProgress
from wordspot.wakeword.kept import Kept
from wordspot.wakeword.project import Project, Request
from wordspot.wakeword.splicing import JOINED
from wordspot.wakeword.takes import FALSE_ACCEPTS, TAKE, first_copies
from wordspot.wakeword.teacher import Encoder, cross_fit, encode_sounds, open_encoder, open_kept, read_sound

_OTHER = 0  # the class of what holds no phrase
#: Below these posteriors of what they should be, clips by voices, recordings of people and false accepts are left out. Recordings
#: of people are few, and worth more than clips.
_WRONG_CLIP, _WRONG_TAKE, _WRONG_FALSE_ACCEPT = 0.1, 0.02, 0.05
#: A teacher whose judgement counts classifies this part of the clips by voices of each class correctly.
_LEAST_RIGHT = 0.9


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
    """Classify the project's clips by the teacher, if it is there, and leave out those that are not what they should be.

    Raises:
        WordspotError: the teacher is damaged, or the folder that ``WORDSPOT_TEACHER`` names does not hold it.
    """
    restore(project)
    folder = find_teacher()
    if folder is None:
        return
    if importlib.util.find_spec("faster_whisper") is None:
        on_note(f"the teacher in {folder} is not used, since faster-whisper is not installed; run: {install_command('teacher')}")
        return
    judge_recordings(project, request, open_encoder(folder), progress, on_note, open_kept(folder))


def judge_recordings(
    project: Project, request: Request, encode: Encoder, progress: OnProgress, on_note: OnNote, kept: Kept | None = None
) -> None:
    """Leave out the clips that a layer on the encoder's frames finds wrong, and say how well it tells clips apart."""
    clips = list(_clips_of(project, request))
    if not _hold_all_classes(clips, request):
        return
    values, readable = encode_sounds([functools.partial(read_sound, clip.path) for clip in clips], encode, progress, kept)
    clips = [clips[place] for place in readable]
    if not _hold_all_classes(clips, request):
        return
    classes, spoken = np.array([clip.number for clip in clips]), np.array([not clip.is_by_people for clip in clips])
    posteriors = np.exp(cross_fit(values, classes, [clip.speaker for clip in clips], spoken.astype(float), request.seed))
    right = posteriors.argmax(axis=1) == classes
    least = min(right[spoken & (classes == number)].mean() for number in set(classes))
    share = percent(right[spoken].mean(), unit=" %")
    found = f"the teacher classifies {share} of {spoken.sum()} clips by voices correctly, none of which it has learned from"
    on_note(found if least >= _LEAST_RIGHT else f"{found}: too few, so nothing is left out; more clips help")
    own = posteriors[np.arange(len(clips)), classes]
    for clip, posterior in zip(clips, own, strict=True) if least >= _LEAST_RIGHT else ():
        if posterior < _least(clip):
            _move(clip.path, project.recordings, project.left_out)


def _hold_all_classes(clips: Sequence[_Clip], request: Request) -> bool:
    """Whether voices say each phrase, and something else: otherwise there is nothing to learn from."""
    return {clip.number for clip in clips if not clip.is_by_people} == set(range(len(request.phrases) + 1))


def _least(clip: _Clip) -> float:
    """The posterior of what it should be below which a clip is left out; near misses stay."""
    if clip.number == _OTHER:
        return _WRONG_FALSE_ACCEPT if clip.is_by_people else 0.0
    return _WRONG_TAKE if clip.is_by_people else _WRONG_CLIP


def restore(project: Project) -> None:
    """Take back what was left out."""
    for path in _left_out(project):
        _move(path, project.left_out, project.recordings)


def _move(path: Path, source: Path, target: Path) -> None:
    """Move a file from a place below `source` to the same one below `target`."""
    there = target / path.relative_to(source)
    there.parent.mkdir(parents=True, exist_ok=True)
    path.replace(there)


def what_was_left_out(project: Project, request: Request) -> list[str]:
    """What the teacher left out, a line for each kind."""
    found = list(_left_out(project))
    phrases = {normalize_word(phrase) for phrase in request.phrases}
    voices = [path for path in found if not path.name.startswith(TAKE)]
    takes = [path for path in found if path.name.startswith(TAKE) and path.parent.name in phrases]
    wrong = [path for path in found if path.parent.name == FALSE_ACCEPTS]
    kinds = (
        (voices, "clips by voices were left out, since the teacher does not detect the phrase in them"),
        (takes, "recordings of people were left out, since the teacher does not detect the phrase in them"),
        (wrong, "false accepts were left out, since the teacher detects the phrase in them"),
    )
    return [f"{len(paths)} {what}: {some([str(path) for path in paths])}" for paths, what in kinds if paths]


def _left_out(project: Project) -> Iterable[Path]:
    return sorted(path for path in project.left_out.glob("*/*") if path.is_file())


def _clips_of(project: Project, request: Request) -> Iterator[_Clip]:
    """All clips that hold one sound each, without the copies that give recordings of people more weight.

    Those joined from people's sentences are not judged: they are not fluent enough for the teacher.
    """
    numbers = {normalize_word(phrase): number for number, phrase in enumerate(request.phrases, start=1)}
    firsts = {path for name in (*numbers, FALSE_ACCEPTS) for path in first_copies(project.recordings / name)}
    for clip in list_recordings(project.recordings).clips:
        path = project.recordings / clip.path
        is_joined = f"_nohash_{JOINED}" in path.name
        if not is_joined and (not path.name.startswith(TAKE) or path in firsts):
            yield _Clip(path, numbers.get(clip.word, _OTHER), path.name.partition("_nohash_")[0])
