"""What came out of a run, for reporting checklists: its flow, its certificates and its scores."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from fewcase.data.files import read_json, read_table
from fewcase.reporting.flow_table import Box
from fewcase.reporting.run_files import MEASURE_TITLES, SETS, Answer, RunFiles, known
from fewcase.reporting.text import count, number
from fewcase.splits.flow import REMAINING
from fewcase.study.errors import InputError

DIAGNOSTIC = ("sensitivity", "specificity", "sensitivity_at_specificity_90")
OF_CLASSES = ("accuracy", "balanced_accuracy", "top3_accuracy", "quadratic_kappa")
CALIBRATION = ("calibration_slope", "calibration_intercept", "brier", "ece")
CHARACTERISTICS = {
    "maternal_age": "maternal age",
    "gestational_weeks": "gestational weeks",
    "birth_weight": "birth weight",
}


def flow(files: RunFiles) -> Answer | None:
    """How many, and how many are used."""
    if not files.boxes or files.account is None:
        return None
    labelled = [box for box in files.boxes if box.step == "labelled" and box.kind == REMAINING]
    first = files.boxes[0]
    text = f"{count(first.records)} {files.nouns.records} of {count(first.patients)} patients"
    if labelled:
        text += f"; {count(labelled[0].records)} of {count(labelled[0].patients)} are used"
        if files.unit == "tile" and labelled[0].examples is not None:
            text += f", cut into {count(labelled[0].examples)} {files.nouns.examples}"
    return Answer(f"{text}.", known(files.account, files.flow_figure))


def events(files: RunFiles) -> Answer | None:
    """How many of each label, part by part."""
    if not files.parts or files.account is None:
        return None
    parts = [_with_labels(name, box, files) for name, box in files.parts]
    trained = [box for box in files.boxes if box.step.startswith("trained on")]
    parts += [_with_labels(box.step, box, files) for box in trained if box.kind == REMAINING]
    return Answer(f"{'; '.join(parts)}.", (files.account,))


def _labels_of(box: Box, files: RunFiles) -> dict[str, int]:
    """Return the counts by label: of records, or of tiles where records are cut into some."""
    return box.examples_by_label if files.unit == "tile" else box.labels


def _with_labels(name: str, box: Box, files: RunFiles) -> str:
    labels = ", ".join(f"{count(n)} {label}" for label, n in _labels_of(box, files).items())
    of_tiles = ""
    if files.unit == "tile" and box.examples is not None:
        of_tiles = f", {count(box.examples)} {files.nouns.examples}"
    return f"{name}: {count(box.records)} of {count(box.patients)} patients{of_tiles} ({labels})"


def train_and_test(files: RunFiles) -> Answer | None:
    """Sites and labels of the parts."""
    if len(files.parts) < 2 or files.account is None:
        return None
    parts = [f"{name}: {', '.join(b.sites)}, {_shares(b, files)}" for name, b in files.parts]
    return Answer(f"{'; '.join(parts)}.", (files.account,))


def _shares(box: Box, files: RunFiles) -> str:
    """Return the share of positives, or that of each class."""
    labels = _labels_of(box, files)
    if files.classes:
        whole = max(sum(labels.values()), 1)
        return ", ".join(f"{100 * n / whole:.1f} % {label}" for label, n in labels.items())
    return f"{100 * box.labels.get('positive', 0) / max(box.records, 1):.1f} % positive"


def sample_size(files: RunFiles) -> Answer | None:
    """How large the study is."""
    found = events(files)
    if found is None:
        return None
    return Answer(
        f"All {files.nouns.records} that could be used, without a target size. {found.text}",
        found.sources,
    )


def power(files: RunFiles) -> Answer | None:
    """What the test set could show."""
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


def disjointness(files: RunFiles) -> Answer | None:
    """What the certificates say."""
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


def warnings(files: RunFiles) -> Answer | None:
    """What makes the numbers less than evidence."""
    simulated = [files.all_simulated] if files.simulated else []
    warnings = [*simulated, *warnings_of(files)]
    if not warnings:
        return None
    return Answer(" ".join(warnings), known(files.study, *files.certificates))


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


def characteristics(files: RunFiles) -> Answer | None:
    """Median and quartiles of what is known of people."""
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


def measures(files: RunFiles) -> Answer | None:
    """Which measures there are."""
    known = dict.fromkeys(files.score_table["statistic"])
    return _scored(files, [MEASURE_TITLES[name] for name in known if name in MEASURE_TITLES])


def uncertainty(files: RunFiles) -> Answer | None:
    """Which intervals there are."""
    methods = dict.fromkeys(text.partition(",")[0] for text in files.score_table["method"] if text)
    named = [name for name in methods if not name.startswith("undefined")]
    return _scored(files, [f"95 % intervals: {', '.join(named)}"] if named else [])


def performance(files: RunFiles) -> Answer | None:
    """Ranking and, of classes with names, accuracy and, of degrees, agreement."""
    of_classes = OF_CLASSES if files.classes else ()
    return _scored(
        files,
        [
            *_of_set(files, "cv", ("auc_mean", "auc_pooled", "average_precision", *of_classes)),
            *_of_tests(files, ("auc_ensemble", "average_precision", *of_classes)),
        ],
    )


def internal(files: RunFiles) -> Answer | None:
    """Performance in cross-validation."""
    return _scored(files, _of_set(files, "cv", ("auc_mean", "auc_pooled")))


def external(files: RunFiles) -> Answer | None:
    """Performance where a site was held out."""
    if files.scores is None:
        return None
    found = _of_tests(files, ("auc_ensemble",), internal=False)
    none = f"No {files.nouns.site} was held out."
    return _scored(files, found) or Answer(none, (files.study,))


def _of_set(files: RunFiles, name: str, statistics: Sequence[str]) -> list[str]:
    found = files.estimates(name, statistics)
    return [f"{SETS.get(name, f'{name} test')}: {', '.join(found)}"] if found else []


def _of_tests(files: RunFiles, statistics: Sequence[str], internal: bool = True) -> list[str]:
    """Return statistics of each kind of test set; of all together where they are of one kind."""
    found = set(files.score_table["set"])
    kinds = [name for name in ("temporal", "external") if name in found]
    given = any(name == "internal test" for name, _ in files.parts)
    if given and internal:
        kinds = [*kinds, "internal"] if "internal" in found else ["test"]
    names = kinds or [name for name in ("test",) if name in found and not given]
    return [text for name in names for text in _of_set(files, name, statistics)]


def diagnostic(files: RunFiles) -> Answer | None:
    """Performance at a threshold."""
    sets = [_of_set(files, name, DIAGNOSTIC) for name in ("cv", "test")]
    return _scored(files, [text for part in sets for text in part])


def calibration(files: RunFiles) -> Answer | None:
    """Calibration."""
    sets = [_of_set(files, name, CALIBRATION) for name in ("cv", "test")]
    return _scored(files, [text for part in sets for text in part])


def output(files: RunFiles) -> Answer:
    """What a model gives."""
    text = "A probability for each class."
    rows = files.score_table[files.score_table["statistic"] == "threshold"]
    # Cross-validation has a threshold per run; that of the test set is what a user would apply.
    rows = rows[rows["value"].notna()].sort_values("set", key=lambda name: name != "test")
    if len(rows):
        name = str(rows["set"].iloc[0])
        text += " Where a class is asked for, the threshold is fixed on other examples than those "
        text += f"it is applied to ({number(float(rows['value'].iloc[0]))} on "
        text += f"{SETS.get(name, name)})."
        return Answer(text, known(files.study, files.scores))
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


def heterogeneity(files: RunFiles) -> Answer | None:
    """Performance by site."""
    return _by_prefix(files, "cv-site:", "test-site:")


def heterogeneity_method(files: RunFiles) -> Answer | None:
    """How sites were compared."""
    if heterogeneity(files) is None:
        return None
    sites = files.nouns.sites.capitalize()
    text = f"{sites} are scored one by one, within cross-validation and held out"
    return _scored(files, [text])


def subgroups(files: RunFiles) -> Answer | None:
    """Performance by subgroup."""
    return _by_prefix(files, "cv-group:", "test-group:")
