"""Synthetic voices: which ones there are, who speaks, and what the clips sound like, by measure."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import hashlib
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wordspot.audio.files import read_audio, read_info
from wordspot.audio.noise import coloured_noise, mains_hum
from wordspot.audio.samples import Samples
from wordspot.audio.speech import trim
from wordspot.commands import speak
from wordspot.config import DataConfig
from wordspot.data.folders import hash_name, list_recordings
from wordspot.data.split import split_noise, which_set
from wordspot.data.voices import Engine, Voice, draw_voices, find_engines, make_noise, programs, speak_words
from wordspot.data.voices import find as find_module
from wordspot.data.voices.babble import SENTENCES, split_sentence
from wordspot.data.voices.clips import place
from wordspot.data.voices.engine import INTONATION, PITCH, RATE, Manners
from wordspot.data.voices.espeak import Espeak, find_espeak
from wordspot.data.voices.variants import parse_variant, read_variants, why_no_person
from wordspot.errors import ConfigError, DataError, MissingExtraError, WordspotError

RATE_HZ = 16_000
SPEECH_COMMANDS = [
    "backward",
    "bed",
    "bird",
    "cat",
    "dog",
    "down",
    "eight",
    "five",
    "follow",
    "forward",
    "four",
    "go",
    "happy",
    "house",
    "learn",
    "left",
    "marvin",
    "nine",
    "no",
    "off",
    "on",
    "one",
    "right",
    "seven",
    "sheila",
    "six",
    "stop",
    "three",
    "tree",
    "two",
    "up",
    "visual",
    "wow",
    "yes",
    "zero",
]


class ToneEngine:
    """An engine that needs nothing installed: a word is a tone as long as its letters, between two silences."""

    name = "tone"
    manners = Manners()
    concurrent = False

    def __init__(self, n_speakers: int = 12, seconds_per_letter: float = 0.1) -> None:
        self.n_speakers = n_speakers
        self.seconds_per_letter = seconds_per_letter
        self.asked: list[tuple[str, Voice]] = []

    def voices(self, language: str) -> list[Voice]:
        if language != "en":
            return []
        return [
            Voice("tone", f"tone-{n}", f"{n}{mood}", accent)
            for n in range(self.n_speakers)
            for mood in ("", "b")
            for accent in ("en-us", "en-gb")
        ]

    def languages(self) -> list[str]:
        return ["en"]

    def reads(self, text: str, language: str) -> bool:
        return text.isascii()

    def reset(self) -> None:
        self.asked.clear()

    def speak(self, text: str, voice: Voice, seed: int = 0) -> tuple[Samples, int]:
        self.asked.append((text, voice))
        n = int(8000 * self.seconds_per_letter * sum(c.isalpha() for c in text) / voice.rate)
        tone = 0.5 * np.sin(2 * np.pi * 300 * voice.pitch * np.arange(n) / 8000)
        return np.concatenate([np.zeros(800), tone, np.zeros(2400)]).astype(np.float32), 8000


@pytest.fixture
def espeak() -> Espeak:
    engine = find_espeak()
    if engine is None:
        pytest.skip('espeak-ng is not here; pip install "wordspot[voices]"')
    return engine


@pytest.fixture(params=["flite", "festival"])
def program_engine(request: pytest.FixtureRequest) -> Engine:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not on the PATH")
    return find_engines(request.param)[request.param]


def speak_tones(out: Path, words: list[str], engine: ToneEngine | None = None, **options: object) -> list[object]:
    engine = engine or ToneEngine()
    arguments = {"per_word": 10, "seed": 1, "engines": {"tone": engine}, **options}
    return list(speak_words(words, out, **arguments))  # type: ignore[arg-type]


def digests(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): hashlib.md5(p.read_bytes()).hexdigest() for p in folder.rglob("*.wav")}


def rms_db(audio: Samples) -> float:
    return float(10 * np.log10(np.mean(np.square(audio, dtype=np.float64)) + 1e-20))


def median_pitch(audio: Samples, rate: int) -> float:
    """Hz, by autocorrelation over the loud 40 ms windows: a measure that knows nothing of the synthesis."""
    window, hop = int(0.04 * rate), int(0.01 * rate)
    taper = np.hamming(window)
    frames = np.lib.stride_tricks.sliding_window_view(audio, window)[::hop] * taper
    energy = np.square(frames).sum(axis=1)
    lags = np.arange(rate // 400, rate // 60)
    pitches = []
    for frame in frames[energy > 0.2 * energy.max()]:
        # Divided by the taper's own, so that long lags are not at a disadvantage.
        correlation = (np.correlate(frame, frame, "full") / np.correlate(taper, taper, "full"))[window - 1 :]
        here, before, after = correlation[lags], correlation[lags - 1], correlation[lags + 1]
        peaks = lags[(here >= before) & (here >= after) & (here > 0.9 * here.max())]
        if len(peaks):
            pitches.append(rate / peaks[0])
    return float(np.median(pitches))


# --- which variants are people -----------------------------------------------------------------------------------------


def test_a_variant_file_is_parsed() -> None:
    text = """// a comment
    language variant
    name  Someone 7
    gender female 30
    pitch 140 220   // Hz
    formant 1  110 80 160
    formant 2 135 70 150 -250
    ## formant 3 1 1 1
    breath 0 2 3
    klatt
    """
    assert parse_variant(text) == {
        "pitch": (140, 220),
        "formant1": (110, 80, 160),
        "formant2": (135, 70, 150, -250),
        "breath": (0, 2, 3),
    }


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("fast_test2 1", "nothing of the timbre"),
        ("pitch 43 120", "lowest pitch"),
        ("pitch 240 390", "highest pitch"),
        ("pitch 150 150", "one note"),
        ("pitch 204 176", "one note"),
        ("voicing 17", "voicing"),
        ("voicing 530", "voicing"),
        ("klatt 1", "Klatt"),
        ("tone 600 170\necho 10 10000", "echo"),
        ("pitch 80 120\nflutter 20", "flutter"),
        ("pitch 80 120\nroughness 5", "roughness"),
        ("pitch 80 120\nconsonants 194 255", "unvoiced consonants"),
        ("pitch 80 120\nconsonants 100 255", "voiced consonants"),
        ("pitch 80 120\nintonation 10", "intonation"),
        ("pitch 80 120\nbreath 75 75 50", "breath"),
        ("pitch 80 120\nstressAdd 250 350 700", "stretched"),
        ("formant 3 200 100 100", "formant 3 at 2.00"),
        ("formant 3 0 0 0", "formant 3 of strength 0"),
        ("formant 1 40 80 100", "formant 1 at 0.40"),
        ("formant 2 100 100 100 900", "formant 2 at 1.60"),
        ("formant 1 90\nformant 2 139\nformant 3 130", "differ more"),
    ],
)
def test_what_no_person_sounds_like_is_named(text: str, why: str) -> None:
    assert why in str(why_no_person(parse_variant(text)))


@pytest.mark.parametrize(
    "text",
    [
        "pitch 82 118",
        "klatt 6",
        "formant 1 110 80 160\nformant 2 110 70 150\nformant 3 110 70 150\npitch 142 220\necho 140 10",
        "formant 1 80 85 130 40\nformant 2 80 85 130 310",  # a shift in Hz makes up for the factor
    ],
)
def test_plain_voices_are_people(text: str) -> None:
    assert why_no_person(parse_variant(text)) is None


@given(st.text(alphabet=st.sampled_from("formant 123voicepitchecho\n.-#/naif0")) | st.text())
@settings(max_examples=200, deadline=None)
@pytest.mark.slow
def test_any_variant_file_is_judged(text: str) -> None:
    assert why_no_person(parse_variant(text)) is None or why_no_person(parse_variant(text))


def test_speakers_share_a_throat(tmp_path: Path) -> None:
    files = {
        "Ann": "pitch 200 250\nformant 1 110 80 150",
        "Ann2": "pitch 180 240\nformant 1 110 60 150\nvoicing 120",
        "Bo B": "pitch 80 110\nformant 1 95 80 150",
        "klatt6": "klatt 6\nformant 1 95 80 150",
        "robot": "echo 10 10000\nformant 1 95 80 150",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert {v.name: v.speaker for v in read_variants(tmp_path)} == {
        "Ann": "ann",
        "Ann2": "ann",
        "Bo B": "bo-b",
        "klatt6": "klatt6",
    }


def test_espeaks_people_stay_and_its_robots_go(espeak: Espeak) -> None:
    names = {voice.variant for voice in espeak.voices("en")}
    assert {"f1", "f2", "f3", "f4", "f5", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "Annie", "steph"} <= names
    novelties = {"robosoft", "robosoft6", "UniRobot", "anikaRobot", "Demonic", "whisper", "whisperf", "croak", "caleb"}
    assert not names & (novelties | {"Tweaky", "zac", "fast", "RicishayMax", "klatt", "Andy", "iven", "AnxiousAndy"})
    assert len(names) >= 40


def test_espeaks_speakers_spread_over_the_sets(espeak: Espeak) -> None:
    speakers = {voice.speaker for voice in espeak.voices("en")}
    shares = Counter(which_set(f"{speaker}_nohash_x.wav", 10, 10) for speaker in speakers)
    assert len(speakers) >= 35
    assert min(shares["validation"], shares["testing"]) >= 4
    assert shares["training"] >= 0.7 * len(speakers)


# --- languages ---------------------------------------------------------------------------------------------------------


def test_a_language_brings_all_its_accents(espeak: Espeak) -> None:
    def accents(language: str) -> set[str]:
        return {voice.accent for voice in espeak.voices(language)}

    assert accents("en") >= {"en", "en-us", "en-gb-scotland", "en-gb-x-rp", "en-029"}
    assert "en-shaw" not in accents("en")  # reads the Shavian alphabet
    assert accents("en-us") == {"en-us", "en-us-nyc"}
    assert accents("zh") == {"cmn"}  # and not Cantonese, nor a transcription
    assert accents("yue") == {"yue"}
    assert accents("DE") == {"de"}
    assert accents("fr") == {"fr", "fr-be", "fr-ch"}
    assert accents("xx") == set()


def test_letters_of_another_language_are_rejected(espeak: Espeak, tmp_path: Path) -> None:
    options = {"per_word": 2, "seed": 0, "engines": {"espeak-ng": espeak}}
    with pytest.raises(DataError, match=r"汪汪叫.*'en'.*`language` cmn, yue, zh"):
        speak_words(["汪汪叫"], tmp_path / "out", **options)
    with pytest.raises(DataError, match="CYRILLIC"):
        speak_words(["да"], tmp_path / "out", **options)
    spoken = speak_words(["汪汪叫"], tmp_path / "out", language="zh", **options)
    assert spoken[0].folder == "汪汪叫"
    assert len(list((tmp_path / "out" / "汪汪叫").iterdir())) == 2


def test_a_word_without_sound_is_named(espeak: Espeak, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="',,,' comes out as silence from espeak-ng"):
        speak_words([",,,"], tmp_path / "out", per_word=2, seed=0, engines={"espeak-ng": espeak})
    assert not any(tmp_path.iterdir())


def test_an_unknown_language_says_which_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'tlh'; expected one of en$"):
        speak_tones(tmp_path / "out", ["yes"], language="tlh")


# --- who speaks --------------------------------------------------------------------------------------------------------


def test_every_speaker_comes_once_before_any_comes_twice() -> None:
    drawn = draw_voices([ToneEngine(n_speakers=7)], "en", 17, np.random.default_rng(0))
    speakers = [voice.speaker for voice in drawn]
    assert len(set(speakers[:7])) == len(set(speakers[7:14])) == 7
    assert len(set(speakers[14:])) == 3
    assert {voice.accent for voice in drawn} == {"en-us", "en-gb"}


def test_draws_stay_in_their_bounds_and_follow_the_generator() -> None:
    drawn = draw_voices([ToneEngine()], "en", 300, np.random.default_rng(5))
    for name, (low, high) in (("pitch", PITCH), ("rate", RATE), ("intonation", INTONATION)):
        values = [getattr(voice, name) for voice in drawn]
        assert low <= min(values) < low + 0.05
        assert high - 0.05 < max(values) <= high
    assert drawn == draw_voices([ToneEngine()], "en", 300, np.random.default_rng(5))
    assert drawn != draw_voices([ToneEngine()], "en", 300, np.random.default_rng(6))


def test_the_speaker_alone_decides_the_set(espeak: Espeak) -> None:
    sets: dict[str, set[str]] = {}
    for voice in draw_voices([espeak], "en", 400, np.random.default_rng(1)):
        name = f"yes/{voice.speaker}_nohash_{voice.manner}-007.wav"
        assert hash_name(name) == voice.speaker
        assert re.fullmatch(r"[a-z0-9-]+", voice.speaker)
        assert re.fullmatch(r"[\w-]+-p\d{3}-r\d{3}-i\d{3}", voice.manner)
        sets.setdefault(voice.speaker, set()).add(which_set(name, 10, 10))
    assert all(len(names) == 1 for names in sets.values())
    assert set.union(*sets.values()) == {"training", "validation", "testing"}


# --- trimming and placing ----------------------------------------------------------------------------------------------


def test_trimming_keeps_the_sound_and_ten_milliseconds_around_it() -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(3200) / RATE_HZ).astype(np.float32)
    speech = np.concatenate([np.zeros(1600, np.float32), tone, np.zeros(4800, np.float32)])
    assert len(trim(speech, RATE_HZ)) == 3200 + 2 * 160


def test_trimming_keeps_a_quiet_consonant_and_drops_what_is_quieter() -> None:
    rng = np.random.default_rng(0)
    vowel, tail = np.sin(np.arange(3200) * 0.2), rng.standard_normal(1600)
    quiet = np.concatenate([vowel, 0.01 * tail, np.zeros(1600)]).astype(np.float32)  # 37 dB below the vowel
    faint = np.concatenate([vowel, 0.001 * tail, np.zeros(1600)]).astype(np.float32)  # 57 dB below
    assert len(trim(quiet, RATE_HZ)) == 4800 + 160
    assert len(trim(faint, RATE_HZ)) == 3200 + 160


@pytest.mark.parametrize("silence", [np.zeros(0, np.float32), np.zeros(777, np.float32), np.full(900, 1e-6, np.float32)])
def test_silence_is_trimmed_to_nothing(silence: Samples) -> None:
    assert trim(silence, RATE_HZ).size == 0


def test_a_placed_word_is_entire_and_has_room() -> None:
    rng = np.random.default_rng(0)
    tone = np.sin(2 * np.pi * 440 * np.arange(6400) / RATE_HZ).astype(np.float32)
    starts, levels, floors = [], [], []
    for _ in range(200):
        clip = place(tone, 16_000, RATE_HZ, rng)
        assert clip.shape == (16_000,)
        assert clip.dtype == np.float32
        loud = np.flatnonzero(np.abs(clip) > 0.3 * np.abs(clip).max())
        assert loud[-1] - loud[0] == pytest.approx(6400, abs=40)
        starts.append(loud[0])
        levels.append(rms_db(clip[loud[0] : loud[-1]]))
        floors.append(rms_db(clip[:1500]))
    assert 1590 <= min(starts) < 2000  # a tenth of the clip before, as much after
    assert 7600 < max(starts) <= 8000 + 10
    assert -34.1 <= min(levels) < -32
    assert -16 < max(levels) <= -13.9
    assert -71 < min(floors) < -67
    assert -53 < max(floors) < -49


def test_no_clip_holds_digital_silence() -> None:
    clip = np.rint(32768 * place(np.ones(10, np.float32), 16_000, RATE_HZ, np.random.default_rng(3)))
    assert np.count_nonzero(clip == 0) < 0.2 * clip.size
    assert max(len(run) for run in "".join("z" if v == 0 else " " for v in clip).split()) < 12


def test_a_loud_peak_is_not_clipped() -> None:
    click = np.zeros(8000, np.float32)
    click[4000] = 1
    clips = [place(click, 16_000, RATE_HZ, np.random.default_rng(seed)) for seed in range(20)]
    assert all(0.9 < np.abs(clip).max() < 0.97 for clip in clips)


def test_of_a_word_too_long_the_loudest_part_is_kept() -> None:
    speech = np.concatenate([np.full(3000, 0.01), np.full(16_000, 0.5), np.full(2000, 0.01)]).astype(np.float32)
    clip = place(speech, 16_000, RATE_HZ, np.random.default_rng(0))
    assert clip.shape == (16_000,)
    inner = clip[100:-100]
    assert inner.min() > 0.9 * inner.max()


@given(length=st.integers(1, 3000), n_samples=st.integers(100, 2000), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_any_length_is_placed(length: int, n_samples: int, seed: int) -> None:
    clip = place(np.ones(length, np.float32), n_samples, 8000, np.random.default_rng(seed))
    assert clip.shape == (n_samples,)
    assert np.isfinite(clip).all()
    assert np.abs(clip).max() < 1


# --- a folder of words -------------------------------------------------------------------------------------------------


def test_a_folder_per_word_that_the_index_understands(tmp_path: Path) -> None:
    words: list[str] = []
    spoken = speak_words(
        ["Yes", "hey you"], tmp_path / "out", per_word=12, seed=3, engines={"tone": ToneEngine()}, progress=words.append
    )
    listing = list_recordings(tmp_path / "out")
    assert listing.words == ("hey you", "yes")
    assert Counter(clip.word for clip in listing.clips) == {"yes": 12, "hey you": 12}
    assert words == ["Yes"] * 12 + ["hey you"] * 12
    assert [(s.word, s.folder, s.n_clips, s.n_cut, len(s.speakers)) for s in spoken] == [
        ("Yes", "yes", 12, 0, 12),
        ("hey you", "hey you", 12, 0, 12),
    ]
    info = read_info(tmp_path / "out" / listing.clips[0].path)
    assert (info.sample_rate, info.n_channels, info.n_samples, info.format) == (16_000, 1, 16_000, "WAV PCM_16")


def test_rate_and_length_follow_what_is_asked(tmp_path: Path) -> None:
    speak_tones(tmp_path / "out", ["yes"], sample_rate=8000, clip_ms=1500)
    info = read_info(next((tmp_path / "out" / "yes").iterdir()))
    assert (info.sample_rate, info.n_samples) == (8000, 12_000)


def test_the_seed_decides_and_other_words_do_not(tmp_path: Path) -> None:
    speak_tones(tmp_path / "a", ["yes", "no"], seed=1)
    speak_tones(tmp_path / "b", ["no", "yes"], seed=1)
    speak_tones(tmp_path / "c", ["yes", "no"], seed=2)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert not set(digests(tmp_path / "a").values()) & set(digests(tmp_path / "c").values())


def test_a_long_word_is_spoken_faster_and_its_name_says_so(tmp_path: Path) -> None:
    engine = ToneEngine(seconds_per_letter=0.12)
    (spoken,) = speak_words(["elephants"], tmp_path / "out", per_word=20, seed=1, engines={"tone": engine})
    assert spoken.n_cut == 0
    rates = [int(re.findall(r"-r(\d+)-", p.name)[0]) / 100 for p in (tmp_path / "out" / "elephants").iterdir()]
    assert min(rates) > 9 * 0.12 / 0.98  # slower than that, it would not fit
    assert len(engine.asked) > 20


def test_the_odd_cut_clip_is_counted_and_a_word_that_never_fits_is_an_error(tmp_path: Path) -> None:
    class OneSlow(ToneEngine):
        def speak(self, text: str, voice: Voice, seed: int = 0) -> tuple[Samples, int]:
            slow = dataclasses.replace(voice, rate=0.1) if voice.speaker == "tone-3" else voice
            return super().speak(text, slow, seed)

    (spoken,) = speak_words(["yes"], tmp_path / "a", per_word=24, seed=0, engines={"tone": OneSlow()})
    assert spoken.n_cut == 2
    with pytest.raises(DataError, match=r"longer than 1000 ms however fast.*set `clip_ms` to 1\d00"):
        speak_tones(tmp_path / "b", ["supercalifragilisticexpialidocious"], ToneEngine(seconds_per_letter=0.08))
    assert not (tmp_path / "b").exists()
    speak_tones(tmp_path / "b", ["supercalifragilisticexpialidocious"], ToneEngine(seconds_per_letter=0.08), clip_ms=1800)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
@pytest.mark.parametrize("there_before", [False, True])
def test_what_breaks_off_leaves_nothing(tmp_path: Path, error: type[BaseException], there_before: bool) -> None:
    def stop(word: str) -> None:
        if word == "no":
            raise error

    if there_before:
        (tmp_path / "out" / "yes").mkdir(parents=True)
        (tmp_path / "out" / "yes" / "mine.wav").write_bytes(b"mine")
    with pytest.raises(error):
        speak_tones(tmp_path / "out", ["yes", "no"], progress=stop)
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == (["mine.wav"] if there_before else [])
    assert len(list(tmp_path.iterdir())) == there_before


def test_words_are_added_to_a_folder(tmp_path: Path) -> None:
    speak_tones(tmp_path / "out", ["yes"], seed=1)
    first = digests(tmp_path / "out")
    speak_tones(tmp_path / "out", ["yes", "no"], seed=1)
    both = digests(tmp_path / "out")
    assert first.items() <= both.items()
    assert len(both) == 2 * len(first)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["no", "yes"]


@pytest.mark.parametrize(
    "word", ["", " ", "a/b", "a\\b", "_unknown_", ".hidden", "..", "yes ", "a\nb", "a\0b", "x" * 201, "汪" * 70]
)
def test_a_word_that_is_no_folder_is_rejected(tmp_path: Path, word: str) -> None:
    with pytest.raises(ConfigError, match="a folder's name"):
        speak_tones(tmp_path / "out", [word])
    assert not any(tmp_path.iterdir())


def test_a_word_twice_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="yes more than once"):
        speak_tones(tmp_path / "out", ["yes", "no", "YES"])
    with pytest.raises(ConfigError, match="at least one word"):
        speak_tones(tmp_path / "out", [])


@pytest.mark.parametrize(
    ("option", "value"),
    [("per_word", 0), ("seed", -1), ("sample_rate", 100), ("clip_ms", 5), ("clip_ms", float("nan"))],
)
def test_a_number_out_of_range_is_named(tmp_path: Path, option: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"{option} must lie between"):
        speak_tones(tmp_path / "out", ["yes"], **{option: value})


def test_a_word_no_engine_reads_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'日本' cannot be read aloud in language 'en': CJK letters"):
        speak_tones(tmp_path / "out", ["日本"])
    with pytest.raises(DataError, match=r"'…' cannot be read aloud.*tone reads none"):
        speak_tones(tmp_path / "out", ["…"])


# --- espeak-ng ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_equal_seeds_give_equal_bytes(espeak: Espeak, tmp_path: Path) -> None:
    options = {"per_word": 45, "seed": 7, "engines": {"espeak-ng": espeak}}
    speak_words(["yes", "seven"], tmp_path / "a", **options)
    speak_words(["something", "else"], tmp_path / "other", **options)
    speak_words(["yes", "seven"], tmp_path / "b", **options)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert len(set(digests(tmp_path / "a").values())) == 90


def test_without_a_fresh_library_equal_calls_differ(espeak: Espeak) -> None:
    """What `reset` is for. Should a new espeak-ng make this fail, the private copies can go."""
    voice = next(v for v in espeak.voices("en") if v.variant == "m3")
    first, _ = espeak.speak("seven", voice)
    again, _ = espeak.speak("seven", voice)
    espeak.reset()
    fresh, _ = espeak.speak("seven", voice)
    assert not np.array_equal(first, again)
    assert np.array_equal(first, fresh)


@pytest.mark.parametrize("variant", ["m3", "m7", "f2", "steph"])
def test_pitch_and_rate_do_what_they_say(espeak: Espeak, variant: str) -> None:
    voice = next(v for v in espeak.voices("en-us") if v.variant == variant)
    usual, rate = espeak.speak("marvellous wonder", voice)
    high, _ = espeak.speak("marvellous wonder", dataclasses.replace(voice, pitch=1.25))
    # espeak-ng scales a speaker's base pitch; the moving part on top stays, so the whole moves a little less.
    assert 1.1 < median_pitch(high, rate) / median_pitch(usual, rate) < 1.3
    slow, _ = espeak.speak("marvellous wonder", dataclasses.replace(voice, rate=0.6))
    assert 1.3 < len(trim(slow, rate)) / len(trim(usual, rate)) < 2


def test_the_womens_voices_are_higher_than_the_mens(espeak: Espeak) -> None:
    """A man's voice lies near 100 Hz, a woman's near 200."""
    pitches = {}
    for voice in espeak.voices("en-us"):
        if voice.accent == "en-us" and re.fullmatch(r"[fm]\d", voice.variant):
            pitches[voice.variant] = median_pitch(*espeak.speak("marvellous wonder", voice))
    assert len(pitches) == 13
    assert min(p for v, p in pitches.items() if v[0] == "f") > max(p for v, p in pitches.items() if v[0] == "m")


@pytest.mark.slow
def test_clips_sound_like_entire_words(espeak: Espeak, tmp_path: Path) -> None:
    """Length, level and spectrum by measure; nothing touches the clip's ends, so nothing is cut off."""
    words = {"six": 60, "no": 60, "happy": 60, "backward": 60}
    speak_words(list(words), tmp_path / "out", per_word=60, seed=0, engines={"espeak-ng": espeak})
    hiss = {}
    for word in words:
        seconds, shares = [], []
        for path in (tmp_path / "out" / word).iterdir():
            clip, _ = read_audio(path)
            assert clip.shape == (16_000,)
            assert np.abs(clip).max() < 0.97
            assert max(rms_db(clip[:200]), rms_db(clip[-200:])) < -48  # the noise floor is at most -50
            power = np.square(clip.reshape(-1, 160)).mean(axis=1)
            loud = np.flatnonzero(power > power.max() * 10**-2.5)
            seconds.append((loud[-1] - loud[0] + 1) / 100)
            spectrum = np.square(np.abs(np.fft.rfft(clip)))
            shares.append(spectrum[4000:].sum() / spectrum.sum())
        hiss[word] = float(np.median(shares))
        # Recordings by people have medians from 0.42 s (no) to 0.49 s (happy).
        assert 0.3 < np.median(seconds) < 0.75
        assert np.percentile(seconds, 90) > 1.2 * np.percentile(seconds, 10)
    assert hiss["six"] > 3 * hiss["no"]


