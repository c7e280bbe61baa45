"""The teacher leaves out clips. Here it is a spectrum; the phrase is dark noise, everything else bright noise."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch")

from support.teacher import OTHER, PHRASE, spectrum, write_hiss
from wordspot.audio.files import write_audio
from wordspot.errors import WordspotError
from wordspot.wakeword import checking
from wordspot.wakeword.checking import check_recordings, judge_recordings, restore, what_was_left_out
from wordspot.wakeword.project import Project, Request
from wordspot.wakeword.takes import FALSE_ACCEPTS, add_false_accepts, add_takes, weigh_takes
from wordspot.wakeword.teacher import BATCH, N_SAMPLES, Sound, encode_sounds, open_encoder, read_sound

REQUEST = Request(("hey lamp",), n_voices=100)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """100 clips of the phrase, one with another sound; 100 of others; four takes and two false accepts, one of each wrong."""
    made = Project(tmp_path / "lamp")
    for number in range(100):
        name = f"voice{number}_nohash_p100-0.wav"
        write_hiss(made.recordings / "hey lamp" / name, OTHER if number == 7 else PHRASE, number)
        write_hiss(made.recordings / "hey ramp" / name, OTHER, 1000 + number)
    for number in range(4):
        write_hiss(tmp_path / "takes" / f"{number}.wav", OTHER if number == 3 else PHRASE, 200 + number)
    for number in range(2):
        write_hiss(tmp_path / "woke" / f"{number}.wav", PHRASE if number else OTHER, 300 + number)
    assert add_takes(made, ["hey lamp"], tmp_path / "takes") == 4
    assert add_false_accepts(made, tmp_path / "woke") == 2
    return made


def left_out(project: Project) -> list[str]:
    return sorted(path.name for path in project.left_out.glob("*/*"))


def test_what_is_wrong_is_left_out_and_named(project: Project, tmp_path: Path) -> None:
    notes = list[str]()
    judge_recordings(project, REQUEST, spectrum, lambda _: None, notes.append)
    names = left_out(project)
    assert [name for name in names if name.startswith("voice")] == ["voice7_nohash_p100-0.wav"]
    assert len([name for name in names if name.startswith("take")]) == 2
    assert [note.split(" of ")[0] for note in notes] == ["the teacher classifies 99.5 %"]  # 199 of 200 clips by voices
    voices, takes, wrong = what_was_left_out(project, REQUEST)
    assert voices.startswith("1 clips by voices were left out, since the teacher does not detect the phrase in them: ")
    assert takes.startswith("1 recordings of people were left out")
    assert wrong.startswith("1 false accepts were left out, since the teacher detects the phrase in them")
    assert FALSE_ACCEPTS in wrong

    weigh_takes(project, REQUEST)
    kept = {path.name.partition("_nohash_")[0] for path in (project.recordings / "hey lamp").glob("take-*.wav")}
    assert len(kept) == 3
    assert add_takes(project, ["hey lamp"], tmp_path / "takes") == 0  # what was left out is not new
    restore(project)
    assert left_out(project) == []


def test_a_teacher_that_classifies_too_few_clips_correctly_is_not_used(project: Project) -> None:
    for number, path in enumerate(sorted((project.recordings / "hey ramp").iterdir())):
        if number % 4 == 0:
            write_hiss(path, PHRASE, 2000 + number)
    notes = list[str]()
    judge_recordings(project, REQUEST, spectrum, lambda _: None, notes.append)
    assert notes[0].endswith("it has learned from: too few, so nothing is left out; more clips help")
    assert left_out(project) == []


def test_a_recording_that_cannot_be_read_stays_where_it_is(project: Project) -> None:
    damaged = project.recordings / "hey lamp" / "take-damaged_nohash_0.wav"
    damaged.write_bytes(b"RIFF, but no more")
    notes = list[str]()
    judge_recordings(project, REQUEST, spectrum, lambda _: None, notes.append)
    assert damaged.is_file()
    assert "voice7_nohash_p100-0.wav" in left_out(project)
    assert len(notes) == 1


def test_a_damaged_teacher_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(*_: object, **__: object) -> None:
        raise RuntimeError("Unsupported model binary version")

    monkeypatch.setitem(sys.modules, "faster_whisper", SimpleNamespace(WhisperModel=damaged))
    with pytest.raises(WordspotError, match=r"cannot load the teacher \(Unsupported .*; run: wordspot download teacher --force"):
        open_encoder(tmp_path)


def test_what_is_joined_from_sentences_is_not_judged(project: Project) -> None:
    for number in range(60):
        write_hiss(project.recordings / "hey lamp" / f"1272_nohash_people{number}.wav", OTHER, 2000 + number)
    notes = list[str]()
    judge_recordings(project, REQUEST, spectrum, lambda _: None, notes.append)
    assert "of 200 clips by voices" in notes[0]
    assert not [name for name in left_out(project) if "people" in name]


def test_without_near_misses_nothing_is_judged(project: Project) -> None:
    for path in (project.recordings / "hey ramp").iterdir():
        path.unlink()
    judge_recordings(project, REQUEST, spectrum, lambda _: None, pytest.fail)
    assert left_out(project) == []


def test_without_the_teacher_nothing_is_left_out(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORDSPOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("WORDSPOT_TEACHER", raising=False)
    (project.left_out / "hey lamp").mkdir(parents=True)
    (project.left_out / "hey lamp" / "earlier.wav").touch()
    check_recordings(project, REQUEST, lambda _: None, pytest.fail)
    assert left_out(project) == []
    assert (project.recordings / "hey lamp" / "earlier.wav").is_file()


def test_the_teacher_without_its_package(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = list[str]()
    monkeypatch.setattr(checking, "find_teacher", lambda: tmp_path)
    monkeypatch.setattr(checking.importlib.util, "find_spec", lambda name: None)
    check_recordings(project, REQUEST, lambda _: None, notes.append)
    assert notes == [
        f'the teacher in {tmp_path} is not used, since faster-whisper is not installed; run: pip install "wordspot[teacher]"'
    ]


def test_what_cannot_be_read_is_left_out_of_a_batch(tmp_path: Path) -> None:
    """The only clip of the last batch is damaged; then all are."""
    paths = [tmp_path / f"{number}.wav" for number in range(BATCH + 1)]
    for number, path in enumerate(paths):
        write_hiss(path, PHRASE, number)
    paths[-1].write_bytes(b"RIFF, but no more")
    values, readable = encode_sounds(sounds_of(paths), spectrum, lambda _: None)
    assert len(values) == BATCH
    assert readable.tolist() == list(range(BATCH))
    values, readable = encode_sounds(sounds_of(paths[-1:]), spectrum, lambda _: None)
    assert len(values) == len(readable) == 0


def test_each_clip_has_its_own_frames(tmp_path: Path) -> None:
    """More clips than a batch holds; the loudest band is that of each clip's tone, whatever its level and length."""
    hertz = np.tile([1250.0, 3250.0, 5250.0], BATCH)
    paths = [tmp_path / f"{number}.wav" for number in range(len(hertz))]
    for number, path in enumerate(paths):
        tone = 10 ** -(number % 4) * np.sin(2 * np.pi * hertz[number] * np.arange(8_000 * (1 + number % 5)) / 16_000)
        write_audio(path, (0.3 * tone).astype(np.float32), 16_000)
    done = list[int]()
    paths.insert(1, tmp_path / "damaged.wav")
    paths[1].write_bytes(b"RIFF, but no more")
    values, readable = encode_sounds(sounds_of(paths), spectrum, lambda step: done.append(step.done))
    assert readable.tolist() == [0, *range(2, len(paths))]
    assert values.shape == (len(hertz), 320)
    assert done == [BATCH, 2 * BATCH, 3 * BATCH, len(paths)]
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-5)
    bands = values[:, [25, 65, 105]]  # 50 Hz each
    assert (bands.argmax(axis=1) == np.tile([0, 1, 2], BATCH)).all()


