"""What `wordspot check` finds, in hand-made folders with known faults, and in real recordings."""

from __future__ import annotations

import argparse
import json
import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wordspot.commands import check as command
from wordspot.data.checks.findings import Examination, Finding, is_clipped, is_cut_off, is_too_quiet
from wordspot.data.checks.words import examine_words
from wordspot.errors import ConfigError, NotFoundError

RATE = 16_000


def word(seed: int, *, seconds: float = 1.0, rate: int = RATE, start: float = 0.3, end: float = 0.7) -> np.ndarray:
    """A burst of noise from `start` to `end` (parts of the clip) over a noise floor 50 dB below it."""
    generator = np.random.default_rng(seed)
    audio = generator.normal(0, 0.0005, round(seconds * rate))
    first, last = round(start * len(audio)), round(end * len(audio))
    audio[first:last] += generator.uniform(-0.3, 0.3, last - first)
    return audio.astype(np.float32)


def save(path: Path, audio: np.ndarray, rate: int = RATE, subtype: str = "PCM_16") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, rate, subtype=subtype)
    return f"{path.parent.name}/{path.name}"


@pytest.fixture
def healthy(tmp_path: Path) -> Path:
    """Two words by forty speakers each, and noise: nothing to find."""
    root = tmp_path / "data"
    for position, name in enumerate(("no", "yes")):
        for speaker in range(40):
            save(root / name / f"{speaker:08x}_nohash_0.wav", word(1000 * position + speaker))
    save(root / "_background_noise_" / "hum.wav", word(7, seconds=3, start=0, end=1))
    for name in ("README.md", "LICENSE", ".hidden"):
        (root / name).write_text("")
    return root


def found(root: Path, **options: object) -> dict[str, list[Finding]]:
    by_code: dict[str, list[Finding]] = {}
    for finding in examine_words(root, **options).findings:  # type: ignore[arg-type]
        by_code.setdefault(finding.code, []).append(finding)
    return by_code


def only(findings: dict[str, list[Finding]], code: str, severity: str) -> Finding:
    """The one finding of a folder with nothing else to find."""
    assert list(findings) == [code], findings
    (finding,) = findings[code]
    assert finding.severity == severity
    return finding


def test_a_healthy_folder_has_no_findings(healthy: Path) -> None:
    counts: list[tuple[int, int]] = []
    examination = examine_words(healthy, progress=lambda step: counts.append((step.done, step.total)))
    assert examination == Examination("hash", {"no": 40, "yes": 40}, 80.0, ())
    assert not examination.has_errors
    assert counts == [(done, 81) for done in range(1, 82)]


def test_damaged_files_are_each_named_with_the_reason(healthy: Path) -> None:
    whole = (healthy / "yes" / "00000000_nohash_0.wav").read_bytes()
    (healthy / "yes" / "header.wav").write_bytes(whole[:44])
    (healthy / "yes" / "cut.wav").write_bytes(whole[:9000])
    (healthy / "yes" / "text.wav").write_text("no sound at all")
    (healthy / "yes" / "empty.wav").write_bytes(b"")
    (healthy / "yes" / "cut.flac").write_bytes(b"fLaC")
    save(healthy / "yes" / "none.wav", np.zeros(0, np.float32))
    save(healthy / "yes" / "nan.wav", np.array([0.1, np.nan, np.inf] * 1000, np.float32), subtype="FLOAT")
    save(healthy / "_background_noise_" / "nan.wav", np.full(100, np.nan, np.float32), subtype="FLOAT")
    findings = found(healthy)
    assert set(findings) == {"damaged"}
    reasons = {finding.paths: finding.message for finding in findings["damaged"]}
    expected = {
        "yes/header.wav": "truncated",
        "yes/cut.wav": "truncated",
        "yes/text.wav": "cannot be read",
        "yes/empty.wav": "0 bytes",
        "yes/cut.flac": "cannot be read",
        "yes/none.wav": "no samples",
        "yes/nan.wav": "2000 of 3000 samples are NaN or infinite",
        "_background_noise_/nan.wav": "100 of 100 samples are NaN",
    }
    assert {paths[0] for paths in reasons} == set(expected)
    for path, reason in expected.items():
        assert reason in reasons[path,]
        assert reasons[path,].startswith(f"{path}: ")
    assert all(finding.severity == "error" for finding in findings["damaged"])


