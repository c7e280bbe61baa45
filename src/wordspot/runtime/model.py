"""Open an exported model file, run its self-test and read its model card.

Two engines run files: the C engine of wordspot, if this installation has it compiled and it supports the file's network, and ONNX
Runtime, which runs all files. ``WORDSPOT_ENGINE=onnx`` or ``c`` in the environment chooses one.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from wordspot.config import DecoderConfig
from wordspot.errors import CardError, ConfigError, ExportError, NotFoundError
from wordspot.runtime.modelfile.card import Card, read_card_and_graph, read_content, to_json
from wordspot.runtime.modelfile.engine.opening import open_engine
from wordspot.runtime.modelfile.engine.session import EngineSession
from wordspot.runtime.modelfile.graph import Walked
from wordspot.runtime.modelfile.self_test import SelfTestResult, run_self_test
from wordspot.runtime.modelfile.session import open_session

DEFAULT_MODEL = "default.onnx"
FOLDER = Path(__file__).parent
"""Where the default model is."""

ENGINE_VARIABLE = "WORDSPOT_ENGINE"
ENGINES = ("auto", "c", "onnx")


@runtime_checkable
class OtherFormat(Protocol):
    """A streaming model in a format other than ONNX.

    Attributes:
        card: a card for it.
        name: its path, for messages.
        suffix: of its path.
    """

    card: Card
    name: str
    suffix: str

    def make_runner(self) -> Any:
        """What turns samples into scores, as `streams.StreamRunner` does."""

    def write_copy(self, decoder: DecoderConfig, out: Path) -> None:
        """Write a copy with other decoder settings."""


@dataclass(frozen=True)
class Model:
    """An exported file, loaded. Any number of streams can share it.

    Attributes:
        card: the model card.
        session: an `onnxruntime.InferenceSession`, or an `EngineSession` of the C engine; None if `other` runs the model.
        name: the file's path, for messages.
        other: of a model in another format.
    """

    card: Card
    session: Any
    name: str = "the model"
    other: OtherFormat | None = None

    @property
    def engine(self) -> str:
        """What runs the network: ``"C engine, AVX-512"``, ``"C engine, AVX2"``, ``"C engine"``, ``"ONNX Runtime"`` or, of another
        format, numpy."""
        if self.other is not None:
            return "numpy, as a device"
        return self.session.name if isinstance(self.session, EngineSession) else "ONNX Runtime"


#: What functions accept as a model: an exported file, its content, an opened model of any format, or None for the one that
#: comes with wordspot.
Source = Model | OtherFormat | Path | str | bytes | None


@dataclass(frozen=True)
class Verification:
    """Whether a file gives the same scores on this machine as at export, and what ran it, as `Model.engine` says."""

    model: str
    result: SelfTestResult
    engine: str

    @property
    def passed(self) -> bool:
        """Whether the scores agree within the card's tolerance."""
        return self.result.passed

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object."""
        return {"model": self.model, "engine": self.engine, **self.result.to_json()}


@dataclass(frozen=True)
class ModelInfo:
    """A model file's name, size and card, and what runs it on this machine, as `Model.engine` says."""

    model: str
    n_bytes: int
    card: Card
    engine: str

    def to_json(self) -> dict[str, Any]:
        """The entire card as a JSON object, with the file's name and size and the engine."""
        return {"model": self.model, "bytes": self.n_bytes, "engine": self.engine, **to_json(self.card)}


def open_model(
    model: Path | str | bytes | None = None, *, threads: int = 1, self_test: bool = True, engine: str | None = None
) -> Model:
    """Check and load an exported file.

    Args:
        model: the file, or its content; None opens the model that comes with wordspot.
        threads: how many threads one call of ONNX Runtime may use; the C engine needs one.
        self_test: run the file's self-test, and reject the file if it fails.
        engine: what runs the file: ``"c"``, ``"onnx"``, or ``"auto"``: the C engine if possible, else ONNX Runtime. None: the
            environment variable ``WORDSPOT_ENGINE``, or ``"auto"`` if it is not set.

    Raises:
        NotFoundError: no such file.
        CardError: not a file that wordspot wrote, or ONNX Runtime cannot run it, or its self-test fails.
        ConfigError: an unknown engine, or ``"c"`` if the C engine cannot run the file or is not compiled.
    """
    name, data = read_model(model)
    card, graph = read_card_and_graph(data, name)
    session, difference = _open_in_c(name, graph, card, engine)
    if session:
        return Model(card, session, name)
    try:
        opened = Model(card, open_session(data, threads), name)
        if self_test:
            _check_self_test(opened)
    except CardError as error:
        raise CardError(f"{name}: {error}; copy or export it again") from error
    if difference and self_test:  # without a self-test, the file may be what is wrong
        warnings.warn(f"{name}: in the C engine {difference}; ONNX Runtime runs it, slower", RuntimeWarning, stacklevel=2)
    return opened


