"""Imports flow one way. What must do without torch does, and asking for help loads nothing heavy.

The order is that of the design's list of modules. A module that is not on the list (a part of one that is) may stand
anywhere between what it imports and what imports it: the walls are tested through it.
"""

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

#: From the top: each may import only those before it. `decoder` and `evaluation` stand before `training`, which measures
#: by the same rules as everything after it.
ORDER = (
    "errors", "config", "card", "metrics", "audio", "dataset", "doctor", "voices", "scenes", "augment", "features",
    "layers", "models", "checkpoint", "decoder", "evaluation", "training", "export", "detector", "report", "microphone",
    "server", "scan", "commands", "cli",
)  # fmt: skip

#: These answer on a small device, or at once: no torch, not even through what they import.
WITHOUT_TORCH = (
    "errors", "config", "overrides", "card", "metrics", "audio", "dataset", "doctor", "voices", "scenes", "decoder", "detector",
    "evaluation", "report", "microphone", "server", "scan", "commands", "cli",
    "truth", "soundscape", "silence", "moving_mean", "stream_measures", "stream_sweep", "stream_tuning", "stream_report",
    "onnx_walk", "self_test", "inference", "resampler", "blocks", "actions",
    "trigger_data", "trigger_scenes", "trigger_flags", "scene_picture", "word_bounds",
    "recordings_listing", "recordings_table", "recordings_split", "recordings_data", "recordings_doctor",
    "recordings_shortcuts", "recordings_flags", "recording_windows", "recording_scores", "recording_picture",
    "recording_measures", "recording_draws", "recording_charts", "recording_report", "gate",
)  # fmt: skip

#: What is imported inside functions only, because it takes long to load.
HEAVY = {"torch", "tensorboard", "safetensors", "matplotlib", "librosa", "scipy"}

#: (a module, what it must not know): the walls of the design, besides the order.
WALLS = [
    ("models", {"files", "audio", "dataset", "cache", "augment", "batches", "checkpoint", "device", "training"}),
    ("layers", {"files", "audio", "dataset", "augment", "features", "checkpoint", "device", "training"}),
    ("features", {"files", "audio", "dataset", "augment", "models", "checkpoint", "training"}),
    ("augment", {"files", "audio", "dataset", "features", "models", "training"}),
    ("dataset", {"augment", "scenes", "features", "models", "training"}),
    ("decoder", {"audio", "dataset", "features", "models", "training", "evaluation"}),
    ("detector", {"export", "features", "models", "training", "evaluation"}),
    ("export", {"detector", "inference", "decoder"}),
    ("scene_windows", {"features", "models", "training"}),
]


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
    """The module of ours that importing `name` loads: ``wordspot.audio.read_audio`` → ``audio``."""
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


def room(name: str) -> str:
    """The design's name for a module: a part of a package belongs to the package."""
    return name.split(".")[0]


def of_rooms(rooms: tuple[str, ...]) -> list[str]:
    return [name for name in MODULES if room(name) in rooms]


def test_the_modules_are_found() -> None:
    assert {"errors", "config", "audio", "dataset", "cli", "models", "commands.train"} <= set(MODULES)
    assert "config" in ours("dataset", False)
    assert "errors" in reached("dataset", everywhere=False)
    assert "training" in ours("commands.train", True) - ours("commands.train", False)  # inside a function
    assert module_of("numpy.typing") is None


@pytest.mark.parametrize("name", of_rooms(ORDER))
def test_imports_point_up_the_list(name: str) -> None:
    place = ORDER.index(room(name))
    below = {one for one in reached(name, everywhere=True) if room(one) in ORDER and ORDER.index(room(one)) > place}
    assert below == set(), f"{name} imports what stands below it"


@pytest.mark.parametrize("name", MODULES)
def test_no_module_imports_itself_by_way_of_others(name: str) -> None:
    assert name not in reached(name, everywhere=True)


@pytest.mark.parametrize(("name", "unknown"), WALLS, ids=[name for name, _ in WALLS])
def test_walls(name: str, unknown: set[str]) -> None:
    for module in of_rooms((name,)):
        assert {room(one) for one in reached(module, everywhere=True)} & unknown == set()


@pytest.mark.parametrize("name", of_rooms(WITHOUT_TORCH))
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


def test_what_does_without_torch_does_not_load_it() -> None:
    names = [f"wordspot.{name}" for name in of_rooms(WITHOUT_TORCH)]
    loaded = loaded_after(f"import {', '.join(names)}")
    assert set(names) <= loaded
    assert loaded & HEAVY == set()


def test_importing_the_package_loads_next_to_nothing() -> None:
    bare = loaded_after("")
    assert loaded_after("import wordspot") - bare == {"wordspot"}


@pytest.mark.parametrize(
    "args", [["--help"], ["--version"], ["train", "--help"], ["speak", "--help"], ["demo", "--help"]]
)
def test_help_answers_at_once(args: list[str]) -> None:
    # What takes long is loading these; their absence stands for the time, which a busy machine makes meaningless.
    loaded = loaded_after(f"from wordspot.cli import main\ntry:\n    main({args!r})\nexcept SystemExit:\n    pass")
    assert "wordspot.cli" in loaded
    assert (
        loaded & (HEAVY | {"numpy", "onnxruntime", "soundfile", "soxr", "rich", "PIL", "urllib.request", "asyncio"})
        == set()
    )
    assert len(loaded) < 300  # 120 or so modules of the standard library
