"""Say what a training run will look like before it starts."""

from pathlib import Path
from typing import Annotated

import typer

from scripts._cli import run
from trajet.config import load_config
from trajet.errors import UserError
from trajet.schedule import planned_values


def main(
    config: Annotated[Path, typer.Argument(help="Config about to be trained.")],
    max_steps: Annotated[int | None, typer.Option(help="Overrides [training] max_steps.")] = None,
) -> None:
    """Print what to expect of a run: the learning rates, the first hundred updates, the norms."""
    training = load_config(config).get("training", {})
    steps = max_steps if max_steps is not None else training.get("max_steps", 0)
    optimizer = training.get("optimizer", {})
    if not isinstance(steps, int) or steps < 0:
        raise UserError(f"{config}: [training] max_steps = {steps!r}; it must be a whole number from 0")
    rates = planned_values(optimizer.get("learn_rate"), "training.optimizer.learn_rate", max(steps, 1) + 1)
    peak = int(rates.argmax())
    frequency = training.get("eval_frequency", 0)
    print(f"What to expect of {config}:")
    print(
        f"- {steps + 1 if steps else 'unlimited'} updates; the scores on the dev documents every {frequency} of them."
    )
    print(
        f"- learning rate {rates[0]:.3g} at step 0, at most {rates[peak]:.3g} (step {peak}), {rates[-1]:.3g} at step {len(rates) - 1}."
    )
    if rates[0] == 0:
        print("  spaCy will say 'Initial learn rate: 0.0': the warm-up starts there, the first update moves nothing.")
    if rates[peak] < 2e-4:
        print("- with so small a rate ENTS_F may stay near 0 for some hundred updates; that is no fault.")
    print(
        "- LOSS NER is a sum over the batch and LOSS TOK2VEC the size of a gradient: batches grow, so both may rise while the model learns."
    )
    clip = optimizer.get("grad_clip")
    if clip:
        print(
            f"- gradient norms in the hundreds and thousands are normal (sums over a batch; small weights have large gradients): grad_clip = {clip:g} shortens most tensors' gradients at most steps."
        )
    print("- Ctrl-C stops the run and keeps the best and the last pipeline.")


if __name__ == "__main__":
    run(main)
