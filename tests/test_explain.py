"""Recorded updates of real weights, recomputed: every optimizer of Thinc, clip and L2 both ways."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import run_script, trace_block
from trajet.errors import UserError
from trajet.explain import explain, watched_rows
from trajet.plots import weight_life
from trajet.plots.style import save
from trajet.trace import Trace, read_trace

WATCH = ["tok2vec/maxout-0/W[3,0,5]", "tok2vec/layernorm-0/G[0]", "tok2vec/hashembed-0/E[7,:]", "ner/precomputable_affine-0/b[1,0]"]  # fmt: skip
# As in conftest: Adam, and what else Thinc has.
ALONE = {"L2": 0.01, "grad_clip": 1.0, "use_averages": False}
OPTIMIZERS = {
    "documented": {},
    "no clip": {"training.optimizer.grad_clip": 0.0},
    "strong decay": {"training.optimizer.L2": 10.0},
    "L2 in the gradient": {"training.optimizer.L2_is_weight_decay": False, "training.optimizer.L2": 1.0},
    "RAdam": {"training.optimizer": {"@optimizers": "RAdam.v1", "learn_rate": 0.001, **ALONE}},
    "SGD": {"training.optimizer": {"@optimizers": "SGD.v1", "learn_rate": 0.05, **ALONE}},
}


def _train(fit, folder: Path, **settings) -> Path:
    path = folder / "trace.jsonl"
    block = settings.pop("training.optimizer", None)

    def edit(config) -> None:
        if block:
            config["training"]["optimizer"] = block

    trace = {name: settings.pop(name) for name in ("every", "watch") if name in settings}
    fit("a", trace_block(path, **{"watch": WATCH, **trace}), edit=edit, **settings)
    return path


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_recorded_update_agrees_with_the_reference(fit, tmp_path: Path, name: str) -> None:
    settings = dict(OPTIMIZERS[name])
    if "training.optimizer" in settings:
        settings["training.optimizer.learn_rate"] = settings["training.optimizer"]["learn_rate"]
    trace = read_trace(_train(fit, tmp_path, **settings))
    checked = 0
    for weight in (*WATCH[:2], "tok2vec/hashembed-0/E[7,4]", WATCH[3]):
        for step in watched_rows(trace, weight)["step"]:
            explained = explain(trace, weight, int(step))
            assert explained.agrees, (weight, step, explained.compared)
            checked += len(explained.compared)
    assert checked > 100


def test_a_wrong_record_is_noticed(fit, tmp_path: Path) -> None:
    path = _train(fit, tmp_path)
    lines = path.read_text(encoding="utf8").splitlines()
    row = json.loads(lines[10])
    assert explain(read_trace(path), WATCH[0], row["step"]).agrees
    for column in ("w_after", "m", "v"):
        changed = json.loads(lines[10])
        changed["watched"][0][column][0] *= 1.0001
        path.write_text("\n".join([*lines[:10], json.dumps(changed), *lines[11:]]) + "\n", encoding="utf8")
        assert not explain(read_trace(path), WATCH[0], row["step"]).agrees, column


def test_the_life_of_a_weight(fit, tmp_path: Path) -> None:
    trace = read_trace(_train(fit, tmp_path))
    life = weight_life.data(trace, WATCH[0])
    rows = watched_rows(trace, WATCH[0])
    assert life.step.tolist() == rows["step"].tolist()
    assert life.update == pytest.approx((rows["w_after"] - rows["w"]).to_numpy())
    # learn_rate / (sqrt(v_hat) + eps / sqrt(1 - beta2^t)), times m_hat, is what the gradient moved.
    m_hat = rows["m"].to_numpy() / (1 - 0.9 ** np.arange(1, len(rows) + 1))
    assert -life.effective_rate * m_hat == pytest.approx(rows["gradient_part"].to_numpy(), rel=1e-3, abs=1e-8)
    first = save(weight_life.draw(life), tmp_path / "one")
    second = save(weight_life.draw(life), tmp_path / "two")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_the_command_prints_the_worked_update_and_draws(fit, tmp_path: Path) -> None:
    training = tmp_path / "training" / "base"
    training.mkdir(parents=True)
    _train(fit, tmp_path).rename(training / "trace.jsonl")
    done = run_script("explain", "base", "--weight", WATCH[0], "--step", 3, "--step", 12, "--training", training.parent,
                      "--output", tmp_path / "plots")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("record and reference agree to float32 rounding") == 2
    row = watched_rows(read_trace(training / "trace.jsonl"), WATCH[0]).set_index("step").loc[12]
    assert f"recorded {row['m']:.9g}" in done.stdout
    assert (tmp_path / "plots" / "base" / "weight-tok2vec-maxout-0-W-3-0-5.svg").exists()


def test_what_cannot_be_explained_is_said_in_one_line(fit, tmp_path: Path) -> None:
    trace = read_trace(_train(fit, tmp_path))
    with pytest.raises(UserError, match=r"was not watched; watched were tok2vec/maxout-0/W\[3,0,5\]"):
        explain(trace, "tok2vec/maxout-0/W[3,0,6]", 3)
    with pytest.raises(UserError, match="recorded steps: 0 to 20"):
        explain(trace, WATCH[0], 21)


def test_m_and_v_before_are_unknown_where_steps_were_left_out(fit, tmp_path: Path) -> None:
    trace: Trace = read_trace(_train(fit, tmp_path, every=5))
    with pytest.raises(UserError, match="Train with every = 1"):
        explain(trace, WATCH[0], 10)
