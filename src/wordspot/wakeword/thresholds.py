"""Choose the thresholds of a finished network: those of the exported file, or of a device for which there are files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wordspot.errors import ExportError
from wordspot.progress import OnProgress
from wordspot.wakeword import esphome, measuring
from wordspot.wakeword.esphome import EsphomeFiles
from wordspot.wakeword.project import Project, Request

if TYPE_CHECKING:
    from wordspot.evaluation.false_accepts import DetectionMetrics
    from wordspot.export.esphome_model import EsphomeFile


@dataclass(frozen=True)
class Tuned:
    """A model with its thresholds.

    Attributes:
        metrics: at these thresholds, on validation.
        decides: what is measured; that for ESPHome, if there is one.
        files: those for ESPHome.
        problems: why there are none, if they were wanted.
    """

    metrics: DetectionMetrics
    decides: Path | EsphomeFile
    files: EsphomeFiles | None = None
    problems: tuple[str, ...] = ()


def tune_wake_word(project: Project, request: Request, model: Path, validation: list[Path], progress: OnProgress) -> Tuned:
    """Choose thresholds on validation: those of a device if there are files for ESPHome, else those of the exported file."""
    per_hour, problems = request.false_accepts_per_hour, list[str]()
    if request.is_for_esphome:
        try:
            return _tune_for_esphome(project, per_hour, model, validation, progress)
        except ExportError as error:
            problems.append(str(error))
    tuned = measuring.choose_thresholds(model, validation, per_hour, progress)
    return Tuned(tuned.after.detections, model, None, tuple(problems))


def _tune_for_esphome(project: Project, per_hour: float, model: Path, validation: list[Path], progress: OnProgress) -> Tuned:
    from wordspot.export.esphome_model import open_esphome

    exported = esphome.export_for_esphome(project, validation)
    manifest = exported.folder / f"{exported.name}.json"
    tuned = measuring.choose_thresholds(open_esphome(manifest), validation, per_hour, progress)
    opened = open_esphome(manifest)
    esphome.decide_like(opened, model)
    return Tuned(tuned.after.detections, opened, esphome.files_of(exported, opened))
