"""Find what is known of a recording besides its sound, and depends on its label: sample rate, encoding and corpus."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence

from wordspot.data.checks.findings import Finding, tally

MIXED = 0.25
"""Total variation distance from which two distributions are reported as different."""


def check_rates(labels: Sequence[str], rates: Sequence[int]) -> Iterator[Finding]:
    """Report sample rates that reveal the class: resampling does not restore the missing bandwidth of a lower rate."""
    counts = _count(labels, rates)
    if len(set(rates)) < 2:
        return
    rates_of = _described(counts, "Hz")
    if apart := _apart(counts):
        text = f"sample rates differ by label ({rates_of}); a model may learn the rate; record or convert them alike"
        yield Finding("warning", "rates-by-label", text, tuple(apart))
    else:
        yield Finding("note", "mixed-rates", f"sample rates differ ({rates_of}); they will be resampled")


def check_encodings(labels: Sequence[str], encodings: Sequence[str]) -> Iterator[Finding]:
    """Report lossy encodings that reveal the class: decoding does not remove what they leave in the sound."""
    advice = "a model may learn their traces, which remain after decoding; encode all recordings alike"
    yield from _differing("encodings", labels, encodings, advice)


def check_corpora(labels: Sequence[str], corpora: Sequence[str | None]) -> Iterator[Finding]:
    """Report corpora that reveal the class, if the list names them: a model may then learn the corpora's microphones."""
    advice = (
        "a model may learn rooms and microphones; take recordings of every label from each corpus, and test on a corpus that was "
        "not trained on"
    )
    if None not in corpora:
        yield from _differing("corpora", labels, corpora, advice)


def _differing(name: str, labels: Sequence[str], values: Sequence[Hashable], advice: str) -> Iterator[Finding]:
    """A warning if the values are distributed differently in the labels."""
    counts = _count(labels, values)
    if apart := _apart(counts):
        text = f"{name} differ by label ({_described(counts, '')}); {advice}"
        yield Finding("warning", f"{name}-by-label", text, tuple(apart))


def _count(labels: Sequence[str], values: Sequence[Hashable]) -> dict[str, Counter[Hashable]]:
    """How often each value occurs in each label."""
    counts: dict[str, Counter[Hashable]] = defaultdict(Counter)
    for label, value in zip(labels, values, strict=True):
        counts[label][value] += 1
    return counts


def _apart(counts: dict[str, Counter[Hashable]]) -> list[str]:
    """The labels whose values are distributed differently from those of the other labels."""
    every = sum(counts.values(), Counter[Hashable]())
    return [label for label, own in sorted(counts.items()) if _distance(own, every - own) >= MIXED]


def _described(counts: dict[str, Counter[Hashable]], unit: str) -> str:
    return "; ".join(f"{label}: {tally(own, unit)}" for label, own in sorted(counts.items()))


def _distance(first: Counter[Hashable], second: Counter[Hashable]) -> float:
    """Total variation distance of two distributions: 0 if they are equal, 1 if they share nothing."""
    n_first, n_second = first.total(), second.total()
    if not n_first or not n_second:
        return 0.0
    return sum(abs(first[value] / n_first - second[value] / n_second) for value in {*first, *second}) / 2
