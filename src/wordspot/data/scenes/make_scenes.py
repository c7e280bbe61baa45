"""Make scenes like those that the task `trigger` trains and tests on, and write each with its ground truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordspot.audio.files import write_audio
from wordspot.config import MAX_SAMPLE_RATE, SETS, DataConfig, TriggerConfig
from wordspot.data.scenes.material import Scene
from wordspot.data.scenes.trigger import scene_at
from wordspot.data.trigger import load_trigger_data
from wordspot.data.truth import write_truth
from wordspot.errors import ConfigError, DataError
from wordspot.files import check_out, prepare_out
from wordspot.labels import UNKNOWN_LABEL, word_of
from wordspot.progress import OnProgress

MAX_SECONDS = 3600.0
_TRAINING_SECONDS = 10.0  # recordings too long for training are skipped here too, so that the split stays the same


@dataclass(frozen=True)
class MadeScene:
    """A scene and its files.

    Attributes:
        seconds: its length.
        words: how often each label is spoken.
        files: by ``scene``, ``csv`` and ``audacity``.
    """

    seconds: float
    words: Mapping[str, int]
    files: Mapping[str, Path]

    @property
    def picture(self) -> Path:
        """The path for a picture of the scene."""
        return self.files["scene"].with_suffix(".png")


@dataclass(frozen=True)
class MadeScenes:
    """The scenes that were written, and warnings about the recordings they are made of."""

    word: str
    split: str
    seed: int
    scenes: tuple[MadeScene, ...]
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        scenes = [
            {
                "seconds": one.seconds,
                "words": dict(one.words),
                "files": {kind: str(path) for kind, path in one.files.items()},
            }
            for one in self.scenes
        ]
        return {"word": self.word, "split": self.split, "seed": self.seed, "scenes": scenes}


def make_scenes(
    data: str | Path,
    out: str | Path,
    *,
    count: int = 5,
    seconds: float = 10.0,
    split: str = "training",
    seed: int = 0,
    word: str | None = None,
    trigger: TriggerConfig | None = None,
    data_config: DataConfig | None = None,
    sample_rate: int = 16_000,
    force: bool = False,
    on_scene: Callable[[MadeScene, Scene], None] | None = None,
    progress: OnProgress | None = None,
) -> MadeScenes:
    """Make scenes of one word among others and noise, and write each as WAV, CSV and Audacity label track.

    Args:
        data: a folder with positives, negatives and backgrounds.
        out: the folder to write to.
        count: how many scenes.
        seconds: length of each.
        split: the set whose recordings are used.
        seed: random seed.
        word: name of the word (default: that of the first folder of positives).
        trigger: the folders and the settings of the scenes.
        data_config: how recordings are split into sets.
        sample_rate: of the scenes, in Hz.
        force: write into a folder that holds files.
        on_scene: called with each scene after it was written, for example to draw it.
        progress: called while recordings are decoded.

    Raises:
        NotFoundError, DataError: a folder is missing or empty, or the set has no positives.
        ConfigError: a setting out of range, or an `out` that holds files.
    """
    data, out, trigger = Path(data), Path(out), trigger or TriggerConfig()
    _check_numbers(count, seconds, sample_rate, seed)
    if split not in SETS:
        raise ConfigError(f"`split` must be one of {', '.join(SETS)}, got {split!r}")
    check_out(out, force=force)
    name = word_of(trigger, word)
    data_config, longest = data_config or DataConfig(), 1000 * min(seconds, _TRAINING_SECONDS)
    loaded = load_trigger_data(data, trigger, data_config, sample_rate, progress, scene_ms=longest, only=(split,), word=name)
    if not loaded.has(split):
        raise DataError(f"{data}: there are no positives in the {split} set; record more, or name another `split`")
    prepare_out(out, force=force)
    made = []
    for number in range(1, count + 1):
        seeds = (seed, SETS.index(split), number)
        scene = scene_at(loaded.of(split), int(seconds * sample_rate), seeds, trigger, name)
        made.append(_write(scene, out, f"scene-{number:03d}", name))
        if on_scene is not None:
            on_scene(made[-1], scene)
    return MadeScenes(name, split, seed, tuple(made), loaded.problems, loaded.warnings)


def _check_numbers(count: int, seconds: float, sample_rate: int, seed: int) -> None:
    for name, value, low, high in (
        ("count", count, 1, 999),
        ("seconds", seconds, 0.1, MAX_SECONDS),
        ("sample_rate", sample_rate, 4000, MAX_SAMPLE_RATE),
    ):
        if not low <= value <= high:
            raise ConfigError(f"`{name}` must lie between {low:g} and {high:g}, got {value:g}")
    if not 0 <= seed < 2**63:
        raise ConfigError(f"`seed` must be a whole number from 0 on, got {seed}")


def _write(scene: Scene, out: Path, stem: str, word: str) -> MadeScene:
    suffixes = {"scene": ".wav", "csv": ".csv", "audacity": ".audacity.txt"}
    files = {kind: out / f"{stem}{suffix}" for kind, suffix in suffixes.items()}
    write_audio(files["scene"], scene.audio, scene.sample_rate)
    for kind in ("csv", "audacity"):
        write_truth(files[kind], scene.words, kind)
    labels = [spoken.label for spoken in scene.words]
    counts = {label: labels.count(label) for label in (word, UNKNOWN_LABEL)}
    return MadeScene(len(scene.audio) / scene.sample_rate, counts, files)
