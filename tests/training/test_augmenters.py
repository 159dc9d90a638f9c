"""trajet.Noise.v1, trajet.LabelSafeText.v1 and trajet.NaiveText.v1: right labels after any noise, and wrong ones on purpose."""

import random
from collections import Counter
from pathlib import Path

import pytest
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example
from spacy.training.corpus import Corpus
from spacy.util import registry
from thinc.api import Config

from tests.training import by_hand
from trajet.corpus.build import blank_pipeline
from trajet.corpus.noise import HABITS, NOISES, Habit, disturb
from trajet.corpus.noise.basis import Noise
from trajet.corpus.noise.synonyms import synonyms
from trajet.corpus.noise.words import deletion, swaps
from trajet.corpus.render import Segment
from trajet.errors import UserError
from trajet.training.augmenters import label_safe_text, naive_text, noise

SHORT = {"training.max_steps": 4, "training.eval_frequency": 2}
TEXT = "Bonjour madame, je pars d'Évry vers Saint-Étienne demain matin, merci beaucoup !"
ENTITIES = [("Évry", "DEP"), ("Saint-Étienne", "ARR")]


@pytest.fixture(scope="module")
def nlp() -> Language:
    return blank_pipeline()


@pytest.fixture(scope="module")
def train_docs(small_corpus: Path, nlp: Language) -> list[Example]:
    return list(Corpus(small_corpus / "train.spacy")(nlp))


def example_of(nlp: Language, text: str = TEXT, entities=ENTITIES) -> Example:
    spans = [(text.index(name), text.index(name) + len(name), label) for name, label in entities]
    return Example.from_dict(nlp.make_doc(text), {"entities": spans})


def found(example: Example) -> tuple[str, list[tuple[str, str]]]:
    return example.reference.text, [(entity.text, entity.label_) for entity in example.reference.ents]


def parts(doc: Doc) -> list[Segment]:
    """A document as segments, made from characters."""
    labels = [""] * len(doc.text)
    places = [0] * len(doc.text)
    for number, entity in enumerate(doc.ents, 1):
        for at in range(entity.start_char, entity.end_char):
            labels[at], places[at] = entity.label_, number
    segments: list[Segment] = []
    for at, char in enumerate(doc.text):
        if at and places[at] == places[at - 1]:
            segments[-1] = Segment(segments[-1].text + char, labels[at], bool(places[at]))
        else:
            segments.append(Segment(char, labels[at], bool(places[at])))
    return segments


# -- noise -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*NOISES, *(name for name in HABITS if name not in NOISES)])
def test_labelled_texts_are_the_noisy_names(name: str, nlp: Language, train_docs: list[Example]) -> None:
    augment, rng = noise({name: 1.0}, seed=4), random.Random(4)
    habit = {name: Habit(1.0, HABITS[name].noises if name in HABITS else (name,))}
    lost = 0
    for example in train_docs[:120]:
        noisy = disturb(parts(example.reference), rng, habit)
        (made,) = augment(nlp, example)
        expected = "".join(s.text for s in noisy), [(s.text, s.label) for s in noisy if s.label]
        if found(made) != expected:
            # A name and its neighbour became one token: the example is as it was.
            assert made is example
            lost += 1
        assert made.predicted.text == made.reference.text
        # Each token's entity is known and falls on the tokens that will be seen.
        assert None not in made.get_aligned_ner()
    assert lost <= 1


def test_shares_of_noisy_examples(nlp: Language) -> None:
    example = example_of(nlp)
    for habits, share in (({"upper": 0.3}, 0.3), ({"upper": 0.2, "lower": 0.5}, 0.7), ({}, 0.0), ({"upper": 0.0}, 0.0)):
        augment = noise(habits, seed=1)
        texts = Counter(next(iter(augment(nlp, example))).text for _ in range(1500))
        assert 1 - texts[TEXT] / 1500 == pytest.approx(share, abs=0.04)
        assert texts[TEXT.upper()] / 1500 == pytest.approx(habits.get("upper", 0), abs=0.04)


