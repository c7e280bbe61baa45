"""Sound files that clients send: received into a temporary file, within limits, and judged in a thread of their own.

The request's body is the file itself. Forms are not read: a body needs no parser, and every HTTP client can send one.
No name that a client sends touches the disk. Audio is decoded block by block, so that a small file whose header promises
days of sound costs no memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from wordspot.audio.files import read_blocks, read_info
from wordspot.audio.samples import Samples
from wordspot.errors import AudioError, WordspotError
from wordspot.server.config import ServerSettings
from wordspot.server.counters import Counters
from wordspot.server.refusals import refused

MAX_RATE, MAX_CHANNELS = 192_000, 8
_BLOCK_MS = 100.0

Result = TypeVar("Result")


class Uploads:
    """Receives sound files and has them judged, a few at a time."""

    def __init__(self, settings: ServerSettings, counters: Counters) -> None:
        self._settings, self.counters = settings, counters
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="wordspot-upload")
        self._n_now = 0

    @property
    def max_seconds(self) -> float:
        """The longest duration of a sound file."""
        return self._settings.max_upload_seconds

    def shutdown(self) -> None:
        """Wait for the thread, and end it."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def judge(self, request: Request, work: Callable[[Path], Result]) -> Result:
        """Receive the request's sound file and return what `work` makes of it, in a thread.

        Raises:
            HTTPException: 408 too slow, 413 too large, 415 a form, 422 a file that `work` cannot use, 503 too many at the
                same time.
        """
        if request.headers.get("content-type", "").strip().lower().startswith("multipart/"):
            raise HTTPException(
                415, "forms are not read; send the sound file itself as the request's body, as curl --data-binary @FILE does"
            )
        if self._n_now >= self._settings.max_uploads:
            raise self._refused(request, 503, "uploads", "the server is busy with other files; try again later")
        self._n_now += 1
        try:
            with tempfile.TemporaryDirectory(prefix="wordspot-") as folder:
                path = Path(folder) / "upload"
                await self._receive(request, path)
                return await asyncio.get_running_loop().run_in_executor(self._thread, _work, path, work)
        finally:
            self._n_now -= 1

    async def _receive(self, request: Request, path: Path) -> None:
        most, seconds = self._settings.max_upload_bytes, self._settings.upload_seconds
        too_large = f"the file is larger than {most} bytes"
        length = request.headers.get("content-length", "0")
        if not length.isdigit() or int(length[:20]) > most:
            raise self._refused(request, 413, "upload_size", too_large)
        n_bytes = 0
        try:
            async with asyncio.timeout(seconds):
                with path.open("wb") as file:
                    async for chunk in request.stream():
                        n_bytes += len(chunk)
                        if n_bytes > most:
                            raise self._refused(request, 413, "upload_size", too_large)
                        file.write(chunk)
        except TimeoutError as error:
            raise self._refused(request, 408, "slow_upload", f"the file did not arrive within {seconds:g} s") from error
        except ClientDisconnect as error:
            raise HTTPException(400, "the file is incomplete: the connection ended") from error
        if not n_bytes:
            raise HTTPException(422, "the request's body is empty; send a sound file")

    def _refused(self, request: Request, status: int, reason: str, message: str) -> HTTPException:
        """Log a refusal; the connection ends, because the rest of the body is not read."""
        refused(self.counters, reason, request.scope.get("client"), message)
        headers = {"Retry-After": "2"} if status == 503 else {"Connection": "close"}
        return HTTPException(status, message, headers)


def _work(path: Path, work: Callable[[Path], Result]) -> Result:
    try:
        return work(path)
    except WordspotError as error:
        raise HTTPException(422, str(error).replace(str(path), "the file")) from error


def check_length(path: Path, max_seconds: float) -> None:
    """Decode a sound file to its end without keeping anything.

    Raises:
        AudioError: damaged, longer than `max_seconds`, or with an unusable rate or number of channels.
    """
    for _ in _bounded_blocks(path, max_seconds)[1]:
        pass


def read_bounded(path: Path, max_seconds: float) -> tuple[Samples, int]:
    """Read a sound file of at most `max_seconds`.

    Returns:
        Its first channel, float32 [samples], and its rate in Hz.

    Raises:
        AudioError: as `check_length`.
    """
    rate, blocks = _bounded_blocks(path, max_seconds)
    return np.concatenate(list(blocks)), rate


def _bounded_blocks(path: Path, max_seconds: float) -> tuple[int, Iterator[Samples]]:
    info = read_info(path)
    if info.sample_rate > MAX_RATE or info.n_channels > MAX_CHANNELS:
        raise AudioError(
            f"the file has {info.n_channels} channels at {info.sample_rate} Hz; at most {MAX_CHANNELS} at {MAX_RATE} Hz are read"
        )
    if info.seconds > max_seconds + 1:  # the duration of an MP3 is an estimate
        raise _too_long(max_seconds)
    rate, blocks = read_blocks(path, _BLOCK_MS, thorough=False)
    return rate, _until(blocks, round(max_seconds * rate), max_seconds)


def _until(blocks: Any, most: int, max_seconds: float) -> Iterator[Samples]:
    n_samples = 0
    with contextlib.closing(blocks):
        for block in blocks:
            n_samples += len(block)
            if n_samples > most:
                raise _too_long(max_seconds)
            yield block


def _too_long(max_seconds: float) -> AudioError:
    return AudioError(f"the recording is longer than {max_seconds:g} s; cut it into parts")
