"""Sound files in and out: the only place that knows file formats. Above it, sound is float32 mono at a known rate.

WAV of every PCM width and of floats, FLAC, Ogg (Vorbis, Opus) and MP3 are read by libsndfile (`soundfile`), rates are
changed by the SoX resampler (`soxr`). Nothing is ever decimated in silence.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from wordspot.audio.resample import resample
from wordspot.audio.samples import LOUDEST, MAX_RATE, MIN_RATE, Samples, to_int16
from wordspot.audio.truncation import check_whole
from wordspot.errors import AudioError, ConfigError, NotFoundError
from wordspot.files import atomic_path

#: Longest recording decoded as a whole: six hours at 16 kHz. A header that promises more is refused, not allocated.
MAX_SAMPLES = 6 * 3600 * 16_000
MAX_CHANNELS = 64
_BLOCK = 1 << 16
_NO_COUNT = 2**63 - 1  # libsndfile's number of samples where a FLAC's header leaves it out
_WRITTEN = {".wav": ("WAV", "PCM_16"), ".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS")}


@dataclass(frozen=True)
class AudioInfo:
    """What a file's header says, before anything is decoded."""

    sample_rate: int
    n_channels: int
    n_samples: int
    """0 where the header does not tell: a FLAC written to a pipe."""
    format: str

    @property
    def seconds(self) -> float:
        return self.n_samples / self.sample_rate


def read_info(path: Path) -> AudioInfo:
    """The header of a sound file.

    Raises:
        NotFoundError: no such file.
        AudioError: empty, truncated, or no sound file that can be read.
    """
    with _open(path) as file:
        return AudioInfo(file.samplerate, file.channels, _promised(file), f"{file.format} {file.subtype}")


def read_audio(path: Path, sample_rate: int | None = None, *, channel: int | None = None) -> tuple[Samples, int]:
    """Decode a whole sound file.

    Args:
        path: the file.
        sample_rate: resample to this rate in Hz; None keeps the file's own.
        channel: take this channel (0: the first, as the classic tutorial does); None takes the mean of all.

    Returns:
        audio: float32 [samples], mono, in [-1, 1] but for float files that go beyond, and its rate in Hz.

    Raises:
        NotFoundError: no such file.
        AudioError: damaged, empty, truncated, holding NaN or infinity, or absurdly long.
    """
    with _open(path) as file:
        _check_header(file, path)
        audio, rate = _decode(file, path, channel), int(file.samplerate)
    if audio.size == 0:
        raise AudioError(f"{path}: expected a recording, but it holds no samples; record it again or remove it")
    _check_samples(audio, path)
    if sample_rate is None or rate == sample_rate:
        return audio, rate
    if audio.size * sample_rate > MAX_SAMPLES * rate:
        raise AudioError(
            f"{path}: expected at most {MAX_SAMPLES} samples at {sample_rate} Hz; cut the recording into parts"
        )
    return resample(audio, rate, sample_rate), sample_rate


def write_audio(path: Path, audio: Samples, sample_rate: int) -> None:
    """Write float32 [samples] as 16-bit WAV, FLAC or Ogg Vorbis by the file's suffix, atomically.

    Raises:
        ConfigError: a suffix that names none of these.
        AudioError: NaN or infinity among the samples.
        OSError: the disk is full, or another reason why not all of it could be written.
    """
    check_out_name(path)
    if not np.isfinite(audio).all():
        raise AudioError(f"{path}: expected finite samples to write, got NaN or infinity")
    container, subtype = _WRITTEN[path.suffix.lower()]
    with atomic_path(path) as temporary:
        try:
            with soundfile.SoundFile(temporary, "w", sample_rate, 1, subtype, format=container) as file:
                for start in range(0, len(audio), _BLOCK):  # a long Vorbis in one piece overflows libsndfile's stack
                    file.write(to_int16(audio[start : start + _BLOCK]))
            written = soundfile.info(temporary).frames if len(audio) else 0
        except soundfile.LibsndfileError as error:
            raise OSError(f"{path}: could not be written ({_reason(error)}); is the disk full?") from error
        if written != len(audio):  # FLAC and Vorbis keep silent where the end does not fit the disk
            raise OSError(f"{path}: not all of its {len(audio)} samples could be written; is the disk full?")


def check_out_name(path: Path) -> None:
    """Raises ConfigError for a name whose suffix `write_audio` does not know."""
    if path.suffix.lower() not in _WRITTEN:
        raise ConfigError(f"{path}: expected a name that ends in {', '.join(_WRITTEN)}")


