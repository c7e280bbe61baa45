"""The configuration: every field is checked, survives JSON, and is reached by its name and a string."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wordspot.config import (
    FRONT_ENDS,
    OPTIMIZERS,
    SCENES,
    AugmentConfig,
    DataConfig,
    FeatureConfig,
    ModelConfig,
    RecordingsConfig,
    RunConfig,
    TrainingConfig,
    TriggerConfig,
)
from wordspot.errors import ConfigError
from wordspot.overrides import CONFIG_VERSION, SECTIONS, from_json, override, parse_settings, to_json
from wordspot.presets import FEATURES

FIELDS = [(section, field) for section, kind in SECTIONS.items() for field in dataclasses.fields(kind)]
NAMES = [f"{section}.{field.name}" for section, field in FIELDS]


@pytest.fixture
def config() -> RunConfig:
    return RunConfig(words=("yes", "no"))


# --------------------------------------------------------------------------------------------- drawing whole configurations


def choose(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | choose(-1e300, 1e300) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
words = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="/\\"), min_size=1, max_size=8).filter(
    lambda word: word[0] not in "._"
)
data = st.builds(
    DataConfig,
    silence_percent=choose(0, 1000),
    unknown_percent=choose(0, 1000),
    unknown_pool=st.sampled_from(["all", "first"]),
    balance=choose(0, 1),
    validation_percent=choose(0, 50),
    testing_percent=choose(0, 50),
    split=st.sampled_from(["hash", "lists"]),
    noise_split=st.sampled_from(["held-out", "shared"]),
    seed=st.integers(0, 2**63 - 1),
)
features = st.builds(
    FeatureConfig,
    kind=st.sampled_from(FRONT_ENDS),
    sample_rate=st.integers(8_000, 40_000),
    clip_ms=choose(200, 5_000),
    window_ms=choose(5, 100),
    hop_ms=choose(1, 200),
    n_mels=st.integers(40, 512),
    n_coefficients=st.integers(1, 40),
    low_hz=choose(0, 1_000),
    high_hz=choose(1_001, 4_000),
    fft_size=st.sampled_from([0, 4_096, 2**20]),
)
augment = st.builds(
    AugmentConfig,
    time_shift_ms=choose(0, 1e6),
    background_volume=choose(0, 1),
    background_frequency=choose(0, 1),
    snr_db=st.just(()) | st.tuples(choose(-60, 10), choose(10, 120)),
    gain_db=choose(0, 60),
    speed=choose(0, 0.5),
    room_frequency=choose(0, 1),
    time_masks=st.integers(0, 10_000),
    frequency_mask_bands=st.integers(0, 10_000),
)
model = st.builds(
    ModelConfig,
    name=st.text(min_size=1, max_size=9).filter(str.strip),
    options=st.dictionaries(st.text(max_size=5), json_values, max_size=3),
)
phases = st.lists(st.tuples(st.integers(1, 10**8), choose(0, 1e6)), min_size=1, max_size=4)
training = phases.flatmap(
    lambda phases: st.builds(
        TrainingConfig,
        steps=st.just(tuple(steps for steps, _ in phases)),
        learning_rates=st.just(tuple(rate for _, rate in phases)),
        batch_size=st.integers(1, 100_000),
        optimizer=st.sampled_from(OPTIMIZERS),
        schedule=st.sampled_from(["constant", "cosine"]),
        label_smoothing=choose(0, 0.99),
        check_nans=st.booleans(),
        seed=st.integers(0, 2**31 - 1),
    )
)
names = st.lists(words.filter(lambda word: "," not in word), min_size=1, max_size=3).map(tuple)
trigger = st.builds(
    TriggerConfig,
    positives=names,
    negatives=names,
    scenes=st.sampled_from(SCENES),
    label_ms=choose(1, 60_000),
    label_steps=st.integers(0, 1_000_000),
    snr_db=st.tuples(choose(-60, 10), choose(10, 120)),
    gap_s=st.tuples(choose(0.01, 1), choose(1, 3600)),
    speed=choose(0, 0.5),
    workers=st.integers(0, 64),
)
recordings = st.builds(
    RecordingsConfig,
    whole=st.booleans(),
    stride_ms=choose(1, 1e6),
    hold_out=st.just(()) | names,
    n_folds=st.just(0) | st.integers(3, 1000),
    longest_s=choose(0.1, 36_000),
    backgrounds=st.just(()) | names,
)
configs = st.builds(
    RunConfig,
    words=st.lists(words, min_size=1, max_size=4, unique=True).map(tuple),
    data=data,
    features=features,
    augment=augment,
    model=model,
    training=training,
    trigger=trigger,
    recordings=recordings,
)
many = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def in_words(value: Any) -> str:
    """A value as someone types it."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


