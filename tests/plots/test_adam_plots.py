"""The numbers behind the pictures of why, against closed forms and plain loops; the two commands."""

import ast
import math
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text

from scripts import plot_schedule
from tests.conftest import ROOT, run_script
from trajet.errors import UserError
from trajet.plots import style
from trajet.plots.adam import clip, decay, momentum_filter, rare_gradient, ravine, schedules
from trajet.plots.adam.gallery import PICTURES

BETA1, BETA2 = 0.9, 0.999
BASE = ROOT / "configs" / "base.cfg"


@pytest.fixture(scope="module")
def numbers() -> dict:
    return {picture.name: picture.data() for picture in PICTURES}


def _figure(drawn: Axes | Figure) -> Figure:
    return drawn.figure if isinstance(drawn, Axes) else drawn


# -- ravine ----------------------------------------------------------------------------------------


def _plain_adam(matrix: np.ndarray, w: list[float], rate: float, steps: int, beta1: float) -> list[list[float]]:
    """Kingma & Ba's Algorithm 1 in plain floats; beta1 = 0 is the scaling alone."""
    m, v, path = [0.0, 0.0], [0.0, 0.0], [list(w)]
    for t in range(1, steps + 1):
        g = [matrix[i][0] * w[0] + matrix[i][1] * w[1] for i in (0, 1)]
        m = [beta1 * a + (1 - beta1) * b for a, b in zip(m, g, strict=True)]
        v = [BETA2 * a + (1 - BETA2) * b * b for a, b in zip(v, g, strict=True)]
        w = [
            w[i] - rate * (m[i] / (1 - beta1**t)) / (math.sqrt(v[i] / (1 - BETA2**t)) + 1e-8) for i in (0, 1)
        ]  # fmt: skip
        path.append(w)
    return path


def test_ravine_sgd_and_momentum_follow_their_closed_forms(numbers) -> None:
    sgd, momentum, *_ = numbers["ravine"].along
    curvature, start = np.array([1.0, 100.0]), np.array([-10.0, 1.0])
    t = np.arange(101)[:, None]
    assert sgd.weights == pytest.approx(start * (1 - sgd.rate * curvature) ** t, abs=1e-12)
    # (w, velocity) -> power of a 2 x 2 matrix, for each axis by itself
    for axis, k in enumerate(curvature):
        power = np.array([[1 - momentum.rate * k, -momentum.rate * BETA1], [k, BETA1]])
        expected = [(np.linalg.matrix_power(power, n) @ [start[axis], 0])[0] for n in range(101)]
        assert momentum.weights[:, axis] == pytest.approx(expected, abs=1e-9)
    for path in numbers["ravine"].along:
        assert path.loss == pytest.approx((path.weights**2 @ curvature) / 2)


@pytest.mark.parametrize("turn", [0.0, 45.0])
def test_ravine_adam_and_rms_scaling_against_a_plain_loop(numbers, turn: float) -> None:
    paths = numbers["ravine"].along if turn == 0 else numbers["ravine"].turned
    # Turned by 45 degrees H has the mean of the curvatures on its diagonal, half their difference beside it.
    matrix = np.diag([1.0, 100.0]) if turn == 0 else np.array([[50.5, -49.5], [-49.5, 50.5]])
    for path, beta1 in ((paths[2], 0.0), (paths[3], BETA1)):
        expected = np.array(_plain_adam(matrix, list(path.weights[0]), path.rate, 100, beta1))
        # Where the scaling's steps have grown too long, rounding grows with every step: from 1e-14 to 1e-3.
        assert path.weights[:50] == pytest.approx(expected[:50], abs=1e-9)
        assert path.weights == pytest.approx(expected, abs=1e-9 if beta1 else 0.02)
    assert paths[0].loss[0] == pytest.approx(100)


def test_ravine_rates_are_the_best_of_the_grid_and_not_at_its_edge(numbers) -> None:
    for path in (*numbers["ravine"].along, *numbers["ravine"].turned):
        assert min(ravine.RATES) < path.rate < max(ravine.RATES)
    # By hand for SGD: w = start (1 - rate k)^t, judged by the largest loss of the last ten steps.
    t = np.arange(91, 101)
    ends = {
        rate: (50 * (1 - rate) ** (2 * t) + 50 * (1 - 100 * rate) ** (2 * t)).max()
        for rate in ravine.RATES if rate < 0.02
    }  # fmt: skip
    assert numbers["ravine"].along[0].rate == min(ends, key=ends.get)


