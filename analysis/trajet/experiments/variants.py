"""Named variants of a training: what is asked, what is changed, and the complete config that comes of it.

    always:                                   overrides of every variant, applied before its own
      training.max_steps: ${budget}
    groups:
      clip:                                   variants that answer the same question
        clip-none:
          question: Does it learn without the clip?
          base: base.cfg                      beside the file
          use_averages: false                 always stated: spaCy's hidden default differs by optimizer
          overrides:
            training.optimizer.grad_clip: 0.0

An override names a setting that the base config has, filled with spaCy's defaults. Its value is a plain one or a
whole block (`"@schedules": ...`) that stands in the place of what was there; only so can new keys come in.

The budget is the `max_steps` of a run. `${budget}` is that number, `${budget * 0.5}` a share of it (at least 1),
`${250 / budget}` the share that 250 updates are of it (at most 1). Other `${...}` are the config's own variables.
"""

import copy
import difflib
import functools
import importlib.metadata
import inspect
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import catalogue
from spacy.language import Language
from spacy.schemas import ConfigSchema
from spacy.util import get_lang_class, registry
from srsly.ruamel_yaml import YAML
from srsly.ruamel_yaml.error import MarkedYAMLError, MarkedYAMLFutureWarning, YAMLError
from thinc.api import Config

from trajet.config import load_config
from trajet.errors import UserError
from trajet.files import read_text

BASE = "base"
_REQUIRED = ("question", "base", "use_averages")
_KEYS = (*_REQUIRED, "rate_from", "overrides")
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")
_BUDGET = re.compile(r"\$\{\s*(?:(?P<of>[\d.]+)\s*/\s*)?budget\s*(?:\*\s*(?P<share>[\d.]+)\s*)?\}")
_AVERAGES = "training.optimizer.use_averages"


@dataclass(frozen=True)
class Variant:
    """A training that differs from the base in one thing, or in a few.

    Attributes:
        name: also of its folder.
        group: of the question it belongs to.
        question: one sentence.
        base: path of the spaCy config that is changed.
        overrides: dotted key -> value or whole block, applied in this order.
        use_averages: whether the running average of the weights is what is evaluated and saved.
        rate_from: where its learning rate comes from, if a search gave it.
        where: file:line, for messages.
    """

    name: str
    group: str
    question: str
    base: Path
    overrides: Mapping[str, Any] = field(default_factory=dict)
    use_averages: bool = False
    rate_from: str | None = None
    where: str = ""


class Change(NamedTuple):
    """A setting that two configs have differently, both values as JSON; None where one has no such setting."""

    key: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        return f"{self.key}: {self.before or '-'} -> {self.after or '-'}"


def load_variants(path: Path) -> dict[str, Variant]:
    """The variants of a file by name, in file order.

    Raises:
        UserError: unknown or missing keys, an unknown base config, an override of what the base does not have, a
            name twice: file, line, and the nearest that exists.
    """
    path = Path(path)
    document = _read_yaml(path)
    _check_keys(path, document, ("always", "groups"), ("groups",), "the file")
    always = _mapping(path, document, "always") if "always" in document else {}
    variants: dict[str, Variant] = {}
    drafts: dict[Path, _Draft] = {}
    groups = _mapping(path, document, "groups")
    for group in groups:
        members = _mapping(path, groups, group)
        for name in members:
            where = _where(path, members, name)
            if not _NAME.fullmatch(str(name)):
                raise UserError(f"{where}: variant {name!r}: write lower-case letters, digits, dots and hyphens")
            if name in variants:
                raise UserError(f"{where}: variant {name!r} is there already ({variants[name].where}); rename one")
            variants[name] = _variant(path, group, name, members, always, drafts)
    return variants


def choose(variants: Mapping[str, Variant], name: str) -> Variant:
    """One of the variants.

    Raises:
        UserError: there is none of this name; names the nearest.
    """
    if name not in variants:
        raise UserError(f"no variant {name!r}{_nearest(name, variants)}")
    return variants[name]


