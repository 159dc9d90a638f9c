"""First weights by name, for Maxout layers.

A Maxout weight has the shape (outputs, pieces, inputs). Thinc's initialisers take the first two sizes of a shape
for outputs and inputs, so Maxout.v1 draws its Glorot weights with

    limit = sqrt(6 / (outputs + pieces))

whatever the number of inputs. Glorot's two names keep that, so that "glorot_uniform" gives spaCy's own first
weights. The names that go by the inputs (He, LeCun) are drawn for the matrix (outputs * pieces, inputs), as
their papers have it.

Below a norm the size of a weight changes no output, only how far an update turns it (see trajet.initial_weights).
Without one it multiplies: through base.cfg's four layers, numbers of size 1 come out near 8 with LeCun's weights,
near 20 with He's and near 500 with Glorot's as Thinc has them.
"""

from collections.abc import Callable
from functools import partial

from thinc.api import Ops
from thinc.initializers import (
    glorot_normal_init,
    glorot_uniform_init,
    he_normal_init,
    he_uniform_init,
    lecun_normal_init,
    lecun_uniform_init,
    normal_init,
    uniform_init,
)
from thinc.types import FloatsXd

from trajet.errors import UserError

Initialiser = Callable[[Ops, tuple[int, ...]], FloatsXd]


def _by_inputs(draw: Initialiser, ops: Ops, shape: tuple[int, ...]) -> FloatsXd:
    outputs, pieces, inputs = shape
    return ops.reshape_f(draw(ops, (outputs * pieces, inputs)), shape)


INITIALISERS: dict[str, Initialiser] = {
    "glorot_uniform": glorot_uniform_init,
    "glorot_normal": glorot_normal_init,
    "he_uniform": partial(_by_inputs, he_uniform_init),
    "he_normal": partial(_by_inputs, he_normal_init),
    "lecun_uniform": partial(_by_inputs, lecun_uniform_init),
    "lecun_normal": partial(_by_inputs, lecun_normal_init),
    # Within -0.1 and 0.1; of deviation 0.05, which Thinc calls "mean".
    "uniform": uniform_init,
    "normal": partial(normal_init, mean=0.05),
}


def initialiser(name: str, where: str) -> Initialiser:
    """The function that draws first weights: `draw(ops, (outputs, pieces, inputs))`.

        glorot_uniform, glorot_normal   variance 2 / (outputs + pieces)
        he_uniform, he_normal           variance 2 / inputs
        lecun_uniform, lecun_normal     variance 1 / inputs
        uniform, normal                 variance 0.1^2 / 3, 0.05^2

    Args:
        where: what the user wrote the name in, for the message.

    Raises:
        UserError: no such name; all are listed.
    Source: Glorot & Bengio 2010, He et al. 2015, LeCun et al. 1998; Thinc 8.3 initializers.py and maxout.py.
    """
    if name not in INITIALISERS:
        raise UserError(f"{where}: init is {name!r}; choose one of {', '.join(INITIALISERS)}")
    return INITIALISERS[name]
