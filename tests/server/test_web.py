"""The page in a real browser: it detects what Python's detector detects, alone, offline, and reports what is wrong.

Needs Chromium; Debian's package is `chromium`. The screenshots of docs/images/ are made again by

    WORDSPOT_SCREENSHOTS=docs/images python -m pytest tests/test_web.py -k screenshots
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import io
import json
import os
import shutil
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import soundfile
from numpy.typing import NDArray
from onnx import numpy_helper

from support.browser import Browser, Page, find_browser
from support.made_onnx import made_card, made_model, stream_graph
from wordspot.audio.gain import make_gain
from wordspot.audio.resample import StreamResampler
from wordspot.data.folders import list_recordings
from wordspot.data.voices import find_engines
from wordspot.data.voices.clips import speak_words
from wordspot.runtime.detector import Detector, Scorer
from wordspot.runtime.model import open_model
from wordspot.runtime.modelfile.card import with_card
from wordspot.runtime.modelfile.engine.wasm import has_wasm
from wordspot.server import web_server as run
from wordspot.server.config import ServerSettings
from wordspot.server.pages import page_folder
from wordspot.server.served import ServedModel, load_models

RATE = 16_000
WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
VECTORS = Path(__file__).parents[1] / "vectors" / "decoder.json"
RUNTIME = page_folder() / "vendor" / "ort" / "ort-wasm-simd-threaded.wasm"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_browser() is None, reason="no Chromium is installed, so the page is not tested"),
    pytest.mark.skipif(not RUNTIME.is_file(), reason="onnxruntime-web's files are missing; `make web` fetches them"),
    pytest.mark.skipif(not has_wasm(), reason="the engine in WebAssembly is missing; `make web` builds it"),
]

Samples = NDArray[np.float32]

# Keeps the samples at the model's rate: those that the audio thread posts, and those that the page hands to the model's thread.
TAP = """
window.tapped = [];
const post = Worker.prototype.postMessage;
Worker.prototype.postMessage = function (message, ...rest) {
  if (message.type === "samples") window.tapped.push(message.samples.slice());
  return post.call(this, message, ...rest);
};
window.AudioWorkletNode = class extends window.AudioWorkletNode {
  constructor(...rest) {
    super(...rest);
    window.inAudioThread = Boolean(rest[2].processorOptions.model);
    if (window.inAudioThread) this.port.addEventListener("message", ({ data }) => data.samples && window.tapped.push(data.samples.slice()));
  }
};
"""
TAPPED = """(async () => {
  const bytes = await new Blob(window.tapped).arrayBuffer();
  const parts = [];
  for (let at = 0; at < bytes.byteLength; at += 32768) parts.push(String.fromCharCode(...new Uint8Array(bytes.slice(at, at + 32768))));
  return btoa(parts.join(""));
})()"""


class Site:
    """The server in a thread; `asked` holds the paths that were asked for, `sent` the bytes of the answers."""

    def __init__(
        self, models: list[ServedModel], monkeypatch: pytest.MonkeyPatch, folder: Path | None = None, **settings: Any
    ) -> None:
        self.asked: list[str] = []
        self.sent = 0
        make_app = run.make_app

        def watched(*args: Any, **kwargs: Any) -> Any:
            app = make_app(*args, **kwargs)

            async def watch(scope: Any, receive: Any, send: Any) -> None:
                async def count(message: Any) -> None:
                    self.sent += len(message.get("body", b""))
                    await send(message)

                if scope["type"] == "http":
                    self.asked.append(scope["path"])
                await app(scope, receive, count)

            watch.state = app.state  # type: ignore[attr-defined]
            return watch

        with monkeypatch.context() as patch:
            patch.setattr(run, "make_app", watched)
            self._server = run.WebServer(models, ServerSettings(port=0, **settings), folder=folder)
        self.port, self.url = self._server.port, f"http://localhost:{self._server.port}/"
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve()), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.stop()
        self._thread.join(60)


@pytest.fixture(scope="module")
def sites() -> Iterator[Callable[..., Site]]:
    """Makes servers, which are stopped at the end."""
    made: list[Site] = []
    patch = pytest.MonkeyPatch()

    def make(models: list[ServedModel] | None = None, **settings: Any) -> Site:
        made.append(Site(models or load_models([None]), patch, **settings))
        return made[-1]

    yield make
    for site in made:
        site.stop()


@pytest.fixture(scope="module")
def site(sites: Callable[..., Site]) -> Site:
    """The package's own model, with the weights of its file, and four made by hand, which our engine does not know: whole clips,
    one word, one that judges recordings, and one whose self-test fails."""
    broken = dataclasses.replace(made_card(), self_test=dataclasses.replace(made_card().self_test, seed=2))
    made = [
        served("clips", made_model("clip")),
        served("one", one_word_model()),
        served("judge", made_model("clip", config={**made_card("clip").config, "task": "recordings"})),
        served("broken", made_model(self_test=broken.self_test)),
    ]
    return sites(load_models([None]) + made, page_weights="float32")


@pytest.fixture(scope="module")
def small_site(sites: Callable[..., Site]) -> Site:
    """The package's own model as the server gives it by default, with weights in 8 bits."""
    return sites()


