"""The cache of decoded clips: right, reused, renewed, safe when two runs start together, and never half-written."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wordspot.cache_folder import cache_root, own_folder
from wordspot.data import cache
from wordspot.data.cache import decode_folder
from wordspot.data.folders import list_recordings
from wordspot.errors import ConfigError, DataError
from wordspot.progress import Progress


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WORDSPOT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Words of known samples: 1..n as int16."""
    root = tmp_path / "data"
    for word, length in (("a", 1600), ("b", 500), ("c", 4000)):
        (root / word).mkdir(parents=True)
        soundfile.write(root / word / "x.wav", np.arange(1, length + 1, dtype=np.int16), 16_000, subtype="PCM_16")
    (root / "_background_noise_").mkdir()
    soundfile.write(root / "_background_noise_" / "n.flac", np.arange(3000, dtype=np.int16), 16_000, subtype="PCM_16")
    return root


def test_clips_are_cropped_and_padded_at_the_end(folder: Path) -> None:
    decoded = decode_folder(list_recordings(folder), 16_000, 1600)
    assert decoded.clips.dtype == np.int16
    assert decoded.clips.shape == (3, 1600)
    np.testing.assert_array_equal(decoded.clips[0], np.arange(1, 1601))
    np.testing.assert_array_equal(decoded.clips[1], np.append(np.arange(1, 501), np.zeros(1100)))
    np.testing.assert_array_equal(decoded.clips[2], np.arange(1, 1601))
    np.testing.assert_array_equal(decoded.noise, np.arange(3000))
    assert decoded.noise_lengths == [3000]
    assert decoded.hashes[1] == hashlib.sha256((folder / "b" / "x.wav").read_bytes()).hexdigest()
    assert decoded.problems == ()


def test_the_first_channel_counts(tmp_path: Path) -> None:
    (tmp_path / "data" / "a").mkdir(parents=True)
    stereo = np.stack([np.full(100, 5, np.int16), np.full(100, 9, np.int16)], axis=1)
    soundfile.write(tmp_path / "data" / "a" / "x.wav", stereo, 16_000, subtype="PCM_16")
    assert set(decode_folder(list_recordings(tmp_path / "data"), 16_000, 100).clips[0]) == {5}


def test_a_silent_first_channel_is_passed_over_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "data" / "a").mkdir(parents=True)
    right = np.stack([np.zeros(100, np.int16), np.full(100, 9000, np.int16)], axis=1)
    for number in range(5):
        soundfile.write(tmp_path / "data" / "a" / f"{number}.wav", right, 16_000, subtype="PCM_16")
    for _ in range(2):  # decoded, then found in the cache
        decoded = decode_folder(list_recordings(tmp_path / "data"), 16_000, 100)
        assert set(decoded.clips[0]) == {9000}
        assert len(decoded.warnings) == 4
        assert decoded.warnings[0].endswith("0.wav: its first channel is silent, so channel 1 (counted from 0) is used")
        assert decoded.warnings[3] == "2 more recordings have such notes"


