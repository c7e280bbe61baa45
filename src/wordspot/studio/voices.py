"""What the synthetic voices of a training will say: a sample of a word, and what sounds like it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from wordspot.data.voices import speak
from wordspot.data.voices.near_misses import near_misses
from wordspot.errors import DataError
from wordspot.studio.project import StudioProject
from wordspot.wakeword.project import CLIP_MS

_MOST_SHOWN = 30


def speak_sample(project: StudioProject, word: str, number: int) -> bytes:
    """A WAV of a word by one of the quick voices; another one for each number.

    Raises:
        NotFoundError: the project has no such word.
        DataError: no voice can say it.
        MissingExtraError: no voices are installed.
    """
    project.word_folder(word)
    with tempfile.TemporaryDirectory(prefix="wordspot-") as folder:
        speak(word, folder, per_word=1, seed=number, language=project.settings().language, clip_ms=CLIP_MS, force=True)
        found = sorted(Path(folder).rglob("*.wav"))
        if not found:
            raise DataError(f"no voice can say {word}")
        return found[0].read_bytes()


def sounds_like(project: StudioProject, word: str) -> list[str]:
    """What sounds like a word, nearest first; a training has voices say it too, as what is not the word.

    Raises:
        NotFoundError: the project has no such word.
        MissingExtraError: espeak-ng is not installed.
    """
    project.word_folder(word)
    settings = project.settings()
    found = near_misses(word, n=_MOST_SHOWN, language=settings.language, excluded=project.words)
    return [one.text for one in found][: max(settings.n_near_misses, 1)]
