"""Google's Speech Commands archives: fetched over a connection that may break, checked, and unpacked safely.

The archive grows beside the output folder as ``NAME.part`` and is resumed with an HTTP Range request. Nothing of it is
used before its SHA-256 is right. It is unpacked into a temporary folder that takes its name only when whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordspot import __version__
from wordspot.data.unpack import unpack
from wordspot.errors import ConfigError, DownloadError, WordspotError
from wordspot.files import atomic_folder, prepare_out, read_json, write_json, write_text

MIRRORS = ("https://download.tensorflow.org/data/", "https://storage.googleapis.com/download.tensorflow.org/data/")
MARKER = ".wordspot-download.json"
#: Attempts in a row that may fail without getting a further `_MIN_GAIN` bytes of the archive.
ATTEMPTS = 5
TIMEOUT_SECONDS = 30.0
#: What a server may offer of a file whose size is not known.
MAX_ARCHIVE_BYTES = 4 << 30
_MIN_GAIN = 1 << 20
_BLOCK = 1 << 16
_UNPACKED_RATIO = 1.5  # 105,829 one-second clips of 32 kB each (4 kB blocks) are 1.43 times their archive


@dataclass(frozen=True)
class Archive:
    """An archive as published; a size of None is not known."""

    name: str
    sha256: str
    size: int | None = None


ARCHIVES = {
    "0.01": Archive("speech_commands_v0.01.tar.gz", "743935421bb51cccdb6bdd152e04c5c70274e935c82119ad7faeec31780d811d"),
    "0.02": Archive(
        "speech_commands_v0.02.tar.gz", "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58", 2428923189
    ),
    "test": Archive(
        "speech_commands_test_set_v0.02.tar.gz",
        "cc2a00c1147c2254e9be3fa0f779d8c17421dc349b86366567a8edfa9acd51df",
        112563277,
    ),
}


@dataclass(frozen=True)
class Progress:
    """How far one stage is, in bytes; `note` is a line for the user: a connection that broke off, for example."""

    stage: str
    """``downloading``, ``checking``, ``unpacking`` or ``retrying``."""
    done: int
    total: int | None
    note: str = ""


def is_complete(out: Path, archive: Archive) -> bool:
    """Whether `out` was filled from `archive` before."""
    return _read_marker(out) == archive.sha256


def download(
    archive: Archive,
    out: Path,
    *,
    base_urls: Sequence[str] = MIRRORS,
    keep_archive: bool = False,
    force: bool = False,
) -> Iterator[Progress]:
    """Fetch `archive` and unpack it into `out`, which appears only whole; nothing is done where `is_complete`.

    An archive of this name already beside `out` is used and kept. With `force` a folder that holds files is written
    into, file by file.

    Raises:
        ConfigError: `out` holds something else, or a base URL that is none.
        DownloadError: no server gave the archive, a checksum that is wrong, an unsafe archive, a disk too small.
    """
    out = out.resolve()
    if is_complete(out, archive) and not force:
        return
    _check_out(out, archive, force)
    kept = out.parent / archive.name
    part = kept.with_name(kept.name + ".part")
    if kept.is_file():
        if (yield from _hash(kept)) != archive.sha256:
            raise DownloadError(f"{kept}: expected the published archive, but its SHA-256 is another; move it away")
        source = kept
    else:
        yield from fetch(archive, part, base_urls)
        source = part
    size, n_files = source.stat().st_size, 0
    _check_space(out.parent, _UNPACKED_RATIO * size)
    with _place(out) as folder:
        for n_files, position in unpack(source, folder):  # noqa: B007 - the last count is the total
            yield Progress("unpacking", position, size)
        write_json(folder / MARKER, {"archive": archive.name, "sha256": archive.sha256, "n_files": n_files})
    if not is_complete(out, archive):
        raise DownloadError(f"{out}: the unpacked folder could not take this name; give an --out that does not exist")
    if source == part:
        if keep_archive:
            part.replace(kept)
        _forget(part)


def fetch(archive: Archive, part: Path, base_urls: Sequence[str] = MIRRORS) -> Iterator[Progress]:
    """Fetch `archive` into `part`, going on from what is there, until it is whole and its checksum right.

    A server that breaks off is asked again, then the next of `base_urls`; one that offers another file is left.

    Raises:
        ConfigError: a base URL that is not http or https.
        DownloadError: see `download`. What was fetched is kept, but for a wrong checksum.
    """
    for base in base_urls:
        if not re.match(r"https?://[^/]", base):
            raise ConfigError(f"expected a base URL that begins with http:// or https://, got {base!r}")
    part.parent.mkdir(parents=True, exist_ok=True)
    whole = _length(part) > 0 and archive.size in (None, _length(part))
    if whole and (yield from _hash(part)) == archive.sha256:
        return
    if archive.size is not None and _length(part) >= archive.size:
        part.unlink()
    yield from _persist(archive, part, [f"{base.rstrip('/')}/{archive.name}" for base in base_urls])
    digest = yield from _hash(part)
    if digest != archive.sha256:
        _forget(part)
        raise DownloadError(
            f"{archive.name}: expected the SHA-256 {archive.sha256}, the file fetched has {digest}; "
            "it was removed: try again, or another --url"
        )


class _BrokenError(Exception):
    """The transfer failed, but may go on at the next attempt."""


class _RefusedError(Exception):
    """This server does not have the archive."""


def _persist(archive: Archive, part: Path, urls: list[str]) -> Iterator[Progress]:
    """Transfer until done, for as long as attempts get further."""
    furthest, failures, reasons = _length(part), 0, dict[str, str]()
    while True:
        url = urls[0]
        try:
            yield from _transfer(url, part, archive)
            return
        except _RefusedError as error:
            reasons[url] = str(error)
            urls.remove(url)
            pause = 0.0
        except _BrokenError as error:
            reasons[url] = str(error)
            gained = _length(part) >= furthest + _MIN_GAIN
            failures = 0 if gained else failures + 1
            furthest = max(furthest, _length(part))
            if not gained:
                urls.append(urls.pop(0))
            pause = min(2.0 ** (failures - 1), 30.0)
        if not urls or failures >= ATTEMPTS:
            said = "; ".join(f"{url}: {reason}" for url, reason in reasons.items())
            raise DownloadError(
                f"{archive.name} could not be fetched ({said}). {_length(part)} bytes are kept; check the connection "
                "and run the same command again to go on, or name another server with --url"
            )
        yield Progress("retrying", _length(part), archive.size, f"{url}: {reasons[url]}; trying {urls[0]}")
        time.sleep(pause)


def _transfer(url: str, part: Path, archive: Archive) -> Iterator[Progress]:
    """One request for what is missing of `part`, appended to it.

    Raises:
        _BrokenError, _RefusedError
    """
    have = _length(part)
    headers = {"User-Agent": f"wordspot/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if etag := _read_etag(part, url):
            headers["If-Range"] = etag
    response = _request(url, headers)
    with response:
        if response.status == 416 and have == _answered_total(response) and archive.size is None:
            return
        offset, total = _answered_range(response, have, part)
        if archive.size is not None and total not in (None, archive.size):
            raise _RefusedError(f"expected a file of {archive.size} bytes, the server offers {total}")
        if total is not None and total > MAX_ARCHIVE_BYTES:
            raise _RefusedError(f"expected at most {MAX_ARCHIVE_BYTES} bytes, the server offers {total}")
        total = archive.size if total is None else total
        _check_space(part.parent, (total or 0) * (1 + _UNPACKED_RATIO) - offset)
        write_text(_etag_path(part), f"{url}\n{response.headers.get('ETag', '')}\n")
        yield from _copy(response, part, offset, total)


def _request(url: str, headers: dict[str, str]) -> Any:
    """The server's answer, its body not read yet; one of status 416 is an answer too."""
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == 416:
            return error
        error.close()
        if error.code in (408, 425, 429) or error.code >= 500:
            raise _BrokenError(f"the server answered {error.code} {error.reason}") from error
        raise _RefusedError(f"the server answered {error.code} {error.reason}") from error
    except ValueError as error:  # a URL, or a redirect, that cannot be parsed
        raise _RefusedError(f"no address that can be asked ({error})") from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise _RefusedError(f"its certificate is not valid ({reason.verify_message})") from error
        raise _BrokenError(f"no answer ({str(reason) or type(reason).__name__})") from error


