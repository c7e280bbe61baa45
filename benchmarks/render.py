"""Make docs/results.md from the files of benchmarks/results.

    python benchmarks/render.py [--check]

With `--check` nothing is written; the exit status is 1 if the page is not what the files give.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from results import RESULTS, ROOT

PAGE = ROOT / "docs" / "results.md"

HEAD = """\
# Results

<!-- Made by benchmarks/render.py from benchmarks/results/*.json: edit those. -->

Every result below was measured with the command above it. Unless a section says otherwise, the machine has two x86-64
cores (AVX-512, AMX) and no GPU. Accuracy is always measured on speakers that are not in the training set, and intervals
are 95 % intervals. How the default recipes were found is in the
[log of experiments](https://github.com/wordspot/wordspot/blob/main/dev/LOG.md).

A result belongs to the commit, the versions and the recordings that it was measured with. Results from before 2026-11-29 use
a subset of Speech Commands of 10,052 clips (5,391 of the ten words for training); later ones use a larger subset and another
split, so do not compare them with each other.
"""


def load(folder: Path = RESULTS) -> list[dict[str, Any]]:
    """The results in the order of the page."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    return sorted(found, key=lambda result: result["order"])


def render(results: list[dict[str, Any]]) -> str:
    return "\n".join([HEAD, *(section(result) for result in results)])


def section(result: dict[str, Any]) -> str:
    parts = [f"## {result['title']}", f"```\n{result['command']}\n```", *result.get("about", [])]
    for table in result["tables"]:
        parts.append(markdown_table(table["columns"], table["rows"]))
    parts += [*result.get("notes", []), f"<small>{provenance(result)}</small>"]
    return "\n\n".join(parts) + "\n"


def markdown_table(columns: list[str], rows: list[list[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def provenance(result: dict[str, Any]) -> str:
    parts = [f"Measured {result['date']}"]
    if result["commit"]:
        parts.append(f"commit {result['commit']}")
    if result["machine"]:
        parts.append(result["machine"])
    return ", ".join([*parts, *(f"{name} {version}" for name, version in result["versions"].items())]) + "."


def main() -> int:
    text = render(load())
    if "--check" in sys.argv[1:]:
        return int(PAGE.read_text(encoding="utf-8") != text)
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
