"""The finished models of a project: ``versions/N.onnx``, the measures ``N.json``, and files for ESPHome in ``N-esphome/``."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from wordspot.errors import ConfigError, NotFoundError
from wordspot.files import atomic_folder, atomic_path, read_json, write_json
from wordspot.formats import shown
from wordspot.runtime.modelfile.card import read_card, with_card
from wordspot.server.page_models import PageModel, make_page_models
from wordspot.server.served import load_models
from wordspot.studio.project import StudioProject, TrainingSettings
from wordspot.wakeword.making import WakeWord

_NUMBER = re.compile(r"([1-9]\d{0,5})\.json")


@dataclass(frozen=True)
class Version:
    """A finished model. `report` is what was measured; see `judging`."""

    number: int
    model: Path
    report: Path

    def read(self) -> dict[str, Any]:
        """The report, with the thresholds that the model has now.

        Raises:
            WordspotError: report or model is damaged.
        """
        value: dict[str, Any] = read_json(self.report)
        decoder = read_card(self.model).decoder
        return {**value, "thresholds": {word: decoder.threshold_of(word) for word in value["words"]}}

    @property
    def esphome(self) -> Path:
        """The folder of its files for ESPHome; missing if there are none."""
        return self.model.with_name(f"{self.number}-esphome")

    @property
    def digest(self) -> str:
        """SHA-256 of the model's file."""
        return _digest(self.model, self.model.stat().st_mtime_ns)

    def page_model(self) -> PageModel:
        """The model as the page runs it, under its digest as name."""
        return _page_model(self.model, self.model.stat().st_mtime_ns)


def list_versions(project: StudioProject) -> list[Version]:
    """The project's versions, oldest first. One whose model or report is missing does not count."""
    if not project.versions.is_dir():
        return []
    numbers = sorted(int(found[1]) for one in project.versions.iterdir() if (found := _NUMBER.fullmatch(one.name)))
    return [one for one in (_version(project, number) for number in numbers) if one.model.is_file()]


def find_version(project: StudioProject, number: str) -> Version:
    """One version.

    Raises:
        NotFoundError: there is none of that number.
    """
    for version in list_versions(project):
        if str(version.number) == number:
            return version
    raise NotFoundError(f"there is no model {shown(number)} in this project")


Judge = Callable[[Path, Version | None], dict[str, Any]]


def add_version(project: StudioProject, made: WakeWord, settings: TrainingSettings, judge: Judge) -> int:
    """File a finished model; its report is written last, since a version without one does not count.

    Args:
        judge: called with the model and the version before; what it returns is added to the report.

    Returns:
        the version's number.
    """
    earlier = list_versions(project)
    version = _version(project, earlier[-1].number + 1 if earlier else 1)
    with atomic_path(version.model) as temporary:
        shutil.copyfile(made.model, temporary)
    shutil.rmtree(version.esphome, ignore_errors=True)
    if made.esphome is not None:
        with atomic_folder(version.esphome) as temporary:
            shutil.copytree(made.esphome.manifest.parent, temporary, dirs_exist_ok=True)
    report = {
        "number": version.number,
        "made": time.time(),
        "words": list(made.request.phrases),
        "settings": dataclasses.asdict(settings),
        "warnings": list(made.warnings),
        **judge(version.model, earlier[-1] if earlier else None),
    }
    write_json(version.report, report)
    return version.number


def set_threshold(version: Version, threshold: float) -> None:
    """Give the model one threshold for all of its words.

    Raises:
        ConfigError: a threshold outside 0 to 1.
    """
    if not 0 < threshold < 1:
        raise ConfigError(f"a threshold lies between 0 and 1, got {threshold:g}")
    content = version.model.read_bytes()
    card = read_card(content)
    with atomic_path(version.model) as temporary:
        temporary.write_bytes(with_card(content, dataclasses.replace(card, decoder=card.decoder.with_threshold(threshold))))


def _version(project: StudioProject, number: int) -> Version:
    return Version(number, project.versions / f"{number}.onnx", project.versions / f"{number}.json")


@lru_cache(maxsize=1000)
def _digest(model: Path, changed_ns: int) -> str:
    return hashlib.sha256(model.read_bytes()).hexdigest()


@lru_cache(maxsize=8)
def _page_model(model: Path, changed_ns: int) -> PageModel:
    served = load_models([model])[0]
    return make_page_models([dataclasses.replace(served, name=served.digest)])[0]
