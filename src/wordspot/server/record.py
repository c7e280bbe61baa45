"""``POST /v1/record``: a recording of the page into the data folder, in the layout that `wordspot train` reads.

A take lies at ``DIR/WORD/SESSION_nohash_N.wav``; the session stands for the speaker, so that no speaker is in two sets.
The client's names are checked, not changed, its sound is decoded and written anew, and nothing is ever overwritten.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from wordspot.audio.files import read_info, write_audio
from wordspot.config import RunConfig
from wordspot.errors import AudioError, ConfigError
from wordspot.server.uploads import Uploads, read_bounded

MAX_TAKE, MAX_SECONDS = 9999, 30.0
_SESSION = re.compile(r"[A-Za-z0-9]{1,32}")
_MAX_WORD_BYTES = 100
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # names that Windows keeps for devices
_NOT_IN_NAMES = set('<>:"|?*')


class Records:
    """The folder that recordings are saved into.

    Args:
        folder: made where it does not exist.
        max_recordings: that are saved at most.
    """

    def __init__(self, folder: Path, max_recordings: int) -> None:
        self._folder, self._max, self.n_saved = folder, max_recordings, 0

    def save(self, word: str, session: str, take: int, path: Path) -> str:
        """Save the recording at `path`; where it lies below the folder.

        Raises:
            AudioError: no 16-bit mono WAV, or a long one.
            HTTPException: 409 there is one of that name, 507 enough were saved.
        """
        if self.n_saved >= self._max:
            raise HTTPException(507, f"{self._max} recordings were saved, which is all; start the server again")
        info = read_info(path)
        if info.format not in ("WAV PCM_16", "WAVEX PCM_16") or info.n_channels != 1:
            raise AudioError(f"expected a WAV of 16 bits, mono, got {info.format} with {info.n_channels} channels")
        audio, rate = read_bounded(path, MAX_SECONDS)
        name = f"{word}/{session}_nohash_{take}.wav"
        target = self._folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            target.open("xb").close()  # nobody else gets the name from here on
        except FileExistsError as error:
            raise HTTPException(409, f"{name} is there already; count on with take") from error
        try:
            write_audio(target, audio, rate)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        self.n_saved += 1
        return name


def record_route(records: Records, uploads: Uploads) -> Callable[[Request], Awaitable[Response]]:
    """What answers the request."""

    async def record(request: Request) -> Response:
        query = request.query_params
        try:
            word, session = clean_word(query.get("word", "")), _session(query.get("session", ""))
        except ConfigError as error:
            raise HTTPException(422, str(error)) from error
        take = _take(query.get("take", ""))
        name = await uploads.judge(request, partial(records.save, word, session, take))
        uploads.measures.count("recordings_total")
        return JSONResponse({"file": name}, status_code=201)

    return record


def clean_word(text: str) -> str:
    """A word as a folder's name, on any system.

    Raises:
        ConfigError: empty, long, hidden, or with what no folder's name may hold.
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
        raise ConfigError("expected a word that can be a folder's name: letters, digits and spaces, not long")
    return RunConfig(words=(word,)).words[0]


def _session(text: str) -> str:
    if not _SESSION.fullmatch(text):
        raise ConfigError("expected a session of 1 to 32 letters and digits (a to z, 0 to 9)")
    return text


def _take(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 4):
        raise HTTPException(422, f"expected take from 0 to {MAX_TAKE}, got {text[:20]!r}")
    return int(text)
