"""A bidirectional LSTM or GRU over each document, in torch."""

from collections.abc import Callable
from typing import Any

import numpy as np
from thinc.api import ArgsKwargs, Dropout, LayerNorm, Model, PyTorchWrapper, chain, torch2xp, with_array, xp2torch
from thinc.types import Floats2d

from trajet.errors import UserError

_NAME = "trajet.RecurrentEncoder.v1"
CELLS = ("lstm", "gru")


def recurrent_encoder(
    cell: str, width: int, depth: int = 1, dropout: float = 0.0
) -> Model[list[Floats2d], list[Floats2d]]:
    """`depth` layers that read each document forwards and backwards, width / 2 units each way.

        y = dropout(layer_norm(rnn(x)))

    The documents of a batch lie packed, without padding: what a document gets does not depend on the others.
    (spacy.TorchBiLSTMEncoder.v1 reads the padding too: there a document's scores change with the length of its
    longest batch mate.) An LSTM's first outputs are small; the layer norm brings them to the size that a window
    encoder's have, or a small rate would hardly reach the layers below.

    `dropout` is torch's own, between the layers and never changed in training. [training] dropout acts on the
    output, as it acts on the output of each layer of a window encoder. torch has no recurrent dropout.

    The torch module bears the name of the cell: a trace calls its parameters `tok2vec/lstm-0/weight_ih_l0` (layer
    0, from the input), `.../weight_hh_l0_reverse` (from the state before, backwards).

    Args:
        cell: "lstm" or "gru".
        width: of input and output; even.
        depth: number of layers.
        dropout: share of what one layer hands to the next that is dropped; needs depth 2 or more.

    Raises:
        UserError: a setting is out of range; torch is missing.
    Source: Hochreiter & Schmidhuber 1997, Cho et al. 2014; torch.nn.LSTM and torch.nn.GRU.
    """
    if cell not in CELLS:
        raise UserError(f"{_NAME}: cell is {cell!r}; choose one of {', '.join(CELLS)}")
    if width < 2 or width % 2:
        raise UserError(f"{_NAME}: width is {width}; it must be even, half for each direction")
    if depth < 1:
        raise UserError(f"{_NAME}: depth is {depth}; it must be at least 1")
    if not 0 <= dropout < 1:
        raise UserError(f"{_NAME}: dropout is {dropout}; it must be at least 0 and below 1")
    if dropout and depth == 1:
        raise UserError(
            f"{_NAME}: dropout = {dropout} lies between layers and depth 1 has but one; set dropout = 0 or depth = 2"
        )
    torch = _torch()
    kind = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell]
    network = PyTorchWrapper(
        kind(width, width // 2, num_layers=depth, dropout=dropout, bidirectional=True),
        convert_inputs=_pack,
        convert_outputs=_unpack,
    )
    network.name = cell
    network.set_dim("nI", width)
    network.set_dim("nO", width)
    encoder = chain(network, with_array(chain(LayerNorm(width), Dropout(0.0))))
    encoder.set_dim("nO", width)
    return encoder


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        raise UserError(f"{_NAME} needs torch: pip install -r requirements-test.txt") from None
    return torch


def _pack(model: Model, Xs: list[Floats2d], is_train: bool) -> tuple[ArgsKwargs, Callable]:
    """Documents to a PackedSequence: the first tokens of all, then the second tokens, longest documents first."""
    torch = _torch()
    width = model.get_dim("nI")
    order, sizes = _packed_order(model, Xs)
    flat = model.ops.flatten(Xs)
    if flat.shape[1:] != (width,):
        raise UserError(f"{_NAME}: width is {width}, but the embedding's is {flat.shape[1]}; set both alike")
    data = xp2torch(flat[order], requires_grad=is_train, device=model.shims[0].device)
    packed = torch.nn.utils.rnn.PackedSequence(data, torch.from_numpy(sizes))

    def backprop(_: ArgsKwargs) -> list[Floats2d]:
        return _in_documents(model, torch2xp(data.grad), Xs)

    return ArgsKwargs(args=(packed,), kwargs={}), backprop


def _unpack(model: Model, inputs_outputs: tuple, is_train: bool) -> tuple[list[Floats2d], Callable]:
    Xs, (packed, _) = inputs_outputs

    def backprop(dYs: list[Floats2d]) -> ArgsKwargs:
        order, _ = _packed_order(model, dYs)
        gradient = xp2torch(model.ops.flatten(dYs)[order], device=packed.data.device)
        return ArgsKwargs(args=((packed.data,),), kwargs={"grad_tensors": (gradient,)})

    return _in_documents(model, torch2xp(packed.data), Xs), backprop


def _in_documents(model: Model, rows: Floats2d, Xs: list[Floats2d]) -> list[Floats2d]:
    """The rows of a PackedSequence, back in the documents they came from."""
    flat = model.ops.alloc2f(*rows.shape)
    flat[_packed_order(model, Xs)[0]] = rows
    return model.ops.unflatten(flat, model.ops.asarray1i([len(X) for X in Xs]))


def _packed_order(model: Model, Xs: list[Floats2d]) -> tuple[Any, np.ndarray]:
    """How the documents' rows, one document after the other, lie in a PackedSequence.

    Returns:
        (row at each place of the packed array, number of documents that have a first, second, ... token)
    """
    lengths = np.array([len(X) for X in Xs])
    place = np.concatenate([np.arange(length) for length in lengths])
    rank = np.argsort(np.argsort(-lengths, kind="stable"))
    order = np.lexsort((np.repeat(rank, lengths), place))
    return model.ops.xp.asarray(order), np.bincount(place).astype("int64")