def test_ravine_turning_leaves_sgd_and_momentum_as_they_were_and_costs_rms_scaling_its_lead(numbers) -> None:
    for along, turned in zip(numbers["ravine"].along[:2], numbers["ravine"].turned[:2], strict=True):
        assert turned.rate == along.rate
        assert turned.loss == pytest.approx(along.loss, rel=1e-6, abs=1e-12)
        assert turned.crossings == along.crossings
    sgd, _, scaling, _ = numbers["ravine"].along
    assert scaling.loss[-1] < 1e-6 * sgd.loss[-1]
    sgd, _, scaling, _ = numbers["ravine"].turned
    assert scaling.loss[-1] > 0.1 * sgd.loss[-1]


def test_ravine_refuses_rates_that_all_diverge() -> None:
    with pytest.raises(ValueError, match="SGD: diverged at every one of 2 rates"):
        ravine.data(rates=(1e30, 1e40), steps=20)


# -- moments ---------------------------------------------------------------------------------------


def test_momentum_filter_is_a_weighted_sum_of_the_gradients(numbers) -> None:
    series = numbers["momentum-filter"]
    for gradient, m_hat in (
        (series.noisy, series.noisy_m_hat),
        (series.alternating, series.alternating_m_hat),
    ):
        for t in (1, 2, 17, 120):
            weights = BETA1 ** np.arange(t)[::-1]
            assert m_hat[t - 1] == pytest.approx(weights @ gradient[:t] / weights.sum())
    sign = np.where(series.t % 2 == 1, 1, -1)
    geometric = sign * (1 - BETA1) * (1 - (-BETA1) ** series.t) / (1 + BETA1) / (1 - BETA1**series.t)
    assert series.alternating_m_hat == pytest.approx(geometric)
    assert abs(series.alternating_m_hat[-1]) == pytest.approx(1 / 19, rel=1e-4)


def test_momentum_filter_lets_the_share_of_noise_pass_that_theory_says(numbers) -> None:
    series = numbers["momentum-filter"]
    # The variance of a weighted mean is the sum of the squared weights.
    for t in (1, 5, 30, 120):
        weights = BETA1 ** np.arange(t)
        assert series.theory[t - 1] == pytest.approx(np.sqrt((weights**2).sum()) / weights.sum())
    # Four standard errors of a standard deviation over 4,000 copies.
    assert series.ratio == pytest.approx(series.theory, rel=4 / np.sqrt(2 * 4000))
    assert momentum_filter.limit(BETA1) == pytest.approx(0.2294157)


def test_rare_gradient_steps_and_distances(numbers) -> None:
    rare = numbers["rare-gradient"]
    largest = [(1 - BETA1) / (1 - BETA1**gap) * math.sqrt((1 - BETA2**gap) / (1 - BETA2)) for gap in rare.gaps]
    assert rare.largest_step == pytest.approx(np.array(largest), rel=1e-6)
    r = BETA1 / math.sqrt(BETA2)
    moved = [s * (1 - r ** int(gap)) / (1 - r) for s, gap in zip(largest, rare.gaps, strict=True)]
    # Measured after at least 5,000 updates, where 1 - beta2^t is still 0.7 % short of 1.
    assert rare.moved == pytest.approx(np.array(moved), rel=4e-3)
    bound = rare_gradient.step_bound(BETA1, BETA2)
    assert bound == pytest.approx(math.sqrt(10))
    assert rare.largest_step.max() < bound
    assert rare.largest_step[-1] == pytest.approx(bound, rel=0.01)
    received = {"frequent": 1000, "rare": 10}
    for kind, count in received.items():
        assert rare.distance["SGD", kind][-1] == count
        assert rare.per_gradient["SGD", kind] == 1
    assert rare.per_gradient["Adam", "frequent"] == pytest.approx(1)
    assert rare.per_gradient["Adam", "rare"] == pytest.approx(moved[rare.gaps.tolist().index(100)], rel=0.01)
    assert rare.distance["Adam", "frequent"] == pytest.approx(rare.t)


