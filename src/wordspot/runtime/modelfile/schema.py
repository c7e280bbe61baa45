"""The fields of a model card, and its conversion from and to JSON with every value checked. `card` reads it from a file."""

from __future__ import annotations

import dataclasses
import json
import math
import unicodedata
from dataclasses import dataclass, field
from typing import Any

from wordspot.config import DECODERS, MAX_SAMPLE_RATE, DecoderConfig
from wordspot.errors import CardError, ConfigError
from wordspot.formats import shown
from wordspot.limits import Limits, limits_from_json, limits_to_json
from wordspot.overrides import decoder_from_json, decoder_to_json
from wordspot.tasks import TASKS, Task

FORMAT_VERSION = 1
KINDS = ("stream", "clip")
QUANTIZATIONS = ("none", "int8")
MAX_CARD_BYTES = 1 << 20
MODULUS, PHASES = 2**31 - 1, 2**24  # of the self-test's noise and tones
_MAX_CLIP_SAMPLES = 1 << 21  # 131 s at 16 kHz
_MAX_LABELS, _MAX_LABEL_LENGTH = 1000, 200
_MAX_STATES, _MAX_STATE_VALUES = 100, 1 << 22
_MAX_TEST_SAMPLES, _MAX_TEST_ROWS, _MAX_TEST_VALUES = 1 << 18, 64, 1 << 24
_MAX_DEPTH = 12
_NOT_IN_TEXT = ("Cc", "Cs", "Zl", "Zp")  # control characters, surrogates, line separators


