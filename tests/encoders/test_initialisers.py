"""First weights by name: how large they are, and that a seed gives them again."""

import numpy as np
import pytest
from thinc.api import NumpyOps, fix_random_seed

from trajet.encoders.initialisers import INITIALISERS, initialiser
from trajet.encoders.window import window_encoder
from trajet.errors import UserError

OUTPUTS, PIECES, INPUTS = 48, 3, 240
# name -> (variance, largest value or None), by the papers' formulas; Glorot's with Thinc's reading of the shape.
EXPECTED = {
    "glorot_uniform": (2 / (OUTPUTS + PIECES), np.sqrt(6 / (OUTPUTS + PIECES))),
    "glorot_normal": (2 / (OUTPUTS + PIECES), None),
    "he_uniform": (2 / INPUTS, np.sqrt(6 / INPUTS)),
    "he_normal": (2 / INPUTS, None),
    "lecun_uniform": (1 / INPUTS, np.sqrt(3 / INPUTS)),
    "lecun_normal": (1 / INPUTS, None),
    "uniform": (0.1**2 / 3, 0.1),
    "normal": (0.05**2, None),
}


def _draw(name: str, seed: int = 0) -> np.ndarray:
    fix_random_seed(seed)
    return initialiser(name, "here")(NumpyOps(), (OUTPUTS, PIECES, INPUTS))


def test_every_name_has_its_expectation() -> None:
    assert EXPECTED.keys() == INITIALISERS.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_size_shape_and_seed(name: str) -> None:
    variance, limit = EXPECTED[name]
    weights = _draw(name)
    assert weights.shape == (OUTPUTS, PIECES, INPUTS)
    assert weights.dtype == np.float32
    # 34,560 draws: the variance of a sample's variance is below 2 variance^2 / n, four deviations are 3 %.
    assert weights.var() == pytest.approx(variance, rel=0.03)
    assert abs(weights.mean()) < 4 * np.sqrt(variance / weights.size)
    # A uniform draw fills its range and never leaves it; a normal one goes beyond three deviations.
    if limit is None:
        assert np.abs(weights).max() > 3 * np.sqrt(variance)
    else:
        assert 0.99 * limit < np.abs(weights).max() <= limit * (1 + 1e-6)
    np.testing.assert_array_equal(weights, _draw(name))
    assert not np.array_equal(weights, _draw(name, seed=1))


@pytest.mark.parametrize("norm", ["layer", "batch", "none"])
def test_the_encoder_draws_its_maxouts_so(norm: str) -> None:
    encoder = window_encoder(32, 2, 2, PIECES, norm, "he_normal")
    fix_random_seed(0)
    encoder.initialize([np.ones((4, 32), dtype="float32")])
    drawn = [node.get_param("W") for node in encoder.walk() if node.name == "maxout"]
    assert len(drawn) == 2
    for weights in drawn:
        assert weights.var() == pytest.approx(2 / (32 * 5), rel=0.06)
    assert not np.array_equal(*drawn)


@pytest.mark.parametrize(
    ("name", "low", "high"), [("lecun_uniform", 4, 16), ("he_uniform", 10, 40), ("glorot_uniform", 250, 1000)]
)
def test_without_a_norm_their_size_multiplies_through_the_layers(name: str, low: float, high: float) -> None:
    """At the size of base.cfg: width 64, four layers, four words to each side."""
    docs = [np.random.default_rng(0).normal(size=(40, 64)).astype("float32")]
    sizes = {}
    for norm in ("none", "layer"):
        fix_random_seed(0)
        outputs = window_encoder(64, 4, 4, PIECES, norm, name).initialize(docs).predict(docs)[0]
        sizes[norm] = np.sqrt((outputs**2).mean())
    assert low < sizes["none"] < high
    # Four outputs of size 1 and the input, added up.
    assert sizes["layer"] == pytest.approx(np.sqrt(5), rel=0.1)


def test_an_unknown_name_lists_them_all() -> None:
    with pytest.raises(UserError) as error:
        initialiser("xavier", "trajet.WindowEncoder.v1")
    assert str(error.value) == f"trajet.WindowEncoder.v1: init is 'xavier'; choose one of {', '.join(EXPECTED)}"
