"""What the rules of masks share: functions that name their inputs and params."""

MOST_FOLD_ARMS = 12


def mask_files(cohort, recipe):
    """Return the file of the masks that go with the images of a recipe."""
    return [
        path.removesuffix(".npy") + "-mask.npy" for path in image_files(cohort, recipe)
    ]


def get_masks(wildcards):
    """Return the masks that an arm looks at in training."""
    recipe = study.arms[wildcards.arm]
    cohort = study.cohort_of(wildcards.split)
    return mask_files(cohort, recipe) if recipe.needs_masks else []


def get_mask_digest(wildcards):
    """Return the small file that changes when those masks do."""
    return digest_files(get_masks(wildcards))


def get_mask_option(wildcards):
    """Return the option that names them."""
    return " ".join(f"--masks {path}" for path in get_masks(wildcards))


def segmented_tables(arm, split, seeds):
    """Return what was measured of the masks of an arm's runs, seed by seed and fold by fold."""
    return [
        f"{ROOT}/runs/{arm}/{split}/seed-{seed}/fold-{fold}/masks.parquet"
        for seed in seeds
        for fold in range(study.folds)
    ]


def get_all_segmented(wildcards):
    """Return the same of every arm that learns masks."""
    return [
        path
        for pair in study.segmented
        for path in segmented_tables(*pair, study.seeds)
    ]


def segmented_arm():
    """Return the arm and split whose masks are drawn: the default one, or the first."""
    own = (study.default_arm.arm, study.default_arm.split)
    return own if own in study.segmented else study.segmented[0]


def get_case_tables(wildcards):
    """Return what was measured of its masks under the first seed."""
    return segmented_tables(*segmented_arm(), study.seeds[:1])


def get_case_masks(wildcards):
    """Return its predicted masks."""
    return [
        path.removesuffix(".parquet") + ".npy" for path in get_case_tables(wildcards)
    ]


def get_case_images(wildcards):
    """Return the images that it sees."""
    arm, split = segmented_arm()
    return image_files(study.cohort_of(split), study.arms[arm])


def get_case_truth(wildcards):
    """Return their true masks."""
    arm, split = segmented_arm()
    return mask_files(study.cohort_of(split), study.arms[arm])


def get_case_maps(wildcards):
    """Return its explanation maps under the first seed, if it is explained."""
    if segmented_arm() not in study.explained:
        return []
    folders = map_folders(*segmented_arm(), study.seeds[:1])
    return [f"{folder}/grids.json" for folder in folders]


def get_case_maps_option(wildcards):
    """Return the option that names the folders of those maps."""
    folders = folders_of(get_case_maps(wildcards))
    return f"--maps {' '.join(map(shlex.quote, folders))}" if folders else ""


def get_masked_maps(wildcards):
    """Return the maps of every explained arm that sees the images whose masks are measured."""
    return [
        f"{folder}/grids.json"
        for arm, split in study.explained
        if study.cohort_of(split) == study.cohort_of(segmented_arm()[1])
        and study.arms[arm].crop == study.arms[segmented_arm()[0]].crop
        for folder in map_folders(arm, split, study.seeds)
    ]


def get_segmented_certificates(wildcards):
    """Return the certificates of the splits of all arms that learn masks or are explained."""
    pairs = [*study.segmented, *study.explained]
    return certificates_of(dict.fromkeys(split for _, split in pairs))


def get_fold_scores(wildcards):
    """Return the scores of each run of the arms that stand beside the default one."""
    pairs = [
        (arm.arm, arm.split) for arm in study.experiments[learning_experiment()].arms
    ]
    return [f"{ROOT}/scores/{split}/{arm}-runs.csv" for arm, split in pairs][
        :MOST_FOLD_ARMS
    ]


def get_fold_options(wildcards):
    """Return the options by which the table of folds speaks of the study."""
    measure = default_measure()
    return f"--measure {measure} {get_explained_options(wildcards)}"


def get_fold_certificates(wildcards):
    """Return the certificates of their splits."""
    arms = study.experiments[learning_experiment()].arms
    return certificates_of(dict.fromkeys(arm.split for arm in arms))