def resolve(variant: Variant, budget: int, seed: int, paths: Mapping[str, str | Path] | None = None) -> Config:
    """The complete config of one run: defaults filled in, variables replaced, schedules as long as the run.

    Args:
        variant: what is changed.
        budget: `max_steps`; spaCy makes budget + 1 updates, the last of them at rate 0 where a schedule ends there.
        seed: of everything random.
        paths: entries of the config's [paths] to replace.

    Raises:
        UserError: the budget is no whole number of evaluations, a path or a setting that the config does not have.
    """
    if budget < 1:
        raise UserError(f"the budget is {budget}; it must be at least 1 update")
    where = variant.where or variant.name
    draft = _Draft(variant.base)
    for key, value in variant.overrides.items():
        draft.set(key, _with_budget(value, budget), where)
    for name, value in (paths or {}).items():
        draft.set(f"paths.{name}", str(value), "paths")
    draft.set("system.seed", seed, where)
    draft.set("training.seed", seed, where)
    draft.set(f"{_innermost_optimizer(draft.known)}.use_averages", variant.use_averages, where)
    config = draft.config(where)
    every = config["training"]["eval_frequency"]
    if budget % every:
        raise UserError(
            f"{variant.name}: with {budget} updates and an evaluation every {every} the last would come at "
            f"{budget // every * every}; choose a multiple of {every}"
        )
    return config


def diff(before: Mapping[str, Any], after: Mapping[str, Any], key: str = "") -> list[Change]:
    """What `after` has differently, a line a dotted key; a block that only one has is one line."""
    changes: list[Change] = []
    for name in [*before, *(name for name in after if name not in before)]:
        dotted = f"{key}.{name}" if key else name
        old, new = before.get(name, _ABSENT), after.get(name, _ABSENT)
        if isinstance(old, Mapping) and isinstance(new, Mapping) and not _strangers(old, new):
            changes += diff(old, new, dotted)
        # True == 1 in Python, not in a config.
        elif old != new or isinstance(old, bool) != isinstance(new, bool):
            changes.append(Change(dotted, _text(old), _text(new)))
    return changes


# -- reading the file ------------------------------------------------------------------------------


