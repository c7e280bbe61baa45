"""Data validation: find what is wrong with a data folder or a manifest before it spoils a training run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from wordspot.data.checks.findings import Examination, Finding
from wordspot.data.checks.manifest import examine_manifest
from wordspot.data.checks.words import examine_words
from wordspot.data.folders import printable
from wordspot.errors import ConfigError
from wordspot.progress import OnProgress
from wordspot.tasks import TASKS

__all__ = ["Examination", "Finding", "check"]

#: The tasks whose data can be checked.
CHECKED_TASKS = tuple(name for name, task in TASKS.items() if task.data in ("words", "manifest"))


def check(
    data: str | Path,
    *,
    task: str | None = None,
    split: str | None = None,
    sample_rate: int | None = None,
    clip_ms: float | None = None,
    progress: OnProgress | None = None,
) -> Examination:
    """Check every recording of a data folder or a manifest. No file is changed, and no damaged file stops the check.

    Args:
        data: a folder with one folder per word or class, or a CSV file of recordings.
        task: ``words`` or ``recordings`` (default: ``recordings`` for a CSV file, else ``words``).
        split: ``hash`` or ``lists``, for words (default: as `train` splits, ``hash``).
        sample_rate: the rate to train at, in Hz (default: that of `FeatureConfig`).
        clip_ms: length of a clip, or of a window of a recording (default: the task's).
        progress: called after each recording.

    Raises:
        NotFoundError: no such file or folder.
        DataError: a file that is not a manifest.
        ConfigError: an unknown task, a task or split that does not fit `data`, or an impossible rate or length.
    """
    data = Path(data)
    if task not in (None, *CHECKED_TASKS):
        raise ConfigError(f"`task` must be one of {', '.join(CHECKED_TASKS)}, got {task!r}")
    is_list = data.is_file() or (data.suffix.lower() in (".csv", ".tsv") and not data.is_dir())
    kind = None if task is None else TASKS[task].data
    if kind != "manifest" and not is_list:
        found = examine_words(data, split=split, sample_rate=sample_rate, clip_ms=clip_ms, progress=progress)
    elif kind not in (None, "manifest"):
        raise ConfigError(f"{data} is a file; the `task` {task} needs a folder with one folder per word")
    elif split:
        raise ConfigError("`split` is for folders of words; a manifest has a column of that name")
    else:
        found = examine_manifest(data, sample_rate=sample_rate, clip_ms=clip_ms, progress=progress)
    return replace(found, path=printable(str(data)))
