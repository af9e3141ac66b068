"""What the plan of a study says about the questions of reporting checklists: what was done."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd

from fewcase.data.files import read_table
from fewcase.reporting import checklist_images
from fewcase.reporting.run_files import Answer, RunFiles, known
from fewcase.reporting.text import count, counted, factor_value, plain
from fewcase.splits.flow import IN_PART, LEFT_OUT
from fewcase.study.errors import InputError
from fewcase.study.settings import SignalOptions
from fewcase.study.words import NOUNS, records_of


def title(files: RunFiles) -> Answer:
    """Title and kind of study."""
    study = files.plan
    models = dict.fromkeys(recipe.model for recipe in study.arms.values())
    text = f"Study {study.name}: {study.title}. Models: {', '.join(models)}"
    text += "; developed and evaluated in the same study."
    text += f" {files.all_simulated}" if files.simulated else ""
    return Answer(text, known(files.study, files.arms))


def data_source(files: RunFiles) -> Answer:
    """Where the data come from."""
    parts = []
    for name, cohort in files.plan.cohorts.items():
        records = NOUNS[cohort.unit].records
        kind = f"simulated {records}, of no person" if cohort.is_simulated else records
        parts.append(f"Cohort {name}: {kind} (source {cohort.source}).")
    return Answer(" ".join(parts), (files.study,))


def dates(files: RunFiles) -> Answer | None:
    """From when to when."""
    if files.records is None:
        return None
    table = read_table(files.records, columns=["site", "date"])
    dated = table.assign(date=pd.to_datetime(table["date"])).dropna(subset=["date"])
    if dated.empty:
        return Answer(f"No {files.nouns.record} has a date.", (files.records,))
    ranges = [
        f"{plain(site) or 'no site'} {part.min():%Y-%m-%d} to {part.max():%Y-%m-%d}"
        for site, part in dated.groupby("site")["date"]
    ]
    undated = len(table) - len(dated)
    rest = f"; {count(undated)} without a date" if undated else ""
    records = files.nouns.records.capitalize()
    return Answer(f"{records}: {'; '.join(ranges)}{rest}.", (files.records,))


def sites(files: RunFiles) -> Answer | None:
    """Which sites, with how many records."""
    if not files.boxes or files.account is None:
        return None
    sites = files.boxes[0].sites
    listed = ", ".join(f"{site or 'no site'} {count(n)}" for site, n in sites.items())
    nouns = files.nouns
    called = nouns.site if len(sites) == 1 and files.unit != "window" else nouns.sites
    return Answer(f"{len(sites)} {called}; {nouns.records}: {listed}.", (files.account,))


def eligibility(files: RunFiles) -> Answer | None:
    """What was left out and why."""
    if not files.boxes or files.account is None:
        return None
    left = [
        f"{plain(box.reason)} ({count(box.records)})" for box in files.boxes if box.kind == LEFT_OUT
    ]
    first = files.boxes[0]
    nouns = files.nouns
    text = f"Of {count(first.records)} {nouns.records}, left out: {'; '.join(left) or 'none'}."
    in_part = [
        f"{plain(box.reason)} ({'some' if box.examples is None else count(box.examples)})"
        for box in files.boxes
        if box.kind == IN_PART
    ]
    if in_part:
        text += f" {nouns.examples.capitalize()} left out of others: {'; '.join(in_part)}."
    return Answer(text, (files.account,))


def _window(signal: SignalOptions) -> str:
    if signal.window == "all":
        return f"All consecutive windows of {signal.minutes:g} min, back from the end"
    return f"The {signal.window} {signal.minutes:g} min"


def preprocessing(files: RunFiles) -> Answer:
    """From raw data to the input of a network."""
    if files.unit != "window":
        return checklist_images.preprocessing(files)
    signal, images = files.plan.signal, files.plan.images
    text = (
        f"{_window(signal)} of each recording; FHR outside "
        f"{signal.fhr_low:g} to {signal.fhr_high:g} bpm, steps of {signal.jump_bpm:g} bpm and "
        f"values {signal.block_bpm:g} bpm from the mean of their {signal.block_s:g} s are missing "
        f"and interpolated; UC averaged over {signal.uc_average_s:g} s and smoothed; drawn at "
        f"{images.size} × {images.size} pixels. The same for all recordings."
    )
    return Answer(text, (files.study,))


def outcome(files: RunFiles) -> Answer:
    """The rule of the label."""
    study = files.plan
    name = study.splits[study.default_arm.split].target
    rule = dataclasses.asdict(study.targets[name])
    text = ", ".join(f"{key} {factor_value(value)}" for key, value in rule.items())
    others = [other for other in study.targets if other != name]
    more = f" Other targets of the study: {', '.join(others)}." if others else ""
    return Answer(f"Target {name}: {text}.{more}", (files.study,))


def predictors(files: RunFiles) -> Answer:
    """What models see."""
    if files.unit != "window":
        return checklist_images.predictors(files)
    study = files.plan
    kinds = []
    if any(not recipe.is_classical for recipe in study.arms.values()):
        kinds.append("images of FHR, UC and FHR baseline over time")
    if any(recipe.is_classical for recipe in study.arms.values()):
        kinds.append("features of FHR for the classical arms")
    text = f"{'; '.join(kinds)}. Metadata are no input of the models."
    return Answer(text[:1].upper() + text[1:], known(files.study, files.arms))


def partitions(files: RunFiles) -> Answer:
    """How the data were divided."""
    study, nouns = files.plan, files.nouns
    split = study.splits[study.default_arm.split]
    held = ", ".join(map(str, split.hold_out))
    seeds = ", ".join(map(str, study.seeds))
    if split.given:
        how = f"Training, validation and test parts as the data give them, with seeds {seeds}"
    else:
        how = f"{split.folds}-fold cross-validation by {split.scheme} with seeds {seeds}, "
        how += f"stratified by label and {nouns.site}"
        if split.draw_seed is not None:
            how += ", the folds being the same for all seeds"
    text = f"{how}; {_inner_parts(split.inner_folds)}; held out for testing: {held or 'nothing'}."
    if split.is_leaky:
        text += f" Leaky: {nouns.records} of one patient may be in training and validation."
    counted = nouns.examples if files.unit == "tile" else nouns.records
    sizes = []
    for name, box in files.parts:
        number = box.examples if files.unit == "tile" else box.records
        sizes.append(f"{name} {count(number or 0)}")
    if sizes:
        text += f" {counted.capitalize()}: {', '.join(sizes)}."
    return Answer(text, known(files.study, files.account))


def _inner_parts(number: int) -> str:
    if not number:
        return "no inner part for early stopping"
    return f"{number} inner parts of each training fold, one kept for early stopping"


def model(files: RunFiles) -> Answer:
    """The default arm's model."""
    study = files.plan
    recipe = study.default_recipe
    text = f"Default arm {study.default_arm.arm}: model {recipe.model}"
    if "parameters" in files.run_options:
        text += f", {count(files.run_options['parameters'])} parameters"
    text += f"; {len(study.arms)} arms in all, each spelled out."
    return Answer(text, known(files.arms, *files.options[:1]) or (files.study,))


