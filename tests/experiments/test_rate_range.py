"""Suggestions on curves with known answers; real sweeps against spaCy's own loop and against worked numbers."""

import json
import math
import random
import sys
from dataclasses import replace
from io import StringIO
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
import spacy
from matplotlib.figure import Figure
from spacy.tokens import Doc, DocBin
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from spacy.util import load_config, registry
from thinc.api import SGD, Config
from typer.testing import CliRunner

from scripts import lr_range
from scripts._cli import run_app
from tests.conftest import ROOT, run_script, trace_block
from trajet.errors import UserError
from trajet.experiments.rates.record import Record, Sweep
from trajet.experiments.rates.suggestions import minimum, ratio_band, slide, smooth, steepest, suggest, valley
from trajet.experiments.rates.sweep import range_test, range_test_on
from trajet.plots.experiments import rate_range as picture
from trajet.plots.style import save
from trajet.trace import read_trace

BASE = ROOT / "configs" / "base.cfg"
# In half as many updates the mean of the loss lags too far behind to explode whatever the small corpus holds.
SWEEP = Sweep(1e-5, 10.0, 120)


# -- the mathematics -------------------------------------------------------------------------------


def test_smoothing_is_the_weighted_mean_of_the_past() -> None:
    assert smooth(np.array([1.0, 0.0, 0.0]), 0.5) == pytest.approx([1, 1 / 3, 1 / 7])
    values = np.random.default_rng(0).normal(size=40)
    means = smooth(values, 0.9)
    for t in (1, 7, 40):
        assert means[t - 1] == pytest.approx(np.average(values[:t], weights=0.9 ** np.arange(t)[::-1]))
    assert smooth(values, 0.0) == pytest.approx(values)


def test_the_steepest_point_of_a_logistic_curve_is_its_middle() -> None:
    # 1 / (1 + r/0.01) in r is logistic in ln r, and falls fastest at r = 0.01. Points every quarter of a decade, one of them
    # 1/8 decade below 0.01: the steepest stretch lies around the middle and begins there.
    rates = 10.0 ** (-6.125 + 0.25 * np.arange(30))
    assert steepest(rates, 1 / (1 + rates / 0.01)) == pytest.approx(10**-2.125)
    assert steepest(rates, rates) is None
    assert steepest(rates[:1], rates[:1]) is None


def test_the_steepest_point_is_of_the_slope_over_log_rate_not_of_the_difference() -> None:
    # -1 over a factor e^2 is a slope of -0.5; -0.8 over a factor e is -0.8.
    assert steepest(np.exp([0.0, 2.0, 3.0]), np.array([2.0, 1.0, 0.2])) == pytest.approx(math.e**2)


def test_the_minimum_is_a_tenth_of_the_rate_of_a_parabolas_lowest_point() -> None:
    rates = np.logspace(-6, 1, 71)
    assert minimum(rates, (np.log10(rates) + 2) ** 2) == pytest.approx(1e-3)
    assert minimum(rates[:0], rates[:0]) is None


def test_the_valley_by_hand() -> None:
    rates = np.logspace(-6, -1, 12)
    # The longest fall is 1.2 to 0.3, 8 points that end at index 9: start 2, 2/3 of 7 is 4.67, so index 2 + 4.
    losses = np.array([1.0, 1.1, 1.2, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.5, 0.8])
    assert valley(rates, losses) == rates[6]
    # The same with a bump on the way: still 7 falling points of 8 that end at 9, so it starts at 3: 3 + floor(4).
    losses[5] = 1.15
    assert valley(rates, losses) == rates[7]
    assert valley(rates, np.sort(losses)) is None
    assert valley(rates[:0], losses[:0]) is None


