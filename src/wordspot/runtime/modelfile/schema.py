"""The fields of a model card, and its conversion from and to JSON with every value checked. `card` reads it from a file."""

from __future__ import annotations

import dataclasses
import json
import math
import unicodedata
from dataclasses import dataclass, field
from typing import Any

from wordspot.config import MAX_SAMPLE_RATE, DecoderConfig
from wordspot.errors import CardError, ConfigError
from wordspot.formats import shown
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
_NOT_IN_TEXT = ("Cc", "Cs", "Zl", "Zp")  # controls, surrogates, ends of lines


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

    @property
    def clip_seconds(self) -> float:
        """Length of the audio that one score is about."""
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
    result: dict[str, Any] = json.loads(json.dumps(value))
    return result


def parse_card(text: str | None) -> Card:
    """The card in the metadata of a file, with every value checked.

    Raises:
        CardError: there is no card, or a value is missing, unknown or out of bounds.
    """
    if text is None:
        raise CardError("expected a model that wordspot exported, but it carries no card; export it with wordspot export")
    if len(text) > MAX_CARD_BYTES:
        raise CardError(f"expected a card of at most {MAX_CARD_BYTES} characters, got {len(text)}")
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise CardError("expected JSON as the card, but it does not parse; is the file damaged?") from error
    if not isinstance(value, dict):
        raise CardError(f"expected a JSON object as the card, got {type(value).__name__}")
    _check_plain(value)
    version = _integer(value, "format_version", 1, 1 << 30)
    if version > FORMAT_VERSION:
        raise CardError(f"its card is of version {version}, this wordspot reads up to {FORMAT_VERSION}; install a newer wordspot")
    known = {f.name for f in dataclasses.fields(Card)}
    if unknown := sorted(set(value) - known):
        raise CardError(f"its card has an unknown entry {shown(unknown[0])}; install a newer wordspot, or export it anew")
    kind = _choice(value, "kind", KINDS)
    clip_samples = _integer(value, "clip_samples", 1, _MAX_CLIP_SAMPLES)
    step_samples = _integer(value, "step_samples", *((1, clip_samples) if kind == "stream" else (0, 0)))
    if step_samples and clip_samples % step_samples:
        raise CardError(f"expected clip_samples a multiple of step_samples, got {clip_samples} and {step_samples}")
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
    )


