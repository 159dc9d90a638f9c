"""Scores of spans against the definition, worked out by hand along the moves that made them."""

import numpy as np
import pytest
from spacy.language import Language

from tests.resolve.conftest import BOTH, LEARNT
from trajet.judge.confidence import walks
from trajet.marked import marked_example
from trajet.parser_states import token_decisions
from trajet.resolve.scores import span_scores


def test_every_span_found_has_a_score_and_nothing_is_changed(nlp: Language) -> None:
    texts = [marked_example(nlp, marked).reference.text for marked in LEARNT]
    docs = list(nlp.pipe(["", *texts]))
    weights, before = nlp.to_bytes(), [doc.to_bytes() for doc in docs]
    scores = span_scores(nlp.get_pipe("ner"), docs)
    assert [set(table) for table in scores] == [{(e.start, e.end, e.label_) for e in doc.ents} for doc in docs]
    assert nlp.to_bytes() == weights
    assert [doc.to_bytes() for doc in docs] == before
    values = [score for table in scores for score in table.values()]
    assert all(0 < score.confidence <= score.least <= score.mean <= 1 for score in values)
    # The judge calibrates the same numbers.
    for doc, table, walk in zip(docs, scores, walks(nlp, [doc.text for doc in docs]), strict=True):
        found = {(doc[start:end].start_char, doc[start:end].end_char, label): score.confidence
                 for (start, end, label), score in table.items()}  # fmt: skip
        assert found == pytest.approx(walk.confidences(), rel=1e-4)
    # Known by heart, in a batch as by itself.
    assert min(score.least for score in values) > 0.5
    alone = span_scores(nlp.get_pipe("ner"), [docs[1]])[0]
    assert [s.mean for s in alone.values()] == pytest.approx([s.mean for s in scores[1].values()], rel=1e-4)


def test_a_score_is_the_softmax_over_the_valid_moves(nlp: Language) -> None:
    ner = nlp.get_pipe("ner")
    text = marked_example(nlp, BOTH).reference.text
    doc = nlp(text)
    # Outside of an entity I and L are not valid, nor is "U-" without a label; on the last token no B.
    names = list(ner.move_names)
    _, log_probs = token_decisions(nlp, doc, "ner")
    for (start, _, label), score in span_scores(ner, [doc])[0].items():
        valid = ["O", "U-DEP", "U-ARR"] + (["B-DEP", "B-ARR"] if start + 1 < len(doc) else [])
        p = {name: np.exp(log_probs[start, names.index(name)]) for name in valid}
        assert (
            score.confidence == score.mean == score.least == pytest.approx(p[f"U-{label}"] / sum(p.values()), rel=1e-4)
        )


def test_a_span_of_several_tokens_has_the_mean_and_the_least_of_its_moves(nlp: Language) -> None:
    ner = nlp.get_pipe("ner")
    doc = nlp(marked_example(nlp, LEARNT[6]).reference.text)
    (span,) = [ent for ent in doc.ents if len(ent) > 1]
    names = list(ner.move_names)
    _, log_probs = token_decisions(nlp, doc, "ner")
    last = span.end - 1
    p = np.exp(log_probs)
    outside = [names.index(name) for name in ("O", "U-DEP", "U-ARR", "B-DEP", "B-ARR")]
    first = p[span.start, names.index("B-ARR")] / p[span.start, outside].sum()
    # Inside an entity at the end of the sentence only L is left.
    score = span_scores(ner, [doc])[0][span.start, span.end, "ARR"]
    assert (last - span.start, span.end) == (1, len(doc))
    assert score.least == pytest.approx(first, rel=1e-4)
    assert score.mean == pytest.approx((first + 1) / 2, rel=1e-4)
    assert score.confidence == pytest.approx(first, rel=1e-4)


def test_a_document_is_scored_as_if_nothing_were_decided(nlp: Language) -> None:
    ner = nlp.get_pipe("ner")
    doc = nlp(marked_example(nlp, BOTH).reference.text)
    before = span_scores(ner, [doc])[0]
    doc.ents = doc.ents[:1]
    assert span_scores(ner, [doc])[0] == before
