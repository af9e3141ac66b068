"""What the files of a run say about the questions of reporting checklists."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fewcase.data.files import read_json, read_table
from fewcase.reporting.flow_figure import Box, boxes_of, read_account
from fewcase.reporting.reproduction import study_in_effect
from fewcase.reporting.text import count, factor_value, number, plain, with_interval
from fewcase.splits.flow import LEFT_OUT, REMAINING, TEST
from fewcase.study.errors import InputError
from fewcase.study.plan import Study
from fewcase.study.settings import SignalOptions

MEASURE_TITLES = {
    "auc_mean": "ROC-AUC, mean over seeds and folds",
    "auc_pooled": "ROC-AUC, out-of-fold scores pooled",
    "auc_ensemble": "ROC-AUC of the score averaged over all runs",
    "average_precision": "average precision",
    "sensitivity": "sensitivity at a threshold fixed on other examples",
    "specificity": "specificity at a threshold fixed on other examples",
    "sensitivity_at_specificity_90": "sensitivity at 90 % specificity",
    "brier": "Brier score",
    "ece": "expected calibration error",
    "calibration_slope": "calibration slope",
    "calibration_intercept": "calibration intercept",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
}
DIAGNOSTIC = ("sensitivity", "specificity", "sensitivity_at_specificity_90")
CALIBRATION = ("calibration_slope", "calibration_intercept", "brier", "ece")
SETS = {"cv": "cross-validation", "test": "test"}
CHARACTERISTICS = {
    "maternal_age": "maternal age",
    "gestational_weeks": "gestational weeks",
    "birth_weight": "birth weight",
}


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a run says to an item, and the files that it says so in."""

    text: str
    sources: tuple[Path, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunFiles:
    """The files of a run that answers are taken from; what is None or empty answers nothing.

    Attributes
    ----------
    study, arms
        study.json and arms.csv of the plan.
    account
        CSV of the flow of the default cohort and target.
    flow_figure
        Its figure, which is only pointed to.
    records
        records.parquet of the default cohort.
    certificates
        Certificates of the default split, one per seed.
    scores
        Summary of the scores of the default arm.
    tables
        CSV of the experiments.
    options
        options.json of the default arm's runs.
    """

    study: Path
    arms: Path | None = None
    account: Path | None = None
    flow_figure: Path | None = None
    records: Path | None = None
    certificates: tuple[Path, ...] = ()
    scores: Path | None = None
    tables: tuple[Path, ...] = ()
    options: tuple[Path, ...] = ()

    @functools.cached_property
    def plan(self) -> Study:
        """The plan of the study in effect."""
        return study_in_effect(read_json(self.study))

    @functools.cached_property
    def boxes(self) -> list[Box]:
        """The boxes of the flow; none where there is no account."""
        return [] if self.account is None else boxes_of(read_account(self.account))

    @functools.cached_property
    def run_options(self) -> Mapping[str, Any]:
        """What the first run of the default arm was done with; empty where there is none."""
        found = read_json(self.options[0]) if self.options else {}
        return found if isinstance(found, dict) else {}

    @functools.cached_property
    def score_table(self) -> pd.DataFrame:
        """The summary of the default arm's scores; empty where there is none."""
        columns = ["set", "statistic", "class", "value", "low", "high", "method", "runs"]
        if self.scores is None:
            return pd.DataFrame(columns=columns)
        try:
            table = pd.read_csv(self.scores, keep_default_na=False, dtype=str)
            if "class" not in table:
                table["class"] = ""
            numbers = ["value", "low", "high", "runs"]
            table[numbers] = table[numbers].apply(pd.to_numeric)
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{self.scores}: no summary of scores ({error}).") from None
        overall = table["class"] == ""
        own = (table["arm"] == self.plan.default_arm.arm) if "arm" in table else True
        return table[overall & own]

    @property
    def simulated(self) -> bool:
        """Whether any record of the study was simulated."""
        return any(cohort.is_simulated for cohort in self.plan.cohorts.values())

    def estimates(self, name: str, statistics: Sequence[str]) -> list[str]:
        """Return statistics of a set as text with intervals, those that it has."""
        table = self.score_table[self.score_table["set"] == name]
        rows = {row["statistic"]: row for row in table.to_dict("records")}
        return [
            f"{MEASURE_TITLES.get(statistic, statistic)} "
            + with_interval(*(float(rows[statistic][key]) for key in ("value", "low", "high")))
            for statistic in statistics
            if statistic in rows and math.isfinite(float(rows[statistic]["value"]))
        ]


# What was done: from the plan --------------------------------------------------------------------


def _title(files: RunFiles) -> Answer:
    study = files.plan
    models = dict.fromkeys(recipe.model for recipe in study.arms.values())
    text = f"Study {study.name}: {study.title}. Models: {', '.join(models)}"
    text += "; developed and evaluated in the same study." + _simulated(files)
    return Answer(text, _known(files.study, files.arms))


def _simulated(files: RunFiles) -> str:
    return " All recordings are simulated." if files.simulated else ""


def _known(*paths: Path | None) -> tuple[Path, ...]:
    return tuple(path for path in paths if path is not None)


def _data_source(files: RunFiles) -> Answer:
    parts = [
        f"Cohort {name}: {'simulated recordings, of no person' if c.is_simulated else 'recordings'}"
        f" (source {c.source})."
        for name, c in files.plan.cohorts.items()
    ]
    return Answer(" ".join(parts), (files.study,))


def _dates(files: RunFiles) -> Answer | None:
    if files.records is None:
        return None
    table = read_table(files.records, columns=["site", "date"])
    dated = table.assign(date=pd.to_datetime(table["date"])).dropna(subset=["date"])
    if dated.empty:
        return Answer("No recording has a date.", (files.records,))
    ranges = [
        f"{plain(site) or 'no site'} {part.min():%Y-%m-%d} to {part.max():%Y-%m-%d}"
        for site, part in dated.groupby("site")["date"]
    ]
    undated = len(table) - len(dated)
    rest = f"; {count(undated)} without a date" if undated else ""
    return Answer(f"Recordings: {'; '.join(ranges)}{rest}.", (files.records,))


def _sites(files: RunFiles) -> Answer | None:
    if not files.boxes or files.account is None:
        return None
    sites = files.boxes[0].sites
    listed = ", ".join(f"{site or 'no site'} {count(n)}" for site, n in sites.items())
    return Answer(f"{len(sites)} hospitals; recordings: {listed}.", (files.account,))


def _eligibility(files: RunFiles) -> Answer | None:
    if not files.boxes or files.account is None:
        return None
    left = [
        f"{plain(box.reason)} ({count(box.recordings)})"
        for box in files.boxes
        if box.kind == LEFT_OUT
    ]
    first = files.boxes[0]
    text = f"Of {count(first.recordings)} recordings, left out: {'; '.join(left) or 'none'}."
    return Answer(text, (files.account,))


def _window(signal: SignalOptions) -> str:
    if signal.window == "all":
        return f"All consecutive windows of {signal.minutes:g} min, back from the end"
    return f"The {signal.window} {signal.minutes:g} min"


def _preprocessing(files: RunFiles) -> Answer:
    signal, images = files.plan.signal, files.plan.images
    text = (
        f"{_window(signal)} of each recording; FHR outside "
        f"{signal.fhr_low:g} to {signal.fhr_high:g} bpm, steps of {signal.jump_bpm:g} bpm and "
        f"values {signal.block_bpm:g} bpm from the mean of their {signal.block_s:g} s are missing "
        f"and interpolated; UC averaged over {signal.uc_average_s:g} s and smoothed; drawn at "
        f"{images.size} × {images.size} pixels. The same for all recordings."
    )
    return Answer(text, (files.study,))


def _outcome(files: RunFiles) -> Answer:
    study = files.plan
    name = study.splits[study.default_arm.split].target
    rule = dataclasses.asdict(study.targets[name])
    text = ", ".join(f"{key} {factor_value(value)}" for key, value in rule.items())
    others = [other for other in study.targets if other != name]
    more = f" Other targets of the study: {', '.join(others)}." if others else ""
    return Answer(f"Target {name}: {text}.{more}", (files.study,))


def _predictors(files: RunFiles) -> Answer:
    study = files.plan
    kinds = []
    if any(not recipe.is_classical for recipe in study.arms.values()):
        kinds.append("images of FHR, UC and FHR baseline over time")
    if any(recipe.is_classical for recipe in study.arms.values()):
        kinds.append("features of FHR for the classical arms")
    text = f"{'; '.join(kinds)}. Metadata are no input of the models."
    return Answer(text[:1].upper() + text[1:], _known(files.study, files.arms))


def _partitions(files: RunFiles) -> Answer:
    study = files.plan
    split = study.splits[study.default_arm.split]
    held = ", ".join(map(str, split.hold_out))
    text = (
        f"{split.folds}-fold cross-validation by {split.scheme} with seeds "
        f"{', '.join(map(str, study.seeds))}, stratified by label and hospital; "
        f"{_inner_parts(split.inner_folds)}; held out for testing: {held or 'nothing'}."
    )
    if split.is_leaky:
        text += " Leaky: recordings of one patient may be in training and validation."
    sizes = [f"{_set_name(box)} {count(box.recordings)}" for box in _sets(files)]
    if sizes:
        text += f" Recordings: {', '.join(sizes)}."
    return Answer(text, _known(files.study, files.account))


def _inner_parts(number: int) -> str:
    if not number:
        return "no inner part for early stopping"
    return f"{number} inner parts of each training fold, one kept for early stopping"


def _sets(files: RunFiles) -> list[Box]:
    """Return the boxes of cross-validation and of the test sets."""
    crossed = [box for box in files.boxes if box.step == "cross-validation"]
    tests = [box for box in crossed if box.kind == TEST]
    return [box for box in crossed if box.kind == REMAINING] + tests


def _set_name(box: Box) -> str:
    return plain(box.reason) if box.kind == TEST else "cross-validation"


def _model(files: RunFiles) -> Answer:
    study = files.plan
    recipe = study.default_recipe
    text = f"Default arm {study.default_arm.arm}: model {recipe.model}"
    if "parameters" in files.run_options:
        text += f", {count(files.run_options['parameters'])} parameters"
    text += f"; {len(study.arms)} arms in all, each spelled out."
    return Answer(text, _known(files.arms, *files.options[:1]) or (files.study,))


def _training(files: RunFiles) -> Answer:
    recipe = files.plan.default_recipe
    source = files.options[:1] or (files.study,)
    if recipe.is_classical:
        return Answer(f"{recipe.model} fitted to features of the training part.", source)
    text = (
        f"{recipe.optimizer}, learning rate {recipe.learning_rate:g} ({recipe.schedule}, warm-up "
        f"{recipe.warmup_epochs:g} epochs), weight decay {recipe.weight_decay:g}, batches of "
        f"{recipe.batch_size}, at most {recipe.epochs} epochs, label smoothing "
        f"{recipe.label_smoothing:g}; augmentation: {recipe.augment}."
    )
    return Answer(text, source)


def _selection(files: RunFiles) -> Answer:
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


def _ensembling(files: RunFiles) -> Answer:
    study = files.plan
    runs = len(study.seeds) * study.folds
    bags = study.default_recipe.bags
    text = (
        "In cross-validation each recording is scored by the run that did not see it; on test sets "
        f"the score is the mean over {runs} runs"
    )
    text += f", each the mean of {bags} bags." if bags > 1 else "."
    text += f" Scores are averaged over each {study.unit}."
    return Answer(text, (files.study,))


def _imbalance(files: RunFiles) -> Answer:
    recipe = files.plan.default_recipe
    if recipe.neg_per_pos is None:
        text = "No under-sampling."
    else:
        text = (
            f"Negatives of the training part are under-sampled to {recipe.neg_per_pos:g} per "
            "positive, anew in each fold and seed; validation and test keep all."
        )
    if recipe.ratio_batches and not recipe.is_classical:
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
    return Answer(text, _known(files.study, files.scores))


def _initialisation(files: RunFiles) -> Answer | None:
    if "weights" not in files.run_options:
        return None
    weights = plain(files.run_options["weights"])
    return Answer(f"Initial weights of the default arm: {weights}.", files.options[:1])


def _software(files: RunFiles) -> Answer | None:
    versions = files.run_options.get("versions")
    if not isinstance(versions, dict):
        return None
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    device = files.run_options.get("device", "")
    on = f", on {plain(device)}" if device else ""
    return Answer(f"{listed}{on}.", files.options[:1])


def _missing(files: RunFiles) -> Answer:
    share = files.plan.signal.max_missing
    text = (
        "Missing samples of FHR and UC are interpolated; a window with more than "
        f"{100 * share:g} % of FHR missing is refused; recordings whose label is unknown are left "
        "out, and none is imputed."
    )
    lost = [box for box in files.boxes if box.reason in ("too much signal lost", "no label")]
    if lost:
        text += f" Left out: {'; '.join(f'{box.reason} {count(box.recordings)}' for box in lost)}."
    return Answer(text, _known(files.study, files.account if lost else None))


def _poor_input(files: RunFiles) -> Answer:
    share = files.plan.signal.max_missing
    text = f"A recording without {files.plan.signal.minutes:g} min of signal, or with more than "
    return Answer(text + f"{100 * share:g} % of FHR missing, gets no score.", (files.study,))


def _updating(files: RunFiles) -> Answer:
    return Answer("No model was updated or recalibrated on evaluation data.", (files.study,))


def _subsets(files: RunFiles) -> Answer:
    study = files.plan
    windows = _window(study.signal)
    if study.signal.window == "all":
        text = f"{windows} of each recording."
    else:
        text = f"One window per recording: {windows[0].lower()}{windows[1:]}."
    preset = f" Preset {study.preset}" + (
        " of the study at its full size."
        if study.preset == "full"
        else ", in which the study is cut short."
    )
    return Answer(text + preset, (files.study,))


def _subgroups_method(files: RunFiles) -> Answer | None:
    groups = files.plan.subgroups
    if not groups:
        return None
    return Answer(
        f"Performance is reported by {', '.join(groups)}; nothing was adjusted for fairness.",
        (files.study,),
    )


def _robustness(files: RunFiles) -> Answer | None:
    study = files.plan
    found = [path for path in files.tables if path.stem in study.experiments]
    if not found:
        return None
    titles = [plain(study.experiments[path.stem].title) for path in found]
    return Answer(f"Experiments: {'; '.join(titles)}.", tuple(found))


def _data_sharing(files: RunFiles) -> Answer | None:
    if not files.simulated:
        return None
    text = "The simulated recordings are made anew, the same, from the study file."
    return Answer(text, (files.study,))


def _code(files: RunFiles) -> Answer:
    text = (
        "fewcase, open source; the study file in effect, with its preset, repeats the whole run. "
        "Each run names the digest of the code that made it."
    )
    return Answer(text, (files.study, *files.options[:1]))


def _specification(files: RunFiles) -> Answer | None:
    if not files.options:
        return None
    text = "Every factor of every run, and beside each its weights as safetensors."
    return Answer(text, _known(files.arms, files.options[0]))


# What came out: from the flow, the certificate and the scores ------------------------------------


def _flow(files: RunFiles) -> Answer | None:
    if not files.boxes or files.account is None:
        return None
    labelled = [box for box in files.boxes if box.step == "labelled" and box.kind == REMAINING]
    first = files.boxes[0]
    text = f"{count(first.recordings)} recordings of {count(first.patients)} patients"
    if labelled:
        text += f"; {count(labelled[0].recordings)} of {count(labelled[0].patients)} are used"
    return Answer(f"{text}.", _known(files.account, files.flow_figure))


def _events(files: RunFiles) -> Answer | None:
    if not _sets(files) or files.account is None:
        return None
    parts = [_with_labels(_set_name(box), box) for box in _sets(files)]
    trained = [box for box in files.boxes if box.step.startswith("trained on")]
    parts += [_with_labels(box.step, box) for box in trained if box.kind == REMAINING]
    return Answer(f"{'; '.join(parts)}.", (files.account,))


def _with_labels(name: str, box: Box) -> str:
    labels = ", ".join(f"{count(n)} {label}" for label, n in box.labels.items())
    return f"{name}: {count(box.recordings)} of {count(box.patients)} patients ({labels})"


def _train_and_test(files: RunFiles) -> Answer | None:
    boxes = _sets(files)
    if len(boxes) < 2 or files.account is None:
        return None
    parts = []
    for box in boxes:
        share = box.labels.get("positive", 0) / max(box.recordings, 1)
        parts.append(f"{_set_name(box)}: {', '.join(box.sites)}, {100 * share:.1f} % positive")
    return Answer(f"{'; '.join(parts)}.", (files.account,))


def _sample_size(files: RunFiles) -> Answer | None:
    found = _events(files)
    if found is None:
        return None
    return Answer(
        f"All recordings that could be used, without a target size. {found.text}", found.sources
    )


def _power(files: RunFiles) -> Answer | None:
    arm = files.plan.default_arm
    for path in files.tables:
        try:
            table = pd.read_csv(path, keep_default_na=False, dtype=str)
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: no readable CSV table ({error}).") from None
        if not {"arm", "split", "test_detectable_auc"} <= set(table.columns):
            continue
        rows = table[(table["arm"] == arm.arm) & (table["split"] == arm.split)]
        values = pd.to_numeric(rows["test_detectable_auc"], errors="coerce").dropna()
        if len(values):
            text = f"The test set would tell an AUC of {number(values.iloc[0])} from 0.5 with a "
            return Answer(text + "power of 80 %.", (path,))
    return None


def _disjointness(files: RunFiles) -> Answer | None:
    if not files.certificates:
        return None
    texts = []
    for path in files.certificates:
        certificate = read_json(path)
        try:
            checks = "; ".join(f"{c['name']} {c['status']}" for c in certificate["checks"])
            seed, status = certificate["seed"], certificate["status"]
            notes = [*certificate.get("notes", [])]
        except (KeyError, TypeError) as error:
            raise InputError(f"{path}: not a certificate ({error} is missing).") from None
        texts.append((seed, f"{status} ({checks}).{''.join(f' {note}' for note in notes)}"))
    if len({text for _, text in texts}) == 1:
        seeds = ", ".join(str(seed) for seed, _ in texts)
        return Answer(f"Certificate of seeds {seeds}: {texts[0][1]}", files.certificates)
    listed = " ".join(f"Certificate of seed {seed}: {text}" for seed, text in texts)
    return Answer(listed, files.certificates)


def _warnings(files: RunFiles) -> Answer | None:
    simulated = ["All recordings are simulated."] if files.simulated else []
    warnings = [*simulated, *warnings_of(files)]
    if not warnings:
        return None
    return Answer(" ".join(warnings), _known(files.study, *files.certificates))


def warnings_of(files: RunFiles) -> list[str]:
    """Return what makes a run's numbers less than evidence, simulation apart."""
    study = files.plan
    warnings = []
    leaky = [name for name, options in study.splits.items() if options.is_leaky]
    if leaky:
        warnings.append(f"Leaky splits: {', '.join(leaky)}.")
    for path in files.certificates:
        status = read_json(path).get("status")
        if status != "clean":
            warnings.append(f"Certificate {path.stem} of the default split: {status}.")
    if study.preset != "full":
        warnings.append(f"Preset {study.preset}: the study is cut short.")
    return warnings


def _characteristics(files: RunFiles) -> Answer | None:
    if files.records is None:
        return None
    table = read_table(files.records)
    parts = []
    for column, title in CHARACTERISTICS.items():
        if column in table:
            values = pd.to_numeric(table[column], errors="coerce").dropna()
            if len(values):
                low, middle, high = values.quantile([0.25, 0.5, 0.75])
                parts.append(f"{title} {middle:g} ({low:g} to {high:g}), n = {count(len(values))}")
    if not parts:
        return None
    return Answer(f"Median (quartiles) of all records: {'; '.join(parts)}.", (files.records,))


def _scored(files: RunFiles, texts: Sequence[str]) -> Answer | None:
    if files.scores is None or not texts:
        return None
    return Answer(f"{'; '.join(texts)}.", (files.scores,))


def _measures(files: RunFiles) -> Answer | None:
    known = dict.fromkeys(files.score_table["statistic"])
    return _scored(files, [MEASURE_TITLES[name] for name in known if name in MEASURE_TITLES])


def _uncertainty(files: RunFiles) -> Answer | None:
    methods = dict.fromkeys(text.partition(",")[0] for text in files.score_table["method"] if text)
    named = [name for name in methods if not name.startswith("undefined")]
    return _scored(files, [f"95 % intervals: {', '.join(named)}"] if named else [])


def _performance(files: RunFiles) -> Answer | None:
    return _scored(
        files,
        [
            *_of_set(files, "cv", ("auc_mean", "auc_pooled", "average_precision")),
            *_of_tests(files, ("auc_ensemble", "average_precision")),
        ],
    )


def _internal(files: RunFiles) -> Answer | None:
    return _scored(files, _of_set(files, "cv", ("auc_mean", "auc_pooled")))


def _external(files: RunFiles) -> Answer | None:
    if files.scores is None:
        return None
    found = _of_tests(files, ("auc_ensemble",))
    return _scored(files, found) or Answer("No hospital was held out.", (files.study,))


def _of_set(files: RunFiles, name: str, statistics: Sequence[str]) -> list[str]:
    found = files.estimates(name, statistics)
    return [f"{SETS.get(name, f'{name} test')}: {', '.join(found)}"] if found else []


def _of_tests(files: RunFiles, statistics: Sequence[str]) -> list[str]:
    known = set(files.score_table["set"])
    kinds = [name for name in ("temporal", "external") if name in known]
    names = kinds or [name for name in ("test",) if name in known]
    return [text for name in names for text in _of_set(files, name, statistics)]


def _diagnostic(files: RunFiles) -> Answer | None:
    sets = [_of_set(files, name, DIAGNOSTIC) for name in ("cv", "test")]
    return _scored(files, [text for part in sets for text in part])


def _calibration(files: RunFiles) -> Answer | None:
    sets = [_of_set(files, name, CALIBRATION) for name in ("cv", "test")]
    return _scored(files, [text for part in sets for text in part])


def _output(files: RunFiles) -> Answer:
    text = "A probability for each class."
    rows = files.score_table[files.score_table["statistic"] == "threshold"]
    # Cross-validation has a threshold per run; that of the test set is what a user would apply.
    rows = rows[rows["value"].notna()].sort_values("set", key=lambda name: name != "test")
    if len(rows):
        name = str(rows["set"].iloc[0])
        text += " Where a class is asked for, the threshold is fixed on other examples than those "
        text += f"it is applied to ({number(float(rows['value'].iloc[0]))} on "
        text += f"{SETS.get(name, name)})."
        return Answer(text, _known(files.study, files.scores))
    return Answer(text, (files.study,))


def _by_prefix(files: RunFiles, *prefixes: str) -> Answer | None:
    table = files.score_table
    texts = []
    for name in dict.fromkeys(table["set"]):
        if str(name).startswith(prefixes):
            found = files.estimates(str(name), ("auc_pooled", "auc_ensemble"))
            if found:
                title = str(name).partition(":")[2]
                kind = "test" if str(name).startswith("test") else "cross-validation"
                values = found[0].removeprefix(MEASURE_TITLES["auc_pooled"] + " ")
                values = values.removeprefix(MEASURE_TITLES["auc_ensemble"] + " ")
                texts.append(f"{title} ({kind}) {values}")
    return _scored(files, [f"ROC-AUC: {'; '.join(texts)}"] if texts else [])


def _heterogeneity(files: RunFiles) -> Answer | None:
    return _by_prefix(files, "cv-site:", "test-site:")


def _heterogeneity_method(files: RunFiles) -> Answer | None:
    if _heterogeneity(files) is None:
        return None
    text = "Hospitals are scored one by one, within cross-validation and held out"
    return _scored(files, [text])


def _subgroups(files: RunFiles) -> Answer | None:
    return _by_prefix(files, "cv-group:", "test-group:")


ANSWERS: dict[str, Callable[[RunFiles], Answer | None]] = {
    "title": _title,
    "data_source": _data_source,
    "dates": _dates,
    "sites": _sites,
    "eligibility": _eligibility,
    "preprocessing": _preprocessing,
    "outcome": _outcome,
    "predictors": _predictors,
    "sample_size": _sample_size,
    "power": _power,
    "missing": _missing,
    "partitions": _partitions,
    "disjointness": _disjointness,
    "model": _model,
    "initialisation": _initialisation,
    "training": _training,
    "selection": _selection,
    "ensembling": _ensembling,
    "imbalance": _imbalance,
    "software": _software,
    "poor_input": _poor_input,
    "updating": _updating,
    "subsets": _subsets,
    "subgroups_method": _subgroups_method,
    "robustness": _robustness,
    "data_sharing": _data_sharing,
    "code": _code,
    "specification": _specification,
    "flow": _flow,
    "events": _events,
    "train_and_test": _train_and_test,
    "warnings": _warnings,
    "characteristics": _characteristics,
    "measures": _measures,
    "uncertainty": _uncertainty,
    "performance": _performance,
    "internal": _internal,
    "external": _external,
    "diagnostic": _diagnostic,
    "calibration": _calibration,
    "output": _output,
    "failures": _diagnostic,
    "heterogeneity": _heterogeneity,
    "heterogeneity_method": _heterogeneity_method,
    "subgroups": _subgroups,
}
"""What a run can answer, by the name under which checklists ask for it."""
