"""The benchmark of people and machines on unseen corpora: its vocoders, its splits, and one small run."""

from __future__ import annotations

import csv
import json
import sys
from importlib.util import find_spec
from pathlib import Path

import librosa
import numpy as np
import onnx
import pytest
from scipy.signal import lfilter, welch

from wordspot.audio.files import write_audio
from wordspot.audio.samples import Samples

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import person_corpora
from mel_vocoder import HOP, MEL_RATE, N_MELS, MelVocoder, log_mel
from person_corpora_data import COLUMNS, finish
from vocoders import RATE, VOCODERS

BANDS = 16


def vowel(hertz: float, seconds: float = 1.0) -> Samples:
    """Pulses through three resonances, and a little noise."""
    n = round(RATE * seconds)
    sound = (np.arange(n) % round(RATE / hertz) == 0).astype(float) + 0.01 * np.random.default_rng(0).standard_normal(n)
    for resonance in (700, 1200, 2600):
        sound = lfilter([1], [1, -2 * 0.97 * np.cos(2 * np.pi * resonance / RATE), 0.97**2], sound)
    return np.asarray(0.1 * sound / sound.std(), np.float32)


def envelope(audio: Samples) -> np.ndarray:
    """The mean level in dB of each of `BANDS` bands up to 4 kHz."""
    power = welch(audio, RATE, nperseg=512)[1][: 8 * BANDS].reshape(BANDS, -1).mean(axis=1)
    return 10 * np.log10(power + 1e-12)


@pytest.mark.parametrize("name", VOCODERS)
def test_a_vocoders_copy_keeps_the_spectral_envelope_and_changes_the_samples(name: str) -> None:
    if name == "world" and not find_spec("pyworld"):
        pytest.skip("pyworld is not installed")
    original = vowel(120)
    copy = VOCODERS[name](original, np.random.default_rng(1))
    assert copy.dtype == np.float32
    assert abs(len(copy) - len(original)) <= RATE // 100
    n = min(len(copy), len(original))
    assert np.corrcoef(envelope(original), envelope(copy))[0, 1] > 0.8
    assert np.abs(copy[:n] - original[:n]).std() > 0.01 * original.std()


def test_the_mel_spectrum_for_the_vocoder_is_librosas() -> None:
    sound = 0.1 * np.random.default_rng(0).standard_normal(MEL_RATE)
    expected = librosa.feature.melspectrogram(  # HiFi-GAN's own: padded by (window - hop) / 2 on both sides, not centred
        y=np.pad(sound, 384, mode="reflect"),
        sr=MEL_RATE,
        n_fft=1024,
        hop_length=256,
        center=False,
        power=1.0,
        n_mels=80,
        fmax=8000,
    )
    found = log_mel(sound)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, np.log(np.maximum(expected, 1e-5)), atol=0.01)  # it adds 1e-9 to each power


def test_a_copy_by_a_vocoder_in_a_file_is_as_long_and_as_loud_as_the_original(tmp_path: Path) -> None:
    weights = np.random.default_rng(0).standard_normal((N_MELS, 1, HOP)).astype(np.float32)
    mel = onnx.helper.make_tensor_value_info("mel", onnx.TensorProto.FLOAT, [1, N_MELS, None])
    sound = onnx.helper.make_tensor_value_info("sound", onnx.TensorProto.FLOAT, [1, 1, None])
    node = onnx.helper.make_node("ConvTranspose", ["mel", "weights"], ["sound"], strides=[HOP])
    graph = onnx.helper.make_graph([node], "vocoder", [mel], [sound], [onnx.numpy_helper.from_array(weights, "weights")])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10), tmp_path / "v.onnx")
    vocoder, original = MelVocoder(tmp_path / "v.onnx"), vowel(120)
    for seed in range(4):
        copy = vocoder(original, np.random.default_rng(seed))
        assert copy.dtype == np.float32
        assert abs(len(copy) - len(original)) <= 2 * HOP
        assert np.abs(copy).max() == pytest.approx(np.abs(original).max(), rel=1e-5)


def test_the_mild_channel_leaves_one_level_and_nothing_above_7_khz() -> None:
    loud = finish(vowel(120), np.random.default_rng(1), "mild")
    soft = finish(vowel(120) / 50, np.random.default_rng(1), "mild")
    assert np.abs(loud - soft).max() < 1e-3
    power = welch(loud, RATE, nperseg=512)[1]
    assert 10 * np.log10(power[240:].max() / power.max()) < -40


