"""A version for each place where it can run: what the export commands write, as one file or one ZIP file."""

from __future__ import annotations

import dataclasses
import io
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordspot.errors import ExportError, NotFoundError, WordspotError
from wordspot.files import read_json, write_json
from wordspot.formats import command_line, shown
from wordspot.runtime.modelfile.card import read_card
from wordspot.studio.overview import training_command
from wordspot.studio.project import StudioProject, TrainingSettings
from wordspot.studio.versions import Version

_ESPHOME_PRESET = "microcontroller"  # of `wordspot new`


@dataclass(frozen=True)
class Export:
    """A way to take a model away.

    Attributes:
        title, about: for the page.
        command: the words of the command that does the same; ``MODEL`` and ``OUT`` stand for the paths. Empty: the command that
            trains such a model.
        write: writes a folder, given the model, the version and the folder; None: it is the model's file itself.
        obstacle: why a version cannot be taken away so, and what to do; empty if it can.
    """

    title: str
    about: str
    command: tuple[str, ...]
    write: Callable[[Path, Version, Path], Any] | None
    obstacle: Callable[[Version], str] = lambda _: ""


def _write_page(model: Path, _: Version, out: Path) -> None:
    from wordspot.server.site import export_web

    export_web(model, out)


def _write_wasm(model: Path, _: Version, out: Path) -> None:
    from wordspot.export.wasm_target import export_wasm

    export_wasm(model, out)


def _write_c(model: Path, _: Version, out: Path) -> None:
    from wordspot.export.c_target import export_c

    export_c(model, out)


def _write_esphome(model: Path, version: Version, out: Path) -> None:
    """The files that `new` wrote, with the threshold that the model has now."""
    shutil.copytree(version.esphome, out)
    (path,) = out.glob("*.json")
    manifest = read_json(path)
    cutoff = round(read_card(model).decoder.threshold_of(manifest["wake_word"]), 4)
    write_json(path, {**manifest, "micro": {**manifest["micro"], "probability_cutoff": cutoff}})


def _no_esphome(version: Version) -> str:
    """ESPHome's devices compute features of their own, and detect one word with a model."""
    if version.esphome.is_dir():
        return ""
    n_words = sum(not label.startswith("_") for label in read_card(version.model).labels)
    if n_words > 1:
        return f"ESPHome detects one word, and this model has {n_words}. Begin a project with one word, and train it for ESPHome."
    return (
        "This model needs other features than ESPHome’s devices compute. Under “Train”, choose “ESPHome” as the place where it "
        "will run, and train again. Or let Home Assistant do the listening, with the file above."
    )


EXPORTS = {
    "python": Export(
        "Python and the command line",
        "One file. “wordspot listen” hears with it on any computer, and “ws.Detector” in a program.",
        ("listen", "MODEL"), None,
    ),
    "home-assistant": Export(
        "Home Assistant", "The same file, served by “wordspot serve” as a wake word engine (Wyoming).",
        ("serve", "MODEL", "--wyoming-port", "10400", "--zeroconf"), None,
    ),
    "esphome": Export(
        "ESPHome", "The network in 8 bits, its manifest and the lines for the device, such as Home Assistant Voice PE.",
        (), _write_esphome, _no_esphome,
    ),
    "page": Export(
        "A web page", "A page that listens, as plain files for any https host.",
        ("export-web", "MODEL", "--out", "OUT"), _write_page,
    ),
    "wasm": Export(
        "In your own web page", "The engine as WebAssembly, the model and a module in JavaScript.",
        ("export", "MODEL", "--target", "wasm", "--out", "OUT"), _write_wasm,
    ),
    "c": Export(
        "C, for devices", "Sources without dependencies, and a program that tests them.",
        ("export", "MODEL", "--target", "c", "--out", "OUT"), _write_c,
    ),
}  # fmt: skip


def exports_json(project: StudioProject, version: Version) -> list[dict[str, str]]:
    """What can be taken away, for the page; ``obstacle`` says why something cannot."""
    return [
        {
            "kind": kind,
            "title": one.title,
            "about": one.about,
            "command": _command(kind, project, version),
            "file": _file_name(kind, project, version),
            "obstacle": one.obstacle(version),
        }
        for kind, one in EXPORTS.items()
    ]


def make_export(project: StudioProject, version: Version, kind: str) -> tuple[str, bytes]:
    """The name and the content of the file that a kind of export is.

    Raises:
        NotFoundError: there is no such kind, or this installation lacks what it needs.
        ExportError: the model cannot be exported so.
        WordspotError: something that the export needs is missing.
    """
    if kind not in EXPORTS:
        raise NotFoundError(f"there is no export {shown(kind)}; expected one of {', '.join(EXPORTS)}")
    content, export = version.model.read_bytes(), EXPORTS[kind]
    if obstacle := export.obstacle(version):
        raise ExportError(obstacle)
    if export.write is None:
        return _file_name(kind, project, version), content
    with tempfile.TemporaryDirectory(prefix="wordspot-") as folder:
        model, out = Path(folder) / f"{project.name}.onnx", Path(folder) / project.name
        model.write_bytes(content)
        try:
            export.write(model, version, out)
        except WordspotError as error:
            raise type(error)(str(error).replace(f"{folder}{os.sep}", "")) from error  # a path that nobody finds
        return _file_name(kind, project, version), _zipped(out)


def _file_name(kind: str, project: StudioProject, version: Version) -> str:
    name = f"{project.name}-{version.number}".replace(" ", "-")
    return f"{name}.onnx" if EXPORTS[kind].write is None else f"{name}-{kind}.zip"


def _command(kind: str, project: StudioProject, version: Version) -> str:
    words = EXPORTS[kind].command
    if not words:
        trained = TrainingSettings.stored(version.read().get("settings", {}))
        return training_command(project, dataclasses.replace(trained, preset=_ESPHOME_PRESET))
    paths = {"MODEL": version.model, "OUT": Path(f"{project.name}-{kind}")}
    return command_line("wordspot", *(paths.get(part, part) for part in words))


def _zipped(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                file.write(path, Path(folder.name) / path.relative_to(folder))
    return buffer.getvalue()
