"""Which engines are here."""

from __future__ import annotations

from wordspot.data.voices.engine import Engine
from wordspot.data.voices.espeak import find_espeak
from wordspot.data.voices.programs import find_festival, find_flite
from wordspot.errors import ConfigError, MissingExtraError, install_command

_FINDERS = {"espeak-ng": find_espeak, "flite": find_flite, "festival": find_festival}


def find_engines(wanted: str = "all") -> dict[str, Engine]:
    """The engines that are installed, by name: all of them, or the wanted one.

    Raises:
        ConfigError: no engine has this name.
        MissingExtraError: it is not installed, or none is; the message carries the line that installs espeak-ng.
    """
    if wanted not in ("all", *_FINDERS):
        raise ConfigError(f"expected an engine of {', '.join(_FINDERS)} or all, got {wanted!r}")
    found: dict[str, Engine] = {}
    for name, finder in _FINDERS.items():
        engine = finder() if wanted in ("all", name) else None
        if engine is not None:
            found[name] = engine
    if found:
        return found
    if wanted in ("flite", "festival"):
        raise MissingExtraError(
            f"{wanted} is not on the PATH; install it with your system's packages, or espeak-ng with: {install_command('voices')}"
        )
    raise MissingExtraError(
        f"no voices are installed that could speak; install espeak-ng with: {install_command('voices')}"
    )
