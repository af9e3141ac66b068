"""A certificate counts what a split's parts share, and stops at a leak, naming who leaks."""

import dataclasses
import json
import re
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import certify as certify_stage
import split as split_stage
from fewcase.data.files import read_table, write_table
from fewcase.data.stage import run
from fewcase.splits import folds
from fewcase.splits.certificate import certify
from fewcase.splits.duplicates import write_duplicates
from fewcase.splits.provenance import Provenance, read_provenance, write_provenance
from fewcase.splits.sampling import draw_samples
from fewcase.study.errors import InputError
from fewcase.study.splits import HeldOut, SplitOptions

OPTIONS = SplitOptions(
    "apgar", hold_out=(HeldOut("east"), HeldOut("south", since=2018)), folds=4, inner_folds=3
)


def pairs_of(*rows):
    """Return pairs given as (example_a, example_b, kind, transform)."""
    table = pd.DataFrame(rows, columns=["example_a", "example_b", "kind", "transform"])
    return table.assign(correlation=np.where(table["kind"] == "exact", 1.0, 0.9971))


def records_of(split, known=True):
    return pd.DataFrame({"record": split["parent"].unique(), "patient_known": known})


def certificate_of(split, options=OPTIONS, pairs=None, samples=None, **others):
    pairs = pairs_of() if pairs is None else pairs
    facts = {"compared": len(split), "featureless": 0, "method": "none"}
    records = others.pop("records", records_of(split))
    return certify(split, options, 7, pairs, facts, samples or {}, records, **others)


def statuses(certificate):
    return {check["name"]: check["status"] for check in certificate["checks"]}


@pytest.fixture(scope="module")
def split(cohort):
    return folds.make_split(cohort, OPTIONS, 7)


def test_a_clean_split_is_certified_with_its_counts(split):
    samples = {"ratio-3": draw_samples(split, 3.0, 2, 0)}
    certificate = certificate_of(split, samples=samples, name="apgar-patient-new")
    assert certificate["status"] == "clean"
    assert statuses(certificate) == {
        "patients": "disjoint",
        "parents": "disjoint",
        "exact duplicates": "disjoint",
        "near duplicates": "disjoint",
        "held-out sites": "disjoint",
        "synthetic images": "not applicable",
        "base generators": "not applicable",
        "under-samples": "disjoint",
    }
    for fold in range(4):
        counted = certificate["folds"][fold]
        for name, rows in [
            ("training", folds.training_rows(split, fold)),
            ("stopping", folds.inner_rows(split, fold)),
            ("validation", folds.validation_rows(split, fold)),
        ]:
            assert counted[name] == {
                "examples": len(rows),
                "parents": rows["parent"].nunique(),
                "patients": rows["patient"].nunique(),
                "groups": rows["group"].nunique(),
                "by_label": {str(k): int((rows["label"] == k).sum()) for k in (0, 1)},
            }
    assert certificate["test"]["examples"] == len(folds.test_rows(split))
    assert certificate["sites"] == {"east": "external", "north": "training", "south": "temporal"}
    excluded = split[split["test_set"] == "excluded"]
    assert certificate["excluded"]["patient in test set"]["patients"] == (
        excluded["patient"].nunique()
    )
    assert certificate["notes"] == []
    assert len(json.dumps(certificate)) < 5000


def test_the_digest_changes_with_the_split_and_with_the_pairs(split, cohort):
    digests = [
        certificate_of(split)["digest"],
        certificate_of(split)["digest"],
        certificate_of(folds.make_split(cohort, OPTIONS, 8))["digest"],
        certificate_of(split, pairs=pairs_of(("x", "y", "near", "")))["digest"],
    ]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3
    assert re.fullmatch("[0-9a-f]{64}", digests[0])


def in_parts(split, condition_a, condition_b):
    """Return the places of two examples of different patients that meet the two conditions."""
    a = int(np.flatnonzero(condition_a(split))[0])
    other = (split["patient"] != split["patient"][a]).to_numpy()
    return a, int(np.flatnonzero(condition_b(split) & other)[0])


def trained(split):
    return (split["fold"] == 1) & (split["inner"] == 1)


