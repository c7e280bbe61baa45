"""The built wheel: complete, without what belongs to the checkout, and running outside it."""

from __future__ import annotations

import argparse
import os
import re
import runpy
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

import wordspot
from wordspot.commands import serve
from wordspot.runtime.modelfile.engine.compile import find_compiler
from wordspot.runtime.modelfile.engine.library import BASELINE, ENDING

ROOT = Path(__file__).resolve().parents[1]


RUNTIME = (
    "LICENSE",
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.wasm",
    "ort-wasm-simd-threaded.wasm.gz",
    "version.json",
)


@dataclass(frozen=True)
class Built:
    wheel: Path
    output: str


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy without the page's runtime, so that nothing is left in the checkout."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, copy)
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "vendor", "compiled", "*.wasm")
    shutil.copytree(ROOT / "src", copy / "src", ignore=ignored)
    return copy


def build(checkout: Path, out: str, **environment: str) -> Built:
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(checkout / out),
        str(checkout),
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    return Built(next((checkout / out).glob("*.whl")), done.stdout + done.stderr)


@pytest.fixture(scope="module")
def bare(checkout: Path) -> Built:
    """As someone without npm and without a C compiler builds it."""
    return build(checkout, "bare", WORDSPOT_NO_ENGINE="1")


@pytest.fixture(scope="module")
def complete(checkout: Path, bare: Built) -> Built:
    """As built after `make web`, with placeholders for what that makes."""
    runtime = checkout / "src" / "wordspot" / "web" / "vendor" / "ort"
    runtime.mkdir(parents=True)
    for name in RUNTIME:
        (runtime / name).write_text(name)
    (checkout / "src" / "wordspot" / "engine" / "wasm" / "engine.wasm").write_text("engine.wasm")
    return build(checkout, "complete")


@pytest.fixture(scope="module")
def wheel(complete: Built) -> Path:
    return complete.wheel


@pytest.mark.slow
def test_it_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src" / "wordspot").rglob("*.py")}
    engine = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src" / "wordspot" / "engine").glob("*.*")}
    assert "wordspot/engine/wordspot.h" in engine
    assert sources | engine | {"wordspot/py.typed", "wordspot/server/openapi.json"} <= names
    assert all(name.startswith(("wordspot/", f"wordspot-{wordspot.__version__}.dist-info/")) for name in names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.endswith("licenses/NOTICE") for name in names)


def test_it_holds_the_page_and_its_runtime(complete: Built) -> None:
    names = set(zipfile.ZipFile(complete.wheel).namelist())
    web = ROOT / "src" / "wordspot" / "web"
    page = {path.name for path in web.iterdir() if path.is_file() and not path.name.startswith(".")}
    assert {"index.html", "app.js", "sw.js", "worklet.js"} <= page
    assert {f"wordspot/web/{name}" for name in page} <= names
    assert {name for name in names if "/vendor/" in name} == {f"wordspot/web/vendor/ort/{name}" for name in RUNTIME}
    assert {f"wordspot/engine/wasm/{name}" for name in ("engine.wasm", "wordspot.js", "index.html")} <= names
    assert "make web" not in complete.output


def test_without_the_runtime_a_build_works_and_says_what_is_missing(bare: Built) -> None:
    names = zipfile.ZipFile(bare.wheel).namelist()
    assert "wordspot/web/index.html" in names
    assert not any("/vendor/" in name for name in names)
    assert "lacks ONNX Runtime for browsers" in bare.output
    assert "lacks the C engine in WebAssembly" in bare.output
    assert "`make web`" in bare.output


def test_it_runs_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    program = (
        f"import sys; sys.path.insert(0, {str(site)!r}); from wordspot.commands.main import main; sys.exit(main(sys.argv[1:]))"
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    for args, expected in ((["--version"], f"wordspot {wordspot.__version__}"), (["train", "--help"], "--words A,B,C")):
        done = subprocess.run(
            [sys.executable, "-c", program, *args], capture_output=True, text=True, cwd=tmp_path, env=environment
        )
        assert done.returncode == 0, done.stderr
        assert expected in done.stdout
    where = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(site)!r}); import wordspot; print(wordspot.__file__)"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
    )
    assert where.stdout.startswith(str(site))


@pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")
def test_it_holds_the_compiled_engine_which_runs_the_model(complete: Built, tmp_path: Path) -> None:
    assert re.search(r"-py3-none-(?!any)\w+\.whl$", complete.wheel.name)
    names = zipfile.ZipFile(complete.wheel).namelist()
    assert f"wordspot/engine/compiled/{BASELINE}{ENDING}" in names
    zipfile.ZipFile(complete.wheel).extractall(tmp_path)
    program = "import wordspot; print(wordspot.__file__, wordspot.open_model(engine='c').engine)"
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{tmp_path / 'wordspot' / '__init__.py'} C engine")


