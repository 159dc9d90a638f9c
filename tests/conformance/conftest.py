"""Shared by the tests of what spaCy and Thinc do: a corpus of a few sentences, a pipeline of a few hundred weights."""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import catalogue
import numpy as np
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from spacy.util import registry
from spacy.vocab import Vocab
from thinc.api import Config, Model, fix_random_seed

TOWNS = ["Lyon", "Nice", "Paris", "Metz", "Nancy", "Tours", "Blois", "Angers"]

CONFIG = """
[system]
seed = 0
gpu_allocator = null
[nlp]
lang = "fr"
pipeline = ["tok2vec","ner"]
batch_size = 16
[components]
[components.tok2vec]
factory = "tok2vec"
[components.tok2vec.model]
@architectures = "spacy.HashEmbedCNN.v2"
pretrained_vectors = null
width = 12
depth = 1
embed_size = 60
window_size = 1
maxout_pieces = 2
subword_features = true
[components.ner]
factory = "ner"
[components.ner.model]
@architectures = "spacy.TransitionBasedParser.v2"
state_type = "ner"
extra_state_tokens = false
hidden_width = 8
maxout_pieces = 2
use_upper = true
[components.ner.model.tok2vec]
@architectures = "spacy.Tok2VecListener.v1"
width = 12
[corpora]
[corpora.train]
@readers = "spacy.Corpus.v1"
path = null
augmenter = null
[corpora.dev]
@readers = "spacy.Corpus.v1"
path = null
[training]
train_corpus = "corpora.train"
dev_corpus = "corpora.dev"
seed = 0
gpu_allocator = null
dropout = 0.1
accumulate_gradient = 1
patience = 0
max_epochs = 0
max_steps = 3
eval_frequency = 2
before_update = null
before_to_disk = null
frozen_components = []
annotating_components = []
[training.batcher]
@batchers = "spacy.batch_by_sequence.v1"
size = 8
[training.logger]
@loggers = "facts.rows.v1"
[training.optimizer]
@optimizers = "Adam.v1"
learn_rate = 0.01
[initialize]
before_init = null
[initialize.components]
"""

# The parser scores straight from its maxout layer: nothing starts at zero, and `drop` is all the dropout there is.
NO_UPPER = {"components.ner.model.use_upper": False}
# B, I, L and U for two labels, O, and one that spaCy keeps to itself.
MOVES = 10


def block(kind: str, name: str, function: Callable, **settings: Any) -> dict[str, Any]:
    """Register `function` as facts.<name>.v1 and return the config block that calls it."""
    getattr(registry, kind)(f"facts.{name}.v1", func=function)
    return {f"@{kind}": f"facts.{name}.v1", **settings}


def forget(monkeypatch: pytest.MonkeyPatch, kind: str, name: str) -> None:
    """Make a registered function unknown, as in a process that never imported its code."""
    namespace = (*getattr(registry, kind).namespace, f"facts.{name}.v1")
    monkeypatch.delitem(catalogue.REGISTRY, namespace)


def sentence(vocab: Vocab, departure: str, arrival: str, labels: tuple[str, str] = ("DEP", "ARR")) -> Doc:
    """`Je pars de <departure> vers <arrival> .` with its two places as entities."""
    doc = Doc(vocab, words=["Je", "pars", "de", departure, "vers", arrival, "."])
    doc.set_ents([spacy.tokens.Span(doc, 3, 4, labels[0]), spacy.tokens.Span(doc, 5, 6, labels[1])])
    return doc


def as_example(doc: Doc) -> Example:
    return Example(Doc(doc.vocab, words=[token.text for token in doc]), doc)


def examples(vocab: Vocab, count: int = 8) -> list[Example]:
    pairs = [(one, two) for one in TOWNS for two in TOWNS if one != two]
    return [as_example(sentence(vocab, *pair)) for pair in pairs[:count]]


@pytest.fixture(scope="session")
def tiny_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train.spacy with 32 sentences, dev.spacy with 8."""
    folder, nlp = tmp_path_factory.mktemp("facts"), spacy.blank("fr")
    docs = [example.reference for example in examples(nlp.vocab, 40)]
    DocBin(docs=docs[:32]).to_disk(folder / "train.spacy")
    DocBin(docs=docs[32:]).to_disk(folder / "dev.spacy")
    return folder


@dataclass
class Run:
    """What a training left: the pipeline, what the logger was handed step by step, what was printed."""

    nlp: Language
    rows: list[dict | None]
    printed: str


@pytest.fixture
def tiny_config(tiny_corpus: Path) -> Callable[..., Config]:
    def make(**overrides: Any) -> Config:
        paths = {f"corpora.{part}.path": str(tiny_corpus / f"{part}.spacy") for part in ("train", "dev")}
        return Config().from_str(CONFIG, overrides={**paths, **overrides})

    return make


@pytest.fixture
def tiny_train(tiny_config: Callable[..., Config]) -> Callable[..., Run]:
    """tiny_train(before_update=None, output=None, prepare=None, overrides={}): spaCy's own loop, a few updates long."""

    def run(
        before_update: Callable | None = None,
        output: Path | None = None,
        prepare: Callable[[Language], None] | None = None,
        **overrides: Any,
    ) -> Run:
        rows: list[dict | None] = []
        to_rows = (lambda info: rows.append(info and {**info})), (lambda: None)
        block("loggers", "rows", lambda: lambda nlp, stdout, stderr: to_rows)
        if before_update is not None:
            overrides["training.before_update"] = block("callbacks", "before_update", lambda: before_update)
        nlp = init_nlp(tiny_config(**overrides))
        if prepare is not None:
            prepare(nlp)
        if output is not None:
            output.mkdir()
        printed = StringIO()
        train(nlp, output, stdout=printed, stderr=printed)
        return Run(nlp, rows, printed.getvalue())

    return run


