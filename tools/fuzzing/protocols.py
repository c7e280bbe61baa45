"""Targets that are messages: Wyoming, WebSocket and HTTP as the server reads them, and what the client reads."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

from fuzzing.mutate import TEXTS, json_text, mutate_bytes, mutate_json, to_bytes
from fuzzing.runner import Check, Mutate, Target
from fuzzing.seeds import made_models, sound_seeds
from wordspot.errors import WordspotError

_PCM = bytes(range(256)) * 12


def wyoming(folder: Path) -> tuple[Mutate, Check]:
    """What a Wyoming client sends, through the server's connection."""
    from wordspot.server.config import ServerSettings
    from wordspot.server.streams import StreamPool
    from wordspot.server.wyoming import WyomingServer
    from wordspot.server.wyoming_events import MAX_LINE

    audio = {"rate": 16_000, "width": 2, "channels": 1, "timestamp": 0}
    conversation: list[dict[str, Any]] = [
        {"type": "describe"},
        {"type": "ping", "data": {"text": "x"}},
        {"type": "detect", "data": {"names": ["a", "B"]}},
        {"type": "audio-start", "data": audio},
        {"type": "audio-chunk", "data": audio, "payload": len(_PCM)},
        {"type": "audio-chunk", "data": audio | {"channels": 1}, "data_length": 14, "payload": 960},
        {"type": "audio-stop"},
    ]

    def mutate(rng: random.Random) -> bytes:
        events = [dict(event) for event in conversation]
        for _ in range(rng.choice((0, 1, 1, 2))):
            at = rng.randrange(len(events))
            changed = mutate_json(events[at], rng)
            events[at] = changed if isinstance(changed, dict) else {"type": changed}
        if rng.random() < 0.3:
            rng.shuffle(events)
        content = b"".join(_wyoming_event(event, rng) for event in events)
        return mutate_bytes([content], rng) if rng.random() < 0.4 else content

    pool = StreamPool(_served(folder), threads=1)
    settings = ServerSettings(idle_seconds=5, send_seconds=5)

    def check(mutant: bytes) -> str:
        failed = pool.counters.value("errors_total")
        writer = _Writer()

        async def talk() -> None:
            reader = asyncio.StreamReader(limit=MAX_LINE)
            reader.feed_data(mutant)
            reader.feed_eof()
            await WyomingServer(pool, settings)._serve(reader, writer)  # type: ignore[arg-type]

        _run(talk)
        assert pool.counters.value("errors_total") == failed, "the server failed; see its log"
        assert not len(pool), "a stream is left open"
        sent = writer.events()
        return "refused" if "error" in sent else "detected or not" if "not-detected" in sent else "served"

    return mutate, check


def _wyoming_event(event: dict[str, Any], rng: random.Random) -> bytes:
    """A header line, and the payload that the event's ``payload`` names the size of."""
    size = event.pop("payload", 0)
    size = size if isinstance(size, int) and 0 <= size <= len(_PCM) else 0
    more = b'{"rate":16000}' if "data_length" in event else b""
    header = event | ({"payload_length": size} if size and "payload_length" not in event else {})
    return json_text(header, rng).encode(errors="surrogatepass") + b"\n" + more + _PCM[:size]


