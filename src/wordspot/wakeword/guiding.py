"""Compute a teacher's targets for the small network: how much like the phrases recordings sound.

A layer on the teacher's frames, learned from the same recordings, finds people who say a phrase far more often than a small
network that learned from them: it knows people's speech. So the small network is to give the layer's log odds, for recordings
of the phrases and of near misses, by voices and joined from people, and for pieces of speech. See dev/LOG.md, 2026-12-02.
"""

from __future__ import annotations

import functools
import importlib.util
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wordspot.audio.samples import Samples, to_float32
from wordspot.config import DataConfig
from wordspot.data.few_recordings import split_recordings
from wordspot.data.folders import list_recordings
from wordspot.data.guidance import Guidance, cut_piece, read_guidance
from wordspot.data.sound_alikes import sounds_alike
from wordspot.data.speech import Speech, load_speech
from wordspot.data.teacher import find_teacher
from wordspot.errors import DataError, NotFoundError, check_packages
from wordspot.labels import normalize_word
from wordspot.progress import OnNote, OnProgress
from wordspot.wakeword.kept import Kept
from wordspot.wakeword.project import CLIP_MS, Project, Request
from wordspot.wakeword.splicing import JOINED
from wordspot.wakeword.takes import TAKE, first_copies
from wordspot.wakeword.teacher import RATE, Encoder, Fit, Sound, cross_fit, encode_sounds, open_encoder, open_kept, read_sound

#: Pieces of speech as long as a clip, and shorter ones, for which everything is silent before and after, as for a word alone.
_N_LONG, _N_SHORT = 2500, 1500
_SHORT_S = 0.35, 1.0
_N_SAMPLES = int(RATE * CLIP_MS / 1000)
_FIT = Fit(steps=800, batch=128)
_OTHER = 0  # the class of what holds no phrase
#: What log odds of the layer become, so that most of what it is sure of is beyond -6 and 5, and the range of the result.
_SCALE, _OFFSET, _LEAST, _MOST = 2.0, -3.0, -10.0, 8.0
_MOST_OF_OTHERS = -2.0  # where the layer detects a phrase that is not there; which of them sound more like it is still said
#: How often each group of recordings is drawn: to fit the layer, and to train the network. What the user brought is nearly all
#: of the phrase, so that a layer would learn the voice.
_FITTED = {"phrases": 0.4, "others": 0.35, "speech": 0.15, "short speech": 0.1, "brought": 0.0}
_TRAINED = {
    "phrases by people": 0.22, "phrases by voices": 0.13, "others by people": 0.16, "others by voices": 0.09,
    "speech": 0.25, "short speech": 0.15,
}  # fmt: skip


@dataclass(frozen=True)
class _Piece:
    """A recording of the project, or a piece of speech, from which `sound` is read.

    number: the class, from 1 on that of a phrase.
    start, length: see `Guidance`.
    """

    path: str
    start: int
    length: int
    number: int
    speaker: str
    sound: Sound
    by_people: bool = True
    brought: bool = False

    @property
    def fitted(self) -> str:
        """The group in `_FITTED`."""
        return self._speech or ("brought" if self.brought else self._text)

    @property
    def trained(self) -> str:
        """The group in `_TRAINED`."""
        return self._speech or f"{self._text} by {'people' if self.by_people else 'voices'}"

    @property
    def _speech(self) -> str:
        return "" if self.start < 0 else "speech" if self.length == _N_SAMPLES else "short speech"

    @property
    def _text(self) -> str:
        return "phrases" if self.number else "others"


def has_teacher() -> bool:
    """Whether the teacher is there and can be run.

    Raises:
        NotFoundError: the folder that ``WORDSPOT_TEACHER`` names does not hold it.
    """
    return find_teacher() is not None and importlib.util.find_spec("faster_whisper") is not None


def check_teacher(folder: Path | None) -> Path:
    """The folder of the teacher, if it is there and can be run.

    Raises:
        NotFoundError: it is not there.
        MissingExtraError: faster-whisper is not installed.
    """
    check_packages("`taught`", "faster_whisper")
    if folder is None:
        raise NotFoundError("`taught` needs the teacher, Whisper base; run: wordspot download teacher")
    return folder


def ask_teacher(project: Project, request: Request, speech: Path, progress: OnProgress, on_note: OnNote) -> None:
    """Write the project's guidance, unless it is of the same recordings already.

    Raises:
        NotFoundError, MissingExtraError: see `check_teacher`.
        WordspotError: the teacher is damaged, or the folder that ``WORDSPOT_TEACHER`` names does not hold it.
    """
    folder = check_teacher(find_teacher())
    guide(project, request, speech, open_encoder(folder), progress, on_note, open_kept(folder))


