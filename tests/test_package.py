"""A wheel really built, installed and loaded; a model card that says what the scores say; mistakes in one line."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import spacy
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from spacy.util import load_config

from tests.conftest import ROOT, run_script
from tests.corpus.small_sources import small_sources
from tests.training.test_accurate import SMALL as SMALL_ACCURATE
from trajet.corpus.build import split_frames
from trajet.corpus.frames import load_fillers, load_frames
from trajet.ensemble import merge_pipelines
from trajet.errors import UserError
from trajet.evaluation import load_docs
from trajet.model_card import make_card, to_markdown
from trajet.splits import Split, read_splits
from trajet.wheel import check_names

VERSION = metadata.version("trajet")


@pytest.fixture(scope="module")
def run(tmp_path_factory, overrides, small_corpus: Path) -> Path:
    """A folder with training/small/model-best and metrics/small.json, made by the real training and `evaluate`."""
    folder = tmp_path_factory.mktemp("run")
    output = folder / "training" / "small"
    output.mkdir(parents=True)
    settings = {**overrides, "training.max_steps": 60, "training.before_update": None}
    with (folder / "log").open("w", encoding="utf8") as log:
        train(init_nlp(load_config(ROOT / "configs" / "base.cfg", overrides=settings)), output, stdout=log, stderr=log)
    test = small_corpus / "test.spacy"
    done = run_script("evaluate", "small", "--test", test, *_folders(folder)[:2], "--output", folder / "metrics")
    assert done.returncode == 0, done.stderr
    return folder


def _folders(folder: Path) -> list[object]:
    return ["--training", folder / "training", "--metrics", folder / "metrics"]


def test_the_wheel_installs_and_loads_without_this_project(run: Path, small_corpus: Path, tmp_path: Path) -> None:
    done = run_script("package", "small", *_folders(run), "--output", tmp_path / "dist")
    assert done.returncode == 0, done.stderr
    wheel = tmp_path / "dist" / f"fr_trajet-{VERSION}-py3-none-any.whl"
    assert f"wrote {wheel}" in done.stdout
    assert list((tmp_path / "dist").iterdir()) == [wheel]
    target = tmp_path / "site"
    install = ["pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target), str(wheel)]
    subprocess.run([sys.executable, "-m", *install], check=True, capture_output=True)
    texts = [doc.text for doc in load_docs(spacy.blank("fr"), small_corpus / "test.spacy")]
    code = (
        "import json, sys\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "import spacy\n"
        "nlp = spacy.load('fr_trajet')\n"
        "docs = nlp.pipe(json.loads(sys.stdin.read()))\n"
        "found = [[(ent.text, ent.label_) for ent in doc.ents] for doc in docs]\n"
        "assert not any(name.split('.')[0] == 'trajet' for name in sys.modules)\n"
        "print(json.dumps({'found': found, 'meta': nlp.meta}))\n"
    )
    loaded = subprocess.run(
        [sys.executable, "-I", "-c", code, str(target)],
        input=json.dumps(texts), capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    said = json.loads(loaded.stdout)
    nlp = spacy.load(run / "training" / "small" / "model-best")
    assert said["found"] == [[[ent.text, ent.label_] for ent in doc.ents] for doc in nlp.pipe(texts)]
    assert any(said["found"])
    scores = json.loads((run / "metrics" / "small.json").read_text(encoding="utf8"))["test"]["entities"]
    meta = said["meta"]
    assert (meta["name"], meta["version"], meta["license"], meta["url"]) == ("trajet", VERSION, "MIT", "")
    assert meta["performance"]["ents_f"] == pytest.approx(scores["f"])
    assert meta["sources"][0]["author"] == meta["author"] == "the trajet authors"
    assert any(requirement.startswith("spacy>=") for requirement in meta["requirements"])
    inside = target / "fr_trajet" / f"fr_trajet-{VERSION}"
    assert (inside / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert f"# fr_trajet {VERSION}\n" in (inside / "README.md").read_text(encoding="utf8")


def _card(run: Path, nlp=None) -> tuple[str, dict]:
    nlp = nlp or spacy.load(run / "training" / "small" / "model-best")
    metrics = json.loads((run / "metrics" / "small.json").read_text(encoding="utf8"))
    splits = {"train": Split(400, 390), "dev": Split(60, 60)}
    return to_markdown(make_card(nlp, "fr_trajet", "1.2", metrics, splits)), metrics


def test_the_card_shows_the_scores_of_all_parts_labels_and_phenomena(run: Path) -> None:
    card, metrics = _card(run)
    for part in ("test", "challenge_open", "challenge_final"):
        for scores in (metrics[part]["entities"], *metrics[part]["labels"].values()):
            assert f"| {scores['p']:.3f} | {scores['r']:.3f} | {scores['f']:.3f} |" in card
    phenomena = metrics["challenge_open"]["phenomena"]
    assert len(phenomena) > 20
    for group, row in phenomena.items():
        assert re.search(
            rf"^\| {group} \| {row['sentences']} \| {row.get('f', ''):{'.3f' if 'f' in row else ''}}", card, re.M
        )
    assert "| train | 400 | 390 | updates |" in card
    assert f"| test split | {metrics['test']['sentences']} |" in card
    worst = min(row["sentence_accuracy"] for row in phenomena.values())
    assert re.search(
        rf"Weakest on the open challenge sentences: [\w-]+ \({worst:.0%} of \d sentences all right\)", card
    )


def test_the_card_tells_how_it_was_trained_and_what_its_examples_give(run: Path) -> None:
    nlp = spacy.load(run / "training" / "small" / "model-best")
    card, _ = _card(run)
    weights = sum(
        node.get_param(name).size for _, pipe in nlp.pipeline for node in pipe.model.walk() for name in node.param_names
    )
    assert f"{weights:,} weights: spacy.MultiHashEmbed.v2 and spacy.MaxoutWindowEncoder.v2 of width 24" in card
    assert "One training, seed 0." in card
    block = re.search(r"```ini\n(.*?)```", card, re.S)[1]
    read = spacy.util.load_config_from_str("[training]\n" + block)["training"]["optimizer"]
    assert read == nlp.config.interpolate()["training"]["optimizer"]
    # The code of the card, run: what it prints is what the card says.
    code = re.search(r"```python\n(.*?)```", card, re.S)[1]
    said = [line.removeprefix("# ") for line in code.splitlines() if line.startswith("# ")]
    assert len(said) == 3
    printed: list[str] = []
    exec(
        code.replace("import spacy\n", ""),
        {"spacy": type("", (), {"load": lambda name: nlp}), "print": lambda value: printed.append(str(value))},
    )
    assert printed == said


def test_the_card_of_a_merged_pipeline_counts_its_members(run: Path) -> None:
    path = run / "training" / "small" / "model-best"
    members = [spacy.load(path) for _ in range(2)]
    members[1].config["training"]["seed"] = 7
    merged = merge_pipelines(members)
    card, _ = _card(run, merged)
    assert "Merged from 2 trained pipelines (seeds 0, 7)" in card
    # The same optimizer is shown once.
    assert card.count("```ini") == 1
    assert card.count("MultiHashEmbed") == 2
    twice, _ = _card(run, merge_pipelines([merged, members[0]]))
    assert "Merged from 3 trained pipelines (seeds 0, 7, 0)" in twice
    assert twice.count("MultiHashEmbed") == 3


def test_the_card_names_the_network_also_where_it_is_no_tok2vec(run: Path, small_corpus: Path, tiny_camembert) -> None:
    settings = {f"paths.{split}": str(small_corpus / f"{split}.spacy") for split in ("train", "dev")}
    settings["components.transformer.model.name"] = str(tiny_camembert)
    nlp = init_nlp(load_config(ROOT / "configs" / "transformer.cfg", overrides=settings))
    card, _ = _card(run, nlp)
    own = sum(parameter.numel() for parameter in nlp.get_pipe("transformer").model.transformer.parameters())
    said = re.search(r"^([\d,]+) weights: (.*); a transition-based entity recogniser on top\.$", card, re.M)
    assert said[2] == "spacy-transformers.TransformerModel.v3"
    assert int(said[1].replace(",", "")) > own > 1000
    alone = spacy.blank("fr")
    alone.add_pipe("ner").add_label("DEP")
    alone.initialize()
    assert "weights: spacy.HashEmbedCNN.v2 of width 96;" in _card(run, alone)[0]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory, small_corpus: Path) -> tuple[Path, Path]:
    """The sources of a training that draws without end, and the folder that it left."""
    folder = tmp_path_factory.mktemp("drawn")
    sources, output = small_sources(folder / "sources"), folder / "run"
    output.mkdir()
    more = {"paths.corpus": str(sources), "paths.dev": str(small_corpus / "dev.spacy"), "corpora.train.share": 0.6}
    settings = {**SMALL_ACCURATE, **more, "training.max_steps": 6, "training.eval_frequency": 3}
    with (folder / "log").open("w", encoding="utf8") as log:
        config = load_config(ROOT / "configs" / "accurate.cfg", overrides=settings)
        train(init_nlp(config), output, stdout=log, stderr=log)
    return sources, output


def test_the_card_of_a_stream_says_what_it_draws_from_and_how_the_step_was_chosen(run: Path, drawn) -> None:
    sources, output = drawn
    metrics = json.loads((run / "metrics" / "small.json").read_text(encoding="utf8"))

    def card(nlp) -> str:
        return to_markdown(make_card(nlp, "fr_trajet", "1.2", metrics, read_splits(nlp)))

    dealt = split_frames(load_frames(sources, load_fillers(sources / "fillers")), 0)["train"]
    frames = round(0.6 * len(dealt))
    assert 20 < frames < len(dealt) < 1000
    train_row = f"| train | drawn without end from {frames} frames | {frames} | updates:"
    merged = merge_pipelines([spacy.load(output / "model-last") for _ in range(2)])
    said = card(merged)
    assert f"{train_row} 6 of each training |" in said
    assert "| dev | 60 | 60 | watching the training |" in said
    forms = sum(norm == "#lieu" for norm in merged.vocab.lookups.get_table("lexeme_norm").values())
    assert forms > 10000
    assert f"share one norm (`#lieu`, {forms:,} written forms)" in said
    best = card(spacy.load(output / "model-best"))
    assert f"{train_row} at most 6 |" in best
    assert "| dev | 60 | 60 | choosing the best step and the settings |" in best
    # A patience may have ended the last step's training before.
    merged.meta["members"][1]["patience"] = 2
    assert f"{train_row} 6, at most 6 of each training |" in card(merged)
    plain, _ = _card(run)
    assert "#lieu" not in plain


@pytest.mark.parametrize(
    ("name", "version", "reason"),
    [
        ("Trajet", "0.1.0", "--name Trajet: not a name"),
        ("a__b", "0.1.0", "single underscores"),
        ("fr_trajet", "0.1.0", "give --name trajet"),
        ("trajet", "one", "--version one: not a version"),
        ("trajet", "1.0-rc1", "would be installed as 1.0rc1"),
    ],
)
def test_names_that_cannot_be_installed_are_refused(name: str, version: str, reason: str) -> None:
    check_names("trajet", "0.1.0", "fr")
    with pytest.raises(UserError, match=re.escape(reason)):
        check_names(name, version, "fr")


def test_mistakes_are_one_line_and_nothing_is_written(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    metrics, model = copy / "metrics" / "small.json", copy / "training" / "small" / "model-best"
    good = metrics.read_text(encoding="utf8")

    def refused(reason: str, *more: object, name: str = "small", output: Path = tmp_path / "dist") -> None:
        done = run_script("package", name, *_folders(copy), "--output", output, *more)
        assert done.returncode == 2, (reason, done.stderr)
        assert reason in done.stderr
        assert done.stderr.count("\n") == 1
        assert not (tmp_path / "dist").exists()

    refused("no trained pipeline there", name="nothing")
    refused("not a name for a package", "--name", "a b")
    refused("cannot write here", output=metrics / "dist")
    metrics.write_text('{"test": {}}', encoding="utf8")
    refused("not the scores of a run; run `python -m scripts.evaluate small` again")
    metrics.write_text(good, encoding="utf8")
    earlier = (model / "meta.json").stat().st_mtime - 10
    os.utime(metrics, (earlier, earlier))
    refused("older than")
    metrics.unlink()
    refused("no such file; run `python -m scripts.evaluate small` first")
    metrics.write_text(good, encoding="utf8")
    config = (model / "config.cfg").read_text(encoding="utf8")
    (model / "config.cfg").write_text(re.sub(r'(?m)^train = ".*"', 'train = "gone.spacy"', config), encoding="utf8")
    refused("gone.spacy: no such file; run `python -m spacy project run corpus` first")
    where = f"{model / 'config.cfg'}: [corpora.train]"
    (model / "config.cfg").write_text(re.sub(r'(?m)^train = ".*"', "train = null", config), encoding="utf8")
    refused(f"{where} names no path; write there what the pipeline was trained with")
    reader = '[corpora.train]\n@readers = "%s"'
    assert reader % "trajet.ReadOnce.v1" in config
    shared = config.replace(reader % "trajet.ReadOnce.v1", reader % "trajet.Share.v1")
    (model / "config.cfg").write_text(shared, encoding="utf8")
    refused(f"{where} has the reader trajet.Share.v1; what it gives cannot be counted: use a pipeline trained with one")
    endless = re.sub(r'(?m)^train = ".*"', 'train = "gone"', config)
    endless = endless.replace(reader % "trajet.ReadOnce.v1", reader % "trajet.Frames.v1")
    (model / "config.cfg").write_text(endless, encoding="utf8")
    refused("gone/fillers")
