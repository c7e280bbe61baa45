"""Wake words for Home Assistant: the Wyoming protocol on TCP.

A client may ask for the list of words (``describe`` → ``info``), names the words that it waits for (``detect``), and sends
audio (``audio-start``, ``audio-chunk`` ..., ``audio-stop``: 16-bit samples at any rate). The server sends a ``detection``
for each detected word, and ``not-detected`` if the audio ends without one. ``detect`` may come at any time, also in the
middle of the audio, and replaces the one before. Names are compared without case, and ``_`` is the same as a blank.
A client that breaks the protocol gets an ``error``, which few clients show, and is disconnected; the log says why.

The protocol has no token and no encryption: bind it to this machine, or to a network whose every member may use it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from wyoming.error import Error
from wyoming.event import Event, async_write_event
from wyoming.info import Describe
from wyoming.ping import Ping, Pong
from wyoming.wake import Detect, NotDetected
from wyoming.wake import Detection as WakeDetection

from wordspot.audio.raw import RawDecoder
from wordspot.errors import AudioError, ConfigError, WordspotError
from wordspot.formats import shown
from wordspot.runtime.decoder import Detection
from wordspot.runtime.keep import Keeper
from wordspot.runtime.kept_files import KeptFolder
from wordspot.server.config import ServerSettings
from wordspot.server.refusals import log, note_of_client, printable, refused
from wordspot.server.satellite import Satellite
from wordspot.server.served import ServedModel, find_model
from wordspot.server.streams import Stream, StreamPool
from wordspot.server.wyoming_events import MAX_LINE, read_event
from wordspot.server.wyoming_words import WakeWords

_MAX_CHANNELS = 8
_GOODBYE_SECONDS = 1.0
_BACKLOG = 1024


class WyomingServer:
    """A running server. `close` ends it and all its connections; `wait_closed` returns when they are closed.

    Attributes:
        pool: the streams of its clients.

    Raises:
        ConfigError: no model detects words, or the folder `save` cannot be written to.
    """

    def __init__(self, pool: StreamPool, settings: ServerSettings) -> None:
        self._words, self.pool, self._settings = WakeWords(pool.models), pool, settings
        self._folder = None if settings.save is None else KeptFolder(Path(settings.save), settings.save_mb)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._server: asyncio.Server | None = None

    @property
    def n_connections(self) -> int:
        """The number of open connections."""
        return len(self._tasks)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self, listening: socket.socket) -> None:
        """Accept connections on a bound socket, which `close` closes."""
        self._server = await asyncio.start_server(self._serve, sock=listening, limit=MAX_LINE, backlog=_BACKLOG)

    def close(self) -> None:
        """End all connections, and accept no more."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()

    async def wait_closed(self) -> None:
        """Wait until all connections are closed."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection. No exception leaves it."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        connection = _Connection(self._words, self.pool, self._settings, writer, self._folder)
        peer = writer.get_extra_info("peername")
        log.info("%s connected by Wyoming", connection.peer)
        try:
            if len(self._tasks) > self._settings.max_connections:
                raise ConfigError(f"all {self._settings.max_connections} connections of this server are in use")
            await connection.run(reader)
        except WordspotError as error:
            refused(self.pool.counters, "wyoming", peer, str(error))
            with contextlib.suppress(OSError, TimeoutError, asyncio.CancelledError):
                await connection.refuse(reader, error)
        except TimeoutError:
            refused(self.pool.counters, "wyoming", peer, "it sent nothing for too long, or does not read")
            writer.transport.abort()
        except (OSError, asyncio.CancelledError):  # it disconnected, or `close` ends the task
            pass
        except Exception:
            self.pool.counters.count("errors_total", where="wyoming")
            log.exception("a Wyoming connection failed")
        finally:
            connection.end_streams()
            writer.close()  # what was written is still sent, but not for ever to a client that does not read
            asyncio.get_running_loop().call_later(self._settings.send_seconds, writer.transport.abort)
            self._tasks.discard(task)
            log.info("%s disconnected", connection.peer)


async def serve_wyoming(pool: StreamPool, listening: socket.socket, settings: ServerSettings) -> WyomingServer:
    """Start a server, which runs in the event loop until it is closed.

    Args:
        pool: processes the audio. The words of its models are offered, except those of models of whole recordings.
        listening: a bound socket, which the server closes. The protocol has no token; bind to 127.0.0.1 to keep it to this
            machine.
        settings: the limits; ``max_frame_bytes`` is that of one chunk of audio, ``max_connections`` of this protocol alone.

    Raises:
        ConfigError: no model detects words, or the folder `save` of the settings cannot be written to.
    """
    server = WyomingServer(pool, settings)
    await server.start(listening)
    return server


@dataclass
class _Fed:
    """A stream of one model, and when in the client's audio it was opened (ms)."""

    stream: Stream
    opened_ms: float


