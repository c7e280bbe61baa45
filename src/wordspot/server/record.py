"""``POST /v1/record``: saves a recording of the page in the layout that `wordspot train` reads.

A recording is saved as ``DIR/WORD/SESSION_nohash_N.wav``; the session stands for the speaker, so that no speaker is in
two sets. Names from the client are checked, not changed; its audio is decoded and encoded again; nothing is overwritten.
"""

from __future__ import annotations

import re
import tempfile
import unicodedata
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from wordspot.audio.files import read_info, write_audio
from wordspot.audio.samples import Samples
from wordspot.config import RunConfig
from wordspot.errors import AudioError, ConfigError
from wordspot.server.uploads import Uploads, read_bounded

MAX_TAKE, MAX_SECONDS = 9999, 30.0
_SESSION = re.compile(r"[A-Za-z0-9]{1,32}")
_MAX_WORD_BYTES = 100
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # devices of Windows
_NOT_IN_NAMES = set('<>:"|?*')


class Records:
    """The folder that recordings are saved into.

    Args:
        folder: created if it does not exist.
        max_recordings: the most that are saved.

    Raises:
        ConfigError: the folder cannot be created or written to.
    """

    def __init__(self, folder: Path, max_recordings: int) -> None:
        self._folder, self._max, self.n_saved = folder, max_recordings, 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise ConfigError(
                f"{folder}: recordings cannot be saved there: {error.strerror or error}; use another `record_dir`"
            ) from error

    def save(self, word: str, session: str, take: int, path: Path) -> str:
        """Save the recording at `path`; returns its path below the folder.

        Raises:
            AudioError: not a 16-bit mono WAV, or too long.
            HTTPException: 409 the name is taken, 507 the folder can no longer be written to, or enough were saved.
        """
        if self.n_saved >= self._max:
            raise HTTPException(507, f"the limit of {self._max} recordings is reached; start the server again")
        info = read_info(path)
        if info.format not in ("WAV PCM_16", "WAVEX PCM_16") or info.n_channels != 1:
            raise AudioError(f"the recording is {info.format} with {info.n_channels} channels; send a 16-bit mono WAV")
        audio, rate = read_bounded(path, MAX_SECONDS)
        name = f"{word}/{session}_nohash_{take}.wav"
        try:
            _write_new(self._folder / name, audio, rate)
        except FileExistsError as error:
            raise HTTPException(409, f"{name} exists already; use another number for take") from error
        except OSError as error:
            raise HTTPException(507, f"{name} cannot be saved: {error.strerror or type(error).__name__}") from error
        self.n_saved += 1
        return name


def _write_new(target: Path, audio: Samples, rate: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.open("xb").close()  # reserves the name
    try:
        write_audio(target, audio, rate)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def record_route(records: Records, uploads: Uploads) -> Callable[[Request], Awaitable[Response]]:
    """The handler of the requests."""

    async def record(request: Request) -> Response:
        query = request.query_params
        try:
            word, session = clean_word(query.get("word", "")), _session(query.get("session", ""))
        except ConfigError as error:
            raise HTTPException(422, str(error)) from error
        take = _take(query.get("take", ""))
        name = await uploads.judge(request, partial(records.save, word, session, take))
        uploads.counters.count("recordings_total")
        return JSONResponse({"file": name}, status_code=201)

    return record


def clean_word(text: str) -> str:
    """A word as the name of a folder, on any system.

    Raises:
        ConfigError: empty, long, hidden, or with characters that are not allowed in a name.
    """
    word = unicodedata.normalize("NFC", text.strip())
    bad = (
        len(word.encode("utf-8", "replace")) > _MAX_WORD_BYTES
        or not _NOT_IN_NAMES.isdisjoint(word)
        or any(unicodedata.category(one).startswith("C") for one in word)
        or word.endswith(".")
        or bool(_RESERVED.fullmatch(word))
    )
    if bad:
        raise ConfigError("the word cannot name a folder; use letters, digits and spaces, at most 100 bytes")
    return RunConfig(words=(word,)).words[0]


def _session(text: str) -> str:
    if not _SESSION.fullmatch(text):
        raise ConfigError("session must have 1 to 32 letters and digits (a to z, 0 to 9)")
    return text


def _take(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 4):
        raise HTTPException(422, f"take must be a number from 0 to {MAX_TAKE}, got {text[:20]!r}")
    return int(text)
