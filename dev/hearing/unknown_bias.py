"""The accuracy on validation clips when a number is added to the logit of unknown; the last layer's bias does the same.

Prints, for each number, the accuracy over all labels, of words, and of unknown words, in percent.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import wordspot as ws
from cache import UNKNOWN
from wordspot.evaluation.results import WordsResult

ADDED = np.arange(-3.0, 0.6, 0.25)
Posteriors = NDArray[np.float64]


def shifted(posteriors: Posteriors, added: float) -> Posteriors:
    """The posteriors [n, labels] after `added` is added to the logit of unknown.

    >>> shifted(np.array([[0.25, 0.5, 0.25]]), np.log(2)).round(3).tolist()
    [[0.167, 0.667, 0.167]]
    """
    scaled = posteriors.copy()
    scaled[:, UNKNOWN] *= np.exp(added)
    result: Posteriors = scaled / scaled.sum(axis=1, keepdims=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path, help="the folder of words")
    args = parser.parse_args()
    result = ws.evaluate(args.model, args.data, split="validation")
    assert isinstance(result, WordsResult)
    assert result.clips is not None
    truth, posteriors = result.clips.truth, np.asarray(result.clips.posteriors, np.float64)
    for added in ADDED:
        right = shifted(posteriors, added).argmax(axis=1) == truth
        shares = [100 * part.mean() for part in (right, right[truth > UNKNOWN], right[truth == UNKNOWN])]
        print(f"{added:+.2f}: " + " ".join(f"{share:.2f}" for share in shares))


if __name__ == "__main__":
    main()
