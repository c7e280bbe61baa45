"""Synthetic speech, offline: espeak-ng from its wheel, and flite and festival if they are installed.

`speak` writes a data folder of spoken words. Each voice counts as a speaker, so the split keeps voices apart. A model
trained on synthetic voices alone does not recognise people well. They help if recordings are few, and to try out the tools.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordspot.config import FeatureConfig
from wordspot.data.manifest.table import write_manifest
from wordspot.data.voices.babble import check_seconds, make_noise
from wordspot.data.voices.clips import SpokenWords, speak_words
from wordspot.data.voices.engine import Engine, Voice, draw_voices
from wordspot.data.voices.espeak import find_espeak
from wordspot.data.voices.programs import find_festival, find_flite
from wordspot.errors import ConfigError, MissingExtraError, install_command
from wordspot.files import prepare_out
from wordspot.labels import as_words
from wordspot.progress import OnProgress, Progress, ignore

__all__ = ["Engine", "Speech", "Voice", "draw_voices", "find_engines", "make_noise", "speak", "speak_words"]

#: The label of spoken clips in a manifest, unless another is given.
DEFAULT_LABEL = "synthetic"
_FINDERS = {"espeak-ng": find_espeak, "flite": find_flite, "festival": find_festival}


@dataclass(frozen=True)
class Speech:
    """What `speak` wrote.

    Attributes:
        out: the data folder.
        words: the clips of each word.
        clip_ms: the length of a clip.
        noises: the files of background noise.
        manifest: the CSV that lists the clips, or None.
    """

    out: Path
    words: tuple[SpokenWords, ...]
    clip_ms: float
    noises: tuple[Path, ...] = ()
    manifest: Path | None = None

    @property
    def n_clips(self) -> int:
        return sum(word.n_clips for word in self.words)

    @property
    def speakers(self) -> frozenset[str]:
        return frozenset(speaker for word in self.words for speaker in word.speakers)

    def to_json(self) -> dict[str, Any]:
        return {
            "out": str(self.out),
            "clip_ms": self.clip_ms,
            "n_clips": self.n_clips,
            "n_speakers": len(self.speakers),
            "words": [
                {"word": word.word, "folder": word.folder, "n_clips": word.n_clips, "n_cut": word.n_cut} for word in self.words
            ],
            "noises": [str(path) for path in self.noises],
            "manifest": None if self.manifest is None else str(self.manifest),
        }


def find_engines(wanted: str = "all") -> dict[str, Engine]:
    """The installed engines by name: all of them, or only the wanted one.

    Raises:
        ConfigError: no engine has this name.
        MissingExtraError: it is not installed, or none is; the message has the command that installs espeak-ng.
    """
    if wanted not in ("all", *_FINDERS):
        raise ConfigError(f"there is no engine {wanted!r}; name {', '.join(_FINDERS)} or all")
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
    raise MissingExtraError(f"no speech synthesizer is installed; install espeak-ng with: {install_command('voices')}")


def speak(
    words: str | Sequence[str],
    out: str | Path,
    *,
    per_word: int = 100,
    seed: int = 0,
    language: str = "en",
    engine: str = "all",
    sample_rate: int = FeatureConfig.sample_rate,
    clip_ms: float = FeatureConfig.clip_ms,
    noise_seconds: float | None = None,
    manifest: str | Path | None = None,
    label: str | None = None,
    force: bool = False,
    progress: OnProgress | None = None,
) -> Speech:
    """Write a data folder of words spoken by synthetic voices, one folder per word; see `speak_words`.

    Args:
        words: what to say.
        out: the data folder to make.
        per_word: clips of each word.
        seed: random seed. The same arguments with the same engines give the same bytes.
        language: ``en``, ``en-us``, ``de``, ``zh``, ...; all its accents speak.
        engine: ``espeak-ng``, ``flite``, ``festival`` or ``all``.
        sample_rate: of the clips, in Hz.
        clip_ms: length of a clip.
        noise_seconds: also write synthetic background noises, each this long; see `make_noise`.
        manifest: also write a CSV of the clips (path, label, speaker, generator), for the task ``recordings``.
        label: the clips' label in the manifest (default: ``synthetic``).
        force: write into an `out` that holds files, and replace the manifest.
        progress: called after each clip.

    Raises:
        ConfigError: an argument out of range, or an output that exists without `force`.
        DataError: a word that cannot be read aloud, or that is longer than a clip.
        MissingExtraError: the engine, or any engine, is not installed.
    """
    words, out, manifest = as_words(words), Path(out), None if manifest is None else Path(manifest)
    if noise_seconds is not None:
        check_seconds(noise_seconds)
    _check_manifest(manifest, label, force=force)
    if out.exists():
        prepare_out(out, force=force)
    engines, total = find_engines(engine), len(words) * max(per_word, 0)
    spoken = speak_words(
        words, out, per_word=per_word, seed=seed, engines=engines, language=language, sample_rate=sample_rate,
        clip_ms=clip_ms, progress=_count(progress or ignore, total),
    )  # fmt: skip
    noises: list[Path] = []
    if noise_seconds is not None:
        noises = make_noise(out, seed=seed, seconds=noise_seconds, engines=engines, sample_rate=sample_rate, avoid=words)
    if manifest is not None:
        write_manifest(manifest, _rows(spoken, out, label or DEFAULT_LABEL))
    return Speech(out, tuple(spoken), clip_ms, tuple(noises), manifest)


def _count(progress: OnProgress, total: int) -> Callable[[str], None]:
    """A callback that reports each word it is called with as another clip of `total`."""
    numbers = itertools.count(1)
    return lambda word: progress(Progress(word, next(numbers), total))


def _rows(spoken: Sequence[SpokenWords], out: Path, label: str) -> Iterator[tuple[Path, str, str, str]]:
    """File, label, speaker and generator of each clip."""
    for word in spoken:
        for path, voice in word.clips:
            yield out / path, label, voice.speaker, voice.engine


def _check_manifest(manifest: Path | None, label: str | None, *, force: bool) -> None:
    """Reject a manifest that cannot be written or read, before anything is spoken."""
    if manifest is None:
        if label is not None:
            raise ConfigError("`label` is the label in the manifest; name a CSV file with `manifest` too")
        return
    if manifest.suffix.lower() != ".csv":
        raise ConfigError(f"{manifest}: expected a name that ends in .csv for `manifest`")
    if manifest.exists() and not force:
        raise ConfigError(f"{manifest}: the file exists; choose another `manifest`, or use `force` to replace it")
    if label is not None and label != (label.strip() or None):
        raise ConfigError(f"`label` must not be empty or begin or end with a space, got {label!r}")
