"""Lists of recordings: CSV files as spreadsheets and people write them, and folders of one folder per class."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from wordspot.data.manifest.rows import ManifestRow, read_manifest, survey_manifest
from wordspot.errors import DataError, NotFoundError, WordspotError

NAMES = ("a1.wav", "a2.wav", "b1.wav", "b2.wav")
BODY = "a1.wav,real\na2.wav,real\nb1.wav,fake\nb2.wav,fake\n"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name in NAMES:
        (tmp_path / name).write_bytes(b"sound")
    return tmp_path


def write(folder: Path, text: str | bytes, name: str = "labels.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return path


def plain(path: Path) -> list[tuple[str, str]]:
    return [(row.path, row.label) for row in read_manifest(path).rows]


EXPECTED = [("a1.wav", "real"), ("a2.wav", "real"), ("b1.wav", "fake"), ("b2.wav", "fake")]


def test_all_columns(files: Path) -> None:
    text = "path,label,speaker,generator,split\na1.wav,Real, p1 ,person,train\nb1.wav,fake,,vits,TEST\n"
    text += "a2.wav,real,p2,person,dev\nb2.wav,fake,p2,,valid\n"
    listed = read_manifest(write(files, text))
    assert listed.root == files
    assert listed.labels == ("fake", "real")
    assert listed.problems == ()
    assert listed.rows == (
        ManifestRow("a1.wav", files / "a1.wav", "real", "p1", "person", "training", 2),
        ManifestRow("b1.wav", files / "b1.wav", "fake", None, "vits", "testing", 3),
        ManifestRow("a2.wav", files / "a2.wav", "real", "p2", "person", "validation", 4),
        ManifestRow("b2.wav", files / "b2.wav", "fake", "p2", None, "validation", 5),
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom", "utf-16-be-bom"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_encodings_line_ends_and_delimiters(files: Path, encoding: str, ending: str, delimiter: str) -> None:
    (files / "a1.wav").rename(files / "größe.wav")
    text = ("path,label\n" + BODY.replace("a1", "größe")).replace(",", delimiter).replace("\n", ending)
    raw = ("\ufeff" + text).encode(encoding[:9]) if encoding.endswith("-bom") else text.encode(encoding)
    assert plain(write(files, raw)) == [("größe.wav", "real"), *EXPECTED[1:]]


@pytest.mark.parametrize("header", ["path,label", " Path , LABEL ", '"path","label"', "\n\n path,label", "label,path"])
def test_headers_may_have_case_spaces_quotes_and_any_order(files: Path, header: str) -> None:
    body = BODY if header != "label,path" else "".join(f"{b},{a}\n" for a, b in EXPECTED)
    assert plain(write(files, f"{header}\n{body}")) == EXPECTED


def test_lines_are_counted_as_an_editor_counts_them(files: Path) -> None:
    text = '\npath,label,note\na1.wav,real,"one\ntwo\nthree"\n\na2.wav,real,\n , ,\nb1.wav,fake\nb2.wav,fake,x\n'
    assert [row.line for row in read_manifest(write(files, text)).rows] == [3, 7, 9, 10]


def test_quoted_commas_and_doubled_quotes(files: Path) -> None:
    names = ["one, two.wav", 'say "hi".wav']
    for name in names:
        (files / name).write_bytes(b"")
    text = 'path,label\n"one, two.wav",real\n"say ""hi"".wav",real\nb1.wav,"dog, small"\nb2.wav,"dog, small"\n'
    listed = read_manifest(write(files, text))
    assert [row.path for row in listed.rows] == [*names, "b1.wav", "b2.wav"]
    assert listed.labels == ("dog, small", "real")


def test_absolute_home_and_backslash_paths(files: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    lists = tmp_path / "lists"
    for folder in (tmp_path / "home" / "deep", lists):
        folder.mkdir(parents=True)
    (tmp_path / "home" / "deep" / "h.wav").write_bytes(b"")
    text = f"path,label\n{files / 'a1.wav'},real\n~/deep/h.wav,real\n..\\b1.wav,fake\n../b2.wav,fake\n"
    listed = read_manifest(write(lists, text))
    found = [row.file.resolve() for row in listed.rows]
    wanted = [files / "a1.wav", tmp_path / "home" / "deep" / "h.wav", files / "b1.wav", files / "b2.wav"]
    assert found == [path.resolve() for path in wanted]
    assert listed.rows[1].path == "~/deep/h.wav"


@pytest.mark.skipif(os.name == "nt", reason="no name holds a backslash there")
def test_a_backslash_in_a_name_is_itself(files: Path) -> None:
    (files / "odd\\name.wav").write_bytes(b"")
    row = read_manifest(write(files, f"path,label\n{BODY}odd\\name.wav,fake\n")).rows[-1]
    assert row.file == files / "odd\\name.wav"


def test_relative_to_the_list_wherever_one_stands(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(files, f"path,label\n{BODY}")
    monkeypatch.chdir(files.parent)
    assert all(row.file.is_file() for row in read_manifest(Path(files.name) / "labels.csv").rows)


def good(files: Path, count: int = 60) -> str:
    """A header and so many good rows."""
    for number in range(count):
        (files / f"g{number}.wav").write_bytes(b"")
    return "path,label\n" + "".join(f"g{number}.wav,{('real', 'fake')[number % 2]}\n" for number in range(count))


def test_rows_that_cannot_be_used_are_each_reported_with_their_line(files: Path) -> None:
    (files / "folder").mkdir()
    bad = (
        "gone.wav,real",
        ",real",
        "a1.wav,",
        "a1.wav,real,x,y",
        "folder,fake",
        f"{'n' * 5000},real",
        "~nobody_/a,real",
    )
    listed = read_manifest(write(files, good(files, 63) + "\n".join(bad) + "\n"))
    assert len(listed.rows) == 63
    expected = (
        "line 65: gone.wav: there is no such file",
        "line 66: the path is empty",
        "line 67: the label is empty",
        "line 68: has 4 cells, expected 2; put a cell that contains the delimiter in quotes",
        "line 69: folder: is a folder, expected a sound file",
        f"line 70: {'n' * 200}: there is no such file",
        "line 71: ~nobody_/a: there is no such file",
    )
    assert listed.problems == expected


def test_a_cell_with_a_nul_names_no_file(files: Path) -> None:
    listed = read_manifest(write(files, good(files) + "a\0b.wav,real\n"))
    assert len(listed.problems) == 1
    assert "there is no such file" in listed.problems[0]


def test_a_path_of_two_lines_is_reported_in_one(files: Path) -> None:
    text = good(files) + '"two\nlines.wav",real\n'
    assert read_manifest(write(files, text)).problems == (r"line 62: 'two\nlines.wav': there is no such file",)


def test_up_to_a_tenth_may_be_missing(files: Path) -> None:
    lines = [f"gone{number}.wav,real\n" for number in range(7)]
    assert len(read_manifest(write(files, good(files, 54) + "".join(lines[:6]))).problems) == 6  # 6 of 60
    with pytest.raises(DataError, match=r"7 of 61 recordings cannot be used; the limit is 10%.*line 56: gone0.wav.*; \.\.\.$"):
        read_manifest(write(files, good(files, 54) + "".join(lines)))


def test_the_same_file_in_two_rows(files: Path) -> None:
    listed = read_manifest(write(files, good(files) + "./g3.wav,fake\n"))
    assert listed.problems == ("line 62: ./g3.wav is already in line 5; remove one of the two",)
    assert len(listed.rows) == 60
    with pytest.raises(DataError, match=r"line 62: g3\.wav is also in line 5, with another label; keep one"):
        read_manifest(write(files, good(files) + "g3.wav,real\n"))
    text = good(files).replace("path,label", "path,label,split,speaker") + "g3.wav,fake,test,p1\n"
    with pytest.raises(DataError, match="with another speaker and split"):
        read_manifest(write(files, text))


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_is_the_file_it_points_to(files: Path) -> None:
    text = good(files)
    (files / "link.wav").symlink_to(files / "g0.wav")
    assert "is already in line 2" in read_manifest(write(files, text + "link.wav,real\n")).problems[0]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "the file is empty; expected a CSV file with the columns path and label"),
        ("\ufeff", "the file is empty"),
        (" \n\n", "the file is empty"),
        ('"",""\n', "the file is empty"),
        (",,\n,,\n", "no column path or label"),
        ("path,label\n", "there are no classes; expected at least two"),
        ("file,class\n" + BODY, "line 1: .* no column path or label; .* its columns are: file, class"),
        (BODY, "line 1: .* no column path or label; .* its columns are: a1.wav, real"),
        ("path\na1.wav\n", "no column label; expected path and label.* its columns are: path"),
        ("path,label,Path\n" + BODY, "line 1: the column path occurs twice"),
        ("path,label,x,x\n" + BODY, "the column x occurs twice"),
        ("path,label,split\na1.wav,real,train\na2.wav,real,later\n", "line 3: the split 'later' is unknown"),
        ("path,label\na1.wav,real\na2.wav,real\n", "'real' is the only class; expected at least two"),
        ("path,label\na1.wav,real\na2.wav,real\nb1.wav,faek\n", r"only one recording of 'faek' \(line 4\)"),
        ("path,label\na1.wav,a/b\n", "line 2: the label 'a/b' contains a slash"),
        ("path,label\na1.wav,_silence_\n", "line 2: the label '_silence_' .*begins with '_'"),
        ('path,label\n"a1.wav,real\na2.wav,real\n', "line 2: cannot be read as CSV .*quote"),
        ('path,label\n"a1.wav"x,real\n', "line 2: cannot be read as CSV"),
        (b"path,label\ngr\xf6\xdfe.wav,real\n", "the file is not UTF-8.*byte 13.*; save it as UTF-8"),
        (b"\xff\xfep\x00a", "the file is not UTF-8"),
        ("path,label\n" + "x" * 200_000 + ",real\n", "line 2: cannot be read as CSV .*field larger than"),
    ],
)
def test_lists_that_are_rejected(files: Path, text: str | bytes, match: str) -> None:
    path = write(files, text)
    with pytest.raises(DataError, match=match) as refused:
        read_manifest(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)


def test_what_is_no_list_at_all(files: Path) -> None:
    with pytest.raises(NotFoundError, match="no such file or folder"):
        read_manifest(files / "nowhere.csv")
    with pytest.raises(DataError, match="this is a sound file; expected a CSV file"):
        read_manifest(files / "a1.wav")


def test_labels_are_compared_without_case(files: Path) -> None:
    text = "path,label\na1.wav,Real\na2.wav,REAL\nb1.wav,Größe\nb2.wav,gro\u0308ße\n"
    assert read_manifest(write(files, text)).labels == ("größe", "real")


def test_a_survey_gives_what_a_list_rejects(files: Path) -> None:
    text = good(files).replace("path,label", "path,label,split") + "g0.wav,fake,\na1.wav,real,soon\n"
    listed, conflicts = survey_manifest(write(files, text))
    assert len(listed.rows) == 60
    assert [line.split(":")[0] for line in conflicts] == ["line 62", "line 63"]
    with pytest.raises(DataError, match=r"line 62: .*\(and 1 more such lines\)"):
        read_manifest(write(files, text))


def test_a_folder_of_classes(tmp_path: Path) -> None:
    names = [
        "machine/espeak-ng/yes/voice_nohash_0.wav",
        "machine/flite/kal_nohash_0.flac",
        "machine/x.mp3",
        "person/p1_nohash_0.wav",
        "person/p1_nohash_1.wav",
        "Person_2/a.WAV",
        "Person_2/b.ogg",
    ]
    left_out = ["person/.hidden.wav", "person/_old.wav", "person/notes.txt", "person/_bad/c.wav", "_noise_/d.wav",
                ".git/e.wav", "stray.wav", "person/.x/f.wav"]  # fmt: skip
    for name in names + left_out:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    listed = read_manifest(tmp_path)
    assert listed.labels == ("machine", "person", "person_2")
    assert {row.path: (row.label, row.speaker, row.generator) for row in listed.rows} == {
        names[0]: ("machine", "voice", "espeak-ng"),
        names[1]: ("machine", "kal", "flite"),
        names[2]: ("machine", None, None),
        names[3]: ("person", "p1", None),
        names[4]: ("person", "p1", None),
        names[5]: ("person_2", None, None),
        names[6]: ("person_2", None, None),
    }
    assert all(row.file == tmp_path / row.path and row.line == 0 and row.split is None for row in listed.rows)
    assert [row.path for row in listed.rows if row.label == "machine"] == [names[2], names[0], names[1]]


def test_folders_that_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no recordings found; expected one folder per class with recordings"):
        read_manifest(tmp_path)
    write(tmp_path, BODY)
    with pytest.raises(DataError, match=r"or name the list: .*labels\.csv$"):
        read_manifest(tmp_path)
    for name in ("real/a.wav", "real/b.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match="'real' is the only class"):
        read_manifest(tmp_path)
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "c.wav").write_bytes(b"")
    with pytest.raises(DataError, match=r"only one recording of 'fake' \(fake/c\.wav\)"):
        read_manifest(tmp_path)


def test_a_name_that_is_no_text_is_a_problem(files: Path) -> None:
    for label in ("real", "fake"):
        (files / label).mkdir()
        for number in range(10):
            (files / label / f"{number}.wav").write_bytes(b"")
    try:
        Path(os.fsdecode(os.fsencode(files / "real") + b"/caf\xe9.wav")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    listed = read_manifest(files)
    assert len(listed.rows) == 20
    assert listed.problems == (r"'real/caf\udce9.wav': the name is not UTF-8; rename it",)


CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n\x85\u2028\u2029"), max_size=12)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    notes=st.lists(CELL | st.just('a "quoted", cell;\n| of\ttwo lines'), min_size=4, max_size=4),
    delimiter=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    ending=st.sampled_from(["\n", "\r\n"]),
    order=st.permutations(["path", "label", "speaker", "note"]),
)
@pytest.mark.slow
def test_whatever_python_writes_is_read_again(
    files: Path, notes: list[str], delimiter: str, encoding: str, quoting: int, ending: str, order: list[str]
) -> None:
    """Python's own writer is the independent source: whatever stands in another column, the rows are the same."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, order, delimiter=delimiter, quoting=quoting, lineterminator=ending)  # type: ignore[arg-type]
    writer.writeheader()
    for (name, label), note in zip(EXPECTED, notes, strict=True):
        writer.writerow({"path": name, "label": label, "speaker": note, "note": note})
    listed = read_manifest(write(files, text.getvalue().encode(encoding)))
    assert [(row.path, row.label) for row in listed.rows] == EXPECTED
    assert [row.speaker is None for row in listed.rows] == [not note.strip() for note in notes]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
