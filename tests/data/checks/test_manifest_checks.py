"""What `wordspot check` finds in hand-made lists of recordings with known faults, and in real ones."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wordspot.commands.main import main
from wordspot.data.checks.findings import Finding
from wordspot.data.checks.manifest import examine_manifest
from wordspot.data.checks.shortcuts import find_shortcuts, measure, separation
from wordspot.errors import ConfigError, DataError, NotFoundError
from wordspot.models import find_recipe
from wordspot.tasks import TASKS

RATE = 16_000


def sound(
    seed: int,
    *,
    seconds: float = 2.1,
    rate: int = RATE,
    lead_s: float = 0.1,
    tail_s: float = 0.3,
    gain: float = 1.0,
    floor: float = 0.0016,
    low_pass_hz: float = RATE,
) -> np.ndarray:
    """White noise over a noise floor 50 dB below it, which begins before it and ends after it: int16 [samples]."""
    rng = np.random.default_rng(seed)
    audio = rng.uniform(-floor, floor, round(seconds * rate))
    first, stop = round(lead_s * rate), round((seconds - tail_s) * rate)
    loud = np.fft.rfft(rng.uniform(-0.5, 0.5, stop - first))
    loud[np.fft.rfftfreq(stop - first, 1 / rate) > low_pass_hz] = 0
    fade = np.minimum(np.arange(1, stop - first + 1) / (0.01 * rate), 1)  # an abrupt edge would reach all frequencies
    audio[first:stop] = np.fft.irfft(loud, stop - first) * fade * fade[::-1]
    return np.rint(audio * gain * 32767).astype(np.int16)


def vowel(seed: int, seconds: float = 6.0) -> np.ndarray:
    """Harmonics that fall by 6 dB an octave, over noise 60 dB below them, on and off: float64 [samples]."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    pitch = rng.uniform(90, 220)
    harmonics = [np.sin(2 * np.pi * k * pitch * time + rng.uniform(0, 2 * np.pi)) / k for k in range(1, int(7000 / pitch))]
    audio = np.sum(harmonics, axis=0)
    audio = audio / audio.std() + 1e-3 * rng.standard_normal(len(audio))
    return 0.1 * audio * np.where(time % 0.4 < 0.25, 1, 0.01)


def save(path: Path, audio: np.ndarray, rate: int = RATE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, rate, subtype="PCM_16")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two labels by thirty speakers each: nothing to find."""
    tmp_path = tmp_path_factory.mktemp("healthy")
    lines = ["path,label,speaker"]
    for number in range(60):
        label = ("real", "fake")[number % 2]
        save(tmp_path / label / f"{number}.wav", sound(number))
        lines.append(f"{label}/{number}.wav,{label},p{number // 2}")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.fixture
def healthy(tmp_path: Path, template: Path) -> Path:
    """The list of a copy of `template`."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    return tmp_path / "labels.csv"


def add(path: Path, *lines: str) -> None:
    with path.open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))


def found(path: Path, **options: object) -> dict[str, list[Finding]]:
    by_code: dict[str, list[Finding]] = {}
    for finding in examine_manifest(path, **options).findings:  # type: ignore[arg-type]
        by_code.setdefault(finding.code, []).append(finding)
    return by_code


def only(findings: dict[str, list[Finding]], code: str, severity: str) -> Finding:
    """The one finding of a list with nothing else to find."""
    assert list(findings) == [code], findings
    (finding,) = findings[code]
    assert finding.severity == severity
    return finding


def test_a_healthy_list_has_no_findings(healthy: Path) -> None:
    calls: list[tuple[int, int]] = []
    examination = examine_manifest(healthy, progress=lambda step: calls.append((step.done, step.total)))
    assert examination.findings == ()
    assert examination.words == {"fake": 30, "real": 30}
    assert examination.seconds == pytest.approx(126)
    assert examination.split == "hash"
    assert not examination.has_errors
    assert calls == [(done, 60) for done in range(1, 61)]


