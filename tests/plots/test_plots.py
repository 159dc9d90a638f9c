"""The numbers behind the pictures against recomputations; the drawings as objects, never as pixels."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from tests.conftest import run_script, trace_block
from trajet.plots import (
    clipping,
    gradient_norm,
    held_loss,
    learn_rate,
    parts,
    per_word,
    right_move,
    score,
    style,
    update_ratio,
)
from trajet.plots.panels import PANELS, figures
from trajet.trace import read_trace

FOLLOWED = "Je veux aller de [Marseille](DEP) à [Paris](ARR)"


@pytest.fixture(scope="module")
def trace_path(overrides: dict, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from io import StringIO

    from spacy.training.initialize import init_nlp
    from spacy.training.loop import train
    from spacy.util import load_config

    from tests.conftest import ROOT

    path = tmp_path_factory.mktemp("run") / "small" / "trace.jsonl"
    settings = {**overrides, "training.before_update": trace_block(path, losses_on=10, follow=[FOLLOWED]), "training.max_steps": 60,
                "training.batcher.size": {"@schedules": "compounding.v1", "start": 40, "stop": 300, "compound": 1.03}}  # fmt: skip
    nlp = init_nlp(load_config(ROOT / "configs" / "base.cfg", overrides=settings))
    train(nlp, None, stdout=StringIO(), stderr=StringIO())
    return path


@pytest.fixture(scope="module")
def trace(trace_path: Path):
    return read_trace(trace_path)


def test_learn_rate_planned_is_the_schedule_and_observed_the_run(trace) -> None:
    series = learn_rate.data(trace)
    # warmup_linear 5 / 100 / 0.003, by its formula
    step = series.planned_step
    expected = np.where(step < 5, step / 5, np.maximum(0, (100 - step) / 95)) * 0.003
    assert series.planned == pytest.approx(expected)
    assert series.step.tolist() == list(range(61))
    assert series.observed == pytest.approx(expected[np.searchsorted(step, series.step)])


def test_bins_cover_every_step_once() -> None:
    import pandas as pd

    frame = pd.DataFrame({"step": np.arange(1000), "x": np.arange(1000.0)})
    table = style.binned(frame, ["x"], how="sum")
    assert len(table) <= style.BINS
    assert table["x"].sum() == frame["x"].sum()
    assert style.binned(frame.iloc[:5], ["x"])["x"].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_norms_and_shares(trace) -> None:
    norms = gradient_norm.data(trace)
    assert norms.clip == 1.0
    assert norms.global_norm == pytest.approx(np.sqrt((norms.tensor_norm**2).sum(axis=0)), rel=1e-4)
    share = clipping.data(trace)
    assert share.overall == pytest.approx((norms.tensor_norm >= 1.0).mean(axis=0))
    assert list(share.by_component) == ["tok2vec", "ner"]


def test_per_word_divides_by_the_words_of_the_batch(trace) -> None:
    series = per_word.loss_data(trace)
    assert series.name == "loss of ner"
    assert series.per_word == pytest.approx(series.raw / series.words)
    assert series.words[-1] > 2 * series.words[0]
    assert per_word.norm_data(trace).raw == pytest.approx(trace.steps["global_grad_norm"])


def test_update_ratio_and_parts(trace) -> None:
    ratios = update_ratio.data(trace)
    one = trace.tensors[(trace.tensors["parameter"] == ratios.parameters[3]) & (trace.tensors["step"] == 30)].iloc[0]
    column = ratios.step.tolist().index(30)
    assert 10 ** ratios.log10_ratio[3, column] == pytest.approx(one["update_norm"] / one["weight_norm"])
    assert np.isnan(ratios.log10_ratio[:, 0]).all()  # rate 0: the first update moves nothing
    split = parts.data(trace)
    rows = trace.tensors[trace.tensors["step"] == 30]
    assert split.decay_part[30] == pytest.approx(np.linalg.norm(rows["decay_part_norm"]))
    assert split.gradient_part[30] == pytest.approx(np.linalg.norm(rows["gradient_part_norm"]))


def test_the_right_moves_of_a_followed_sentence(trace) -> None:
    series = right_move.data(trace)
    assert series.step.tolist() == [0, 25, 50]
    assert series.tokens == ["Je", "veux", "aller", "de", "Marseille", "à", "Paris"]
    assert series.moves == ["O", "O", "O", "O", "U-DEP", "O", "U-ARR"]
    assert series.probability.shape == (7, 3)
    assert series.probability[0, -1] > series.probability[0, 0]


def test_losses_and_scores(trace) -> None:
    loss = held_loss.data(trace)
    assert loss.step.tolist() == [0, 10, 20, 30, 40, 50, 60]
    assert (loss.component, loss.count) == ("ner", 10)
    scores = score.data(trace)
    assert list(scores.values) == ["ents_f", "ents_p", "ents_r"]
    assert scores.best == max(scores.values["ents_f"])


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.name)
def test_each_panel_draws_on_the_axes_it_is_given_and_changes_nothing_else(trace, panel) -> None:
    before = dict(mpl.rcParams)
    ax = Figure().add_subplot()
    drawn = panel.draw(panel.data(trace), ax)
    assert drawn is ax
    assert ax.get_title(loc="left")
    assert ax.get_xlabel()
    assert panel.draw(panel.data(trace)).figure is not ax.figure
    assert dict(mpl.rcParams) == before


def test_pictures_of_one_trace_are_the_same_bytes(trace, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        for name, figure in figures({"small": trace}):
            style.save(figure, tmp_path / folder / name)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert len(files) == 2 * len(PANELS)
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_panel_without_its_data_leaves_itself_out(trace_path: Path, tmp_path: Path) -> None:
    lines = trace_path.read_text(encoding="utf8").splitlines()
    part = tmp_path / "part.jsonl"
    part.write_text("\n".join(line for line in lines if '"evaluation"' not in line[:24]) + "\n", encoding="utf8")
    names = {name for name, _ in figures({"part": read_trace(part)})}
    assert "held-loss" not in names
    assert "score" not in names
    assert "gradient-norm" in names


def test_the_command_draws_one_run_two_runs_and_a_run_that_is_still_written(trace_path: Path, tmp_path: Path) -> None:
    lines = trace_path.read_text(encoding="utf8")
    training = tmp_path / "training"
    for name, text in (("base", lines), ("other", lines[: len(lines) * 2 // 3])):
        (training / name).mkdir(parents=True)
        (training / name / "trace.jsonl").write_text(text, encoding="utf8")
    for arguments, folder in (
        (["other"], "other"),
        (["base", "other"], "base-other"),
        (["base other"], "base-other"),
    ):
        done = run_script("plot", *arguments, "--training", training, "--output", tmp_path / "plots")
        assert done.returncode == 0, done.stderr
        made = {path.name for path in (tmp_path / "plots" / folder).iterdir()}
        assert {f"{panel.name}{suffix}" for panel in PANELS for suffix in (".svg", ".png")} == made
        assert str(tmp_path / "plots" / folder / "score.svg") in done.stdout.replace("\n", "")
    side_by_side = (tmp_path / "plots" / "base-other" / "score.svg").read_text(encoding="utf8")
    assert "base: Scores" in side_by_side
    assert "other: Scores" in side_by_side


@pytest.mark.parametrize(
    ("text", "says"), [(None, "no such trace"), ("", "no complete first line"), ("hello\n", "not a line of a trace")]
)
def test_the_command_says_in_one_line_what_is_wrong(tmp_path: Path, text: str | None, says: str) -> None:
    (tmp_path / "base").mkdir()
    if text is not None:
        (tmp_path / "base" / "trace.jsonl").write_text(text, encoding="utf8")
    done = run_script("plot", "base", "--training", tmp_path, "--output", tmp_path / "plots")
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "plots").exists()
