"""Which weights move one decision most."""

from pathlib import Path
from typing import Annotated

import typer

from scripts._cli import print_table, run
from scripts.training_cycle import SENTENCE
from trajet.evaluation import load_pipeline
from trajet.sentence.influence import influence


def main(
    run_name: Annotated[str, typer.Argument(metavar="RUN", help="Run whose training/RUN/model-best is loaded.")],
    sentence: Annotated[str, typer.Option(help="The sentence, its spans marked as [Lyon](ARR).")] = SENTENCE,
    token: Annotated[str, typer.Option(help="The word decided on.")] = "Marseille",
    label: Annotated[str, typer.Option(help="The label in question.")] = "DEP",
    count: Annotated[int, typer.Option(help="Weights to print.", min=1)] = 20,
    training: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("training"),
) -> None:
    """Rank the weights by d log p(move) / d weight, through parser and embedding; the names can be put into `watch`."""
    decision = influence(load_pipeline(training / run_name / "model-best"), sentence, token, label, count)
    title = f"{decision.token} as {decision.move}: probability {decision.probability:.4f}"
    print_table(title, ("weight", "value", "d log p / d weight"), ((w.name, f"{w.weight:.6g}", f"{w.gradient:+.6g}") for w in decision.weights))  # fmt: skip
    print_table("by tensor", ("tensor", "norm of the gradient"), ((name, f"{norm:.4g}") for name, norm in decision.by_tensor))  # fmt: skip
    names = ", ".join(f'"{w.name}"' for w in decision.weights[:4])
    print(f"watch = [{names}]")


if __name__ == "__main__":
    run(main)
