"""Several trained pipelines merged into one that scores every move with the mean of their scores.

What is merged is an ordinary pipeline: `spacy.load` reads it without this project's code.
"""

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
from scipy.linalg import block_diag
from spacy.language import Language
from spacy.util import load_model_from_config
from thinc.api import Config, Model

from trajet.errors import UserError
from trajet.parser_states import move_names

_CONCATENATE = "concatenate.v1"
_PARSER = {"@architectures": "spacy.TransitionBasedParser.v2", "state_type": "ner", "use_upper": False}
_FACTORIES = {"tok2vec": "tok2vec", "ner": "ner"}
# The layer after the shared vectors; its weights are nO x nI.
_LINEAR = "linear"
# Beyond this many the merged layer costs more than all the members' networks together.
_MOST_PIECES = 1024


def merge_pipelines(pipelines: Sequence[Language]) -> Language:
    """One pipeline whose move scores are, at every parser state, the mean of the members' scores.

    Member k scores a move by the best of its pieces, of which the features f = 1..3 (the words a state looks at; a word
    that is missing has a vector `pad` of its own) each give a part:

        score_k = max_p a_k,p        a_k,p = b_k,p + sum_f (W_k,f,p h_k,f  or  pad_k,f,p),     h_k = L_k x_k + c_k

    The mean of maxima is a maximum over all combinations of pieces:

        1/K sum_k max_p a_k,p = max_(p1..pK) 1/K sum_k a_k,pk

    so the merged layer has P_1 * ... * P_K pieces, piece (p1..pK) with the weights [W_1,p1 | ... | W_K,pK] / K, and
    biases and paddings that are the sums / K. Its input is [h_1 | ... | h_K], from the block-diagonal L of the L_k over
    the concatenated outputs [x_1 | ... | x_K] of the members' tok2vec networks, which stay as they are and may differ.

    Args:
        pipelines: at least two, of tok2vec and ner (`use_upper = false`), with the same moves in any order. A pipeline
            that is itself merged counts as one. They are not changed.
    Returns:
        A new pipeline. All but its components is the first member's, without the trace callback; its meta has a note of
        each member under "members", and no scores.
    Raises:
        UserError: the pipelines cannot be merged; says which and why.
    """
    if len(pipelines) < 2:
        raise UserError("there is nothing to merge; give at least two pipelines")
    for number, nlp in enumerate(pipelines, 1):
        _check_member(nlp, _where(nlp, number))
        _check_agrees(pipelines[0], nlp, _where(nlp, number))
    config, blocks = _merged_config(pipelines)
    merged = load_model_from_config(config, meta=_merged_meta(pipelines))
    first = pipelines[0]
    merged.vocab.from_bytes(first.vocab.to_bytes())
    for nlp in pipelines[1:]:
        for string in nlp.vocab.strings:
            merged.vocab.strings.add(string)
    merged.tokenizer.from_bytes(_tokenizer(first), exclude=["vocab"])
    ner = merged.get_pipe("ner")
    ner.from_bytes(first.get_pipe("ner").to_bytes(exclude=["model", "vocab"]), exclude=["model", "vocab"])
    ner.set_output(ner.moves.n_moves)
    _fill_tok2vec(merged.get_pipe("tok2vec").model, pipelines, blocks)
    _fill_parser(ner.model, pipelines)
    return merged


def _where(nlp: Language, number: int) -> str:
    return str(nlp.path) if nlp.path else f"pipeline {number}"


