"""Headers that are a little wrong: everything is read, with a note. Really truncated files, and noise, are errors."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wordspot.audio.files import read_audio, read_blocks, read_info
from wordspot.audio.ogg import _checksum
from wordspot.errors import AudioError

RATE = 16_000
SOUND = (0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.float32)
INTEGERS = np.rint(SOUND * 32768).astype("<i2")


def wav(claimed: int, *, data: bytes = INTEGERS.tobytes(), after: bytes = b"", channels: int = 1) -> bytes:
    """A WAV of 16 bits whose header claims that many bytes of samples."""
    form = struct.pack("<HHIIHH", 1, channels, RATE, 2 * channels * RATE, 2 * channels, 16)
    body = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", claimed) + data + after
    return b"RIFF" + struct.pack("<I", len(body)) + body


def read(path: Path, content: bytes) -> tuple[np.ndarray, list[str]]:
    path.write_bytes(content)
    notes: list[str] = []
    return read_audio(path, on_note=notes.append)[0], notes


@pytest.mark.parametrize("extra", [16, 36, 44, 3198])
def test_a_header_that_counts_too_much(tmp_path: Path, extra: int) -> None:
    audio, notes = read(tmp_path / "a.wav", wav(32_000 + extra))
    np.testing.assert_array_equal(audio, INTEGERS / np.float32(32768))
    assert notes == [
        f"{tmp_path / 'a.wav'}: its header promises {extra} bytes more than the file holds; everything in the file is read"
    ]
    assert read_info(tmp_path / "a.wav").n_samples == RATE
    assert sum(len(block) for block in read_blocks(tmp_path / "a.wav")[1]) == RATE


@pytest.mark.parametrize("missing", [3200, 20_000])
def test_a_truncated_file_is_an_error_with_a_way_out(tmp_path: Path, missing: int) -> None:
    with pytest.raises(AudioError, match=r"truncated.*copy or record it again, or keep the rest: ffmpeg -i a\.wav"):
        read(tmp_path / "a.wav", wav(32_000 + missing))


@pytest.mark.parametrize("few", [44, 1000, 31_000])
def test_a_header_that_counts_too_little(tmp_path: Path, few: int) -> None:
    audio, notes = read(tmp_path / "a.wav", wav(32_000 - few))
    np.testing.assert_array_equal(audio, INTEGERS / np.float32(32768))
    assert notes == [f"{tmp_path / 'a.wav'}: its header counts {few} bytes too few; everything in the file is read"]


@pytest.mark.parametrize("after", [b"LIST\x04\0\0\0INFO", b"TAG" + bytes(125), bytes(512), b"LIST\xff\0\0\0INFO"])
def test_what_follows_the_samples_is_not_sound(tmp_path: Path, after: bytes) -> None:
    audio, notes = read(tmp_path / "a.wav", wav(32_000, after=after))
    assert (len(audio), notes) == (RATE, [])


def test_a_second_recording_in_the_file_is_noted(tmp_path: Path) -> None:
    audio, notes = read(tmp_path / "a.wav", wav(32_000, after=wav(32_000)))
    assert len(audio) == RATE
    assert notes == [f"{tmp_path / 'a.wav'}: another recording follows in the same file and is not read; split the file"]


@pytest.mark.parametrize(("name", "container"), [("a.aiff", "AIFF"), ("a.au", "AU"), ("a.rf64", "RF64")])
def test_other_headers_that_count_too_much(tmp_path: Path, name: str, container: str) -> None:
    path = tmp_path / name
    soundfile.write(path, SOUND, RATE, format=container, subtype="PCM_16")
    audio, notes = read(path, path.read_bytes()[:-44])
    assert len(audio) == RATE - 22
    assert "more than the file holds" in notes[0]


def test_an_mp3_that_lacks_a_counted_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    soundfile.write(path, SOUND, RATE, format="MP3")
    audio, notes = read(path, path.read_bytes()[:-100])
    assert len(audio) > 0.9 * RATE
    assert notes == [f"{path}: its end is missing, less than 0.1 s; the rest is read"]


def test_a_flac_whose_header_counts_a_little_too_much(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, SOUND, RATE, format="FLAC")
    content = bytearray(path.read_bytes())
    content[21:26] = ((content[21] & 0xF0) << 32 | RATE + 500).to_bytes(5, "big")  # 36 bits of STREAMINFO
    audio, notes = read(path, bytes(content))
    assert len(audio) == RATE
    assert notes == [f"{path}: its header promises 500 samples more than it has; everything in the file is read"]


@pytest.mark.parametrize("counted", [1, 8_000, RATE - 100])
def test_a_flac_whose_header_counts_too_little(tmp_path: Path, counted: int) -> None:
    """libsndfile stops where the header says; the last frame says how many samples there are."""
    path = tmp_path / "a.flac"
    for after in (b"", b"TAG" + bytes(125)):
        soundfile.write(path, SOUND, RATE, format="FLAC")
        content = bytearray(path.read_bytes())
        content[21:26] = ((content[21] & 0xF0) << 32 | counted).to_bytes(5, "big")
        audio, notes = read(path, bytes(content) + after)
        np.testing.assert_array_equal(audio, INTEGERS / np.float32(32768))
        assert notes == [f"{path}: its header counts {RATE - counted} samples too few; everything in the file is read"]
        assert read_info(path).n_samples == RATE


def test_a_flac_between_tags_of_other_formats(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, SOUND, RATE, format="FLAC")
    ape = b"APETAGEX" + struct.pack("<4I8s", 2000, 132, 1, 0, b"")
    for after in (b"TAG" + bytes(125), bytes(100) + ape, bytes(100) + ape + b"TAG" + bytes(125)):
        soundfile.write(path, SOUND, RATE, format="FLAC")
        audio, notes = read(path, b"ID3\x03\0\0\0\0\x10\0" + bytes(2048) + path.read_bytes() + after)
        assert (len(audio), notes) == (RATE, [])


def corrected(path: Path, container: str, name: bytes, shift: int, length: int, form: str) -> bytes:
    """SOUND in a container, with another length written `shift` bytes after a chunk's name."""
    soundfile.write(path, INTEGERS, RATE, format=container, subtype="PCM_16")
    content = path.read_bytes()
    at = content.index(name) + shift
    return content[:at] + struct.pack(form, length) + content[at + struct.calcsize(form) :]


