"""Pictures of an ablation: their numbers against recomputations; drawings as objects, among them that nothing overlaps."""

import itertools
import math
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from tests.experiments.test_compare import result, write
from trajet.experiments.comparison.compare import Comparison, compare
from trajet.experiments.studies.exported import Study, read_study
from trajet.plots.experiments import effects, learning_curves, optimizer_behaviour

# group -> variant -> what it adds to the logit of finding a span; None: it never learns.
PLAUSIBLE: dict[str, dict[str, float | None]] = {
    "base": {"base": 0.0},
    "optimizer": {"adam": 1.5, "adamw": 1.5, "radam": 1.2, "sgd": -0.4, "momentum": 0.9, "sgd-nesterov-with-long-name": 0.8},
    "rate": {"rate-5e-6": -3.0, "rate-5e-4": 1.6, "rate-5e-3": 1.1, "rate-5e-2": None},
    "warm-up": {"warmup-0": 0.05, "warmup-1000": -0.4},
    "schedule": {"constant": 0.2, "cosine": 0.1, "triangular": 0.0, "steps": 0.15},
    "clip": {"clip-none": 0.05, "clip-0.1": -0.02, "clip-10": 0.03, "clip-global": 0.06},
    "decay": {"decay-0": 0.01, "decay-1": -0.05, "decay-10": -0.5, "decay-100": -2.5, "decay-200": None},
    "dropout": {"dropout-0": 0.15, "dropout-0.3": -0.2, "dropout-falling": 0.1},
    "size": {"width-48": -0.5, "width-192": 0.4, "depth-2": -0.1, "depth-3": 0.0},
    "data": {"share-5": -0.9, "share-25": -0.3},
    "start": {"wrong-labels": -0.3},
}  # fmt: skip
MANY = ("base", "adamw", "sgd", "warmup-0", "clip-none", "decay-10", "dropout-0", "width-192", "share-25")
FRAMES = 60
STEPS = (0, 200, 400, 600, 800, 1000, 1200, 1400, 1600, 1800, 2000)


def plausible_study(path: Path) -> Path:
    """35 variants, 3 seeds each and 8 of those that matter; one variant diverges, two never learn."""
    rng = np.random.default_rng(0)
    gold = rng.integers(5, 40, size=FRAMES)
    hard = rng.normal(scale=0.8, size=FRAMES)
    luck = rng.normal(scale=0.08, size=8)
    rows, about = [], {}
    for group, variants in PLAUSIBLE.items():
        for name, effect in variants.items():
            about[name] = {"group": group, "question": f"What does {name} change?"}
            for seed in range(8 if name in MANY else 3):
                rows.append(_row(rng, name, seed, effect, gold, hard + luck[seed]))
    return write(path, rows, frames=[f"frames/plain.txt:{i}" for i in range(FRAMES)], variants=about)


def _row(
    rng: np.random.Generator, name: str, seed: int, effect: float | None, gold: np.ndarray, ease: np.ndarray
) -> dict:
    bursts = name == "rate-5e-2" and seed > 0
    right = np.zeros(FRAMES) if effect is None else 1 / (1 + np.exp(-(1.9 + effect + rng.normal(scale=0.06) + ease)))
    tp = rng.binomial(gold, right)
    fp = rng.binomial(gold, (1 - right) / 2 if effect is not None else 0)
    f = 2 * tp.sum() / (2 * tp.sum() + fp.sum() + (gold - tp).sum())
    middle = 700 * math.exp(-0.5 * (effect or 0))
    steps = STEPS[:3] if bursts else STEPS
    evaluations = []
    for step in steps:
        share = 1 / (1 + math.exp(-(step - middle) / 130)) * (1 + math.exp(-(2000 - middle) / 130))
        now = f if step == STEPS[-1] else min(1.0, max(0.0, f * share + rng.normal(scale=0.01) * (share > 0.05)))
        evaluations.append({"step": step, "ents_f": None if bursts and step == steps[-1] else round(float(now), 4),
                            "ents_p": None, "ents_r": None, "words_seen": step * 300,
                            "train_loss": 2 - share, "dev_loss": 2.1 - share * 0.95})  # fmt: skip
    scale = math.exp((effect or -2) + rng.normal(scale=0.1))
    optimizer = {
        "clipped_share": None if name == "momentum" else 0.0 if name == "clip-none" else float(np.clip(0.5 + rng.normal(scale=0.1), 0, 1)),
        "update_ratio_median": 4e-4 * scale, "grad_norm_median": 30 / scale,
        "decay_to_gradient_median": None if name in ("sgd", "momentum") else 0.0 if name == "decay-0" else 1e-3 * scale,
    }  # fmt: skip
    return result(
        name, seed, 50, counts=np.stack([tp, fp, gold - tp], axis=1).tolist(), final_f=None if bursts else round(float(f), 4),
        evaluations=evaluations, optimizer=optimizer, diverged=bursts,
    )  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return read_study(plausible_study(tmp_path_factory.mktemp("study") / "ablation.jsonl"))


