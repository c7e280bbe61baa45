"""What the page shows of a studio and of one project, as JSON objects."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from wordspot.formats import command_line
from wordspot.runtime.kept_files import list_kept
from wordspot.studio.kept import adopt_reviewed, kept_json
from wordspot.studio.project import StudioFolder, StudioProject, TrainingSettings, can_resume
from wordspot.studio.sounds import list_sounds
from wordspot.studio.training import Training
from wordspot.studio.versions import list_versions


def overview(folder: StudioFolder, training: Training) -> dict[str, Any]:
    """All projects in a few facts each."""
    return {"folder": str(folder.path), "projects": [_summary(project, training) for project in folder.projects()]}


def _summary(project: StudioProject, training: Training) -> dict[str, Any]:
    state = training.state(project)
    versions = list_versions(project)
    return {
        "name": project.name,
        "words": list(project.words),
        "n_takes": sum(len(list_sounds(project.takes / word)) for word in project.words),
        "n_kept": len(list_kept(project.kept)),
        "training": state["state"] if state else None,
        "version": versions[-1].number if versions else None,
    }


def project_json(project: StudioProject, training: Training) -> dict[str, Any]:
    """Everything about one project except its reports."""
    adopt_reviewed(project)
    settings = project.settings()
    return {
        "name": project.name,
        "path": str(project.path),
        "words": [
            {"word": word, "takes": [one.to_json() for one in list_sounds(project.takes / word)]} for word in project.words
        ],
        "not_words": [one.to_json() for one in list_sounds(project.not_words)],
        "backgrounds": [one.to_json() for one in list_sounds(project.backgrounds)],
        "kept": kept_json(project),
        "settings": dataclasses.asdict(settings),
        "versions": [one.number for one in list_versions(project)],
        "training": training.state(project),
        "command": training_command(project, settings, training.speech),
    }


def training_command(project: StudioProject, settings: TrainingSettings, speech: Path | None = None) -> str:
    """The command line that trains as the page does."""
    several, flags = len(project.words) > 1, list[str | Path]()
    if any(list_sounds(project.takes / word) for word in project.words):
        flags += ["--add", project.takes if several else project.takes / project.words[0]]
    if list_sounds(project.not_words):
        flags += ["--add-false", project.not_words]
    if list_sounds(project.backgrounds):
        flags += ["--backgrounds", project.backgrounds]
    if speech is not None:
        flags += ["--speech", speech]
    if project.words and project.model.is_dir():
        flags.append("--resume" if can_resume(project, settings) else "--force")
    values = {
        "--minutes": settings.minutes,
        "--voices": settings.n_voices,
        "--near-misses": settings.n_near_misses,
        "--stream-minutes": settings.stream_minutes,
        "--false-accepts-per-hour": settings.false_accepts_per_hour,
        "--language": settings.language,
        "--engine": settings.engine,
        "--preset": settings.preset,
    }
    for flag, value in values.items():
        flags += [flag, value if isinstance(value, str) else f"{value:g}"]
    return command_line("wordspot", "new", *project.words, "--out", project.model, *flags)