def test_the_longest_fall_is_found_among_all_subsequences() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        losses, rates = rng.permutation(9).astype(float), np.arange(1.0, 10.0)
        falls = [
            chosen
            for size in range(9, 0, -1)
            for chosen in combinations(range(9), size)
            if all(losses[a] > losses[b] for a, b in pairwise(chosen))
        ]
        longest = len(falls[0])
        end = min(chosen[-1] for chosen in falls if len(chosen) == longest)
        expected = end - longest + 1 + (2 * (longest - 1)) // 3
        assert valley(rates, losses) == (rates[expected] if longest > 1 else None)


def test_slide_goes_back_from_the_explosion_to_the_plain() -> None:
    rates = np.logspace(-6, 0, 50)
    # Level up to index 39, then 1 an update: the slopes are 0 up to index 38, 0.5 at 39, 1 from 40 on. The right point
    # slides from 49 to 39, the left one 15 before it to 24; at 38 both see 0.
    losses = np.maximum(0.0, np.arange(50.0) - 39)
    assert slide(rates, losses) == rates[24]
    # No explosion: the left point stays where it began.
    assert slide(rates, np.ones(50)) == rates[34]
    # In units a thousand times as large the slope of 1 is one of 0.001, below fastai's threshold of 0.005.
    assert slide(rates, losses / 1000) == rates[34]
    assert slide(rates[:16], losses[:16]) is None
    # Ever steeper from the first to the last: it slides to the beginning.
    assert slide(rates, np.arange(50.0) ** 2) == rates[0]


def test_the_first_tenth_the_last_five_and_what_is_not_finite_count_for_nothing() -> None:
    rates, losses = np.logspace(-6, 0, 100), np.full(100, 1.0)
    losses[[3, 97]] = -5.0
    losses[50] = 0.5
    assert suggest(rates, losses, 100)["minimum"] == pytest.approx(rates[50] / 10)
    assert suggest(rates, losses, 100)["steepest"] == rates[49]
    # Planned for 600: the first 60 of these 100 are the tenth.
    assert suggest(rates, losses, 600)["steepest"] is None
    losses[30] = math.nan
    losses[20] = 0.9
    assert suggest(rates, losses, 100)["minimum"] == pytest.approx(rates[20] / 10)
    assert set(suggest(rates[:8], losses[:8], 100).values()) == {None}


