"""Tones: 妈, 麻, 马 and 骂 are different words, which espeak-ng's IPA does not tell apart."""

from __future__ import annotations

import pytest

from wordspot.data.voices.espeak import find_espeak
from wordspot.data.voices.near_misses import near_misses
from wordspot.data.voices.sounds import distance, to_sounds

espeak = find_espeak()
pytestmark = pytest.mark.skipif(espeak is None, reason='espeak-ng is not here; pip install "wordspot[voices]"')


def sounds(text: str, language: str = "zh") -> tuple[str, ...]:
    assert espeak is not None
    return to_sounds(espeak.pronounce([text], language)[0])


def test_the_four_tones_and_the_neutral_one() -> None:
    assert [sounds(character) for character in "妈麻马骂吗"] == [("m", "ɑ", tone) for tone in "12345"]
    assert distance(sounds("妈"), sounds("骂")) == 0.3


@pytest.mark.parametrize(
    ("characters", "pinyin"),
    [
        ("你好电脑", "ni3 hao3 dian4 nao3"),
        ("你好电脑", "nǐhǎo diànnǎo"),
        ("小爱同学", "Xiǎo ài tóngxué"),
        ("绿", "lü4"),
        ("女儿", "nǚ'ér"),
        ("天安门", "tiān'ānmén"),
    ],
)
def test_pinyin_sounds_like_its_characters(characters: str, pinyin: str) -> None:
    assert sounds(pinyin) == sounds(characters)


def test_an_english_word_in_a_phrase_keeps_its_sounds() -> None:
    assert sounds("hey 小爱") == ("h", "eɪ", *sounds("小爱"))


def test_other_languages() -> None:
    assert sounds("má mà", "vi") == ("m", "a", "3", "m", "a", "2")
    assert sounds("hot", "en-us") == ("h", "ɑ", "t")


def test_another_tone_or_character_is_a_near_miss() -> None:
    found = [near for near in near_misses("小爱同学", 60, language="zh") if near.kind == "syllable"]
    assert len(found) >= 15
    phrase = sounds("小爱同学")
    for near in found:
        assert len(near.text) == 4
        assert sum(one != other for one, other in zip(near.text, "小爱同学", strict=True)) == 1
        assert sounds(near.text) != phrase  # 晓爱同学 sounds the same
    assert any(near.distance == 0.3 for near in found)  # a tone alone
    assert {"xiao3 ai4 tong2 xue4", "xiao1 ai4 tong2 xue2"} <= {
        near.text for near in near_misses("xiǎo ài tóng xué", 60, language="zh")
    }
