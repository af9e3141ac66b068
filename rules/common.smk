"""What the rules share: the study, wildcard constraints, and functions that name inputs and params.

Every job of a study parses this file again, so it imports nothing heavier than yaml.
"""

import dataclasses
import functools
import hashlib
import json
import os
import re
import shlex
import sys
from pathlib import Path

WORKFLOW = Path(workflow.current_basedir).parent / "workflow"
sys.path.insert(0, str(WORKFLOW))

from fewcase.study.digest import code_digest
from fewcase.study.errors import InputError
from fewcase.study.models import check_models
from fewcase.study.names import channels_of, images_of, preparation_of, sampling_of
from fewcase.study.plan import read_study
from fewcase.study.recipe import SYNTHETIC_FACTORS, resolved, text_of
from fewcase.study.settings import RESULT_KEYS
from fewcase.study.sources import MASKED_SOURCES
from fewcase.study.splits import SamplingOptions
from fewcase.study.targets import class_names, is_ordered
from fewcase.study.words import shortcuts_of
from fewcase.study.yaml_file import check_keys_stand_once

try:
    if workflow.is_main_process:
        for path in workflow.configfiles:
            check_keys_stand_once(Path(path))
    study = read_study(config)
    if workflow.is_main_process:
        check_models(study.arms)
except InputError as error:
    # `from None`: the message names the key and the remedy; a traceback would bury it.
    raise WorkflowError(str(error)) from None

ROOT = f"results/{study.name}/{study.preset}"
# Which keys of `signal` and `training` each stage depends on: a stage reruns for its own alone.
LOWPASS_KEYS = ["lowpass_filter", "lowpass_unit", "lowpass_mirror"]
UC_KEYS = ["uc_normalise"]
CLEANING_KEYS = [
    field.name
    for field in dataclasses.fields(study.signal)
    if field.name not in [*LOWPASS_KEYS, *UC_KEYS, "max_missing"]
]

CHECKLISTS = ["tripod_ai", "claim"]
TABLE_FORMATS = ["csv", "md", "tex"]
FIGURE_FORMATS = ["svg", "png"]


def any_of(names):
    """Return a pattern that matches each of the names and nothing else."""
    return "|".join(re.escape(name) for name in sorted(set(names))) or "(?!)"


def get_classical_arms():
    """Return the names of the arms that are fitted to features."""
    return [name for name, recipe in study.arms.items() if recipe.is_classical]


def get_signal_cohorts():
    """Return the names of the cohorts whose records are signals."""
    return [name for name, cohort in study.cohorts.items() if cohort.is_signal]


def get_image_cohorts():
    """Return the names of the cohorts whose records are images."""
    return [name for name, cohort in study.cohorts.items() if not cohort.is_signal]


def get_channels():
    """Return the names of every image channel that an arm is drawn from."""
    return {
        channel for recipe in study.arms.values() for channel in channels_of(recipe)
    }


def get_variants():
    """Return the names of every version of the images that an arm sees."""
    return {
        variant
        for recipe in study.arms.values()
        for variant in images_of(recipe, "image")
    }


def get_masked_cohorts():
    """Return the names of the cohorts whose images come with masks."""
    cohorts = study.cohorts.items()
    return [name for name, cohort in cohorts if cohort.source in MASKED_SOURCES]


def get_all_seeds():
    """Return the seeds of the study, and those that draw a split for all of them."""
    drawn = {
        study.draw_seed(split, seed) for split in study.splits for seed in study.seeds
    }
    return sorted({*study.seeds, *drawn})


def get_fold_names(inner_parts):
    """Return the folds as paths name them; what leaves out another inner part than 0 says so."""
    return [
        f"{fold}{get_part_name(inner)}"
        for fold in range(study.folds)
        for inner in inner_parts
    ]


def get_part_name(inner):
    """Return what paths say of the inner part that is left out: nothing of part 0."""
    return f"-inner-{inner}" if inner else ""


wildcard_constraints:
    study=re.escape(study.name),
    preset=re.escape(study.preset),
    cohort=any_of(study.cohorts),
    other=any_of(study.cohorts),
    target=any_of(study.targets),
    split=any_of(study.splits),
    arm=any_of(study.arms),
    unit="window|image|tile",
    channel=any_of(get_channels()),
    variant=any_of(get_variants()),
    sampling=any_of(sampling_of(recipe) for recipe in study.arms.values()),
    experiment=any_of(study.experiments),
    checklist=any_of(CHECKLISTS),
    gan=any_of(study.gans),
    draw=any_of(map(str, study.seeds)),
    seed=any_of(map(str, get_all_seeds())),
    fold=any_of(get_fold_names(range(study.selection_folds))),
    left_out="|".join(["(?:)", *map(get_part_name, range(1, study.selection_folds))]),


