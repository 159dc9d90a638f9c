"""A training cycle and the influence of weights on a decision, with a really trained small pipeline."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import spacy
from spacy.training import Example, biluo_tags_to_spans
from spacy.training.initialize import init_nlp

from tests.conftest import ROOT, run_script
from trajet.errors import UserError
from trajet.experiments.variants import load_variants, resolve
from trajet.marked import marked_example
from trajet.parser_states import token_decisions
from trajet.sentence.cycle import training_cycle
from trajet.sentence.influence import influence
from trajet.trace.parameters import name_parameters

SENTENCE = "Je veux aller de [Marseille](DEP) à [Le Mans](ARR)"


@pytest.fixture
def model(fit, tmp_path: Path) -> Path:
    """A pipeline after 60 updates: it knows something, but not all."""
    output = fit("training/base", **{"training.max_steps": 60}).output
    return output / "model-best"


@pytest.fixture
def fit(fit, tmp_path: Path):
    (tmp_path / "training").mkdir()
    return fit


def test_influence_is_the_derivative_of_the_moves_log_probability(model: Path) -> None:
    nlp = spacy.load(model)
    reference = marked_example(nlp, SENTENCE).reference
    moves, log_probs = token_decisions(nlp, reference, "ner")
    decision = influence(nlp, SENTENCE, "Marseille", "DEP", 40)
    assert decision.move == "U-DEP"
    assert decision.probability == pytest.approx(np.exp(log_probs[4, moves[4]]), rel=1e-5)
    assert [abs(w.gradient) for w in decision.weights] == sorted((abs(w.gradient) for w in decision.weights), reverse=True)  # fmt: skip
    other = spacy.load(model)
    assert sum(_slope_agrees(other, reference, moves, w.name, w.gradient) for w in decision.weights) >= 36
    # The shared embedding has its part, and what is found can be watched.
    assert any(name.startswith("tok2vec/hashembed-0/E") and norm > 0 for name, norm in decision.by_tensor)


def _slope_agrees(nlp, reference, moves, name: str, gradient: float) -> bool:
    """Central difference; a weight that makes a maxout change its piece within the step does not count as right."""
    parameters = {p.name: p for c, pipe in nlp.pipeline for p in name_parameters(c, pipe.model)}
    nodes = {node.id: node for _, pipe in nlp.pipeline for node in pipe.model.walk()}
    parameter, index = re.fullmatch(r"(.*)\[(.*)\]", name).groups()  # type: ignore[union-attr]
    place = tuple(int(i) for i in index.split(","))
    node_id, key = parameters[parameter].key
    array = nodes[node_id].get_param(key)
    kept, step, values = array[place], 1e-4, []
    for value in (kept + step, kept - step):
        array[place] = value
        nodes[node_id].set_param(key, array)
        values.append(token_decisions(nlp, reference, "ner")[1][4, moves[4]])
    array[place] = kept
    nodes[node_id].set_param(key, array)
    return (values[0] - values[1]) / (2 * step) == pytest.approx(gradient, rel=0.05)


def test_a_part_of_a_longer_span_is_a_decision_too(model: Path) -> None:
    nlp = spacy.load(model)
    assert influence(nlp, SENTENCE, "Le", "ARR", 3).move == "B-ARR"
    assert influence(spacy.load(model), SENTENCE, "Le", "DEP", 3).move == "U-DEP"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("[Lyon](FROM)", "Lyon", "DEP"), "unknown label 'FROM'"),
        ((SENTENCE, "Paris", "DEP"), "'Paris' is not a token of the sentence"),
        ((SENTENCE, "Marseille", "FROM"), "unknown label 'FROM'"),
    ],
)
def test_influence_refuses_what_is_not_there(model: Path, arguments: tuple, says: str) -> None:
    with pytest.raises(UserError, match=says):
        influence(spacy.load(model), *arguments)


def test_a_model_that_trains_on_other_numbers_than_it_predicts_with_is_refused(small_corpus: Path) -> None:
    paths = {split: small_corpus / f"{split}.spacy" for split in ("train", "dev")}
    nlp = init_nlp(resolve(load_variants(ROOT / "configs" / "variants.yml")["norm-batch"], 100, 0, paths))
    with pytest.raises(UserError, match="tok2vec normalises over the batch"):
        influence(nlp, SENTENCE, "Marseille", "DEP")


def test_the_cycle_tells_what_an_update_by_hand_does(model: Path) -> None:
    cycle = training_cycle(spacy.load(model), SENTENCE, 1e-3)
    nlp = spacy.load(model)
    reference = marked_example(nlp, SENTENCE).reference
    moves, before = token_decisions(nlp, reference, "ner")
    predicted = nlp(reference.text)
    assert [token.gold for token in cycle.tokens] == ["O", "O", "O", "O", "U-DEP", "O", "B-ARR", "L-ARR"]
    tags = biluo_tags_to_spans(nlp.make_doc(reference.text), [token.predicted for token in cycle.tokens])
    assert [(span.text, span.label_) for span in tags] == [(span.text, span.label_) for span in predicted.ents]
    losses: dict[str, float] = {}
    nlp.update([Example(nlp.make_doc(reference.text), reference)], sgd=False, drop=0.0, losses=losses)
    optimizer = spacy.registry.resolve({"o": {**nlp.config["training"]["optimizer"], "learn_rate": 1e-3}})["o"]
    gradients = [
        np.linalg.norm(node.get_grad(name))
        for component in ("tok2vec", "ner")
        for node in nlp.get_pipe(component).model.walk()
        for name in node.param_names
        if node.has_grad(name)
    ]
    for component in ("tok2vec", "ner"):
        nlp.get_pipe(component).finish_update(optimizer)
    _, after = token_decisions(nlp, reference, "ner")
    rows = np.arange(len(moves))
    assert [token.before for token in cycle.tokens] == pytest.approx(np.exp(before[rows, moves]))
    assert [token.after for token in cycle.tokens] == pytest.approx(np.exp(after[rows, moves]))
    assert cycle.loss == pytest.approx(losses["ner"])
    assert sorted(n for n in cycle.measured.columns["grad_norm"] if n is not None) == pytest.approx(sorted(gradients), rel=1e-5)  # fmt: skip
    assert cycle.probabilities.sum(axis=1) == pytest.approx(1.0)


def test_updates_on_a_sentence_make_its_right_moves_likelier(model: Path) -> None:
    cycle = training_cycle(spacy.load(model), SENTENCE, 1e-3, updates=20)
    assert np.mean([token.after for token in cycle.tokens]) > np.mean([token.before for token in cycle.tokens])
    assert cycle.updates == 20
    still = training_cycle(spacy.load(model), SENTENCE, 0.0)
    assert [token.after for token in still.tokens] == [token.before for token in still.tokens]


def test_the_commands_print_and_write(model: Path, tmp_path: Path) -> None:
    done = run_script("training_cycle", "base", "--sentence", SENTENCE, "--training", tmp_path / "training",
                      "--output", tmp_path / "metrics")  # fmt: skip
    assert done.returncode == 0, done.stderr
    for words in ("U-DEP", "B-ARR", "Gradient and update", "after 1 update"):
        assert words in done.stdout
    data = json.loads((tmp_path / "metrics" / "base-cycle.json").read_text(encoding="utf8"))
    assert len(data["tokens"]) == 8
    assert data["learn_rate"] == 5e-5
    done = run_script("influence", "base", "--training", tmp_path / "training", "--count", 3)
    assert done.returncode == 0, done.stderr
    assert "Marseille as U-DEP" in done.stdout
    assert 'watch = ["' in done.stdout
    done = run_script("influence", "base", "--training", tmp_path / "training", "--token", "Rome")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    done = run_script("training_cycle", "missing", "--training", tmp_path / "training")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
