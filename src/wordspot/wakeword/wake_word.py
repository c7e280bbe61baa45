"""What `new` gives back: a model, its figures, and what to do with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordspot.formats import command_line, duration
from wordspot.wakeword.esphome import EsphomeFiles
from wordspot.wakeword.measuring import Measured
from wordspot.wakeword.project import Request

_MOST_NAMED = 8


@dataclass(frozen=True)
class WakeWord:
    """A finished wake word.

    Attributes:
        path: the folder of the project.
        request: what was asked for.
        model: the exported file.
        report: a page with all detections of the testing streams.
        measured: on voices, takes and streams that were not trained on; of the files for ESPHome if there are any.
        esphome: the files for ESPHome, of the preset ``microcontroller``; None of another.
        warnings: what the figures do not show, a line each.
        verdict: what is wrong with the model, and what to do, in one line; empty if it is worth trying.
    """

    path: Path
    request: Request
    model: Path
    report: Path
    measured: Measured
    esphome: EsphomeFiles | None
    warnings: tuple[str, ...]
    verdict: str = ""

    def summary(self) -> str:
        """The figures in a few lines, and the commands to use the model."""
        lines = [f"{self.model}: {', '.join(self.request.phrases)}", *_figures(self.measured)]
        if self.esphome is not None:
            lines.append(str(self.esphome))
        lines += [f"report: {self.report}", "use it:"]
        for words in (("listen", self.model), ("serve", self.model, "--open"), ("detect", self.model, "RECORDING")):
            lines.append(f"  {command_line('wordspot', *words)}")
        return "\n".join([*lines, self.verdict] if self.verdict else lines)

    def to_json(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "phrases": list(self.request.phrases),
            "model": str(self.model),
            "report": str(self.report),
            "false_accepts_per_hour_wanted": self.request.false_accepts_per_hour,
            "measured": self.measured.to_json(),
            "esphome": None if self.esphome is None else self.esphome.to_json(),
            "warnings": list(self.warnings),
            "verdict": self.verdict,
        }


def _figures(measured: Measured) -> Iterator[str]:
    """The figures, a line each."""
    yield f"held-out voices: found in {measured.voices.count} of {measured.voices.n} clips"
    if measured.takes is not None:
        yield f"people, held out: found in {measured.takes.count} of {measured.takes.n} recordings"
    if measured.before is not None:
        yield f"the model before the newest recordings of people: found in {measured.before.count} of these {measured.before.n}"
    found, hours = measured.detections.all_words, measured.detections.hours
    accepts = found.false_accepts
    yield (
        f"streams of {duration(3600 * hours)}: {found.missed.count} of {found.n_words} words missed; {accepts.n} false accepts "
        f"({accepts.per_hour:.2f} an hour, at most {accepts.interval[1]:.2f} with 95 % confidence)"
    )
    near = measured.near_misses
    if not near.n:
        yield "near misses: none were held out, so it is not known what else wakes it"
    else:
        names = f": {', '.join(measured.woken_by[:_MOST_NAMED])}" if near.count else ""
        yield f"held-out near misses: {near.count} of {near.n} clips woke it{names}"
