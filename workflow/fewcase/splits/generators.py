"""Checks that generators learned from nobody whom their images' users are judged by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from fewcase.splits.disjointness import (
    DISJOINT,
    LEAKY,
    NOT_APPLICABLE,
    Finding,
    Layout,
    Mask,
    Sets,
)
from fewcase.splits.provenance import Provenance


def check_synthetic(layout: Layout, synthetic: Sequence[Provenance]) -> Finding:
    """Check that every generator learned from training rows of the fold that its images serve."""
    name = "synthetic images"
    if not synthetic:
        return Finding(name, NOT_APPLICABLE, 0, 0, "The study trains on no synthetic images.")
    images = sum(len(provenance.images) for provenance in synthetic)
    leaks = [leak for provenance in synthetic for leak in _synthetic_leaks(layout, provenance)]
    detail = f"{images} images of {len(synthetic)} files; {len(leaks)} generators or images leak."
    status = LEAKY if leaks else DISJOINT
    return Finding(name, status, images, len(leaks), detail, leaks[0] if leaks else "")


def _synthetic_leaks(layout: Layout, provenance: Provenance) -> list[str]:
    remedy = "Train the generator on the training part of that fold alone."
    images, learned = provenance.images, provenance.learned
    places = pd.Index(layout.split["example"])
    found = []
    taken = images["example"].isin(layout.split["example"]) | images["example"].duplicated()
    for image in images[taken].to_dict("records"):
        found.append(
            f"{provenance.name}: synthetic image {image['example']!r} bears the name of another "
            "image. Give every image a name of its own."
        )
    for image in images.drop_duplicates(["generator", "fold"]).to_dict("records"):
        generator, fold = image["generator"], image["fold"]
        folds = sorted(set(learned["fold"][learned["generator"] == generator]))
        if folds != [fold]:
            told = f"of folds {folds}" if folds else "that nothing tells of"
            found.append(
                f"{provenance.name}: synthetic image {image['example']!r} serves fold "
                f"{fold}, but its generator {generator!r} learned from examples {told}. {remedy}"
            )
    for fold in sorted(set(learned["fold"].tolist())):
        rows = learned[learned["fold"] == fold]
        position = places.get_indexer(rows["example"])
        parts = layout.parts(fold, 0)[position]
        known = fold >= 0 and fold in layout.fold
        for i in np.flatnonzero((position < 0) | (parts != 0) | (not known)):
            row = rows.iloc[i]
            placed = known and position[i] >= 0 and parts[i] >= 0
            named = (
                layout.name(int(position[i]), int(parts[i]))
                if placed
                else f"example {row['example']!r}, which is in no part of the fold"
            )
            found.append(
                f"{provenance.name}: fold {fold}: generator {row['generator']!r} learned from "
                f"{named}. {remedy}"
            )
    return found


def check_bases(layout: Layout, sets: Sets, base_cohorts: Mapping[str, pd.DataFrame]) -> Finding:
    """Check that the cohorts of base generators share nobody with validation or test.

    Every example of a fold is validated on in it, so none may be shared at all; only what is in
    every training part, as given parts may be, can be. Shared are names of patients, parents and
    examples, and copies that a list of duplicates names.
    """
    name = "base generators"
    if not base_cohorts:
        return Finding(name, NOT_APPLICABLE, 0, 0, "No base generator is used.")
    judged = layout.split[layout.judged]
    judged_sets = np.zeros(sets.total, bool)
    judged_sets[sets.of_example[layout.judged]] = True
    compared, shared, leak = 0, 0, ""
    for cohort, table in base_cohorts.items():
        broken: dict[str, Mask] = {
            column: table[column].isin(judged[column]).to_numpy(bool)
            for column in ("patient", "parent", "example")
        }
        own = sets.of_name.reindex(table["example"]).fillna(-1).to_numpy(np.int64)
        copied = judged_sets.copy()
        copied[sets.second[judged_sets[sets.first]]] = True
        copied[sets.first[judged_sets[sets.second]]] = True
        broken["duplicate"] = (own >= 0) & copied[own]
        compared += len(table)
        shared += int(np.any(list(broken.values()), axis=0).sum())
        for what, rows in broken.items():
            if rows.any() and not leak:
                leak = _base_leak(layout, sets, cohort, table, what, int(np.argmax(rows)))
    detail = f"{shared} of {compared} base examples are shared with validation or test."
    return Finding(name, LEAKY if shared else DISJOINT, compared, shared, detail, leak)


def _base_leak(
    layout: Layout, sets: Sets, cohort: str, table: pd.DataFrame, what: str, i: int
) -> str:
    base = table.iloc[i]
    if what == "duplicate":
        own = sets.of_name[base["example"]]
        others = {own, *sets.second[sets.first == own], *sets.first[sets.second == own]}
        shared = np.isin(sets.of_example, list(others))
        said = "are duplicates"
    else:
        shared = (layout.split[what] == base[what]).to_numpy()
        said = f"share the {what} {base[what]!r}"
    position = int(np.argmax(shared & layout.judged))
    row = layout.split.iloc[position]
    part = "test" if layout.tested[position] else "validation"
    fold = "" if layout.tested[position] else f" of fold {row['fold']}"
    return (
        f"base generator's cohort {cohort}: its example {base['example']!r} (patient "
        f"{base['patient']!r}) and example {row['example']!r} (patient {row['patient']!r}, "
        f"{part}{fold}) {said}. Take a base generator that never saw them; if they are different "
        "people, name them apart."
    )
