"""Where `listen` gets its audio: a microphone, a sound file, or a stream of bytes. Each as a rate and blocks of samples."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from wordspot.audio.kinds import HEAD_BYTES, MP3, WAV, kind_of
from wordspot.audio.mpeg import frame_length, is_mpeg
from wordspot.audio.raw import RawDecoder
from wordspot.audio.samples import check_rate
from wordspot.audio.spool import copy_stream, is_stream
from wordspot.errors import AudioError, ConfigError

_BLOCK_MS = 20.0
_FAST_BLOCK_MS = 1000.0
_STDIN, _STREAM = "standard input", "the stream"  # which belong to the caller and are not closed

Block = NDArray[np.int16] | NDArray[np.float32]
OnNotice = Callable[[str], None]
#: A sound file; a pipe or a stream of bytes (``-`` is standard input); None: a microphone.
AudioSource = Path | str | BinaryIO | None


@dataclass(frozen=True)
class SourceSettings:
    """What a caller of `listen` asks of its source; None: not given.

    Attributes:
        microphone: its name, a part of it, or its number.
        sample_rate: of raw samples, in Hz.
        sample_format: of raw samples, a name of `audio.raw.FORMATS`.
        n_channels: of raw samples.
        channel: which channel to use, counted from 0.
        fast: process a file as fast as possible.
    """

    microphone: str | None = None
    sample_rate: int | None = None
    sample_format: str | None = None
    n_channels: int | None = None
    channel: int | None = None
    fast: bool = False


def open_source(source: AudioSource, settings: SourceSettings, model_rate: int, notice: OnNotice) -> tuple[int, Iterator[Block]]:
    """The sample rate of a source in Hz, and its blocks.

    Raises:
        ConfigError: settings that belong to another kind of source.
        AudioError, MicrophoneError, OSError: the source cannot be opened, or is of a kind that cannot be read.
    """
    is_bytes = source is not None and (not isinstance(source, (str, Path)) or is_stream(Path(source)))
    _check(source, settings, is_bytes=is_bytes)
    if source is None:
        return _open_microphone(settings, model_rate, notice)
    if isinstance(source, (str, Path)) and not is_bytes:
        return _open_file(Path(source), settings, notice)
    if not isinstance(source, (str, Path)):
        return _open_bytes(source, settings, model_rate, notice, _STREAM)
    stream = sys.stdin.buffer if str(source) == "-" else Path(source).open("rb")  # noqa: SIM115 - until the process ends
    return _open_bytes(stream, settings, model_rate, notice, _STDIN if str(source) == "-" else str(source))


def _check(source: AudioSource, settings: SourceSettings, *, is_bytes: bool) -> None:
    """Reject settings that belong to another kind of source."""
    for name in ("sample_rate", "sample_format", "n_channels"):
        if getattr(settings, name) is not None and not is_bytes:
            raise ConfigError(f"`{name}` is for raw samples; a file and a microphone have their own")
    if settings.sample_rate is not None:
        check_rate(settings.sample_rate)
    if settings.microphone is not None and source is not None:
        raise ConfigError("`microphone` names a microphone, but another source was given too; leave one out")
    if settings.fast and (source is None or is_bytes):
        raise ConfigError("`fast` is for a file; other sources are processed as they come")


def _open_file(path: Path, settings: SourceSettings, notice: OnNotice) -> tuple[int, Iterator[Block]]:
    from wordspot.audio.files import read_blocks  # so that a device with a microphone needs no soundfile

    block_ms = _FAST_BLOCK_MS if settings.fast else _BLOCK_MS
    rate, blocks = read_blocks(path, block_ms, channel=settings.channel, on_note=notice)
    return rate, blocks if settings.fast else _at_real_time(blocks, rate)


def _open_microphone(settings: SourceSettings, wanted_rate: int, notice: OnNotice) -> tuple[int, Iterator[Block]]:
    from wordspot.audio.microphone import Microphone

    microphone = Microphone(settings.microphone, wanted_rate, _BLOCK_MS, channel=settings.channel, on_note=notice)
    notice(f"listening to {microphone.info.name} at {microphone.sample_rate} Hz; Ctrl-C ends")

    def blocks() -> Iterator[Block]:
        n_reported = 0
        with microphone:
            for block in microphone.blocks():
                if microphone.n_lost > n_reported:
                    n_reported = microphone.n_lost
                    notice(f"audio was lost, {n_reported} times so far: this computer is too busy")
                yield block

    return microphone.sample_rate, blocks()


def _open_bytes(
    stream: BinaryIO, settings: SourceSettings, model_rate: int, notice: OnNotice, name: str
) -> tuple[int, Iterator[Block]]:
    """Raw samples, a WAV as it comes, or a file of another kind, which is read to its end first."""
    decoder = RawDecoder(
        settings.sample_rate or model_rate,
        settings.sample_format or "s16le",
        1 if settings.n_channels is None else settings.n_channels,
        channel=settings.channel,
        on_note=notice,
        what=name,
        advice="convert it: ffmpeg -i FILE -f wav - | wordspot listen -",
    )
    head = stream.read(HEAD_BYTES)
    if not head:
        raise AudioError(f"{name} is empty; expected samples")
    head += stream.read(max(frame_length(head) + 4 - len(head), 0)) if frame_length(head) else b""
    kind = MP3 if is_mpeg(head) else kind_of(head)
    if kind is not None and kind.is_readable and kind != WAV:
        notice(f"{name} is {kind.name}, which is read to its end first")
        return _open_copy(stream, head, settings, notice)
    first = decoder.feed(head)
    while not decoder.is_ready and (data := stream.read(8)):  # the header of a WAV, and no sample more
        first = decoder.feed(data)
    size = decoder.frame_bytes * max(round(decoder.sample_rate * _BLOCK_MS / 1000), 1)

    def blocks() -> Iterator[Block]:
        with contextlib.nullcontext() if name in (_STDIN, _STREAM) else stream:
            yield np.concatenate([first, decoder.feed(stream.read(max(size - len(head), 0)))])
            while data := stream.read(size):
                yield decoder.feed(data)
            yield decoder.end()

    return decoder.sample_rate, blocks()


def _open_copy(stream: BinaryIO, head: bytes, settings: SourceSettings, notice: OnNotice) -> tuple[int, Iterator[Block]]:
    from wordspot.audio.files import read_blocks

    folder = tempfile.TemporaryDirectory(prefix="wordspot-")
    try:
        path = copy_stream(stream, Path(folder.name), head)
        rate, decoded = read_blocks(path, _FAST_BLOCK_MS, channel=settings.channel, on_note=notice)
    except BaseException:
        folder.cleanup()
        raise

    def blocks() -> Iterator[Block]:
        with folder:
            yield from decoded

    return rate, blocks()


def _at_real_time(blocks: Iterator[Any], rate: int) -> Iterator[Block]:
    """Each block at the time at which a listener would have heard it to its end."""
    start, n_samples = time.monotonic(), 0
    for block in blocks:
        n_samples += len(block)
        time.sleep(max(start + n_samples / rate - time.monotonic(), 0))
        yield block
