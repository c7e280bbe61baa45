"""Make the recordings that a wake word is trained on: voices and people who say it, and what sounds like it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wordspot.audio.folder import walk_folder
from wordspot.data.folders import NOISE_FOLDER
from wordspot.data.voices import find_engines, speak
from wordspot.data.voices.near_misses import near_misses
from wordspot.errors import DataError, MissingExtraError, NotFoundError
from wordspot.labels import normalize_word
from wordspot.progress import OnNote, OnProgress
from wordspot.wakeword.project import CLIP_MS, Project, Request

#: Names of recordings of people begin with this.
TAKE = "take-"
#: The folder of what woke a model and should not have; unknown speech to the network.
FALSE_ACCEPTS = "false accepts"
_NOISE_SECONDS = 60.0
_PER_NEAR_MISS = 0.03  # clips of each, as a part of those of the phrase
_FEWEST = 4


def choose_engine(request: Request, on_note: OnNote) -> str:
    """The engines that speak: those asked for, or for ``best`` all simple ones, and kokoro where its files are."""
    if request.engine != "best":
        return request.engine
    simple = ",".join(find_engines("all"))
    try:
        find_engines("kokoro")
    except (NotFoundError, MissingExtraError) as error:
        on_note(f"without neural voices people are found less often: {error}")
        return simple
    return f"{simple},kokoro"


def speak_phrases(project: Project, request: Request, progress: OnProgress, on_note: OnNote) -> None:
    """Voices say the phrases, what sounds like them and what is excluded; noise is made too."""
    seed, out, engine = request.seed, project.recordings, choose_engine(request, on_note)
    spoken: dict[str, Any] = {
        "engine": engine, "language": request.language, "clip_ms": CLIP_MS, "force": True, "jobs": 0, "progress": progress,
    }  # fmt: skip
    speak(request.phrases, out, per_word=request.n_voices, seed=seed, noise_seconds=_NOISE_SECONDS, **spoken)
    others = [*request.excluded]
    for phrase in request.phrases if request.n_near_misses else ():
        found = near_misses(phrase, n=request.n_near_misses, language=request.language, excluded=request.phrases)
        others += [one.text for one in found]
    unique = {normalize_word(text): text for text in others}
    for phrase in request.phrases:
        unique.pop(normalize_word(phrase), None)
    if unique:
        few = max(round(_PER_NEAR_MISS * request.n_voices), _FEWEST)
        speak(list(unique.values()), out, per_word=few, seed=seed, **spoken)


def add_takes(project: Project, phrases: Sequence[str], takes: Path) -> int:
    """Copy recordings of people who say the phrases into the project.

    A recording is named by its content, which also decides whether it is for training, validation or testing: so it stays on
    its side for ever. With several phrases, `takes` has a folder for each.

    Returns:
        how many recordings were new.
    """
    if len(phrases) == 1:
        return _copy(takes, project.recordings / normalize_word(phrases[0]))
    return sum(_copy(takes / phrase, project.recordings / normalize_word(phrase)) for phrase in phrases)


def add_false_accepts(project: Project, folder: Path) -> int:
    """Copy recordings of what must not be detected into the project. Returns how many were new."""
    return _copy(folder, project.recordings / FALSE_ACCEPTS)


def add_backgrounds(project: Project, folder: Path) -> int:
    """Copy recordings of noise into the project. Returns how many were new."""
    return _copy(folder, project.recordings / NOISE_FOLDER)


def _copy(source: Path, target: Path) -> int:
    if not source.is_dir():
        raise NotFoundError(f"{source}: no such folder; expected recordings in it")
    found = walk_folder(source).sounds
    if not found:
        raise DataError(f"{source}: no recordings found; expected sound files, at any depth")
    target.mkdir(parents=True, exist_ok=True)
    n_new = 0
    for path in found:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        copy = target / f"{TAKE}{digest}_nohash_0{path.suffix.lower()}"
        if not copy.exists():
            shutil.copyfile(path, copy.with_suffix(".part"))
            copy.with_suffix(".part").replace(copy)
            n_new += 1
    return n_new


def note_new(on_note: OnNote, n: int, what: str) -> None:
    """Say how many recordings were added."""
    on_note(f"{n} {what} added" if n else f"no {what} added: all are in the project already")