# ------------------------------------------------------------------------------------------------------------- round trips


@many
@given(configs)
@pytest.mark.slow
def test_json_gives_back_the_same_configuration(config: RunConfig) -> None:
    text = json.dumps(to_json(config), allow_nan=False)  # strict JSON: no NaN in it
    assert from_json(json.loads(text)) == config


@many
@given(configs, configs)
@pytest.mark.slow
def test_strings_reach_every_field(start: RunConfig, end: RunConfig) -> None:
    typed = {
        f"{section}.{field.name}": in_words(getattr(getattr(end, section), field.name))
        for section, field in FIELDS
        if field.name != "options"
    }
    changed = override(start, typed)
    for section, field in FIELDS:
        expected = getattr(getattr(start if field.name == "options" else end, section), field.name)
        value = getattr(getattr(changed, section), field.name)
        assert value == expected
        assert type(value) is type(expected)
    assert changed.words == start.words


@pytest.mark.parametrize("name", [name for name in NAMES if name != "model.options"])
def test_a_field_is_reached_alone(config: RunConfig, name: str) -> None:
    section, _, field = name.partition(".")
    default = getattr(getattr(config, section), field)
    assert override(config, {name: in_words(default)}) == config
    assert override(config, {name: default}) == config


def test_overriding_nothing_changes_nothing(config: RunConfig) -> None:
    assert override(config, {}) == config


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("data.silence_percent", "25", 25.0),
        ("data.seed", "9223372036854775807", 2**63 - 1),
        ("features.kind", "mfcc", "mfcc"),
        ("features.hop_ms", " 20 ", 20.0),
        ("features.hop_ms", "2e1", 20.0),
        ("augment.snr_db", "-5,20", (-5.0, 20.0)),
        ("augment.snr_db", "-5, 20", (-5.0, 20.0)),
        ("augment.snr_db", "", ()),
        ("training.check_nans", "true", True),
        ("training.check_nans", "Yes", True),
        ("training.check_nans", "0", False),
        ("training.batch_size", "32", 32),
        ("model.name", "my_package:make", "my_package:make"),
    ],
)
def test_strings_become_values(config: RunConfig, name: str, text: str, value: Any) -> None:
    section, _, field = name.partition(".")
    got = getattr(getattr(override(config, {name: text}), section), field)
    assert got == value
    assert type(got) is type(value)


def test_what_is_no_field_of_the_model_is_an_option_of_its_constructor(config: RunConfig) -> None:
    changed = override(config, {"model.rank": "4", "model.layers": "[1, 2]", "model.activation": "relu", "model.on": "true"})
    assert changed.model.options == {"rank": 4, "layers": [1, 2], "activation": "relu", "on": True}
    again = override(changed, {"model.rank": "5", "model.name": "conv"})
    assert again.model == ModelConfig("conv", {"rank": 5, "layers": [1, 2], "activation": "relu", "on": True})
    assert changed.model.options["rank"] == 4  # the first one is as it was


def test_options_are_kept_as_json_gives_them_back() -> None:
    assert ModelConfig("a", {"kernel": (3, 5)}).options == {"kernel": [3, 5]}