def test_a_clip_is_encoded_alike_beside_others_and_at_any_level() -> None:
    rng = np.random.default_rng(0)
    given = list[np.ndarray]()

    def encode(clips: np.ndarray) -> np.ndarray:
        given.extend(clips)
        return spectrum(clips)

    clips = [rng.standard_normal(size).astype(np.float32) for size in (3_000, 24_000, 40_000)]
    encode_sounds([lambda: clips[0], lambda: clips[1], lambda: clips[0] / 100, lambda: clips[2]], encode, lambda _: None)
    np.testing.assert_allclose(given[2], given[0], atol=1e-6)
    assert [float(np.abs(one).max()) for one in given] == pytest.approx([0.5] * 4)
    assert not given[0][:1600].any()
    assert not given[0][4600:].any()
    assert not given[3][25_600:].any()  # the beginning of what is longer than a clip


def sounds_of(paths: list[Path]) -> list[Sound]:
    return [functools.partial(read_sound, path) for path in paths]


def test_the_encoder_gives_two_frames_of_the_spectrum_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Whisper:
        """As faster-whisper: a spectrum every 10 ms, of which the last is cut off, and frames of 20 ms."""

        def __init__(self, *_: object, **__: object) -> None:
            pass

        def feature_extractor(self, audio: np.ndarray, padding: int) -> np.ndarray:
            assert padding == 0
            return np.zeros((80, len(audio) // 160 + 1), np.float32)

        def encode(self, bands: np.ndarray) -> np.ndarray:
            return np.zeros((len(bands), bands.shape[2] // 2, 512), np.float32)

    monkeypatch.setitem(sys.modules, "faster_whisper", SimpleNamespace(WhisperModel=Whisper))
    assert open_encoder(tmp_path)(np.zeros((3, N_SAMPLES), np.float32)).shape == (3, N_SAMPLES // 320, 512)