@pytest.mark.slow
def test_damaged_bytes_are_read_or_rejected_in_one_line(files: Path, data: st.DataObject) -> None:
    raw = bytearray(("\ufeffpath,label,speaker,split\n" + BODY.replace("\n", ',"p, 1",train\n')).encode("utf-8"))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3) | st.sampled_from([b'"', b"\n", b","]))
        assume(raw)
    path = write(files, bytes(raw))
    told = f"{path}: "
    try:
        assert all(row.file.is_file() and row.label for row in read_manifest(path).rows)
    except WordspotError as error:
        told = str(error)
    assert told.startswith(f"{path}: ")
    assert "\n" not in told


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
@pytest.mark.slow
def test_any_bytes_are_rejected_in_one_line(files: Path, raw: bytes) -> None:
    with pytest.raises(WordspotError) as refused:
        read_manifest(write(files, raw))
    assert "\n" not in str(refused.value)


def test_the_shared_list(shared_data: Path) -> None:
    path = shared_data / "real_or_synthetic" / "labels.csv"
    with path.open(newline="", encoding="utf-8") as file:
        records = list(csv.DictReader(file))
    listed = read_manifest(path)
    assert listed.labels == ("real", "synthetic")
    assert listed.problems == ()
    assert [(row.path, row.label, row.speaker, row.generator) for row in listed.rows] == [
        (one["path"], one["label"], one["speaker"], one["generator"]) for one in records
    ]
    assert Counter(row.generator for row in listed.rows) == {"person": 30, "fastpitch": 30, "vits": 30, "yourtts": 30}
    folder = read_manifest(path.parent)
    assert {(row.file, row.label) for row in folder.rows} == {(row.file, row.label) for row in listed.rows}