def test_settings_typed_on_the_command_line() -> None:
    assert parse_settings(["model.rank=4", " features.hop_ms = 20 ", "model.text=a=b"]) == {
        "model.rank": "4",
        "features.hop_ms": "20",
        "model.text": "a=b",
    }
    with pytest.raises(ConfigError, match=r"a setting must be section.field=value, got 'model.rank'"):
        parse_settings(["model.rank"])


# ----------------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"data.validation_percent": 60, "data.testing_percent": "50"}, r"together must be at most 100, got 60 \+ 50"),
        ({"data.validation_percent": 100.5}, "validation_percent must lie between 0 and 100, got 100.5"),
        ({"data.testing_percent": -1}, "testing_percent must lie between 0 and 100, got -1"),
        ({"data.silence_percent": "nan"}, "data.silence_percent must be a number, got nan"),
        ({"data.silence_percent": math.inf}, "data.silence_percent must be a number, got inf"),
        ({"data.silence_percent": "ten"}, "data.silence_percent must be a number, got 'ten'"),
        ({"data.silence_percent": True}, "data.silence_percent must be a number, got True"),
        ({"data.silence_percent": 10**400}, "data.silence_percent must be a number, got 1000"),
        ({"data.split": "random"}, "split must be one of hash, lists, got 'random'"),
        ({"data.seed": 2**63}, "seed must lie between 0 and 9223372036854775807"),
        ({"data.seed": 10**400}, "seed must lie between"),
        ({"data.seed": 10**5000}, "seed must lie between .* got a value too large to show"),
        ({"data.seed": "9" * 5000}, "data.seed must be a whole number, got '999"),
        ({"data.seed": 1.0}, "data.seed must be a whole number, got 1"),
        ({"features.kind": "mel"}, "kind must be one of logmel, mfcc"),
        ({"features.sample_rate": 999}, "sample_rate must lie between 1000 and 192000, got 999"),
        ({"features.hop_ms": 0.1, "features.sample_rate": 8000}, "hop_ms must be at least one sample long, got 0.1 ms"),
        ({"features.window_ms": 1001}, "window_ms must lie between two samples and the clip's 1000 ms, got 1001"),
        ({"features.clip_ms": 1e7}, "a clip must be at most 10000000 samples, got 160000000; lower clip_ms"),
        ({"features.fft_size": 256}, "fft_size must be 0, or even and at least the window's 480 samples, got 256"),
        ({"features.fft_size": 513}, "fft_size must be 0, or even"),
        (
            {"features.kind": "samples", "features.hop_ms": 0.1},
            "hop_ms must lie between two samples and the clip's 1000 ms, got 0.1",
        ),
        ({"features.high_hz": 8001}, r"0 <= low_hz < high_hz <= 8000 \(half the sample rate\), got 60 and 8001"),
        ({"features.low_hz": 7600}, "low_hz < high_hz"),
        ({"features.kind": "mfcc", "features.n_coefficients": 41}, "n_coefficients must lie between 1 and 40, got 41"),
        (
            {"features.kind": "micro", "features.window_ms": 300},
            "micro front end supports windows of at most 4096 samples",
        ),
        ({"augment.snr_db": "20,-5"}, "snr_db must be LOW,HIGH with -60 <= LOW <= HIGH <= 120"),
        ({"augment.snr_db": "5"}, "snr_db must be LOW,HIGH"),
        ({"augment.snr_db": "5,loud"}, "augment.snr_db must be a number, got 'loud'"),
        ({"augment.background_volume": 1.1}, "background_volume must lie between 0 and 1, got 1.1"),
        ({"training.steps": "100"}, r"same length, got 1 \(100\) and 2 \(0.001,0.0001\)"),
        ({"training.steps": ()}, "same length, got 0"),
        ({"training.steps": "100,,200"}, "training.steps must be a whole number, got ''"),
        ({"training.steps": "100,0.5"}, "training.steps must be a whole number, got '0.5'"),
        ({"training.steps": "100,0"}, "each of steps must lie between 1 and 100000000, got 0"),
        ({"training.steps": 100}, "training.steps must be a list, got 100"),
        (
            {"training.steps": [10**5000, 1]},
            "each of steps must lie between 1 and 100000000, got a value too large to show",
        ),
        ({"training.steps": [10**5000]}, "same length, got 1"),
        ({"training.learning_rates": "0.1,-0.1"}, "each of learning_rates must lie between 0 and 1000000, got -0.1"),
        ({"training.learning_rates": "0.1,inf"}, "training.learning_rates must be a number, got inf"),
        ({"training.batch_size": 0}, "batch_size must lie between 1 and 100000, got 0"),
        ({"training.check_nans": "perhaps"}, "training.check_nans must be true or false, got 'perhaps'"),
        ({"training.check_nans": 1}, "training.check_nans must be true or false, got 1"),
        ({"model.name": " "}, "model.name must not be empty"),
        ({"model.name": None}, "model.name must be text, got None"),
        ({"model.options": [1]}, r"model.options must be a JSON object, got \[1\]"),
        ({"model.rank": "NaN"}, "model.options must hold finite JSON values"),
        ({"model.rank": "1e999"}, "model.options must hold finite JSON values"),
        ({"model.rank": {1, 2}}, "model.options must hold finite JSON values"),
        ({"recordings.stride_ms": 0}, "stride_ms must lie between 1 and 1000000, got 0"),
        ({"recordings.longest_s": 0}, "longest_s must lie between 0.1 and 36000, got 0"),
        ({"recordings.n_folds": 2}, r"n_folds must be 0, or at least 3 \(training, validation and testing\), got 2"),
        ({"recordings.n_folds": 3, "recordings.fold": 3}, "fold must lie between 0 and 2, got 3"),
        ({"recordings.fold": 1}, "fold must lie between 0 and 0, got 1"),
        ({"augment.equaliser_db": 41}, "equaliser_db must lie between 0 and 40, got 41"),
        ({"augment.band_frequency": 1.5}, "band_frequency must lie between 0 and 1, got 1.5"),
        ({"augment.codec_frequency": -0.1}, "codec_frequency must lie between 0 and 1, got -0.1"),
        ({"training.loss": "hinge"}, "loss must be one of cross_entropy, squared_error, got 'hinge'"),
        ({"features.hop": 20}, "no setting features.hop; did you mean features.hop_ms"),
        ({"feature.hop_ms": 20}, "no setting 'feature.hop_ms'.*did you mean features.hop_ms"),
        ({"hop_ms": 20}, r"no setting 'hop_ms'; expected section.field; did you mean features.hop_ms\?"),
        ({"features.": 20}, "no setting 'features.'; expected section.field"),
        ({"": 20}, "no setting ''; expected section.field; expected one of data.field, features.field, "),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_settings_that_make_no_sense(config: RunConfig, settings: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match) as caught:
        override(config, settings)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("kind", SECTIONS.values())
