"""Score a trained run on the test split and the challenge sentences."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from scripts._cli import console, print_table, print_wrote, run
from trajet import evaluation
from trajet.config import seed_of
from trajet.corpus.challenge import HALVES, half_path, load_challenge_docs
from trajet.files import write_json
from trajet.markdown import check_section, table, write_section

# key in the metrics -> title
GROUPS = {"phenomena": "by phenomenon", "registers": "by register", "noises": "by spelling noise"}


def main(
    name: Annotated[str, typer.Argument(metavar="RUN", help="Run whose training/RUN/model-best is scored.")],
    test: Annotated[Path, typer.Option(help="Gold documents nothing was tuned on.")] = Path("corpus/test.spacy"),
    challenge: Annotated[Path, typer.Option(help="Folder with challenge-open.jsonl and challenge-final.jsonl.")] = Path(
        "corpus"
    ),
    training: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("training"),
    output: Annotated[Path, typer.Option(help="Folder for RUN.json.")] = Path("metrics"),
    markdown: Annotated[
        Path | None, typer.Option(help="Page for the tables, between <!-- evaluate --> and <!-- /evaluate -->.")
    ] = None,
) -> None:
    """Score a run: labels, sentences, kinds of mistakes, perplexity of the moves, challenge phenomena."""
    if markdown:
        check_section(markdown, "evaluate")
    model = training / name / "model-best"
    nlp = evaluation.load_pipeline(model)
    golds = evaluation.load_docs(nlp, test)
    with console.status("predicting ..."):
        metrics = _test_metrics(nlp, golds, seed_of(nlp.config, model / "config.cfg"))
        for half in HALVES:
            results = evaluation.outcomes(nlp, load_challenge_docs(nlp, half_path(challenge, half)))
            groups = evaluation.by_group(results)
            metrics[f"challenge_{half}"] = {
                **evaluation.score(results), "phenomena": groups, "macro_f": evaluation.macro_f(groups),
                "registers": evaluation.by_group(results, "register"), "noises": evaluation.by_group(results, "noise"),
            }  # fmt: skip
        speed = evaluation.words_per_second(nlp, [doc.text for doc in golds])
    _print(name, metrics)
    print(f"speed: {speed:,.0f} words a second")
    wrote = [
        write_json(output / f"{name}.json", metrics),
        write_json(output / f"{name}-speed.json", {"words_per_second": round(speed)}),
    ]
    print_wrote([*wrote, write_section(markdown, "evaluate", _page(name, metrics))] if markdown else wrote)


def _test_metrics(nlp: Any, golds: list, seed: int) -> dict[str, Any]:
    results = evaluation.outcomes(nlp, golds)
    low, high = evaluation.bootstrap_f(results, seed)
    return {
        "test": {
            **evaluation.score(results),
            "f_interval_over_frames": [low, high],
            "move_perplexity": evaluation.move_perplexity(nlp, golds),
            "phenomena": evaluation.by_group(results),
        }
    }


def _print(name: str, metrics: dict[str, Any]) -> None:
    print_table(f"{name}: entities (a span counts with its label and both borders)", *_entities(metrics))
    low, high = metrics["test"]["f_interval_over_frames"]
    print(f"test F, 95 % bootstrap interval over frames: {low:.3f} to {high:.3f}")
    print(f"perplexity of the gold moves: {metrics['test']['move_perplexity']:.3f} (a model that knows nothing: 10)")
    parts = ("test", "challenge_open", "challenge_final")
    print_table(
        "Mistakes",
        ("", *metrics["test"]["errors"]),
        [(p.replace("_", " "), *metrics[p]["errors"].values()) for p in parts],
    )
    labels = list(metrics["test"]["confusion"])
    print_table(
        "Confusion on the test split: gold in rows, predicted in columns",
        ("", *labels),
        [(gold, *row.values()) for gold, row in metrics["test"]["confusion"].items()],
    )
    for key, title in GROUPS.items():
        print_table(f"Challenge {title}", *_groups(metrics, key))


def _entities(metrics: dict[str, Any]) -> tuple[Sequence[str], list[tuple]]:
    rows: list[tuple] = []
    for part in ("test", "challenge_open", "challenge_final"):
        scores = metrics[part]
        rows.append(
            (part.replace("_", " "), scores["sentences"], *scores["entities"].values(), scores["sentence_accuracy"])
        )
        rows += [(f"  {label}", None, *values.values(), None) for label, values in scores["labels"].items()]
    return ("", "sentences", "P", "R", "F", "all right"), rows


def _groups(metrics: dict[str, Any], key: str) -> tuple[Sequence[str], list[tuple]]:
    """A row a phenomenon, register or noise: sentences, F and all-right of both halves."""
    halves = [metrics[f"challenge_{half}"] for half in HALVES]
    names = sorted({name for half in halves for name in half[key]})
    columns = ("sentences", "f", "sentence_accuracy")
    rows = [(name, *(half[key].get(name, {}).get(column) for half in halves for column in columns)) for name in names]
    if key == "phenomena":
        rows.append(("macro F", *(value for half in halves for value in (None, half["macro_f"], None))))
    return ("", *(f"{half} {what}" for half in HALVES for what in ("sentences", "F", "all right"))), rows


def _page(name: str, metrics: dict[str, Any]) -> str:
    parts = [f"Run `{name}`.", table(*_entities(metrics))]
    for key, title in GROUPS.items():
        header, rows = _groups(metrics, key)
        parts.append(table((title, *header[1:]), rows))
    return "\n\n".join(parts)


if __name__ == "__main__":
    run(main)