# Params ----------------------------------------------------------------------------------------


def as_json(value):
    """Return plain values as one line of JSON, the form in which stages take them."""
    if dataclasses.is_dataclass(value):
        value = dataclasses.asdict(value)
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def code_of(script):
    """Return a params function: the digest of a stage script and all that it reaches."""
    return lambda wildcards: code_digest(WORKFLOW / script, WORKFLOW)


def keys_of(section, *keys):
    """Return the named keys of a section of the study as JSON."""
    return as_json({key: getattr(section, key) for key in keys})


@functools.cache
def get_inventory(cohort):
    """Return a hash of the names, sizes and times of a cohort's raw files; none if simulated."""
    if study.cohorts[cohort].is_simulated:
        return None
    digest = hashlib.sha256()
    for place in get_raw_places(cohort):
        for path in sorted(walk_files(place)):
            status = path.stat()
            digest.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def get_raw_places(cohort):
    """Return the files and folders that a cohort is read from, relative to the working directory."""
    options = study.cohorts[cohort].options
    named = ("folder", "table", "signals", "annotations", "mask_folder", "outlines")
    names = [getattr(options, name, None) for name in named]
    names += getattr(options, "folders", ())
    data = study.data or "."
    return [Path(data, name) for name in names if name is not None] or [Path(data)]


def get_data_folder(wildcards):
    """Return the folder that a cohort's images are in: what was simulated, or the study's data."""
    if study.cohorts[wildcards.cohort].is_simulated:
        return f"{ROOT}/cohorts/{wildcards.cohort}/files"
    return study.data or "."


def get_preparation(wildcards):
    """Return how the images of a variant are prepared, as JSON."""
    return as_json(preparation_of(wildcards.variant, study.images))


def walk_files(place):
    """Yield a file, or every file in a folder and the folders below it, linked ones included."""
    if place.is_file():
        yield place
    for folder, _, names in os.walk(place, followlinks=True):
        yield from (Path(folder, name) for name in names)


def get_weights_digest(wildcards):
    """Return a hash of the local file of weights that an arm starts from, if there is one."""
    return digest_of_file(study.arms[wildcards.arm].weights)


@functools.cache
def digest_of_file(path):
    """Return a hash of a file's content; none where there is no such file."""
    if not Path(path).is_file():
        return None
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def get_render_keys(wildcards):
    """Return the keys of `signal` that one channel depends on."""
    signal, _, value = wildcards.channel.partition("-")
    keys = {"fhr": LOWPASS_KEYS, "uc": UC_KEYS, "baseline": []}[signal]
    return keys_of(study.signal, *(keys if value != "none" else []))


def get_axis_keys(wildcards):
    """Return the keys of `images` that one channel depends on."""
    axis = "uc" if wildcards.channel.startswith("uc-") else "fhr"
    return keys_of(study.images, "size", "line_width", f"{axis}_low", f"{axis}_high")


def get_recipe(wildcards):
    """Return the whole recipe of an arm as JSON."""
    return as_json(resolved(study.arms[wildcards.arm]))


def get_split_options(wildcards):
    """Return what fixes a split, apart from its seed, as JSON."""
    return as_json(study.splits[wildcards.split])


def get_sampling(wildcards):
    """Return ratio and bags of a sampling as JSON."""
    recipe = next(
        r for r in study.arms.values() if sampling_of(r) == wildcards.sampling
    )
    keys = [field.name for field in dataclasses.fields(SamplingOptions)]
    return keys_of(recipe, *keys)


def get_state(wildcards):
    """Return the folder of a training's resume state, which no rule declares."""
    run = f"seed-{wildcards.seed}/fold-{wildcards.fold}"
    return f"{ROOT}/state/{wildcards.arm}/{wildcards.split}/{run}"


def get_fold(wildcards):
    """Return the fold of a run."""
    return wildcards.fold.partition("-")[0]


def memory(megabytes):
    """Return a resource function: memory in MB that doubles at each attempt."""
    return lambda wildcards, attempt: megabytes * 2 ** (attempt - 1)


def minutes(limit):
    """Return a resource function: a time limit in minutes that grows with each attempt."""
    return lambda wildcards, attempt: limit * attempt


# Inputs ----------------------------------------------------------------------------------------