def test_a_second_run_decodes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = decode_folder(list_recordings(folder), 16_000, 1600)

    def fail(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(cache, "read_audio", fail)
    again = decode_folder(list_recordings(folder), 16_000, 1600)
    np.testing.assert_array_equal(again.clips, first.clips)
    assert again.hashes == first.hashes


def test_changes_are_noticed_and_the_old_cache_goes(folder: Path, own_cache: Path) -> None:
    decode_folder(list_recordings(folder), 16_000, 1600)
    decode_folder(list_recordings(folder), 16_000, 800)
    soundfile.write(folder / "b" / "x.wav", np.full(700, 7, np.int16), 16_000, subtype="PCM_16")
    assert set(decode_folder(list_recordings(folder), 16_000, 1600).clips[1, :700]) == {7}
    assert len(list(own_cache.glob("*/*"))) == 2  # the renewed one, and the other length's
    (folder / "d").mkdir()
    shutil.copy(folder / "a" / "x.wav", folder / "d" / "y.wav")
    assert len(decode_folder(list_recordings(folder), 16_000, 1600).clips) == 4


def test_a_change_of_the_time_alone_is_noticed(folder: Path, own_cache: Path) -> None:
    decode_folder(list_recordings(folder), 16_000, 1600)
    before = {path.name for path in own_cache.glob("*/*")}
    os.utime(folder / "a" / "x.wav", ns=(1, time.time_ns() + 10**9))
    decode_folder(list_recordings(folder), 16_000, 1600)
    assert {path.name for path in own_cache.glob("*/*")} != before


def test_damaged_recordings_are_listed_and_left_out(folder: Path) -> None:
    (folder / "a" / "bad.wav").write_bytes(b"RIFF, but no more")
    (folder / "b" / "empty.flac").write_bytes(b"")
    (folder / "_background_noise_" / "bad.ogg").write_bytes(b"OggS")
    decoded = decode_folder(list_recordings(folder), 16_000, 1600)
    assert [clip.path for clip in decoded.listing.clips] == ["a/x.wav", "b/x.wav", "c/x.wav"]
    assert len(decoded.clips) == 3
    np.testing.assert_array_equal(decoded.clips[1, :500], np.arange(1, 501))
    assert [path in line for path, line in zip(("a/bad.wav", "b/empty.flac", "bad.ogg"), decoded.problems, strict=True)]
    assert len(decoded.problems) == 3
    assert decode_folder(list_recordings(folder), 16_000, 1600).problems == decoded.problems  # said on every run


def test_only_damaged_recordings(tmp_path: Path, own_cache: Path) -> None:
    (tmp_path / "data" / "a").mkdir(parents=True)
    (tmp_path / "data" / "a" / "x.wav").write_bytes(b"no sound")
    with pytest.raises(DataError, match="none of the 1 recordings could be read"):
        decode_folder(list_recordings(tmp_path / "data"), 16_000, 100)
    assert not list(own_cache.glob("*/*"))


def test_a_flac_cut_short_is_left_out(folder: Path) -> None:
    noise = (1000 * np.random.default_rng(1).standard_normal(16_000)).astype(np.int16)
    soundfile.write(folder / "a" / "cut.flac", noise, 16_000)
    whole = (folder / "a" / "cut.flac").read_bytes()
    (folder / "a" / "cut.flac").write_bytes(whole[: len(whole) // 2])
    decoded = decode_folder(list_recordings(folder), 16_000, 1600)
    assert "a/cut.flac" in decoded.problems[0]


@pytest.mark.slow
def test_two_runs_that_start_together(tone_folder: Path, tmp_path: Path, own_cache: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from wordspot.data.cache import decode_folder;"
        "from wordspot.data.folders import list_recordings;"
        "d = decode_folder(list_recordings(Path(sys.argv[1])), 16000, 16000); print(int(d.clips.astype('int64').sum()))"
    )
    runs = [subprocess.Popen([sys.executable, "-c", program, str(tone_folder)], stdout=subprocess.PIPE) for _ in range(3)]
    answers = {run.communicate(timeout=60)[0] for run in runs}
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert len(answers) == 1
    assert len([path for path in own_cache.rglob("*") if path.name == "index.json"]) == 1
    assert not list(own_cache.glob("*/.*"))


def test_an_interrupt_leaves_nothing(folder: Path, own_cache: Path) -> None:
    def interrupt(step: Progress) -> None:
        if step.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        decode_folder(list_recordings(folder), 16_000, 1600, interrupt)
    assert not list(own_cache.glob("*/*"))


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("WORDSPOT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache_root() == tmp_path / "wordspot"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_root().parts[-3:] == ("Library", "Caches", "wordspot")
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache_root() == tmp_path / "local" / "wordspot" / "cache"


def test_a_home_that_is_no_folder_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative folder would leave files wherever a command is run; XDG's specification ignores one too."""
    monkeypatch.delenv("WORDSPOT_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setattr(Path, "home", lambda: Path("relative"))
    with pytest.raises(ConfigError, match="the home folder 'relative' is not an absolute path"):
        cache_root()


@pytest.mark.parametrize("place", ["file/cache", "no-home", "locked"])
def test_without_a_place_for_the_cache_the_process_has_its_own(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.delenv("WORDSPOT_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / place))
    if place == "no-home":
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setattr(Path, "home", lambda: Path())
    if place == "locked":  # root may write everywhere, whatever the mode says
        monkeypatch.setattr(os, "access", lambda path, mode: False)
    decoded = decode_folder(list_recordings(folder), 16_000, 1600)
    assert len(decoded.clips) == 3
    assert "so decoded clips are kept for this command only; set WORDSPOT_CACHE to a folder to keep them" in decoded.warnings[-1]
    assert own_folder().is_absolute()
    assert own_folder() == own_folder()


def test_resampled_to_the_rate_asked_for(folder: Path) -> None:
    decoded = decode_folder(list_recordings(folder), 8000, 800)
    assert decoded.clips.shape == (3, 800)
    assert decoded.noise_lengths == [1500]
    # a ramp stays a ramp: sample i of 8 kHz stands where sample 2 i + 1 stood
    np.testing.assert_allclose(decoded.clips[0, 100:700], np.arange(1, 1600, 2)[100:700], atol=2)


def test_no_place_for_the_cache(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("WORDSPOT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ConfigError, match="set WORDSPOT_CACHE to a folder you may write to"):
        decode_folder(list_recordings(folder), 16_000, 1600)


@pytest.mark.parametrize("name", ["clips.npy", "noise.npy", "index.json"])
def test_a_damaged_cache_is_made_anew(folder: Path, own_cache: Path, name: str) -> None:
    first = decode_folder(list_recordings(folder), 16_000, 1600)
    clips = np.array(first.clips)  # a copy: the file below a memory map must not shrink
    path = next(own_cache.glob(f"*/*/{name}"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    again = decode_folder(list_recordings(folder), 16_000, 1600)
    np.testing.assert_array_equal(again.clips, clips)
    np.testing.assert_array_equal(again.noise, first.noise)


def test_a_file_that_could_not_be_opened_is_tried_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = cache.read_audio

    def refuse(path: Path, *args: object, **options: object) -> object:
        if path.parent.name == "b":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(cache, "read_audio", refuse)
    decoded = decode_folder(list_recordings(folder), 16_000, 1600)
    assert len(decoded.clips) == 2
    assert "b/x.wav" in decoded.problems[0]
    monkeypatch.setattr(cache, "read_audio", read)
    assert len(decode_folder(list_recordings(folder), 16_000, 1600).clips) == 3


@pytest.mark.skipif(os.name == "nt", reason="RLIMIT_FSIZE is POSIX")
def test_a_full_disk_is_one_line_and_leaves_nothing(folder: Path, own_cache: Path) -> None:
    program = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000))\n"
        "from pathlib import Path\n"
        "from wordspot.data.cache import decode_folder\n"
        "from wordspot.data.folders import list_recordings\n"
        "try:\n"
        "    decode_folder(list_recordings(Path(sys.argv[1])), 16000, 16000)\n"
        "except OSError as error:\n"
        "    print('refused', error.errno)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(folder)], capture_output=True, text=True)
    assert done.stdout.startswith("refused"), done.stderr
    assert not [path for path in own_cache.rglob("*") if path.is_file()]


def test_a_run_that_was_faster_is_welcome(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another run finishes between our look for the cache and our beginning to make it."""
    load, looks = cache._load, []

    def late(*args: object, **options: object) -> object:
        looks.append(args)
        if len(looks) == 1:
            monkeypatch.setattr(cache, "_load", load)
            decode_folder(list_recordings(folder), 16_000, 1600)
            monkeypatch.setattr(cache, "_load", late)
            return None
        return load(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(cache, "_load", late)
    assert len(decode_folder(list_recordings(folder), 16_000, 1600).clips) == 3


def test_recordings_longer_than_a_clip_are_counted_with_those_whose_word_is_lost(tmp_path: Path) -> None:
    quiet, loud = np.full(1600, 5, np.int16), np.tile([9000, -9000], 800).astype(np.int16)
    for name, parts in {"first": (loud, quiet), "late": (quiet, loud), "fits": (loud,)}.items():
        path = tmp_path / "data" / "yes" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.concatenate(parts), 16_000)
    for _ in range(2):  # and again from the cache
        (warning,) = decode_folder(list_recordings(tmp_path / "data"), 16_000, 1600).warnings
        assert warning.startswith("2 of 3 recordings are longer than a clip, and their end is not used; in 1 of them")
        assert "`wordspot align`" in warning
    assert decode_folder(list_recordings(tmp_path / "data"), 16_000, 3200).warnings == ()
