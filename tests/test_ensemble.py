"""Merged pipelines against the mean of their members' scores, state by state, and what cannot be merged."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import spacy
from spacy.language import Language

from tests.conftest import ROOT, run_script
from trajet.ensemble import merge_pipelines
from trajet.errors import UserError
from trajet.evaluation import load_docs
from trajet.parser_states import move_names

UPDATES = {"training.max_steps": 60, "training.eval_frequency": 30}
# Another shape in everything that may differ.
OTHER = {
    "components.tok2vec.model.embed.width": 16,
    "components.tok2vec.model.embed.attrs": ["NORM", "SUFFIX"],
    "components.tok2vec.model.embed.rows": [200, 70],
    "components.tok2vec.model.encode.width": 16,
    "components.tok2vec.model.encode.depth": 1,
    "components.ner.model.hidden_width": 12,
    "components.ner.model.maxout_pieces": 3,
}


@pytest.fixture(scope="module")
def members(tmp_path_factory, overrides) -> dict[str, Path]:
    """Three real trainings: two seeds, and another shape whose moves come in another order."""
    from spacy.training.initialize import init_nlp
    from spacy.training.loop import train
    from spacy.util import load_config

    folder = tmp_path_factory.mktemp("members")
    # spaCy sorts the moves by how often their label was seen.
    for first, second in (("DEP", "ARR"), ("ARR", "DEP")):
        seen = {first: 9, second: 8}
        labels = {"1": seen, "2": seen, "3": seen, "4": {**seen, "": 1}, "5": {"": 1}}
        (folder / f"{first}.json").write_text(json.dumps(labels), encoding="utf8")
    for name, seed, more in (("a", 0, {}), ("b", 1, {}), ("other", 2, OTHER)):
        settings = {**overrides, **UPDATES, **more, "system.seed": seed, "training.before_update": None}
        config = load_config(ROOT / "configs" / "base.cfg", overrides=settings)
        path = folder / ("DEP.json" if name == "other" else "ARR.json")
        config["initialize"]["components"]["ner"] = {"labels": {"@readers": "spacy.read_labels.v1", "path": str(path)}}
        (folder / name).mkdir()
        with (folder / name / "log").open("w", encoding="utf8") as log:
            train(init_nlp(config), folder / name, stdout=log, stderr=log)
    return {name: folder / name / "model-best" for name in ("a", "b", "other")}


@pytest.fixture
def load(members: dict[str, Path]) -> Callable[..., list[Language]]:
    return lambda *names: [spacy.load(members[name]) for name in names]


@pytest.fixture(scope="module")
def texts(small_corpus: Path) -> list[str]:
    return [doc.text for doc in load_docs(spacy.blank("fr"), small_corpus / "dev.spacy")]


def _random_texts(texts: list[str], count: int) -> list[str]:
    words = sorted({word for text in texts for word in text.split()})
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(words, size=rng.integers(1, 25))) for _ in range(count)]


def _scores(nlp: Language, text: str, order: list[str]) -> np.ndarray:
    """Scores of the moves named in `order` at each state of a walk at random, the same walk for the same text."""
    doc = nlp.make_doc(text)
    tok2vec, ner = nlp.get_pipe("tok2vec"), nlp.get_pipe("ner")
    tok2vec.set_annotations([doc], tok2vec.predict([doc]))
    places = [move_names(ner).index(name) for name in order]
    step_model = ner.model.predict([doc])
    states, rows, rng = ner.moves.init_batch([doc]), [], np.random.default_rng(len(text))
    while states and not states[0].is_final():
        scores = np.asarray(step_model.predict(states))
        rows.append(scores[0, places])
        taken = np.zeros_like(scores)
        taken[0, places] = rng.normal(size=len(places))
        ner.transition_states(states, taken)
    return np.array(rows)


def _entities(nlp: Language, texts: list[str]) -> list[list[tuple[str, str]]]:
    return [[(ent.text, ent.label_) for ent in doc.ents] for doc in nlp.pipe(texts)]


@pytest.mark.parametrize("names", [("a", "b"), ("other", "a"), ("a", "other", "b")])
def test_scores_are_the_mean_at_every_state(load, texts: list[str], names: tuple[str, ...]) -> None:
    parts = load(*names)
    merged = merge_pipelines(parts)
    order = move_names(parts[0].get_pipe("ner"))
    states = 0
    for text in (*texts[:30], *_random_texts(texts, 30)):
        scores = [_scores(nlp, text, order).astype(np.float64) for nlp in parts]
        # Each score is a float32 sum of some hundred products; its roundings are a few units of the largest score.
        size = max(1.0, max(np.abs(of_one).max() for of_one in scores))
        np.testing.assert_allclose(_scores(merged, text, order), np.mean(scores, axis=0), rtol=0, atol=2e-6 * size)
        states += len(scores[0])
    assert states > 300


def test_the_moves_of_the_other_member_do_come_in_another_order(load) -> None:
    a, other = (move_names(nlp.get_pipe("ner")) for nlp in load("a", "other"))
    assert a != other
    assert sorted(a) == sorted(other)


def test_the_members_differ_and_the_mean_is_not_one_of_them(load, texts: list[str]) -> None:
    a, b = load("a", "b")
    merged = merge_pipelines([a, b])
    order = move_names(a.get_pipe("ner"))
    for one in (a, b):
        assert np.abs(_scores(one, texts[0], order) - _scores(merged, texts[0], order)).max() > 0.1


@pytest.mark.parametrize("name", ["a", "other"])
def test_a_pipeline_merged_with_itself_predicts_what_it_did(load, texts: list[str], name: str) -> None:
    (alone,) = load(name)
    more = [*texts, *_random_texts(texts, 60), "", "Lyon"]
    found = _entities(alone, more)
    assert sum(map(len, found)) > 50
    assert _entities(merge_pipelines([alone, alone]), more) == found


def test_a_merged_pipeline_is_a_member_like_any_other(load, texts: list[str]) -> None:
    a, b, other = load("a", "b", "other")
    inner = merge_pipelines([a, b])
    order = move_names(a.get_pipe("ner"))
    for parts in ([inner, other], [other, inner]):
        merged = merge_pipelines(parts)
        assert len(merged.get_pipe("tok2vec").model.layers) == 3
        for text in texts[:10]:
            expected = np.mean([_scores(nlp, text, order) for nlp in parts], axis=0)
            np.testing.assert_allclose(_scores(merged, text, order), expected, atol=1e-4)


def test_what_is_saved_loads_without_this_project(load, texts: list[str], tmp_path: Path) -> None:
    parts = load("a", "other")
    merged = merge_pipelines(parts)
    merged.to_disk(tmp_path / "merged")
    (tmp_path / "texts").write_text("\n".join(texts), encoding="utf8")
    code = (
        "import sys, spacy\n"
        "nlp = spacy.load(sys.argv[1])\n"
        "for line in open(sys.argv[2], encoding='utf8'):\n"
        "    print([(ent.text, ent.label_) for ent in nlp(line.strip()).ents])\n"
        "assert not any(name.split('.')[0] == 'trajet' for name in sys.modules)\n"
    )
    command = [sys.executable, "-I", "-X", "utf8", "-c", code, str(tmp_path / "merged"), str(tmp_path / "texts")]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf8", check=True, cwd=tmp_path)
    assert done.stdout.splitlines() == [str(found) for found in _entities(merged, [text.strip() for text in texts])]


def test_config_and_meta_say_what_the_pipeline_is(load, tmp_path: Path) -> None:
    parts = load("a", "other")
    merge_pipelines(parts).to_disk(tmp_path / "merged")
    merged = spacy.load(tmp_path / "merged")
    config = merged.config.interpolate()
    ner = config["components"]["ner"]["model"]
    assert (ner["tok2vec"]["width"], ner["hidden_width"], ner["maxout_pieces"]) == (24 + 16, 16 + 12, 2 * 3)
    assert config["training"]["before_update"] is None
    assert [(note["seed"], note["width"]) for note in merged.meta["members"]] == [(0, 24), (2, 16)]
    assert [(note["saved"], note["max_steps"]) for note in merged.meta["members"]] == [
        (nlp.path.name, nlp.config.interpolate()["training"]["max_steps"]) for nlp in load("a", "other")
    ]
    assert not merged.meta.get("performance")
    assert merged.meta["labels"]["ner"] == ["ARR", "DEP"]


def test_strings_of_all_members_are_kept_and_members_left_alone(load) -> None:
    a, b = load("a", "b")
    b.vocab.strings.add("Trifouillis-les-Oies")
    before = a.to_bytes(), b.to_bytes()
    assert "Trifouillis-les-Oies" in merge_pipelines([a, b]).vocab.strings
    assert (a.to_bytes(), b.to_bytes()) == before


# -- what cannot be merged ---------------------------------------------------------------------------


def _other_label(nlp: Language) -> None:
    ner = nlp.get_pipe("ner")
    ner.add_label("VIA")
    ner.model.attrs["unseen_classes"].clear()


def _unseen(nlp: Language) -> None:
    nlp.get_pipe("ner").model.attrs["unseen_classes"].add(3)


def _tokenizer(nlp: Language) -> None:
    nlp.tokenizer.add_special_case("jsuis", [{"ORTH": "j"}, {"ORTH": "suis"}])


def _table(nlp: Language) -> None:
    nlp.vocab.lookups.add_table("lexeme_norm", {"pr": "pour"})


def _vectors(nlp: Language) -> None:
    nlp.vocab.set_vector("Lyon", np.ones(4, dtype="float32"))


def _component(nlp: Language) -> None:
    nlp.add_pipe("sentencizer")


def _disabled(nlp: Language) -> None:
    nlp.disable_pipe("ner")


def _upper(nlp: Language) -> None:
    nlp._pipe_configs["ner"]["model"]["use_upper"] = True


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_other_label, "B-VIA"),
        (_unseen, "labels it was never trained on"),
        (_tokenizer, "its tokenizer differs"),
        (_table, "its lookup tables differ"),
        (_vectors, "its vectors differ"),
        (_component, "has the components tok2vec, ner, sentencizer"),
        (_disabled, r"ner \(disabled\)"),
        (_upper, "use_upper = True"),
    ],
)
def test_pipelines_that_do_not_fit_are_refused_by_name(load, members, spoil: Callable, reason: str) -> None:
    a, b = load("a", "b")
    spoil(b)
    with pytest.raises(UserError, match=reason) as caught:
        merge_pipelines([a, b])
    assert str(caught.value).startswith(f"{members['b']}: ")
    assert "\n" not in str(caught.value)


def test_one_pipeline_an_untrained_one_and_too_many_are_refused(load) -> None:
    (a,) = load("a")
    with pytest.raises(UserError, match="give at least two"):
        merge_pipelines([a])
    with pytest.raises(UserError, match=r"11 pipelines: .* 2,048 pieces"):
        merge_pipelines([a] * 11)
    with pytest.raises(UserError, match="pipeline 1: the ner has no weights"):
        merge_pipelines([spacy.util.load_model_from_config(a.config, auto_fill=True), a])


# -- the command -------------------------------------------------------------------------------------


def test_the_command_writes_a_pipeline_and_replaces_an_earlier_one(members, texts: list[str], tmp_path: Path) -> None:
    output = tmp_path / "training" / "merged"
    for names in (("a", "b"), ("a", "other")):
        done = run_script("merge", *(members[name] for name in names), "--output", output)
        assert done.returncode == 0, done.stderr
        assert f"wrote {output}" in done.stdout
    assert [note["seed"] for note in spacy.load(output).meta["members"]] == [0, 2]
    assert [path.name for path in output.parent.iterdir()] == ["merged"]


def test_mistakes_are_one_line_and_nothing_is_written(members, tmp_path: Path) -> None:
    precious = tmp_path / "notes"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work", encoding="utf8")
    both = [members["a"], members["b"]]
    for arguments, reason in (
        ([tmp_path / "nothing", members["a"], "--output", tmp_path / "new"], "no trained pipeline there"),
        ([members["a"], "--output", tmp_path / "new"], "give at least two"),
        ([*both, "--output", members["a"]], "is one of the members"),
        ([*both, "--output", precious], "holds other things than a pipeline"),
        ([*both, "--output", precious / "thesis.txt"], "is a file, not a folder"),
        ([*both, "--output", precious / "thesis.txt" / "deeper"], "cannot write here"),
    ):
        done = run_script("merge", *arguments)
        assert done.returncode == 2, (reason, done.stderr)
        assert reason in done.stderr
        assert done.stderr.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes"]
    assert [path.name for path in precious.iterdir()] == ["thesis.txt"]
