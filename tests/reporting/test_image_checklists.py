"""Checklists of image studies: how tiles were cut, what is trained on, and nothing of signals."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from fewcase.data.files import write_table
from fewcase.reporting.checklist_answers import ANSWERS
from fewcase.reporting.checklists import BLANK, fill, lay_out_checklist, read_checklist
from fewcase.reporting.display import to_markdown
from fewcase.reporting.run_files import RunFiles
from fewcase.splits.flow import follow
from fewcase.splits.sampling import draw_samples
from image_cohorts import given_split, tile_cohort

CHECKLISTS = Path(__file__).parents[2] / "workflow" / "checklists"
TRIPOD, CLAIM = CHECKLISTS / "tripod_ai.yaml", CHECKLISTS / "claim.yaml"
TISSUES = ["AT", "BG", "TUM"]
HISTOLOGY = {
    "study": "histology",
    "title": "Tissue of the bowel",
    "preset": "full",
    "data": "data",
    "seeds": [0, 1],
    "folds": 1,
    "inner_folds": 4,
    "cohorts": {
        "nct": {"source": "tiles", "size": 224},
        "slides": {
            "source": "tiles", "size": 224, "overlap": 112, "min_tissue": 0.5,
            "annotations": "outlines", "magnification": 20, "max_tiles_per_record": 4000,
        },
    },
    "targets": {
        "nine": {"cohort": "nct", "rule": "classes", "classes": ["ADI", "BACK", "TUM"]},
        "tissue": {"cohort": "slides", "rule": "classes", "classes": TISSUES},
    },
    "split": {"target": "tissue", "given": True},
    "recipe": {
        "model": "resnet18", "neg_per_pos": None, "oversample": True, "orient": "dihedral",
        "colour_jitter": 0.2, "through_size": 256,
    },
    "gan": {"size": 256},
    "gans": {
        "base": {"target": "nine"},
        "tuned": {"base": "base", "freeze": {"d": 1, "g": 2}, "kimg": 800},
    },
    "gan_quality": {"extractor": "inception"},
    "experiments": {
        "gans": {
            "vary": {"gan": [None, "tuned"]},
            "fix": {"synthetic_per_class": 5000, "training_set": "synthetic"},
            "also": [{"gan": "tuned", "training_set": None, "synthetic_per_class": None,
                      "synthetic_ratio": 0.5}],
        }
    },
}  # fmt: skip
SIGNAL_WORDS = re.compile(
    r"recording|FHR|\bUC\b|window|hospital|heart|signal|Apgar|bpm|minute|positive|negative", re.I
)


def make_image_run(folder, study=HISTOLOGY, **files):
    """Write the flow, records and study of a run on tiles, and return where they are."""
    (folder / "study.json").write_text(json.dumps(study), encoding="utf-8")
    (folder / "arms.csv").write_text("arm,model\nresnet18,resnet18\n", encoding="utf-8")
    tiles = tile_cohort()
    split = given_split(tiles.cohort)
    tables = (tiles.records, tiles.cohort, tiles.rejected, split, draw_samples(split, None, 1, 0))
    account = follow(*tables, unit="tile", classes=TISSUES)
    account.to_csv(folder / "flow.csv", index=False)
    write_table(folder / "records.parquet", tiles.records)
    summary = [
        ("cv", "auc_pooled", 0.93, 0.90, 0.95, "DeLong, logit"),
        ("cv", "balanced_accuracy", 0.80, 0.75, 0.85, "BCa"),
        ("test", "auc_ensemble", 0.91, 0.88, 0.94, "DeLong, logit"),
        ("test", "balanced_accuracy", 0.78, 0.72, 0.83, "BCa"),
    ]
    columns = ["set", "statistic", "value", "low", "high", "method"]
    scores = pd.DataFrame(summary, columns=columns).assign(runs=2, **{"class": ""})
    scores.to_csv(folder / "scores.csv", index=False)
    return RunFiles(
        study=folder / "study.json",
        arms=folder / "arms.csv",
        account=folder / "flow.csv",
        records=folder / "records.parquet",
        scores=folder / "scores.csv",
        **files,
    )


def image_answers(files, path):
    checklist = read_checklist(path, files.unit)
    return fill(checklist, files, files.study.parent).set_index("item")["answer"]


@pytest.mark.parametrize("path", [TRIPOD, CLAIM])
def test_nothing_of_signals_is_said_of_a_study_of_tiles(tmp_path, path):
    files = make_image_run(tmp_path)
    checklist = read_checklist(path, files.unit)
    filled = fill(checklist, files, tmp_path)
    assert (filled["state"] != BLANK).sum() > 20
    shown = lay_out_checklist(checklist, filled, simulated=True, unit=files.unit)
    text = to_markdown(shown)
    assert SIGNAL_WORDS.findall(text) == []
    assert "All images are simulated" in text
    authors = " ".join(item.authors for item in checklist.items)
    assert "eligibility before images were handed over" in authors


def test_a_run_on_tiles_tells_how_they_were_cut_and_prepared(tmp_path):
    answers = image_answers(make_image_run(tmp_path), CLAIM)
    for text in (
        "tiles of 224 × 224 pixels that overlap by 112, at magnification 20",
        "tiles with less than 50 % of tissue are left out",
        "the class that annotations give to at least 50 % of it",
        "at most 4,000 of an image",
        "resized to 224 × 224 pixels (Lanczos)",
        "brought to 256 pixels and back",
        "The same for all images.",
    ):
        assert text in answers["9"], text
    assert "Each image is cut into tiles" in answers["10"]
    assert "images whose" not in answers["12"]
    assert "tiles whose class is unknown, are left out" in answers["12"]
    assert "no label 5" in answers["12"]
    assert "classes AT, BG, TUM" in answers["14"]


def test_a_run_on_tiles_tells_its_parts_and_classes(tmp_path):
    answers = image_answers(make_image_run(tmp_path), TRIPOD)
    assert (
        "Of 10 images, left out: no class (2); torn file (1); no tile left (1); no label"
        in (answers["6b"])
    )
    assert "Tiles left out of others: too little tissue (47); no annotation (3)." in answers["6b"]
    assert (
        "Training, validation and test parts as the data give them, with seeds 0, 1;"
        in (answers["12a"])
    )
    assert "Tiles: training 4, validation 4, early stopping 7, internal test 5." in answers["12a"]
    assert "10 images of 7 patients; 5 of 4 are used, cut into 20 tiles." in answers["20a"]
    assert "internal test: 1 of 1 patients, 5 tiles (2 AT, 2 BG, 1 TUM)" in answers["21"]
    assert "internal test: south, 40.0 % AT, 40.0 % BG, 20.0 % TUM" in answers["16"]
    assert "balanced accuracy 0.780 [0.720–0.830]" in answers["23a"]
    assert "Scores are averaged over each tile." in answers["12g"]
    external = image_answers(make_image_run(tmp_path), CLAIM)["33"]
    assert external == "No site was held out."


def test_augmentation_and_class_balance_are_told(tmp_path):
    answers = image_answers(make_image_run(tmp_path), CLAIM)
    assert "images are mirrored and turned by quarters at random" in answers["25"]
    assert "brightness, contrast and saturation times 0.8 to 1.2" in answers["25"]
    assert "draws every class equally often" in answers["19"]
    assert "ratio of the training set" not in answers["19"]


def test_generators_are_told_with_their_bases_and_what_is_made_of_their_images(tmp_path):
    answer = image_answers(make_image_run(tmp_path), CLAIM)["25"]
    for text in (
        "Generator base: StyleGAN2 at 256 × 256 pixels",
        "trained on all of cohort nct with its target nine",
        "Generator tuned: StyleGAN2",
        "trained for each fold on its training part alone, starting from generator base with "
        "blocks frozen (1 of the discriminator, 2 of the generator)",
        "at most 800 thousand images",
        "synthetic alone (tuned: 5,000 of each class)",
        "real and synthetic (tuned: 0.5 for each real one)",
        "The default arm is trained on real images alone.",
    ):
        assert text in answer, text
    without = {key: value for key, value in HISTOLOGY.items() if not key.startswith("gan")}
    without["experiments"] = {"models": {"vary": {"model": ["resnet18", "resnet34"]}}}
    files = make_image_run(tmp_path, without)
    assert ANSWERS["generators"](files) is None
    assert "Generator" not in image_answers(files, CLAIM)["25"]


def test_whole_images_are_one_example_each(tmp_path):
    study = {**HISTOLOGY, "cohorts": {"scans": {"source": "image_folder"}}, "folds": 5}
    study["targets"] = {"kind": {"rule": "classes", "classes": TISSUES}}
    study |= {"split": {}, "gans": {}, "gan": {}, "experiments": {"m": {"vary": {"bags": [1]}}}}
    files = make_image_run(tmp_path, study)
    answers = image_answers(files, CLAIM)
    assert "Each image is used as a whole, as one example." in answers["10"]
    assert "tile" not in answers["9"]
    assert "5-fold cross-validation by patient" in answers["19"]
    assert "stratified by label and site" in answers["19"]


def test_a_study_of_recordings_and_images_tells_each_cohort_by_its_name(tmp_path):
    study = {**HISTOLOGY, "preset": "smoke"}
    study["cohorts"] = {
        **HISTOLOGY["cohorts"],
        "ctg": {"source": "simulate_ctg", "hospitals": {"b": {"recordings": 60}}},
    }
    study["targets"] = {
        **HISTOLOGY["targets"],
        "apgar": {"cohort": "ctg", "rule": "apgar"},
    }
    answers = image_answers(make_image_run(tmp_path, study), TRIPOD)
    assert "Cohort slides: images (source tiles)." in answers["5a"]
    assert "Cohort ctg: simulated recordings, of no person" in answers["5a"]
    assert "All recordings are simulated." in answers["26"]
