"""The page as plain files, for any host that serves files over https; no server of ours is needed there."""

from __future__ import annotations

import html
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordspot import __version__
from wordspot.errors import NotFoundError, WordspotError
from wordspot.files import atomic_path, check_out, write_text
from wordspot.server.guard import HEADERS
from wordspot.server.pages import page_folder
from wordspot.server.served import ServedModel, load_models, model_paths

RUNTIME = "vendor/ort"
_FIRST_LINE = '<meta charset="utf-8">'


@dataclass(frozen=True)
class ExportedSite:
    """What `export_web` wrote.

    Attributes:
        folder: where the page is.
        models: the names of its models.
        n_bytes: the size of all files.
    """

    folder: Path
    models: tuple[str, ...]
    n_bytes: int

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object."""
        return {"folder": str(self.folder), "models": list(self.models), "bytes": self.n_bytes}


def export_web(models: Path | str | Sequence[Path | str] | None, out: Path | str, *, force: bool = False) -> ExportedSite:
    """Write the web page with models in it as plain files, for any https host.

    Args:
        models: files that `export` wrote; the first is chosen at start. None: the model that comes with wordspot.
        out: the folder to write.
        force: write into a folder that holds files already.

    Raises:
        ConfigError: `out` holds files and `force` is off.
        NotFoundError: no such model, or this installation lacks the page or its runtime.
        CardError: not a model, or a damaged one.
    """
    folder = Path(out)
    check_out(folder, force=force)
    served = load_models(model_paths(models))
    n_bytes = write_site(served, folder)
    return ExportedSite(folder, tuple(model.name for model in served), n_bytes)


def write_site(models: Sequence[ServedModel], out: Path, folder: Path | None = None) -> int:
    """Write the page with `models` into the folder `out`. Every URL in it is relative.

    Args:
        models: that the page offers; the first is chosen at start.
        out: the folder. Other files in it are kept.
        folder: the page's files; None: those of this installation.

    Returns:
        The size of all files in bytes.

    Raises:
        NotFoundError: this installation lacks the page, or the runtime that runs the models.
    """
    source = folder or page_folder()
    _check(source)
    n_bytes = 0
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if path.is_file() and path.suffix not in (".py", ".pyc") and not path.name.startswith("."):
            with atomic_path(out / relative) as temporary:
                shutil.copyfile(path, temporary)
            n_bytes += path.stat().st_size
    write_text(out / "index.html", with_policy((source / "index.html").read_text(encoding="utf-8")))
    for model in models:
        with atomic_path(out / "models" / f"{model.name}.onnx") as temporary:
            temporary.write_bytes(model.data)
        n_bytes += len(model.data)
    listing = {
        "models": [model.description() for model in models],
        "version": __version__,
        "record": False,
        "token": False,
    }
    write_text(out / "models.json", json.dumps(listing, ensure_ascii=False, allow_nan=False))
    return n_bytes


def with_policy(page: str) -> str:
    """The page with the security policies that our server sends as headers, for hosts that do not."""
    if page.count(_FIRST_LINE) != 1:
        raise WordspotError(f"index.html: expected one {_FIRST_LINE}; is it the page of this version?")
    policy = "; ".join(
        rule for rule in HEADERS["Content-Security-Policy"].split("; ") if not rule.startswith("frame-ancestors")
    )  # browsers accept that rule in headers only, and warn about it elsewhere
    lines = [
        _FIRST_LINE,
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">',
        f'<meta name="referrer" content="{HEADERS["Referrer-Policy"]}">',
    ]
    return page.replace(_FIRST_LINE, "\n  ".join(lines))


def _check(source: Path) -> None:
    if not (source / "index.html").is_file():
        raise NotFoundError(f"{source}: the web page is missing from this installation; install wordspot again")
    if not any((source / RUNTIME).glob("*.wasm")):
        raise NotFoundError(
            f"{source / RUNTIME}: onnxruntime-web, which runs the models in browsers, is missing from this installation; "
            "run `make web` in a checkout (it needs npm), or install a wheel that was built after that"
        )
