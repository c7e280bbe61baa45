"""Near misses of real phrases, by espeak-ng's phonemes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.support.made_neural import write_kokoro

import wordspot as ws
from wordspot.audio.files import read_audio
from wordspot.commands.main import main
from wordspot.data.voices import speak
from wordspot.data.voices.common_words import common_words
from wordspot.data.voices.espeak import find_espeak
from wordspot.data.voices.near_misses import NearMiss, near_misses
from wordspot.data.voices.sounds import distance, to_sounds
from wordspot.errors import ConfigError, DataError, MissingExtraError

pytestmark = pytest.mark.skipif(find_espeak() is None, reason='espeak-ng is not here; pip install "wordspot[voices]"')


def texts(found: tuple[NearMiss, ...], kind: str | None = None) -> set[str]:
    return {near.text for near in found if kind in (None, near.kind)}


@pytest.fixture(scope="module")
def lamp() -> tuple[NearMiss, ...]:
    return near_misses("Hey  lamp", 80)


def test_a_phrase_of_two_words(lamp: tuple[NearMiss, ...]) -> None:
    assert len(lamp) == 80
    assert {near.kind for near in lamp} == {"word", "beginning", "end", "exchanged", "part", "wake word"}
    assert {"hey damp", "hey camp"} <= texts(lamp, "beginning")
    assert all(text.startswith("hey ") for text in texts(lamp, "beginning"))
    assert all(text.endswith(" lamp") for text in texts(lamp, "end"))
    assert {"hey", "lamp"} <= texts(lamp)
    assert {"hey siri", "alexa"} <= texts(lamp, "wake word")
    damp = next(near for near in lamp if near.text == "hey damp")
    assert (damp.phonemes, damp.distance) == ("hˈeɪ dˈæmp", 0.4)  # l for d: another manner
    assert [near.distance for near in lamp] == sorted(near.distance for near in lamp)


def test_the_right_beginning_with_any_end(lamp: tuple[NearMiss, ...]) -> None:
    assert max(near.distance for near in lamp if near.kind == "beginning") > 2
    assert max(near.distance for near in lamp if near.kind == "end") > 2


def test_the_same_call_gives_the_same(lamp: tuple[NearMiss, ...]) -> None:
    assert near_misses("hey lamp", 80) == lamp
    assert json.loads(json.dumps([near.to_json() for near in lamp]))[0]["text"] == lamp[0].text


def test_no_near_miss_sounds_the_same_or_contains_the_phrase(lamp: tuple[NearMiss, ...]) -> None:
    espeak = find_espeak()
    assert espeak is not None
    for accent in ("en-us", "en-gb"):
        phrase = to_sounds(espeak.phonemes("hey lamp", accent))
        for near in lamp:
            heard = to_sounds(espeak.phonemes(near.text, accent))
            assert distance(phrase, heard) >= 0.2
            assert " ".join(phrase) not in " ".join(heard)
    assert not {"hay lamp", "hey lamps", "hey lanp"} & texts(lamp)


@pytest.mark.slow
def test_homophones_in_any_accent_are_left_out() -> None:
    assert {"court", "caught", "write", "right"} <= set(common_words())
    found = texts(near_misses("hey caught", 300), "beginning")
    assert "hey cut" in found
    assert "hey court" not in found  # the same in England
    assert "ok write" not in texts(near_misses("ok right", 300))


@pytest.mark.slow
def test_what_is_excluded_is_left_out_by_its_sound() -> None:
    found = texts(near_misses("hey lamp", 80, excluded=["Hey camp", "hey dampe"]))
    assert "hey camp" not in found
    assert "hey damp" not in found  # sounds as the second


def test_a_single_word() -> None:
    found = near_misses("athena", 60)
    assert {"arena", "banana"} <= texts(found, "end")
    for text in texts(found, "exchanged"):
        assert re.fullmatch(r"[a-z]{5,8}", text)
    assert "ath" in texts(found, "part")
    assert "athena" not in texts(found)


def test_ok_robot() -> None:
    found = near_misses("ok robot", 60)
    assert {"ok", "robot"} <= texts(found)
    assert "ok robust" in texts(found, "beginning")
    assert "okay robot" not in texts(found)
    assert any(text.endswith(" robot") for text in texts(found, "end"))


def test_a_german_phrase() -> None:
    found = near_misses("Hallo Lampe", 60, language="de")
    assert {near.kind for near in found} == {"word", "beginning", "end", "exchanged", "part", "wake word"}
    assert {"hallo", "lampe"} <= texts(found)
    assert {"hallo rampe", "hallo danke"} <= texts(found, "beginning")
    assert any(text.endswith(" lampe") for text in texts(found, "end"))
    rampe = next(near for near in found if near.text == "hallo rampe")
    assert rampe.distance == 0.2  # a lateral for an approximant of the same place


def test_a_chinese_phrase() -> None:
    found = near_misses("你好电脑", 60, language="zh")
    assert {"你好", "电脑"} <= texts(found, "part")
    assert "小爱同学" in texts(found, "wake word")
    assert not texts(found) & set(common_words())


def test_what_cannot_be_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="must lie between 1 and 1000, got 0"):
        near_misses("hey lamp", 0)
    with pytest.raises(ConfigError, match="a phrase to find near misses of is expected"):
        near_misses(" ,")
    with pytest.raises(DataError, match=r"cannot be read aloud in language 'en': CJK letters are read by `language` cmn"):
        near_misses("你好")
    with pytest.raises(DataError, match="no voice for the language 'tlh'"):
        near_misses("hey lamp", language="tlh")
    monkeypatch.setattr("wordspot.data.voices.near_misses.find_espeak", lambda: None)
    with pytest.raises(MissingExtraError, match=r'pip install "wordspot\[voices\]"'):
        ws.near_misses("hey lamp")


def test_the_list_is_common_words_with_its_licence() -> None:
    words = common_words()
    assert len(words) == len(set(words)) == 10_900
    assert {"lamp", "the", "color"} <= set(words)
    german = common_words("de-at")
    assert {"lampe", "küche", "straße"} <= set(german)
    assert list(german) == sorted(set(german))
    assert common_words("fr") == ()
    text = (Path(ws.__file__).parent / "data" / "voices" / "words_en.txt").read_text(encoding="utf-8")
    assert "Copyright 2000-2016 by Kevin Atkinson" in text


@pytest.mark.slow
def test_near_misses_are_spoken_into_the_triggers_negatives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORDSPOT_CACHE", str(tmp_path / "cache"))
    files = write_kokoro(tmp_path / "files", {"af_ann": 400.0, "am_bob": 200.0})
    options = {"engine": "kokoro", "voice_files": files, "per_word": 20, "clip_ms": 1500}
    made = speak("hey lamp", tmp_path / "lamp", near_misses=6, **options)  # type: ignore[arg-type]
    folders = {path.name for path in (tmp_path / "lamp" / "negatives").iterdir()}
    assert folders == {near.folder for near in made.near_misses} == texts(near_misses("hey lamp", 6))
    clips = list((tmp_path / "lamp" / "negatives").rglob("*.wav"))
    assert len(clips) == 6 * 2  # a tenth as often as the word
    assert all(len(read_audio(clip)[0]) == 3 * 16_000 for clip in clips)
    arguments = ["speak", "hey lamp", "--out", str(tmp_path / "again"), "--near-misses", "6", "--per-word", "10"]
    assert main([*arguments, "--engine", "kokoro", "--voice-files", str(files), "--clip-ms", "1500"]) == 0
    assert "6 near misses" in capsys.readouterr().out
