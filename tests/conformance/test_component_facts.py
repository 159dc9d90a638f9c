"""What tokenizers, documents and saved files do, one fact a test: a failure names the fact that has changed."""

import copy
import hashlib
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import spacy
import srsly
from catalogue import RegistryError
from spacy.language import Language
from spacy.ml.models import build_hash_embed_cnn_tok2vec, build_tb_parser_model
from spacy.pipeline import EntityRecognizer
from spacy.scorer import get_ner_prf
from spacy.tokenizer import Tokenizer
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example
from spacy.training.initialize import init_nlp
from spacy.util import compile_infix_regex
from spacy.vocab import Vocab
from thinc.api import Adam, Model, constant, fix_random_seed, warmup_linear

from tests.conformance.conftest import block, examples, forget, parameters, swap_class
from tests.conftest import ROOT

# -- tokens and documents --------------------------------------------------------------------------


def test_spans_that_do_not_align_to_tokens_are_none() -> None:
    """Spans that do not align to tokens come back as `None` from `char_span`."""
    doc = spacy.blank("fr")("Je vais deParis à Lyon")
    assert doc.char_span(8, 15).text == "deParis"
    assert doc.char_span(10, 15) is None, "char_span no longer gives None for a span off token borders"


@pytest.mark.parametrize("text", ["deParis", "Lyon→Nice", "Paris15", "Metz→Nancy", "Nantes(44"])
def test_signs_that_the_french_tokenizer_does_not_split_at(text: str) -> None:
    """ "deParis", "Lyon→Nice" and "Paris15" are single tokens; "Metz→Nancy" and "Nantes(44" do not [split]."""
    assert [token.text for token in spacy.blank("fr")(text)] == [text], "spaCy's French tokenizer now splits this"


@pytest.mark.parametrize(
    "tokens",
    [["Lyon", "-", "Nice"], ["d'", "Angers"], ["Saint-Étienne", ","], ["Metz", ">", "Nancy"], ["Tours", "/", "Blois"]],
    ids="".join,
)
def test_signs_that_the_french_tokenizer_splits_at(tokens: list[str]) -> None:
    """French tokenizer: "Lyon-Nice", "d'Angers", "Saint-Étienne,", "Metz>Nancy", "Tours/Blois" split well."""
    found = [token.text for token in spacy.blank("fr")("".join(tokens))]
    assert found == tokens, "spaCy's French tokenizer splits this otherwise now"


def _false_positive(doc: Doc) -> Example:
    """The document as gold, beside a prediction of one place in it."""
    predicted = Doc(doc.vocab, words=[token.text for token in doc])
    predicted.ents = [Span(predicted, 1, 2, "DEP")]
    return Example(predicted, doc)


def test_without_set_ents_a_documents_entities_are_missing() -> None:
    """A document without entities must be built with `doc.ents = []`: otherwise its entities count as *missing*."""
    doc = spacy.blank("fr").make_doc("Bonjour Marseille")
    assert not doc.has_annotation("ENT_IOB"), "a new document's entities are no longer missing"
    doc.ents = []
    assert doc.has_annotation("ENT_IOB"), "doc.ents = [] no longer sets all tokens to outside"
    other = spacy.blank("fr").make_doc("Bonjour Marseille")
    other.set_ents([])
    assert [token.ent_iob for token in other] == [token.ent_iob for token in doc] == [2, 2]


def test_the_scorer_returns_none_for_missing_entities() -> None:
    """... the scorer returns None for it."""
    doc = spacy.blank("fr").make_doc("Bonjour Marseille")
    assert get_ner_prf([_false_positive(doc)])["ents_f"] is None, "the scorer now scores missing entities"
    doc.ents = []
    assert get_ner_prf([_false_positive(doc)])["ents_f"] == 0.0, "the scorer no longer scores a document without places"


@pytest.mark.parametrize(("build", "precision"), [("missing", 1.0), ("none", 0.5)])
def test_false_positives_vanish_in_documents_with_missing_entities(build: str, precision: float) -> None:
    """... and its false positives vanish."""
    nlp = spacy.blank("fr")
    doc, (right,) = nlp.make_doc("Bonjour Marseille"), examples(nlp.vocab, 1)
    if build == "none":
        doc.ents = []
    right.predicted.ents = [Span(right.predicted, 3, 4, "DEP"), Span(right.predicted, 5, 6, "ARR")]
    found = get_ner_prf([right, _false_positive(doc), _false_positive(doc)])["ents_p"]
    assert found == precision, "what a false positive in a document without places costs has changed"


# -- saved pipelines -------------------------------------------------------------------------------


