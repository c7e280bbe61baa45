"""Imports flow one way, folder by folder. What must do without torch does, and asking for help loads nothing heavy."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import wordspot

PACKAGE = Path(wordspot.__file__).parent

#: What each folder may import besides itself. `leaves` are the modules at the root of the package.
ALLOWED = {
    "leaves": set(),
    "audio": {"leaves"},
    "runtime.modelfile": {"leaves"},
    "runtime": {"leaves", "audio", "runtime.modelfile"},
    "archive": {"leaves", "audio", "runtime.modelfile", "runtime"},
    "data": {"leaves", "audio", "runtime.modelfile"},
    "evaluation": {"leaves", "audio", "runtime.modelfile", "runtime", "data"},
    "features": {"leaves"},
    "models": {"leaves", "features"},
    "training": {"leaves", "audio", "runtime.modelfile", "runtime", "data", "evaluation", "features", "models"},
    "export": {"leaves", "runtime.modelfile", "data", "evaluation", "features", "models", "training"},
    "reports": {"leaves", "audio", "runtime.modelfile", "runtime", "data", "evaluation"},
    "server": {"leaves", "audio", "runtime.modelfile", "runtime"},
    "client": {"leaves", "audio", "runtime"},
    "run": {"leaves", "runtime", "evaluation", "training", "export"},
    "sweeps": {"leaves", "evaluation", "training", "run"},
    "feature_picture": {"leaves", "audio", "features", "reports"},
    "wakeword": {"leaves", "audio", "runtime.modelfile", "runtime", "data", "evaluation", "reports", "export", "run"},
    "studio": {
        "leaves", "audio", "runtime.modelfile", "runtime", "data", "evaluation", "export", "training", "server", "run",
        "wakeword",
    },
    "commands": {
        "leaves", "audio", "runtime.modelfile", "runtime", "data", "evaluation", "features", "models", "training", "export",
        "reports", "server", "client", "run", "feature_picture", "wakeword", "studio", "archive", "sweeps",
    },
}  # fmt: skip

#: These run on a small device, or answer at once: no torch, not even through what they import.
WITHOUT_TORCH = (
    "leaves", "audio", "runtime.modelfile", "runtime", "data", "evaluation", "reports", "server", "client", "run",
    "feature_picture", "wakeword", "studio", "archive", "sweeps", "commands",
)  # fmt: skip

#: What is imported inside functions only, because it takes long to load.
HEAVY = {"torch", "tensorboard", "safetensors", "matplotlib", "librosa", "scipy", "ray", "pyarrow", "fsspec"}


def modules() -> dict[str, Path]:
    """Every module of the package by its name below `wordspot`; a package by that of its folder."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name and parts[-1] != "__main__":
            found[name] = path
    return found


MODULES = modules()


def imports_of(path: Path, *, everywhere: bool) -> Iterator[str]:
    """Full names that a file imports: at its top level, or `everywhere`. What only type checkers see is left out."""
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are written in full"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
        elif everywhere or not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            waiting += ast.iter_child_nodes(node)


def module_of(name: str) -> str | None:
    """The module of ours that importing `name` loads: ``wordspot.audio.files.read_audio`` → ``audio``."""
    parts = name.split(".")
    if parts[0] != "wordspot":
        return None
    for length in range(len(parts), 1, -1):
        if (candidate := ".".join(parts[1:length])) in MODULES:
            return candidate
    return None


@cache
def ours(name: str, everywhere: bool) -> frozenset[str]:
    """The modules of ours that the module `name` imports itself. Importing a part of a package loads the package too."""
    direct = {module_of(full) for full in imports_of(MODULES[name], everywhere=everywhere)} - {None, name}
    packages = {".".join(one.split(".")[:n]) for one in direct if one for n in range(1, one.count(".") + 1)}
    return frozenset(one for one in direct | packages if one and one != name and not name.startswith(f"{one}."))