def test_rare_gradient_needs_a_whole_stretch() -> None:
    with pytest.raises(ValueError, match="150 updates hold no whole stretch"):
        rare_gradient.data(gap=100, updates=150)


def test_bias_correction_sizes(numbers) -> None:
    sizes = numbers["bias-correction"]
    bias1, bias2 = 1 - BETA1**sizes.t, 1 - BETA2**sizes.t
    assert sizes.both == pytest.approx(1, rel=1e-6)
    assert sizes.neither == pytest.approx(bias1 / np.sqrt(bias2), rel=1e-5)
    assert sizes.only_m == pytest.approx(1 / np.sqrt(bias2), rel=1e-5)
    assert sizes.only_v == pytest.approx(bias1, rel=1e-5)
    assert sizes.neither[0] == pytest.approx(math.sqrt(10), rel=1e-5)
    assert (sizes.t[sizes.neither.argmax()], sizes.neither.max()) == (12, pytest.approx(6.568, abs=1e-3))
    assert sizes.eps_thinc == pytest.approx(1e-8 / np.sqrt(bias2))
    assert sizes.eps_algorithm == pytest.approx(1e-8)


# -- clip and decay --------------------------------------------------------------------------------


def test_clip_lengths_and_angles(numbers) -> None:
    cut = numbers["clip"]
    assert cut.first_clipped == pytest.approx(np.array([5, 3, 4]) / math.sqrt(50))
    assert cut.second_clipped.tolist() == [0.3, 0.4]
    assert np.linalg.norm(cut.both_clipped) == pytest.approx(1)
    # In the plane of the two norms: from (sqrt 50, 1/2) to (1, 1/2).
    assert cut.turned_per_tensor == pytest.approx(math.degrees(math.atan2(0.5, 1) - math.atan2(0.5, math.sqrt(50))))
    assert cut.turned_per_tensor == pytest.approx(22.52, abs=0.01)
    assert cut.turned_global == pytest.approx(0, abs=1e-6)
    small = clip.data((0.1, 0.2), (0.3,))
    assert (small.turned_per_tensor, small.turned_global) == (0, 0)


def test_decay_as_documented_and_as_run(numbers) -> None:
    left = numbers["decay"]
    assert left.documented == pytest.approx(0.99**left.step)
    s = np.arange(20_000)
    rate = 5e-5 * np.where(s < 250, s / 250, (20_000 - s) / 19_750)
    assert left.as_run[1:] == pytest.approx(np.cumprod(1 - 0.01 * rate), rel=1e-12)
    assert left.rate_sum == pytest.approx(0.5)
    assert left.as_run[-1] == pytest.approx(math.exp(-0.005), rel=1e-8)
    assert (left.half, left.hundredth) == (math.ceil(math.log(0.5, 0.99)), math.ceil(math.log(0.01, 0.99)))
    assert decay.data(L2=0.0, updates=10).half is None


# -- schedules -------------------------------------------------------------------------------------


def test_schedules(numbers) -> None:
    plan = numbers["schedules"]
    s = plan.step
    linear, constant, cosine, slanted = plan.values.values()
    assert linear == pytest.approx(5e-5 * np.where(s < 250, s / 250, (20_000 - s) / 19_750))
    assert set(constant) == {5e-5}
    assert cosine[[0, 125, 250, 10_125, 20_000]] == pytest.approx([0, 2.5e-5, 5e-5, 2.5e-5, 0], abs=1e-18)
    assert (np.diff(cosine[:251]) > 0).all()
    assert (np.diff(cosine[250:]) < 0).all()
    # Howard and Ruder: cut at a tenth, from a 32nd of the peak and back to it.
    t = s[:-1] + 1
    p = np.where(t < 2000, t / 2000, 1 - (t - 2000) / 18_000)
    assert slanted[:-1] == pytest.approx(5e-5 * (1 + 31 * p) / 32)
    assert np.isnan(slanted[-1])
    # It crosses 0 where 1 + 31 p = 0.
    assert plan.negative_from == math.floor(2000 + 18_000 * 32 / 31)
    assert plan.drawn[[0, 250, 17_000, 20_000]] == pytest.approx([0, 5e-5, 5e-5, 0])


def test_the_documented_schedule_is_the_one_of_the_config() -> None:
    from spacy.util import load_config

    assert load_config(BASE)["training"]["optimizer"]["learn_rate"] == schedules.DOCUMENTED