def stopping(split):
    return (split["fold"] == 1) & (split["inner"] == 0)


def validated(split):
    return (split["fold"] == 0) & (split["inner"] == 1)


def in_test(split):
    return split["test_set"] == "external"


def planted(split, kind, condition_a, condition_b):
    """Return the split with a leak between two examples, the pairs, and the two examples."""
    split = split.copy()
    a, b = in_parts(split, condition_a, condition_b)
    pairs = pairs_of()
    if kind in ("patient", "parent"):
        # Nor does a group that was forged to look right help.
        split.loc[b, [kind, "group"]] = split.loc[a, [kind, "group"]].tolist()
    else:
        transform = {"exact": "identity", "near": "", "rotated": "rotate 90"}[kind]
        ends = split["example"][[a, b]].tolist()
        pairs = pairs_of((*ends, "exact" if kind == "exact" else "near", transform))
    return split, pairs, split.loc[[a, b]]


@pytest.mark.parametrize("parts", [(trained, validated), (trained, in_test), (stopping, validated)])
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("patient", "share the patient"),
        ("parent", "share the parent"),
        ("exact", "share the very same content"),
        ("near", r"are near duplicates \(correlation 0\.997\)"),
        ("rotated", r"are near duplicates \(rotate 90, correlation 0\.997\)"),
    ],
)
def test_a_planted_leak_stops_with_both_examples_their_patients_parts_and_fold(
    split, kind, words, parts
):
    leaky, pairs, ends = planted(split, kind, *parts)
    with pytest.raises(InputError, match=words) as caught:
        certificate_of(leaky, pairs=pairs, records=records_of(leaky))
    message = str(caught.value)
    found = re.findall(r"example '([^']+)' \(patient '([^']+)', (\w+)\)", message)
    assert len(found) == 2
    assert found[0][2] != found[1][2]
    assert re.search(r"fold \d: ", message)
    assert "run the split stage again" in message
    if kind not in ("patient", "parent"):
        assert sorted(f[0] for f in found) == sorted(ends["example"])
        assert {f[1] for f in found} == set(ends["patient"])


def test_training_and_stopping_share_nobody_either(split):
    leaky, pairs, ends = planted(split, "near", trained, stopping)
    with pytest.raises(InputError, match="near duplicates"):
        certificate_of(leaky, pairs=pairs)
    assert set(ends["fold"]) == {1}


def test_copies_that_are_listed_as_a_chain_through_other_examples_are_caught(split):
    a, b = in_parts(split, trained, validated)
    names = split["example"][[a, b]].tolist()
    chain = pairs_of((names[0], "elsewhere", "exact", ""), ("elsewhere", names[1], "exact", ""))
    with pytest.raises(InputError, match="share the very same content"):
        certificate_of(split, pairs=chain)
    near_a_copy = pairs_of(
        (names[0], "elsewhere", "exact", ""), ("elsewhere", names[1], "near", "")
    )
    with pytest.raises(InputError, match="near duplicates"):
        certificate_of(split, pairs=near_a_copy)
    two_near = pairs_of((names[0], "elsewhere", "near", ""), ("elsewhere", names[1], "near", ""))
    assert certificate_of(split, pairs=two_near)["status"] == "clean"


def test_copies_of_what_is_left_out_leak_nothing(split):
    excluded = split["example"][split["test_set"] == "excluded"].iloc[0]
    used = split["example"][split["fold"] == 2].iloc[0]
    assert certificate_of(split, pairs=pairs_of((excluded, used, "exact", "")))["status"] == "clean"


def move_to_training(split, condition):
    split = split.copy()
    i = int(np.flatnonzero(condition(split))[0])
    split.loc[i, ["fold", "inner", "test_set", "patient"]] = [1, 1, "", "somebody new"]
    return split