def test_the_same_samples_twice_in_one_word(healthy: Path) -> None:
    audio = (word(99) * 32768).astype(np.int16)  # as floats each format would round them in its own way
    first = save(healthy / "yes" / "c_nohash_0.wav", audio)
    second = save(healthy / "yes" / "c_nohash_1.flac", audio)
    finding = only(found(healthy), "duplicate", "warning")
    assert finding.paths == (first, second)


def test_the_same_samples_under_two_words_contradict(healthy: Path) -> None:
    paths = [save(healthy / name / "c_nohash_0.wav", word(99)) for name in ("no", "yes")]
    finding = only(found(healthy), "contradiction", "error")
    assert finding.paths == tuple(paths)
    assert "no/c_nohash_0.wav, yes/c_nohash_0.wav" in finding.message


def test_the_same_samples_in_two_sets(healthy: Path) -> None:
    """Places from the specification: bobby at 94.17 is in training, ab00c4b2 at 3.41 in validation."""
    paths = [save(healthy / "yes" / f"{name}_nohash_0.wav", word(99)) for name in ("ab00c4b2", "bobby")]
    finding = only(found(healthy), "duplicate-across-sets", "error")
    assert finding.paths == tuple(paths)
    assert "ab00c4b2_nohash_0.wav (validation)" in finding.message
    assert "bobby_nohash_0.wav (training)" in finding.message


def test_other_samples_or_another_rate_are_no_duplicates(healthy: Path) -> None:
    audio = word(99)
    for name, other in [("a", audio), ("b", audio * 0.9), ("c", np.roll(audio, 1))]:
        save(healthy / "yes" / f"{name}_nohash_0.wav", other)
    assert found(healthy) == {}
    save(healthy / "yes" / "d_nohash_0.wav", audio, 16_001)
    assert "duplicate" not in found(healthy)


def test_a_speaker_in_two_sets_of_a_list_split(healthy: Path) -> None:
    save(healthy / "yes" / "00000001_nohash_1.wav", word(99))
    speakers = [f"{speaker:08x}_nohash_0.wav" for speaker in range(40)]
    lists = {
        "validation": [f"{name}/{file}" for file in speakers[2:5] for name in ("no", "yes")],
        "testing": ["no/00000001_nohash_0.wav", "yes/00000001_nohash_0.wav", "yes/00000005_nohash_0.wav"],
    }
    for name, lines in lists.items():
        (healthy / f"{name}_list.txt").write_text("\n".join(lines) + "\n")
    findings = found(healthy, split="lists")
    assert set(findings) == {"speaker-across-sets"}
    messages = {finding.message.split(" is in")[0]: finding.paths for finding in findings["speaker-across-sets"]}
    assert set(messages) == {"speaker 00000001", "speaker 00000005"}
    assert messages["speaker 00000001"] == (
        "no/00000001_nohash_0.wav",
        "yes/00000001_nohash_0.wav",
        "yes/00000001_nohash_1.wav",
    )
    assert "training and testing" in findings["speaker-across-sets"][0].message
    assert set(found(healthy, split="hash")) == {"unused-lists"}
    assert "`split` lists uses both" in only(found(healthy), "unused-lists", "note").message


def test_names_without_nohash_say_nothing_of_a_speaker(healthy: Path) -> None:
    for name in ("no", "yes"):
        save(healthy / name / "1.wav", word(90 if name == "no" else 91))
    (healthy / "validation_list.txt").write_text("no/1.wav\nyes/00000002_nohash_0.wav\nno/00000002_nohash_0.wav\n")
    (healthy / "testing_list.txt").write_text("yes/1.wav\nno/00000003_nohash_0.wav\nyes/00000003_nohash_0.wav\n")
    assert found(healthy, split="lists") == {}


