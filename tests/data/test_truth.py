"""Truth files: three kinds there and back, bad lines by name, and any bytes at all."""

from __future__ import annotations

import os
import re
import string
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from wordspot.data.truth import KINDS, SpokenWord, read_truth, write_truth
from wordspot.errors import ConfigError, DataError, NotFoundError, WordspotError

WORDS = [
    SpokenWord("yes", 1390.5, 1980.5, "yes/s1_nohash_0.flac", 12.5),
    SpokenWord("_unknown_", 4302.625, None, "bed/a, b.flac"),
    SpokenWord("größe, zwei", 6112.6875, 6802.6875),
]
on_any_path = settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_classic_as_the_example_writes_it(tmp_path: Path) -> None:
    path = write(tmp_path / "t.txt", "yes, 1000\nno,2500.5\r\n\n_unknown_ , 1e3\n")
    assert read_truth(path) == [SpokenWord("yes", 1000), SpokenWord("no", 2500.5), SpokenWord("_unknown_", 1000)]


def test_csv_columns_in_any_order(tmp_path: Path) -> None:
    path = write(tmp_path / "t", '\ufeffStart_ms, who, LABEL, end_ms\n10, me, "a, b", 20.5\n30,me,c,\n')
    assert read_truth(path) == [SpokenWord("a, b", 10, 20.5), SpokenWord("c", 30, None)]


def test_csv_whose_cells_are_all_quoted(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", '"label", "start_ms","end_ms"\n"yes","10","20"\n')
    assert read_truth(path) == [SpokenWord("yes", 10, 20)]


def test_audacity_in_seconds(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "1.5\t2.25\tyes\n\\\t100.0\t2000.0\n3,5\t3,5\tgo on\n")
    assert read_truth(path) == [SpokenWord("yes", 1500, 2250), SpokenWord("go on", 3500, 3500)]


@pytest.mark.parametrize(
    "text",
    [
        "\ufefflabel,start_ms\r\nyes,1500.5\r\nno,2000\r\n",
        "label,start_ms\ryes,1500.5\rno,2000\r",
        "label;start_ms\nyes;1500,5\nno;2000\n",
        '"Label";"Start_ms"\n"yes";"1500,5"\n"no";"2000"\n',
        "label\tstart_ms\nyes\t1500.5\nno\t2000\n",
        "label,start_ms\nyes,1500.5,\nno,2000,,\n",
        "label,start_ms,\nyes,1500.5,\nno,2000,\n",
        "start_ms,label\n1500.5,yes\n2000,no",
        "yes,1500.5\r\nno,2000\r\n",
    ],
)
def test_tables_as_other_programs_save_them(tmp_path: Path, text: str) -> None:
    """With a mark of their coding, line ends of three systems, semicolons and decimal commas, tabs, empty cells at the end."""
    path = tmp_path / "truth.csv"
    path.write_bytes(text.encode())
    assert read_truth(path) == [SpokenWord("yes", 1500.5), SpokenWord("no", 2000.0)]


def test_nothing_is_a_stream_without_words(tmp_path: Path) -> None:
    assert read_truth(write(tmp_path / "t.txt", "\n \n")) == []


def test_there_and_back(tmp_path: Path) -> None:
    for kind in KINDS:
        write_truth(tmp_path / kind, WORDS, kind)
    assert read_truth(tmp_path / "csv") == WORDS
    assert read_truth(tmp_path / "classic") == [SpokenWord(word.label, word.start_ms) for word in WORDS]
    assert [(word.label, word.start_ms, word.end_ms) for word in read_truth(tmp_path / "audacity")] == [
        ("yes", 1390.5, 1980.5),
        ("_unknown_", pytest.approx(4302.625), pytest.approx(4302.625)),
        ("größe, zwei", pytest.approx(6112.6875, abs=1e-3), pytest.approx(6802.6875, abs=1e-3)),
    ]
    assert (tmp_path / "classic").read_text(encoding="utf-8").splitlines()[0] == "yes, 1390.5"


@given(
    st.lists(
        st.builds(
            SpokenWord,
            st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=9).filter(
                lambda text: text == text.strip()
            ),
            st.integers(0, 10**9).map(lambda samples: samples / 16),
        ),
        max_size=5,
    ),
    st.sampled_from(["classic", "csv"]),
)
@settings(on_any_path, max_examples=50)
def test_any_label_comes_back(tmp_path: Path, words: list[SpokenWord], kind: str) -> None:
    assume(kind == "csv" or not any(re.search(r",\s*[-+.\d][-+.e\d]*$", word.label) for word in words))
    write_truth(tmp_path / "t", words, kind)
    assert read_truth(tmp_path / "t") == words


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("yes, 1000\nno 2000\n", r"line 2: a line must be 'label, start_ms'; the line is 'no 2000'"),
        ("yes, 1000\n\nno, soon\n", r"line 3: 'soon' is not a number; the line is 'no, soon'"),
        ("yes, nan\n", r"line 1: 'nan' is not a number"),
        ("yes, inf\n", "'inf' is not a number"),
        ("yes, 1e999\n", "'1e999' is not a number"),
        ("yes, 1_000\n", "'1_000' is not a number"),
        ("yes, -1\n", "the time must be at least 0, got -1"),
        ("yes, 1e13\n", "the time must be at least 0, got 1e13"),
        (", 10\n", "the label is empty"),
        ("yes, 1000\n\\no 2000\n", r"line 2: a line must be 'label, start_ms'; the line is '.*no 2000'"),
        ("label,start_ms\nyes\n", "line 2: it has 1 cells, the header 2"),
        ("label,start_ms\nyes,1,2\n", "it has 3 cells, the header 2"),
        ("label,start_ms,label\nyes,1,2\n", "line 1: the header must have label and start_ms, and each column once"),
        ('label,start_ms\n"yes,1\n', "line 2: unexpected end of data"),
        ("label,start_ms,end_ms\nyes,10,9\n", "the word ends at 9 ms, before it starts at 10 ms"),
        ("1\t2\tyes\n3\tno\n", r"line 2: a line must be 'start<TAB>end<TAB>label'"),
        ("2\t1\tyes\n", "the word ends at 1000 ms, before it starts at 2000 ms"),
        (b"yes, 1\nno, 2\n\xff, 3\n", "line 3: not UTF-8 text"),
        ("label,start_ms\nyes,1\n".encode("utf-16"), "line 1: not UTF-8 text; is it a ground-truth file. Save it as UTF-8"),
        ("yes,2000,2500\n", "line 1: a line must be 'label, start_ms', with one number; the first line may be a header with"),
        ("yes, 2,000\n", "line 1: a line must be 'label, start_ms', with one number"),
        ("yes, 0:02.5\n", "line 1: '0:02.5' is not a number; times are in milliseconds"),
        ("word,start\nyes,2\n", "line 1: 'start' is not a number; the first line may be a header with label and start_ms"),
        ("label;start_ms\nyes;1,5;7\n", "line 2: it has 3 cells, the header 2"),
        ("x" * 5000, r"line 1: .*x\.\.\.'$"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, text: str | bytes, match: str) -> None:
    path = write(tmp_path / "truth.txt", text)
    with pytest.raises(DataError, match=match) as caught:
        read_truth(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 400


def test_no_such_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.txt"):
        with pytest.raises(NotFoundError, match="no such file; expected a ground-truth file"):
            read_truth(path)


def test_an_absurdly_long_file_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "t.txt").open("wb") as file:
        file.truncate(1 << 27)
    with pytest.raises(DataError, match="has 134217728 bytes; a ground-truth file has at most 64 MB"):
        read_truth(tmp_path / "t.txt")


