"""Cut a long recording into pieces whose joined result equals one pass, bit by bit.

A streaming network's score depends on the audio of one clip only, so a piece starts early by at least a clip and discards
the first scores. That alone is not exact: sums over a ring buffer are made in the order of the ring, so they are rounded in
the same way only if the piece starts at a multiple of the ring's length. `restart_unit` finds such a distance by trying, for
the model and the engine at hand. The decoder, whose state may reach back any time, is not cut: the scores of all pieces are
joined in order and decoded once.

A recording is scanned in one pass, by one worker, if that does not apply: a network with unlimited memory, an automatic gain,
a sample rate other than the model's (the resampler's rounding depends on where it starts), MP3, Vorbis or Opus.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wordspot.audio.files import read_blocks, read_info
from wordspot.audio.gain import AUTO, Gain, make_gain
from wordspot.audio.samples import Samples
from wordspot.config import DecoderConfig
from wordspot.errors import WordspotError
from wordspot.runtime.decoder import Detection, make_decoder
from wordspot.runtime.detect import BLOCK_MS, end_silence
from wordspot.runtime.model import Model
from wordspot.runtime.modelfile.card import Card
from wordspot.runtime.streams import make_runner

PIECE_SECONDS = 600.0
_COMPARED_SECONDS = 1.5 * BLOCK_MS / 1000

Scores = NDArray[np.float32]
Ends = NDArray[np.int64]


@dataclass(frozen=True)
class Piece:
    """A piece of a recording, in samples.

    Attributes:
        start: where reading starts.
        first: scores of audio that ends after this belong to the piece.
        stop: where the piece ends; None: with the recording.
    """

    start: int
    first: int
    stop: int | None


def restart_unit(model: Model) -> int:
    """The distance in samples at which a stream of `model` can start anew and soon give the same scores, bit by bit.

    Returns:
        A multiple of a second, if possible, else of the blocks that audio is scored in; 0 if there is none.
    """
    card = model.card
    if card.kind != "stream" or model.other is not None:
        return 0
    rings = sorted({1, *(state.shape[-1] + 1 for state in card.states)})  # a ring holds the newest row too
    grids = card.sample_rate, _block_samples(card)
    units = (math.lcm(n_hops * card.step_samples, grid) for grid in grids for n_hops in rings)
    return next((unit for unit in units if _restarts_at(model, unit)), 0)


def cut(path: Path, card: Card, unit: int, *, gain: Gain = None, seconds: float = PIECE_SECONDS) -> list[Piece]:
    """Cut a recording into pieces of about `seconds`; none if it is short or must be scanned in one pass.

    Args:
        path: the recording.
        card: of the model.
        unit: as `restart_unit` returns it.
        gain: that is applied.
        seconds: length of a piece, rounded to a multiple of `unit`.
    """
    if not unit or gain == AUTO:
        return []
    try:
        info = read_info(path, thorough=False)
    except (WordspotError, OSError):  # reported where it is scanned
        return []
    size = max(round(seconds * card.sample_rate / unit), 1) * unit
    if info.sample_rate != card.sample_rate or not info.can_seek or info.n_samples < 2 * size:
        return []
    early = -(-(card.clip_samples - card.step_samples) // unit) * unit
    firsts = range(0, info.n_samples - size + 1, size)  # the last piece is longer than the others, not shorter
    stops: list[int | None] = [*firsts[1:], None]
    return [Piece(max(first - early, 0), first, stop) for first, stop in zip(firsts, stops, strict=True)]


def score_piece(
    model: Model, path: Path, piece: Piece, *, channel: int | None = None, gain: Gain = None
) -> tuple[Scores, Ends, int]:
    """Score a piece of a recording.

    Returns:
        scores: float32 [n, labels].
        ends: int64 [n], the sample of the recording at which the audio of each row ends.
        n_samples: length of the piece.

    Raises:
        NotFoundError, AudioError: the recording cannot be read.
    """
    card, raised = model.card, make_gain(gain, model.card.sample_rate)
    runner, n_samples = make_runner(model), 0
    parts: list[tuple[Scores, Ends]] = []
    for block in _blocks(path, card, piece, channel):
        n_samples += len(block)
        parts.append(runner.feed(raised.feed(block) if raised else block))
    if piece.stop is None and (silence := end_silence(card, card.sample_rate)) is not None:
        parts.append(runner.feed(raised.feed(silence) if raised else silence))
    scores, ends = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts]) + piece.start
    used = ends > piece.first
    return scores[used], ends[used], n_samples - (piece.first - piece.start)


class Joiner:
    """Decodes the scores of a recording's pieces, which may come in any order.

    Args:
        card: of the model.
        decoder: settings from scores to detections.
        n_pieces: of the recording.
    """

    def __init__(self, card: Card, decoder: DecoderConfig, n_pieces: int) -> None:
        self._rate, self._decoder, self._n_pieces = card.sample_rate, make_decoder(decoder, card.labels), n_pieces
        self._waiting: dict[int, tuple[Scores, Ends]] = {}
        self._next, self._found = 0, list[Detection]()

    @property
    def n_waiting(self) -> int:
        """The number of pieces that wait for an earlier one."""
        return len(self._waiting)

    @property
    def is_complete(self) -> bool:
        """Whether all pieces have come."""
        return self._next == self._n_pieces

    def add(self, number: int, scores: Scores, ends: Ends) -> None:
        """Add a piece, counted from 0, and decode as far as possible."""
        self._waiting[number] = scores, ends
        while self._next in self._waiting:
            rows, at = self._waiting.pop(self._next)
            self._found += self._decoder.feed(rows, at * 1000 / self._rate) if len(at) else []
            self._next += 1

    def finish(self) -> tuple[Detection, ...]:
        """The detections of the entire recording, once it is complete."""
        return (*self._found, *self._decoder.flush())


def _block_samples(card: Card) -> int:
    return int(card.sample_rate * BLOCK_MS / 1000)


def _blocks(path: Path, card: Card, piece: Piece, channel: int | None) -> Iterator[Samples]:
    """The audio of a piece, in the blocks of `detect`."""
    _, blocks = read_blocks(path, BLOCK_MS, channel=channel, start=piece.start, thorough=False)
    place = piece.start
    for block in blocks:
        yield block if piece.stop is None else block[: piece.stop - place]
        place += len(block)
        if piece.stop is not None and place >= piece.stop:
            return


def _restarts_at(model: Model, unit: int) -> bool:
    """Whether a stream that starts after `unit` samples has the same scores as one that was fed other audio until there."""
    card = model.card
    n_samples = unit + card.clip_samples + int(_COMPARED_SECONDS * card.sample_rate)
    noise = (0.1 * np.random.default_rng(0).standard_normal(n_samples)).astype(np.float32)
    whole, ends = _score(model, noise)
    again, _ = _score(model, noise[unit:])
    return len(again) > 0 and bool(np.array_equal(whole[ends >= unit + card.clip_samples], again))


def _score(model: Model, audio: Samples) -> tuple[Scores, Ends]:
    runner, size = make_runner(model), _block_samples(model.card)
    parts: Sequence[tuple[Scores, Ends]] = [runner.feed(audio[at : at + size]) for at in range(0, len(audio), size)]
    return np.concatenate([scores for scores, _ in parts]), np.concatenate([ends for _, ends in parts])
