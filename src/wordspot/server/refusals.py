"""One log line and one count for every client that is refused or cut off."""

from __future__ import annotations

import logging

from wordspot.server.counters import Counters

log = logging.getLogger("wordspot.server")

_LONGEST = 300  # characters of a line, parts of which come from clients


def refused(counters: Counters, reason: str, peer: object, message: str, *, level: int = logging.WARNING) -> None:
    """Count a refused client and log it.

    Args:
        reason: a short name, the label of the counter.
        peer: the address of the client, as a socket or an ASGI scope gives it.
        message: a sentence for whoever runs the server.
        level: of the log line. ``logging.INFO`` for what happens to well-behaved clients too.
    """
    counters.count("refused_total", reason=reason)
    log.log(level, "refused %s: %s", shown_peer(peer), printable(message))


def note_of_client(peer: str, message: str) -> None:
    """Log what whoever runs the server should know about a client that is served: a microphone that is too quiet."""
    log.warning("%s: %s", peer, printable(message))


def shown_peer(peer: object) -> str:
    """An address as ``host:port``."""
    if isinstance(peer, (tuple, list)) and len(peer) >= 2:
        host, port = peer[:2]
        return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
    return "an unknown address"


def printable(text: str) -> str:
    """`text` as one line without control characters, which could fake lines or drive a terminal."""
    line = " ".join(text.split())[:_LONGEST]
    return "".join(one if one.isprintable() else "?" for one in line)
