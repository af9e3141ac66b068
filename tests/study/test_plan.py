"""A study file becomes a plan, and what is wrong with it is named."""

import copy

import pytest
import yaml

from fewcase.study.errors import InputError
from fewcase.study.models import check_models
from fewcase.study.names import images_of, preparation_of, sampling_of
from fewcase.study.plan import read_study
from fewcase.study.presets import apply_preset
from fewcase.study.words import METADATA_COLUMNS, SHORTCUTS

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


def test_top_3_accuracy_needs_a_target_of_more_than_three_classes():
    def planned(classes, layout, **options):
        study = changed("targets", {"kind": {"rule": "classes", "classes": classes}})
        vary = {"augment": ["none", "cutmix"]}
        study["experiments"] = {"x": {"vary": vary, "layout": layout, **options}}
        return read_study(study).experiments["x"]

    assert planned(list("abcd"), "grid", measure="top3_accuracy").measure == "top3_accuracy"
    matrix = {"layout": "matrix", "measures": ["accuracy", "top3_accuracy"]}
    assert planned(list("abcd"), **matrix).measures == ("accuracy", "top3_accuracy")
    message = r"experiments\.x\.measure: 'top3_accuracy', but target 'kind' has 3 classes"
    with pytest.raises(InputError, match=message):
        planned(list("abc"), "grid", measure="top3_accuracy")
    with pytest.raises(InputError, match=r"x\.measures\[1\]: 'top3_accuracy', but .* 2 classes"):
        planned(list("ab"), **matrix)


def of_scans(**recipe):
    """Return a study of images with some factors of its recipe."""
    study = changed("cohorts", {"scans": {"source": "simulate_oct", "classes": {"CNV": 9}}})
    study["targets"] = {"kind": {"rule": "classes", "classes": ["CNV", "NORMAL"]}}
    study |= {"hold_out": {}, "split": {}}
    study["recipe"] = {**study["recipe"], "neg_per_pos": None, **recipe}
    return study


def test_a_crop_makes_a_version_of_the_images_that_keeps_their_resolution():
    study = read_study(of_scans(crop=96))
    assert images_of(study.default_recipe, "image") == ("crop-96",)
    assert preparation_of("crop-96", study.images)["size"] == 96
    assert preparation_of("plain", study.images) == {
        "grey": False,
        "width_factor": 1.0,
        "fit": "pad",
        "fill": 0,
        "crop": None,
        "size": 224,
    }
    with pytest.raises(InputError, match="crop keeps the resolution"):
        read_study(of_scans(crop=96) | {"images": {"width_factor": 0.5}})
    with pytest.raises(InputError, match="crop says how images are cut out"):
        read_study(changed("recipe", {"model": "resnet18", "weights": "none", "crop": 96}))


def test_what_is_under_sampled_is_said_once():
    recipe = read_study(of_scans(distribution="balanced", training_examples=60)).default_recipe
    assert sampling_of(recipe) == "ratio-all-balanced-examples-60-bags-1"
    with pytest.raises(InputError, match="distribution and neg_per_pos, 2, both say"):
        read_study(of_scans(neg_per_pos=2.0, distribution="balanced"))


def test_the_default_arm_is_explained_and_those_of_named_experiments_networks_alone():
    study = changed("experiments.augmentation.also", [{"model": "logistic"}])
    default = study["recipe"]["model"] + "+weights=none"
    assert read_study(study).explained == [(default, "apgar-patient-b")]
    named = read_study(study | {"explain": {"experiments": ["augmentation"]}}).explained
    assert [arm for arm, _ in named] == [default, f"{default}+cutmix"]
    assert read_study(study | {"explain": {"cases": 0}}).explained == []
    with pytest.raises(InputError, match=r"explain.experiments\[0\]: no experiment 'augmentatio'"):
        read_study(study | {"explain": {"experiments": ["augmentatio"]}})


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