# Ingest and cohort are checkpoints, and the rules after them ask for digests of what they made.
# Snakemake plans a rerun of all that follows from a job; asking makes it look again once the job has
# run, and what rests on unchanged recordings and labels is not run after all. The DAG itself is
# known from the study alone.


def get_content_digests(wildcards):
    """Return the digests of the signals, outcomes apart, that a job's images come from."""
    return [
        ingested(wildcards, cohort).content_digest for cohort in get_cohorts(wildcards)
    ]


def get_record_digest(wildcards):
    """Return the digest of a cohort's records, outcomes included."""
    return ingested(wildcards, wildcards.cohort).digest


def get_ingest_refusals(wildcards):
    """Return the table of the records that ingest refused."""
    return ingested(wildcards, wildcards.cohort).rejected


def get_example_digests(wildcards):
    """Return the digests of the labelled examples that a job rests on."""
    return [labelled(wildcards, *pair).digest for pair in get_cohort_targets(wildcards)]


def ingested(wildcards, cohort):
    """Return the outputs of a cohort's ingest, once it has run."""
    by_kind = (checkpoints.ingest_images, checkpoints.ingest)
    return (
        by_kind[study.cohorts[cohort].is_signal]
        .get(study=wildcards.study, preset=wildcards.preset, cohort=cohort)
        .output
    )


def labelled(wildcards, cohort, target):
    """Return the outputs of a cohort's labelling, once it has run.

    Ingest is asked first: what waits for both must be looked at again after each of them, also if
    ingest finds that the labelling need not run.
    """
    ingested(wildcards, cohort)
    return checkpoints.cohort.get(
        study=wildcards.study, preset=wildcards.preset, cohort=cohort, target=target
    ).output


def get_cohort_targets(wildcards):
    """Return cohort and target that a job rests on: its own, its split's, or all in use."""
    if hasattr(wildcards, "target"):
        return [(wildcards.cohort, wildcards.target)]
    if hasattr(wildcards, "split"):
        return [
            (study.cohort_of(wildcards.split), study.splits[wildcards.split].target)
        ]
    return shown_targets()


def get_cohorts(wildcards):
    """Return the cohorts that a job rests on: its own, its split's, or all in use."""
    if hasattr(wildcards, "cohort"):
        return [wildcards.cohort]
    if hasattr(wildcards, "split"):
        return [study.cohort_of(wildcards.split)]
    return sorted({cohort for cohort, _ in shown_targets()})


def class_option(target):
    """Return the option that names a target's classes; nothing for a yes or no."""
    labelling = study.targets[target]
    named = labelling.rule == "classes"
    return f"--classes {shlex.quote(as_json(class_names(labelling)))}" if named else ""


def get_class_option(wildcards):
    """Return the option that names the classes of a job's target."""
    return class_option(wildcards.target)


def get_default_class_option(wildcards):
    """Return the option that names the classes of the study's default target."""
    return class_option(study.splits[study.default_arm.split].target)


def get_ordered_option(wildcards):
    """Return the option by which a split's classes are degrees; nothing where they are not."""
    target = study.targets[study.splits[wildcards.split].target]
    return "--ordered" if is_ordered(target) else ""


def get_labels_options(wildcards):
    """Return the options by which label counts speak of the study's default arm."""
    unit = study.cohorts[study.cohort_of(study.default_arm.split)].unit
    oversampled = " --oversampled" if study.default_recipe.oversample else ""
    return f"--unit-kind {unit}{oversampled}"


def get_target(wildcards):
    """Return the rule that makes a target's labels as JSON."""
    return as_json(study.targets[wildcards.target])


def get_examples(wildcards):
    """Return the labelled examples that a split is made from."""
    target = study.splits[wildcards.split].target
    return f"{ROOT}/cohorts/{study.target_cohorts[target]}/{target}/examples.parquet"


def get_other_labels(wildcards):
    """Return the labelled examples of the cohort's other targets in use, by target."""
    cohort, own = study.cohort_of(wildcards.split), study.splits[wildcards.split].target
    return {
        target: f"{ROOT}/cohorts/{cohort}/{target}/examples.parquet"
        for of, target in used_targets()
        if of == cohort and target != own
    }


def get_other_examples(wildcards):
    """Return the files of labels that a split's scores are judged by besides their own."""
    return list(get_other_labels(wildcards).values())


def get_other_targets(wildcards):
    """Return the same with the names of the targets, as the score stage takes them."""
    return [f"{target}={path}" for target, path in get_other_labels(wildcards).items()]


def get_simulated_files(wildcards):
    """Return the folder of a cohort's simulated images, if it is simulated."""
    simulated = study.cohorts[wildcards.cohort].is_simulated
    return [f"{ROOT}/cohorts/{wildcards.cohort}/files"] if simulated else []