def test_ctrl_c_within_the_library_is_not_lost(espeak: Espeak) -> None:
    voice = espeak.voices("en")[0]
    espeak.speak("warm up", voice)
    library = espeak._library
    assert library is not None

    class Interrupting(list[bytes]):
        def append(self, _: bytes) -> None:
            raise KeyboardInterrupt

    original = library._take

    def interrupt(samples: object, count: int, events: int | None) -> int:
        library._chunks = Interrupting()
        return original(samples, count, events)  # type: ignore[arg-type]

    library._take = interrupt  # type: ignore[method-assign]
    library._callback = type(library._callback)(library._take)
    library._call.espeak_SetSynthCallback(library._callback)
    with pytest.raises(KeyboardInterrupt):
        espeak.speak("one two three", voice)


def test_data_in_a_deep_folder_is_found(espeak: Espeak, tmp_path: Path) -> None:
    """espeak-ng holds its data's path in 160 bytes."""
    deep = tmp_path.joinpath(*["a-rather-long-name-of-a-folder"] * 7)
    deep.mkdir(parents=True)
    (deep / "espeak-ng-data").symlink_to(espeak._data, target_is_directory=True)
    moved = Espeak(espeak._path, deep / "espeak-ng-data")
    audio, rate = moved.speak("yes", moved.voices("en")[0])
    assert rate == 22_050
    assert 0.1 < len(trim(audio, rate)) / rate < 1