def test_an_arm_beside_the_varied_ones_has_the_recipe_s_own_levels():
    experiment = {
        "vary": {"augment": ["none"], "hold_out": ["b"]},
        "also": [{"model": "resnet10t", "augment": "cutmix"}, {"model": "resnet34"}],
    }
    study = read_study(changed("experiments.augmentation", experiment))
    beside = [arm.factors for arm in study.experiments["augmentation"].arms[1:]]
    assert beside == [
        {"model": "resnet10t", "augment": "cutmix", "hold_out": "b"},
        {"model": "resnet34", "augment": "none", "hold_out": "b"},
    ]


def test_factors_of_images_do_not_name_a_classical_arm():
    study = changed("experiments.augmentation.also", [{"model": "logistic"}])
    assert "logistic" in read_study(study).arms


def test_numbers_in_scientific_notation_are_numbers():
    study = changed("recipe", yaml.safe_load("{model: resnet18, learning_rate: 1e-3}"))
    assert read_study(study).default_recipe.learning_rate == 0.001


def test_varied_numbers_in_scientific_notation_are_numbers_in_tables_too():
    rates = yaml.safe_load("[1e-4, 1e-3, 0.01]")
    study = read_study(changed("experiments.augmentation.vary", {"learning_rate": rates}))
    experiment = study.experiments["augmentation"]
    assert experiment.vary == {"learning_rate": [0.0001, 0.001, 0.01]}
    assert [arm.factors["learning_rate"] for arm in experiment.arms] == [0.0001, 0.001, 0.01]


def test_an_experiment_may_vary_nothing():
    study = read_study(changed("experiments", {"one": {}}))
    assert study.runs == [("resnet18+weights=none", "apgar-patient-b")]


def test_a_model_that_timm_does_not_know_is_named_with_the_nearest_or_a_short_list():
    for model, hint in [("resnet_18", "Did you mean 'resnet18'"), ("qqqq", r" and \d+ more\.")]:
        study = read_study(changed("recipe.model", model))
        with pytest.raises(InputError, match=f"model '{model}', which timm does not.*{hint}") as e:
            check_models(study.arms)
        assert len(str(e.value)) < 600


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
        ("preset", ["full"], r"study\.preset: no preset \['full'\]\. Did you mean 'full'"),
        ("presets", {}, r"study\.preset: no preset 'smoke'\. Name it.*presets: {smoke: {}}"),
        ("presets.smoke", 3, r"study\.presets\.smoke: expected a mapping of keys, found 3"),
        ("presets.smoke", {"preset": "full"}, r"presets\.smoke\.preset: a preset chooses no other"),
        ("folds", "3", r"study\.folds: expected a whole number, found '3'"),
        ("folds", None, r"study\.folds: expected a whole number, found None"),
        ("seeds", ["0"], r"study\.seeds\[0\]: expected a whole number, found '0'"),
        ("seeds", [-1], r"study\.seeds: -1 is negative"),
        ("inner_folds", 1, r"inner_folds: 1 would leave nothing to train on"),
        ("experiments", {}, r"study\.experiments: no experiment\. Name at least one"),
        ("experiments", {"labels": {}}, r"experiments\.labels: the results have 'labels'"),
        ("targets", {}, r"study\.targets: no target\. Name at least one"),
        ("targets", {"window": {"rule": "apgar"}}, r"targets\.window: the results have 'window'"),
        ("targets.apgar.cohort", "cgt", r"cohort: no cohort 'cgt'\. Did you mean 'ctg'"),
        ("targets.apgar", {"rule": ["apgar"]}, r"no rule \['apgar'\]\. Did you mean 'apgar'"),
        ("cohorts", {}, r"study\.cohorts: no cohort\. Name at least one"),
        ("cohorts", {"ctg": {"source": "ctu_uhb"}}, r"study\.data: None, but.*--config data="),
        ("cohorts.ctg.source", ["ctu_uhb"], r"no source \['ctu_uhb'\]\. Did you mean 'ctu_uhb'"),
        ("hold_out", {"b": []}, r"study\.hold_out\.b: the list is empty; name a site"),
        ("hold_out.none", [{"site": "b"}], r"study\.hold_out\.none: .*choose another name"),
        ("hold_out.unused", [{"sit": "a"}], r"hold_out\.unused\[0\]\.sit: .*Did you mean 'site'"),
        ("hold_out.b", [{"site": 7}], r"b\[0\]\.site: expected text, found 7\. Put it in quot"),
        ("split.hold_out", ["b"], r"study\.split\.hold_out: expected text, found \['b'\]"),
        ("images", {"fhr_low": 200, "fhr_high": 50}, r"images\.fhr_low: 200 is not below"),
        ("images", {"uc_low": 120}, r"images\.uc_low: 120 is not below images\.uc_high, 120"),
        ("signal", {"fhr_high": 40}, r"signal\.fhr_low: 50 is not below signal\.fhr_high, 40"),
        ("training", {"compile": False}, r"compile: expected text, found False\. YAML reads yes"),
        ("recipe.weights", "imagnet", r"recipe\.weights: 'imagnet' is.*Did you mean 'imagenet'"),
        ("recipe.weights", "w.pth", r"'w\.pth' is neither imagenet nor none nor a \.safetensors"),
        (
            "experiments.augmentation.vary",
            {"hold_out": [["b"]]},
            r"augmentation: hold_out \['b'\] is not in the study's hold_out",
        ),
        (
            "experiments.augmentation.vary",
            {"fhr_cutoff": ["5", "wide"]},
            r"augmentation\.vary\.fhr_cutoff: expected a number, found 'wide'",
        ),
        (
            "experiments.augmentation.vary",
            {"fhr_cutoff": ["5", 5]},
            r"two of its 2 arms are the same",
        ),
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