def _check_plain(value: Any, depth: int = 0) -> None:
    """Check for finite numbers, text without control characters (which a terminal would execute), and the nesting depth."""
    if depth > _MAX_DEPTH:
        raise CardError(f"expected a card of at most {_MAX_DEPTH} levels")
    if isinstance(value, dict):
        _check_plain([*value, *value.values()], depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_plain(item, depth + 1)
    elif isinstance(value, str) and any(unicodedata.category(character) in _NOT_IN_TEXT for character in value):
        raise CardError(f"expected text without control characters in the card, got {shown(value)}")
    elif isinstance(value, float) and not math.isfinite(value):
        raise CardError("expected finite numbers in the card, got one that is not")


def _labels(value: dict[str, Any]) -> tuple[str, ...]:
    labels = _entry(value, "labels", list)
    if not 1 <= len(labels) <= _MAX_LABELS or not all(isinstance(label, str) for label in labels):
        raise CardError(f"expected 1 to {_MAX_LABELS} labels, all text, got {shown(labels)}")
    for label in labels:
        if not 1 <= len(label) <= _MAX_LABEL_LENGTH:
            raise CardError(f"expected labels of 1 to {_MAX_LABEL_LENGTH} characters, got {shown(label)}")
    if len(set(labels)) < len(labels):
        raise CardError(f"expected each label once, got {shown(labels)}")
    return tuple(labels)


def _states(value: dict[str, Any], kind: str) -> tuple[State, ...]:
    entries = _entry(value, "states", list)
    if len(entries) > _MAX_STATES or (kind == "clip" and entries):
        raise CardError(f"expected at most {_MAX_STATES} states, of a streaming model only, got {len(entries)}")
    states = []
    for entry in entries:
        if not isinstance(entry, dict) or set(entry) != {"name", "shape"}:
            raise CardError(f"expected a name and a shape of each state, got {shown(entry)}")
        name, shape = _entry(entry, "name", str), _whole(entry, "shape", 1, _MAX_STATE_VALUES)
        if len(shape) > 8 or math.prod(shape) > _MAX_STATE_VALUES or not name or name == "audio":
            raise CardError(f"expected at most {_MAX_STATE_VALUES} values in a state, got {shown(entry)}")
        states.append(State(name, shape))
    if len({state.name for state in states}) < len(states):
        raise CardError("expected each state's name once")
    return tuple(states)


def _decoder(value: dict[str, Any], labels: tuple[str, ...]) -> DecoderConfig:
    try:
        decoder = decoder_from_json(_entry(value, "decoder", dict))
    except ConfigError as error:
        raise CardError(f"the decoder settings of its card make no sense: {error}") from error
    if strange := sorted(set(decoder.thresholds) - set(labels)):
        raise CardError(f"its card has a threshold for {shown(strange[0])}, which is none of its labels")
    return decoder


def _self_test(value: dict[str, Any], n_labels: int, clip_samples: int, step_samples: int) -> SelfTest:
    entry = _entry(value, "self_test", dict)
    if set(entry) != {f.name for f in dataclasses.fields(SelfTest)}:
        raise CardError(f"expected the entries of a self-test, got {shown(sorted(map(str, entry)))}")
    n_samples = _integer(entry, "n_samples", clip_samples, max(_MAX_TEST_SAMPLES, 2 * clip_samples))
    ends = _whole(entry, "ends", clip_samples, n_samples)
    rows, tones = _entry(entry, "log_posteriors", list), _entry(entry, "tones", list)
    if not 1 <= len(ends) <= _MAX_TEST_ROWS or len(rows) != len(ends):
        raise CardError(f"expected 1 to {_MAX_TEST_ROWS} rows in the self-test, got {len(ends)} ends and {len(rows)} rows")
    if not step_samples and len(ends) * clip_samples > _MAX_TEST_VALUES:
        raise CardError(f"expected clips of at most {_MAX_TEST_VALUES} samples together in the self-test, got more")
    if step_samples and any(end % step_samples for end in ends):
        raise CardError(f"expected the self-test's rows at multiples of {step_samples} samples, got {shown(ends)}")
    posteriors = tuple(_row(row, n_labels) for row in rows)
    if len(tones) != 2 or not all(isinstance(tone, list) and len(tone) == 2 for tone in tones):
        raise CardError(f"expected two tones in the self-test, got {shown(tones)}")
    pairs = [(_integer({"start": a}, "start", 0, PHASES), _integer({"sweep": b}, "sweep", 0, 1 << 14)) for a, b in tones]
    if any(start * n_samples + sweep * n_samples**2 >= 1 << 53 for start, sweep in pairs):
        raise CardError(f"expected tones of the self-test whose phase stays below 2**53, got {shown(tones)}")
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
        raise CardError(f"expected {n_labels} values in each row of the self-test, got {shown(row)}")
    values = tuple(_number({"log_posteriors": item}, "log_posteriors", -1e4, 1e-3) for item in row)
    if not 0.99 < sum(map(math.exp, values)) < 1.01:
        raise CardError(f"expected rows of the self-test whose posteriors add up to 1, got {shown(row)}")
    return values


def _config(value: dict[str, Any]) -> dict[str, Any]:
    """The training's configuration: nothing of it is needed to run a file, except the task."""
    config: dict[str, Any] = _entry(value, "config", dict)
    task = config.get("task", "words")
    if not isinstance(task, str) or task not in TASKS:
        raise CardError(f"its card is of the task {shown(task)}; known are {', '.join(TASKS)}; install a newer wordspot")
    return config


def _entry(value: dict[str, Any], name: str, kind: type) -> Any:
    """An entry of the card, of exactly this type."""
    entry = value.get(name)
    if type(entry) is not kind:
        raise CardError(f"expected {name} of its card as {_KIND_NAMES[kind]}, got {shown(entry)}")
    return entry


def _integer(value: dict[str, Any], name: str, low: int, high: int) -> int:
    number: int = _entry(value, name, int)
    if not low <= number <= high:
        raise CardError(f"expected {name} of its card from {low} to {high}, got {shown(number)}")
    return number


def _number(value: dict[str, Any], name: str, low: float, high: float) -> float:
    number: Any = value.get(name)
    if type(number) not in (int, float) or not low <= number <= high:
        raise CardError(f"expected {name} of its card from {low:g} to {high:g}, got {shown(number)}")
    return float(number)


def _whole(value: dict[str, Any], name: str, low: int, high: int) -> tuple[int, ...]:
    return tuple(_integer({name: item}, name, low, high) for item in _entry(value, name, list))


def _choice(value: dict[str, Any], name: str, choices: tuple[str, ...]) -> str:
    choice: str = _entry(value, name, str)
    if choice not in choices:
        raise CardError(f"expected {name} of its card as one of {', '.join(choices)}, got {shown(choice)}")
    return choice


_KIND_NAMES = {dict: "a JSON object", list: "a list", str: "text", int: "a whole number"}


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
