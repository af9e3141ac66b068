"""What the rules of generators and of what trains on their images share, as common.smk for all."""

# One folder per generator of a fold, and one of a base generator, which belongs to none.
FOLD = "results/{study}/{preset}/gans/{gan}/{split}/seed-{seed}/fold-{fold}"
BASE = "results/{study}/{preset}/gans/{gan}/base"
# What is drawn to be looked at, as arrays of pixels.
PICTURES = ["pairs", "interpolation", "mixing", "truncation"]


def gans_under(split):
    """Return the generators whose images an arm is trained on under a split."""
    return [gan for gan, of in study.gan_runs if of == split]


def synthetic_folder(gan, split, seed, fold):
    """Return the folder of the synthetic images that one run is trained on."""
    run = f"{gan}/{split}/seed-{study.draw_seed(split, int(seed))}/fold-{fold}"
    return f"{ROOT}/gans/{run}/synthetic-{seed}"


def get_provenance(wildcards):
    """Return where the synthetic images of a split and seed come from, fold by fold."""
    return [
        f"{synthetic_folder(gan, wildcards.split, wildcards.seed, fold)}/provenance.parquet"
        for gan in gans_under(wildcards.split)
        for fold in range(study.folds)
    ]


def bases_under(split):
    """Return cohort and target of the base generators below those of a split."""
    found = []
    for gan in gans_under(split):
        while (base := study.gans[gan].base) is not None:
            found.append(study.gans[base].target)
            gan = base
    return [(study.target_cohorts[target], target) for target in dict.fromkeys(found)]


def get_bases_of_split(wildcards):
    """Return the examples that base generators below a split learned from."""
    return [
        f"{ROOT}/cohorts/{cohort}/{target}/examples.parquet"
        for cohort, target in bases_under(wildcards.split)
    ]


def get_base_digests_of_split(wildcards):
    """Return the digests of those examples."""
    return [labelled(wildcards, *pair).digest for pair in bases_under(wildcards.split)]


def get_base_duplicates(wildcards):
    """Return the copies that the cohorts of those base generators share with a split's own."""
    own = study.cohort_of(wildcards.split)
    cohorts = dict.fromkeys(cohort for cohort, _ in bases_under(wildcards.split))
    others = [cohort for cohort in cohorts if cohort != own]
    return [f"{unit_folder(own)}/duplicates-{other}.parquet" for other in others]


def get_gan_figures():
    """Return the names of the figures of generators, bases first."""
    names = [f"gans-{gan}-base" for gan in study.base_gans]
    return names + [f"gans-{gan}-{split}" for gan, split in study.gan_runs]


def get_synthetic(wildcards):
    """Return the synthetic images of a run, if its arm has a generator, and what is known of them."""
    recipe = study.arms[wildcards.arm]
    if recipe.gan is None:
        return []
    names = ["provenance.parquet", "images.hash", "images.npy"]
    if recipe.synthetic_selection is not None:
        names.append("ratings.parquet")
    run = (wildcards.split, wildcards.seed, wildcards.fold)
    folder = synthetic_folder(recipe.gan, *run)
    return [f"{folder}/{name}" for name in names]


def get_synthetic_options(wildcards, input):
    """Return the options that name them."""
    if not input.synthetic:
        return ""
    folder = Path(input.synthetic[0]).parent
    rated = study.arms[wildcards.arm].synthetic_selection is not None
    ratings = f" --ratings {folder}/ratings.parquet" if rated else ""
    return f"--synthetic {folder}{ratings}"


def get_fold_gans():
    """Return the names of the generators that belong to folds."""
    return [name for name, recipe in study.gans.items() if not recipe.is_base]


def get_gan_recipe(wildcards):
    """Return the keys of a generator as JSON."""
    return as_json(study.gans[wildcards.gan])


def get_gan_classes(wildcards):
    """Return the names of the classes that a generator draws, as JSON."""
    target = study.gans[wildcards.gan].target
    if target is None:
        target = study.splits[wildcards.split].target
    return as_json(class_names(study.targets[target]))


def get_gan_images(wildcards):
    """Return the files of the real images of a generator."""
    target = study.gans[wildcards.gan].target
    if target is None:
        cohort = study.cohort_of(wildcards.split)
    else:
        cohort = study.target_cohorts[target]
    return image_files(cohort, study.default_recipe)


def get_gan_image_digests(wildcards):
    """Return the small files that change when those images do."""
    return digest_files(get_gan_images(wildcards))


def get_base_networks(wildcards):
    """Return the networks that a generator starts from, if it has a base."""
    base = study.gans[wildcards.gan].base
    return [f"{ROOT}/gans/{base}/base/networks.safetensors"] if base else []


def get_base_option(wildcards, input):
    """Return the option that names them."""
    return f"--base {input.base}" if input.base else ""


def get_judge(wildcards):
    """Return weights and options of the run whose classifier is the extractor, if one is."""
    return judge_files(wildcards) if study.gan_quality.extractor == "classifier" else []


