"""What clients send as a file: received into a nameless temporary file, with bounds, and judged in a thread of its own.

No name that a client gives touches the disk. Sound is looked at block by block, so that a small file that says it holds
days costs no memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from wordspot.audio.files import read_blocks, read_info
from wordspot.audio.samples import Samples
from wordspot.errors import AudioError, WordspotError
from wordspot.server.config import ServerSettings
from wordspot.server.counters import Measures

MAX_RATE, MAX_CHANNELS = 192_000, 8
_BLOCK_MS = 100.0
_MAX_PART_HEAD, _MAX_PARTS = 8 << 10, 16

Result = TypeVar("Result")


class Uploads:
    """Receives sound files and has them judged, few at a time."""

    def __init__(self, settings: ServerSettings, measures: Measures) -> None:
        self._settings, self.measures = settings, measures
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="wordspot-upload")
        self._n_now = 0

    @property
    def max_seconds(self) -> float:
        """How long a sound file may play."""
        return self._settings.max_upload_seconds

    def shutdown(self) -> None:
        """Wait for the thread, and end it."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def judge(self, request: Request, work: Callable[[Path], Result]) -> Result:
        """Receive the request's sound file and give what `work` makes of it, in a thread.

        Raises:
            HTTPException: 408 too slow, 413 too large, 415 no file in a form, 422 what `work` cannot use, 503 too many
                at the same time.
        """
        if self._n_now >= self._settings.max_uploads:
            self.measures.count("refused_total", reason="uploads")
            raise HTTPException(503, "the server is busy with other files; try again", {"Retry-After": "2"})
        self._n_now += 1
        try:
            with tempfile.TemporaryDirectory(prefix="wordspot-") as folder:
                path = Path(folder) / "upload"
                await self._receive(request, path)
                content_type = request.headers.get("content-type", "")
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(self._thread, _work, path, content_type, work)
        finally:
            self._n_now -= 1

    async def _receive(self, request: Request, path: Path) -> None:
        most = self._settings.max_upload_bytes
        length = request.headers.get("content-length", "0")
        if not length.isdigit() or int(length[:20]) > most:
            raise self._too_large()
        n_bytes = 0
        try:
            async with asyncio.timeout(self._settings.upload_seconds):
                with path.open("wb") as file:
                    async for chunk in request.stream():
                        n_bytes += len(chunk)
                        if n_bytes > most:
                            raise self._too_large()
                        file.write(chunk)
        except TimeoutError as error:
            self.measures.count("refused_total", reason="slow_upload")
            raise HTTPException(
                408, f"expected the file within {self._settings.upload_seconds:g} s", {"Connection": "close"}
            ) from error
        except ClientDisconnect as error:
            raise HTTPException(400, "the file did not come to its end") from error
        if not n_bytes:
            raise HTTPException(422, "expected a sound file as the request's body, got nothing")

    def _too_large(self) -> HTTPException:
        self.measures.count("refused_total", reason="upload_size")
        most = self._settings.max_upload_bytes
        return HTTPException(413, f"expected a file of at most {most} bytes, got more", {"Connection": "close"})


def _work(path: Path, content_type: str, work: Callable[[Path], Result]) -> Result:
    try:
        sound = _unwrap(path, content_type)
        return work(sound)
    except WordspotError as error:
        raise HTTPException(422, _without_path(str(error), path)) from error


def _without_path(text: str, path: Path) -> str:
    return text.replace(str(path.parent / "part"), "the file").replace(str(path), "the file")


def _unwrap(path: Path, content_type: str) -> Path:
    """The sound file itself: the body, or the field ``file`` of a form, cut out of it."""
    header = Message()
    header["content-type"] = content_type[:1000]
    if header.get_content_type() != "multipart/form-data":
        return path
    boundary = header.get_boundary()
    if not boundary or len(boundary) > 200:
        raise HTTPException(415, "expected a boundary in the form's content type")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as body:
        start, stop = _find_part(body, f"--{boundary}".encode("latin-1", "replace"))
        part = path.with_name("part")
        with part.open("wb") as out:
            for at in range(start, stop, 1 << 20):
                out.write(body[at : min(at + (1 << 20), stop)])
    return part


def _find_part(body: mmap.mmap, mark: bytes) -> tuple[int, int]:
    """Where the content of the form's field ``file`` lies."""
    at = body.find(mark)
    for _ in range(_MAX_PARTS):
        head_end = body.find(b"\r\n\r\n", at, at + _MAX_PART_HEAD)
        stop = body.find(b"\r\n" + mark, head_end + 2) if head_end >= 0 else -1
        if at < 0 or stop < 0:
            break
        if _field_name(body[at + len(mark) : head_end]) == "file":
            return head_end + 4, stop
        at = stop + 2
    raise HTTPException(415, 'expected a form with a field named "file" that holds the sound file')


def _field_name(head: bytes) -> str:
    for line in head.decode("latin-1").split("\r\n"):
        if line.lower().startswith("content-disposition:"):
            header = Message()
            header["content-disposition"] = line.partition(":")[2].strip()
            return str(header.get_param("name", "", "content-disposition"))
    return ""


def check_length(path: Path, max_seconds: float) -> None:
    """Decode a sound file to its end, keeping nothing.

    Raises:
        AudioError: damaged, longer than `max_seconds`, or of an absurd rate or number of channels.
    """
    for _ in _bounded_blocks(path, max_seconds)[1]:
        pass


def read_bounded(path: Path, max_seconds: float) -> tuple[Samples, int]:
    """A sound file of at most `max_seconds`: its first channel, float32 [samples], and its rate in Hz.

    Raises:
        AudioError: as `check_length`.
    """
    rate, blocks = _bounded_blocks(path, max_seconds)
    return np.concatenate(list(blocks)), rate


def _bounded_blocks(path: Path, max_seconds: float) -> tuple[int, Any]:
    info = read_info(path)
    if info.sample_rate > MAX_RATE or info.n_channels > MAX_CHANNELS:
        raise AudioError(
            f"expected at most {MAX_CHANNELS} channels at {MAX_RATE} Hz, got {info.n_channels} at {info.sample_rate} Hz"
        )
    if info.seconds > max_seconds + 1:  # an MP3's is an estimate
        raise _too_long(max_seconds)
    rate, blocks = read_blocks(path, _BLOCK_MS, channel=0)
    return rate, _until(blocks, round(max_seconds * rate), max_seconds)


def _until(blocks: Any, most: int, max_seconds: float) -> Any:
    n_samples = 0
    with contextlib.closing(blocks):
        for block in blocks:
            n_samples += len(block)
            if n_samples > most:
                raise _too_long(max_seconds)
            yield block


def _too_long(max_seconds: float) -> AudioError:
    return AudioError(f"expected a recording of at most {max_seconds:g} s, got a longer one; cut it into parts")
