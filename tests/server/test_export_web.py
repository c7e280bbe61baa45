"""The page as plain files: complete, with everything relative, and only what belongs to it."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import soundfile

from support.browser import Browser, find_browser
from support.made_onnx import made_model
from wordspot.commands import export_web
from wordspot.errors import CardError, ConfigError, NotFoundError, WordspotError
from wordspot.runtime.detector import Detector
from wordspot.runtime.model import read_model
from wordspot.runtime.modelfile.card import read_card
from wordspot.runtime.modelfile.engine import wasm
from wordspot.runtime.modelfile.engine.wasm import blob_of_file, has_wasm, wasm_folder
from wordspot.runtime.modelfile.schema import to_json
from wordspot.server import page_models, site
from wordspot.server.page_models import make_page_models
from wordspot.server.pages import page_folder
from wordspot.server.served import load_models
from wordspot.server.site import with_policy, write_site

RUNTIME = {
    "ort.wasm.min.mjs": b"export {};",
    "ort-wasm-simd-threaded.wasm": b"\0asm",
    "LICENSE": b"MIT License",
}


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """The page's own files with a runtime of a few bytes, so that it is complete in every checkout."""
    folder = tmp_path / "web"
    for path in page_folder().glob("*"):
        if path.is_file() and not path.name.startswith("."):
            (folder / path.name).parent.mkdir(exist_ok=True)
            (folder / path.name).write_bytes(path.read_bytes())
    (folder / "vendor" / "ort").mkdir(parents=True)
    for name, content in RUNTIME.items():
        (folder / "vendor" / "ort" / name).write_bytes(content)
    (folder / "__init__.py").write_text("")
    (folder / ".hidden").write_text("")
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "my wörds.onnx"
    path.write_bytes(made_model())
    return path


