"""trajet.WrongLabels.v1 against trainings on documents that were labelled wrongly by hand."""

import random

import numpy as np
import pytest
from spacy.language import Language
from spacy.tokens import DocBin
from spacy.util import registry
from thinc.api import fix_random_seed

from tests.training import by_hand
from trajet.errors import UserError
from trajet.training.wrong_labels import WrongLabels

OTHER = {"DEP": "ARR", "ARR": "DEP"}
EXCHANGED = [(text, [(start, end, OTHER[label]) for start, end, label in ents]) for text, ents in by_hand.SENTENCES]
SHORT = {"training.max_steps": 4, "training.eval_frequency": 2}


def block(updates: int) -> dict:
    return {"@callbacks": "trajet.WrongLabels.v1", "updates": updates, "seed": 0}


@pytest.mark.parametrize("settings", [{}, {"accumulate_gradient": 2}, {"exclude": ["textcat"]}])
@pytest.mark.parametrize("updates", [1, 3, 100])
def test_it_is_the_training_on_documents_exchanged_by_hand(updates: int, settings: dict) -> None:
    nlp, examples = by_hand.pipeline()
    by_hand.train(nlp, [examples[i % 3 :] for i in range(6)], WrongLabels(updates), **settings)
    other, examples = by_hand.pipeline()
    wrong = by_hand.examples(other, EXCHANGED)
    by_hand.train(other, [(wrong if i < updates else examples)[i % 3 :] for i in range(6)], None, **settings)
    assert by_hand.weights(nlp) == by_hand.weights(other)


@pytest.fixture
def learned(monkeypatch: pytest.MonkeyPatch) -> list[list[tuple[str, list[tuple[int, int, str]]]]]:
    """Text and entities of the references of each update that reaches spaCy."""
    seen: list = []
    update = Language.update

    def noting(nlp, examples, *args, **kwargs):
        seen.append([(eg.text, [(e.start_char, e.end_char, e.label_) for e in eg.reference.ents]) for eg in examples])
        return update(nlp, examples, *args, **kwargs)

    monkeypatch.setattr(Language, "update", noting)
    return seen


def test_in_a_config_the_first_updates_and_no_others_learn_from_exchanged_labels(
    fit, learned: list, small_corpus
) -> None:
    run = fit("two", block(2), **SHORT, **{"training.batcher.size": 200})
    true = {
        doc.text: [(entity.start_char, entity.end_char, entity.label_) for entity in doc.ents]
        for doc in DocBin().from_disk(small_corpus / "train.spacy").get_docs(run.nlp.vocab)
    }
    assert len(learned) == 5
    for step, batch in enumerate(learned):
        assert sum(len(entities) for _, entities in batch) > 3
        for text, entities in batch:
            expected = [(start, end, OTHER[label] if step < 2 else label) for start, end, label in true[text]]
            assert entities == expected


def test_with_more_labels_each_entity_gets_one_of_the_others(learned: list) -> None:
    sentences = (*by_hand.SENTENCES, by_hand.VIA)
    runs = []
    for seed in (0, 0, 1):
        learned.clear()
        nlp, examples = by_hand.pipeline(sentences=sentences)
        expected = dict(sentences)
        before = [example.reference.to_bytes() for example in examples]
        by_hand.train(nlp, [examples] * 12, WrongLabels(10, seed))
        runs.append(list(learned))
        assert [example.reference.to_bytes() for example in examples] == before
        for step, batch in enumerate(learned):
            for text, wrong in batch:
                true = expected[text]
                assert [span[:2] for span in wrong] == [span[:2] for span in true]
                for (*_, label), (*_, other) in zip(true, wrong, strict=True):
                    assert other in {"DEP", "ARR", "VIA"}
                    assert (other != label) == (step < 10)
    assert runs[0] == runs[1] != runs[2]
    # Where Nice is the arrival, both other labels turn up.
    assert {wrong[-1][-1] for batch in runs[0][:10] for text, wrong in batch if "Nice" in text} == {"DEP", "VIA"}


def test_other_annotations_and_unknown_tokens_stay(learned: list) -> None:
    nlp, examples = by_hand.pipeline()
    reference = examples[0].reference
    reference.set_ents([reference.ents[0]], missing=[reference[5:6]], default="unmodified")
    seen = []
    callback = WrongLabels(1)
    callback(nlp, {"step": 0, "epoch": 0})
    callback.on_update(lambda made, **_: seen.extend(made), [examples[0]])
    (wrong,) = seen
    assert wrong.reference is not reference
    assert wrong.predicted is examples[0].predicted
    assert wrong.get_aligned_ner() == [
        None if tag is None else tag.replace("DEP", "X").replace("ARR", "DEP").replace("X", "ARR")
        for tag in examples[0].get_aligned_ner()
    ]
    assert None in wrong.get_aligned_ner()
    assert [token.tag_ for token in wrong.reference] == [token.tag_ for token in reference]
    assert wrong.reference.cats == reference.cats


def test_the_random_states_of_the_training_are_not_touched() -> None:
    nlp, examples = by_hand.pipeline(sentences=(*by_hand.SENTENCES, by_hand.VIA))
    fix_random_seed(5)
    callback = WrongLabels(3)
    callback(nlp, {"step": 0, "epoch": 0})
    callback.on_update(lambda made, **_: {}, examples)
    after = random.random(), np.random.random()  # noqa: NPY002
    fix_random_seed(5)
    assert after == (random.random(), np.random.random())  # noqa: NPY002


# -- mistakes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("updates", [-1, 2.5, "many"])
def test_a_number_of_updates_that_is_none_is_refused(updates: object) -> None:
    with pytest.raises(UserError, match="it must be a whole number from 0"):
        WrongLabels(updates)  # type: ignore[arg-type]


def test_a_pipeline_with_one_label_is_refused() -> None:
    nlp, examples = by_hand.pipeline(sentences=[("Je pars de Lyon", ((11, 15, "DEP"),)), ("Il fait beau", ())])
    with pytest.raises(UserError, match="two labels or more"):
        by_hand.train(nlp, [examples], WrongLabels(5))
    by_hand.train(nlp, [examples], WrongLabels(0))


def test_the_registered_name_leaves_with_one_line(capsys) -> None:
    with pytest.raises(SystemExit) as left:
        registry.callbacks.get("trajet.WrongLabels.v1")(-3)
    assert left.value.code == 2
    assert "updates = -3" in capsys.readouterr().err