def test_missing_and_damaged_files_are_each_named(healthy: Path) -> None:
    (healthy.parent / "text.wav").write_text("no sound")
    (healthy.parent / "cut.wav").write_bytes((healthy.parent / "real" / "0.wav").read_bytes()[:9000])
    add(healthy, "gone.wav,real,p1", "text.wav,real,p1", "cut.wav,real,p1")
    findings = found(healthy)
    assert set(findings) == {"unusable-row", "damaged"}
    assert findings["unusable-row"][0].message == "line 62: gone.wav: there is no such file"
    damaged = {finding.paths[0]: finding.message for finding in findings["damaged"]}
    assert set(damaged) == {"text.wav", "cut.wav"}
    assert damaged["cut.wav"].startswith("cut.wav: truncated")
    add(healthy, *(f"gone{number}.wav,real,p1" for number in range(3)))
    assert "too-many-unusable" not in found(healthy)  # 6 of 66
    add(healthy, "gone4.wav,real,p1")
    (finding,) = found(healthy)["too-many-unusable"]
    assert finding.message.startswith("7 of 67 recordings cannot be used, training accepts at most 10%")


def test_rows_that_training_rejects(healthy: Path) -> None:
    add(healthy, "real/0.wav,fake,p0", "real/2.wav,real,p1", "real/4.wav,a/b,p2")
    findings = found(healthy)
    assert set(findings) == {"refused-row", "unusable-row"}
    assert [finding.message.split(":")[0] for finding in findings["refused-row"]] == ["line 62", "line 64"]
    assert "real/0.wav is also in line 2, with another label" in findings["refused-row"][0].message
    assert "line 63: real/2.wav is already in line 4" in findings["unusable-row"][0].message
    assert all(finding.severity == "error" for group in findings.values() for finding in group)


def test_the_same_samples_twice(healthy: Path) -> None:
    save(healthy.parent / "copy.flac", sound(4))
    add(healthy, "copy.flac,real,p2")
    finding = only(found(healthy), "duplicate", "warning")
    assert finding.paths == ("real/4.wav", "copy.flac")


def test_the_same_samples_under_two_labels(healthy: Path) -> None:
    save(healthy.parent / "copy.flac", sound(4))
    add(healthy, "copy.flac,fake,p2")
    finding = only(found(healthy), "contradiction", "error")
    assert "real/4.wav (real), copy.flac (fake)" in finding.message


def with_split(healthy: Path, sets: dict[int, str]) -> None:
    """Give every row a set by its speaker: of each ten the first is for validation, the second for testing."""
    header, *lines = healthy.read_text().splitlines()
    usual = ["validation", "testing"] + ["training"] * 8
    split = [f"{line},{sets.get(number, usual[number // 2 % 10])}" for number, line in enumerate(lines)]
    healthy.write_text("\n".join([f"{header},split", *split]) + "\n")


def test_the_lists_own_split(healthy: Path) -> None:
    with_split(healthy, {})
    assert examine_manifest(healthy).split == "the list"
    assert found(healthy) == {}
    save(healthy.parent / "copy.flac", sound(0))
    add(healthy, "copy.flac,real,p1,testing")
    finding = only(found(healthy), "duplicate-across-sets", "error")
    assert "real/0.wav (validation), copy.flac (testing)" in finding.message


def test_a_speaker_in_two_sets(healthy: Path) -> None:
    with_split(healthy, {4: "testing"})
    finding = only(found(healthy), "speaker-across-sets", "error")
    assert finding.message.startswith("speaker p2 is in the sets training and testing")


def test_a_split_for_some_rows_only(healthy: Path) -> None:
    with_split(healthy, {4: ""})
    assert "Line 6 (real/4.wav) has none" in only(found(healthy), "split", "error").message


def test_a_set_without_a_label(healthy: Path) -> None:
    with_split(healthy, dict.fromkeys(range(1, 60, 2), "training"))
    findings = found(healthy)
    assert findings["none-in-testing"][0].paths == findings["none-in-validation"][0].paths == ("fake",)


def test_labels_too_few(healthy: Path) -> None:
    add(healthy, "real/0.wav.bak,faek,p1")
    (healthy.parent / "real" / "0.wav.bak").write_bytes((healthy.parent / "real" / "0.wav").read_bytes())
    findings = found(healthy)
    assert (findings["single-recording"][0].severity, findings["single-recording"][0].paths) == ("error", ("faek",))
    assert findings["imbalance"][0].paths == ("faek",)
    assert findings["one-speaker"][0].paths == ("faek",)
    lines = healthy.read_text().splitlines()
    healthy.write_text("\n".join([lines[0], *(line for line in lines[1:] if ",real," in line)]) + "\n")
    assert found(healthy)["one-class"][0].severity == "error"
    healthy.write_text(f"{lines[0]}\nnowhere.wav,real,p1\n")
    assert set(found(healthy)) == {"unusable-row", "too-many-unusable"}


