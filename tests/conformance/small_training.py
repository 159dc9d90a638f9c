"""Shared by the tests of optimizers in a training: a small parser that learns a few hundred sentences."""

import itertools
from io import StringIO
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from spacy.util import load_model_from_config
from thinc.api import Config, Optimizer

TRAVEL = """
[paths]
corpus = null

[system]
seed = 0

[nlp]
lang = "xx"
pipeline = ["ner"]

[components]

[components.ner]
factory = "ner"

[components.ner.model]
@architectures = "spacy.TransitionBasedParser.v2"
state_type = "ner"
extra_state_tokens = false
hidden_width = 16
maxout_pieces = 2
# Scores straight from the maxout layer, as in the project's own config.
use_upper = false

[components.ner.model.tok2vec]
@architectures = "spacy.HashEmbedCNN.v2"
width = 32
depth = 2
embed_size = 300
window_size = 1
maxout_pieces = 3
subword_features = true
pretrained_vectors = null

[corpora]

[corpora.train]
@readers = "spacy.Corpus.v1"
path = ${paths.corpus}

[corpora.dev]
@readers = "spacy.Corpus.v1"
path = ${paths.corpus}

[training]
dropout = 0.0
max_steps = 5
eval_frequency = 5

[training.batcher]
@batchers = "spacy.batch_by_words.v1"
size = 100
tolerance = 0.2

[training.optimizer]
@optimizers = "Adam.v1"

[training.logger]
@loggers = "spacy.ConsoleLogger.v3"
progress_bar = null
console_output = false
output_file = null
"""

PLACES = ["Lyon", "Paris", "Nice", "Metz", "Brest", "Lille", "Rennes", "Dijon", "Tours", "Angers"]
FRAMES = [
    "je pars de {0} pour {1}",
    "un billet {0} {1} demain",
    "je vais à {1} depuis {0}",
    "de {0} à {1} ce soir",
    "arrivée à {1} , départ de {0}",
]


def travel_nlp(**ner: object) -> Language:
    """TRAVEL with spaCy's defaults filled in, not initialised; settings of the parser's model may differ."""
    config = Config().from_str(TRAVEL, interpolate=False)
    config["components"]["ner"]["model"].update(ner)
    return load_model_from_config(config, auto_fill=True)


def travel_examples(nlp: Language) -> list[Example]:
    """450 sentences of a departure and an arrival, in a mixed order."""
    examples = []
    for i, (frame, (dep, arr)) in enumerate(itertools.product(FRAMES, itertools.permutations(PLACES, 2))):
        words = frame.format(dep, arr).split()
        tags = [f"U-{'DEP' if word == dep else 'ARR'}" if word in (dep, arr) else "O" for word in words]
        examples.append((i * 7 % 450, Example.from_dict(Doc(nlp.vocab, words=words), {"entities": tags})))
    return [example for _, example in sorted(examples, key=lambda pair: pair[0])]


def trained(folder: Path, optimizer: dict, **training: object) -> tuple[Language, str]:
    """(the pipeline that `train` returns, what spaCy printed); model-last is saved in `folder`."""
    nlp = travel_nlp()
    config = nlp.config
    folder.mkdir()
    DocBin(docs=[example.reference for example in travel_examples(nlp)[:100]]).to_disk(folder / "corpus.spacy")
    config["paths"]["corpus"] = str(folder / "corpus.spacy")
    config["training"]["optimizer"] = {"@optimizers": "Adam.v1", **optimizer}
    config["training"].update(training)
    nlp, output = init_nlp(config), StringIO()
    nlp, _ = train(nlp, folder, stdout=output, stderr=output)
    return nlp, output.getvalue()


def update(nlp: Language, examples: list[Example], optimizer: Optimizer) -> None:
    """One step as the training loop does it."""
    nlp.update(examples, sgd=False)
    nlp.get_pipe("ner").finish_update(optimizer)
    optimizer.step_schedules()