def test_series_that_coincide_are_drawn_apart() -> None:
    ax = schedules.draw_series({"one": np.ones(9), "two": np.ones(9)}, "title", "unit")
    one, two = ax.get_lines()
    assert one.get_color() != two.get_color()
    assert one.get_linestyle() != two.get_linestyle()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["one", "two"]


def test_thinned_keeps_both_ends() -> None:
    assert style.thinned(5).tolist() == [0, 1, 2, 3, 4]
    kept = style.thinned(20_001)
    assert len(kept) == 801
    assert (kept[0], kept[-1]) == (0, 20_000)


# -- drawings --------------------------------------------------------------------------------------


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_each_picture_draws_where_it_is_told_and_changes_nothing_else(numbers, picture) -> None:
    before = dict(mpl.rcParams)
    place = Figure().add_subplot() if picture is PICTURES[-1] else Figure(layout="constrained").subfigures(1, 2)[1]
    drawn = picture.draw(numbers[picture.name], place)
    assert drawn is place
    axes = [drawn] if isinstance(drawn, Axes) else drawn.axes
    for ax in axes:
        assert ax.get_title(loc="left")
        assert ax.get_xlabel()
        assert ax.get_ylabel()
        assert ax.get_legend()
    assert picture.draw(numbers[picture.name]) is not drawn
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_no_title_or_legend_is_cut_off_or_overlaps_another(numbers, picture) -> None:
    figure = _figure(picture.draw(numbers[picture.name]))
    figure.draw_without_rendering()
    frame = figure.bbox.padded(1)
    shown = [*figure.texts]
    for ax in figure.axes:
        shown += [ax.xaxis.label, ax.yaxis.label, *(c for c in ax.get_children() if isinstance(c, Text | Legend))]
    boxes = [one.get_window_extent() for one in shown if isinstance(one, Legend) or one.get_text()]
    for box in boxes:
        assert frame.x0 <= box.x0, picture.name
        assert frame.y0 <= box.y0, picture.name
        assert box.x1 <= frame.x1, picture.name
        assert box.y1 <= frame.y1, picture.name
    for index, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:index]), picture.name


def test_pictures_of_why_use_mathematics_and_matplotlib_only() -> None:
    allowed = {"matplotlib", "numpy", "pandas", "collections", "dataclasses", "typing"}
    ours = ("trajet.adam", "trajet.schedule", "trajet.plots.style", "trajet.plots.adam")
    for path in (ROOT / "analysis" / "trajet" / "plots" / "adam").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                fits = any(name == own or name.startswith(f"{own}.") for own in ours)
                assert fits or name.split(".")[0] in allowed, f"{path.name} imports {name}"


# -- commands --------------------------------------------------------------------------------------


def test_adam_plots_writes_the_same_bytes_as_a_second_drawing(numbers, tmp_path: Path) -> None:
    done = run_script("adam_plots", "--output", tmp_path / "one")
    assert done.returncode == 0, done.stderr
    expected = {f"{picture.name}{suffix}" for picture in PICTURES for suffix in (".svg", ".png")}
    assert {path.name for path in (tmp_path / "one").iterdir()} == expected
    assert {Path(line.removeprefix("wrote ")).name for line in done.stdout.splitlines()} == expected
    for picture in PICTURES:
        style.save(_figure(picture.draw(numbers[picture.name])), tmp_path / "two" / picture.name)
    for name in expected:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_adam_plots_declares_what_it_writes() -> None:
    import yaml

    project = yaml.safe_load((ROOT / "project.yml").read_text(encoding="utf8"))
    command = next(command for command in project["commands"] if command["name"] == "adam-plots")
    expected = {f"plots/adam/{picture.name}{suffix}" for picture in PICTURES for suffix in (".svg", ".png")}
    assert set(command["outputs"]) == expected
    modules = (ROOT / "analysis" / "trajet" / "plots" / "adam").glob("[a-z]*.py")
    assert {path.relative_to(ROOT).as_posix() for path in modules} <= set(command["deps"])


def test_adam_plots_says_in_one_line_that_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("", encoding="utf8")
    done = run_script("adam_plots", "--output", tmp_path / "taken")
    _one_line(done, "cannot write here")