@pytest.mark.parametrize(
    ("container", "name", "shift", "form", "extra"),
    [
        ("AIFF", b"SSND", 4, ">I", 8),
        ("CAF", b"data", 4, ">q", 4),
        ("W64", b"data", 16, "<Q", 24),
        ("AU", b".snd", 8, ">I", 0),
        ("RF64", b"ds64", 16, "<Q", 0),
    ],
)
def test_lengths_of_other_containers(tmp_path: Path, container: str, name: bytes, shift: int, form: str, extra: int) -> None:
    path = tmp_path / "a.bin"

    def with_length(length: int) -> tuple[np.ndarray, list[str]]:
        return read(path, corrected(path, container, name, shift, length + extra, form))

    expected = INTEGERS / np.float32(32768)
    audio, notes = with_length(16_000)
    np.testing.assert_array_equal(audio[:RATE], expected)
    assert re.fullmatch(r".*its header counts \d+ bytes too few; everything in the file is read", notes[0])
    audio, notes = with_length(32_000 + 100)
    np.testing.assert_array_equal(audio[:RATE], expected)
    assert "more than the file holds; everything in the file is read" in notes[0]
    with pytest.raises(AudioError, match="truncated, its header promises"):
        with_length(64_000)


@pytest.mark.parametrize(
    ("container", "name", "shift", "form", "length"),
    [
        ("CAF", b"data", 4, ">q", -1),
        ("AU", b".snd", 8, ">I", 0),
        ("AU", b".snd", 8, ">I", 0x7FFFFFFF),
        ("AIFF", b"SSND", 4, ">I", 0),
        ("RF64", b"ds64", 16, "<Q", 0),
        ("RF64", b"ds64", 16, "<Q", 2**64 - 1),
    ],
)
def test_containers_without_a_length(tmp_path: Path, container: str, name: bytes, shift: int, form: str, length: int) -> None:
    """What recorders leave that were ended before they could write it; CAF has -1 for it."""
    path = tmp_path / "a.bin"
    audio, notes = read(path, corrected(path, container, name, shift, length, form))
    np.testing.assert_array_equal(audio[:RATE], INTEGERS / np.float32(32768))
    assert (len(audio) - RATE < 10, notes) == (True, [])