def training(files: RunFiles) -> Answer:
    """How it is trained."""
    recipe = files.plan.default_recipe
    source = files.options[:1] or (files.study,)
    if recipe.is_classical:
        return Answer(f"{recipe.model} fitted to features of the training part.", source)
    text = (
        f"{recipe.optimizer}, learning rate {recipe.learning_rate:g} ({recipe.schedule}, warm-up "
        f"{recipe.warmup_epochs:g} epochs), weight decay {recipe.weight_decay:g}, batches of "
        f"{recipe.batch_size}, at most {recipe.epochs} epochs, label smoothing "
        f"{recipe.label_smoothing:g}; augmentation: {recipe.augment}"
        f"{checklist_images.augmentation(recipe)}."
    )
    return Answer(text, source)


def selection(files: RunFiles) -> Answer:
    """Which weights, and how winners are chosen."""
    study = files.plan
    patience = study.default_recipe.patience
    text = (
        "Weights of the last epoch are kept."
        if patience is None
        else f"Training stops after {patience} epochs without a better AUC on the inner part kept "
        "for it, and the best weights are kept; validation and test take no part."
    )
    selections = [
        path for path in files.tables if path.stem.endswith("-selection") and _has_rows(path)
    ]
    if selections:
        text += " The winner of each grid or sweep has its nested value beside the flat one."
    return Answer(text, (files.study, *selections))


def _has_rows(path: Path) -> bool:
    """Return whether a table says anything: that of an experiment without winners does not."""
    try:
        return not pd.read_csv(path, dtype=str).empty
    except pd.errors.EmptyDataError:
        return False
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no readable CSV table ({error}).") from None


def ensembling(files: RunFiles) -> Answer:
    """How scores are combined."""
    study = files.plan
    runs = counted(len(study.seeds) * study.folds, "run")
    bags = study.default_recipe.bags
    nouns = files.nouns
    if study.splits[study.default_arm.split].given:
        text = f"On validation and test parts the score is the mean over {runs}"
    else:
        text = (
            f"In cross-validation each {nouns.record} is scored by the run that did not see it; on "
            f"test sets the score is the mean over {runs}"
        )
    text += f", each the mean of {bags} bags." if bags > 1 else "."
    unit = study.unit
    if files.unit != "window":
        unit = {"example": nouns.example, "parent": nouns.record}.get(unit, unit)
    text += f" Scores are averaged over each {unit}."
    return Answer(text, (files.study,))


