"""People say a phrase that they never said: alignment, choice, joining, and the recordings that `new` adds."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from wordspot.audio.files import read_audio
from wordspot.config import DataConfig
from wordspot.data.split import which_set
from wordspot.data.voices import find_engines
from wordspot.data.voices.espeak import Espeak, find_espeak
from wordspot.data.voices.reading import read_aloud, text_for
from wordspot.progress import Progress, ignore
from wordspot.wakeword.project import CLIP_MS, Project, Request
from wordspot.wakeword.recordings import other_texts
from wordspot.wakeword.splicing import people
from wordspot.wakeword.splicing.alignment import Said, align, fit_of, fits_of
from wordspot.wakeword.splicing.joining import join
from wordspot.wakeword.splicing.people import splice_people
from wordspot.wakeword.splicing.sounds import FRAME, RATE, SoundNetwork
from wordspot.wakeword.splicing.units import Units, choose, units_of

pytest.importorskip("espeakng_loader", reason="espeak-ng is not installed: pip install 'wordspot[voices]'")


def posteriors(*sounds: int, n: int = 6) -> np.ndarray:
    """Logarithms for frames that are 0.9 sure of each of these sounds."""
    rows = np.full((len(sounds), n), 0.1 / (n - 1), np.float32)
    rows[np.arange(len(sounds)), sounds] = 0.9
    return np.log(rows)


def test_alignment_finds_sounds_and_the_silence_between_words_only_where_it_is() -> None:
    log_p = posteriors(0, 1, 1, 2, 3, 0, 0, 4, 5, 5)
    assert align(log_p, [(1, 2), (3,), (4, 5)]) == [
        Said(0, 0, 1), Said(1, 1, 3), Said(2, 3, 4), Said(3, 4, 5), Said(0, 5, 7), Said(4, 7, 8), Said(5, 8, 10),
    ]  # fmt: skip


def test_alignment_goes_on_through_a_wrong_frame() -> None:
    assert align(posteriors(1, 5, 1, 2, 5, 2), [(1, 2)]) == [Said(1, 0, 3), Said(2, 3, 6)]


def test_more_sounds_than_frames_or_none_are_not_aligned() -> None:
    assert align(posteriors(1, 2), [(1, 2, 3)]) == []
    assert align(posteriors(1, 2), [(), ()]) == []
    assert align(posteriors(1)[:0], [(1,)]) == []


def test_fit_is_the_cost_of_a_sound_by_hand() -> None:
    """0 where all is said; a sound that is something else costs the logarithm of 0.02 to 0.9, shared by the sounds."""
    assert fit_of(posteriors(0, 1, 2, 2, 3, 0), [1, 2, 3]) == pytest.approx(0)
    assert fit_of(posteriors(0, 1, 4, 3, 0), [1, 2, 3]) == pytest.approx(np.log(0.02 / 0.9) / 3, rel=1e-5)


def test_the_fit_of_each_frame_is_of_what_ends_there() -> None:
    fits = fits_of(posteriors(1, 2, 0, 0, 1, 2, n=3), [1, 2])
    assert fits[[1, 5]] == pytest.approx([0, 0])
    assert fits[2] == pytest.approx(-0.15)  # a frame of silence costs 0.3, for two sounds
    assert fits[4] < -1


def test_units_of_what_cannot_be_aligned_are_none() -> None:
    assert len(units_of([(np.zeros(2 * FRAME, np.int16), [(1, 2, 3)])], lambda _: posteriors(1, 2))) == 0


def make_units(sounds: list[int], pauses: tuple[int, ...] = ()) -> Units:
    """Units of 1,600 samples each, whose samples all are a 32nd of their place."""
    n = len(sounds)
    audio = np.repeat(np.arange(n, dtype=np.int16) * 1024, 1600)
    bounds = np.stack([np.arange(n) * 1600, np.arange(1, n + 1) * 1600], axis=1)
    follows = np.array([place > 0 and place not in pauses for place in range(n)])
    return Units(audio, np.array(sounds), bounds, follows, np.zeros((n, 2, 4), np.float32))


def test_what_was_said_in_one_piece_is_chosen_in_one_piece() -> None:
    units = make_units([1, 2, 3, 4, 1, 2, 5, 3, 5])
    for seed in range(10):
        assert choose(units, [1, 2, 5], np.random.default_rng(seed)) == [4, 5, 6]


def test_a_pause_counts_as_a_join_and_neighbours_decide() -> None:
    """3 after 2 was said with a pause; the 2 before 5 comes from where a 5 follows."""
    units = make_units([1, 2, 4, 2, 5, 1, 2, 3], pauses=(7,))
    assert choose(units, [2, 5], np.random.default_rng(0)) == [3, 4]
    assert choose(units, [4, 5], np.random.default_rng(0)) == [2, 4]


def test_a_sound_that_the_speaker_never_said_cannot_be_chosen() -> None:
    assert choose(make_units([1, 2, 3]), [1, 7], np.random.default_rng(0)) is None


def test_pieces_overlap_by_160_samples_and_what_was_together_stays_so() -> None:
    units = make_units([1, 2, 3, 4, 5])
    one = join(units, [1, 2])
    assert len(one) == 80 + 3200 + 320
    np.testing.assert_array_equal(32 * one[160 : 80 + 1600], 1)
    np.testing.assert_array_equal(32 * one[80 + 1600 : 80 + 3200], 2)
    two = join(units, [1, 4])
    assert len(two) == 80 + 1600 + 1600 + 0  # the last unit ends with the recording: no samples after it
    np.testing.assert_array_equal(32 * two[160 : 80 + 1600 - 80], 1)
    assert 1 < 32 * two[80 + 1600] < 4
    np.testing.assert_array_equal(32 * two[80 + 1600 + 81 : -320], 4)


@pytest.fixture(scope="module")
def network() -> SoundNetwork:
    return SoundNetwork()


@pytest.fixture(scope="module")
def espeak() -> Espeak:
    found = find_espeak()
    assert found is not None
    return found


def names_of(network: SoundNetwork, espeak: Espeak, text: str) -> list[str]:
    return [network.names[number] for number in network.numbers_of([text], espeak)[text]]


def test_texts_become_sounds_that_the_network_knows(network: SoundNetwork, espeak: Espeak) -> None:
    assert names_of(network, espeak, "hey lamp") == ["h", "eɪ", "l", "æ", "m", "p"]
    assert names_of(network, espeak, "water") == ["w", "ɔ", "t", "ə", "ɹ"]  # a flap and an r-coloured schwa in American English
    assert names_of(network, espeak, "[[bax]]")[-1] in network.names[1:]  # no English sound: the most similar one


def test_rows_are_as_many_as_there_are_frames(network: SoundNetwork) -> None:
    log_p = network.log_posteriors(np.zeros(10 * FRAME + 5, np.float32))
    assert log_p.shape == (10, len(network.names))
    assert (log_p.argmax(axis=1) == 0).all()


def test_the_network_tells_what_strangers_say(network: SoundNetwork, espeak: Espeak, shared_data: Path) -> None:
    """Of four words of speakers that it was not trained on, the sounds of the right one fit best nearly always.

    It was trained on these words of others.
    """
    words = ["happy", "yes", "stop", "right"]
    sounds, n, n_right = network.numbers_of(words, espeak), 0, 0
    for word in words:
        paths = sorted((shared_data / "speech_commands" / word).iterdir())
        for path in [path for path in paths if which_set(path.name, 10, 10) == "testing"][:15]:
            log_p = network.log_posteriors(read_audio(path, RATE)[0])
            best = max(words, key=lambda other: fit_of(log_p, sounds[other]))
            n, n_right = n + 1, n_right + (best == word)
    assert n == 60
    assert n_right >= 54


def test_units_lie_where_the_sounds_are() -> None:
    said = posteriors(0, 1, 1, 2, 0, 0, 3, 3, 4, 0)
    audio = np.random.default_rng(0).integers(-9999, 9999, 10 * FRAME).astype(np.int16)
    units = units_of([(audio, [(1, 2), (3, 4)])] * 2, lambda _: said)
    assert units.sounds.tolist() == [1, 2, 3, 4] * 2
    assert (units.bounds // FRAME).tolist()[4:] == [[11, 13], [13, 14], [16, 18], [18, 19]]
    assert units.follows.tolist() == [False, True, False, True] * 2
    assert units.edges.shape[:2] == (8, 2)
    np.testing.assert_array_equal(units.edges[:3], units.edges[4:7])


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve voices that read, each in a folder, with texts."""
    folder = tmp_path_factory.mktemp("speech")
    engines = find_engines("espeak-ng", n_speakers=12)
    read_aloud(text_for("en", ()), folder, n=48, seed=0, engines=engines, n_speakers=12)
    return folder


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setattr(people, "_FEWEST_SOUNDS", 100)
    (tmp_path / "lamp").mkdir()
    return Project(tmp_path / "lamp")


