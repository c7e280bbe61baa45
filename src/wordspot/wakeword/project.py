"""The folder of a wake word: where its parts are, what it was asked for, and which stages are finished."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordspot.errors import ConfigError
from wordspot.files import read_json, write_json
from wordspot.labels import normalize_word
from wordspot.presets import ESPHOME_RESERVED, WAKE_WORD_PRESETS

#: Milliseconds of a clip: what the network sees at once. A phrase must fit.
CLIP_MS = 1500.0
_FILE = "new.json"
#: Arguments of the last stage, which is done anew each time: they may change when a project is resumed.
MEASURES = frozenset({"stream_minutes", "false_accepts_per_hour"})
#: What earlier versions wrote into requests and settings, and nothing reads.
RETIRED = frozenset({"n_rounds"})


@dataclass(frozen=True)
class Request:
    """What was asked for. A project is resumed with the same request, except for its recordings of people and `MEASURES`.

    Attributes:
        phrases: to detect.
        language, engine: of the voices.
        n_voices: clips of each phrase.
        n_near_misses: phrases that sound like one of `phrases`, for each.
        excluded: more phrases that must not be detected.
        false_accepts_per_hour: wanted, over all phrases together.
        minutes: of training.
        seed: of everything that is drawn.
        said: other spellings or pronunciations of the one phrase, as people say it; none: guessed.
        stream_minutes: of words and noise, for the thresholds and for the measures each.
        preset: what is trained, one of `wordspot.presets.WAKE_WORD_PRESETS`.
        taught: whether the teacher's answers to people's speech are learned; see `wordspot.wakeword.guiding`.
    """

    phrases: tuple[str, ...]
    language: str = "en"
    engine: str = "best"
    n_voices: int = 400
    n_near_misses: int = 60
    excluded: tuple[str, ...] = ()
    false_accepts_per_hour: float = 0.5
    minutes: float = 20.0
    seed: int = 0
    said: tuple[str, ...] = ()
    stream_minutes: float = 20.0
    preset: str = "default"
    taught: bool = False

    def __post_init__(self) -> None:
        if self.preset not in WAKE_WORD_PRESETS:
            raise ConfigError(f"`preset` must be one of {', '.join(WAKE_WORD_PRESETS)}, got {self.preset!r}")
        if self.is_for_esphome:
            self._check_for_esphome()
        if self.taught and self.is_for_esphome:
            raise ConfigError(f"`taught` does not go with `preset` {self.preset}, whose network starts from random weights")
        if self.said and len(self.phrases) > 1:
            raise ConfigError("`said` are spellings of one phrase, got several phrases; make one project for each")
        if not 1 <= self.n_voices <= 100_000:
            raise ConfigError(f"`n_voices` must be 1 to 100000, got {self.n_voices}")
        if not 0 <= self.n_near_misses <= 10_000:
            raise ConfigError(f"`n_near_misses` must be 0 to 10000, got {self.n_near_misses}")
        if not 0 < self.minutes <= 100_000:
            raise ConfigError(f"`minutes` must be more than 0, got {self.minutes:g}")
        if not 0.5 <= self.stream_minutes <= 600:
            raise ConfigError(f"`stream_minutes` must be 0.5 to 600, got {self.stream_minutes:g}")
        if not 0 < self.false_accepts_per_hour <= 3600:
            raise ConfigError(f"`false_accepts_per_hour` must be more than 0, got {self.false_accepts_per_hour:g}")

    def changes_of(self, other: Request) -> str:
        """The arguments that `other` has changed, of those on which recordings and training depend; empty if none."""
        names = [name for name in vars(self) if name not in MEASURES and getattr(self, name) != getattr(other, name)]
        return ", ".join(f"`{name}` {getattr(self, name)!r}" for name in names)

    def _check_for_esphome(self) -> None:
        if len(self.phrases) > 1:
            raise ConfigError(
                f"`preset` {self.preset} makes a model for ESPHome, which detects one phrase, got {len(self.phrases)}; make one "
                "project for each"
            )
        if normalize_word(self.phrases[0]) == ESPHOME_RESERVED:
            raise ConfigError(
                f"ESPHome takes the wake word {self.phrases[0]!r} for that of its voice activity detector; choose another phrase"
            )

    @property
    def is_for_esphome(self) -> bool:
        """Whether files for ESPHome are made as well."""
        return self.preset == "microcontroller"


@dataclass(frozen=True)
class Project:
    """The folder `path` and what it holds."""

    path: Path

    @property
    def exists(self) -> bool:
        """Whether the folder holds a project, perhaps a damaged one."""
        return (self.path / _FILE).is_file()

    @property
    def recordings(self) -> Path:
        """A folder of recordings for each phrase and for each other word, as `wordspot train` takes it."""
        return self.path / "recordings"

    @property
    def left_out(self) -> Path:
        """Recordings that are not trained on, in folders as in `recordings`; see `wordspot.wakeword.checking`."""
        return self.path / "left-out"

    @property
    def spoken(self) -> Path:
        """Sentences that voices read, if there is no speech by people."""
        return self.path / "read-aloud"

    @property
    def made(self) -> tuple[Path, ...]:
        """The folders that `new` makes, and removes when a project begins anew."""
        return self.recordings, self.run, self.streams, self.spoken, self.left_out, self.esphome

    @property
    def lock(self) -> Path:
        """Held while `new` works here; see `wordspot.locks`."""
        return self.path / ".lock"

    @property
    def spliced(self) -> Path:
        """From which speech recordings were joined; see `wordspot.wakeword.splicing`."""
        return self.path / "spliced.json"

    @property
    def guidance(self) -> Path:
        """What the teacher gives for the recordings; see `wordspot.wakeword.guiding`."""
        from wordspot.data.guidance import FILE  # it needs numpy

        return self.recordings / FILE

    @property
    def begun_with(self) -> Path:
        """Which speech the run was begun with; see `wordspot.wakeword.speech`."""
        return self.path / "speech.json"

    @property
    def streams(self) -> Path:
        """Long recordings of the validation and testing sets, with their ground truth."""
        return self.path / "streams"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    def model(self, phrases: tuple[str, ...]) -> Path:
        """The exported file, named for the first phrase."""
        return self.path / f"{phrases[0].strip().lower().replace(' ', '-')}.onnx"

    @property
    def esphome(self) -> Path:
        """The folder of the files for ESPHome."""
        return self.path / "esphome"

    @property
    def gathering(self) -> Path:
        """An empty file that is there while recordings are copied into the project."""
        return self.path / ".gathering"

    @property
    def before(self) -> Path:
        """How many of the newest recordings of people the model before them found."""
        return self.path / "before.json"

    @property
    def run(self) -> Path:
        """The folder of the trained network, as a run."""
        return self.path / "run"

    @property
    def members(self) -> Path:
        """The folders of the runs that `run` is the average of."""
        return self.run / "members"

    @property
    def plan(self) -> Path:
        """How many runs are averaged, and of how many steps."""
        return self.run / "plan.json"

    def read(self) -> tuple[Request, list[str]] | None:
        """The request and the finished stages; None if the folder holds no project.

        Raises:
            ConfigError: the file is damaged.
        """
        if not self.exists:
            return None
        path = self.path / _FILE
        try:
            value: dict[str, Any] = read_json(path)
            kept = {name: v for name, v in value["request"].items() if name not in RETIRED}
            given: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in kept.items()}
            return Request(**given), [str(stage) for stage in value["finished"]]
        except (KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"{path} is damaged ({type(error).__name__}: {error}); begin anew in another folder") from error

    def write(self, request: Request, finished: list[str]) -> None:
        write_json(self.path / _FILE, {"request": dataclasses.asdict(request), "finished": finished})
