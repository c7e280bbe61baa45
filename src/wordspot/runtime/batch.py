"""Process many sound files. A file that cannot be read is reported and does not stop the others. Pipes are copied first."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from wordspot.audio.folder import find_clips
from wordspot.audio.spool import local_file
from wordspot.errors import AudioError, WordspotError
from wordspot.progress import OnProgress, Progress, ignore

#: What verbs accept as recordings: a sound file, a folder (searched recursively), or several of both. A pipe is read to its
#: end; ``-`` is standard input.
Recordings = Path | str | Sequence[Path | str]

Result = TypeVar("Result")


@dataclass(frozen=True)
class FailedFile:
    """A recording that could not be processed.

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
            with _opened(path) as file:
                result = judge(file, name)
                if on_result:
                    on_result(result)
        except (WordspotError, OSError) as error:
            if is_single:
                raise
            failed.append(FailedFile(name, str(error)))
            if on_failed:
                on_failed(failed[-1])
            continue
        results.append(result)
    report(Progress(stage, len(clips), len(clips)))
    return tuple(results), tuple(failed)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Path]:
    """`path`, or its copy if it is a pipe; errors name the pipe."""
    with local_file(path) as file:
        try:
            yield file
        except AudioError as error:
            if file == path:
                raise
            message = str(error).replace(str(file), str(path))
            raw = "; raw samples, which have no header, are for `wordspot listen -`" if "cannot be read" in message else ""
            raise AudioError(message + raw) from error


def as_paths(recordings: Recordings) -> list[Path]:
    """One path or several as a list of paths."""
    return [Path(recordings)] if isinstance(recordings, (str, Path)) else [Path(path) for path in recordings]
