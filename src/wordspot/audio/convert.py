"""Sound of kinds that libsndfile does not read (M4A, WebM, AMR and others), decoded by ffmpeg if it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from wordspot.errors import AudioError

_LONGEST_S = 6 * 3600 + 60  # a little more than may be read, so that what is longer is rejected
_PATIENCE_S = 600
#: No playlists or scripts, which would have ffmpeg open other files, or hosts.
_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,aac,amr,amrnb,amrwb,asf,ac3,eac3,ape,wv,tta,rm,avi,wav,mpegts"


def can_convert() -> bool:
    """Whether ffmpeg is on the PATH."""
    return _find_ffmpeg(os.environ.get("PATH", "")) is not None


def convert(path: Path) -> BinaryIO:
    """The first sound track of a file, as an AU file of 16 bits with the file's rate and channels, in a temporary file.

    Raises:
        AudioError: ffmpeg cannot read it.
    """
    program = _find_ffmpeg(os.environ.get("PATH", ""))
    assert program is not None, "`can_convert` comes first"
    only = ["-protocol_whitelist", "file", "-format_whitelist", _FORMATS]
    command = [program, "-nostdin", "-v", "error", *only, "-i", f"file:{path}", "-map", "0:a:0", "-t", str(_LONGEST_S)]
    result = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    try:
        # AU may have an unknown length in its header, which is that of a pipe
        done = subprocess.run(
            [*command, "-c:a", "pcm_s16be", "-f", "au", "pipe:1"],
            stdin=subprocess.DEVNULL, stdout=result, stderr=subprocess.PIPE, timeout=_PATIENCE_S, check=False,
        )  # fmt: skip
    except BaseException as error:
        result.close()
        if isinstance(error, (OSError, subprocess.TimeoutExpired)):
            raise AudioError(f"{path}: ffmpeg could not convert it ({error}); convert it to WAV yourself") from error
        raise
    if done.returncode or not result.tell():
        result.close()
        lines = done.stderr.decode("utf-8", "replace").split("\n")
        said = next((line.strip() for line in reversed(lines) if line.strip()), "it holds no sound")
        raise AudioError(f"{path}: ffmpeg cannot read it ({said}); convert it again or remove it")
    result.seek(0)
    return result


@lru_cache(maxsize=4)
def _find_ffmpeg(path: str) -> str | None:
    return shutil.which("ffmpeg", path=path)
