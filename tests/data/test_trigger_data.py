"""From folders to what scenes are made of: who is in which set, what is left out, and what fills in."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from support.made_trigger import HALF, RATE, make_trigger_folder, rng, take, word, write
from wordspot.audio.files import read_audio
from wordspot.audio.speech import find_word, is_silent
from wordspot.config import SETS, DataConfig, TriggerConfig
from wordspot.data import trigger as trigger_data
from wordspot.data import trigger_fallback as trigger_fill
from wordspot.data.split import which_set
from wordspot.data.trigger import TriggerData, load_trigger_data
from wordspot.errors import DataError, MissingExtraError, NotFoundError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_trigger_folder(tmp_path_factory.mktemp("trigger") / "data")


@pytest.fixture(scope="module")
def sources(folder: Path) -> TriggerData:
    return load_trigger_data(folder, TriggerConfig(), HALF, RATE)


@pytest.mark.parametrize("clicks", [(), (0.5, 1.3), (0.1, 0.9, 1.75)])
@pytest.mark.parametrize("level", [1.0, 0.02])
def test_the_word_is_found_between_clicks(clicks: tuple[float, ...], level: float) -> None:
    audio = take(0.6, 0.7, 0.5, seed=3)
    for click in clicks:
        audio[int(click * RATE) :][:80] += 0.5 * rng(5).standard_normal(80).astype(np.float32)
    begin, first, stop, end = find_word(level * audio, RATE)
    assert first / RATE == pytest.approx(0.6, abs=0.03)
    assert stop / RATE == pytest.approx(1.1, abs=0.03)
    before = max((click + 0.005 for click in clicks if click < 0.6), default=0)
    after = min((click for click in clicks if click > 1.1), default=1.8)
    assert before - 1e-6 <= begin / RATE <= before + 0.03
    assert after - 0.03 <= end / RATE <= after + 1e-6


def test_the_word_is_the_sound_that_stands_out_longest_and_may_pause() -> None:
    audio = 0.001 * rng().standard_normal(3 * RATE).astype(np.float32)
    for start, seconds in ((0.2, 0.15), (1.0, 0.4), (1.55, 0.3), (2.6, 0.2)):  # a pause of 0.15 s within
        audio[int(start * RATE) :][: int(seconds * RATE)] += word(seconds)
    _, first, stop, _ = find_word(audio, RATE)
    assert first / RATE == pytest.approx(1.0, abs=0.03)
    assert stop / RATE == pytest.approx(1.85, abs=0.03)


def test_where_nothing_stands_out_the_word_is_all() -> None:
    hiss = 0.1 * rng().standard_normal(RATE).astype(np.float32)
    tone = np.sin(np.arange(RATE) * 0.3).astype(np.float32)
    for audio in (hiss, tone, hiss[:100], hiss[:0]):
        assert find_word(audio, RATE) == (0, 0, len(audio), len(audio))


@pytest.mark.parametrize(
    ("audio", "silent"),
    [
        (np.zeros(RATE, np.float32), True),
        (np.full(RATE, 0.3, np.float32), True),  # nothing but an offset
        (np.zeros(0, np.float32), True),
        (0.001 * rng().standard_normal(RATE).astype(np.float32), True),
        (0.1 * rng().standard_normal(RATE).astype(np.float32), False),  # clapping hands may be a trigger too
        (0.02 * take(0.3, 0.3), False),
    ],
)
def test_silence(audio: NDArray[np.float32], silent: bool) -> None:
    assert is_silent(audio, RATE) is silent


@pytest.mark.slow
def test_each_recording_is_in_the_set_of_its_name(sources: TriggerData, folder: Path) -> None:
    seen: dict[str, set[str]] = {}
    for name in ("training", "validation", "testing"):
        material = sources.of(name)
        assert sources.has(name)
        for path in (*material.positives.paths, *material.negatives.paths):
            assert which_set(path, 25, 25) == name
            seen.setdefault(path, set()).add(name)
        assert set(material.positives.words) == {"deep"}
        assert set(material.negatives.words) <= {"yes", "no"}
        assert material.background_seconds >= 5
    assert len(seen) == 80
    assert all(len(names) == 1 for names in seen.values())
    assert not sources.problems
    assert not [line for line in sources.warnings if "background" not in line]
    assert sources.describe().startswith(f"{len(sources.of('training').positives)} positives, ")


def test_the_listing_names_every_recording_with_its_hash(sources: TriggerData, folder: Path) -> None:
    lines = sources.listing_text().splitlines()
    assert lines[0] == "set,label,path,sha256"
    rows = [line.split(",") for line in lines[1:]]
    assert len(rows) == 40 + 40 + 8
    for name, kind, path, sha256 in rows:
        assert sha256 == hashlib.sha256((folder / path).read_bytes()).hexdigest()
        assert path.startswith(f"{kind}s/")
        if kind != "background":
            assert name == which_set(path, 25, 25)


def test_words_are_cut_to_their_speech(sources: TriggerData, folder: Path) -> None:
    bank = sources.of("training").positives
    for position in range(0, len(bank), 4):
        audio, (first, stop) = bank.audio(position), bank.speech[position]
        assert (stop - first) / RATE == pytest.approx(0.5, abs=0.03)
        assert first / RATE == pytest.approx(0.15, abs=0.01)  # the margin that is kept
        assert (len(audio) - stop) / RATE == pytest.approx(0.15, abs=0.01)
        assert np.abs(audio).max() == pytest.approx(0.9, abs=0.01)
        whole, _ = read_audio(folder / bank.paths[position])
        start = int(0.3 * RATE) - int(first)
        places = np.lib.stride_tricks.sliding_window_view(whole[max(start - 500, 0) :][: len(audio) + 1000], len(audio))
        likeness = places @ audio / np.linalg.norm(places, axis=1) / np.linalg.norm(audio)
        assert likeness.max() > 0.99


def test_the_classic_keeps_recordings_whole(folder: Path) -> None:
    bank = load_trigger_data(folder, TriggerConfig(scenes="classic"), HALF, RATE).of("training").positives
    whole, _ = read_audio(folder / bank.paths[0])
    np.testing.assert_allclose(bank.audio(0), whole, atol=1e-4)
    assert bank.speech[0].tolist() == [0, len(whole)]


def test_the_same_again_and_in_another_process(sources: TriggerData, folder: Path) -> None:
    again = load_trigger_data(folder, TriggerConfig(), HALF, RATE)
    assert again.listing_text() == sources.listing_text()
    copy = pickle.loads(pickle.dumps(sources.of("training")))  # noqa: S301 - our own bytes
    for kind in ("positives", "negatives", "backgrounds"):
        assert np.array_equal(getattr(copy, kind).samples, getattr(again.of("training"), kind).samples)


def test_only_the_sets_that_are_wanted(sources: TriggerData, folder: Path) -> None:
    some = load_trigger_data(folder, TriggerConfig(), HALF, RATE, only=("testing",))
    assert np.array_equal(some.of("testing").negatives.samples, sources.of("testing").negatives.samples)
    assert np.array_equal(some.of("testing").positives.samples, sources.of("testing").positives.samples)
    assert len(some.of("training").negatives) == 0


def test_progress_counts_every_recording(folder: Path) -> None:
    calls: list[tuple[int, int]] = []
    load_trigger_data(folder, TriggerConfig(), HALF, RATE, lambda step: calls.append((step.done, step.total)))
    assert calls == [(done, 88) for done in range(1, 89)]


def test_words_of_a_folder_of_words(folder: Path, tmp_path: Path) -> None:
    """One word of a folder of words as the positives, all of it as the negatives: without the positives and the noise."""
    root = tmp_path / "words"
    for name in ("yes", "no", "_background_noise_", ".hidden"):
        for number in range(4):
            write(root / name / f"sp{number}_nohash_0.wav", take(0.2, 0.2))
    config = TriggerConfig(positives=("yes",), negatives=(".",), backgrounds=("_background_noise_",))
    rows = load_trigger_data(root, config, HALF, RATE).rows
    by_kind = {kind: {path.split("/")[0] for _, label, path, _ in rows if label == kind} for _, kind, _, _ in rows}
    assert by_kind == {"positive": {"yes"}, "negative": {"no"}, "background": {"_background_noise_"}}
    elsewhere = TriggerConfig(positives=(str(folder / "positives"),), negatives=("no",), backgrounds=("_background_noise_",))
    paths = [path for _, kind, path, _ in load_trigger_data(root, elsewhere, HALF, RATE).rows if kind == "positive"]
    assert paths[0].startswith((folder / "positives").resolve().as_posix())


def test_stereo_and_other_rates(tmp_path: Path, folder: Path) -> None:
    for number, rate in enumerate((8000, 22_050, 44_100, 48_000)):
        mono = take(0.3, 0.3, rate=rate)
        write(tmp_path / "positives" / f"p{number}.wav", np.stack([mono, 0.5 * mono], axis=1), rate)
    config = TriggerConfig(negatives=(str(folder / "negatives"),), backgrounds=(str(folder / "backgrounds"),))
    loaded = load_trigger_data(tmp_path, config, DataConfig(), RATE)
    assert not loaded.problems
    for name in ("training", "validation", "testing"):
        bank = loaded.of(name).positives
        lengths = (bank.speech[:, 1] - bank.speech[:, 0]) / RATE
        np.testing.assert_allclose(lengths, 0.5, atol=0.04)


@pytest.mark.parametrize(("count", "sizes"), [(1, (1, 0, 0)), (2, (1, 0, 1)), (3, (1, 1, 1)), (4, (2, 1, 1)), (10, (8, 1, 1))])
def test_a_handful_of_positives_is_dealt(tmp_path: Path, folder: Path, count: int, sizes: tuple[int, ...]) -> None:
    # of these names the hash sends all ten to training
    names = [name for name in (f"take{i}.wav" for i in range(50)) if which_set(name, 10, 10) == "training"][:count]
    for seed, name in enumerate(names):
        write(tmp_path / "positives" / name, take(0.3, 0.3, seed=seed))
    config = TriggerConfig(negatives=(str(folder / "negatives"),), backgrounds=(str(folder / "backgrounds"),))
    loaded = load_trigger_data(tmp_path, config, DataConfig(), RATE)
    assert tuple(len(loaded.of(name).positives) for name in ("training", "validation", "testing")) == sizes
    told = [line for line in loaded.warnings if "holds no positives" in line]
    assert ("the testing set holds no positives: nothing can be measured" in "".join(told)) == (count == 1)
    assert ("the validation set holds no positives: no threshold can be chosen" in "".join(told)) == (count < 3)
    assert loaded.has("testing") == (count > 1)


def test_recordings_of_one_speaker_are_dealt_together(tmp_path: Path, folder: Path) -> None:
    for speaker in "abc":
        for number in range(3):
            write(tmp_path / "positives" / f"{speaker}_nohash_{number}.wav", take(0.3, 0.3))
    write(tmp_path / "negatives" / "no" / "a_nohash_0.wav", take(0.1, 0.1))
    config = TriggerConfig(backgrounds=(str(folder / "backgrounds"),))
    rows = load_trigger_data(tmp_path, config, DataConfig(), RATE).rows
    sets = {}
    for name, kind, path, _ in rows:
        if kind != "background":
            sets.setdefault(path.rsplit("/", 1)[-1][0], set()).add(name)
    assert sorted(sets) == ["a", "b", "c"]
    assert sorted(len(names) for names in sets.values()) == [1, 1, 1]
    assert set.union(*sets.values()) == {"training", "validation", "testing"}


def test_what_cannot_be_used_is_named_and_left_out(tmp_path: Path, folder: Path) -> None:
    write(tmp_path / "positives" / "good.wav", take(0.3, 0.3))
    write(tmp_path / "positives" / "silent.wav", np.zeros(RATE, np.float32))
    write(tmp_path / "positives" / "long.wav", take(0.5, 0.5, seconds=1.2))
    write(tmp_path / "positives" / "short.wav", word(0.03))
    (tmp_path / "positives" / "damaged.wav").write_bytes(b"RIFF no sound")
    (tmp_path / "positives" / "notes.txt").write_text("no sound file")
    config = TriggerConfig(negatives=(str(folder / "negatives"),), backgrounds=(str(folder / "backgrounds"),))
    loaded = load_trigger_data(tmp_path, config, DataConfig(), RATE, scene_ms=1000)
    told = {Path(line.split(":")[0]).name: line for line in loaded.problems}
    assert sorted(told) == ["damaged.wav", "long.wav", "short.wav", "silent.wav"]
    assert "the positive is silent" in told["silent.wav"]
    assert "the positive is 1.2" in told["long.wav"]
    assert "is 0.03 s long" in told["short.wav"]
    assert loaded.of("training").positives.paths == ("positives/good.wav",)
    (tmp_path / "positives" / "good.wav").unlink()
    with pytest.raises(DataError, match=r"none of its 4 positives can be used; .*damaged\.wav: "):
        load_trigger_data(tmp_path, config, DataConfig(), RATE, scene_ms=1000)


def test_folders_that_are_not_there_or_empty(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(NotFoundError, match="nowhere: no such folder; expected one with positives"):
        load_trigger_data(tmp_path / "nowhere", TriggerConfig(), DataConfig(), RATE)
    with pytest.raises(
        NotFoundError,
        match=r"athena: no such folder; name the folder of positives with `positives`; the folders here are backgrounds, n",
    ):
        load_trigger_data(folder, TriggerConfig(positives=("athena",)), DataConfig(), RATE)
    with pytest.raises(NotFoundError, match="others: no such folder; name the folder of negatives"):
        load_trigger_data(folder, TriggerConfig(negatives=("others",)), DataConfig(), RATE)
    for kind in ("positives", "negatives", "backgrounds"):
        root = tmp_path / kind
        for name in ("positives", "negatives", "backgrounds"):
            write(root / name / "a.wav", take(0.3, 0.3))
        (root / kind / "a.wav").unlink()
        with pytest.raises(DataError, match=rf"{kind}: no recordings .* among the {kind}; add"):
            load_trigger_data(root, TriggerConfig(), DataConfig(), RATE)


def test_without_negatives_and_backgrounds_others_fill_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    def speak(out: Path, word: str, sample_rate: int) -> list[object]:
        assert word == "trigger"
        write(out / "kettle" / "espeak-f3_nohash_0.wav", take(0.1, 0.1, rate=sample_rate), sample_rate)
        return [trigger_fill.Recording(f"{out.name}/kettle/espeak-f3_nohash_0.wav", "kettle", 1, 0)]

    for number in range(6):
        write(tmp_path / "positives" / f"p{number}.wav", take(0.3, 0.3, seed=number))
    monkeypatch.setattr(trigger_data, "speak_others", speak)
    monkeypatch.setattr(trigger_fill, "_SECONDS", {"training": 12, "validation": 10, "testing": 10})
    loaded = load_trigger_data(tmp_path, TriggerConfig(), DataConfig(), RATE)
    assert [path for _, kind, path, _ in loaded.rows if kind == "negative"] == ["(voices)/kettle/espeak-f3_nohash_0.wav"]
    assert any("other words by synthetic voices are used instead" in line for line in loaded.warnings)
    assert any("synthetic noise is used instead" in line for line in loaded.warnings)
    made = [loaded.of(name).backgrounds.samples for name in ("training", "validation", "testing")]
    assert all(len(one) >= 10 * RATE for one in made)
    assert not np.array_equal(made[1], made[2])

    monkeypatch.setattr(trigger_data, "speak_others", lambda *_: [])
    loaded = load_trigger_data(tmp_path, TriggerConfig(), DataConfig(), RATE)
    assert any("only parts of the positives" in line and '"wordspot[voices]"' in line for line in loaded.warnings)
    assert len(loaded.of("training").negatives) == 0


def test_voices_speak_other_words_the_same_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("espeakng_loader", reason="the extra 'voices' is not installed")
    monkeypatch.setattr(trigger_fill, "_WORDS", ("kettle", "window", "yes"))
    monkeypatch.setattr(trigger_fill, "_PER_WORD", 3)
    monkeypatch.setattr(trigger_fill, "find_engines", lambda: {"espeak-ng": find("espeak-ng")["espeak-ng"]})
    first, second = (trigger_fill.speak_others(tmp_path / name, "Yes", RATE) for name in ("a", "b"))
    assert sorted({one.word for one in first}) == ["kettle", "window"]
    assert len(first) == 6
    for one, other in zip(first, second, strict=True):
        assert (tmp_path / one.path).read_bytes() == (tmp_path / other.path).read_bytes()

    def none() -> None:
        raise MissingExtraError("no voices")

    monkeypatch.setattr(trigger_fill, "find_engines", none)
    assert trigger_fill.speak_others(tmp_path / "c", "yes", RATE) == []


def find(name: str) -> dict[str, object]:
    from wordspot.data.voices import find_engines

    return dict(find_engines(name))


def test_real_recordings_are_cut_to_one_word(shared_data: Path) -> None:
    """The recordings last up to 3.7 s, with clicks of the button before and after; athena takes at most 1.3 s."""
    lengths = []
    for path in sorted((shared_data / "wake_words" / "athena").rglob("*.flac"))[::4]:
        audio, _ = read_audio(path)
        assert not is_silent(audio, RATE)
        begin, first, stop, end = find_word(audio, RATE)
        assert 0 <= begin <= first < stop <= end <= len(audio)
        lengths.append((stop - first) / RATE)
    assert np.percentile(lengths, [5, 50, 95]) == pytest.approx([0.45, 0.58, 0.92], abs=0.1)
    assert np.percentile(lengths, 98) < 1.5


def test_negatives_of_the_word_itself_are_left_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for folder in ("mine/takes", "words/yes", "words/no", "noise"):
        (tmp_path / folder).mkdir(parents=True)
        for number in range(4):
            tone = 0.3 * np.sin(2 * np.pi * rng.uniform(300, 900) * np.arange(8000) / 16_000)
            sound = np.concatenate([np.zeros(4000), tone, np.zeros(4000)]) + 0.001 * rng.standard_normal(16_000)
            soundfile.write(tmp_path / folder / f"sp{number}_nohash_0.wav", sound, 16_000)
    config = TriggerConfig(positives=("mine/takes",), negatives=("words",), backgrounds=("noise",))
    sources = load_trigger_data(tmp_path, config, DataConfig(), 16_000, word="Yes")
    assert any(line.startswith("4 negatives are skipped, since their folder has the name") for line in sources.warnings)
    words = {word for name in SETS for word in sources.of(name).negatives.words}
    assert words == {"no"}