def imbalance(files: RunFiles) -> Answer:
    """What is done about rare classes."""
    recipe = files.plan.default_recipe
    if recipe.neg_per_pos is None:
        text = "No under-sampling."
    else:
        text = (
            f"Negatives of the training part are under-sampled to {recipe.neg_per_pos:g} per "
            "positive, anew in each fold and seed; validation and test keep all."
        )
    if recipe.oversample:
        text += " Training draws every class equally often, repeating examples of rarer ones."
    elif recipe.ratio_batches and not recipe.is_classical:
        text += " Mini-batches keep the ratio of the training set."
    table = files.score_table
    methods = table["method"][(table["statistic"] == "brier") & table["value"].notna()].astype(str)
    if methods.empty:
        return Answer(text, (files.study,))
    reasons = methods[methods.str.contains("not corrected", regex=False)]
    if reasons.empty:
        text += " Probabilities are corrected for the changed prevalence before calibration."
    else:
        # The method of the estimate comes first, then why nothing was corrected.
        reason = "".join(reasons.iloc[0].partition("not corrected")[1:]).partition(";")[0]
        text += f" Probabilities are {plain(reason)}."
    return Answer(text, known(files.study, files.scores))


def initialisation(files: RunFiles) -> Answer | None:
    """Initial weights."""
    if "weights" not in files.run_options:
        return None
    weights = plain(files.run_options["weights"])
    return Answer(f"Initial weights of the default arm: {weights}.", files.options[:1])


def software(files: RunFiles) -> Answer | None:
    """Versions and device."""
    versions = files.run_options.get("versions")
    if not isinstance(versions, dict):
        return None
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    device = files.run_options.get("device", "")
    on = f", on {plain(device)}" if device else ""
    return Answer(f"{listed}{on}.", files.options[:1])


def missing(files: RunFiles) -> Answer:
    """What is done about missing data."""
    if files.unit != "window":
        return checklist_images.missing(files)
    share = files.plan.signal.max_missing
    text = (
        "Missing samples of FHR and UC are interpolated; a window with more than "
        f"{100 * share:g} % of FHR missing is refused; recordings whose label is unknown are left "
        "out, and none is imputed."
    )
    lost = [box for box in files.boxes if box.reason in ("too much signal lost", "no label")]
    if lost:
        text += f" Left out: {'; '.join(f'{box.reason} {count(box.records)}' for box in lost)}."
    return Answer(text, known(files.study, files.account if lost else None))


def poor_input(files: RunFiles) -> Answer:
    """What gets no score."""
    if files.unit != "window":
        return checklist_images.poor_input(files)
    share = files.plan.signal.max_missing
    text = f"A recording without {files.plan.signal.minutes:g} min of signal, or with more than "
    return Answer(text + f"{100 * share:g} % of FHR missing, gets no score.", (files.study,))


def updating(files: RunFiles) -> Answer:
    """Whether models were updated."""
    return Answer("No model was updated or recalibrated on evaluation data.", (files.study,))


def subsets(files: RunFiles) -> Answer:
    """Which part of each record is used."""
    study = files.plan
    windows = _window(study.signal)
    if files.unit != "window":
        text = checklist_images.cut(files)
    elif study.signal.window == "all":
        text = f"{windows} of each recording."
    else:
        text = f"One window per recording: {windows[0].lower()}{windows[1:]}."
    preset = f" Preset {study.preset}" + (
        " of the study at its full size."
        if study.preset == "full"
        else ", in which the study is cut short."
    )
    return Answer(text + preset, (files.study,))


def subgroups_method(files: RunFiles) -> Answer | None:
    """By which groups performance is told."""
    groups = files.plan.subgroups
    if not groups:
        return None
    return Answer(
        f"Performance is reported by {', '.join(groups)}; nothing was adjusted for fairness.",
        (files.study,),
    )


def robustness(files: RunFiles) -> Answer | None:
    """Experiments beside the default arm."""
    study = files.plan
    found = [path for path in files.tables if path.stem in study.experiments]
    if not found:
        return None
    titles = [plain(study.experiments[path.stem].title) for path in found]
    return Answer(f"Experiments: {'; '.join(titles)}.", tuple(found))


def data_sharing(files: RunFiles) -> Answer | None:
    """Whether data can be had."""
    if not files.simulated:
        return None
    cohorts = files.plan.cohorts.values()
    records = records_of(cohort.unit for cohort in cohorts if cohort.is_simulated)
    text = f"The simulated {records} are made anew, the same, from the study file."
    return Answer(text, (files.study,))


def code(files: RunFiles) -> Answer:
    """Where the code is."""
    text = (
        "fewcase, open source; the study file in effect, with its preset, repeats the whole run. "
        "Each run names the digest of the code that made it."
    )
    return Answer(text, (files.study, *files.options[:1]))


def specification(files: RunFiles) -> Answer | None:
    """Where the full model is."""
    if not files.options:
        return None
    text = "Every factor of every run, and beside each its weights as safetensors."
    return Answer(text, known(files.arms, files.options[0]))
