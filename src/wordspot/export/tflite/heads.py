"""The last layer of the file: the score of one word against all other labels, or the scores of all labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from wordspot.errors import ExportError
from wordspot.export.tflite.network import Network
from wordspot.labels import SILENCE_LABEL, UNKNOWN_LABEL
from wordspot.runtime.modelfile.engine.model import Array, Product
from wordspot.runtime.modelfile.engine.reference import softmax

WORD, RIVALS, ALL = "word", "rivals", "all"


def find_word(labels: Sequence[str], word: str | None) -> str:
    """The word to export: the only one of the model, or the one that is named.

    Raises:
        ExportError: the model has several words and none is named, or it has no such word.
    """
    words = [label for label in labels if label not in (SILENCE_LABEL, UNKNOWN_LABEL)]
    if word is None:
        if len(words) != 1:
            raise ExportError(f"such a file detects one word, but this model knows {', '.join(words)}; name one with `word`")
        return words[0]
    if word not in words:
        raise ExportError(f"this model does not know the word {word!r}; it knows {', '.join(words)}")
    return word


def with_head(network: Network, labels: Sequence[str], word: str | None) -> tuple[Network, str]:
    """The network with another last layer, and the kind of its head.

    ``word``: with two labels, one logit, whose sigmoid is exactly the word's posterior. ``rivals``: with more labels, the logit
    of each other label minus that of the word. The largest of them, negated, is the word's logit against its strongest rival;
    its sigmoid is at least the posterior, and exceeds one half exactly if no other label has a higher posterior. ``all``: the
    logits of all labels, if no word is named.
    """
    if word is None:
        return network, ALL
    at, part = labels.index(word), network.output
    others = [number for number in range(len(labels)) if number != at]
    if len(others) == 1:
        rows = Product(part.weights[:, [at]] - part.weights[:, others], part.bias[[at]] - part.bias[others])
        return dataclasses.replace(network, output=rows), WORD
    rows = Product(part.weights[:, others] - part.weights[:, [at]], part.bias[others] - part.bias[[at]])
    return dataclasses.replace(network, output=rows), RIVALS


def scores_of(logits: Array, head: str) -> Array:
    """Scores of logits [rows, n]: [rows, 1], or [rows, labels] for the head ``all``."""
    if head == ALL:
        return softmax(logits)
    one: Array = logits if head == WORD else -logits.max(axis=1, keepdims=True)
    scores: Array = 1 / (1 + np.exp(-one.clip(-500, 500)))
    return scores