def test_lists_that_cannot_be_used(healthy: Path) -> None:
    missing = only(found(healthy, split="lists"), "lists", "error")
    assert "no such file" in missing.message
    for name in ("validation", "testing"):
        (healthy / f"{name}_list.txt").write_text("yes/00000001_nohash_0.wav\n")
    both = only(found(healthy, split="lists"), "lists", "error")
    assert "is in validation_list.txt and in testing_list.txt" in both.message
    (healthy / "testing_list.txt").write_bytes(b"\xff\xfe\x00")
    only(found(healthy, split="lists"), "lists", "error")


def test_clipping(healthy: Path) -> None:
    path = save(healthy / "yes" / "loud_nohash_0.wav", np.clip(word(99) * 5, -1, 1))
    assert only(found(healthy), "clipped", "warning").paths == (path,)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 1, 1, 1, 0], True),
        ([0.0, -1, -1, -1], True),
        ([1.0, -1, 1], True),
        ([0.0, 1, 1, 0, 1, 1], False),
        ([0.998, 0.998, 0.998, 0.998], False),
        ([1.2, 1.3, 1.4], True),
        ([1.0, 1.0], False),
        ([1.0], False),
        ([0.0] * 10, False),
    ],
)
def test_clipping_is_three_samples_in_a_row_at_full_scale(values: list[float], expected: bool) -> None:
    assert is_clipped(np.array(values, np.float32)) is expected


def test_silence(healthy: Path) -> None:
    quiet = np.random.default_rng(0).uniform(-0.0009, 0.0009, RATE).astype(np.float32)
    paths = [
        save(healthy / "yes" / "a_nohash_0.wav", np.zeros(RATE, np.float32)),
        save(healthy / "yes" / "b_nohash_0.wav", np.zeros(RATE, np.float32)),
        save(healthy / "yes" / "c_nohash_0.wav", quiet),
        save(healthy / "yes" / "d_nohash_0.wav", quiet + 0.25),
    ]
    assert only(found(healthy), "silent", "warning").paths == tuple(paths)


def test_silence_ends_at_minus_60_dbfs() -> None:
    """A square wave's peak is its amplitude: 0.001 of full scale is -60 dBFS."""
    square = np.tile(np.array([1, -1], np.float32), 100)
    assert is_too_quiet(square * np.float32(0.00099))
    assert not is_too_quiet(square * np.float32(0.00101))


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(0.3, 0.7, False), (0.0, 0.4, True), (0.6, 1.0, True), (0.3, 1.0, True), (0.0, 1.0, False)],
)
def test_cut_off_words(start: float, end: float, expected: bool) -> None:
    """Speech at an edge counts, over a quieter floor; where all is as loud there is nothing to tell it from."""
    for rate in (8000, 16_000, 44_100):
        assert is_cut_off(word(3, start=start, end=end, rate=rate), rate) is expected


@pytest.mark.parametrize(("edge_db", "expected"), [(-8.0, True), (-12.0, False)])
def test_an_edge_counts_within_10_db_of_the_loudest(edge_db: float, expected: bool) -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE) * 1e-4
    tone[4000:8000] *= 3000
    tone[-320:] *= 3000 * 10 ** (edge_db / 20)
    assert is_cut_off(tone.astype(np.float32), RATE) is expected
    assert is_cut_off(tone[::-1].astype(np.float32), RATE) is expected


@pytest.mark.parametrize(("floor_db", "expected"), [(-17.0, True), (-13.0, False)])
def test_an_edge_counts_15_db_above_the_floor(floor_db: float, expected: bool) -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE) * 0.3
    tone[320:] *= 10 ** (floor_db / 20)
    assert is_cut_off(tone.astype(np.float32), RATE) is expected


def test_a_constant_offset_makes_no_difference() -> None:
    assert not is_cut_off(word(3) + np.float32(0.4), RATE)
    assert is_cut_off(word(3, start=0.6, end=1.0) + np.float32(0.4), RATE)