def test_nan_is_in_no_range(kind: type) -> None:
    for field in dataclasses.fields(kind):
        if field.type == "float":
            with pytest.raises(ConfigError, match=field.name):
                kind(**{field.name: math.nan})


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ((), "words: the task words needs at least 1, got none"),
        (("yes", "no", "yes"), "each word must be named once, got yes more than once"),
        (("",), "a word must .*not be empty.* got ''"),
        (("_unknown_",), "not start with '_'"),
        ((".hidden",), "not start with '_' or '.'"),
        (("..",), "not start with '_' or '.'"),
        (("a/b",), "hold no slashes"),
        (("a\\b",), "hold no slashes"),
        ((" yes",), "got ' yes'"),
        (("a\nb",), "a word must"),
        (("\udcff",), "a word must be UTF-8"),
        (("x" * 200 + "/",), r"got 'xxx.*\.\.\."),
    ],
)
def test_words_that_make_no_sense(given: tuple[str, ...], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        RunConfig(words=given)


def test_labels_in_any_script() -> None:
    config = RunConfig(words=("汪汪叫", "喵喵喵", "да", "नमस्ते", "سلام"))
    assert from_json(json.loads(json.dumps(to_json(config)))) == config


# ------------------------------------------------------------------------------------------------------- JSON of other kinds


def changed_json(config: RunConfig, **changes: Any) -> dict[str, Any]:
    """The JSON of `config` with ``section__field`` or ``field`` replaced."""
    value = to_json(config)
    for key, new in changes.items():
        section, _, name = key.partition("__")
        if name:
            value[section][name] = new
        else:
            value[section] = new
    return value


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        (
            {"config_version": CONFIG_VERSION + 1},
            "has version 2, this wordspot reads up to 1; install a newer wordspot",
        ),
        ({"config_version": 0}, "needs config_version 1, got 0"),
        ({"config_version": True}, "needs config_version 1, got True"),
        ({"config_version": "1"}, "needs config_version 1, got '1'"),
        ({"config_version": None}, "needs config_version 1, got None"),
        ({"wrods": []}, "the configuration has an unknown entry 'wrods'; did you mean words?"),
        ({"data__sed": 1}, "data has an unknown entry 'sed'; did you mean seed?"),
        ({"model__rank": 1}, "model has an unknown entry 'rank'"),
        ({"words": "yes"}, "words must be a list of strings, got 'yes'"),
        ({"words": ["yes", 1]}, "words must be a list of strings"),
        ({"words": ["yes", "yes"]}, "yes more than once"),
        ({"words": []}, "needs at least 1"),
        ({"task": "songs"}, "task must be one of words"),
        ({"task": []}, "task must be one of words"),
        ({"data": []}, "data must be a JSON object, got list"),
        ({"data": None}, "data must be a JSON object, got NoneType"),
        ({"data__seed": None}, "data.seed must be a whole number, got None"),
        ({"data__seed": [1]}, "data.seed must be a whole number"),
        ({"data__seed": 1.5}, "data.seed must be a whole number"),
        ({"features__kind": 1}, "features.kind must be text, got 1"),
        ({"features__hop_ms": math.nan}, "features.hop_ms must be a number, got nan"),
        ({"training__steps": 5}, "training.steps must be a list, got 5"),
        ({"training__steps": [True]}, "training.steps must be a whole number, got True"),
        ({"training__steps": [1, 2, 3]}, "lists of the same length"),
        ({"model__options": None}, "model.options must be a JSON object, got None"),
        ({"model__options": {"a": math.inf}}, "model.options must hold finite JSON values"),
    ],
)
def test_json_that_does_not_fit(config: RunConfig, changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        from_json(changed_json(config, **changes))


@pytest.mark.parametrize("value", [None, 1, "text", [], {}, {"words": ["a"]}])
def test_json_that_is_no_configuration(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"a configuration (must be a JSON object|needs config_version)"):
        from_json(value)


def test_settings_missing_from_an_older_version_have_the_default() -> None:
    config = from_json({"config_version": 1, "words": ["yes"], "data": {"seed": 3}})
    assert config == RunConfig(words=("yes",), data=DataConfig(seed=3))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(anything | st.fixed_dictionaries({"config_version": st.just(1), "words": st.just(["a"]), "data": anything}))
@pytest.mark.slow
def test_any_json_is_a_configuration_or_a_config_error(value: Any) -> None:
    try:
        config = from_json(value)
    except ConfigError:
        return
    assert isinstance(config, RunConfig)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([*NAMES, *SECTIONS, "words", "task", "config_version"]), anything)