def test_the_ratio_band_of_a_proportional_ratio() -> None:
    # ratio = 10 * rate on 20 rates a decade: 3e-4 is reached from 3e-5 on, 3e-3 kept up to 3e-4, 1e-3 met at 1e-4.
    rates = 10.0 ** (-6 + np.arange(121) / 20)
    band = ratio_band(rates, rates * 10)
    assert band["low"] == pytest.approx(10 ** (-6 + 30 / 20))  # 3.16e-5, the first from 3e-5
    assert band["middle"] == pytest.approx(1e-4)
    assert band["high"] == pytest.approx(10 ** (-6 + 49 / 20))  # 2.82e-4, the last up to 3e-4
    # Single odd batches, and one without any value.
    odd = rates * 10
    odd[10], odd[23], odd[80] = 1.0, 1e-9, math.nan
    assert ratio_band(rates, odd) == band
    none = {"low": None, "middle": None, "high": None}
    assert ratio_band(rates, rates * 1e-6) == none
    assert ratio_band(rates, rates * 1e6) == none
    assert ratio_band(rates[:0], rates[:0]) == none
    # A sweep that begins or ends within the band.
    assert ratio_band(rates, np.full(121, 5e-4)) == {"low": rates[0], "middle": None, "high": rates[-1]}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"first": 0.0}, "the first rate is 0"),
        ({"first": -1e-3}, "the first rate is -0.001"),
        ({"last": math.inf}, "the last rate is inf"),
        ({"first": 1.0, "last": 1e-6}, "from 1 to 1e-06"),
        ({"first": 0.1, "last": 0.1}, "from 0.1 to 0.1"),
        ({"updates": 19}, "19 updates"),
        ({"smoothing": 1.0}, "smoothing = 1"),
        ({"divergence": 1.0}, "divergence = 1"),
    ],
)
def test_a_sweep_that_cannot_be_made_is_refused(settings: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Sweep(**settings)


def test_a_sweep_says_how_far_its_smoothed_loss_trails() -> None:
    # 6 decades in 61 updates: a factor of 10 ** 0.1 each; the mean of weights 0.9 ** k lies 0.9 / 0.1 = 9 updates back.
    sweep = Sweep(1e-6, 1.0, 61)
    assert sweep.growth == pytest.approx(10**0.1)
    assert sweep.lag == pytest.approx(10**0.9)
    # On a straight line the mean is that of 9 updates before, once the start is forgotten.
    assert smooth(np.arange(400.0), 0.9)[-1] == pytest.approx(399 - 9)


# -- sweeps of base.cfg ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(overrides: dict, tmp_path_factory: pytest.TempPathFactory):
    """small(**more): base.cfg made small, its trace in a folder of its own."""
    trace = tmp_path_factory.mktemp("trace") / "trace.jsonl"
    return lambda **more: load_config(
        BASE, overrides={**overrides, "paths.trace": str(trace), **more}, interpolate=True
    )


@pytest.fixture(scope="module")
def swept(small):
    return range_test(small(), SWEEP)


def test_a_real_sweep_falls_then_diverges_at_the_top(swept) -> None:
    assert swept.rate == pytest.approx(1e-5 * 10 ** (6 * np.arange(len(swept.rate)) / 119))
    assert len(swept.rate) < 120
    assert swept.stopped is not None
    assert f"at update {len(swept.rate) - 1}, rate {swept.rate[-1]:.3g}" in swept.stopped
    best = np.minimum.accumulate(swept.smoothed)
    # The first update, once ten have been made, above four times the best so far.
    assert (swept.smoothed > 4 * best)[9:].nonzero()[0].tolist() == [len(swept.rate) - 10]
    assert best[-1] < swept.loss[0] / 2
    found = swept.suggestions()
    assert all(swept.rate[0] < rate < swept.rate[-1] for rate in found.values())
    # Ratios grow with the rate; the rule of thumb is met in between.
    assert swept.ratio[-1] > 10 * swept.ratio[0]
    assert found["steepest"] < 10 * minimum(swept.rate, swept.smoothed)
    assert (swept.unit, swept.dropout, swept.seed) == ("per word", 0.3, 0)
    assert swept.left_out == ["trajet.OptimizerTrace.v1"]


def test_a_range_that_starts_too_high_is_told(swept) -> None:
    rate, ever_flatter = SWEEP.first * SWEEP.growth ** np.arange(120), 1 / (1 + np.arange(120))
    found = replace(swept, rate=rate, smoothed=ever_flatter, stopped=None)
    assert [note.split(" ")[-1] for note in found.notes()] == ["10", "1e-05", "updates"]
    assert not replace(found, sweep=replace(SWEEP, smoothing=0.5), stopped="diverged", smoothed=np.ones(120)).notes()


def test_loss_and_ratio_are_those_of_spacys_own_training_under_trace(swept, small, tmp_path: Path) -> None:
    config = small(**{"training.max_steps": 25, "training.eval_frequency": 1000})
    config["training"]["optimizer"]["learn_rate"] = SWEEP.schedule
    config["training"]["before_update"] = trace_block(tmp_path / "t.jsonl")
    train(init_nlp(config), None, stdout=StringIO(), stderr=StringIO())
    trace = read_trace(tmp_path / "t.jsonl")
    steps = trace.steps
    assert swept.rate[:26] == pytest.approx(steps["learn_rate"])
    assert swept.words[:26].tolist() == steps["words"].tolist()
    # spaCy adds up losses in float32, and a trace has the differences.
    assert swept.loss[:26] == pytest.approx(steps["loss_ner"] / steps["words"], rel=1e-4)
    tensors = trace.tensors.assign(ratio=trace.tensors["update_norm"] / trace.tensors["weight_norm"])
    assert swept.ratio_all[:26] == pytest.approx(tensors.groupby("step")["ratio"].median(), rel=1e-4)
    # By the model's own first weights: biases, and nothing else here, start at 0.
    assert swept.starting_at_zero == [name for name in trace.parameters if name.endswith("/b") and "affine" not in name]
    grown = tensors[~tensors["parameter"].isin(swept.starting_at_zero)].groupby("step")["ratio"]
    assert swept.ratio[:26] == pytest.approx(grown.median(), rel=1e-4)
    assert swept.ratio_low[:26] == pytest.approx(grown.quantile(0.25), rel=1e-4)
    assert swept.ratio_high[:26] == pytest.approx(grown.quantile(0.75), rel=1e-4)


def test_a_pipeline_in_memory_is_left_as_it_was_and_gives_the_same_sweep(swept, small) -> None:
    nlp = init_nlp(small())
    optimizer = nlp._optimizer
    before, moments = nlp.to_bytes(), (dict(optimizer.mom1), dict(optimizer.nr_update))
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002  the state that spaCy draws from
    states = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    found = range_test_on(nlp, SWEEP)
    assert nlp.to_bytes() == before
    assert (dict(optimizer.mom1), dict(optimizer.nr_update)) == moments
    assert nlp._optimizer is optimizer
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states  # noqa: NPY002
    assert "update" not in vars(nlp)
    assert not any(
        node.has_grad(name) for _, pipe in nlp.pipeline for node in pipe.model.walk() for name in node.param_names
    )
    assert found.to_dict() == swept.to_dict()


def test_a_sweep_starts_from_the_weights_it_is_given(small) -> None:
    nlp = init_nlp(small())
    untrained = range_test_on(nlp, Sweep(1e-7, 1e-6, 20))
    nlp.config["training"]["max_steps"] = 40
    nlp.config["training"]["before_update"] = None
    train(nlp, None, stdout=StringIO(), stderr=StringIO())
    trained = range_test_on(nlp, Sweep(1e-7, 1e-6, 20))
    assert trained.loss.mean() < 0.6 * untrained.loss.mean()
    assert trained.stopped is None
    assert len(trained.rate) == 20


def test_random_states_are_kept_and_another_seed_gives_another_sweep(swept, small) -> None:
    random.seed(3)
    state = random.getstate()
    other = range_test(small(), Sweep(1e-5, 10.0, 20), seed=1)
    assert random.getstate() == state
    assert other.seed == 1
    assert other.loss[0] != swept.loss[0]


@pytest.mark.parametrize(
    "block",
    [
        {"@optimizers": "SGD.v1", "learn_rate": 0.1, "L2": 0.0, "grad_clip": 0.0, "use_averages": False},
        {"@optimizers": "RAdam.v1", "use_averages": True},
    ],
    ids=lambda block: block["@optimizers"],
)
def test_any_optimizer_is_swept(small, block: dict) -> None:
    config = small()
    config["training"]["optimizer"] = block
    found = range_test(config, Sweep(1e-3, 1e9, 40))
    assert found.optimizer == {**block, "learn_rate": {"@schedules": "compounding.v1", "start": 1e-3, "stop": 1e9,
                                                       "compound": pytest.approx(10 ** (12 / 39))}}  # fmt: skip
    assert found.stopped is not None
    assert found.rate == pytest.approx(1e-3 * 10 ** (12 * np.arange(len(found.rate)) / 39))


def test_a_wrapped_optimizer_and_a_block_elsewhere_in_the_config(small) -> None:
    config = small()
    inner = config["training"]["optimizer"]
    config["variants"] = {"sparse": {"@optimizers": "trajet.ProximalL1.v1", "optimizer": inner, "L1": 0.5}}
    found = range_test(config, Sweep(1e-5, 1e-2, 20), block="variants.sparse")
    assert found.optimizer["@optimizers"] == "trajet.ProximalL1.v1"
    assert found.optimizer["optimizer"]["learn_rate"]["@schedules"] == "compounding.v1"
    assert found.optimizer["optimizer"]["beta1"] == inner["beta1"]
    assert found.rate[[0, -1]] == pytest.approx([1e-5, 1e-2])
    assert [note.split(":")[0] for note in found.notes()] == [
        "the loss was still falling at the last rates",
        "the smoothed loss trails the batches by a factor of 26 in the rate, and so do the suggestions",
    ]
    plain = range_test(config, Sweep(1e-5, 1e-2, 20))
    # The threshold begins at rate * L1, next to nothing: alike at first, not in the end.
    assert found.loss[0] == plain.loss[0]
    assert found.loss[-1] != plain.loss[-1]


def test_what_is_not_finite_ends_the_sweep_and_is_no_json_number(small) -> None:
    config = small()
    config["training"]["optimizer"] = {"@optimizers": "SGD.v1", "learn_rate": 0.1, "grad_clip": 0.0}
    # Nothing but what is not finite may stop it.
    found = range_test(config, Sweep(1e-3, 1e30, 30, divergence=1e9))
    assert "was not finite at update" in found.stopped
    assert np.isfinite(found.loss[:-1]).all()
    text = json.dumps(found.to_dict(), allow_nan=False)
    assert len(json.loads(text)["series"]["rate"]) == len(found.rate) < 30


# -- other people's configs ------------------------------------------------------------------------

FOREIGN = """
[paths]
train = null
[nlp]
lang = "en"
pipeline = ["tagger","textcat"]
[components]
[components.tagger]
factory = "tagger"
[components.tagger.model]
@architectures = "spacy.Tagger.v2"
[components.tagger.model.tok2vec]
@architectures = "spacy.HashEmbedCNN.v2"
width = 16
depth = 1
embed_size = 100
window_size = 1
maxout_pieces = 2
subword_features = true
pretrained_vectors = null
[components.textcat]
factory = "textcat"
[components.textcat.model]
@architectures = "spacy.TextCatBOW.v3"
exclusive_classes = true
length = 256
ngram_size = 1
no_output_layer = false
[corpora]
[corpora.train]
@readers = "spacy.Corpus.v1"
path = ${paths.train}
max_length = 0
gold_preproc = false
limit = 0
augmenter = null
[corpora.dev]
@readers = "spacy.Corpus.v1"
path = ${paths.train}
max_length = 0
gold_preproc = false
limit = 0
augmenter = null
[training]
train_corpus = "corpora.train"
dev_corpus = "corpora.dev"
accumulate_gradient = 2
max_epochs = 1
[training.batcher]
@batchers = "spacy.batch_by_sequence.v1"
size = 10
get_length = null
"""
TAGS = ["NOUN", "VERB", "ADV"]


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory):
    """foreign(*pipeline): a config of spaCy's own components on 40 small documents."""
    path = tmp_path_factory.mktemp("foreign") / "train.spacy"
    nlp, docs = spacy.blank("en"), []
    for index in range(40):
        good = index % 2 == 0
        doc = Doc(nlp.vocab, ["rain" if good else "snow", "falls", "here"], tags=TAGS)
        doc.cats = {"GOOD": float(good), "BAD": float(not good)}
        docs.append(doc)
    DocBin(docs=docs, store_user_data=True).to_disk(path)

    def make(*pipeline: str) -> Config:
        return Config().from_str(FOREIGN, overrides={"nlp.pipeline": list(pipeline), "paths.train": str(path)})

    return make


