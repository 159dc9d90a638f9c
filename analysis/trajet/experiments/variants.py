"""Named variants of a training: what is asked, what is changed, and the complete config that comes of it.

    always:                                   overrides of every variant, applied before its own
      training.max_steps: ${budget}
    groups:
      clip:                                   variants that answer the same question
        clip-none:
          question: Does it learn without the clip?
          base: base.cfg                      beside the file
          use_averages: false                 always stated: spaCy's hidden default differs by optimizer
          seeds: 3                            trainings of it that an ablation makes, if it is to be in one
          overrides:
            training.optimizer.grad_clip: 0.0

An override names a setting that the base config has, filled with spaCy's defaults. Its value is a plain one or a
whole block (`"@schedules": ...`) that stands in the place of what was there; only so can new keys come in. How the
budget of a run is put in: see trajet.experiments.overrides.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from thinc.api import Config

from trajet.errors import UserError
from trajet.experiments.overrides import Draft, check_override, innermost_optimizer, with_budget
from trajet.experiments.yaml_file import check_keys, mapping, nearest, plain, read_yaml
from trajet.experiments.yaml_file import where as where_of

BASE = "base"
_HINT = "give a file of variants, for example configs/variants.yml"
_REQUIRED = ("question", "base", "use_averages")
_KEYS = (*_REQUIRED, "seeds", "rate_from", "overrides")
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")
_ABSENT: Any = object()


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
        seeds: planned trainings in an ablation; 0 is left to those who ask for it by name.
        rate_from: where its learning rate comes from, if a search gave it.
        where: file:line, for messages.
    """

    name: str
    group: str
    question: str
    base: Path
    overrides: Mapping[str, Any] = field(default_factory=dict)
    use_averages: bool = False
    seeds: int = 0
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
    document = read_yaml(path, _HINT)
    check_keys(path, document, ("always", "groups"), ("groups",), "the file")
    always = mapping(path, document, "always") if "always" in document else {}
    variants: dict[str, Variant] = {}
    drafts: dict[Path, Draft] = {}
    groups = mapping(path, document, "groups")
    for group in groups:
        members = mapping(path, groups, group)
        for name in members:
            where = where_of(path, members, name)
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
        raise UserError(f"no variant {name!r}{nearest(name, variants)}")
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
    draft = Draft(variant.base)
    for key, value in variant.overrides.items():
        draft.set(key, with_budget(value, budget), where)
    for name, value in (paths or {}).items():
        draft.set(f"paths.{name}", str(value), "paths")
    draft.set("system.seed", seed, where)
    draft.set("training.seed", seed, where)
    draft.set(f"{innermost_optimizer(draft.known)}.use_averages", variant.use_averages, where)
    config = draft.config(where)
    every = config["training"]["eval_frequency"]
    if budget % every:
        raise UserError(
            f"{variant.name}: with {budget} updates and an evaluation every {every} the last would come at "
            f"{budget // every * every}; choose a multiple of {every}"
        )
    return config


def diff(before: Mapping[str, Any], after: Mapping[str, Any], key: str = "") -> list[Change]:
    """What `after` has differently, a line a dotted key.

    A block that only one has is one line; so are two that share nothing. A block put into another, as an optimizer
    into trajet.ProximalL1.v1, is compared with what it was before.
    """
    changes: list[Change] = []
    for name in [*before, *(name for name in after if name not in before)]:
        dotted = f"{key}.{name}" if key else name
        old, new = before.get(name, _ABSENT), after.get(name, _ABSENT)
        if isinstance(old, Mapping) and isinstance(new, Mapping) and not _strangers(old, new):
            changes += diff(old, new, dotted)
        elif (inner := _wrapped(new, old)) is not None:
            changes += diff(_functions(old), _without(new, inner), dotted) + diff(old, new[inner], f"{dotted}.{inner}")
        elif (inner := _wrapped(old, new)) is not None:
            changes += diff(_without(old, inner), _functions(new), dotted) + diff(old[inner], new, f"{dotted}.{inner}")
        # True == 1 in Python, not in a config.
        elif old != new or isinstance(old, bool) != isinstance(new, bool):
            changes.append(Change(dotted, _text(old), _text(new)))
    return changes


# -- reading the file ------------------------------------------------------------------------------


def _variant(
    path: Path, group: str, name: str, members: Mapping, always: Mapping, drafts: dict[Path, Draft]
) -> Variant:
    where, entry = where_of(path, members, name), mapping(path, members, name)
    check_keys(path, entry, _KEYS, _REQUIRED, f"variant {name!r}")
    for key, kind in (("question", str), ("base", str), ("use_averages", bool), ("rate_from", str)):
        if key in entry and not isinstance(entry[key], kind):
            needed = "true or false" if kind is bool else "a text"
            raise UserError(f"{where_of(path, entry, key)}: {key} is {entry[key]!r}; it must be {needed}")
    seeds = entry.get("seeds", 0)
    if type(seeds) is not int or ("seeds" in entry and seeds < 1):
        raise UserError(f"{where_of(path, entry, 'seeds')}: seeds is {seeds!r}; it must be a whole number from 1")
    base = path.parent / entry["base"]
    if not base.is_file():
        configs = [config.name for config in path.parent.glob("*.cfg")]
        raise UserError(f"{where_of(path, entry, 'base')}: no config {base}{nearest(entry['base'], configs)}")
    if base not in drafts:
        drafts[base] = Draft(base)
    own = mapping(path, entry, "overrides") if "overrides" in entry else {}
    draft = drafts[base].copy()
    for overrides in (always, own):
        for key in overrides:
            # A key that YAML's `<<` brought in has no line of its own.
            line = where_of(path, overrides, key) if key in overrides.lc.data else where  # type: ignore[attr-defined]
            check_override(draft, key, plain(overrides[key]), line)
    overrides = {str(key): plain(value) for key, value in (*always.items(), *own.items())}
    return Variant(
        name, group, entry["question"].strip(), base, overrides, entry["use_averages"], seeds,
        entry.get("rate_from"), where,
    )  # fmt: skip


# -- differences -----------------------------------------------------------------------------------


def _strangers(old: Mapping, new: Mapping) -> bool:
    """Blocks of two functions that share no argument: side by side they say more than key by key."""
    return _functions(old) != _functions(new) and all(key.startswith("@") for key in old.keys() & new.keys())


def _functions(block: Mapping) -> dict[str, Any]:
    return {key: value for key, value in block.items() if key.startswith("@")}


def _wrapped(outer: Any, inner: Any) -> str | None:
    """The key in `outer` of a block of the same function as `inner`."""
    if not isinstance(outer, Mapping) or not isinstance(inner, Mapping) or not _functions(inner):
        return None
    return next(
        (key for key, value in outer.items() if isinstance(value, Mapping) and _functions(value) == _functions(inner)),
        None,
    )


def _without(block: Mapping, key: str) -> dict[str, Any]:
    return {name: value for name, value in block.items() if name != key}


def _text(value: Any) -> str | None:
    return None if value is _ABSENT else json.dumps(value, ensure_ascii=False)
