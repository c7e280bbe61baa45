"""Sound files of every kind come in at their values; every kind of damage is an error that names the file.

WAV files are packed here byte by byte, so that their values do not rest on the library that reads them.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wordspot.audio import files as audio_module
from wordspot.audio.files import MAX_SAMPLES, AudioInfo, read_audio, read_blocks, read_info, write_audio
from wordspot.audio.folder import is_audio_name
from wordspot.audio.resample import resample
from wordspot.audio.samples import to_float32, to_int16
from wordspot.errors import AudioError, ConfigError, NotFoundError

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
as_root = pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read and write everything")


def tone(hz: float, rate: int, seconds: float = 1.0, level: float = 0.5) -> np.ndarray:
    """A sine, float32 [rate · seconds]."""
    return (level * np.sin(2 * np.pi * hz * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


def amplitude(audio: np.ndarray, hz: float, rate: int) -> float:
    """The level of one frequency, away from the edges, where a resampler meets the silence outside."""
    inner = slice(len(audio) // 10, -(len(audio) // 10))
    turning = np.exp(-2j * np.pi * hz * np.arange(len(audio)) / rate)
    return float(2 * abs(np.mean((audio * turning)[inner])))


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def wav(data: bytes, *, code: int = PCM, bits: int = 16, channels: int = 1, rate: int = 16_000, size: int | None = None,
        before: bytes = b"", after: bytes = b"", extensible: bool = False) -> bytes:  # fmt: skip
    """A WAV file. `size`: what the header claims of the data, where that is not the truth."""
    width = bits // 8
    byte_rate, block = (rate * channels * width) & 0xFFFFFFFF, (channels * width) & 0xFFFF
    form = struct.pack("<HHIIHH", EXTENSIBLE if extensible else code, channels, rate, byte_rate, block, bits)
    if extensible:
        form += struct.pack("<HHIH", 22, bits, 0, code) + bytes.fromhex("000000001000800000AA00389B71")
    claimed = len(data) if size is None else size
    body = b"WAVE" + chunk(b"fmt ", form) + before + b"data" + struct.pack("<I", claimed) + data + after
    return b"RIFF" + struct.pack("<I", len(body)) + body


def rf64(data: bytes, claimed: int) -> bytes:
    """A WAV whose lengths stand in a ds64 chunk of 64-bit numbers."""
    lengths = chunk(b"ds64", struct.pack("<QQQI", 0, claimed, claimed // 2, 0))
    return b"RF64\xff\xff\xff\xffWAVE" + lengths + wav(data, size=0xFFFFFFFF)[12:]


def encoded(container: str, subtype: str, audio: np.ndarray | None = None, rate: int = 16_000) -> bytes:
    """The bytes of a file that libsndfile's encoders write."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sound"
        soundfile.write(path, tone(440, rate) if audio is None else audio, rate, format=container, subtype=subtype)
        return path.read_bytes()


def pages(ogg: bytes) -> list[int]:
    """Where the pages of an Ogg file start; the four letters do not occur within the pages of these tests."""
    return [at for at in range(len(ogg)) if ogg.startswith(b"OggS", at)]


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Path]:
    def put(content: bytes, name: str = "take.wav") -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return put


Put = Callable[..., Path]

# ---------------------------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize("extensible", [False, True], ids=["plain", "extensible"])
@pytest.mark.parametrize(
    ("data", "code", "bits", "expected"),
    [
        (bytes([0, 64, 128, 192, 255]), PCM, 8, [-1, -0.5, 0, 0.5, 127 / 128]),
        (struct.pack("<5h", -32768, -16384, 0, 1, 32767), PCM, 16, [-1, -0.5, 0, 1 / 32768, 32767 / 32768]),
        (b"\x00\x00\x80\x00\x00\xc0\x00\x00\x00\x01\x00\x00\xff\xff\x7f", PCM, 24, [-1, -0.5, 0, 2**-23, 1 - 2**-23]),
        (struct.pack("<4i", -(2**31), -(2**30), 0, 2**30), PCM, 32, [-1, -0.5, 0, 0.5]),
        (struct.pack("<4f", -1.5, 0.1, 0, 1), FLOAT, 32, [-1.5, 0.1, 0, 1]),
        (struct.pack("<4d", -1.5, 0.1, 0, 1), FLOAT, 64, [-1.5, 0.1, 0, 1]),
    ],
    ids=["8", "16", "24", "32", "float32", "float64"],
)
def test_wav_values_are_exact(put: Put, data: bytes, code: int, bits: int, expected: list[float], extensible: bool) -> None:
    # Exact but for 0.1, which float32 rounds; 24 bits fit float32 without a loss.
    path = put(wav(data, code=code, bits=bits, extensible=extensible))
    audio, rate = read_audio(path)
    assert rate == 16_000
    assert audio.dtype == np.float32
    np.testing.assert_array_equal(audio, np.array(expected, np.float32))


