"""The task `recordings`: the contents of a batch, the classification of recordings, and runs from a list to metrics."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from support.command_line import run
from support.made_voices import GENERATORS, make_voices
from wordspot.commands.main import build_parser
from wordspot.commands.options import add_flags, add_recordings_flags, config_arguments, settings_of
from wordspot.config import AugmentConfig, DataConfig, RecordingsConfig, RunConfig
from wordspot.data.folders import Recording
from wordspot.data.manifest.load import ManifestData, RecordingSet, load_manifest
from wordspot.data.manifest.rows import ManifestRow
from wordspot.data.reader import DecodedRecording
from wordspot.errors import CheckpointError, ConfigError, DataError
from wordspot.export.run import export_network
from wordspot.features import make_front_end
from wordspot.features.spectral import SpectralFrontEnd
from wordspot.models import make_model
from wordspot.models.statistics import StatisticsNet
from wordspot.overrides import override
from wordspot.runtime.recordings import RecordingClassifier
from wordspot.runtime.windows import stride_of
from wordspot.tasks import TASKS
from wordspot.training.checkpoint import load_checkpoint
from wordspot.training.log import trained_on
from wordspot.training.recipes import make_config, recipe_config
from wordspot.training.run_folder import RunFolder
from wordspot.training.tasks.recordings import RecordingEvaluation, RecordingsTask, judge
from wordspot.training.trainer import StepRecord, Trainer

CPU = torch.device("cpu")
LABELS = ("real", "synthetic")
RATE = 16_000
CLIP, STRIDE = 6400, 1600
SMALL: dict[str, Any] = {
    "features.clip_ms": 400,
    "recordings.stride_ms": 100,
    "model.n_bands": 4,
    "training.steps": (6,),
    "training.batch_size": 8,
    "training.warmup_steps": 1,
    "training.evaluate_every": 2,
    "data.validation_percent": 20,
    "data.testing_percent": 30,
    "augment.background_frequency": 0.0,  # minutes of noise take seconds to make
    "augment.band_frequency": 0.0,  # the made voices differ in few bands
}
PLAIN = {f"augment.{field.name}": field.default for field in dataclasses.fields(AugmentConfig)} | {
    "augment.time_shift_ms": 0.0,
    "augment.background_frequency": 0.0,
}


def small_config(**settings: Any) -> RunConfig:
    config = recipe_config(LABELS, TASKS["recordings"].default_model, task="recordings")
    return override(config, SMALL | settings)


def made_task(
    audio: list[tuple[str, str | None, NDArray[np.int16]]],
    config: RunConfig,
    *,
    warnings: tuple[str, ...] = (),
    backgrounds: tuple[DecodedRecording, ...] = (),
) -> RecordingsTask:
    """A task of recordings in memory, (label, generator, samples), all in every set."""
    rows = tuple(
        ManifestRow(f"{line}.wav", Path(f"{line}.wav"), label, None, generator, None, line)
        for line, (label, generator, _) in enumerate(audio)
    )
    truth = np.array([LABELS.index(label) for label, _, _ in audio], np.int64)
    part = RecordingSet(LABELS, rows, tuple(samples for _, _, samples in audio), truth)
    sets = dict.fromkeys(("training", "validation", "testing"), part)
    return RecordingsTask(config, ManifestData(LABELS, sets, (), (), warnings, backgrounds=backgrounds), CPU, 2)


def constant(value: int, n_samples: int = 2 * CLIP) -> NDArray[np.int16]:
    return np.full(n_samples, value, np.int16)


def values_of(sound: Tensor) -> list[int]:
    """The first sample of each clip, as int16: which constant recording it was cut from."""
    assert (sound == sound[:, :1]).all()
    return [round(float(value) * 32768) for value in sound[:, 0]]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --- batches -----------------------------------------------------------------------------------------------------------


def test_classes_and_within_them_generators_stand_alike() -> None:
    """2 recordings of people against 1 by vits and 9 by flite: half, a quarter and a quarter of what is learned from."""
    audio = [("real", "person", constant(value)) for value in (1, 2)]
    audio += [("synthetic", "vits", constant(100))]
    audio += [("synthetic", "flite", constant(200 + value)) for value in range(9)]
    task = made_task(audio, small_config(**PLAIN))
    seen: list[int] = []
    for step in range(1, 101):
        sound, truth = task.training_batch(step, seeded(step))
        assert (sound.shape, sound.dtype, truth.dtype) == ((8, CLIP), torch.float32, torch.int64)
        assert truth.tolist() == [0, 1] * 4
        values = values_of(sound)
        assert [int(value >= 100) for value in values] == truth.tolist()
        seen += values
    machines = [value for value in seen if value >= 100]
    assert len(machines) == 400
    assert 160 < machines.count(100) < 240  # a half, within four deviations
    assert set(seen) == {1, 2, 100, *range(200, 209)}
    assert 160 < seen.count(1) < 240


def test_a_generator_is_no_class() -> None:
    """Where none is named, recordings stand alike."""
    audio = [("real", None, constant(1)), *[("synthetic", None, constant(100 + value)) for value in range(4)]]
    task = made_task(audio, small_config(**PLAIN))
    seen = [value for step in range(60) for value in values_of(task.training_batch(step, seeded())[0])]
    assert all(35 < seen.count(100 + value) < 88 for value in range(4))  # of 240, within four deviations


def test_windows_lie_where_sound_is() -> None:
    """Half a second of sound in three of silence; windows begin anywhere, not at multiples of the stride only."""
    sound = np.zeros(3 * RATE, np.int16)
    sound[RATE : RATE + RATE // 2] = np.arange(1, RATE // 2 + 1)
    task = made_task([("real", None, sound), ("synthetic", None, sound)], small_config(**PLAIN))
    clips = torch.cat([task.training_batch(step, seeded())[0] for step in range(40)])
    assert (clips.amax(dim=1) > 0).all()
    starts = {int(clip.argmax()) - round(float(clip.max()) * 32768) for clip in clips if clip[-1] == 0 or clip[0] == 0}
    assert len(starts) > 40


def test_a_batch_depends_on_the_step_and_the_generator_alone() -> None:
    rng = np.random.default_rng(1)
    audio = [(label, None, rng.integers(-3000, 3000, 2 * CLIP).astype(np.int16)) for label in LABELS for _ in range(4)]
    config = small_config(**{"augment.background_frequency": 1.0, "augment.snr_db": (0.0, 10.0)})
    first = made_task(audio, config).training_batch(3, seeded(3))
    again = made_task(audio, config)
    again.training_batch(1, seeded(1))
    for one, other in zip(again.training_batch(3, seeded(3)), first, strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(again.training_batch(4, seeded(3))[0], first[0])  # other windows
    assert not torch.equal(again.training_batch(3, seeded(4))[0], first[0])  # other noise


@pytest.mark.parametrize(("n_recorded", "made_share", "expected"), [(0, 0.0, 0.0), (2, 0.0, 1.0), (2, 0.5, 0.5)])
def test_recorded_backgrounds_replace_synthetic_noise(n_recorded: int, made_share: float, expected: float) -> None:
    """Recordings of nothing, so that what is heard is the noise; what was recorded is a constant."""
    config = small_config(
        **PLAIN
        | {
            "augment.background_frequency": 1.0,
            "augment.background_volume": 1.0,
            "augment.made_noise": made_share,
            "training.batch_size": 200,
        }
    )
    noise = Recording("hum.wav", "", 0, 0)
    backgrounds = tuple(DecodedRecording(noise, constant(9000, CLIP // 2), (0, CLIP // 2), "") for _ in range(n_recorded))
    task = made_task([(label, None, constant(0)) for label in LABELS], config, backgrounds=backgrounds)
    sound, _ = task.training_batch(1, seeded())
    is_recorded = (sound == sound[:, :1]).all(dim=1)
    assert abs(float(is_recorded.float().mean()) - expected) < (0.1 if 0 < expected < 1 else 1e-9)
    assert (sound[is_recorded].abs().amax(dim=1) <= 9000 / 32768).all() if expected else True
    assert (sound.abs().amax(dim=1) > 0).all()


def test_a_short_recording_is_repeated() -> None:
    short = np.arange(1, 1001, dtype=np.int16)
    task = made_task([("real", None, short), ("synthetic", None, short)], small_config(**PLAIN))
    sound, _ = task.training_batch(1, seeded())
    np.testing.assert_array_equal(sound[0].numpy() * 32768, np.resize(short, CLIP))
    np.testing.assert_array_equal(task.examples()["synthetic"].numpy() * 32768, np.resize(short, CLIP))


def test_entire_recordings_of_like_length_share_a_batch() -> None:
    """A recording of n · 100 samples holds n; 40 of them, and batches of 8: of 16 neighbours, each once."""
    audio = [(LABELS[n % 2], None, constant(n, 100 * n)) for n in np.random.default_rng(2).permutation(np.arange(1, 41))]
    task = made_task(audio, small_config(**PLAIN, **{"recordings.whole": True}))
    seen: set[int] = set()
    for step in range(60):
        sound, truth = task.training_batch(step, seeded())
        lengths = (sound != 0).sum(dim=1)
        values = [round(float(value) * 32768) for value in sound[:, 0]]
        assert lengths.tolist() == [100 * value for value in values]  # zeros follow
        assert truth.tolist() == [value % 2 for value in values]
        assert len(set(values)) == 8
        assert max(values) - min(values) < 16
        seen |= set(values)
    assert len(seen) > 30


def test_more_entire_recordings_than_there_are() -> None:
    audio = [
        ("real", None, constant(1, 100)),
        ("synthetic", None, constant(2, 200)),
        ("real", None, constant(3, 99_999)),
    ]
    task = made_task(audio, small_config(**PLAIN, **{"recordings.whole": True}))
    sound, truth = task.training_batch(1, seeded())
    assert sound.shape == (8, CLIP)  # the longest is cut
    assert set(truth.tolist()) <= {0, 1}


def test_a_class_without_training_is_rejected() -> None:
    with pytest.raises(DataError, match="no recordings of synthetic are left for training"):
        made_task([("real", None, constant(1))], small_config())


@pytest.mark.parametrize(
    ("stride_ms", "rate", "clip", "expected"),
    [
        (100, 16_000, 6400, 1600),
        (0.01, 16_000, 6400, 1),
        (500, 16_000, 6400, 6400),
        (10, 22_050, 6400, 220),
        (10.01, 22_050, 6400, 221),
    ],
)
def test_one_rule_for_the_stride(stride_ms: float, rate: int, clip: int, expected: int) -> None:
    assert stride_of(stride_ms, rate, clip) == expected


# --- evaluation --------------------------------------------------------------------------------------------------------


def test_an_evaluation_by_hand() -> None:
    task = made_task([(label, None, constant(1)) for label in ("real", "real", "synthetic", "synthetic")], small_config())
    posteriors = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.2, 0.8]])
    record = task.evaluate_posteriors("validation", 7, posteriors)
    assert (record.step, record.set, record.n, record.accuracy, record.eer) == (7, "validation", 4, 0.75, 0.0)
    assert record.cross_entropy == pytest.approx(-np.log([0.9, 0.4, 0.7, 0.8]).mean())
    assert record.score == -record.cross_entropy
    assert record.summary() == (
        f"Step 7: Validation EER = 0.0%, accuracy = 75.0% (N=4), cross-entropy {record.cross_entropy:.3f}"
    )
    assert math.isfinite(task.evaluate_posteriors("testing", 7, np.array([[0.0, 1.0]] * 4)).cross_entropy)


def test_a_set_of_one_class_has_no_rate_of_equal_errors() -> None:
    summary = RecordingEvaluation(3, "testing", float("nan"), 0.5, 0.7, 2).summary()
    assert summary == "Step 3: Testing accuracy = 50.0% (N=2), cross-entropy 0.700"


class FirstSample(nn.Module):
    """Log-odds of the first label: a hundred times the window's first sample."""

    def forward(self, audio: Tensor) -> Tensor:
        logits = 100 * audio[:, :1]
        return torch.cat([logits, torch.zeros_like(logits)], dim=1)


