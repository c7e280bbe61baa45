"""Compare the scores of an exported file with those of torch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wordspot.errors import CardError, ExportError
from wordspot.models.streaming import StreamingNetwork, initial_state
from wordspot.runtime.modelfile.card import Card, read_card, self_test_signal
from wordspot.runtime.modelfile.self_test import difference, run_self_test
from wordspot.runtime.modelfile.session import open_session, run_clips, run_stream

TOLERANCE = 1e-4
_CHUNKS = (1, 2, 7, 100)  # steps of a stream that one call takes

Array = NDArray[np.float32]


@contextlib.contextmanager
def rejections() -> Iterator[None]:
    """Turn the rejection of an exported file by its reader into an `ExportError`."""
    try:
        yield
    except CardError as error:
        raise ExportError(f"the exported file would be rejected: {error}; nothing was written") from error


def check_parity(model: bytes, card: Card, network: nn.Module, front_end: nn.Module) -> float:
    """The file's largest difference from torch.

    Raises:
        ExportError: the file is rejected, fails at a length that was not traced, or differs by more than `TOLERANCE`.
    """
    with rejections():
        read_card(model)
        apart = compare(model, card, network, front_end)
    if not apart <= TOLERANCE:
        raise ExportError(
            f"scores of the exported file differ from torch's by {apart:.2g}; at most {TOLERANCE:g} is allowed. "
            "Nothing was written"
        )
    return apart


def compare(model: bytes, card: Card, network: nn.Module, front_end: nn.Module) -> float:
    """The largest difference of a file from torch, in its self-test and on audio fed in chunks of several lengths.

    Raises:
        CardError: onnxruntime cannot load the file, or cannot run it at some length.
    """
    session = open_session(model)
    apart = run_self_test(session, card).difference
    for audio in _test_sounds(card):
        expected = torch_scores(network, front_end, card, audio)
        if card.kind == "stream":
            given = [run_stream(session, card, audio, n_steps) for n_steps in _CHUNKS]
        else:
            given = [run_clips(session, audio)]
        apart = max(apart, *(difference(scores, expected) for scores in given))
    return float(apart)


def torch_scores(network: nn.Module, front_end: Any, card: Card, audio: Array) -> Array:
    """Scores of torch for a stream [1, samples], in one piece from a zero state, or for clips [n, clip_samples]."""
    sound, streaming = torch.from_numpy(audio), cast(StreamingNetwork, network)
    with torch.no_grad():
        if card.kind == "stream":
            whole = sound[:, : sound.shape[1] // card.step_samples * card.step_samples]
            features, _ = front_end.step(whole, front_end.initial_state(1))
            logits: Tensor = streaming.step(features, initial_state(streaming, 1, front_end.early_frames))[0]
        else:
            logits = network(front_end(sound))
    scores: Array = logits.softmax(dim=-1).numpy()
    return scores


def _test_sounds(card: Card) -> Iterator[Array]:
    """Noise of falling loudness, and the signal of the self-test in faint noise, of lengths that are not traced."""
    rng = np.random.default_rng(0)
    shape = (1, card.self_test.ends[0] + 77 * card.step_samples) if card.step_samples else (2, card.clip_samples)
    noise = rng.standard_normal(shape)
    yield (noise * np.geomspace(0.3, 1e-3, shape[1])).astype(np.float32)
    signal = np.resize(self_test_signal(card.self_test), shape)
    yield (signal + 1e-3 * noise).astype(np.float32)