def test_a_mean_over_the_batch_stays_one_and_a_sum_is_divided_by_the_words(foreign) -> None:
    sweep = Sweep(1e-7, 1e-6, 20)
    classes = range_test(foreign("textcat"), sweep)
    # Scores start at 1/2 each, so the squared error is 1/4 whatever the batch and however it is divided.
    assert classes.loss[0] == pytest.approx(0.25, abs=1e-6)
    assert classes.unit == "mean of the batch"
    # 4 batches of 10 an epoch: the sweep goes on where max_epochs = 1 would have ended.
    assert classes.words.tolist() == [30] * 20
    tags = range_test(foreign("tagger"), sweep)
    # Three scores of 1/3: (1 - 1/3)^2 + 2 * (1/3)^2 = 2/3 a word, as spaCy measures it.
    assert tags.loss[0] == pytest.approx(2 / 3, abs=1e-6)
    assert tags.unit == "per word"
    both = range_test(foreign("tagger", "textcat"), sweep)
    assert both.loss[0] == pytest.approx(2 / 3 + 0.25, abs=1e-6)
    assert both.losses["textcat"][0] == pytest.approx(0.25, abs=1e-6)
    assert list(both.losses) == ["tagger", "textcat"]
    assert both.unit == "per word, or mean of the batch"