REQUEST = Request(("hey lamp",), engine="espeak-ng", n_voices=40, n_near_misses=3)


def test_speakers_for_training_say_the_phrase_and_near_misses(project: Project, speech: Path) -> None:
    steps, notes = list[Progress](), list[str]()
    splice_people(project, REQUEST, speech, steps.append, notes.append)
    assert not notes
    assert [one.stage for one, after in pairwise([*steps, Progress("", 0)]) if one.stage != after.stage] == [
        "decoding recordings", people.LISTENING, people.JOINING,
    ]  # fmt: skip
    written = sorted(project.recordings.glob("*/*.wav"))
    of_phrase = [path for path in written if path.parent.name == "hey lamp"]
    assert 20 <= len(of_phrase) <= 40
    others = {path.parent.name for path in written} - {"hey lamp"}
    assert len(others) > 1  # a speaker who never said one of its sounds cannot say a near miss
    assert others <= set(other_texts(REQUEST))
    speakers = {path.name.partition("_nohash_")[0] for path in written}
    config = DataConfig()
    assert {which_set(path.name, config.validation_percent, config.testing_percent) for path in written} == {"training"}
    assert speakers <= {path.name for path in speech.iterdir()}
    audio = [read_audio(path, RATE)[0] for path in written]
    assert max(map(len, audio)) <= CLIP_MS / 1000 * RATE
    assert len({one.tobytes() for one in audio}) == len(audio)