def test_a_library_that_does_not_load_is_one_line(espeak: Espeak, tmp_path: Path) -> None:
    (tmp_path / "libespeak-ng.so").write_bytes(b"not a library")
    broken = Espeak(tmp_path / "libespeak-ng.so", espeak._data)
    with pytest.raises(WordspotError, match="does not load here"):
        broken.speak("yes", broken.voices("en")[0])
    with pytest.raises(WordspotError, match="no voice 'en-mars'"):
        espeak.speak("yes", Voice("espeak-ng", "x", "f1", "en-mars"))


# --- flite and festival ------------------------------------------------------------------------------------------------


def test_programs_speak(program_engine: Engine) -> None:
    voices = program_engine.voices("en")
    assert {voice.speaker for voice in voices} & {"festvox-kal", "festvox-slt"}
    assert program_engine.voices("de") == []
    voice = next(v for v in voices if v.speaker == "festvox-kal")  # one man in either engine
    usual, rate = program_engine.speak("marvellous wonder", voice)
    slow, _ = program_engine.speak("marvellous wonder", dataclasses.replace(voice, rate=0.7))
    high, _ = program_engine.speak("marvellous wonder", dataclasses.replace(voice, pitch=1.25))
    assert 1.2 < len(trim(slow, rate)) / len(trim(usual, rate)) < 1.7
    assert 1.1 < median_pitch(high, rate) / median_pitch(usual, rate) < 1.4


