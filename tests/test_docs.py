"""The documentation shows only commands, names, files and links that exist, and both READMEs show the same ones."""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
import textwrap
from pathlib import Path

import pytest

import wordspot
from wordspot.commands.main import build_parser
from wordspot.config import RunConfig
from wordspot.overrides import override, parse_settings

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md")])
SITE = "https://github.com/wordspot/wordspot/blob/main/"


def blocks(page: Path) -> list[tuple[str, str]]:
    """The language and the text of all code blocks of a page."""
    return re.findall(r"^```([a-z]*)\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def code_lines(page: Path) -> list[str]:
    """The lines of all code blocks of a page, continued lines joined."""
    text = "".join(block for _, block in blocks(page)).replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if line.strip()]


def commands(page: Path) -> list[str]:
    lines = [line.removeprefix("$ ") for line in code_lines(page)]
    return [line for line in lines if re.match(r"(\.venv/bin/)?(wordspot|make|python|pip|tensorboard)\b", line)]


def python_blocks() -> list[tuple[Path, ast.Module]]:
    return [
        (page, ast.parse(textwrap.dedent(text), filename=page.name))
        for page in PAGES
        for language, text in blocks(page)
        if language == "python"
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_shown_is_one_the_parser_takes(page: Path) -> None:
    for line in commands(page):
        words = shlex.split(line, comments=True)
        if Path(words[0]).name != "wordspot" or words[1:] == ["--version"]:
            continue
        args = build_parser().parse_args(words[1:])
        settings = parse_settings(getattr(args, "settings", []))
        if "training.learning_rates" in settings:  # one for each of the numbers of steps, which are a flag
            settings.setdefault("training.steps", getattr(args, "training.steps"))
        override(RunConfig(words=("a",)), settings)


def test_python_shown_uses_names_that_exist() -> None:
    """What is imported from wordspot, and what follows ``ws.``."""
    pytest.importorskip("torch")
    shown: set[str] = set()
    for page, tree in python_blocks():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "wordspot":
                module = __import__(node.module or "", fromlist=["_"])
                assert all(hasattr(module, alias.name) for alias in node.names), f"{page.name}: {ast.unparse(node)}"
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "ws":
                shown.add(node.attr)
    shown |= set(re.findall(r"`ws\.(\w+)", (ROOT / "docs" / "python.md").read_text(encoding="utf-8")))
    assert len(shown) > 10
    assert shown <= set(wordspot.__all__)


def test_the_readme_is_a_landing_page() -> None:
    for name in ("README.md", "README.zh-CN.md"):
        assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) <= 130


def test_both_readmes_show_the_same_commands() -> None:
    english, chinese = commands(ROOT / "README.md"), commands(ROOT / "README.zh-CN.md")
    assert english == chinese
    assert len(english) >= 8


def test_both_readmes_show_the_same_numbers() -> None:
    """Every number in a table of results, and every page that is linked, stands in both."""

    def of(pattern: str, name: str) -> list[str]:
        rows = [line for line in (ROOT / name).read_text(encoding="utf-8").splitlines() if line.startswith("|")]
        return re.findall(pattern, "\n".join(rows))

    for pattern in (r"\d[\d.,]*\d|\d", r"\]\(([^)]+)\)", r"`[^`]+`"):
        assert of(pattern, "README.md") == of(pattern, "README.zh-CN.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(SITE):
            assert (ROOT / target.removeprefix(SITE).split("#")[0]).exists(), f"{page.name}: {target}"
        elif "://" not in target and not target.startswith("#"):
            assert (page.parent / target.split("#")[0]).exists(), f"{page.name}: {target}"


def test_files_of_the_code_that_the_documentation_names_exist() -> None:
    """Paths in backquotes whose first part is a folder of the package or of the repository."""
    tops = {path.name for path in (*ROOT.iterdir(), *(ROOT / "src" / "wordspot").iterdir()) if path.is_dir()}
    for page in PAGES:
        for name in re.findall(r"`([\w./-]+/[\w.-]+\.(?:py|js|json|md|sh|toml|onnx))`", page.read_text(encoding="utf-8")):
            if name.split("/")[0] in tops - {"demo", "runs"}:
                assert (ROOT / name).exists() or (ROOT / "src" / "wordspot" / name).exists(), f"{page.name}: {name}"


def test_every_page_of_the_site_is_in_its_menu() -> None:
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        assert f": {page.relative_to(ROOT / 'docs').as_posix()}" in menu, page.name


def test_the_api_reference_has_the_home_of_every_public_name() -> None:
    pytest.importorskip("torch")
    pages = [page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "api").glob("*.md")]
    modules = {name for text in pages for name in re.findall(r"^::: (\S+)", text, flags=re.M)}
    for name in modules:
        assert importlib.util.find_spec(name) is not None, name
    assert {*wordspot._HOME.values()} <= modules


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