def test_cut_off_words_in_a_folder(healthy: Path) -> None:
    path = save(healthy / "yes" / "cut_nohash_0.wav", word(99, start=0.5, end=1.0))
    assert only(found(healthy), "cut-off", "warning").paths == (path,)


def test_lengths(healthy: Path) -> None:
    lengths = {"long": 1.002, "short": 0.9, "tiny": 0.09, "fits": 0.9995}
    paths = {
        name: save(healthy / "yes" / f"{name}_nohash_0.wav", word(90 + i, seconds=seconds))
        for i, (name, seconds) in enumerate(lengths.items())
    }
    findings = {code: (of[0].severity, of[0].paths) for code, of in found(healthy).items()}
    assert findings == {
        "too-long": ("warning", (paths["long"],)),
        "too-short": ("warning", (paths["tiny"],)),
        "short": ("note", (paths["short"],)),
    }
    longer = found(healthy, clip_ms=1100)
    assert "too-long" not in longer
    assert len(longer["short"][0].paths) == 83


def test_mixed_rates_and_channels(healthy: Path) -> None:
    low = save(healthy / "yes" / "low_nohash_0.wav", word(90, rate=8000), 8000)
    high = save(healthy / "yes" / "high_nohash_0.wav", word(91, rate=44_100), 44_100)
    stereo = save(healthy / "yes" / "stereo_nohash_0.wav", np.stack([word(92), word(93)], axis=1))
    findings = {code: (of[0].severity, set(of[0].paths)) for code, of in found(healthy).items()}
    assert findings == {
        "mixed-rates": ("warning", {low, high}),
        "low-rate": ("warning", {low}),
        "other-rate": ("note", {high}),
        "mixed-channels": ("warning", {stereo}),
    }
    assert "81 at 16000 Hz, 1 at 44100 Hz, 1 at 8000 Hz" in found(healthy)["mixed-rates"][0].message
    assert "low-rate" not in found(healthy, sample_rate=8000)


def test_one_other_rate_or_channel_count_throughout_is_a_note(tmp_path: Path) -> None:
    for name in ("no", "yes"):
        for speaker in range(40):
            audio = word(1000 * (name == "yes") + speaker, rate=22_050)
            save(tmp_path / name / f"{speaker:08x}_nohash_0.wav", np.stack([audio, audio], axis=1), 22_050)
    findings = {code: (of[0].severity, len(of[0].paths)) for code, of in found(tmp_path).items()}
    assert findings == {"no-noise": ("note", 0), "other-rate": ("note", 80), "channels": ("note", 80)}


def test_class_imbalance(healthy: Path) -> None:
    for position in range(5):
        save(healthy / "stop" / f"s{position}_nohash_0.wav", word(500 + position))
    assert "imbalance" not in found(healthy)  # 5 of 40 is more than a tenth
    for position in range(11):
        save(healthy / "no" / f"n{position}_nohash_0.wav", word(600 + position))
    imbalance = found(healthy)["imbalance"][0]
    assert (imbalance.severity, imbalance.paths) == ("warning", ("stop",))
    assert "'no' (51)" in imbalance.message


def test_words_that_a_set_lacks(healthy: Path) -> None:
    """bobby (94.17) and a5d485dc (23.08) are in training: nobody is left to validate or to test with."""
    for position, name in enumerate(("bobby_nohash_0", "bobby_nohash_1", "a5d485dc_nohash_0", "a5d485dc_nohash_1")):
        save(healthy / "go" / f"{name}.wav", word(500 + position))
    findings = {code: (of[0].severity, of[0].paths) for code, of in found(healthy).items()}
    assert findings == {"none-in-validation": ("warning", ("go",)), "none-in-testing": ("warning", ("go",))}


@pytest.mark.parametrize("other", ["YES", "yes "])
@pytest.mark.slow
def test_labels_that_differ_only_in_case_or_spaces(healthy: Path, other: str) -> None:
    for speaker in range(40):
        save(healthy / other / f"{speaker:08x}_nohash_0.wav", word(5000 + speaker))
    if len(list(healthy.iterdir())) < 7:
        pytest.skip("this file system does not tell these names apart")
    assert set(only(found(healthy), "same-label", "warning").paths) == {"yes", other}


