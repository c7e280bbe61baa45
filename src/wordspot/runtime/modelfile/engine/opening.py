"""Open an exported file in the compiled C engine, if there is one and it supports the file's network."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from wordspot.config import DecoderConfig
from wordspot.errors import CardError, ExportError
from wordspot.runtime.modelfile.card import Card, self_test_signal
from wordspot.runtime.modelfile.engine.blob import make_blob
from wordspot.runtime.modelfile.engine.library import load_library
from wordspot.runtime.modelfile.engine.model import EngineModel
from wordspot.runtime.modelfile.engine.recognise import recognise
from wordspot.runtime.modelfile.engine.session import EngineSession
from wordspot.runtime.modelfile.graph import Walked
from wordspot.runtime.modelfile.self_test import difference


def open_engine(graph: Walked, card: Card) -> EngineSession | None:
    """Open a file in the C engine, and check it on the self-test of its card.

    Args:
        graph: of the file.
        card: of the file, which `read_card` has accepted.

    Returns:
        None if this installation has no compiled engine.

    Raises:
        ExportError: the engine does not support the file's network; the message says what it supports.
        CardError: the scores in the engine differ from those in the card.
    """
    library = load_library()
    if library is None:
        return None
    model = recognised(graph, card)
    expected = np.exp(np.array(card.self_test.log_posteriors))
    blob = make_blob(model, dataclasses.replace(card, decoder=DecoderConfig()), rows=expected)  # its decoder is not used
    try:
        session = EngineSession(library, blob, card)
        apart = _self_test(session, card)
    except ValueError as error:
        raise CardError(str(error)) from error
    if not apart <= card.self_test.tolerance:
        raise CardError(f"its scores differ from those at export by {apart:.2g}, {card.self_test.tolerance:.2g} is allowed")
    return session


def recognised(graph: Walked, card: Card) -> EngineModel:
    """The network of an exported file.

    Raises:
        ExportError: the engine does not support it; the message says what it supports.
    """
    try:
        with np.errstate(all="ignore"):
            model = recognise(graph, card)
    except ExportError:
        raise
    except Exception as error:  # an odd file may fail anywhere; ONNX Runtime then accepts or rejects it
        raise ExportError(f"this file cannot be read by the C engine ({' '.join(str(error).split())})") from error
    if not _is_finite(model):
        raise ExportError("this file has weights that are not finite numbers, which the C engine does not support")
    return model


def _is_finite(part: Any) -> bool:
    """Whether all arrays and numbers of a network, or of a part of it, are finite."""
    if dataclasses.is_dataclass(part):
        return all(_is_finite(getattr(part, field.name)) for field in dataclasses.fields(part))
    if isinstance(part, tuple):
        return all(map(_is_finite, part))
    return part is None or bool(np.isfinite(part).all())


def _self_test(session: EngineSession, card: Card) -> float:
    """The largest difference from the card, with one hop a call and with many, which the engine computes differently."""
    rows = [end // card.step_samples - 1 for end in card.self_test.ends]
    at_once = session.score_stream(self_test_signal(card.self_test))[rows]
    expected = np.exp(np.array(card.self_test.log_posteriors))
    return max(session.start_stream().self_test(), difference(at_once, expected))