class _Writer:
    """What the connection needs of an `asyncio.StreamWriter`; keeps what is written."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.transport = SimpleNamespace(abort=lambda: None)

    def get_extra_info(self, name: str) -> Any:
        return ("127.0.0.1", 1)

    def write(self, data: bytes) -> None:
        self.data += data

    def writelines(self, parts: list[bytes]) -> None:
        self.data += b"".join(parts)

    async def drain(self) -> None: ...

    def write_eof(self) -> None: ...

    def close(self) -> None: ...

    def events(self) -> set[str]:
        """The types of the events that were written; every line must be JSON."""
        types, rest = set(), bytes(self.data)
        while rest:
            line, _, rest = rest.partition(b"\n")
            header = json.loads(line)
            types.add(header["type"])
            rest = rest[header.get("data_length", 0) + header.get("payload_length", 0) :]
        return types


def websocket(folder: Path) -> tuple[Mutate, Check]:
    """Messages of a WebSocket and the request that opens it, through the whole application."""
    app = _app(folder)
    start = {
        "type": "start",
        "model": "made-0",
        "sample_rate": 16_000,
        "format": "pcm16",
        "scores": True,
        "threshold": 0.5,
    }

    def mutate(rng: random.Random) -> bytes:
        first = start if rng.random() < 0.3 else mutate_json(start, rng)
        messages: list[Any] = [json_text(first, rng)]
        for _ in range(rng.randrange(4)):
            samples = mutate_bytes([_PCM], rng) if rng.random() < 0.7 else rng.randbytes(4 * rng.randrange(3000))
            messages.append(list(samples) if rng.random() < 0.8 else rng.choice(TEXTS))
        messages.append(json_text({"type": "end"} if rng.random() < 0.7 else mutate_json({"type": "end"}, rng), rng))
        return json.dumps({"messages": messages, "headers": _headers(rng)}).encode()

    def check(mutant: bytes) -> str:
        case = json.loads(mutant)
        waiting: list[dict[str, Any]] = [{"type": "websocket.connect"}]
        for message in case["messages"]:
            is_text = isinstance(message, str)
            waiting.append({"type": "websocket.receive", "text" if is_text else "bytes": message if is_text else bytes(message)})
        waiting.append({"type": "websocket.disconnect", "code": 1005})
        sent = _call(app, _scope("websocket", "/v1/listen", case), waiting)
        for message in sent:
            if message["type"] == "websocket.send":
                json.loads(message["text"].encode())
        ends = [message.get("code") for message in sent if message["type"] == "websocket.close"]
        assert 1011 not in ends, "the server failed; see its log"
        return f"closed with {ends[0]}" if ends else "refused" if "response" in sent[0]["type"] else "gone"

    return mutate, check


def http(folder: Path) -> tuple[Mutate, Check]:
    """Uploads and queries: ``/v1/label`` of three tasks, ``/v1/record``, and the pages."""
    records = folder / "records"
    app = _app(folder, record_dir=records)
    seeds = sound_seeds("wav")
    paths = (
        "/v1/label",
        "/v1/label",
        "/v1/record",
        "/v1/record",
        "/models.json",
        "/models/x.onnx",
        "/index.html",
        "/metrics",
    )
    query = {"model": "made-0", "top": "2", "word": "lamp", "session": "ab12", "take": "1"}

    def mutate(rng: random.Random) -> bytes:
        chosen = dict(query, model=f"made-{rng.randrange(3)}", take=str(rng.randrange(10_000)))
        if rng.random() < 0.4:
            chosen[rng.choice(sorted(chosen))] = rng.choice(TEXTS)
        path = rng.choice(paths) if rng.random() < 0.9 else f"/{rng.choice(TEXTS)}"
        text = "&".join(f"{name}={quote(value[:3000], errors='surrogatepass')}" for name, value in chosen.items())
        body = mutate_bytes(seeds, rng) if rng.random() < 0.8 else rng.choice(seeds)
        facts = {"path": path, "query": text, "headers": _headers(rng), "method": "POST" if "/v1/" in path else "GET"}
        return json.dumps(facts).encode() + b"\n" + body

    def check(mutant: bytes) -> str:
        facts, _, body = mutant.partition(b"\n")
        case = json.loads(facts)
        parts = [body[:1000], body[1000:]]
        waiting = [{"type": "http.request", "body": part, "more_body": part is not parts[-1]} for part in parts]
        sent = _call(app, _scope("http", case["path"], case), [*waiting, {"type": "http.disconnect"}])
        status = sent[0]["status"]
        assert status < 500 or status == 507, f"the server failed with {status}; see its log"
        for path in records.rglob("*"):
            assert path.is_dir() or path.stat().st_size > 44, f"{path} is half-written"
            assert not path.name.startswith("."), f"{path} is left over"
        return str(status)

    return mutate, check


def _headers(rng: random.Random) -> list[list[str]]:
    named = {"host": "localhost:8765", "origin": "http://localhost:8765", "content-type": "audio/wav"}
    if rng.random() < 0.15:
        named[rng.choice((*named, "content-length", "accept-encoding", "authorization", "range"))] = rng.choice(TEXTS)
    return [[name, value] for name, value in named.items()]


def _scope(kind: str, path: str, case: dict[str, Any]) -> dict[str, Any]:
    headers = [(name.encode(), value[:5000].encode("utf-8", "replace")) for name, value in case["headers"]]
    return {
        "type": kind, "asgi": {"version": "3.0"}, "http_version": "1.1", "path": path, "root_path": "",
        "raw_path": path.encode("utf-8", "replace"), "query_string": case.get("query", "").encode("utf-8", "replace"),
        "headers": headers, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8765), "subprotocols": [], "state": {},
        "extensions": {"websocket.http.response": {}}, "method": case.get("method", "GET"),
        "scheme": "ws" if kind == "websocket" else "http",
    }  # fmt: skip


def _call(app: Any, scope: dict[str, Any], waiting: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the application sends. It must not fail."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    async def send(message: Any) -> None:
        sent.append(dict(message))

    failed = app.state.counters.value("errors_total")
    _run(partial(app, scope, receive, send))
    assert app.state.counters.value("errors_total") == failed, "the server failed; see its log"
    return sent


def _run(work: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await work()

    with asyncio.Runner() as runner:
        runner.run(bounded())


def _app(folder: Path, **changes: Any) -> Any:
    from wordspot.server.app import make_app
    from wordspot.server.config import ServerSettings

    page = folder / "page"
    page.mkdir(exist_ok=True)
    (page / "index.html").write_text("<html>", encoding="utf-8")
    return make_app(_served(folder), ServerSettings(**changes), folder=page)


def _served(folder: Path) -> Any:
    from wordspot.server.served import load_models

    paths = []
    for number, content in enumerate(made_models()):
        paths.append(folder / f"made-{number}.onnx")
        paths[-1].write_bytes(content)
    return load_models(paths or [None])


def client(folder: Path) -> tuple[Mutate, Check]:
    """What a server sends to our client."""
    from wordspot.client import parse_event, parse_ready

    seeds = [
        {"type": "ready", "model": "m", "labels": ["a", "b"], "sample_rate": 16_000, "format": "pcm16"},
        {"type": "detection", "label": "a", "time_ms": 10.5, "score": 0.9, "emitted_ms": 20.0},
        {"type": "scores", "time_ms": 10.5, "scores": {"a": 0.1, "b": 0.9}},
        {"type": "error", "message": "no"}, {"type": "end"},
    ]  # fmt: skip

    def mutate(rng: random.Random) -> bytes:
        content = to_bytes(json_text(mutate_json(rng.choice(seeds), rng), rng), rng)
        return mutate_bytes([content], rng) if rng.random() < 0.3 else content

    def check(mutant: bytes) -> str:
        rejected = 0
        text = mutant.decode("utf-8", "replace")
        for parse, message in ((parse_ready, text), (parse_ready, mutant), (parse_event, text)):
            try:
                parse(message)
            except WordspotError:
                rejected += 1
        parse_event(mutant)
        return f"read, {rejected} of 3 others rejected"

    return mutate, check


PROTOCOL_TARGETS = (
    Target("wyoming", "events of a Wyoming client", wyoming),
    Target("websocket", "messages of a WebSocket client", websocket),
    Target("client", "messages of a server to our client", client),
    Target("http", "requests and uploads", http),
)
