"""What is spoken besides the phrase."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from wordspot.audio.files import read_audio, write_audio
from wordspot.config import DataConfig
from wordspot.data.split import which_set
from wordspot.errors import ConfigError

pytest.importorskip("espeakng_loader", reason="espeak-ng is not installed: pip install 'wordspot[voices]'")

from wordspot.wakeword.project import Project, Request
from wordspot.wakeword.pronunciations import pronunciations
from wordspot.wakeword.recordings import other_texts, shares, speak_phrases
from wordspot.wakeword.takes import FALSE_ACCEPTS, TAKE, add_takes, cut_long_copies, weigh_takes


def test_how_people_say_the_phrase_is_no_negative() -> None:
    """Most dictionaries have "uthena", with a schwa, as the pronunciation of "Athena"; espeak-ng says it with the a of "at"."""
    texts = other_texts(Request(("athena",), n_near_misses=80, excluded=("a theme", "Athena")))
    assert not {"uthena", "ethena", "othena", "atheno", "athena", "Athena"} & set(texts)
    assert {"a theme", "attain", "arena", "alexa"} <= set(texts)
    assert len(texts) == len(set(texts))


def test_a_word_that_exists_is_a_negative_however_near_it_is() -> None:
    texts = other_texts(Request(("hey lamp",), n_near_misses=60))
    assert {"high lamp", "hey damp"} <= set(texts)
    assert not {"hey lamt", "hoy lamp"} & set(texts)


def test_clips_are_divided_between_simple_engines_and_neural_ones() -> None:
    assert shares("espeak-ng,flite,kokoro", 300, 0.3) == [("espeak-ng,flite", 90), ("kokoro", 210)]
    assert shares("espeak-ng,kokoro", 1, 0.3) == [("espeak-ng", 1), ("kokoro", 1)]
    assert shares("espeak-ng,flite", 300, 0.3) == [("espeak-ng,flite", 300)]
    assert shares("kokoro,piper", 300, 0.3) == [("kokoro,piper", 300)]


def add(project: Project, folder: Path, numbers: range) -> None:
    for number in numbers:
        write_audio(folder / f"{number}.wav", np.full(1600, number / 200, np.float32), 16_000)
    assert add_takes(project, ["hey lamp"], folder) == len(numbers)


def test_long_recordings_are_cut_to_their_loudest_part(tmp_path: Path) -> None:
    """Three seconds, with the word in the last: a clip has 1.5 s, and training takes its beginning."""
    project, audio = Project(tmp_path / "project"), np.zeros(48_000, np.float32)
    audio[36_000:44_000] = 0.5 * np.sin(np.arange(8000))
    (tmp_path / "takes").mkdir()
    write_audio(tmp_path / "takes" / "late.wav", audio, 16_000)
    (tmp_path / "takes" / "damaged.wav").write_bytes(b"RIFF")
    notes: list[str] = []
    assert add_takes(project, ["hey lamp"], tmp_path / "takes", notes.append) == 1
    assert add_takes(project, ["hey lamp"], tmp_path / "takes") == 0
    (note,) = notes
    assert note.startswith(f"left out: {tmp_path / 'takes' / 'damaged.wav'}")
    (path,) = (project.recordings / "hey lamp").iterdir()
    kept, rate = read_audio(path)
    assert (len(kept), rate) == (24_000, 16_000)
    assert np.square(kept).sum() == pytest.approx(np.square(audio).sum(), rel=1e-3)


def test_recordings_of_people_count_beside_the_voices(tmp_path: Path) -> None:
    """With 40 clips by voices, the recordings for training are half as many, however few there are."""
    project, request = Project(tmp_path / "lamp"), Request(("hey lamp",), n_voices=40)
    for voice in range(40):
        write_audio(project.recordings / "hey lamp" / f"voice{voice}_nohash_0.wav", np.zeros(1600, np.float32), 16_000)
    add(project, tmp_path / "takes", range(1, 13))
    for _ in range(2):  # the second time changes nothing
        weigh_takes(project, request)
        names = [path.name.partition("_nohash_")[0] for path in (project.recordings / "hey lamp").iterdir()]
        counts = Counter(name for name in names if name.startswith(TAKE))
        of_set = Counter[str]()
        for name, count in counts.items():
            kind = which_set(name, DataConfig().validation_percent, DataConfig().testing_percent)
            assert count == 1 or kind == "training"
            of_set[kind] += count
        assert len(counts) == 12
        assert 15 <= of_set["training"] <= 25
    add(project, tmp_path / "more", range(13, 100))
    weigh_takes(project, request)
    assert len(list((project.recordings / "hey lamp").glob(f"{TAKE}*"))) == 99  # enough, so that each is there once


@pytest.mark.parametrize("said", [(), ("a theena",), ("a theena", "[[ɐθˈiːnɐ]]")])
def test_ways_to_say_the_phrase_share_its_clips(tmp_path: Path, said: tuple[str, ...]) -> None:
    """As it is spelled, and as guessed or as the user says, each equally often."""
    project = Project(tmp_path)
    request = Request(("athena",), engine="espeak-ng", n_voices=60, n_near_misses=0, said=said)
    speak_phrases(project, request, lambda _: None, lambda _: None)
    names = [path.name for path in (project.recordings / "athena").iterdir()]
    n_ways = len(said) or len(pronunciations("athena", "en"))
    n_usual = n_each = 60 // (1 + n_ways)
    counts = [sum(f"_nohash_said{number}-" in name for name in names) for number in range(1, n_ways + 1)]
    assert counts == [n_each] * n_ways
    assert len(names) == n_usual + n_ways * n_each
    assert {path.name for path in project.recordings.iterdir()} == {"athena", "_background_noise_"}


def test_spellings_are_of_one_phrase() -> None:
    with pytest.raises(ConfigError, match="`said` are spellings of one phrase, got several"):
        Request(("hey lamp", "athena"), said=("uthena",))


def test_long_copies_of_an_earlier_version_are_cut(tmp_path: Path) -> None:
    """They were whole files, and repeated; what is short or whole on purpose stays as it is."""
    project, request = Project(tmp_path / "project"), Request(("hey lamp",))
    folder, audio = project.recordings / "hey lamp", np.zeros(48_000, np.float32)
    audio[36_000:44_000] = 0.5 * np.sin(np.arange(8000))
    for number in range(3):
        write_audio(folder / f"{TAKE}abc_nohash_{number}.flac", audio, 16_000)
    write_audio(folder / f"{TAKE}short_nohash_0.wav", audio[30_000:], 16_000)
    write_audio(folder / "voice_nohash_0.wav", audio, 16_000)
    write_audio(project.recordings / FALSE_ACCEPTS / f"{TAKE}def_nohash_0.wav", audio, 16_000)
    assert cut_long_copies(project, request) == 2
    assert cut_long_copies(project, request) == 0
    assert sorted(path.name for path in folder.iterdir()) == [
        f"{TAKE}abc_nohash_0.wav", f"{TAKE}short_nohash_0.wav", "voice_nohash_0.wav",
    ]  # fmt: skip
    for path in (folder / f"{TAKE}abc_nohash_0.wav", project.recordings / FALSE_ACCEPTS / f"{TAKE}def_nohash_0.wav"):
        kept, rate = read_audio(path)
        assert (len(kept), rate) == (24_000, 16_000)
        assert np.square(kept).sum() == pytest.approx(np.square(audio).sum(), rel=1e-3)


def test_a_long_copy_is_kept_until_its_part_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    project = Project(tmp_path / "project")
    path = project.recordings / "hey lamp" / f"{TAKE}abc_nohash_0.flac"
    write_audio(path, np.zeros(48_000, np.float32), 16_000)
    monkeypatch.setattr("wordspot.wakeword.takes.write_audio", full)
    with pytest.raises(OSError, match="No space left"):
        cut_long_copies(project, Request(("hey lamp",)))
    assert path.is_file()


def test_negatives_in_other_languages() -> None:
    """Of texts that are not known to exist, the nearest are how people say the phrase itself."""
    german = set(other_texts(Request(("hallo Lampe",), language="de", n_near_misses=60)))
    assert {"hallo rampe", "halle lampe", "hallo", "lampe", "hey rhasspy"} <= german
    assert not {"hallu lampe", "hallo lambe"} & german
    chinese = other_texts(Request(("小爱同学",), language="zh", n_near_misses=60))
    assert {"小爱通学", "同学", "小度小度"} <= set(chinese)