@pytest.mark.slow
def test_one_entry_of_any_kind_is_taken_or_a_config_error(name: str, value: Any) -> None:
    config = RunConfig(words=("yes", "no"))
    try:
        taken = from_json(changed_json(config, **{name.replace(".", "__"): value}))
    except ConfigError as error:
        message = str(error)
        taken = None
    if taken is None:
        assert "\n" not in message
    else:  # whatever was taken is sound: it is written and read again
        assert from_json(json.loads(json.dumps(to_json(taken), allow_nan=False))) == taken


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(NAMES) | st.text(max_size=12), st.text(max_size=8) | anything)
@pytest.mark.slow
def test_any_setting_is_taken_or_a_config_error(name: str, value: Any) -> None:
    try:
        taken = override(RunConfig(words=("yes", "no")), {name: value})
    except ConfigError:
        return
    assert isinstance(taken, RunConfig)


# ------------------------------------------------------------------------------------------------------- fields and defaults


@pytest.mark.parametrize(("section", "field"), FIELDS, ids=NAMES)
def test_every_field_explains_itself(section: str, field: dataclasses.Field[Any]) -> None:
    text = field.metadata.get("help", "")
    assert len(text) > 5
    assert text == text.strip()
    assert not text.endswith(".")
    assert "%(" not in text  # argparse would take it for one of its own