@pytest.mark.slow
def test_labels_that_differ_only_in_their_encoding(healthy: Path) -> None:
    names = [unicodedata.normalize(form, "größe") for form in ("NFC", "NFD")]
    for position, name in enumerate(names):
        for speaker in range(40):
            save(healthy / name / f"{speaker:08x}_nohash_0.wav", word(5000 + 100 * position + speaker))
    if len(list(healthy.iterdir())) < 8:
        pytest.skip("this file system does not tell these names apart")
    assert set(only(found(healthy), "same-label", "warning").paths) == set(names)
    assert examine_words(healthy).words["größe"] == 80


def test_folders_without_recordings_and_stray_files(healthy: Path) -> None:
    (healthy / "empty").mkdir()
    (healthy / "_extra_").mkdir()
    (healthy / "yes" / "deeper").mkdir()
    (healthy / "yes" / "phone.m4a").write_bytes(b"m4a")
    (healthy / "notes.txt").write_text("")
    save(healthy / "stray.wav", word(99))
    findings = {code: (of[0].severity, {f.paths[0] for f in of}) for code, of in found(healthy).items()}
    assert findings == {
        "empty-folder": ("warning", {"empty"}),
        "stray-recording": ("warning", {"stray.wav"}),
        "stray": ("note", {"notes.txt"}),
        "ignored": ("note", {"_extra_"}),
        "unreadable-kind": ("warning", {"yes/phone.m4a"}),
    }


def test_no_recordings_or_one_word_only(tmp_path: Path) -> None:
    assert "no-recordings" in found(tmp_path)
    assert examine_words(tmp_path).has_errors
    for name in ("validation", "testing"):
        (tmp_path / f"{name}_list.txt").write_text("yes/a_nohash_0.wav\n" * (name == "testing"))
    (tmp_path / "_background_noise_").mkdir()
    assert {"no-recordings", "empty-folder"} <= set(found(tmp_path))
    save(tmp_path / "yes" / "a_nohash_0.wav", word(1))
    assert found(tmp_path)["one-word"][0].severity == "error"
    assert "no-recordings" not in found(tmp_path)


def test_no_such_folder_and_impossible_settings(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="one folder per word"):
        examine_words(tmp_path / "nowhere")
    for options in ({"sample_rate": 0}, {"clip_ms": 0.0}, {"clip_ms": float("nan")}):
        with pytest.raises(ConfigError, match="must"):
            examine_words(tmp_path, **options)  # type: ignore[arg-type]


def test_names_that_are_no_text_are_findings(healthy: Path) -> None:
    raw = os.fsencode(healthy / "yes") + b"/caf\xe9_nohash_0.wav"
    try:
        Path(os.fsdecode(raw)).write_bytes((healthy / "yes" / "00000000_nohash_0.wav").read_bytes())
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    finding = only(found(healthy), "bad-name", "error")
    assert finding.paths == ("yes/caf\\udce9_nohash_0.wav",)


