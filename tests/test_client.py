"""The WebSocket over real sockets: the client of the package, and clients that are broken, hostile, slow or gone."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from support.made_onnx import RATE
from support.made_server import Running, made_models, running, wait_until
from wordspot import client
from wordspot.audio.files import encode_wav
from wordspot.audio.resample import resample
from wordspot.client import Scores, ServerError, detect, listen
from wordspot.errors import AudioError
from wordspot.runtime.decoder import Detection
from wordspot.runtime.detector import Detector
from wordspot.server.served import ServedModel
from wordspot.server.streams import Stream


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[ServedModel]:
    return made_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def server(models: list[ServedModel]) -> Iterator[Running]:
    limits = {"max_frame_bytes": 1 << 16, "start_seconds": 0.6, "idle_seconds": 1.5, "send_seconds": 1.0}
    with running(models, max_connections=60, **limits) as server:
        yield server


def scene() -> np.ndarray[Any, np.dtype[np.float32]]:
    rng = np.random.default_rng(0)
    audio = 0.01 * rng.standard_normal(2 * RATE).astype(np.float32)
    audio[4000:6400] += np.float32(0.7)
    audio[20_000:22_400] -= np.float32(0.7)
    return audio


def expected(models: list[ServedModel]) -> list[Detection]:
    detector = Detector(models[0].model)
    audio = np.rint(scene() * 32768).astype(np.int16)
    return [*detector.feed(audio), *detector.flush()]


def same(found: list[Detection], wanted: list[Detection]) -> None:
    assert [one.label for one in found] == [one.label for one in wanted] == ["a", "b"]
    for one, other in zip(found, wanted, strict=True):
        numbers = (one.score, one.time_ms, one.emitted_ms)
        assert numbers == pytest.approx((other.score, other.time_ms, other.emitted_ms), abs=1e-3)


@contextlib.contextmanager
def started(server: Running, **start: Any) -> Iterator[ClientConnection]:
    with connect(server.ws, compression=None) as socket_:
        socket_.send(json.dumps({"type": "start", **start}))
        assert json.loads(socket_.recv(5))["type"] == "ready"
        yield socket_


def last_words(socket_: ClientConnection) -> tuple[str, int]:
    """The error that the server reports, and the code with which it closes."""
    message = ""
    with contextlib.suppress(ConnectionClosed):
        while True:
            event = json.loads(socket_.recv(10))
            message = event.get("message", message)
    assert socket_.close_code is not None
    return message, socket_.close_code


def seconds_until_dropped(send: Callable[[], Any], most: float) -> float:
    """How long the server takes what `send` sends, again and again."""
    begin = time.monotonic()
    while (passed := time.monotonic() - begin) < most:
        try:
            send()
        except TimeoutError:
            raise
        except (OSError, ConnectionClosed):
            return passed
    raise AssertionError(f"the server still takes it after {most:g} s")


def still_hears(server: Running, models: list[ServedModel]) -> None:
    """A good client is served as ever."""
    blocks = np.array_split(scene(), 20)
    same(list(detect(server.ws, blocks)), expected(models))


def test_the_client_detects_what_the_detector_detects(server: Running, models: list[ServedModel]) -> None:
    async def talk() -> tuple[list[Any], tuple[str, ...]]:
        async with listen(server.ws, model="words", sample_rate=RATE, scores=True) as stream:

            async def send() -> None:
                for block in np.array_split(scene(), 25):
                    await stream.send(block)
                await stream.end()

            sending = asyncio.create_task(send())
            events = [event async for event in stream]
            await sending
            return events, stream.ready.labels

    events, labels = asyncio.run(talk())
    same([event for event in events if isinstance(event, Detection)], expected(models))
    scores = [event for event in events if isinstance(event, Scores)]
    assert 35 <= len(scores) <= 40
    assert set(scores[0].scores) == set(labels) == set(models[0].card.labels)
    assert np.diff([one.time_ms for one in scores]).min() >= 50


def test_without_asyncio(server: Running, models: list[ServedModel]) -> None:
    still_hears(server, models)


def test_detections_come_while_the_sound_goes_on(server: Running) -> None:
    """Not all at the end."""
    seen_after: list[int] = []
    sent = 0

    def blocks() -> Iterator[Any]:
        nonlocal sent
        for block in np.array_split(scene(), 25):
            sent += len(block)
            yield block
            time.sleep(0.01)

    for _ in detect(server.ws, blocks()):
        seen_after.append(sent)
    assert seen_after[0] < 2 * RATE


def test_floats_and_another_rate(server: Running, models: list[ServedModel]) -> None:
    with started(server, format="float32", sample_rate=2 * RATE) as socket_:
        for block in np.array_split(np.repeat(scene(), 2), 40):
            socket_.send(block.astype("<f4").tobytes())
        socket_.send('{"type": "end"}')
        events = []
        while (event := json.loads(socket_.recv(5)))["type"] != "end":
            events.append(event)
        assert [event["label"] for event in events] == ["a", "b"]
        with pytest.raises(ConnectionClosed) as end:
            socket_.recv(5)
        assert end.value.rcvd is not None
        assert end.value.rcvd.code == 1000


def test_a_threshold_for_the_stream(server: Running) -> None:
    assert list(detect(server.ws, [scene()], threshold=0.95)) == []


def test_what_the_client_says_of_a_server_that_rejects(server: Running) -> None:
    with pytest.raises(ServerError, match="the models are words"):
        list(detect(server.ws, [], model="nothing"))
    with pytest.raises(ServerError, match="whole recordings"):
        list(detect(server.ws, [], model="person"))
    with pytest.raises(ServerError, match="between 8000 and 192000"):
        list(detect(server.ws, [], sample_rate=10))
    with pytest.raises(ServerError, match="is `wordspot serve` running"):
        list(detect("ws://127.0.0.1:1/v1/listen", []))
    with pytest.raises(ServerError, match="no wordspot server"):
        list(detect("http://nothing", []))
    with pytest.raises(ServerError, match="refused the request: HTTP status 403"):
        list(detect(server.ws.replace("listen", "nowhere"), []))
    with pytest.raises(AudioError, match="NaN"):
        list(detect(server.ws, [np.full(3, np.nan)]))


async def _idle_client(url: str) -> None:
    async with listen(url) as stream:
        async for _ in stream:
            pass


@pytest.mark.slow
def test_a_client_that_sends_nothing_gets_an_error_and_is_dropped(server: Running, models: list[ServedModel]) -> None:
    with connect(server.ws) as silent:
        message, code = last_words(silent)
        assert (message, code) == ("no start message came within 0.6 s", 1008)
    with pytest.raises(ServerError, match=r"no audio for 1\.5 s"):
        asyncio.run(_idle_client(server.ws))
    wait_until(lambda: len(server.pool) == 0)
    still_hears(server, models)


@pytest.mark.slow
def test_empty_messages_are_no_sound(server: Running) -> None:
    """They keep nobody connected."""
    with started(server) as socket_:
        assert seconds_until_dropped(lambda: (socket_.send(b""), time.sleep(0.05)), 5) < 3


@pytest.mark.parametrize(
    ("messages", "code", "said"),
    [
        ([b"\0\0"], 1003, "first message"),
        (["no json"], 1003, "is not JSON"),
        (["[1]"], 1003, "JSON object"),
        (["[" * 60_000], 1003, "is not JSON"),
        (["9" * 5000], 1003, "JSON"),
        (['{"type": "stop"}'], 1003, '"type": "start"'),
        (['{"type": "start", "file": "/etc/passwd"}'], 1003, "the start message has 'file'"),
        (['{"type": "start", "model": 3}'], 1003, "model in the start message has the wrong type"),
        (['{"type": "start", "sample_rate": true}'], 1003, "sample_rate in the start message has the wrong type"),
        (['{"type": "start", "sample_rate": 1e300}'], 1003, "sample_rate in the start message has the wrong type"),
        (['{"type": "start", "sample_rate": 99999999999999999999}'], 1008, "sample rate"),
        (['{"type": "start", "threshold": NaN}'], 1003, "threshold"),
        (['{"type": "start", "threshold": 7}'], 1003, "threshold"),
        (['{"type": "start", "format": "mp3"}'], 1003, "pcm16 or float32"),
        (['{"type": "start", "model": "../default"}'], 1008, "there is no model 'default'"),
        (['{"type": "start"}', b"\0\0\0"], 1003, "whole samples of 2 bytes"),
        (['{"type": "start", "format": "float32"}', b"\0\0\xc0\x7f"], 1003, "NaN"),
        (['{"type": "start", "format": "float32"}', b"\xff\xff\x7f\x7f"], 1003, "at most 1"),
        (['{"type": "start"}', '{"type": "start"}'], 1003, '{"type": "end"}'),
        (['{"type": "start"}', "bye"], 1003, "is not JSON"),
    ],
)
def test_garbage_costs_its_sender_the_connection(server: Running, messages: list[Any], code: int, said: str) -> None:
    with connect(server.ws, compression=None) as socket_:
        for message in messages:
            socket_.send(message)
        message, closed = last_words(socket_)
    assert said in message
    assert "\n" not in message
    assert closed == code
    wait_until(lambda: len(server.pool) == 0)


@given(st.lists(st.one_of(st.binary(max_size=40), st.text(max_size=40)), max_size=4), st.booleans())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.slow
def test_any_messages_leave_the_server_whole(server: Running, messages: list[Any], starts: bool) -> None:
    with connect(server.ws, compression=None) as socket_:
        try:
            for message in [*(['{"type": "start"}'] if starts else []), *messages]:
                socket_.send(message)
        except ConnectionClosed:
            pass
    assert server.counted("wordspot_errors_total") == 0


def test_a_message_that_is_too_long(server: Running, models: list[ServedModel]) -> None:
    with started(server) as socket_:
        socket_.send(bytes(1 << 17))
        assert last_words(socket_)[1] == 1009
    still_hears(server, models)


def test_a_message_in_endless_fragments(server: Running, models: list[ServedModel]) -> None:
    """Their sum counts, not each."""
    with handshake(server) as raw:
        raw.sendall(frame(b'{"type": "start"}', 0x81) + frame(bytes(8000), 0x02) + frame(bytes(8000), 0x00) * 8)
        raw.settimeout(5)
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while chunk := raw.recv(1000):
                received += chunk
    assert (1009).to_bytes(2, "big") in received[received.rindex(b"\x88") :]
    still_hears(server, models)


def handshake(server: Running, raw: socket.socket | None = None) -> socket.socket:
    raw = raw or server.raw()
    raw.sendall(
        b"GET /v1/listen HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += raw.recv(1000)
    assert answer.startswith(b"HTTP/1.1 101")
    return raw


def frame(data: bytes, head: int) -> bytes:
    """A masked frame; `head` is its first byte: fin and opcode."""
    length = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
    return bytes([head]) + length + bytes(4) + data


@pytest.mark.parametrize(
    "data",
    [
        b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",  # a frame that says it has 2**63 bytes
        b"\x82\x05hello",  # without a mask
        b"\xf2\x80\0\0\0\0",  # reserved bits
        b"\x80\x80\0\0\0\0",  # goes on with nothing
        b"\x81\x82\0\0\0\0\xff\xfe",  # text that is no UTF-8
        bytes(range(256)) * 20,
    ],
)
def test_frames_that_are_none(server: Running, models: list[ServedModel], data: bytes) -> None:
    with handshake(server) as raw:
        raw.sendall(data)
        raw.settimeout(5)
        received = b""
        try:
            while chunk := raw.recv(1000):
                received += chunk
        except ConnectionResetError:
            pass
        assert len(received) < 1000
    still_hears(server, models)


def test_half_a_frame_and_then_nothing(server: Running, models: list[ServedModel]) -> None:
    with handshake(server) as raw:
        raw.sendall(b"\x82\xfe\x10\x00\0\0\0\0" + bytes(100))
        raw.settimeout(5)
        answer = raw.recv(1000)
    assert b"no start message" in answer
    still_hears(server, models)


@pytest.mark.slow
def test_empty_fragments_for_ever_end_with_the_time_to_start(server: Running, models: list[ServedModel]) -> None:
    with handshake(server) as raw:
        raw.sendall(frame(b"", 0x02))
        assert seconds_until_dropped(lambda: (raw.sendall(frame(b"", 0x00) * 50), time.sleep(0.005)), 10) < 5
    still_hears(server, models)


@pytest.mark.slow
def test_who_does_not_read_is_dropped_and_not_buffered(models: list[ServedModel]) -> None:
    """Twenty rows of scores a second of sound come faster than the socket takes them."""
    with running(models, send_seconds=1.0, max_frame_bytes=1 << 20) as server, server.raw(4096) as raw:
        handshake(server, raw)
        raw.sendall(frame(b'{"type": "start", "scores": true}', 0x81))
        sound = b"\x82\xff" + (1 << 20).to_bytes(8, "big") + bytes(4) + bytes(1 << 20)
        raw.settimeout(60)
        seconds_until_dropped(lambda: raw.sendall(sound), 90)  # minutes of sound, which a busy machine takes long to judge
        assert server.counted("wordspot_audio_seconds_total") > 60  # it was heard until it was dropped
        wait_until(lambda: len(server.pool) == 0)
        wait_until(lambda: server.counted("wordspot_connections") == 1)
        still_hears(server, models)


def test_pings_whose_answers_nobody_reads(models: list[ServedModel]) -> None:
    """The answers are dropped with the client, long before they fill the memory."""
    with running(models, send_seconds=1.0, idle_seconds=60) as server, handshake(server) as raw:
        raw.sendall(frame(b'{"type": "start"}', 0x81))
        flood = frame(bytes(125), 0x89) * 500
        raw.settimeout(20)
        seconds_until_dropped(lambda: raw.sendall(flood), 30)
        assert server.counted("wordspot_refused_total") == 1
        still_hears(server, models)


def test_fragments_that_never_end_a_message(models: list[ServedModel]) -> None:
    """Empty ones weigh nothing by `max_frame_bytes`, but each takes memory."""
    with running(models, max_frame_bytes=1 << 12, idle_seconds=60) as server, handshake(server) as raw:
        raw.sendall(frame(b'{"type": "start"}', 0x81) + frame(b"", 0x02))
        flood = frame(b"", 0x00) * 1000
        sent = 0

        def send() -> None:
            nonlocal sent
            raw.sendall(flood)
            sent += len(flood)

        raw.settimeout(20)
        seconds_until_dropped(send, 30)
        assert server.counted('wordspot_refused_total{reason="no_message"}') == 1
        still_hears(server, models)


def test_a_rejected_stream_leaves_one_line_in_the_log(server: Running, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "wordspot.server"), connect(server.ws, compression=None) as socket_:
        host, port = socket_.local_address[:2]
        socket_.send('{"type": "start", "model": "no\\nne"}')
        last_words(socket_)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [f"refused {host}:{port}: there is no model 'no-ne'; the models are words, clips, person"]


def test_what_is_logged_on_request(models: list[ServedModel], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "wordspot.server"), running(models) as server:
        still_hears(server, models)
    lines = [record.getMessage().partition(" ")[2] for record in caplog.records if record.name == "wordspot.server"]
    assert lines == [f"a stream of {RATE} Hz for words", "the stream ended after 2.0 s"]


@pytest.mark.slow
def test_an_open_stream_is_no_idle_connection_by_ipv6_either(models: list[ServedModel]) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with running(models, host="::1", request_seconds=0.3, port=0) as server:

        def blocks() -> Iterator[Any]:
            for block in np.array_split(scene(), 4):
                yield block
                time.sleep(0.4)

        same(list(detect(server.ws.replace("127.0.0.1", "[::1]"), blocks())), expected(models))


def test_a_client_that_is_gone_leaves_nothing(server: Running) -> None:
    for _ in range(5):
        with handshake(server) as raw:
            raw.sendall(frame(b'{"type": "start"}', 0x81) + frame(bytes(100), 0x82))
    wait_until(lambda: len(server.pool) == 0)
    wait_until(lambda: server.counted("wordspot_connections") == 1)


def test_a_crash_in_one_stream_harms_no_other(
    models: list[ServedModel], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    feed = Stream.feed

    def crash(stream: Stream, samples: Any) -> list[Detection]:
        if stream.sample_rate == 48_000:
            raise ZeroDivisionError("secret of the server")
        return feed(stream, samples)

    monkeypatch.setattr(Stream, "feed", crash)
    with running(models) as server, started(server) as good, started(server, sample_rate=48_000) as bad:
        bad.send(bytes(960))
        with caplog.at_level(logging.ERROR, "wordspot.server"):
            message, code = last_words(bad)
        assert (message, code) == ("the server failed; see its log", 1011)
        assert "secret of the server" in caplog.text
        for block in np.array_split(np.rint(scene() * 32768).astype("<i2"), 20):
            good.send(block.tobytes())
        good.send('{"type": "end"}')
        events = []
        while (event := json.loads(good.recv(5)))["type"] != "end":
            events.append(event["label"])
        assert events == ["a", "b"]
        assert server.counted("wordspot_errors_total") == 1


def test_no_more_streams_than_allowed(models: list[ServedModel]) -> None:
    with running(models, max_streams=2) as server:
        with started(server), started(server):
            with connect(server.ws) as third:
                third.send('{"type": "start"}')
                message, code = last_words(third)
            assert (message, code) == ("all 2 streams of this server are in use; try again later", 1013)
        wait_until(lambda: len(server.pool) == 0)
        with started(server):
            pass


def test_the_token_and_the_origin(models: list[ServedModel], capfd: pytest.CaptureFixture[str]) -> None:
    token = "a-long-token"
    with running(models, token=token) as server:
        same(list(detect(server.ws, [scene()], token=token)), expected(models))
        with connect(f"{server.ws}?token={token}", origin=f"http://127.0.0.1:{server.port}") as own:  # type: ignore[arg-type]
            own.send('{"type": "start"}')
            assert json.loads(own.recv(5))["type"] == "ready"
        for wrong in ("", "a-long-toke", "a-long-token-", "b" * 300, "\u00e9"):
            with pytest.raises(InvalidStatus) as refusal, connect(f"{server.ws}?token={wrong}"):
                pass
            assert refusal.value.response.status_code == 401
        with pytest.raises(ServerError, match="refused the request: the server's token is missing"):
            list(detect(server.ws, []))
        for origin in (
            "https://evil.example",
            "null",
            "http://127.0.0.1:1",
            f"https://127.0.0.1:{server.port}.evil.example",
        ):
            with pytest.raises(InvalidStatus) as refusal, connect(f"{server.ws}?token={token}", origin=origin):
                pass
            assert refusal.value.response.status_code == 403
    assert token not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    "message",
    [
        '{"type": "ready", "model": "m", "labels": ["a"], "sample_rate": 1e999}',
        f'{{"type": "detection", "label": "a", "time_ms": {"9" * 400}, "score": 1, "emitted_ms": 2}}',
        f'{{"type": "scores", "time_ms": 1, "scores": {{"a": {"9" * 400}}}}}',
    ],
    ids=["ready", "detection", "scores"],
)
def test_numbers_that_are_too_large(message: str) -> None:
    with pytest.raises(ServerError, match="is no message of a wordspot server"):
        (client.parse_ready if "ready" in message else client.parse_event)(message)


def test_what_a_strange_server_says(models: list[ServedModel]) -> None:
    for message in ("[]", "x", b"\xff", '{"type": "ready"}', '{"type": "ready", "model": "m", "labels": 3}'):
        with pytest.raises(ServerError, match="is it one"):
            client.parse_ready(message)
    for message in ("3", '{"type": "new"}', '{"type": "detection"}', '{"type": "scores", "time_ms": 1, "scores": []}'):
        with pytest.raises(ServerError, match="is it one"):
            client.parse_event(message)
    with pytest.raises(ServerError, match=r"the server reported: no such thing$"):
        client.parse_event('{"type": "error", "message": "no\\nsuch thing"}')
    assert client.parse_event('{"type": "end"}') is None


def test_the_protocol_page_tells_of_every_message() -> None:
    page = (Path(__file__).resolve().parents[1] / "docs" / "protocol.md").read_text(encoding="utf-8")
    for word in (
        "start",
        "ready",
        "detection",
        "scores",
        "error",
        "end",
        "pcm16",
        "float32",
        "1003",
        "1008",
        "1009",
        "1011",
        "1013",
    ):
        assert word in page


# ------------------------------------------------------------------------------------------------ audio of another form


def labels_of(socket_: ClientConnection, data: bytes, size: int = 3001) -> list[str]:
    for start in range(0, len(data), size):
        socket_.send(data[start : start + size])
        time.sleep(0.002)  # a live stream; the server limits what waits
    socket_.send(json.dumps({"type": "end"}))
    events = [json.loads(message) for message in socket_]
    assert events[-1]["type"] == "end"
    return [event["label"] for event in events if event["type"] == "detection"]


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_the_header_of_a_wav_is_obeyed(models: list[ServedModel], subtype: str) -> None:
    audio, buffer = resample(scene(), RATE, 48_000), io.BytesIO()
    soundfile.write(buffer, np.stack([audio, -audio], axis=1), 48_000, format="WAV", subtype=subtype)
    with running(models) as server, started(server) as socket_:
        assert labels_of(socket_, buffer.getvalue()) == ["a", "b"]


@pytest.mark.parametrize(
    ("head", "kind"), [(b"OggS", "Ogg"), (b"\x1aE\xdf\xa3", "WebM or Matroska"), (b"fLaC", "FLAC"), (b"ID3\x04", "MP3")]
)
def test_other_files_are_rejected_by_name(server: Running, head: bytes, kind: str) -> None:
    with started(server) as socket_:
        socket_.send(head + bytes(1000))
        message, code = last_words(socket_)
    assert message.startswith(f"the stream is {kind}, not raw samples; send raw samples or WAV; /v1/label takes files")
    assert code == 1003


def test_a_wav_of_an_impossible_rate(server: Running) -> None:
    with started(server) as socket_:
        socket_.send(encode_wav(scene(), 4_000))
        assert last_words(socket_) == ("the sample rate must lie between 8000 and 192000 Hz, got 4000", 1003)


def test_channels_of_raw_samples(server: Running) -> None:
    both = np.stack([0 * scene(), scene()], axis=1).astype("<f4").tobytes()
    with started(server, format="float32", channels=2) as socket_:
        assert labels_of(socket_, both, 4000)[-1:] == ["b"]  # the other channel is looked for after half a second
    with started(server, format="float32", channels=2, channel=1) as socket_:
        assert labels_of(socket_, both, 4000) == ["a", "b"]


def test_gain_of_quiet_audio(server: Running, models: list[ServedModel]) -> None:
    quiet = scene() * np.float32(0.01)
    assert list(detect(server.ws, [quiet])) == []
    assert [one.label for one in detect(server.ws, [quiet], gain=40)] == ["a", "b"]
    with running(models, gain=40.0) as louder:
        assert [one.label for one in detect(louder.ws, [quiet])] == ["a", "b"]
        assert [one.label for one in detect(louder.ws, [quiet], gain=0)] == []
    for wrong in ("loud", 99, True):
        with connect(server.ws, compression=None) as socket_:
            socket_.send(json.dumps({"type": "start", "gain": wrong}))
            message, code = last_words(socket_)
        assert "gain" in message
        assert code == 1003


def test_a_quiet_client_is_noted_in_the_log(models: list[ServedModel], caplog: pytest.LogCaptureFixture) -> None:
    blocks = [np.full(8000, 0.003, np.float32)] * 61
    with running(models) as server, caplog.at_level(logging.WARNING, "wordspot.server"):
        assert list(detect(server.ws, blocks, sample_rate=8000)) == []
    (line,) = [record.getMessage() for record in caplog.records if "very quiet" in record.getMessage()]
    assert line.startswith("127.0.0.1:")
