"""Shared by all tests: a small corpus from the real sources, a small config from the real one, real trainings."""

import json
import runpy
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import catalogue
import pytest
import srsly
from spacy.language import Language
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from spacy.util import load_config

from trajet.corpus.build import build_corpus

ROOT = Path(__file__).parents[1]
SIZES = {"train": 400, "dev": 60, "test": 60}

# A few thousand weights instead of millions: what is tested does not depend on the size.
SMALL: dict[str, Any] = {
    "components.tok2vec.model.embed.width": 24,
    "components.tok2vec.model.embed.rows": [300, 50, 100, 50],
    "components.tok2vec.model.encode.width": 24,
    "components.tok2vec.model.encode.depth": 2,
    "components.ner.model.hidden_width": 16,
    "training.max_steps": 20,
    "training.eval_frequency": 10,
    "training.batcher.size": 80,
    # At the documented 5e-5 twenty updates would move next to nothing.
    "training.optimizer.learn_rate": {
        "@schedules": "warmup_linear.v1",
        "warmup_steps": 5,
        "total_steps": 100,
        "initial_rate": 0.003,
    },
    "training.logger": {
        "@loggers": "spacy.ConsoleLogger.v3",
        "progress_bar": None,
        "console_output": False,
        "output_file": None,
    },
}


@pytest.fixture(scope="session", autouse=True)
def _entry_points_looked_up_once() -> Iterator[None]:
    """What is installed does not change meanwhile; catalogue looks through all of it for every document it unpacks."""
    looked_up = catalogue.Registry._get_entry_points
    known: dict[str, list] = {}

    def once(self: catalogue.Registry) -> list:
        namespace = self.entry_point_namespace
        if namespace not in known:
            known[namespace] = list(looked_up(self))
        return known[namespace]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue.Registry, "_get_entry_points", once)
        yield


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train.spacy, dev.spacy and test.spacy, small, from the real sources."""
    folder = tmp_path_factory.mktemp("corpus")
    build_corpus(ROOT / "corpus", SIZES, seed=0, output=folder)
    return folder


@pytest.fixture(scope="session")
def overrides(small_corpus: Path) -> dict[str, Any]:
    """Overrides that make configs/base.cfg small."""
    return {**SMALL, "paths.train": str(small_corpus / "train.spacy"), "paths.dev": str(small_corpus / "dev.spacy")}


@dataclass
class Trained:
    """What a training left."""

    nlp: Language
    output: Path
    log: list[dict]


@pytest.fixture
def fit(overrides: dict[str, Any], tmp_path: Path) -> Callable[..., Trained]:
    """fit(name, before_update=None, config=base.cfg, **overrides): a real training, saved to tmp_path/name."""

    def run(
        name: str,
        before_update: dict | None = None,
        config: Path | None = None,
        edit: Callable | None = None,
        **more: Any,
    ) -> Trained:
        small = {key: value for key, value in overrides.items() if config is None or not key.startswith("components")}
        settings = {**small, **more, "training.before_update": before_update}
        loaded = load_config(config or ROOT / "configs" / "base.cfg", overrides=settings)
        if edit:
            edit(loaded)
        nlp = init_nlp(loaded)
        output = StringIO()
        log_path = tmp_path / f"{name}.log.jsonl"
        nlp.config["training"]["logger"]["output_file"] = str(log_path)
        folder = tmp_path / name
        folder.mkdir()
        train(nlp, folder, stdout=output, stderr=output)
        return Trained(nlp, folder, list(srsly.read_jsonl(log_path)) if log_path.exists() else [])

    return run


@pytest.fixture(scope="session")
def tiny_camembert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random CamemBERT of a few thousand weights, with a SentencePiece tokenizer trained on a few sentences."""
    pytest.importorskip("spacy_transformers")
    import sentencepiece
    import torch
    from transformers import CamembertConfig, CamembertModel, CamembertTokenizerFast

    folder = tmp_path_factory.mktemp("camembert")
    text = folder / "text.txt"
    words = (ROOT / "corpus" / "frames" / "plain.txt").read_text(encoding="utf8").replace("{", " ").replace("}", " ")
    text.write_text(words, encoding="utf8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(folder / "sentencepiece.bpe"),
        vocab_size=300,
        model_type="unigram",
        minloglevel=2,
    )
    tokenizer = CamembertTokenizerFast(vocab_file=str(folder / "sentencepiece.bpe.model"))
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = CamembertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, max_position_embeddings=300,
        hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1, pad_token_id=1, bos_token_id=5, eos_token_id=6,
    )  # fmt: skip
    CamembertModel(config).save_pretrained(folder)
    return folder


def trace_block(path: Path, **settings: Any) -> dict[str, Any]:
    """The block a config has under [training.before_update]."""
    return {"@callbacks": "trajet.OptimizerTrace.v1", "path": str(path), **settings}


def train_command(overrides: dict[str, Any], *more: str) -> list[str]:
    """`spacy train configs/base.cfg` with overrides, as a user would type it."""
    settings = [f"--{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in overrides.items()]
    return [sys.executable, "-m", "spacy", "train", str(ROOT / "configs" / "base.cfg"), *settings, *more]


def weight_bytes(folder: Path) -> dict[str, bytes]:
    """Every file of a saved pipeline but the two that name the config and the scores."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("config.cfg", "meta.json")
    }


def run_script(module: str, *arguments: object) -> subprocess.CompletedProcess:
    """Run a script as `python -m scripts.<module>` does, but in this process: most of a short command's time is imports."""
    command = [f"scripts.{module}", *map(str, arguments)]
    stdout, stderr = StringIO(), StringIO()
    code: object = 0
    with (
        pytest.MonkeyPatch.context() as patch,
        warnings.catch_warnings(),
        redirect_stdout(stdout),
        redirect_stderr(stderr),
    ):
        patch.setattr(sys, "argv", command)
        patch.chdir(ROOT)
        # A test that also imports the script is of no matter here.
        warnings.filterwarnings("ignore", message=".*found in sys.modules", category=RuntimeWarning)
        try:
            runpy.run_module(f"scripts.{module}", run_name="__main__")
        except SystemExit as error:
            code = error.code or 0
    return subprocess.CompletedProcess(command, code, stdout.getvalue(), stderr.getvalue())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take minutes begin first, or one worker would end with them while the other has nothing to do."""
    slow = ("workflow", "experiments", "trace", "training", "plots", "encoders", "sentence", "words", "judge")
    order = {name: place for place, name in enumerate(slow)}
    items.sort(key=lambda item: order.get(item.path.parent.name, len(slow)))