@pytest.mark.parametrize("text", ['") (quit)', "$(touch gone); `touch gone`", "-o gone", "'\"\\"])
def test_programs_take_any_text_as_text(
    program_engine: Engine, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    program_engine.speak(text + " yes", program_engine.voices("en")[0])
    assert not any(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")
@pytest.mark.parametrize(
    ("printed", "names"),
    [
        ("Warning: no default voice found\nnil", []),
        ("", []),
        ("Warning: no lexicon\n(kal_diphone)", ["kal_diphone"]),
        ("(cmu_us_slt_arctic kal_diphone)\nWarning: no rab_diphone", ["cmu_us_slt_arctic", "kal_diphone"]),
    ],
)
def test_festival_may_warn_around_its_voices(printed: str, names: list[str], tmp_path: Path) -> None:
    program = tmp_path / "festival"
    program.write_text(f"#!/bin/sh\ncat << END\n{printed}\nEND\n", encoding="utf-8")
    program.chmod(0o755)
    assert [voice.variant for voice in programs.Festival(str(program), "text2wave").voices("en")] == names


def test_programs_read_english_only(program_engine: Engine, tmp_path: Path) -> None:
    assert not program_engine.reads("汪汪叫", "en")
    assert not program_engine.reads("...", "en")
    assert program_engine.reads("7", "en")


def fake_program(folder: Path, script: str) -> str:
    path = folder / "flite"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exec sleep 5", "took longer than 0.2 s"),
        ("echo no such voice >&2; exit 3", r"failed \(no such voice\)"),
        ("exit 0", "wrote no sound"),
    ],
)
def test_a_program_that_fails_is_one_line(script: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_TIMEOUT_S", 0.2)
    engine = programs.Flite(fake_program(tmp_path, script))
    with pytest.raises(WordspotError, match=message):
        engine.speak("yes", Voice("flite", "festvox-slt", "slt", "en-us"))


def test_voices_are_named_after_the_people_who_were_recorded(tmp_path: Path) -> None:
    engine = programs.Flite(fake_program(tmp_path, "echo 'Voices available: kal awb_time kal16 awb slt odd'"))
    assert [(v.variant, v.speaker, v.accent) for v in engine.voices("en")] == [
        ("awb", "festvox-awb", "en-gb-scotland"),
        ("kal16", "festvox-kal", "en-us"),
        ("odd", "festvox-odd", "en-us"),
        ("slt", "festvox-slt", "en-us"),
    ]
    assert [v.variant for v in engine.voices("en-gb")] == ["awb"]


# --- which engines -----------------------------------------------------------------------------------------------------


def test_no_engine_at_all_says_how_to_install_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find_module, "_FINDERS", {"espeak-ng": lambda: None, "flite": lambda: None})
    with pytest.raises(MissingExtraError, match=r'pip install "wordspot\[voices\]"'):
        find_engines()
    with pytest.raises(MissingExtraError, match=r'pip install "wordspot\[voices\]"'):
        find_engines("espeak-ng")
    with pytest.raises(MissingExtraError, match="flite is not on the PATH"):
        find_engines("flite")
    with pytest.raises(ConfigError, match="there is no engine 'hal'; name espeak-ng, flite, kokoro, piper or all"):
        find_engines("hal")


