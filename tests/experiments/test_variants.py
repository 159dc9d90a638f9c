"""The variants of configs/variants.yml, and how a file of variants is read, resolved and compared."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from spacy.schemas import ConfigSchemaTraining
from spacy.training.initialize import init_nlp
from spacy.util import load_model_from_config, registry
from thinc.api import Config

from scripts import diff as diff_script
from tests.conftest import ROOT
from trajet.config import load_config
from trajet.errors import UserError
from trajet.experiments.key import trial_key
from trajet.experiments.variants import Change, Variant, choose, diff, load_variants, resolve
from trajet.schedule import planned_values

FILE = ROOT / "configs" / "variants.yml"
# Longer than the longest warm-up.
BUDGET = 2000
GROUPS = {
    "base", "optimizer", "rate", "warm-up", "schedule", "clip", "beta1", "beta2", "eps", "decay", "l2-in-gradient", "l1",
    "dropout", "batch", "averages", "norm", "initialiser", "size", "encoder", "recurrent", "first-weights", "data", "poisoned-start", "combination",
}  # fmt: skip


@pytest.fixture(scope="module")
def variants() -> dict[str, Variant]:
    return load_variants(FILE)


@pytest.fixture(scope="module")
def resolved(variants: dict[str, Variant], small_corpus: Path) -> dict[str, Config]:
    """Every variant, on the small corpus."""
    paths = {split: small_corpus / f"{split}.spacy" for split in ("train", "dev")}
    return {name: resolve(variant, BUDGET, 3, paths) for name, variant in variants.items()}


def _optimizer(config: Config) -> dict[str, Any]:
    block = config["training"]["optimizer"]
    return block.get("optimizer", block)


# -- configs/variants.yml --------------------------------------------------------------------------


def test_the_file_has_all_groups_and_each_variant_a_question(variants: dict[str, Variant]) -> None:
    assert len(variants) >= 30
    assert {variant.group for variant in variants.values()} == GROUPS
    for variant in variants.values():
        assert re.fullmatch(r"[A-Z][^?]*\?", variant.question), variant.name
        # Each optimizer is to have its own best rate: where it comes from is said.
        assert (variant.rate_from is not None) == (variant.group == "optimizer"), variant.name
        assert variant.use_averages == (variant.group == "averages"), variant.name


def test_the_planned_ablation_is_large_enough(variants: dict[str, Variant]) -> None:
    planned = [variant for variant in variants.values() if variant.seeds]
    assert len(planned) - 1 >= 25
    assert min(variant.seeds for variant in planned) >= 3
    assert [variant.name for variant in planned if variant.seeds >= 8] == [
        "base", "adam", "sgd", "momentum", "warmup-0", "constant", "clip-none", "decay-0", "dropout-0",
    ]  # fmt: skip


def test_the_rate_exploration_tries_rates_of_the_optimizers_and_nothing_else(variants: dict[str, Variant]) -> None:
    explored = load_variants(ROOT / "configs" / "rates.yml")
    base = resolve(variants["base"], BUDGET, 0)
    for name, variant in explored.items():
        config = resolve(variant, BUDGET, 0)
        assert _optimizer(config)["learn_rate"]["initial_rate"] == float(name.split("-", 1)[1]), name
        # But for the rate it is the optimizer that is compared afterwards.
        config["training"]["optimizer"]["learn_rate"]["initial_rate"] = 5e-5
        compared = resolve(variants[variant.group], BUDGET, 0)
        compared["training"]["optimizer"]["learn_rate"]["initial_rate"] = 5e-5
        assert diff(config, compared) == [], name
        assert all(change.key.startswith("training.optimizer") for change in diff(base, config)), name


def test_the_file_says_what_the_reader_makes_of_it(variants: dict[str, Variant]) -> None:
    """PyYAML, an independent reader, finds the same names, questions and plain overrides."""
    document = yaml.safe_load(FILE.read_text(encoding="utf8"))
    expected = {
        name: (group, entry) for group, members in document["groups"].items() for name, entry in members.items()
    }
    assert list(variants) == list(expected)
    for name, (group, entry) in expected.items():
        assert (variants[name].group, variants[name].question) == (group, entry["question"])
        keys = list({**document["always"], **entry.get("overrides", {})})
        assert sorted(variants[name].overrides) == sorted(keys)
    lines = FILE.read_text(encoding="utf8").splitlines()
    for name, variant in variants.items():
        assert lines[int(variant.where.rsplit(":", 1)[1]) - 1].strip() == f"{name}:"


def test_every_config_is_complete_seeded_and_without_variables(
    variants: dict[str, Variant], resolved: dict[str, Config]
) -> None:
    for name, config in resolved.items():
        assert "${" not in config.to_str(), name
        assert config["system"]["seed"] == config["training"]["seed"] == 3, name
        assert _optimizer(config)["use_averages"] is variants[name].use_averages, name
        assert config["training"]["max_steps"] == BUDGET, name
        assert BUDGET % config["training"]["eval_frequency"] == 0, name
        assert diff(config, Config().from_str(config.to_str())) == [], name


def test_no_two_variants_are_the_same_training(resolved: dict[str, Config]) -> None:
    names: dict[str, str] = {}
    for name, config in resolved.items():
        key = trial_key(config)
        assert key not in names, f"{name} is {names.get(key)}"
        names[key] = name


@pytest.mark.parametrize("name", ["base", "l1-1", "data-5", "gru", "sgd", "steps"])
def test_spacy_itself_fills_nothing_more_in(resolved: dict[str, Config], name: str) -> None:
    filled = load_model_from_config(resolved[name].copy(), auto_fill=True).config.interpolate()
    assert diff(resolved[name], filled) == []


def test_schedules_end_with_the_budget_and_warm_ups_stay(resolved: dict[str, Config]) -> None:
    seen = set()
    for name, config in resolved.items():
        block = _optimizer(config)["learn_rate"]
        if not isinstance(block, dict):
            continue
        rates = planned_values(block, name, BUDGET + 1)
        kind = block["@schedules"]
        seen.add(kind)
        peak = rates.max()
        if kind == "trajet.Steps.v1":
            falls = np.flatnonzero(np.diff(rates)) + 1
            assert falls.tolist() == [BUDGET // 2, 3 * BUDGET // 4], name
            continue
        warmup = block.get("warmup_steps", 250)
        # warmup_steps steps up from 0; the triangle's peak is update 250, not step 250.
        assert rates.argmax() == (min(warmup, BUDGET) if kind != "trajet.Triangular.v1" else 249), name
        lowest = {"trajet.Triangular.v1": peak / 32, "trajet.WarmupCosine.v1": block.get("final_rate", 0.0)}
        if warmup < BUDGET:
            assert rates[-1] == pytest.approx(lowest.get(kind, 0.0), abs=1e-12), name
    assert seen == {"warmup_linear.v1", "trajet.WarmupCosine.v1", "trajet.Triangular.v1", "trajet.Steps.v1"}


def test_dropout_falls_to_nothing_at_the_end(variants: dict[str, Variant]) -> None:
    for budget in (500, 2000):
        block = resolve(variants["dropout-falling"], budget, 0)["training"]["before_update"]["schedule"]
        rates = planned_values(block, "dropout", budget + 1)
        assert (rates[0], rates[-1]) == (0.5, 0.0)
        assert rates[budget // 2] == pytest.approx(0.25)


def test_every_training_section_builds(resolved: dict[str, Config]) -> None:
    expected = {
        "sgd": "Optimizer",
        "adamw": "AdamW",
        "l1-1": "ProximalL1",
        "momentum": "MomentumSGD",
        "base": "Optimizer",
    }
    for name, config in resolved.items():
        built = registry.resolve(config["training"], schema=ConfigSchemaTraining)
        assert type(built["optimizer"]).__name__ == expected.get(name, type(built["optimizer"]).__name__)
        assert (built["optimizer"].averages is not None) == _optimizer(config)["use_averages"], name


def test_every_model_initialises(resolved: dict[str, Config]) -> None:
    """One of each kind: variants that differ in training or corpus alone have the same model."""
    shapes = {}
    for name, config in resolved.items():
        kind = json.dumps([config[section] for section in ("components", "initialize")], sort_keys=True)
        if kind in shapes:
            continue
        small = config.copy()
        small["components"]["tok2vec"]["model"]["embed"]["rows"] = [300, 50, 100, 50]
        small["corpora"]["train"]["limit"] = 20
        nlp = init_nlp(small)
        model = nlp.get_pipe("tok2vec").model
        shapes[kind] = (name, model.get_dim("nO"), nlp(nlp.make_doc("de Lyon à Paris")).tensor.shape)
    widths = {name: width for name, width, _ in shapes.values()}
    assert {name: widths[name] for name in ("width-48", "width-96", "width-192", "norm-batch", "gru")} == {
        "width-48": 48, "width-96": 96, "width-192": 192, "norm-batch": 64, "gru": 64,
    }  # fmt: skip
    assert all(shape == (4, width) for _, width, shape in shapes.values())


# -- resolving -------------------------------------------------------------------------------------


def _write(folder: Path, text: str) -> Path:
    (folder / "base.cfg").write_text((ROOT / "configs" / "base.cfg").read_text(encoding="utf8"), encoding="utf8")
    path = folder / "variants.yml"
    path.write_text(text, encoding="utf8")
    return path


def _one(folder: Path, overrides: str, name: str = "mine") -> Variant:
    lines = "".join(f"        {line}\n" for line in overrides.splitlines())
    text = f"groups:\n  some:\n    {name}:\n      question: What?\n      base: base.cfg\n      use_averages: false\n      overrides:\n{lines}"
    return load_variants(_write(folder, text))[name]


def test_what_refers_to_an_overridden_setting_follows_it() -> None:
    variant = Variant("w", "g", "?", ROOT / "configs" / "base.cfg", {"components.tok2vec.model.encode.width": 24,
                                                                    "training.eval_frequency": 50})  # fmt: skip
    config = resolve(variant, 100, 0)
    assert config["components"]["ner"]["model"]["tok2vec"]["width"] == 24


def test_a_number_becomes_a_block_and_a_block_a_number() -> None:
    base = ROOT / "configs" / "base.cfg"
    block = {"@schedules": "constant.v1", "rate": 0.2}
    config = resolve(
        Variant("v", "g", "?", base, {
            "training.eval_frequency": 50, "training.optimizer.grad_clip": block, "training.optimizer.learn_rate": 1e-3,
        }), 100, 0,
    )  # fmt: skip
    assert config["training"]["optimizer"]["grad_clip"] == block
    assert config["training"]["optimizer"]["learn_rate"] == 1e-3
    assert float(registry.resolve(config["training"])["optimizer"].grad_clip) == 0.2


def test_budget_placeholders() -> None:
    base = ROOT / "configs" / "base.cfg"
    steps = {
        "@schedules": "trajet.Steps.v1",
        "initial_rate": 1.0,
        "steps": ["${budget * 0.25}", "${budget}"],
        "factor": 0.5,
    }
    overrides = {"training.eval_frequency": "${budget*0.5}", "training.optimizer.learn_rate": steps,
                 "training.dropout": "${10 / budget}", "training.optimizer.beta1": "${ 500/budget }"}  # fmt: skip
    training = resolve(Variant("v", "g", "?", base, overrides), 40, 0)["training"]
    assert training["optimizer"]["learn_rate"]["steps"] == [10, 40]
    assert (training["eval_frequency"], training["dropout"]) == (20, 0.25)
    assert training["optimizer"]["beta1"] == 1.0, "a share is at most the whole"
    shortest = Variant("v", "g", "?", base, {"training.eval_frequency": "${budget * 0.1}"})
    assert resolve(shortest, 3, 0)["training"]["eval_frequency"] == 1


def test_averages_go_to_the_innermost_optimizer(variants: dict[str, Variant]) -> None:
    averaged = Variant(**{**vars(variants["l1-1"]), "use_averages": True})
    block = resolve(averaged, BUDGET, 0)["training"]["optimizer"]
    assert "use_averages" not in block
    assert block["optimizer"]["use_averages"] is True


def test_paths_take_the_place_of_the_configs(variants: dict[str, Variant], tmp_path: Path) -> None:
    config = resolve(variants["data-5"], BUDGET, 0, {"train": tmp_path / "t.spacy"})
    assert config["paths"]["train"] == config["corpora"]["train"]["corpus"]["path"] == str(tmp_path / "t.spacy")
    assert config["corpora"]["dev"]["path"] == "corpus/dev.spacy"


@pytest.mark.parametrize(
    ("budget", "paths", "message"),
    [
        (25, None, "mine: with 25 updates and an evaluation every 2 the last would come at 24; choose a multiple of 2"),
        (0, None, "the budget is 0; it must be at least 1 update"),
        (20, {"trian": "x"}, "paths: the config has no 'paths.trian'; the nearest is 'paths.train'"),
    ],
)
def test_a_run_that_cannot_be_made_is_refused(tmp_path: Path, budget: int, paths: dict | None, message: str) -> None:
    variant = _one(tmp_path, "training.eval_frequency: ${budget * 0.1}")
    with pytest.raises(UserError) as caught:
        resolve(variant, budget, 0, paths)
    assert str(caught.value) == message


# -- refusals, with file and line ------------------------------------------------------------------

HEAD = "groups:\n  some:\n    mine:\n      question: What?\n      base: base.cfg\n      use_averages: false\n"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (HEAD.replace("question", "qestion"), 4, "variant 'mine' has no 'qestion'; the nearest is 'question'"),
        (HEAD.replace("      use_averages: false\n", ""), 4, "variant 'mine' needs `use_averages:`"),
        (HEAD + "      seeds: 0\n", 7, "seeds is 0; it must be a whole number from 1"),
        (HEAD + "      seeds: true\n", 7, "seeds is True; it must be a whole number from 1"),
        (HEAD.replace("false", "perhaps"), 6, "use_averages is 'perhaps'; it must be true or false"),
        (HEAD.replace("base.cfg", "bass.cfg"), 5, "no config {folder}/bass.cfg; the nearest is 'base.cfg'"),
        (HEAD.replace("mine", "My own"), 3, "variant 'My own': write lower-case letters, digits, dots and hyphens"),
        (HEAD.replace("groups", "group"), 1, "the file has no 'group'; the nearest is 'groups'"),
        ("groups:\n  some: 3\n", 2, "'some' holds 3; it must hold `key: value` lines"),
        ("- a\n- b\n", 1, "no `key: value` lines here; give a file of variants"),
        ("groups:\n  some: [1\n", 3, "did not find expected"),
        (HEAD + "    mine:\n      question: What?\n", 7, 'found duplicate key "mine"'),
        (HEAD + HEAD.replace("groups:\n", "").replace("some", "other"), 8,
         "variant 'mine' is there already ({folder}/variants.yml:3); rename one"),
        ("always:\n  training.dropuot: 0.1\n" + HEAD, 2, "the config has no 'training.dropuot'; the nearest is 'training.dropout'"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file_is_named_with_its_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    path = _write(tmp_path, text)
    with pytest.raises(UserError) as caught:
        load_variants(path)
    assert "\n" not in str(caught.value)
    where, found = str(caught.value).split(": ", 1)
    if "did not find" in message:  # the wording is the YAML reader's
        assert re.fullmatch(re.escape(str(path)) + r":\d+", where)
    else:
        assert where == f"{path}:{line}"
        assert found.startswith(message.format(folder=tmp_path))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.optimizer.lern_rate: 0.1", "the config has no 'training.optimizer.lern_rate'; the nearest is 'training.optimizer.learn_rate'"),
        ("training.optimizer.grad_clip.rate: 0.1", "the config has no 'training.optimizer.grad_clip.rate'; the nearest is 'training.optimizer.grad_clip'"),
        ("training.optimizer.use_averages: true", "use_averages is a line of the variant itself, not an override"),
        ('training.dropout: {"@schedules": constnt.v1, rate: 0.1}', "no @schedules 'constnt.v1'; the nearest is 'constant.v1'"),
        ('training.optimizer: {"@optimizers": trajet.AdamV.v1}', "no @optimizers 'trajet.AdamV.v1'; the nearest is 'trajet.AdamW.v1'"),
        ('training.dropout: {"@schedules": constant.v1, rat: 0.1}', "constant.v1 takes no 'rat'; the nearest is 'rate'"),
        ('training.dropout: {"@schedules": constant.v1}', "constant.v1 needs 'rate'"),
        ('training.optimizer: {"@optimizers": Adam.v1, learn_rate: {"@schedules": constant.v1, rate: 1, t: 2}}', "constant.v1 takes no 't'; the nearest is 'rate'"),
        ("training: {max_steps: 3}", 'a block needs the function it is for, such as "@schedules"; or name its settings one by one'),
        ('training.max_steps: "${budget + 1}"', "'${budget + 1}' is not understood; write ${budget}, ${budget * 0.5} or ${250 / budget}"),
    ],
)  # fmt: skip
def test_an_override_that_would_do_nothing_is_refused(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        _one(tmp_path, f"training.patience: 0\n{override}")
    assert str(caught.value) == f"{tmp_path / 'variants.yml'}:9: {message}"


def test_a_chain_may_hold_several_callbacks(tmp_path: Path) -> None:
    variant = _one(
        tmp_path,
        'training.eval_frequency: ${budget * 0.1}\ntraining.before_update:\n  "@callbacks": trajet.Chain.v1\n  "*":\n'
        '    wrong: {"@callbacks": trajet.WrongLabels.v1}\n    clip: {"@callbacks": trajet.GlobalClip.v1, threshold: 2}',
    )
    block = resolve(variant, 20, 0)["training"]["before_update"]
    assert list(block["*"]) == ["wrong", "clip"]
    assert block["*"]["wrong"]["updates"] == 250, "defaults are filled in"


def test_a_missing_file_and_an_unknown_name(tmp_path: Path, variants: dict[str, Variant]) -> None:
    with pytest.raises(UserError, match="no such file; give a file of variants"):
        load_variants(tmp_path / "none.yml")
    with pytest.raises(UserError) as caught:
        choose(variants, "warmup_0")
    assert str(caught.value) == "no variant 'warmup_0'; the nearest is 'warmup-0'"


# -- differences -----------------------------------------------------------------------------------


def test_a_difference_is_named_by_key_with_both_values(resolved: dict[str, Config]) -> None:
    base = resolved["base"]
    assert diff(base, base.copy()) == []
    assert diff(base, resolved["dropout-0"]) == [("training.dropout", "0.3", "0.0")]
    changes = {change.key: change[1:] for change in diff(resolved["adam"], resolved["sgd"])}
    assert changes["training.optimizer.@optimizers"] == ('"Adam.v1"', '"SGD.v1"')
    assert changes["training.optimizer.beta1"] == ("0.9", None)
    backwards = {change.key: change[1:] for change in diff(resolved["sgd"], resolved["adam"])}
    assert backwards == {key: values[::-1] for key, values in changes.items()}


def test_blocks_that_share_nothing_stand_side_by_side() -> None:
    old = {"a": {"@x": "one", "left": 1}, "b": {"@x": "one", "both": 1}, "c": True, "d": 1.0}
    new = {"a": {"@x": "two", "right": 2}, "b": {"@x": "two", "both": 2}, "c": 1, "d": 1}
    assert diff(old, new) == [
        Change("a", '{"@x": "one", "left": 1}', '{"@x": "two", "right": 2}'),
        Change("b.@x", '"one"', '"two"'),
        Change("b.both", "1", "2"),
        Change("c", "true", "1"),
    ]
    assert str(diff(old, {**new, "e": None})[-1]) == "e: - -> null"


def test_a_block_put_into_another_is_compared_with_what_it_was(resolved: dict[str, Config]) -> None:
    assert diff(resolved["base"], resolved["l1-1"]) == [
        ("training.optimizer.@optimizers", '"Adam.v1"', '"trajet.ProximalL1.v1"'),
        ("training.optimizer.L1", None, "1.0"),
    ]
    assert diff(resolved["l1-1"], resolved["base"]) == [
        ("training.optimizer.L1", "1.0", None),
        ("training.optimizer.@optimizers", '"trajet.ProximalL1.v1"', '"Adam.v1"'),
    ]
    changed = resolved["l1-1"].copy()
    changed["training"]["optimizer"]["optimizer"]["beta1"] = 0.5
    assert diff(resolved["base"], changed)[-1] == ("training.optimizer.optimizer.beta1", "0.9", "0.5")
    assert [change[1:] for change in diff(resolved["base"], resolved["data-5"])] == [
        ('"trajet.ReadOnce.v1"', '"trajet.Share.v1"'), (None, "0.05"), (None, "0"), (None, "false"),
    ]  # fmt: skip


def test_the_script_compares_variants_and_configs(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    diff_script.main("adam", "sgd", FILE, 1000)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "adam -> sgd"
    assert '  training.optimizer.@optimizers: "Adam.v1" -> "SGD.v1"' in lines
    diff_script.main("warmup-0", None, FILE, 1000)
    assert capsys.readouterr().out == "base -> warmup-0\n  training.optimizer.learn_rate.warmup_steps: 250 -> 0\n"
    base = ROOT / "configs" / "base.cfg"
    other = tmp_path / "other.cfg"
    config = load_config(base)
    config["training"]["dropout"] = 0.25
    config.to_disk(other)
    diff_script.main(str(base), str(other), FILE, 1000)
    assert capsys.readouterr().out.splitlines()[1:] == ["  training.dropout: 0.3 -> 0.25"]
    diff_script.main(str(base), str(base), FILE, 1000)
    assert "no setting differs" in capsys.readouterr().out
