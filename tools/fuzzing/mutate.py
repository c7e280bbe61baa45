"""Mutators: bytes, JSON values and lines of text. All of their choices come from the generator that is passed in."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Sequence
from typing import Any

#: Values of a field of so many bits: what a parser multiplies, allocates or compares.
_EXTREMES = {bits: (0, 1, 2, 2 ** (bits - 1) - 1, 2 ** (bits - 1), 2**bits - 2, 2**bits - 1) for bits in (8, 16, 32, 64)}
_HEAD, _TAIL = 4096, 8192  # where files have their structure
_DEEP, _DIGITS = "@deep@", "@digits@"  # stand for what `json.dumps` cannot write
TEXTS = (
    "", " ", "\0", "\n", "\r", "\t", "\x1b[31m", "\u202e", "\ud800", "\ufeff", "é", "日本語", "a" * 70_000, "nan", "-inf",
    "1e999", "-1", "0", "0.5", "1e-320", "9" * 30, "9" * 5000, "true", "null", "None", "[" * 2000, "../../x", "/dev/null",
    "~nobody/x", "a,b", "a=b", '"', "'", "\\", "_", ".", "..", "=", "%s", "{0}", "`words`",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 255, 65_536, 2**31 - 1, 2**31, -(2**31), 2**53, 2**63, 2**64, 10**400, 0.0, -0.0, 0.5,
    1e-320, 1e308, -1e308, float("nan"), float("inf"), float("-inf"), [], {}, [[]], [None], {"": None}, _DEEP, _DIGITS,
)  # fmt: skip


def mutate_bytes(seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """One of `seeds` with a few changes: flipped bits, extreme fields, truncation, and pieces moved, doubled or removed."""
    mutant = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5, 20))):
        if not mutant:
            break
        _change(mutant, seeds, rng)
    return bytes(mutant)


def _change(mutant: bytearray, seeds: Sequence[bytes], rng: random.Random) -> None:
    at, kind = _place(len(mutant), rng), rng.randrange(9)
    length = rng.choice((1, 1, 2, 4, 8, 27, 100, 1000))
    if kind == 0:
        mutant[at] ^= 1 << rng.randrange(8)
    elif kind <= 2:
        bits = rng.choice((8, 16, 32, 32, 64))
        field = rng.choice(_EXTREMES[bits]).to_bytes(bits // 8, rng.choice(("little", "big")))  # type: ignore[arg-type]
        mutant[at : at + len(field)] = field
    elif kind == 3:
        mutant[at : at + length] = rng.randbytes(length)
    elif kind == 4:
        del mutant[at : at + length]
    elif kind == 5:
        mutant[at:at] = mutant[at : at + length]
    elif kind == 6:
        other = rng.choice(seeds)
        start = _place(len(other), rng) if other else 0
        mutant[at : at + rng.choice((0, length))] = other[start : start + length]
    elif kind == 7:
        del mutant[at:]
    else:
        other = rng.choice(seeds)
        mutant[at:] = other[min(at, len(other)) :]


def _place(size: int, rng: random.Random) -> int:
    """A position; most are where a long file has its structure, near its ends."""
    if size > _HEAD and rng.random() < 0.7:
        return rng.choice((rng.randrange(64), rng.randrange(_HEAD), size - 1 - rng.randrange(min(_TAIL, size))))
    return rng.randrange(size)


def mutate_json(value: Any, rng: random.Random) -> Any:
    """A copy of a JSON value with entries replaced, removed, renamed or exchanged."""
    root = {"": copy.deepcopy(value)}
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        places = list(_places(root))
        holder, key = rng.choice(places)
        kind = rng.randrange(8)
        if kind <= 3:
            holder[key] = copy.deepcopy(rng.choice(VALUES if rng.random() < 0.6 else TEXTS))
        elif kind == 4 and holder is not root:
            del holder[key]
        elif kind == 5 and isinstance(holder, dict) and holder is not root:
            holder[rng.choice(TEXTS)] = holder[key]
        elif kind == 6 and isinstance(holder[key], (int, float)) and not isinstance(holder[key], bool):
            holder[key] = rng.choice((-holder[key], holder[key] + 1, holder[key] - 1, str(holder[key])[:50]))
        else:
            other, name = rng.choice(places)
            if name in other if isinstance(other, dict) else name < len(other):
                holder[key] = copy.deepcopy(other[name])
    return root[""]


def _places(value: Any) -> Any:
    """Every (container, key) of a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        yield value, key
        yield from _places(inner)


def json_text(value: Any, rng: random.Random) -> str:
    """A JSON value as text, also one that is nested too deeply or has a number of thousands of digits."""
    text = json.dumps(value, ensure_ascii=rng.random() < 0.5)
    if _DEEP in text or _DIGITS in text:
        text = text.replace(f'"{_DEEP}"', "[" * 3000 + "]" * 3000).replace(f'"{_DIGITS}"', "9" * 5000)
    return text


def mutate_text(text: str, rng: random.Random, delimiters: str = ",;\t") -> str:
    """A copy of a text of lines and cells with cells replaced, and lines removed, doubled or exchanged."""
    lines = text.splitlines(keepends=True)
    for _ in range(rng.choice((1, 1, 2, 4))):
        if not lines:
            break
        at, kind = rng.randrange(len(lines)), rng.randrange(6)
        if kind <= 2:
            cells = re.split(f"([{delimiters}])", lines[at])
            cells[rng.randrange(len(cells))] = rng.choice(TEXTS)
            lines[at] = "".join(cells)
        elif kind == 3:
            del lines[at]
        elif kind == 4:
            lines.insert(rng.randrange(len(lines) + 1), lines[at])
        else:
            lines[at] = lines[at].rstrip("\n") + rng.choice(("\r\n", "\r", "", "\n\n", ",\n", '"\n', "\x0b", "\u2028"))
    return "".join(lines)


def to_bytes(text: str, rng: random.Random) -> bytes:
    """Text as UTF-8, sometimes in another encoding. Lone surrogates are kept: they are no valid UTF-8."""
    encoding = rng.choice(("utf-8",) * 12 + ("utf-8-sig", "utf-16", "utf-16-be", "utf-32"))
    return text.encode(encoding, "surrogatepass")