def test_only_the_wanted_engine_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    tone = ToneEngine()
    monkeypatch.setattr(find_module, "_FINDERS", {"a": lambda: None, "b": lambda: tone, "c": lambda: 1 / 0})
    assert find_engines("b") == {"b": tone}


# --- noise -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_the_colour_of_noise_is_its_slope(exponent: float) -> None:
    noise = coloured_noise(np.random.default_rng(0), 2**18, exponent, RATE_HZ)
    frames = noise.reshape(-1, 4096) * np.hanning(4096)
    power = np.square(np.abs(np.fft.rfft(frames))).mean(axis=0)
    frequencies = np.fft.rfftfreq(4096, 1 / RATE_HZ)
    band = (frequencies > 100) & (frequencies < 7000)
    slope = np.polyfit(np.log(frequencies[band]), np.log(power[band]), 1)[0]
    assert slope == pytest.approx(-exponent, abs=0.06)
    assert rms_db(noise) == pytest.approx(0, abs=0.01)


def test_hum_stands_on_the_mains_frequency() -> None:
    bases = set()
    for seed in range(8):
        spectrum = np.square(np.abs(np.fft.rfft(mains_hum(np.random.default_rng(seed), RATE_HZ * 4, RATE_HZ))))
        base = np.argmax(spectrum) / 4
        bases.add(base)
        lines = [spectrum[int(4 * base * k) - 8 : int(4 * base * k) + 9].sum() for k in range(1, 21)]
        assert sum(lines) > 0.9 * spectrum.sum()
    assert bases == {50.0, 60.0}