@pytest.fixture(scope="module")
def found(study: Study) -> Comparison:
    return compare(study)


# -- numbers ---------------------------------------------------------------------------------------


def test_the_effects_are_the_tables_rows(study: Study, found: Comparison) -> None:
    numbers = effects.data(found)
    rows = {row.variant: row for row in found.rows}
    assert numbers.names == [row.variant for row in found.rows[1:]]
    assert len(numbers.names) == 35
    for name, value, low, verdict in zip(numbers.names, numbers.difference, numbers.low, numbers.verdict, strict=True):
        assert (value, low, verdict) == (rows[name].difference, rows[name].low, rows[name].verdict)
    # each group's line stands right above its variants, no line is used twice
    assert sorted([*numbers.place, *numbers.groups.values()]) == list(range(35 + len(numbers.groups)))
    for name, place in zip(numbers.names, numbers.place, strict=True):
        above = max(line for line in numbers.groups.values() if line < place)
        assert numbers.groups[rows[name].group] == above
    base = [run.final_f for run in study.results["base"].values()]
    assert numbers.base_range == pytest.approx((min(base) - np.mean(base), max(base) - np.mean(base)))
    assert set(effects.kinds(numbers)) == {"better", "worse", "within noise", effects.UNCLEAR}


def test_a_close_up_is_offered_where_a_failure_crowds_the_others(found: Comparison) -> None:
    numbers = effects.data(found)
    reach = effects.close_up(numbers)
    inside = (np.abs(numbers.low) <= reach) & (np.abs(numbers.high) <= reach)
    assert inside.mean() >= 0.75
    assert np.abs(numbers.difference).max() > reach
    near = [i for i, name in enumerate(numbers.names) if abs(numbers.difference[i]) < reach / 2]
    fewer = numbers._replace(
        names=[numbers.names[i] for i in near],
        **{name: getattr(numbers, name)[near] for name in ("difference", "low", "high")},
    )
    assert effects.close_up(fewer) is None


def test_a_variant_without_an_interval_is_drawn_and_one_without_a_pair_left_out(tmp_path: Path) -> None:
    rows = [result(name, s, 50 + s) for name in ("base", "x") for s in range(3)] + [
        result("one", 2, 60),
        result("none", 7, 60),
    ]
    numbers = effects.data(compare(read_study(write(tmp_path / "s.jsonl", rows))))
    assert numbers.names == ["x", "one"]
    assert np.isnan(numbers.low).tolist() == [False, True]
    assert effects.kinds(numbers) == ["within noise", "too few seeds"]
    assert list(numbers.groups) == ["no group"]
    effects.figure(numbers)


