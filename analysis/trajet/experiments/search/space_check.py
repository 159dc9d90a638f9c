"""Whether a search space's points make configs that can be trained: every combination of choices is tried."""

from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from io import StringIO
from typing import Any

from spacy.schemas import ConfigSchemaTraining
from spacy.util import registry
from thinc.api import Config

from trajet.errors import UserError
from trajet.experiments.overrides import Draft, check_override
from trajet.experiments.search.parameter import CATEGORICAL, Value
from trajet.experiments.search.space import SearchSpace, Setting, corners


def check_points(space: SearchSpace, always: Mapping[str, str]) -> None:
    """Every combination of choices has the settings that it sets; each choice and bound makes a complete config."""
    draft = Draft(space.base)
    for key, value in space.always.items():
        check_override(draft, key, value, always[key])
    categorical = {parameter.name for parameter in space.parameters if parameter.kind == CATEGORICAL}
    seen: set[tuple[str, Value]] = set()
    for low in corners(space.settings):
        _check_settings(space, draft.copy(), low)
        # Completing a config takes a while: each choice once, and each number's two bounds once.
        parts = {(name, value if name in categorical else None) for name, value in low.items()}
        if not parts <= seen:
            seen |= parts
            for point in (low, _opposite(space.settings, low)):
                _check_config(space, point)


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
