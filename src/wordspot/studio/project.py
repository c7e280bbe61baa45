"""The folder of a studio project, and the folder that holds all projects.

    lamp/
      takes/WORD/SPEAKER_nohash_N.wav   people who say the word, as `wordspot new --add` reads them
      not-words/*.wav                   what must not be detected, as `--add-false` reads it
      backgrounds/*.wav                 the room, as `--backgrounds` reads it
      kept/                             sounds to be judged, as `listen --save` writes them and `wordspot review` reads them
      model/                            the folder that `wordspot new --out` writes
      versions/N.onnx, N.json           each finished model, and what was measured; N-esphome/ if it is for ESPHome
      discarded/                        what was removed on the page
      studio.json                       the settings of the next training

A project's words are the folders in `takes`: a word without recordings is an empty folder.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordspot.errors import ConfigError, NotFoundError, WordspotError
from wordspot.files import read_json, write_json
from wordspot.formats import shown
from wordspot.labels import normalize_word
from wordspot.server.record import clean_word
from wordspot.wakeword.project import RETIRED, Project, Request

MOST_PROJECTS, MOST_WORDS = 200, 50
_HUGE = 10**12  # beyond every limit, and a float can hold it
_SETTINGS = "studio.json"
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,31}")  # of a language or an engine
_MOST_MINUTES, _MOST_VOICES, _MOST_NEAR_MISSES = 600.0, 5000, 500


@dataclass(frozen=True)
class TrainingSettings:
    """How a project is trained; see `wordspot.new`, which has the same names.

    Raises:
        ConfigError: a value out of range.
    """

    minutes: float = 4.0
    n_voices: int = 120
    n_near_misses: int = 20
    stream_minutes: float = 20.0
    language: str = "en"
    engine: str = "best"
    false_accepts_per_hour: float = 0.5
    preset: str = "default"

    def __post_init__(self) -> None:
        Request(("any",), **dataclasses.asdict(self))
        for name in ("language", "engine"):
            if not _CODE.fullmatch(getattr(self, name)):
                raise ConfigError(f"`{name}` must be 1 to 32 letters, digits and hyphens, got {shown(getattr(self, name))}")
        for name, most in (("minutes", _MOST_MINUTES), ("n_voices", _MOST_VOICES), ("n_near_misses", _MOST_NEAR_MISSES)):
            if getattr(self, name) > most:
                raise ConfigError(f"`{name}` must be at most {most:g}, got {getattr(self, name):g}")

    @classmethod
    def from_json(cls, value: Any) -> TrainingSettings:
        """Settings from a JSON object; names that it lacks keep their default.

        Raises:
            ConfigError: another type, an unknown name, or a value out of range.
        """
        types = {name: type(default) for name, default in vars(cls()).items()}
        if not isinstance(value, dict) or set(value) - set(types):
            raise ConfigError(f"expected an object with some of {', '.join(types)}, got {shown(value)}")
        given: dict[str, Any] = {}
        for name, one in value.items():
            number = float if types[name] is float and type(one) is int else types[name]
            if type(one) not in (types[name], int if number is float else types[name]):
                raise ConfigError(f"`{name}` must be {types[name].__name__}, got {shown(one)}")
            given[name] = one if number is str else number(max(min(one, _HUGE), -_HUGE))
        return cls(**given)

    @classmethod
    def stored(cls, value: Any) -> TrainingSettings:
        """Settings from a file, which an earlier version may have written.

        Raises:
            ConfigError: as for `from_json`.
        """
        return cls.from_json({k: v for k, v in value.items() if k not in RETIRED} if isinstance(value, dict) else value)


@dataclass(frozen=True)
class StudioProject:
    """A project: the places of its parts, its words and its settings."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def takes(self) -> Path:
        return self.path / "takes"

    @property
    def not_words(self) -> Path:
        return self.path / "not-words"

    @property
    def backgrounds(self) -> Path:
        return self.path / "backgrounds"

    @property
    def kept(self) -> Path:
        return self.path / "kept"

    @property
    def model(self) -> Path:
        """What `wordspot new` writes."""
        return self.path / "model"

    @property
    def versions(self) -> Path:
        return self.path / "versions"

    @property
    def discarded(self) -> Path:
        return self.path / "discarded"

    @property
    def words(self) -> tuple[str, ...]:
        """The words, sorted."""
        if not self.takes.is_dir():
            return ()
        return tuple(sorted(one.name for one in self.takes.iterdir() if one.is_dir() and not one.name.startswith((".", "_"))))

    def word_folder(self, word: str) -> Path:
        """The folder of a word's recordings.

        Raises:
            NotFoundError: the project has no such word.
        """
        if word not in self.words:
            raise NotFoundError(f"this project has no word {shown(word)}; its words are {', '.join(self.words) or 'none'}")
        return self.takes / word

    def add_word(self, text: str) -> str:
        """Add a word, and return it as it is written from now on.

        Raises:
            ConfigError: it cannot be the name of a folder, is there already, or there are too many.
        """
        word = normalize_word(clean_word(text))
        if word in self.words:
            raise ConfigError(f"{word} is one of this project's words already")
        if len(self.words) >= MOST_WORDS:
            raise ConfigError(f"a project has at most {MOST_WORDS} words; begin another one")
        (self.takes / word).mkdir(parents=True)
        return word

    def remove_word(self, word: str) -> None:
        """Move a word's recordings to `discarded`.

        Raises:
            NotFoundError: the project has no such word.
        """
        move_aside(self.word_folder(word), self.discarded / word)

    def settings(self) -> TrainingSettings:
        """The settings of the next training.

        Raises:
            ConfigError: the file holds something else.
            WordspotError: the file is damaged.
        """
        path = self.path / _SETTINGS
        if not path.is_file():
            return TrainingSettings()
        return TrainingSettings.stored(read_json(path))

    def write_settings(self, settings: TrainingSettings) -> None:
        write_json(self.path / _SETTINGS, dataclasses.asdict(settings))


