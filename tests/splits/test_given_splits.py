"""Parts that come with the data are checked and certified like folds that are dealt."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

import certify as certify_stage
from fewcase.data.files import read_table, table_metadata, write_table
from fewcase.data.stage import run
from fewcase.splits.certificate import certify
from fewcase.splits.duplicates import name_pairs, pairs_table, write_duplicates
from fewcase.splits.folds import make_split, read_split, write_split
from fewcase.splits.provenance import Provenance
from fewcase.splits.sampling import bag_rows, draw_samples
from fewcase.study.errors import InputError
from fewcase.study.splits import ALWAYS_TRAINED
from fewcase.training.run_data import gather_run
from image_cohorts import GIVEN, TISSUES, given_split, tile_cohort


@pytest.fixture
def split():
    """Slides s1, s2 and s4 for training, s3 for validation, s5 for testing, at known sites."""
    return given_split(tile_cohort().cohort)


def pairs_of(*rows):
    table = pd.DataFrame(rows, columns=["example_a", "example_b", "kind"])
    return table.assign(transform="", correlation=0.97)


def certificate_of(split, pairs=None, samples=None, **others):
    facts = {"compared": len(split), "featureless": 0}
    records = pd.DataFrame({"record": split["parent"].unique(), "patient_known": True})
    pairs = pairs_of() if pairs is None else pairs
    options = others.pop("options", GIVEN)
    records = others.pop("records", records)
    return certify(split, options, 0, pairs, facts, samples or {}, records, unit="tile", **others)


def statuses(certificate):
    return {check["name"]: check["status"] for check in certificate["checks"]}


def test_a_certificate_counts_training_stopping_validation_and_test(split):
    certificate = certificate_of(split, samples={"all": draw_samples(split, None, 1, 0)})
    assert certificate["status"] == "clean"
    (fold,) = certificate["folds"]
    counted = {part: fold[part]["examples"] for part in ("training", "stopping", "validation")}
    assert counted == {"training": 4, "stopping": 7, "validation": 4}
    assert certificate["test"]["examples"] == 5
    assert certificate["sites"] == {"north": "training", "south": "internal"}
    assert certificate["unit"] == "tile"
    checks = {check["name"]: check for check in certificate["checks"]}
    assert checks["held-out sites"]["status"] == "disjoint"
    assert checks["held-out sites"]["compared"] == 5
    assert checks["under-samples"]["status"] == "disjoint"
    assert checks["patients"]["compared"] == 4


def test_a_split_of_one_s_own_making_is_read_as_it_was_written(split, tmp_path):
    write_split(tmp_path / "split.parquet", split, GIVEN, 0)
    read = read_split(tmp_path / "split.parquet")
    assert read["fold"].tolist() == split["fold"].tolist()
    made = make_split(tile_cohort().cohort, GIVEN, 0)
    assert made["fold"].tolist() == split["fold"].tolist()
    assert made["test_set"].tolist() == split["test_set"].tolist()


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ("s4", "s3", r"training\) and example .* validation\)"),
        ("s1", "s3", r"stopping\) and example .* validation\)"),
        ("s4", "s5", r"training\) and example .* test\)"),
        ("s1", "s4", r"(training|stopping)\) and example .* (training|stopping)\)"),
    ],
)
@pytest.mark.parametrize("kind", ["patient", "exact", "near"])
def test_what_given_parts_share_stops_with_both_examples(split, one, other, words, kind):
    first, second = (np.flatnonzero(split["parent"] == name)[0] for name in (one, other))
    pairs = None
    if kind == "patient":
        split.loc[split["parent"] == other, "patient"] = split["patient"][first]
    else:
        pairs = pairs_of((*split["example"][[first, second]], kind))
    said = "share the patient" if kind == "patient" else "cop|duplicates|content"
    with pytest.raises(InputError, match=f"fold 0: .*{words}.*({said})"):
        certificate_of(split, pairs)


def test_slides_that_are_always_trained_on_may_share_a_patient(split):
    assert split["patient"][split["parent"] == "s1"].iloc[0] == "p1"
    assert set(split["parent"][split["patient"] == "p1"]) == {"s1", "s2"}
    copy = pairs_of((*split["example"][split["fold"] == ALWAYS_TRAINED].iloc[:2], "near"))
    assert certificate_of(split, copy)["status"] == "clean"


def test_a_drawn_row_that_is_validated_or_kept_for_stopping_stops(split):
    for parent, part in [("s3", "validation"), ("s1", "stopping"), ("s5", "test")]:
        samples = draw_samples(split, None, 1, 0)
        samples.loc[0, "row"] = split["row"][split["parent"] == parent].iloc[0]
        with pytest.raises(InputError, match=rf"{part}\) is among the training rows"):
            certificate_of(split, samples={"all": samples})


def provenance(split, parent):
    learned = split[["example"]][split["parent"] == parent].assign(generator="gan", fold=0)
    images = pd.DataFrame({"generator": ["gan"], "fold": [0], "example": ["synthetic 0"]})
    return Provenance("gan", images.assign(label=0, latent_seed=1), learned)


def test_a_generator_learns_from_what_is_given_for_training_alone(split):
    found = certificate_of(split, synthetic=[provenance(split, "s4")])
    assert statuses(found)["synthetic images"] == "disjoint"
    for parent, part in [("s3", "validation"), ("s1", "stopping"), ("s5", "test")]:
        with pytest.raises(InputError, match=rf"'gan' learned from .*{part}\)"):
            certificate_of(split, synthetic=[provenance(split, parent)])


def test_a_base_generator_may_have_seen_training_slides_and_no_others(split):
    base = pd.DataFrame({"example": ["b0"], "parent": ["slide"], "patient": ["p1"]})
    found = certificate_of(split, base_cohorts={"base": base})
    assert statuses(found)["base generators"] == "disjoint"
    for patient, part in [("p2", "validation of fold 0"), ("p4", "test")]:
        with pytest.raises(InputError, match=rf"{part}\) share the patient"):
            certificate_of(split, base_cohorts={"base": base.assign(patient=patient)})
    of_training = split["example"][split["parent"] == "s4"].iloc[0]
    found = certificate_of(
        split, pairs_of((of_training, "b0", "near")), base_cohorts={"base": base}
    )
    assert statuses(found)["base generators"] == "disjoint"
    validated = split["example"][split["parent"] == "s3"].iloc[0]
    with pytest.raises(InputError, match="are duplicates"):
        certificate_of(split, pairs_of((validated, "b0", "near")), base_cohorts={"base": base})


def edit(parent, number=None, **values):
    """Return a change of the examples of a slide, of all or of the first few."""

    def change(split):
        rows = split.index[split["parent"] == parent][:number]
        split.loc[rows, list(values)] = list(values.values())
        return split

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (edit("s4", fold=-3), "fold that is out of range: expected 0 to 0, or -1 for none, or -2"),
        (edit("s4", fold=0, inner=-1), "is used for validation but not given for it, part 'train'"),
        (edit("s3", 1, fold=-2, inner=1), "is used for train but not given for it"),
        (
            edit("s4", 1, fold=-1, inner=-1, test_set="internal"),
            "is used for test but not given for it",
        ),
        (edit("s5", fold=0, test_set=""), "is used for validation but not given for it"),
        (edit("s5", test_set="excluded"), "is excluded without a reason"),
        (edit("s4", part=""), "is used for train but not given for it"),
        (edit("s3", inner=1), "has the wrong inner part"),
        (edit("s4", inner=-1), "has the wrong inner part"),
        (edit("s5", test_set="temporal"), "is temporal only if"),
        (edit("s5", test_set="external"), "internal only if the data give"),
        (edit("s5", test_set="internal", site="abroad"), "'abroad' is temporal only"),
        (edit("s5", patient="p1", group="p1"), "is in the test set and in a fold"),
        (edit("s3", patient="p1", group="p1"), "patient 'p1' is in two folds, -2 and 0"),
        (lambda s: s.drop(columns="part"), "no column 'part'"),
        (lambda s: s[s["fold"] != 0], "fold 0 of 1 has no example"),
    ],
)
def test_given_parts_that_are_used_otherwise_stop_whoever_reads_them(
    split, tmp_path, change, message
):
    path = tmp_path / "split.parquet"
    write_split(path, split, GIVEN, 0)
    write_table(path, change(read_table(path)), table_metadata(path))
    with pytest.raises(InputError, match=message):
        read_split(path)


def test_a_fold_that_is_always_trained_on_is_refused_where_folds_are_dealt(split, tmp_path):
    dealt = dataclasses.replace(GIVEN, given=False, folds=2)
    with pytest.raises(InputError, match="fold that is out of range"):
        write_split(tmp_path / "split.parquet", split, dealt, 0)


def test_a_run_trains_on_given_rows_and_is_scored_on_the_others(split):
    samples = draw_samples(split, None, 2, 0)
    assert set(samples["fold"]) == {0}
    expected = split["row"][(split["fold"] == ALWAYS_TRAINED) & (split["inner"] == 1)]
    assert bag_rows(samples, 0, 1).tolist() == expected.tolist()
    data = gather_run(split, samples, 0, 2)
    roles = data.scored.groupby("role")["parent"].unique().map(set).to_dict()
    assert roles == {"inner": {"s1", "s2"}, "validation": {"s3"}, "test": {"s5"}}
    assert data.classes == len(TISSUES)


def test_the_stage_certifies_given_parts_and_says_what_is_not_known_of_images(
    split, tmp_path, capsys
):
    write_split(tmp_path / "given" / "seed-0.parquet", split, GIVEN, 0)
    pairs = name_pairs(pairs_table(), split)
    facts = {"compared": len(split), "featureless": 0, "method": "none"}
    write_duplicates(tmp_path / "pairs", pairs, facts)
    records = pd.DataFrame({"record": split["parent"].unique(), "patient_known": False})
    write_table(tmp_path / "records", records)
    words = ["--split", tmp_path / "given" / "seed-0.parquet", "--records", tmp_path / "records"]
    words += ["--duplicates", tmp_path / "pairs", "--unit-kind", "tile"]
    words += ["--out", tmp_path / "certificate.json"]
    code = run(certify_stage.main, certify_stage.options(), list(map(str, words)))
    assert code == 0, capsys.readouterr().err
    certificate = json.loads((tmp_path / "certificate.json").read_text())
    assert (certificate["status"], certificate["unit"]) == ("unknown", "tile")
    assert (
        "20 of 20 examples are of images whose patient is not known: each such image"
        in (certificate["notes"][0])
    )
    assert "recording" not in json.dumps(certificate)
