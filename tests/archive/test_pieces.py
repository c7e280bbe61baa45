"""Pieces of a long recording, joined, are one pass of `detect`, bit by bit; recordings that cannot be cut are not."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from support.made_archive import make_archive
from support.made_onnx import RATE, made_model
from wordspot.archive import pieces
from wordspot.archive.pieces import Joiner, cut, restart_unit, score_piece
from wordspot.audio.files import read_audio, read_blocks, read_info
from wordspot.errors import AudioError
from wordspot.runtime.detect import detect_file
from wordspot.runtime.model import Model, open_model

MODEL = open_model(made_model(clip_samples=1600))


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minute and some."""
    return make_archive(tmp_path_factory.mktemp("archive") / "in", long_seconds=75) / "long.flac"


def joined(model: Model, path: Path, seconds: float, order: int = 1, **settings: Any) -> tuple[Any, float]:
    cuts = cut(path, model.card, restart_unit(model), seconds=seconds)
    assert len(cuts) > 2
    joiner = Joiner(model.card, model.card.decoder, len(cuts))
    n_samples = 0
    for number in range(len(cuts))[::order]:
        scores, ends, n = score_piece(model, path, cuts[number], **settings)
        n_samples += n
        joiner.add(number, scores, ends)
    assert joiner.is_complete
    return joiner.finish(), n_samples / model.card.sample_rate


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("seconds", [1, 7.3, 20])
def test_joined_pieces_equal_one_pass(long: Path, seconds: float, order: int) -> None:
    whole = detect_file(MODEL, MODEL.card.decoder, long, "long")
    assert len(whole.detections) > 20
    assert joined(MODEL, long, seconds, order) == (whole.detections, whole.seconds)


def test_a_gain_of_decibels_and_a_channel_are_applied_to_pieces(long: Path, tmp_path: Path) -> None:
    audio, _ = read_audio(long)
    path = tmp_path / "two.wav"
    soundfile.write(path, np.stack([np.zeros_like(audio), audio / 8], axis=1), RATE)
    whole = detect_file(MODEL, MODEL.card.decoder, path, "two", channel=1, gain=18.0)
    assert len(whole.detections) > 20
    assert joined(MODEL, path, 10, channel=1, gain=18.0) == (whole.detections, whole.seconds)


def test_the_silence_after_a_trigger_comes_after_the_last_piece(long: Path) -> None:
    model = open_model(made_model(clip_samples=1600, config={"task": "trigger"}))
    whole = detect_file(model, model.card.decoder, long, "long")
    assert joined(model, long, 10) == (whole.detections, whole.seconds)


@pytest.mark.slow
def test_the_model_that_comes_with_wordspot_restarts_at_its_ring_on_real_speech(shared_data: Path, tmp_path: Path) -> None:
    words = [read_audio(path)[0] for path in sorted((shared_data / "speech_commands" / "stop").glob("*.*"))[:30]]
    sentences = [read_audio(path)[0] for path in sorted((shared_data / "english_speech").rglob("*.opus"))[:12]]
    assert sentences
    path = tmp_path / "long.flac"
    soundfile.write(path, np.resize(np.concatenate([*words, *sentences]), 100 * RATE), RATE)
    model = open_model()
    whole = detect_file(model, model.card.decoder, path, "long")
    assert len(whole.detections) > 3
    assert joined(model, path, 20) == (whole.detections, whole.seconds)


def test_the_pieces_of_a_recording_cover_it_once(long: Path) -> None:
    unit = restart_unit(MODEL)
    found = cut(long, MODEL.card, unit, seconds=10)
    assert [piece.first for piece in found] == [10 * RATE * number for number in range(7)]
    assert [piece.stop for piece in found] == [*(piece.first for piece in found[1:]), None]
    assert all(piece.start % unit == 0 and piece.first - piece.start >= 1600 - 160 for piece in found[1:])
    assert all(before.stop == after.first for before, after in pairwise(found))


def test_what_cannot_be_cut_exactly_is_not_cut(long: Path, tmp_path: Path) -> None:
    unit = restart_unit(MODEL)
    audio, _ = read_audio(long)
    assert cut(long, MODEL.card, unit, seconds=10)
    assert cut(long, MODEL.card, unit, seconds=40) == []  # shorter than two pieces
    assert cut(long, MODEL.card, unit, seconds=10, gain="auto") == []
    assert cut(tmp_path / "none.wav", MODEL.card, unit, seconds=10) == []
    soundfile.write(tmp_path / "other.wav", audio, 48_000)
    soundfile.write(tmp_path / "vorbis.ogg", audio[: 40 * RATE], RATE)
    for name in ("other.wav", "vorbis.ogg"):
        assert cut(tmp_path / name, MODEL.card, unit, seconds=2) == []


def test_a_network_that_never_forgets_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    clips = open_model(made_model("clip", clip_samples=1600))
    assert restart_unit(clips) == 0
    assert restart_unit(MODEL) == RATE

    class Forever:
        def __init__(self) -> None:
            self.total = np.float32(0)
            self.n = 0

        def feed(self, audio: Any) -> Any:
            scores = []
            for hop in audio.reshape(-1, 160):
                self.total = np.float32(0.99999) * self.total + hop.mean()
                scores.append(self.total)
            ends = (self.n + 1 + np.arange(len(scores))) * 160
            self.n += len(scores)
            return np.array(scores, np.float32)[:, None][ends >= 1600], ends[ends >= 1600]

    monkeypatch.setattr(pieces, "make_runner", lambda model: Forever())
    assert restart_unit(MODEL) == 0


def test_reading_starts_at_any_sample_of_what_can_seek(long: Path, tmp_path: Path) -> None:
    audio, _ = read_audio(long)
    assert read_info(long).can_seek
    for start in (0, 1, 16_000, 16_001, len(audio) - 1):
        _, blocks = read_blocks(long, start=start)
        np.testing.assert_array_equal(np.concatenate(list(blocks)), audio[start:])
    cut_off = tmp_path / "cut.flac"
    cut_off.write_bytes(long.read_bytes()[:100_000])
    with pytest.raises(AudioError, match=r"cut\.flac"):
        list(read_blocks(cut_off, start=70 * RATE)[1])
