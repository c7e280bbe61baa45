"""Load the compiled C engine, which `compile.py` makes and wheels contain. Calls through ctypes release the GIL."""

from __future__ import annotations

import ctypes
import functools
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOURCES = Path(__file__).resolve().parents[3] / "engine"
COMPILED = "compiled"
"""Where the libraries are, below the folder of the sources."""

ENDING = ".dll" if sys.platform == "win32" else ".so"
#: Names of the libraries: for every processor of the architecture, for those with AVX2, and for those with AVX-512.
BASELINE, AVX2, AVX512 = "engine", "engine-avx2", "engine-avx512"
INTERFACE = 2
"""Version of the functions in `engine/library.c`; a library that was compiled from other sources has another number."""

_SIZE, _POINTER = ctypes.c_size_t, ctypes.c_void_p
#: Result and arguments of each function.
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "wordspot_size": (_SIZE, [_POINTER, _SIZE]),
    "wordspot_init": (_POINTER, [_POINTER, _SIZE, _POINTER, _SIZE]),
    "wordspot_feed": (None, [_POINTER, _POINTER, _SIZE, _POINTER]),
    "wordspot_reset": (None, [_POINTER]),
    "wordspot_self_test": (ctypes.c_float, [_POINTER]),
}


@dataclass(frozen=True)
class Library:
    """The functions of a compiled engine; `engine/library.c` explains them.

    Attributes:
        name: ``"engine"``, ``"engine-avx2"`` or ``"engine-avx512"``.
    """

    name: str
    size: Any
    init: Any
    feed: Any
    reset: Any
    self_test: Any


def load_library() -> Library | None:
    """The compiled engine for this processor.

    Returns:
        None if this installation has no compiled engine, or one that does not load, for which there is a warning.
    """
    return load_from(SOURCES / COMPILED)


@functools.cache
def load_from(folder: Path) -> Library | None:
    """As `load_library`, from any folder."""
    baseline = folder / f"{BASELINE}{ENDING}"
    if sys.byteorder != "little" or not baseline.is_file():
        return None
    try:
        handle = _open(baseline)
        lanes = handle.wordspot_lanes()
        for name, needed in ((AVX512, 16), (AVX2, 8)):
            wider = folder / f"{name}{ENDING}"
            if lanes >= needed and wider.is_file():
                return _library(name, _open(wider))
        return _library(BASELINE, handle)
    except (OSError, AttributeError) as error:  # ctypes: a file or a function is missing
        reason = " ".join(str(error).split())
        warnings.warn(
            f"the compiled engine cannot be used ({reason}); ONNX Runtime runs all models, slower. Install wordspot again",
            RuntimeWarning,
            stacklevel=2,
        )
        return None


def _open(path: Path) -> Any:
    handle = ctypes.CDLL(str(path))
    if (found := handle.wordspot_interface()) != INTERFACE:
        raise OSError(f"{path.name} is of version {found}, expected {INTERFACE}")
    return handle


def _library(name: str, handle: Any) -> Library:
    functions = []
    for function_name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(handle, function_name)
        function.restype, function.argtypes = result, arguments
        functions.append(function)
    return Library(name, *functions)