def test_a_registered_tokenizer_makes_the_saved_pipeline_unloadable_without_its_code(
    tiny_train: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registered tokenizer makes the saved pipeline unloadable without its code."""
    tokenizer = block("tokenizers", "tokenizer", lambda: lambda nlp: Tokenizer(nlp.vocab))
    tiny_train(output=tmp_path / "out", **{"nlp.tokenizer": tokenizer})
    spacy.load(tmp_path / "out" / "model-last")
    forget(monkeypatch, "tokenizers", "tokenizer")
    with pytest.raises(RegistryError, match=r"facts\.tokenizer\.v1"):
        spacy.load(tmp_path / "out" / "model-last")


def test_tokenizer_rules_changed_in_before_init_are_saved_and_load_bare(
    tiny_train: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tokenizer rules changed in an `[initialize.before_init]` callback are saved with it and load bare."""

    def split_at_arrows(nlp: Language) -> Language:
        nlp.tokenizer.infix_finditer = compile_infix_regex([*nlp.Defaults.infixes, "→"]).finditer
        return nlp

    callback = block("callbacks", "arrows", lambda: split_at_arrows)
    tiny_train(output=tmp_path / "out", **{"initialize.before_init": callback})
    forget(monkeypatch, "callbacks", "arrows")
    tokens = [token.text for token in spacy.load(tmp_path / "out" / "model-last")("Metz→Nancy")]
    assert tokens == ["Metz", "→", "Nancy"], "tokenizer rules changed in before_init are no longer saved"


def test_parameter_keys_change_from_run_to_run_in_one_process(tiny_config: Callable) -> None:
    """Parameter keys `(node.id, name)` change from run to run in one process."""
    keys = [set(parameters(init_nlp(tiny_config()).get_pipe("ner"))) for _ in range(2)]
    assert len(keys[0]) == len(keys[1])
    assert not keys[0] & keys[1], "two pipelines of one process now share parameter keys"


def test_generator_schedules_cannot_be_pickled() -> None:
    """Generator schedules cannot be pickled."""
    pickle.dumps(Adam(0.001))
    for schedule in (warmup_linear(0.001, 2, 10), constant(0.001)):
        with pytest.raises(TypeError, match="generator"):
            pickle.dumps(Adam(schedule))


def test_srsly_refuses_nan_when_writing() -> None:
    """srsly refuses NaN when writing ..."""
    with pytest.raises(OverflowError, match="Nan"):
        srsly.json_dumps({"loss": float("nan")})


def test_srsly_refuses_nan_when_reading() -> None:
    """... and reading."""
    with pytest.raises(ValueError, match="Expected object or value"):
        srsly.json_loads('{"loss": NaN}')


@pytest.fixture
def swapped(moving: Callable) -> Language:
    """A pipeline whose models have a subclass made on the fly for a class."""
    nlp = moving()
    for _, component in nlp.pipeline:
        swap_class(component.model, lambda optimizer, key: None)
    return nlp


def test_a_class_swapped_model_cannot_be_pickled(swapped: Language, moving: Callable) -> None:
    """A class-swapped model cannot be pickled."""
    pickle.dumps(moving().get_pipe("ner").model)
    with pytest.raises((pickle.PicklingError, AttributeError), match="pickle"):
        pickle.dumps(swapped.get_pipe("ner").model)


def test_a_class_swapped_model_can_be_copied_but_the_copy_is_not_swapped(swapped: Language, moving: Callable) -> None:
    """... copy [works]: `Model.copy` gives a model of Thinc's own class, `copy.deepcopy` keeps the swapped one."""
    model = swapped.get_pipe("ner").model
    assert type(model) is not Model
    plain = moving().get_pipe("ner").model
    assert model.copy().to_bytes() == plain.copy().to_bytes(), "a class-swapped model cannot be copied now"
    assert type(model.copy()) is Model, "the copy of a class-swapped model is now swapped too"
    assert type(copy.deepcopy(model)) is type(model), "a deep copy no longer keeps the swapped class"


def test_a_class_swapped_model_has_the_same_bytes(swapped: Language, moving: Callable) -> None:
    """... to_bytes [works]."""
    for name, component in moving().pipeline:
        ours = swapped.get_pipe(name).model.to_bytes()
        assert ours == component.model.to_bytes(), "a swapped class now changes a model's bytes"


def test_a_class_swapped_pipeline_works_with_n_process_2(swapped: Language) -> None:
    """... and n_process = 2 work."""
    texts = ["Je pars de Lyon", "vers Nice"]
    found = [doc.tensor.tolist() for doc in swapped.pipe(texts, n_process=2)]
    alone = [doc.tensor.tolist() for doc in swapped.pipe(texts)]
    assert found == alone, "a swapped pipeline fails with n_process = 2 now"


def digests() -> list[str]:
    """Fingerprints of a DocBin and of a recogniser after three updates."""
    # Without a Language: loading every installed plug-in would take most of the subprocess's time.
    fix_random_seed(0)
    vocab = Vocab()
    cnn = build_hash_embed_cnn_tok2vec(
        width=12, depth=1, embed_size=60, window_size=1, maxout_pieces=2, subword_features=True, pretrained_vectors=None
    )
    ner = EntityRecognizer(vocab, build_tb_parser_model(cnn, "ner", False, 8, 2, True))
    batch = examples(vocab)
    ner.initialize(lambda: batch)
    optimizer = Adam(0.01)
    for _ in range(3):
        ner.update(batch, sgd=optimizer)
    docs = DocBin(docs=[example.reference for example in batch]).to_bytes()
    return [hashlib.sha256(data).hexdigest() for data in (docs, ner.model.to_bytes())]


def test_docbin_and_model_bytes_are_equal_under_different_hash_seeds() -> None:
    """DocBin and model bytes were equal under different PYTHONHASHSEED."""
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    paths = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "analysis")]), "PYTHONHASHSEED": seed}
    script = "from tests.conformance.test_component_facts import digests; print(hash('Lyon'), *digests())"
    command = [sys.executable, "-c", script]
    printed = subprocess.run(command, env={**os.environ, **paths}, capture_output=True, text=True, check=True).stdout
    their_hash, *theirs = printed.split()
    assert int(their_hash) != hash("Lyon")
    ours = digests()
    assert theirs[0] == ours[0], "DocBin bytes now depend on PYTHONHASHSEED"
    assert theirs[1] == ours[1], "model bytes now depend on PYTHONHASHSEED"