def test_curves_are_the_mean_and_range_over_the_seeds(study: Study) -> None:
    panels = learning_curves.data(study)
    assert [panel.title for panel in panels][:3] == ["optimizer (1 of 2)", "optimizer (2 of 2)", "rate"]
    shown = [curve.variant for panel in panels for curve in panel.curves]
    assert shown == [name for name in study.results if name != "base"]
    assert {panel.base.variant for panel in panels} == {"base"}
    curve = panels[0].curves[0]
    runs = [[entry["ents_f"] for entry in run.evaluations] for run in study.results[curve.variant].values()]
    assert curve.updates.tolist() == [step + 1 for step in STEPS]
    assert curve.mean == pytest.approx([sum(at) / 3 for at in zip(*runs, strict=True)])
    assert curve.low.tolist() == [min(at) for at in zip(*runs, strict=True)]
    assert curve.high.tolist() == [max(at) for at in zip(*runs, strict=True)]
    assert not curve.cut


def test_a_curve_ends_where_the_first_of_its_runs_ended(study: Study) -> None:
    curve = learning_curves.curve(study, "rate-5e-2")
    # the two runs that diverged were last evaluated with a score after update 201
    assert (curve.updates.tolist(), curve.cut, curve.seeds) == ([1, 201], True, 3)


def test_a_variant_without_any_score_has_an_empty_curve(tmp_path: Path) -> None:
    nothing = [{"step": 0, "ents_f": None, "train_loss": None, "dev_loss": None}]
    lost = {"diverged": True, "final_f": None, "counts": [], "evaluations": nothing}
    rows = [result("base", s, 50) for s in range(2)] + [result("x", s, 50, **lost) for s in range(2)]
    study = read_study(write(tmp_path / "s.jsonl", rows))
    curve = learning_curves.curve(study, "x")
    assert (len(curve.updates), len(curve.mean)) == (0, 0)
    learning_curves.figure(learning_curves.data(study))


def test_behaviour_has_a_value_a_seed(study: Study) -> None:
    behaviours = {each.quantity: each for each in optimizer_behaviour.data(study, ["sgd", "base", "momentum"])}
    assert list(behaviours) == list(optimizer_behaviour.QUANTITIES)
    ratio = behaviours["update_ratio_median"]
    assert ratio.variants == ["sgd", "base", "momentum"]
    expected = [run.optimizer["update_ratio_median"] for run in study.results["base"].values()]
    assert ratio.values[1].tolist() == expected
    assert np.isnan(behaviours["decay_to_gradient_median"].values[0]).all()
    only = optimizer_behaviour.data(study, ["sgd", "momentum"])
    assert "decay_to_gradient_median" not in [each.quantity for each in only]
    everything = optimizer_behaviour.data(study)[0]
    assert everything.variants == list(study.results)
    lost = everything.diverged[everything.variants.index("rate-5e-2")]
    assert lost.tolist() == [False, True, True]


# -- drawings --------------------------------------------------------------------------------------


def test_each_mark_stands_at_its_number(found: Comparison) -> None:
    numbers = effects.data(found)
    ax = effects.draw(numbers)
    drawn = {line.get_ydata()[0]: line for line in ax.lines if len(line.get_xdata()) == 1}
    for place, value, kind in zip(numbers.place, numbers.difference, effects.kinds(numbers), strict=True):
        assert drawn[place].get_xdata()[0] == value
        assert drawn[place].get_marker() == effects.MARKS[kind][1]
    reach = effects.close_up(numbers)
    zoomed = {
        line.get_ydata()[0]: line for line in effects.draw(numbers, reach=reach).lines if len(line.get_xdata()) == 1
    }
    worst = numbers.place[numbers.names.index("decay-200")]
    assert (zoomed[worst].get_xdata()[0], zoomed[worst].get_marker()) == (-reach, "<")
    # the four kinds differ in shape or filling, not in colour alone
    assert len({(mark, face == "white", colour) for colour, mark, face in effects.MARKS.values()}) == len(effects.MARKS)


