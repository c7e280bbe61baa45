"""Annotations that do not quite fit the model or the stream are matched, or reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from wordspot.data.truth import SpokenWord
from wordspot.errors import ConfigError, DataError
from wordspot.evaluation.ground_truth import check_times, find_truths, read_ground_truth

STREAM, TRUTH = Path("two.wav"), Path("two.csv")


def labels_of(path: Path, text: str, *words: str) -> tuple[list[str], list[str]]:
    path.write_text(text, encoding="utf-8")
    spoken, warnings = read_ground_truth(path, words)
    return [word.label for word in spoken], warnings


def test_case_and_blanks_do_not_matter(tmp_path: Path) -> None:
    text = "label,start_ms\nYes,2000\nyes,12000\nHey Lamp,15000\nbed,16000\n"
    labels, (warning,) = labels_of(tmp_path / "t.csv", text, "yes", "hey_lamp")
    assert labels == ["yes", "yes", "hey_lamp", "bed"]
    assert "regardless of case and blanks: 'Yes' as 'yes', 'Hey Lamp' as 'hey_lamp'" in warning


def test_labels_as_the_model_has_them_are_left_alone(tmp_path: Path) -> None:
    text = "label,start_ms\nYes,1\n_silence_,2\n_unknown_,3\nsilence,4\n"
    assert labels_of(tmp_path / "t.csv", text, "Yes", "silence") == (["Yes", "_silence_", "_unknown_", "silence"], [])


@pytest.mark.parametrize(
    ("starts", "duration_ms", "is_suspect"),
    [
        ((2.0, 12.0), 20_000, True),  # at 2 and 12 ms in a stream of 20 s
        ((2000.0, 12_000.0), 20_000, False),
        ((2.0, 12_000.0), 20_000, False),
        ((0.0,), 20_000, False),  # a word at the very beginning
        ((), 20_000, False),
        ((12.0,), 5000, False),  # not within 5 s either
    ],
)
def test_seconds_instead_of_milliseconds(starts: tuple[float, ...], duration_ms: float, is_suspect: bool) -> None:
    warnings = check_times([SpokenWord("yes", start) for start in starts], TRUTH, STREAM, duration_ms)
    assert bool(warnings) == is_suspect
    assert all("are these seconds?" in warning for warning in warnings)


def test_a_word_after_the_end_is_an_error() -> None:
    with pytest.raises(DataError, match=r"two\.csv: yes at 20000 ms lies after the end of two\.wav at 20000 ms"):
        check_times([SpokenWord("yes", 20_000)], TRUTH, STREAM, 20_000)


def test_each_stream_has_its_annotations(tmp_path: Path) -> None:
    streams = [tmp_path / "a.wav", tmp_path / "b.wav"]
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text("label,start_ms\n")
    assert find_truths(streams) == [tmp_path / "a.csv", tmp_path / "b.csv"]
    assert find_truths(streams, [Path("x"), Path("y")]) == [Path("x"), Path("y")]
    assert find_truths(streams, no_words=True) == [None, None]
    with pytest.raises(ConfigError, match="both `truth` and `no_words`"):
        find_truths(streams, [Path("x")], no_words=True)
    (tmp_path / "b.csv").unlink()
    with pytest.raises(ConfigError, match="got 0 files of annotations for 2 streams"):
        find_truths(streams)
