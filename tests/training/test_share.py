"""trajet.Share.v1: which documents a share gives and what it leaves, in configs and alone."""

from pathlib import Path

import pytest
import spacy
from spacy.training.corpus import Corpus
from spacy.util import resolve_dot_names

from trajet.errors import UserError
from trajet.training.share import share_reader

SHORT = {"training.max_steps": 3, "training.eval_frequency": 3}


def nest(share: float, rest: bool, seed: int = 0):
    """An edit that puts the train corpus of a config into a share."""

    def edit(config, corpus: str = "train") -> None:
        inner = dict(config["corpora"]["train"])
        config["corpora"][corpus] = {
            "@readers": "trajet.Share.v1", "share": share, "seed": seed, "rest": rest, "corpus": inner,
        }  # fmt: skip

    return edit


def _texts(examples) -> list[tuple]:
    return [
        (example.text, [(ent.start_char, ent.end_char, ent.label_) for ent in example.reference.ents])
        for example in examples
    ]


@pytest.fixture(scope="module")
def nlp():
    return spacy.blank("fr")


@pytest.fixture(scope="module")
def corpus(small_corpus: Path, nlp):
    """A reader of the train corpus, which is read from disk once."""
    examples = list(Corpus(small_corpus / "train.spacy")(nlp))
    return lambda nlp: iter(examples)


# -- configs ---------------------------------------------------------------------------------------


def test_a_config_trains_on_a_share_and_validates_on_the_rest(fit, corpus, nlp) -> None:
    def edit(config) -> None:
        nest(0.05, True)(config, "dev")
        nest(0.05, False)(config, "train")

    run = fit("a", edit=edit, **SHORT)
    readers = resolve_dot_names(run.nlp.config.interpolate(), ["corpora.train", "corpora.dev"])
    train, dev = (_texts(reader(nlp)) for reader in readers)
    whole = _texts(corpus(nlp))
    assert len(train) == round(0.05 * len(whole))
    assert sorted(train + dev) == sorted(whole)
    assert run.log[-1]["score"] is not None
    saved = spacy.util.load_config(run.output / "model-last" / "config.cfg")
    assert saved["corpora"]["train"]["corpus"]["@readers"] == "trajet.ReadOnce.v1"
    spacy.load(run.output / "model-last")


# -- the reader ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("share", [0.001, 0.05, 0.25, 0.5, 0.99])
def test_share_and_rest_are_disjoint_complete_and_the_same_each_time(share, seed, corpus, nlp) -> None:
    chosen, left = share_reader(corpus, share, seed), share_reader(corpus, share, seed, rest=True)
    whole = _texts(corpus(nlp))
    first = _texts(chosen(nlp))
    assert first == _texts(chosen(nlp))
    assert len(first) == max(1, round(share * len(whole)))
    assert sorted(first + _texts(left(nlp))) == sorted(whole)
    # In the order of the corpus.
    places = [whole.index(one) for one in first]
    assert places == sorted(places)


def test_a_smaller_share_is_part_of_a_larger_one_and_a_seed_chooses(corpus, nlp) -> None:
    texts = {share: set(map(str, _texts(share_reader(corpus, share)(nlp)))) for share in (0.05, 0.25, 1.0)}
    assert texts[0.05] < texts[0.25] < texts[1.0]
    assert texts[0.25] != set(map(str, _texts(share_reader(corpus, 0.25, seed=1)(nlp))))


def test_a_quarter_is_spread_over_the_corpus(corpus, nlp) -> None:
    whole = _texts(corpus(nlp))
    places = [whole.index(one) for one in _texts(share_reader(corpus, 0.25)(nlp))]
    quarter = len(whole) / 4
    for start in range(4):
        inside = sum(start * quarter <= place < (start + 1) * quarter for place in places)
        # Hypergeometric: 25 expected of 100 with a deviation of 3.8.
        assert abs(inside - len(places) / 4) < 5 * (len(places) / 4 * 0.75 * 0.75) ** 0.5


def test_the_whole_share_is_the_corpus_as_it_is(corpus, nlp) -> None:
    assert list(share_reader(corpus, 1.0)(nlp)) == list(corpus(nlp))


def test_an_empty_corpus_stays_empty(nlp) -> None:
    assert list(share_reader(lambda nlp: [], 0.5)(nlp)) == []
    assert list(share_reader(lambda nlp: [], 0.5, rest=True)(nlp)) == []


@pytest.mark.parametrize("share", [0, 0.0, -0.5, 1.01, float("nan"), float("inf"), True])
def test_a_bad_share_is_refused(share, corpus) -> None:
    with pytest.raises(UserError, match="it must lie above 0 and be at most 1"):
        share_reader(corpus, share)


def test_a_share_that_leaves_no_rest_is_refused_when_it_is_read(corpus, nlp) -> None:
    with pytest.raises(UserError, match="leaves no rest"):
        share_reader(corpus, 1.0, rest=True)(nlp)
    with pytest.raises(UserError, match="of 1 documents leaves no rest"):
        share_reader(lambda nlp: ["one"], 0.2, rest=True)(nlp)
