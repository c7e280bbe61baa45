"""The target of settings: overrides from the command line, and configurations in JSON."""

from __future__ import annotations

import json
import random
from pathlib import Path

from fuzzing.mutate import TEXTS, VALUES, json_text, mutate_bytes, mutate_json, to_bytes
from fuzzing.runner import Check, Mutate, Target


def settings(folder: Path) -> tuple[Mutate, Check]:
    """``--set`` of a run and of a decoder, and configurations in JSON."""
    import dataclasses

    from wordspot.config import DecoderConfig, RunConfig
    from wordspot.overrides import SECTIONS, from_json, override, override_decoder, parse_settings, to_json

    seed = to_json(RunConfig(words=("yes", "no")))
    names = [f"{section}.{field.name}" for section, kind in SECTIONS.items() for field in dataclasses.fields(kind)]
    decoder = [field.name for field in dataclasses.fields(DecoderConfig)]

    def mutate(rng: random.Random) -> bytes:
        if rng.random() < 0.4:
            return b"json\n" + to_bytes(json_text(mutate_json(seed, rng), rng), rng)
        is_run = rng.random() < 0.7
        chosen = rng.choices(names if is_run else decoder, k=rng.randrange(1, 4))
        texts = [f"{name}={_setting(rng)}" for name in chosen]
        if rng.random() < 0.3:
            texts.append(mutate_bytes([text.encode(errors="replace") for text in texts], rng).decode("utf-8", "replace"))
        return (b"run\n" if is_run else b"decoder\n") + json.dumps(texts).encode()

    def check(mutant: bytes) -> str:
        kind, _, content = mutant.partition(b"\n")
        if kind == b"json":
            try:
                value = json.loads(content)
            except (ValueError, RecursionError):
                return "no JSON"
            config = from_json(value)
            assert from_json(to_json(config)) == config, "another configuration after writing it"
        else:
            chosen = parse_settings(json.loads(content))
            if kind == b"run":
                config = override(RunConfig(words=("yes", "no")), chosen)
                assert from_json(to_json(config)) == config, "another configuration after writing it"
            else:
                override_decoder(DecoderConfig(), chosen)
        return "accepted"

    return mutate, check


def _setting(rng: random.Random) -> str:
    if rng.random() < 0.5:
        return rng.choice(TEXTS)
    value = rng.choice(VALUES)
    return str(value) if not isinstance(value, int) or abs(value) < 10**50 else "1" + "0" * 400


SETTINGS_TARGETS = (Target("settings", "configuration overrides and configurations in JSON", settings),)