def _open_in_c(name: str, graph: Walked, card: Card, engine: str | None) -> tuple[EngineSession | None, str]:
    """Try to open a file in the C engine.

    Returns:
        the session, or None if the file cannot run there or ONNX Runtime is chosen; and how its scores are wrong, if they are.

    Raises:
        ConfigError: as `open_model`.
    """
    chosen, reason, difference = _chosen_engine(engine), _NOT_COMPILED, ""
    if chosen == "onnx":
        return None, ""
    try:
        if session := open_engine(graph, card):
            return session, ""
    except ExportError as error:
        reason = str(error)
    except CardError as error:
        reason = difference = str(error)
    if chosen == "c":
        raise ConfigError(f"{name} cannot run in the C engine: {reason}")
    return None, difference


_NOT_COMPILED = "this installation has no compiled engine; install a wheel for this machine, or build with a C compiler"


def _chosen_engine(engine: str | None) -> str:
    chosen = engine or os.environ.get(ENGINE_VARIABLE) or "auto"
    if chosen not in ENGINES:
        source = "`engine`" if engine else ENGINE_VARIABLE
        raise ConfigError(f"{source} must be {', '.join(ENGINES[:-1])} or {ENGINES[-1]}, got {chosen!r}")
    return chosen


def as_model(model: Source, *, threads: int = 1, self_test: bool = True) -> Model:
    """`model` itself if it is already open, else as `open_model` opens it."""
    if isinstance(model, OtherFormat):
        return Model(model.card, None, model.name, model)
    return model if isinstance(model, Model) else open_model(model, threads=threads, self_test=self_test)


def verify(model: Path | str | None = None) -> Verification:
    """Check that a file gives the same scores on this machine as at export.

    Args:
        model: an exported file; None checks the model that comes with wordspot.

    Raises:
        NotFoundError, CardError: as `open_model`.
    """
    opened = open_model(model, self_test=False)
    return Verification(opened.name, run_self_test(opened.session, opened.card), opened.engine)


def info(model: Path | str | None = None) -> ModelInfo:
    """Read the card of a model file, without loading its network into ONNX Runtime.

    Args:
        model: an exported file; None reads the model that comes with wordspot.

    Raises:
        NotFoundError, CardError: as `open_model`.
    """
    name, data = read_model(model)
    card, graph = read_card_and_graph(data, name)
    session, _ = _open_in_c(name, graph, card, None)
    return ModelInfo(name, len(data), card, Model(card, session).engine)


def read_model(model: Path | str | bytes | None) -> tuple[str, bytes]:
    """Read a model file.

    Returns:
        A name for messages, and the file's content.

    Raises:
        NotFoundError: no such file.
    """
    if isinstance(model, bytes):
        return "the model", model
    if model is not None:
        return read_content(Path(model))
    default = FOLDER / DEFAULT_MODEL
    if not default.is_file():
        raise NotFoundError(
            f"{DEFAULT_MODEL}: the model that comes with wordspot is missing from this installation; "
            "name a file that `wordspot export` wrote"
        )
    return DEFAULT_MODEL, default.read_bytes()


def check_detects(model: Model) -> None:
    """Raises ConfigError for a model that detects nothing in a stream: one that classifies entire recordings."""
    if model.card.task.predicts_recordings:
        raise ConfigError(
            f"{model.name} classifies entire recordings ({', '.join(model.card.labels[:6])}) and detects no words; use `classify`"
        )


def check_labels_clips(model: Model) -> None:
    """Raises ConfigError for a model that does not classify clips."""
    check_detects(model)
    if not model.card.task.predicts_clips:
        raise ConfigError(f"{model.name} detects when {model.card.labels[-1]!r} is said and cannot label clips; use `detect`")


def _check_self_test(model: Model) -> None:
    report = run_self_test(model.session, model.card)
    if not report.passed:
        raise CardError(
            f"its self-test failed: the logarithms of its scores differ by {report.difference:.2g} from those at export; "
            f"{report.tolerance:.2g} is allowed"
        )