def judge_files(wildcards):
    """Return weights and options of the fold's run of the study's default arm."""
    seed = min(s for s in study.seeds if drawn_by(wildcards.split, s) == wildcards.seed)
    run = f"{wildcards.split}/seed-{seed}/fold-{wildcards.fold}"
    folder = f"{ROOT}/runs/{study.default_arm.arm}/{run}"
    return [f"{folder}/weights.safetensors", f"{folder}/options.json"]


def get_judge_option(wildcards, input):
    """Return the option that names its folder."""
    return f"--classifier {Path(input.judge[0]).parent}" if input.judge else ""


def drawn_by(split, seed):
    """Return the seed that drew a split for one of the study's seeds, as paths have it."""
    return str(study.draw_seed(split, seed))


def get_gan_split(wildcards):
    """Return a split file of those that a seed drew: they differ by nothing."""
    seed = min(s for s in study.seeds if drawn_by(wildcards.split, s) == wildcards.seed)
    return f"{ROOT}/splits/{wildcards.split}/seed-{seed}.parquet"


def get_gan_state(wildcards):
    """Return the folder of a generator's resume state, which no rule declares."""
    if not hasattr(wildcards, "split"):
        return f"{ROOT}/state/gans/{wildcards.gan}/base"
    run = f"{wildcards.split}/seed-{wildcards.seed}/fold-{wildcards.fold}"
    return f"{ROOT}/state/gans/{wildcards.gan}/{run}"


def get_using_arms(wildcards):
    """Return the arms under a split that train on a generator's images."""
    return [
        arm
        for arm, split in study.runs
        if split == wildcards.split and study.arms[arm].gan == wildcards.gan
    ]


def get_using_recipes(wildcards):
    """Return what those arms' recipes say of synthetic images, as JSON."""
    recipes = [resolved(study.arms[arm]) for arm in get_using_arms(wildcards)]
    return as_json([{key: of[key] for key in SYNTHETIC_FACTORS} for of in recipes])


def get_using_samples(wildcards):
    """Return what the bags of each of those arms are trained on."""
    folder = f"{ROOT}/splits/{wildcards.split}"
    return [
        f"{folder}/{sampling_of(study.arms[arm])}/seed-{wildcards.draw}.parquet"
        for arm in get_using_arms(wildcards)
    ]


def get_base_target(wildcards):
    """Return cohort and target that a base generator learns from."""
    target = study.gans[wildcards.gan].target
    return study.target_cohorts[target], target


def get_base_examples(wildcards):
    """Return the labelled examples that a base generator learns from."""
    cohort, target = get_base_target(wildcards)
    return f"{ROOT}/cohorts/{cohort}/{target}/examples.parquet"


def get_base_label_digests(wildcards):
    """Return the digest of those labels."""
    return labelled(wildcards, *get_base_target(wildcards)).digest


def get_base_content_digests(wildcards):
    """Return the digest of the images below them."""
    return ingested(wildcards, get_base_target(wildcards)[0]).content_digest


def base_folder(gan):
    """Return the folder of a base generator."""
    return f"{ROOT}/gans/{gan}/base"


def fold_folders(gan, split):
    """Return the folders of a generator's folds under a split, seed by seed."""
    seeds = dict.fromkeys(study.draw_seed(split, seed) for seed in study.seeds)
    return [
        f"{ROOT}/gans/{gan}/{split}/seed-{seed}/fold-{fold}"
        for seed in seeds
        for fold in range(study.folds)
    ]


def all_gan_files(name):
    """Return one file of every generator of the study, bases first."""
    folders = [base_folder(gan) for gan in study.base_gans]
    folders += [f for pair in study.gan_runs for f in fold_folders(*pair)]
    return [f"{folder}/{name}" for folder in folders]


def get_base_cohorts():
    """Return the cohort of every base generator as JSON."""
    cohorts = {
        gan: study.target_cohorts[study.gans[gan].target] for gan in study.base_gans
    }
    return as_json(cohorts)


def get_gan_unit(wildcards):
    """Return what the images of a generator show: windows, images or tiles; or of the first."""
    if hasattr(wildcards, "split"):
        return study.cohorts[study.cohort_of(wildcards.split)].unit
    if hasattr(wildcards, "gan"):
        return study.cohorts[get_base_target(wildcards)[0]].unit
    return study.cohorts[study.cohort_of(study.gan_runs[0][1])].unit


def first_folder(wildcards):
    """Return the folder of a generator's first seed and fold, or of a base generator."""
    if hasattr(wildcards, "split"):
        return fold_folders(wildcards.gan, wildcards.split)[0]
    return base_folder(wildcards.gan)


def get_pictured(wildcards):
    """Return what a figure of a generator shows."""
    folder = first_folder(wildcards)
    names = [f"{name}.npy" for name in ["samples", *PICTURES]]
    names += ["samples.json", "learned.parquet", "memorisation.csv"]
    return [
        f"{folder}/{name}" for name in [*names, "closeness.parquet", "pairs.parquet"]
    ]


def get_pictured_options(wildcards):
    """Return how the generator of a figure was trained."""
    return f"{first_folder(wildcards)}/options.json"


def get_simulated_option(wildcards):
    """Return the option that says that images are simulated, where any are."""
    return "--simulated" if is_simulated() else ""