def export(*words: str) -> None:
    parser = argparse.ArgumentParser()
    export_web.add_arguments(parser)
    export_web.run(parser.parse_args(words))


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_command_writes_page_runtime_models_and_their_list(
    page: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(site, "page_folder", lambda: page)
    out = tmp_path / "my site"
    export(str(model), str(model), "--out", str(out))
    own = files(page) - {"__init__.py", ".hidden"}
    engine = {"engine/wordspot.js", *(["engine/engine.wasm"] if has_wasm() else [])}
    assert files(out) == own | engine | {"models.json", "models/my-wörds.onnx", "models/my-wörds-2.onnx"}
    for name in own - {"index.html"}:
        assert (out / name).read_bytes() == (page / name).read_bytes(), name
    assert (out / "models" / "my-wörds.onnx").read_bytes() == model.read_bytes()
    listing = json.loads((out / "models.json").read_text(encoding="utf-8"))
    assert (listing["record"], listing["token"]) == (False, False)
    first = listing["models"][0]
    assert first["file"] == "models/my-w%C3%B6rds.onnx"
    assert first["engine"] is None
    assert first["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert first["card"] == json.loads(json.dumps(to_json(read_card(model))))
    said = capsys.readouterr().out
    assert said.startswith(f"{out}: the page, ")
    assert "my-wörds, my-wörds-2" in said
    assert said.splitlines()[1].startswith("with onnxruntime-web for my-wörds, my-wörds-2")
    words = shlex.split(said.splitlines()[3], comments=True)
    assert words[:3] == ["python", "-m", "http.server"]
    assert str(out) in words


def test_the_verb_returns_what_it_wrote(page: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "page_folder", lambda: page)
    written = site.export_web([model], tmp_path / "site")
    assert written.models == ("my-wörds",)
    sizes = [path.stat().st_size for path in (tmp_path / "site").rglob("*.js")]
    assert sum(sizes) < written.n_bytes < sum(sizes) + 1_000_000
    assert written.to_json() == {
        "folder": str(tmp_path / "site"),
        "models": ["my-wörds"],
        "bytes": written.n_bytes,
        "in_onnxruntime": ["my-wörds"],
    }
    with pytest.raises(ConfigError, match="contains files"):
        site.export_web(str(model), str(tmp_path / "site"))
    assert site.export_web(model, str(tmp_path / "site"), force=True) == written


def test_without_a_model_it_takes_the_one_that_comes_with_wordspot(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "page_folder", lambda: page)
    export("--out", str(tmp_path / "site"))
    assert "yes" in read_card(tmp_path / "site" / "models" / "default.onnx").labels


@pytest.mark.skipif(not has_wasm(), reason="the engine in WebAssembly is missing; `make web` builds it")
def test_onnxruntime_web_is_written_only_for_models_that_our_engine_does_not_know(
    page: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "page_folder", lambda: page)
    default = read_model(None)[1]
    card = read_card(default)
    for weights in ("int8", "float32"):
        out = tmp_path / weights
        written = site.export_web(None, out, weights=weights)
        assert written.in_onnxruntime == ()
        assert not (out / "vendor").exists()
        assert (out / "models" / "default.bin").read_bytes() == blob_of_file(default, card, weights)[0]
        assert (out / "engine" / "engine.wasm").read_bytes() == (wasm_folder() / "engine.wasm").read_bytes()
        (listed,) = json.loads((out / "models.json").read_text())["models"]
        size = (out / "models" / "default.bin").stat().st_size
        assert listed["engine"] == {"file": "models/default.bin", "weights": weights, "bytes": size}
    (tmp_path / "ten.onnx").write_bytes(default)
    both = site.export_web([tmp_path / "ten.onnx", model], tmp_path / "both")
    assert both.in_onnxruntime == ("my-wörds",)
    assert (tmp_path / "both" / "vendor" / "ort" / "ort.wasm.min.mjs").is_file()
    with pytest.raises(ConfigError, match="`weights` must be float32 or int8, got 'int4'"):
        site.export_web(model, tmp_path / "none", weights="int4")


def test_weights_in_8_bits_are_not_used_where_they_would_change_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    data = read_model(None)[1]
    card = read_card(data)
    blob, weights = blob_of_file(data, card, "int8")
    assert weights == "int8"
    scores = np.exp(np.array(card.self_test.log_posteriors))
    monkeypatch.setattr(wasm, "self_test_rows", lambda *_, **__: scores + 0.06)
    larger, weights = blob_of_file(data, card, "int8")
    assert (larger, weights) == blob_of_file(data, card, "float32")
    assert len(larger) > 3 * len(blob)


@pytest.mark.skipif(not has_wasm(), reason="the engine in WebAssembly is missing; `make web` builds it")
def test_files_in_8_bits_run_in_our_engine(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from support.made_exports import export_made

    monkeypatch.setattr(site, "page_folder", lambda: page)
    (tmp_path / "small.onnx").write_bytes(export_made("residual_1d", int8=True, model__dilations="1,2").int8 or b"")
    for weights in ("int8", "float32"):
        assert site.export_web(tmp_path / "small.onnx", tmp_path / weights, weights=weights).in_onnxruntime == ()
        (listed,) = json.loads((tmp_path / weights / "models.json").read_text())["models"]
        assert listed["engine"]["weights"] == weights


def test_without_the_engine_in_webassembly_onnxruntime_web_runs_every_model(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "page_folder", lambda: page)
    monkeypatch.setattr(page_models, "has_wasm", lambda: False)
    assert site.export_web(None, tmp_path / "site").in_onnxruntime == ("default",)
    assert not (tmp_path / "site" / "models" / "default.bin").exists()
    assert (tmp_path / "site" / "vendor").is_dir()


def test_a_folder_that_holds_files_is_rejected_unless_forced(
    page: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "page_folder", lambda: page)
    out = tmp_path / "site"
    out.mkdir()
    (out / "CNAME").write_text("words.example.org")
    with pytest.raises(ConfigError, match=r"expected a new or empty folder.*force"):
        export(str(model), "--out", str(out))
    assert files(out) == {"CNAME"}
    export(str(model), "--out", str(out), "--force")
    assert {"CNAME", "index.html"} <= files(out)


def test_a_file_that_is_no_model_leaves_nothing_behind(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "page_folder", lambda: page)
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(CardError, match=r"bad\.onnx"):
        export(str(tmp_path / "bad.onnx"), "--out", str(tmp_path / "site"))
    assert not (tmp_path / "site").exists()


def test_an_installation_without_the_runtime_says_how_to_get_it(page: Path, model: Path, tmp_path: Path) -> None:
    (page / "vendor" / "ort" / "ort-wasm-simd-threaded.wasm").unlink()
    models = make_page_models(load_models([model]))
    with pytest.raises(NotFoundError, match=r"vendor/ort: onnxruntime-web, which runs my-wörds in browsers.*`make web`"):
        write_site(models, tmp_path / "site", page)
    (page / "index.html").unlink()
    with pytest.raises(NotFoundError, match="the web page is missing"):
        write_site(models, tmp_path / "site", page)
    assert not (tmp_path / "site").exists()


class Tags(HTMLParser):
    """The attributes of a page's tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def addresses(self) -> Iterator[str]:
        for _, attributes in self.tags:
            for name in ("src", "href", "action"):
                if value := attributes.get(name):
                    yield value


def test_every_address_of_the_page_is_relative_and_leads_to_a_file(page: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    write_site(make_page_models(load_models([model])), out, page)
    addresses = list(Tags((out / "index.html").read_text(encoding="utf-8")).addresses())
    assert len(addresses) >= 3
    for address in addresses:
        assert not re.match(r"[a-z]+:|/", address), address
        assert address.startswith("#") or (out / address.split("?")[0]).is_file(), address


def test_the_policy_stands_before_whatever_it_governs(page: Path, model: Path, tmp_path: Path) -> None:
    write_site(make_page_models(load_models([model])), tmp_path / "site", page)
    tags = Tags((tmp_path / "site" / "index.html").read_text(encoding="utf-8")).tags
    metas = [attributes for tag, attributes in tags if tag == "meta"]
    assert metas[1]["http-equiv"] == "Content-Security-Policy"
    policy = metas[1]["content"] or ""
    assert "default-src 'self'" in policy
    assert "connect-src 'self'" in policy
    assert "'wasm-unsafe-eval'" in policy
    assert "frame-ancestors" not in policy
    assert "unsafe-inline" not in policy
    before = [tag for tag, _ in tags[: tags.index(("meta", metas[1]))]]
    assert set(before) == {"html", "head", "meta"}
    with pytest.raises(WordspotError, match=r"index\.html: expected one <meta charset"):
        with_policy("<html></html>")


# ---------------------------------------------------------------------------------------------------- in a real browser


@pytest.fixture
def host(tmp_path: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """A host of plain files: the address of a folder below its root, the folder, and what was asked for."""
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            asked.append(self.path)

    root = tmp_path / "root"
    (root / "~me" / "words").mkdir(parents=True)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(root))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://localhost:{server.server_port}/~me/words/", root / "~me" / "words", asked
        server.shutdown()
        thread.join()


@pytest.mark.skipif(find_browser() is None, reason="no Chromium is installed, so the exported page is not tried")
@pytest.mark.skipif(not any(page_folder().glob("vendor/ort/*.wasm")), reason="no onnxruntime-web; `make web` fetches it")
@pytest.mark.slow
def test_below_any_path_of_a_file_host_the_page_detects(model: Path, tmp_path: Path, host: tuple[str, Path, list[str]]) -> None:
    """The page finds the same words as Python's detector; the policy in the page blocks nothing that it needs."""
    url, folder, asked = host
    write_site(make_page_models(load_models([model])), folder)
    constants = [np.full(24_000, value, np.float32) for value in (0.0, 0.5, 0.0, -0.5, 0.0)]
    sound = tmp_path / "sound.wav"
    soundfile.write(sound, np.concatenate(constants), 16_000, subtype="PCM_16")
    detector = Detector(model)
    expected = detector.feed(soundfile.read(sound, dtype="int16")[0]) + detector.flush()
    assert [one.label for one in expected] == ["a", "b"]
    with Browser(tmp_path / "browser") as browser:
        page = browser.open(url)
        assert page.evaluate("window.wordspot.ready") is True
        page.choose_files("#file", sound)
        page.wait_for("document.getElementById('status').textContent.startsWith('sound.wav')")
        found = page.evaluate("window.wordspot.detections")
        assert page.problems() == []
        elsewhere = url.replace("localhost", "127.0.0.1") + "stolen"
        sent = page.evaluate(f"fetch('{elsewhere}', {{ mode: 'no-cors' }}).then(() => true, () => false)")
    assert [(one["label"], round(one["time_ms"])) for one in found] == [(one.label, round(one.time_ms)) for one in expected]
    assert all(path.startswith("/~me/words/") for path in asked)
    assert not sent
    assert not any("stolen" in path for path in asked)


@pytest.mark.skipif(find_browser() is None, reason="no Chromium is installed, so the exported page is not tried")
@pytest.mark.skipif(not has_wasm(), reason="the engine in WebAssembly is missing; `make web` builds it")
@pytest.mark.slow
def test_on_a_file_host_our_engine_listens_in_the_audio_thread_and_needs_nothing_else(
    tmp_path: Path, host: tuple[str, Path, list[str]]
) -> None:
    url, folder, asked = host
    write_site(make_page_models(load_models([None])), folder)
    flags = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    with Browser(tmp_path / "browser", *flags) as browser:
        page = browser.open(url)
        assert page.evaluate("window.wordspot.ready") is True
        page.click("#start")
        page.wait_for("window.wordspot.heard.seconds > 2")
        page.click("#start")
        page.wait_for("window.wordspot.state === 'ready'")
        assert page.problems() == []
    assert {"/~me/words/engine/engine.wasm", "/~me/words/models/default.bin"} <= set(asked)
    assert not [path for path in asked if "ort" in path or "onnx" in path]


def test_from_python_without_the_extra_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['starlette'] = None; import wordspot\n"
        "for name in ('serve', 'export_web'):\n"
        "    try:\n        getattr(wordspot, name)\n"
        "    except ImportError as error:\n        print(type(error).__name__, error)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    line = 'MissingExtraError wordspot.{} needs starlette, which is not installed; run: pip install "wordspot[serve]"'
    assert said.splitlines() == [line.format("serve"), line.format("export_web")]
