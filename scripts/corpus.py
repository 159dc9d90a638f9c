"""Build train, dev and test documents from the hand-written sources."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from scripts._cli import console, print_table, print_wrote, run
from trajet.config import load_config, seed_of
from trajet.corpus.build import SPLITS, build_corpus


def main(
    config: Annotated[Path, typer.Option(help="Config whose [system] seed is used.")] = Path("configs/base.cfg"),
    sources: Annotated[Path, typer.Option(help="Folder of frames, negatives, fillers and places.")] = Path("corpus"),
    output: Annotated[Path | None, typer.Option(help="Folder to write to; the sources' by default.")] = None,
    train: Annotated[int, typer.Option(help="Documents in train.spacy.")] = 15000,
    dev: Annotated[int, typer.Option(help="Documents in dev.spacy.")] = 1400,
    test: Annotated[int, typer.Option(help="Documents in test.spacy.")] = 1400,
) -> None:
    """Build train.spacy, dev.spacy and test.spacy: split by frame, with places held out of training."""
    sizes = dict(zip(SPLITS, (train, dev, test), strict=True))
    with console.status("reading the sources, filling the frames ..."):
        rows = build_corpus(sources, sizes, seed_of(load_config(config), config), output)
    columns = [name.replace("_", " ") for name in asdict(rows[0])]
    print_table("Corpus", columns, (list(asdict(row).values()) for row in rows))
    print_wrote((output or sources) / f"{split}.spacy" for split in SPLITS)


if __name__ == "__main__":
    run(main)
