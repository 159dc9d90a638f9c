"""Merge trained pipelines into one whose scores are the mean of theirs."""

from pathlib import Path
from typing import Annotated

import typer

from scripts._cli import print_table, print_wrote, run
from trajet.ensemble import merge_pipelines
from trajet.errors import UserError
from trajet.evaluation import load_pipeline
from trajet.files import write_folder


def main(
    members: Annotated[list[Path], typer.Argument(metavar="MEMBER_DIR...", help="Trained pipelines, two or more.")],
    output: Annotated[Path, typer.Option(help="Folder of the merged pipeline; an earlier pipeline there is replaced.")],
) -> None:
    """Merge pipelines of tok2vec and ner, trained apart, into one ordinary pipeline: the mean of their move scores."""
    _check_output(output, members)
    merged = merge_pipelines([load_pipeline(path) for path in members])
    columns = ("member", "seed", "width", "hidden width", "pieces")
    rows = [
        (path, note["seed"], note["width"], note["hidden_width"], note["maxout_pieces"])
        for path, note in zip(members, merged.meta["members"], strict=True)
    ]
    parser = merged.config["components"]["ner"]["model"]
    rows.append(("merged", None, parser["tok2vec"]["width"], parser["hidden_width"], parser["maxout_pieces"]))
    print_table("", columns, rows)
    print_wrote([write_folder(output, merged.to_disk)])


def _check_output(output: Path, members: list[Path]) -> None:
    """A folder that is replaced must be a pipeline, and not what is being read.

    Raises:
        UserError: it is not, or is.
    """
    if any(output.resolve() == member.resolve() for member in members):
        raise UserError(f"{output}: is one of the members; choose another --output")
    if output.is_dir() and any(output.iterdir()) and not (output / "meta.json").exists():
        raise UserError(f"{output}: holds other things than a pipeline; choose another --output")


if __name__ == "__main__":
    run(main)