def unit_folder(cohort):
    """Return the folder of what a network sees of a cohort: windows, images or tiles."""
    return f"{ROOT}/cohorts/{cohort}/{study.cohorts[cohort].unit}"


def get_units(wildcards):
    """Return the folder of the windows, images or tiles that a split is made from."""
    return unit_folder(study.cohort_of(wildcards.split))


def get_unit_digest(wildcards):
    """Return the digest of a cohort's windows, images or tiles."""
    return f"{unit_folder(wildcards.cohort)}/examples.hash"


def get_unit_examples(wildcards):
    """Return the table of a cohort's windows, images or tiles."""
    return f"{unit_folder(wildcards.cohort)}/examples.parquet"


def get_unit_refusals(wildcards):
    """Return the table of what was refused when a cohort's records were cut."""
    return f"{unit_folder(wildcards.cohort)}/rejected.parquet"


def get_unit_quality(wildcards):
    """Return the quality of a cohort's windows; images have no such table."""
    is_signal = study.cohorts[wildcards.cohort].is_signal
    return [f"{unit_folder(wildcards.cohort)}/quality.parquet"] if is_signal else []


def get_quality_options(wildcards):
    """Return the options by which windows with too much signal lost are refused.

    Not from the rule's input: what is, Snakemake does not compare with the last run.
    """
    limit = f"--max-missing {study.signal.max_missing}"
    return " ".join(f"--quality {path} {limit}" for path in get_unit_quality(wildcards))


def get_unit_kind(wildcards):
    """Return what a job's examples are: windows, images or tiles."""
    return study.cohorts[get_cohorts(wildcards)[0]].unit


def get_duplicates(wildcards):
    """Return the pairs of examples that are copies of each other."""
    return f"{get_units(wildcards)}/duplicates.parquet"


def get_records(wildcards):
    """Return the records that a split is made from."""
    split = getattr(wildcards, "split", study.default_arm.split)
    return f"{ROOT}/cohorts/{study.cohort_of(split)}/records/records.parquet"


def get_certificates(wildcards):
    """Return the proofs that a job's splits leak nothing: an experiment's, or the default one."""
    if hasattr(wildcards, "experiment"):
        return certificates_of(get_experiment_splits(wildcards))
    return certificates_of([study.default_arm.split])


def get_compared_certificates(wildcards):
    """Return the same of every split under which the study's default arm runs."""
    return certificates_of(get_compared_splits())


def certificates_of(splits):
    """Return the certificate of each of some splits and seeds."""
    return [
        f"{ROOT}/splits/{split}/certificate-seed-{seed}.json"
        for split in splits
        for seed in study.seeds
    ]


def get_pixels(wildcards):
    """Return what colour, histogram and border say of the images of the default arm."""
    return f"{get_units(wildcards)}/pixels.parquet"


def get_quality(wildcards):
    """Return what is missing in each window; nothing of images."""
    is_signal = study.cohorts[study.cohort_of(wildcards.split)].is_signal
    return [f"{get_units(wildcards)}/quality.parquet"] if is_signal else []


def get_record_digests(wildcards):
    """Return the digests of the records, outcomes included, that a job rests on."""
    return [ingested(wildcards, cohort).digest for cohort in get_cohorts(wildcards)]


def get_subgroup_digests(wildcards):
    """Return the same where scores are divided by columns of the records."""
    return get_record_digests(wildcards) if study.subgroups else []


def get_other_label_digests(wildcards):
    """Return the digests of the labels that a split's scores are judged by besides their own."""
    cohort = study.cohort_of(wildcards.split)
    return [
        labelled(wildcards, cohort, target).digest
        for target in get_other_labels(wildcards)
    ]


def get_samples_of_split(wildcards):
    """Return every under-sample that an arm draws from a split and seed."""
    arms = [arm for arm, split in study.runs if split == wildcards.split]
    names = sorted(
        {sampling_of(study.arms[arm]) for arm in [*arms, study.default_arm.arm]}
    )
    folder = f"{ROOT}/splits/{wildcards.split}"
    return [
        f"{folder}/{name}/seed-{wildcards.seed}{get_part_name(inner)}.parquet"
        for name in names
        for inner in range(study.selection_folds)
    ]


def get_sample(wildcards):
    """Return the under-sampled training rows of a run."""
    sampling = sampling_of(study.arms[wildcards.arm])
    left_out = wildcards.fold.removeprefix(get_fold(wildcards))
    folder = f"{ROOT}/splits/{wildcards.split}/{sampling}"
    return f"{folder}/seed-{wildcards.seed}{left_out}.parquet"