def test_the_sentences_hold_no_speech_command() -> None:
    spoken = {word for sentence in SENTENCES for word in split_sentence(sentence)}
    assert not spoken & set(SPEECH_COMMANDS)
    assert len(spoken) > 120
    assert "market" in spoken


@pytest.mark.slow
def test_a_noise_folder_for_all_sets(tmp_path: Path) -> None:
    engine = ToneEngine(n_speakers=40, seconds_per_letter=0.02)
    paths = make_noise(tmp_path, seed=0, seconds=21, engines={"tone": engine}, avoid=["Kettle", "sister"])
    names = ["babble.wav", "brown_noise.wav", "mains_hum.wav", "pink_noise.wav", "white_noise.wav"]
    assert sorted(path.name for path in paths) == names
    lengths = []
    for path in paths:
        noise, _ = read_audio(path)
        assert rms_db(noise) == pytest.approx(-20, abs=0.05)
        assert np.abs(noise).max() <= 0.96
        lengths.append(len(noise))
    assert lengths == [21 * RATE_HZ] * 5
    talkers = {voice.speaker for _, voice in engine.asked}
    assert len(talkers) == 8
    assert {which_set(speaker, 10, 10) for speaker in talkers} == {"training"}
    assert not any("kettle" in text for text, _ in engine.asked)
    speak_tones(tmp_path, ["yes"])
    noise = list_recordings(tmp_path).noise
    parts = split_noise(noise, lengths, DataConfig(), 16_000)
    assert {name: len(stretches) for name, stretches in parts.items()} == dict.fromkeys(parts, 5)