@pytest.mark.parametrize(
    ("name", "container", "subtype", "tolerance"),
    [
        # A step of the quantizer: it may round either way or cut off.
        ("a.flac", "FLAC", "PCM_S8", 2**-7),
        ("a.flac", "FLAC", "PCM_16", 2**-15),
        ("a.flac", "FLAC", "PCM_24", 2**-23),
        ("a.aiff", "AIFF", "PCM_16", 2**-15),
        ("a.au", "AU", "PCM_16", 2**-15),
        ("a.w64", "W64", "PCM_16", 2**-15),
        ("a.rf64", "RF64", "PCM_16", 2**-15),
        ("a.wav", "WAV", "ULAW", 2**-5),  # mu-law's steps are coarsest near the peak, 1/32
    ],
)
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_lossless_containers_keep_the_signal(
    put: Put, name: str, container: str, subtype: str, tolerance: float, rate: int
) -> None:
    signal = tone(440, rate)
    audio, read_rate = read_audio(put(encoded(container, subtype, signal, rate), name))
    assert read_rate == rate
    assert audio.shape == signal.shape
    assert np.abs(audio - signal).max() <= tolerance


@pytest.mark.parametrize(
    ("name", "container", "subtype"),
    [("a.ogg", "OGG", "VORBIS"), ("a.opus", "OGG", "OPUS"), ("a.mp3", "MP3", "MPEG_LAYER_III")],
)
@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
def test_lossy_codecs_keep_tone_level_and_time(put: Put, name: str, container: str, subtype: str, rate: int) -> None:
    # Away from the edges these codecs leave a noise 24 to 50 dB below the tone; 20 dB is a tenth of it. A delay of only
    # 0.1 ms would be an error of 11 dB.
    signal = tone(440, rate, seconds=2)
    audio, read_rate = read_audio(put(encoded(container, subtype, signal, rate), name))
    assert (read_rate, len(audio)) == (rate, len(signal))
    inner = slice(rate // 5, -rate // 5)
    error = (audio - signal)[inner]
    assert 10 * np.log10(np.mean(signal[inner] ** 2) / np.mean(error**2)) > 20
    assert amplitude(audio, 440, rate) == pytest.approx(0.5, rel=0.03)


@pytest.mark.parametrize("container", ["WAV", "FLAC", "MP3"])
def test_a_file_of_several_blocks_is_the_same_as_decoded_at_once(put: Put, container: str) -> None:
    # soundfile seeks between two reads, after which an MP3 lacks the bits its frames borrow from those before: an error
    # of 1e-3. That the decoder rounds otherwise in another place of memory is 2e-7 at most.
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, 50_017).astype(np.float32)
    path = put(encoded(container, "MPEG_LAYER_III" if container == "MP3" else "PCM_16", noise))
    at_once, _ = soundfile.read(path, dtype="float32")
    rate, blocks = read_blocks(path, 312.5)
    parts = list(blocks)
    assert (rate, len(parts[0]), len(parts)) == (16_000, 5_000, 11)
    np.testing.assert_allclose(np.concatenate(parts), at_once, rtol=0, atol=2e-7)
    np.testing.assert_allclose(read_audio(path)[0], at_once, rtol=0, atol=2e-7)


def test_the_first_channel_or_the_one_asked_for(put: Put) -> None:
    data = struct.pack("<6h", 16384, -16384, 8192, 0, 0, 32767)  # frames: (0.5, -0.5), (0.25, 0), (0, 1)
    path = put(wav(data, channels=2))
    nearly_one = 32767 / 32768
    np.testing.assert_array_equal(read_audio(path)[0], np.array([0.5, 0.25, 0], np.float32))
    np.testing.assert_array_equal(read_audio(path, channel=1)[0], np.array([-0.5, 0, nearly_one], np.float32))
    with pytest.raises(AudioError, match=r"take.wav: there is no channel 2, the file has 2"):
        read_audio(path, channel=2)


