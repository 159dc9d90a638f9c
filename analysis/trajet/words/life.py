"""What the updates of a run did to a word's rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trajet.trace.format import decode_number
from trajet.trace.read import read_rows
from trajet.words.rows import WordRows


@dataclass(frozen=True)
class WordLife:
    """One word in one run; the arrays have an entry a step, all rows of the word taken together as one vector.

    Attributes:
        word: as asked for.
        count, own_share: how often it is trained on, and what share of its rows' traffic is its own.
        step: as spaCy counts.
        touched: whether a gradient reached any of its rows.
        gradient: norm of the gradient as used, after the clip of the whole table.
        path: length of the way so far, the sum of the norms of the updates.
        distance: from the start, in a straight line.
        effective_rate: median over the weights of learn_rate / (sqrt(v_hat) + eps), or learn_rate where there is no v.
        weight_norm: length of the rows before the first update.
        scaled: whether the optimizer divides by sqrt(v_hat), each weight by its own.
        untouched_path: the part of the way made at steps without a gradient: momentum and decay.
    """

    word: str
    count: int
    own_share: float
    step: np.ndarray
    touched: np.ndarray
    gradient: np.ndarray
    path: np.ndarray
    distance: np.ndarray
    effective_rate: np.ndarray
    weight_norm: float
    scaled: bool
    untouched_path: float

    def summary(self) -> dict[str, float | str]:
        """The numbers of a table's row."""
        return {
            "word": self.word,
            "in the corpus": self.count,
            "own share of its rows": self.own_share,
            "touched steps": int(self.touched.sum()),
            "sum of gradients": float(self.gradient.sum()),
            "effective rate": float(self.effective_rate[-1]),
            "path": float(self.path[-1]),
            "untouched path": self.untouched_path,
            "distance": float(self.distance[-1]),
            "start": self.weight_norm,
        }


def word_lives(trace: Path, words: Sequence[WordRows]) -> list[WordLife]:
    """Read the watched rows of some words from a trace, line by line.

        path = sum_t ||w_t - w_{t-1}||      distance = ||w_T - w_0||

    Args:
        trace: recorded with every = 1 and the words' `watches` among its watches.
    """
    header: dict = {}
    collected: list[dict[str, list]] = [
        {key: [] for key in ("step", "g", "update", "rate", "moved", "scaled")} for _ in words
    ]
    start: list[np.ndarray | None] = [None] * len(words)
    for _, row in read_rows(trace):
        if row is None:
            break
        if row["kind"] == "run":
            header = row
            places = [[header["watch"].index(watch) for watch in word.watches] for word in words]
            continue
        if row["kind"] != "step" or not row.get("watched"):
            continue
        for number, (store, indices) in enumerate(zip(collected, places, strict=True)):
            entries = [row["watched"][index] for index in indices]
            w, after, g = (_joined(entries, name) for name in ("w", "w_after", "g"))
            used = g * np.repeat([decode_number(e["clip_factor"][0]) for e in entries], [len(e["g"]) for e in entries])
            if start[number] is None:
                start[number] = w
            store["step"].append(row["step"])
            store["g"].append(float(np.linalg.norm(used)))
            store["update"].append(float(np.linalg.norm(after - w)))
            store["moved"].append(float(np.linalg.norm(after - start[number])))
            store["scaled"] = [all(entry["v"] is not None for entry in entries)]
            store["rate"].append(_effective_rate(header["optimizer"], row, entries, len(store["step"])))
    return [_life(word, store, first) for word, store, first in zip(words, collected, start, strict=True)]


def _joined(entries: list[dict], name: str) -> np.ndarray:
    return np.array([decode_number(value) for entry in entries for value in entry[name]])


def _effective_rate(optimizer: dict, row: dict, entries: list[dict], t: int) -> float:
    if any(entry["v"] is None for entry in entries):
        return float(row["learn_rate"])
    root = np.sqrt(_joined(entries, "v") / (1 - optimizer["beta2"] ** t))
    eps = optimizer["eps"] / np.sqrt(1 - optimizer["beta2"] ** t)
    return float(np.median(row["learn_rate"] / (root + eps)))


def _life(word: WordRows, store: dict[str, list], start: np.ndarray | None) -> WordLife:
    gradient, update = np.array(store["g"]), np.array(store["update"])
    return WordLife(
        word.word, word.count, word.own_share, np.array(store["step"]), gradient > 0, gradient, np.cumsum(update),
        np.array(store["moved"]), np.array(store["rate"]), float(np.linalg.norm(start)) if start is not None else 0.0,
        store["scaled"] == [True], float(update[gradient == 0].sum()),
    )  # fmt: skip
