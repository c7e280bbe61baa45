"""The page as plain files, for any host that serves files over https: no program of ours runs there."""

from __future__ import annotations

import html
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from wordspot import __version__
from wordspot.errors import NotFoundError, WordspotError
from wordspot.files import atomic_path, write_text
from wordspot.server.guard import HEADERS
from wordspot.server.pages import page_folder
from wordspot.server.served import ServedModel

RUNTIME = "vendor/ort"
_FIRST_LINE = '<meta charset="utf-8">'


def write_site(models: Sequence[ServedModel], out: Path, folder: Path | None = None) -> int:
    """Write the page with `models` into the folder `out`; how many bytes it holds. Every address in it is relative.

    Args:
        models: that the page offers; the first is chosen at start.
        out: the folder. Files in it that the page does not have stay.
        folder: the page's files; None: those of this installation.

    Raises:
        NotFoundError: this installation lacks the page, or the runtime that lets it run models.
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
        "models": [model.description() for model in models], "version": __version__, "record": False, "token": False,
    }  # fmt: skip
    write_text(out / "models.json", json.dumps(listing, ensure_ascii=False, allow_nan=False))
    return n_bytes


def with_policy(page: str) -> str:
    """The page with the policies inside it that our server sends as headers: a host of files knows nothing of them."""
    if page.count(_FIRST_LINE) != 1:
        raise WordspotError(f"index.html: expected one {_FIRST_LINE}; is it the page of this version?")
    policy = "; ".join(
        rule for rule in HEADERS["Content-Security-Policy"].split("; ") if not rule.startswith("frame-ancestors")
    )  # browsers take that one from headers only, and complain of it elsewhere
    lines = [
        _FIRST_LINE,
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">',
        f'<meta name="referrer" content="{HEADERS["Referrer-Policy"]}">',
    ]
    return page.replace(_FIRST_LINE, "\n  ".join(lines))


def _check(source: Path) -> None:
    if not (source / "index.html").is_file():
        raise NotFoundError(
            f"{source}: expected the web page there, but this installation lacks it; install wordspot again"
        )
    if not any((source / RUNTIME).glob("*.wasm")):
        raise NotFoundError(
            f"{source / RUNTIME}: expected onnxruntime-web, which runs models in browsers, but this installation lacks it; "
            "run `make web` in a checkout (it needs npm), or install a wheel that was built after that"
        )
