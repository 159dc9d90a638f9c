"""From sentences to orders: `id,sentence` lines in, `id,departure,arrival` lines out, as they come."""

import io
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.console import Console

from scripts._cli import run
from trajet.corpus.places import load_places
from trajet.errors import UserError
from trajet.files import write_atomically
from trajet.resolve.canonical import Gazetteer
from trajet.resolve.formats import csv_line, json_line
from trajet.resolve.language import french_detector
from trajet.resolve.lines import Line, read_lines
from trajet.resolve.orders import STATUSES, Order, Settings, resolve
from trajet.resolve.recogniser import load_recogniser

WARNINGS = 20
INTERRUPTED = 130


def main(
    run_name: Annotated[str | None, typer.Argument(metavar="RUN", help="Run whose training/RUN/model-best is loaded; left out with --model.", show_default=False)] = None,
    file: Annotated[str | None, typer.Argument(metavar="[FILE|-]", help="UTF-8 lines `id,sentence`; - or nothing: standard input.", show_default=False)] = None,
    sentence: Annotated[list[str] | None, typer.Option(help="A sentence, in place of a file; may be given again.")] = None,
    output: Annotated[Path | None, typer.Option(help="Write here, when all is done, in place of standard output.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, with all spans and their scores.")] = False,
    canonical: Annotated[bool, typer.Option("--canonical", help="Canonical names: st etienne -> Saint-Étienne.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="A trip needs a departure and an arrival.")] = False,
    no_ids: Annotated[bool, typer.Option("--no-ids", help="Lines are sentences; the ids are the line numbers.")] = False,
    any_language: Annotated[bool, typer.Option("--any-language", help="Do not ask whether a sentence is French.")] = False,
    batch_size: Annotated[int | None, typer.Option(help="Lines a batch; 1 answers each line at once. 256, or 1 at a terminal.", min=1, show_default=False)] = None,
    model: Annotated[Path | None, typer.Option(help="Any spaCy pipeline with entity labels DEP and ARR.")] = None,
    training: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("training"),
    places: Annotated[Path, typer.Option(help="Folder of the places, for --canonical.")] = Path("corpus/places"),
) -> None:  # fmt: skip
    """Read sentences, write who wants to go from where to where."""
    if model is not None and file is None:
        run_name, file = None, run_name
    if (run_name is None) == (model is None):
        raise UserError("give the name of a run (training/RUN/model-best) or --model PATH, one of the two")
    if sentence and file is not None:
        raise UserError(f"give a file ({file}) or --sentence, not both")
    progress = _Progress(quiet=output is None and sys.stdout.isatty())
    try:
        with ExitStack() as stack:
            # Before the model: a wrong name should not wait for it.
            stream = _open(stack, file, sentence)
            nlp = load_recogniser(model or training / str(run_name) / "model-best")
            settings = Settings(
                batch_size or (1 if stream.isatty() else 256), strict, as_json,
                None if any_language else french_detector(), Gazetteer(load_places(places)) if canonical else None,
            )  # fmt: skip
            progress.unchecked = not any_language and settings.is_french is None
            lines = progress.read(read_lines(stream, ids=not (no_ids or sentence)))
            made = progress.made(resolve(nlp, lines, settings))
            texts = (
                [json_line(order, canonical) if as_json else csv_line(order) for order in orders] for orders in made
            )
            if output is None:
                _print(texts)
            else:
                write_atomically(output, lambda temporary: _write(temporary, texts, output))
    except KeyboardInterrupt:
        progress.end("interrupted; ")
        raise typer.Exit(INTERRUPTED) from None
    progress.end()
    if output is not None:
        print(f"wrote {output}", file=sys.stderr)


class _Progress:
    """Counts what goes by, tells standard error about it."""

    def __init__(self, quiet: bool) -> None:
        self.unchecked = False
        self._console = Console(stderr=True, highlight=False)
        # On a terminal that also shows the orders a moving line would only be in the way.
        self._live = self._console.is_terminal and not quiet
        self._counts: Counter[str] = Counter()
        self._warnings = self._words = 0
        self._seconds = 0.0

    def read(self, lines: Iterable[Line]) -> Iterator[Line]:
        for line in lines:
            for warning in line.warnings:
                self._warnings += 1
                if self._warnings <= WARNINGS:
                    print(f"line {line.number}: {warning}", file=sys.stderr, flush=True)
            yield line

    def made(self, batches: Iterable[list[Order]]) -> Iterator[list[Order]]:
        with ExitStack() as stack:
            status = stack.enter_context(self._console.status("reading ...")) if self._live else None
            start = time.perf_counter()
            for orders in batches:
                self._counts.update(order.status for order in orders)
                self._words += sum(order.words for order in orders)
                self._seconds = time.perf_counter() - start
                if status:
                    status.update(f"{self._counts.total():,} lines, {self._speed()}")
                yield orders

    def end(self, how: str = "") -> None:
        kinds = ", ".join(f"{self._counts[status]:,} {status}" for status in STATUSES if self._counts[status])
        parts = [f"{self._counts.total():,} lines{': ' if kinds else ''}{kinds}", self._speed()]
        if self._warnings > WARNINGS:
            parts.append(f"{self._warnings:,} warnings")
        if self.unchecked:
            parts.append("language not checked (pip install py3langid)")
        print(how + "; ".join(parts), file=sys.stderr, flush=True)

    def _speed(self) -> str:
        return f"{self._words:,} words, {self._words / max(self._seconds, 1e-9):,.0f} a second"


def _open(stack: ExitStack, file: str | None, sentences: list[str] | None) -> BinaryIO:
    if sentences:
        # A line break inside an argument does not make two sentences of it.
        text = "\n".join(" ".join(sentence.splitlines()) for sentence in sentences)
        return io.BytesIO(text.encode("utf8", "surrogateescape"))
    if file in (None, "-"):
        if sys.stdin is None:
            raise UserError("there is no standard input; give a file or --sentence")
        if sys.stdin.isatty():
            print("reading from the terminal: a line `id,sentence` each; Ctrl-D ends", file=sys.stderr)
        return sys.stdin.buffer
    try:
        return stack.enter_context(open(file, "rb"))  # type: ignore[arg-type]
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; give a file of `id,sentence` lines, or - for standard input") from None
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})") from None


def _print(texts: Iterable[list[str]]) -> None:
    """To standard output, always UTF-8; a reader that has had enough (`| head`) is no error."""
    with _closed_pipe_is_the_end():
        try:
            for lines in texts:
                for line in lines:
                    sys.stdout.buffer.write(line.encode("utf8", "replace"))
                sys.stdout.buffer.flush()
        except KeyboardInterrupt:
            # A line is put into the buffer whole or not at all.
            sys.stdout.buffer.flush()
            raise


@contextmanager
def _closed_pipe_is_the_end() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        # Or the interpreter would try once more on its way out, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write(temporary: Path, texts: Iterable[list[str]], output: Path) -> None:
    """To a file; after Ctrl-C what was done is kept beside `output`, which stays as it was."""
    try:
        with open(temporary, "wb") as file:
            for lines in texts:
                for line in lines:
                    file.write(line.encode("utf8", "replace"))
    except KeyboardInterrupt:
        partial = output.with_name(f"{output.stem}.partial{output.suffix}")
        temporary.replace(partial)
        print(f"{output} is as it was; what was done lies in {partial}", file=sys.stderr)
        raise


if __name__ == "__main__":
    run(main)