def reached(name: str, *, everywhere: bool) -> set[str]:
    """All modules of ours that `name` imports, directly or through others."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        for found in ours(waiting.pop(), everywhere) - seen:
            seen.add(found)
            waiting.append(found)
    return seen


def folder_of(name: str) -> str:
    """The folder of a module, as `ALLOWED` names it."""
    if name.startswith("runtime.modelfile"):
        return "runtime.modelfile"
    first = name.split(".")[0]
    return first if (PACKAGE / first).is_dir() or first in ("client", "run", "feature_picture") else "leaves"


def in_folders(folders: tuple[str, ...]) -> list[str]:
    return [name for name in MODULES if folder_of(name) in folders]


def test_the_modules_are_found() -> None:
    assert {"errors", "config", "audio", "data.folders", "models", "commands.train"} <= set(MODULES)
    assert {folder_of(name) for name in MODULES} == set(ALLOWED)
    assert "config" in ours("data.split", False)
    assert "errors" in reached("data.split", everywhere=False)
    assert "training.trainer" in ours("commands.console", True) - ours("commands.console", False)  # inside a function
    assert module_of("numpy.typing") is None


@pytest.mark.parametrize("name", MODULES)
def test_a_folder_imports_what_it_may(name: str) -> None:
    allowed = ALLOWED[folder_of(name)] | {folder_of(name)}
    imported = ours(name, True)
    parents = {one for one in imported for other in imported if other.startswith(f"{one}.")}  # loaded on the way
    assert {one for one in imported - parents if folder_of(one) not in allowed} == set()


@pytest.mark.parametrize("name", in_folders(("commands",)))
def test_no_command_imports_another(name: str) -> None:
    shared = {"commands", "commands.console", "commands.options", "commands.main"}
    if name not in shared:
        assert {one for one in ours(name, True) if folder_of(one) == "commands"} <= shared


@pytest.mark.parametrize("name", MODULES)
def test_no_module_imports_itself_by_way_of_others(name: str) -> None:
    assert name not in reached(name, everywhere=True)


@pytest.mark.parametrize("name", in_folders(WITHOUT_TORCH))
@pytest.mark.slow
def test_nothing_heavy_at_the_top_level(name: str) -> None:
    for module in [name, *sorted(reached(name, everywhere=False))]:
        heavy = {full.split(".")[0] for full in imports_of(MODULES[module], everywhere=False)} & HEAVY
        assert heavy == set(), f"{name} loads {heavy} by way of {module}"


def loaded_after(code: str) -> set[str]:
    """The modules that a fresh Python holds after running `code`."""
    script = f"import sys\n{code}\nsys.stdout.write('\\n' + ' '.join(sys.modules))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, encoding="utf-8", timeout=120)
    assert run.returncode == 0, run.stderr
    return set(run.stdout.splitlines()[-1].split())


@pytest.mark.slow
def test_what_does_without_torch_does_not_load_it() -> None:
    names = [f"wordspot.{name}" for name in in_folders(WITHOUT_TORCH)]
    loaded = loaded_after(f"import {', '.join(names)}")
    assert set(names) <= loaded
    assert loaded & HEAVY == set()


def test_importing_the_package_loads_next_to_nothing() -> None:
    bare = loaded_after("")
    assert loaded_after("import wordspot") - bare <= {"wordspot", "__future__"}


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["train", "--help"], ["speak", "--help"], ["demo", "--help"]])
@pytest.mark.slow
def test_help_answers_at_once(args: list[str]) -> None:
    # What takes long is loading these; their absence stands for the time, which a busy machine makes meaningless.
    loaded = loaded_after(f"from wordspot.commands.main import main\ntry:\n    main({args!r})\nexcept SystemExit:\n    pass")
    assert "wordspot.commands.main" in loaded
    assert loaded & (HEAVY | {"numpy", "onnxruntime", "soundfile", "soxr", "rich", "PIL", "urllib.request", "asyncio"}) == set()
    assert len(loaded) < 300  # 120 or so modules of the standard library