def test_a_wav_by_its_later_name_and_in_the_other_byte_order(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, SOUND, RATE, format="RF64", subtype="PCM_16")
    audio, _ = read(path, b"BW64" + path.read_bytes()[4:])  # ITU-R BS.2088
    assert len(audio) == RATE
    form = struct.pack(">4sIHHIIHH4sI", b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16, b"data", 16_000)
    audio, notes = read(path, b"RIFX" + struct.pack(">I", 0) + b"WAVE" + form + INTEGERS.astype(">i2").tobytes())
    np.testing.assert_array_equal(audio, INTEGERS / np.float32(32768))
    assert "counts 16000 bytes too few" in notes[0]


def test_a_sphere_file_that_is_truncated(tmp_path: Path) -> None:
    path = tmp_path / "a.sph"
    soundfile.write(path, SOUND, RATE, format="NIST", subtype="PCM_16")
    whole = path.read_bytes()
    with pytest.raises(AudioError, match="truncated, its header promises 33024 bytes"):
        read(path, whole[:-8_000])
    audio, notes = read(path, whole[:-80])
    assert len(audio) == RATE - 40
    assert "80 bytes more than the file holds" in notes[0]


def test_an_odd_number_of_bytes_that_is_not_filled_up(tmp_path: Path) -> None:
    form = struct.pack("<HHIIHH", 1, 1, RATE, RATE, 1, 8)
    body = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", 9_999) + bytes([128]) * 9_999
    audio, notes = read(tmp_path / "a.wav", b"RIFF" + struct.pack("<I", len(body)) + body + b"LIST\x04\0\0\0INFO")
    assert (len(audio), notes) == (9_999, [])


def first_frame(mp3: bytes) -> int:
    """Where the frame after the one with the encoder's count begins."""
    return mp3.index(mp3[:2], 4)


@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize("before", [b"", b"ID3\x03\0\0\0\x40\0\0" + bytes(1 << 20), bytes(3000)])
def test_an_mp3_without_a_count(tmp_path: Path, rate: int, before: bytes) -> None:
    """libsndfile estimates its length from its first frame; of this one it would read about half, or a third."""
    path = tmp_path / "a.mp3"
    rng = np.random.default_rng(2)
    soundfile.write(path, 0.01 * rng.standard_normal(5 * rate) + 0.3 * np.sin(0.05 * np.arange(5 * rate)), rate, format="MP3")
    mp3 = path.read_bytes()
    uncounted = mp3[first_frame(mp3) :]
    n_samples = 576 if rate == 16_000 else 1152  # of a frame of MPEG-2 and MPEG-1
    for after in (b"", b"TAG" + bytes(125), b"garbage" * 100):
        audio, notes = read(path, before + uncounted + after)
        assert notes == []
        assert 0 <= len(audio) - 5 * rate < 3 * n_samples  # the encoder's delay and what fills up its last frame


def test_joined_mp3s_are_read_to_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    soundfile.write(path, SOUND, RATE, format="MP3")
    mp3 = path.read_bytes()
    audio, notes = read(path, mp3 + b"ID3\x03\0\0\0\0\0\x10" + bytes(16) + mp3)
    assert len(audio) > 2 * RATE
    assert re.fullmatch(r".*: its header counts \d+ MP3 frames too few; everything in the file is read", notes[0])


