"""Copy what the user brings into a project: recordings of people, false accepts and noise."""

from __future__ import annotations

import hashlib
import itertools
import shutil
from collections.abc import Sequence
from pathlib import Path

from wordspot.audio.files import read_audio, read_info, write_audio
from wordspot.audio.folder import walk_folder
from wordspot.audio.samples import Samples
from wordspot.audio.speech import start_of_word
from wordspot.config import DataConfig
from wordspot.data.few_recordings import split_recordings
from wordspot.data.folders import NOISE_FOLDER, list_recordings
from wordspot.errors import AudioError, DataError, NotFoundError
from wordspot.labels import normalize_word
from wordspot.progress import OnNote, ignore_note
from wordspot.wakeword.project import CLIP_MS, Project, Request

#: Names of recordings of people begin with this.
TAKE = "take-"
#: The folder of what woke a model and should not have; unknown speech to the network.
FALSE_ACCEPTS = "false accepts"
_TAKES_SHARE, _MOST_REPEATS = 0.5, 25  # of recordings of people, as a part of the clips by voices


def add_takes(project: Project, phrases: Sequence[str], takes: Path, on_note: OnNote = ignore_note) -> int:
    """Copy recordings of people who say the phrases into the project.

    A recording is named by its content, which also decides whether it is for training, validation or testing: so it always stays
    in its set. With several phrases, `takes` has a folder for each, which may be empty if others are not.

    Returns:
        how many recordings were new.
    """
    if len(phrases) == 1:
        return _copy(project, normalize_word(phrases[0]), takes, on_note)
    folders = {phrase: takes / phrase for phrase in phrases}
    for folder in folders.values():
        _check_folder(folder)
    recorded = {phrase: folder for phrase, folder in folders.items() if walk_folder(folder).sounds}
    if not recorded:
        raise DataError(f"{takes}: no recordings found; expected sound files in the folder of a phrase, at any depth")
    return sum(_copy(project, normalize_word(phrase), folder, on_note) for phrase, folder in recorded.items())


def cut_long_copies(project: Project, request: Request) -> int:
    """Cut copies that are longer than a clip, which earlier versions made, around their word. Returns how many there were."""
    n_cut = 0
    for name in (*map(normalize_word, request.phrases), FALSE_ACCEPTS):
        for path in first_copies(project.recordings / name):
            try:
                part = _part_with_word(path) if 1000 * read_info(path).seconds > CLIP_MS else None
            except AudioError:
                continue  # training says which recordings it leaves out
            if part is not None:
                cut = path.with_suffix(".wav")
                write_audio(cut, *part)
                for repeat in set(path.parent.glob(f"{path.name.removesuffix(f'_0{path.suffix}')}_*")) - {cut}:
                    repeat.unlink()
                n_cut += 1
    return n_cut


def remove_missing(project: Project, phrases: Sequence[str], takes: Path | None, false_accepts: Path | None) -> int:
    """Remove copies of recordings that are no longer in `takes` and `false_accepts`. Returns how many recordings were removed."""
    sources = {normalize_word(phrase): takes and (takes / phrase if len(phrases) > 1 else takes) for phrase in phrases}
    n_removed = 0
    for name, source in {**sources, FALSE_ACCEPTS: false_accepts}.items():
        found = walk_folder(source).sounds if source and source.is_dir() else ()
        kept, removed = {_copy_name(path) for path in found}, set[str]()
        for path in (one for place in (project.recordings, project.left_out) for one in (place / name).glob(f"{TAKE}*")):
            if (copied := copy_of(path).name) not in kept:
                path.unlink()
                removed.add(copied)
        n_removed += len(removed)
    return n_removed


