"""A wake word's files for ESPHome: calibrated and given a cut-off by the device's rule; the exported file gets the same one."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordspot.errors import ExportError
from wordspot.files import atomic_path
from wordspot.formats import command_line
from wordspot.runtime.model import read_model
from wordspot.runtime.modelfile.card import read_card, with_card
from wordspot.wakeword.project import Project

if TYPE_CHECKING:
    from wordspot.export.esphome import ExportedEsphome
    from wordspot.export.esphome_model import EsphomeFile


@dataclass(frozen=True)
class EsphomeFiles:
    """A finished wake word for ESPHome.

    Attributes:
        manifest: the JSON file; beside it are the network (``.tflite``) and the lines for the device's configuration (``.yaml``).
        bytes: size of the network.
        cutoff: the word is detected if the mean of its scores exceeds this.
        window: number of scores in that mean, one every 30 ms.
        changed_percent: of the decisions, by 8 bits, on validation recordings.
    """

    manifest: Path
    bytes: int
    cutoff: float
    window: int
    changed_percent: float

    def __str__(self) -> str:
        return (
            f"{self.manifest.with_suffix('.yaml')}, .json and .tflite: for ESPHome, {self.bytes / 1000:.0f} kB, cut-off "
            f"{self.cutoff:g}, window {self.window}; 8 bits change {self.changed_percent:.2f} % of the decisions"
        )

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object."""
        return {**vars(self), "manifest": str(self.manifest)}


def export_for_esphome(project: Project, validation: Sequence[Path]) -> ExportedEsphome:
    """Export the trained network, calibrated on the validation streams. If that fails, nothing of an earlier export is left.

    Raises:
        ExportError: 8 bits change too many decisions.
    """
    from wordspot.export.esphome import export_esphome

    source, out = project.run, project.esphome
    try:
        return export_esphome(source, out, calibrate=validation, force=True)
    except ExportError as error:
        shutil.rmtree(out, ignore_errors=True)
        again = command_line("wordspot", "export", source, "--target", "esphome", "--calibrate", project.recordings, "--out", out)
        raise ExportError(f"no files for ESPHome: {error}. To accept the loss, run {again} --max-loss PERCENT") from error


def files_of(exported: ExportedEsphome, opened: EsphomeFile) -> EsphomeFiles:
    """What was written, with the cut-off and the window of the manifest."""
    settings = opened.manifest["micro"]
    cutoff, window = float(settings["probability_cutoff"]), int(settings["sliding_window_size"])
    return EsphomeFiles(opened.path, exported.bytes, cutoff, window, exported.loss.changed_percent)


def decide_like(opened: EsphomeFile, model: Path) -> None:
    """Give an exported file the cut-off and the window of a device.

    Its scores are those of the device except for the rounding to 8 bits, and computing them on hours of sound takes far longer.
    """
    decoder, content = opened.decoder, read_model(model)[1]
    card = read_card(content)
    own = dataclasses.replace(card.decoder, threshold=decoder.threshold, thresholds={}, average_ms=decoder.average_ms)
    with atomic_path(model) as temporary:
        temporary.write_bytes(with_card(content, dataclasses.replace(card, decoder=own)))