def _config(path: Path, learn_rate: str, more: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"[training]\n\n[training.optimizer]\n@optimizers = \"Adam.v1\"\n{more}\n{learn_rate}\n", encoding="utf8"
    )  # fmt: skip
    return path


def _warmup(total: int) -> str:
    return (
        '[training.optimizer.learn_rate]\n@schedules = "warmup_linear.v1"\n'
        f"warmup_steps = 10\ntotal_steps = {total}\ninitial_rate = 0.001"
    )


def _one_line(done, says: str) -> None:
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_plot_schedule_draws_configs_side_by_side_to_the_largest_total_steps(tmp_path: Path) -> None:
    short, long = _config(tmp_path / "short.cfg", _warmup(50)), _config(tmp_path / "long.cfg", _warmup(400))
    done = run_script("plot_schedule", short, long, short, "--output", tmp_path / "plots")
    assert done.returncode == 0, done.stderr
    made = {path.name for path in (tmp_path / "plots").iterdir()}
    assert made == {"short-long.svg", "short-long.png"}
    assert len(done.stdout.splitlines()) == 2
    svg = (tmp_path / "plots" / "short-long.svg").read_text(encoding="utf8")
    for text in ("short: warmup_linear.v1", "long: warmup_linear.v1", ">400<", "[training.optimizer.learn_rate]"):
        assert text in svg, text
    assert ">500<" not in svg


def test_plot_schedule_draws_another_setting_a_number_and_configs_of_one_name(tmp_path: Path) -> None:
    plot_schedule.main([BASE], section="training.batcher.size", steps=200, output=tmp_path / "plots")
    svg = (tmp_path / "plots" / "base-training.batcher.size.svg").read_text(encoding="utf8")
    assert "base: compounding.v1" in svg
    one, two = (_config(tmp_path / name / "same.cfg", "", "learn_rate = 0.001") for name in ("a", "b"))
    plot_schedule.main([one, two], output=tmp_path / "plots")
    svg = (tmp_path / "plots" / "same-same.svg").read_text(encoding="utf8")
    assert f"{one}: always 0.001" in svg
    assert f"{two}: always 0.001" in svg
    assert ">20000<" in svg


def test_plot_schedule_finds_total_steps_in_a_schedule_within_a_schedule(tmp_path: Path) -> None:
    inner = _warmup(400).replace("learn_rate]", "learn_rate.schedule]")
    outer = '[training.optimizer.learn_rate]\n@schedules = "constant_then.v1"\nrate = 0.001\nsteps = 5\n\n'
    plot_schedule.main([_config(tmp_path / "mine.cfg", outer + inner)], output=tmp_path)
    svg = (tmp_path / "mine.svg").read_text(encoding="utf8")
    assert ">400<" in svg
    assert ">500<" not in svg


@pytest.mark.parametrize(
    ("learn_rate", "settings", "says"),
    [
        (None, {}, "no such file"),
        ("[training.optimizer.learn_rate\nx", {}, "not a valid config"),
        (_warmup(50), {"section": "training.nothing"}, "has no [training.nothing]"),
        (_warmup(50), {"section": "training.optimizer.learn_rate.total_steps.x"}, "has no [training."),
        (_warmup(50), {"section": "training.optimizer"}, "neither a number nor a block with @schedules"),
        (_warmup(50), {"section": "training.optimizer.@optimizers"}, "neither a number nor a block"),
        (_warmup(50).replace("warmup_linear", "warmup_circular"), {}, "cannot make this schedule"),
        (_warmup(50).replace("= 10", '= "ten"'), {}, "cannot make this schedule"),
        (_warmup(50), {"steps": 0}, "must be a whole number from 1"),
    ],
)
def test_plot_schedule_says_in_one_line_what_is_wrong(
    tmp_path: Path, learn_rate: str | None, settings: dict, says: str
) -> None:
    path = tmp_path / "mine.cfg"
    if learn_rate is not None:
        _config(path, learn_rate)
    with pytest.raises(UserError) as caught:
        plot_schedule.main([path], output=tmp_path / "plots", **settings)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "plots").exists()


def test_plot_schedule_leaves_with_2(tmp_path: Path) -> None:
    done = run_script("plot_schedule", BASE, "--section", "training.logger", "--output", tmp_path / "plots")
    _one_line(done, "[training.logger] is neither a number nor a block with @schedules")
