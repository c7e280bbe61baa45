"""Unpack a downloaded archive whose SHA-256 was verified, so that few further checks are needed."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from wordspot.errors import DownloadError
from wordspot.progress import OnProgress, Progress

_DAMAGED = (tarfile.TarError, zlib.error, gzip.BadGzipFile, EOFError, ValueError, KeyError)


def unpack(archive: Path, folder: Path, progress: OnProgress, left_off: Sequence[str] = ()) -> int:
    """Unpack a ``.tar.gz`` into `folder` and return the number of files.

    Args:
        archive: the file.
        folder: where to unpack it.
        progress: called after each member, with the bytes of the archive that are done.
        left_off: folders of the archive, such as ``LibriSpeech/dev-clean``; what is in one of them is put into `folder` itself.

    Raises:
        DownloadError: the archive is damaged or empty, or contains a path, link or device outside the folder.
        OSError: a file cannot be written.
    """
    n_files, size = 0, archive.stat().st_size
    safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # Python 3.11.4 and later
    try:
        with archive.open("rb") as raw, tarfile.open(fileobj=raw, mode="r:gz") as tar:
            for member in tar:
                member.name = _shortened(member.name, left_off)
                tar.extract(member, folder, set_attrs=False, **safely)  # type: ignore[arg-type]
                n_files += member.isfile()
                progress(Progress("unpacking", raw.tell(), size))
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise DownloadError(f"{error.filename} is in the way of an unpacked file; use an empty `out`") from error
    except _DAMAGED as error:
        raise DownloadError(f"{archive} is damaged or unsafe ({error}); download it again") from error
    if not n_files:
        raise DownloadError(f"{archive} contains no files; download it again")
    return n_files


def _shortened(name: str, left_off: Sequence[str]) -> str:
    """A member's name below the first of these folders that it is in; the folder itself is ``.``."""
    for folder in left_off:
        if f"{name}/".removeprefix("./").startswith(f"{folder}/"):
            return name.removeprefix("./")[len(folder) + 1 :] or "."
    return name