@pytest.mark.parametrize(("container", "subtype"), [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS")])
def test_five_channels(put: Put, container: str, subtype: str) -> None:
    channels = np.stack([tone(200 * (n + 1), 16_000, level=0.4) for n in range(5)], axis=1)
    path = put(encoded(container, subtype, channels), "five")
    assert read_info(path).n_channels == 5
    for n in range(5):
        picked = read_audio(path, channel=n)[0]
        assert amplitude(picked, 200 * (n + 1), 16_000) == pytest.approx(0.4, rel=0.03)
    assert amplitude(read_audio(path)[0], 200, 16_000) == pytest.approx(0.4, rel=0.03)


def test_info_tells_what_the_header_says(put: Put) -> None:
    info = read_info(put(wav(bytes(8_000), rate=8_000, channels=2)))
    assert info == AudioInfo(sample_rate=8_000, n_channels=2, n_samples=2_000, format="WAV PCM_16")
    assert info.seconds == 0.25


def test_contents_count_not_the_suffix(put: Put) -> None:
    signal = tone(440, 16_000, 0.2)
    for name in ("a.mp3", "a.flac", "a.ogg", "a"):
        assert len(read_audio(put(encoded("WAV", "PCM_16", signal), name))[0]) == 3_200
        assert len(read_audio(put(encoded("FLAC", "PCM_16", signal), name))[0]) == 3_200
    assert len(read_audio(put(encoded("MP3", "MPEG_LAYER_III", signal), "a.wav"))[0]) == 3_200
    assert len(read_audio(put(encoded("OGG", "VORBIS", signal), "a.mp3"))[0]) == 3_200


def test_names_of_recordings() -> None:
    assert all(map(is_audio_name, ["a.wav", "A.WAV", "a.b.flac", "汪.ogg", "x.opus", "x.mp3"]))
    assert not any(map(is_audio_name, [".a.wav", "a.txt", "wav", "a.wav.part", "a.wav~"]))


# ------------------------------------------------------------------------------------------------------------ resampling


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000])
@pytest.mark.parametrize("to_rate", [8_000, 16_000, 22_050])
def test_resampling_keeps_frequency_level_and_length(put: Put, rate: int, to_rate: int) -> None:
    audio, read_rate = read_audio(put(wav(to_int16(tone(1_000, rate)).tobytes(), rate=rate)), to_rate)
    assert read_rate == to_rate
    assert audio.dtype == np.float32
    assert abs(len(audio) - to_rate) <= 1
    # 1e-4: the passband of soxr's HQ is flat to 1e-5, 16 bits add 3e-5. Only 1,000 Hz turns with 1,000 Hz for a second.
    assert amplitude(audio, 1_000, to_rate) == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize("hz", [8_500, 9_000, 12_000, 15_000, 20_000, 23_900])
def test_what_lies_above_half_the_new_rate_is_killed_not_folded(hz: float) -> None:
    folded = resample(tone(hz, 48_000), 48_000, 16_000)[500:-500]
    assert np.sqrt(2 * np.mean(folded**2)) < 0.5 * 10 ** (-100 / 20)  # HQ promises 20 bits, 120 dB; 100 leave room


def test_tones_up_to_nine_tenths_of_the_new_band_are_kept() -> None:
    for hz in (50, 3_000, 7_000, 7_300):  # HQ passes up to 0.913 of 8,000 Hz
        assert amplitude(resample(tone(hz, 48_000), 48_000, 16_000), hz, 16_000) == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize("rate", [8_000, 22_050, 48_000])
def test_a_constant_stays_a_constant_and_silence_silence(rate: int) -> None:
    constant = resample(np.full(rate, 0.25, np.float32), rate, 16_000)
    np.testing.assert_allclose(constant[800:-800], 0.25, atol=1e-6)  # float32 holds 0.25 to 3e-8
    assert not resample(np.zeros(rate, np.float32), rate, 16_000).any()


def test_the_same_rate_changes_nothing() -> None:
    audio = tone(440, 16_000)
    assert resample(audio, 16_000, 16_000) is audio


# ---------------------------------------------------------------------------------------------- what real recorders write

SOUND = struct.pack("<6h", 1, -2, 300, -400, 5_000, -6_000)
VALUES = np.array([1, -2, 300, -400, 5_000, -6_000], np.float32) / 32768


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_a_wav_from_a_pipe_is_read_to_its_end(put: Put, size: int) -> None:
    # espeak-ng and sox write 0x7ffff000 where they cannot go back, arecord 2 GiB, ffmpeg all ones, others 0.
    path = put(wav(SOUND, size=size))
    np.testing.assert_array_equal(read_audio(path)[0], VALUES)
    assert read_info(path).n_samples == 6


