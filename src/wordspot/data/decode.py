"""Decode many sound files in threads: results in order, and a problem for each file that cannot be used."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from wordspot.errors import WordspotError
from wordspot.progress import OnProgress, Progress, ignore

STAGE = "decoding recordings"
_AHEAD = 64  # recordings decoded before they are needed

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Problem:
    """Why a recording is skipped.

    Attributes:
        text: one line that names the file.
        may_pass: whether it is worth trying again next time: the file could not be opened. Otherwise its contents are bad.
    """

    text: str
    may_pass: bool = False


def decode_many(
    items: Sequence[Item],
    decode: Callable[[Item], Result | Problem],
    progress: OnProgress | None = None,
    *,
    stage: str = STAGE,
    before: int = 0,
    total: int | None = None,
) -> Iterator[tuple[Item, Result | Problem]]:
    """Call `decode` on each item in threads, and yield each item with its result, in order.

    libsndfile and numpy release the GIL, so this uses all cores. At most 64 results wait in memory.

    Args:
        items: what to decode, one recording each.
        decode: returns the decoded recording, or a `Problem`. A `WordspotError` or `OSError` that it raises becomes a `Problem`.
        progress: called after each item.
        stage: what to report to `progress`.
        before: items done before these, for `progress`.
        total: number of all items, for `progress` (default: `before` plus these).
    """
    report, n_all = progress or ignore, before + len(items) if total is None else total

    def work(item: Item) -> Result | Problem:
        try:
            return decode(item)
        except (WordspotError, OSError) as error:
            return Problem(str(error), isinstance(error, OSError) or isinstance(error.__cause__, OSError))

    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        waiting: deque[Future[Result | Problem]] = deque(pool.submit(work, item) for item in items[:_AHEAD])
        for place, item in enumerate(items):
            if place + _AHEAD < len(items):
                waiting.append(pool.submit(work, items[place + _AHEAD]))
            yield item, waiting.popleft().result()
            report(Progress(stage, before + place + 1, n_all))
    finally:
        pool.shutdown(cancel_futures=True)