def test_a_recording_is_the_mean_of_its_windows_with_sound() -> None:
    audio = np.zeros(CLIP + 3 * STRIDE, np.int16)
    audio[[0, STRIDE, 2 * STRIDE, 3 * STRIDE]] = [328, 655, -983, 164]
    audio[CLIP // 2 :] += 1  # so that every window counts
    rows = judge(FirstSample(), nn.Identity(), small_config(), [audio, audio[:CLIP]], CPU)
    firsts = [audio[start] / 327.68 for start in (0, STRIDE, 2 * STRIDE, 3 * STRIDE)]
    expected = [1 / (1 + np.exp(-np.mean(firsts))), 1 / (1 + np.exp(-firsts[0]))]
    np.testing.assert_allclose(rows[:, 0], expected, rtol=1e-5)
    np.testing.assert_allclose(rows.sum(axis=1), 1)


# --- runs --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_voices(tmp_path_factory.mktemp("voices"))


def load(listed: Path, config: RunConfig) -> ManifestData:
    return load_manifest(
        listed,
        config.words,
        config.data,
        config.recordings,
        config.features.sample_rate,
        clip_ms=config.features.clip_ms,
    )


def config_of(command: list[str]) -> RunConfig:
    args = build_parser().parse_args(command)
    return make_config(args.data, **config_arguments(args))


def make_trainer(listed: Path, out: Path, **settings: Any) -> Trainer:
    config = small_config(**settings)
    return Trainer(config, RecordingsTask(config, load(listed, config), CPU), out, CPU)


@pytest.fixture(scope="module")
def unbroken(listed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("unbroken")
    trainer = make_trainer(listed, out)
    trainer.start()
    records = list(trainer.train())
    assert [record.step for record in records if isinstance(record, StepRecord)] == [1, 2, 3, 4, 5, 6]
    assert [(record.step, record.set) for record in records if isinstance(record, RecordingEvaluation)] == [
        (2, "validation"),
        (4, "validation"),
        (6, "validation"),
        (6, "testing"),
    ]
    return out


def test_a_run_leaves_metrics(unbroken: Path, listed: Path) -> None:
    metrics = json.loads((unbroken / "metrics.json").read_text())
    assert metrics["best_step"] in (2, 4, 6)
    rows = list(csv.DictReader((unbroken / "data.csv").read_text().splitlines()))
    for name in ("validation", "testing"):
        assert metrics[name]["n"] == len([row for row in rows if row["set"] == name]) > 0
        assert {row["generator"] for row in metrics[name]["per_generator"]} >= set(GENERATORS)
        assert 0 <= metrics[name]["eer_low"] <= metrics[name]["eer"] <= metrics[name]["eer_high"] <= 1
    log = RunFolder(unbroken).read_log()
    assert [sorted(line) for line in log[:1]] == [["accuracy", "kind", "learning_rate", "loss", "step"]]
    assert log[-1]["accuracy"] == metrics["testing"]["accuracy"]
    assert len(rows) == 48


@pytest.mark.slow
def test_it_learns(listed: Path, tmp_path: Path) -> None:
    trainer = make_trainer(listed, tmp_path, **{"training.steps": (40,), "training.evaluate_every": 40})
    trainer.start()
    last = list(trainer.train())[-1]
    assert isinstance(last, RecordingEvaluation)
    assert last.eer < 0.1


def test_a_fit_after_the_last_step_learns(listed: Path, tmp_path: Path) -> None:
    """One step teaches next to nothing; ridge regression on 200 windows separates the made voices. It is the same each time."""
    settings = {"training.steps": (1,), "recordings.fit_windows": 200, "model.texture": True, "recordings.ridge": 0.5}
    weights = []
    for name in ("one", "two"):
        trainer = make_trainer(listed, tmp_path / name, **settings)
        trainer.start()
        last = list(trainer.train())[-1]
        assert isinstance(last, RecordingEvaluation)
        assert last.eer < 0.1
        weights.append(weights_of(tmp_path / name, 1))
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_what_cannot_be_fitted() -> None:
    recordings = [("real", "", constant(1000)), ("synthetic", "", constant(2000))]
    for settings, match in (({}, "has no fit; use statistics"), ({"training.average": 0.9}, "set training.average to 0")):
        task = made_task(recordings, small_config(**{"recordings.fit_windows": 10, **settings}))
        network = torch.nn.Linear(1, 2)
        if settings:
            network.fit = None  # type: ignore[assignment]
        with pytest.raises(ConfigError, match=match):
            task.prepare(network)


@pytest.mark.parametrize("step", [2, 4])
def test_a_resumed_run_ends_with_the_same_weights(listed: Path, unbroken: Path, tmp_path: Path, step: int) -> None:
    shutil.copytree(unbroken, tmp_path / "run")
    trainer = make_trainer(listed, tmp_path / "run")
    trainer.resume(step)
    list(trainer.train())
    one, other = (load_checkpoint(RunFolder(path).checkpoint_path(6)) for path in (tmp_path / "run", unbroken))
    assert (one.best_step, one.best_score) == (other.best_step, other.best_score)
    assert one.weights.keys() == other.weights.keys()
    assert all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)
    for name in ("log.jsonl", "metrics.json"):
        assert (tmp_path / "run" / name).read_text() == (unbroken / name).read_text()


def test_another_list_or_network_is_not_resumed(listed: Path, unbroken: Path, tmp_path: Path) -> None:
    shorter = tmp_path / "labels.csv"
    lines = listed.read_text().splitlines()
    shorter.write_text("\n".join([lines[0], *(f"{listed.parent}/{line}" for line in lines[1:-1])]) + "\n")
    with pytest.raises(DataError, match="the recordings have changed since the run began"):
        make_trainer(shorter, unbroken).resume()
    with pytest.raises(CheckpointError, match="of another model or run"):
        make_trainer(listed, unbroken, **{"model.n_bands": 5}).resume()


def test_the_speakers_of_a_run_are_those_of_its_list(unbroken: Path) -> None:
    rows = [row for row in csv.DictReader((unbroken / "data.csv").read_text().splitlines()) if row["set"] == "training"]
    hashes, speakers = trained_on(unbroken)
    assert speakers == {row["speaker"] for row in rows}
    assert hashes == {row["sha256"] for row in rows}


@pytest.mark.parametrize(
    ("listing", "expected"),
    [
        (
            "set,label,path,speaker,sha256\ntraining,a,x_nohash_0.wav,,1\ntraining,a,y.wav,p1,2\ntesting,a,z.wav,p2,3\n",
            {"p1"},
        ),
        ("set,label,path,sha256\ntraining,a,a/x_nohash_0.wav,1\ntraining,a,a/y.wav,2\n", {"x"}),
    ],
)
def test_a_list_that_knows_speakers_decides(tmp_path: Path, listing: str, expected: set[str]) -> None:
    (tmp_path / "data.csv").write_text(listing)
    assert trained_on(tmp_path) == ({"1", "2"}, expected)


def test_a_held_out_generator_is_tested_only(listed: Path) -> None:
    config = small_config(**{"recordings.hold_out": ("vits",), "recordings.n_folds": 4, "recordings.fold": 1})
    sets = RecordingsTask(config, load(listed, config), CPU).recordings.sets
    generators = {name: {row.generator for row in part.rows} for name, part in sets.items()}
    assert generators == {
        "training": {"person", "flite"},
        "validation": {"person", "flite"},
        "testing": {"person", "vits"},
    }
    speakers = [{row.speaker for row in part.rows} for part in sets.values()]
    assert sum(map(len, speakers)) == len(set.union(*speakers)) == 8


@pytest.mark.slow
def test_the_exported_file_judges_as_the_run_does(listed: Path, unbroken: Path) -> None:
    """Recordings shorter than a window, of one window, and longer."""
    checkpoint = RunFolder(unbroken).load()
    config = checkpoint.config
    network = make_model(config.model, config.features.n_frames, config.features.n_features, 2)
    network.load_state_dict(checkpoint.weights)
    longer = load(listed, config).sets["testing"].audio[:6]
    audio = [*longer, longer[0][-3000:], longer[1][-CLIP:]]
    expected = judge(network, make_front_end(config.features), config, audio, CPU)
    classifier = RecordingClassifier(export_network(network.eval(), config).model)
    given = np.stack([classifier.classify(samples, RATE).posteriors for samples in audio])
    assert np.ptp(expected[:, 0]) > 0.05
    np.testing.assert_allclose(given, expected, atol=1e-4)


# --- as a user runs it -------------------------------------------------------------------------------------------------

QUICK_FLAGS = ("--device", "cpu", "--set", "augment.background_frequency=0")
QUICK = [
    *(part for name, value in SMALL.items() if name != "training.steps" for part in ("--set", f"{name}={value}")),
    "--steps",
    "4",
    "--device",
    "cpu",
]


def write_noise(folder: Path) -> None:
    folder.mkdir()
    noise = np.random.default_rng(2).normal(0, 0.1, 2 * RATE).clip(-1, 1)
    soundfile.write(folder / "hum.wav", noise, RATE, subtype="PCM_16")


def test_backgrounds_belong_to_the_run(capsys: pytest.CaptureFixture[str], listed: Path, tmp_path: Path) -> None:
    """They are listed, are the same when it is resumed, and are not needed to judge."""
    noise, out = tmp_path / "noise", tmp_path / "run"
    write_noise(noise)
    (noise / "broken.wav").write_bytes(b"no sound")
    soundfile.write(noise / "silent.wav", np.zeros(RATE), RATE)
    flags = ("--backgrounds", noise, "--set", "augment.background_frequency=1")
    status, _, error = run(capsys, "train", listed, "--task", "recordings", "--out", out, *QUICK, *flags)
    assert status == 0, error
    assert "over 1 backgrounds" in error
    assert re.search(r"left out: \S*broken.wav", error)
    assert re.search(r"left out: \S*silent.wav: the background is digital silence", error)
    rows = list(csv.DictReader((out / "data.csv").read_text().splitlines()))
    assert [Path(row["path"]).name for row in rows if row["set"] == "background"] == ["hum.wav"]
    assert trained_on(out)[0] == {row["sha256"] for row in rows if row["set"] == "training"}
    expected = weights_of(out, 4)
    RunFolder(out).checkpoint_path(4).unlink()
    status, _, error = run(capsys, "train", listed, "--out", out, "--resume", "--device", "cpu", *flags[:2])
    assert status == 0, error
    assert all(torch.equal(value, expected[name]) for name, value in weights_of(out, 4).items())
    status, _, error = run(capsys, "train", listed, "--out", out, "--resume", "--backgrounds", "other")
    assert (status, error.count("\n")) == (1, 1), error
    assert "but the run was begun with" in error
    status, _, error = run(capsys, "train", listed, "--out", out, "--resume", "--positives", "other")
    assert (status, error.count("\n")) == (1, 1), error
    assert "--positives is for --task trigger, this is recordings" in error
    shutil.rmtree(noise)
    status, _, error = run(capsys, "evaluate", out, listed)
    assert status == 0, error


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--backgrounds", "nowhere"), "nowhere: no such folder; name the folder of backgrounds with --backgrounds"),
        (("--backgrounds", "a,,b"), "--backgrounds expects names"),
        (("--backgrounds", "."), "this background is also one of the recordings to classify"),
        (("--backgrounds", "noise"), "none of its 1 backgrounds can be used"),
        (("--set", "recordings.backgrounds=,"), "recordings.backgrounds"),
        (("--backgrounds", "hum"), "this run mixes in no noise, so it needs no --backgrounds"),
        (("--positives", "yes"), "--positives is for --task trigger, this is recordings"),
        (("--negatives", "no"), "--negatives is for --task trigger, this is recordings"),
    ],
)
def test_folders_that_make_no_sense(
    capsys: pytest.CaptureFixture[str], listed: Path, tmp_path: Path, flags: tuple[str, ...], message: str
) -> None:
    shutil.copytree(listed.parent, tmp_path / "list")
    (tmp_path / "list" / "noise").mkdir()
    (tmp_path / "list" / "noise" / "broken.wav").write_bytes(b"no sound")
    write_noise(tmp_path / "list" / "hum")
    data = tmp_path / "list" / listed.name
    status, _, error = run(capsys, "train", data, "--task", "recordings", "--out", tmp_path / "run", *QUICK, *flags)
    assert (status, error.count("\n")) == (1, 1), error
    assert message in error
    assert not (tmp_path / "run").exists()


