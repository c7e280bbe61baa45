"""Start `wordspot serve` in a container, on all addresses, with the models that its options name.

In an add-on of Home Assistant the options are in /data/options.json and the models below /share. In any other
container they come from the environment: WORDSPOT_MODELS and WORDSPOT_ALLOW_ORIGINS (separated by spaces), WORDSPOT_GAIN,
WORDSPOT_HOST, WORDSPOT_PORT and WORDSPOT_WYOMING_PORT. wordspot itself reads WORDSPOT_TOKEN.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

OPTIONS = Path(os.environ.get("WORDSPOT_OPTIONS", "/data/options.json"))


def command(options: dict[str, object], environment: dict[str, str]) -> list[str]:
    """The command line, from the options of the add-on if there are any, otherwise from the environment."""
    models = named(options, environment, "models")
    origins = named(options, environment, "allow_origins")
    gain = str(options.get("gain") or environment.get("WORDSPOT_GAIN", "")).strip()
    host = environment.get("WORDSPOT_HOST", "0.0.0.0")  # the ports of the container decide who reaches it
    port = environment.get("WORDSPOT_PORT", "8765")
    wyoming_port = environment.get("WORDSPOT_WYOMING_PORT", "10400")
    return [
        "wordspot", "serve", *models, "--host", host, "--port", port, "--wyoming-host", host, "--wyoming-port", wyoming_port,
        *(word for origin in origins for word in ("--allow-origin", origin)),
        *([f"--gain={gain}"] if gain else []),
    ]  # fmt: skip


def named(options: dict[str, object], environment: dict[str, str], name: str) -> list[str]:
    """An option that is a list of strings."""
    value = options.get(name)
    return [str(one) for one in value] if isinstance(value, list) else environment.get(f"WORDSPOT_{name.upper()}", "").split()


def main() -> None:
    options = json.loads(OPTIONS.read_text(encoding="utf-8")) if OPTIONS.is_file() else {}
    if token := options.get("token"):
        os.environ["WORDSPOT_TOKEN"] = str(token)
    words = command(options, dict(os.environ))
    os.execvp(words[0], words)


if __name__ == "__main__":
    main()
