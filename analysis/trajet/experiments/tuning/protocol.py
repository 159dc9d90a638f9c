"""The protocol of `tune` as data: what is tried in each phase and what decides.

base: base.cfg                     config that everything is changed from, beside the file
explore_seeds, decide_seeds        trainings of a candidate that is explored, of one that is decided on
tie                                differences of the main criterion below this are left to the secondary ones
gap                                dev loss / train loss above which regularisation is tried
always                             overrides of every training, as in configs/variants.yml
optimizers.NAME                    overrides with `${rate}`, a textbook rate (`start`) and a grid of rates
refine                             rates to try around a best one
phases.NAME                        question, main, eliminating, secondary, ignored; candidates where it has some
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trajet.errors import UserError
from trajet.experiments.tuning.curves import VERDICTS
from trajet.experiments.variants import Variant
from trajet.experiments.yaml_file import check_keys, mapping, plain, read_yaml, where

PHASES = ("start", "rate", "architecture", "options", "test")
# Quantity -> whether more of it is better.
QUANTITIES = {
    "dev_f": True, "dev_loss": False, "train_loss": False, "gap": False, "spread": False, "cpu_seconds": False,
    "parameters": False,
}  # fmt: skip
_ROLES = ("main", "eliminating", "secondary", "ignored")
_SETTINGS = ("base", "explore_seeds", "decide_seeds", "tie", "gap", "always", "optimizers", "refine", "phases")


@dataclass(frozen=True)
class Criteria:
    """What decides a phase: `main` first, among ties `secondary` in order; `ignored` is shown and not used."""

    main: str
    eliminating: tuple[str, ...]
    secondary: tuple[str, ...]
    ignored: tuple[str, ...]


@dataclass(frozen=True)
class Candidate:
    """A change to try."""

    name: str
    question: str
    overrides: Mapping[str, Any]
    where: str


@dataclass(frozen=True)
class Phase:
    """A question, what decides it, and changes to try; `regularisation` only where there is a gap."""

    name: str
    question: str
    criteria: Criteria
    candidates: tuple[Candidate, ...] = ()
    candidates_of: Mapping[str, tuple[Candidate, ...]] = field(default_factory=dict)
    regularisation: tuple[Candidate, ...] = ()


@dataclass(frozen=True)
class OptimizerPlan:
    """An optimizer, its textbook rate and the rates it is explored at."""

    name: str
    overrides: Mapping[str, Any]
    start: float
    grid: tuple[float, ...]
    where: str


@dataclass(frozen=True)
class Protocol:
    """All of a file; see the module."""

    base: Path
    explore_seeds: int
    decide_seeds: int
    tie: float
    gap: float
    always: Mapping[str, Any]
    optimizers: tuple[OptimizerPlan, ...]
    refine: Mapping[float, tuple[float, ...]]
    phases: Mapping[str, Phase]

    def variant(self, name: str, phase: str, question: str, overrides: Mapping[str, Any], at: str) -> Variant:
        """A training of this protocol; `at` says where its overrides stand."""
        return Variant(name, phase, question, self.base, {**self.always, **overrides}, where=at)

    def refined(self, rate: float) -> tuple[float, ...]:
        """Rates to try around a best one."""
        return self.refine.get(rate, (rate / 2, rate, rate * 2))


def with_rate(overrides: Mapping[str, Any], rate: float) -> dict[str, Any]:
    """Overrides with `${rate}` replaced, however deep it stands."""

    def replaced(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: replaced(item) for key, item in value.items()}
        return rate if value == "${rate}" else value

    return {key: replaced(value) for key, value in overrides.items()}


def load_protocol(path: Path) -> Protocol:
    """Read a protocol.

    Raises:
        UserError: unknown or missing keys, criteria that do not exist or stand in two roles, rates that are no
            numbers above 0: file and line.
    """
    document = read_yaml(path, "give a protocol, for example configs/tune.yml")
    check_keys(path, document, _SETTINGS, _SETTINGS, "the protocol")
    for key, kind, least in (("explore_seeds", int, 1), ("decide_seeds", int, 2), ("tie", float, 0), ("gap", float, 1)):
        value = plain(document[key])
        if isinstance(value, bool) or not isinstance(value, int | kind) or value < least:
            raise UserError(f"{where(path, document, key)}: {key} is {value!r}; a number of at least {least} is needed")
    base = path.parent / str(document["base"])
    if not base.is_file():
        raise UserError(f"{where(path, document, 'base')}: no config {base}")
    optimizers = mapping(path, document, "optimizers")
    phases = mapping(path, document, "phases")
    check_keys(path, phases, PHASES, PHASES, "phases")
    return Protocol(
        base, document["explore_seeds"], document["decide_seeds"], document["tie"], document["gap"],
        plain(mapping(path, document, "always")),
        tuple(_optimizer(path, name, optimizers) for name in optimizers),
        {entry["around"]: tuple(_rates(path, entry, "rates")) for entry in document["refine"]},
        {name: _phase(path, name, phases, [str(key) for key in optimizers]) for name in PHASES},
    )  # fmt: skip


def _optimizer(path: Path, name: str, parent: Mapping) -> OptimizerPlan:
    entry, at = mapping(path, parent, name), where(path, parent, name)
    check_keys(path, entry, ("overrides", "start", "grid"), ("overrides", "start", "grid"), f"optimizer {name}")
    overrides = plain(mapping(path, entry, "overrides"))
    if "${rate}" not in str(overrides):
        raise UserError(f"{at}: optimizer {name}: nothing in its overrides is ${{rate}}; say where the rate stands")
    start = plain(entry["start"])
    _check_rate(start, where(path, entry, "start"))
    return OptimizerPlan(name, overrides, start, tuple(_rates(path, entry, "grid")), at)


def _rates(path: Path, entry: Mapping, key: str) -> list[float]:
    rates = plain(entry[key])
    if not isinstance(rates, list) or not rates:
        raise UserError(f"{where(path, entry, key)}: {key} needs a list of rates")
    for rate in rates:
        _check_rate(rate, where(path, entry, key))
    return sorted(rates)


def _check_rate(rate: Any, at: str) -> None:
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < float("inf"):
        raise UserError(f"{at}: {rate!r} is no rate; a number above 0 is needed")


def _phase(path: Path, name: str, phases: Mapping, optimizers: list[str]) -> Phase:
    entry = mapping(path, phases, name)
    extra = {"architecture": ("candidates", "regularisation"), "options": ("candidates", "candidates_of")}.get(name, ())
    check_keys(path, entry, ("question", *_ROLES, *extra), ("question", *_ROLES), f"phase {name}")
    criteria = _criteria(path, entry)
    of = mapping(path, entry, "candidates_of") if "candidates_of" in entry else {}
    if of:
        check_keys(path, of, optimizers, (), "candidates_of")
    return Phase(
        name,
        str(entry["question"]),
        criteria,
        _candidates(path, entry, "candidates"),
        {optimizer: _candidates(path, of, optimizer) for optimizer in of},
        _candidates(path, entry, "regularisation"),
    )


def _criteria(path: Path, entry: Mapping) -> Criteria:
    used: dict[str, str] = {}
    for role in _ROLES:
        at = where(path, entry, role)
        names = [entry[role]] if role == "main" else list(entry[role])
        known = VERDICTS if role == "eliminating" else tuple(QUANTITIES)
        for name in names:
            if name not in known:
                raise UserError(f"{at}: {role}: {name!r} is none of {', '.join(known)}")
            if name in used:
                raise UserError(f"{at}: {name} is {role} and {used[name]}; it can be one of them")
            used[name] = role
    return Criteria(entry["main"], *(tuple(entry[role]) for role in _ROLES[1:]))


def _candidates(path: Path, parent: Mapping, key: str) -> tuple[Candidate, ...]:
    if key not in parent:
        return ()
    found = []
    entries = mapping(path, parent, key)
    for name in entries:
        entry, at = mapping(path, entries, name), where(path, entries, name)
        check_keys(path, entry, ("question", "overrides"), ("question", "overrides"), f"candidate {name}")
        overrides = plain(mapping(path, entry, "overrides"))
        found.append(Candidate(str(name), str(entry["question"]), overrides, at))
    return tuple(found)
