"""Pronunciations in IPA within a text."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("espeakng_loader", reason="espeak-ng is not installed: pip install 'wordspot[voices]'")

from wordspot.data.voices.common_words import common_words
from wordspot.data.voices.espeak import Espeak, find_espeak
from wordspot.data.voices.ipa import read_ipa, to_ipa
from wordspot.data.voices.programs import Flite
from wordspot.errors import DataError


@pytest.fixture(scope="module")
def espeak() -> Espeak:
    found = find_espeak()
    assert found is not None
    return found


@pytest.mark.parametrize("language", ["en-us", "en-gb-x-rp"])
def test_what_espeak_writes_is_read_as_it_is(espeak: Espeak, language: str) -> None:
    texts = common_words()[::50]
    words = espeak.pronounce(texts, language)
    plain = [one for one in words if not {"", "-"} & {sound.strip("ˈˌ") for word in one for sound in word}]
    assert len(plain) > 0.9 * len(texts)
    read = espeak.pronounce([to_ipa(one) for one in plain], language)
    same = [list(map("".join, one)) == list(map("".join, two)) for one, two in zip(plain, read, strict=True)]
    assert np.mean(same) > 0.97  # what is one phoneme may be two


@pytest.mark.parametrize("word", ["dracarys", "lamp", "computer"])
def test_the_pronunciation_of_a_word_sounds_as_the_word(espeak: Espeak, word: str) -> None:
    voice = espeak.voices("en-us")[0]
    espeak.reset()
    usual, _ = espeak.speak(word, voice)
    espeak.reset()
    spoken, _ = espeak.speak(to_ipa(espeak.phonemes(word, "en-us")), voice)
    assert len(usual) > 5000
    assert len(spoken) == pytest.approx(len(usual), rel=0.02)
    n = min(len(usual), len(spoken))
    assert np.corrcoef(np.abs(usual[:n]), np.abs(spoken[:n]))[0, 1] > 0.8


def test_dictionaries_write_the_stress_before_the_syllable(espeak: Espeak) -> None:
    (word,) = espeak.phonemes("[[drəˈkɑːrɪs]]", "en-us")
    assert word == ("d", "ɹ", "ə", "k", "ˈɑː", "ɹ", "ɪ", "s")


def test_sounds_that_an_accent_lacks_are_replaced_by_the_nearest(espeak: Espeak) -> None:
    assert espeak.phonemes("[[roʊt]]", "en-us") == (("ɹ", "oʊ", "t"),)
    assert espeak.phonemes("[[θoʊt]]", "de") == (("f", "oː", "t"),)


def test_a_text_may_be_in_parts_in_ipa(espeak: Espeak) -> None:
    assert espeak.phonemes("hey [[lˈæmp]]", "en-us") == espeak.phonemes("hey lamp", "en-us")
    assert espeak.reads("[[θˈiːnə]]", "en")  # θ is a Greek letter, which English does not read


def test_what_is_no_sound(espeak: Espeak) -> None:
    with pytest.raises(DataError, match=r"'#' is no sound of the phonetic alphabet; expected a pronunciation in IPA"):
        espeak.phonemes("[[h#]]", "en-us")


def test_engines_without_phonemes_do_not_read_it() -> None:
    assert Flite.reads(Flite.__new__(Flite), "hat", "en")
    assert not Flite.reads(Flite.__new__(Flite), "[[hat]]", "en")


@pytest.mark.parametrize("text", ["ʃˈeɪːlə", "ʃˈɛiːlə"])  # the second is how "Sheila" may be guessed
def test_a_long_mark_after_a_diphthong_says_nothing(text: str) -> None:
    (word,) = read_ipa(text, ("ʃ", "l", "ə", "eɪ", "aɪ", "iː", "ɛ"))
    assert word in (("ʃ", "ˈeɪ", "l", "ə"), ("ʃ", "ˈaɪ", "l", "ə"))