def test_a_long_wav_from_a_pipe_needs_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    path.write_bytes(wav(SOUND, size=0))
    with path.open("r+b") as file:
        file.truncate(60_000_000)  # half an hour of zeros, which take no space on most disks
    tracemalloc.start()
    try:
        _, blocks = read_blocks(path)
        first = next(blocks)
        n_samples = len(first) + sum(len(block) for block in blocks)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(first[:6], VALUES)
    assert n_samples == (60_000_000 - 44) // 2
    assert peak < 4_000_000


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a pipe of POSIX")
def test_a_pipe_is_not_said_to_be_missing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(AudioError, match=r"pipe\.wav: a pipe or a device, not a file"):
        read_audio(tmp_path / "pipe.wav")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (chunk(b"LIST", b"INFOISFT\x04\0\0\0abc\0"), b""),
        (chunk(b"bext", bytes(603)), b""),  # odd: a byte of padding follows
        (b"", chunk(b"LIST", b"INFO")),
        (chunk(b"JUNK", bytes(28)), chunk(b"id3 ", b"ID3\x04\0\0\0\0\0\0")),
    ],
    ids=["LIST before", "odd chunk before", "LIST after", "both"],
)
def test_other_chunks_are_passed_over(put: Put, before: bytes, after: bytes) -> None:
    np.testing.assert_array_equal(read_audio(put(wav(SOUND, before=before, after=after)))[0], VALUES)


@pytest.mark.parametrize("ending", [b"", b"\0", b"\0" + chunk(b"LIST", b"INFO")], ids=["bare", "padded", "chunk after"])
def test_an_odd_number_of_bytes(put: Put, ending: bytes) -> None:
    path = put(wav(bytes([128, 192, 64]), bits=8, after=ending))
    np.testing.assert_array_equal(read_audio(path)[0], np.array([0, 0.5, -0.5], np.float32))


def test_rf64(put: Put) -> None:
    np.testing.assert_array_equal(read_audio(put(rf64(SOUND, len(SOUND))))[0], VALUES)


