"""Many streams over a few threads: the same as one detector each, whatever the others do."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.made_onnx import RATE, made_model
from support.made_server import CLIP, made_models
from wordspot.errors import AudioError, CardError, ConfigError, NotFoundError
from wordspot.runtime.decoder import Detection
from wordspot.runtime.detector import Detector
from wordspot.server.config import ServerSettings
from wordspot.server.counters import Counters
from wordspot.server.served import ServedModel, clean_name, find_model, load_models
from wordspot.server.streams import SCORES_MS, FullError, StreamPool


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[ServedModel]:
    return made_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def pool(models: list[ServedModel]) -> Any:
    pool = StreamPool(models, threads=2)
    yield pool
    pool.shutdown()


def scene(seed: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Two seconds: faint noise with an "a" and a "b" at places of the seed's."""
    rng = np.random.default_rng(seed)
    audio = 0.01 * rng.standard_normal(2 * RATE).astype(np.float32)
    for word, sign in enumerate((1, -1)):
        start = word * RATE + int(rng.integers(2000, 9000))
        audio[start : start + 2400] += np.float32(0.7 * sign)
    return audio


async def heard(pool: StreamPool, samples: Any, size: int, **options: Any) -> list[Detection]:
    with pool.opened("words", **options) as stream:
        found: list[Detection] = []
        for start in range(0, len(samples), size):
            found += await pool.feed(stream, samples[start : start + size])
        return found + await pool.flush(stream)


def test_twenty_streams_at_once_detect_what_a_detector_each_detects(pool: StreamPool, models: list[ServedModel]) -> None:
    scenes = [scene(seed) for seed in range(20)]

    async def all_of_them() -> list[list[Detection]]:
        return await asyncio.gather(*(heard(pool, audio, 400 + 37 * n) for n, audio in enumerate(scenes)))

    results = asyncio.run(all_of_them())
    for audio, found in zip(scenes, results, strict=True):
        detector = Detector(models[0].model)
        assert found == [*detector.feed(audio), *detector.flush()]
        assert [one.label for one in found] == ["a", "b"]
    assert len(pool) == 0
    assert pool.counters.value("streams_total") == 20
    assert pool.counters.value("detections_total") == 40
    assert pool.counters.value("audio_seconds_total") == pytest.approx(40)


def test_a_long_message_is_judged_in_pieces_and_others_come_between(pool: StreamPool) -> None:
    """Two streams in one thread: the short one does not wait for all of the long one."""
    alone = StreamPool(pool.models, threads=1)
    order: list[str] = []

    async def both() -> None:
        with alone.opened("words") as long, alone.opened("words") as short:
            for stream, name in ((long, "long"), (short, "short")):
                feed = stream.feed
                stream.feed = lambda samples, feed=feed, name=name: (order.append(name), feed(samples))[1]
            await asyncio.gather(alone.feed(long, np.zeros(10 * RATE, np.float32)), alone.feed(short, np.zeros(100, np.float32)))

    asyncio.run(both())
    alone.shutdown()
    assert order.count("long") == 20
    assert order.index("short") < 3


def test_judging_happens_outside_the_event_loop(pool: StreamPool) -> None:
    threads: set[str] = set()

    async def feed() -> None:
        with pool.opened("words") as stream:
            judge = stream.feed
            stream.feed = lambda samples: (threads.add(threading.current_thread().name), judge(samples))[1]
            await pool.feed(stream, np.zeros(10, np.float32))

    asyncio.run(feed())
    assert len(threads) == 1
    assert threads.pop().startswith("wordspot-stream")


def test_int16_and_another_rate_detect_the_same(pool: StreamPool) -> None:
    audio = scene(3)
    whole = asyncio.run(heard(pool, audio, 1280))
    as_int = asyncio.run(heard(pool, np.rint(audio * 32767).astype(np.int16), 1280))
    doubled = asyncio.run(heard(pool, np.repeat(audio, 2), 2560, sample_rate=2 * RATE))
    for found in (as_int, doubled):
        assert [one.label for one in found] == [one.label for one in whole]
        assert [one.time_ms for one in found] == pytest.approx([one.time_ms for one in whole], abs=20)


def test_a_threshold_of_the_stream_holds_for_it_alone(pool: StreamPool) -> None:
    audio = scene(1)
    assert asyncio.run(heard(pool, audio, 1000, threshold=0.9)) == []
    assert len(asyncio.run(heard(pool, audio, 1000))) == 2


def test_scores_are_shown_at_most_twenty_times_a_second(pool: StreamPool, models: list[ServedModel]) -> None:
    async def rows() -> list[tuple[float, Any]]:
        shown = []
        with pool.opened("words", scores=True) as stream:
            for _ in range(0, RATE, 700):
                await pool.feed(stream, np.full(700, 0.5, np.float32))
                shown += stream.take_scores()
        return shown

    shown = asyncio.run(rows())
    times = [time for time, _ in shown]
    assert times[0] == 1000 * CLIP / RATE
    assert min(np.diff(times)) >= SCORES_MS
    assert 17 <= len(times) <= 20
    assert dict(zip(models[0].card.labels, shown[-1][1].tolist(), strict=True)) == pytest.approx(
        {"_silence_": 0.49, "_unknown_": 0.01, "a": 0.49, "b": 0.01}, abs=1e-6
    )

    async def unasked() -> int:
        with pool.opened("words") as stream:
            await pool.feed(stream, np.zeros(RATE, np.float32))
            return len(stream.take_scores())

    assert asyncio.run(unasked()) == 0


