"""Sort what `listen` and `serve` kept into what was meant and what was not: the verb `review`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordspot.errors import ConfigError, NotFoundError
from wordspot.formats import shown
from wordspot.runtime.kept_files import MEANT, NOT_MEANT, KeptFile, free_path, in_a_name, list_kept

SKIP, REPLAY, QUIT = "skip", "replay", "quit"
#: What `Ask` may answer.
ANSWERS = (MEANT, NOT_MEANT, SKIP, REPLAY, QUIT)

#: Asks about a recording; the number is how many are left, this one included.
Ask = Callable[[KeptFile, int], str]
#: Plays a recording.
Play = Callable[[KeptFile], None]


@dataclass(frozen=True)
class Review:
    """The result of `review`.

    Attributes:
        folder: that was reviewed.
        n_meant: recordings that were moved to its subfolder ``meant``.
        n_not_meant: recordings that were moved to its subfolder ``not-meant``.
        n_left: recordings that are still there, to be asked about the next time.
    """

    folder: Path
    n_meant: int
    n_not_meant: int
    n_left: int

    @property
    def meant(self) -> Path:
        """Recordings of the words, in a folder for each word."""
        return self.folder / MEANT

    @property
    def not_meant(self) -> Path:
        """Recordings of what should not be detected."""
        return self.folder / NOT_MEANT

    def to_json(self) -> dict[str, Any]:
        """The counts as a JSON object."""
        counts = {"n_meant": self.n_meant, "n_not_meant": self.n_not_meant, "n_left": self.n_left}
        return {"folder": str(self.folder), **counts}


def review(folder: Path | str, ask: Ask, play: Play | None = None) -> Review:
    """Ask about each kept recording whether its word was meant, oldest first, and move it accordingly.

    What was answered is moved at once, so a review may be interrupted; the next one asks about the rest. What was meant goes
    to ``folder/meant/WORD/``, what was not to ``folder/not-meant/``. Nothing is overwritten, and other files stay.

    Args:
        folder: that `listen` or `serve` saved into, or one satellite's folder in it.
        ask: returns ``meant``, ``not-meant``, ``skip``, ``replay`` or ``quit``.
        play: plays the recording before each question; None: nothing is played.

    Raises:
        NotFoundError: no such folder.
        ConfigError: `ask` returned something else.
        OSError: a recording cannot be moved.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise NotFoundError(f"{folder}: no such folder; expected what `wordspot listen --save` kept")
    files, moved = list_kept(folder), {MEANT: 0, NOT_MEANT: 0}
    for at, file in enumerate(files):
        answer = _answer(file, len(files) - at, ask, play)
        if answer == QUIT:
            break
        if answer in moved and _move(file, folder, answer):
            moved[answer] += 1
    return Review(folder, moved[MEANT], moved[NOT_MEANT], len(list_kept(folder)))


def _answer(file: KeptFile, n_left: int, ask: Ask, play: Play | None) -> str:
    """The answer about a file; ``skip`` for one that has been removed in the meantime, to make room for others."""
    while file.path.exists():
        if play is not None:
            play(file)
        answer = ask(file, n_left)
        if answer not in ANSWERS:
            raise ConfigError(f"`ask` must return one of {', '.join(ANSWERS)}, got {shown(answer)}")
        if answer != REPLAY:
            return answer
    return SKIP


def _move(file: KeptFile, folder: Path, answer: str) -> bool:
    """Move a file to where the answer says; False if it has been removed in the meantime."""
    target = folder / MEANT / in_a_name(file.label) if answer == MEANT else folder / NOT_MEANT
    target.mkdir(parents=True, exist_ok=True)
    try:
        file.path.rename(free_path(target, file.path.stem))
    except FileNotFoundError:
        return False
    return True