def undate(split):
    i = int(np.flatnonzero((split["site"] == "south") & (split["fold"] >= 0))[0])
    split = split.copy()
    split.loc[i, "date"] = pd.NaT
    return split


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: move_to_training(s, in_test), "site 'east', fold 1.* is of a held-out site"),
        (
            lambda s: move_to_training(s, lambda s: s["test_set"] == "temporal"),
            "site 'south', fold 1.* is of a held-out site or period but in a fold",
        ),
        (undate, "has no date and may be of a held-out period"),
        (
            lambda s: s.assign(test_set=s["test_set"].replace("external", "temporal")),
            "'east'.*temporal only if its site is trained on",
        ),
        (
            lambda s: s.assign(test_set=s["test_set"].replace("temporal", "external")),
            "'south'.*temporal only if its site is trained on",
        ),
        (
            lambda s: s.assign(site=s["site"].replace("east", "west")),
            "'west'.*of no held-out site or period",
        ),
    ],
)
def test_a_held_out_site_or_period_in_training_or_called_wrongly_stops(split, change, words):
    changed = change(split)
    with pytest.raises(InputError, match=words):
        certificate_of(changed, records=records_of(changed))
    image = dataclasses.replace(OPTIONS, scheme="image")
    with pytest.raises(InputError, match=words):
        certificate_of(changed, image, records=records_of(changed))


def test_both_days_that_bound_a_held_out_period_belong_to_it(cohort):
    table = cohort.copy()
    rows = np.flatnonzero(table["site"] == "south")[:2]
    table.loc[rows, "date"] = pd.to_datetime(["2014-03-01 00:00", "2014-06-30 23:59"])
    table.loc[rows, "patient"] = ["p", "q"]
    held_out = HeldOut("south", since="2014-03", until="2014-06")
    options = dataclasses.replace(OPTIONS, hold_out=(held_out,))
    split = folds.make_split(table, options, 0)
    check = certificate_of(split, options)["checks"][4]
    assert (check["status"], check["compared"]) == ("disjoint", len(folds.test_rows(split)))


def sampled(split, inner=0):
    """Return all training rows of every fold, less an inner part, as a table of samples."""
    return pd.concat(
        [
            folds.training_rows(split, fold, inner)[["row"]].assign(fold=fold, bag=0, inner=inner)
            for fold in range(int(split["fold"].max()) + 1)
        ],
        ignore_index=True,
    )


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (lambda s: folds.validation_rows(s, 2), r"example '.*' \(patient '.*', validation\)"),
        (lambda s: folds.inner_rows(s, 2), r"stopping\)"),
        (folds.test_rows, r"test\)"),
        (lambda s: pd.DataFrame({"row": [77777]}), "row 77777, which the split has not"),
    ],
)
@pytest.mark.parametrize("with_inner", [True, False])
def test_an_under_sample_with_a_row_that_is_not_training_stops(split, part, words, with_inner):
    table = sampled(split)
    table.loc[np.flatnonzero(table["fold"] == 2)[0], "row"] = part(split)["row"].iloc[0]
    if not with_inner:
        table = table.drop(columns="inner")
    with pytest.raises(InputError, match=rf"ratio-3: fold 2: .*{words}.*sample stage again"):
        certificate_of(split, samples={"ratio-3": table})


def test_networks_that_choose_winners_are_certified_with_the_inner_part_that_they_leave_out(split):
    samples = {str(inner): sampled(split, inner) for inner in range(3)}
    assert certificate_of(split, samples=samples)["status"] == "clean"
    wrong = samples["1"].copy()
    chosen = np.flatnonzero(wrong["fold"] == 2)[0]
    wrong.loc[chosen, "row"] = folds.inner_rows(split, 2, 1)["row"].iloc[0]
    with pytest.raises(InputError, match="1: fold 2 without inner part 1"):
        certificate_of(split, samples={**samples, "1": wrong})
    # A copy in inner parts 1 and 2 leaks once one of them is left out, and not before.
    part_2 = lambda s: (s["fold"] == 1) & (s["inner"] == 2)  # noqa: E731
    leaky, pairs, _ = planted(split, "near", trained, part_2)
    assert certificate_of(leaky, pairs=pairs)["status"] == "clean"
    with pytest.raises(InputError, match="near duplicates"):
        certificate_of(leaky, pairs=pairs, samples=samples)


def test_an_under_sample_of_a_fold_that_is_not_there_stops(split):
    table = sampled(split).assign(fold=9)
    with pytest.raises(InputError, match="fold 9"):
        certificate_of(split, samples={"a": table})