def test_a_component_that_refuses_nan_ends_the_sweep(foreign) -> None:
    config = foreign("tagger")
    config["training"]["optimizer"] = {"@optimizers": "SGD.v1", "learn_rate": 1.0, "grad_clip": 0.0}
    found = range_test(config, Sweep(1.0, 1e38, 40, divergence=1e9))
    assert "not finite" in found.stopped
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_sweep_that_fails_at_its_first_update_has_empty_series() -> None:
    record = Record(SWEEP, {"tagger": object()}, 1)
    record.fail(1e-5)
    found = record.result(["a", "b"], seed=0, optimizer={"@optimizers": "SGD.v1"}, dropout=0.1, left_out=[])
    told = found.to_dict()
    assert told["stopped"] == "the loss was not finite at update 0, rate 1e-05"
    assert told["series"]["loss"] == told["series"]["ratio"] == []
    assert set(told["suggestions"].values()) == {None}
    picture.draw(picture.data({"config": "x", "ratio_guide": 1e-3, "ratio_range": [3e-4, 3e-3], **told}))


def test_the_transformer_config_is_swept(tiny_camembert: Path, overrides: dict, tmp_path: Path) -> None:
    settings = {key: value for key, value in overrides.items() if not key.startswith("components")}
    settings |= {"components.transformer.model.name": str(tiny_camembert), "training.batcher.size": 60}
    config = load_config(ROOT / "configs" / "transformer.cfg", overrides=settings, interpolate=True)
    found = range_test(config, Sweep(1e-4, 1e-1, 20))
    assert len(found.rate) >= 10
    assert list(found.losses) == ["ner"]
    assert np.isfinite(found.ratio).all()
    nlp = init_nlp(config)
    before = nlp.to_bytes()
    assert range_test_on(nlp, Sweep(1e-4, 1e-1, 20)).to_dict() == found.to_dict()
    assert nlp.to_bytes() == before


