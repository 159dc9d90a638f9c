"""A search space, read from a file: parameters with ranges and conditions.

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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trajet.errors import UserError
from trajet.experiments.overrides import with_budget
from trajet.experiments.search.parameter import CATEGORICAL, FLOAT, INT, KINDS, Parameter, Value
from trajet.experiments.search.space import SearchSpace, Setting
from trajet.experiments.search.space_check import check_points
from trajet.experiments.yaml_file import check_keys, mapping, nearest, plain, read_yaml
from trajet.experiments.yaml_file import where as where_of

# Fixed parameters of every trial, see trajet.experiments.studies.study.
_RESERVED = ("variant", "seed")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


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
        check_points(space, {str(key): where_of(path, always, key) for key in always})
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