def provenance(split, learned_from, fold=1, name="gan"):
    images = pd.DataFrame({"generator": "gan-1", "fold": fold, "example": ["s0", "s1"]})
    images = images.assign(label=[0, 1], latent_seed=[10, 11])
    learned = pd.DataFrame({"example": learned_from["example"].to_numpy()})
    return Provenance(name, images, learned.assign(generator="gan-1", fold=1))


def test_generators_of_training_rows_alone_are_certified(split, tmp_path):
    made = provenance(split, folds.training_rows(split, 1))
    write_provenance(tmp_path / "gan.parquet", made.images, made.learned)
    read = read_provenance(tmp_path / "gan.parquet")
    assert read.images.to_dict("list") == made.images.to_dict("list")
    certificate = certificate_of(split, synthetic=[read])
    assert statuses(certificate)["synthetic images"] == "disjoint"
    table = read_table(tmp_path / "gan.parquet").assign(role="drawn")
    write_table(tmp_path / "gan.parquet", table)
    with pytest.raises(InputError, match="role 'drawn' is neither"):
        read_provenance(tmp_path / "gan.parquet")


@pytest.mark.parametrize(
    ("learned", "words"),
    [
        (lambda s: folds.validation_rows(s, 1), r"fold 1: generator 'gan-1' learned from example"
         r" '.*' \(patient '.*', validation\)"),
        (lambda s: folds.inner_rows(s, 1), r"learned from .*stopping\)"),
        (folds.test_rows, r"learned from .*test\)"),
        (lambda s: s[s["test_set"] == "excluded"], "which is in no part of the fold"),
        (lambda s: pd.DataFrame({"example": ["nobody"]}), "'nobody', which is in no part"),
    ],
)  # fmt: skip
def test_a_generator_that_learned_from_other_than_training_rows_stops(split, learned, words):
    with pytest.raises(InputError, match=words):
        certificate_of(split, synthetic=[provenance(split, learned(split))])


def test_synthetic_images_of_another_fold_s_generator_stop(split):
    rows = folds.training_rows(split, 1)
    with pytest.raises(
        InputError, match=r"'s0' serves fold 2, but its generator .* of folds \[1\]"
    ):
        certificate_of(split, synthetic=[provenance(split, rows, fold=2)])
    with pytest.raises(InputError, match="examples that nothing tells of"):
        certificate_of(split, synthetic=[provenance(split, rows[:0])])
    taken = provenance(split, rows)
    taken.images["example"] = split["example"].iloc[0]
    with pytest.raises(InputError, match="bears the name of another image"):
        certificate_of(split, synthetic=[taken])
    elsewhere = provenance(split, rows)
    elsewhere.images["fold"] = elsewhere.learned["fold"] = 9
    with pytest.raises(InputError, match="fold 9: generator"):
        certificate_of(split, synthetic=[elsewhere])


@pytest.mark.parametrize("column", ["patient", "parent", "example"])
def test_a_base_generator_that_saw_a_patient_slide_or_image_of_the_split_stops(split, column):
    base = pd.DataFrame({"example": ["b0", "b1"], "parent": ["sl0", "sl1"], "patient": ["x", "y"]})
    certificate = certificate_of(split, base_cohorts={"base": base})
    assert statuses(certificate)["base generators"] == "disjoint"
    for condition, words in [(in_test, "test"), (validated, "validation of fold 0")]:
        i = int(np.flatnonzero(condition(split))[0])
        shared = base.copy()
        shared.loc[1, column] = split[column][i]
        with pytest.raises(InputError, match=rf"cohort base: .*{words}\) share the {column}"):
            certificate_of(split, base_cohorts={"base": shared})
    excluded = split[column][split["test_set"] == "excluded"].iloc[0]
    shared = base.assign(**{column: [excluded, "z"]})
    if column != "patient":
        assert certificate_of(split, base_cohorts={"base": shared})["status"] == "clean"


