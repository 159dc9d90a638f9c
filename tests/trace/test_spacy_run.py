"""The trace of real spaCy trainings: it changes nothing, and what it says is what happened."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import spacy
from spacy.training import Example
from thinc.api import Adam, Optimizer

from tests.conftest import ROOT, trace_block, train_command, weight_bytes
from trajet.errors import UserError
from trajet.trace import OptimizerTrace, read_trace
from trajet.trace.parameters import Parameter, name_parameters, parse_watches

FOLLOWED = "Je veux aller de [Marseille](DEP) à [Paris](ARR)"


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"level": "full", "losses_on": 12, "watch": ["ner/precomputable_affine-0/b[4,0]"], "follow": [FOLLOWED]},
        {"level": "steps", "every": 3},
    ],
    ids=["defaults", "everything", "little"],
)
def test_the_trained_bytes_are_those_of_an_untraced_run(fit, tmp_path: Path, settings: dict) -> None:
    plain = fit("plain")
    traced = fit("traced", trace_block(tmp_path / "t.jsonl", **settings))
    for part in ("model-best", "model-last"):
        assert weight_bytes(traced.output / part) == weight_bytes(plain.output / part)
    assert [row["losses"] for row in traced.log] == [row["losses"] for row in plain.log]


def test_two_runs_with_one_seed_give_the_same_weights_and_trace(fit, tmp_path: Path) -> None:
    runs = [fit(name, trace_block(tmp_path / f"{name}.jsonl", losses_on=8)) for name in ("one", "two")]
    assert weight_bytes(runs[0].output / "model-last") == weight_bytes(runs[1].output / "model-last")
    first, second = (read_trace(tmp_path / f"{name}.jsonl") for name in ("one", "two"))
    assert first.tensors.equals(second.tensors)
    clocks = ["seconds", "trace_seconds", "score_speed", "peak_memory_process"]
    assert first.evaluations.drop(columns=clocks).equals(second.evaluations.drop(columns=clocks))
    assert first.steps.drop(columns="seconds").equals(second.steps.drop(columns="seconds"))


def test_the_saved_pipeline_needs_nothing_of_ours(fit, tmp_path: Path) -> None:
    run = fit("traced", trace_block(tmp_path / "t.jsonl"))
    script = textwrap.dedent(
        f"""
        import sys

        class Absent:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] == "trajet":
                    raise ModuleNotFoundError(name)

        sys.meta_path.insert(0, Absent())
        import spacy
        nlp = spacy.load({str(run.output / "model-last")!r})
        print(len(nlp("Je pars de Metz→Nancy demain")), "trajet" in sys.modules)
        """
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["7", "False"], done.stderr


def test_losses_sum_to_the_loggers(fit, tmp_path: Path) -> None:
    run = fit("traced", trace_block(tmp_path / "t.jsonl"))
    steps = read_trace(tmp_path / "t.jsonl").steps
    assert list(steps["step"]) == list(range(21))
    start = -1
    for row in run.log:
        part = steps[(steps["step"] > start) & (steps["step"] <= row["step"])]
        for name, value in row["losses"].items():
            assert part[f"loss_{name}"].sum() == pytest.approx(value, rel=1e-6)
        start = row["step"]


class Call(NamedTuple):
    """The oracle's own note of one call of the optimizer, in float64."""

    key: tuple
    before: np.ndarray
    raw: np.ndarray
    after: np.ndarray
    rate: float
    m: np.ndarray
    v: np.ndarray
    t: int