def image_files(cohort, recipe):
    """Return the files of the images of a cohort that a recipe asks for."""
    unit = study.cohorts[cohort].unit
    folder = f"{ROOT}/images/{cohort}/{unit}"
    return [f"{folder}/{name}.npy" for name in images_of(recipe, unit)]


def digest_files(paths):
    """Return the small files that change when files of images do."""
    return [path.removesuffix(".npy") + ".hash" for path in paths]


def get_images(wildcards):
    """Return the files of the images of a run."""
    return image_files(study.cohort_of(wildcards.split), study.arms[wildcards.arm])


def get_image_digests(wildcards):
    """Return the small files that change when the image channels of a run do."""
    return digest_files(get_images(wildcards))


def get_features(wildcards):
    """Return the features that a classical arm is fitted to; images have none."""
    is_signal = study.cohorts[study.cohort_of(wildcards.split)].is_signal
    return [f"{get_units(wildcards)}/features.parquet"] if is_signal else []


def run_files(arm, split, name, inner_parts=(0,)):
    """Return one file of every run of an arm under a split, seed by seed and fold by fold."""
    return [
        f"{ROOT}/runs/{arm}/{split}/seed-{seed}/fold-{fold}/{name}"
        for seed in study.seeds
        for fold in get_fold_names(inner_parts)
    ]


def get_predictions(wildcards):
    """Return the predictions of every run of an arm under a split."""
    return run_files(wildcards.arm, wildcards.split, "predictions.parquet")


def get_inner_predictions(wildcards):
    """Return the predictions of the runs that help to choose between arms, if there are any."""
    return run_files(
        wildcards.arm,
        wildcards.split,
        "predictions.parquet",
        range(1, study.selection_folds),
    )


def get_run_options(wildcards):
    """Return what every run of an arm under a split was done with."""
    return run_files(wildcards.arm, wildcards.split, "options.json")


def get_splits(wildcards):
    """Return the files of a split, one per seed."""
    return [
        f"{ROOT}/splits/{wildcards.split}/seed-{seed}.parquet" for seed in study.seeds
    ]


def get_run_names(wildcards):
    """Return seed and fold of every run, in the order of its predictions."""
    return " ".join(
        f"{seed}/{fold}" for seed in study.seeds for fold in range(study.folds)
    )


def get_inner_run_names(wildcards):
    """Return seed, fold and inner part of the runs that help to choose between arms."""
    return " ".join(
        f"{seed}/{fold}/{inner}"
        for seed in study.seeds
        for fold in range(study.folds)
        for inner in range(1, study.selection_folds)
    )


def score_files(wildcards, ending):
    """Return one file of the scores of every arm of an experiment."""
    arms = study.experiments[wildcards.experiment].arms
    return [f"{ROOT}/scores/{arm.split}/{arm.arm}{ending}" for arm in arms]


def get_experiment_scores(wildcards):
    """Return the scores of the arms of an experiment."""
    return score_files(wildcards, ".csv")


def get_experiment_runs(wildcards):
    """Return the scores of each run of the arms of an experiment."""
    return score_files(wildcards, "-runs.csv")


def get_experiment_units(wildcards):
    """Return what the arms of an experiment gave to each example, recording or patient."""
    return score_files(wildcards, "-units.parquet")


def shortcut_files(splits, ending):
    """Return one file of the scores of the shortcut baselines under some splits."""
    if not study.shortcuts:
        return []
    return [f"{ROOT}/scores/{split}/shortcuts{ending}" for split in splits]


def get_shortcuts_of_split(wildcards):
    """Return the shortcut baselines that a split's examples can have, as JSON."""
    known = shortcuts_of(study.cohorts[study.cohort_of(wildcards.split)].unit)
    return as_json([name for name in study.shortcuts if name in known])


def get_window_options(wildcards, input):
    """Return the options that name what is measured of windows alone."""
    if not input.quality:
        return ""
    return f"--quality {input.quality} --features {input.features}"


def get_experiment_splits(wildcards):
    """Return the splits of an experiment, each once."""
    arms = study.experiments[wildcards.experiment].arms
    return list(dict.fromkeys(arm.split for arm in arms))


def get_experiment_shortcuts(wildcards):
    """Return the scores of the shortcut baselines beside an experiment."""
    return shortcut_files(get_experiment_splits(wildcards), ".csv")


def get_experiment_shortcut_runs(wildcards):
    """Return the scores of each run of the shortcut baselines beside an experiment."""
    return shortcut_files(get_experiment_splits(wildcards), "-runs.csv")