def test_an_audit_pairs_every_arm_under_both_schemes_unasked():
    study = read_study(
        changed("experiments", {"leak": {"layout": "audit", "also": [{"model": "logistic"}]}})
    )
    arms = study.experiments["leak"].arms
    assert [(a.arm, a.split) for a in arms] == [
        ("resnet18+weights=none", "apgar-patient-b"),
        ("resnet18+weights=none", "apgar-image-b"),
        ("logistic", "apgar-patient-b"),
        ("logistic", "apgar-image-b"),
    ]
    assert study.splits["apgar-image-b"].is_leaky


@pytest.mark.parametrize("keys", [{"vary": {"scheme": ["patient"]}}, {"fix": {"scheme": "image"}}])
def test_an_audit_of_one_scheme_is_refused(keys):
    with pytest.raises(InputError, match=r"study\.experiments\.leak"):
        read_study(changed("experiments", {"leak": {"layout": "audit", **keys}}))


def test_arms_are_compared_with_the_study_s_default_arm_under_their_own_split():
    vary = {"augment": ["cutmix", "none"], "hold_out": ["none", "b"]}
    study = read_study(changed("experiments", {"e": {"vary": vary}}))
    reference = {"apgar-patient-none": "resnet18+weights=none"}
    reference |= {"apgar-patient-b": "resnet18+weights=none"}
    assert study.experiments["e"].reference == reference


def test_another_reference_is_chosen_by_its_factors_and_must_be_among_the_arms():
    experiment = {"vary": {"augment": ["none", "cutmix"]}, "reference": {"augment": "cutmix"}}
    study = read_study(changed("experiments", {"e": experiment}))
    assert study.experiments["e"].reference == {"apgar-patient-b": "resnet18+weights=none+cutmix"}
    experiment["reference"] = {"augment": "cutout"}
    with pytest.raises(InputError, match=r"experiments\.e\.reference: no arm"):
        read_study(changed("experiments", {"e": experiment}))


def test_without_the_default_arm_the_first_of_a_split_is_its_reference():
    study = read_study(changed("experiments", {"e": {"vary": {"augment": ["cutmix", "cutout"]}}}))
    assert study.experiments["e"].reference == {"apgar-patient-b": "resnet18+weights=none+cutmix"}
    assert set(study.arms) == {
        "resnet18+weights=none",
        "resnet18+weights=none+cutmix",
        "resnet18+weights=none+cutout",
    }


def test_the_default_arm_runs_though_no_experiment_has_it():
    study = read_study(changed("experiments", {"e": {"vary": {"augment": ["cutmix"]}}}))
    assert ("resnet18+weights=none", "apgar-patient-b") in study.runs