def one_word_model() -> bytes:
    """The hand-made stream model as one of the task `trigger`: `_silence_`, and "a" for a positive mean."""
    graph = onnx.load_from_string(stream_graph())
    for node in graph.graph.node:
        if node.op_type == "Concat" and node.output[0] == "raw":
            node.input[:] = ["quiet", "spoken"]
    for constant in graph.graph.initializer:
        if constant.name == "scale":
            constant.CopyFrom(numpy_helper.from_array(np.float32(0.98), "scale"))
    graph.graph.output[0].type.tensor_type.shape.dim[2].dim_value = 2
    card = made_card()
    spoken = [(np.exp(row[2]) + np.exp(row[3]) - 0.02) / 0.96 for row in card.self_test.log_posteriors]
    rows = tuple((float(np.log(0.98 * (1 - a) + 0.01)), float(np.log(0.98 * a + 0.01))) for a in spoken)
    test = dataclasses.replace(card.self_test, log_posteriors=rows)
    config = {**card.config, "task": "trigger", "words": ["a"]}
    return with_card(
        graph.SerializeToString(), dataclasses.replace(card, labels=("_silence_", "a"), self_test=test, config=config)
    )


def served(name: str, data: bytes) -> ServedModel:
    return ServedModel(name, data, open_model(data, self_test=False))


