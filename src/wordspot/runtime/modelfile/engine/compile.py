"""Compile the C engine into the libraries that `library.py` loads, with any C compiler that has GCC's vector types.

`setup.py` does so for a wheel and for an editable installation. In a checkout that is only on ``PYTHONPATH``::

    python -m wordspot.runtime.modelfile.engine.compile

The libraries do not use Python's API, so one wheel fits all versions of Python. This module imports only the standard library,
because `setup.py` uses it before anything is installed.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from wordspot.runtime.modelfile.engine.library import AVX2, AVX512, BASELINE, COMPILED, ENDING, SOURCES

FLAGS = ("-std=gnu99", "-O3", "-ffp-contract=fast", "-fvisibility=hidden", "-Wno-psabi", "-DWS_SAMPLE=float")
#: Flags of each library.
_AVX2 = ("-mavx2", "-mfma")
_MORE = {
    BASELINE: (),
    AVX2: _AVX2,
    AVX512: (*_AVX2, "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512vnni"),
}


def find_compiler() -> list[str] | None:
    """The command of a C compiler that has GCC's vector types: ``$CC``, cc, gcc or clang; None if none works.

    On Windows only clang: code of MinGW's gcc crashes where wide vectors are kept on the stack (GCC's bug 54412), and
    Microsoft's compiler has no vector types.
    """
    names = ["clang"] if sys.platform == "win32" else ["cc", "gcc", "clang"]
    commands = [[name] for name in names if shutil.which(name)]
    if chosen := shlex.split(os.environ.get("CC", ""), posix=sys.platform != "win32"):
        commands.insert(0, chosen)
    return next((command for command in commands if _works(command)), None)


def compile_engine(folder: Path, compiler: list[str], on_missing: Callable[[str], None]) -> list[Path]:
    """Compile the libraries into `folder`.

    Args:
        folder: made if it is not there.
        compiler: its command.
        on_missing: called with a line for each library with wider vectors that the compiler cannot make.

    Returns:
        the libraries; on x86-64 there are two more, for AVX2 and for AVX-512, as far as the compiler knows these.

    Raises:
        OSError: the compiler fails for the library of all processors; the message holds what it printed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = [BASELINE, AVX2, AVX512] if _defines(compiler, "__x86_64__") else [BASELINE]
    sources = [str(path) for path in sorted(SOURCES.glob("*.c")) if path.name != "main.c"]
    made = []
    for name in names:
        path = folder / f"{name}{ENDING}"
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            out = Path(temporary) / path.name
            try:
                _run([*compiler, *_target_flags(), *FLAGS, *_MORE[name], *_linking(), "-o", str(out), *sources])
            except OSError as error:
                if name == BASELINE:
                    raise
                path.unlink(missing_ok=True)  # that of another version would not go with the others
                on_missing(f"{path.name} cannot be compiled: {error}")
                continue
            out.replace(path)  # one step, since a running program may have loaded the old one
        made.append(path)
    return made


def _linking() -> list[str]:
    return ["-shared"] if sys.platform == "win32" else ["-shared", "-fPIC"]


def _target_flags() -> list[str]:
    """The architectures that a Mac's compiler compiles for; setuptools and cibuildwheel set them."""
    return shlex.split(os.environ.get("ARCHFLAGS", "")) if sys.platform == "darwin" else []


def _works(command: list[str]) -> bool:
    """Whether the compiler can make a shared library from code with vector types."""
    program = "typedef float four __attribute__((vector_size(16)));\nfour twice(four x) { return x + x; }\n"
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "try.c"
        source.write_text(program, encoding="utf-8")
        try:
            _run([*command, *_target_flags(), *_linking(), "-o", str(source.with_suffix(ENDING)), str(source)])
        except OSError:
            return False
    return True


def _defines(command: list[str], macro: str) -> bool:
    """Whether every target of the compiler defines `macro`."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "try.c"
        source.write_text(f"#ifndef {macro}\n#error another processor\n#endif\nint unused;\n", encoding="utf-8")
        try:
            _run([*command, *_target_flags(), "-c", "-o", str(source.with_suffix(".o")), str(source)])
        except OSError:
            return False
    return True


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise OSError(f"{command[0]} failed: {' '.join((done.stderr or done.stdout).split())[:2000]}")


def _warn(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def main() -> int:
    compiler = find_compiler()
    if compiler is None:
        sys.stderr.write("there is no C compiler (cc, gcc or clang); without the engine, ONNX Runtime runs all files\n")
        return 1
    for path in compile_engine(SOURCES / COMPILED, compiler, on_missing=_warn):
        sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
