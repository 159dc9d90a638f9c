"""Splits that share nothing, bytes that repeat, spans that align."""

import random
from pathlib import Path

import pytest
from spacy.tokens import DocBin

from tests.conftest import ROOT, SIZES, run_script
from trajet.corpus import build
from trajet.corpus.frames import LABELS, load_fillers, load_frames
from trajet.corpus.noise import disturb
from trajet.corpus.places import fold, load_places
from trajet.corpus.render import PlacePool, Segment, render
from trajet.errors import UserError


def _docs(folder: Path, split: str) -> list:
    return list(DocBin().from_disk(folder / f"{split}.spacy").get_docs(build.blank_pipeline().vocab))


def test_no_frame_and_no_text_is_in_two_splits(small_corpus: Path) -> None:
    frames, texts = [], []
    for split, size in SIZES.items():
        docs = _docs(small_corpus, split)
        assert len(docs) == size
        frames.append({doc.user_data["frame"] for doc in docs})
        texts.append({doc.text for doc in docs})
        assert len(texts[-1]) == size
    assert not frames[0] & frames[1]
    assert not frames[0] & frames[2]
    assert not frames[1] & frames[2]
    assert not texts[0] & (texts[1] | texts[2])


def test_dev_and_test_have_at_least_sixty_frames_each() -> None:
    frames = load_frames(ROOT / "corpus", load_fillers(ROOT / "corpus" / "fillers"))
    dealt = build.split_frames(frames, seed=0)
    assert min(len(dealt["dev"]), len(dealt["test"])) >= 60
    assert sum(map(len, dealt.values())) == len(frames)


def test_places_are_held_out_of_training() -> None:
    places = load_places(ROOT / "corpus" / "places")
    known, unseen = build.hold_out_places(places, seed=0)
    assert len(places["town"]) >= 1500
    assert "Paris" in {place.name for place in known["town"]}
    for kind, entries in places.items():
        names = [{fold(place.name) for place in part[kind]} for part in (known, unseen)]
        assert not names[0] & names[1]
        assert len(known[kind]) + len(unseen[kind]) == len(entries)
        assert unseen[kind]


def test_one_seed_gives_the_same_bytes_and_another_others(small_corpus: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        build.build_corpus(ROOT / "corpus", SIZES, seed=seed, output=tmp_path / str(seed))
    for split in SIZES:
        first = (small_corpus / f"{split}.spacy").read_bytes()
        assert (tmp_path / "0" / f"{split}.spacy").read_bytes() == first
        assert (tmp_path / "1" / f"{split}.spacy").read_bytes() != first


def test_every_frame_aligns_whatever_the_place_and_nearly_whatever_the_noise() -> None:
    fillers = load_fillers(ROOT / "corpus" / "fillers")
    frames = load_frames(ROOT / "corpus", fillers)
    pool = PlacePool(load_places(ROOT / "corpus" / "places"))
    nlp = build.blank_pipeline()
    rng = random.Random(7)
    lost = 0
    for frame in frames * 2:
        segments = render(frame, [(1.0, pool)], fillers, rng)
        doc = build.make_doc(nlp, segments, frame.ident)
        assert [ent.text for ent in doc.ents] == [s.text for s in segments if s.label]
        try:
            build.make_doc(nlp, disturb(segments, rng), frame.ident)
        except UserError:
            lost += 1
    # Such a sentence stays clean in the corpus, and is rare enough not to be missed there.
    assert lost <= 3


def test_a_document_without_spans_has_none_rather_than_missing_ones() -> None:
    doc = build.make_doc(build.blank_pipeline(), [Segment("Il pleut.")], "f:1")
    assert doc.has_annotation("ENT_IOB")
    assert not doc.ents


def test_a_span_inside_a_token_is_refused_with_its_place() -> None:
    with pytest.raises(
        UserError, match=r"^frames/x.txt:3: the span 'Paris' does not fall on token borders: \[deParis\]"
    ):
        build.make_doc(build.blank_pipeline(), [Segment("de"), Segment("Paris", "DEP", place=True)], "frames/x.txt:3")


def test_a_noise_that_glues_two_names_leaves_the_sentence_clean() -> None:
    nlp = build.blank_pipeline()
    segments = [Segment("Metz", "DEP", True), Segment("-"), Segment("Lens", "", True), Segment("-")]
    segments.append(Segment("Lille", "ARR", True))
    glued = 0
    for seed in range(6000):
        noisy = disturb(segments, random.Random(seed))
        kept, _ = build.disturbed(nlp, segments, "f:1", random.Random(seed))
        assert len(build.make_doc(nlp, kept, "f:1").ents) == 2
        if kept != noisy:
            assert kept == segments
            glued += 1
    # Among them "Metz-Les-Lille", one token.
    assert glued


def test_too_few_frames_for_the_size_asked_for_is_said() -> None:
    frames = [
        frame
        for frame in load_frames(ROOT / "corpus", load_fillers(ROOT / "corpus" / "fillers"))
        if all(isinstance(piece, str) for piece in frame.pieces)
    ][:2]
    with pytest.raises(UserError, match="different sentences of the 500 asked for"):
        list(build.generate(build.blank_pipeline(), frames, 500, [], {}, random.Random(0), noisy=False))


def test_the_command_prints_its_table(tmp_path: Path) -> None:
    done = run_script("corpus", "--output", tmp_path, "--train", 50, "--dev", 10, "--test", 10)
    assert done.returncode == 0, done.stderr
    for word in ("train", "dev", "test", *LABELS, "negatives", "frames", "places", "tokens", "one sided"):
        assert word in done.stdout
    assert str(tmp_path / "train.spacy") in done.stdout


def test_sizes_and_folders_are_checked(tmp_path: Path) -> None:
    assert run_script("corpus", "--output", tmp_path, "--train", 0).returncode == 2
    (tmp_path / "file").write_text("")
    done = run_script("corpus", "--output", tmp_path / "file" / "sub", "--train", 20, "--dev", 5, "--test", 5)
    assert done.returncode == 2
    assert "cannot write here" in done.stderr