def read_or_refuse(path: Path) -> None:
    try:
        words = read_truth(path)
    except WordspotError as error:
        assert "\n" not in str(error)  # noqa: PT017 - one line, whatever the file holds
        return
    for word in words:
        assert word.label
        assert 0 <= word.start_ms <= (1e12 if word.end_ms is None else word.end_ms)


@given(st.binary(max_size=200))
@on_any_path
def test_any_bytes(tmp_path: Path, data: bytes) -> None:
    read_or_refuse(write(tmp_path / "t", data))


@given(
    st.sampled_from(KINDS),
    st.lists(st.tuples(st.integers(0, 400), st.sampled_from([*b'\n\t,";\\\0 -.e9\xff', *string.ascii_letters.encode()]))),
    st.integers(0, 400),
)
@on_any_path
@pytest.mark.slow
def test_files_with_wrong_bytes(tmp_path: Path, kind: str, changes: list[tuple[int, int]], length: int) -> None:
    if not (tmp_path / kind).exists():
        write_truth(tmp_path / kind, WORDS * 3, kind)
    data = bytearray((tmp_path / kind).read_bytes())
    for place, value in changes:
        data[place % len(data)] = value
    read_or_refuse(write(tmp_path / "t", bytes(data[: len(data) - length % 50])))


@pytest.mark.parametrize("label", ["", " yes", "a\tb", "a\nb", "a\0"])
def test_labels_that_no_line_holds(tmp_path: Path, label: str) -> None:
    with pytest.raises(ConfigError, match="a label must be text on one line"):
        write_truth(tmp_path / "t.txt", [SpokenWord(label, 1)], "classic")
    assert not any(tmp_path.iterdir())


def test_a_label_that_would_be_read_as_numbers(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the classic format cannot hold a label that ends in a comma and a number"):
        write_truth(tmp_path / "t", [SpokenWord("room, 5", 10.0)], "classic")
    write_truth(tmp_path / "t", [SpokenWord("room, 5", 10.0)], "csv")
    assert read_truth(tmp_path / "t") == [SpokenWord("room, 5", 10.0)]


def test_unknown_kind(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one of classic, csv, audacity, got 'xml'"):
        write_truth(tmp_path / "t.xml", WORDS, "xml")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a pipe of POSIX")
def test_a_pipe_is_read_like_a_file(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("yes,1000\nno,2000\n")
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(f"cat {tmp_path / 't.csv'} > {tmp_path / 'pipe'}", shell=True):
        assert read_truth(tmp_path / "pipe") == read_truth(tmp_path / "t.csv")