def test_an_unreadable_folder_does_not_end_the_look(healthy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really = os.scandir

    def scandir(path: os.PathLike[str]) -> object:
        if Path(path).name == "no":
            raise PermissionError(13, "Permission denied", str(path))
        return really(path)

    monkeypatch.setattr(os, "scandir", scandir)
    findings = found(healthy)
    assert findings["unreadable"][0].message == "no: cannot be read (Permission denied)"
    assert examine_words(healthy).words == {"yes": 40}


def test_one_bad_file_does_not_stop_the_check_of_the_others(healthy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_info(path: Path, *, thorough: bool) -> object:
        raise MemoryError

    monkeypatch.setattr("wordspot.data.checks.words.read_info", read_info)
    assert len(found(healthy)["damaged"]) == 81
    assert "cannot be read (MemoryError)" in found(healthy)["damaged"][0].message


@settings(max_examples=200, deadline=None)
@given(
    audio=hnp.arrays(np.float32, st.integers(1, 2000), elements=st.floats(-2, 2, width=32)),
    rate=st.sampled_from([1, 49, 100, 8000, 16_000, 192_000]),
)
@pytest.mark.slow
def test_the_rules_take_any_sound(audio: np.ndarray, rate: int) -> None:
    assert is_cut_off(audio, rate) in (True, False)
    assert is_cut_off(audio, rate) == is_cut_off(-audio, rate)
    assert is_clipped(audio) == is_clipped(audio[::-1])
    assert not (is_too_quiet(audio) and np.ptp(audio) > 0.002)


def run(*line: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args(line))


@pytest.mark.slow
def test_the_command_prints_a_table_and_fails_on_errors(healthy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(healthy)) == 0
    assert "80 recordings of 2 words, 1.3 minutes" in (out := capsys.readouterr().out)
    assert "nothing found" in out
    for position in range(30):
        save(healthy / "yes" / f"z{position}_nohash_0.wav", word(700 + position, seconds=0.5))
    assert run(str(healthy)) == 0  # notes and warnings are no errors
    for position in range(12):
        (healthy / "no" / f"bad{position}.wav").write_text("text")
        for name in ("no", "yes"):
            save(healthy / name / f"c{position}_nohash_0.wav", word(800 + position))
    capsys.readouterr()
    assert run(str(healthy)) == 1
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["damaged", "error", "12", "no/bad0.wav"] in lines
    assert ["short", "note", "30", "yes/z0_nohash_0.wav"] in lines
    assert sum(line[:2] == ["error:", "damaged:"] for line in lines) == 12
    assert sum(line[:2] == ["error:", "contradiction:"] for line in lines) == 11  # ten, and how many more


def test_the_command_prints_json(healthy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [save(healthy / name / "c_nohash_0.wav", word(99)) for name in ("no", "yes")]
    assert run(str(healthy), "--json", "--split", "hash", "--sample-rate", "8000", "--clip-ms", "1000") == 1
    report = json.loads(capsys.readouterr().out)
    assert report["words"] == {"no": 41, "yes": 41}
    assert (report["n_recordings"], report["seconds"], report["split"]) == (82, 82.0, "hash")
    assert [finding["code"] for finding in report["findings"]] == ["contradiction", "other-rate"]
    assert report["findings"][0]["severity"] == "error"
    assert report["findings"][0]["paths"] == paths


@pytest.mark.slow
def test_real_recordings(shared_data: Path, tmp_path: Path) -> None:
    """A few thousand clips by volunteers: readable, with some too loud or cut off."""
    words = ("bed", "left", "on")
    for name in words:
        (tmp_path / name).symlink_to(shared_data / "speech_commands" / name)
    examination = examine_words(tmp_path)
    assert examination.words == {name: len(list((tmp_path / name).iterdir())) for name in words}
    assert not examination.has_errors
    counts = {finding.code: len(finding.paths) for finding in examination.findings}
    assert {"clipped", "cut-off", "no-noise"} <= counts.keys()
    total = sum(examination.words.values())
    assert 0.001 < counts["clipped"] / total < 0.02
    assert 0.01 < counts["cut-off"] / total < 0.05
    assert counts.get("silent", 0) / total < 0.01


@pytest.mark.slow
def test_real_words_cut_where_they_are_loudest_are_found(shared_data: Path) -> None:
    hits = total = 0
    for path in sorted((shared_data / "speech_commands").glob("[a-z]*/*.*"))[::67]:
        audio, rate = soundfile.read(path, dtype="float32")
        loudest = int(np.argmax(np.convolve(audio * audio, np.ones(rate // 10), "same")))
        if is_cut_off(audio, rate) or not rate // 10 < loudest < len(audio) - rate // 10:
            continue
        total += 2
        hits += is_cut_off(audio[:loudest], rate) + is_cut_off(audio[loudest:], rate)
    assert total > 200
    assert hits / total > 0.9