def _answered_range(response: Any, have: int, part: Path) -> tuple[int, int | None]:
    """Where the body begins in the file, and the whole file's length where the server says it."""
    if response.status == 200:
        return 0, _number(response.headers.get("Content-Length", ""))
    if response.status == 206:
        match = re.match(r"bytes (\d{1,18})-", response.headers.get("Content-Range", ""))
        if match and int(match[1]) == have:
            return have, _answered_total(response)
    elif response.status != 416:
        raise _RefusedError(f"the server answered {response.status}")
    _forget(part)
    raise _BrokenError(f"the server does not have the range asked for, from byte {have} on; starting again")


def _answered_total(response: Any) -> int | None:
    return _number(response.headers.get("Content-Range", "").rpartition("/")[2])


def _copy(response: Any, part: Path, offset: int, total: int | None) -> Iterator[Progress]:
    """Append the body to `part`, up to `total` bytes and never beyond."""
    limit = MAX_ARCHIVE_BYTES + 1 if total is None else total
    done = offset
    with part.open("ab" if offset else "wb") as file:
        while done < limit:
            try:
                block = response.read1(min(_BLOCK, limit - done))
            except (OSError, http.client.HTTPException) as error:
                file.flush()
                raise _BrokenError(f"broke off after {done} bytes ({str(error) or type(error).__name__})") from error
            if not block:
                break
            file.write(block)
            done += len(block)
            yield Progress("downloading", done, total)
    if total is None and done >= limit:
        _forget(part)
        raise _RefusedError(f"expected at most {MAX_ARCHIVE_BYTES} bytes, the server sends more")
    if total is not None and done < total:
        raise _BrokenError(f"broke off after {done} of {total} bytes")


