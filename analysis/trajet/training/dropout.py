"""Dropout that follows a schedule; `training.dropout` takes one number."""

from collections.abc import Callable, Iterable
from typing import Any

from spacy.training import Example
from thinc.api import Model

from trajet.errors import UserError
from trajet.training.hooks import Hooks, TrainingCallback, trained_components


class ScheduledDropout(TrainingCallback):
    """The callback `trajet.Dropout.v1`: `drop = schedule(step)` in every `nlp.update` of a step.

    `training.dropout` has no effect then. At 0 the parser's and the entity recogniser's hidden layer, which with
    `use_upper = true` has a dropout of its own, is left whole too. Above 0 that dropout stays what spaCy has
    written into its code, 10 %, whatever the schedule says. Dropout inside a torch module (Hugging Face, torch.nn.LSTM) is not
    reached at any rate: set it in the module's own config.

    Args:
        schedule: a value a step, from step 0; one that ends leaves its last value in force.

    Raises:
        UserError: before the update of the step, a value outside [0, 1).

    Source: Srivastava et al. 2014; spaCy 3.8 parser_model.pyx, `step_forward`.
    """

    def __init__(self, schedule: Iterable[float]):
        self._schedule = iter(schedule)
        # Kept, because a generator cannot begin again and a second training does.
        self._values: list[float] = []
        self.rate = 0.0

    def on_start(self, hooks: Hooks) -> None:
        for name in trained_components(hooks.nlp):
            model = hooks.nlp.get_pipe(name).model  # type: ignore[attr-defined]
            if model.attrs.get("has_upper"):
                self._hook_hidden_layer(hooks, model)

    def on_step(self, step: int) -> None:
        self.rate = self._value(step)
        if not 0 <= self.rate < 1:
            raise UserError(
                f"[training.before_update]: trajet.Dropout.v1: the schedule gives {self.rate} at step {step}; "
                "it must stay from 0 up to, but not including, 1"
            )

    def on_update(self, update: Callable, examples: list[Example], **settings: Any) -> dict[str, float]:
        return update(examples, **{**settings, "drop": self.rate})

    def _value(self, step: int) -> float:
        while len(self._values) <= step:
            value = next(self._schedule, None)
            if value is None:
                if not self._values:
                    raise UserError(
                        "[training.before_update]: trajet.Dropout.v1: the schedule is empty; give it a value"
                    )
                return self._values[-1]
            self._values.append(float(value))
        return self._values[step]

    def _hook_hidden_layer(self, hooks: Hooks, model: Model) -> None:
        original = type(model)

        def begin_update(hooked: Model, docs):
            step_model, backprop = original.begin_update(hooked, docs)
            if hooks.active and self.rate == 0:
                # spaCy draws its mask only where this is above 0, and always one of 10 %.
                step_model.attrs["dropout_rate"] = 0.0
            return step_model, backprop

        hooks.override(model, begin_update=begin_update)