def test_a_diverged_seed_has_a_mark_of_its_own_and_nothing_is_put_at_0_of_a_log_axis(study: Study) -> None:
    decay = optimizer_behaviour.data(study)[-1]
    ax = optimizer_behaviour.draw(decay)
    assert ax.get_xscale() == "log"
    assert [text.get_text() for text in ax.texts].count("0") == 1  # decay-0
    assert [text.get_text() for text in ax.texts].count("not measured") == 2  # sgd and momentum
    crosses = [line for line in ax.lines if line.get_marker() == "X" and len(line.get_xdata())]
    assert [len(line.get_xdata()) for line in crosses] == [2]


@pytest.mark.parametrize("part", ["effects", "curves", "behaviour"])
def test_drawing_uses_the_axes_it_is_given_and_changes_nothing_else(study: Study, found: Comparison, part: str) -> None:
    before = dict(mpl.rcParams)
    figure = Figure()
    left, right = figure.subplots(1, 2)
    if part == "effects":
        drawn = effects.draw(effects.data(found), right)
    elif part == "curves":
        drawn = learning_curves.draw(learning_curves.data(study)[0], right, level=0.9)
    else:
        drawn = optimizer_behaviour.draw(optimizer_behaviour.data(study)[0], right)
    assert drawn is right
    assert right.has_data()
    assert not left.has_data()
    assert dict(mpl.rcParams) == before
    assert mpl.rcParams["backend"] == before["backend"]


FIGURES = {
    "effects": lambda study, found: effects.figure(effects.data(found)),
    "curves": lambda study, found: learning_curves.figure(learning_curves.data(study), 0.9),
    "behaviour": lambda study, found: optimizer_behaviour.figure(optimizer_behaviour.data(study)),
}


@pytest.mark.parametrize("name", FIGURES)
def test_with_35_variants_no_text_overlaps_another_or_is_cut_off(study: Study, found: Comparison, name: str) -> None:
    assert _checked_texts(FIGURES[name](study, found)) > 60


def test_values_that_lie_close_together_have_an_axis_that_can_be_read(tmp_path: Path) -> None:
    rows = [result(name, s, 50 + s) for name in ("base", "x") for s in range(3)]
    for row in rows:
        row["optimizer"]["update_ratio_median"] *= 1 + 0.01 * row["seed"]
    behaviours = optimizer_behaviour.data(read_study(write(tmp_path / "s.jsonl", rows)))
    figure = optimizer_behaviour.figure(behaviours)
    _checked_texts(figure)
    low, high = figure.axes[0].get_xlim()
    assert (low, high) == pytest.approx((1e-4, 1e-2))


def _checked_texts(figure: Figure) -> int:
    """How many texts there are; none of them overlaps another or leaves the figure."""
    figure.draw_without_rendering()
    shown = [text for text in _texts(figure) if text.get_visible() and text.get_text().strip()]
    boxes = [(text.get_text(), text.get_window_extent()) for text in shown]
    frame = figure.bbox.padded(1)
    for words, box in boxes:
        assert frame.x0 <= box.x0 < box.x1 <= frame.x1, words
        assert frame.y0 <= box.y0 < box.y1 <= frame.y1, words
    for (one, box), (other, second) in itertools.combinations(boxes, 2):
        # one pixel: boxes have room above their letters
        assert not box.padded(-1).overlaps(second.padded(-1)), (one, other)
    return len(boxes)


def _texts(figure: Figure) -> list[Text]:
    """All texts that are drawn; an axis keeps labels of ticks beyond its limits, which are not."""
    texts = list(figure.texts)
    for ax in figure.axes:
        texts += [ax.xaxis.label, ax.yaxis.label, *(child for child in ax.get_children() if isinstance(child, Text))]
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            for ticks, places in (
                (axis.get_major_ticks(), axis.get_majorticklocs()),
                (axis.get_minor_ticks(), axis.get_minorticklocs()),
            ):
                texts += [tick.label1 for tick, place in zip(ticks, places, strict=True) if low <= place <= high]
    for legend in [*figure.legends, *(ax.get_legend() for ax in figure.axes if ax.get_legend())]:
        texts += legend.get_texts()
    return texts
