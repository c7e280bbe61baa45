"""What is said about phrases before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.command_line import fails, run
from wordspot.errors import ConfigError, DataError

pytest.importorskip("espeakng_loader", reason="espeak-ng is not installed: pip install 'wordspot[voices]'")

from wordspot.wakeword import phrases
from wordspot.wakeword.phrases import check_phrases, n_syllables
from wordspot.wakeword.project import Request


def notes_on(*given: str, **more: object) -> list[str]:
    notes: list[str] = []
    check_phrases(Request(given, engine="espeak-ng", **more), notes.append)  # type: ignore[arg-type]
    return notes


def test_a_usual_phrase_needs_no_note() -> None:
    assert notes_on("hey lamp") == []


def test_a_phrase_that_most_voices_cannot_say_in_a_clip() -> None:
    with pytest.raises(
        DataError, match=r"voices take \d\.\d s to say .*, and a model sees 1\.5 s at once; choose a phrase with fewer"
    ):
        notes_on("please turn the light in the kitchen on for me")


def test_a_phrase_that_slow_voices_cannot_say_in_a_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of five voices need longer; if one of five does, nothing is said."""
    monkeypatch.setattr(phrases, "spoken_seconds", lambda *_, **__: [1.0, 1.1, 1.2, 1.6, 1.9])
    assert notes_on("hey lamp") == [
        "voices take 1.2 s to say 'hey lamp', the slowest 1.9 s, and a model sees 1.5 s at once: slow voices are sped up, and "
        "people who speak slowly will be found less often. Choose a phrase with fewer syllables if you can"
    ]
    monkeypatch.setattr(phrases, "spoken_seconds", lambda *_, **__: [1.0, 1.2, 1.3, 1.3, 1.9])
    assert notes_on("hey lamp") == []


def test_a_single_syllable() -> None:
    (note,) = notes_on("on")
    assert note.startswith("'on' is a single syllable")


@pytest.mark.parametrize(
    ("phrase", "language", "n"),
    [("on", "en", 1), ("light", "en", 1), ("athena", "en", 3), ("hallo Lampe", "de", 4), ("小爱", "zh", 2)],
)
def test_syllables(phrase: str, language: str, n: int) -> None:
    assert n_syllables(phrase, language) == n


def test_too_few_texts_that_sound_like_it() -> None:
    (note,) = notes_on("hey lamp", n_near_misses=2)
    assert note.startswith("only 2 texts sound like hey lamp: the model learns less")
    assert "Name similar phrases with `excluded`" in note
    (note,) = notes_on("hey lamp", "hey radio", n_near_misses=0)
    assert note.startswith("no texts sound like hey lamp, hey radio")
    with pytest.raises(ConfigError, match="a model has nothing to tell it from; raise `n_near_misses`"):
        notes_on("hey lamp", n_near_misses=0)


def test_the_same_phrase_twice() -> None:
    with pytest.raises(ConfigError, match="each word must be named once, got hey lamp more than once"):
        notes_on("hey lamp", "Hey Lamp")


@pytest.mark.parametrize("phrase", ["", "...", "🙂"])
def test_a_phrase_without_letters(phrase: str) -> None:
    with pytest.raises(DataError, match="holds nothing that a voice can say"):
        notes_on(phrase)


def test_nothing_is_written_of_a_phrase_that_cannot_be_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    out = tmp_path / "lamp"
    fails(capsys, "cannot be read aloud in language 'en': CJK letters are read by --language", "new", "小爱同学", "--out", out)
    assert not out.exists()


def test_an_interruption_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once there is something to go on with."""
    pytest.importorskip("torch")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    command = ("new", "hey lamp", "--engine", "espeak-ng", "--out", tmp_path / "lamp")
    monkeypatch.setattr("wordspot.wakeword.recordings.speak_phrases", interrupt)
    status, _, error = run(capsys, *command)
    assert (status, error) == (130, "stopped; the same command with --resume goes on from there\nwordspot: interrupted\n")
    monkeypatch.setattr("wordspot.wakeword.making.check_phrases", interrupt)
    assert run(capsys, *command[:-1], tmp_path / "other")[::2] == (130, "wordspot: interrupted\n")


def test_phrases_are_spoken_by_engines_that_answer_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    find = phrases.find_engines
    monkeypatch.setattr(phrases, "choose_engine", lambda *_: "espeak-ng,kokoro")
    monkeypatch.setattr(phrases, "find_engines", lambda names: asked.append(names) or find(names))
    notes_on("hey lamp")
    assert asked == ["espeak-ng"]


def test_pinyin_without_tones_is_read_as_english() -> None:
    (note, *_) = notes_on("xiaoai tongxue", language="zh")
    assert note.startswith("'xiaoai' is read as an English word; write Chinese characters")
    assert notes_on("hey 小爱", language="zh") == notes_on("xiǎo ài tóngxué", language="zh") == []