@pytest.fixture
def recorded(tmp_path: Path, overrides: dict, monkeypatch: pytest.MonkeyPatch):
    """A short training by hand and what an independent note-taker inside Thinc saw: (trace, calls, parameters)."""
    from spacy.training.initialize import init_nlp
    from spacy.training.loop import train_while_improving
    from spacy.util import load_config, resolve_dot_names

    nlp = init_nlp(load_config(ROOT / "configs" / "base.cfg", overrides={**overrides, "training.before_update": None}))
    schedule = (0.001 * (step + 1) for step in range(1000))
    optimizer = Adam(schedule, L2=0.01, grad_clip=1.0, beta1=0.9, beta2=0.999, eps=1e-8, use_averages=False)
    calls: list[Call] = []
    original = Optimizer.__call__

    def noting(self, key, weights, gradient, *, lr_scale=1.0):
        before, raw = weights.astype("float64"), gradient.astype("float64")
        result = original(self, key, weights, gradient, lr_scale=lr_scale)
        moments = self.mom1[key].astype("float64"), self.mom2[key].astype("float64")
        calls.append(
            Call(key, before, raw, result[0].astype("float64"), self.learn_rate, *moments, self.nr_update[key])
        )
        return result

    monkeypatch.setattr(Optimizer, "__call__", noting)
    (corpus,) = resolve_dot_names(nlp.config.interpolate(), ["corpora.train"])
    examples = list(corpus(nlp))
    trace = OptimizerTrace(
        tmp_path / "r.jsonl", level="full", watch=["tok2vec/maxout-1/W[3,1,:]", "ner/precomputable_affine-0/b[2,1]"]
    )
    batches = ((0, examples[start : start + 6]) for start in range(0, 120, 6))
    loop = train_while_improving(
        nlp, optimizer, batches, lambda: (0.0, {}), dropout=0.1, eval_frequency=1000, accumulate_gradient=1, patience=0,
        max_steps=0, exclude=[], annotating_components=[], before_update=trace,
    )  # fmt: skip
    assert len(list(loop)) == 20
    parameters = [p for name in ("tok2vec", "ner") for p in name_parameters(name, nlp.get_pipe(name).model)]
    return read_trace(tmp_path / "r.jsonl"), calls, parameters


