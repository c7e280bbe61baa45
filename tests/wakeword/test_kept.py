"""What the teacher gave is kept by the sound, and never stands in the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from support.teacher import spectrum
from wordspot.wakeword.kept import Kept
from wordspot.wakeword.teacher import BATCH, N_SAMPLES, Sound, encode_sounds

RNG = np.random.default_rng(0)
CLIPS = [RNG.standard_normal(8_000).astype(np.float32) for _ in range(BATCH + 4)]


def sounds(clips: list[np.ndarray]) -> list[Sound]:
    return [lambda clip=clip: clip for clip in clips]


def encode(clips: list[np.ndarray], kept: Kept | None) -> tuple[np.ndarray, int]:
    """The values, and how many clips the teacher was asked about."""
    asked = list[int]()

    def ask(batch: np.ndarray) -> np.ndarray:
        assert batch.shape[1:] == (N_SAMPLES,)
        asked.append(len(batch))
        return spectrum(batch)

    return encode_sounds(sounds(clips), ask, lambda _: None, kept)[0], sum(asked)


def test_each_sound_is_encoded_once(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "cache", "weights")
    assert encode(CLIPS[:10], kept)[1] == 10
    values, asked = encode(CLIPS, kept)
    assert asked == len(CLIPS) - 10
    np.testing.assert_array_equal(values, encode(CLIPS, None)[0])
    again, asked = encode(CLIPS, Kept(tmp_path / "cache", "weights"))
    assert asked == 0
    np.testing.assert_array_equal(again, values)
    assert encode(CLIPS, Kept(tmp_path / "cache", "other weights"))[1] == len(CLIPS)


def test_a_sound_that_comes_twice_is_encoded_once(tmp_path: Path) -> None:
    values, asked = encode([CLIPS[0], CLIPS[1], CLIPS[0]], Kept(tmp_path, "weights"))
    assert asked == 2
    np.testing.assert_array_equal(values[0], values[2])


def test_what_was_encoded_before_training_was_stopped_is_kept(tmp_path: Path) -> None:
    kept = Kept(tmp_path, "weights")

    def stop(progress: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode_sounds(sounds(CLIPS), spectrum, stop, kept)
    assert encode(CLIPS, kept)[1] == len(CLIPS) - BATCH


def test_a_damaged_file_is_begun_anew(tmp_path: Path) -> None:
    kept = Kept(tmp_path, "weights")
    encode(CLIPS, kept)
    (file,) = tmp_path.iterdir()
    file.write_bytes(b"not a database" * 100)
    values, asked = encode(CLIPS, kept)
    assert asked == len(CLIPS)
    np.testing.assert_array_equal(values, encode(CLIPS, None)[0])
    encode(CLIPS, kept)
    assert encode(CLIPS, kept)[1] == 0


def test_where_nothing_can_be_written_everything_is_encoded(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    kept = Kept(tmp_path / "file", "weights")
    assert encode(CLIPS, kept)[1] == len(CLIPS)
    assert encode(CLIPS, kept)[1] == len(CLIPS)
