"""Overrides of a config by dotted key: checked against what the config has, applied, and the config completed.

The budget is the `max_steps` of a run. In a value `${budget}` is that number, `${budget * 0.5}` a share of it (at
least 1), `${250 / budget}` the share that 250 updates are of it (at most 1). Other `${...}` are the config's own.
"""

import copy
import functools
import importlib.metadata
import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import catalogue
from spacy.language import Language
from spacy.schemas import ConfigSchema
from spacy.util import get_lang_class, registry
from thinc.api import Config

from trajet.config import load_config
from trajet.errors import UserError
from trajet.experiments.yaml_file import nearest
from trajet.files import read_text

_NUMBER = r"\d+(?:\.\d+)?"
_BUDGET = re.compile(rf"\$\{{\s*(?:(?P<of>{_NUMBER})\s*/\s*budget|budget(?:\s*\*\s*(?P<share>{_NUMBER}))?)\s*\}}")
_AVERAGES = "training.optimizer.use_averages"


class Draft:
    """A config while overrides are put in.

    `raw` keeps its variables, so that a setting that refers to another follows it; `known` is the same config
    complete and with its variables replaced, and says which settings there are.
    """

    def __init__(self, path: Path):
        self.known = _known(path, read_text(path, "give the path of a spaCy config")).copy()
        self.raw = Config().from_disk(path, interpolate=False)

    def copy(self) -> "Draft":
        """Another draft with the same settings."""
        other = copy.copy(self)
        other.known, other.raw = self.known.copy(), self.raw.copy()
        return other

    def set(self, key: str, value: Any, where: str) -> None:
        """Put a value or a block in the place of what is there.

        Raises:
            UserError: the config has no such key; names the nearest.
        """
        *parents, last = key.split(".")
        block: Any = self.known
        for part in parents:
            block = block.get(part) if isinstance(block, Mapping) else None
        if not isinstance(block, Mapping) or last not in block:
            raise UserError(f"{where}: the config has no {key!r}{nearest(key, _dotted_keys(self.known))}")
        block[last] = value  # type: ignore[index]
        block = self.raw
        for part in parents:
            # The raw config leaves out what spaCy fills in.
            if not isinstance(block.get(part), dict):
                block[part] = {}
            block = block[part]
        block[last] = value

    def config(self, where: str) -> Config:
        """The config, complete and with its variables replaced.

        Raises:
            UserError: a variable that there is not, a block that does not fit its function.
        """
        try:
            interpolated = self.raw.interpolate()
        except Exception as error:  # confection and configparser have no common base
            raise UserError(f"{where}: {' '.join(str(error).split())[:300]}") from None
        return _complete(interpolated, where)


def check_override(draft: Draft, key: str, value: Any, where: str) -> None:
    """Put an override into `draft`; refuse what would be accepted silently and do nothing, or another thing.

    Raises:
        UserError: a key that the config has not, a block that no function takes, use_averages (a setting of the
            whole variant), an unknown use of the budget; begins with `where`.
    """
    if key == _AVERAGES or (isinstance(value, dict) and any("use_averages" in block for block in _blocks(value))):
        raise UserError(f"{where}: use_averages is a line of the variant itself, not an override")
    for text in _texts(value):
        if re.search(r"\$\{[^}]*\bbudget\b", text) and not _BUDGET.fullmatch(text):
            raise UserError(
                f"{where}: {text!r} is not understood; write ${{budget}}, ${{budget * 0.5}} or ${{250 / budget}}"
            )
    if isinstance(value, dict):
        if not any(name.startswith("@") for name in value):
            raise UserError(
                f'{where}: a block needs the function it is for, such as "@schedules"; or name its settings one by one'
            )
        for block in _blocks(value):
            _check_block(block, where)
    draft.set(key, value, where)


def _check_block(block: Mapping, where: str) -> None:
    """A function that exists and arguments that it takes."""
    kinds = [key for key in block if key.startswith("@")]
    if not kinds:
        return
    kind, name = kinds[0][1:], block[kinds[0]]
    if not registry.has(kind, name):
        raise UserError(f"{where}: no {kinds[0]} {name!r}{nearest(name, _registered(kind))}")
    parameters = inspect.signature(registry.get(kind, name)).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    for key in block:
        if not key.startswith("@") and key != "*" and key not in parameters:
            raise UserError(f"{where}: {name} takes no {key!r}{nearest(key, parameters)}")
    for key, parameter in parameters.items():
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_POSITIONAL and key not in block:
            raise UserError(f"{where}: {name} needs {key!r}")


def with_budget(value: Any, budget: int) -> Any:
    """A value, or all values of a block, with the placeholders of the budget replaced."""
    if isinstance(value, Mapping):
        return {key: with_budget(item, budget) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [with_budget(item, budget) for item in value]
    match = _BUDGET.fullmatch(value) if isinstance(value, str) else None
    if not match:
        return value
    if match["of"]:
        return min(1.0, float(match["of"]) / budget)
    # 0.29 * 100 is a little less than 29.
    return budget if match["share"] is None else max(1, int(budget * float(match["share"]) + 1e-9))


def innermost_optimizer(config: Config) -> str:
    """The key of the block that has the averages: an optimizer that wraps another has none of its own."""
    key, block = "training.optimizer", config["training"]["optimizer"]
    while isinstance(block.get("optimizer"), dict):
        key, block = f"{key}.optimizer", block["optimizer"]
    # A block just put in has only what was written.
    block.setdefault("use_averages", None)
    return key


# -- configs ---------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=8)
def _known(path: Path, text: str) -> Config:
    """A config file, complete; kept, as all variants begin with the same one."""
    return _complete(load_config(path), str(path))


def _complete(config: Config, where: str) -> Config:
    """What spaCy makes of a config before it builds anything: its default config, and all arguments' defaults."""
    language: type[Language] = get_lang_class(config["nlp"]["lang"])
    try:
        merged = Config(language.default_config).merge(config)
        components, pretraining = merged.pop("components", {}), merged.pop("pretraining", {})
        merged["components"] = {}
        filled = registry.fill(merged, schema=ConfigSchema)  # type: ignore[arg-type]
        filled["components"] = registry.fill({"components": components})["components"]
    except Exception as error:  # confection, catalogue and pydantic have no common base
        raise UserError(f"{where}: {' '.join(str(error).split())[:300]}") from None
    filled["pretraining"] = pretraining
    return Config(filled)


# -- names -----------------------------------------------------------------------------------------


def _blocks(value: Any) -> Iterator[Mapping]:
    """A block and all within it."""
    if isinstance(value, Mapping):
        yield value
        for item in value.values():
            yield from _blocks(item)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(item)


def _dotted_keys(config: Mapping, prefix: str = "") -> Iterator[str]:
    for key, value in config.items():
        yield prefix + key
        if isinstance(value, Mapping):
            yield from _dotted_keys(value, f"{prefix}{key}.")


def _registered(kind: str) -> list[str]:
    """Names of a registry, without importing what is behind them."""
    entries = getattr(registry, kind, None)
    if entries is None:
        return []
    namespace = tuple(entries.namespace)
    points = importlib.metadata.entry_points(group=entries.entry_point_namespace)
    return sorted(
        {*(point.name for point in points), *(keys[-1] for keys in catalogue.REGISTRY if keys[:-1] == namespace)}
    )
