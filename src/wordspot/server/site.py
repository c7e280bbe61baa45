"""The page as plain files, for any host that serves files over https; no server of ours is needed there."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordspot import __version__
from wordspot.errors import ConfigError, NotFoundError, WordspotError
from wordspot.files import atomic_path, check_out
from wordspot.runtime.modelfile.engine.blob import WEIGHTS
from wordspot.server.config import PAGE_WEIGHTS
from wordspot.server.guard import HEADERS
from wordspot.server.page_models import RUNTIME, PageModel, made_files, make_page_models, not_runnable
from wordspot.server.pages import page_folder
from wordspot.server.served import load_models, model_paths

_FIRST_LINE = '<meta charset="utf-8">'


@dataclass(frozen=True)
class ExportedSite:
    """What `export_web` wrote.

    Attributes:
        folder: where the page is.
        models: the names of its models.
        n_bytes: the size of all files.
        in_onnxruntime: the names of those models that need onnxruntime-web, because wordspot's engine does not know them.
    """

    folder: Path
    models: tuple[str, ...]
    n_bytes: int
    in_onnxruntime: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object."""
        return {
            "folder": str(self.folder),
            "models": list(self.models),
            "bytes": self.n_bytes,
            "in_onnxruntime": list(self.in_onnxruntime),
        }


def export_web(
    models: Path | str | Sequence[Path | str] | None, out: Path | str, *, weights: str = PAGE_WEIGHTS, force: bool = False
) -> ExportedSite:
    """Write the web page with models in it as plain files, for any https host.

    Args:
        models: files that `export` wrote; the first is chosen at start. None: the model that comes with wordspot.
        out: the folder to write.
        weights: of models that run in wordspot's engine: ``"int8"``, or ``"float32"``, four times as large.
        force: write into a folder that holds files already.

    Raises:
        ConfigError: `out` holds files and `force` is off, or unknown `weights`.
        NotFoundError: no such model, or this installation lacks the page, or onnxruntime-web and a model needs it.
        CardError: not a model, or a damaged one.
    """
    folder = Path(out)
    if weights not in WEIGHTS:
        raise ConfigError(f"`weights` must be {' or '.join(WEIGHTS)}, got {weights!r}")
    check_out(folder, force=force)
    made = make_page_models(load_models(model_paths(models)), weights)
    n_bytes = write_site(made, folder)
    names = tuple(one.model.name for one in made)
    return ExportedSite(folder, names, n_bytes, tuple(one.model.name for one in made if one.blob is None))


def write_site(models: Sequence[PageModel], out: Path, folder: Path | None = None) -> int:
    """Write the page with `models` into the folder `out`. Every URL in it is relative.

    Args:
        models: that the page offers; the first is chosen at start.
        out: the folder. Other files in it are kept.
        folder: the page's files; None: those of this installation.

    Returns:
        The size of all files in bytes.

    Raises:
        NotFoundError: this installation lacks the page, or onnxruntime-web and a model needs it.
    """
    source = folder or page_folder()
    _check(source, models)
    needs_runtime = any(model.blob is None for model in models)
    own = {path.relative_to(source).as_posix(): path for path in sorted(source.rglob("*")) if path.is_file()}
    files = {
        name: path.read_bytes()
        for name, path in own.items()
        if path.suffix not in (".py", ".pyc")
        and not path.name.startswith(".")
        and (needs_runtime or not name.startswith("vendor/"))
    }
    files["index.html"] = with_policy(files["index.html"].decode()).encode()
    files |= made_files(models, {"version": __version__, "record": False, "token": False})
    for name, content in files.items():
        with atomic_path(out / name) as temporary:
            temporary.write_bytes(content)
    return sum(map(len, files.values()))


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


def _check(source: Path, models: Sequence[PageModel]) -> None:
    if not (source / "index.html").is_file():
        raise NotFoundError(f"{source}: the web page is missing from this installation; install wordspot again")
    if names := not_runnable(models, source):
        raise NotFoundError(
            f"{source / RUNTIME}: onnxruntime-web, which runs {', '.join(names)} in browsers, is missing from this installation; "
            "run `make web` in a checkout (it needs npm), or install a wheel that was built after that"
        )