def encode_wav(audio: Samples, sample_rate: int) -> bytes:
    """float32 [samples] as the bytes of a 16-bit WAV file."""
    buffer = io.BytesIO()
    soundfile.write(buffer, to_int16(audio), sample_rate, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


class _Forward(soundfile.SoundFile):  # type: ignore[misc]
    """A sound file that is only read onward: soundfile seeks after every block, which costs an MP3 its next frames."""

    def seekable(self) -> bool:
        return False


def _open(path: Path) -> soundfile.SoundFile:
    if path.is_dir():
        raise NotFoundError(f"{path}: expected a sound file, but it is a folder")
    if not path.is_file():
        raise NotFoundError(f"{path}: expected a sound file, but there is no such file")
    if path.stat().st_size == 0:
        raise AudioError(f"{path}: expected a recording, but the file is empty (0 bytes)")
    try:
        return _Forward(check_whole(path))
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: .raw wants a rate, which no file can give
        raise AudioError(f"{path}: expected WAV, FLAC, Ogg or MP3, but it cannot be read ({_reason(error)})") from error
    except OSError as error:
        raise AudioError(f"{path}: cannot be opened ({error.strerror}); check who may read it") from error


def _promised(file: soundfile.SoundFile) -> int:
    return 0 if file.frames == _NO_COUNT else int(file.frames)


def _check_header(file: soundfile.SoundFile, path: Path) -> None:
    """Refuse what would cost absurd time or memory before anything is decoded."""
    n_samples = _promised(file)
    if file.channels > MAX_CHANNELS or n_samples > MAX_SAMPLES or n_samples * file.channels > 4 * MAX_SAMPLES:
        raise AudioError(
            f"{path}: expected at most {MAX_SAMPLES} samples in at most {MAX_CHANNELS} channels, "
            f"its header says {n_samples} in {file.channels}; cut the recording into parts"
        )
    if not MIN_RATE <= file.samplerate <= MAX_RATE:
        raise AudioError(
            f"{path}: expected a sample rate from {MIN_RATE} to {MAX_RATE} Hz, its header says {file.samplerate}; "
            "convert it again or remove it"
        )


def _decode(file: soundfile.SoundFile, path: Path, channel: int | None) -> Samples:
    """Decode block by block, so that a header that promises too much costs no memory, down to mono."""
    promised, blocks = _promised(file), []
    try:
        while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
            blocks.append(_to_mono(block, channel, path))
            if len(blocks) * _BLOCK > MAX_SAMPLES + _BLOCK:
                raise AudioError(f"{path}: expected at most {MAX_SAMPLES} samples; cut the recording into parts")
    except soundfile.LibsndfileError as error:
        raise AudioError(
            f"{path}: damaged, it does not decode ({_reason(error)}); convert it again or remove it"
        ) from error
    audio = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    if file.format != "MP3" and len(audio) < promised:  # an MP3's count may be an estimate; its frames are checked
        raise AudioError(f"{path}: truncated, its header promises {promised} samples, it holds {len(audio)}")
    return audio


def _to_mono(block: Samples, channel: int | None, path: Path) -> Samples:
    if channel is None:
        return block[:, 0].copy() if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float32)
    if channel >= block.shape[1]:
        raise AudioError(f"{path}: channel {channel} was asked for, it has {block.shape[1]}; count from 0")
    return block[:, channel].copy()


def _check_samples(audio: Samples, path: Path) -> None:
    bad = np.count_nonzero(~np.isfinite(audio))
    if bad:
        raise AudioError(
            f"{path}: expected finite samples, but {bad} of {audio.size} are NaN or infinite; record it again"
        )
    peak = float(np.abs(audio).max())
    if peak > LOUDEST:
        raise AudioError(f"{path}: expected samples within [-1, 1], but they reach {peak:.3g}; scale the recording")


def _reason(error: Exception) -> str:
    text = getattr(error, "error_string", None) or str(error)
    return " ".join(text.split()).rstrip(".")


def read_blocks(path: Path, block_ms: float = 1000.0, *, channel: int | None = None) -> tuple[int, Iterator[Samples]]:
    """A sound file's rate in Hz, and its samples: blocks of float32 [samples], mono, as `audio.read_audio` gives them.

    Raises, when called or while the blocks are read:
        NotFoundError: no such file.
        AudioError: damaged, empty, truncated, or holding NaN or infinity.
    """
    file = _open(path)
    if file.channels > MAX_CHANNELS or not MIN_RATE <= file.samplerate <= MAX_RATE:
        file.close()
        raise AudioError(
            f"{path}: expected at most {MAX_CHANNELS} channels at {MIN_RATE} to {MAX_RATE} Hz, its header says "
            f"{file.channels} at {file.samplerate} Hz; convert it again"
        )
    rate = int(file.samplerate)
    return rate, _blocks(file, path, max(int(rate * block_ms / 1000), 1), channel)


def _blocks(file: soundfile.SoundFile, path: Path, size: int, channel: int | None) -> Iterator[Samples]:
    n_samples, promised = 0, _promised(file)
    with file:
        while True:
            try:
                block = file.read(size, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                raise AudioError(f"{path}: damaged, it does not decode ({_reason(error)}); convert it again") from error
            if not len(block):
                break
            n_samples += len(block)
            mono = np.ascontiguousarray(_to_mono(block, channel, path))
            _check_samples(mono, path)
            yield mono
        if n_samples == 0:
            raise AudioError(f"{path}: expected a recording, but it holds no samples; record it again")
        if file.format != "MP3" and n_samples < promised:
            raise AudioError(f"{path}: truncated, its header promises {promised} samples, it holds {n_samples}")