def test_every_column_equals_an_independent_recomputation(recorded) -> None:
    trace, noted, parameters = recorded
    table = trace.tensors.set_index(["step", "parameter"])
    names = {parameter.key: parameter.name for parameter in parameters}
    assert len(table) == len(noted) == 20 * len(parameters)
    previous: dict = {}
    for number, (key, before, raw, after, rate, m, v, t) in enumerate(noted):
        row = table.loc[(number // len(parameters), names[key])]
        # The norm Thinc sees is float32: a sum of squares of n terms is off by less than n * 2^-24 in the worst case.
        close = {"rel": 2e-5, "abs": 1e-12}
        assert row["grad_norm"] == pytest.approx(np.linalg.norm(raw), **close)
        assert row["weight_norm"] == pytest.approx(np.linalg.norm(after), **close)
        assert row["update_norm"] == pytest.approx(np.linalg.norm(after - before), **close)
        assert row["clipped"] == (np.linalg.norm(raw) >= 1.0)
        factor = rate * 0.01
        decay = -factor / (1 - factor) * after
        assert row["decay_part_norm"] == pytest.approx(np.linalg.norm(decay), **close)
        assert row["mom1_norm"] == pytest.approx(np.linalg.norm(m), **close)
        assert row["mom2_norm"] == pytest.approx(np.linalg.norm(v), **close)
        assert row["effective_eps"] == pytest.approx(1e-8 / np.sqrt(1 - 0.999**t), rel=1e-5)
        # The gradient's part by Adam's own formula: equal but for the float32 rounding of the weights.
        step = rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-8)
        rounding = 2.0**-23 * np.abs(before) + 2.0**-22 * np.abs(step).reshape(before.shape)
        assert np.all(np.abs((after - before) - (decay - step.reshape(before.shape))) <= 2 * rounding + 1e-12)
        assert row["gradient_part_norm"] == pytest.approx(
            np.linalg.norm(step), rel=1e-3, abs=2 * np.linalg.norm(rounding)
        )
        if np.linalg.norm(raw) and np.linalg.norm(after - before):
            cosine = -np.sum(raw * (after - before)) / np.linalg.norm(raw) / np.linalg.norm(after - before)
            assert row["cos_update_descent"] == pytest.approx(cosine, abs=1e-4)
            if key in previous and np.linalg.norm(previous[key]):
                cosine = np.sum(raw * previous[key]) / np.linalg.norm(raw) / np.linalg.norm(previous[key])
                assert row["cos_previous_gradient"] == pytest.approx(cosine, abs=1e-4)
        previous[key] = raw


def test_totals_and_schedule(recorded) -> None:
    trace, noted, parameters = recorded
    assert trace.steps["learn_rate"].to_numpy() == pytest.approx(0.001 * np.arange(1, 21))
    size = len(parameters)
    for step in range(20):
        calls = noted[step * size : (step + 1) * size]
        row = trace.steps.iloc[step]
        assert row["global_grad_norm"] == pytest.approx(
            np.sqrt(sum((raw**2).sum() for _, _, raw, *_ in calls)), rel=2e-5
        )
        assert row["global_update_norm"] == pytest.approx(
            np.sqrt(sum(((a - b) ** 2).sum() for _, b, _, a, *_ in calls)), rel=2e-5
        )
        assert row["tensors_clipped"] == sum(np.linalg.norm(raw) >= 1.0 for _, _, raw, *_ in calls)
        assert row["tensors_updated"] == size


def test_watched_weights_are_exact_and_their_parts_add_up(recorded) -> None:
    trace, noted, parameters = recorded
    by_name = {parameter.name: parameter for parameter in parameters}
    for text, name, pick in (
        ("tok2vec/maxout-1/W[3,1,:]", "tok2vec/maxout-1/W", lambda a: a[3, 1, :]),
        ("ner/precomputable_affine-0/b[2,1]", "ner/precomputable_affine-0/b", lambda a: a[2:3, 1]),
    ):
        calls = [call for call in noted if call[0] == by_name[name].key]
        watched = trace.watched[trace.watched["watch"] == text]
        for step, (_, before, raw, after, _, m, v, _) in enumerate(calls):
            rows = watched[watched["step"] == step]
            shape = before.shape
            for column, array in (
                ("w", before),
                ("g", raw),
                ("w_after", after),
                ("m", m.reshape(shape)),
                ("v", v.reshape(shape)),
            ):
                # 9 digits name a float32 exactly.
                assert (rows[column].to_numpy().astype("float32") == pick(array).astype("float32")).all(), (
                    text,
                    step,
                    column,
                )
            change = rows["gradient_part"].to_numpy() + rows["decay_part"].to_numpy()
            assert change == pytest.approx(pick(after) - pick(before), rel=1e-6, abs=1e-14)


def test_parameter_names_are_stable_and_say_their_shape(fit, tmp_path: Path) -> None:
    fit("a", trace_block(tmp_path / "a.jsonl"))
    fit("b", trace_block(tmp_path / "b.jsonl"))
    first, second = (read_trace(tmp_path / f"{name}.jsonl") for name in "ab")
    assert first.header["parameters"] == second.header["parameters"]
    assert "tok2vec/maxout-2/W" in first.parameters
    assert "ner/precomputable_affine-0/W" in first.parameters
    assert len(set(first.parameters)) == len(first.parameters)
    shapes = {p["name"]: p["shape"] for p in first.header["parameters"]}
    assert shapes["tok2vec/hashembed-0/E"] == [300, 24]
    assert len(shapes["ner/precomputable_affine-0/W"]) == 4
    assert first.header["seed"] == 0
    assert first.header["optimizer"]["scheduled"] == ["learn_rate"]
    assert first.header["config"]["optimizer"]["L2"] == 0.01


def test_every_writes_every_nth_step(fit, tmp_path: Path) -> None:
    fit("a", trace_block(tmp_path / "a.jsonl", every=7))
    fit("b", trace_block(tmp_path / "b.jsonl"))
    seventh, all_steps = (read_trace(tmp_path / f"{name}.jsonl") for name in "ab")
    assert list(seventh.steps["step"]) == [0, 7, 14]
    both = all_steps.steps[all_steps.steps["step"].isin([0, 7, 14])].reset_index(drop=True)
    assert seventh.steps.drop(columns="seconds").equals(both.drop(columns="seconds"))


def test_level_steps_keeps_totals_only(fit, tmp_path: Path) -> None:
    fit("a", trace_block(tmp_path / "a.jsonl", level="steps"))
    fit("b", trace_block(tmp_path / "b.jsonl"))
    short, long = (read_trace(tmp_path / f"{name}.jsonl") for name in "ab")
    assert short.tensors.empty
    assert short.steps.drop(columns="seconds").equals(long.steps.drop(columns="seconds"))


def test_held_losses_are_those_of_the_weights_at_that_moment(fit, tmp_path: Path) -> None:
    run = fit("a", trace_block(tmp_path / "a.jsonl", losses_on=500))
    evaluations = read_trace(tmp_path / "a.jsonl").evaluations
    last = spacy.load(run.output / "model-last")
    # All documents are fewer than 500, so the fixed ones are the whole corpora; spaCy's own update is the oracle.
    (corpus,) = spacy.util.resolve_dot_names(run.nlp.config.interpolate(), ["corpora.dev"])
    examples = list(corpus(last))
    last.get_pipe("ner").cfg["update_with_oracle_cut_size"] = 0
    losses: dict = {}
    for example in examples:
        # One document a call: dropout in the parser's hidden layer is taken out by its attribute.
        _update_without_hidden_dropout(last, [example], losses)
    tokens = sum(len(example.reference) for example in examples)
    assert evaluations["dev_loss_ner"].iloc[-1] == pytest.approx(losses["ner"] / tokens, rel=1e-3)
    assert evaluations["train_loss_ner"].iloc[-1] < evaluations["train_loss_ner"].iloc[0] + 1
    assert not any("tok2vec" in name for name in evaluations if name.startswith("dev_loss"))


def _update_without_hidden_dropout(nlp, examples: list, losses: dict) -> None:
    """spaCy's training pass with the fixed 10 % dropout of the hidden layer taken out of the random draw."""
    from thinc.api import NumpyOps

    original = NumpyOps.get_dropout_mask
    try:
        import spacy.ml.parser_model as parser_model

        class Keep(type(parser_model.NUMPY_OPS)):
            def get_dropout_mask(self, shape, drop):
                return np.ones(shape, dtype="float32")

        ops, parser_model.NUMPY_OPS = parser_model.NUMPY_OPS, Keep()
        nlp.update(examples, drop=0.0, sgd=False, losses=losses)
    finally:
        parser_model.NUMPY_OPS = ops
        assert NumpyOps.get_dropout_mask is original


def test_predictions_and_memory_are_kept(fit, tmp_path: Path) -> None:
    run = fit("a", trace_block(tmp_path / "a.jsonl"))
    trace = read_trace(tmp_path / "a.jsonl")
    assert list(trace.evaluations["step"]) == [0, 10, 20]
    # The trace writes nine significant digits.
    assert trace.evaluations["score_ents_f"].tolist() == pytest.approx([row["score"] for row in run.log], rel=1e-8)
    assert (trace.evaluations["peak_memory_process"] > 1e6).all()
    shown = trace.predictions[trace.predictions["step"] == 20]
    nlp = spacy.load(run.output / "model-last")
    assert len(shown) == 4
    for _, row in shown.iterrows():
        assert list(row["ents"]) == [(ent.start_char, ent.end_char, ent.label_) for ent in nlp(row["text"]).ents]


# -- pipelines of other shapes -------------------------------------------------------------------


def test_gradient_accumulation(fit, tmp_path: Path) -> None:
    run = fit("a", trace_block(tmp_path / "a.jsonl", losses_on=8), **{"training.accumulate_gradient": 3})
    plain = fit("b", **{"training.accumulate_gradient": 3})
    assert weight_bytes(run.output / "model-last") == weight_bytes(plain.output / "model-last")
    steps = read_trace(tmp_path / "a.jsonl").steps
    assert len(steps) == 21
    assert steps["loss_ner"].iloc[1:11].sum() == pytest.approx(run.log[1]["losses"]["ner"], rel=1e-6)


def test_averages(fit, tmp_path: Path) -> None:
    settings = {"training.optimizer.use_averages": True}
    run = fit("a", trace_block(tmp_path / "a.jsonl", losses_on=8), **settings)
    plain = fit("b", **settings)
    assert weight_bytes(run.output / "model-last") == weight_bytes(plain.output / "model-last")
    assert read_trace(tmp_path / "a.jsonl").header["optimizer"]["use_averages"]


def test_frozen_components_are_left_out(fit, tmp_path: Path) -> None:
    first = fit("first")
    settings = {"training.frozen_components": ["tok2vec"], "training.annotating_components": ["tok2vec"]}

    def source(config) -> None:
        config["components"]["tok2vec"] = {"source": str(first.output / "model-last")}
        config["components"]["ner"]["model"]["tok2vec"]["width"] = 24
        config["initialize"]["before_init"] = None

    run = fit("a", trace_block(tmp_path / "a.jsonl", losses_on=8), edit=source, **settings)
    plain = fit("b", edit=source, **settings)
    assert weight_bytes(run.output / "model-last") == weight_bytes(plain.output / "model-last")
    trace = read_trace(tmp_path / "a.jsonl")
    assert trace.header["frozen"] == ["tok2vec"]
    assert {name.split("/")[0] for name in trace.parameters} == {"ner"}
    assert (trace.steps["tensors_updated"] == len(trace.parameters)).all()
    assert trace.evaluations["dev_loss_ner"].notna().all()


CATEGORISED = """
[nlp]
lang = "fr"
pipeline = ["tok2vec","tagger","ner","textcat"]

[components]
[components.tok2vec]
factory = "tok2vec"
[components.tok2vec.model]
@architectures = "spacy.HashEmbedCNN.v2"
width = 16
depth = 1
embed_size = 200
window_size = 1
maxout_pieces = 2
subword_features = true
pretrained_vectors = null
[components.tagger]
factory = "tagger"
[components.tagger.model]
@architectures = "spacy.Tagger.v2"
[components.tagger.model.tok2vec]
@architectures = "spacy.Tok2VecListener.v1"
width = 16
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
width = 16
[components.textcat]
factory = "textcat"
[components.textcat.model]
@architectures = "spacy.TextCatBOW.v3"
exclusive_classes = true
length = 4096
ngram_size = 1
no_output_layer = false
"""


@pytest.mark.parametrize("annotating", [[], ["tagger", "ner"]])
def test_several_components(tmp_path: Path, annotating: list[str]) -> None:
    trace = _bare_pipeline(tmp_path, annotating, unknown_label=False)
    assert {name.split("/")[0] for name in trace.parameters} == {"tok2vec", "tagger", "ner", "textcat"}
    for part in ("train", "dev"):
        for name in ("tagger", "ner", "textcat"):
            assert trace.evaluations[f"{part}_loss_{name}"].notna().all()


def test_documents_with_an_unknown_label_are_left_out_and_nothing_is_resized(tmp_path: Path) -> None:
    trace = _bare_pipeline(tmp_path, [], unknown_label=True)
    assert trace.evaluations["dev_loss_ner"].notna().all()
    assert trace.tensors["parameter"].nunique() == len(trace.parameters)


def _bare_pipeline(tmp_path: Path, annotating: list[str], unknown_label: bool):
    """Train four components with and without the trace; the weights must be equal. Returns the trace."""
    from spacy.training.loop import train_while_improving
    from thinc.api import Adam, Config, fix_random_seed

    texts = [
        ("Je pars de Lyon", (11, 15)),
        ("Marie va vers Nice", (14, 18)),
        ("Un billet pour Pau", (15, 18)),
        ("Le bus de Dax", (10, 13)),
    ]
    results = []
    for traced in (False, True):
        fix_random_seed(0)
        nlp = spacy.util.load_model_from_config(Config().from_str(CATEGORISED), auto_fill=True)
        train = [_example(nlp, text, span, "DEP") for text, span in texts]
        dev = [_example(nlp, text, span, "DEP") for text, span in texts[:2]]
        if unknown_label:
            dev.append(_example(nlp, *texts[2], "NEW"))
        nlp.initialize(lambda examples=train: examples)
        trace = OptimizerTrace(tmp_path / "t.jsonl", losses_on=3)
        if traced:
            # There is no config to read a train corpus from in a loop by hand.
            nlp.config["training"]["train_corpus"] = "corpora.train"
            _save(train, tmp_path / "train.spacy")
            nlp.config["corpora"] = {"train": {"@readers": "spacy.Corpus.v1", "path": str(tmp_path / "train.spacy"), "max_length": 0,
                                               "gold_preproc": False, "limit": 0, "augmenter": None}}  # fmt: skip
        loop = train_while_improving(
            nlp, Adam(0.01, use_averages=False), ((0, train[i % 3 :]) for i in range(12)), lambda nlp=nlp, dev=dev: (0.0, nlp.evaluate(dev)),
            dropout=0.2, eval_frequency=4, accumulate_gradient=1, patience=0, max_steps=0, exclude=[],
            annotating_components=annotating, before_update=trace if traced else None,
        )  # fmt: skip
        list(loop)
        results.append({name: nlp.get_pipe(name).model.to_bytes() for name in nlp.pipe_names})
    assert results[0] == results[1]
    return read_trace(tmp_path / "t.jsonl")


def _example(nlp, text: str, span: tuple[int, int], label: str) -> Example:
    doc = nlp.make_doc(text)
    return Example.from_dict(doc, {"entities": [(*span, label)], "tags": ["A" if i % 2 else "B" for i in range(len(doc))],
                                   "cats": {"short": float(len(doc) < 4), "long": float(len(doc) >= 4)}})  # fmt: skip


def _save(examples: list[Example], path: Path) -> None:
    from spacy.tokens import DocBin

    DocBin(docs=[example.reference for example in examples], store_user_data=True).to_disk(path)


def test_a_label_added_in_mid_run_changes_shapes_and_is_noted(tmp_path: Path) -> None:
    from spacy.training.loop import train_while_improving
    from thinc.api import Adam, Config

    nlp = spacy.util.load_model_from_config(Config().from_str(CATEGORISED), auto_fill=True)
    known = [_example(nlp, "Je pars de Lyon", (11, 15), "DEP"), _example(nlp, "Marie va vers Nice", (14, 18), "DEP")]
    nlp.initialize(lambda: known)
    surprise = [_example(nlp, "Un billet pour Pau", (15, 18), "ARR")]
    trace = OptimizerTrace(tmp_path / "t.jsonl")
    batches = [(0, known), (0, known), (0, surprise), (0, known + surprise), (0, known)]
    loop = train_while_improving(
        nlp, Adam(0.01), iter(batches), lambda: (0.0, {}), dropout=0.0, eval_frequency=100, accumulate_gradient=1, patience=0,
        max_steps=0, exclude=[], annotating_components=[], before_update=trace,
    )  # fmt: skip
    list(loop)
    rows = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text(encoding="utf8").splitlines()]
    changed = [row for row in rows if row["kind"] == "parameters"]
    assert len(changed) == 1
    assert changed[0]["from_step"] == 3
    shape = {p["name"]: p["shape"] for p in changed[0]["parameters"]}["ner/linear-0/W"]
    assert shape[0] > {p["name"]: p["shape"] for p in rows[0]["parameters"]}["ner/linear-0/W"][0]
    table = read_trace(tmp_path / "t.jsonl").tensors
    grown = table[table["parameter"] == "ner/linear-0/W"]
    assert grown[grown["step"] >= 3]["size"].iloc[0] == int(np.prod(shape))