def _read_yaml(path: Path) -> Mapping:
    text = read_text(path, "give a file of variants, for example configs/variants.yml")
    try:
        document = YAML(typ="rt").load(text)
    except (MarkedYAMLError, MarkedYAMLFutureWarning) as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"{path}:{line}: {error.problem or 'not YAML'}") from None
    except YAMLError as error:
        raise UserError(f"{path}: not YAML: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(document, Mapping):
        raise UserError(f"{path}:1: no variants here; begin with `groups:`")
    return document


def _mapping(path: Path, parent: Mapping, key: str) -> Mapping:
    value = parent[key]
    if not isinstance(value, Mapping):
        raise UserError(f"{_where(path, parent, key)}: {key!r} holds {value!r}; it must hold `key: value` lines")
    return value


def _where(path: Path, parent: Any, key: str) -> str:
    """file:line of a key."""
    return f"{path}:{parent.lc.key(key)[0] + 1}"


def _check_keys(path: Path, found: Mapping, known: Iterable[str], required: Iterable[str], what: str) -> None:
    for key in found:
        if key not in known:
            raise UserError(f"{_where(path, found, key)}: {what} has no {key!r}{_nearest(str(key), known)}")
    for key in required:
        if key not in found:
            line = found.lc.line + 1  # type: ignore[attr-defined]
            raise UserError(f"{path}:{line}: {what} needs `{key}:`")


def _variant(
    path: Path, group: str, name: str, members: Mapping, always: Mapping, drafts: "dict[Path, _Draft]"
) -> Variant:
    where, entry = _where(path, members, name), _mapping(path, members, name)
    _check_keys(path, entry, _KEYS, _REQUIRED, f"variant {name!r}")
    for key, kind in (("question", str), ("base", str), ("use_averages", bool), ("rate_from", str)):
        if key in entry and not isinstance(entry[key], kind):
            needed = "true or false" if kind is bool else "a text"
            raise UserError(f"{_where(path, entry, key)}: {key} is {entry[key]!r}; it must be {needed}")
    base = path.parent / entry["base"]
    if not base.is_file():
        configs = [config.name for config in path.parent.glob("*.cfg")]
        raise UserError(f"{_where(path, entry, 'base')}: no config {base}{_nearest(entry['base'], configs)}")
    if base not in drafts:
        drafts[base] = _Draft(base)
    own = _mapping(path, entry, "overrides") if "overrides" in entry else {}
    draft = drafts[base].copy()
    for overrides in (always, own):
        for key in overrides:
            _check_override(draft, key, _plain(overrides[key]), _where(path, overrides, key))
    overrides = {str(key): _plain(value) for key, value in (*always.items(), *own.items())}
    return Variant(
        name, group, entry["question"].strip(), base, overrides, entry["use_averages"], entry.get("rate_from"), where
    )


def _plain(value: Any) -> Any:
    """The reader's own kinds of numbers, texts and mappings as Python's."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bool) or value is None:
        return value
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return str(value)


# -- applying overrides ----------------------------------------------------------------------------


class _Draft:
    """A config while overrides are put in.

    `raw` keeps its variables, so that a setting that refers to another follows it; `known` is the same config
    complete and with its variables replaced, and says which settings there are.
    """

    def __init__(self, path: Path):
        self.known = _known(path, read_text(path, "give the path of a spaCy config")).copy()
        self.raw = Config().from_disk(path, interpolate=False)

    def copy(self) -> "_Draft":
        other = copy.copy(self)
        other.known, other.raw = self.known.copy(), self.raw.copy()
        return other

    def set(self, key: str, value: Any, where: str) -> None:
        *parents, last = key.split(".")
        block: Any = self.known
        for part in parents:
            block = block.get(part) if isinstance(block, Mapping) else None
        if not isinstance(block, Mapping) or last not in block:
            raise UserError(f"{where}: the config has no {key!r}{_nearest(key, _dotted_keys(self.known))}")
        block[last] = value  # type: ignore[index]
        block = self.raw
        for part in parents:
            # The raw config leaves out what spaCy fills in.
            if not isinstance(block.get(part), dict):
                block[part] = {}
            block = block[part]
        block[last] = value

    def config(self, where: str) -> Config:
        try:
            interpolated = self.raw.interpolate()
        except Exception as error:  # confection and configparser have no common base
            raise UserError(f"{where}: {' '.join(str(error).split())[:300]}") from None
        return _complete(interpolated, where)


def _check_override(draft: _Draft, key: str, value: Any, where: str) -> None:
    """Refuse what would be accepted silently: a key that nobody reads, a block that no function takes."""
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
        raise UserError(f"{where}: no {kinds[0]} {name!r}{_nearest(name, _registered(kind))}")
    parameters = inspect.signature(registry.get(kind, name)).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    for key in block:
        if not key.startswith("@") and key != "*" and key not in parameters:
            raise UserError(f"{where}: {name} takes no {key!r}{_nearest(key, parameters)}")
    for key, parameter in parameters.items():
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_POSITIONAL and key not in block:
            raise UserError(f"{where}: {name} needs {key!r}")


def _with_budget(value: Any, budget: int) -> Any:
    if isinstance(value, Mapping):
        return {key: _with_budget(item, budget) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_budget(item, budget) for item in value]
    match = _BUDGET.fullmatch(value) if isinstance(value, str) else None
    if not match:
        return value
    if match["of"]:
        return min(1.0, float(match["of"]) / budget)
    return budget if match["share"] is None else max(1, int(budget * float(match["share"])))


def _innermost_optimizer(config: Config) -> str:
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


def _strangers(old: Mapping, new: Mapping) -> bool:
    """Blocks of two functions that share no argument: side by side they say more than key by key."""
    functions = [{(key, block[key]) for key in block if key.startswith("@")} for block in (old, new)]
    return functions[0] != functions[1] and all(key.startswith("@") for key in old.keys() & new.keys())


def _text(value: Any) -> str | None:
    return None if value is _ABSENT else json.dumps(value, ensure_ascii=False)


_ABSENT: Any = object()


# -- names -----------------------------------------------------------------------------------------


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, [str(key) for key in known], n=1, cutoff=0.0)
    return f"; the nearest is {near[0]!r}" if near else ""


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