def test_bad_samples_of_one_stream_leave_it_and_the_others_as_they_were(pool: StreamPool) -> None:
    audio = scene(5)

    async def with_bad() -> tuple[list[Detection], list[Detection]]:
        with pool.opened("words") as stream, pool.opened("words") as other:
            found = await pool.feed(stream, audio[:RATE])
            with pytest.raises(AudioError, match="NaN"):
                await pool.feed(stream, np.full(10, np.nan, np.float32))
            rest = await pool.feed(other, audio) + await pool.flush(other)
            return found + await pool.feed(stream, audio[RATE:]) + await pool.flush(stream), rest

    one, other = asyncio.run(with_bad())
    assert one == other == asyncio.run(heard(pool, audio, 1234))


def test_a_stream_can_be_fed_again_after_its_end(pool: StreamPool) -> None:
    audio = scene(2)

    async def twice() -> list[list[Detection]]:
        with pool.opened("words") as stream:
            return [await pool.feed(stream, audio) + await pool.flush(stream) for _ in range(2)]

    first, second = asyncio.run(twice())
    assert first == second
    assert len(first) == 2


def test_what_cannot_be_opened(pool: StreamPool, models: list[ServedModel]) -> None:
    with pytest.raises(NotFoundError, match=r"there is no model 'no-such'; the models are words, clips, person"):
        pool.open("no such")
    with pytest.raises(ConfigError, match="whole recordings"):
        pool.open("person")
    with pytest.raises(AudioError, match="between 8000 and 192000"):
        pool.open(sample_rate=1)
    with pytest.raises(ConfigError, match="threshold"):
        pool.open(threshold=2.0)
    assert len(pool) == 0
    with pytest.raises(ConfigError, match="has no models"):
        find_model([], None)


def test_no_more_streams_than_allowed(models: list[ServedModel]) -> None:
    pool = StreamPool(models, max_streams=2)
    streams = [pool.open(), pool.open()]
    with pytest.raises(FullError, match="2 streams"):
        pool.open()
    pool.close(streams[0])
    pool.close(streams[0])
    pool.open()
    assert len(pool) == 2
    pool.shutdown()


def test_names_are_clean_and_unique(tmp_path: Path) -> None:
    paths = [tmp_path / "Küche lamp.onnx", tmp_path / "b" / "Küche lamp.onnx", tmp_path / "小灯.onnx"]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(made_model(clip_samples=CLIP))
    served = load_models(paths)
    assert [one.name for one in served] == ["Küche-lamp", "Küche-lamp-2", "小灯"]
    assert load_models([None])[0].name == "default"
    with pytest.raises(NotFoundError, match=r"nowhere\.onnx"):
        load_models([tmp_path / "nowhere.onnx"])
    (tmp_path / "bad.onnx").write_bytes(b"nothing")
    with pytest.raises(CardError, match=r"bad\.onnx"):
        load_models([tmp_path / "bad.onnx"])


@given(st.text(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_text_becomes_a_name_that_no_path_or_page_trips_over(text: str) -> None:
    name = clean_name(text)
    assert 1 <= len(name) <= 64
    assert all(one.isalnum() or one in "-_." for one in name)
    assert not name.startswith(".")


def test_metrics_are_what_prometheus_reads() -> None:
    counters = Counters()
    counters.count("detections_total", label='say "hi"\n\\', model="m")
    counters.count("detections_total", label="b", model="m")
    for seconds in (0.004, 0.15, 9.0):
        counters.answered(seconds)
    counters.gauge("streams", lambda: 3)
    lines = counters.text().splitlines()
    assert r'wordspot_detections_total{label="say \"hi\"\n\\",model="m"} 1' in lines
    assert "wordspot_streams 3" in lines
    assert 'wordspot_answer_seconds_bucket{le="0.1"} 1' in lines
    assert 'wordspot_answer_seconds_bucket{le="0.2"} 2' in lines
    assert 'wordspot_answer_seconds_bucket{le="+Inf"} 3' in lines
    assert "wordspot_answer_seconds_count 3" in lines
    assert counters.value("detections_total") == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"port": 70_000}, "port"),
        ({"max_frame_bytes": 1}, "max_frame_bytes"),
        ({"max_streams": 0}, "max_streams"),
        ({"idle_seconds": 0}, "idle_seconds"),
        ({"token": "short"}, "token"),
        ({"token": "with a space in it"}, "token"),
        ({"allow_origins": ("example.org",)}, "origin"),
        ({"allow_origins": ("https://example.org/path",)}, "origin"),
        ({"allow_origins": ("null",)}, "origin"),
    ],
)
def test_settings_that_make_no_sense(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ServerSettings(**changes)


def test_a_client_that_is_gone_harms_no_other(pool: StreamPool) -> None:
    """Its samples are in a thread, or wait for one, when its task is cancelled."""

    async def scenario() -> list[Detection]:
        with pool.opened("words") as gone:
            feeding = [asyncio.create_task(pool.feed(gone, np.zeros(10 * RATE, np.float32))) for _ in range(4)]
            await asyncio.sleep(0.01)
            for task in feeding:
                task.cancel()
            await asyncio.gather(*feeding, return_exceptions=True)
        return await heard(pool, scene(4), 1000)

    assert [one.label for one in asyncio.run(scenario())] == ["a", "b"]
    pool.shutdown()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("wordspot-stream")]