# -- mistakes and accidents ------------------------------------------------------------------------


def test_sigkill_leaves_a_readable_trace(overrides: dict, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    command = train_command(
        overrides, f"--paths.trace={path}", "--training.before_update.watch=[]", "--training.max_steps=5000",
        "--training.eval_frequency=40",
    )  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 120
        while not (path.exists() and path.read_bytes().count(b"\n") > 60):
            assert process.poll() is None, process.stdout.read().decode()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        seen = path.read_bytes().count(b"\n")
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    trace = read_trace(path)
    assert len(trace.steps) + len(trace.evaluations) + 1 >= seen
    assert list(trace.steps["step"]) == list(range(len(trace.steps)))


def test_a_new_run_replaces_an_old_trace(fit, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("what another run left\n" * 1000, encoding="utf8")
    fit("a", trace_block(path))
    assert len(read_trace(path).steps) == 21


def test_training_the_same_pipeline_again_leaves_the_first_trace_alone(fit, tmp_path: Path) -> None:
    from spacy.training.loop import train

    run = fit("a", trace_block(tmp_path / "a.jsonl"))
    size = (tmp_path / "a.jsonl").stat().st_size
    run.nlp.config["training"]["before_update"]["path"] = str(tmp_path / "b.jsonl")
    run.nlp.config["training"]["logger"]["output_file"] = None
    train(run.nlp, None, stdout=open(os.devnull, "w"), stderr=open(os.devnull, "w"))  # noqa: SIM115
    assert (tmp_path / "a.jsonl").stat().st_size == size
    assert len(read_trace(tmp_path / "b.jsonl").steps) == 21


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"every": 0}, "every = 0"),
        ({"level": "all"}, "level = 'all'; it is one of steps, tensors, full"),
        ({"losses_on": -1}, "losses_on = -1"),
        ({"path": ""}, "path is empty"),
    ],
)
def test_bad_settings_are_refused(settings: dict, says: str) -> None:
    with pytest.raises(UserError) as caught:
        OptimizerTrace(**{"path": "t.jsonl", **settings})
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("watch", "says"),
    [
        ("ner/liner-0/W[0,0]", "the nearest is 'ner/linear-0/W'"),
        ("ner/linear-0/W", "write a parameter and its index"),
        ("ner/linear-0/W[0]", "1 indices for a tensor of shape (10, 16)"),
        ("ner/linear-0/W[999,0]", "bad index"),
        ("ner/linear-0/W[a,0]", "write a parameter and its index"),
    ],
)
def test_a_bad_watch_is_named(watch: str, says: str) -> None:
    parameters = [
        Parameter("ner/linear-0/W", "ner", (1, "W"), (10, 16)),
        Parameter("ner/linear-0/b", "ner", (1, "b"), (10,)),
    ]
    with pytest.raises(UserError) as caught:
        parse_watches([watch], parameters)
    assert says in str(caught.value)