def test_a_label_with_one_speaker(healthy: Path) -> None:
    lines = [f"{line[: line.rindex(',')]},voice" if ",fake," in line else line for line in healthy.read_text().splitlines()]
    healthy.write_text("\n".join(lines) + "\n")
    finding = found(healthy)["one-speaker"][0]
    assert (finding.severity, finding.paths) == ("warning", ("fake",))


def test_recordings_of_unknown_speakers(healthy: Path) -> None:
    lines = [line.rsplit(",", 1)[0] + "," for line in healthy.read_text().splitlines()[1:]]
    healthy.write_text("\n".join(["path,label,speaker", *lines]) + "\n")
    assert len(only(found(healthy), "unknown-speaker", "note").paths) == 60


def test_silent_short_and_stereo_recordings(healthy: Path) -> None:
    save(healthy.parent / "zero.wav", np.zeros(2 * RATE, np.int16))
    save(healthy.parent / "short.wav", sound(90, seconds=0.5))
    save(healthy.parent / "stereo.wav", np.stack([sound(91), sound(92)], axis=1))
    add(healthy, "zero.wav,real,p1", "short.wav,real,p1", "stereo.wav,fake,p1")
    findings = {code: (of[0].severity, of[0].paths) for code, of in found(healthy).items()}
    assert findings == {
        "silent": ("warning", ("zero.wav",)),
        "short": ("note", ("short.wav",)),
        "channels": ("note", ("stereo.wav",)),
    }
    assert "short" not in found(healthy, clip_ms=500)
    pytest.importorskip("torch")  # the recipe of a network stands beside the network
    recipe = find_recipe(TASKS["recordings"].default_model, "default")
    assert f"shorter than a window of {recipe['features.clip_ms']:g} ms" in found(healthy)["short"][0].message


def test_rates_that_come_with_the_label(healthy: Path) -> None:
    for number in range(1, 60, 2):
        save(healthy.parent / "fake" / f"{number}.wav", sound(number, rate=22_050), 22_050)
    findings = found(healthy)
    assert findings["rates-by-label"][0].paths == ("fake", "real")
    assert "fake: 30 at 22050 Hz; real: 30 at 16000 Hz" in findings["rates-by-label"][0].message
    assert "highest frequency alone separates fake from real" in findings["shortcut-bandwidth"][0].message


def test_rates_that_do_not_come_with_the_label(healthy: Path) -> None:
    for number in range(20, 40):
        save(healthy.parent / ("real", "fake")[number % 2] / f"{number}.wav", sound(number, rate=8000), 8000)
    findings = {code: of[0].severity for code, of in found(healthy).items()}
    assert findings == {"mixed-rates": "note", "low-rate": "note"}


@pytest.mark.parametrize(
    ("code", "told", "change"),
    [
        ("level", "the level alone separates fake from real (area under the curve 1.00; median -16.8 dBFS against -10.8 dBFS)",
         {"gain": 0.5}),
        ("lead", "silence before the first sound alone separates fake from real (area under the curve 1.00; median 400 ms "
         "against 100 ms)", {"lead_s": 0.4}),
        ("tail", "silence after the last sound alone separates fake from real (area under the curve 1.00; median 600 ms "
         "against 300 ms)", {"tail_s": 0.6}),
        ("floor", "noise floor alone separates fake from real (area under the curve 1.00; median -75 dBFS against -61 dBFS)",
         {"floor": 0.00032}),
        ("length", "the length alone separates fake from real (area under the curve 1.00; median 1.5 s against 2.1 s)",
         {"seconds": 1.5}),
        ("bandwidth", "highest frequency alone separates fake from real (area under the curve 1.00; median 4",
         {"low_pass_hz": 4000, "floor": 0}),
    ],
)  # fmt: skip
def test_shortcuts(healthy: Path, code: str, told: str, change: dict[str, float]) -> None:
    for number in range(1, 60, 2):
        save(healthy.parent / "fake" / f"{number}.wav", sound(number, **change))
    findings = found(healthy)
    assert told in findings[f"shortcut-{code}"][0].message
    assert findings[f"shortcut-{code}"][0].paths == ("fake",)