def test_every_shortcut_stands_beside_the_models_unless_the_study_says_otherwise():
    assert read_study(STUDY).shortcuts == SHORTCUTS
    assert read_study({**STUDY, "shortcuts": ["prior"]}).shortcuts == ("prior",)
    assert read_study({**STUDY, "shortcuts": []}).shortcuts == ()
    with pytest.raises(InputError, match="Did you mean 'pixels'"):
        read_study({**STUDY, "shortcuts": ["pixel"]})


@pytest.mark.parametrize(
    "name", ["apgar1", "ph", "outcome_code", "birth_weight", "delivery", "minutes_to_delivery"]
)
def test_a_shortcut_on_metadata_may_not_look_at_an_outcome(name):
    target = {"rule": "column", "column": "outcome_code", "positive": ["HIE"]}
    study = changed("targets", {"apgar": {"rule": "any_of", "rules": [target]}})
    with pytest.raises(InputError, match=f"study.metadata\\[1\\]: '{name}' is an outcome"):
        read_study({**study, "metadata": ["site", name]})


@pytest.mark.parametrize("name", ["record", "patient", "start"])
def test_a_shortcut_on_metadata_may_not_know_who_is_who(name):
    with pytest.raises(InputError, match=f"study.metadata\\[0\\]: '{name}' tells one record"):
        read_study({**STUDY, "metadata": [name, "site"]})


@pytest.mark.parametrize(
    ("column", "left"),
    [
        ("gestational_weeks", ("site", "year", "maternal_age")),
        ("site", ("year", "maternal_age", "gestational_weeks")),
        ("date", ("site", "maternal_age", "gestational_weeks")),
        ("ph", METADATA_COLUMNS),
    ],
)
def test_metadata_that_nobody_named_leave_out_what_any_target_is_made_from(column, left):
    below = {"rule": "below", "column": column, "threshold": 37}
    targets = {"apgar": {"rule": "apgar"}, "early": {"rule": "any_of", "rules": [below]}}
    study = {**STUDY, "targets": targets, "split": {"hold_out": "b", "target": "apgar"}}
    assert read_study({**study, "metadata": None}).metadata == left
    assert read_study({**study, "metadata": ["maternal_age"]}).metadata == ("maternal_age",)
    if column in METADATA_COLUMNS:
        with pytest.raises(InputError, match=f"'{column}' is an outcome"):
            read_study({**study, "metadata": [column]})


def test_the_edges_of_a_subgroup_rise():
    subgroups = {"gestation": {"column": "gestational_weeks", "edges": [37, 32]}}
    with pytest.raises(InputError, match=r"subgroups\.gestation\.edges"):
        read_study({**STUDY, "subgroups": subgroups})


def test_winners_are_chosen_by_no_more_inner_parts_than_there_are():
    assert read_study({**STUDY, "inner_folds": 4, "selection_folds": 4}).selection_folds == 4
    with pytest.raises(InputError, match="selection_folds: 5 inner parts"):
        read_study({**STUDY, "inner_folds": 4, "selection_folds": 5})


def test_what_is_done_with_copies_belongs_to_every_split():
    study = read_study({**STUDY, "duplicates": "drop"})
    assert {split.duplicates for split in study.splits.values()} == {"drop"}
    with pytest.raises(InputError, match=r"study\.duplicates: 'keep'"):
        read_study({**STUDY, "duplicates": "keep"})


def test_a_name_too_long_for_a_file_ends_in_a_digest_of_the_rest():
    """Names stay apart, and the files of an arm within what systems allow."""
    factors = {
        "cutout_side": 0.123456789, "cutmix_alpha": 0.987654321, "neg_per_pos": 3.14159265,
        "learning_rate": 0.000123456, "weight_decay": 0.0123456789, "momentum": 0.876543,
        "warmup_epochs": 0.123456, "step_factor": 0.234567, "label_smoothing": 0.0123456,
    }  # fmt: skip
    recipes = [{"model": "resnet18", **factors, "epochs": epochs} for epochs in (5, 6)]
    names = [read_study(changed("recipe", recipe)).default_arm.arm for recipe in recipes]
    assert len(set(names)) == 2
    assert all(name.startswith("resnet18+") and len(name) == 200 for name in names)