def rows() -> list[person_corpora.Row]:
    """Two corpora of 40 people each, with a machine of its own that copies them."""
    return [
        {"path": f"{c}{s}{g}.wav", "label": "machine" if g else "person", "speaker": f"{c}{s}", "generator": g, "corpus": c}
        for c, machine in (("a", "lpc"), ("b", "mel"))
        for s in range(40)
        for g in ("", machine)
    ]


def test_a_held_out_corpus_is_tested_whole_and_not_trained_on() -> None:
    split = person_corpora.split_rows(rows(), "corpus", "a")
    assert {row["corpus"] for row in split if row["split"] == "testing"} == {"a"}
    assert sum(row["split"] == "testing" for row in split) == 80
    assert {row["corpus"] for row in split if row["split"] != "testing"} == {"b"}


def test_a_machine_of_several_corpora_is_trained_on_and_not_tested() -> None:
    shared = [{**row, "generator": row["generator"] and "hifi-gan", "path": f"h{row['path']}"} for row in rows()]
    split = person_corpora.split_rows(rows() + shared, "corpus", "a")
    assert {row["generator"] for row in split if row["split"] == "testing"} == {"", "lpc"}
    assert {row["generator"] for row in split if row["split"] == "training"} == {"", "mel", "hifi-gan"}


def test_people_of_a_corpus_are_tested_against_machines_that_training_has_met() -> None:
    shared = [{**row, "generator": "hifi-gan", "path": f"h{row['path']}"} for row in rows() if row["generator"]]
    engine = {"label": "machine", "speaker": "paul", "generator": "espeak-ng", "corpus": "a"}
    spoken = [{**engine, "path": f"e{number}.wav"} for number in range(60)]
    split = person_corpora.split_people(rows() + shared + spoken, "a")
    tested, trained = ([row for row in split if row["split"] == name] for name in ("testing", "training"))
    assert {row["generator"] for row in tested} == {"", "hifi-gan", "espeak-ng"}  # lpc copies nobody of the other corpus
    assert {row["corpus"] for row in tested if row["generator"] != "espeak-ng"} == {"a"}
    assert {row["speaker"] for row in trained} & {row["speaker"] for row in tested} == {"paul"}
    assert not {row["path"] for row in trained} & {row["path"] for row in tested}


def test_a_held_out_generator_is_tested_against_people_whom_training_never_met() -> None:
    split = person_corpora.split_rows(rows(), "generator", "lpc")
    tested = [row for row in split if row["split"] == "testing"]
    assert {row["generator"] for row in tested} == {"", "lpc"}
    assert {row["generator"] for row in split if row["split"] == "training"} == {"", "mel"}
    people = {row["speaker"] for row in tested if not row["generator"]}
    assert people
    assert not people & {row["speaker"] for row in split if row["split"] != "testing"}


def test_the_threshold_makes_both_errors_equal() -> None:
    scores, is_person = np.array([0.1, 0.2, 0.6, 0.4, 0.8, 0.9]), np.array([0, 0, 0, 1, 1, 1], bool)
    threshold = person_corpora.equal_threshold(scores, is_person)
    assert (scores[is_person] < threshold).mean() == pytest.approx(1 / 3)
    assert (scores[~is_person] >= threshold).mean() == pytest.approx(1 / 3)


@pytest.mark.slow
def test_a_small_run_measures_every_corpus(tmp_path: Path) -> None:
    listed, rng = rows()[:24] + rows()[80:104], np.random.default_rng(0)
    for row in listed:
        sound = vowel(100 + rng.uniform(0, 80), 2.1) if not row["generator"] else 0.1 * rng.standard_normal(RATE * 2)
        write_audio(tmp_path / row["path"], np.asarray(sound, np.float32), RATE)
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(listed)
    out = tmp_path / "result.json"
    person_corpora.main(
        [str(tmp_path / "labels.csv"), "--out", str(tmp_path / "runs"), "--json", str(out), "--set", "training.steps=20"]
    )
    found = json.loads(out.read_text())
    assert [row[0] for row in found["tables"][0]["rows"]] == ["a", "b", "mean"]
    assert [row["eer"] for row in found["measurements"]] == [0.0, 0.0]  # pulses are easily told from noise
    assert set(found["measurements"][0]["by_machine"]) == {"lpc"}
