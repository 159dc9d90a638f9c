"""A study judged on a part of its dev documents."""

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

import numpy as np

from trajet.errors import UserError
from trajet.experiments.result import Result
from trajet.experiments.studies.exported import Study
from trajet.statistics import micro_f


def part_of(study: Study, patterns: Sequence[str]) -> Study:
    """The same trials, their last evaluation counted over the dev frames whose id matches one of the patterns.

    Of earlier evaluations the frames' counts are not kept: only the last one is left. Losses are those of all documents.

    Args:
        patterns: as of a shell, over the whole id: "*/frames/sms.txt:*", "* typo".

    Raises:
        UserError: a pattern matches no frame, or there is no span to be found in those that match.
    """
    frames = _any(study.results).frames
    for pattern in patterns:
        if not any(fnmatchcase(frame, pattern) for frame in frames):
            raise UserError(
                f"--frames {pattern!r}: matches none of the {len(frames)} dev frames of {study.path}, which are called "
                f"{frames[0]!r} to {frames[-1]!r}"
            )
    kept = [i for i, frame in enumerate(frames) if any(fnmatchcase(frame, pattern) for pattern in patterns)]
    results = {
        name: {seed: _part(result, kept) for seed, result in by_seed.items()} for name, by_seed in study.results.items()
    }
    if not any(tp + fn for tp, _, fn in _any(results).counts):
        raise UserError(f"--frames {', '.join(patterns)}: there is no span to be found in these {len(kept)} dev frames")
    note = f"Dev F: of {len(kept)} of the {len(frames)} dev frames, those that match {' or '.join(patterns)}, at the last evaluation; of earlier ones it is not known."
    return replace(study, results=results, notes=[note, *study.notes])


def _any(results: dict[str, dict[int, Result]]) -> Result:
    """Frames and gold spans are the same in all."""
    return next(result for by_seed in results.values() for result in by_seed.values())


def _part(result: Result, kept: Sequence[int]) -> Result:
    counts = [result.counts[i] for i in kept]
    f = float(micro_f(np.sum(counts, axis=0)))
    last = {key: result.evaluations[-1][key] for key in ("step", "train_loss", "dev_loss")} | {"ents_f": f}
    return replace(
        result, frames=[result.frames[i] for i in kept], counts=counts, evaluations=[last],
        final_f=f, best_f=f, best_step=last["step"],
    )  # fmt: skip