def guide(
    project: Project,
    request: Request,
    speech: Path,
    encode: Encoder,
    progress: OnProgress,
    on_note: OnNote,
    kept: Kept | None = None,
) -> None:
    """Write the project's guidance by an encoder, unless it is of the same recordings already."""
    pieces = [*_clips_of(project, request), *_pieces_of(load_speech(speech, RATE, DataConfig(), progress), request)]
    earlier, place = read_guidance(project.recordings), str(speech.resolve())
    if earlier is not None and (earlier.speech, earlier.paths.tolist()) == (place, [piece.path for piece in pieces]):
        return
    values, readable = encode_sounds([piece.sound for piece in pieces], encode, progress, kept)
    pieces = [pieces[row] for row in readable]
    classes = np.array([piece.number for piece in pieces], np.int64)
    if set(classes.tolist()) != set(range(len(request.phrases) + 1)):
        raise DataError(f"{project.recordings}: no recordings of a phrase, or of nothing else, so there is nothing to teach")
    fitted = _weights([piece.fitted for piece in pieces], _FITTED)
    log_posteriors = cross_fit(values, classes, [piece.speaker for piece in pieces], fitted, request.seed, _FIT)
    Guidance(
        words=request.phrases,
        speech=place,
        paths=np.array([piece.path for piece in pieces]),
        starts=np.array([piece.start for piece in pieces], np.int64),
        lengths=np.array([piece.length for piece in pieces], np.int64),
        targets=targets_of(log_posteriors, classes),
        weights=_weights([piece.trained for piece in pieces], _TRAINED),
    ).write(project.recordings)
    on_note(f"the teacher's targets are computed, for {len(pieces)} recordings and pieces of speech")


def targets_of(log_posteriors: NDArray[np.float32], classes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Each phrase against all else, scaled and limited, above all where it is known not to be said: float32 [n, phrases].

    Args:
        log_posteriors: float32 [n, 1 + phrases].
        classes: int64 [n], the right ones.
    """
    columns = []
    for number in range(1, log_posteriors.shape[1]):
        others = np.delete(log_posteriors, number, axis=1)
        odds = log_posteriors[:, number] - np.logaddexp.reduce(others, axis=1)
        most = np.where(classes == number, _MOST, _MOST_OF_OTHERS)
        columns.append(np.clip(_SCALE * odds + _OFFSET, _LEAST, most))
    targets: NDArray[np.float32] = np.stack(columns, axis=1).astype(np.float32)
    return targets


def _weights(groups: list[str], shares: dict[str, float]) -> NDArray[np.float32]:
    """The share of each one's group, divided among those in it."""
    counts = {name: groups.count(name) for name in shares}
    return np.array([shares[name] / counts[name] for name in groups], np.float32)


def _clips_of(project: Project, request: Request) -> Iterator[_Piece]:
    """The training recordings that hold one sound each, without the copies that give recordings of people more weight."""
    numbers = {normalize_word(phrase): number for number, phrase in enumerate(request.phrases, start=1)}
    firsts = {path for folder in project.recordings.iterdir() if folder.is_dir() for path in first_copies(folder)}
    listing = list_recordings(project.recordings)
    sets = split_recordings(listing, DataConfig(), set(numbers)).sets
    for clip, name in zip(listing.clips, sets, strict=True):
        path = project.recordings / clip.path
        brought = path.name.startswith(TAKE)
        if name == "training" and (not brought or path in firsts):
            speaker, number = path.name.partition("_nohash_")[0], numbers.get(clip.word, _OTHER)
            by_people = brought or f"_nohash_{JOINED}" in path.name
            yield _Piece(clip.path, -1, -1, number, speaker, functools.partial(read_sound, path), by_people, brought)


def _pieces_of(speech: Speech, request: Request) -> Iterator[_Piece]:
    """Random pieces of the recordings whose text has neither all words of a phrase nor a word that sounds like one."""
    phrases = [set(normalize_word(phrase).split()) for phrase in request.phrases]
    phrases += [{text} for text in speech.vocabulary if sounds_alike(text, request.phrases)]
    usable = {number for number, text in enumerate(speech.texts) if not any(words <= set(text) for words in phrases)}
    for n, seconds in (_N_LONG, (CLIP_MS / 1000,) * 2), (_N_SHORT, _SHORT_S):
        drawn = (place for place in _draw(speech, seconds, request.seed) if place[0] in usable)
        for number, start, length in itertools.islice(drawn, n if usable else 0):
            sound = functools.partial(_cut, speech, number, start, length)
            yield _Piece(speech.paths[number], start, length, _OTHER, speech.speakers[number], sound)


def _draw(speech: Speech, seconds: tuple[float, float], seed: int) -> Iterator[tuple[int, int, int]]:
    """Recording, first sample and length of random pieces without end, the same ones for every phrase."""
    rng = np.random.default_rng(seed)
    while True:
        length, number, place = int(rng.uniform(*seconds) * RATE), int(rng.integers(len(speech.texts))), rng.random()
        yield number, int(place * (max(len(speech.samples(number)) - length, 0) + 1)), length


def _cut(speech: Speech, number: int, start: int, length: int) -> Samples:
    return to_float32(cut_piece(speech.samples(number), start, length))
