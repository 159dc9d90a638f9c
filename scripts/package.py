"""Make a trained run a package that pip installs and `spacy.load` finds by name."""

from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from scripts._cli import print_wrote, run
from trajet import model_card
from trajet.evaluation import load_pipeline
from trajet.files import read_text
from trajet.splits import read_splits
from trajet.wheel import build_wheel, check_names

_ROOT = Path(__file__).parents[1]
_AUTHOR = "the trajet authors"


def main(
    name: Annotated[str, typer.Argument(metavar="RUN", help="Run whose training/RUN/model-best is packaged.")],
    output: Annotated[Path, typer.Option(help="Folder for the wheel.")] = Path("dist"),
    package_name: Annotated[str, typer.Option("--name", help="Loaded as fr_NAME.")] = "trajet",
    version: Annotated[str, typer.Option(help="Of the package; this project's if not given.")] = "",
    training: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("training"),
    metrics: Annotated[Path, typer.Option(help="Folder with RUN.json, as evaluate wrote it.")] = Path("metrics"),
) -> None:
    """Package a run as a wheel with a model card: purpose, labels, data, training, scores, limits."""
    model = training / name / "model-best"
    version = version or metadata.version("trajet")
    nlp = load_pipeline(model)
    check_names(package_name, version, nlp.lang)
    scores = model_card.read_metrics(metrics / f"{name}.json", model)
    card = model_card.make_card(nlp, f"{nlp.lang}_{package_name}", version, scores, read_splits(nlp))
    wheel = build_wheel(
        model, output, name=package_name, version=version, readme=model_card.to_markdown(card),
        meta=model_card.package_meta(card, _AUTHOR, "MIT"),
        license_text=read_text(_ROOT / "LICENSE", "it goes with the package"),
    )  # fmt: skip
    print_wrote([wheel])
    print(f'install it with `pip install {wheel}`, then spacy.load("{card.package}")')


if __name__ == "__main__":
    run(main)
