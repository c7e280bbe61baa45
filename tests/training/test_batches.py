"""Batches: what training draws, and what evaluation sees, always the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from wordspot.config import RunConfig
from wordspot.data.cache import decode_folder
from wordspot.data.clips import build_sets, build_whole
from wordspot.data.folders import list_recordings
from wordspot.labels import SILENCE, UNKNOWN
from wordspot.overrides import override
from wordspot.seeds import step_seed
from wordspot.training.batches import Batches

WORDS = ("low", "middle", "high")
CPU = torch.device("cpu")


def make_batches(data: Path, **settings: Any) -> Batches:
    config = override(RunConfig(words=WORDS), {"training.batch_size": 16} | settings)
    decoded = decode_folder(list_recordings(data), 16_000, 16_000)
    sets = build_sets(decoded.listing, WORDS, config.data)
    return Batches(config, decoded, {**sets, "all": build_whole(decoded.listing, WORDS)}, CPU)


def test_evaluation_goes_through_the_set_once_unchanged(tone_folder: Path) -> None:
    batches = make_batches(tone_folder)
    clips = batches.sets["validation"]
    audio = torch.cat([audio for audio, _ in batches.evaluation_batches("validation")])
    labels = torch.cat([labels for _, labels in batches.evaluation_batches("validation")])
    assert len(audio) == len(clips)
    np.testing.assert_array_equal(labels, clips.labels)
    recordings = list_recordings(tone_folder).clips
    for position, row in enumerate(clips.rows):
        if row >= 0:
            samples, _ = soundfile.read(tone_folder / recordings[row].path, dtype="float32")
            np.testing.assert_array_equal(audio[position], samples)
        torch.testing.assert_close(batches.clip("validation", position), audio[position], rtol=0, atol=0)


def test_silence_is_noise_and_the_same_at_every_evaluation(tone_folder: Path) -> None:
    first, second = make_batches(tone_folder), make_batches(tone_folder)
    for name in ("validation", "testing", "all"):
        one = torch.cat([audio for audio, _ in first.evaluation_batches(name)])
        two = torch.cat([audio for audio, _ in second.evaluation_batches(name)])
        assert torch.equal(one, two)
        silence = one[torch.from_numpy(first.sets[name].labels == SILENCE)]
        assert len(silence) > 0
        assert silence.std(dim=1).min() > 0
        assert silence.std(dim=1).max() <= 0.11  # the noise was recorded at 0.1
        assert len({float(clip.std()) for clip in silence}) == len(silence)


def test_silence_of_a_set_comes_from_its_own_stretch_of_noise(tmp_path: Path) -> None:
    """Noise that counts upward tells from where it was taken: 80 % training, then 10 % validation, 10 % testing."""
    for word in (*WORDS, "other"):
        (tmp_path / word).mkdir()
        for speaker in range(40):
            soundfile.write(tmp_path / word / f"s{speaker}_nohash_0.wav", np.zeros(100), 16_000, subtype="PCM_16")
    (tmp_path / "_background_noise_").mkdir()
    n = 400_000
    ramp = (np.arange(n) // 20).astype(np.int16)  # 0..20000
    soundfile.write(tmp_path / "_background_noise_" / "ramp.wav", ramp, 16_000, subtype="PCM_16")
    batches = make_batches(
        tmp_path, **{"augment.background_frequency": 1.0, "augment.background_volume": 1.0, "augment.time_shift_ms": 0}
    )
    for name, low, high in (("validation", 0.8, 0.9), ("testing", 0.9, 1.0)):
        for position in np.flatnonzero(batches.sets[name].labels == SILENCE):
            clip = batches.clip(name, int(position)).numpy()
            slope = (clip[-1] - clip[0]) / (len(clip) - 1)  # volume × 1/20 a sample, so level / slope is the place
            place = clip[0] / slope / n
            assert low - 1e-3 <= place <= high - len(clip) / n + 1e-3
    audio, labels = batches.training_batch(torch.Generator().manual_seed(1))
    for clip in audio[labels == SILENCE].numpy():
        place = clip[0] / ((clip[-1] - clip[0]) / (len(clip) - 1)) / n
        assert place <= 0.8 - len(clip) / n + 1e-3


@pytest.mark.slow
def test_training_draws_by_weight(tone_folder: Path) -> None:
    """All unknown clips can come, together as often as ten percent of the keyword clips."""
    batches = make_batches(tone_folder, **{"training.batch_size": 4000, "augment.time_shift_ms": 0})
    clips = batches.sets["training"]
    n_keywords = int((clips.labels > UNKNOWN).sum())
    extra = int(np.ceil(n_keywords * 0.1))
    n_unknown = int((clips.labels == UNKNOWN).sum())
    assert n_unknown == n_keywords / 3 > extra  # as many as each of the three words
    _, labels = batches.training_batch(torch.Generator().manual_seed(3))
    share = np.bincount(labels.numpy(), minlength=5) / 4000
    total = n_keywords + 2 * extra
    expected = np.array([extra, extra, *[n_keywords / 3] * 3]) / total
    assert np.abs(share - expected).max() < 0.03  # four standard errors of a share of 0.3 in 4000


def test_a_batch_follows_from_its_generator(tone_folder: Path) -> None:
    batches = make_batches(tone_folder)
    one = batches.training_batch(torch.Generator().manual_seed(5))
    two = batches.training_batch(torch.Generator().manual_seed(5))
    other = batches.training_batch(torch.Generator().manual_seed(6))
    assert torch.equal(one[0], two[0])
    assert torch.equal(one[1], two[1])
    assert not torch.equal(one[0], other[0])


@pytest.mark.slow
def test_without_noise_silence_is_zeros(tmp_path: Path) -> None:
    for word in (*WORDS, "other"):
        (tmp_path / word).mkdir()
        for speaker in range(30):
            soundfile.write(tmp_path / word / f"s{speaker}_nohash_0.wav", np.ones(100) / 4, 16_000, subtype="PCM_16")
    batches = make_batches(tmp_path)
    assert not batches.has_noise("validation")
    silence = [batches.clip("validation", int(i)) for i in np.flatnonzero(batches.sets["validation"].labels == SILENCE)]
    assert silence
    assert all(float(clip.abs().max()) == 0 for clip in silence)
    audio, labels = batches.training_batch(torch.Generator().manual_seed(1))
    assert float(audio[labels != SILENCE].abs().max()) == 0.25


def test_noise_shorter_than_a_clip_is_repeated(tmp_path: Path, tone_folder: Path) -> None:
    import shutil

    shutil.copytree(tone_folder, tmp_path / "data")
    (tmp_path / "data" / "_background_noise_" / "hiss.wav").unlink()
    rng = np.random.default_rng(1)
    soundfile.write(tmp_path / "data" / "_background_noise_" / "short.wav", 0.1 * rng.standard_normal(6000), 16_000)
    batches = make_batches(tmp_path / "data")
    position = int(np.flatnonzero(batches.sets["all"].labels == SILENCE)[0])
    clip = batches.clip("all", position)
    torch.testing.assert_close(clip[:6000], clip[6000:12_000], rtol=0, atol=0)
    assert float(clip.std()) > 0


def test_recorded_silence_and_unknown_folders_are_taken_as_such(tmp_path: Path, tone_folder: Path) -> None:
    """As in Google's test archive: folders _silence_ and _unknown_ hold recordings, and no silence is made."""
    import shutil

    shutil.copytree(tone_folder, tmp_path / "data")
    shutil.move(tmp_path / "data" / "other", tmp_path / "data" / "_unknown_")
    (tmp_path / "data" / "_silence_").mkdir()
    quiet = 0.001 * np.random.default_rng(1).standard_normal(16_000)
    soundfile.write(tmp_path / "data" / "_silence_" / "quiet.wav", quiet, 16_000, subtype="PCM_16")
    batches = make_batches(tmp_path / "data")
    whole = batches.sets["all"]
    assert (whole.labels == SILENCE).sum() == 1
    assert (whole.labels == UNKNOWN).sum() == 30
    assert (whole.rows >= 0).all()
    audio = torch.cat([audio for audio, _ in batches.evaluation_batches("all")])
    assert float(audio[whole.labels == SILENCE].std()) == pytest.approx(0.001, rel=0.05)