def test_without_a_compiler_the_wheel_is_for_any_platform_and_has_no_engine(bare: Built) -> None:
    assert bare.wheel.name.endswith("-py3-none-any.whl")
    assert not any("/compiled/" in name for name in zipfile.ZipFile(bare.wheel).namelist())
    assert "the C engine is not in this build, so ONNX Runtime runs all models" in bare.output


def test_a_build_for_others_fails_without_the_engine(checkout: Path) -> None:
    environment = os.environ | {"WORDSPOT_NO_ENGINE": "1", "WORDSPOT_NEEDS_ENGINE": "1"}
    command = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(checkout / "unused")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=checkout, env=environment)
    assert done.returncode != 0
    assert "the C engine cannot be compiled: there is no C compiler" in done.stderr


# ---------------------------------------------------------------------------------------- the container and the add-on

CONTAINER = ROOT / "packaging" / "home-assistant"


def container_command(options: dict[str, object], environment: dict[str, str]) -> argparse.Namespace:
    """What the container starts, as `wordspot serve` reads it."""
    words = runpy.run_path(str(CONTAINER / "run.py"))["command"](options, environment)
    assert words[:2] == ["wordspot", "serve"]
    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    return parser.parse_args(words[2:])


def test_the_add_on_starts_what_its_options_say() -> None:
    args = container_command({"models": ["/share/a b.onnx", "/share/c.onnx"], "allow_origins": ["http://ha.local:8765"]}, {})
    assert args.models == [Path("/share/a b.onnx"), Path("/share/c.onnx")]
    assert args.allow_origins == ["http://ha.local:8765"]
    assert (args.host, args.port, args.wyoming_host, args.wyoming_port) == ("0.0.0.0", 8765, "0.0.0.0", 10400)


@pytest.mark.parametrize(
    ("options", "environment", "gain"),
    [
        ({"gain": "auto"}, {}, "auto"),
        ({"gain": "20"}, {"WORDSPOT_GAIN": "10"}, 20.0),
        ({"gain": "-3.5"}, {}, -3.5),
        ({}, {"WORDSPOT_GAIN": "auto"}, "auto"),
        ({}, {"WORDSPOT_GAIN": " "}, None),
        ({"gain": None}, {}, None),
    ],
)
def test_the_gain_of_a_container(options: dict[str, object], environment: dict[str, str], gain: object) -> None:
    assert container_command(options, environment).gain == gain


def test_the_add_on_accepts_gains_and_explains_every_option() -> None:
    text = (CONTAINER / "config.yaml").read_text()
    pattern = re.search(r"^  gain: match\((.*)\)\?$", text, flags=re.M)
    assert pattern is not None
    assert [bool(re.fullmatch(pattern[1], value)) for value in ("auto", "20", "-6", "7.5", "loud", "20dB", "")] == [
        *[True] * 4,
        *[False] * 3,
    ]
    schema = re.findall(r"^  (\w+):", text.split("schema:")[1], flags=re.M)
    told = re.findall(r"^  (\w+):", (CONTAINER / "translations" / "en.yaml").read_text(), flags=re.M)
    assert sorted(schema) == sorted(told)


def test_another_container_is_recognised_by_its_environment() -> None:
    environment = {"WORDSPOT_MODELS": "a.onnx b.onnx", "WORDSPOT_HOST": "127.0.0.1", "WORDSPOT_PORT": "1", "X": "y"}
    args = container_command({}, environment | {"WORDSPOT_WYOMING_PORT": "2"})
    assert args.models == [Path("a.onnx"), Path("b.onnx")]
    assert (args.host, args.port, args.wyoming_host, args.wyoming_port) == ("127.0.0.1", 1, "127.0.0.1", 2)
    assert container_command({"models": []}, {}).models == []  # the model that comes with wordspot


def test_the_add_on_has_our_version_and_names_the_ports() -> None:
    text = (CONTAINER / "config.yaml").read_text()
    assert f'version: "{wordspot.__version__}"' in text.splitlines()
    steps = (CONTAINER / "Dockerfile").read_text()
    assert re.search("^EXPOSE 10400 8765$", steps, flags=re.M)
    for port in (10400, 8765):
        assert f"  {port}/tcp: null" in text.splitlines()  # nothing is open until the user opens it


def test_the_script_that_checks_the_steps_knows_them_all() -> None:
    known = set(re.findall(r"^    ([A-Z| ]+)\)", (ROOT / "packaging" / "check_steps.sh").read_text(), flags=re.M))
    names = {name for names in known for name in names.split(" | ")}
    lines = (CONTAINER / "Dockerfile").read_text().splitlines()
    steps = [line for line in lines if line and not line.startswith("#")]
    assert {line.split()[0] for line in steps} <= names
    assert not any(line.endswith("\\") for line in steps)  # a step is one line for the script