def test_noise_is_the_same_for_the_same_seed(tmp_path: Path, espeak: Espeak) -> None:
    for name in ("a", "b"):
        make_noise(tmp_path / name, seed=4, seconds=2, engines={"espeak-ng": espeak})
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


@pytest.mark.parametrize("seconds", [0, -1, 3601, float("nan")])
def test_noise_of_no_length_is_rejected(tmp_path: Path, seconds: float) -> None:
    with pytest.raises(ConfigError, match="seconds of noise"):
        make_noise(tmp_path / "out", seed=0, seconds=seconds, engines={"tone": ToneEngine()})


# --- the command -------------------------------------------------------------------------------------------------------


def run_speak(*arguments: str) -> None:
    parser = argparse.ArgumentParser()
    speak.add_arguments(parser)
    speak.run(parser.parse_args(arguments))


def test_the_command_speaks(tmp_path: Path, espeak: Espeak, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    run_speak("yes", "no", "--out", str(out), "--per-word", "3", "--engine", "espeak-ng", "--noise", "1")
    assert f"{out}: 2 words, 6 clips by" in capsys.readouterr().out
    assert sorted(p.name for p in out.iterdir()) == ["_background_noise_", "no", "yes"]
    with pytest.raises(ConfigError, match="`force`"):
        run_speak("up", "--out", str(out), "--per-word", "3", "--engine", "espeak-ng")
    run_speak("up", "--out", str(out), "--per-word", "3", "--engine", "espeak-ng", "--force")
    assert len(digests(out)) == 9 + 5


def test_the_command_says_what_was_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class OneSlow(ToneEngine):
        def speak(self, text: str, voice: Voice, seed: int = 0) -> tuple[Samples, int]:
            return super().speak(text, dataclasses.replace(voice, rate=0.1 if voice.speaker == "tone-3" else 1), seed)

    monkeypatch.setattr("wordspot.data.voices.find_engines", lambda *_, **__: {"tone": OneSlow()})
    run_speak("yes", "--out", str(tmp_path / "out"), "--per-word", "12")
    assert "yes: 1 of 12 clips hold only its loudest 1000 ms" in capsys.readouterr().err


def test_a_wrong_noise_length_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="seconds of noise"):
        run_speak("yes", "--out", str(tmp_path / "out"), "--noise", "0")
    assert not any(tmp_path.iterdir())


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("place", ["labels.csv", "out/labels.csv", "lists/deep/labels.csv"])
@pytest.mark.slow
def test_a_list_names_every_clip_its_voice_and_its_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    class Other(ToneEngine):
        name = "other"

        def voices(self, language: str) -> list[Voice]:
            return [dataclasses.replace(v, engine="other", speaker=f"x{v.speaker}") for v in super().voices(language)]

    monkeypatch.setattr("wordspot.data.voices.find_engines", lambda *_, **__: {"tone": ToneEngine(), "other": Other()})
    out, table = tmp_path / "out", tmp_path / place
    run_speak("Yes", "hey, you", "--out", str(out), "--per-word", "30", "--list", str(table))
    assert f"{table}: 60 rows" in capsys.readouterr().out
    rows = rows_of(table)
    assert list(rows[0]) == ["path", "label", "speaker", "generator"]
    named = [(table.parent / row["path"]).resolve() for row in rows]
    assert sorted(named) == sorted(path.resolve() for path in out.rglob("*.wav"))
    assert len(set(named)) == 60
    assert {row["label"] for row in rows} == {"synthetic"}
    assert {row["generator"] for row in rows} == {"tone", "other"}
    for row, path in zip(rows, named, strict=True):
        assert "\\" not in row["path"]
        assert path.name.startswith(f"{row['speaker']}_nohash_")
        assert row["speaker"].startswith("x") == (row["generator"] == "other")