def _check_out(out: Path, archive: Archive, force: bool) -> None:
    found = _read_marker(out)
    if found not in (None, archive.sha256):
        raise ConfigError(
            f"{out}: expected a new folder, but it holds another archive's recordings; name another --out"
        )
    if out.exists():
        prepare_out(out, force=force)


def _place(out: Path) -> contextlib.AbstractContextManager[Path]:
    """Where to unpack: a folder that is renamed to `out`, or `out` itself, marked unfinished, where in use already."""
    if out == Path.cwd() or (out.is_dir() and any(out.iterdir())):
        (out / MARKER).unlink(missing_ok=True)
        return contextlib.nullcontext(out)
    return atomic_folder(out)


def _read_marker(out: Path) -> str | None:
    """The SHA-256 of the archive that `out` was filled from, None where it was not."""
    try:
        marker = read_json(out / MARKER)
    except (WordspotError, OSError):
        return None
    return str(marker["sha256"]) if isinstance(marker, dict) and "sha256" in marker else None


def _hash(path: Path) -> Generator[Progress, None, str]:
    total, done, digest = path.stat().st_size, 0, hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            done += len(block)
            yield Progress("checking", done, total)
    return digest.hexdigest()


def _check_space(folder: Path, needed: float) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DownloadError(
            f"{folder}: expected {needed / 1e9:.1f} GB of free disk for the archive and its recordings, there are "
            f"{free / 1e9:.1f}; free some or name an --out on another disk"
        )


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _etag_path(part: Path) -> Path:
    return part.with_name(part.name + ".etag")


def _read_etag(part: Path, url: str) -> str | None:
    """The strong ETag that `url` gave with what is in `part`: mirrors need not agree on theirs."""
    if not _etag_path(part).is_file():
        return None
    source, _, etag = _etag_path(part).read_text(encoding="utf-8", errors="replace").partition("\n")
    return etag.strip() if source == url and re.fullmatch(r'"[\x21\x23-\x7e]*"', etag.strip()) else None


def _forget(part: Path) -> None:
    for path in (part, _etag_path(part)):
        path.unlink(missing_ok=True)


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text.strip()) else None
