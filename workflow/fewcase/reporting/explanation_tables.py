"""How faithful explanation maps are, laid out for reading: one line for each arm and split."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from fewcase.explain.areas import CHANNELS
from fewcase.explain.grids import WHOLE
from fewcase.reporting.certificate_table import Standing, standing_in
from fewcase.reporting.display import Cell, DisplayTable, Row, warnings_below
from fewcase.reporting.explanation_measures import DIFFERENCES, HALF, NO, YES
from fewcase.reporting.gan_table_parts import records
from fewcase.reporting.performance_tables import Footnotes
from fewcase.reporting.text import count, difference, number, plain, signed

TITLE = "How faithful explanation maps are"
GROUPS = {WHOLE: "all channels together", CHANNELS: "each channel by itself"}
SCORES = {"log_odds": "log-odds"}
REASONS = {
    "deletion": "deletion",
    "insertion": "insertion",
    "negative_deletion": "negative deletion",
    "negative_rise": "rise",
    "randomised": "weights drawn anew",
}
READING = (
    "How to read: the first three columns compare areas under curves with those of the same order "
    "laid elsewhere, which says nothing of the network; of a map that tells what the network goes "
    "by, deletion is below 0, and insertion and negative deletion are above. Rank correlations of "
    "1 are the same map: to maps of other folds and fills it should be near 1, to those of a "
    "network with weights drawn anew near 0."
)
NOTE_OF_DELETION = (
    "Deletion: cells of the finest grid are replaced by the fill, those first that speak most for "
    "the class with the highest score, and its probability is followed; insertion: they are put "
    "back into a blurred image in that order (Petsiuk et al., BMVC 2018, by pixels). Area under a "
    "curve of n equal steps: (sum - (first + last) / 2) / n."
)
NOTE_OF_NEGATIVE = (
    "Negative deletion: those cells are deleted that speak against the class, the most first, and "
    "as many of the order laid elsewhere. Rise: how much the probability rises on average "
    "meanwhile; of a signed map it must be above 0."
)
NOTE_OF_RANDOM = (
    "The order laid elsewhere is that of the map itself, shifted around the image and mirrored: "
    "single pixels or scattered cells in random order do other harm than what lies together."
)
NOTE_OF_INTERVALS = (
    "In brackets 95\u00a0% intervals for other patients, BCa bootstrap of patients (Efron, 1987); "
    "the networks are taken as given."
)
NOTE_OF_DRAWN = "Only cases count that chance chose, not those that were picked for their scores."
PICKED = "†"
NOTE_OF_PICKED = (
    f"{PICKED} Picked for their scores: chance chose none of these cases, so that they stand for "
    "no others."
)
NOTE_OF_CORRELATION = (
    "Spearman's rank correlation over the cells, without those that are 0 in both maps. Folds: "
    "maps of the same examples by the networks of several folds or seeds, which learned from most "
    "of them where there is no test set. Other fills: the fill "
    "whose maps are least alike; the CSV file has the others. Weights drawn anew: all layers of "
    "the network, several times (Adebayo et al., NeurIPS 2018); |d|: the same without signs."
)
NOTE_OF_VERDICT = (
    "Maps follow the model: yes, if the intervals of deletion, insertion and, where cells speak "
    "against a class, negative deletion and rise lie on their right sides of 0, and that of the "
    f"correlation with weights drawn anew below {HALF}; no, if one lies wholly on the wrong side; "
    "not shown otherwise."
)
NOTE_OF_CHANCE = (
    "No better than chance, in red: the 95\u00a0% interval of the ROC-AUC of the network on the "
    "examples that it scored (of more than two classes, the mean of each against the rest) does "
    "not lie above 0.5. Such maps may show well what the network goes by, and nothing about the "
    "patients."
)


@dataclasses.dataclass(frozen=True)
class MapSubject:
    """What the table of maps says beyond its numbers.

    Attributes
    ----------
    simulated
        Whether the records are.
    unit
        Unit of the cohort, see `fewcase.study.words.NOUNS`.
    names
        What readers know arms by; others keep their names.
    standings
        By split, what its certificates say.
    """

    simulated: bool
    unit: str
    names: Mapping[str, str] = dataclasses.field(default_factory=dict)
    standings: Mapping[str, Standing] = dataclasses.field(default_factory=dict)

    def titled(self, title: str = TITLE) -> str:
        """Return a title that says where records are simulated."""
        return f"{title} (simulated)" if self.simulated else title

    def name(self, arm: str) -> str:
        """Return what readers know an arm by."""
        return plain(self.names.get(arm, arm))

    def standing(self, split: str) -> Standing:
        """Return what the certificates of a split say."""
        return standing_in(self.standings, split)


def lay_out_explanations(subject: MapSubject, table: pd.DataFrame) -> DisplayTable:
    """Lay out how faithful maps are (see `explanation_measures.tabulate_explanations`)."""
    found, footnotes = records(table), Footnotes()
    several = table["group"].nunique() > 1
    rows: list[Row] = []
    for i, row in enumerate(found):
        standing = subject.standing(row["split"])
        name = subject.name(row["arm"]) + (" (leaky)" if standing.leaky else "")
        words = [name, plain(row["split"])]
        if several:
            words.append(GROUPS.get(row["group"], plain(row["group"])))
        cells = [Cell(text) for text in (*words, *_numbers(row, footnotes))]
        starts = i > 0 and row["split"] != found[i - 1]["split"]
        rows.append(Row((*cells, _chance(row), _verdict(row)), standing.leaky, starts))
    splits = [
        (split, standing.leaky, standing.notes)
        for split in dict.fromkeys(table["split"])
        for standing in [subject.standing(split)]
    ]
    return DisplayTable(
        subject.titled(),
        ("Arm", "Split", *(["Maps of"] if several else []), *_HEADINGS),
        tuple(rows),
        READING,
        (
            *(NOTE_OF_DELETION, NOTE_OF_NEGATIVE, NOTE_OF_RANDOM),
            *(NOTE_OF_INTERVALS, NOTE_OF_DRAWN, NOTE_OF_CORRELATION, _note_of_scores(table)),
            *(NOTE_OF_VERDICT, NOTE_OF_CHANCE),
            *([NOTE_OF_PICKED] if table["picked"].any() else []),
            *footnotes.notes,
            *warnings_below(subject.simulated, splits, subject.unit),
        ),
        3 if several else 2,
        all(row.leaky for row in rows),
    )


_HEADINGS = (
    "Maps / patients",
    "Deletion [95\u00a0%]",
    "Insertion [95\u00a0%]",
    "Negative deletion [95\u00a0%]",
    "Rise [95\u00a0%]",
    "Folds",
    "Other fills",
    "Weights drawn anew [95\u00a0%]",
    "|d|",
    "ROC-AUC",
    "Maps follow the model",
)


def _numbers(row: Mapping[str, Any], footnotes: Footnotes) -> list[str]:
    maps = f"{count(row['maps'])} / {count(row['patients'])}"
    if row["picked"]:
        maps += f"\u00a0{PICKED}"
    return [
        maps,
        *(_with_interval(row, name, footnotes) for name in (*DIFFERENCES, "negative_rise")),
        _stability(row, footnotes),
        _least_alike(row),
        _correlation(row, "randomised", footnotes),
        signed(row["randomised_magnitude"], 2),
    ]


def _with_interval(row: Mapping[str, Any], name: str, footnotes: Footnotes) -> str:
    if not math.isfinite(row[name]):
        reason = "no cell speaks against the class" if name.startswith("negative") else "not known"
        return f"– {footnotes.mark(reason)}"
    text = difference(row[name], row[f"{name}_low"], row[f"{name}_high"])
    if not math.isfinite(row[f"{name}_low"]):
        footnotes.without_interval(plain(row[f"{name}_method"]))
    if name.startswith("negative") and row["negative_maps"] < row["maps"]:
        text += f" ({count(row['negative_maps'])} maps)"
    return text


def _correlation(row: Mapping[str, Any], name: str, footnotes: Footnotes) -> str:
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if not math.isfinite(value):
        return f"– {footnotes.mark('the maps have one value only')}"
    text = signed(value, 2)
    return f"{text} [{signed(low, 2)} to {signed(high, 2)}]" if math.isfinite(low) else text


def _stability(row: Mapping[str, Any], footnotes: Footnotes) -> str:
    if not row["stability_examples"]:
        return f"– {footnotes.mark('no example is explained by the networks of several folds')}"
    return f"{signed(row['stability'], 2)} ({count(row['stability_examples'])})"


def _least_alike(row: Mapping[str, Any]) -> str:
    name = least_alike_fill(row)
    if not name:
        return "–"
    return f"{signed(row[name], 2)} ({plain(name.removeprefix('fill_'))})"


def least_alike_fill(row: Mapping[str, Any]) -> str:
    """Return the column of the fill whose maps are least like the map's own, empty if none is."""
    ends = ("_low", "_high", "_method")
    fills = [
        str(key)
        for key, value in row.items()
        if str(key).startswith("fill_") and not str(key).endswith(ends) and math.isfinite(value)
    ]
    return min(fills, key=lambda name: row[name], default="")


def _chance(row: Mapping[str, Any]) -> Cell:
    text = number(row["auc"], 2)
    if not row["no_better"]:
        return Cell(text)
    if row["judged"] == 1:
        return Cell(f"{text}, no better than chance", leaky=True)
    runs = f"{count(row['no_better'])} of {count(row['judged'])} folds"
    return Cell(f"{text}, no better than chance in {runs}", leaky=True)


def _verdict(row: Mapping[str, Any]) -> Cell:
    verdict, why = row["follows_model"], row["why"]
    if verdict == YES:
        return Cell(YES)
    names = ", ".join(REASONS[name] for name in why.split(", "))
    return Cell(f"{verdict}: {names}", leaky=verdict == NO)


def _note_of_scores(table: pd.DataFrame) -> str:
    pairs = table[["fill", "score"]].drop_duplicates().to_numpy()
    said = [f"{SCORES.get(score, plain(score))} under {plain(fill)} fill" for fill, score in pairs]
    return f"Maps: differences of {' or '.join(said)}; curves: probabilities."
