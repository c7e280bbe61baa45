"""`wordspot export --target esphome` and `tflite`: a word in a WAV file is detected by the interpreter of devices."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import wordspot as ws
from support.command_line import fails, run
from support.made_exports import export_made
from support.made_tflite import detected_by_pymicro, detected_on_device, device_features, run_on_device
from support.made_trigger import RATE, make_trigger_folder, rng, take, write
from wordspot.audio.files import read_audio
from wordspot.audio.samples import to_int16
from wordspot.config import DecoderConfig
from wordspot.errors import CardError, ConfigError, DataError, ExportError, NotFoundError
from wordspot.export.esphome import file_name, window_of
from wordspot.export.esphome_model import open_esphome
from wordspot.export.tflite.making import Loss, check_loss

pytestmark = pytest.mark.slow
OLD = Path(__file__).parents[1] / "files" / "0.1" / "words.onnx"
SETTINGS = {
    "features.hop_ms": 10,
    "features.clip_ms": 4000,
    "model.n_channels": 16,
    "model.window_frames": 60,
    "model.dilations": "1,1,2",
    "training.steps": (80,),
    "training.batch_size": 6,
    "training.evaluate_every": 80,
    "trigger.validation_minutes": 0.2,
    "trigger.testing_minutes": 0.2,
    "trigger.workers": 0,
    "data.validation_percent": 25,
    "data.testing_percent": 25,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made word, other words and backgrounds."""
    return make_trigger_folder(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the front end of devices."""
    out = tmp_path_factory.mktemp("run") / "deep"
    ws.train(folder, task="trigger", words=["Deep Voice"], features="micro", out=out, device="cpu", settings=SETTINGS)
    return out


def test_a_word_in_a_wav_is_detected_on_a_device(trained: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "esphome"
    exported = ws.export_esphome(trained, out, data=folder)
    assert exported.loss.changed_percent < 1
    assert exported.bytes < 30_000
    write(tmp_path / "word.wav", take(1.5, 1.0, seed=99))
    write(tmp_path / "noise.wav", 0.01 * rng(9).standard_normal(4 * RATE))
    for detected in (detected_on_device, detected_by_pymicro):
        sounds = [to_int16(read_audio(tmp_path / f"{name}.wav", RATE)[0]) for name in ("word", "noise")]
        assert [detected(out, "deep_voice", sound) for sound in sounds] == [True, False]


def test_the_manifest_is_what_esphome_reads(trained: Path, folder: Path, tmp_path: Path) -> None:
    """The fields that ESPHome's schema of manifests, version 2, requires, with their types."""
    exported = ws.export_esphome(trained, tmp_path / "out", calibrate=folder)
    manifest = json.loads((tmp_path / "out" / "deep_voice.json").read_text(encoding="utf-8"))
    settings = manifest.pop("micro")
    assert isinstance(manifest.pop("author"), str)
    assert manifest.pop("trained_languages") == []
    assert manifest == {"type": "micro", "wake_word": "Deep Voice", "model": "deep_voice.tflite", "version": 2}
    assert settings.pop("minimum_esphome_version") == "2024.7.0"
    assert settings.pop("tensor_arena_size") == exported.arena_bytes < 40_000
    assert settings == {"probability_cutoff": 0.5, "feature_step_size": 10, "sliding_window_size": 3}
    assert "- model: deep_voice.json" in (tmp_path / "out" / "deep_voice.yaml").read_text(encoding="utf-8")


def test_a_file_of_words_is_exported_word_by_word(folder: Path, tmp_path: Path) -> None:
    """An exported file on the front end of devices holds the weights too."""
    small = {"features__clip_ms": 300.0, "model__n_channels": 8, "model__dilations": "1"}
    exported = export_made("residual_1d", features__kind="micro", features__low_hz=125, features__high_hz=7500, **small)
    (tmp_path / "words.onnx").write_bytes(exported.model)
    words = ws.export_esphome(tmp_path / "words.onnx", tmp_path / "no", calibrate=folder, word="no", max_loss=100)
    assert (words.name, words.word) == ("no", "no")
    every = ws.export_tflite(tmp_path / "words.onnx", tmp_path / "words.tflite", calibrate=folder, max_loss=100)
    assert every.labels == ("_silence_", "_unknown_", "yes", "no")
    with pytest.raises(ExportError, match="one word, but this model knows yes, no; name one with `word`"):
        ws.export_esphome(tmp_path / "words.onnx", tmp_path / "other", calibrate=folder)


def test_the_command(capsys: pytest.CaptureFixture[str], trained: Path, folder: Path, tmp_path: Path) -> None:
    base = ("export", trained, "--target", "esphome", "--out", tmp_path / "out")
    status, out, error = run(capsys, *base, "--data", folder)
    assert (status, error) == (0, "")
    assert "the wake word Deep Voice" in out
    assert re.search(r"8 bits change 0\.\d\d % of the decisions on \d+ s of recordings", out)
    fails(capsys, "contains files", *base, "--data", folder)
    status, out, _ = run(capsys, *base, "--data", folder, "--force", "--stride", 1, "--json")
    assert (status, json.loads(out)["window"]) == (0, 9)
    tflite = ("export", trained, "--target", "tflite", "--calibrate", folder, "--out")
    status, out, error = run(capsys, *tflite, tmp_path / "deep.tflite")
    assert (status, error) == (0, "")
    assert "the scores of Deep Voice every 3 frames" in out
    fails(capsys, "already exists", *tflite, tmp_path / "deep.tflite")
    fails(capsys, "must end in .tflite", *tflite, tmp_path / "deep.onnx")
    other = ("export", trained, "--target", "esphome", "--out", tmp_path / "other")
    fails(capsys, "name a folder of them with --calibrate", *other)
    fails(capsys, "with --data, not both", *other, "--data", folder, "--calibrate", folder)
    fails(capsys, "--stride must be from 1 to 16 frames, got 17", *other, "--data", folder, "--stride", 17)
    fails(capsys, "does not know the word 'lamp'; it knows Deep Voice", *other, "--data", folder, "--word", "lamp")
    fails(capsys, "--weights belongs to --target c", *other, "--weights", "int8")
    fails(capsys, "--int8 belongs to --target onnx, but the target is esphome", *other, "--int8")
    fails(capsys, "--word belongs to --target tflite or esphome", "export", OLD, "--target", "c", "--out", "x", "--word", "y")
    assert not (tmp_path / "other").exists()


def test_info_and_verify_say_what_a_manifest_is(
    capsys: pytest.CaptureFixture[str], trained: Path, folder: Path, tmp_path: Path
) -> None:
    ws.export_esphome(trained, tmp_path, data=folder, force=True)
    path = tmp_path / "deep_voice.json"
    status, out, error = run(capsys, "info", path)
    assert (status, error) == (0, "")
    for line in ("wake word      Deep Voice", "every 30 ms", "deep_voice.tflite, ", "mean of 3 scores above 0.5"):
        assert line in out
    told = json.loads(run(capsys, "info", path, "--json")[1])
    assert (told["wake_word"], told["bytes"]) == ("Deep Voice", (tmp_path / "deep_voice.tflite").stat().st_size)
    fails(capsys, "a JSON file, not an .onnx file .* manifest of a wake word for ESPHome: it has no self-test", "verify", path)
    (tmp_path / "deep_voice.tflite").unlink()
    fails(capsys, r"deep_voice\.tflite: no such file, but deep_voice\.json names it", "info", path)


def test_recordings_that_cannot_calibrate_are_rejected(trained: Path, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such folder; expected recordings in it"):
        ws.export_esphome(trained, tmp_path / "out", calibrate=tmp_path / "nowhere")
    write(tmp_path / "little" / "one.wav", np.zeros(RATE))
    with pytest.raises(DataError, match=r"has 1.0 s of audio to calibrate on; expected at least 10 s"):
        ws.export_esphome(trained, tmp_path / "out", calibrate=tmp_path / "little")
    with pytest.raises(NotFoundError, match="expected the recordings of the run"):
        ws.export_esphome(trained, tmp_path / "out", data=tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="is a file, which does not list its recordings"):
        ws.export_tflite(OLD, tmp_path / "out.tflite", data=folder)
    with pytest.raises(ConfigError, match="is a file and has no checkpoints"):
        ws.export_tflite(OLD, tmp_path / "out.tflite", calibrate=folder, checkpoint=3)


def test_another_front_end_is_rejected(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ExportError, match=r"features.kind is logmel, but ESPHome's devices compute features with micro; train with"
    ):
        ws.export_esphome(OLD, tmp_path / "out", calibrate=folder, word="yes")
    assert not (tmp_path / "out").exists()


def test_a_loss_beyond_the_limit_is_rejected() -> None:
    loss = Loss(60.0, 0.5, 0.1, 2.5)
    check_loss(loss, 2.5)
    with pytest.raises(ExportError, match=r"8 bits change 2.50 % of the decisions on 60 s of recordings, more than 1 %"):
        check_loss(loss, 1.0)


def test_names_and_windows() -> None:
    assert [file_name(word) for word in ("Hey Lamp", "naïve", "麦克")] == ["hey_lamp", "naive", "wake_word"]
    assert window_of(DecoderConfig(average_ms=120), 3) == 5
    assert window_of(DecoderConfig(average_ms=150), 3) == 6
    assert window_of(DecoderConfig(average_ms=0), 3) == 1


def test_recordings_are_measured_as_on_a_device(
    capsys: pytest.CaptureFixture[str], trained: Path, folder: Path, tmp_path: Path
) -> None:
    """`test-stream`, `tune` and `detect` run the manifest; scores are those of the interpreter, however the sound is fed."""
    ws.export_esphome(trained, tmp_path / "out", data=folder)
    path = tmp_path / "out" / "deep_voice.json"
    sound = np.concatenate([take(1.5, 1.0, seed=99), take(1.5, 1.0, seed=98), take(1.5, 1.0, seed=97)])
    write(tmp_path / "stream.wav", sound)
    samples = to_int16(read_audio(tmp_path / "stream.wav", RATE)[0])
    model = open_esphome(path)
    scorer, parts = ws.Scorer(model), []
    for piece in np.split(samples, [1000, 1010, 9000, 30_000]):
        parts.append(scorer.feed(piece))
    scores, ends = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    expected = run_on_device((tmp_path / "out" / "deep_voice.tflite").read_bytes(), device_features(samples), 3)
    assert np.abs(scores[:, 1] * 256 - expected[:, 0]).max() <= 1  # the sigmoid
    assert np.array_equal(ends, 50 + 30 * np.arange(len(ends)))
    whole = ws.Scorer(model).feed(samples)[0]
    assert np.array_equal(whole, scores)

    times = "".join(f"Deep Voice,{start},{start + 500}\n" for start in (1500, 4500, 7500))
    (tmp_path / "stream.csv").write_text(f"label,start_ms,end_ms\n{times}", encoding="utf-8")
    status, out, _ = run(capsys, "test-stream", path, tmp_path / "stream.wav", "--json")
    measured = json.loads(out)
    assert (status, measured["decoder"]["kind"], measured["n_hits"]) == (0, "esphome", 3)
    tuned = tmp_path / "tuned" / "deep.json"
    base = ("tune", path, tmp_path / "stream.wav", "--false-accepts-per-hour", 1, "--out")
    status, out, _ = run(capsys, *base, tuned, "--average-ms", 120, "--json")
    settings = json.loads(tuned.read_text(encoding="utf-8"))["micro"]
    assert (status, settings["sliding_window_size"]) == (0, 5)
    assert settings["probability_cutoff"] == pytest.approx(
        json.loads(out)["after"]["decoder"]["thresholds"]["Deep Voice"], abs=1e-4
    )
    assert (tuned.parent / "deep.tflite").read_bytes() == (tmp_path / "out" / "deep_voice.tflite").read_bytes()
    status, out, _ = run(capsys, "detect", tuned, tmp_path / "stream.wav", "--json")
    assert (status, out.count("Deep Voice")) == (0, 3)
    write(tmp_path / "takes" / "Deep Voice" / "one.wav", take(1.5, 1.0, seed=98))
    write(tmp_path / "negatives" / "quiet.wav", 0.001 * np.random.default_rng(0).standard_normal(3 * RATE))
    files = "--takes", tmp_path / "takes", "--negatives", tmp_path / "negatives"
    status, out, _ = run(capsys, "compare", path, tuned, *files, "--json")
    compared = json.loads(out)["models"]
    assert (status, [one["model"] for one in compared]) == (0, [str(path), str(tuned)])
    assert [one["own"]["n_found"] for one in compared] == [1, 1]
    fails(capsys, "`?--out`? must end in .json", *base, tmp_path / "x.onnx")
    fails(capsys, "is that of a manifest for ESPHome, and the only one", *base, tmp_path / "x.json", "--decoder", "peak")


def test_a_manifest_that_wordspot_did_not_write_is_rejected(trained: Path, folder: Path, tmp_path: Path) -> None:
    ws.export_esphome(trained, tmp_path / "out", data=folder)
    path, model = tmp_path / "out" / "deep_voice.json", tmp_path / "out" / "deep_voice.tflite"
    good, content = json.loads(path.read_text(encoding="utf-8")), model.read_bytes()
    with pytest.raises(NotFoundError, match="no such file; expected a manifest"):
        open_esphome(tmp_path / "none.json")
    for changes in ({"type": "other"}, {"wake_word": 3}, {"model": "../x.tflite"}, {"micro": {}}):
        path.write_text(json.dumps({**good, **changes}), encoding="utf-8")
        with pytest.raises(CardError, match="not a manifest that `wordspot export --target esphome` wrote"):
            open_esphome(path)
    path.write_text(json.dumps(good), encoding="utf-8")
    for bad in (b"", content[:100], b"nonsense" * 100, content[:4] + b"ABCD" + content[8:]):
        model.write_bytes(bad)
        with pytest.raises(CardError, match="not a TensorFlow Lite file that wordspot wrote, or damaged"):
            open_esphome(path)
    model.write_bytes(content[:-100])
    with pytest.raises(CardError, match=r"wordspot wrote, or damaged (?!.*pymicro)"):  # and no word of networks of others
        open_esphome(path, others=True)
    random = np.random.default_rng(0)
    for _ in range(300):  # anything else that goes wrong with a damaged file would be a traceback
        damaged = bytearray(content)
        for at in random.integers(0, len(content), 3):
            damaged[at] = int(random.integers(256))
        model.write_bytes(damaged)
        with contextlib.suppress(CardError):
            open_esphome(path)
    model.unlink()
    with pytest.raises(NotFoundError, match=r"no such file, but deep_voice\.json names it"):
        open_esphome(path)


def test_networks_of_others_are_compared(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two wake words of microWakeWord, without a model of ours; scores are those of its own package, however the sound is fed."""
    package = pytest.importorskip("pymicro_wakeword", reason="pymicro-wakeword is not installed (Linux x86-64 only)")
    models = Path(package.__file__).parent / "models"
    jarvis, nabu = models / "hey_jarvis.json", models / "okay_nabu.json"
    with pytest.raises(CardError, match="not a TensorFlow Lite file that wordspot wrote"):
        open_esphome(jarvis)
    model = open_esphome(jarvis, others=True)
    content, damaged = (models / "hey_jarvis.tflite").read_bytes(), tmp_path / "hey_jarvis.json"
    damaged.write_bytes(jarvis.read_bytes())
    for n_bytes in (0, 100, len(content) // 2, len(content) - 100):  # the package may crash on these
        damaged.with_suffix(".tflite").write_bytes(content[:n_bytes])
        with pytest.raises(CardError, match="not a TensorFlow Lite file, or damaged"):
            open_esphome(damaged, others=True)
    samples = to_int16(0.2 * np.random.default_rng(0).standard_normal(2 * RATE).astype(np.float32))
    word, front_end = package.MicroWakeWord.from_config(jarvis), package.MicroWakeWordFeatures()
    word.sliding_window_size, word._probabilities = 1, type(word._probabilities)(maxlen=1)
    expected = [word.process_streaming_prob(one) for one in front_end.process_streaming(samples.tobytes())][2::3]
    scorer = ws.Scorer(model)
    parts = [scorer.feed(piece) for piece in np.split(samples, [1000, 1010, 9000])]
    scores, ends = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    assert scores[:, 1] == pytest.approx(expected)
    assert np.array_equal(ends, 50 + 30 * np.arange(len(ends)))

    write(tmp_path / "takes" / "one.wav", take(1.5, 1.0, seed=98))
    write(tmp_path / "negatives" / "quiet.wav", 0.001 * np.random.default_rng(0).standard_normal(3 * RATE))
    command = ("compare", jarvis, nabu, "--takes", tmp_path / "takes", "--negatives", tmp_path / "negatives")
    status, out, _ = run(capsys, *command, "--json")
    compared = json.loads(out)["models"]
    assert (status, [one["model"] for one in compared]) == (0, [str(jarvis), str(nabu)])
    assert [one["own"]["n_found"] for one in compared] == [0, 0]

    settings = json.loads(jarvis.read_text(encoding="utf-8"))["micro"]
    cutoff, window = settings["probability_cutoff"], settings["sliding_window_size"]
    bare = shutil.copyfile(models / "hey_jarvis.tflite", tmp_path / "my_word.tflite")
    alone = open_esphome(bare, others=True, cutoff=cutoff, window=window)
    assert (alone.card.labels[1], alone.decoder) == ("my word", model.decoder)
    assert np.array_equal(ws.Scorer(alone).feed(samples)[0], ws.Scorer(model).feed(samples)[0])
    status, out, _ = run(capsys, *command, bare, "--cutoff", cutoff, "--window", window, "--json")
    assert (status, json.loads(out)["models"][2]) == (0, {**compared[0], "model": str(bare)})
    with pytest.raises(ConfigError, match="`cutoff` and `window` are for networks without a manifest"):
        open_esphome(jarvis, others=True, cutoff=0.9)
    monkeypatch.setattr("wordspot.export.micro_wake_word.PACKAGE", "not_installed")
    fails(capsys, r"Networks of others are run by pymicro-wakeword: pip install \"wordspot\[bench\]\"", *command)
