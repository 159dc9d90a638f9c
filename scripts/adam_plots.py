"""Draw why the documented optimizer is built as it is: from its mathematics alone, without a run."""

from pathlib import Path
from typing import Annotated

import typer

from scripts._cli import print_wrote, run
from trajet.plots.adam.gallery import figures
from trajet.plots.style import save


def main(
    output: Annotated[Path, typer.Option(help="Folder of the pictures.")] = Path("plots/adam"),
) -> None:
    """Draw momentum, scaling, bias correction, clipping, decay and schedules as SVG and PNG."""
    for stem, figure in figures():
        print_wrote(save(figure, output / stem))


if __name__ == "__main__":
    run(main)
