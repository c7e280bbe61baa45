"""Download archives of recordings and unpack them: Google's Speech Commands, and sentences of LibriSpeech.

An archive is downloaded beside the output folder as ``NAME.part``, so an interrupted download resumes. It is unpacked only
after its SHA-256 has been verified. The output folder appears only once it is complete.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordspot.cache_folder import cache_root
from wordspot.data.fetch import check_url, fetch, length_of, sha256_of
from wordspot.data.unpack import unpack
from wordspot.errors import ConfigError, DownloadError, WordspotError
from wordspot.files import atomic_folder, prepare_out, read_json, write_json
from wordspot.progress import OnProgress, ignore

_SPEECH_COMMANDS = "https://download.tensorflow.org/data"
MARKER = ".wordspot-download.json"
_UNPACKED_RATIO = 1.5  # 105,829 one-second clips of 32 kB each (4 kB blocks) are 1.43 times their archive


@dataclass(frozen=True)
class Archive:
    """A published archive.

    Attributes:
        name: of the file.
        sha256: its checksum.
        size: in bytes; None if it is not known.
        url: the address of the folder with the file.
        left_off: folders in the archive whose contents are unpacked without their names.
        licence: of the recordings.
    """

    name: str
    sha256: str
    size: int | None = None
    url: str = _SPEECH_COMMANDS
    left_off: tuple[str, ...] = ()
    licence: str = "CC BY 4.0 (Google, https://arxiv.org/abs/1804.03209)"


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
#: 5.4 hours of English sentences by 40 people, with their text; OpenSLR publishes its MD5, 42e2234ba48799c1f50f24a7926300a1.
LIBRISPEECH = Archive(
    "dev-clean.tar.gz",
    "76f87d090650617fca0cac8f88b9416e0ebf80350acb97b343a85fa903728ab3",
    337926286,
    "https://www.openslr.org/resources/12",
    ("LibriSpeech/dev-clean", "LibriSpeech"),
    "CC BY 4.0 (LibriSpeech by Vassil Panayotov and others, https://www.openslr.org/12)",
)


@dataclass(frozen=True)
class Download:
    """A downloaded data folder; `was_complete` if an earlier call had downloaded it."""

    out: Path
    archive: str
    was_complete: bool

    def to_json(self) -> dict[str, Any]:
        return {"out": str(self.out), "archive": self.archive, "was_complete": self.was_complete}


def download(
    out: str | Path,
    *,
    version: str | Archive = "0.02",
    url: str | None = None,
    keep_archive: bool = False,
    force: bool = False,
    progress: OnProgress | None = None,
    on_note: Callable[[str], None] | None = None,
) -> Download:
    """Download recordings, by default those of Speech Commands, into a data folder. An interrupted download resumes.

    If the archive is already beside `out`, it is used and kept.

    Args:
        out: the folder for the recordings.
        version: ``0.02``, ``0.01``, or ``test``: the clips of the published 12-class test; or any `Archive`.
        url: the address of a server's folder that contains the archive (default: the publisher's).
        keep_archive: keep the archive beside `out`.
        force: download again, and overwrite files in a folder that is not empty.
        progress: called with the bytes done while downloading, verifying and unpacking.
        on_note: called with a line of text before a broken connection is retried.

    Raises:
        ConfigError: unknown version, `out` contains other files, or a URL that is not http or https.
        DownloadError: the server did not send the archive, its checksum is wrong, it is unsafe, or the disk has too little space.
    """
    archive, out, report = _archive(version), Path(out).resolve(), progress or ignore
    base = check_url(archive.url if url is None else url)
    if is_complete(out, archive) and not force:
        return Download(out, archive.name, was_complete=True)
    _check_out(out, archive, force)
    kept = out.parent / archive.name
    part = kept.with_name(kept.name + ".part")
    if kept.is_file():
        if sha256_of(kept, report) != archive.sha256:
            raise DownloadError(f"{kept} is not the published archive: its SHA-256 differs; move it away")
        source = kept
    else:
        part.parent.mkdir(parents=True, exist_ok=True)
        check_space(part.parent, (archive.size or 0) * (1 + _UNPACKED_RATIO) - length_of(part))
        fetch(f"{base}/{archive.name}", part, archive.sha256, archive.size, report, on_note or (lambda _: None))
        source = part
    check_space(out.parent, _UNPACKED_RATIO * source.stat().st_size)
    with _place(out) as folder:
        n_files = unpack(source, folder, report, archive.left_off)
        write_json(folder / MARKER, {"archive": archive.name, "sha256": archive.sha256, "n_files": n_files})
    if not is_complete(out, archive):
        raise DownloadError(f"{out}: the unpacked folder could not be given this name; choose an `out` that does not exist")
    if source == part:
        part.replace(kept) if keep_archive else part.unlink()
    return Download(out, archive.name, was_complete=False)


def download_speech(
    out: str | Path | None = None,
    *,
    url: str | None = None,
    force: bool = False,
    progress: OnProgress | None = None,
    on_note: Callable[[str], None] | None = None,
) -> Download:
    """Download `LIBRISPEECH`, sentences by people (338 MB), for `wordspot.new` and `wordspot.train`. Resumes if interrupted.

    Args:
        out: the folder for the recordings (default: where `new` looks by itself).
        url, force, progress, on_note: as for `download`.

    Raises:
        ConfigError, DownloadError: as for `download`.
    """
    folder = speech_folder() if out is None else out
    return download(folder, version=LIBRISPEECH, url=url, force=force, progress=progress, on_note=on_note)


def speech_folder() -> Path:
    """Where `download_speech` puts the recordings, unless told otherwise."""
    return cache_root() / "librispeech"


def find_speech() -> Path | None:
    """The recordings that `download_speech` got; None if they are not there."""
    return folder if is_complete(folder := speech_folder(), LIBRISPEECH) else None


def is_complete(out: Path, archive: Archive) -> bool:
    """Whether `out` was already unpacked from `archive`."""
    return _read_marker(out) == archive.sha256


def _archive(version: str | Archive) -> Archive:
    if isinstance(version, Archive):
        return version
    if version not in ARCHIVES:
        raise ConfigError(f"`version` must be one of {', '.join(ARCHIVES)}, got {version!r}")
    return ARCHIVES[version]


def _check_out(out: Path, archive: Archive, force: bool) -> None:
    if _read_marker(out) not in (None, archive.sha256):
        raise ConfigError(f"{out} holds the recordings of another archive; choose another `out`")
    if out.exists():
        prepare_out(out, force=force)


def _place(out: Path) -> contextlib.AbstractContextManager[Path]:
    """Yield the folder to unpack into: one that is renamed to `out`, or `out` itself, marked unfinished, if it exists."""
    if out == Path.cwd() or (out.is_dir() and any(out.iterdir())):
        (out / MARKER).unlink(missing_ok=True)
        return contextlib.nullcontext(out)
    return atomic_folder(out)


def _read_marker(out: Path) -> str | None:
    """The SHA-256 of the archive that `out` was unpacked from, or None."""
    try:
        marker = read_json(out / MARKER)
    except (WordspotError, OSError):
        return None
    return str(marker["sha256"]) if isinstance(marker, dict) and "sha256" in marker else None


def check_space(folder: Path, needed: float) -> None:
    """Raise `DownloadError` if a folder's disk has less free space than the bytes needed."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DownloadError(
            f"{folder} has {free / 1e9:.1f} GB of free disk, but the download and what it contains need {needed / 1e9:.1f}; free "
            "some space or choose an `out` on another disk"
        )