def _check_member(nlp: Language, where: str) -> None:
    factories = {name: nlp.get_pipe_meta(name).factory for name in nlp.component_names}
    if factories != _FACTORIES or nlp.disabled:
        listed = ", ".join(f"{name} (disabled)" if name in nlp.disabled else name for name in factories)
        raise UserError(
            f"{where}: has the components {listed or 'none'}; only a pipeline of tok2vec and ner can be merged"
        )
    block = _model_block(nlp, "ner")
    for key, value in _PARSER.items():
        if block.get(key) != value:
            raise UserError(
                f"{where}: [components.ner.model] has {key} = {block.get(key)!r}; only {value!r} can be merged"
            )
    model = nlp.get_pipe("ner").model
    lower = model.get_ref("lower")
    if not lower.has_param("W") or lower.has_dim("nO") is not True:
        raise UserError(f"{where}: the ner has no weights; train it first")
    if lower.get_dim("nP") < 2:
        # A single piece is linear when spaCy parses and a relu when it scores states one by one.
        raise UserError(f"{where}: [components.ner.model] has maxout_pieces = 1; only 2 or more can be merged")
    if [layer.name for layer in model.get_ref("tok2vec").layers] != ["tok2vec-listener", "list2array", _LINEAR]:
        raise UserError(f"{where}: the ner has a tok2vec of its own; only one that listens to tok2vec can be merged")
    if model.attrs["unseen_classes"]:
        raise UserError(f"{where}: the ner has labels it was never trained on; train it with examples of all labels")


def _check_agrees(first: Language, nlp: Language, where: str) -> None:
    labels, other = (set(move_names(pipeline.get_pipe("ner"))) for pipeline in (first, nlp))
    if labels != other:
        raise UserError(f"{where}: its moves differ from the first pipeline's ({', '.join(sorted(labels ^ other))}); merge pipelines of the same labels")  # fmt: skip
    same = {
        "language": lambda pipeline: pipeline.lang,
        "tokenizer": lambda pipeline: (pipeline.config["nlp"]["tokenizer"], _tokenizer(pipeline)),
        "lookup tables": _lookups,
        "vectors": lambda pipeline: pipeline.vocab.vectors.to_bytes(exclude=["strings"]),
        "extra_state_tokens": lambda pipeline: _model_block(pipeline, "ner")["extra_state_tokens"],
    }
    for name, of in same.items():
        if of(first) != of(nlp):
            raise UserError(f"{where}: its {name} differ{'' if name.endswith('s') else 's'} from the first pipeline's; merge pipelines trained alike")  # fmt: skip


def _tokenizer(nlp: Language) -> bytes:
    # Without the words it has met, which differ from training to training.
    return nlp.tokenizer.to_bytes(exclude=["vocab"])


def _lookups(nlp: Language) -> dict[str, dict]:
    return {name: dict(nlp.vocab.lookups.get_table(name)) for name in nlp.vocab.lookups.tables}


def _model_block(nlp: Language, component: str) -> dict[str, Any]:
    return nlp.config.interpolate()["components"][component]["model"]


def _blocks(nlp: Language) -> list[dict[str, Any]]:
    """The config blocks of a pipeline's tok2vec networks: one, or those of a merged pipeline."""
    block = _model_block(nlp, "tok2vec")
    return list(block["*"].values()) if block.get("@layers") == _CONCATENATE else [block]


def _networks(model: Model, blocks: Sequence[dict]) -> list[Model]:
    """The tok2vec networks of a model made from `blocks`; Thinc gives a single one without the layer around it."""
    return list(model.layers) if len(blocks) > 1 else [model]


def _parser_parts(nlp: Language) -> tuple[Model, Model]:
    """The linear layer on the shared vectors, and the precomputed one on the features."""
    model = nlp.get_pipe("ner").model
    return model.get_ref("tok2vec").layers[-1], model.get_ref("lower")


def _merged_config(pipelines: Sequence[Language]) -> tuple[Config, list[list[dict]]]:
    pieces = int(np.prod([_parser_parts(nlp)[1].get_dim("nP") for nlp in pipelines], dtype=object))
    if pieces > _MOST_PIECES:
        raise UserError(f"{len(pipelines)} pipelines: merged they would have {pieces:,} pieces, at most {_MOST_PIECES:,} are of use; merge fewer")  # fmt: skip
    config = pipelines[0].config.interpolate()
    blocks = [_blocks(nlp) for nlp in pipelines]
    # Zero-padded: the order holds even where a reader sorts sections by name.
    named = {f"network{index:03d}": block for index, block in enumerate(block for member in blocks for block in member)}
    config["components"]["tok2vec"]["model"] = {"@layers": _CONCATENATE, "*": named}
    parser = config["components"]["ner"]["model"]
    parser["hidden_width"] = sum(_parser_parts(nlp)[0].get_dim("nO") for nlp in pipelines)
    parser["maxout_pieces"] = pieces
    parser["tok2vec"]["width"] = sum(_parser_parts(nlp)[0].get_dim("nI") for nlp in pipelines)
    if "training" in config:
        # It would write over the trace of the first member's training.
        config["training"]["before_update"] = None
    return config, blocks