def test_without_a_list_every_habit_comes_with_its_share(nlp: Language) -> None:
    example = example_of(nlp)
    augment, rng = noise(seed=9), random.Random(9)
    made = [found(next(iter(augment(nlp, example)))) for _ in range(400)]
    noisy = [disturb(parts(example.reference), rng) for _ in range(400)]
    assert made == [("".join(s.text for s in one), [(s.text, s.label) for s in one if s.label]) for one in noisy]
    assert len({text for text, _ in made}) > 60


def test_names_whose_border_vanishes_stay_as_they_were(nlp: Language) -> None:
    example = example_of(nlp, "Metz-Lens-Lille", [("Metz", "DEP"), ("Lens", "ARR"), ("Lille", "ARR")])
    habits = {"typo": Habit(1.0, ("typo",))}
    texts = set()
    for seed in range(600):
        noisy = "".join(segment.text for segment in disturb(parts(example.reference), random.Random(seed), habits))
        (made,) = noise({"typo": 1.0}, seed=seed)(nlp, example)
        assert len(made.reference.ents) == 3
        # For the tokenizer "Metz-Les-Lille" is one name.
        assert made.text == ("Metz-Lens-Lille" if noisy == "Metz-Les-Lille" else noisy)
        texts.add(noisy)
    assert "Metz-Les-Lille" in texts


def test_ids_categories_and_data_stay_and_the_example_given_is_not_touched(nlp: Language) -> None:
    example = example_of(nlp)
    reference = example.reference
    reference.ents = [Span(reference, e.start, e.end, e.label_, kb_id="Q90", span_id="x") for e in reference.ents]
    reference.cats, reference.user_data["frame"] = {"trip": 1.0}, "f:1"
    before = reference.to_bytes()
    for augment in (noise({"upper": 1.0}), label_safe_text(deletion_share=1.0), naive_text(count=5)):
        (made,) = augment(nlp, example)
        assert made is not example
        assert reference.to_bytes() == before
        assert {(entity.kb_id_, entity.id_) for entity in made.reference.ents} == {("Q90", "x")}
        assert made.reference.cats == {"trip": 1.0}
        assert made.reference.user_data["frame"] == "f:1"


@pytest.mark.parametrize("make", [lambda: noise({"upper": 1.0}), label_safe_text, naive_text])
def test_unknown_entities_stay_unknown(make, nlp: Language) -> None:
    unknown = Example(nlp.make_doc(TEXT), nlp.make_doc(TEXT))
    partly = example_of(nlp)
    partly.reference.set_ents(list(partly.reference.ents), missing=[partly.reference[0:1]], default="unmodified")
    for example in (unknown, partly):
        assert [made is example for made in make()(nlp, example)] == [True]


def test_a_sentence_without_entities_keeps_having_none(nlp: Language) -> None:
    example = example_of(nlp, "Il pleut encore beaucoup trop ici, merci.", [])
    for augment in (noise({"upper": 1.0}), label_safe_text(deletion_share=0.9), naive_text(deletion_share=0.5)):
        (made,) = augment(nlp, example)
        assert made.text != example.text
        assert made.reference.has_annotation("ENT_IOB")
        assert set(made.get_aligned_ner()) == {"O"}


# -- text augmentation, with and without care ------------------------------------------------------


def test_label_safe_text_is_the_three_noises_in_turn(nlp: Language, train_docs: list[Example]) -> None:
    steps: list[Noise] = [synonyms(0.3), deletion(0.2), swaps(3)]
    augment, rng = label_safe_text(0.3, 0.2, 3, seed=2), random.Random(2)
    changed = 0
    for example in train_docs[:200]:
        segments = parts(example.reference)
        for step in steps:
            segments = step(segments, rng)
        (made,) = augment(nlp, example)
        assert found(made) == ("".join(s.text for s in segments), [(s.text, s.label) for s in segments if s.label])
        assert found(made)[1] == found(example)[1]
        changed += made is not example
    assert changed > 100


