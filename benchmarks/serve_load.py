"""Load on one `wordspot serve`: real-time streams, Wyoming clients, idle connections and misbehaving clients at once.

    python benchmarks/serve_load.py SOUND.wav [MODEL.onnx] [--streams 100] [--minutes 1] [--idle 1000] [--wyoming 20]
        [--garbage 5] [--churn 0] [--json OUT]

SOUND contains words of the model (`wordspot make-stream` makes one). Each stream plays it from a position of its own,
80 ms a message, at 16 kHz, and must receive the detections that a detector in this process finds in the same samples.
Latency runs from the moment before the message with the last needed sample (the event's `emitted_ms`) is sent to the
moment when the event arrives: it includes both ways through the network and the delays of this process, which plays
all clients.

`--churn S`: streams end and start again after S seconds, to watch memory over time; a line is printed every 30 s.
`--url` and `--pid` use a server that is already running, without Wyoming. Linux only: the server's memory and
processor time come from /proc.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import os
import random
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from results import write_result
from wordspot.audio.files import read_audio
from wordspot.audio.samples import to_int16
from wordspot.runtime.detector import Detector
from wordspot.runtime.model import Model, open_model

RATE, FRAME = 16_000, 1280
N_CHECKED = 20  # streams that are compared with a detector here
FRAME_S = FRAME / RATE
GONE = (OSError, WebSocketException, EOFError)


@dataclass
class Tally:
    """The clients' results. plays: the samples that a stream played, and the words detected in it."""

    latencies: list[float] = field(default_factory=list)
    late_sends: list[float] = field(default_factory=list)
    wyoming_latencies: list[float] = field(default_factory=list)
    plays: list[tuple[NDArray[np.int16], list[tuple[str, float]]]] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)  # seconds, resident MiB of the server
    broken: int = 0
    garbage: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description="Load on wordspot serve.")
    parser.add_argument("sound", type=Path, metavar="SOUND")
    parser.add_argument("model", type=Path, nargs="?", metavar="MODEL.onnx")
    for name, default in (("streams", 100), ("idle", 1000), ("wyoming", 20), ("garbage", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--churn", type=float, default=0.0)
    parser.add_argument("--url")
    parser.add_argument("--pid", type=int)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    many_files()
    audio, _ = read_audio(args.sound, RATE)
    model = open_model(args.model)
    with contextlib.ExitStack() as stack:
        wyoming_port = 0
        if args.url is None:
            args.url, args.pid, wyoming_port = stack.enter_context(own_server(args.model, logs=not args.garbage))
        result = asyncio.run(load(args, to_int16(audio), model, wyoming_port))
    for name, value in result.items():
        print(f"  {name:<58}{value}")
    if args.json:
        write_result(args.json, result)


@contextlib.contextmanager
def own_server(model: Path | None, *, logs: bool) -> Any:
    """A server process: its address, its process ID and the port of Wyoming. `logs`: show its log of refused clients."""
    ports = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as free:
            ports.append(free.getsockname()[1])
    command = [sys.executable, "-m", "wordspot", "serve", *([str(model)] if model else [])]
    command += ["--port", str(ports[0]), "--wyoming-port", str(ports[1])]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=None if logs else subprocess.DEVNULL)
    try:
        for port in ports:
            wait_for(port, process)
        yield f"ws://127.0.0.1:{ports[0]}/v1/listen", process.pid, ports[1]
    finally:
        process.terminate()
        process.wait()


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if process.poll() is not None:
            sys.exit("the server ended before it began")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    sys.exit("the server does not respond")


async def load(
    args: argparse.Namespace, sound: NDArray[np.int16], model: Model, wyoming_port: int, tally: Tally | None = None
) -> dict[str, Any]:
    """All clients at once, for so many minutes."""
    tally = tally or Tally()
    held = [asyncio.create_task(idle(args.url)) for _ in range(args.idle)]
    await asyncio.sleep(args.idle / 200)
    end = time.monotonic() + 60 * args.minutes
    before, begin = cpu_seconds(args.pid), time.monotonic()
    tasks = [stream(args.url, sound, end, args.churn, number, tally) for number in range(args.streams)]
    tasks += [garbage(args.url, number, end, tally) for number in range(args.garbage)]
    if wyoming_port:
        tasks += [wyoming(wyoming_port, sound, end, number, tally) for number in range(args.wyoming)]
    watching = asyncio.create_task(watch(args.pid, tally, shows=args.minutes > 2))
    await asyncio.gather(*tasks)
    cores = (cpu_seconds(args.pid) - before) / (time.monotonic() - begin)
    still, machine, memory = sum(not task.done() for task in held), os.getloadavg()[0], resident_mib(args.pid)
    for task in [*held, watching]:
        task.cancel()
    await asyncio.gather(*held, watching, return_exceptions=True)
    return {
        "streams of 16 kHz at real time, 80 ms a message": args.streams,
        "minutes": args.minutes,
        "streams played, broken off": f"{len(tally.plays)}, {tally.broken}",
        "detections": len(tally.latencies),
        "latency, ms: median, 95 %, 99 %, most": percentiles(tally.latencies),
        "delay of this process's own sends, ms: the same": percentiles(tally.late_sends),
        "streams checked, with other words than a detector here": check(tally, model),
        "idle streams held until the end": f"{still} of {args.idle}",
        "connections of clients that misbehave": tally.garbage,
        "Wyoming clients, detections": f"{args.wyoming if wyoming_port else 0}, {len(tally.wyoming_latencies)}",
        "from the chunk at a word's time to its detection, ms": percentiles(tally.wyoming_latencies),
        "cores that the server used": round(cores, 2),
        "its resident memory, MiB": round(memory),
        "load of the machine, all processes": f"{machine:.1f} on {os.cpu_count()} cores",
    }


async def stream(url: str, sound: NDArray[np.int16], end: float, churn: float, number: int, tally: Tally) -> None:
    """One stream until `end`; with `churn` one after the other."""
    rng = random.Random(number)
    await asyncio.sleep(rng.uniform(0, churn or FRAME_S))
    while (left := end - time.monotonic()) > 2 * FRAME_S:
        seconds = min(rng.uniform(0.5, 1.5) * churn, left) if churn else left
        samples = np.resize(np.roll(sound, -rng.randrange(len(sound))), int(seconds / FRAME_S) * FRAME)
        try:
            heard = await play(url, samples, tally)
        except GONE:
            tally.broken += 1
            await asyncio.sleep(1)
        else:
            is_checked = len(tally.plays) < N_CHECKED  # a view of the others would hold all of their sound
            tally.plays.append((samples.copy() if is_checked else np.zeros(0, np.int16), heard))


async def play(url: str, samples: NDArray[np.int16], tally: Tally) -> list[tuple[str, float]]:
    """Send at real time, and note when what came back was needed. The words and their times in ms."""
    sent_at: list[float] = []
    async with connect(url, compression=None) as socket_:
        await socket_.send(json.dumps({"type": "start", "sample_rate": RATE}))
        await socket_.recv()
        reading = asyncio.create_task(read(socket_, sent_at, tally))
        reading.add_done_callback(lambda task: task.cancelled() or task.exception())  # where sending fails first
        begin = time.perf_counter()
        for number in range(len(samples) // FRAME):
            due = begin + (number + 1) * FRAME_S
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            sent_at.append(time.perf_counter())
            tally.late_sends.append(sent_at[-1] - due)
            await socket_.send(samples[number * FRAME : (number + 1) * FRAME].tobytes())
        await socket_.send('{"type": "end"}')
        return await reading


async def read(socket_: Any, sent_at: list[float], tally: Tally) -> list[tuple[str, float]]:
    heard = []
    while (event := json.loads(await socket_.recv()))["type"] != "end":
        now = time.perf_counter()
        heard.append((event["label"], event["time_ms"]))
        tally.latencies.append(now - sent_at[math.ceil(event["emitted_ms"] / (1000 * FRAME_S)) - 1])
    return heard


def check(tally: Tally, model: Model) -> str:
    """Compare the first streams with a detector in this process."""
    checked = [(samples, heard) for samples, heard in tally.plays if len(samples)]
    wrong = 0
    for samples, heard in checked:
        detector = Detector(model)
        found = [(one.label, round(one.time_ms, 3)) for one in [*detector.feed(samples), *detector.flush()]]
        wrong += found != heard
    return f"{len(checked)}, {wrong}"


async def idle(url: str) -> None:
    """A stream that began and sends nothing."""
    async with connect(url, compression=None, open_timeout=60) as socket_:
        await socket_.send('{"type": "start"}')
        async for _ in socket_:
            pass


async def garbage(url: str, number: int, end: float, tally: Tally) -> None:
    """Misbehaving clients, one after another, each in a different way."""
    rng, place = random.Random(number), url.split("/")[2]
    host, port = place.rsplit(":", 1)
    upgrade = (
        f"GET /v1/listen HTTP/1.1\r\nHost: {place}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()
    ways = [
        lambda: rng.randbytes(5000),
        lambda: upgrade + rng.randbytes(2000),
        lambda: upgrade + b"\x82\xfe\x10\x00\0\0\0\0" + bytes(100),
        lambda: upgrade + b"\x02\xfe\x10\x00\0\0\0\0" + bytes(4096) + (b"\x00\xfe\x10\x00\0\0\0\0" + bytes(4096)) * 200,
        lambda: upgrade + b"\x82\xff" + b"\x7f" * 8 + bytes(1000),
        lambda: b"",
    ]
    while time.monotonic() < end:
        with contextlib.suppress(OSError, TimeoutError):
            reader, writer = await asyncio.open_connection(host, int(port))
            try:
                writer.write(rng.choice(ways)())
                await asyncio.wait_for(writer.drain(), 2)
                await asyncio.wait_for(reader.read(1 << 16), 2)
            finally:
                writer.close()
        tally.garbage += 1
        await asyncio.sleep(0.1)


async def wyoming(port: int, sound: NDArray[np.int16], end: float, number: int, tally: Tally) -> None:
    """A satellite of Home Assistant: sound at real time.

    Detections carry only the word's time, so its latency includes the decoder's delay.
    """
    from wyoming.audio import AudioChunk, AudioStart, AudioStop
    from wyoming.client import AsyncTcpClient
    from wyoming.wake import Detect, Detection

    played = np.roll(sound, -random.Random(number).randrange(len(sound)))
    async with AsyncTcpClient("127.0.0.1", port) as client:
        await client.write_event(Detect().event())
        await client.write_event(AudioStart(rate=RATE, width=2, channels=1, timestamp=0).event())
        sent_at: list[float] = []

        async def hear() -> None:
            while (event := await client.read_event()) is not None:
                if Detection.is_type(event.type) and (heard := Detection.from_event(event)).timestamp is not None:
                    chunk = min(int(heard.timestamp / (1000 * FRAME_S)), len(sent_at) - 1)
                    tally.wyoming_latencies.append(time.perf_counter() - sent_at[chunk])

        hearing = asyncio.create_task(hear())
        begin, frame = time.perf_counter(), 0
        while time.monotonic() < end:
            await asyncio.sleep(max(begin + (frame + 1) * FRAME_S - time.perf_counter(), 0))
            start = frame * FRAME % (len(played) - FRAME)
            chunk = AudioChunk(RATE, 2, 1, played[start : start + FRAME].tobytes(), timestamp=round(1000 * frame * FRAME_S))
            sent_at.append(time.perf_counter())
            frame += 1
            await client.write_event(chunk.event())
        await client.write_event(AudioStop().event())
        hearing.cancel()


async def watch(pid: int, tally: Tally, *, shows: bool) -> None:
    """Note the server's memory every 5 s; a line every 30 s."""
    begin = time.monotonic()
    while True:
        tally.memory.append((round(time.monotonic() - begin, 1), round(resident_mib(pid), 1)))
        if shows and len(tally.memory) % 6 == 1:
            print("  {:6.0f} s  {:.1f} MiB".format(*tally.memory[-1]), file=sys.stderr, flush=True)
        await asyncio.sleep(5)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def percentiles(seconds: list[float]) -> str:
    if not seconds:
        return "none"
    return ", ".join(f"{1000 * value:.1f}" for value in [*np.percentile(seconds, [50, 95, 99]), max(seconds)])


def many_files() -> None:
    """Each client is an open file."""
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard) if hard != resource.RLIM_INFINITY else 8192, hard))


if __name__ == "__main__":
    main()