def get_experiment_shortcut_units(wildcards):
    """Return what the shortcut baselines beside an experiment gave to each example."""
    return shortcut_files(get_experiment_splits(wildcards), "-units.parquet")


def get_experiment(wildcards):
    """Return what an experiment's table must know besides its scores, as JSON."""
    experiment = study.experiments[wildcards.experiment]
    described = dataclasses.asdict(experiment)
    for arm in described["arms"]:
        arm["leaky"] = study.splits[arm["split"]].is_leaky
    splits = get_experiment_splits(wildcards)
    described["class_names"] = {split: names_of_classes(split) for split in splits}
    described["unit"] = study.cohorts[study.cohort_of(splits[0])].unit
    described["selection"] = experiment.layout in ("grid", "sweep", "matrix")
    described["leaky"] = all(arm["leaky"] for arm in described["arms"])
    described["simulated"] = is_simulated()
    described["published"] = study.paper
    return as_json(described)


@functools.cache
def get_paper_digest():
    """Return a hash of the paper's numbers, if the study has a paper."""
    if study.paper is None:
        return None
    if not Path(study.paper).is_file():
        raise WorkflowError(f"study.paper: no file {study.paper!r} in {os.getcwd()}.")
    return digest_of_file(study.paper)


def get_default_splits(wildcards):
    """Return the split files of the study's default arm, one per seed."""
    return [
        f"{ROOT}/splits/{study.default_arm.split}/seed-{seed}.parquet"
        for seed in study.seeds
    ]


def get_default_samples(wildcards):
    """Return the samples that the study's default arm draws from a split, one per seed."""
    split = getattr(wildcards, "split", study.default_arm.split)
    folder = f"{ROOT}/splits/{split}/{sampling_of(study.default_recipe)}"
    return [f"{folder}/seed-{seed}.parquet" for seed in study.seeds]


def get_default_images(wildcards):
    """Return the images of a cohort, or of a split's, that the study's default arm sees."""
    return image_files(get_cohorts(wildcards)[0], study.default_recipe)


def get_default_image_digests(wildcards):
    """Return the small files that change when those images do."""
    return digest_files(get_default_images(wildcards))


def default_arm_images():
    """Return the images that the study's default arm sees under its own split."""
    cohort = study.cohort_of(study.default_arm.split)
    return image_files(cohort, study.default_recipe)


def names_of_classes(split):
    """Return the names of the classes that a split's labels stand for."""
    return list(class_names(study.targets[study.splits[split].target]))


def default_measure():
    """Return what the first experiment with the study's default arm is about."""
    own = (study.default_arm.arm, study.default_arm.split)
    for experiment in study.experiments.values():
        if own in [(arm.arm, arm.split) for arm in experiment.arms]:
            return (*experiment.measures, experiment.measure)[0]
    return "auc"


def default_unit():
    """Return what the examples of the study's default arm are: windows, images or tiles."""
    return study.cohorts[study.cohort_of(study.default_arm.split)].unit


def default_score(ending):
    """Return a file of the scores of the study's default arm under its own split."""
    return f"{ROOT}/scores/{study.default_arm.split}/{study.default_arm.arm}{ending}"


def get_default_shortcuts(wildcards):
    """Return the scores of the shortcut baselines beside the study's default arm."""
    return shortcut_files([study.default_arm.split], ".csv")


def get_default_shortcut_units(wildcards):
    """Return what those shortcut baselines gave to each example, recording or patient."""
    return shortcut_files([study.default_arm.split], "-units.parquet")


def get_compared_splits():
    """Return the splits under which the study's default arm runs, its own first."""
    own = study.default_arm
    return sorted(
        (split for arm, split in study.runs if arm == own.arm),
        key=lambda split: (split != own.split, split),
    )


def get_compared_scores(wildcards):
    """Return the scores of the study's default arm under each of its splits."""
    return [
        f"{ROOT}/scores/{split}/{study.default_arm.arm}.csv"
        for split in get_compared_splits()
    ]


def get_compared_shortcuts(wildcards):
    """Return the scores of the shortcut baselines under each of those splits."""
    return shortcut_files(get_compared_splits(), ".csv")


def get_shortcuts_content(wildcards):
    """Return what the table of shortcut baselines says beyond its files, as JSON."""
    splits = [
        {
            "name": split,
            "title": split.replace("-", ", "),
            "leaky": study.splits[split].is_leaky,
            "default": split == study.default_arm.split,
        }
        for split in get_compared_splits()
    ]
    arm = study.default_arm.arm
    title = "Shortcut baselines"
    about = {"measure": default_measure(), "unit": default_unit()}
    return as_json(
        {"title": title, "simulated": is_simulated(), "arm": arm, "splits": splits}
        | about
    )


