"""The command `adam-examples`: the pages it prints and writes, cases of one's own, bad numbers."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from scripts.adam_examples import app
from tests.conftest import run_script
from trajet.adam import State, ThincSettings, adam, thinc_adam
from trajet.errors import UserError
from trajet.examples.cases import KINDS, Settings, run_case
from trajet.examples.libraries import has_torch


def test_the_command_prints_the_boxes_and_writes_all_numbers(tmp_path: Path) -> None:
    output, page = tmp_path / "numbers.json", tmp_path / "page.md"
    done = run_script("adam_examples", "--output", output, "--page", page)
    assert done.returncode == 0, done.stderr
    for words in ("Update at step 100", "0.4951", "decay misread", "4 of 54 readings", "Thinc"):
        assert words in done.stdout
    data = json.loads(output.read_text(encoding="utf8"))
    assert {key: len(value) for key, value in data.items()} == {"numbers": 22, "readings": 54, "claims": 32}
    assert next(c for c in data["claims"] if c["ident"] == "eps")["numbers"]["without"] == "nan"
    assert page.exists() == has_torch()
    assert str(output) in done.stdout


def test_a_case_of_ones_own_is_worked_out_line_by_line() -> None:
    done = run_script("adam_examples", "step", "--w", 0.5, "--grad", 0.2, "--t", 100, "--learn-rate", "2e-5",
                      "--L2", 0.01, "--grad-clip", 1)  # fmt: skip
    assert done.returncode == 0, done.stderr
    state = State.of(np.zeros(1))
    for _ in range(100):
        step = thinc_adam(np.array([0.5]), np.array([0.2]), state, ThincSettings(2e-5, L2=0.01, grad_clip=1.0))
        state = step.state
    for value in (step.m, step.v, step.m_hat, step.gradient_part, step.decay_part, step.w_after):
        assert f"{float(value[0]):.9g}" in done.stdout
    assert "thinc-adam, update 100" in done.stdout


def test_a_file_of_gradients_is_run_through(tmp_path: Path) -> None:
    path = tmp_path / "gradients.txt"
    path.write_text("# two weights\n0.2, -1\n\n0.1 3e2\n-5,0\n", encoding="utf8")
    done = run_script("adam_examples", "step", "--w", "0.5,1", "--gradients", path, "--learn-rate", 0.1,
                      "--optimizer", "adam")  # fmt: skip
    assert done.returncode == 0, done.stderr
    w, state = np.array([0.5, 1.0]), State.of(np.zeros(2))
    for gradient in ([0.2, -1], [0.1, 300], [-5, 0]):
        step = adam(w, np.array(gradient), state, 0.1)
        w, state = step.w_after, step.state
        assert f"adam, update {step.t}" in done.stdout
        assert f"{w[0]:.9g}, {w[1]:.9g}" in done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_every_optimizer_can_be_asked_for(kind: str) -> None:
    down = run_case(kind, [0.5], [[0.2], [0.2]], Settings(learn_rate=0.01))
    assert down[1].w_after < down[0].w_after < 0.5
    assert [step.t for step in down] == [1, 2]


def test_without_history_the_moments_start_at_zero_whatever_the_number() -> None:
    step = run_case("adam", [0.5], [[0.2]], Settings(learn_rate=1.0), first=100)[0]
    assert step.t == 100
    assert float(step.m[0]) == pytest.approx(0.02)
    assert step.bias2 == pytest.approx(1 - 0.999**100)


GOOD = {"--w": "0.5", "--grad": "0.2", "--learn-rate": "0.1"}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"--w": "half"}, "--w: 'half' is not a number"),
        ({"--w": ""}, "--w: no number"),
        ({"--grad": "nan"}, "'nan' is not finite"),
        ({"--grad": "1,2"}, "gradient 1 has 2 number(s), --w has 1"),
        ({"--learn-rate": "1,2"}, "one number is needed"),
        ({"--learn-rate": "-1"}, "cannot be negative"),
        ({"--t": "0"}, "updates are counted 1, 2, 3"),
        ({"--t": "1.5"}, "updates are counted 1, 2, 3"),
        ({"--beta1": "1"}, "from 0 to below 1"),
        ({"--beta1": "0"}, "use --optimizer rms or adam"),
        ({"--optimizer": "adagrad"}, "choose one of sgd"),
        ({"--optimizer": "momentum", "--L2": "1"}, "momentum has no L2"),
        ({"--history": "some"}, "same or none"),
        ({"--grad": None}, "either --grad or --gradients"),
        ({"--grad": None, "--gradients": "missing.txt"}, "missing.txt: no such file"),
    ],
)
def test_a_bad_number_gets_one_clear_line(changed: dict[str, str | None], says: str) -> None:
    options = {key: value for key, value in {**GOOD, **changed}.items() if value is not None}
    result = CliRunner().invoke(app, ["step", *(part for option in options.items() for part in option)])
    assert isinstance(result.exception, UserError)
    assert says in str(result.exception)
    assert "\n" not in str(result.exception)


def test_a_mistake_ends_the_command_with_one_line_and_exit_code_2() -> None:
    done = run_script("adam_examples", "step", "--w", "half", "--grad", 1, "--learn-rate", 1)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("text", "says"), [("# nothing\n", "no gradient in it"), ("1\nzwei\n", ":2: 'zwei'")])
def test_a_bad_file_of_gradients_is_named_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "gradients.txt"
    path.write_text(text, encoding="utf8")
    result = CliRunner().invoke(app, ["step", "--w", "1", "--gradients", str(path), "--learn-rate", "1"])
    assert isinstance(result.exception, UserError)
    assert says in str(result.exception)


@pytest.mark.skipif(not has_torch(), reason="the page is written only where torch is installed")
def test_a_config_without_an_optimizer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bare.cfg"
    path.write_text("[nlp]\nlang = fr\n", encoding="utf8")
    done = run_script("adam_examples", "--config", path, "--output", tmp_path / "n.json", "--page", tmp_path / "p.md")
    assert done.returncode == 2
    assert "no [training.optimizer] block" in done.stderr
    assert not (tmp_path / "p.md").exists()