def test_naive_text_leaves_labels_at_their_positions_whatever_stands_there(nlp: Language) -> None:
    example = example_of(nlp)
    positions = [(entity.start, entity.end, entity.label_) for entity in example.reference.ents]
    words = [token.text for token in example.reference]
    wrong = shorter = 0
    for seed in range(300):
        (made,) = naive_text(0.1, 0.1, 2, seed)(nlp, example)
        new = [token.text for token in made.reference]
        assert [(entity.start, entity.end, entity.label_) for entity in made.reference.ents] == positions
        assert [token.text for token in made.predicted] == new
        wrong += found(made)[1] != ENTITIES
        shorter += len(new) < len(words)
    assert wrong > 150
    assert shorter > 150


def test_naive_swaps_alone_keep_the_words_and_naive_deletion_alone_the_order(nlp: Language) -> None:
    example = example_of(nlp)
    words = [token.text for token in example.reference]
    for seed in range(50):
        (swapped,) = naive_text(0.0, 0.0, 1, seed)(nlp, example)
        new = [token.text for token in swapped.reference]
        assert sum(one != other for one, other in zip(words, new, strict=True)) == 2
        assert sorted(new) == sorted(words)
        (deleted,) = naive_text(0.0, 0.3, 0, seed)(nlp, example)
        rest = iter(words)
        assert all(token.text in rest for token in deleted.reference)
    (same,) = naive_text(0.0, 0.0, 0)(nlp, example)
    assert found(same) == found(example)
    (all_gone,) = naive_text(0.0, 1.0, 0)(nlp, example)
    assert found(all_gone)[0] == TEXT


def test_naive_spans_past_the_end_are_cut_or_dropped(nlp: Language) -> None:
    example = example_of(nlp, "petit billet petit train petit car pour La Rochelle", [("La Rochelle", "ARR")])
    spans = set()
    for seed in range(200):
        (made,) = naive_text(0.0, 0.3, 0, seed)(nlp, example)
        spans.add(tuple((entity.start, entity.end) for entity in made.reference.ents))
        assert None not in made.get_aligned_ner()
    assert spans == {((7, 9),), ((7, 8),), ()}


# -- seeds, configs, trainings ---------------------------------------------------------------------

MAKERS = {
    "trajet.Noise.v1": {"habits": {"typo": 0.5, "sms-chat": 0.5}},
    "trajet.LabelSafeText.v1": {"synonyms": 0.5, "deletion": 0.3, "swaps": 2},
    "trajet.NaiveText.v1": {"synonyms": 0.1, "deletion": 0.1, "swaps": 2},
}


@pytest.mark.parametrize("name", MAKERS)
def test_one_seed_gives_the_same_examples_and_another_others(
    name: str, nlp: Language, train_docs: list[Example]
) -> None:
    runs = []
    for seed in (0, 0, 1):
        augment = registry.augmenters.get(name)(**MAKERS[name], seed=seed)
        runs.append([found(made) for example in train_docs[:100] for made in augment(nlp, example)])
        assert len(runs[-1]) == 100
        # Another reading of the corpus draws on.
        assert [found(made) for example in train_docs[:100] for made in augment(nlp, example)] != runs[-1]
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize("name", MAKERS)
def test_a_short_training_with_the_augmenter_in_the_config(
    name: str, fit, small_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Doc] = []
    update = Language.update

    def noting(nlp, examples, *args, **kwargs):
        seen.extend(example.reference for example in examples)
        return update(nlp, examples, *args, **kwargs)

    monkeypatch.setattr(Language, "update", noting)

    def edit(config: Config) -> None:
        config["corpora"]["train"]["augmenter"] = {"@augmenters": name, **MAKERS[name], "seed": 3}

    first, again = fit("a", edit=edit, **SHORT), fit("b", edit=edit, **SHORT)
    assert (first.output / "model-last" / "ner" / "model").read_bytes() == (
        again.output / "model-last" / "ner" / "model"
    ).read_bytes()
    assert first.nlp.config["corpora"]["train"]["augmenter"]["@augmenters"] == name
    written = {
        doc.text: [(entity.text, entity.label_) for entity in doc.ents]
        for doc in DocBin().from_disk(small_corpus / "train.spacy").get_docs(first.nlp.vocab)
    }
    new = [doc for doc in seen if doc.text not in written]
    assert len(new) > len(seen) / 3
    if name != "trajet.Noise.v1":
        names = {entity for entities in written.values() for entity in entities}
        strange = [doc for doc in new if not {(entity.text, entity.label_) for entity in doc.ents} <= names]
        assert bool(strange) == (name == "trajet.NaiveText.v1")