@pytest.mark.parametrize("kind", ["exact", "near"])
def test_a_base_generator_that_saw_a_copy_of_the_split_stops(split, kind):
    base = pd.DataFrame({"example": ["b0", "b1"], "parent": ["sl0", "sl1"], "patient": ["x", "y"]})
    name = split["example"][in_test(split)].iloc[0]
    for ends in [(name, "b1"), ("b1", name)]:
        with pytest.raises(InputError, match=rf"'b1' \(patient 'y'\) and example '{name}' .*dupl"):
            certificate_of(split, pairs=pairs_of((*ends, kind, "")), base_cohorts={"base": base})


def test_image_level_folds_are_leaky_and_counted_but_do_not_stop(cohort):
    options = dataclasses.replace(OPTIONS, scheme="image", hold_out=())
    split = folds.make_split(cohort, options, 0)
    a, b = in_parts(split, trained, validated)
    pairs = pairs_of((split["example"][a], split["example"][b], "near", "flip"))
    certificate = certificate_of(split, options, pairs)
    assert certificate["status"] == "leaky"
    checks = {check["name"]: check for check in certificate["checks"]}
    torn = split.groupby("patient")[["fold", "inner"]].nunique()
    several_folds = torn["fold"] > 1
    assert checks["patients"]["shared"] >= several_folds.sum() > 0
    assert checks["patients"]["compared"] == split["patient"].nunique()
    assert checks["near duplicates"]["shared"] == 1
    assert checks["parents"]["status"] == "disjoint"
    assert "scheme: image" in certificate["notes"][0]


def test_ignored_duplicates_are_leaky_but_a_shared_patient_still_stops(split):
    options = dataclasses.replace(OPTIONS, duplicates="ignore")
    leaky, pairs, _ = planted(split, "exact", trained, validated)
    certificate = certificate_of(leaky, options, pairs)
    assert certificate["status"] == "leaky"
    assert statuses(certificate)["exact duplicates"] == "leaky"
    assert certificate_of(split, options)["status"] == "clean"
    leaky, pairs, _ = planted(split, "patient", trained, validated)
    with pytest.raises(InputError, match="share the patient"):
        certificate_of(leaky, options, pairs)


@pytest.mark.parametrize("kind", ["exact", "near"])
@pytest.mark.parametrize("policy", ["drop", "group"])
def test_patients_who_share_a_dropped_copy_and_are_in_two_parts_may_be_one_person(
    cohort, kind, policy
):
    """Two names with a dozen recordings each, of which two are the same."""
    table = cohort.copy()
    for name, site in [("one", "north"), ("two", "south")]:
        table.loc[np.flatnonzero(table["site"] == site)[:12], "patient"] = name
    ends = [table["example"][table["patient"] == name].iloc[0] for name in ("one", "two")]
    pairs = pairs_of((*ends, kind, ""))
    options = dataclasses.replace(OPTIONS, hold_out=(), duplicates=policy)
    found = set()
    for seed in range(8):
        split = folds.make_split(table, options, seed, pairs)
        certificate = certificate_of(split, options, pairs)
        parts = split[split["fold"] >= 0].groupby("patient")[["fold", "inner"]].first()
        together = parts.loc["one"].equals(parts.loc["two"])
        found.add(together)
        told = [note for note in certificate["notes"] if "share a copy" in note]
        if policy == "group":
            assert together
            assert not told
        else:
            assert told[0].startswith("1 groups of patients share a copy, which was dropped")
            assert f"{1 - together} of them are in two parts" in told[0]
        status, of_patients = ("clean", "disjoint") if together else ("unknown", "unknown")
        assert certificate["status"] == status
        assert statuses(certificate)["patients"] == of_patients
    assert False in found or policy == "group"


def test_a_dropped_copy_whose_owner_has_no_other_recording_leaves_no_doubt(cohort):
    table = cohort.copy()
    # Of two copies the first by name is kept.
    table.loc[101, "patient"] = "only once"
    pairs = pairs_of(("recording 100", "recording 101", "exact", ""))
    options = dataclasses.replace(OPTIONS, hold_out=(), duplicates="drop")
    made = folds.make_split(table, options, 0, pairs)
    assert made["reason"][101].startswith("duplicate")
    certificate = certificate_of(made, options, pairs)
    assert certificate["status"] == "clean"
    assert not any("share a copy" in note for note in certificate["notes"])


