"""How Thinc's optimizers average weights, fact by fact, and which of them a saved pipeline holds.

A test that fails after an upgrade names the fact that moved.
"""

from pathlib import Path

import numpy as np
import pytest
from spacy.util import load_model
from thinc.api import Adam, Model, Softmax, chain, fix_random_seed

from tests.conformance.small_training import trained
from tests.conformance.tensors import KEY, RATE, after, normal

# -- averages ----------------------------------------------------------------------------------


def test_averages_start_at_zero() -> None:
    """Averages start at 0 (0.818 of w after one update)."""
    optimizer, w = Adam(RATE), np.ones(1, "f")
    w = after(optimizer, w, np.zeros(1, "f"))
    # Half of the last digit given; 1 - 2/11 by Thinc's decay (1 + t) / (10 + t).
    assert optimizer.averages[KEY][0] / w[0] == pytest.approx(0.818, abs=0.0005), "averages no longer start at 0"


def wrapped_model():
    """(model, torch layer, Thinc layer): a torch body under a Thinc head, as a transformer under a parser."""
    torch = pytest.importorskip("torch")
    from thinc.api import PyTorchWrapper

    fix_random_seed(0)
    body, head = PyTorchWrapper(torch.nn.Linear(4, 6)), Softmax(3, 6)
    return chain(body, head).initialize(), body, head


def torch_weights(layer: Model) -> np.ndarray:
    return layer.shims[0]._model.weight.detach().numpy().copy()


def averaged_model():
    """The same after ten updates with averages, and its optimizer."""
    model, body, head = wrapped_model()
    optimizer = Adam(0.01, use_averages=True)
    for seed in range(10):
        predicted, backprop = model.begin_update(normal(20, seed=seed).reshape(5, 4))
        backprop(predicted - np.eye(3, dtype="f")[np.arange(5) % 3])
        model.finish_update(optimizer)
    return model, body, head, optimizer


def test_averages_of_torch_parameters_are_kept_under_tuples() -> None:
    """`use_params` looks for string keys, the keys are tuples."""
    _, body, _, optimizer = averaged_model()
    keys = {key for key in optimizer.averages if key[0] == body.shims[0].id}
    assert keys == {(body.shims[0].id, "weight"), (body.shims[0].id, "bias")}, "torch averages have other keys now"


def test_averages_are_never_applied_to_torch_parameters() -> None:
    """They are never applied to torch parameters."""
    model, body, head, optimizer = averaged_model()
    raw, raw_head = torch_weights(body), head.get_param("W").copy()
    average = optimizer.averages[(body.shims[0].id, "weight")]
    assert not np.array_equal(raw, average), "ten updates leave no difference between weights and averages"
    with model.use_params(optimizer.averages):
        np.testing.assert_array_equal(torch_weights(body), raw, "use_params applies averages to torch parameters now")
        assert not np.array_equal(head.get_param("W"), raw_head), (
            "use_params no longer applies averages to Thinc layers"
        )


def test_use_params_of_a_torch_layer_looks_for_string_keys() -> None:
    """`use_params` looks for string keys."""
    _, body, _, optimizer = averaged_model()
    shim = body.shims[0]
    named = {f"pytorch_{shim.id}_{name}": optimizer.averages[(shim.id, name)] for name in ("weight", "bias")}
    with body.use_params(named):
        np.testing.assert_array_equal(
            torch_weights(body), optimizer.averages[(shim.id, "weight")], "use_params no longer takes string keys"
        )


def test_averages_save_an_averaged_head_on_a_raw_torch_body() -> None:
    """So averages plus a transformer saves averaged heads on a raw transformer."""
    model, body, head, optimizer = averaged_model()
    raw = torch_weights(body)
    with model.use_params(optimizer.averages):
        saved = model.to_bytes()
    loaded, loaded_body, loaded_head = wrapped_model()
    loaded.from_bytes(saved)
    np.testing.assert_array_equal(torch_weights(loaded_body), raw, "a saved torch body is averaged now")
    np.testing.assert_array_equal(
        loaded_head.get_param("W"), optimizer.averages[(head.id, "W")], "a saved Thinc head is no longer averaged"
    )


def test_model_last_is_averaged_and_what_train_returns_is_not(tmp_path: Path) -> None:
    """The `nlp` that `train()` returns is not averaged, model-last is."""
    parsers = {}
    for name, averages in (("raw", False), ("averaged", True)):
        nlp, _ = trained(tmp_path / name, {"learn_rate": 1e-3, "use_averages": averages})
        parsers[name] = nlp.get_pipe("ner").model.to_bytes()
        parsers[f"{name} on disk"] = load_model(tmp_path / name / "model-last").get_pipe("ner").model.to_bytes()
    assert parsers["raw"] == parsers["raw on disk"], "model-last is not what train() returns, even without averages"
    assert parsers["averaged"] == parsers["raw"], "the nlp that train() returns is averaged now"
    assert parsers["averaged on disk"] != parsers["averaged"], "model-last is no longer averaged"