@dataclass(frozen=True)
class State:
    """A tensor that a streaming model returns as ``new_<name>`` and receives again as ``name``. It starts as zeros."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class SelfTest:
    """A signal given by a formula, and the scores of torch for it.

    Attributes:
        n_samples: length of the signal.
        seed: random seed of its noise.
        tones: (start, sweep) of the two tones.
        ends: where the scored audio ends, in samples: for a stream the row ``end / step_samples - 1`` of the scores, for a clip
            model the clip ``[end - clip_samples, end)``.
        log_posteriors: one row of labels for each of `ends`.
        tolerance: largest allowed difference of a log posterior.
    """

    n_samples: int
    seed: int
    tones: tuple[tuple[int, int], ...]
    ends: tuple[int, ...]
    log_posteriors: tuple[tuple[float, ...], ...]
    tolerance: float = 1e-4


@dataclass(frozen=True)
class Card:
    """The model card of an exported file; see `card`."""

    kind: str
    labels: tuple[str, ...]
    sample_rate: int
    clip_samples: int
    step_samples: int
    states: tuple[State, ...]
    decoder: DecoderConfig
    self_test: SelfTest
    config: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    quantization: str = "none"
    wordspot_version: str = ""
    format_version: int = FORMAT_VERSION
    limits: Limits = field(default_factory=Limits)

    @property
    def clip_seconds(self) -> float:
        """Length of the audio that one score refers to."""
        return self.clip_samples / self.sample_rate

    @property
    def task(self) -> Task:
        """What the model predicts; files of old versions, which do not name a task, are of the task `words`."""
        return TASKS[self.config.get("task", "words")]


def to_json(card: Card) -> dict[str, Any]:
    """The card as a JSON object."""
    value: dict[str, Any] = {f.name: getattr(card, f.name) for f in dataclasses.fields(card)}
    value["states"] = [dataclasses.asdict(state) for state in card.states]
    value["self_test"] = dataclasses.asdict(card.self_test)
    value["decoder"] = decoder_to_json(card.decoder)
    del value["limits"]
    if card.limits != Limits():  # so that older versions read files without limits
        value["limits"] = limits_to_json(card.limits)
    result: dict[str, Any] = json.loads(json.dumps(value))
    return result


def parse_card(text: str | None) -> Card:
    """The card in the metadata of a file, with every value checked.

    Raises:
        CardError: there is no card, or a value is missing, unknown or out of bounds.
    """
    if text is None:
        raise CardError("the file has no model card; use a file written by `wordspot export`")
    if len(text) > MAX_CARD_BYTES:
        raise CardError(f"the card has {len(text)} characters; at most {MAX_CARD_BYTES} are allowed")
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise CardError("the card is not valid JSON; is the file damaged?") from error
    if not isinstance(value, dict):
        raise CardError(f"the card is not a JSON object but of type {type(value).__name__}")
    _check_plain(value)
    version = _integer(value, "format_version", 1, 1 << 30)
    if version > FORMAT_VERSION:
        raise CardError(f"the card has version {version}; this wordspot reads up to {FORMAT_VERSION}. Install a newer wordspot")
    known = {f.name for f in dataclasses.fields(Card)}
    if unknown := sorted(set(value) - known):
        raise CardError(f"the card has an unknown entry {shown(unknown[0])}; install a newer wordspot, or export it again")
    kind = _choice(value, "kind", KINDS)
    clip_samples = _integer(value, "clip_samples", 1, _MAX_CLIP_SAMPLES)
    step_samples = _integer(value, "step_samples", *((1, clip_samples) if kind == "stream" else (0, 0)))
    if step_samples and clip_samples % step_samples:
        raise CardError(f"clip_samples ({clip_samples}) is not a multiple of step_samples ({step_samples})")
    labels = _labels(value)
    return Card(
        kind=kind,
        labels=labels,
        sample_rate=_integer(value, "sample_rate", 1000, MAX_SAMPLE_RATE),
        clip_samples=clip_samples,
        step_samples=step_samples,
        states=_states(value, kind),
        decoder=_decoder(value, labels),
        self_test=_self_test(value, len(labels), clip_samples, step_samples),
        config=_config(value),
        data=_entry(value, "data", dict),
        quantization=_choice(value, "quantization", QUANTIZATIONS),
        wordspot_version=_entry(value, "wordspot_version", str)[:100],
        format_version=version,
        limits=_limits(value),
    )


def _check_plain(value: Any, depth: int = 0) -> None:
    """Check for finite numbers, text without control characters (which a terminal would execute), and the nesting depth."""
    if depth > _MAX_DEPTH:
        raise CardError(f"the card is nested more than {_MAX_DEPTH} levels deep")
    if isinstance(value, dict):
        _check_plain([*value, *value.values()], depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_plain(item, depth + 1)
    elif isinstance(value, str) and any(unicodedata.category(character) in _NOT_IN_TEXT for character in value):
        raise CardError(f"the card contains text with control characters: {shown(value)}")
    elif isinstance(value, float) and not math.isfinite(value):
        raise CardError("the card contains a number that is not finite")


def _labels(value: dict[str, Any]) -> tuple[str, ...]:
    labels = _entry(value, "labels", list)
    if not 1 <= len(labels) <= _MAX_LABELS or not all(isinstance(label, str) for label in labels):
        raise CardError(f"the card's labels are {shown(labels)}; expected 1 to {_MAX_LABELS}, all text")
    for label in labels:
        if not 1 <= len(label) <= _MAX_LABEL_LENGTH:
            raise CardError(f"the label {shown(label)} is empty or too long; expected 1 to {_MAX_LABEL_LENGTH} characters")
    if len(set(labels)) < len(labels):
        raise CardError(f"the card repeats a label: {shown(labels)}")
    return tuple(labels)


def _states(value: dict[str, Any], kind: str) -> tuple[State, ...]:
    entries = _entry(value, "states", list)
    if len(entries) > _MAX_STATES or (kind == "clip" and entries):
        raise CardError(f"the card has {len(entries)} states; at most {_MAX_STATES} are allowed, and only for a streaming model")
    states = []
    for entry in entries:
        if not isinstance(entry, dict) or set(entry) != {"name", "shape"}:
            raise CardError(f"the state {shown(entry)} does not consist of a name and a shape")
        name, shape = _entry(entry, "name", str), _whole(entry, "shape", 1, _MAX_STATE_VALUES)
        if len(shape) > 8 or math.prod(shape) > _MAX_STATE_VALUES or not name or name == "audio":
            raise CardError(f"the state {shown(entry)} has no valid name, or more than {_MAX_STATE_VALUES} values")
        states.append(State(name, shape))
    if len({state.name for state in states}) < len(states):
        raise CardError("the card repeats a state's name")
    return tuple(states)


def _decoder(value: dict[str, Any], labels: tuple[str, ...]) -> DecoderConfig:
    try:
        decoder = decoder_from_json(_entry(value, "decoder", dict))
    except ConfigError as error:
        raise CardError(f"the card's decoder settings are invalid: {error}") from error
    if decoder.kind not in DECODERS:
        raise CardError(f"the card's decoder is {decoder.kind}; an exported file has {', '.join(DECODERS)}")
    if strange := sorted(set(decoder.thresholds) - set(labels)):
        raise CardError(f"the card has a threshold for {shown(strange[0])}, which is not one of its labels")
    return decoder


def _limits(value: dict[str, Any]) -> Limits:
    if "limits" not in value:
        return Limits()
    try:
        return limits_from_json(value["limits"])
    except ConfigError as error:
        raise CardError(f"the card's limits are invalid: {error}") from error


def _self_test(value: dict[str, Any], n_labels: int, clip_samples: int, step_samples: int) -> SelfTest:
    entry = _entry(value, "self_test", dict)
    if set(entry) != {f.name for f in dataclasses.fields(SelfTest)}:
        raise CardError(f"the self-test has other entries than expected: {shown(sorted(map(str, entry)))}")
    n_samples = _integer(entry, "n_samples", clip_samples, max(_MAX_TEST_SAMPLES, 2 * clip_samples))
    ends = _whole(entry, "ends", clip_samples, n_samples)
    rows, tones = _entry(entry, "log_posteriors", list), _entry(entry, "tones", list)
    if not 1 <= len(ends) <= _MAX_TEST_ROWS or len(rows) != len(ends):
        raise CardError(
            f"the self-test has {len(ends)} ends and {len(rows)} rows; expected as many rows as ends, 1 to {_MAX_TEST_ROWS}"
        )
    if not step_samples and len(ends) * clip_samples > _MAX_TEST_VALUES:
        raise CardError(f"the self-test's clips have more than {_MAX_TEST_VALUES} samples together")
    if step_samples and any(end % step_samples for end in ends):
        raise CardError(f"the self-test's rows end at {shown(ends)}; expected multiples of {step_samples} samples")
    posteriors = tuple(_row(row, n_labels) for row in rows)
    if len(tones) != 2 or not all(isinstance(tone, list) and len(tone) == 2 for tone in tones):
        raise CardError(f"the self-test's tones are {shown(tones)}; expected two")
    pairs = [(_integer({"start": a}, "start", 0, PHASES), _integer({"sweep": b}, "sweep", 0, 1 << 14)) for a, b in tones]
    if any(start * n_samples + sweep * n_samples**2 >= 1 << 53 for start, sweep in pairs):
        raise CardError(f"the self-test's tones are {shown(tones)}; their phase must stay below 2**53")
    return SelfTest(
        n_samples=n_samples,
        seed=_integer(entry, "seed", 1, MODULUS - 1),
        tones=tuple(pairs),
        ends=ends,
        log_posteriors=posteriors,
        tolerance=_number(entry, "tolerance", 1e-9, 0.2),
    )


def _row(row: Any, n_labels: int) -> tuple[float, ...]:
    if not isinstance(row, list) or len(row) != n_labels:
        raise CardError(f"a row of the self-test is {shown(row)}; expected {n_labels} values")
    values = tuple(_number({"log_posteriors": item}, "log_posteriors", -1e4, 1e-3) for item in row)
    if not 0.99 < sum(map(math.exp, values)) < 1.01:
        raise CardError(f"the posteriors in a row of the self-test do not add up to 1: {shown(row)}")
    return values


def _config(value: dict[str, Any]) -> dict[str, Any]:
    """The training configuration. Running a file needs nothing of it except the task."""
    config: dict[str, Any] = _entry(value, "config", dict)
    task = config.get("task", "words")
    if not isinstance(task, str) or task not in TASKS:
        raise CardError(f"the card's task is {shown(task)}; known are {', '.join(TASKS)}. Install a newer wordspot")
    return config


def _entry(value: dict[str, Any], name: str, kind: type) -> Any:
    """An entry of the card, of exactly this type."""
    entry = value.get(name)
    if type(entry) is not kind:
        raise CardError(f"the card's {name} is {shown(entry)}; expected {_KIND_NAMES[kind]}")
    return entry


def _integer(value: dict[str, Any], name: str, low: int, high: int) -> int:
    number: int = _entry(value, name, int)
    if not low <= number <= high:
        raise CardError(f"the card's {name} is {shown(number)}; expected {low} to {high}")
    return number


def _number(value: dict[str, Any], name: str, low: float, high: float) -> float:
    number: Any = value.get(name)
    if type(number) not in (int, float) or not low <= number <= high:
        raise CardError(f"the card's {name} is {shown(number)}; expected {low:g} to {high:g}")
    return float(number)


def _whole(value: dict[str, Any], name: str, low: int, high: int) -> tuple[int, ...]:
    return tuple(_integer({name: item}, name, low, high) for item in _entry(value, name, list))


def _choice(value: dict[str, Any], name: str, choices: tuple[str, ...]) -> str:
    choice: str = _entry(value, name, str)
    if choice not in choices:
        raise CardError(f"the card's {name} is {shown(choice)}; expected one of {', '.join(choices)}")
    return choice


_KIND_NAMES = {dict: "a JSON object", list: "a list", str: "text", int: "a whole number"}


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
