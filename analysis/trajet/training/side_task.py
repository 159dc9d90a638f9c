"""A component that only helps to train: it is left out of what is saved."""

from collections.abc import Callable, Sequence

from spacy.language import Language
from spacy.util import load_model_from_config

from trajet.errors import UserError


def without_pipes(names: Sequence[str]) -> Callable[[Language], Language]:
    """The callback `trajet.WithoutPipes.v1`, for `[training.before_to_disk]`: a copy of the pipeline without some pipes.

    The pipeline in training keeps them.

    Raises:
        UserError: when called, a name the pipeline does not have, or no pipe left.
    """

    def callback(nlp: Language) -> Language:
        if unknown := [name for name in names if name not in nlp.component_names]:
            raise UserError(
                f"[training.before_to_disk]: trajet.WithoutPipes.v1: no component {unknown[0]!r}; "
                f"the pipeline has {', '.join(nlp.component_names)}"
            )
        kept = [name for name in nlp.component_names if name not in names]
        if not kept:
            raise UserError("[training.before_to_disk]: trajet.WithoutPipes.v1 leaves no component; name fewer")
        config = nlp.config.copy()
        config["nlp"]["pipeline"] = kept
        for name in names:
            config["components"].pop(name)
            config["initialize"]["components"].pop(name, None)
        config["training"]["before_to_disk"] = None
        copy = load_model_from_config(config, vocab=nlp.vocab, auto_fill=False, validate=True)
        copy.from_bytes(nlp.to_bytes(exclude=[*names, "vocab", "config"]), exclude=["vocab"])
        return copy

    return callback