def test_without_known_patients_the_certificate_says_what_it_cannot_know(split):
    records = records_of(split)
    records.loc[:9, "patient_known"] = False
    certificate = certificate_of(split, records=records)
    assert certificate["status"] == "unknown"
    assert statuses(certificate)["patients"] == "unknown"
    assert (
        "10 of 900 examples are of recordings whose patient is not known"
        in (certificate["notes"][0])
    )
    leaky, pairs, _ = planted(split, "patient", trained, validated)
    with pytest.raises(InputError, match="share the patient"):
        certificate_of(leaky, pairs=pairs, records=records)


def test_without_a_search_for_copies_the_certificate_says_so(split):
    certificate = certify(split, OPTIONS, 7, None, {}, {}, records_of(split))
    assert certificate["status"] == "unknown"
    assert statuses(certificate)["near duplicates"] == "unknown"


def test_a_patient_at_two_sites_contradictory_copies_and_blank_images_are_noted(cohort):
    table = cohort.copy()
    table.loc[[0, 600], "patient"] = "walker"
    options = dataclasses.replace(OPTIONS, hold_out=())
    by_label = [table["example"][table["label"] == label].iloc[2] for label in (0, 1)]
    for kind in ("exact", "near"):
        pairs = pairs_of((*by_label, kind, ""))
        split = folds.make_split(table, options, 0, pairs)
        facts = {"compared": 1000, "featureless": 25, "method": "none"}
        notes = certify(split, options, 0, pairs, facts, {}, records_of(split))["notes"]
        assert len(notes) == 3
        assert "1 patients are seen at two sites or more, the first 'walker'" in notes[0]
        assert "1 duplicates have different labels" in notes[1]
        assert "25 of 1000 examples show too little" in notes[2]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.assign(example=s["example"].replace("recording 1", "recording 2")),
         "two examples have the example 'recording 2'"),
        (lambda s: s.assign(row=s["row"].replace(1, 2)), "two examples have the row 2"),
        (lambda s: s.assign(parent=s["parent"].replace("recording 1", "lost")),
         "the records have no 'lost'"),
    ],
)  # fmt: skip
def test_one_name_for_two_images_and_tables_of_different_runs_stop(split, change, words):
    with pytest.raises(InputError, match=words):
        certificate_of(change(split), records=records_of(split))


def test_a_list_of_duplicates_of_a_smaller_cohort_and_old_records_stop(split):
    facts = {"compared": 10, "featureless": 0}
    with pytest.raises(InputError, match="compared 10 examples, but the split has 900"):
        certify(split, OPTIONS, 7, pairs_of(), facts, {}, records_of(split))
    for unknown in ({}, {"compared": None}):
        with pytest.raises(InputError, match=r"says None of how many .*run the stage duplicates"):
            certify(split, OPTIONS, 7, pairs_of(), unknown, {}, records_of(split))
    with pytest.raises(InputError, match=r"no column 'patient_known'.*ingest stage again"):
        certificate_of(split, records=records_of(split).drop(columns="patient_known"))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    n_pairs=st.integers(0, 40),
    policy=st.sampled_from(["group", "drop"]),
    hold_out=st.sampled_from([(), (HeldOut("b"),), (HeldOut("a", since=2016),)]),
    recordings_per_patient=st.floats(1, 3),
    inner_folds=st.sampled_from([0, 2, 3]),
)
def test_whatever_is_split_is_certified_clean_and_a_swap_is_always_caught(
    patients, seed, n_pairs, policy, hold_out, recordings_per_patient, inner_folds
):
    generator = np.random.default_rng(seed)
    table = patients({"a": 120, "b": 60}, 0.4, recordings_per_patient, seed % 1000)
    ends = generator.choice(table["example"], (n_pairs, 2))
    ends = ends[ends[:, 0] != ends[:, 1]]
    kinds = np.where(generator.random(len(ends)) < 0.5, "exact", "near")
    pairs = pairs_of(*((a, b, kind, "") for (a, b), kind in zip(ends, kinds, strict=True)))
    options = SplitOptions("apgar", "patient", hold_out, 3, inner_folds, policy)
    try:
        split = folds.make_split(table, options, seed, pairs)
    except InputError:
        assume(False)
    samples = {"s": draw_samples(split, 1.0, 1, seed)}
    certificate = certificate_of(split, options, pairs, samples)
    # Of two who share a dropped copy nobody knows whether they are one person.
    unknown = policy == "drop" and any("share a copy" in note for note in certificate["notes"])
    assert certificate["status"] in (("clean", "unknown") if unknown else ("clean",))
    groups = pd.concat([folds.validation_rows(split, 0), folds.test_rows(split)])["group"]
    counted = [certificate["folds"][0]["validation"]["groups"], certificate["test"]["groups"]]
    assert sum(counted) == groups.nunique()

    in_folds = split[split["fold"] >= 0]
    several = in_folds[in_folds["patient"].duplicated(keep=False)]
    assume(len(several))
    moved = several.index[generator.integers(len(several))]
    swapped = split.copy()
    swapped.loc[moved, "fold"] = (split["fold"][moved] + generator.integers(1, 3)) % 3
    with pytest.raises(InputError, match="share the patient"):
        certificate_of(swapped, options, pairs)


