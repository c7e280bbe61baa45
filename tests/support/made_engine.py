"""The C engine, compiled by the compiler of this machine and called through ctypes."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import wordspot

ENGINE = Path(wordspot.__file__).parent / "engine"
HERE = Path(__file__).parent
FLAGS = ("-std=gnu99", "-Wall", "-Wextra", "-Wno-psabi", "-Werror", "-ffp-contract=fast")
CPUINFO = Path("/proc/cpuinfo")
#: Flags for kinds of processors, and what `/proc/cpuinfo` calls the part that they need.
PROCESSORS = {
    "as it is": ((), ""),
    "AVX2": (("-mavx2", "-mfma"), "avx2"),
    "AVX2, as GCC before 12": (("-mavx2", "-mfma", "-DWS_OLD_GCC"), "avx2"),
    "AVX-VNNI": (("-mavx2", "-mfma", "-mavxvnni"), "avx_vnni"),
    "AVX-512": (("-mavx2", "-mfma", "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512vnni"), "avx512_vnni"),
    "plain C": (("-DWS_LANES=1", "-U__SSE2__"), ""),
}
SIZE = ctypes.c_size_t
POINTER = ctypes.c_void_p


class Detection(ctypes.Structure):
    _fields_ = (
        ("label", ctypes.c_uint32),
        ("score", ctypes.c_float),
        ("time_ms", ctypes.c_double),
        ("emitted_ms", ctypes.c_double),
    )


class Settings(ctypes.Structure):
    _fields_ = (
        ("kind", ctypes.c_uint32),
        ("minimum_count", ctypes.c_uint32),
        *((name, ctypes.c_double) for name in ("average_ms", "suppression_ms", "refractory_ms", "confirm_ms", "stride_ms")),
    )


def compiler() -> str:
    """The C compiler of this machine; without one the test is skipped."""
    found = next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
    if found is None:
        pytest.skip("there is no C compiler (cc, gcc or clang)")
    return found


def flags_for(processor: str) -> tuple[str, ...]:
    """The compiler's flags for one of `PROCESSORS`; the test is skipped if this processor is of another kind."""
    flags, needed = PROCESSORS[processor]
    if needed and not CPUINFO.is_file():
        pytest.skip(f"{CPUINFO}, which says what this processor can do, is missing: this is not Linux")
    if needed and needed not in CPUINFO.read_text().split():
        pytest.skip(f"this processor has no {processor}")
    return flags


def compiled(out: Path, sources: Sequence[Path], *flags: str) -> Path:
    """Compile sources into `out`; a warning is an error."""
    command = [compiler(), *FLAGS, *flags, f"-I{ENGINE}", "-o", str(out), *map(str, sources)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


def engine_sources() -> list[Path]:
    return [path for path in sorted(ENGINE.glob("*.c")) if path.name != "main.c"]


def load_engine(folder: Path, *flags: str) -> Any:
    """The engine as a library."""
    name = f"engine{len(list(folder.glob('*.so')))}.so"  # a library of the same name would not be loaded again
    library = ctypes.CDLL(str(compiled(folder / name, engine_sources(), "-shared", "-fPIC", *flags)))
    types = {
        "ws_size": (SIZE, [POINTER, SIZE]),
        "ws_init": (POINTER, [POINTER, SIZE, POINTER, SIZE]),
        "ws_feed": (SIZE, [POINTER, POINTER, SIZE, POINTER, POINTER, SIZE]),
        "ws_flush": (SIZE, [POINTER, POINTER]),
        "ws_reset": (None, [POINTER]),
        "ws_label": (ctypes.c_char_p, [POINTER, ctypes.c_uint32]),
        "ws_self_test": (ctypes.c_float, [POINTER, POINTER]),
        "ws_decoder_size": (SIZE, [POINTER, ctypes.c_uint32, ctypes.c_uint32]),
        "ws_decoder_init": (POINTER, [POINTER, SIZE, POINTER, POINTER, *[ctypes.c_uint32] * 4]),
        "ws_decode": (ctypes.c_int, [POINTER, POINTER, ctypes.c_double, POINTER]),
        "ws_decoder_flush": (ctypes.c_int, [POINTER, POINTER]),
    }
    for name, (result, arguments) in types.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class Stream:
    """A stream of the compiled engine."""

    def __init__(self, library: Any, blob: bytes, n_labels: int) -> None:
        self._library, self._n_labels = library, n_labels
        self._blob, self._at = aligned(blob)
        self.n_bytes = library.ws_size(self._at, len(blob))
        assert self.n_bytes, "the engine rejects the blob"
        self._memory = np.full(self.n_bytes + 64, 0xA5, np.uint8)  # the engine must not count on zeros
        self._stream = library.ws_init(self._memory.ctypes.data + 1, self.n_bytes, self._at, len(blob))
        assert self._stream

    def feed(self, samples: NDArray[np.int16], n_hops: int) -> tuple[NDArray[np.float32], list[Detection]]:
        scores = np.full((n_hops, self._n_labels), np.nan, np.float32)
        found = (Detection * (2 * n_hops))()
        samples = np.ascontiguousarray(samples)
        n = self._library.ws_feed(self._stream, samples.ctypes.data, n_hops, scores.ctypes.data, found, len(found))
        return scores, list(found[:n])

    def flush(self) -> list[Detection]:
        found = Detection()
        return [found] * self._library.ws_flush(self._stream, ctypes.byref(found))

    def reset(self) -> None:
        self._library.ws_reset(self._stream)

    def label(self, number: int) -> str:
        text: bytes = self._library.ws_label(self._stream, number)
        return text.decode()

    def self_test(self) -> tuple[float, float]:
        """The difference, and what is allowed."""
        tolerance = ctypes.c_float()
        return self._library.ws_self_test(self._stream, ctypes.byref(tolerance)), tolerance.value


def aligned(blob: bytes) -> tuple[NDArray[np.uint8], int]:
    """A copy of the blob at a multiple of 64 bytes, and its address."""
    buffer = np.zeros(len(blob) + 64, np.uint8)
    start = -buffer.ctypes.data % 64
    buffer[start : start + len(blob)] = np.frombuffer(blob, np.uint8)
    return buffer, buffer.ctypes.data + start
