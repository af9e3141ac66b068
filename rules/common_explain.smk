"""What the rules of explanation maps share: functions that name their inputs and params."""

MOST_LEARNING_ARMS = 12
# Of factors in which an arm differs from the default one, those that tell more than how it is trained.
TELLING_FACTORS = [
    *["model", "augment", "gan", "training_set", "mask_weight", "patch", "crop"],
    *["distribution", "fhr_cutoff", "uc_scale", "baseline"],
]


def map_folders(arm, split, seeds):
    """Return the folders of the maps of an arm under a split, seed by seed and fold by fold."""
    return [
        f"{ROOT}/maps/{arm}/{split}/seed-{seed}/fold-{fold}"
        for seed in seeds
        for fold in range(study.folds)
    ]


def view_of(arm, split):
    """Return the page on which the maps of an arm are read."""
    return f"{ROOT}/maps/{arm}/{split}/view.html"


def get_views():
    """Return the pages of all explained arms."""
    return [view_of(*pair) for pair in study.explained]


def get_view_links():
    """Return the same beside the report, by what they show."""
    own = (study.default_arm.arm, study.default_arm.split)
    return {
        "default arm" if pair == own else f"{pair[0]}, {pair[1]}": view_of(
            *pair
        ).removeprefix(f"{ROOT}/")
        for pair in study.explained
    }


def get_all_checked_maps(wildcards):
    """Return what was measured of the maps of every run that is explained."""
    return [
        f"{folder}/faithfulness.csv"
        for pair in study.explained
        for folder in map_folders(*pair, study.seeds)
    ]


def get_all_map_grids(wildcards):
    """Return the files that change where any of those maps does."""
    return [
        f"{folder}/grids.json" for folder in folders_of(get_all_checked_maps(wildcards))
    ]


def get_view_maps(wildcards):
    """Return the maps that a page is made of: those of the first seed, fold by fold."""
    folders = map_folders(wildcards.arm, wildcards.split, study.seeds[:1])
    return [f"{folder}/grids.json" for folder in folders]


def get_sheet_maps(wildcards):
    """Return the same of the study's default arm."""
    own = study.default_arm
    folders = map_folders(own.arm, own.split, study.seeds[:1])
    return [f"{folder}/grids.json" for folder in folders]


def folders_of(paths):
    """Return the folders of some files."""
    return [str(Path(path).parent) for path in paths]


def get_run(wildcards):
    """Return the folder of a run."""
    run = f"seed-{wildcards.seed}/fold-{wildcards.fold}"
    return f"{ROOT}/runs/{wildcards.arm}/{wildcards.split}/{run}"


def get_map_facts(wildcards):
    """Return what is kept beside the maps of a run, as JSON."""
    is_signal = study.cohorts[study.cohort_of(wildcards.split)].is_signal
    axes = {
        f"{signal}_range": [
            getattr(study.images, f"{signal}_{end}") for end in ("low", "high")
        ]
        for signal in (("fhr", "uc") if is_signal else ())
    }
    return as_json(
        {
            **axes,
            "study": study.name,
            "arm": wildcards.arm,
            "split": wildcards.split,
            "seed": int(wildcards.seed),
            "fold": int(wildcards.fold),
            "leaky": study.splits[wildcards.split].is_leaky,
            "simulated": study.cohorts[study.cohort_of(wildcards.split)].is_simulated,
        }
    )


def get_split_class_option(wildcards):
    """Return the option that names the classes of a job's split."""
    return class_option(study.splits[wildcards.split].target)


def get_span_option(wildcards):
    """Return the option that says what the width of an image spans, where signals are drawn."""
    is_signal = study.cohorts[study.cohort_of(wildcards.split)].is_signal
    return f"--window-minutes {study.signal.minutes}" if is_signal else ""


def get_view_title(wildcards):
    """Return the heading of a page of maps."""
    return f"{study.title}: evidence for and against"


def get_view_digest():
    """Return a hash of the sources of that page, which are no part of its code."""
    digest = hashlib.sha256()
    for path in sorted((WORKFLOW / "report" / "view").iterdir()):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def get_explained_options(wildcards):
    """Return the options by which the table of maps speaks of the study."""
    simulated = " --simulated" if is_simulated() else ""
    return f"--unit-kind {default_unit()}{simulated}"


def get_arm_titles(wildcards):
    """Return what readers know each arm by, as JSON: its model and what is special about it."""
    own = study.default_recipe
    titles = {}
    for name, recipe in study.arms.items():
        differing = {
            key: value
            for key, value in resolved(recipe).items()
            if value != getattr(own, key)
        }
        telling = {key: differing[key] for key in TELLING_FACTORS if key in differing}
        words = [
            str(value) if key == "model" else f"{key} {text_of(value)}"
            for key, value in (telling or differing).items()
        ]
        titles[name] = ", ".join(words) or "default arm"
    # Where two would be called alike, their names tell them apart.
    called = list(titles.values())
    return as_json(
        {
            name: title if called.count(title) == 1 else name
            for name, title in titles.items()
        }
    )


def learning_experiment():
    """Return the experiment whose learning curves are drawn: the first with the default arm."""
    own = (study.default_arm.arm, study.default_arm.split)
    for name, experiment in study.experiments.items():
        if own in [(arm.arm, arm.split) for arm in experiment.arms]:
            return name
    return next(iter(study.experiments))


def learning_arms():
    """Return arm and split of the networks of that experiment, the first of many."""
    arms = study.experiments[learning_experiment()].arms
    networks = [
        (arm.arm, arm.split) for arm in arms if not study.arms[arm.arm].is_classical
    ]
    return networks[:MOST_LEARNING_ARMS]


def has_learning():
    """Return whether there are networks whose learning can be drawn."""
    return bool(learning_arms())


def get_learning_content(wildcards):
    """Return the experiment whose learning curves are drawn, as JSON."""
    wildcards.experiment = learning_experiment()
    return get_experiment(wildcards)


def get_learning_files(wildcards):
    """Return the histories of the arms whose learning is drawn."""
    return [
        path for pair in learning_arms() for path in run_files(*pair, "history.csv")
    ]


def get_learning_options(wildcards):
    """Return what those runs were done with."""
    return [
        path for pair in learning_arms() for path in run_files(*pair, "options.json")
    ]


def get_learning_folders(wildcards):
    """Return the folders of those arms."""
    return [f"{ROOT}/runs/{arm}/{split}" for arm, split in learning_arms()]


def get_learning_certificates(wildcards):
    """Return the certificates of their splits."""
    return certificates_of(dict.fromkeys(split for _, split in learning_arms()))


def get_all_explained_certificates(wildcards):
    """Return the certificates of the splits of all explained arms."""
    return certificates_of(dict.fromkeys(split for _, split in study.explained))


def get_default_predictions(wildcards):
    """Return the predictions of every run of the study's default arm."""
    own = study.default_arm
    return run_files(own.arm, own.split, "predictions.parquet")


def get_default_run_names(wildcards):
    """Return seed and fold of each of them."""
    return [f"{seed}/{fold}" for seed in study.seeds for fold in range(study.folds)]


def get_explained_figures():
    """Return the names of the figures that show what networks learned and what they went by."""
    errors = [] if study.default_recipe.is_classical else ["errors"]
    learning = ["learning"] if has_learning() else []
    maps = (
        ["maps"]
        if (study.default_arm.arm, study.default_arm.split) in study.explained
        else []
    )
    cases = ["cases"] if study.segmented else []
    return [*learning, *errors, *maps, *cases]
