"""Download one file over an unreliable HTTP connection: resume, limit the size and verify the checksum."""

from __future__ import annotations

import hashlib
import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordspot import __version__
from wordspot.errors import ConfigError, DownloadError
from wordspot.progress import OnProgress, Progress

#: Attempts that may fail in a row without downloading another `_MIN_GAIN` bytes.
ATTEMPTS = 5
TIMEOUT_SECONDS = 30.0
MAX_BYTES = 4 << 30  # of a file whose size is not known
_MIN_GAIN, _BLOCK = 1 << 20, 1 << 16


@dataclass(frozen=True)
class Published:
    """A published file: the address of its folder, its name, its SHA-256 and its size in bytes."""

    url: str
    name: str
    sha256: str
    size: int


def check_url(url: str) -> str:
    """The address of a server's folder, without a slash at its end.

    Raises:
        ConfigError: it is not http or https.
    """
    if not re.match(r"https?://[^/]", url):
        raise ConfigError(f"`url` must begin with http:// or https://, got {url!r}")
    return url.rstrip("/")


def fetch_published(
    file: Published, folder: Path, url: str | None, progress: OnProgress, on_note: Callable[[str], None], *, force: bool
) -> None:
    """Download a file into a folder under its own name, unless it is there and right.

    Args:
        file: what to download.
        folder: where to write it.
        url: the address of another folder with it; None: its own.
        progress, on_note: as for `fetch`.
        force: download it in any case.

    Raises:
        ConfigError: `url` is not http or https.
        DownloadError: as for `fetch`.
    """
    target, part = folder / file.name, part_of(file, folder)
    if not force and target.is_file() and sha256_of(target, progress) == file.sha256:
        return
    fetch(f"{check_url(file.url if url is None else url)}/{file.name}", part, file.sha256, file.size, progress, on_note)
    part.replace(target)


def part_of(file: Published, folder: Path) -> Path:
    """What is downloaded of a file so far."""
    return folder / f"{file.name}.part"


class _BrokenError(Exception):
    """The transfer failed, but another attempt may succeed."""


def fetch(url: str, part: Path, sha256: str, size: int | None, progress: OnProgress, on_note: Callable[[str], None]) -> None:
    """Download `url` into `part`, resuming from its present length, and verify the checksum.

    Args:
        url: the file's address.
        part: where to write.
        sha256: of the complete file.
        size: its length in bytes, None if unknown.
        progress: called with the bytes done while downloading and verifying.
        on_note: called with a line of text before another attempt.

    Raises:
        DownloadError: the file could not be downloaded. The partial file is kept, except after a wrong checksum.
    """
    if size is not None and length_of(part) >= size and sha256_of(part, progress) != sha256:
        part.unlink()
    failures, furthest = 0, length_of(part)
    while size is None or length_of(part) < size:
        try:
            _transfer(url, part, size, progress)
            break
        except _BrokenError as error:
            failures = 0 if length_of(part) >= furthest + _MIN_GAIN else failures + 1
            furthest = max(furthest, length_of(part))
            if failures >= ATTEMPTS:
                raise DownloadError(
                    f"{url}: {error}. {length_of(part)} bytes are kept; check the connection and run the same command again "
                    "to resume, or name another server with `url`"
                ) from error
            on_note(f"{url}: {error}; trying again")
        time.sleep(min(2.0 ** (failures - 1), 30.0))
    if (digest := sha256_of(part, progress)) != sha256:
        part.unlink()
        raise DownloadError(
            f"{url} has the SHA-256 {digest}, expected {sha256}; the download was deleted. Try again, or use another `url`"
        )


def _transfer(url: str, part: Path, size: int | None, progress: OnProgress) -> None:
    """Request the missing rest of `part` and append it.

    Raises:
        _BrokenError: try again.
        DownloadError: the server does not have this file.
    """
    have = length_of(part)
    with _request(url, have) as response:
        contents = response.headers.get("Content-Range", "")
        if response.status == 416 and contents.endswith(f"/{have}"):  # nothing is missing
            return
        if response.status == 200:
            have = 0
        elif not contents.startswith(f"bytes {have}-"):
            part.unlink(missing_ok=True)
            raise _BrokenError(f"the server did not send the range from byte {have} on; starting again")
        length = response.headers.get("Content-Length", "")
        total = have + int(length) if length.isdecimal() else size
        if total != size and (size is not None or (total or 0) > MAX_BYTES):
            raise DownloadError(f"{url}: the server offers a file of {total} bytes, expected {size or f'at most {MAX_BYTES}'}")
        _copy(response, part, have, total, progress)


def _request(url: str, have: int) -> Any:
    """The server's response with its body unread; status 416 counts as a response, not as an error."""
    headers = {"User-Agent": f"wordspot/{__version__}", "Accept-Encoding": "identity"}
    headers |= {"Range": f"bytes={have}-"} if have else {}
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == 416:
            return error
        error.close()
        text = f"the server responded {error.code} {error.reason}"
        if error.code in (408, 425, 429) or error.code >= 500:
            raise _BrokenError(text) from error
        raise DownloadError(f"{url}: {text}") from error
    except ValueError as error:  # a URL, or a redirect, that cannot be parsed
        raise DownloadError(f"{url}: not a valid address ({error})") from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise _BrokenError(f"no response ({str(reason) or type(reason).__name__})") from error


def _copy(response: Any, part: Path, have: int, total: int | None, progress: OnProgress) -> None:
    """Append the body to `part`, up to `total` bytes and never beyond."""
    limit = MAX_BYTES if total is None else total
    with part.open("ab" if have else "wb") as file:
        while have < limit:
            try:
                block = response.read1(min(_BLOCK, limit - have))
            except (OSError, http.client.HTTPException) as error:
                raise _BrokenError(f"connection lost after {have} bytes ({str(error) or type(error).__name__})") from error
            if not block:
                break
            file.write(block)
            have += len(block)
            progress(Progress("downloading", have, total))
    if total is not None and have < total:
        raise _BrokenError(f"connection lost after {have} of {total} bytes")


def sha256_of(path: Path, progress: OnProgress) -> str:
    """The SHA-256 of a file, as hexadecimal digits."""
    total, done, digest = length_of(path), 0, hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            done += len(block)
            progress(Progress("checking", done, total))
    return digest.hexdigest()


def length_of(path: Path) -> int:
    """The length of a file in bytes, 0 if it does not exist."""
    return path.stat().st_size if path.exists() else 0
