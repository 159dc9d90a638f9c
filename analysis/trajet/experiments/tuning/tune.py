"""The method of training from scratch, phase by phase: trains, judges, decides, and writes down why.

1. start: the data are looked at, and each optimizer is trained at its textbook rate.
2. rate: each optimizer over its grid, then around its best rate; the better of the two goes on.
3. architecture: sizes and normalisation; regularisation only where a gap is seen.
4. options: of the optimizer, other optimizers, other schedules.
5. test: the chosen config and the documented one, each scored on the test split, once.

In phases 3 and 4 a change is kept only if it gains beyond noise: the lower end of the t interval of the paired
difference over seeds lies above 0, at a level that is Holm-corrected over the phase's candidates.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

import numpy as np

from trajet import statistics
from trajet.errors import UserError
from trajet.experiments.result import Result
from trajet.experiments.tuning.curves import Judged, judge
from trajet.experiments.tuning.protocol import (
    QUANTITIES,
    Candidate,
    Criteria,
    OptimizerPlan,
    Phase,
    Protocol,
    with_rate,
)
from trajet.experiments.variants import Variant

# A grid whose best rate is at its edge is extended so many times at most.
_EXTENSIONS = 2
_EXTEND_BY = 3.0
_ALPHA = 0.05

Results = Mapping[int, Result]
# Trains variants with seeds 0 .. n - 1: name -> seed -> result.
Train = Callable[[Sequence[Variant], int], Mapping[str, Results]]


@dataclass(frozen=True)
class Line:
    """A candidate in a phase: what was measured, how its curve is judged, what became of it."""

    name: str
    question: str
    seeds: int
    measures: Mapping[str, float | None]
    judged: Judged
    difference: statistics.Difference | None = None
    p_holm: float | None = None
    outcome: str = ""


@dataclass
class Decision:
    """What a phase asked, saw and decided."""

    phase: str
    question: str
    criteria: Criteria
    lines: list[Line] = field(default_factory=list)
    text: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """The log, and the config that came of it."""

    decisions: list[Decision]
    optimizer: str
    rate: float
    base: Variant
    chosen: Variant
    test_f: Mapping[str, tuple[float, float, float]]


def tune(protocol: Protocol, train: Train, train_on_test: Train, data: Sequence[str]) -> Outcome:
    """Carry a protocol through.

    Args:
        protocol: what is tried and what decides.
        train: trains variants, scored on dev.
        train_on_test: the same, scored on the test split at the end; called once.
        data: what was seen of the data, a sentence each, for the log.
    Raises:
        UserError: no optimizer learns at any rate.
    """
    return _Tuning(protocol, train).run(train_on_test, data)


class _Tuning:
    def __init__(self, protocol: Protocol, train: Train):
        self.protocol, self.train = protocol, train
        self.decisions: list[Decision] = []
        self.results: dict[str, dict[int, Result]] = {}
        self.base = self._variant("base", "start", "the documented config", {}, str(protocol.base))

    def run(self, train_on_test: Train, data: Sequence[str]) -> Outcome:
        self._start(data)
        optimizer, rate = self._rate()
        current = self._variant(_at(optimizer, rate), "rate", "", with_rate(optimizer.overrides, rate), optimizer.where)
        current = self._keep_what_gains("architecture", current, optimizer, rate)
        current = self._keep_what_gains("options", current, optimizer, rate)
        test_f = self._test(current, train_on_test)
        return Outcome(self.decisions, optimizer.name, rate, self.base, current, test_f)

    # -- phases --------------------------------------------------------------------------------

    def _start(self, data: Sequence[str]) -> None:
        decision = self._decision("start", text=data)
        plans = {_at(plan, plan.start): (plan, plan.start) for plan in self.protocol.optimizers}
        self._train_rates(plans, self.protocol.explore_seeds)
        self._train([self.base], self.protocol.explore_seeds)
        for name, (plan, rate) in plans.items():
            decision.lines.append(self._line(name, f"{plan.name} at its textbook rate {rate:g}", rate, []))
        decision.lines.append(self._line(self.base.name, self.base.question, None, []))
        decision.text.append("All optimizers go on: which is better is asked once each has its own rate.")

    def _rate(self) -> tuple[OptimizerPlan, float]:
        decision = self._decision("rate")
        best: dict[str, tuple[OptimizerPlan, float]] = {}
        for plan in self.protocol.optimizers:
            found = self._best_rate(plan, decision)
            if found is not None:
                best[_at(plan, found)] = (plan, found)
        if not best:
            raise UserError(
                "no optimizer learns at any rate of its grid: each curve diverges or is chaotic; look at the data, or give the protocol smaller rates"
            )
        self._train_rates(best, self.protocol.decide_seeds)
        lines = [
            self._line(name, "the best of its optimizer, more seeds", rate, []) for name, (_, rate) in best.items()
        ]
        winner = best_of(lines, decision.criteria, self.protocol.tie)
        decision.lines += [replace(line, outcome="chosen" if line is winner else "not chosen") for line in lines]
        decision.text.append(f"{winner.name} goes on.")
        for other in lines:
            if other is not winner:
                found = statistics.paired_difference(self._scores(other.name), self._scores(winner.name))
                decision.text.append(f"{other.name} - {winner.name}: {_words(found)}.")
        return best[winner.name]

    def _best_rate(self, plan: OptimizerPlan, decision: Decision) -> float | None:
        rates = list(plan.grid)
        for _ in range(_EXTENSIONS + 1):
            lines = self._explore(plan, rates, decision)
            best = best_of(lines, decision.criteria, self.protocol.tie) if lines else None
            if best is None:
                decision.text.append(f"{plan.name}: no rate of {_list(rates)} passes the eliminating criteria.")
                return None
            rate = next(rate for rate in rates if _at(plan, rate) == best.name)
            if min(rates) < rate < max(rates):
                break
            rates = sorted(
                [*rates, float(f"{rate * _EXTEND_BY:.3g}" if rate == max(rates) else f"{rate / _EXTEND_BY:.3g}")]
            )
            decision.text.append(
                f"{plan.name}: the best rate {rate:g} lay at the edge of the grid; extended to {_list(rates)}."
            )
        around = [near for near in self.protocol.refined(rate) if near not in rates]
        lines = self._explore(plan, sorted({*rates, *around}), decision)
        best = best_of(lines, decision.criteria, self.protocol.tie)
        assert best is not None
        for line in lines:
            decision.lines.append(replace(line, outcome="best of its grid" if line is best else line.outcome))
        refined = next(near for near in sorted({*rates, *around}) if _at(plan, near) == best.name)
        decision.text.append(f"{plan.name}: best rate of the grid {rate:g}, after refinement {refined:g}.")
        return refined

    def _explore(self, plan: OptimizerPlan, rates: Sequence[float], decision: Decision) -> list[Line]:
        """Train over rates and judge each curve beside the others; those that are eliminated stay in the list."""
        self._train_rates({_at(plan, rate): (plan, rate) for rate in rates}, self.protocol.explore_seeds)
        others = [(rate, self.results[_at(plan, rate)][0]) for rate in rates]
        lines = []
        for rate in rates:
            line = self._line(_at(plan, rate), f"rate {rate:g}", rate, others)
            eliminated = line.judged.verdict in decision.criteria.eliminating
            lines.append(replace(line, outcome=f"eliminated: {line.judged.verdict}" if eliminated else ""))
        return lines if any(not line.outcome for line in lines) else []

    def _keep_what_gains(self, phase: str, current: Variant, optimizer: OptimizerPlan, rate: float) -> Variant:
        decision = self._decision(phase)
        seeds = self.protocol.decide_seeds
        candidates = self._candidates(self.protocol.phases[phase], current, optimizer, decision)
        while candidates:
            tried = {
                f"{current.name}+{candidate.name}": (candidate, self._variant(
                    f"{current.name}+{candidate.name}", phase, candidate.question,
                    {**current.overrides, **with_rate(candidate.overrides, rate)}, candidate.where,
                ))
                for candidate in candidates
            }  # fmt: skip
            self._train([current, *(variant for _, variant in tried.values())], seeds)
            lines = self._compare(current, tried, decision)
            decision.lines += [self._line(current.name, "as it stands", None, []), *lines]
            gaining = [line for line in lines if line.outcome == "gains beyond noise"]
            best = best_of(gaining, decision.criteria, self.protocol.tie)
            if best is None:
                decision.text.append(f"No change to {current.name} gains beyond noise; nothing is changed.")
                break
            kept, current = tried[best.name]
            decision.text.append(f"{kept.name} is kept: {_words(best.difference)}.")
            candidates = [candidate for candidate in candidates if candidate is not kept]
        return current

    def _candidates(
        self, phase: Phase, current: Variant, optimizer: OptimizerPlan, decision: Decision
    ) -> list[Candidate]:
        candidates = [*phase.candidates, *phase.candidates_of.get(optimizer.name, ())]
        if phase.regularisation:
            self._train([current], self.protocol.decide_seeds)
            gap = self._measures(current.name)["gap"]
            seen = gap is not None and gap > self.protocol.gap
            decision.text.append(
                f"{current.name}: the loss per token on dev is {'not known' if gap is None else f'{gap:.2f} times'} that on train; "
                f"the limit is {self.protocol.gap:g}: regularisation is {'tried' if seen else 'not tried'}."
            )
            candidates += phase.regularisation if seen else ()
        return candidates

    def _compare(
        self, current: Variant, tried: Mapping[str, tuple[Candidate, Variant]], decision: Decision
    ) -> list[Line]:
        base = self._scores(current.name)
        differences = [statistics.paired_difference(self._scores(name), base) for name in tried]
        corrected = statistics.holm([difference.p for difference in differences])
        lines = []
        for name, difference, p in zip(tried, differences, corrected, strict=True):
            line = self._line(name, tried[name][0].question, None, [])
            better = difference.mean is not None and difference.mean > 0 and p is not None and p < _ALPHA
            if line.judged.verdict in decision.criteria.eliminating:
                outcome = f"eliminated: {line.judged.verdict}"
            elif better:
                outcome = "gains beyond noise"
            else:
                outcome = "within noise" if p is None or p >= _ALPHA else "loses"
            lines.append(replace(line, difference=difference, p_holm=p, outcome=outcome))
        return lines

    def _test(self, current: Variant, train_on_test: Train) -> dict[str, tuple[float, float, float]]:
        decision = self._decision("test")
        results = train_on_test([current, self.base], 1)
        test_f = {}
        for name in dict.fromkeys([current.name, self.base.name]):
            result = results[name][0]
            draws = statistics.f_over_frames(np.array(result.counts), seed=0)
            test_f[name] = (result.final_f, *statistics.percentile_interval(draws))
            measured = "F {:.3f}, 95 % bootstrap interval over frames {:.3f} to {:.3f}".format(*test_f[name])
            decision.text.append(f"{name} on the test split: {measured}.")
        return test_f

    # -- pieces --------------------------------------------------------------------------------

    def _decision(self, phase: str, text: Sequence[str] = ()) -> Decision:
        found = self.protocol.phases[phase]
        self.decisions.append(Decision(phase, found.question, found.criteria, text=list(text)))
        return self.decisions[-1]

    def _variant(self, name: str, phase: str, question: str, overrides: Mapping[str, Any], at: str) -> Variant:
        return self.protocol.variant(name, phase, question, overrides, at)

    def _train_rates(self, plans: Mapping[str, tuple[OptimizerPlan, float]], seeds: int) -> None:
        self._train(
            [
                self._variant(name, "rate", f"{plan.name} at {rate:g}", with_rate(plan.overrides, rate), plan.where)
                for name, (plan, rate) in plans.items()
            ],
            seeds,
        )

    def _train(self, variants: Sequence[Variant], seeds: int) -> None:
        missing = [variant for variant in variants if len(self.results.get(variant.name, {})) < seeds]
        if missing:
            for name, results in self.train(missing, seeds).items():
                self.results.setdefault(name, {}).update(results)

    def _scores(self, name: str) -> dict[int, float]:
        return {seed: result.final_f for seed, result in self.results[name].items()}

    def _measures(self, name: str) -> dict[str, float | None]:
        return measures(list(self.results[name].values()))

    def _line(self, name: str, question: str, rate: float | None, others: Sequence[tuple[float, Result]]) -> Line:
        results = self.results[name]
        return Line(name, question, len(results), self._measures(name), judge(results[0], rate, others))


def measures(results: Sequence[Result]) -> dict[str, float | None]:
    """Every quantity that a criterion may name, as a mean over seeds; None where it was not measured."""
    last = [result.evaluations[-1] for result in results]
    dev, train = _mean([entry["dev_loss"] for entry in last]), _mean([entry["train_loss"] for entry in last])
    return {
        "dev_f": fmean(result.final_f for result in results),
        "dev_loss": dev,
        "train_loss": train,
        "gap": dev / train if dev is not None and train else None,
        "spread": statistics.spread([result.final_f for result in results]).sd,
        "cpu_seconds": fmean(result.cpu_seconds for result in results),
        "parameters": float(results[0].parameters),
    }


def best_of(lines: Sequence[Line], criteria: Criteria, tie: float) -> Line | None:
    """The best line that was not eliminated: by the main criterion, among ties by the secondary ones in order."""
    left = [line for line in lines if not line.outcome.startswith("eliminated")]
    if not left:
        return None
    top = max(_value(line, criteria.main) for line in left)
    tied = [line for line in left if top - _value(line, criteria.main) <= tie]
    return max(tied, key=lambda line: [_value(line, name) for name in (*criteria.secondary, criteria.main)])


def _value(line: Line, quantity: str) -> float:
    """Larger is better, whatever the quantity; what was not measured is worst."""
    value = line.measures[quantity]
    if value is None:
        return float("-inf")
    return value if QUANTITIES[quantity] else -value


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) == len(values) and known else None


def _at(plan: OptimizerPlan, rate: float) -> str:
    return f"{plan.name}-{rate:g}"


def _list(rates: Sequence[float]) -> str:
    return ", ".join(f"{rate:g}" for rate in rates)


def _words(found: statistics.Difference | None) -> str:
    if found is None or found.mean is None:
        return "not compared"
    if found.low is None:
        return f"{found.mean:+.4f} F with one seed, which says nothing about noise"
    return f"{found.mean:+.4f} F over {found.n} seeds, 95 % t interval {found.low:+.4f} to {found.high:+.4f}"
