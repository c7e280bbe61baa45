"""Home Assistant's protocol, spoken by the client of the package `wyoming`, and by clients that break it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.ping import Ping, Pong
from wyoming.wake import Detect, Detection, NotDetected

from support.made_onnx import RATE, made_model
from wordspot.audio.files import encode_wav
from wordspot.config import RunConfig
from wordspot.errors import ConfigError, WordspotError
from wordspot.overrides import to_json
from wordspot.runtime.detector import Detector
from wordspot.runtime.kept_files import list_kept
from wordspot.server.config import ServerSettings
from wordspot.server.refusals import shown_peer
from wordspot.server.serve import serve
from wordspot.server.served import ServedModel, load_models
from wordspot.server.streams import StreamPool
from wordspot.server.web_server import bind
from wordspot.server.wyoming import WyomingServer, serve_wyoming
from wordspot.server.wyoming_events import read_event
from wordspot.server.wyoming_words import WakeWords, words_of

SETTINGS = ServerSettings(idle_seconds=20, send_seconds=5)
Samples = NDArray[np.int16]


def run(scenario: Callable[[], Awaitable[None]], seconds: float = 20) -> None:
    asyncio.run(asyncio.wait_for(scenario(), seconds))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[ServedModel]:
    """One model, of the words a and b: see `made_onnx`."""
    path = tmp_path_factory.mktemp("models") / "letters.onnx"
    path.write_bytes(made_model())
    return load_models([path])


@contextlib.asynccontextmanager
async def serving(models: list[ServedModel], settings: ServerSettings = SETTINGS) -> AsyncIterator[WyomingServer]:
    pool = StreamPool(models, max_streams=settings.max_streams)
    server = await serve_wyoming(pool, bind("127.0.0.1", 0), settings)
    try:
        yield server
    finally:
        server.close()
        await server.wait_closed()
        assert len(pool) == 0  # whatever happened, no stream is left
        pool.shutdown()


def client_of(server: WyomingServer) -> AsyncTcpClient:
    return AsyncTcpClient("127.0.0.1", server.port, read_timeout=10)


def sound(*values: float, seconds: float = 1.5) -> Samples:
    """A constant for so long, each: 0.5 is an "a" for the model, -0.5 a "b"."""
    return np.concatenate([np.full(int(seconds * RATE), round(32768 * value), np.int16) for value in values])


async def send(client: AsyncTcpClient, samples: Samples, *, rate: int = RATE, channels: int = 1, first_ms: int = 0) -> None:
    """A whole stream, in chunks of 64 ms as Home Assistant sends them."""
    await client.write_event(AudioStart(rate, 2, channels, first_ms).event())
    size = 1024 * channels
    for start in range(0, len(samples), size):
        time_ms = first_ms + 1000 * start // channels // rate
        chunk = AudioChunk(rate, 2, channels, samples[start : start + size].astype("<i2").tobytes(), time_ms)
        await client.write_event(chunk.event())
    await client.write_event(AudioStop().event())


async def answer(client: AsyncTcpClient) -> Event:
    event = await client.read_event()
    assert event is not None
    return event


async def detections(client: AsyncTcpClient, n: int) -> list[Detection]:
    return [Detection.from_event(await answer(client)) for _ in range(n)]


async def is_well(server: WyomingServer) -> bool:
    async with client_of(server) as client:
        await client.write_event(Describe().event())
        return Info.is_type((await answer(client)).type)


# ---------------------------------------------------------------------------------------------------- what a client is told


def test_describe_lists_each_word_in_one_program(models: list[ServedModel]) -> None:
    async def scenario() -> None:
        async with serving(models) as server, client_of(server) as client:
            await client.write_event(Describe().event())
            event = await answer(client)
            assert Info.is_type(event.type)
            info = Info.from_event(event)
            assert not any([info.asr, info.tts, info.handle, info.intent, info.mic, info.snd, info.satellite])
            (program,) = info.wake
            assert (program.name, program.installed) == ("wordspot", True)
            assert [(model.name, model.phrase, model.installed) for model in program.models] == [
                ("a", "a", True),
                ("b", "b", True),
            ]

    run(scenario)


def test_words_that_two_models_know_carry_their_models_name(tmp_path: Path) -> None:
    (tmp_path / "one.onnx").write_bytes(made_model())
    (tmp_path / "two.onnx").write_bytes(made_model(labels=("_silence_", "_unknown_", "b", "c")))
    words = words_of(load_models([tmp_path / "one.onnx", tmp_path / "two.onnx"]))
    assert {name: (model.name, label) for name, (model, label) in words.items()} == {
        "a": ("one", "a"),
        "one/b": ("one", "b"),
        "two/b": ("two", "b"),
        "c": ("two", "c"),
    }


def test_a_model_of_recordings_offers_no_words(models: list[ServedModel], tmp_path: Path) -> None:
    config = to_json(RunConfig(words=("a", "b"), task="recordings"))
    card = dataclasses.replace(models[0].card, config=config)
    other = ServedModel("who", b"", dataclasses.replace(models[0].model, card=card))
    assert set(words_of([other, *models])) == {"a", "b"}

    async def scenario() -> None:
        with bind("127.0.0.1", 0) as listening, pytest.raises(ConfigError, match="needs a model that detects words"):
            await serve_wyoming(StreamPool([other]), listening, SETTINGS)

    run(scenario)


def test_ping_is_answered_and_what_is_unknown_is_ignored(models: list[ServedModel]) -> None:
    async def scenario() -> None:
        async with serving(models) as server, client_of(server) as client:
            await client.write_event(Event("select-program", {"name": "wordspot"}))
            await client.write_event(Event("synthesize", {"text": "hello"}, b"payload"))
            await client.write_event(Ping("there?").event())
            event = await answer(client)
            assert Pong.is_type(event.type)
            assert Pong.from_event(event).text == "there?"

    run(scenario)


# --------------------------------------------------------------------------------------------------------- what is heard


def test_both_words_are_detected_at_the_detectors_times(models: list[ServedModel]) -> None:
    samples = sound(0.0, 0.5, 0.0, -0.5, 0.0)
    expected = Detector(models[0].model)
    truth = [(one.label, 5000 + round(one.time_ms)) for one in expected.feed(samples) + expected.flush()]
    assert [label for label, _ in truth] == ["a", "b"]

    async def scenario() -> None:
        async with serving(models) as server, client_of(server) as client:
            await client.write_event(Detect().event())
            await send(client, samples, first_ms=5000)
            assert [(one.name, one.timestamp) for one in await detections(client, 2)] == truth
            await client.write_event(Ping().event())
            assert Pong.is_type((await answer(client)).type)  # and no not-detected before it

    run(scenario)


def test_the_word_comes_while_the_sound_goes_on(models: list[ServedModel]) -> None:
    async def scenario() -> None:
        async with serving(models) as server, client_of(server) as client:
            await client.write_event(AudioStart(RATE, 2, 1).event())
            await client.write_event(AudioChunk(RATE, 2, 1, sound(0.0, 0.5, 0.0).tobytes()).event())
            assert [one.name for one in await detections(client, 1)] == ["a"]

    run(scenario)


def test_only_the_words_that_were_asked_for_are_reported(models: list[ServedModel]) -> None:
    async def scenario() -> None:
        async with serving(models) as server, client_of(server) as client:
            await client.write_event(Detect(names=["b"]).event())
            await send(client, sound(0.0, 0.5, 0.0, -0.5, 0.0))
            assert [one.name for one in await detections(client, 1)] == ["b"]
            await send(client, sound(0.0, 0.5, 0.0))
            assert NotDetected.is_type((await answer(client)).type)
            await client.write_event(Detect(names=["a", "b"]).event())
            await send(client, sound(0.0, 0.5, 0.0))
            assert [one.name for one in await detections(client, 1)] == ["a"]

    run(scenario)


def test_each_model_detects_the_words_it_knows(tmp_path: Path) -> None:
    (tmp_path / "one.onnx").write_bytes(made_model())
    (tmp_path / "two.onnx").write_bytes(made_model(labels=("_silence_", "_unknown_", "b", "c")))
    served = load_models([tmp_path / "one.onnx", tmp_path / "two.onnx"])

    async def scenario() -> None:
        async with serving(served) as server, client_of(server) as client:
            await send(client, sound(0.0, 0.5, 0.0))
            assert {one.name for one in await detections(client, 2)} == {"a", "two/b"}
            await client.write_event(Detect(names=["two/b"]).event())
            await client.write_event(AudioStart(RATE, 2, 1).event())
            await client.write_event(Ping().event())
            await answer(client)
            assert len(server.pool) == 1  # the other model is spared the work
            await client.write_event(AudioChunk(RATE, 2, 1, sound(0.0, 0.5, 0.0).tobytes()).event())
            assert [one.name for one in await detections(client, 1)] == ["two/b"]

    run(scenario)


@pytest.mark.parametrize("asked", ["Turn On", "turn_on", "TURN ON", " turn  on ", "turn on"])
@pytest.mark.slow
def test_names_are_compared_without_case_and_with_underscores_for_blanks(tmp_path: Path, asked: str) -> None:
    """The answer carries the name that the client used, since clients compare it with their own."""
    (tmp_path / "one.onnx").write_bytes(made_model(labels=("_silence_", "_unknown_", "turn on", "ok_jarvis")))

    async def scenario() -> None:
        async with serving(load_models([tmp_path / "one.onnx"])) as server, client_of(server) as client:
            await client.write_event(Detect(names=[asked]).event())
            await send(client, sound(0.0, 0.5, 0.0, -0.5, 0.0))
            assert [one.name for one in await detections(client, 1)] == [asked]
            await client.write_event(Detect(names=["OK Jarvis"]).event())
            await send(client, sound(0.0, 0.5, 0.0, -0.5, 0.0))
            assert [one.name for one in await detections(client, 1)] == ["OK Jarvis"]
            await client.write_event(Ping().event())
            assert Pong.is_type((await answer(client)).type)

    run(scenario)


def test_an_exact_name_comes_before_one_that_is_alike(tmp_path: Path) -> None:
    (tmp_path / "one.onnx").write_bytes(made_model(labels=("_silence_", "_unknown_", "lamp", "Lamp")))
    words = WakeWords(load_models([tmp_path / "one.onnx"]))
    assert words.chosen(["Lamp"]) == {"Lamp": "Lamp"}
    assert words.chosen(["LAMP"]) == {"lamp": "LAMP", "Lamp": "LAMP"}
    assert words.chosen([]) == words.chosen(None) == {"lamp": "lamp", "Lamp": "Lamp"}


def test_detect_may_come_at_any_time(tmp_path: Path) -> None:
    """Before, within and after the audio, and several times; the last one holds. Times count from the start of the audio."""
    (tmp_path / "one.onnx").write_bytes(made_model())
    (tmp_path / "two.onnx").write_bytes(made_model(labels=("_silence_", "_unknown_", "c", "d")))
    served = load_models([tmp_path / "one.onnx", tmp_path / "two.onnx"])

    def chunk(*values: float) -> Event:
        return AudioChunk(RATE, 2, 1, sound(*values).tobytes()).event()

    async def scenario() -> None:
        async with serving(served) as server, client_of(server) as client:
            for names in (["d"], ["a", "b"], ["a"]):
                await client.write_event(Detect(names=names).event())
            await client.write_event(AudioStart(RATE, 2, 1).event())
            await client.write_event(chunk(0.0, 0.5, 0.0))
            assert [one.name for one in await detections(client, 1)] == ["a"]
            await client.write_event(Detect(names=["c"]).event())  # a word of the other model, which has heard nothing yet
            await client.write_event(chunk(0.5, 0.0))
            (one,) = await detections(client, 1)
            assert one.name == "c"
            assert one.timestamp is not None
            assert 4500 < one.timestamp < 6500
            assert len(server.pool) == 1
            await client.write_event(Detect().event())
            await client.write_event(chunk(-0.5, 0.0))
            assert {one.name for one in await detections(client, 2)} == {"b", "d"}
            await client.write_event(AudioStop().event())
            await client.write_event(Detect(names=["b"]).event())  # between two streams
            await send(client, sound(0.0, -0.5, 0.0))
            assert [one.name for one in await detections(client, 1)] == ["b"]

    run(scenario)


def test_a_rejected_client_leaves_one_line_in_the_log(models: list[ServedModel], caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with serving(models, dataclasses.replace(SETTINGS, idle_seconds=0.3)) as server:
            peers = []
            for data in (header(type="detect", data={"names": ["ale\nxa"]}), b"x\n", b""):
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                peers.append(shown_peer(writer.get_extra_info("sockname")))
                writer.write(data)
                with contextlib.suppress(ConnectionError):
                    await reader.read()
                writer.close()
            lines = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
            assert lines == [
                f"refused {peers[0]}: unknown wake word 'ale\\nxa'; this server has a, b",
                f"refused {peers[1]}: an event's line is not JSON",
                f"refused {peers[2]}: it sent nothing for too long, or does not read",
            ]

    run(scenario)


def test_what_is_logged_on_request(models: list[ServedModel], caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with serving(models) as server, client_of(server) as client:
            await client.write_event(Detect(names=["A"]).event())
            await client.write_event(Ping().event())
            await answer(client)

    with caplog.at_level("INFO", "wordspot.server"):
        run(scenario)
    said = [record.getMessage().partition(" ")[2] for record in caplog.records]
    assert said == ["connected by Wyoming", "waits for a", "disconnected"]


def test_silence_is_not_detected_and_the_next_stream_begins_afresh(models: list[ServedModel]) -> None:
    async def scenario() -> None:
        async with serving(models) as server, client_of(server) as client:
            for _ in range(2):
                await send(client, sound(0.0))
                assert NotDetected.is_type((await answer(client)).type)
            await send(client, sound(0.0, 0.5, 0.0), first_ms=100)
            (one,) = await detections(client, 1)
            assert one.timestamp is not None
            assert 1500 < one.timestamp < 4600  # in its own stream, whatever came before
            await client.write_event(AudioStop().event())  # a stop without sound
            assert NotDetected.is_type((await answer(client)).type)

    run(scenario)


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (48_000, 1), (RATE, 2), (44_100, 2)])
def test_sound_of_other_rates_and_of_several_channels(models: list[ServedModel], rate: int, channels: int) -> None:
    samples = np.repeat(sound(0.0, 0.5, 0.0)[:: RATE // 8000], 1)  # at 8 kHz
    there = np.interp(np.arange(int(4.5 * rate)) / rate, np.arange(len(samples)) / 8000, samples).astype(np.int16)

    async def scenario() -> None:
        async with serving(models) as server, client_of(server) as client:
            await send(client, np.repeat(there, channels), rate=rate, channels=channels)
            (one,) = await detections(client, 1)
            assert one.name == "a"
            assert one.timestamp is not None
            assert 2000 < one.timestamp < 4500

    run(scenario)


def test_the_first_channel_is_used_and_opposite_channels_do_not_cancel(models: list[ServedModel]) -> None:
    async def scenario() -> None:
        async with serving(models) as server, client_of(server) as client:
            there = sound(0.0, 0.5, 0.0)
            await send(client, np.stack([there, -there], axis=1).reshape(-1), channels=2)
            assert [one.name for one in await detections(client, 1)] == ["a"]
            await send(client, np.stack([0 * there, there], axis=1).reshape(-1), channels=2)
            assert [one.name for one in await detections(client, 1)] == ["a"]

    run(scenario)


@pytest.mark.parametrize(("rate", "refused"), [(RATE, False), (8_000, True)])
def test_audio_that_begins_with_the_header_of_a_wav(models: list[ServedModel], rate: int, refused: bool) -> None:
    async def scenario() -> None:
        async with serving(models) as server, client_of(server) as client:
            await client.write_event(AudioStart(RATE, 2, 1, 0).event())
            data = encode_wav(sound(0.0, 0.5, 0.0).astype(np.float32) / 32768, rate)
            for start in range(0, len(data), 1001):  # no chunk is a whole number of samples
                with contextlib.suppress(ConnectionError):
                    await client.write_event(AudioChunk(RATE, 2, 1, data[start : start + 1001], 0).event())
            if refused:
                event = await answer(client)
                assert "header of a WAV of 8000 Hz, but was announced with 16000 Hz" in event.data["text"]
            else:
                assert [one.name for one in await detections(client, 1)] == ["a"]

    run(scenario)


def test_twenty_clients_at_once(models: list[ServedModel]) -> None:
    async def one(server: WyomingServer, value: float) -> str | None:
        async with client_of(server) as client:
            await send(client, sound(0.0, value, 0.0))
            return (await detections(client, 1))[0].name

    async def scenario() -> None:
        async with serving(models) as server:
            names = await asyncio.gather(*(one(server, 0.5 if number % 2 else -0.5) for number in range(20)))
        assert names == ["b", "a"] * 10

    run(scenario)


@pytest.mark.slow
def test_a_real_word_by_the_model_that_comes_with_wordspot(shared_data: Path) -> None:
    from wordspot.audio.files import read_audio
    from wordspot.data.folders import list_recordings

    listing = list_recordings(shared_data / "speech_commands")
    clip = next(clip for clip in listing.clips if clip.word == "yes")
    audio, _ = read_audio(listing.root / clip.path, RATE)
    samples = np.concatenate([sound(0.0), np.round(32767 * audio).astype(np.int16), sound(0.0)])

    async def scenario() -> None:
        async with serving(load_models([None])) as server, client_of(server) as client:
            await client.write_event(Detect(names=["yes"]).event())
            await send(client, samples)
            (one,) = await detections(client, 1)
            assert one.name == "yes"

    run(scenario)


# ------------------------------------------------------------------------------------------- who breaks it, and the limits


def header(**fields: Any) -> bytes:
    return json.dumps(fields).encode() + b"\n"


CHUNK = {"rate": RATE, "width": 2, "channels": 1}
GARBAGE = {
    "no JSON": (b"GET / HTTP/1.1\r\n\r\n", "an event's line is not JSON"),
    "no object": (b"[1]\n", r"an event must be a JSON object, got \[1\]"),
    "deep": (b"[" * 30_000 + b"\n", "an event's line is not JSON"),
    "half a character": (header(type="ping", data={"text": "\ud800"}), "an event's line is not JSON"),
    "no UTF-8": (b'{"type": "ping", "data": {"text": "\xed\xa0\x80"}}\n', "an event's line is not JSON"),
    "no type": (header(data={}), 'expected an event with a "type"'),
    "data is a list": (header(type="detect", data=[1]), 'an object as its "data"'),
    "endless line": (b"x" * 300_000, "an event's line is longer than 65536 bytes"),
    "endless data": (header(type="detect", data_length=1 << 40), "'data_length' must lie between 0 and 65536"),
    "endless payload": (header(type="audio-chunk", payload_length=1 << 40), "'payload_length' must lie between 0 and 262144"),
    "negative": (header(type="audio-chunk", payload_length=-1), "got -1"),
    "a text for a length": (header(type="audio-chunk", payload_length="9"), "got '9'"),
    "data is no JSON": (header(type="detect", data_length=3) + b"abc", "an event's line is not JSON"),
    "unknown word": (header(type="detect", data={"names": ["alexa"]}), "unknown wake word 'alexa'; this server has a, b"),
    "names of another kind": (header(type="detect", data={"names": "a"}), "must be a list of strings"),
    "no format": (header(type="audio-start", data={}), "send a rate in Hz"),
    "a rate that is a text": (
        header(type="audio-start", data=CHUNK | {"rate": "16000"}),
        "rate '16000', width 2 and channels 1 is not supported",
    ),
    "too fast": (header(type="audio-start", data=CHUNK | {"rate": 10**9}), "the sample rate must lie between 8000 and 192000"),
    "8 bits": (header(type="audio-start", data=CHUNK | {"width": 1}), "rate 16000, width 1 and channels 1 is not supported"),
    "many channels": (
        header(type="audio-start", data=CHUNK | {"channels": 9}),
        "rate 16000, width 2 and channels 9 is not supported",
    ),
    "half a sample": (header(type="audio-chunk", data=CHUNK, payload_length=3) + b"abc", "whole samples of 2 bytes, got 3"),
    "another rate on the way": (
        header(type="audio-start", data=CHUNK) + header(type="audio-chunk", data=CHUNK | {"rate": 8000}),
        "the format of the audio changed; it began with 16000 Hz, channels: 1",
    ),
}


def test_garbage_gets_an_error_and_loses_its_connection_only(models: list[ServedModel]) -> None:
    async def scenario() -> None:
        async with serving(models) as server, client_of(server) as other:
            await other.write_event(AudioStart(RATE, 2, 1).event())
            for name, (data, match) in GARBAGE.items():
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(data)
                event = await read_event(reader, 0)
                assert event is not None, name
                with pytest.raises(WordspotError, match=match):
                    raise WordspotError(Error.from_event(event).text)
                assert await reader.read() == b"", name
                writer.close()
            await other.write_event(AudioChunk(RATE, 2, 1, sound(0.0, 0.5, 0.0).tobytes()).event())
            assert [one.name for one in await detections(other, 1)] == ["a"]
            assert len(server.pool) == 1
            assert server.pool.counters.value("refused_total") == len(GARBAGE)

    run(scenario)


def test_who_goes_in_the_middle_of_an_event_harms_no_one(models: list[ServedModel]) -> None:
    async def scenario() -> None:
        async with serving(models) as server:
            for data in (b"", b'{"type": "desc', header(type="audio-chunk", data=CHUNK, payload_length=100) + b"xy"):
                _, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(data)
                await writer.drain()
                writer.transport.abort()
            assert await is_well(server)
            while server.n_connections:
                await asyncio.sleep(0.01)

    run(scenario)


def test_who_sends_nothing_or_drips_is_dropped(models: list[ServedModel]) -> None:
    async def scenario() -> None:
        async with serving(models, ServerSettings(idle_seconds=0.3)) as server:
            quiet, quiet_writer = await asyncio.open_connection("127.0.0.1", server.port)
            reader, dripping = await asyncio.open_connection("127.0.0.1", server.port)
            with contextlib.suppress(ConnectionError):
                for _ in range(100):  # a byte now and then keeps no connection: whole events do
                    dripping.write(b"x")
                    await dripping.drain()
                    await asyncio.sleep(0.01)
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            with contextlib.suppress(ConnectionError):
                assert await quiet.read() == b""
            quiet_writer.close()
            dripping.close()
            assert server.n_connections == 0

    run(scenario)


def test_who_does_not_read_is_dropped(models: list[ServedModel]) -> None:
    async def scenario() -> None:
        async with serving(models, ServerSettings(send_seconds=0.2)) as server:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)  # takes 2 kB, unread
            with contextlib.suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout(10):
                    while server.n_connections or not writer.is_closing():
                        writer.write(header(type="ping", data={"text": "x" * 60_000}) * 20)
                        await writer.drain()
                        await asyncio.sleep(0)
            assert server.n_connections == 0
            assert await is_well(server)
            writer.transport.abort()

    run(scenario)


def test_no_more_connections_and_streams_than_allowed(models: list[ServedModel]) -> None:
    async def scenario() -> None:
        limits = dataclasses.replace(SETTINGS, max_connections=2, max_streams=1)
        async with serving(models, limits) as server, client_of(server) as first, client_of(server) as second:
            await first.write_event(AudioStart(RATE, 2, 1).event())
            await first.write_event(Ping().event())
            await answer(first)
            async with client_of(server) as third:
                assert "2 connections" in Error.from_event(await answer(third)).text
            await second.write_event(AudioStart(RATE, 2, 1).event())
            assert "1 streams" in Error.from_event(await answer(second)).text
            await first.write_event(AudioStop().event())
            assert NotDetected.is_type((await answer(first)).type)
            await first.write_event(AudioStart(RATE, 2, 1).event())  # given back, it can be had again
            await first.write_event(Ping().event())
            assert Pong.is_type((await answer(first)).type)

    run(scenario)


def test_a_defect_in_one_stream_harms_no_other(
    models: list[ServedModel], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with serving(models) as server, client_of(server) as good, client_of(server) as bad:
            await good.write_event(AudioStart(RATE, 2, 1).event())
            await bad.write_event(AudioStart(RATE, 2, 1).event())
            await bad.write_event(Ping().event())
            await answer(bad)
            with monkeypatch.context() as patch:
                patch.setattr(StreamPool, "feed", lambda *_: 1 / 0)
                await bad.write_event(AudioChunk(RATE, 2, 1, b"xy").event())
                assert await bad.read_event() is None
            await good.write_event(AudioChunk(RATE, 2, 1, sound(0.0, 0.5, 0.0).tobytes()).event())
            assert [one.name for one in await detections(good, 1)] == ["a"]
            counters = server.pool.counters
            assert (counters.value("errors_total"), counters.value("refused_total")) == (1, 0)

    run(scenario)
    assert "ZeroDivisionError" in caplog.text  # the log tells of it


def test_closing_ends_the_connections(models: list[ServedModel]) -> None:
    async def scenario() -> None:
        async with serving(models) as server:
            client = client_of(server)
            await client.connect()
            await client.write_event(Ping().event())
            await answer(client)
            assert server.n_connections == 1
        assert server.n_connections == 0
        with contextlib.suppress(ConnectionError):
            assert await client.read_event() is None
        await client.disconnect()
        with pytest.raises(OSError, match="Connect call failed"):
            await client.connect()

    run(scenario)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=200) | st.sampled_from([data for data, _ in GARBAGE.values() if len(data) < 300])))
@pytest.mark.slow
def test_reading_anything_gives_an_event_or_an_expected_error(parts: list[bytes]) -> None:
    async def read_all() -> None:
        reader = asyncio.StreamReader(limit=1 << 16)
        reader.feed_data(b"".join(parts))
        reader.feed_eof()
        with contextlib.suppress(WordspotError):
            while event := await read_event(reader, 1000):
                assert isinstance(event.type, str)
                assert isinstance(event.data, dict)
                assert len(event.payload or b"") <= 1000

    asyncio.run(read_all())


def test_events_are_read_as_the_package_writes_them() -> None:
    """Data of both places together, as its own reader takes them."""

    async def scenario() -> None:
        reader = asyncio.StreamReader()
        more = json.dumps({"names": ["ä"], "b": 2}).encode()
        reader.feed_data(header(type="detect", data={"a": 1, "b": 1}, data_length=len(more), payload_length=3) + more + b"xyz")
        event = await read_event(reader, 3)
        assert event == Event("detect", {"a": 1, "b": 2, "names": ["ä"]}, b"xyz")

    run(scenario)


# ------------------------------------------------------------------------------------------------------------ what is kept


def test_what_woke_each_satellite_is_kept_under_its_name(models: list[ServedModel], tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(models, dataclasses.replace(SETTINGS, save=tmp_path)) as server:
            async with client_of(server) as client:
                await client.write_event(Detect(["a"], context={"satellite": "Kitchen"}).event())
                await send(client, sound(0.0, 0.5, 0.0, -0.5, 0.0, 0.3, 0.0))  # an "a", a "b", and nearly an "a"
                assert [one.name for one in await detections(client, 1)] == ["a"]
                await client.write_event(Ping().event())
                assert Pong.is_type((await answer(client)).type)  # all of the stream was processed
            async with client_of(server) as client:  # without a name, and gone in the middle of its stream
                await client.write_event(AudioStart(RATE, 2, 1).event())
                await client.write_event(AudioChunk(RATE, 2, 1, sound(0.0, -0.5).tobytes()).event())
                assert [one.name for one in await detections(client, 1)] == ["b"]

    run(scenario)
    kept = sorted((one.path.parent.relative_to(tmp_path).as_posix(), one.label) for one in list_kept(tmp_path))
    assert kept == [("127.0.0.1", "b"), ("Kitchen", "a"), ("Kitchen/nearly", "a")]


def test_a_folder_that_cannot_be_used_is_found_before_serving(models: list[ServedModel], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    async def scenario() -> None:
        with bind("127.0.0.1", 0) as listening, pytest.raises(ConfigError, match="file: sound cannot be saved there"):
            await serve_wyoming(StreamPool(models), listening, dataclasses.replace(SETTINGS, save=tmp_path / "file"))

    run(scenario)
    with pytest.raises(ConfigError, match=r"`save` keeps what satellites send.*; set `wyoming_port` too"):
        serve(save=tmp_path / "kept")
