"""Kinds of sound that ffmpeg decodes: with a program in its place, and with the real one if it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wordspot.audio import convert
from wordspot.audio.files import read_audio, read_info
from wordspot.audio.folder import find_clips, is_audio_name, walk_folder
from wordspot.data.checks import check
from wordspot.data.folders import list_recordings
from wordspot.errors import AudioError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the program is a script")
PROGRAM = """#!{python}
import sys
source = sys.argv[sys.argv.index("-i") + 1]
assert source.startswith("file:/"), source
assert sys.argv[sys.argv.index("-protocol_whitelist") + 1] == "file"
content = open(source[5:], "rb").read()
if b"bad" in content:
    print("first\\nInvalid data found", file=sys.stderr)
    sys.exit(1)
head = b".snd" + b"".join(n.to_bytes(4, "big") for n in (24, 0xFFFFFFFF, 3, 16000, 2))
sys.stdout.buffer.write(head + b"\\x10\\x00\\x00\\x00" * 16000)
"""


@pytest.fixture
def ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setattr(convert, "_find_ffmpeg", lambda path: str(program))
    return program


def make(path: Path, content: bytes = b"\0\0\0\x20ftypM4A ........") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", ["it's a.m4a", "-b.webm", "c.AMR", "d.aac", "phone.wav"])
def test_a_file_that_needs_ffmpeg_is_read(ffmpeg: Path, tmp_path: Path, name: str) -> None:
    path = make(tmp_path / "takes" / name)
    audio, rate = read_audio(path)
    assert (rate, len(audio)) == (16_000, 16_000)
    assert np.allclose(audio, 0.125)  # the first of its two channels
    assert read_info(path).n_channels == 2


def test_a_folder_counts_them_where_ffmpeg_is(ffmpeg: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "data" / "yes" / "a.m4a")
    make(tmp_path / "data" / "yes" / ".hidden.m4a")
    soundfile.write(make(tmp_path / "data" / "no" / "b.wav"), np.full(16_000, 0.1), 16_000)
    assert len(list_recordings(tmp_path / "data").clips) == 2
    assert check(tmp_path / "data").words == {"no": 1, "yes": 1}
    assert len(find_clips([tmp_path / "data"])) == 2
    monkeypatch.setattr(convert, "_find_ffmpeg", lambda path: None)
    assert not is_audio_name("a.m4a")
    assert [path.name for path in walk_folder(tmp_path / "data").others] == ["a.m4a"]
    with pytest.raises(AudioError, match=r"is MPEG-4 .* which cannot be read; convert it: ffmpeg"):
        read_audio(tmp_path / "data" / "yes" / "a.m4a")


def test_a_file_that_ffmpeg_rejects(ffmpeg: Path, tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"a\.m4a: ffmpeg cannot read it \(Invalid data found\); convert it again or remove it"):
        read_audio(make(tmp_path / "a.m4a", b"bad"))
    ffmpeg.write_text("not a program")
    with pytest.raises(AudioError, match="ffmpeg could not convert it"):
        read_audio(make(tmp_path / "b.m4a"))


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
@pytest.mark.parametrize("suffix", [".m4a", ".aac", ".mka", ".wma", ".mp4"])
def test_the_real_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    monkeypatch.setattr(convert, "_find_ffmpeg", lambda path: shutil.which("ffmpeg"))
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(32_000) / 16_000)
    soundfile.write(tmp_path / "tone.wav", tone, 16_000)
    subprocess.run(["ffmpeg", "-v", "error", "-i", tmp_path / "tone.wav", tmp_path / f"tone{suffix}"], check=True)
    audio, rate = read_audio(tmp_path / f"tone{suffix}")
    assert rate == 16_000
    assert len(audio) == pytest.approx(32_000, abs=4_000)
    assert float(np.sqrt(np.mean(audio**2))) == pytest.approx(0.212, abs=0.02)
    make(tmp_path / "list.m4a", f"#EXTM3U\n#EXTINF:1,\n{tmp_path / 'tone.wav'}\n".encode())
    with pytest.raises(AudioError, match="ffmpeg cannot read it"):
        read_audio(tmp_path / "list.m4a")


def test_ffmpeg_is_found_on_the_path(ffmpeg: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    convert._find_ffmpeg.cache_clear()
    monkeypatch.setenv("PATH", str(ffmpeg.parent) + os.pathsep + os.environ["PATH"])
    assert convert.can_convert()
