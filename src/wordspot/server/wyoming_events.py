"""Reads Wyoming events from an untrusted client.

An event is a line of JSON (``type``, ``data``, ``data_length``, ``payload_length``), followed by that many bytes of more
data, in JSON, and of payload. The reader of the package `wyoming` trusts the lengths that a client sends; this one limits
them.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from wyoming.event import Event

from wordspot.errors import WordspotError
from wordspot.formats import shown

MAX_LINE = 1 << 16
_MAX_DATA = 1 << 16


async def read_event(reader: asyncio.StreamReader, max_payload: int) -> Event | None:
    """The next event, or None if the client disconnected, in the middle of an event or between two.

    Raises:
        WordspotError: it is not an event, or too large.
    """
    try:
        line = await reader.readline()
        if not line.endswith(b"\n"):
            return None
        header = _as_object(line)
        kind, data = header.get("type"), header.get("data") or {}
        if not isinstance(kind, str) or not isinstance(data, dict):
            raise WordspotError('expected an event with a "type" and an object as its "data"')
        if size := _length(header, "data_length", _MAX_DATA):
            data = data | _as_object(await reader.readexactly(size))
        size = _length(header, "payload_length", max_payload)
        return Event(kind, data, await reader.readexactly(size) if size else None)
    except asyncio.IncompleteReadError:
        return None
    except ValueError as error:  # a line beyond the reader's limit
        if isinstance(error, WordspotError):
            raise
        raise WordspotError(f"an event's line is longer than {MAX_LINE} bytes") from error


def _as_object(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text.decode())
        if b"\\u" in text:  # may be half of a character, which cannot be sent back
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise WordspotError("an event's line is not JSON") from error
    if not isinstance(value, dict):
        raise WordspotError(f"an event must be a JSON object, got {shown(value)}")
    return value


def _length(header: dict[str, Any], name: str, most: int) -> int:
    """How many bytes follow."""
    size = header.get(name) or 0
    if type(size) is not int or not 0 <= size <= most:
        raise WordspotError(f"{name!r} must lie between 0 and {most} bytes, got {shown(size)}")
    return size
