"""Wake words for Home Assistant: the Wyoming protocol on TCP.

A client asks what there is (``describe`` → ``info``), names the words it waits for (``detect``), and sends sound
(``audio-start``, ``audio-chunk`` ..., ``audio-stop``: 16-bit samples at any rate). For each word heard comes a ``detection``;
when the sound ends without one, ``not-detected``. Whoever breaks the protocol gets an ``error`` and loses the connection.

The protocol knows no token and no encryption: bind it to the own machine, or to a network whose every member may use it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Sequence
from typing import Any, Final

from wyoming.error import Error
from wyoming.event import Event, async_write_event
from wyoming.info import Attribution, Describe, Info, WakeModel, WakeProgram
from wyoming.ping import Ping, Pong
from wyoming.wake import Detect, NotDetected
from wyoming.wake import Detection as WakeDetection

from wordspot import __version__
from wordspot.config import shown
from wordspot.errors import AudioError, ConfigError, WordspotError
from wordspot.runtime.decoder import Detection
from wordspot.server.config import ServerSettings
from wordspot.server.served import ServedModel
from wordspot.server.streams import Stream, StreamPool
from wordspot.server.wyoming_events import MAX_LINE, as_samples, read_event

_MAX_CHANNELS = 8
_MAX_NAMES = 1000
_GOODBYE_SECONDS = 1.0
_BACKLOG = 1024

Word = tuple[ServedModel, str]
_log = logging.getLogger("wordspot.server")


class WyomingServer:
    """A running server. `close` ends it and all its connections; `wait_closed` returns when they are gone."""

    def __init__(self, words: dict[str, Word], pool: StreamPool, settings: ServerSettings) -> None:
        self.words: Final = words
        self.info: Final = _info(words)
        self._names = {(model.name, label): name for name, (model, label) in words.items()}
        self._pool, self._settings = pool, settings
        self._tasks: set[asyncio.Task[Any]] = set()
        self._server: asyncio.Server | None = None

    def name_of(self, model: ServedModel, label: str) -> str | None:
        """What the wake word of that label is called; None: it is not offered."""
        return self._names.get((model.name, label))

    @property
    def n_connections(self) -> int:
        return len(self._tasks)

    @property
    def port(self) -> int:
        """The port it listens on; where 0 was asked for, the one that the system chose."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self, listening: socket.socket) -> None:
        self._server = await asyncio.start_server(self._serve, sock=listening, limit=MAX_LINE, backlog=_BACKLOG)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()

    async def wait_closed(self) -> None:
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection. Whatever happens in it ends here."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        connection = _Connection(self, self._pool, self._settings, writer)
        try:
            if len(self._tasks) > self._settings.max_connections:
                raise ConfigError(f"this server has {self._settings.max_connections} connections, which is all it may")
            await connection.run(reader)
        except WordspotError as error:
            self._pool.measures.count("refused_total", reason="wyoming")
            with contextlib.suppress(OSError, TimeoutError, asyncio.CancelledError):
                await connection.refuse(reader, error)
        except TimeoutError:  # it sent nothing for long, or does not read
            self._pool.measures.count("refused_total", reason="wyoming")
            writer.transport.abort()
        except (OSError, asyncio.CancelledError):  # it went away, or `close` ends it: this task has nothing after it
            pass
        except Exception:
            self._pool.measures.count("errors_total", where="wyoming")
            _log.exception("a Wyoming connection failed")
        finally:
            connection.end_streams()
            writer.close()  # what was written goes out, but a client that does not read holds nothing for long
            asyncio.get_running_loop().call_later(self._settings.send_seconds, writer.transport.abort)
            self._tasks.discard(task)


async def serve_wyoming(pool: StreamPool, listening: socket.socket, settings: ServerSettings) -> WyomingServer:
    """Start to listen; the server runs in the event loop until it is closed.

    Args:
        pool: what judges the sound. The words of its models are offered; models of whole recordings hear none.
        listening: a bound socket, which the server closes. The protocol has no token: 127.0.0.1 keeps it to this machine.
        settings: the limits; ``max_frame_bytes`` is that of one chunk of sound, ``max_connections`` of this protocol alone.

    Raises:
        ConfigError: no model hears words.
    """
    server = WyomingServer(offered_words(pool.models), pool, settings)
    await server.start(listening)
    return server


def offered_words(models: Sequence[ServedModel]) -> dict[str, Word]:
    """`words_of`, where there are any.

    Raises:
        ConfigError: no model hears words.
    """
    words = words_of(models)
    if not words:
        raise ConfigError("expected a model that hears words for Home Assistant, but none of those given does")
    return words


def words_of(models: Sequence[ServedModel]) -> dict[str, Word]:
    """The name of each wake word: its label; ``model/label`` where several models know that label."""
    pairs = [
        (model, label)
        for model in models
        if not model.card.task.predicts_recordings
        for label in model.card.labels
        if not label.startswith("_")
    ]
    labels = [label for _, label in pairs]
    return {label if labels.count(label) == 1 else f"{model.name}/{label}": (model, label) for model, label in pairs}


