"""What a search may choose: parameters with ranges and conditions, read from a file, and the config of a point.

    base: base.cfg                            beside the file
    always:                                   overrides of every point, applied first
      training.max_steps: ${budget}
    parameters:
      optimizer:
        kind: categorical
        choices:                              name -> overrides, as of a variant
          adam:
          sgd:
            training.optimizer: {"@optimizers": SGD.v1, ...}
      sgd_rate:
        kind: float                           or int; drawn from `range`, evenly over its logarithm with `log: true`
        range: [0.001, 1.0]
        log: true
        when: {optimizer: [sgd]}              only where sgd was chosen above
        sets: training.optimizer.learn_rate.initial_rate

Plain choices are a list (`choices: [0.0, 1.0]`) and need a `sets`, which may name several settings. Parameters are
chosen and applied from the top, so a whole block comes before what is set within it. Overrides and `${budget}` are
those of trajet.experiments.variants, in a range, too. Averages are off at every point.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from spacy.schemas import ConfigSchemaTraining
from spacy.util import CONFIG_SECTION_ORDER, registry
from thinc.api import Config

from trajet.errors import UserError
from trajet.experiments.overrides import Draft, check_override, innermost_optimizer, with_budget
from trajet.experiments.search.parameter import CATEGORICAL, FLOAT, INT, KINDS, Asks, Parameter, Value
from trajet.experiments.variants import Variant, resolve
from trajet.experiments.yaml_file import check_keys, mapping, nearest, plain, read_yaml
from trajet.experiments.yaml_file import where as where_of

# Fixed parameters of every trial, see trajet.experiments.studies.study.
_RESERVED = ("variant", "seed")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


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
        return next(_corners(self.settings, 0))

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


def load_space(path: Path, updates: int, base: Path | None = None, tried: bool = False) -> SearchSpace:
    """The space of a file.

    Args:
        path: of a YAML file.
        updates: budget of each training, for which `${budget}` stands.
        base: the base config, in place of the one that the file names.
        tried: the study was begun with this space, so its points make complete configs; trying them takes seconds.

    Raises:
        UserError: unknown or missing keys, a range or a condition that cannot be, a setting that the config of some
            point does not have or that refuses the value: file and line.
    """
    path = Path(path)
    document = read_yaml(path, "give a search space, for example configs/search.yml")
    check_keys(path, document, ("base", "always", "parameters"), ("base", "parameters"), "the search space")
    base = base or path.parent / str(document["base"])
    if not base.is_file():
        configs = [config.name for config in path.parent.glob("*.cfg")]
        raise UserError(
            f"{where_of(path, document, 'base')}: no config {base}{nearest(str(document['base']), configs)}"
        )
    always = mapping(path, document, "always") if document.get("always") is not None else {}
    entries = mapping(path, document, "parameters")
    if not entries:
        raise UserError(f"{where_of(path, document, 'parameters')}: no parameters here; a search needs one at least")
    settings: dict[str, Setting] = {}
    for name in entries:
        settings[str(name)] = _setting(path, entries, name, settings, updates)
    space = SearchSpace(path, base, updates, plain(always), tuple(settings.values()))
    if not tried:
        _check_points(space, {str(key): where_of(path, always, key) for key in always})
    return space


# -- reading a parameter ---------------------------------------------------------------------------


def _setting(path: Path, entries: Mapping, name: str, known: Mapping[str, Setting], updates: int) -> Setting:
    where, entry = where_of(path, entries, name), mapping(path, entries, name)
    if not _NAME.fullmatch(str(name)) or name in _RESERVED:
        raise UserError(
            f"{where}: parameter {name!r}: write letters, digits, _ and -, and neither {' nor '.join(_RESERVED)}"
        )
    kind = entry.get("kind")
    if kind not in KINDS:
        at = where_of(path, entry, "kind") if "kind" in entry else where
        raise UserError(f"{at}: parameter {name!r} has kind {plain(kind)!r}; choose one of {', '.join(KINDS)}")
    own = ("choices",) if kind == CATEGORICAL else ("range", "log")
    needed = "choices" if kind == CATEGORICAL else "range"
    check_keys(path, entry, ("kind", *own, "when", "sets"), (needed,), f"{kind} parameter {name!r}")
    when = _conditions(path, entry, known)
    blocks: dict[Value, Mapping[str, Any]] = {}
    if kind == CATEGORICAL:
        choices, blocks = _choices(path, entry)
        parameter = Parameter(str(name), kind, choices=choices, when=when)
    else:
        low, high, log = _range(path, entry, kind, updates)
        parameter = Parameter(str(name), kind, low, high, log, when=when)
    return Setting(parameter, _keys(path, entry, name, bool(blocks)), blocks, where)


def _range(path: Path, entry: Mapping, kind: str, updates: int) -> tuple[float | int, float | int, bool]:
    where, bounds = where_of(path, entry, "range"), with_budget(plain(entry["range"]), updates)
    if not (isinstance(bounds, list) and len(bounds) == 2 and all(_is_number(bound) for bound in bounds)):
        raise UserError(f"{where}: the range is {bounds!r}; write two numbers, [low, high]")
    low, high = bounds
    if kind == INT and not all(isinstance(bound, int) for bound in bounds):
        raise UserError(f"{where}: the range of an int is {bounds!r}; write whole numbers, or kind: float")
    if low >= high:
        raise UserError(f"{where}: the range [{low}, {high}] is the wrong way round or empty; write [low, high]")
    log = plain(entry.get("log", False))
    if not isinstance(log, bool):
        raise UserError(f"{where_of(path, entry, 'log')}: log is {log!r}; it must be true or false")
    if log and low <= 0:
        raise UserError(f"{where}: the range begins at {low} and log: true needs it above 0")
    return (float(low), float(high), log) if kind == FLOAT else (low, high, log)


def _choices(path: Path, entry: Mapping) -> tuple[tuple[Value, ...], dict[Value, Mapping[str, Any]]]:
    where, found = where_of(path, entry, "choices"), plain(entry["choices"])
    if isinstance(found, list) and all(value is None or isinstance(value, str | int | float) for value in found):
        labels, blocks = found, {}
    elif isinstance(found, Mapping):
        for label in entry["choices"]:
            # Nothing behind the name: the base config as it is.
            if entry["choices"][label] is not None:
                mapping(path, entry["choices"], label)
        blocks = {label: overrides or {} for label, overrides in found.items()}
        labels = list(blocks)
    else:
        raise UserError(f"{where}: choices are {found!r}; write a list of values, or `name:` lines with overrides")
    # True == 1 in Python, and Optuna tells choices apart by ==.
    if len(labels) < 2 or any(label in labels[:index] for index, label in enumerate(labels)):
        raise UserError(f"{where}: choices are {labels!r}; write at least two different ones")
    return tuple(labels), blocks


def _conditions(path: Path, entry: Mapping, known: Mapping[str, Setting]) -> dict[str, tuple[Value, ...]]:
    if "when" not in entry:
        return {}
    conditions = mapping(path, entry, "when")
    found: dict[str, tuple[Value, ...]] = {}
    for name in conditions:
        where, values = where_of(path, conditions, name), plain(conditions[name])
        if name not in known:
            raise UserError(f"{where}: when: no parameter {name!r} above{nearest(str(name), known)}")
        other = known[name].parameter
        if other.kind != CATEGORICAL:
            raise UserError(f"{where}: when: {name!r} is {other.kind}; a condition needs a categorical parameter")
        values = values if isinstance(values, list) else [values]
        for value in values:
            if value not in other.choices:
                raise UserError(
                    f"{where}: when: {name!r} has no choice {value!r}{nearest(str(value), map(str, other.choices))}"
                )
        if not values:
            raise UserError(f"{where}: when: {name!r} has no values here; name the choices with which it applies")
        found[str(name)] = tuple(values)
    return found


def _keys(path: Path, entry: Mapping, name: str, has_blocks: bool) -> tuple[str, ...]:
    if has_blocks and "sets" in entry:
        raise UserError(
            f"{where_of(path, entry, 'sets')}: parameter {name!r}: its choices have overrides; take `sets` away"
        )
    if has_blocks:
        return ()
    if "sets" not in entry:
        raise UserError(
            f"{path}:{entry.lc.line + 1}: parameter {name!r} needs `sets:`, the setting that takes its value"
        )  # type: ignore[attr-defined]
    keys = plain(entry["sets"])
    keys = keys if isinstance(keys, list) else [keys]
    if not keys or not all(isinstance(key, str) for key in keys):
        raise UserError(
            f"{where_of(path, entry, 'sets')}: sets is {keys!r}; write a setting of the config, or a list of them"
        )
    return tuple(keys)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")


# -- trying the points -----------------------------------------------------------------------------


def _check_points(space: SearchSpace, always: Mapping[str, str]) -> None:
    """Every combination of choices has the settings that it sets; each choice and bound makes a complete config."""
    draft = Draft(space.base)
    for key, value in space.always.items():
        check_override(draft, key, value, always[key])
    categorical = {parameter.name for parameter in space.parameters if parameter.kind == CATEGORICAL}
    seen: set[tuple[str, Value]] = set()
    for low in _corners(space.settings, 0):
        _check_settings(space, draft.copy(), low)
        # Completing a config takes a while: each choice once, and each number's two bounds once.
        parts = {(name, value if name in categorical else None) for name, value in low.items()}
        if not parts <= seen:
            seen |= parts
            for point in (low, _opposite(space.settings, low)):
                _check_config(space, point)


def _corners(
    settings: Sequence[Setting], index: int, chosen: Mapping[str, Value] | None = None
) -> Iterator[dict[str, Value]]:
    """Every combination of choices, with the numbers at their lower bounds."""
    chosen = dict(chosen or {})
    if index == len(settings):
        yield chosen
        return
    parameter = settings[index].parameter
    if not parameter.applies(chosen):
        yield from _corners(settings, index + 1, chosen)
        return
    for value in parameter.choices or (parameter.low,):
        yield from _corners(settings, index + 1, {**chosen, parameter.name: value})


def _opposite(settings: Sequence[Setting], point: Mapping[str, Value]) -> dict[str, Value]:
    """The same choices, the numbers at their upper bounds."""
    high = {setting.parameter.name: setting.parameter.high for setting in settings}
    return {name: value if high[name] is None else high[name] for name, value in point.items()}


def _check_settings(space: SearchSpace, draft: Draft, point: Mapping[str, Value]) -> None:
    setters: dict[str, str] = {}
    for setting in space.settings:
        name = setting.parameter.name
        if name not in point:
            continue
        for key, value in setting.overrides(point[name]).items():
            check_override(draft, key, value, setting.where)
        for key in setting.sets:
            if key in setters:
                raise UserError(
                    f"{setting.where}: {name!r} sets {key}, as {setters[key]!r} does; let their `when` exclude each other"
                )
            setters[key] = name
    for setting in space.settings:
        name = setting.parameter.name
        for key in setting.sets if name in point else ():
            if _at(draft.known, key) != point[name]:
                raise UserError(
                    f"{setting.where}: what {name!r} sets ({key}) is replaced by a parameter below; move it further down"
                )


def _check_config(space: SearchSpace, point: Mapping[str, Value]) -> None:
    """Complete, of the right types, and its new blocks can be built here."""
    try:
        config = _tried(space, point)
    except UserError as error:
        raise UserError(_first_refused(space, point) or str(error)) from None
    for setting in space.settings:
        for key, value in setting.blocks.get(point.get(setting.parameter.name), {}).items():
            if isinstance(value, Mapping) and "@architectures" in value:
                what = f"{setting.where}: {point[setting.parameter.name]!r} cannot be used"
                _build({"block": _at(config, key)}, what)


def _build(config: Mapping, what: str, **schema: Any) -> None:
    """Build a block and forget it; a refusal begins with `what`."""
    try:
        # A registered function of ours says on stderr what is wrong, and leaves.
        with redirect_stderr(StringIO()):
            registry.resolve(config, **schema)
    except (Exception, SystemExit) as error:  # what a function raises is its own affair
        cause = error.__cause__ if isinstance(error, SystemExit) and error.__cause__ else error
        raise UserError(f"{what}: {' '.join(str(cause).split())[:300]}") from None


def _tried(space: SearchSpace, point: Mapping[str, Value]) -> Config:
    """The config of a point, once its [training] section has been built."""
    config = space.config(point, seed=0)
    _build(config["training"], f"{space.path}: [training]", schema=ConfigSchemaTraining)
    return config


def _first_refused(space: SearchSpace, point: Mapping[str, Value]) -> str | None:
    """What is said of the first parameter of a point whose value makes the config impossible, with its line."""
    some: dict[str, Value] = {}
    try:
        _tried(space, some)
    except UserError:
        return None
    for setting in space.settings:
        if setting.parameter.name not in point:
            continue
        some[setting.parameter.name] = point[setting.parameter.name]
        try:
            _tried(space, some)
        except UserError as error:
            value = some[setting.parameter.name]
            return f"{setting.where}: {setting.parameter.name} = {value!r} is refused: {str(error).removeprefix(f'{space.path}: ')}"
    return None


def _at(config: Mapping, key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


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