def get_flow_split(wildcards):
    """Return the split, first seed, that a cohort's flow ends in: the default one if it can be."""
    own = study.default_arm.split
    splits = [own, *(split for _, split in study.runs)]
    split = next(s for s in splits if study.splits[s].target == wildcards.target)
    return f"{ROOT}/splits/{split}/seed-{study.seeds[0]}.parquet"


def get_flow_sample(wildcards):
    """Return what the default arm draws from that split."""
    path = Path(get_flow_split(wildcards))
    return str(path.parent / sampling_of(study.default_recipe) / path.name)


def default_cohort_and_target():
    """Return the cohort and target of the study's default arm."""
    split = study.default_arm.split
    return study.cohort_of(split), study.splits[split].target


def get_default_flow(wildcards):
    """Return the counts after each step for the cohort and target of the default arm."""
    cohort, target = default_cohort_and_target()
    return f"{ROOT}/cohorts/{cohort}/{target}/flow.csv"


def get_default_account(wildcards):
    """Return the same as the flow figure has it, to what one network learns from."""
    cohort, target = default_cohort_and_target()
    return f"{ROOT}/tables/flow-{cohort}-{target}.csv"


def get_default_flow_figure(wildcards):
    """Return the flow figure of the cohort and target of the default arm."""
    cohort, target = default_cohort_and_target()
    return f"{ROOT}/figures/flow-{cohort}-{target}.svg"


def get_default_run_options(wildcards):
    """Return what every run of the study's default arm was done with."""
    return run_files(study.default_arm.arm, study.default_arm.split, "options.json")


def get_first_run_options(wildcards):
    """Return what one run of every arm was done with."""
    return [run_files(arm, split, "options.json")[0] for arm, split in study.runs]


def get_all_run_scores(wildcards):
    """Return the scores of each run of every arm."""
    return [f"{ROOT}/scores/{split}/{arm}-runs.csv" for arm, split in study.runs]


def get_checklist(wildcards):
    """Return the items of a reporting checklist."""
    return f"workflow/checklists/{wildcards.checklist}.yaml"


def get_checklist_digest(wildcards):
    """Return a hash of those items."""
    content = (WORKFLOW.parent / get_checklist(wildcards)).read_bytes()
    return hashlib.sha256(content).hexdigest()


def get_experiment_tables():
    """Return the tables of the experiments and of what selection adds to them."""
    return [
        f"{ROOT}/tables/{name}{ending}.csv"
        for name in study.experiments
        for ending in ("", "-selection")
    ]


def default_content(title):
    """Return what a page on the study's default arm says beyond its files, as JSON."""
    return arm_content(title, study.default_arm.arm, study.default_arm.split)


def arm_content(title, arm, split):
    """Return what a page on one arm says beyond its files, as JSON."""
    return as_json(
        {
            "title": title,
            "simulated": is_simulated(),
            "arm": arm,
            "split": split,
            "leaky": study.splits[split].is_leaky,
            "classes": names_of_classes(split),
            "measure": default_measure(),
            "unit": study.cohorts[study.cohort_of(split)].unit,
        }
    )


def get_labels_title(wildcards):
    """Return the heading of the table of label counts."""
    word = " (simulated)" if is_simulated() else ""
    own = study.default_recipe
    sampled = (own.neg_per_pos, own.training_examples) != (None, None)
    sampled = sampled or own.distribution != "natural"
    return f"Label counts{' before and after under-sampling' if sampled else ''}{word}"


def is_simulated():
    """Return whether any record of the study was simulated."""
    return any(cohort.is_simulated for cohort in study.cohorts.values())


def get_step_figures(wildcards):
    """Return the figures of one recording at each step, one per cohort of signals."""
    return [f"{ROOT}/figures/steps-{cohort}.svg" for cohort in get_signal_cohorts()]


def used_targets():
    """Return cohort and target of every split that an experiment uses."""
    targets = {study.splits[split].target for _, split in study.runs}
    return sorted((study.target_cohorts[target], target) for target in targets)


def base_targets():
    """Return cohort and target of every base generator in use."""
    targets = {study.gans[gan].target for gan in study.base_gans}
    return sorted((study.target_cohorts[target], target) for target in targets)


def shown_targets():
    """Return cohort and target of all of those: what the report has flows and pictures of."""
    return sorted({*used_targets(), *base_targets()})


