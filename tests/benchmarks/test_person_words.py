"""The benchmark of people's words against synthetic ones, on made sound: its data, its splits, and one small run."""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wordspot.audio.files import read_audio
from wordspot.audio.samples import Samples
from wordspot.config import DataConfig, RecordingsConfig
from wordspot.data.manifest.rows import read_manifest
from wordspot.data.manifest.split import assign_rows, leakage
from wordspot.data.split import noise_source, which_set
from wordspot.data.voices import Voice
from wordspot.data.voices.engine import Manners
from wordspot.errors import ConfigError, DataError
from wordspot.training.run_folder import RunFolder

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import person_data
import person_words
from person_data import RATE, Clip, assign_clips, draw_people, make_machines, mix_clip, read_noise

pytestmark = pytest.mark.slow

TIME = np.arange(RATE) / RATE


class Buzz:
    """An engine whose voices are buzzes, each speaker's at a pitch of its own."""

    manners = Manners()
    concurrent = False

    def __init__(self, name: str, speakers: list[str]) -> None:
        self.name, self._speakers, self.n_spoken = name, speakers, 0

    def voices(self, language: str) -> list[Voice]:
        return [Voice(self.name, speaker, speaker, "en-us") for speaker in self._speakers]

    def languages(self) -> list[str]:
        return ["en"]

    def reads(self, text: str, language: str) -> bool:
        return True

    def reset(self) -> None:
        pass

    def speak(self, text: str, voice: Voice, seed: int = 0) -> tuple[Samples, int]:
        self.n_spoken += 1
        hertz = 100 + 10 * self._speakers.index(voice.speaker)
        time = TIME[: RATE // 2]
        return np.asarray(0.3 * np.sign(np.sin(2 * np.pi * hertz * time)), np.float32), RATE


def engines() -> dict[str, Buzz]:
    """As flite and festival have it: one has a voice of its own only, the other that one too."""
    named = {"many": ["m1", "m2", "m3", "m4", "m5"], "few": ["shared", "f1", "f2", "f3"], "one": ["shared"]}
    return {name: Buzz(name, speakers) for name, speakers in named.items()}


def machine_clips() -> list[Clip]:
    return [
        Clip(Path(f"/v/{name}/yes/{voice.speaker}_{take}.wav"), voice.speaker, name)
        for name, engine in engines().items()
        for voice in engine.voices("en")
        for take in range(2)
    ]


def write_people(root: Path, n_speakers: int = 40) -> Path:
    """Words that are sweeps, two takes by each speaker, in faint noise."""
    rng = np.random.default_rng(3)
    for word in ("yes", "no"):
        (root / word).mkdir(parents=True)
        for number in range(2 * n_speakers):
            sweep = np.zeros(RATE)
            sweep[4000:10000] = 0.2 * np.sin(2 * np.pi * (300 + 200 * rng.uniform() + 900 * TIME) * TIME)[4000:10000]
            path = root / word / f"p{number % n_speakers}_nohash_{number // n_speakers}.wav"
            soundfile.write(path, sweep + 0.001 * rng.standard_normal(RATE), RATE, subtype="PCM_16")
    return root


def write_noise(folder: Path, n: int = 24) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(4)
    for number in range(n):
        soundfile.write(folder / f"1-{number}00-A.wav", 0.1 * rng.standard_normal(2 * RATE), RATE, subtype="PCM_16")
    return folder


@pytest.mark.parametrize("gain", [0.01, 1.0])
def test_a_word_is_trimmed_levelled_and_mixed_at_0_to_20_db(gain: float) -> None:
    word = np.zeros(RATE, np.float32)
    word[3000:9000] = gain * 0.5 * np.sin(2 * np.pi * 1000 * TIME[3000:9000])
    hum = [np.asarray(0.3 * np.sin(2 * np.pi * 3000 * np.arange(3 * RATE) / RATE), np.float32)]
    ratios, places = [], []
    for seed in range(60):
        mixed = mix_clip(word, hum, np.random.default_rng(seed))
        assert mixed.shape == (RATE,)
        assert np.abs(mixed).max() <= 0.9501
        assert np.count_nonzero(mixed) == RATE  # no digital silence
        tone = mixed @ np.exp(-2j * np.pi * 1000 * TIME)  # amplitude times half the word's samples
        noise = mixed @ np.exp(-2j * np.pi * 3000 * TIME)
        amplitude = abs(tone) * 2 / 6000
        ratios.append(20 * np.log10(amplitude / (abs(noise) * 2 / RATE)))
        window = np.abs(np.convolve(mixed * np.exp(-2j * np.pi * 1000 * TIME), np.ones(160), "same")) / 80
        loud = np.flatnonzero(window > amplitude / 2)
        places.append(loud[0])
        assert loud[-1] - loud[0] == pytest.approx(6000, abs=500)
        assert 20 * np.log10(amplitude / np.sqrt(2)) == pytest.approx(-26, abs=0.6)  # fades and the frames of 10 ms
    assert min(ratios) > -0.6
    assert max(ratios) < 20.6
    assert max(ratios) - min(ratios) > 15
    assert min(places) < 1500
    assert max(places) > 8500


def test_without_noise_there_is_the_word_and_a_faint_floor() -> None:
    word = np.zeros(RATE, np.float32)
    word[3000:9000] = 0.5 * np.sin(2 * np.pi * 1000 * TIME[3000:9000])
    laid = mix_clip(word, (), np.random.default_rng(2))
    floor = laid[np.abs(laid) < 0.002]
    assert len(floor) > RATE - 6100
    assert 20 * np.log10(floor.std()) == pytest.approx(-70, abs=0.7)
    assert np.abs(laid).max() == pytest.approx(10 ** (-26 / 20) * 2**0.5, rel=0.1)


def test_a_longer_word_than_a_second_fills_it() -> None:
    word = np.asarray(0.1 * np.sin(2 * np.pi * 1000 * np.arange(2 * RATE) / RATE), np.float32)
    assert mix_clip(word, [word], np.random.default_rng(0)).shape == (RATE,)


def test_noise_that_is_filled_up_with_zeros_is_drawn_where_it_sounds() -> None:
    noise = np.zeros(4 * RATE, np.float32)
    noise[: 2 * RATE] = 0.1 * np.random.default_rng(0).standard_normal(2 * RATE)
    for seed in range(20):
        second = person_data._draw_noise([noise], np.random.default_rng(seed))
        assert np.count_nonzero(second) > 0.95 * RATE  # of zeros at most one frame of 50 ms
    with pytest.raises(DataError, match="silent in nearly every second; name other folders"):
        person_data._draw_noise([np.zeros(2 * RATE, np.float32)], np.random.default_rng(0))


def test_people_are_drawn_of_each_word_alike_and_of_many_speakers(tmp_path: Path) -> None:
    root = write_people(tmp_path / "people")
    drawn = draw_people(root, ["yes", "no"], 41, seed=0)
    assert Counter(clip.file.parent.name for clip in drawn) == {"yes": 20, "no": 21}
    assert sorted(Counter(clip.speaker for clip in drawn).values()) == [1] * 39 + [2]
    assert drawn == draw_people(root, ["yes", "no"], 41, seed=0)
    assert drawn != draw_people(root, ["yes", "no"], 41, seed=1)
    (tmp_path / "people" / "maybe").mkdir()
    with pytest.raises(DataError, match="expected recordings named SPEAKER_nohash_N, found none"):
        draw_people(root, ["maybe"], 1, seed=0)


def test_noise_cut_from_one_recording_stays_in_one_set(tmp_path: Path) -> None:
    folder = write_noise(tmp_path / "noise")
    found = read_noise([folder])
    names = [path.name for path in sorted(folder.iterdir())]
    sets = Counter(which_set(noise_source(name), 20, 30) for name in names)
    assert {name: len(parts) for name, parts in found.items()} == sets
    assert sum(sets.values()) == 24
    one = write_noise(tmp_path / "one", 1)
    with pytest.raises(DataError, match=r"no noise of .* in .*one; name more folders"):
        read_noise([one])


def test_what_is_mixed_with_other_noise_is_elsewhere() -> None:
    noise = {name: [np.full(RATE, level, np.float32)] for level, name in enumerate(("training", "validation", "testing"))}
    name = person_data.name_of(noise, 3)
    assert name == person_data.name_of(dict(reversed(noise.items())), 3)
    assert name != person_data.name_of(noise, 4)
    assert name != person_data.name_of(noise | {"training": [np.full(RATE, 0.5, np.float32)]}, 3)


def test_machines_are_spoken_once(tmp_path: Path) -> None:
    made = engines()
    clips = make_machines(tmp_path, made, ["yes", "no"], 10, seed=0)
    assert Counter(clip.engine for clip in clips) == {"many": 10, "few": 10, "one": 10}
    assert all(clip.file.is_file() and clip.label == "machine" for clip in clips)
    assert len({clip.name for clip in clips}) == 30
    spoken = [engine.n_spoken for engine in made.values()]
    assert make_machines(tmp_path, made, ["yes", "no"], 10, seed=0) == clips
    assert [engine.n_spoken for engine in made.values()] == spoken
    assert make_machines(tmp_path, made, ["yes", "no"], 12, seed=0) != clips


@pytest.mark.parametrize(
    ("held_out", "tested", "missing"),
    [
        ("many", {"m1", "m2", "m3", "m4", "m5"}, set()),
        ("few", {"f1", "f2", "f3"}, {("few", "shared")}),
        ("one", {"shared"}, {("few", "shared")}),
    ],
)
def test_a_held_out_engine_is_all_for_testing_and_shares_no_voice_with_training(
    held_out: str, tested: set[str], missing: set[tuple[str, str]]
) -> None:
    machines = machine_clips()
    people = [Clip(Path(f"/p/yes/p{i}_nohash_0.wav"), f"p{i}") for i in range(60)]
    assigned = assign_clips(people, machines, held_out)
    assert {(clip.engine, name) for clip, name in assigned if name == "testing"} == {
        (held_out, "testing"),
        (None, "testing"),
    }
    assert {clip.speaker for clip, name in assigned if clip.engine and name == "testing"} == tested
    left_out = {(clip.engine, clip.speaker) for clip in machines} - {(clip.engine, clip.speaker) for clip, _ in assigned}
    assert left_out == missing
    in_sets: dict[str, set[str]] = {}
    for clip, name in assigned:
        in_sets.setdefault(clip.speaker, set()).add(name)
    assert all(len(names) == 1 for names in in_sets.values())
    people_in = Counter(name for clip, name in assigned if clip.engine is None)
    assert set(people_in) == {"training", "validation", "testing"}
    learning = {(clip.engine, name) for clip, name in assigned if clip.engine not in (None, held_out)}
    assert (next(iter({"many", "few"} - {held_out})), "validation") in learning


def test_the_lists_mixed_copies_and_metrics_of_a_small_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spoken = {name: engine for name, engine in engines().items() if name != "many"}
    monkeypatch.setattr(person_words, "find_engines", lambda: spoken)
    root, noise, out = write_people(tmp_path / "people"), write_noise(tmp_path / "noise"), tmp_path / "out"
    arguments = [str(root), "--noise", str(noise), "--out", str(out), "--words", "yes,no", "--people", "60"]
    arguments += ["--per-engine", "20", "--conditions", "mixed", "--copies", "2", "--set", "training.steps=30"]
    person_words.main([*arguments, "--set", "training.evaluate_every=30", "--set", "training.batch_size=16"])
    shown = capsys.readouterr().out
    assert "A person or a machine, mixed, statistics: each engine held out" in shown
    assert all(name in shown for name in ("few", "one", "mean"))

    (mixed,) = (out / "mixed").glob("seed-*")
    assert mixed.name == person_data.name_of(read_noise([noise]), 0)
    table = json.loads((out / "mixed-statistics.json").read_text(encoding="utf-8"))["measurements"]
    assert [row["generator"] for row in table["generators"]] == ["few", "one"]
    assert table["mean"]["eer"] == pytest.approx(np.mean([row["eer"] for row in table["generators"]]))
    for row in table["generators"]:
        listed = read_manifest(person_words.list_of(out, "mixed", row["generator"]))
        assert not listed.problems
        sets = assign_rows(listed.rows, DataConfig(), RecordingsConfig(hold_out=(row["generator"],)))
        assert sets == [entry.split for entry in listed.rows]
        assert leakage(listed.rows, sets, (row["generator"],)) == []
        tested = Counter(entry.label for entry, name in zip(listed.rows, sets, strict=True) if name == "testing")
        assert {label: row["per_label"][label]["n"] for label in tested} == tested
        for entry in listed.rows:
            assert entry.file.relative_to(mixed.resolve()).parts[0] == entry.split
        assert row["eer"] < 0.2  # a buzz is easily told from a sweep
    listed_noise = sorted((mixed / "noise").iterdir())
    assert len(listed_noise) == len(read_noise([noise])["training"])
    run = RunFolder(out / "runs" / "mixed-statistics" / "few").read_config()
    assert (run.recordings.backgrounds, run.augment.snr_db) == ((str(listed_noise[0].parent),), (-4.0, 16.0))
    copies = Counter("/".join(path.relative_to(mixed).parts[:2]) for path in mixed.rglob("*.wav"))
    assert copies.pop("noise/0000.wav") == 1
    copies = Counter({name: n for name, n in copies.items() if not name.startswith("noise/")})
    machines = {f"{name}/{engine}": 20 for name in ("validation", "testing") for engine in spoken}
    assert {name: n for name, n in copies.items() if "people" not in name} == machines | {
        f"training/{engine}": 40 for engine in spoken
    }
    people = [copies[f"{name}/people"] for name in ("training", "validation", "testing")]
    assert people[0] / 2 + sum(people[1:]) == 60
    audio, rate = read_audio(next((mixed / "testing").rglob("*.wav")))
    assert (len(audio), rate) == (RATE, RATE)


def test_the_plain_lists_name_the_recordings_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(person_words, "find_engines", engines)
    root, out = write_people(tmp_path / "people"), tmp_path / "out"
    arguments = [str(root), "--noise", "none", "--out", str(out), "--words", "yes,no", "--people", "20"]
    args = person_words.parse_args([*arguments, "--per-engine", "10", "--conditions", "plain"])
    assert person_words.make_lists(args) == {"plain": {"many": None, "few": None, "one": None}}
    with (out / "plain" / "without-one.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["path", "label", "speaker", "generator", "split"]
    assert {Path(row["path"]).is_relative_to(root) for row in rows if row["label"] == "person"} == {True}
    assert {Path(row["path"]).is_relative_to(out / "voices") for row in rows if row["label"] == "machine"} == {True}
    assert not (out / "mixed").exists()


def test_one_engine_or_another_condition_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(person_words, "find_engines", lambda: {"one": Buzz("one", ["x"])})
    arguments = [str(tmp_path), "--noise", "n", "--out", str(tmp_path / "out")]
    with pytest.raises(ConfigError, match="two engines at least must be installed, got one"):
        person_words.main(arguments)
    with pytest.raises(SystemExit):
        person_words.parse_args([*arguments, "--conditions", "mixed,loud"])
    assert "expected mixed and plain, got loud" in capsys.readouterr().err