def test_a_entire_folder_is_the_same_for_every_model(tone_folder: Path) -> None:
    one = make_batches(tone_folder)
    two = make_batches(tone_folder, **{"data.seed": 3, "data.silence_percent": 50, "training.batch_size": 7})
    clips = [torch.cat([audio for audio, _ in batches.evaluation_batches("all")]) for batches in (one, two)]
    assert torch.equal(clips[0], clips[1])


def test_seeds_differ_by_every_number() -> None:
    seeds = {step_seed(seed, step, purpose) for seed in range(5) for step in range(50) for purpose in range(3)}
    assert len(seeds) == 750
    assert step_seed(1, 2, 3) == step_seed(1, 2, 3)
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.slow
def test_some_words_are_played_backward_as_unknown(tone_folder: Path) -> None:
    """A third of all clips; silence stays silence. Reading where else the labels are equal shows the rest unchanged."""
    settings = {"training.batch_size": 600, "augment.time_shift_ms": 0, "augment.background_frequency": 0}
    plain, some = (make_batches(tone_folder, **settings, **{"augment.reversed_share": share}) for share in (0, 0.33))
    audio, labels = plain.training_batch(torch.Generator().manual_seed(3))
    played, called = some.training_batch(torch.Generator().manual_seed(3))
    moved = (called == UNKNOWN) & (labels > UNKNOWN)
    assert float(moved.sum() / (labels > UNKNOWN).sum()) == pytest.approx(0.33, abs=0.07)
    assert torch.equal(called[~moved], labels[~moved])
    assert torch.equal(played[moved], audio[moved].flip(1))
    same = labels > UNKNOWN
    assert torch.equal(played[same & ~moved], audio[same & ~moved])