def test_recordings_that_follow_in_an_ogg_are_noted(tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    soundfile.write(path, SOUND, RATE, format="OGG", subtype="VORBIS")
    one = path.read_bytes()
    audio, notes = read(path, one * 3)
    assert len(audio) == RATE
    assert notes == [f"{path}: 2 more recording(s) follow in the same file and are not read; split the file"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a b.wav", "'a b.wav' 'a b.wav.wav'"), ("-x.wav", "./-x.wav ./-x.wav.wav"), ("ü$.wav", "'ü$.wav' 'ü$.wav.wav'")],
)
def test_the_command_that_converts_can_be_pasted(tmp_path: Path, name: str, shown: str) -> None:
    with pytest.raises(AudioError) as raised:
        read(tmp_path / name, b"#!AMR\n" + bytes(100))
    assert f"convert it: ffmpeg -i {shown}; " in str(raised.value)


def test_what_cannot_be_read_says_how_to_convert_it(tmp_path: Path) -> None:
    samples_first = b"RIFF\x34\0\0\0WAVEdata\x08\0\0\0" + bytes(8) + b"fmt \x10\0\0\0" + bytes(16)
    with pytest.raises(AudioError, match=r"the WAV file cannot be read \(.*\); convert it again: ffmpeg -i a\.wav a\.wav\.wav"):
        read(tmp_path / "a.wav", samples_first)


@pytest.mark.parametrize("name", ["noise.wav", "noise.bin", "noise.mp3", "noise"])
def test_a_decoders_guess_at_noise_is_rejected(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(5)
    for size in (700, 5_000, 70_000, 200_000):
        for _ in range(5):
            with pytest.raises(AudioError, match=r"cannot be read|no MP3 frame|damaged|truncated"):
                read(tmp_path / name, rng.bytes(size))
            with pytest.raises(AudioError, match=r"cannot be read|no MP3 frame|damaged|truncated"):
                read_info(tmp_path / name, thorough=False)


@pytest.mark.parametrize(("start", "name"), [(b"\xff\xfb\x90\xc4", "a.wav"), (b"ID3\x04\0\0\0\0\0\0", "a.bin")])
def test_noise_that_begins_like_an_mp3_is_rejected(tmp_path: Path, start: bytes, name: str) -> None:
    noise = np.random.default_rng(6).bytes(30_000)
    with pytest.raises(AudioError, match="there is no MP3 frame"):
        read(tmp_path / name, start + noise)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\x1aE\xdf\xa3" + bytes(100), "WebM or Matroska"),
        (b"\0\0\0\x20ftypM4A " + bytes(100), "MPEG-4"),
        (b"#!AMR\n" + bytes(100), "AMR"),
        (b"RIFF\x64\0\0\0AVI " + bytes(100), "AVI"),
    ],
)
def test_a_kind_that_cannot_be_read_is_named(tmp_path: Path, head: bytes, kind: str) -> None:
    with pytest.raises(AudioError, match=rf"is {kind}.*, which cannot be read; convert it: ffmpeg -i a\.wav a\.wav\.wav"):
        read(tmp_path / "a.wav", head)


def ogg_flac(flac: bytes, page_bytes: int = 30_000) -> bytes:
    """A FLAC in Ogg as RFC 9639, section 10.1 has it: a first packet of its own, then the rest in packets."""
    first, rest = b"\x7fFLAC\x01\x00\x00\x01" + flac[:42], flac[42:]
    packets = [first, *(rest[at : at + page_bytes] for at in range(0, len(rest), page_bytes))]
    out = b""
    for number, packet in enumerate(packets):
        lacing = bytes([255] * (len(packet) // 255) + [len(packet) % 255])
        kind = 2 if number == 0 else 4 if number == len(packets) - 1 else 0
        head = struct.pack("<4sBBqIII", b"OggS", 0, kind, 0, 7, number, 0) + bytes([len(lacing)])
        page = head + lacing + packet
        out += page[:22] + _checksum(page) + page[26:]
    return out


@pytest.mark.parametrize("name", ["a.oga", "a.ogg"])
def test_flac_in_ogg(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.flac"
    rng = np.random.default_rng(1)
    soundfile.write(path, 0.1 * rng.standard_normal(4 * RATE), RATE, format="FLAC")
    expected, _ = read_audio(path)
    inside = ogg_flac(path.read_bytes())
    audio, _ = read(tmp_path / name, inside)
    np.testing.assert_array_equal(audio, expected)
    assert read_info(tmp_path / name).format == "FLAC PCM_16"
    with pytest.raises(AudioError, match="truncated"):
        read(tmp_path / name, inside[:-50])
