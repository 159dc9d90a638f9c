"""trajet.ScaleWeights.v1: which first weights it scales, what that changes and what it does not."""

import subprocess

import numpy as np
import pytest
import spacy
from spacy.training.initialize import init_nlp
from spacy.util import load_config

from tests.conftest import ROOT, train_command
from trajet.errors import UserError
from trajet.initial_weights import scale_weights
from trajet.trace.parameters import name_parameters


def _initialised(overrides: dict, scaled: bool):
    block = {} if scaled else {"initialize.after_init": None}
    return init_nlp(load_config(ROOT / "configs" / "base.cfg", overrides={**overrides, **block}))


def _values(nlp) -> dict[str, np.ndarray]:
    found = {}
    for component, pipe in nlp.pipeline:
        nodes = {node.id: node for node in pipe.model.walk()}
        for parameter in name_parameters(component, pipe.model):
            found[parameter.name] = nodes[parameter.key[0]].get_param(parameter.key[1]).copy()
    return found


def test_base_scales_the_tables_and_the_layers_below_a_norm_and_nothing_else(overrides: dict) -> None:
    plain, scaled = (_values(_initialised(overrides, on)) for on in (False, True))
    factor = load_config(ROOT / "configs" / "base.cfg")["initialize"]["after_init"]["factor"]
    assert 0 < factor < 1
    changed = {name for name in plain if not np.array_equal(plain[name], scaled[name])}
    assert changed == {
        name for name in plain if name.split("/")[-1] == "E" or ("maxout" in name and name.endswith("W"))
    }
    for name in changed:
        np.testing.assert_allclose(scaled[name], plain[name] * np.float32(factor), rtol=1e-6)


def test_the_output_below_a_norm_does_not_change(overrides: dict) -> None:
    texts = ["Je voudrais aller de Lyon à Marseille demain.", "un billet Brest Nice"]
    plain, scaled = (_initialised(overrides, on) for on in (False, True))
    for nlp in (plain, scaled):
        assert nlp.get_pipe("tok2vec").model.has_dim("nO")
    before, after = (
        np.concatenate(nlp.get_pipe("tok2vec").model.predict([nlp.make_doc(text) for text in texts]))
        for nlp in (plain, scaled)
    )
    # The norm's epsilon is what is left of the difference.
    assert np.abs(after - before).max() < 0.1 * np.abs(before).max()
    assert not np.array_equal(before, after)


def test_a_component_that_was_not_initialised_keeps_its_weights(overrides: dict) -> None:
    nlp = _initialised(overrides, False)
    before = _values(nlp)
    with nlp.select_pipes(disable=["tok2vec"]):
        assert scale_weights(nlp, ["*/E", "ner/linear-*/W"], 0.5) == ["ner/linear-0/W"]
    changed = {name for name, value in _values(nlp).items() if not np.array_equal(value, before[name])}
    assert changed == {"ner/linear-0/W"}


def test_unknown_names_and_bad_factors_are_refused(overrides: dict) -> None:
    nlp = _initialised(overrides, False)
    with pytest.raises(
        UserError, match=r"'tok2vec/maxuot-0/W' fits no Thinc parameter; the nearest is 'tok2vec/maxout-0/W'"
    ):
        scale_weights(nlp, ["tok2vec/maxuot-0/W"], 0.1)
    for factor in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(UserError, match="finite and above 0"):
            scale_weights(nlp, ["tok2vec/*"], factor)
    with pytest.raises(UserError, match="the pipeline has none"):
        scale_weights(spacy.blank("fr"), ["*"], 0.1)


def test_a_mistake_in_the_config_is_one_line(overrides: dict) -> None:
    command = train_command(overrides, '--initialize.after_init.parameters=["ner/nothing-9/W"]')
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("error: trajet.ScaleWeights.v1: 'ner/nothing-9/W' fits no")
    assert "Traceback" not in done.stderr
