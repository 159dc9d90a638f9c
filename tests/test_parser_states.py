"""Forward-only walks against what spaCy itself computes, and against what must hold for a model that knows nothing."""

import numpy as np
import pytest
import spacy
from spacy.training import Example

from trajet.corpus.build import blank_pipeline, make_doc
from trajet.corpus.render import Segment
from trajet.parser_states import gold_move_log_probs, gold_path, greedy_path, parser_loss, spans_of_moves


@pytest.fixture
def untrained():
    nlp = blank_pipeline()
    ner = nlp.add_pipe("ner")
    examples = []
    for before, dep, between, arr in (("Je pars de ", "Lyon", " vers ", "Aix les Bains"), ("De ", "Pau", " à ", "Dax")):
        segments = [Segment(before), Segment(dep, "DEP", place=True), Segment(between), Segment(arr, "ARR", place=True)]
        reference = make_doc(nlp, segments, "t:1")
        examples.append(Example(nlp.make_doc(reference.text), reference))
    nlp.initialize(lambda: examples)
    return ner, examples


def test_a_model_that_knows_nothing_has_the_perplexity_of_its_moves(untrained) -> None:
    ner, examples = untrained
    # The output layer starts at zero: every move is as likely as the next.
    values = gold_move_log_probs(ner, examples)
    assert len(values) == sum(len(example.reference) for example in examples)
    assert np.exp(-values.mean()) == pytest.approx(ner.moves.n_moves)
    assert ner.moves.n_moves == 10


def test_among_valid_moves_a_model_that_knows_nothing_shares_out_evenly(untrained) -> None:
    ner, examples = untrained
    # "De Pau à Dax": at the first three tokens B and U with both labels and O; at the last no name can begin and go on.
    path = list(gold_path(ner, examples[1:], valid_only=True))
    assert [round(float(np.exp(-log_probs[0, moves[0]])), 6) for _, moves, log_probs in path] == [5.0, 5.0, 5.0, 3.0]
    for _, _, log_probs in path:
        assert np.exp(log_probs).sum() == pytest.approx(1)
    # "Aix les Bains": inside a name only its own I and L are left, and at its last word L alone.
    counts = [int(np.isfinite(log_probs[0]).sum()) for _, _, log_probs in gold_path(ner, examples[:1], valid_only=True)]
    assert counts == [5, 5, 5, 5, 5, 5, 2, 1]


def test_the_greedy_path_changes_nothing_and_passes_over_empty_documents(untrained) -> None:
    ner, examples = untrained
    before = ner.model.to_bytes()
    docs = [examples[0].predicted, examples[0].predicted[:0].as_doc(), examples[1].predicted]
    path = list(greedy_path(ner, docs))
    assert ner.model.to_bytes() == before
    assert {index for indices, _, _ in path for index in indices} == {0, 2}
    assert sum(len(indices) for indices, _, _ in path) == len(docs[0]) + len(docs[2])
    assert list(greedy_path(ner, docs[1:2])) == []


def test_moves_make_spans_where_a_name_ends() -> None:
    moves = ["O", "U-DEP", "B-ARR", "I-ARR", "L-ARR", "U-", "(none)", "U-ARR", "O"]
    assert spans_of_moves(moves) == [(1, 2, "DEP"), (2, 5, "ARR"), (7, 8, "ARR")]
    assert spans_of_moves([]) == []
    # A name that is begun and not ended is none.
    assert spans_of_moves(["B-DEP", "I-DEP"]) == []


def test_the_initial_loss_is_the_one_of_equal_scores(untrained) -> None:
    ner, examples = untrained
    states = sum(len(example.reference) for example in examples)
    # Per state 1/k - 1/n for k zero-cost moves of n; k = 1 gives the most.
    assert 0 < parser_loss(ner, examples) <= states * (1 - 1 / 10) + 1e-6


def test_the_loss_is_spacys_and_nothing_is_left_behind(untrained, monkeypatch: pytest.MonkeyPatch) -> None:
    import spacy.ml.parser_model as parser_model

    ner, examples = untrained
    rng = np.random.default_rng(0)
    for node in ner.model.walk():
        for name in node.param_names:
            value = node.get_param(name)
            node.set_param(name, (value + rng.normal(0, 0.3, value.shape)).astype("float32"))
    ner.model.attrs["unseen_classes"].clear()
    before = ner.model.to_bytes(), [node.has_grad(name) for node in ner.model.walk() for name in node.param_names]
    mine = parser_loss(ner, examples)
    assert (
        ner.model.to_bytes(),
        [node.has_grad(name) for node in ner.model.walk() for name in node.param_names],
    ) == before

    class NoDropout(type(parser_model.NUMPY_OPS)):
        def get_dropout_mask(self, shape, drop):
            return np.ones(shape, dtype="float32")

    monkeypatch.setattr(parser_model, "NUMPY_OPS", NoDropout())
    ner.cfg["update_with_oracle_cut_size"] = 0
    losses = ner.update(examples, drop=0.0, losses={})
    assert mine == pytest.approx(losses["ner"], rel=1e-5)


def test_unseen_classes_stay_unseen(untrained) -> None:
    ner, examples = untrained
    ner.model.attrs["unseen_classes"].add(3)
    parser_loss(ner, examples)
    gold_move_log_probs(ner, examples)
    assert 3 in ner.model.attrs["unseen_classes"]


def test_an_unknown_label_is_refused(untrained) -> None:
    ner, _ = untrained
    nlp = spacy.blank("fr")
    reference = make_doc(nlp, [Segment("Vers "), Segment("Lyon", "NEW", place=True)], "t:1")
    with pytest.raises((ValueError, KeyError)):
        gold_move_log_probs(ner, [Example(nlp.make_doc(reference.text), reference)])