def test_a_flac_from_a_pipe_whose_header_leaves_out_the_length(put: Put) -> None:
    whole = bytearray(encoded("FLAC", "PCM_16"))
    whole[21] &= 0xF0  # STREAMINFO: 36 bits of the number of samples, then its MD5
    whole[22:26] = bytes(4)
    path = put(bytes(whole), "a.flac")
    assert read_info(path).n_samples == 0
    assert len(read_audio(path)[0]) == 16_000
    with pytest.raises(AudioError, match=r"a.flac: damaged"):
        read_audio(put(bytes(whole[: len(whole) // 2]), "a.flac"))


def test_tags_around_mp3_and_flac(put: Put) -> None:
    tag = b"ID3\x04\0\0\0\0\x01\x05" + bytes(133)  # its length in digits of 7 bits: 1 and 5 are 133
    mp3 = encoded("MP3", "MPEG_LAYER_III")
    assert len(read_audio(put(tag + mp3 + b"TAG" + bytes(125), "a.mp3"))[0]) == 16_000
    assert len(read_audio(put(tag + encoded("FLAC", "PCM_16"), "a.flac"))[0]) == 16_000


def test_bytes_after_an_ogg_are_passed_over(put: Put) -> None:
    assert len(read_audio(put(encoded("OGG", "VORBIS") + b"\0" * 100, "a.ogg"))[0]) == 16_000


# ---------------------------------------------------------------------------------------------------------------- damage


def test_no_such_file_a_folder_and_an_empty_file(tmp_path: Path, put: Put) -> None:
    with pytest.raises(NotFoundError, match=r"gone.wav: no such file; expected a sound file"):
        read_audio(tmp_path / "gone.wav")
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(NotFoundError, match="the folder contains no sound files"):
        read_audio(tmp_path / "folder.wav")
    for read in (read_audio, read_info):
        with pytest.raises(AudioError, match=r"take.wav: the file is empty"):
            read(put(b""))


@as_root
def test_a_file_that_may_not_be_read(put: Put) -> None:
    path = put(wav(SOUND))
    path.chmod(0)
    with pytest.raises(AudioError, match=r"take.wav: cannot be opened \(Permission denied\)"):
        read_audio(path)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (wav(b""), "contains no samples"),
        (wav(b"", after=chunk(b"LIST", b"INFO")), "contains no samples"),
        (wav(b"\0", bits=16), "contains no samples"),  # half a sample
        (wav(SOUND)[:36], "cannot be read"),
        (wav(SOUND)[:12], "cannot be read"),
        (b"RIFF", "cannot be read"),
        (b"R", "cannot be read"),
        (bytes(10_000), "cannot be read"),
        (b"<!DOCTYPE html><title>404</title>" * 50, "cannot be read"),
        (np.random.default_rng(0).bytes(5_000), "cannot be read"),
    ],
)
def test_no_sound_in_it(put: Put, content: bytes, match: str) -> None:
    with pytest.raises(AudioError, match=rf"take.wav: .*{match}"):
        read_audio(put(content))


@pytest.mark.parametrize("content", [b"<!DOCTYPE html><title>404</title>" * 50, bytes(5_000), b"ID3", b"\xff\xfb"])
def test_an_mp3_without_a_frame(put: Put, content: bytes) -> None:
    with pytest.raises(AudioError, match=r"a.mp3: there is no MP3 frame in this MP3 file"):
        read_audio(put(content, "a.mp3"))


CUTTABLE = {
    "a.wav": ("WAV", "PCM_16", "truncated"),
    "b.wav": ("WAVEX", "FLOAT", "truncated"),
    "a.rf64": ("RF64", "PCM_16", "truncated"),
    "a.aiff": ("AIFF", "PCM_16", "truncated"),
    "a.au": ("AU", "PCM_16", "truncated"),
    "a.flac": ("FLAC", "PCM_16", "truncated|damaged"),
    "a.ogg": ("OGG", "VORBIS", "truncated"),
    "a.opus": ("OGG", "OPUS", "truncated"),
    "a.mp3": ("MP3", "MPEG_LAYER_III", "truncated"),
}


@pytest.mark.parametrize("name", CUTTABLE)
def test_truncation_is_never_silent(put: Put, name: str) -> None:
    container, subtype, match = CUTTABLE[name]
    rng = np.random.default_rng(3)
    signal = tone(440, 16_000, 6) + rng.normal(0, 0.05, 96_000).astype(np.float32)
    whole = encoded(container, subtype, signal)
    if name == "a.rf64":  # libsndfile writes one only where it must; its header is 104 bytes
        assert whole[:4] == b"RF64"
    header = {"OGG": pages(whole)[2:][0] if container == "OGG" else 0, "MP3": 500}.get(container, 120)
    starts = set(pages(whole)) if container == "OGG" else {0}
    cuts = [header + round((len(whole) - 1 - header) * part) for part in (0.02, 0.1, 0.3, 0.5, 0.77, 0.9, 0.99, 1)]
    if container in ("WAV", "WAVEX", "RF64", "AIFF", "AU"):  # less than 0.1 s missing is a header that is a little wrong
        cuts = [cut for cut in cuts if len(whole) - cut >= len(whole) / 60]
        assert len(cuts) == 6
    elif container == "MP3":  # its encoder has counted the frames
        cuts = cuts[:-2]
    for cut in cuts:
        assert cut not in starts
        with pytest.raises(AudioError, match=rf"{name}: ({match})"):
            read_audio(put(whole[:cut], name))
    assert len(read_audio(put(whole, name))[0]) == 96_000


@pytest.mark.parametrize("name", ["a.ogg", "a.mp3"])
def test_files_that_were_checked_before_are_not_checked_again(put: Put, name: str) -> None:
    container, subtype, _ = CUTTABLE[name]
    whole = encoded(container, subtype, tone(440, 16_000, 30))
    path = put(whole[: len(whole) * 2 // 3], name)
    for read in (read_audio, read_info, read_blocks):
        with pytest.raises(AudioError, match="truncated"):
            read(path)
    assert 0 < len(read_audio(path, thorough=False)[0]) < 480_000
    assert 0 < sum(len(block) for block in read_blocks(path, thorough=False)[1]) < 480_000
    assert read_info(path, thorough=False).sample_rate == 16_000


def test_truncation_that_leaves_no_trace(put: Put) -> None:
    """The limits that `wordspot.audio.truncation` names: such files are whole by every rule of their format."""
    ogg = encoded("OGG", "VORBIS", tone(440, 16_000, 30))
    assert 0 < len(read_audio(put(ogg[: pages(ogg)[-1]], "a.ogg"))[0]) < 480_000
    mp3 = encoded("MP3", "MPEG_LAYER_III", tone(440, 16_000, 2))
    assert b"Info" in mp3[:100] or b"Xing" in mp3[:100]
    frames = [at for at in range(len(mp3)) if mp3.startswith(mp3[:2], at) and mp3[at + 2] & 0x0C == mp3[2] & 0x0C]
    uncounted = mp3[frames[1] : frames[30]]
    assert 0 < len(read_audio(put(uncounted, "a.mp3"))[0]) < 32_000


def test_an_mp3_that_lacks_counted_frames(put: Put) -> None:
    mp3 = encoded("MP3", "MPEG_LAYER_III", tone(440, 16_000, 2))
    frames = [at for at in range(len(mp3)) if mp3.startswith(mp3[:2], at) and mp3[at + 2] & 0x0C == mp3[2] & 0x0C]
    with pytest.raises(AudioError, match=r"a.mp3: truncated or damaged, its header promises \d+ MP3 frames, but it has 30"):
        read_audio(put(mp3[: frames[30]], "a.mp3"))


def test_a_flipped_byte_in_an_ogg_page(put: Put) -> None:
    ogg = bytearray(encoded("OGG", "VORBIS"))
    start = pages(bytes(ogg))[-1]
    ogg[start + 300] ^= 1
    with pytest.raises(AudioError, match=rf"a.ogg: damaged, the Ogg page at byte {start} fails its checksum"):
        read_audio(put(bytes(ogg), "a.ogg"))


def ogg_page(lacing: bytes, body: bytes) -> bytes:
    """A page as RFC 3533 lays it out, with its checksum computed bit by bit."""
    head = b"OggS\0\0" + struct.pack("<qII", 0, 1, 99)
    tail = bytes([len(lacing)]) + lacing + body
    checksum = 0
    for byte in head + bytes(4) + tail:
        checksum ^= byte << 24
        for _ in range(8):
            checksum = (checksum << 1 ^ (0x04C11DB7 if checksum >> 31 else 0)) & 0xFFFFFFFF
    return head + struct.pack("<I", checksum) + tail


def test_an_ogg_cut_between_two_pages_of_one_packet(put: Put) -> None:
    ogg = encoded("OGG", "VORBIS")
    assert len(read_audio(put(ogg + ogg_page(b"\xfe", bytes(254)), "a.ogg"))[0]) == 16_000  # a packet that ends
    with pytest.raises(AudioError, match=r"a.ogg: truncated, its last Ogg page announces another"):
        read_audio(put(ogg + ogg_page(b"\xff", bytes(255)), "a.ogg"))


def test_a_hole_in_a_flac(put: Put) -> None:
    flac = bytearray(encoded("FLAC", "PCM_16", np.random.default_rng(0).uniform(-0.5, 0.5, 16_000)))
    flac[len(flac) // 2 : len(flac) // 2 + 50] = bytes(50)
    with pytest.raises(AudioError, match=r"a.flac: damaged, it cannot be decoded"):
        read_audio(put(bytes(flac), "a.flac"))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("bits", [32, 64])
def test_nan_and_infinity(put: Put, bad: float, bits: int) -> None:
    data = struct.pack("<5" + ("f" if bits == 32 else "d"), 0, 0.5, bad, -0.5, bad)
    with pytest.raises(AudioError, match=r"take.wav: 2 of 5 samples are NaN or infinite"):
        read_audio(put(wav(data, code=FLOAT, bits=bits)))


def test_raw_numbers_of_another_scale(put: Put) -> None:
    with pytest.raises(AudioError, match=r"samples reach 3.28e\+04; expected at most 1. Scale"):
        read_audio(put(wav(struct.pack("<2f", 0, 32_768), code=FLOAT, bits=32)))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (wav(SOUND, size=0x7FFFEFFF), "truncated, its header promises"),
        (wav(SOUND, size=2**20), "truncated, its header promises"),
        (wav(SOUND, size=2**20, before=chunk(b"bext", bytes(603))), "truncated, its header promises"),
        (rf64(SOUND, 2**40), "truncated, its header promises"),
        (rf64(SOUND, 2**64 - 2), "truncated, its header promises"),
        (wav(SOUND, channels=65_535), "cannot be read"),
        (wav(SOUND * 65, channels=65), "the header says 6 samples in 65 channels; expected at most .* 64"),
        (wav(SOUND, channels=0), "cannot be read"),
        (wav(SOUND, bits=0), "cannot be read"),
        (wav(SOUND, rate=0), "cannot be read"),
        (wav(SOUND, rate=1), "a sample rate of 1 Hz; expected 1000 to 1000000"),
        (wav(SOUND, rate=2**31 - 1), "Hz; expected 1000 to 1000000"),
        (wav(SOUND, rate=2**32 - 1), "cannot be read"),
    ],
)
def test_absurd_headers(put: Put, content: bytes, match: str) -> None:
    with pytest.raises(AudioError, match=rf"take.wav: .*{match}"):
        read_audio(put(content), 16_000)


def test_more_samples_than_are_decoded_at_once(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    flac = bytearray(encoded("FLAC", "PCM_16"))
    flac[21] |= 0x0F
    flac[22:26] = b"\xff" * 4
    with pytest.raises(AudioError, match=rf"header says 68719476735 samples in 1 channels; expected at most {MAX_SAMPLES} "):
        read_audio(put(bytes(flac), "a.flac"))
    monkeypatch.setattr(audio_module, "MAX_SAMPLES", 1_000)
    path = put(wav(bytes(1_000), rate=8_000))
    assert len(read_audio(path, 16_000)[0]) == 1_000
    with pytest.raises(AudioError, match=r"longer than 1000 samples at 22050 Hz; cut the recording into parts"):
        read_audio(path, 22_050)


SMALL = {
    name: encoded(container, subtype, tone(440, 16_000, 0.1) + 0.01)
    for name, (container, subtype) in {
        "a.wav": ("WAV", "PCM_16"), "b.wav": ("WAVEX", "FLOAT"), "c.wav": ("WAV", "IMA_ADPCM"), "a.rf64": ("RF64", "PCM_24"),
        "a.flac": ("FLAC", "PCM_16"), "a.ogg": ("OGG", "VORBIS"), "a.opus": ("OGG", "OPUS"),
        "a.mp3": ("MP3", "MPEG_LAYER_III"), "a.aiff": ("AIFF", "PCM_16"), "a.au": ("AU", "PCM_16"), "a.w64": ("W64", "PCM_16"),
    }.items()
}  # fmt: skip
INTERESTING = st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255)


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    """A small file of some format with bytes changed, most of them in its head, and perhaps cut or grown."""
    name = draw(st.sampled_from(sorted(SMALL)))
    content = bytearray(SMALL[name])
    for _ in range(draw(st.integers(0, 8))):
        limit = draw(st.sampled_from([12, 64, 200, len(content)]))
        content[draw(st.integers(0, min(limit, len(content)) - 1))] = draw(INTERESTING)
    change = draw(st.sampled_from(["none", "none", "cut", "insert", "twice"]))
    at = draw(st.integers(0, len(content)))
    if change == "cut":
        del content[at:]
    elif change == "insert":
        content[at:at] = draw(st.binary(max_size=20))
    return name, bytes(content) * (2 if change == "twice" else 1)


@settings(max_examples=300, deadline=5_000)  # a file of a tenth of a second takes milliseconds; the machine may be busy
@given(damaged(), st.sampled_from([None, 16_000, 44_100]))
@example(("a.wav", b"RIFF\0\0\0\0WAVEdata"), None)
@pytest.mark.slow
def test_any_bytes_give_samples_or_an_audio_error(file: tuple[str, bytes], rate: int | None) -> None:
    name, content = file
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        try:
            audio, read_rate = read_audio(path, rate)
        except AudioError as error:
            message = str(error)
            audio = None
    if audio is None:
        assert message.startswith(str(path))  # names the file
        assert "\n" not in message
        return
    assert audio.dtype == np.float32
    assert audio.ndim == 1
    assert len(audio) > 0
    assert np.isfinite(audio).all()
    assert rate is None or read_rate == rate


@settings(max_examples=200, deadline=5_000)
@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b"RIFF", b"RF64", b"FORM", b"OggS", b"fLaC", b"ID3", b"\xff\xfb", b".snd"]),
    st.sampled_from(["a.wav", "a.mp3", "a.ogg", "a.flac"]),
)
def test_garbage_behind_a_known_beginning(content: bytes, beginning: bytes, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(beginning + content)
        try:
            audio, _ = read_audio(path)
        except AudioError:
            return
    assert np.isfinite(audio).all()


# --------------------------------------------------------------------------------------------------------------- writing


def test_int16_rounds_and_saturates() -> None:
    values = np.array([-2, -1, -0.5, 0.4 / 32768, 0.6 / 32768, 0.99999, 1, 7], np.float32)
    assert to_int16(values).tolist() == [-32768, -32768, -16384, 0, 1, 32767, 32767, 32767]
    assert to_int16(values).dtype == np.int16


def test_every_int16_survives_the_way_to_float_and_back() -> None:
    every = np.arange(-32768, 32768).astype(np.int16)
    assert to_float32(every).dtype == np.float32
    assert (to_float32(every).min(), to_float32(every).max()) == (-1, 32767 / 32768)
    np.testing.assert_array_equal(to_int16(to_float32(every)), every)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.WAV"])
def test_what_is_written_is_read_again(tmp_path: Path, name: str) -> None:
    every = to_float32(np.arange(-32768, 32768).astype(np.int16))
    write_audio(tmp_path / "new" / name, every, 22_050)
    audio, rate = read_audio(tmp_path / "new" / name)
    assert rate == 22_050
    np.testing.assert_array_equal(audio, every)
    assert [path.name for path in (tmp_path / "new").iterdir()] == [name]


def test_a_wav_is_plain_16_bit_pcm(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", np.array([0, 0.5, -1], np.float32), 16_000)
    assert (tmp_path / "a.wav").read_bytes() == wav(struct.pack("<3h", 0, 16384, -32768))


@pytest.mark.slow
def test_a_long_ogg(tmp_path: Path) -> None:
    # Handed over in one piece, 2.4 million samples overflow libsndfile's stack and end the process.
    audio = np.tile(tone(440, 16_000, 1), 150)
    write_audio(tmp_path / "a.ogg", audio, 16_000)
    again, rate = read_audio(tmp_path / "a.ogg")
    assert (len(again), rate) == (len(audio), 16_000)
    assert amplitude(again, 440, 16_000) == pytest.approx(0.5, rel=0.03)


def test_what_is_not_written(tmp_path: Path) -> None:
    target = tmp_path / "a.wav"
    write_audio(target, tone(440, 16_000, 0.1), 16_000)
    before = target.read_bytes()
    with pytest.raises(ConfigError, match=r"a.xyz: the name must end in .wav, .flac, .ogg"):
        write_audio(tmp_path / "a.xyz", tone(440, 16_000, 0.1), 16_000)
    for bad in (np.nan, np.inf):
        with pytest.raises(AudioError, match=r"a.wav: the samples to write are NaN or infinite"):
            write_audio(target, np.array([0, bad], np.float32), 16_000)
    with pytest.raises(OSError, match=r"a.wav: could not be written"):
        write_audio(target, tone(440, 16_000, 0.1), -1)
    assert target.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


FULL_DISK = """
import resource, sys
from pathlib import Path
import numpy as np
from wordspot.audio.files import write_audio

folder = Path(sys.argv[1])
noise = np.random.default_rng(0).uniform(-0.5, 0.5, 200_000).astype(np.float32)
names = ("a.wav", "a.flac", "a.ogg")
sizes = []
for name in names:
    write_audio(folder / "free" / name, noise, 16_000)
    sizes.append((folder / "free" / name).stat().st_size)
    (folder / "free" / name).unlink()
for part in (1, 0.98, 0.3):  # a byte, the last block, and most of it do not fit
    for name, size in zip(names, sizes):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(size * part) - 1, resource.RLIM_INFINITY))
        try:
            write_audio(folder / "full" / name, noise, 16_000)
        except OSError as error:
            print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files there")
def test_a_full_disk_leaves_the_old_file_and_nothing_half_written(tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    names = ["a.flac", "a.ogg", "a.wav"]
    for name in names:
        (full / name).write_bytes(b"old")
    run = subprocess.run([sys.executable, "-c", FULL_DISK, tmp_path], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert len(lines) == 9, run.stdout
    assert all("could be written" in line or "could not be written" in line for line in lines)
    assert all("is the disk full?" in line for line in lines)
    assert sorted(path.name for path in full.iterdir()) == names
    assert all((full / name).read_bytes() == b"old" for name in names)


def test_interrupting_a_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(soundfile.SoundFile, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_audio(tmp_path / "a.wav", tone(440, 16_000, 0.1), 16_000)
    assert list(tmp_path.iterdir()) == []


# -------------------------------------------------------------------------------------------------------- block by block


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
def test_blocks_are_the_recording(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(1)
    path = tmp_path / f"s{suffix}"
    soundfile.write(path, 0.1 * rng.standard_normal((50_000, 2)), 44_100)
    for channel in (None, 1):
        whole, whole_rate = read_audio(path, channel=channel)
        rate, blocks = read_blocks(path, 37.0, channel=channel)
        parts = list(blocks)
        assert rate == whole_rate
        assert max(len(part) for part in parts) == 1631
        assert all(part.flags["C_CONTIGUOUS"] for part in parts)
        assert (np.concatenate(parts) == whole).all()


def test_blocks_of_a_damaged_file(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such file"):
        read_blocks(tmp_path / "none.wav")
    path = tmp_path / "s.flac"
    soundfile.write(path, np.full(30_000, 0.1), 16_000)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(AudioError, match=r"s\.flac: (truncated|damaged)"):
        list(read_blocks(path)[1])
    empty = tmp_path / "empty.wav"
    soundfile.write(empty, np.zeros(0), 16_000)
    with pytest.raises(AudioError, match="contains no samples"):
        list(read_blocks(empty)[1])
    high = tmp_path / "high.wav"
    soundfile.write(high, np.zeros(10), 2_000_000)
    with pytest.raises(AudioError, match="a sample rate of 2000000 Hz"):
        read_blocks(high)


@pytest.mark.parametrize("bits", [(0x7F800000, 0xFF800000), (0x7F800001, 0x7F800001), (0, 0xFFA00000)])
def test_what_is_not_finite_is_reported_without_a_warning(tmp_path: Path, bits: tuple[int, int]) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.ones((100, 2), np.float32), 16_000, subtype="FLOAT")
    content = path.read_bytes()
    samples = np.tile(np.array(bits, "<u4"), 100).tobytes()  # infinities of opposite signs, NaN of two kinds
    path.write_bytes(content.replace(np.ones(200, "<f4").tobytes(), samples))
    for channel in (0, 1, None):
        try:
            assert not read_audio(path, channel=channel)[0].any()
        except AudioError as error:
            assert "100 of 100 samples are NaN or infinite" in str(error)  # noqa: PT017 - one of two outcomes


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names there are always text")
def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff\xfe.wav")
    write_audio(path, np.full(100, 0.5, np.float32), 16_000)
    assert read_audio(path)[0].tolist() == [0.5] * 100
    path.write_bytes(b"no sound")
    with pytest.raises(AudioError, match=r"\\udcff\\udcfe\.wav: the file cannot be read"):
        read_audio(path)
