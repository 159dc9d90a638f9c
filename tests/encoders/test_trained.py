"""Real trainings with trajet's encoders: traced, saved and loaded like any other."""

import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from spacy.cli.debug_config import debug_config
from spacy.language import Language
from spacy.training import Example
from spacy.training.initialize import init_nlp
from spacy.util import load_config, load_model_from_config, resolve_dot_names
from thinc.api import Adam, Model

from tests.conftest import ROOT, trace_block, weight_bytes
from trajet.errors import UserError
from trajet.initial_weights import scale_weights
from trajet.trace import read_trace
from trajet.trace.unchanged import training_state_kept

BASE, BILSTM = ROOT / "configs" / "base.cfg", ROOT / "configs" / "bilstm.cfg"
SMALL_BILSTM = {
    "components.tok2vec.model.embed.width": 24,
    "components.tok2vec.model.embed.rows": [300, 50, 100, 50],
    "components.tok2vec.model.encode.width": 24,
    "components.ner.model.hidden_width": 16,
}
TEXTS = ["Je voudrais aller de Lyon à Marseille demain.", "un billet Brest Nice", "Quel temps fait-il ?"]


def _window(norm: str, init: str = "glorot_uniform") -> Callable:
    """An edit of base.cfg: spaCy's window encoder replaced by trajet's."""

    def edit(config) -> None:
        encode = config["components"]["tok2vec"]["model"]["encode"]
        encode.update({"@architectures": "trajet.WindowEncoder.v1", "norm": norm, "init": init})

    return edit


def _recurrent(cell: str) -> Callable:
    def edit(config) -> None:
        pytest.importorskip("torch")
        config["components"]["tok2vec"]["model"]["encode"] = {
            "@architectures": "trajet.RecurrentEncoder.v1", "cell": cell, "width": 24, "depth": 2, "dropout": 0.0,
        }  # fmt: skip
        config["initialize"]["after_init"]["parameters"] = ["tok2vec/hashembed-*/E", "tok2vec/maxout-0/W"]

    return edit


def _initialised(overrides: dict, edit: Callable | None = None, config: Path = BASE, **more: Any) -> Language:
    small = {key: value for key, value in overrides.items() if config is BASE or not key.startswith("components")}
    loaded = load_config(config, overrides={**small, "corpora.train.limit": 60, **more, "training.before_update": None})
    if edit:
        edit(loaded)
    return init_nlp(loaded)


def _tok2vec(nlp: Language) -> Model:
    return nlp.get_pipe("tok2vec").model  # type: ignore[attr-defined]


def _batch_norms(nlp: Language) -> list[Model]:
    return [node for node in _tok2vec(nlp).walk() if node.name == "batchnorm"]


def _check_saved(run) -> None:
    """What was saved and loaded says what the trained one says, and saying it changes nothing."""
    loaded = spacy.load(run.output / "model-last")
    before = _tok2vec(loaded).to_bytes()
    assert before == _tok2vec(run.nlp).to_bytes()
    for text in TEXTS:
        mine, theirs = (_tok2vec(nlp).predict([nlp.make_doc(text)])[0] for nlp in (loaded, run.nlp))
        np.testing.assert_array_equal(mine, theirs)
        assert [(ent.text, ent.label_) for ent in loaded(text).ents] == [
            (ent.text, ent.label_) for ent in run.nlp(text).ents
        ]
    assert _tok2vec(loaded).to_bytes() == before


def test_the_window_encoder_with_its_defaults_trains_spacys_weights(fit) -> None:
    ours, spacys = fit("ours", edit=_window("layer")), fit("spacys")
    assert weight_bytes(ours.output / "model-last") == weight_bytes(spacys.output / "model-last")


# -- batch norm ------------------------------------------------------------------------------------


def test_a_traced_training_with_batch_norm_is_that_of_an_untraced_one(fit, tmp_path: Path) -> None:
    watch = ["tok2vec/maxout-2/W[5,0,17]", "tok2vec/batchnorm-1/G[0]"]
    traced = fit("traced", trace_block(tmp_path / "t.jsonl", losses_on=12, watch=watch), edit=_window("batch"))
    plain = fit("plain", edit=_window("batch"))
    for part in ("model-best", "model-last"):
        assert weight_bytes(traced.output / part) == weight_bytes(plain.output / part)
    assert [row["losses"] for row in traced.log] == [row["losses"] for row in plain.log]

    trace = read_trace(tmp_path / "t.jsonl")
    # One maxout below the encoder's two, as in base.cfg.
    shapes = {p["name"]: p["shape"] for p in trace.header["parameters"]}
    assert shapes["tok2vec/maxout-0/W"] == [24, 3, 96]
    assert shapes["tok2vec/maxout-2/W"] == [24, 3, 24 * 9]
    norms = {name for name in shapes if name.startswith("tok2vec/batchnorm")}
    assert norms == {f"tok2vec/batchnorm-{number}/{name}" for number in (0, 1) for name in "Gb"}
    # Every parameter has a gradient at every step: running statistics are none.
    assert trace.tensors["update_norm"].notna().all()
    assert trace.watched.groupby("watch")["w"].nunique().min() > 15
    assert trace.evaluations["dev_loss_ner"].notna().all()

    _check_saved(traced)
    for layer in _batch_norms(spacy.load(traced.output / "model-last")):
        # 21 updates have left 0.9^21 = 11 % of the first zeros and ones.
        assert np.abs(layer.attrs["running_mean"]).max() > 1e-3
        assert not np.allclose(layer.attrs["running_var"], 1, atol=0.05)


