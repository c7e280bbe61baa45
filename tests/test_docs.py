"""The documentation shows only commands that exist, and both READMEs show the same ones."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from wordspot.commands.main import build_parser
from wordspot.config import RunConfig
from wordspot.overrides import override, parse_settings

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def code_lines(page: Path) -> list[str]:
    """The lines of all code blocks of a page, continued lines joined."""
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines() if line.strip()]


def commands(page: Path) -> list[str]:
    lines = [line.removeprefix("$ ") for line in code_lines(page)]
    return [line for line in lines if re.match(r"(\.venv/bin/)?(wordspot|make|python|pip|tensorboard)\b", line)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_shown_is_one_the_parser_takes(page: Path) -> None:
    for line in commands(page):
        words = shlex.split(line, comments=True)
        if Path(words[0]).name != "wordspot" or words[1:] == ["--version"]:
            continue
        args = build_parser().parse_args(words[1:])
        override(RunConfig(words=("a",)), parse_settings(getattr(args, "settings", [])))


def test_both_readmes_show_the_same_commands() -> None:
    english, chinese = commands(ROOT / "README.md"), commands(ROOT / "README.zh-CN.md")
    assert english == chinese
    assert len(english) > 8


def test_both_readmes_show_the_same_figures() -> None:
    """Every number in a table of results stands in both."""

    def figures(name: str) -> list[str]:
        rows = [line for line in (ROOT / name).read_text(encoding="utf-8").splitlines() if line.startswith("|")]
        return re.findall(r"\d[\d.,]*\d|\d", "\n".join(rows))

    assert figures("README.md") == figures("README.zh-CN.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target and not target.startswith("#"):
            assert (page.parent / target.split("#")[0]).exists(), f"{page.name}: {target}"


def test_make_targets_shown_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    for page in PAGES:
        for line in commands(page):
            if line.startswith("make"):
                assert set(shlex.split(line)[1:]) <= targets, line


def test_every_dependency_has_its_row() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(item for items in project["optional-dependencies"].values() for item in items),
    ]
    names = {re.split(r"[<>=\[]", item)[0] for item in wanted} - {"wordspot"}
    table = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| ([\w-]+) \([\d.]+", table, flags=re.M))
    assert names == rows
    pinned = set(re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(), flags=re.M))
    assert {name.lower() for name in names} <= {name.lower() for name in pinned}
