"""Synthetic speech, offline: espeak-ng from its wheel, flite and festival if they are installed, and the neural voices of
Kokoro and Piper from files that `download_voices` gets or the user has.

`speak` writes a data folder of spoken words. Each voice counts as a speaker, so the split keeps voices apart. A model
trained on synthetic voices alone does not recognise people well. They help if recordings are few, and to try out the tools.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordspot.config import FeatureConfig, TriggerConfig
from wordspot.data.manifest.table import write_manifest
from wordspot.data.voices.babble import check_seconds, make_noise
from wordspot.data.voices.clips import SpokenWords, speak_words
from wordspot.data.voices.engine import Engine, Voice, draw_voices
from wordspot.data.voices.find import find_engines
from wordspot.errors import ConfigError
from wordspot.files import prepare_out
from wordspot.labels import as_words
from wordspot.progress import OnProgress, Progress, ignore

__all__ = ["Engine", "Speech", "Voice", "draw_voices", "find_engines", "make_noise", "speak", "speak_words"]

#: The label of spoken clips in a manifest, unless another is given.
DEFAULT_LABEL = "synthetic"
#: Where near misses go: the task `trigger` looks for other words there.
NEGATIVES = TriggerConfig().negatives[0]


@dataclass(frozen=True)
class Speech:
    """What `speak` wrote.

    Attributes:
        out: the data folder.
        words: the clips of each word.
        clip_ms: the length of a clip.
        noises: the files of background noise.
        manifest: the CSV that lists the clips, or None.
        near_misses: the clips of each near miss, below ``negatives``.
    """

    out: Path
    words: tuple[SpokenWords, ...]
    clip_ms: float
    noises: tuple[Path, ...] = ()
    manifest: Path | None = None
    near_misses: tuple[SpokenWords, ...] = ()

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
            "near_misses": [{"text": near.word, "n_clips": near.n_clips} for near in self.near_misses],
            "noises": [str(path) for path in self.noises],
            "manifest": None if self.manifest is None else str(self.manifest),
        }


def speak(
    words: str | Sequence[str],
    out: str | Path,
    *,
    per_word: int = 100,
    seed: int = 0,
    language: str = "en",
    engine: str = "all",
    voice_files: str | Path | None = None,
    n_speakers: int | None = None,
    tempo: tuple[float, float] = (1.0, 1.0),
    jobs: int = 1,
    sample_rate: int = FeatureConfig.sample_rate,
    clip_ms: float = FeatureConfig.clip_ms,
    noise_seconds: float | None = None,
    near_misses: int = 0,
    manifest: str | Path | None = None,
    label: str | None = None,
    force: bool = False,
    progress: OnProgress | None = None,
) -> Speech:
    """Write a data folder of words spoken by synthetic voices, one folder per word; see `speak_words`.

    Args:
        words: what to say. Parts in IPA are in double brackets: ``hey [[lˈæmp]]``.
        out: the data folder to make.
        per_word: clips of each word.
        seed: random seed. The same arguments with the same engines give the same bytes.
        language: ``en``, ``en-us``, ``de``, ``zh``, ...; all its accents speak.
        engine: ``espeak-ng``, ``flite``, ``festival``, ``kokoro``, ``piper``, or several with commas between them; ``all`` are
            the first three, whichever are installed.
        voice_files: a file or folder with the files of kokoro or piper.
        n_speakers: how many speakers say each word (default: all; kokoro mixes its voices if more are asked for).
        tempo: factors of the lowest and of the highest rate of each engine: (1.2, 1.6) speaks faster.
        jobs: threads for kokoro; 0 uses all cores.
        sample_rate: of the clips, in Hz.
        clip_ms: length of a clip.
        noise_seconds: also write synthetic background noises, each this long; see `make_noise`.
        near_misses: also speak so many texts that sound like each word into ``negatives``, where the task `trigger` looks for
            them: each by the same engines, a tenth as often as the word, in clips twice as long; see `near_misses`.
        manifest: also write a CSV of the clips (path, label, speaker, generator), for the task ``recordings``.
        label: the clips' label in the manifest (default: ``synthetic``).
        force: write into an `out` that holds files, and replace the manifest.
        progress: called after each clip.

    Raises:
        ConfigError: an argument out of range, or an output that exists without `force`.
        DataError: a word that cannot be read aloud, or that is longer than a clip.
        MissingExtraError: the engine, or any engine, is not installed.
        NotFoundError: the files of a neural voice are missing; the message has the command that gets them.
    """
    words, out, manifest = as_words(words), Path(out), None if manifest is None else Path(manifest)
    if noise_seconds is not None:
        check_seconds(noise_seconds)
    _check_manifest(manifest, label, force=force)
    if out.exists():
        prepare_out(out, force=force)
    engines = find_engines(engine, voice_files=voice_files, n_speakers=n_speakers)
    total = len(words) * max(per_word, 0)
    spoken = speak_words(
        words, out, per_word=per_word, seed=seed, engines=engines, language=language, sample_rate=sample_rate,
        clip_ms=clip_ms, n_speakers=n_speakers, tempo=tempo, jobs=jobs or os.cpu_count() or 1,
        progress=_count(progress or ignore, total),
    )  # fmt: skip
    missed = _speak_near_misses(
        words, out, near_misses, language, per_word=max(per_word // 10, 1), seed=seed, engines=engines, sample_rate=sample_rate,
        clip_ms=2 * clip_ms, n_speakers=n_speakers, tempo=tempo, jobs=jobs or os.cpu_count() or 1, progress=progress or ignore,
    )  # fmt: skip
    noises: list[Path] = []
    if noise_seconds is not None:
        noises = make_noise(out, seed=seed, seconds=noise_seconds, engines=engines, sample_rate=sample_rate, avoid=words)
    if manifest is not None:
        write_manifest(manifest, _rows(spoken, out, label or DEFAULT_LABEL))
    return Speech(out, tuple(spoken), clip_ms, tuple(noises), manifest, missed)


def _speak_near_misses(
    words: Sequence[str], out: Path, n: int, language: str, *, per_word: int, progress: OnProgress, **options: Any
) -> tuple[SpokenWords, ...]:
    """Speak the near misses of all words into ``out/negatives``."""
    if n == 0:
        return ()
    from wordspot.data.voices.near_misses import near_misses

    texts = dict.fromkeys(near.text for word in words for near in near_misses(word, n, language=language, excluded=words))
    count = _count(progress, len(texts) * per_word)
    return tuple(speak_words(list(texts), out / NEGATIVES, per_word=per_word, language=language, progress=count, **options))


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