def weights_of(out: Path, step: int) -> dict[str, Tensor]:
    return load_checkpoint(RunFolder(out).checkpoint_path(step)).weights


@pytest.mark.slow
def test_a_list_is_learned_and_resumed(capsys: pytest.CaptureFixture[str], listed: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    begin = ("train", listed, "--task", "recordings", "--out", out, *QUICK)
    status, text, error = run(capsys, *begin)
    assert status == 0, error
    assert text == f"next: wordspot export {out} --out {out / 'recordings.onnx'}\n"
    assert re.search(r"statistics: \d+ parameters, recordings: \d+ for training, \d+ for validation, \d+ for testing", error)
    assert re.search(r"Step 4: Testing EER = \d+\.\d%, accuracy = \d+\.\d% \(N=\d+\), cross-entropy \d\.\d{3}", error)
    config = RunFolder(out).read_config()
    assert (config.words, config.task, config.model.name) == (LABELS, "recordings", "statistics")
    expected = weights_of(out, 4)
    RunFolder(out).checkpoint_path(4).unlink()
    (out / "metrics.json").unlink()
    status, _, error = run(capsys, "train", listed, "--out", out, "--resume", "--device", "cpu")
    assert status == 0, error
    assert "resuming at step 2 of 4" in error
    given = weights_of(out, 4)
    assert all(torch.equal(given[name], expected[name]) for name in expected)
    assert (out / "metrics.json").is_file()
    for flags, match in (
        (("--hold-out-generator", "vits"), "recordings.hold_out is .*, but the run was begun with"),
        (("--speaker-folds", "3"), "recordings.n_folds is 3, but the run was begun with 0"),
        (("--task", "words"), "--task is words, but the run was begun with recordings"),
    ):
        status, _, error = run(capsys, "train", listed, "--out", out, "--resume", *flags)
        assert (status, bool(re.search(match, error)), error.count("\n")) == (1, True, 1), error


@pytest.mark.parametrize(
    ("flags", "match"),
    [
        (("--hold-out-generator", "vitss"), "vitss.*flite"),
        (("--speaker-folds", "2"), "n_folds must be 0, or at least 3"),
        (("--words", "real,robot"), "no recordings of robot; the labels here are real, synthetic"),
        (("--words", "real"), "the task recordings needs at least 2, got 1 \\(real\\)"),
        (("--model", "trigger_1d"), "predicts at every step"),
        (("--features", "logmel", "--model", "pooled_conv"), "pooled_conv needs the features spectrogram, got logmel"),
    ],
)
def test_what_train_rejects(
    capsys: pytest.CaptureFixture[str], listed: Path, tmp_path: Path, flags: tuple[str, ...], match: str
) -> None:
    status, _, error = run(capsys, "train", listed, "--task", "recordings", "--out", tmp_path / "run", *QUICK_FLAGS, *flags)
    assert (status, error.count("\n")) == (1, 1), error
    assert re.search(match, error), error


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), {}),
        (("--hold-out-generator", "vits"), {"recordings.hold_out": ("vits",)}),
        (("--hold-out-generator", "vits, your tts"), {"recordings.hold_out": ("vits", "your tts")}),
        (("--speaker-folds", "4"), {"recordings.n_folds": 4}),
        (("--speaker-folds", "0"), {"recordings.n_folds": 0}),
        (("--leave-one-generator-out",), {}),
    ],
)
def test_flags(flags: tuple[str, ...], expected: dict[str, Any]) -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    add_recordings_flags(parser)
    args = parser.parse_args(flags)
    given = settings_of(args, TASKS["recordings"])
    assert given == expected
    assert args.leave_one_generator_out == ("--leave-one-generator-out" in flags)
    assert override(RunConfig(LABELS, task="recordings"), given).recordings == RecordingsConfig(
        **{name.removeprefix("recordings."): value for name, value in expected.items()}
    )


