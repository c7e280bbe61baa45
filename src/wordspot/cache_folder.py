"""Where wordspot keeps what it can make again: decoded clips, speech, what the teacher gave, matplotlib's list of fonts."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from functools import lru_cache
from pathlib import Path

from wordspot.errors import ConfigError


def cache_root() -> Path:
    """Where caches live: ``$WORDSPOT_CACHE``, or the platform's folder for such things.

    Raises:
        ConfigError: the user has no home.
    """
    if given := os.environ.get("WORDSPOT_CACHE"):
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or _home() / "AppData" / "Local") / "wordspot" / "cache"
    if sys.platform == "darwin":
        return _home() / "Library" / "Caches" / "wordspot"
    given = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(given) if Path(given).is_absolute() else _home() / ".cache") / "wordspot"


def usable_cache() -> tuple[Path, str]:
    """`cache_root`, which then exists, and an empty string; or a folder of this process, and one line that says why.

    Raises:
        ConfigError: ``$WORDSPOT_CACHE`` is set, but cannot be written to.
    """
    try:
        root = cache_root()
        root.mkdir(parents=True, exist_ok=True)
        if os.access(root, os.W_OK):
            return root, ""
        why = f"{root} is read-only"
    except ConfigError as error:
        why = str(error)
    except OSError as error:
        why = f"{root} cannot be written to ({error.strerror})"
    if os.environ.get("WORDSPOT_CACHE"):
        raise ConfigError(f"{why}; set WORDSPOT_CACHE to a folder you may write to")
    return own_folder(), f"{why}, so decoded clips are kept for this command only; set WORDSPOT_CACHE to a folder to keep them"


@lru_cache(maxsize=1)
def own_folder() -> Path:
    """A temporary folder of this process, which is removed when it ends."""
    folder = tempfile.mkdtemp(prefix="wordspot-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _home() -> Path:
    try:
        home = Path.home()
    except RuntimeError as error:  # HOME is not set, and the user has no entry in /etc/passwd
        raise ConfigError("there is no home folder") from error
    if not home.is_absolute():
        raise ConfigError(f"the home folder {str(home)!r} is not an absolute path")
    return home