@pytest.fixture(scope="module")
def minute(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minute with twenty spoken words, one every three seconds, as a 16-bit WAV."""
    folder = tmp_path_factory.mktemp("minute")
    engines = find_engines("espeak-ng")  # other voices that a machine may have would be heard better or worse
    speak_words(WORDS, folder / "clips", per_word=2, seed=0, engines=engines)
    clips = [sorted((folder / "clips" / word).glob("*.wav"))[take] for take in range(2) for word in WORDS]
    audio = np.concatenate([np.pad(soundfile.read(clip, dtype="float32")[0], (0, 2 * RATE)) for clip in clips])
    audio += 1e-3 * np.random.default_rng(0).standard_normal(len(audio)).astype(np.float32)
    soundfile.write(folder / "minute.wav", audio, RATE, subtype="PCM_16")
    return folder / "minute.wav"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory, minute: Path) -> Iterator[Browser]:
    """Chromium, with the minute as its microphone."""
    with Browser(tmp_path_factory.mktemp("browser"), microphone=minute) as made:
        yield made


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """The page, ready, on the package's model; it must not have had errors at the end."""
    opened = browser.open(site.url, before=TAP)
    assert opened.evaluate("window.wordspot.ready") is True
    assert opened.evaluate("window.wordspot.kept") is True
    yield opened
    problems = opened.problems()
    opened.close()
    assert problems == []


def detections(page: Page) -> list[dict[str, Any]]:
    return page.evaluate("window.wordspot.detections")


def run_file(page: Page, path: Path) -> list[dict[str, Any]]:
    page.choose_files("#file", path)
    page.wait_for(f"document.getElementById('status').textContent.startsWith({json.dumps(path.name)})")
    return detections(page)


def check_same(found: list[dict[str, Any]], audio: Samples, model: bytes | None = None) -> None:
    """What the page found is what Python's detector finds in the same samples."""
    detector = Detector(model)
    expected = detector.feed(audio) + detector.flush()
    assert [one["label"] for one in found] == [one.label for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert one["time_ms"] == pytest.approx(other.time_ms, abs=50)
        assert one["emitted_ms"] == pytest.approx(other.emitted_ms, abs=50)
        assert one["score"] == pytest.approx(other.score, abs=1e-3)


def test_a_file_gives_what_pythons_detector_gives(page: Page, minute: Path) -> None:
    found = run_file(page, minute)
    check_same(found, soundfile.read(minute, dtype="float32")[0])
    right = sum(one["label"] == WORDS[int(one["time_ms"] // 3000) % 10] for one in found)
    assert right >= 8  # of 20 by a synthetic voice, unlike those of the model's training
    heard = page.evaluate("window.wordspot.heard")
    assert heard["seconds"] == pytest.approx(60)
    assert heard["ms"] / 60_000 < 0.5  # 0.1 on a machine of its own, see docs
    assert page.evaluate("document.querySelectorAll('#log li').length") == len(found)
    assert f"{len(found)} words" in page.text("#status")


SCORES = """(async () => {
  const { EngineModel } = await import("./model_engine.js");
  const [{ engine, card }] = (await (await fetch("models.json")).json()).models;
  const content = async (path) => (await fetch(path)).arrayBuffer();
  const model = new EngineModel({ engine: await content("engine/engine.wasm"), blob: await content(engine.file) }, card);
  model.start().feed(new Float32Array(999).fill(0.5)); // of an earlier stream, which leaves no trace
  const runner = model.start();
  const audio = Float32Array.from({ length: 64000 }, (_, n) => 0.3 * Math.sin(n * n / 500000) * ((n >> 12) % 3));
  const scores = [], ends = [];
  for (let at = 0, size = 1; at < audio.length; at += size, size = (size * 7) % 2003) {
    const rows = runner.feed(audio.subarray(at, at + size));
    scores.push(...rows.scores);
    ends.push(...rows.ends);
  }
  return { scores, ends, weights: engine.weights };
})()"""


@pytest.mark.parametrize(("weights", "tolerance"), [("float32", 1e-4), ("int8", 0.05)])
def test_the_posteriors_are_pythons(browser: Browser, site: Site, small_site: Site, weights: str, tolerance: float) -> None:
    """With float weights to rounding; with weights in 8 bits to the documented loss."""
    page = browser.open((site if weights == "float32" else small_site).url)
    assert page.evaluate("window.wordspot.ready") is True
    found = page.evaluate(SCORES)
    assert found["weights"] == weights
    n = np.arange(64_000)
    audio = (0.3 * np.sin(n * n / 500_000) * ((n >> 12) % 3)).astype(np.float32)
    scores, ends = Scorer().feed(audio)
    assert found["ends"] == [round(end * RATE / 1000) for end in ends]
    apart = np.abs(np.reshape(found["scores"], scores.shape) - scores)
    assert apart.max() < tolerance
    assert scores.max() - scores.min() > 0.5
    page.close()


def test_a_file_in_8_bits_gives_the_same_words(browser: Browser, small_site: Site, minute: Path) -> None:
    page = browser.open(small_site.url)
    assert page.evaluate("window.wordspot.ready") is True
    found = run_file(page, minute)
    expected = Detector().feed(soundfile.read(minute, dtype="float32")[0])
    assert [one["label"] for one in found[: len(expected)]] == [one.label for one in expected]
    assert [one["score"] for one in found[: len(expected)]] == pytest.approx([one.score for one in expected], abs=0.05)
    assert page.evaluate("window.wordspot.engine.weights") == "int8"
    assert page.evaluate("document.getElementById('facts').textContent.includes('wordspot’s engine, weights in 8 bits')") is True
    page.close()


def test_another_rate_and_stereo_give_the_same_words(page: Page, minute: Path, tmp_path: Path) -> None:
    audio = soundfile.read(minute, dtype="float32")[0][: 15 * RATE]
    resampler = StreamResampler(RATE, 44_100)
    other = np.concatenate([resampler.feed(audio), resampler.flush()])
    soundfile.write(tmp_path / "cd.wav", np.stack([other, other], axis=1), 44_100, subtype="FLOAT")
    soundfile.write(tmp_path / "cd.flac", other, 44_100)
    expected = run_file(page, minute)  # the highest row of a plateau is not the same after two filters
    expected = [one for one in expected if one["emitted_ms"] < 14_500]
    assert expected
    for name in ("cd.wav", "cd.flac"):
        found = [one for one in run_file(page, tmp_path / name) if one["emitted_ms"] < 14_500]
        assert [one["label"] for one in found] == [one["label"] for one in expected]
        assert [one["time_ms"] for one in found] == pytest.approx([one["time_ms"] for one in expected], abs=100)


def test_the_microphone_is_detected_and_nothing_leaves_the_device(page: Page, site: Site) -> None:
    """A minute from the microphone, then a file: after the page is up, nothing is asked of any server."""
    n_asked, n_requests = len(site.asked), len(page.events("Network.requestWillBeSent"))
    page.click("#start")
    page.wait_for("window.wordspot.state === 'listening'")
    page.wait_for("document.querySelector('#words .lit') && document.getElementById('announce').textContent")
    lit = page.evaluate("document.querySelector('#words .lit').innerText")
    page.wait_for("window.wordspot.heard.seconds > 61")
    assert page.evaluate("window.inAudioThread") is True
    page.click("#start")
    page.wait_for("window.wordspot.state === 'ready'")
    audio = np.frombuffer(base64.b64decode(page.evaluate(TAPPED)), np.float32)
    page.wait_for(f"window.wordspot.heard.seconds >= {len(audio) / RATE - 0.01}")
    found = detections(page)
    check_same(found, audio)
    assert len(found) >= 5  # of twenty words by a synthetic voice, fewer if the busy browser's microphone skips
    assert lit.split()[0] in WORDS
    assert page.text("#announce").split(",")[0] in WORDS
    after = page.events("Network.requestWillBeSent")[n_requests:]
    assert [event["request"]["url"] for event in after if not event["request"]["url"].startswith("blob:")] == []
    assert set(site.asked[n_asked:]) <= {"/sw.js"}  # the browser itself looks whether there is a newer service worker


def test_the_decoder_passes_the_vectors(page: Page) -> None:
    script = """(async (text) => {
      const { DEFAULTS, makeDecoder } = await import("./decoder.js");
      const { defaults, cases } = JSON.parse(text);
      const failed = JSON.stringify(defaults) === JSON.stringify(DEFAULTS) ? [] : ["the defaults differ"];
      for (const { name, config, labels, rows, detections, error } of cases) {
        const times = [], scores = [];
        for (const [first, last, step, row, many] of rows) {
          const n = step ? Math.round((last - first) / step) + 1 : (many ?? 1);
          for (let i = 0; i < n; i++) { times.push(first + i * step); scores.push(row); }
        }
        for (const size of [1, 7, times.length || 1]) {
          let found = null;
          try {
            const decoder = makeDecoder(config, labels);
            found = [];
            for (let at = 0; at < times.length; at += size) {
              found.push(...decoder.feed(scores.slice(at, at + size).flat(), times.slice(at, at + size)));
            }
            found.push(...decoder.flush());
          } catch (thrown) { found = null; if (thrown.constructor.name !== "DecoderError") failed.push(`${name}: ${thrown}`); }
          const same = error ? found === null : found?.length === detections.length && detections.every(
            ([label, time, score, emitted], i) => found[i].label === label && found[i].time_ms === time
              && found[i].emitted_ms === emitted && Math.abs(found[i].score - score) <= 1e-6);
          if (!same) failed.push(`${name}, by ${size}: ${JSON.stringify(found)}`);
        }
      }
      return [failed, cases.length];
    })"""
    failed, n_cases = page.evaluate(f"{script}({json.dumps(VECTORS.read_text('utf-8'))})")
    assert failed == []
    assert n_cases >= 41


def test_the_self_tests_signal_is_that_of_the_document(page: Page) -> None:
    """The numbers of docs/file.md."""
    signal = page.evaluate("""(async () => {
      const { selfTestSignal } = await import("./selftest.js");
      const test = { n_samples: 24000, seed: 1, tones: [[209715, 104], [838860, 0]] };
      return [...selfTestSignal(test)].map((value) => value * 32768);
    })()""")
    assert signal[:8] == [-1000, -403, 1025, 1943, 2351, 955, 1664, 1391]
    assert signal[2048:2052] == [-367, -2129, -3285, -4302]
    assert signal[-4:] == [2121, -7526, -5090, 4456]
    assert (sum(signal), sum(map(abs, signal)), max(map(abs, signal))) == (24_000, 63_841_206, 10_865)
    assert page.evaluate("window.wordspot.selfTest.difference") < 1e-4


@pytest.mark.parametrize(("from_rate", "to_rate"), [(48_000, 16_000), (44_100, 16_000), (8_000, 16_000), (16_000, 16_000)])
def test_resampling_keeps_tones_kills_aliases_and_has_no_seams(page: Page, from_rate: int, to_rate: int) -> None:
    """Against the tones themselves, at the new rate: time, level and silence are right; blocks do not matter."""
    script = f"""(async (hertz, sizes) => {{
      const {{ Resampler }} = await import("./resample.js");
      const audio = Float32Array.from({{ length: {from_rate} }}, (_, n) => Math.sin(2 * Math.PI * hertz * n / {from_rate}));
      const resampler = new Resampler({from_rate}, {to_rate});
      const out = [];
      for (let at = 0, i = 0; at < audio.length; i++) {{
        const size = sizes[i % sizes.length];
        out.push(...resampler.feed(audio.slice(at, at + size)));
        at += size;
      }}
      return [...out, ...resampler.flush()];
    }})"""
    middle = slice(to_rate // 10, -to_rate // 10)  # away from the edges, where the tone begins and ends
    for hertz in (200, 3000):
        whole = np.array(page.evaluate(f"{script}({hertz}, [1e9])"))
        assert len(whole) == to_rate
        assert page.evaluate(f"{script}({hertz}, [1, 1024, 333])") == pytest.approx(whole, abs=1e-7)
        expected = np.sin(2 * np.pi * hertz * np.arange(to_rate) / to_rate)
        assert np.abs(whole - expected)[middle].max() < 2e-3
    if from_rate > to_rate:
        assert np.abs(np.array(page.evaluate(f"{script}(9000, [1024])"))[middle]).max() < 1e-3  # 80 dB, and its edges


@pytest.mark.parametrize("gain", ["auto", 20.0, -6.0])
@pytest.mark.parametrize("size", [160, 1000])
def test_the_gain_is_pythons(page: Page, gain: float | str, size: int) -> None:
    """Quiet words for 4 s, a loud one, then noise alone, block by block."""
    rng = np.random.default_rng(4)
    audio = rng.normal(0, 1e-4, 8 * RATE).astype(np.float32)
    audio[RATE : 4 * RATE] += (0.01 * np.sin(0.1 * np.arange(3 * RATE)) * (np.arange(3 * RATE) % RATE < 4000)).astype(np.float32)
    audio[5 * RATE : 5 * RATE + 4000] *= 5000
    audio = audio[: len(audio) // size * size]
    level = make_gain(gain, RATE)
    assert level is not None
    expected = np.concatenate([level.feed(block) for block in audio.reshape(-1, size)])
    data = base64.b64encode(audio.tobytes()).decode()
    found = page.evaluate(f"""(async () => {{
      const {{ makeGain }} = await import("./gain.js");
      const audio = new Float32Array(Uint8Array.from(atob("{data}"), (one) => one.charCodeAt(0)).buffer);
      const gain = makeGain("{gain}", {RATE});
      let text = "";
      for (let at = 0; at < audio.length; at += {size}) {{
        const bytes = new Uint8Array(gain.feed(audio.subarray(at, at + {size})).slice().buffer);
        text += String.fromCharCode(...bytes);
      }}
      return btoa(text);
    }})()""")
    np.testing.assert_allclose(np.frombuffer(base64.b64decode(found), np.float32), expected, rtol=1e-6)


def test_a_quiet_minute_is_noticed_once_unless_it_is_raised(page: Page) -> None:
    counts = page.evaluate("""(async () => {
      const { LevelWatch } = await import("./gain.js");
      return [0.009, 0.011].map((level) => {
        let count = 0;
        const watch = new LevelWatch(1000, () => (count += 1));
        for (let second = 0; second < 130; second++) watch.feed(new Float32Array(1000).fill(level));
        return count;
      });
    })()""")
    assert counts == [1, 0]


def test_a_quiet_file_is_raised_before_the_model_hears_it(page: Page, tmp_path: Path, minute: Path) -> None:
    audio = soundfile.read(minute, dtype="float32")[0][: 15 * RATE] / 100
    soundfile.write(tmp_path / "quiet.wav", audio, RATE, subtype="FLOAT")
    assert "quiet microphone" in page.text("#gain-note")
    page.evaluate(
        "(() => { const gain = document.getElementById('gain'); gain.value = 20; gain.dispatchEvent(new Event('change')); })()"
    )
    found = run_file(page, tmp_path / "quiet.wav")
    tapped = np.frombuffer(base64.b64decode(page.evaluate(TAPPED)), np.float32)
    np.testing.assert_allclose(tapped[: len(audio)], audio * np.float32(10), rtol=1e-6)
    check_same(found, tapped)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT"])
def test_wav_files_are_read_as_soundfile_reads_them(page: Page, subtype: str) -> None:
    audio = np.random.default_rng(1).uniform(-1, 1, (50, 2)).astype(np.float32)
    buffer = io.BytesIO()
    soundfile.write(buffer, audio, 22_050, subtype=subtype, format="WAVEX" if subtype == "PCM_24" else "WAV")
    buffer.seek(0)
    expected = soundfile.read(buffer, dtype="float32")[0].mean(axis=1)
    text = base64.b64encode(buffer.getvalue()).decode()
    samples, rate = page.evaluate(f"""(async () => {{
      const {{ parseWav }} = await import("./wav.js");
      const sound = parseWav(Uint8Array.from(atob("{text}"), (letter) => letter.charCodeAt(0)).buffer);
      return [[...sound.samples], sound.rate];
    }})()""")
    assert rate == 22_050
    assert samples == pytest.approx(expected, abs=1e-7)


def test_a_threshold_for_all_words_and_back(page: Page, minute: Path) -> None:
    own = run_file(page, minute)
    slide = "document.getElementById('threshold')"
    page.evaluate(f"{slide}.value = '0.05'; {slide}.dispatchEvent(new Event('input'))")
    assert page.text("#threshold-value") == "0.05"
    many = run_file(page, minute)
    detector = Detector(decoder=dataclasses.replace(Detector().card.decoder, threshold=0.05, thresholds={}))
    audio = soundfile.read(minute, dtype="float32")[0]
    assert [one["label"] for one in many] == [one.label for one in detector.feed(audio) + detector.flush()]
    assert len(many) > len(own)
    page.click("#threshold-reset")
    assert page.text("#threshold-value") == "each its own"
    assert run_file(page, minute) == own


def choose_model(page: Page, name: str) -> None:
    page.evaluate(f"""(() => {{
      const choice = document.getElementById("model");
      choice.value = [...choice.options].find((option) => option.text === "{name}").value;
      choice.dispatchEvent(new Event("change"));
    }})()""")


def test_onnxruntime_web_is_loaded_only_for_models_that_our_engine_does_not_know(
    sites: Callable[..., Site], tmp_path: Path, minute: Path
) -> None:
    site = sites([*load_models([None]), served("clips", made_model("clip"))])
    with Browser(tmp_path / "browser", microphone=minute) as browser:
        page = browser.open(site.url, before=TAP)
        assert page.evaluate("window.wordspot.kept") is True
        assert not [path for path in site.asked if "ort" in path or path.endswith(".onnx")]
        assert "from now on, with clips once chosen here" in page.evaluate("document.querySelector('.about').textContent")
        choose_model(page, "clips")
        page.wait_for("window.wordspot.state === 'ready' && window.wordspot.model === 'clips'")
        assert page.evaluate("window.wordspot.engine") is None
        assert {"/ort.js", "/vendor/ort/ort-wasm-simd-threaded.wasm", "/models/clips.onnx"} <= set(site.asked)
        page.click("#start")
        page.wait_for("window.wordspot.heard.seconds > 2")
        assert page.evaluate("window.inAudioThread") is False
        page.click("#start")
        site.stop()
        page.go(site.url)
        assert page.evaluate("window.wordspot.ready") is True
        choose_model(page, "clips")
        page.wait_for("window.wordspot.state === 'ready' && window.wordspot.model === 'clips'")
        assert page.problems() == []


def test_a_model_of_entire_clips_can_be_chosen(page: Page, tmp_path: Path) -> None:
    choose_model(page, "clips")
    page.wait_for("window.wordspot.state === 'ready' && window.wordspot.model === 'clips'")
    assert page.evaluate("[...document.querySelectorAll('#words li')].map((item) => item.innerText.trim())") == [
        "a",
        "b",
    ]
    audio = np.repeat(np.float32([0, 0.9, 0, -0.9, 0]), 2 * RATE)
    soundfile.write(tmp_path / "steps.wav", audio, RATE, subtype="FLOAT")
    found = run_file(page, tmp_path / "steps.wav")
    assert [one["label"] for one in found] == ["a", "b"]
    check_same(found, audio, made_model("clip"))


def test_a_model_of_one_word_and_one_that_judges_recordings(page: Page, tmp_path: Path) -> None:
    audio = np.repeat(np.float32([0, 0.9, 0, 0.9, 0]), 2 * RATE)
    soundfile.write(tmp_path / "steps.wav", audio, RATE, subtype="FLOAT")
    choose_model(page, "one")
    page.wait_for("window.wordspot.state === 'ready' && window.wordspot.model === 'one'")
    assert page.evaluate("[...document.querySelectorAll('#words li')].map((item) => item.innerText.trim())") == ["a"]
    found = run_file(page, tmp_path / "steps.wav")
    assert [one["label"] for one in found] == ["a", "a"]
    check_same(found, audio, one_word_model())
    choose_model(page, "judge")
    page.wait_for("window.wordspot.state === 'ready' && window.wordspot.model === 'judge'")
    soundfile.write(tmp_path / "high.wav", np.full(3 * RATE, 0.9, np.float32), RATE, subtype="FLOAT")
    assert run_file(page, tmp_path / "high.wav") == []
    assert "on average a, 0.87" in page.text("#status")  # 0.96 * 0.9 + 0.01, of a sum of 1


def test_a_broken_model_says_so_and_another_can_be_chosen(page: Page) -> None:
    choose_model(page, "broken")
    page.wait_for("window.wordspot.state === 'broken'")
    page.wait_for("!document.getElementById('notice').hidden")
    assert "broken cannot be used: it fails its self-test" in page.text("#notice")
    assert page.evaluate("document.getElementById('start').disabled") is True
    choose_model(page, "default")
    page.wait_for("window.wordspot.state === 'ready'")
    assert page.evaluate("document.getElementById('notice').hidden") is True


def test_a_file_that_is_no_sound_is_rejected_in_a_sentence(page: Page, tmp_path: Path) -> None:
    (tmp_path / "letter.wav").write_bytes(b"Dear Sir or Madam")
    page.choose_files("#file", tmp_path / "letter.wav")
    page.wait_for("!document.getElementById('notice').hidden")
    assert page.text("#notice").startswith("letter.wav: This browser cannot read it as sound.")
    assert page.evaluate("window.wordspot.state") == "ready"


def test_the_first_load_is_small_and_the_second_needs_no_server(sites: Callable[..., Site], tmp_path: Path, minute: Path) -> None:
    site = sites()
    with Browser(tmp_path / "browser", microphone=minute) as browser:
        page = browser.open(site.url)
        assert page.evaluate("window.wordspot.ready") is True
        assert page.evaluate("window.wordspot.kept") is True
        assert "works offline" in page.evaluate("document.querySelector('.about').textContent")
        assert site.sent <= 305e3
        site.stop()
        page.go(site.url)
        assert page.evaluate("window.wordspot.ready") is True
        assert len(run_file(page, minute)) >= 8
        page.click("#start")
        page.wait_for("window.wordspot.state === 'listening' && window.wordspot.detections.length > 0")
        assert page.problems() == []


REFUSED = "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', '{}'));"


@pytest.mark.parametrize(
    ("before", "sentence"),
    [
        (REFUSED.format("NotAllowedError"), "The microphone is not allowed for this page"),
        (REFUSED.format("NotFoundError"), "No microphone was found"),
        (REFUSED.format("NotReadableError"), "another program may be using it"),
    ],
)
def test_a_microphone_that_cannot_be_had(browser: Browser, site: Site, before: str, sentence: str) -> None:
    page = browser.open(site.url, before=before)
    assert page.evaluate("window.wordspot.ready") is True
    page.click("#start")
    page.wait_for("!document.getElementById('notice').hidden")
    assert sentence in page.text("#notice")
    assert page.evaluate("window.wordspot.state") == "ready"
    page.close()


@pytest.mark.parametrize(
    ("before", "sentence"),
    [
        ("delete window.AudioWorkletNode;", "it has no AudioWorklet"),
        ("delete window.WebAssembly;", "it lacks WebAssembly"),
        ("Object.defineProperty(window, 'isSecureContext', { value: false });", "This page came over plain http"),
    ],
)
def test_a_browser_that_cannot(browser: Browser, site: Site, before: str, sentence: str) -> None:
    page = browser.open(site.url, before=before)
    page.wait_for("!document.getElementById('notice').hidden")
    assert sentence in page.text("#notice")
    assert page.evaluate("document.getElementById('start').disabled") is True
    assert page.evaluate("document.getElementById('file').disabled") is ("WebAssembly" in before)
    page.close()


def test_a_server_without_onnxruntime_web_says_how_to_get_it(
    sites: Callable[..., Site], browser: Browser, tmp_path: Path
) -> None:
    shutil.copytree(page_folder(), tmp_path / "web", ignore=shutil.ignore_patterns("vendor"))
    page = browser.open(sites([served("clips", made_model("clip")), *load_models([None])], folder=tmp_path / "web").url)
    assert page.evaluate("window.wordspot.ready") is False
    assert "The model clips needs onnxruntime-web, whose files are missing on the server" in page.text("#notice")
    assert "make web" in page.text("#notice")
    choose_model(page, "default")
    page.wait_for("window.wordspot.state === 'ready'")
    page.close()


def test_over_plain_http_files_still_work(tmp_path: Path, sites: Callable[..., Site], minute: Path) -> None:
    site = sites(allow_origins=("http://wordspot.test",))
    with Browser(tmp_path / "browser", "--host-resolver-rules=MAP wordspot.test 127.0.0.1") as browser:
        page = browser.open(f"http://wordspot.test:{site.port}/")
        assert page.evaluate("window.wordspot.ready") is True
        assert page.evaluate("window.isSecureContext") is False
        assert "plain http" in page.text("#notice")
        assert len(run_file(page, minute)) >= 8


def test_recordings_are_made_discarded_and_saved_as_zip(page: Page, tmp_path: Path) -> None:
    page.browser.call("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path), "eventsEnabled": True})
    record(page, "grün", 3)
    page.click("[aria-label='Discard take 2 of grün']")
    assert page.evaluate("document.querySelectorAll('#takes li').length") == 2
    page.click("#save-zip")
    done = "Browser.downloadProgress"
    page.browser.pump(
        lambda: any(e["method"] == done and e["params"]["state"] == "completed" for e in page.browser.events), "the ZIP"
    )
    with zipfile.ZipFile(tmp_path / "recordings.zip") as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "data")
    clips = list_recordings(tmp_path / "data").clips
    session = page.evaluate("document.getElementById('record-session').value")
    assert [clip.path for clip in clips] == [f"grün/{session}_nohash_{take}.wav" for take in (0, 2)]
    assert {clip.speaker for clip in clips} == {session}
    for clip in clips:
        info = soundfile.info(tmp_path / "data" / clip.path)
        assert (info.samplerate, info.frames, info.channels, info.subtype) == (RATE, RATE, 1, "PCM_16")


def test_recordings_are_saved_on_a_server_that_wants_them(sites: Callable[..., Site], browser: Browser, tmp_path: Path) -> None:
    site = sites(record_dir=tmp_path / "data", token="open-sesame-1")
    page = browser.open(site.url)
    assert page.evaluate("window.wordspot.ready") is True
    record(page, "lamp", 1)
    page.click("#save-server")
    page.wait_for("document.getElementById('cue').textContent.includes('wants its token')")
    page.evaluate("document.getElementById('record-token').value = 'open-sesame-1'")
    page.click("#save-server")
    page.wait_for("document.getElementById('cue').textContent === 'Saved on the server.'")
    assert [clip.word for clip in list_recordings(tmp_path / "data").clips] == ["lamp"]
    assert page.evaluate("window.wordspot.takes.every((take) => take.saved)") is True
    page.close()


def record(page: Page, word: str, n_takes: int) -> None:
    page.evaluate("location.hash = '#record'")
    page.wait_for("!document.getElementById('record').hidden")
    page.evaluate(f"document.getElementById('record-word').value = {json.dumps(word)}")
    page.evaluate(f"document.getElementById('record-count').value = {n_takes}")
    page.click("#record-start")
    page.wait_for("document.getElementById('cue').className === 'count'")
    page.wait_for("document.getElementById('cue').className === 'say'")
    page.wait_for(f"window.wordspot.takes.length === {n_takes} && document.getElementById('cue').textContent.startsWith('Done')")


def test_the_loudest_second_is_cut_as_wordspot_align_cuts_it(page: Page) -> None:
    from wordspot.audio.speech import loudest_window

    rng = np.random.default_rng(3)
    for audio in (rng.uniform(-1, 1, 300), np.pad(rng.uniform(-1, 1, 20), (130, 150)) + 0.25):
        numbers = json.dumps(audio.tolist())
        script = f"import('./record.js').then((module) => module.loudestStart(Float64Array.from({numbers}), 100))"
        assert page.evaluate(script) == loudest_window(audio, 100)


def test_it_is_used_with_the_keyboard_and_read_aloud(page: Page) -> None:
    """Everything that can be acted on has a name, Tab reaches it, and Enter and Space act."""
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    acting = {"button", "link", "slider", "combobox", "textbox", "spinbutton"}
    named = {
        node["name"]["value"] if node.get("name") else ""
        for node in nodes
        if not node["ignored"] and node["role"]["value"] in acting
    }
    assert {"Start listening", "Model", "Threshold", "Listen", "Record"} <= named
    assert "" not in named
    live = [node for node in nodes if any(p["name"] == "live" for p in node.get("properties", []))]
    assert live
    reached = []
    for _ in range(12):
        page.press("Tab", 9)
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert {"model", "threshold", "file", "start"} <= set(reached)
    page.evaluate("document.getElementById('start').focus()")
    page.press("Enter", 13, "\r")
    page.wait_for("window.wordspot.state === 'listening'")
    page.press(" ", 32, " ")
    page.wait_for("window.wordspot.state === 'ready'")


CONTRASTS = """(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (colour) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = (colour) => colour.slice(0, 3).map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) { const colour = rgb(getComputedStyle(at).backgroundColor); if (colour[3] === 255) return colour; }
    return rgb("Canvas");
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !element.checkVisibility() || element.closest(":disabled, .lock, option")) continue;
    const [a, b] = [light(rgb(getComputedStyle(element).color)), light(ground(element))].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), walker.currentNode.textContent.trim()]);
  }
  return found;
})()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_and_nothing_is_wider_than_a_phone(page: Page, scheme: str) -> None:
    """WCAG's 4.5 to 1, in both colour schemes; no sideways scrolling at 320 CSS pixels."""
    page.prefer(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
    page.resize(320, 640)
    for view in ("listen", "record"):
        page.evaluate(f"location.hash = '#{view}'")
        page.wait_for(f"!document.getElementById('{view}').hidden")
        contrasts = page.evaluate(CONTRASTS)
        assert len(contrasts) > 10
        assert [entry for entry in contrasts if entry[0] < 4.5] == []
        wide = (
            "[...document.body.querySelectorAll('*')].filter((e) => e.getBoundingClientRect().right > 321 && e.checkVisibility())"
        )
        assert (
            page.evaluate(f"document.documentElement.scrollWidth <= 320 || {wide}.map((e) => e.outerHTML.slice(0, 80))") is True
        )


def test_screenshots(page: Page, minute: Path) -> None:
    """Each view, on a phone and on a desk; kept where WORDSPOT_SCREENSHOTS names a folder."""
    folder = os.environ.get("WORDSPOT_SCREENSHOTS")
    if not folder:
        pytest.skip("WORDSPOT_SCREENSHOTS names no folder")
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    sizes = {"phone": (390, 844), "desktop": (1280, 800)}
    page.click("#start")
    page.wait_for("window.wordspot.detections.length >= 3 && document.querySelector('#words .lit')")
    for name, size in sizes.items():
        page.resize(*size)
        page.prefer(prefers_color_scheme="light" if name == "phone" else "dark", prefers_reduced_motion="reduce")
        page.wait_for("document.querySelector('#words .lit')")
        keep_picture(page, out / f"web-listen-{name}.png")
    page.click("#start")
    record(page, "lamp", 4)
    for name, size in sizes.items():
        page.resize(*size)
        page.prefer(prefers_color_scheme="dark" if name == "phone" else "light", prefers_reduced_motion="reduce")
        keep_picture(page, out / f"web-record-{name}.png")


def keep_picture(page: Page, path: Path) -> None:
    """A screenshot in 256 colours, which is a third of its size."""
    from PIL import Image

    page.screenshot(path)
    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    small.save(path, optimize=True)
