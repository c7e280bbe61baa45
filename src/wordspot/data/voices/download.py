"""Download the neural voices of Kokoro-82M: its int8 model, and its 54 voices."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordspot.data.download import check_space
from wordspot.data.fetch import Published, check_url, fetch_published, length_of, part_of
from wordspot.data.unpack import unpack
from wordspot.data.voices.weights import downloaded_folder
from wordspot.errors import ConfigError, DownloadError
from wordspot.files import PREFIX, read_json, write_json
from wordspot.progress import OnProgress, ignore

MARKER = ".wordspot-voices.json"
LICENCE = "Apache-2.0 (model and voices by hexgrad, https://huggingface.co/hexgrad/Kokoro-82M; ONNX file by thewh1teagle, MIT)"


MODEL = Published(
    "https://github.com/thewh1teagle/kokoro-onnx/releases/download/model-files-v1.0",
    "kokoro-v1.0.int8.onnx",
    "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb",
    92_361_271,
)
#: npm's package: the voices, as ``package/voices/NAME.bin``, and their licence.
STYLES = Published(
    "https://registry.npmjs.org/kokoro-js/-",
    "kokoro-js-1.2.1.tgz",
    "1f0d0383ef0349af0bd9440d81dc12abbea3a5392eb645283eda876f537f5860",
    26_887_218,
)


@dataclass(frozen=True)
class VoicesDownload:
    """The folder with the voices; `was_complete` if an earlier call had downloaded them."""

    out: Path
    n_voices: int
    licence: str
    was_complete: bool

    def to_json(self) -> dict[str, Any]:
        return {"out": str(self.out), "n_voices": self.n_voices, "licence": self.licence, "was_complete": self.was_complete}


def download_voices(
    out: str | Path | None = None,
    *,
    url: str | None = None,
    force: bool = False,
    progress: OnProgress | None = None,
    on_note: Callable[[str], None] | None = None,
    files: tuple[Published, Published] = (MODEL, STYLES),
) -> VoicesDownload:
    """Download Kokoro's model (92 MB) and its 54 voices (27 MB). An interrupted download resumes.

    Args:
        out: the folder for them (default: where `speak` looks by itself).
        url: the address of a folder with both files, instead of those where they were published.
        force: download them again.
        progress: called with the bytes done while downloading, verifying and unpacking.
        on_note: called with a line of text before a broken connection is retried.
        files: the model and the archive of voices.

    Raises:
        ConfigError: a URL that is not http or https, or an `out` that is a file.
        DownloadError: a server did not send a file, its checksum is wrong, or the disk has too little space.
    """
    folder = downloaded_folder() if out is None else Path(out)
    if url is not None:
        check_url(url)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; expected a folder for the voices. Choose another `out`")
    model, styles = files
    if not force and _is_complete(folder, files):
        return VoicesDownload(folder, _count(folder), LICENCE, was_complete=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).unlink(missing_ok=True)
    check_space(folder, model.size + 3 * styles.size - sum(length_of(part_of(file, folder)) for file in files))
    report, note = progress or ignore, on_note or (lambda _: None)
    fetch_published(styles, folder, url, report, note, force=force)
    _unpack_styles(folder / styles.name, folder, report)
    fetch_published(model, folder, url, report, note, force=force)
    write_json(folder / MARKER, {"licence": LICENCE, **{file.name: file.sha256 for file in files}})
    (folder / styles.name).unlink()
    return VoicesDownload(folder, _count(folder), LICENCE, was_complete=False)


def _unpack_styles(archive: Path, folder: Path, progress: OnProgress) -> None:
    """Put the archive's voices into ``voices``, and their licence beside it."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=PREFIX) as name:
        unpack(archive, Path(name), progress)
        package = Path(name) / "package"
        if not any((package / "voices").glob("*.bin")):
            raise DownloadError(f"{archive} holds no voices (package/voices/*.bin); download it again, or use another `url`")
        shutil.rmtree(folder / "voices", ignore_errors=True)
        (package / "voices").replace(folder / "voices")
        if (package / "LICENSE").is_file():
            (package / "LICENSE").replace(folder / "LICENSE")


def _is_complete(folder: Path, files: tuple[Published, Published]) -> bool:
    marker = folder / MARKER
    if not marker.is_file() or not (folder / files[0].name).is_file() or not _count(folder):
        return False
    kept = read_json(marker)
    return isinstance(kept, dict) and all(kept.get(file.name) == file.sha256 for file in files)


def _count(folder: Path) -> int:
    return len(list((folder / "voices").glob("*.bin")))