def test_a_loss_pass_by_update_leaves_running_statistics_as_they_were(overrides: dict) -> None:
    """The trace scores components other than parsers by their own `update`, and puts back what that moves."""
    nlp = _initialised(overrides, _window("batch"))
    before = _tok2vec(nlp).to_bytes()
    with training_state_kept(nlp):
        nlp.update([Example.from_dict(nlp.make_doc(text), {"entities": []}) for text in TEXTS], drop=0.0, sgd=False)
        assert all(layer.attrs["running_mean"].any() for layer in _batch_norms(nlp))
    assert not any(layer.attrs["running_mean"].any() for layer in _batch_norms(nlp))
    assert _tok2vec(nlp).to_bytes() == before


# -- one batch, first weights ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "edit", [_window("batch"), _window("none", init="he_normal"), _recurrent("lstm"), _recurrent("gru")],
    ids=["batch", "none", "lstm", "gru"],
)  # fmt: skip
def test_one_batch_is_learnt_by_heart(overrides: dict, edit: Callable) -> None:
    nlp = _initialised(overrides, edit)
    (corpus,) = resolve_dot_names(nlp.config.interpolate(), ["corpora.train"])
    examples = list(islice(corpus(nlp), 8))
    assert {entity.label_ for example in examples for entity in example.reference.ents} == {"DEP", "ARR"}
    optimizer = Adam(0.01)
    for _ in range(40):
        # As the training loop does it.
        nlp.update(examples, drop=0.0, sgd=False)
        for _, pipe in nlp.pipeline:
            pipe.finish_update(optimizer)  # type: ignore[attr-defined]
    assert nlp.evaluate(examples)["ents_f"] == 1.0


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_first_weights_can_be_scaled_by_name(overrides: dict, norm: str) -> None:
    nlp = _initialised(overrides, _window(norm), **{"initialize.after_init": None})
    maxouts = [node for node in _tok2vec(nlp).walk() if node.name == "maxout"]
    before = [node.get_param("W").copy() for node in maxouts]
    assert scale_weights(nlp, ["tok2vec/maxout-1/W"], 0.05) == ["tok2vec/maxout-1/W"]
    for number, (node, plain) in enumerate(zip(maxouts, before, strict=True)):
        factor = 0.05 if number == 1 else 1.0
        np.testing.assert_allclose(node.get_param("W"), plain * np.float32(factor), rtol=1e-6)


# -- configs/bilstm.cfg ----------------------------------------------------------------------------


def test_bilstm_cfg_needs_no_filling_and_shares_what_it_can_with_base() -> None:
    pytest.importorskip("torch")
    config = load_config(BILSTM, interpolate=True)
    filled = load_model_from_config(load_config(BILSTM), auto_fill=True).config.interpolate()
    for section in ("nlp", "components", "corpora", "training", "initialize"):
        assert filled[section] == config[section], section
    base = load_config(BASE, interpolate=True)
    for section in ("nlp", "corpora", "system"):
        assert config[section] == base[section]
    for key, value in base["training"].items():
        if key != "before_update":
            assert config["training"][key] == value, key
    assert config["components"]["ner"] == base["components"]["ner"]
    assert config["components"]["tok2vec"]["model"]["embed"] == base["components"]["tok2vec"]["model"]["embed"]


def test_debug_config_accepts_bilstm_cfg(capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("torch")
    debug_config(BILSTM)
    assert "Config is valid" in capsys.readouterr().out


def test_bilstm_cfg_trains_and_its_trace_changes_nothing(fit, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    watch = load_config(BILSTM)["training"]["before_update"]["watch"]
    block = trace_block(tmp_path / "t.jsonl", losses_on=12, watch=watch)
    traced = fit("traced", block, config=BILSTM, **SMALL_BILSTM)
    plain = fit("plain", config=BILSTM, **SMALL_BILSTM)
    for part in ("model-best", "model-last"):
        assert weight_bytes(traced.output / part) == weight_bytes(plain.output / part)
    assert [row["losses"] for row in traced.log] == [row["losses"] for row in plain.log]
    _check_saved(traced)
    trace = read_trace(tmp_path / "t.jsonl")
    recurrent = [name for name in trace.parameters if name.startswith("tok2vec/lstm-0/")]
    assert len(recurrent) == 2 * 2 * 4
    moved = trace.tensors[trace.tensors["parameter"].isin(recurrent) & (trace.tensors["step"] > 0)]
    assert len(moved) == 20 * len(recurrent)
    assert (moved["update_norm"] > 0).all()
    assert set(trace.watched["watch"]) == set(watch)
    assert trace.evaluations["dev_loss_ner"].notna().all()


def test_bilstm_cfg_scales_the_embedding_and_nothing_of_torchs(overrides: dict) -> None:
    pytest.importorskip("torch")
    nlp = _initialised(overrides, config=BILSTM, **SMALL_BILSTM, **{"initialize.after_init": None})
    block = load_config(BILSTM)["initialize"]["after_init"]
    scaled = scale_weights(nlp, block["parameters"], block["factor"])
    assert sorted(scaled) == [*(f"tok2vec/hashembed-{number}/E" for number in range(4)), "tok2vec/maxout-0/W"]
    with pytest.raises(UserError, match="'tok2vec/lstm-0/weight_ih_l0' fits no Thinc parameter"):
        scale_weights(nlp, ["tok2vec/lstm-0/weight_ih_l0"], 0.05)


def test_without_torch_loading_bilstm_cfg_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(SystemExit):
        load_model_from_config(load_config(BILSTM))
    assert capsys.readouterr().err.endswith("RecurrentEncoder.v1 needs torch: pip install -r requirements-test.txt\n")
