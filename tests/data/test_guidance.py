"""The file with a teacher's targets is read as it was written; a damaged one is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wordspot.data.guidance import FILE, Guidance, cut_piece, read_guidance
from wordspot.errors import DataError

MADE = Guidance(
    words=("hey lamp", "hé lampe"),
    speech="/speech",
    paths=np.array(["hey lamp/a.wav", "b/c.flac"]),
    starts=np.array([-1, 16_000]),
    lengths=np.array([-1, 24_000]),
    targets=np.array([[5.0, -6.0], [-7.0, -8.0]], np.float32),
    weights=np.array([0.5, 0.0], np.float32),
)


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_guidance(tmp_path) is None
    MADE.write(tmp_path)
    read = read_guidance(tmp_path)
    assert read is not None
    assert (read.words, read.speech) == (MADE.words, MADE.speech)
    for name in ("paths", "starts", "lengths", "targets", "weights"):
        np.testing.assert_array_equal(getattr(read, name), getattr(MADE, name))
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize("damage", ["half", "text", "short", "infinite", "negative"])
def test_a_damaged_file_is_named(tmp_path: Path, damage: str) -> None:
    MADE.write(tmp_path)
    path = tmp_path / FILE
    content = path.read_bytes()
    if damage in ("half", "text"):
        path.write_bytes(content[: len(content) // 2] if damage == "half" else b"targets")
    else:
        columns = {**vars(MADE), "words": np.array(MADE.words), "speech": np.array(MADE.speech)}
        columns |= {
            "short": {"starts": MADE.starts[:1]},
            "infinite": {"targets": MADE.targets * np.inf},
            "negative": {"weights": -MADE.weights},
        }[damage]
        with path.open("wb") as file:
            np.savez(file, **columns)
    with pytest.raises(DataError, match=r"guidance\.npz: the teacher's targets are damaged.*; begin the project anew"):
        read_guidance(tmp_path)


def test_a_piece_begins_and_ends_without_a_click() -> None:
    sound = np.full(16_000, 8_000, np.int16)
    piece = cut_piece(sound, 2_000, 8_000)
    assert len(piece) == 8_000
    assert piece[0] == piece[-1] == 0
    assert (np.diff(piece[:160].astype(int)) >= 0).all()
    assert (piece[160:-160] == 8_000).all()
    assert sound.min() == 8_000  # the recording is left as it was
    assert cut_piece(sound, 15_999, 8_000).tolist() == [8_000]