def weigh_takes(project: Project, request: Request) -> None:
    """Repeat the training recordings of people, so that they count beside the phrase's clips by voices.

    Recordings of the other sets are not repeated, so that each is measured once.
    """
    wanted = {normalize_word(phrase) for phrase in request.phrases}
    listing = list_recordings(project.recordings)
    sets = split_recordings(listing, DataConfig(), wanted).sets
    for phrase in wanted:
        takes = [
            project.recordings / clip.path
            for clip, name in zip(listing.clips, sets, strict=True)
            if clip.word == phrase and name == "training" and Path(clip.path).name.startswith(TAKE)
        ]
        firsts = [path for path in takes if path.stem.endswith("_0")]
        for path in set(takes) - set(firsts):
            path.unlink()
        n = min(round(_TAKES_SHARE * request.n_voices / max(len(firsts), 1)), _MOST_REPEATS)
        for path, number in itertools.product(firsts, range(1, n)):
            shutil.copyfile(path, path.with_stem(f"{path.stem.removesuffix('_0')}_{number}"))


def add_false_accepts(project: Project, folder: Path, on_note: OnNote = ignore_note) -> int:
    """Copy recordings of what must not be detected into the project. Returns how many were new."""
    return _copy(project, FALSE_ACCEPTS, folder, on_note)


def add_backgrounds(project: Project, folder: Path, on_note: OnNote = ignore_note) -> int:
    """Copy recordings of noise into the project. Returns how many were new."""
    return _copy(project, NOISE_FOLDER, folder, on_note, whole=True)


def _copy(project: Project, name: str, source: Path, on_note: OnNote, *, whole: bool = False) -> int:
    """Copy recordings into a folder of the project; of those longer than a clip only the part with the word, unless `whole`.

    Returns how many were new.

    Those that cannot be read are left out, with a note.
    """
    _check_folder(source)
    found = walk_folder(source).sounds
    if not found:
        raise DataError(f"{source}: no recordings found; expected sound files, at any depth")
    target = project.recordings / name
    target.mkdir(parents=True, exist_ok=True)
    n_new, problems = 0, list[str]()
    for path in found:
        stem = f"{_copy_name(path)}_nohash_0"
        if any(one.suffix != ".part" for folder in (target, project.left_out / name) for one in folder.glob(f"{stem}.*")):
            continue
        copy = target / f"{stem}{path.suffix.lower()}"
        try:
            part = _part_with_word(path) if not whole or read_info(path).seconds <= CLIP_MS / 1000 else None
        except AudioError as error:
            problems.append(str(error))
            continue
        if part is None:
            shutil.copyfile(path, copy.with_suffix(".part"))
            copy.with_suffix(".part").replace(copy)
        else:
            write_audio(copy.with_suffix(".wav"), *part)
        n_new += 1
    if len(problems) == len(found):
        raise DataError(f"{source}: none of the {len(found)} recordings can be read; {problems[0]}")
    for problem in problems:
        on_note(f"left out: {problem}")
    return n_new


def first_copies(folder: Path) -> list[Path]:
    """The copies of the user's recordings in a folder, without their repeats and what a killed program left."""
    return sorted(path for path in folder.glob(f"{TAKE}*_nohash_0.*") if path.suffix != ".part")


def all_takes(project: Project, request: Request) -> set[Path]:
    """The project's recordings of people who say a phrase."""
    folders = [project.recordings / normalize_word(phrase) for phrase in request.phrases]
    return {path for folder in folders for path in first_copies(folder)}


def copy_of(path: Path) -> Path:
    """What all copies of a recording have in common, whatever their number and file type: the folder and the content."""
    return path.with_name(path.name.partition("_nohash_")[0])


def _part_with_word(path: Path) -> tuple[Samples, int] | None:
    """As much of a recording as a clip holds, with its sample rate; None if it is no longer.

    Raises:
        AudioError: it cannot be read.
    """
    audio, rate = read_audio(path)
    size = int(CLIP_MS / 1000 * rate)
    if len(audio) <= size:
        return None
    start = start_of_word(audio, size, rate)
    return audio[start : start + size], rate


def _copy_name(path: Path) -> str:
    """The beginning of the name of a recording's copies, by its content."""
    return f"{TAKE}{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise NotFoundError(f"{folder}: no such folder; expected recordings in it")


def note_new(on_note: OnNote, n: int, what: str) -> None:
    """Report how many recordings were added."""
    on_note(f"{n} {what} added" if n else f"no {what} added: all are in the project already")