@pytest.mark.parametrize(("container", "encoding"), [("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS")])
def test_a_codec_whose_sound_was_decoded_again(healthy: Path, container: str, encoding: str) -> None:
    """Its traces remain in a WAV file."""
    for number in range(60):
        audio = vowel(number)
        if number % 2:
            coded = io.BytesIO()
            soundfile.write(coded, audio, RATE, format=container, subtype=encoding, compression_level=0.9)
            coded.seek(0)
            audio, _ = soundfile.read(coded)
        save(healthy.parent / ("real", "fake")[number % 2] / f"{number}.wav", np.rint(audio * 32767).astype(np.int16))
    (finding,) = found(healthy)["shortcut-codec"]
    assert "share of gaps that a codec leaves in the spectrum alone separates fake from real" in finding.message


def test_encodings_that_come_with_the_label(healthy: Path) -> None:
    for number in range(1, 60, 2):
        path = healthy.parent / "fake" / f"{number}.wav"
        soundfile.write(path, sound(number), RATE, format="MP3" if number % 4 == 1 else "FLAC")
    finding = found(healthy)["encodings-by-label"][0]
    assert finding.paths == ("fake", "real")
    assert "fake: 15 MP3, 15 lossless; real: 30 lossless" in finding.message


def test_encodings_that_do_not_come_with_the_label(healthy: Path) -> None:
    for number in range(10, 40):
        path = healthy.parent / ("real", "fake")[number % 2] / f"{number}.wav"
        soundfile.write(path, sound(number), RATE, format="OGG", subtype="OPUS")
    assert "encodings-by-label" not in found(healthy)


@pytest.mark.parametrize(("corpora", "n_found"), [(("phone", "studio"), 1), (("phone", "phone"), 0), (("phone", ""), 0)])
def test_corpora_that_come_with_the_label(healthy: Path, corpora: tuple[str, str], n_found: int) -> None:
    header, *lines = healthy.read_text().splitlines()
    named = [f"{line},{corpora[number % 2]}" for number, line in enumerate(lines)]
    healthy.write_text("\n".join([f"{header},corpus", *named]) + "\n")
    findings = found(healthy).get("corpora-by-label", [])
    assert [finding.paths for finding in findings] == [("fake", "real")] * n_found
    assert all("fake: 30 studio; real: 30 phone" in finding.message for finding in findings)


def test_the_gaps_of_a_spectrum() -> None:
    """Of the fourteen bands of 500 Hz that have two neighbours, one lies wholly in what is missing."""
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(2 * RATE))
    frequency = np.fft.rfftfreq(2 * RATE, 1 / RATE)
    audio = np.fft.irfft(spectrum).astype(np.float32) * 0.1
    assert measure(audio, RATE, 2.0).gaps_percent == 0
    spectrum[(frequency > 3800) & (frequency < 4700)] = 0
    audio = np.fft.irfft(spectrum).astype(np.float32) * 0.1
    assert measure(audio, RATE, 2.0).gaps_percent == pytest.approx(100 / 14)
    assert measure(audio[:300], 1000, 0.3).gaps_percent == 0  # no three bands


