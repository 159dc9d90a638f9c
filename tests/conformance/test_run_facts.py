"""When spaCy's training ends, what it saves, how it reads settings and data: a failure names the fact that has changed."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import spacy
import srsly
from confection import ConfigValidationError
from spacy.language import Language
from spacy.tokens import DocBin
from spacy.training.initialize import init_nlp
from spacy.util import load_model_from_config, registry
from thinc.api import Adam, Optimizer

from tests.conformance.conftest import (
    block,
    examples,
    sentence,
)

# -- when it ends, what it saves -------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 3])
def test_max_steps_n_performs_n_plus_one_updates(tiny_train: Callable, n: int) -> None:
    """`max_steps = N` performs N + 1 updates."""
    built: list[Optimizer] = []

    def build() -> Optimizer:
        built.append(Adam(0.01))
        return built[-1]

    tiny_train(**{"training.optimizer": block("optimizers", "counted", build), "training.max_steps": n})
    assert set(built[-1].nr_update.values()) == {n + 1}, "max_steps = N no longer performs N + 1 updates"


def test_patience_counts_from_the_earliest_best_step(tiny_train: Callable) -> None:
    """`patience` counts from the earliest best step."""
    scores = {0: 0.1, 2: 0.5, 4: 0.5, 6: 0.5, 8: 0.5, 10: 0.5}

    def before_update(nlp: Language, info: dict) -> None:
        nlp.evaluate = lambda batch: {"ents_f": scores[info["step"]]}  # type: ignore[method-assign]

    rows = tiny_train(before_update, **{"training.max_steps": 11, "training.patience": 5}).rows
    assert len(rows) - 1 == 2 + 5, "patience no longer counts from the earliest of several best steps"


def test_a_tied_score_overwrites_model_best(tiny_train: Callable, tmp_path: Path) -> None:
    """A tied score overwrites model-best."""
    saved: list[Language] = []

    def before_to_disk(nlp: Language) -> Language:
        saved.append(nlp)
        nlp.meta["description"] = f"save {len(saved)}"
        return nlp

    def before_update(nlp: Language, info: dict) -> None:
        nlp.evaluate = lambda batch: {"ents_f": {0: 0.5, 2: 0.5, 4: 0.1}[info["step"]]}  # type: ignore[method-assign]

    callback = block("callbacks", "before_to_disk", lambda: before_to_disk)
    tiny_train(before_update, tmp_path / "out", **{"training.max_steps": 4, "training.before_to_disk": callback})
    best = srsly.read_json(tmp_path / "out" / "model-best" / "meta.json")["description"]
    assert best == "save 2", "model-best is no longer that of the latest of several equal scores"


def _poison(steps: list[int]) -> Callable[[Language, dict], None]:
    def before_update(nlp: Language, info: dict) -> None:
        steps.append(info["step"])
        if info["step"] == 1:
            nlp.get_pipe("ner").model.get_ref("lower").get_param("W")[0] = np.nan

    return before_update


@pytest.mark.filterwarnings("ignore:All-NaN slice:RuntimeWarning")
def test_a_nan_weight_with_an_output_folder_ends_at_the_next_evaluation(tiny_train: Callable, tmp_path: Path) -> None:
    """A NaN weight with an output folder ends in `OverflowError: Invalid Nan value when encoding double`."""
    steps: list[int] = []
    with pytest.raises(OverflowError, match="Invalid Nan value when encoding double"):
        tiny_train(_poison(steps), tmp_path / "out", **{"training.max_steps": 9, "training.eval_frequency": 3})
    assert steps == [0, 1, 2, 3], "a NaN weight no longer ends the run at the next evaluation"


@pytest.mark.filterwarnings("ignore:All-NaN slice:RuntimeWarning")
def test_a_nan_weight_without_an_output_folder_runs_to_the_end(tiny_train: Callable) -> None:
    """Without an output folder, training silently runs to the end."""
    steps: list[int] = []
    rows = tiny_train(_poison(steps), **{"training.max_steps": 6}).rows
    assert steps == list(range(7)), "a NaN weight now ends a run without an output folder"
    assert np.isnan(rows[-1]["losses"]["ner"]), "the loss of a NaN weight is no longer NaN"


# -- settings --------------------------------------------------------------------------------------


def test_training_dropout_of_integer_zero_crashes_the_loop(tiny_train: Callable) -> None:
    """An integer 0 crashes the loop with a TypeError: write 0.0."""
    with pytest.raises(TypeError, match="not an iterator"):
        tiny_train(**{"training.dropout": 0})
    assert len(tiny_train(**{"training.dropout": 0.0}).rows) == 4, "training.dropout = 0.0 no longer works"


def test_training_dropout_takes_no_schedule(tiny_config: Callable) -> None:
    """`training.dropout` takes a float only."""
    schedule = {"@schedules": "constant.v1", "rate": 0.1}
    with pytest.raises(ConfigValidationError, match="dropout"):
        init_nlp(tiny_config(**{"training.dropout": schedule}))


@pytest.mark.parametrize(
    ("name", "averages"), [("Adam.v1", None), ("SGD.v1", {}), ("RAdam.v1", {})], ids=["Adam", "SGD", "RAdam"]
)
def test_only_adam_v1_gets_spacys_default_optimizer_settings(
    tiny_config: Callable, name: str, averages: dict | None
) -> None:
    """spaCy fills in its default block only where it says Adam.v1: the same with SGD.v1 or RAdam.v1 has averages on."""
    config = tiny_config(**{"training.optimizer": {"@optimizers": name, "learn_rate": 0.1}})
    filled = load_model_from_config(config, auto_fill=True).config["training"]["optimizer"]
    # 0.01 is spaCy's default, 0.0 is Thinc's.
    assert filled["L2"] == (0.01 if name == "Adam.v1" else 0.0), f"spaCy's defaults reach {name} otherwise now"
    optimizer = registry.resolve({"optimizer": filled})["optimizer"]
    assert optimizer.averages == averages, f"a bare {name} block has its averages otherwise now"


# -- epochs ----------------------------------------------------------------------------------------


@pytest.fixture
def epochs(tiny_train: Callable, tiny_corpus: Path) -> Callable[[int], tuple[list[list[str]], list[str], list[str]]]:
    """epochs(max_epochs): what the batcher was handed in each call, what was augmented, the file's order."""

    def run(max_epochs: int):
        handed: list[list[str]] = []
        augmented: list[str] = []

        def batcher(items) -> Iterator[list]:
            items = list(items)
            handed.append([item.reference.text for item in items])
            yield from (items[start : start + 8] for start in range(0, len(items), 8))

        def augmenter(nlp: Language, example) -> Iterator:
            augmented.append(example.reference.text)
            yield example

        # Initialisation reads the corpus too; only the loop counts here.
        tiny_train(
            prepare=lambda nlp: augmented.clear(),
            **{
                "training.max_epochs": max_epochs,
                "training.max_steps": 10,
                "training.batcher": block("batchers", "batcher", lambda: batcher),
                "corpora.train.augmenter": block("augmenters", "augmenter", lambda: augmenter),
            },
        )
        docs = DocBin().from_disk(tiny_corpus / "train.spacy").get_docs(spacy.blank("fr").vocab)
        return handed, augmented, [doc.text for doc in docs]

    return run


