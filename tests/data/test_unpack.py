"""Untrusted archives: what is unpacked, and what is rejected."""

from __future__ import annotations

import contextlib
import gzip
import io
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wordspot.data.unpack import unpack
from wordspot.errors import DownloadError
from wordspot.progress import Progress, ignore


def member(name: str, content: bytes = b"x", kind: bytes = tarfile.REGTYPE, link: str = "") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(content), kind, link
    return info, content


def tar_bytes(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content) if info.isreg() else None)
    return buffer.getvalue()


def write(tmp_path: Path, tar: bytes) -> Path:
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(gzip.compress(tar))
    return archive


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_files_and_folders_of_a_good_archive(tmp_path: Path) -> None:
    archive = write(
        tmp_path,
        tar_bytes(
            member("./", b"", tarfile.DIRTYPE),
            member("./汪汪叫/", b"", tarfile.DIRTYPE),
            member("./汪汪叫/a_nohash_0.wav", b"woof" * 50_000),
            member("README.md", b""),
        ),
    )
    out = tmp_path / "out"
    steps: list[Progress] = []
    assert unpack(archive, out, steps.append) == 2
    assert files_below(out) == {"汪汪叫/a_nohash_0.wav": b"woof" * 50_000, "README.md": b""}
    assert len(steps) == 4
    assert steps[-1].done <= archive.stat().st_size == steps[-1].total


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (member("../escaped"), "outside the destination"),
        (member("yes/../../escaped"), "outside the destination"),
        (member("link", b"", tarfile.SYMTYPE, "/etc/passwd"), "absolute path"),
        (member("link", b"", tarfile.SYMTYPE, "../../elsewhere"), "outside the destination"),
        (member("link", b"", tarfile.LNKTYPE, "../../elsewhere"), "outside the destination"),
        (member("pipe", b"", tarfile.FIFOTYPE), "special file"),
        (member("null", b"", tarfile.CHRTYPE), "special file"),
        (member("disk", b"", tarfile.BLKTYPE), "special file"),
    ],
)
@pytest.mark.skipif(not hasattr(tarfile, "data_filter"), reason="this Python has no tarfile.data_filter")
def test_unsafe_members_are_rejected(tmp_path: Path, bad: tuple[tarfile.TarInfo, bytes], reason: str) -> None:
    out = tmp_path / "deep" / "out"
    out.mkdir(parents=True)
    archive = write(tmp_path, tar_bytes(member("good"), bad))
    with pytest.raises(DownloadError, match=reason):
        unpack(archive, out, ignore)
    assert files_below(tmp_path / "deep") == {"out/good": b"x"}
    assert not Path("/tmp/escaped").exists()


def test_a_link_already_in_the_folder_is_not_followed_out_of_it(tmp_path: Path) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    elsewhere.mkdir()
    (out / "yes").symlink_to(elsewhere)
    if not hasattr(tarfile, "data_filter"):
        pytest.skip("this Python has no tarfile.data_filter")
    with pytest.raises(DownloadError, match="unsafe"):
        unpack(write(tmp_path, tar_bytes(member("yes/a"))), out, ignore)
    assert files_below(elsewhere) == {}


def test_a_claimed_size_that_the_archive_does_not_have(tmp_path: Path) -> None:
    huge = tarfile.TarInfo("huge")
    huge.size = 1 << 50
    archive = write(tmp_path, huge.tobuf(tarfile.GNU_FORMAT) + b"\0" * 1024)
    with pytest.raises(DownloadError, match="damaged or unsafe"):
        unpack(archive, tmp_path / "out", ignore)


def test_a_file_that_is_also_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="in the way of an unpacked file"):
        unpack(write(tmp_path, tar_bytes(member("a"), member("a/b"))), tmp_path / "out", ignore)


def test_archives_that_are_none(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar.gz"
    whole = gzip.compress(tar_bytes(member("a", bytes(range(256)) * 100)))
    for content, reason in [
        (b"<html>sign in</html>", "damaged"),
        (b"", "damaged"),
        (gzip.compress(b"no tar at all" * 100), "damaged"),
        (gzip.compress(tar_bytes()), "damaged|no files"),
        (whole[: len(whole) // 2], "damaged"),
        (gzip.compress(tar_bytes(member("yes/", b"", tarfile.DIRTYPE))), "no files"),
    ]:
        archive.write_bytes(content)
        with pytest.raises(DownloadError, match=reason):
            unpack(archive, tmp_path / "out", ignore)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
@pytest.mark.slow
def test_any_damage_is_a_download_error_and_stays_inside(data: st.DataObject) -> None:
    tar = bytearray(tar_bytes(member("yes/a", b"1" * 700), member("no/" + "n" * 120, b"2" * 10)))
    for _ in range(data.draw(st.integers(1, 8))):
        position = data.draw(st.integers(0, min(len(tar), 5000) - 1))
        tar[position] = data.draw(st.sampled_from([0, 0x2E, 0x2F, 0x30, 0x31, 0x35, 0x37, 0x78, 0x80, 0xFF]))
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        archive = write(root, bytes(tar))
        with contextlib.suppress(DownloadError):
            unpack(archive, root / "out", ignore)
        assert {path.name for path in root.iterdir()} <= {"a.tar.gz", "out"}


def test_a_wrong_checksum_of_the_gzip(tmp_path: Path) -> None:
    archive = write(tmp_path, tar_bytes(member("a.wav", b"12345678" * 64))[:1024])  # without an end, so that gzip's is read
    content = archive.read_bytes()
    archive.write_bytes(content[:-8] + bytes(4) + content[-4:])
    with pytest.raises(DownloadError, match="is damaged or unsafe"):
        unpack(archive, tmp_path / "out", ignore)


def test_a_hard_link_to_nothing(tmp_path: Path) -> None:
    archive = write(tmp_path, tar_bytes(member("a.wav"), member("b.wav", b"", tarfile.LNKTYPE, "c.wav")))
    with pytest.raises(DownloadError, match="is damaged or unsafe"):
        unpack(archive, tmp_path / "out", ignore)
