"""The scripts that trained the shipped model run from recordings to weights, on a small folder of tones."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import save_file

import bank
import body_eval
import cache
import decode
import export_body
import fast_body
import noise_bank
import phone_loss
import phones
import readers
import rooms
import teacher
import teacher_frames
import teacher_labels
import train
import voices
from hearing_streams import SPEAKERS, set_of_speakers
from scene_labels import label_windows
from wordspot.export.read_weights import checkpoint_of_file
from wordspot.runtime.model import read_model
from wordspot.training.checkpoint import load_checkpoint
from wordspot.training.weights import load_body

pytestmark = pytest.mark.slow
RATE = cache.RATE


def _write(path: Path, seconds: float, hertz: float = 300.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(int(seconds * RATE)) / RATE
    speech = np.sin(2 * np.pi * hertz * time) * np.hanning(len(time)) * 0.3
    soundfile.write(path, (speech + np.random.default_rng(len(path.name)).normal(0, 1e-3, len(time))).astype(np.float32), RATE)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the shape of the real one."""
    root = tmp_path_factory.mktemp("data")
    for at, word in enumerate([*cache.WORDS, "bed", "cat"]):
        for speaker in range(4):
            _write(root / "speech_commands" / word / f"a{speaker}_nohash_0.wav", 1.0, 200 + 60 * at)
    _write(root / "speech_commands" / "_background_noise_" / "hum.wav", 5.0)
    places = []
    for speaker in range(16):
        name = f"{speaker}-1-0000"
        _write(root / "english_speech" / str(speaker) / "1" / f"{name}.wav", 12.0)
        words = ["the", "small", "dog", "on", "a", "hill"]
        places += [(name, word, 1000 * at, 1000 * at + 500) for at, word in enumerate(words)]
        for word in ("naam", "la"):
            _write(root / "arabic_commands" / word / f"ar{speaker}_nohash_0.wav", 1.0, 500)
    with (root / "english_speech" / "words.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("utterance", "word", "start_ms", "end_ms"), *places])
    for number in range(12):
        _write(root / "environment" / "rain" / f"1-{number}-A.wav", 2.0)
        _write(root / "wake_words" / "hello" / f"hello_{number}.wav", 1.0, 700)
    _write(root / "rooms" / "house-impulses" / "hall.wav", 0.5)
    return root


@pytest.fixture(scope="module")
def prepared(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache before training, by a teacher whose frames are random projections of the audio."""
    folder, rng = tmp_path_factory.mktemp("cache"), np.random.default_rng(0)
    decode.decode_all(data, folder)
    drawn = rooms.Rooms(folder, rng)
    bank.make_versions(folder, drawn, rng)
    bank.make_sentences(data, folder, drawn, rng)
    np.save(folder / "noise.npy", noise_bank.make_bank(folder, rng, n_each=2, made_seconds=5))
    teacher.encode_clips(folder, encode)
    teacher.encode_sentences(folder, encode, 60)
    teacher_frames.Reduction(folder).write(folder)
    teacher_labels.make_labels(folder)
    (folder / "mislabelled.json").write_text("[]")
    return folder


def encode(audio: np.ndarray) -> np.ndarray:
    """A teacher whose frames are random projections of the audio."""
    projection = np.random.default_rng(7).standard_normal((teacher.FRAME, teacher.WIDTH)).astype(np.float32)
    frames: np.ndarray = audio.reshape(teacher.N_FRAMES, teacher.FRAME) @ projection
    return frames


def config(stage: str) -> train.TrainConfig:
    return train.TrainConfig(
        stage, 0.001, 1.0, 0.001, 0.03, 0.6, 0.998, 0, (-3.0, 30.0), batch=3, n_frames=260, n_channels=16, n_local=8, warp=0.1
    )


def test_the_fast_body_is_the_body(monkeypatch: pytest.MonkeyPatch) -> None:
    """In float32 its frames are those of the model in training, and its statistics those of the norms."""
    monkeypatch.setattr(fast_body, "_LOW", torch.float32)
    torch.manual_seed(0)
    model, features = config("words").make_model().train(), torch.randn(2, 200, 40)
    assert model.local is not None
    torch.nn.init.normal_(model.local.last_norm.weight)
    frames, statistics = fast_body.body_frames(model, features)
    whole: list[torch.Tensor] = []
    model.pool.register_forward_pre_hook(lambda _, inputs: whole.append(inputs[0]))
    before = model.local.second_norm.running_mean.clone()
    model.windows(features, 1)
    torch.testing.assert_close(frames, whole[0].transpose(1, 2), rtol=1e-4, atol=1e-4)
    mean = statistics[2][0]  # of the stem, the first and the second norm of the local patterns
    torch.testing.assert_close(model.local.second_norm.running_mean - 0.9 * before, 0.1 * mean, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("fresh", [True, False])
def test_norms_are_measured_and_change_no_output(fresh: bool) -> None:
    """Fresh local patterns keep norms that scale their input to 1; those of a file are measured like all others."""
    torch.manual_seed(0)
    model, features = config("words").make_model().eval(), torch.randn(2, 200, 40)
    assert model.local is not None
    if not fresh:
        torch.nn.init.normal_(model.local.last_norm.weight)
    with torch.no_grad():
        before = model.windows(features, 1)
        train.prepare_norms(model, features)
        torch.testing.assert_close(model.eval().windows(features, 1), before, rtol=1e-4, atol=1e-4)
    assert bool(model.local.second_norm.running_mean.any()) is not fresh
    assert model.stem_norm.running_mean.any()


def test_training_starts_from_an_exported_file(prepared: Path) -> None:
    start = dataclasses.replace(config("words"), n_channels=96, n_local=32, rate=0.0)
    name, content = read_model(None)
    (prepared / "shipped.onnx").write_bytes(content)
    weights = train.train(prepared, start, prepared / "shipped.onnx", keep_heads=False, compiled=False)
    kept = weights["model.blocks.4.mix.3.weight"]
    assert torch.equal(kept, checkpoint_of_file(name, content).weights["blocks.4.mix.3.weight"])


def test_a_wider_network_answers_as_the_one_it_starts_from(tmp_path: Path) -> None:
    """Its old channels do not hear the new ones yet, and these are not zero, or they would never learn."""
    narrow, wide = (dataclasses.replace(config("words"), n_channels=width, n_local=4) for width in (8, 12))
    students = [train.Student(one.make_model(), one.n_channels, 5, 3).eval() for one in (narrow, wide)]
    save_file(students[0].state_dict(), tmp_path / "narrow.safetensors")
    students[1].start_from(tmp_path / "narrow.safetensors", keep_heads=True)
    features = torch.randn(2, narrow.n_frames, 40)
    frames = [student.model.frames(features) for student in students]
    torch.testing.assert_close(frames[1][:, :8], frames[0])
    assert frames[1][:, 8:].abs().mean(dim=(0, 2)).min() > 0.01
    torch.testing.assert_close(students[1].model.output(frames[1]), students[0].model.output(frames[0]))


def test_words_start_from_the_body_and_give_weights_of_the_model(prepared: Path) -> None:
    body = train.train(prepared, config("body"), None, keep_heads=False, compiled=False)
    save_file(body, prepared / "body.safetensors")
    words = train.train(prepared, config("words"), prepared / "body.safetensors", keep_heads=False, compiled=False)
    save_file(words, prepared / "words.safetensors")
    model = config("words").make_model()
    result = model.load_state_dict(train.model_weights(prepared / "words.safetensors"), strict=False)
    assert not result.unexpected_keys
    assert all(name.endswith("num_batches_tracked") for name in result.missing_keys)
    assert torch.isfinite(model.eval()(torch.zeros(1, 148, 40))).all()


def test_the_body_is_written_as_training_reads_it(
    data: Path, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, out = prepared / "body_to_write.safetensors", tmp_path / "body.safetensors"
    body = train.train(prepared, config("body"), None, keep_heads=False, compiled=False)
    save_file(body, weights)
    weights.with_suffix(".json").write_text(json.dumps(dataclasses.asdict(config("body"))), encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["export_body.py", "--data", str(data), "--cache", str(prepared), str(weights), str(out)])
    export_body.main()
    read = load_checkpoint(out)
    expected = body["model.blocks.0.mix.0.weight"]
    assert torch.equal(read.weights["blocks.0.mix.0.weight"].float(), expected.half().float())
    assert torch.equal(read.weights["stem_norm.running_var"], body["model.stem_norm.running_var"])
    assert not any(name.startswith(("output", "frames", "windows")) for name in read.weights)
    model, _ = body_eval.read_body(weights)
    load_body(model, read, read.config.features)  # every layer but the last is there


def test_a_body_learns_the_sounds_of_words(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phones, "_LEAST", 1)
    weights = train.train(prepared, config("phones"), None, keep_heads=False, compiled=False)
    assert weights["phones.weight"].shape[0] > 10
    assert all(torch.isfinite(one).all() for one in weights.values())


def test_the_loss_of_sounds_is_that_of_the_right_sounds_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """A word that is said with certainty costs nothing, one said backwards much; what lies away from words must be silent."""
    monkeypatch.setattr(phones, "_LEAST", 1)
    loss = phone_loss.PhoneLoss(["top"], context=0)  # the first frame tells of -3,520 samples, each of 320 more
    t, o, p = (loss.names.index(sound) for sound in ("t", "ɑ", "p"))
    items = np.array([[[6_400, 9_600, 1, 1, -1, 0]]])  # frames 30 to 42, with half a frame on each side

    def cost(*sounds: int) -> float:
        frames = [0] * 30 + [sounds[0]] * 4 + [sounds[1]] * 4 + [sounds[2]] * 4 + [0] * 20
        logits = torch.full((1, len(frames), len(loss.names)), -20.0)
        logits[0, torch.arange(len(frames)), torch.tensor(frames)] = 20.0
        return loss(logits, items)[1]

    assert cost(t, o, p) == pytest.approx(0, abs=1e-3)
    assert cost(p, o, t) > 10
    assert cost(t, 0, p) > 1  # silence within a word is penalised, besides the missing sound
    quiet = torch.zeros(1, 62, len(loss.names))
    whole, spoken = loss(quiet, items)
    assert float(whole) - spoken == pytest.approx(0.3 * np.log(len(loss.names)), rel=1e-4)


def test_babble_keeps_the_level_of_the_bank(prepared: Path) -> None:
    babble = noise_bank.Babble(prepared, np.random.default_rng(0))
    for sentences in (False, True):
        assert np.sqrt(np.mean(np.square(babble.make(sentences=sentences)))) == pytest.approx(0.1, rel=1e-3)


def test_a_window_is_labelled_with_the_last_word_wholly_inside() -> None:
    items = np.array([[[16_000, 24_000, 5, 7, 3], [28_000, 36_000, 2, 2, 9]]])
    ends = np.array([40, 120, 160, 225, 400])  # frames: before, in, and after the words
    labels, classes, rows = label_windows(items, ends, 148, 37)
    assert labels.tolist() == [[0, 12, 5, 2, 0]]
    assert classes.tolist() == [[0, 37, 7, 2, 0]]
    assert rows.tolist() == [[-1, -1, 3, 9, -1]]


def test_a_word_that_another_follows_is_the_label_only_for_a_while() -> None:
    words = [[16_000, 24_000, 5, 7, 3], [27_000, 36_000, 1, 9, 4]]
    ends = np.array([160, 170, 180])  # end 2.1, 3.7 and 5.3 thousand samples after the first word
    for items, expected in ((words, [5, 5, -1]), (words[:1], [5, 5, 5])):
        labels, _, rows = label_windows(np.array([items]), ends, 148, 37, recent=4_000)
        assert labels.tolist() == [expected]
        assert rows.tolist() == [[3 if label == 5 else -1 for label in expected]]


def test_the_body_hears_voices_beside_people(prepared: Path, tmp_path: Path) -> None:
    """A clip of a second is as it was, the second of a longer one begins before its speech; their frames are the teacher's."""
    said = tmp_path / "said"
    _write(said / "lamp" / "kokoro_nohash_0.wav", 1.0)
    short, _ = soundfile.read(said / "lamp" / "kokoro_nohash_0.wav")
    soundfile.write(said / "long.wav", np.concatenate([np.zeros(RATE), short]), RATE)
    folder = tmp_path / "cache"
    voices.make_cache(prepared, folder, sorted(said.rglob("*.wav")), encode)
    index, clips = cache.read_clips(folder, "clips"), np.load(folder / "clips.npy")
    before, known = cache.read_clips(prepared, "clips"), np.load(prepared / "clips.npy")
    people = [row for row, clip in enumerate(before) if clip.split == "training"]
    assert index[:-2] == [before[row] for row in people]
    assert (clips[:-2] == known[people]).all()
    for name in ("pca_clips.npy", "clips_bounds.npy", "clips_fast_maps.npy", "clips_room2.npy"):
        assert (np.load(folder / name)[:-2] == np.load(prepared / name)[people]).all(), name
    whole, cut = (
        next(row for row, clip in enumerate(index) if clip.path == name) for name in ("kokoro_nohash_0.wav", "long.wav")
    )
    assert clips[whole].any()
    start, stop = np.load(folder / "clips_bounds.npy")[cut]
    assert 0 < start <= 4000
    assert abs(stop - start - np.diff(np.load(folder / "clips_bounds.npy")[whole])[0]) < RATE // 20
    slot, half_minute = whole - len(people), np.zeros(teacher.N_SAMPLES, np.float32)
    half_minute[slot * teacher.PITCH * teacher.FRAME :][:RATE] = clips[whole] / np.float32(32768)
    frames = encode(half_minute)[slot * teacher.PITCH :][None, : teacher.CLIP_FRAMES]
    expected = teacher_frames.Reduction(prepared).of_clips(frames, np.array([slot]))
    np.testing.assert_allclose(np.load(folder / "pca_clips.npy")[whole], expected[0], atol=2e-3)
    body = train.train(folder, config("body"), None, keep_heads=False, compiled=False)
    assert torch.isfinite(body["frames.weight"]).all()


def test_words_learn_from_further_clips_beside_all_of_people(prepared: Path, tmp_path: Path) -> None:
    """Clips of people stay as they are in all sets; the teacher judges the further ones, and the words are trained on both."""
    paths = [tmp_path / "said" / word / f"anna_nohash_{take}.wav" for word in ("off", "lamp") for take in range(2)]
    for path in paths:
        _write(path, 1.0)
    folder = tmp_path / "cache"
    voices.make_cache(prepared, folder, paths, encode, for_words=True)
    before, index = cache.read_clips(prepared, "clips"), cache.read_clips(folder, "clips")
    assert index[: len(before)] == before
    assert {(clip.path, clip.word, clip.split) for clip in index[len(before) :]} == {
        (f"said/{path.parent.name}/{path.name}", path.parent.name, "training") for path in paths
    }
    for name in ("teacher_clips.npy", "slots.npy", "clips.npy", "clips_fast.npy"):
        made = np.load(folder / name)
        assert len(made) == len(index), name
        assert (made[: len(before)] == np.load(prepared / name)).all(), name
    assert np.load(folder / "clips_room.npy")[len(before) :].any(axis=1).all()
    assert not (folder / "noise.npy").is_symlink()  # babble that is added must not reach the cache of people
    teacher_labels.make_labels(folder)
    assert np.load(folder / "soft_labels.npy").shape == (len(index), cache.N_LABELS)
    (folder / "mislabelled.json").write_text("[]")
    words = train.train(folder, config("words"), None, keep_heads=False, compiled=False)
    assert words["classes.weight"].shape[0] == 2 + len(cache.class_names(before)) + 1  # lamp
    assert all(torch.isfinite(one).all() for one in words.values())


def test_a_body_learns_frames_and_sounds_at_once(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phones, "_LEAST", 1)
    both = config("both")
    weights = train.train(prepared, both, None, keep_heads=False, compiled=False)
    assert all(torch.isfinite(one).all() for one in weights.values())
    torch.manual_seed(both.seed)
    sizes = (len(weights["classes.weight"]), len(weights["phones.weight"]))
    start = train.Student(both.make_model(), both.n_channels, *sizes).state_dict()
    heads = ("classes", "frames", "windows", "phones")
    moved = {head: not torch.equal(weights[f"{head}.weight"], start[f"{head}.weight"]) for head in heads}
    assert moved == {"classes": False, "frames": True, "windows": True, "phones": True}


def test_words_of_sentences_become_clips() -> None:
    """With a margin, in the middle of a second; other words and very short ones are left, and the sentence stays as it is."""
    audio = np.random.default_rng(0).uniform(-0.5, 0.5, 2 * RATE).astype(np.float32)
    before = audio.copy()
    words = [("the", 0.0, 300.0), ("on", 500.0, 800.0), ("off", 900.0, 1000.0)]
    ((word, name, clip),) = readers.cut_out(readers.Sentence("84-1-0001", audio, words))
    assert (word, name, len(clip)) == ("on", "84-1-0001-1", RATE)
    part = before[8000 - 320 : 12_800 + 320]
    start = (RATE - len(part)) // 2
    inside = slice(start + 100, start + len(part) - 100)
    assert (clip[inside] == part[100:-100]).all()
    assert not clip[:start].any()
    assert abs(clip[start]) <= abs(part[0])
    assert (audio == before).all()


def test_readers_of_the_training_set_say_words(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips of held-out speakers must not be trained on."""
    monkeypatch.setattr("sys.argv", ["readers.py", "--data", str(data), "--out", str(tmp_path)])
    readers.main()
    said = sorted((tmp_path / "cut" / "on").iterdir())
    sets = set_of_speakers(map(str, range(16)), *SPEAKERS["english_speech"])
    assert {path.name.split("_")[0] for path in said} == {name for name, split in sets.items() if split == "training"}