def test_with_max_epochs_0_an_augmenter_runs_once_at_load(epochs: Callable) -> None:
    """With `max_epochs = 0` an augmenter runs once, at load."""
    handed, augmented, in_file = epochs(0)
    assert len(handed) == 3
    assert augmented == in_file, "with max_epochs = 0 an augmenter no longer sees each document once"


def test_with_max_epochs_minus_1_an_augmenter_runs_each_epoch(epochs: Callable) -> None:
    """With `max_epochs = 0` an augmenter runs once (and, streamed with -1, each epoch)."""
    _, augmented, in_file = epochs(-1)
    assert augmented == in_file * 3, "with max_epochs = -1 an augmenter no longer runs each epoch"


def test_with_max_epochs_0_documents_are_shuffled_each_epoch(epochs: Callable) -> None:
    """With -1 nothing shuffles; with 0 spaCy does."""
    handed, _, in_file = epochs(0)
    assert all(sorted(texts) == sorted(in_file) for texts in handed)
    assert len({tuple(texts) for texts in [*handed, in_file]}) == 4, "with max_epochs = 0 epochs are no longer shuffled"


def test_with_max_epochs_minus_1_nothing_shuffles(epochs: Callable) -> None:
    """With -1 nothing shuffles."""
    handed, _, in_file = epochs(-1)
    assert handed == [in_file] * 3, "with max_epochs = -1 documents no longer come in the file's order"


def test_a_registered_batcher_is_called_each_epoch(epochs: Callable) -> None:
    """A registered batcher is called each epoch."""
    handed, _, in_file = epochs(0)
    # 11 updates of 8 documents are 2.75 epochs of 32.
    assert [len(texts) for texts in handed] == [len(in_file)] * 3, "a batcher is no longer called once an epoch"


@pytest.fixture
def late_label(tmp_path: Path) -> dict[str, str]:
    """A corpus whose 101st document is the first one with a LATE."""
    nlp = spacy.blank("fr")
    docs = [example.reference for example in examples(nlp.vocab, 50)] * 2 + [
        sentence(nlp.vocab, "Lyon", "Nice", ("DEP", "LATE"))
    ]
    DocBin(docs=docs).to_disk(tmp_path / "train.spacy")
    return {"corpora.train.path": str(tmp_path / "train.spacy")}


def test_with_max_epochs_minus_1_labels_come_from_the_first_100_documents(
    tiny_config: Callable, late_label: dict
) -> None:
    """With -1 ... labels come from the first 100 docs."""
    labels = {
        epochs: init_nlp(tiny_config(**late_label, **{"training.max_epochs": epochs})).get_pipe("ner").labels
        for epochs in (0, -1)
    }
    assert labels[0] == ("ARR", "DEP", "LATE"), "with max_epochs = 0 labels no longer come from all documents"
    assert labels[-1] == ("ARR", "DEP"), "with max_epochs = -1 labels no longer come from the first 100 documents"


def test_with_max_epochs_minus_1_labels_can_be_given_in_initialize(
    tiny_config: Callable, late_label: dict, tmp_path: Path
) -> None:
    """... unless `[initialize]` gives them."""
    data = init_nlp(tiny_config(**late_label)).get_pipe("ner").label_data
    srsly.write_json(tmp_path / "ner.json", data)
    reader = {"@readers": "spacy.read_labels.v1", "path": str(tmp_path / "ner.json"), "require": True}
    given = {"training.max_epochs": -1, "initialize.components.ner": {"labels": reader}}
    labels = init_nlp(tiny_config(**late_label, **given)).get_pipe("ner").labels
    assert labels == ("ARR", "DEP", "LATE"), "[initialize.components.ner.labels] no longer adds labels"