def test_a_list_may_carry_another_label_and_replaces_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wordspot.data.voices.find_engines", lambda *_, **__: {"tone": ToneEngine()})
    out, table = tmp_path / "out", tmp_path / "labels.csv"
    arguments = ["yes", "--out", str(out), "--per-word", "2", "--list", str(table)]
    run_speak(*arguments, "--label", "a machine")
    assert {row["label"] for row in rows_of(table)} == {"a machine"}
    with pytest.raises(ConfigError, match=r"labels\.csv: the file exists; choose another `manifest`, or use `force`"):
        run_speak("yes", "--out", str(tmp_path / "new"), "--list", str(table))
    run_speak(*arguments, "--force")
    assert {row["label"] for row in rows_of(table)} == {"synthetic"}


def test_a_list_that_cannot_be_is_rejected_before_anything_is_spoken(tmp_path: Path) -> None:
    out = ["yes", "--out", str(tmp_path / "out")]
    with pytest.raises(ConfigError, match=r"expected a name that ends in \.csv"):
        run_speak(*out, "--list", str(tmp_path / "labels.txt"))
    with pytest.raises(ConfigError, match="`label` is the label in the manifest"):
        run_speak(*out, "--label", "machine")
    for label in ("", " ", "x "):
        with pytest.raises(ConfigError, match="`label` must not be empty or begin or end with a space"):
            run_speak(*out, "--list", str(tmp_path / "labels.csv"), "--label", label)
    assert not any(tmp_path.iterdir())


def test_the_commands_engines_are_those_there_are() -> None:
    assert (*find_module._FINDERS, *find_module.NEURAL, "all") == speak.ENGINES


def test_help_needs_no_numpy() -> None:
    code = "import sys, wordspot.commands.speak; print('numpy' in sys.modules, 'wordspot.data.voices' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