def test_what_is_there_is_not_made_again_unless_the_speech_is_another(project: Project, speech: Path) -> None:
    splice_people(project, REQUEST, speech, ignore, ignore)
    (first, *others) = sorted(project.recordings.glob("*/*.wav"))
    content = first.read_bytes()
    first.unlink()
    splice_people(project, REQUEST, speech, ignore, ignore)
    assert not first.exists()
    project.spliced.write_text('{"speech": "elsewhere"}', encoding="utf-8")
    splice_people(project, REQUEST, speech, ignore, ignore)
    assert first.read_bytes() == content  # a seed decides
    assert sorted(project.recordings.glob("*/*.wav")) == [first, *others]


@pytest.mark.parametrize("kept", [".wav", ".txt"])
def test_speech_without_texts_or_speakers_is_said(project: Project, speech: Path, tmp_path: Path, kept: str) -> None:
    """Recordings in their folders without their texts; and with them, all in one folder, where nobody knows who speaks."""
    other = tmp_path / "other"
    for path in speech.rglob("*.wav"):
        target = other / (path.parent.name if kept == ".wav" else "") / f"{path.parent.name}-{path.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
        if kept == ".txt":
            target.with_suffix(".txt").write_bytes(path.with_suffix(".txt").read_bytes())
    notes = list[str]()
    splice_people(project, REQUEST, other, ignore, notes.append)
    (note,) = notes
    assert note.startswith(f"{other}: no speaker with two minutes of sentences and their text, so the phrase is not joined")
    assert not list(project.recordings.glob("*/*.wav"))


def test_speakers_who_say_little_and_endless_recordings_do_not_take_part(
    project: Project, speech: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They take no place among the most speakers either."""
    monkeypatch.setattr(people, "_MOST_SPEAKERS", 1)
    splice_people(project, REQUEST, speech, ignore, ignore)
    (first,) = {path.name.partition("_nohash_")[0] for path in project.recordings.glob("*/*.wav")}
    recordings = sorted((speech / first).glob("*.wav"))
    monkeypatch.setattr(people, "_LONGEST_SENTENCE", 1)
    notes = list[str]()
    project.spliced.unlink()
    splice_people(project, REQUEST, speech, ignore, notes.append)
    assert len(notes) == 1
    monkeypatch.undo()
    monkeypatch.setattr(people, "_MOST_SPEAKERS", 1)
    monkeypatch.setattr(people, "_FEWEST_SOUNDS", 100)
    texts = [path.with_suffix(".txt") for path in recordings]
    kept = [path.read_text(encoding="utf-8") for path in texts]
    try:
        for path in texts:
            path.unlink()
        splice_people(project, REQUEST, speech, ignore, ignore)
    finally:
        for path, text in zip(texts, kept, strict=True):
            path.write_text(text, encoding="utf-8")
    (second,) = {path.name.partition("_nohash_")[0] for path in project.recordings.glob("*/*.wav")}
    assert second != first


def test_a_spelling_without_a_sound_is_no_way_to_say_the_phrase(project: Project, speech: Path, espeak: Espeak) -> None:
    assert SoundNetwork().numbers_of(["?"], espeak) == {"?": ()}
    request = Request(("hey lamp",), engine="espeak-ng", n_voices=20, n_near_misses=0, said=("?",))
    splice_people(project, request, speech, ignore, ignore)
    assert list((project.recordings / "hey lamp").glob("*.wav"))


def test_other_languages_are_left_to_voices(project: Project, speech: Path) -> None:
    splice_people(project, Request(("hallo lampe",), language="de", engine="espeak-ng"), speech, ignore, ignore)
    assert not project.recordings.exists()


def test_people_of_the_shared_recordings_say_what_they_never_said(project: Project, shared_data: Path, tmp_path: Path) -> None:
    """The joined recordings fit the phrase far better than another; whoever is held out has no part, in any layout of folders."""
    folder, names = tmp_path / "few", ("1272", "174", "2428", "84", "777", "1462")
    for name in names:
        shutil.copytree(shared_data / "english_speech" / name, folder / "LibriSpeech" / "dev-clean" / name)
    request = Request(("trick or treat",), engine="espeak-ng", n_voices=10, n_near_misses=0)
    splice_people(project, request, folder, ignore, ignore)
    paths = sorted(project.recordings.glob("*/*.wav"))
    assert {path.name.partition("_nohash_")[0] for path in paths} == {
        name for name in names if which_set(name, 10, 10) == "training"
    }  # fmt: skip
    network, found = SoundNetwork(), find_espeak()
    assert found is not None
    right, wrong = network.numbers_of(["trick or treat", "seven o'clock"], found).values()
    log_p = [network.log_posteriors(read_audio(path, RATE)[0]) for path in paths]
    assert len(log_p) >= 3
    assert np.median([fit_of(one, right) for one in log_p]) > np.median([fit_of(one, wrong) for one in log_p]) + 1