@pytest.fixture
def untrained() -> Callable[..., Language]:
    """untrained(**overrides): tok2vec and ner, initialised on eight sentences, outside of any loop."""

    def make(**overrides: Any) -> Language:
        fix_random_seed(0)
        components = Config().from_str(CONFIG, overrides=overrides)["components"]
        nlp = spacy.blank("fr")
        for name in ("tok2vec", "ner"):
            nlp.add_pipe(name, config={"model": components[name]["model"]})
        nlp.initialize(lambda: examples(nlp.vocab, 8))
        return nlp

    return make


@pytest.fixture
def moving(untrained: Callable[..., Language]) -> Callable[..., Language]:
    """An untrained pipeline with random scores: spaCy's own output layer starts at zero and hands no gradient down."""

    def make(**overrides: Any) -> Language:
        nlp = untrained(**overrides)
        rng = np.random.default_rng(0)
        model = nlp.get_pipe("ner").model
        if model.attrs["has_upper"]:
            upper = model.get_ref("upper")
            upper.set_param("W", rng.normal(0, 0.5, upper.get_param("W").shape).astype("float32"))
        return nlp

    return make


def parameters(component: Any) -> dict[tuple[int, str], np.ndarray]:
    """A copy of every Thinc parameter, under the optimizer's key."""
    return {
        (node.id, name): node.get_param(name).copy()
        for node in component.model.walk()
        for name in node.param_names
        if node.has_param(name)
    }


def gradients(component: Any) -> dict[tuple[int, str], np.ndarray]:
    """A copy of every gradient that lies in a parameter, under the optimizer's key."""
    return {
        (node.id, name): node.get_grad(name).copy()
        for node in component.model.walk()
        for name in node.param_names
        if node.has_grad(name)
    }


def random_states() -> tuple:
    """Where Python's and NumPy's random numbers stand, the two sources that spaCy and Thinc draw from."""
    name, numbers, *rest = np.random.get_state()  # noqa: NPY002
    return random.getstate(), (name, numbers.tolist(), *rest)


def norm(arrays: Iterable[np.ndarray]) -> float:
    return float(np.sqrt(sum((array.astype("float64") ** 2).sum() for array in arrays)))


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[key], other[key]) for key in one)


def swap_class(model: Model, seen: Callable[[Any, tuple], None]) -> None:
    """Give the model a subclass of its own class that tells `seen` of every call of the optimizer and passes it on."""
    original = type(model)

    def finish_update(swapped: Model, optimizer: Any) -> None:
        def stand_in(key, weights, gradient, **settings):
            seen(optimizer, key)
            return optimizer(key, weights, gradient, **settings)

        original.finish_update(swapped, stand_in)

    model.__class__ = type(original.__name__, (original,), {"__slots__": (), "finish_update": finish_update})


def states_and_golds(nlp: Language, batch: list[Example]) -> tuple[list, list]:
    """The parser's start states, with the token vectors in the documents that a listener reads."""
    docs = [example.predicted for example in batch]
    tok2vec = nlp.get_pipe("tok2vec")
    tok2vec.set_annotations(docs, tok2vec.predict(docs))
    states, golds, _ = nlp.get_pipe("ner").moves.init_gold_batch(batch)
    return states, golds


def walk(nlp: Language, batch: list[Example]) -> tuple[np.ndarray, float]:
    """Forward only, along the predicted moves: the gradient of each state's scores, and the loss spaCy counts."""
    ner, losses, rows = nlp.get_pipe("ner"), {}, []
    states, golds = states_and_golds(nlp, batch)
    step_model = ner.model.predict([example.predicted for example in batch])
    while states:
        scores = step_model.predict(states)
        rows.append(ner.get_batch_loss(states, golds, scores, losses))
        ner.transition_states(states, scores)
        pairs = [(state, gold) for state, gold in zip(states, golds, strict=True) if not state.is_final()]
        states, golds = [state for state, _ in pairs], [gold for _, gold in pairs]
    return np.concatenate(rows), float(losses["ner"])


def loss(nlp: Language, batch: list[Example], drop: float = 0.0, seed: int = 0) -> float:
    fix_random_seed(seed)
    return float(nlp.update(batch, drop=drop, sgd=False, losses={})["ner"])
