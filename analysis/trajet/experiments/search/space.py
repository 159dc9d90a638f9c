"""What a search may choose, and the config of a point."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spacy.util import CONFIG_SECTION_ORDER
from thinc.api import Config

from trajet.experiments.overrides import Draft, innermost_optimizer, with_budget
from trajet.experiments.search.parameter import Asks, Parameter, Value
from trajet.experiments.variants import Variant, resolve


@dataclass(frozen=True)
class Setting:
    """A parameter and what it does to the config: keys that take its value, or overrides of each choice."""

    parameter: Parameter
    sets: tuple[str, ...] = ()
    blocks: Mapping[Value, Mapping[str, Any]] = field(default_factory=dict)
    where: str = ""

    def overrides(self, value: Value) -> dict[str, Any]:
        """Dotted key -> value or block."""
        return {**dict.fromkeys(self.sets, value), **self.blocks.get(value, {})}


@dataclass(frozen=True)
class SearchSpace:
    """A file of parameters, for trainings of `updates` updates."""

    path: Path
    base: Path
    updates: int
    always: Mapping[str, Any]
    settings: tuple[Setting, ...]

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """In file order."""
        return tuple(setting.parameter for setting in self.settings)

    def ask(self, trial: Asks) -> dict[str, Value]:
        """A point: values of the parameters that apply, from `trial`."""
        chosen: dict[str, Value] = {}
        for parameter in self.parameters:
            if parameter.applies(chosen):
                chosen[parameter.name] = parameter.ask(trial)
        return chosen

    def first_point(self) -> dict[str, Value]:
        """The first choices and the lower bounds."""
        return next(corners(self.settings))

    def overrides(self, point: Mapping[str, Value]) -> dict[str, Any]:
        """What a point changes in the base config, in order."""
        found = dict(self.always)
        for setting in self.settings:
            if setting.parameter.name in point:
                # A later override of the same key must be applied later, not in the earlier one's place.
                for key, value in setting.overrides(point[setting.parameter.name]).items():
                    found.pop(key, None)
                    found[key] = value
        return found

    def config(self, point: Mapping[str, Value], seed: int, paths: Mapping[str, str | Path] | None = None) -> Config:
        """The complete config of a point, as `resolve` makes it of a variant."""
        variant = Variant("search", "search", "", self.base, self.overrides(point), where=str(self.path))
        return resolve(variant, self.updates, seed, paths)

    def ready_config(self, point: Mapping[str, Value], seed: int) -> Config:
        """The config of a point with its variables (`${paths.train}`) left in, for a file that people train with."""
        draft = Draft(self.base)
        for key, value in self.overrides(point).items():
            draft.set(key, with_budget(value, self.updates), str(self.path))
        for key, value in (
            ("system.seed", seed),
            ("training.seed", "${system.seed}"),
            (f"{innermost_optimizer(draft.known)}.use_averages", False),
        ):
            draft.set(key, value, str(self.path))
        complete = draft.config(str(self.path))
        return Config(_with_variables(complete, draft.raw), section_order=CONFIG_SECTION_ORDER)

    def to_dict(self) -> dict[str, Any]:
        """JSON values; equal for files that give the same points the same trainings."""
        settings = [
            {
                **setting.parameter.to_dict(),
                "sets": list(setting.sets),
                # A list, because JSON has texts for keys only.
                "overrides": [[label, dict(block)] for label, block in setting.blocks.items()],
            }
            for setting in self.settings
        ]
        return {"always": dict(self.always), "parameters": settings}


def corners(settings: Sequence[Setting], chosen: Mapping[str, Value] | None = None) -> Iterator[dict[str, Value]]:
    """Every combination of choices, with the numbers at their lower bounds."""
    chosen = dict(chosen or {})
    if not settings:
        yield chosen
        return
    parameter, rest = settings[0].parameter, settings[1:]
    if not parameter.applies(chosen):
        yield from corners(rest, chosen)
        return
    for value in parameter.choices or (parameter.low,):
        yield from corners(rest, {**chosen, parameter.name: value})


def _with_variables(complete: Mapping, raw: Mapping) -> dict[str, Any]:
    """A complete config with the variables and the order of the one it was made of."""
    found: dict[str, Any] = {}
    for key in (*(key for key in raw if key in complete), *(key for key in complete if key not in raw)):
        value, before = complete[key], raw.get(key)
        if isinstance(value, Mapping):
            found[key] = _with_variables(value, before if isinstance(before, Mapping) else {})
        else:
            found[key] = before if isinstance(before, str) and "${" in before else value
    return found
