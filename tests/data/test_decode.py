from __future__ import annotations

import threading

import pytest

from wordspot.data.decode import Problem, decode_many
from wordspot.errors import AudioError
from wordspot.progress import Progress


def test_results_come_in_order_and_errors_as_problems() -> None:
    def decode(number: int) -> int | Problem:
        if number == 3:
            raise AudioError("three is damaged")
        if number == 4:
            raise PermissionError(13, "Permission denied", "four")
        return Problem("five is silent") if number == 5 else number * number

    steps: list[Progress] = []
    results = dict(decode_many(range(500), decode, steps.append, stage="squaring", before=10, total=600))
    assert results[3] == Problem("three is damaged")
    assert isinstance(results[4], Problem)
    assert results[4].may_pass
    assert results[5] == Problem("five is silent")
    assert [value for key, value in results.items() if key > 5] == [number * number for number in range(6, 500)]
    assert steps == [Progress("squaring", 11 + number, 600) for number in range(500)]


def test_an_error_that_is_no_problem_of_a_file_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        list(decode_many([1], lambda number: number // 0))


def test_few_are_decoded_ahead() -> None:
    lock, started = threading.Lock(), 0

    def decode(number: int) -> int:
        nonlocal started
        with lock:
            started += 1
        return number

    results = decode_many(range(10_000), decode)
    assert [next(results)[1] for _ in range(5)] == [0, 1, 2, 3, 4]
    assert started <= 5 + 64 + 1
    results.close()  # type: ignore[attr-defined]
    assert started < 200
