"""The parts of the build that pyproject.toml cannot express: compile the C engine, and warn if a part of the package is missing.

The engine's libraries do not use Python's API, so a wheel with them is for one platform and every version of Python: its name
ends in ``py3-none-PLATFORM``. Without a compiler the wheel is for any platform, and ONNX Runtime runs all models. Of the
environment variables, ``WORDSPOT_NO_ENGINE=1`` leaves the engine out, and ``WORDSPOT_NEEDS_ENGINE=1`` makes a build without the
engine, or without one of its libraries, fail.
"""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

PACKAGE = Path(__file__).resolve().parent / "src" / "wordspot"
#: Parts that other tools make, and what the page of `wordspot serve` lacks without them.
MADE = {
    "web/vendor/ort/version.json": "ONNX Runtime for browsers, so its page runs only models that the C engine knows",
    "engine/wasm/engine.wasm": "the C engine in WebAssembly, so its page runs all models in ONNX Runtime, which is large",
}

NEEDS_ENGINE = os.environ.get("WORDSPOT_NEEDS_ENGINE") == "1"  # as when wheels are made for others

sys.path.insert(0, str(PACKAGE.parent))
from wordspot.runtime.modelfile.engine.compile import compile_engine, find_compiler  # noqa: E402
from wordspot.runtime.modelfile.engine.library import COMPILED  # noqa: E402


@functools.cache
def compiler() -> list[str] | None:
    return None if os.environ.get("WORDSPOT_NO_ENGINE") == "1" else find_compiler()


class BuildWithEngine(build_py):
    def run(self) -> None:
        for path, lack in MADE.items():
            if not (PACKAGE / path).is_file():
                self.warn(f"this build lacks {lack}. Run `make web` (it needs npm, clang and lld) and build again.")
        super().run()
        package = PACKAGE if self.editable_mode else Path(self.build_lib) / "wordspot"
        try:
            self._compile(package / "engine" / COMPILED)
        except OSError as error:
            self._without_engine(str(error))

    def _compile(self, folder: Path) -> None:
        command = compiler()
        if command is None:
            self._without_engine("there is no C compiler (cc, gcc or clang; on Windows clang)")
        else:
            compile_engine(folder, command, on_missing=self._without_library)

    def _without_library(self, reason: str) -> None:
        if NEEDS_ENGINE:
            raise SystemExit(f"a part of the C engine is missing: {reason}")
        self.warn(f"processors with wide vectors take narrower ones, slower: {reason}")

    def _without_engine(self, reason: str) -> None:
        if NEEDS_ENGINE:
            raise SystemExit(f"the C engine cannot be compiled: {reason}")
        self.warn(f"the C engine is not in this build, so ONNX Runtime runs all models, slower: {reason}")


class WithLibraries(Distribution):
    def has_ext_modules(self) -> bool:
        return compiler() is not None


class AnyPython(bdist_wheel):
    def get_tag(self) -> tuple[str, str, str]:
        tag = super().get_tag()
        return tag if self.root_is_pure else ("py3", "none", tag[2])


setup(distclass=WithLibraries, cmdclass={"build_py": BuildWithEngine, "bdist_wheel": AnyPython})