def test_a_shortcut_of_one_generator(healthy: Path) -> None:
    """Each is told from the real ones by its level, one too loud and one too soft; together the two are not."""
    lines = healthy.read_text().splitlines()
    lines = [f"{line},{('loud', 'soft')[number // 2 % 2] if number % 2 else 'person'}" for number, line in enumerate(lines[1:])]
    healthy.write_text("\n".join(["path,label,speaker,generator", *lines]) + "\n")
    for number in range(1, 60, 2):
        gain = (1.5, 0.5)[number // 2 % 2]
        save(healthy.parent / "fake" / f"{number}.wav", sound(number, gain=gain))
    levels = found(healthy)["shortcut-level"]
    assert [finding.paths for finding in levels] == [("loud",), ("soft",)]
    assert "the level alone separates soft from real" in levels[1].message


def test_separation_by_hand() -> None:
    values = np.array([1.0, 2, 3, 4] * 10)
    among = np.array([False, False, True, True] * 10)
    assert separation(values, among) == 1.0
    assert separation(-values, among) == 1.0
    swapped = np.array([1.0, 3, 2, 4])  # of the four pairs, 2 over 3 alone is wrong
    assert separation(np.tile(swapped, 100), np.tile(among[:4], 100)) == pytest.approx(0.75)
    assert separation(np.tile(swapped, 10), among) == 0.5  # 20 against 20: 0.75 is within 3.5 deviations of 0.093
    assert separation(np.zeros(40), among) == 0.5
    assert separation(values, np.zeros(40, bool)) == 0.5
    assert separation(values[:4], among[:4]) == 0.5  # two against two: one time in three by chance


def test_separation_is_rarely_found_in_random_measures() -> None:
    rng = np.random.default_rng(0)
    among = np.arange(60) < 20
    assert sum(separation(rng.standard_normal(60), among) > 0.5 for _ in range(1000)) < 5


def test_no_recordings_have_no_shortcuts() -> None:
    assert find_shortcuts([], []) == []


def test_what_is_no_list(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="expected a CSV file or a folder"):
        examine_manifest(tmp_path / "labels.csv")
    (tmp_path / "labels.csv").write_text("a,b\n")
    with pytest.raises(DataError, match="no column path or label"):
        examine_manifest(tmp_path / "labels.csv")
    with pytest.raises(ConfigError, match="must"):
        examine_manifest(tmp_path / "labels.csv", sample_rate=0)


def test_one_bad_file_does_not_stop_the_check_of_the_others(healthy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_info(path: Path) -> object:
        raise MemoryError

    monkeypatch.setattr("wordspot.data.checks.manifest.read_info", read_info)
    assert len(found(healthy)["damaged"]) == 60


def test_the_command_on_a_list(healthy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(healthy)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "60 recordings of 2 labels, 2.1 minutes, split by hash nothing found" in shown
    save(healthy.parent / "copy.flac", sound(4))
    add(healthy, "copy.flac,fake,p2")
    assert main(["check", str(healthy), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["words"] == {"fake": 31, "real": 30}
    assert [finding["code"] for finding in report["findings"]] == ["contradiction"]


def test_the_command_looks_for_windows_of_the_default_network(healthy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(healthy.parent / "short.wav", sound(90, seconds=1.5))
    add(healthy, "short.wav,real,p1")
    for flags, told in (((), True), (("--clip-ms", "1000"), False)):
        assert main(["check", str(healthy), *flags]) == 0
        assert ("shorter than a window of 2000 ms" in " ".join(capsys.readouterr().out.split())) == told


def test_the_command_on_a_folder_of_classes(healthy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--task", "recordings", str(healthy.parent)]) == 0
    shown = capsys.readouterr().out
    assert "60 recordings of 2 labels" in " ".join(shown.split())
    assert "unknown-speaker" in shown


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["LIST", "--split", "lists"], "--split is for folders of words; a manifest has a column of that name"),
        (["LIST", "--task", "words"], "is a file; the --task words needs a folder with one folder per word"),
        (["nowhere.csv"], "expected a CSV file or a folder of classes"),
        (["nowhere"], "no such folder; expected a data folder with one folder per word"),
    ],
)
def test_wrong_use_of_the_command(healthy: Path, arguments: list[str], match: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *(str(healthy) if one == "LIST" else one for one in arguments)]) == 1
    assert match in " ".join(capsys.readouterr().err.split())


def test_the_shared_recordings(shared_data: Path) -> None:
    """Two of its three machines reach lower, or higher, than the people's recordings do: known, and told."""
    examination = examine_manifest(shared_data / "real_or_synthetic" / "labels.csv")
    assert examination.words == {"real": 30, "synthetic": 90}
    assert not examination.has_errors
    told = {(finding.code, finding.paths[0]) for finding in examination.findings if finding.severity == "warning"}
    assert {("shortcut-bandwidth", "fastpitch"), ("shortcut-bandwidth", "yourtts")} <= told
    assert not any("vits" in paths for _, paths in told)
