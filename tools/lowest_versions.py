"""Print the lowest versions that pyproject.toml declares, as requirements that pip takes.

    python tools/lowest_versions.py serve dev:pytest dev:hypothesis > lowest.txt

The dependencies of the core always, then those of each extra named; ``dev:pytest`` is one dependency of an extra.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def lowest(requirement: str) -> str:
    """``numpy>=2.0`` → ``numpy==2.0``."""
    found = re.fullmatch(r"([\w.\[\]-]+?)>=([\w.]+)(?:,.*)?", requirement.split(";")[0].strip())
    assert found is not None, requirement
    name, bound = found.groups()
    return f"{name}=={bound}"


def requirements(extras: list[str]) -> list[str]:
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    wanted = list(project["dependencies"])
    for extra in extras:
        family, _, only = extra.partition(":")
        members = [item for item in project["optional-dependencies"][family] if not item.startswith("wordspot")]
        wanted += [item for item in members if not only or re.split(r"[<>=\[;]", item)[0] == only]
    return [lowest(item) for item in wanted]


if __name__ == "__main__":
    sys.stdout.write("\n".join(requirements(sys.argv[1:])) + "\n")
