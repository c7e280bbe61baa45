"""Sentences that voices read: which, by whom, and as what files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from wordspot.audio.files import read_info
from wordspot.config import DataConfig
from wordspot.data.speech import load_speech
from wordspot.data.voices import find_engines
from wordspot.data.voices.reading import Text, read_aloud, text_for


def test_a_text_for_each_language() -> None:
    english = text_for("en-gb").sentences
    assert len(english) > 100
    assert len(set(english)) == len(english)
    assert all(sentence[-1] in ".?" for sentence in english)
    assert text_for("de").sentences[0].startswith("Kannst du")
    assert "睡觉之前请把暖气开大一点。" in text_for("zh").sentences
    assert text_for("fr") == Text("en", text_for("en").sentences)
    assert text_for("en-gb").language == "en-gb"


@pytest.mark.parametrize(
    ("language", "phrase", "held"),
    [("en", "The Ferry", "the ferry"), ("en", "well", " well."), ("de", "in Lissabon", "in Lissabon"), ("zh", "火车", "火车")],
)
def test_sentences_that_hold_the_phrase_are_left_out(language: str, phrase: str, held: str) -> None:
    """As whole words: "farewell" does not hold "well"."""
    everything, kept = text_for(language).sentences, text_for(language, [phrase]).sentences
    assert any(held in sentence for sentence in everything)
    assert not any(held in sentence for sentence in kept)
    assert len(kept) > 0.9 * len(everything)


def test_part_of_a_word_is_not_the_phrase() -> None:
    assert any("museum" in sentence for sentence in text_for("en", ["use"]).sentences)


def test_read_aloud(tmp_path: Path) -> None:
    """Every sentence twice, by different voices; long enough to be the sentence; each with its text, as speech is loaded."""
    pytest.importorskip("espeakng_loader", reason="espeak-ng is not installed: pip install 'wordspot[voices]'")
    text, said = Text("en", ("The fridge hums all night.", "Who is going to feed the cat?")), list[str]()
    read_aloud(text, tmp_path, n=4, seed=1, engines=find_engines("espeak-ng"), progress=said.append)
    assert Counter(said) == dict.fromkeys(text.sentences, 2)
    paths = sorted(tmp_path.rglob("*.wav"))
    assert len({path.parent.name for path in paths}) == 4
    assert all(1.0 < read_info(path).seconds < 5.0 for path in paths)
    everyone = DataConfig(validation_percent=0, testing_percent=0)
    speech = load_speech(tmp_path, 16_000, everyone)
    assert Counter(speech.texts) == {
        ("the", "fridge", "hums", "all", "night"): 2,
        ("who", "is", "going", "to", "feed", "the", "cat"): 2,
    }
    before = [path.read_bytes() for path in paths]
    read_aloud(text, tmp_path / "again", n=4, seed=1, engines=find_engines("espeak-ng"))
    assert [path.read_bytes() for path in sorted((tmp_path / "again").rglob("*.wav"))] == before
