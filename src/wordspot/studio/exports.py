"""A version for each place where it can run: what the export commands write, as one file or one ZIP file."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordspot.errors import NotFoundError
from wordspot.formats import command_line, shown
from wordspot.studio.project import StudioProject
from wordspot.studio.versions import Version


@dataclass(frozen=True)
class Export:
    """A way to take a model away.

    Attributes:
        title, about: for the page.
        command: the words of the command that does the same; ``MODEL`` and ``OUT`` stand for the paths.
        write: writes a folder for a model; None: it is the model's file itself.
    """

    title: str
    about: str
    command: tuple[str, ...]
    write: Callable[[Path, Path], Any] | None


def _write_page(model: Path, out: Path) -> None:
    from wordspot.server.site import export_web

    export_web(model, out)


def _write_wasm(model: Path, out: Path) -> None:
    from wordspot.export.wasm_target import export_wasm

    export_wasm(model, out)


def _write_c(model: Path, out: Path) -> None:
    from wordspot.export.c_target import export_c

    export_c(model, out)


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
    """What can be taken away, for the page."""
    return [
        {
            "kind": kind,
            "title": one.title,
            "about": one.about,
            "command": _command(one, project, version),
            "file": _file_name(kind, project, version),
        }
        for kind, one in EXPORTS.items()
    ]


def make_export(project: StudioProject, version: Version, kind: str) -> tuple[str, bytes]:
    """The name and the content of the file that a kind of export is.

    Raises:
        NotFoundError: there is no such kind, or this installation lacks what it needs.
        ExportError: the model cannot be exported so.
    """
    if kind not in EXPORTS:
        raise NotFoundError(f"there is no export {shown(kind)}; expected one of {', '.join(EXPORTS)}")
    write = EXPORTS[kind].write
    if write is None:
        return _file_name(kind, project, version), version.model.read_bytes()
    with tempfile.TemporaryDirectory(prefix="wordspot-") as folder:
        model = Path(folder) / f"{project.name}.onnx"
        model.write_bytes(version.model.read_bytes())
        write(model, Path(folder) / project.name)
        return _file_name(kind, project, version), _zipped(Path(folder) / project.name)


def _file_name(kind: str, project: StudioProject, version: Version) -> str:
    name = f"{project.name}-{version.number}".replace(" ", "-")
    return f"{name}.onnx" if EXPORTS[kind].write is None else f"{name}-{kind}.zip"


def _command(export: Export, project: StudioProject, version: Version) -> str:
    paths = {"MODEL": version.model, "OUT": Path(f"{project.name}-{export.command[0]}")}
    return command_line("wordspot", *(paths.get(part, part) for part in export.command))


def _zipped(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                file.write(path, Path(folder.name) / path.relative_to(folder))
    return buffer.getvalue()