@pytest.mark.parametrize("name", MAKERS)
def test_other_pipelines_learn_on(name: str) -> None:
    nlp, examples = by_hand.pipeline()
    augment = registry.augmenters.get(name)(**MAKERS[name])
    # Tags are lost with their tokens; the tagger has nothing to learn, the others go on.
    by_hand.train(nlp, [[made for example in examples for made in augment(nlp, example)] for _ in range(3)], None)


def test_habits_are_a_block_of_the_config() -> None:
    config = Config().from_str(
        '[augmenter]\n@augmenters = "trajet.Noise.v1"\nseed = 2\n\n[augmenter.habits]\nsms-chat = 0.5\ntypo = 0.25\n'
    )
    augment = registry.resolve(config)["augmenter"]
    nlp = blank_pipeline()
    example = example_of(nlp)
    direct = noise({"sms-chat": 0.5, "typo": 0.25}, seed=2)
    for _ in range(50):
        assert found(next(iter(augment(nlp, example)))) == found(next(iter(direct(nlp, example))))


# -- mistakes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("habits", "message"),
    [
        ({"whisper": 0.1}, "unknown habit 'whisper'; there are accents, apart,"),
        ({"typo": -0.1}, "typo = -0.1; a share must lie between 0 and 1"),
        ({"typo": 1.5}, "typo = 1.5; a share"),
        ({"typo": float("nan")}, "typo = nan; a share"),
        ({"typo": "often"}, "typo = 'often'; a share"),
        ({"typo": 0.7, "upper": 0.6}, "the shares sum to 1.3; they may sum to 1 at most"),
    ],
)
def test_habits_that_cannot_be_are_refused(habits: dict, message: str) -> None:
    with pytest.raises(UserError) as refused:
        noise(habits)
    assert str(refused.value).startswith("[corpora.train.augmenter.habits]: trajet.Noise.v1: ")
    assert message in str(refused.value)


@pytest.mark.parametrize("make", [label_safe_text, naive_text])
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"synonyms_share": 2.0}, "synonyms = 2.0; it must lie between 0 and 1"),
        ({"deletion_share": -1}, "deletion = -1; it must lie between 0 and 1"),
        ({"count": -1}, "swaps = -1; it must be a whole number from 0"),
        ({"count": 2.5}, "swaps = 2.5; it must be a whole number from 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(make, settings: dict, message: str) -> None:
    with pytest.raises(UserError, match=r"Text\.v1: ") as refused:
        make(**settings)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("name", "settings"),
    [("Noise", {"habits": {"x": 0.1}}), ("LabelSafeText", {"swaps": -1}), ("NaiveText", {"deletion": 7.0})],
)
def test_the_registered_names_leave_with_one_line(name: str, settings: dict, capsys) -> None:
    with pytest.raises(SystemExit) as left:
        registry.augmenters.get(f"trajet.{name}.v1")(**settings)
    assert left.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
