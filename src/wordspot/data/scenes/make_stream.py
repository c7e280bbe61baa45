"""Make a long stream from a set's clips and noise, and write it with its ground truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wordspot.audio.files import write_audio
from wordspot.config import DataConfig, FeatureConfig, RunConfig
from wordspot.data.folders import list_recordings
from wordspot.data.scenes.classic import classic_stream
from wordspot.data.scenes.material import Scene, load_material
from wordspot.data.scenes.soundscape import SoundscapeConfig, make_soundscape
from wordspot.data.truth import write_truth
from wordspot.errors import ConfigError
from wordspot.labels import as_words

#: The words of a stream if none are named: the ten of Google's tutorial.
WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
STREAM_KINDS = ("classic", "scene")
_TRUTH_SUFFIXES = {"classic": ".txt", "csv": ".csv", "audacity": ".audacity.txt"}
_ONLY_FOR = {"noise_volume": "classic", "snr_db": "scene", "rooms": "scene", "babble": "scene", "near_misses": "scene"}


@dataclass(frozen=True)
class MadeStream:
    """A stream with its ground truth.

    Attributes:
        scene: the audio and the words in it.
        kind, split, seed: what it was made with.
        files: the files written, by ``stream``, ``classic``, ``csv`` and ``audacity``; empty without `out`.
        has_noise: whether the set has background noise.
    """

    scene: Scene
    kind: str
    split: str
    seed: int
    files: Mapping[str, Path]
    has_noise: bool

    @property
    def seconds(self) -> float:
        return len(self.scene.audio) / self.scene.sample_rate

    @property
    def counts(self) -> dict[str, int]:
        """How often each label is spoken, sorted by label."""
        return dict(sorted(Counter(word.label for word in self.scene.words).items()))

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "split": self.split,
            "seed": self.seed,
            "seconds": self.seconds,
            "sample_rate": self.scene.sample_rate,
            "words": self.counts,
            "files": {kind: str(path) for kind, path in self.files.items()},
        }


def make_stream(
    data: str | Path,
    words: str | Sequence[str] | None = None,
    *,
    minutes: float = 10.0,
    kind: str = "classic",
    split: str = "testing",
    seed: int = 0,
    out: str | Path | None = None,
    unknown_percent: float = 30.0,
    gap_s: float | tuple[float, float] | None = None,
    noise_volume: float | None = None,
    snr_db: tuple[float, float] | None = None,
    rooms: float | None = None,
    babble: float | None = None,
    near_misses: float | None = None,
    data_config: DataConfig | None = None,
    clip_ms: float = FeatureConfig.clip_ms,
    force: bool = False,
) -> MadeStream:
    """Make a long stream from the clips and noise of one set of a data folder.

    Args:
        data: a folder with one folder per word.
        words: the wanted words (default: `WORDS`, if the folder has them all).
        minutes: length of the stream.
        kind: ``classic`` (a word every three seconds, as in TensorFlow's tutorial) or ``scene`` (words at a given
            signal-to-noise ratio over noise and babble, some with reverberation, with gaps up to minutes).
        split: the set whose clips and noise are used.
        seed: random seed.
        out: where to write the stream (.wav, .flac or .ogg) and its ground truth (.txt, .csv and .audacity.txt beside it).
        unknown_percent: percentage of other words.
        gap_s: from word to word, in seconds; ``scene``: lowest and highest (1, 60), ``classic``: one number (2).
        noise_volume: ``classic``: the loudest noise (0.1).
        snr_db: ``scene``: lowest and highest level of a word over its background (0, 20).
        rooms: ``scene``: fraction of words and babble with reverberation (0.5).
        babble: ``scene``: fraction of the time with voices in the background (0.4).
        near_misses: ``scene``: fraction of the other words chosen because they are spelled like a wanted one (0.5).
        data_config: how the folder is split into sets.
        clip_ms: how much of each recording is used, from its beginning.
        force: replace files that exist.

    Raises:
        NotFoundError, DataError: no such folder, or no clips of a word in this set.
        ConfigError: a setting out of range or of the other kind, or an output that exists without `force`.
    """
    data, files = Path(data), {} if out is None else _files(Path(out), force=force)
    if not 0 <= seed < 2**63:
        raise ConfigError(f"`seed` must be a whole number from 0 on, got {seed}")
    options = _options(kind, gap_s, noise_volume=noise_volume, snr_db=snr_db, rooms=rooms, babble=babble, near_misses=near_misses)
    wanted = _usual_words(data) if words is None else RunConfig(words=as_words(words)).words  # which checks them
    material = load_material(data, wanted, split, data_config, clip_ms=clip_ms)
    rng, options["unknown_percent"] = np.random.default_rng(seed), unknown_percent
    if kind == "classic":
        scene = classic_stream(material, 60 * minutes, rng, **options)
    else:
        scene = make_soundscape(material, 60 * minutes, rng, SoundscapeConfig(**options))
    _write(scene, files)
    return MadeStream(scene, kind, split, seed, files, bool(material.noise))


def _options(kind: str, gap_s: float | tuple[float, float] | None, **given: Any) -> dict[str, Any]:
    """The arguments of the generator of this kind, without those that are None."""
    if kind not in STREAM_KINDS:
        raise ConfigError(f"`kind` must be one of {', '.join(STREAM_KINDS)}, got {kind!r}")
    options = {name: value for name, value in given.items() if value is not None}
    if wrong := [name for name in options if _ONLY_FOR[name] != kind]:
        raise ConfigError(f"`{wrong[0]}` is for streams of `kind` {_ONLY_FOR[wrong[0]]}, but the kind is {kind}")
    if gap_s is None:
        return options
    if kind == "scene":
        if not isinstance(gap_s, tuple):
            raise ConfigError(f"`gap_s` is the lowest and the highest gap for streams of kind scene, got {gap_s:g}")
        return options | {"gap_s": gap_s}
    if isinstance(gap_s, tuple):
        raise ConfigError(f"`gap_s` is one number for streams of kind classic, got {gap_s}")
    return options | {"gap_ms": 1000 * gap_s}


def _files(out: Path, *, force: bool) -> dict[str, Path]:
    """The stream and its three files of ground truth; with `force` they may exist."""
    if out.suffix.lower() not in (".wav", ".flac", ".ogg"):
        raise ConfigError(f"`out` must end in .wav, .flac or .ogg, got {out}")
    files = {"stream": out} | {kind: out.with_name(out.stem + suffix) for kind, suffix in _TRUTH_SUFFIXES.items()}
    if not force and (existing := [path for path in files.values() if path.exists()]):
        raise ConfigError(f"{existing[0]}: the file exists; choose another `out`, or use `force` to replace it")
    return files


def _usual_words(data: Path) -> tuple[str, ...]:
    existing = list_recordings(data).words
    if not set(WORDS) <= set(existing):
        raise ConfigError(f"{data}: name the wanted words with `words`; the folders here are {', '.join(existing)}")
    return WORDS


def _write(scene: Scene, files: Mapping[str, Path]) -> None:
    """Write all files; if one fails, those written before it are removed."""
    written: list[Path] = []
    try:
        for kind, path in files.items():
            if kind == "stream":
                write_audio(path, scene.audio, scene.sample_rate)
            else:
                write_truth(path, scene.words, kind)
            written.append(path)
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise
