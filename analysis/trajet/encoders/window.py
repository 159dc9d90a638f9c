"""spaCy's window encoder with the normalisation and the first weights to choose."""

from collections.abc import Callable
from typing import Any

from thinc.api import Dropout, Maxout, Model, chain, clone, expand_window, residual, with_array
from thinc.types import Floats2d, Ragged

from trajet.encoders.initialisers import initialiser
from trajet.encoders.norms import batch_norm
from trajet.errors import UserError

_NAME = "trajet.WindowEncoder.v1"
NORMS = ("layer", "batch", "none")


def window_encoder(
    width: int,
    depth: int,
    window_size: int = 1,
    maxout_pieces: int = 3,
    norm: str = "layer",
    init: str = "glorot_uniform",
) -> Model[list[Floats2d], list[Floats2d]]:
    """`depth` times over: each token and its neighbours, maxout, a norm, added to what came in.

        x_i = x_i + dropout(norm(maxout(x_(i - window_size), ..., x_(i + window_size))))

    With norm "layer" and init "glorot_uniform" this is spacy.MaxoutWindowEncoder.v2, weight for weight. Padding
    parts the documents as there, so none sees another. With "batch" they do while training, through the
    statistics they share; at prediction they do not.

    With "none" the size of a weight is a size of the output: leave the encoder's weights out of
    trajet.ScaleWeights.v1 then.

    Args:
        width: of input and output.
        norm: "layer", "batch" (see trajet.encoders.norms) or "none".
        init: see trajet.encoders.initialisers.

    Raises:
        UserError: a size below 1, an unknown norm or init.
    Source: spaCy 3.8 ml/models/tok2vec.py, MaxoutWindowEncoder.
    """
    sizes = {"width": width, "depth": depth, "window_size": window_size, "maxout_pieces": maxout_pieces}
    for name, size in sizes.items():
        if size < 1:
            raise UserError(f"{_NAME}: {name} is {size}; it must be at least 1")
    if norm not in NORMS:
        raise UserError(f"{_NAME}: norm is {norm!r}; choose one of {', '.join(NORMS)}")
    window = expand_window(window_size)
    inputs = width * (window_size * 2 + 1)
    draw = initialiser(init, _NAME)
    reach = window_size * depth
    if norm == "batch":
        maxout = Maxout(width, inputs, maxout_pieces, init_W=draw)
        layer = chain(with_array(chain(window, maxout)), batch_norm(width), Dropout(0.0))
        # A chain takes its size from its last layer, and dropout has none.
        layer.set_dim("nO", width)
        return _with_padding(clone(residual(layer), depth), reach, width)
    layer = chain(window, Maxout(width, inputs, maxout_pieces, init_W=draw, dropout=0.0, normalize=norm == "layer"))
    layers = clone(residual(layer), depth)
    layers.set_dim("nO", width)
    return with_array(layers, pad=reach)


def _with_padding(layer: Model[Ragged, Ragged], pad: int, width: int) -> Model[list[Floats2d], list[Floats2d]]:
    """As Thinc's `with_array(layer, pad)`, but the layer is told which rows are padding.

    It gets a Ragged of padding, document, padding, ..., document, padding.
    """
    return Model(
        f"with_padding({layer.name})",
        _forward,
        init=_init,
        layers=[layer],
        attrs={"pad": pad},
        dims={"nO": width},
    )


def _init(model: Model, X: Any = None, Y: Any = None) -> None:
    model.layers[0].initialize(X=None if X is None else _pad(model, X))


def _forward(model: Model, Xs: list[Floats2d], is_train: bool) -> tuple[list[Floats2d], Callable]:
    Y, backprop_layer = model.layers[0](_pad(model, Xs), is_train)
    lengths = model.ops.asarray1i([len(X) for X in Xs])
    pad = model.attrs["pad"]

    def backprop(dYs: list[Floats2d]) -> list[Floats2d]:
        dX = backprop_layer(_pad(model, dYs))
        return model.ops.unflatten(dX.dataXd, lengths, pad=pad)

    return model.ops.unflatten(Y.dataXd, lengths, pad=pad), backprop


def _pad(model: Model, Xs: list[Floats2d]) -> Ragged:
    pad = model.attrs["pad"]
    lengths = []
    # Thinc leaves empty documents out.
    for X in Xs:
        lengths += [pad, len(X)] if len(X) else []
    lengths += [pad] if lengths else []
    return Ragged(model.ops.flatten(Xs, pad=pad), model.ops.asarray1i(lengths))