def test_a_model_of_recordings_rejects_streams(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from support.made_recordings import recording_model

    model = tmp_path / "person.onnx"
    model.write_bytes(recording_model())
    for args in (("test-stream", model, tmp_path / "s.wav", "--no-words"), ("detect", model, tmp_path / "s.wav")):
        status, _, error = run(capsys, *args)
        assert (status, error.count("\n")) == (1, 1), error
        assert "classifies entire recordings (person, machine) and detects no words" in error
    status, _, error = run(
        capsys, "tune", model, tmp_path / "s.wav", "--no-words", "--false-accepts-per-hour", "1",
        "--out", tmp_path / "t.onnx",
    )  # fmt: skip
    assert (status, error.count("\n")) == (1, 1), error
    assert not (tmp_path / "t.onnx").exists()


def test_sets_without_a_share_are_allowed(listed: Path) -> None:
    config = small_config(**{"data.validation_percent": 0, "data.testing_percent": 0})
    task = RecordingsTask(config, load(listed, config), CPU)
    assert config.data == DataConfig(validation_percent=0, testing_percent=0)
    record = task.evaluate_posteriors("validation", 1, np.zeros((0, 2)))
    assert (record.n, record.accuracy, math.isnan(record.eer)) == (0, 0.0, True)


def test_unknown_words_in_the_configuration_are_rejected() -> None:
    with pytest.raises(ConfigError, match="words: the task recordings needs at least 2, got 1 \\(real\\)"):
        RunConfig(("real",), task="recordings")


@pytest.mark.parametrize(
    ("flags", "sample_rate", "hop"),
    [
        ((), 16_000, 160),
        (("--hop-ms", "5"), 16_000, 80),
        (("--hop-ms", "7.3"), 16_000, 116),
        (("--sample-rate", "8000"), 8000, 80),
        (("--sample-rate", "22050"), 22_050, 220),
        (("--sample-rate", "44100", "--hop-ms", "20"), 44_100, 882),
    ],
)
def test_statistics_know_the_rate_and_the_hop_of_the_front_end(
    tmp_path: Path, flags: tuple[str, ...], sample_rate: int, hop: int
) -> None:
    listed = make_voices(tmp_path, n_speakers=3, n_takes=1)
    command = ["train", str(listed), "--task", "recordings", "--out", str(tmp_path / "run"), *flags]
    config = config_of(command)
    network = make_model(config.model, config.features.n_frames, config.features.n_features, 2)
    assert isinstance(network, StatisticsNet)
    spectrum = network.spectrum.config
    assert (spectrum.sample_rate, spectrum.hop_samples) == (sample_rate, hop)
    assert isinstance(network.fine_spectrum, SpectralFrontEnd)
    assert network.fine_spectrum.config.hop_samples == 3 * hop
    words = [
        "train",
        str(tmp_path),
        "--words",
        "yes,no",
        "--model",
        "statistics",
        "--out",
        str(tmp_path / "run"),
        *flags,
    ]
    assert config_of(words).model == config.model
    told = [*command, "--set", "model.sample_rate=12345"]
    with pytest.raises(ConfigError, match=f"model.sample_rate=12345, but features.sample_rate is {sample_rate}"):
        config_of(told)


def test_many_recordings_get_a_network_that_learns_its_filters(tmp_path: Path) -> None:
    for label, count in (("a", 500), ("b", 499)):
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(count):
            (tmp_path / "data" / label / f"{number}.wav").touch()

    def chosen(*flags: str) -> str:
        command = ["train", str(tmp_path / "data"), "--task", "recordings", "--out", str(tmp_path / "run"), *flags]
        return config_of(command).model.name

    assert chosen() == "statistics"
    (tmp_path / "data" / "b" / "more.wav").touch()
    assert TASKS["recordings"].model_for_many == (1000, "pooled_conv")
    assert chosen() == chosen("--words", "b,a") == "pooled_conv"
    (tmp_path / "data" / "c").mkdir()
    for number in range(2):
        (tmp_path / "data" / "c" / f"{number}.wav").touch()
    assert chosen("--words", "b,c") == "statistics"
    assert chosen("--model", "statistics") == chosen("--set", "model.name=statistics") == "statistics"


def test_flags_of_recordings_are_for_recordings(tmp_path: Path) -> None:
    command = ["train", str(tmp_path), "--words", "a", "--out", "x", "--hold-out-generator", "vits"]
    with pytest.raises(ConfigError, match="--hold-out-generator and --speaker-folds are for --task recordings"):
        config_of(command)
