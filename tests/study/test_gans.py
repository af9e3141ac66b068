"""Generators of a study are read, checked against their bases, and asked for by arms."""

import copy

import pytest

from fewcase.study.errors import InputError
from fewcase.study.plan import read_study

STUDY = {
    "study": "small",
    "preset": "smoke",
    "seeds": [0, 1],
    "folds": 3,
    "images": {"size": 64},
    "cohorts": {
        "ctg": {"source": "simulate_ctg", "hospitals": {"a": {"recordings": 10}}},
    },
    "targets": {
        "apgar": {"rule": "apgar"},
        "ph": {"rule": "below", "column": "ph", "threshold": 7},
    },
    "split": {"target": "apgar"},
    "recipe": {"model": "resnet18", "weights": "none"},
    "gan": {"size": 64, "channel_max": 64},
    "gans": {
        "base": {"target": "ph"},
        "scratch": {},
        "tuned": {"base": "base"},
        "frozen": {"base": "base", "freeze": {"d": 1, "g": 2}},
    },
    "gan_quality": {"extractor": "resnet18", "weights": "none"},
    "experiments": {
        "data": {"fix": {"training_set": "synthetic"}, "vary": {"gan": [None, "scratch", "tuned"]}}
    },
    "presets": {"smoke": {}},
}


def changed(path, value):
    study = copy.deepcopy(STUDY)
    *folders, last = path.split(".")
    place = study
    for key in folders:
        place = place.setdefault(key, {})
    place[last] = value
    return study


def test_generators_share_keys_and_the_needed_ones_are_planned_once():
    study = read_study(STUDY)
    assert study.gans["frozen"].size == 64
    assert study.gan_runs == [("scratch", "apgar-patient-none"), ("tuned", "apgar-patient-none")]
    assert study.base_gans == ["base"]


def test_without_a_generator_an_arm_is_the_one_of_real_images():
    arms = list(read_study(STUDY).arms)
    assert arms == [
        "resnet18+weights=none",
        "resnet18+weights=none+gan=scratch+training_set=synthetic",
        "resnet18+weights=none+gan=tuned+training_set=synthetic",
    ]


def test_real_and_synthetic_images_together_are_what_a_generator_means_by_itself():
    experiment = {"vary": {"training_set": ["real", "both"]}, "fix": {"gan": "scratch"}}
    arms = list(read_study(changed("experiments.data", experiment)).arms)
    assert arms == ["resnet18+weights=none", "resnet18+weights=none+gan=scratch"]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("gans.tuned.base", "bass", "no generator 'bass'. Did you mean 'base'"),
        ("gans.tuned.base", "scratch", "learns from the rows of folds"),
        ("gans.base.base", "base", "'base' starts from itself"),
        ("gans.base.target", "apga", "no target 'apga'"),
        ("gans.scratch.freeze", {"d": 1}, "starts from no base"),
        ("gans.frozen.freeze", {"d": 6}, "6 blocks of 4 that there are at 64 pixels"),
        ("gans.base.channel_max", 32, r"gans.tuned.channel_max: 64, but its base 'base' has 32"),
        ("gans.scratch.size", 100, r"scratch.size: 100 is not one of"),
        ("gans.scratch.gammma", 1, "gammma: unknown key"),
        ("images.size", 48, "Give through_size: 64"),
        ("selection_folds", 2, "give 1"),
        ("gan_quality.extractor", "classifier", "the base generator 'base' belongs to no fold"),
        ("experiments.data.vary.gan", ["base"], "'base' is a base generator"),
        ("experiments.data.vary.gan", ["new"], "no generator 'new'"),
        ("recipe.training_set", "both", "no generator is named"),
    ],
)
def test_what_cannot_be_generated_is_named_before_anything_runs(path, value, message):
    study = changed(path, value)
    with pytest.raises(InputError, match=message):
        read_study(study)


def test_an_arm_sees_the_images_that_its_generator_learned_from():
    study = changed("experiments.data.fix", {"fhr_cutoff": 5})
    with pytest.raises(InputError, match="its generator learns from images of"):
        read_study(study)


def test_a_resized_arm_may_use_a_generator_of_another_size():
    study = changed("images.size", 48)
    study["experiments"]["data"]["fix"]["through_size"] = 64
    assert len(read_study(study).gan_runs) == 2


def test_the_classifier_that_judges_synthetic_images_has_seen_none():
    study = changed("recipe.gan", "scratch")
    study["recipe"]["synthetic_selection"] = 0.5
    with pytest.raises(InputError, match="trained on whole real ones"):
        read_study(study)