def test_a_study_of_the_papers_size_is_certified_in_two_seconds(patients):
    table = patients({"a": 20000, "b": 13000, "east": 1266}, 0.02)
    options = SplitOptions("apgar", hold_out=(HeldOut("east"),))
    generator = np.random.default_rng(0)
    ends = generator.choice(table["example"], (500, 2), replace=False)
    pairs = pairs_of(*((a, b, "near", "rotate 90") for a, b in ends))
    split = folds.make_split(table, options, 0, pairs)
    samples = {str(inner): sampled(split, inner) for inner in range(2)}
    start = time.process_time()  # whatever else the machine is doing
    certificate = certificate_of(split, options, pairs, samples)
    assert time.process_time() - start < 2
    assert certificate["status"] == "clean"


def run_stage(stage, *arguments):
    return run(stage.main, stage.options(), list(map(str, arguments)))


def test_the_stages_split_and_certify_and_stop_at_a_leak(cohort, tmp_path, capsys):
    copies = cohort["example"][[3, 700]].tolist()
    listed = pairs_of((*copies, "exact", "identity")).assign(row_a=3, row_b=700, lag_s=0.0)
    facts = {"compared": len(cohort), "featureless": 0, "method": "none"}
    path = tmp_path / "apgar-patient-new" / "seed-7.parquet"
    duplicates, records, samples, gan, out = (
        tmp_path / name for name in ("pairs", "records", "samples", "gan", "certificate.json")
    )
    write_duplicates(duplicates, listed, facts)
    write_table(tmp_path / "examples", cohort)
    write_table(records, records_of(cohort).assign(site="x"))
    options = json.dumps(dataclasses.asdict(OPTIONS))
    made = ("--examples", tmp_path / "examples", "--duplicates", duplicates, "--options", options)
    assert run_stage(split_stage, *made, "--seed", 7, "--out", path) == 0
    split = folds.read_split(path)
    assert split["group"][3] == split["group"][700]

    write_table(samples, sampled(split))
    generator = provenance(split, folds.training_rows(split, 1))
    write_provenance(gan, generator.images, generator.learned)
    command = ("--split", path, "--duplicates", duplicates, "--records", records, "--samples",
               samples, "--synthetic", gan, "--out", out)  # fmt: skip
    assert run_stage(certify_stage, *command) == 0
    certificate = json.loads(out.read_text())
    assert (certificate["status"], certificate["split"]) == ("clean", "apgar-patient-new")
    assert list(certificate) == sorted(certificate)

    write_table(samples, sampled(split).assign(row=folds.validation_rows(split, 0)["row"].iloc[0]))
    out.unlink()
    capsys.readouterr()
    assert run_stage(certify_stage, *command) == 1
    message = capsys.readouterr().err
    assert "validation) is among the training rows" in message
    assert "Traceback" not in message
    assert not out.exists()