def get_example_figures():
    """Return the names of the figures of some examples of each class of images."""
    images = set(get_image_cohorts())
    return [f"examples-{c}-{target}" for c, target in shown_targets() if c in images]


def get_flows(wildcards):
    """Return the flow of every cohort and target in use."""
    return [
        f"{ROOT}/cohorts/{cohort}/{target}/flow.csv"
        for cohort, target in shown_targets()
    ]


def get_rejected(wildcards):
    """Return the refused records of every cohort and target in use."""
    return [
        f"{ROOT}/cohorts/{cohort}/{target}/rejected.parquet"
        for cohort, target in shown_targets()
    ]


def get_report_content(wildcards):
    """Return what the report says beyond its files, as JSON."""
    return as_json(
        {
            "study": study.name,
            "title": study.title,
            "preset": study.preset,
            "simulated": is_simulated(),
            "experiments": list(study.experiments),
            "cohorts": {name: cohort.source for name, cohort in study.cohorts.items()},
            "unit_kinds": {name: cohort.unit for name, cohort in study.cohorts.items()},
            "split": study.default_arm.split,
            "runs": len(get_all_predictions()),
            "views": get_view_links(),
        }
    )


def get_template_digest():
    """Return a hash of the report's templates, which are no part of its code."""
    digest = hashlib.sha256()
    for path in sorted((WORKFLOW / "report").glob("*.j2")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


# Targets ---------------------------------------------------------------------------------------


def get_table_names():
    """Return the name of every table of the study."""
    flows = [f"flow-{cohort}-{target}" for cohort, target in used_targets()]
    sheets = [*(["reproduction"] if study.paper else []), *CHECKLISTS]
    shortcuts = ["shortcuts"] if study.shortcuts else []
    of_gans = ["gans-quality", "gans-memorisation"] if study.gan_runs else []
    of_maps = ["explanations"] if study.explained else []
    of_maps += ["segmentation", "folds"] if study.segmented else []
    main = [*study.experiments, "labels", "performance", *shortcuts]
    return [*main, *flows, *of_gans, *of_maps, *sheets]


def get_figure_names():
    """Return the name of every figure of the study."""
    steps = [f"steps-{cohort}" for cohort in get_signal_cohorts()]
    without = {"reproduction", "folds", *CHECKLISTS}
    of_tables = [name for name in get_table_names() if name not in without]
    pictures = [*get_example_figures(), *get_gan_figures(), *get_explained_figures()]
    return [*of_tables, *steps, *pictures]


def get_tables():
    """Return every table of the study."""
    return [
        f"{ROOT}/tables/{name}.{ending}"
        for name in get_table_names()
        for ending in TABLE_FORMATS
    ]


def get_displays():
    """Return every table of the study as the report shows it."""
    figures = [*get_example_figures(), *get_gan_figures(), *get_explained_figures()]
    return [
        *(f"{ROOT}/tables/{name}.json" for name in get_table_names()),
        *(f"{ROOT}/figures/{name}.json" for name in figures),
    ]


def get_report_figures():
    """Return the figures of the study that go with a table, as the report shows them."""
    steps = {f"steps-{cohort}" for cohort in get_signal_cohorts()}
    return [
        f"{ROOT}/figures/{name}.svg" for name in get_figure_names() if name not in steps
    ]


def get_all_certificates():
    """Return the certificate of every split in use and seed."""
    return certificates_of(dict.fromkeys(split for _, split in study.runs))


def get_figures():
    """Return every figure of the study."""
    return [
        f"{ROOT}/figures/{name}.{ending}"
        for name in get_figure_names()
        for ending in FIGURE_FORMATS
    ]


def get_all_images():
    """Return every image channel that an arm of an experiment is drawn from."""
    paths = {
        path
        for arm, split in study.runs
        if not study.arms[arm].is_classical
        for path in image_files(study.cohort_of(split), study.arms[arm])
    }
    return sorted(paths)


def get_all_splits():
    """Return every split file and its certificate."""
    return [
        f"{ROOT}/splits/{split}/{name}"
        for split in study.splits
        for seed in study.seeds
        for name in (f"seed-{seed}.parquet", f"certificate-seed-{seed}.json")
    ]


def get_all_predictions():
    """Return the predictions of every run."""
    return [
        path
        for arm, split in study.runs
        for path in run_files(arm, split, "predictions.parquet")
    ]


def get_all_scores():
    """Return the scores of every arm under every split."""
    return [f"{ROOT}/scores/{split}/{arm}.csv" for arm, split in study.runs]
