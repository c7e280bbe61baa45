"""What pyproject.toml cannot say: a build tells when the web page's runtime is missing from it."""

from __future__ import annotations

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

RUNTIME = Path(__file__).resolve().parent / "src" / "wordspot" / "web" / "vendor" / "ort" / "version.json"


class BuildWithPage(build_py):
    def run(self) -> None:
        if not RUNTIME.is_file():
            self.warn(
                "src/wordspot/web/vendor/ort is missing: `wordspot serve` from this build has no page that listens, all else "
                "works. `make web` (it needs npm) fetches it; build again then."
            )
        super().run()


setup(cmdclass={"build_py": BuildWithPage})
