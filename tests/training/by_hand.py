"""A pipeline of four components and spaCy's own loop around it, small enough to be trained in a moment."""

from collections.abc import Callable, Sequence
from typing import Any

from spacy.language import Language
from spacy.training import Example
from spacy.training.loop import train_while_improving
from spacy.util import load_model_from_config
from thinc.api import Adam, Config, Model, Optimizer, fix_random_seed

CNN = """
@architectures = "spacy.MaxoutWindowEncoder.v2"
width = 16
depth = 1
window_size = 1
maxout_pieces = 2
"""
LSTM = """
@architectures = "spacy.TorchBiLSTMEncoder.v1"
width = 16
depth = 1
dropout = 0.0
"""
PIPELINE = """
[nlp]
lang = "fr"
pipeline = ["tok2vec","tagger","ner","textcat"]
[components]
[components.tok2vec]
factory = "tok2vec"
[components.tok2vec.model]
@architectures = "spacy.Tok2Vec.v2"
[components.tok2vec.model.embed]
@architectures = "spacy.MultiHashEmbed.v2"
width = 16
attrs = ["NORM","SHAPE"]
rows = [100,50]
include_static_vectors = false
[components.tok2vec.model.encode]
{encode}
[components.tagger]
factory = "tagger"
[components.tagger.model]
@architectures = "spacy.Tagger.v2"
[components.tagger.model.tok2vec]
@architectures = "spacy.Tok2VecListener.v1"
width = 16
[components.ner]
factory = "ner"
update_with_oracle_cut_size = 0
[components.ner.model]
@architectures = "spacy.TransitionBasedParser.v2"
state_type = "ner"
extra_state_tokens = false
hidden_width = 8
maxout_pieces = 2
use_upper = true
[components.ner.model.tok2vec]
@architectures = "spacy.Tok2VecListener.v1"
width = 16
[components.textcat]
factory = "textcat"
[components.textcat.model]
@architectures = "spacy.TextCatBOW.v3"
exclusive_classes = true
length = 64
ngram_size = 1
no_output_layer = false
"""
SENTENCES = (
    ("Je pars de Lyon pour Nice", ((11, 15, "DEP"), (21, 25, "ARR"))),
    ("Marie va vers Nice", ((14, 18, "ARR"),)),
    ("Un billet pour Pau", ((15, 18, "ARR"),)),
    ("Le bus de Dax à Pau demain", ((10, 13, "DEP"), (16, 19, "ARR"))),
    ("Il fait beau", ()),
    ("De Metz je vais à Brest", ((3, 7, "DEP"), (18, 23, "ARR"))),
)
# A third label.
VIA = ("De Lens à Albi par Agen", ((3, 7, "DEP"), (10, 14, "ARR"), (19, 23, "VIA")))
Entities = Sequence[tuple[int, int, str]]


def pipeline(
    encode: str = CNN, sentences: Sequence[tuple[str, Entities]] = SENTENCES
) -> tuple[Language, list[Example]]:
    """An initialised pipeline and the examples of `sentences`; always the same weights."""
    fix_random_seed(0)
    nlp = load_model_from_config(Config().from_str(PIPELINE.format(encode=encode)), auto_fill=True)
    made = examples(nlp, sentences)
    nlp.initialize(lambda: made)
    return nlp, made


def examples(nlp: Language, sentences: Sequence[tuple[str, Entities]] = SENTENCES) -> list[Example]:
    """Each sentence with its entities, tags and categories."""
    made = []
    for text, entities in sentences:
        doc = nlp.make_doc(text)
        tags = ["A" if index % 2 else "B" for index in range(len(doc))]
        cats = {"short": float(len(doc) < 5), "long": float(len(doc) >= 5)}
        made.append(Example.from_dict(doc, {"entities": list(entities), "tags": tags, "cats": cats}))
    return made


def train(
    nlp: Language,
    batches: Sequence[list[Example]],
    before_update: Callable | None,
    optimizer: Optimizer | None = None,
    *,
    dropout: float = 0.2,
    accumulate_gradient: int = 1,
    exclude: Sequence[str] = (),
    eval_frequency: int = 1000,
) -> None:
    """A step a batch, in spaCy's own loop; evaluates on the first batch."""
    fix_random_seed(1)
    list(
        train_while_improving(
            nlp,
            optimizer or adam(),
            iter([(0, batch) for batch in batches]),
            lambda: (0.0, nlp.evaluate(batches[0])),
            dropout=dropout,
            eval_frequency=eval_frequency,
            accumulate_gradient=accumulate_gradient,
            patience=0,
            max_steps=0,
            exclude=list(exclude),
            annotating_components=[],
            before_update=before_update,
        )
    )


def adam(**settings: Any) -> Optimizer:
    """Adam without a clip and without averages."""
    return Adam(**{"learn_rate": 0.01, "grad_clip": 0.0, "use_averages": False, **settings})


def weights(nlp: Language) -> dict[str, bytes]:
    """Each component's model as bytes."""
    return {
        name: nlp.get_pipe(name).model.to_bytes()
        for name in nlp.pipe_names
        if isinstance(nlp.get_pipe(name).model, Model)
    }  # type: ignore[attr-defined]