@dataclass(frozen=True)
class StudioFolder:
    """The folder that holds the projects, each a folder in it."""

    path: Path

    def projects(self) -> list[StudioProject]:
        """All projects, sorted by name."""
        if not self.path.is_dir():
            return []
        folders = sorted(one for one in self.path.iterdir() if one.is_dir() and not one.name.startswith("."))
        return [StudioProject(one) for one in folders if (one / "takes").is_dir()]

    def project(self, name: str) -> StudioProject:
        """The project of that name.

        Raises:
            NotFoundError: there is none.
        """
        for project in self.projects():
            if project.name == name:
                return project
        raise NotFoundError(f"there is no project {shown(name)}")

    def create(self, text: str) -> StudioProject:
        """Make an empty project.

        Raises:
            ConfigError: the name cannot be that of a folder or is taken, or there are too many projects.
        """
        name = clean_word(text)
        path = self.path / name
        if path.exists() or name.casefold() in {one.name.casefold() for one in self.projects()}:
            raise ConfigError(f"there is a project or another file named {name} already; choose another name")
        if len(self.projects()) >= MOST_PROJECTS:
            raise ConfigError(f"the folder holds {MOST_PROJECTS} projects already; start the studio with another `folder`")
        (path / "takes").mkdir(parents=True)
        return StudioProject(path)


def move_aside(path: Path, target: Path) -> Path:
    """Move a file or folder to `target`, or beside it under a name with a number if that exists."""
    target.parent.mkdir(parents=True, exist_ok=True)
    number, free = 1, target
    while free.exists():
        number += 1
        free = target.with_name(f"{target.stem}-{number}{target.suffix}")
    shutil.move(path, free)
    return free


def can_resume(project: StudioProject, settings: TrainingSettings) -> bool:
    """Whether the project's model was begun with these words and settings, so that its voices need not speak again.

    A damaged file that should say so counts as none, and so does a request that cannot be.
    """
    try:
        found = Project(project.model).read() if project.words else None
        return found is not None and not found[0].changes_of(request_of(project.words, settings))
    except WordspotError:
        return False


def request_of(words: Sequence[str], settings: TrainingSettings) -> Request:
    """What `wordspot new` is asked for.

    Raises:
        ConfigError: the settings do not fit the words: a preset for one word, and several words.
    """
    return Request(tuple(words), **dataclasses.asdict(settings))
