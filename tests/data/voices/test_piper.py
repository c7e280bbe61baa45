"""Piper's engine on a made network whose sound is a tone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.support.made_neural import PIPER_RATE, write_kokoro, write_piper

from wordspot.data.voices import Engine, Voice, find_engines, speak
from wordspot.data.voices.espeak import find_espeak
from wordspot.data.voices.piper import read_piper
from wordspot.data.voices.weights import find_piper_files
from wordspot.errors import DataError, NotFoundError, WordspotError

pytestmark = pytest.mark.skipif(find_espeak() is None, reason='espeak-ng is not here; pip install "wordspot[voices]"')


@pytest.fixture(autouse=True)
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORDSPOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("WORDSPOT_VOICES", raising=False)
    monkeypatch.setattr("wordspot.data.voices.weights._package_folder", lambda name: None)


def find(path: Path) -> Engine:
    return find_engines("piper", voice_files=path)["piper"]


def hertz(audio: np.ndarray) -> float:
    return float(np.count_nonzero(np.diff(np.signbit(audio))) * PIPER_RATE / 2 / len(audio))


def test_symbols_become_numbers_with_pauses_between(tmp_path: Path) -> None:
    """Piper's rule: begin, pause, then each symbol and a pause, then end: 2 + 2 * 4 + 1 numbers for jˈɛs."""
    voice = Voice("piper", "piper-en-us-made-low", "en-US-made-low", "en-us")
    speech, rate = find(write_piper(tmp_path)).speak("yes", voice)
    assert rate == PIPER_RATE
    assert len(speech) == pytest.approx(0.05 * rate * 11, abs=1)
    assert hertz(speech) == pytest.approx(200, abs=2)
    fast, _ = find(tmp_path).speak("yes", Voice("piper", "x", "en-US-made-low", "en-us", rate=2.0))
    assert len(fast) == pytest.approx(len(speech) / 2, abs=1)


def test_a_file_of_many_speakers(tmp_path: Path) -> None:
    engine = find(write_piper(tmp_path, n_speakers=3))
    voices = engine.voices("en")
    assert [voice.speaker for voice in voices] == [f"piper-en-us-made-low-s{number}" for number in range(3)]
    assert [round(hertz(engine.speak("yes", voice)[0]), -1) for voice in voices] == [200, 300, 400]
    with pytest.raises(WordspotError, match="piper has no voice 'en-US-made-low-s3'"):
        engine.speak("yes", Voice("piper", "x", "en-US-made-low-s3", "en-us"))


def test_noise_differs_from_take_to_take_and_is_reproducible(tmp_path: Path) -> None:
    write_piper(tmp_path / "files", noise=1.0)
    voice = Voice("piper", "x", "en-US-made-low", "en-us")
    engine = find(tmp_path / "files")
    takes = [engine.speak("yes", voice, seed)[0] for seed in (1, 2)]
    assert not np.array_equal(*takes)
    assert np.array_equal(find(tmp_path / "files").speak("yes", voice, 1)[0], takes[0])


def test_two_runs_give_the_same_bytes_without_a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_piper(tmp_path / "files", noise=0.1)
    for name in ("a", "b"):
        monkeypatch.setenv("WORDSPOT_CACHE", str(tmp_path / f"cache-{name}"))
        speak(["yes", "no"], tmp_path / name, per_word=3, engine="piper", voice_files=tmp_path / "files")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.wav")}


def test_languages_are_those_of_the_files(tmp_path: Path) -> None:
    write_piper(tmp_path / "files", "de_DE-made", espeak={"voice": "de"})
    write_piper(tmp_path / "files", "zh_CN-made", espeak={"voice": "cmn"})
    engine = find(tmp_path / "files")
    assert [voice.accent for voice in engine.voices("de")] == ["de"]
    assert [voice.accent for voice in engine.voices("zh")] == ["cmn"]
    assert engine.voices("en") == []
    assert engine.languages() == ["cmn", "de"]


def test_a_folder_with_kokoro_and_piper_serves_both(tmp_path: Path) -> None:
    write_kokoro(tmp_path / "files", {"af_ann": 400.0})
    piper = write_piper(tmp_path / "files")
    engines = find_engines("kokoro,piper", voice_files=tmp_path / "files")
    assert [voice.engine for engine in engines.values() for voice in engine.voices("en")] == ["kokoro", "piper"]
    assert find_piper_files(tmp_path / "files") == [piper]


def test_what_is_missing_or_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no voice of Piper is here; get a NAME.onnx"):
        find_engines("piper")
    path = write_piper(tmp_path / "text", phoneme_type="pinyin")
    with pytest.raises(DataError, match=r"reads 'pinyin' phonemes; expected espeak-ng's"):
        read_piper(path)
    for name, changes in {"a": {"audio": {}}, "b": {"num_speakers": 0}, "c": {"phoneme_id_map": {"a": [1]}}}.items():
        with pytest.raises(DataError, match="is not the configuration of a Piper voice"):
            read_piper(write_piper(tmp_path / name, **changes))
    path.with_name(f"{path.name}.json").write_text(json.dumps([1]))
    with pytest.raises(DataError, match="is not the configuration of a Piper voice"):
        read_piper(path)