class _Connection:
    """One client: the words it waits for, and the stream it sends."""

    def __init__(
        self, server: WyomingServer, pool: StreamPool, settings: ServerSettings, writer: asyncio.StreamWriter
    ) -> None:
        self._server, self._pool, self._settings, self._writer = server, pool, settings, writer
        self._names = frozenset(server.words)
        self._format: tuple[int, int] | None = None  # rate, channels
        self._streams: list[Stream] = []
        self._start_ms: int | None = None
        self._n_heard = 0

    async def run(self, reader: asyncio.StreamReader) -> None:
        """Until the client goes.

        Raises:
            WordspotError: it broke the protocol or a limit.
            TimeoutError: no whole event came for long, or the client did not read.
        """
        while True:
            async with asyncio.timeout(self._settings.idle_seconds):
                event = await read_event(reader, self._settings.max_frame_bytes)
            if event is None:
                return
            await self._handle(event)

    async def write(self, event: Event) -> None:
        """Raises TimeoutError where the client does not read."""
        async with asyncio.timeout(self._settings.send_seconds):
            await async_write_event(event, self._writer)

    async def refuse(self, reader: asyncio.StreamReader, error: WordspotError) -> None:
        """Say why the connection ends. Closing at once, with sound still on its way, would throw the reason away."""
        await self.write(Error(str(error)).event())
        self._writer.write_eof()
        async with asyncio.timeout(_GOODBYE_SECONDS):
            while await reader.read(MAX_LINE):
                pass

    def end_streams(self) -> None:
        """Forget the stream."""
        for stream in self._streams:
            self._pool.close(stream)
        self._streams, self._format, self._start_ms, self._n_heard = [], None, None, 0

    async def _handle(self, event: Event) -> None:
        """An event of a kind that we do not know is nothing to us, as the protocol has it."""
        if Describe.is_type(event.type):
            await self.write(self._server.info)
        elif Ping.is_type(event.type):
            await self.write(Pong(event.data.get("text")).event())
        elif Detect.is_type(event.type):
            self._names = self._chosen(event.data.get("names"))
        elif event.type == "audio-start":
            self.end_streams()
            self._begin(event.data)
        elif event.type == "audio-chunk":
            await self._hear(event)
        elif event.type == "audio-stop":
            await self._stop()

    def _chosen(self, names: Any) -> frozenset[str]:
        """The words to wait for: all, or those that the client names."""
        if not names:
            return frozenset(self._server.words)
        if not isinstance(names, list) or len(names) > _MAX_NAMES or not all(isinstance(name, str) for name in names):
            raise ConfigError("expected the names of wake words as a list of texts")
        if unknown := [name for name in names if name not in self._server.words]:
            known = ", ".join(self._server.words)
            raise ConfigError(f"expected wake words out of {known}, got {shown(unknown[0])}; choose it anew")
        return frozenset(names)

    def _begin(self, data: dict[str, Any]) -> None:
        """A stream in the format that an event tells."""
        rate, width, channels = (data.get(name) for name in ("rate", "width", "channels"))
        if width != 2 or type(rate) is not int or type(channels) is not int or not 1 <= channels <= _MAX_CHANNELS:
            raise AudioError(
                "expected sound with a rate in Hz, a width of 2 bytes and 1 to 8 channels, got "
                f"{shown(rate)}, {shown(width)} and {shown(channels)}"
            )
        self._format = rate, channels
        for model in sorted({self._server.words[name][0].name for name in self._names}):
            self._streams.append(self._pool.open(model, sample_rate=rate))
        self._note_time(data)

    def _note_time(self, data: dict[str, Any]) -> None:
        """Where the client's clock stands at the first sample."""
        time_ms = data.get("timestamp")
        if self._start_ms is None and type(time_ms) is int and abs(time_ms) < 1 << 53:
            self._start_ms = time_ms

    async def _hear(self, event: Event) -> None:
        if self._format is None:
            self._begin(event.data)
        assert self._format is not None
        rate, channels = self._format
        if (event.data.get("rate", rate), event.data.get("channels", channels)) != self._format:
            raise AudioError(f"expected sound at {rate} Hz, channels: {channels}, as the stream began, got another")
        self._note_time(event.data)
        samples = as_samples(event.payload or b"", channels)
        for stream in self._streams:
            await self._tell(stream, await self._pool.feed(stream, samples))

    async def _stop(self) -> None:
        for stream in self._streams:
            await self._tell(stream, await self._pool.flush(stream))
        if not self._n_heard:
            await self.write(NotDetected().event())
        self.end_streams()

    async def _tell(self, stream: Stream, detections: Sequence[Detection]) -> None:
        """Pass on what was heard of the words that the client waits for."""
        for detection in detections:
            name = self._server.name_of(stream.model, detection.label)
            if name in self._names:
                self._n_heard += 1
                time_ms = (self._start_ms or 0) + round(detection.time_ms)
                await self.write(WakeDetection(name, time_ms).event())


def _info(words: dict[str, Word]) -> Event:
    """What ``describe`` is answered with: one program, since Home Assistant offers the words of the first only."""
    several = len({model.name for model, _ in words.values()}) > 1
    models = [
        WakeModel(
            name=name, attribution=_attribution(model), installed=True,
            description=f"{label} ({model.name})" if several else label, version=__version__, languages=[],
            phrase=label.replace("_", " "),
        )
        for name, (model, label) in words.items()
    ]  # fmt: skip
    program = WakeProgram(
        name="wordspot", attribution=Attribution("wordspot", ""), installed=True,
        description="Words of your own, heard on your own machine", version=__version__, models=models,
    )  # fmt: skip
    return Info(wake=[program]).event()


def _attribution(model: ServedModel) -> Attribution:
    return Attribution(str(model.card.data.get("attribution") or "wordspot"), "")