def test_a_bad_watch_ends_spacy_train_in_one_line_with_exit_code_2(overrides: dict, tmp_path: Path) -> None:
    done = _spacy_train(overrides, tmp_path / "t.jsonl", watch=["tok2vec/maxot-1/W[0,0,0]"])
    assert done.returncode == 2
    assert "the nearest is 'tok2vec/maxout-1/W'" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "t.jsonl").exists()


def test_an_unwritable_path_is_refused_in_one_line_with_exit_code_2(overrides: dict, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = _spacy_train(overrides, tmp_path / "file" / "t.jsonl")
    assert done.returncode == 2
    assert "cannot write the trace" in done.stderr
    assert "Traceback" not in done.stderr


def _spacy_train(overrides: dict, path: Path, **settings) -> subprocess.CompletedProcess:
    block = json.dumps(trace_block(path, **settings))
    command = train_command(overrides, "--training.before_update", block)
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_losses_on_without_a_train_corpus_is_refused(tmp_path: Path) -> None:
    nlp = spacy.blank("fr")
    nlp.add_pipe("ner").add_label("DEP")
    nlp.initialize()
    with pytest.raises(UserError, match="losses_on needs the corpus"):
        OptimizerTrace(tmp_path / "t.jsonl", losses_on=4)(nlp, {"step": 0, "epoch": 0})