def test_all_sections_are_found() -> None:
    assert list(SECTIONS) == ["data", "features", "augment", "scenes", "model", "training", "trigger", "recordings"]


BOUNDED = [(*each, bound) for each in FIELDS for bound in ("low", "high") if bound in each[1].metadata]


@pytest.mark.parametrize(("section", "field", "bound"), BOUNDED, ids=lambda value: getattr(value, "name", value))
def test_a_bound_is_kept_and_shown(config: RunConfig, section: str, field: dataclasses.Field[Any], bound: str) -> None:
    limit = field.metadata[bound]
    beyond = limit + (1 if bound == "high" else -1)
    value = (beyond,) * max(len(field.default), 2) if field.type.startswith("tuple") else beyond
    with pytest.raises(ConfigError, match=rf"{field.name} must .*{re.escape(str(limit))}"):
        override(config, {f"{section}.{field.name}": value})
    assert limit >= 1_000_000 or field.metadata.get("pair") or str(limit) in field.metadata["help"]


def test_words_and_task_explain_themselves() -> None:
    fields = {field.name: field for field in dataclasses.fields(RunConfig)}
    assert fields["words"].metadata["help"]
    assert fields["task"].metadata["help"]


@pytest.mark.parametrize("kind", [RunConfig, *SECTIONS.values()])
def test_a_configuration_is_frozen(kind: type) -> None:
    made = RunConfig(words=("a",)) if kind is RunConfig else kind()
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, dataclasses.fields(kind)[0].name, None)


def test_the_classic_defaults_of_the_tutorial() -> None:
    config = RunConfig(words=("a",))
    assert (config.data.silence_percent, config.data.unknown_percent) == (10, 10)
    assert (config.data.validation_percent, config.data.testing_percent, config.data.seed) == (10, 10, 59185)
    assert (config.features.sample_rate, config.features.clip_ms) == (16_000, 1000)
    assert (config.augment.background_volume, config.augment.background_frequency) == (0.1, 0.8)
    assert config.augment.time_shift_ms == 100
    assert (config.training.steps, config.training.learning_rates) == ((15_000, 3_000), (0.001, 0.0001))
    assert (config.training.batch_size, config.training.evaluate_every, config.training.save_every) == (100, 400, 100)
    assert config.training.total_steps == 18_000


def test_every_front_end_has_its_settings() -> None:
    assert tuple(FEATURES) == FRONT_ENDS
    assert all(config.kind == name for name, config in FEATURES.items())


def test_sizes_in_samples() -> None:
    classic = FeatureConfig()
    assert (classic.clip_samples, classic.window_samples, classic.hop_samples, classic.n_fft) == (16_000, 480, 160, 512)
    exact = FeatureConfig(window_ms=32)
    assert (exact.window_samples, exact.n_fft) == (512, 512)
    assert FeatureConfig(fft_size=1024).n_fft == 1024