# -- what cannot be swept --------------------------------------------------------------------------


@registry.optimizers("test.FixedRate.v1")
def fixed_rate() -> SGD:
    return SGD(0.1)


@registry.optimizers("test.DeafToItsRate.v1")
def deaf(learn_rate) -> SGD:
    return SGD(0.1)


def _edited(config: Config, place: str, value: object) -> Config:
    section = config
    *path, last = place.split(".")
    for part in path:
        section = section[part]
    if value is None:
        section.pop(last)
    else:
        section[last] = value
    return config


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("training.train_corpus", 7, "[training] has no train_corpus"),
        ("training.train_corpus", "corpora.nowhere", "has no block [corpora.nowhere]"),
        ("corpora.train.path", "nowhere.spacy", "[corpora.train] nowhere.spacy: no such file"),
        ("training", None, "has no [training] section"),
        ("training.optimizer", {"@optimizers": "test.FixedRate.v1"}, "test.FixedRate.v1 has no learn_rate"),
        ("training.optimizer", {"@optimizers": "test.DeafToItsRate.v1", "learn_rate": 1}, "does not follow its learn_rate"),
        ("training.optimizer", {"@optimizers": "Nobody.v1"}, "Nobody.v1"),
        ("training.optimizer", {"@optimizers": "SGD.v1", "learn_rate": 1, "beta7": 1}, "beta7"),
        ("training.frozen_components", ["tagger", "textcat"], "trains no component"),
        ("components.tagger.factory", "nobody", "cannot be set up"),
    ],
)  # fmt: skip
def test_a_config_that_cannot_be_swept_gives_one_line(foreign, place: str, value: object, said: str) -> None:
    config = _edited(foreign("tagger", "textcat"), place, value)
    with pytest.raises(UserError) as caught:
        range_test(config, Sweep(updates=20), source="my.cfg")
    assert str(caught.value).startswith("my.cfg: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("block", "said"),
    [("training.batcher", r"\[training.batcher\] is no optimizer"), ("variants.sgd", r"no block \[variants.sgd\]")],
)
def test_a_section_that_is_no_optimizer_or_not_there(foreign, block: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        range_test(foreign("tagger"), Sweep(updates=20), block=block)


def test_a_corpus_without_a_path_or_without_documents(foreign, tmp_path: Path) -> None:
    config = foreign("tagger")
    config["corpora"]["train"]["path"] = None
    with pytest.raises(UserError, match=r"\[corpora.train\] path is empty; give the training documents"):
        range_test(config, Sweep(updates=20))
    DocBin(docs=[]).to_disk(tmp_path / "empty.spacy")
    config["corpora"]["train"]["path"] = str(tmp_path / "empty.spacy")
    with pytest.raises(UserError):
        range_test(config, Sweep(updates=20))


def test_callbacks_are_left_out_and_named_those_in_a_chain_too(small, tmp_path: Path) -> None:
    written = tmp_path / "t.jsonl"
    config = small()
    config["training"]["before_update"] = {
        "@callbacks": "trajet.Chain.v1",
        "*": {"trace": trace_block(written), "other": {"@callbacks": "not.Installed.v1"}},
    }
    found = range_test(config, Sweep(1e-5, 1e-4, 20))
    assert found.left_out == ["trajet.Chain.v1", "trajet.OptimizerTrace.v1", "not.Installed.v1"]
    assert not written.exists()


# -- the command and its picture -------------------------------------------------------------------


@pytest.fixture(scope="module")
def result(swept) -> dict:
    guides = {"ratio_guide": 1e-3, "ratio_range": [3e-4, 3e-3]}
    return {"config": "small.cfg", **guides, **json.loads(json.dumps(swept.to_dict(), allow_nan=False))}


def test_the_pictures_numbers_are_the_sweeps(swept, result: dict) -> None:
    curves = picture.data(result)
    assert curves.smoothed == pytest.approx(swept.smoothed, rel=1e-5)
    assert list(curves.marks) == ["steepest", "valley", "minimum", "slide"]
    loss = curves.marks["steepest"][1]
    assert loss == pytest.approx(swept.smoothed[swept.rate == swept.suggestions()["steepest"]][0], rel=1e-4)
    assert curves.band == pytest.approx((swept.band()["low"], swept.band()["high"]), rel=1e-5)
    assert curves.stopped_at == pytest.approx(swept.rate[-1], rel=1e-5)


def test_no_text_lies_on_another(result: dict) -> None:
    figure = picture.draw(picture.data(result))
    figure.draw_without_rendering()
    top, bottom = figure.axes
    boxes = [ax.get_legend().get_window_extent() for ax in (top, bottom)]
    boxes += [ax._left_title.get_window_extent() for ax in (top, bottom)]
    boxes += [ax.xaxis.label.get_window_extent() for ax in (bottom,)]
    boxes += [ax.yaxis.label.get_window_extent() for ax in (top, bottom)]
    boxes += [top.get_window_extent(), bottom.get_window_extent()]
    for first, second in combinations(boxes, 2):
        assert not first.overlaps(second)
    whole = figure.bbox
    assert all(whole.x0 <= box.x0 and box.x1 <= whole.x1 and whole.y0 <= box.y0 for box in boxes)


def test_a_sweep_without_suggestions_or_band_is_drawn_on_the_axes_given(result: dict) -> None:
    empty = {**result, "suggestions": dict.fromkeys(result["suggestions"]), "stopped": None,
             "ratio_band": dict.fromkeys(result["ratio_band"])}  # fmt: skip
    ax = Figure().add_subplot()
    assert picture.draw_loss(picture.data(empty), ax) is ax
    assert len(ax.lines) == 2
    series = {name: [] if name != "losses" else {} for name in result["series"]}
    picture.draw(picture.data({**empty, "series": series}))


def test_the_command_writes_what_another_process_computes_and_draws_byte_for_byte(small, tmp_path: Path) -> None:
    config, folder = tmp_path / "small.cfg", tmp_path / "out"
    small().to_disk(config)
    done = run_script("lr_range", config, "--from", "1e-4", "--to=1", "--updates", "30", "--output", folder / "r.json",
                      "--plots", folder, "--training.dropout=0.1")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "left out: [training.before_update] trajet.OptimizerTrace.v1" in done.stdout
    assert "steepest" in done.stdout
    written = {path.name: path.read_bytes() for path in folder.iterdir()}
    found = range_test(small(**{"training.dropout": 0.1}), Sweep(1e-4, 1.0, 30))
    guides = {"ratio_guide": 1e-3, "ratio_range": [3e-4, 3e-3]}
    expected = {"config": str(config), **guides, **found.to_dict()}
    text = json.dumps(expected, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
    pictures = save(picture.draw(picture.data(json.loads(text))), tmp_path / "small")
    assert written == {"r.json": text.encode(), **{path.name: path.read_bytes() for path in pictures}}
    assert set(written) == {"r.json", "small.svg", "small.png"}
    assert found.dropout == 0.1


def test_code_that_a_config_names_is_imported(foreign, tmp_path: Path) -> None:
    config, code = tmp_path / "own.cfg", tmp_path / "own.py"
    made = foreign("textcat")
    made["training"]["optimizer"] = {"@optimizers": "test.FromAFile.v1", "learn_rate": 0.1}
    made.to_disk(config)
    code.write_text(
        "import spacy, thinc.api\n"
        '@spacy.registry.optimizers("test.FromAFile.v1")\n'
        "def make(learn_rate): return thinc.api.SGD(learn_rate)\n",
        encoding="utf8",
    )
    written = ["--output", str(tmp_path / "r.json"), "--plots", str(tmp_path)]
    done = CliRunner().invoke(lr_range.app, [str(config), "--updates", "20", "--code", str(code), *written])
    assert done.exit_code == 0, done.exception
    assert (
        json.loads((tmp_path / "r.json").read_text(encoding="utf8"))["optimizer"]["@optimizers"] == "test.FromAFile.v1"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.cfg"], "nowhere.cfg: no such file"),
        ([str(BASE), "--from", "1", "--to", "1e-3"], "the first must be smaller"),
        ([str(BASE), "--update", "50"], "--update: no such option"),
        ([str(BASE), "--paths.train", "nowhere.spacy"], "nowhere.spacy: no such file"),
        ([str(BASE), "--code", "nowhere.py"], "--code nowhere.py: no such file"),
    ],
)
def test_a_mistake_is_told_before_anything_is_written(tmp_path: Path, arguments: list[str], said: str) -> None:
    written = ["--output", str(tmp_path / "r.json"), "--plots", str(tmp_path)]
    done = CliRunner().invoke(lr_range.app, [*arguments, *written])
    assert isinstance(done.exception, UserError)
    assert said in str(done.exception)
    assert "\n" not in str(done.exception)
    assert not list(tmp_path.iterdir())


def test_a_mistake_gives_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(sys, "argv", ["lr_range", "nowhere.cfg"])
    with pytest.raises(SystemExit) as caught:
        run_app(lr_range.app)
    assert caught.value.code == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert "nowhere.cfg: no such file" in said.err