class _Connection:
    """One client: the words that it waits for, and the audio that it sends."""

    def __init__(
        self,
        words: WakeWords,
        pool: StreamPool,
        settings: ServerSettings,
        writer: asyncio.StreamWriter,
        folder: KeptFolder | None = None,
    ) -> None:
        self._words, self._pool, self._settings, self._writer = words, pool, settings, writer
        self._satellite = Satellite(writer.get_extra_info("peername"), folder)
        self.peer = self._satellite.peer
        self._asked = words.chosen(None)  # our name → the client's name for it
        self._format: tuple[int, int] | None = None  # rate, channels
        self._decoder: RawDecoder | None = None
        self._streams: dict[str, _Fed] = {}  # by the model's name
        self._start_ms: int | None = None
        self._n_samples = self._n_heard = 0

    async def run(self, reader: asyncio.StreamReader) -> None:
        """Serve the client until it disconnects.

        Raises:
            WordspotError: it broke the protocol or a limit.
            TimeoutError: no complete event came for too long, or the client did not read.
        """
        while True:
            async with asyncio.timeout(self._settings.idle_seconds):
                event = await read_event(reader, self._settings.max_frame_bytes)
            if event is None:
                return
            await self._handle(event)

    async def write(self, event: Event) -> None:
        """Send an event. Raises TimeoutError if the client does not read."""
        async with asyncio.timeout(self._settings.send_seconds):
            await async_write_event(event, self._writer)

    async def refuse(self, reader: asyncio.StreamReader, error: WordspotError) -> None:
        """Tell the client why the connection ends. If it were closed with audio still arriving, the reason would be lost."""
        await self.write(Error(str(error)).event())
        self._writer.write_eof()
        async with asyncio.timeout(_GOODBYE_SECONDS):
            while await reader.read(MAX_LINE):
                pass

    def end_streams(self) -> None:
        """Forget the audio."""
        for fed in self._streams.values():
            self._pool.close(fed.stream)
        self._streams, self._format, self._decoder, self._start_ms = {}, None, None, None
        self._n_samples = self._n_heard = 0

    async def _handle(self, event: Event) -> None:
        """Events of unknown types are ignored, as the protocol demands."""
        if Describe.is_type(event.type):
            await self.write(self._words.info)
        elif Ping.is_type(event.type):
            await self.write(Pong(event.data.get("text")).event())
        elif Detect.is_type(event.type):
            self._asked = self._words.chosen(event.data.get("names"))
            self._satellite.note_name(event.data)
            log.info("%s waits for %s", self.peer, printable(", ".join(self._asked)))
            if self._format is not None:
                self._open_streams(self._format[0])
        elif event.type == "audio-start":
            self.end_streams()
            self._satellite.note_name(event.data)
            self._begin(event.data)
        elif event.type == "audio-chunk":
            await self._hear(event)
        elif event.type == "audio-stop":
            await self._stop()

    def _begin(self, data: dict[str, Any]) -> None:
        """Start on audio in the format that an event describes."""
        rate, width, channels = (data.get(name) for name in ("rate", "width", "channels"))
        if width != 2 or type(rate) is not int or type(channels) is not int or not 1 <= channels <= _MAX_CHANNELS:
            raise AudioError(
                f"audio with rate {shown(rate)}, width {shown(width)} and channels {shown(channels)} is not supported; "
                "send a rate in Hz, a width of 2 bytes and 1 to 8 channels"
            )
        self._format = rate, channels
        self._open_streams(rate)
        self._decoder = RawDecoder(
            rate, n_channels=channels, on_note=partial(note_of_client, self.peer), advice="send raw samples, as the event says"
        )
        self._note_time(data)

    def _open_streams(self, rate: int) -> None:
        """Have a stream for each model whose words the client waits for, and for no other."""
        wanted = {self._words.model_of(name) for name in self._asked}
        for model in self._streams.keys() - wanted:
            self._pool.close(self._streams.pop(model).stream)
        for model in sorted(wanted - self._streams.keys()):
            keeper = self._keeper(find_model(self._pool.models, model), rate)
            stream = self._pool.open(model, sample_rate=rate, on_note=partial(note_of_client, self.peer), keeper=keeper)
            self._streams[model] = _Fed(stream, 1000 * self._n_samples / rate)

    def _keeper(self, model: ServedModel, rate: int) -> Keeper | None:
        """What keeps the sound of the words that the client waits for; None if nothing is kept."""
        return self._satellite.keeper(model, rate, lambda label: self._words.name_of(model, label) in self._asked)

    def _note_time(self, data: dict[str, Any]) -> None:
        """Keep the client's clock at the first sample."""
        time_ms = data.get("timestamp")
        if self._start_ms is None and type(time_ms) is int and abs(time_ms) < 1 << 53:
            self._start_ms = time_ms

    async def _hear(self, event: Event) -> None:
        if self._format is None:
            self._begin(event.data)
        assert self._format is not None
        rate, channels = self._format
        if (event.data.get("rate", rate), event.data.get("channels", channels)) != self._format:
            raise AudioError(f"the format of the audio changed; it began with {rate} Hz, channels: {channels}")
        self._note_time(event.data)
        await self._feed(self._decode(event.payload or b"", rate))

    def _decode(self, payload: bytes, rate: int) -> NDArray[Any]:
        assert self._decoder is not None
        if not self._decoder.is_whole(payload):
            raise AudioError(f"audio must come in whole samples of {self._decoder.frame_bytes} bytes, got {len(payload)}")
        samples = self._decoder.feed(payload)
        if self._decoder.sample_rate != rate:
            raise AudioError(
                f"the audio began with the header of a WAV of {self._decoder.sample_rate} Hz, but was announced with {rate} Hz"
            )
        return samples

    async def _feed(self, samples: NDArray[Any]) -> None:
        self._n_samples += len(samples)
        for fed in self._streams.values():
            await self._report(fed, await self._pool.feed(fed.stream, samples))

    async def _stop(self) -> None:
        if self._decoder is not None:
            await self._feed(self._decoder.end())
        for fed in self._streams.values():
            await self._report(fed, await self._pool.flush(fed.stream))
        if not self._n_heard:
            await self.write(NotDetected().event())
        self.end_streams()

    async def _report(self, fed: _Fed, detections: Sequence[Detection]) -> None:
        """Send the detections of words that the client waits for, by the names that it used."""
        for detection in detections:
            name = self._asked.get(self._words.name_of(fed.stream.model, detection.label))
            if name is not None:
                self._n_heard += 1
                time_ms = (self._start_ms or 0) + round(fed.opened_ms + detection.time_ms)
                await self.write(WakeDetection(name, time_ms).event())