def _merged_meta(pipelines: Sequence[Language]) -> dict[str, Any]:
    meta = {key: pipelines[0].meta[key] for key in ("lang", "version", "author", "email", "url", "license")}
    meta["description"] = f"Mean of the move scores of {len(pipelines)} pipelines trained apart"
    meta["members"] = [_note(nlp) for nlp in pipelines]
    return meta


def _note(nlp: Language) -> dict[str, Any]:
    config = nlp.config.interpolate()
    linear, lower = _parser_parts(nlp)
    training = config.get("training", {})
    note = {
        **{key: training.get(key) for key in ("seed", "optimizer", "max_steps", "patience")},
        # "model-last" or "model-best": whether the dev split chose the step.
        "saved": nlp.path.name if nlp.path else None,
        "width": linear.get_dim("nI"),
        "hidden_width": linear.get_dim("nO"),
        "maxout_pieces": lower.get_dim("nP"),
    }
    return {**note, "members": nlp.meta["members"]} if "members" in nlp.meta else note


def _fill_tok2vec(model: Model, pipelines: Sequence[Language], blocks: Sequence[list[dict]]) -> None:
    networks = iter(model.layers)
    for nlp, of_member in zip(pipelines, blocks, strict=True):
        for source in _networks(nlp.get_pipe("tok2vec").model, of_member):
            next(networks).from_bytes(source.to_bytes())
    model.set_dim("nO", sum(_parser_parts(nlp)[0].get_dim("nI") for nlp in pipelines))


def _fill_parser(model: Model, pipelines: Sequence[Language]) -> None:
    order = move_names(pipelines[0].get_pipe("ner"))
    linears, affines = [], []
    for nlp in pipelines:
        linear, lower = _parser_parts(nlp)
        linears.append(_params(linear, ("W", "b")))
        names = move_names(nlp.get_pipe("ner"))
        weights = _params(lower, ("W", "b", "pad"))
        axis = {"W": 1, "b": 0, "pad": 2}
        places = [names.index(name) for name in order]
        affines.append({name: np.take(value, places, axis[name]) for name, value in weights.items()})
    linear, lower = model.get_ref("tok2vec").layers[-1], model.get_ref("lower")
    _set(linear, W=block_diag(*(part["W"] for part in linears)), b=np.concatenate([part["b"] for part in linears]))
    total = reduce(_combine_pieces, affines)
    _set(lower, **{name: value / len(pipelines) for name, value in total.items()})


def _combine_pieces(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The layer whose piece (p, q) is piece p of one plus piece q of the other.

    Args:
        one, other: W (nF, nO, nP, nI), b (nO, nP), pad (1, nF, nO, nP); nP and nI may differ.
    Returns:
        The same with nP the product and nI the sum; p is the slower index.
    """
    p, q = one["b"].shape[1], other["b"].shape[1]
    left, right = np.repeat(one["W"], q, axis=2), np.tile(other["W"], (1, 1, p, 1))
    summed = {name: np.repeat(one[name], q, axis=-1) + np.tile(other[name], p) for name in ("b", "pad")}
    return {"W": np.concatenate([left, right], axis=3), **summed}


def _params(layer: Model, names: Sequence[str]) -> dict[str, np.ndarray]:
    # float64, so that the only rounding is the last one.
    return {name: np.asarray(layer.ops.to_numpy(layer.get_param(name)), dtype=np.float64) for name in names}


def _set(layer: Model, **params: np.ndarray) -> None:
    for name, value in params.items():
        layer.set_param(name, layer.ops.asarray(value, dtype="float32"))
