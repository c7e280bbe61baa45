"""The order of command-line arguments: options may stand between file names, which argparse does not allow.

``detect words.onnx --threshold 0.5 evening.wav`` becomes ``detect --threshold 0.5 words.onnx evening.wav``. After ``--``,
everything is a name.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence

_NUMBER = re.compile(r"-\d+(\.\d*)?([eE][-+]?\d+)?|-\.\d+")


def options_first(words: Sequence[str], commands: Mapping[str, argparse.ArgumentParser]) -> list[str]:
    """`words`, a command and its arguments, with the options before the names; unchanged if there is no such command."""
    if not words or words[0] not in commands:
        return list(words)
    flags = {flag: action for action in commands[words[0]]._actions for flag in action.option_strings}
    options, names, given, is_open = list[str](), list[str](), dict[str, list[str]](), False
    rest = list(words[1:])
    while rest:
        word = rest.pop(0)
        if word == "--":
            names += rest
            break
        if not _is_option(word):
            names.append(word)
            continue
        flag, _, inside = word.partition("=")
        action = _action_of(flag, flags)
        values = [inside] if inside else _values(action, rest)
        options += [word] if inside else [word, *values]
        is_open |= action is not None and action.nargs in ("?", "*", "+")  # it would take the names after it too
        if isinstance(action, argparse._StoreAction):
            given.setdefault(action.option_strings[-1], []).extend(values)
    _note_repeated(given)
    dashes = ["--"] if names and (is_open or any(map(_is_option, names))) else []
    return [words[0], *options, *dashes, *names]


def _is_option(word: str) -> bool:
    return word.startswith("-") and word != "-" and not _NUMBER.fullmatch(word)


def _action_of(flag: str, flags: Mapping[str, argparse.Action]) -> argparse.Action | None:
    """The option that `flag` names, perhaps by its beginning, as argparse allows; None: argparse will reject it."""
    if flag in flags:
        return flags[flag]
    fitting = {id(action): action for name, action in flags.items() if flag.startswith("--") and name.startswith(flag)}
    return next(iter(fitting.values())) if len(fitting) == 1 else None


def _values(action: argparse.Action | None, rest: list[str]) -> list[str]:
    """The values after an option, taken from `rest`."""
    if action is None or action.nargs == 0:
        return []
    most = len(rest) if action.nargs in ("*", "+") else action.nargs if isinstance(action.nargs, int) else 1
    values: list[str] = []
    while rest and len(values) < most and not _is_option(rest[0]):
        values.append(rest.pop(0))
    return values


def _note_repeated(given: Mapping[str, Sequence[str]]) -> None:
    for flag, values in given.items():
        if len(set(values)) > 1:
            sys.stderr.write(f"{flag} is given {len(values)} times; the last value, {values[-1]}, counts\n")
