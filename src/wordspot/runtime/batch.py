"""Judge many sound files: one that cannot be read is reported and does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from wordspot.audio.folder import find_clips
from wordspot.errors import WordspotError
from wordspot.progress import OnProgress, Progress, ignore

#: What verbs accept as recordings: a sound file, a folder that is searched at any depth, or several of both.
Recordings = Path | str | Sequence[Path | str]

Result = TypeVar("Result")


@dataclass(frozen=True)
class FailedFile:
    """A recording that could not be judged.

    Attributes:
        name: the file's name, as shown.
        message: what is wrong with it; the name is part of it.
    """

    name: str
    message: str

    def to_json(self) -> dict[str, Any]:
        """The failure as a JSON object."""
        return {"file": self.name, "error": self.message}


OnFailed = Callable[[FailedFile], None]


def judge_files(
    recordings: Recordings,
    judge: Callable[[Path, str], Result],
    *,
    stage: str,
    on_result: Callable[[Result], None] | None = None,
    on_failed: OnFailed | None = None,
    progress: OnProgress | None = None,
) -> tuple[tuple[Result, ...], tuple[FailedFile, ...]]:
    """Call `judge` with the path and the name of each sound file.

    Returns:
        The results in the order of the files, and the files that failed.

    Raises:
        NotFoundError: a folder without sound files.
        WordspotError, OSError: what `judge` raised, if `recordings` is a single file.
    """
    paths = as_paths(recordings)
    clips, report = find_clips(paths), progress or ignore
    is_single = len(clips) == 1 and not paths[0].is_dir()
    results: list[Result] = []
    failed: list[FailedFile] = []
    for n_done, (path, name) in enumerate(clips):
        report(Progress(stage, n_done, len(clips)))
        try:
            results.append(judge(path, name))
        except (WordspotError, OSError) as error:
            if is_single:
                raise
            failed.append(FailedFile(name, str(error)))
            if on_failed:
                on_failed(failed[-1])
            continue
        if on_result:
            on_result(results[-1])
    report(Progress(stage, len(clips), len(clips)))
    return tuple(results), tuple(failed)


def as_paths(recordings: Recordings) -> list[Path]:
    """One path or several as a list of paths."""
    return [Path(recordings)] if isinstance(recordings, (str, Path)) else [Path(path) for path in recordings]
