"""A study file becomes a plan, and what is wrong with it is named."""

import copy

import pytest
import yaml

from fewcase.study.errors import InputError
from fewcase.study.plan import apply_preset, read_study

STUDY = {
    "study": "small",
    "preset": "smoke",
    "seeds": [0, 1],
    "folds": 3,
    "cohorts": {
        "ctg": {
            "source": "simulate_ctg",
            "hospitals": {"a": {"recordings": 10}, "b": {"recordings": 10}},
        }
    },
    "targets": {"apgar": {"rule": "apgar"}},
    "hold_out": {"b": [{"site": "b"}]},
    "split": {"hold_out": "b"},
    "recipe": {"model": "resnet18", "weights": "none"},
    "experiments": {"augmentation": {"vary": {"augment": ["none", "cutmix"]}}},
    "presets": {"smoke": {}, "full": {"folds": 10}},
}


def changed(path, value):
    """Return the study above with the key at a dotted path replaced."""
    study = copy.deepcopy(STUDY)
    *folders, last = path.split(".")
    place = study
    for key in folders:
        place = place[key]
    place[last] = value
    return study


def test_arms_are_named_by_what_differs_from_the_library_and_not_from_the_study():
    study = read_study(STUDY)
    assert list(study.arms) == ["resnet18+weights=none", "resnet18+weights=none+cutmix"]
    same = read_study(changed("recipe", {"model": "resnet18", "weights": "none", "bags": 1}))
    assert list(same.arms) == list(study.arms)


def test_two_experiments_that_need_the_same_arm_share_its_runs():
    experiments = {
        "first": {"vary": {"augment": ["none", "cutmix"]}},
        "second": {"vary": {"augment": ["cutmix", "cutout"]}},
    }
    study = read_study(changed("experiments", experiments))
    assert len(study.runs) == 3


def test_a_preset_merges_mappings_and_replaces_lists():
    study = changed("presets.smoke", {"seeds": [7], "recipe": {"epochs": 2}})
    effective = apply_preset(study)
    assert effective["seeds"] == [7]
    assert effective["recipe"] == {"model": "resnet18", "weights": "none", "epochs": 2}


def test_a_model_of_a_preset_leaves_no_options_of_the_model_it_replaces():
    study = changed("recipe.model", {"name": "vit_small_patch16_224", "depth": 4})
    study["presets"]["smoke"] = {"recipe": {"model": {"name": "resnet18"}}}
    assert read_study(study).default_arm.arm == "resnet18+weights=none"


def test_an_experiment_may_vary_the_held_out_sites():
    study = changed("experiments", {"sites": {"vary": {"hold_out": ["none", "b"]}}})
    assert set(read_study(study).splits) == {"apgar-patient-none", "apgar-patient-b"}


def test_factors_of_images_do_not_name_a_classical_arm():
    study = changed("experiments.augmentation.also", [{"model": "logistic"}])
    assert "logistic" in read_study(study).arms


def test_numbers_in_scientific_notation_are_numbers():
    study = changed("recipe", yaml.safe_load("{model: resnet18, learning_rate: 1e-3}"))
    assert read_study(study).default_recipe.learning_rate == 0.001


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("sseeds", [0], r"study\.sseeds: unknown key .*Did you mean 'seeds'"),
        ("recipe.epochs", "ten", r"recipe\.epochs: expected a whole number, found 'ten'"),
        ("recipe.epochs", True, r"recipe\.epochs: expected a whole number, found True"),
        ("recipe.augment", "cutmixx", r"recipe\.augment: 'cutmixx'.*Did you mean 'cutmix'"),
        ("recipe.bathc_size", 8, r"bathc_size.*Did you mean 'batch_size'"),
        ("folds", 1, r"study\.folds: 1 is no cross-validation; give 2 or more"),
        ("seeds", [], r"study\.seeds: the list is empty"),
        ("seeds", [1, 1], r"study\.seeds: .* names a seed twice"),
        ("preset", "fulll", r"study\.preset: no preset 'fulll'\. Did you mean 'full'"),
        ("cohorts.ctg.source", "ctu", r"cohorts\.ctg\.source: no source 'ctu'"),
        ("split.hold_out", "c", r"hold_out 'c' is not in the study's hold_out"),
        ("split.target", "ph", r"target 'ph' is not in the study's targets"),
        ("images", {"size": 100}, r"images\.size: 100 is no multiple of 8"),
        (
            "experiments.augmentation.vary",
            {"dropout": [0.1]},
            r"vary\.dropout: no such factor",
        ),
        (
            "experiments.augmentation.vary",
            {"augment": "cutmix"},
            r"vary\.augment: expected a list of values, found 'cutmix'",
        ),
        (
            "experiments.augmentation.vary",
            {"augment": ["cutmix", "cutmix"]},
            r"two of its 2 arms are the same",
        ),
        ("experiments.augmentation.layout", "pie", r"layout: 'pie' is not one of"),
        ("study", "my study", r"'my study' names a folder"),
        ("targets.apgar", {"rule": "agpar"}, r"no rule 'agpar'\. Did you mean 'apgar'"),
    ],
)
def test_a_mistake_in_a_study_file_is_named_with_its_remedy(path, value, message):
    with pytest.raises(InputError, match=message):
        read_study(changed(path, value))
