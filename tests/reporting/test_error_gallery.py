"""The gallery of errors: counts as in a confusion matrix, the surest first, each with its image."""

import json
import xml.etree.ElementTree as ET

import matplotlib.text
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix

from fewcase.data.files import write_digest, write_table
from fewcase.data.image_store import ImageStore
from fewcase.evaluation.predictions import RunFile
from fewcase.reporting.display import read_display
from fewcase.reporting.error_cases import confusion, count_pairs, judge, read_cases
from fewcase.reporting.error_gallery import ErrorGallery
from fewcase.reporting.performance import Subject
from fewcase.reporting.picture_lines import fitted, reduced
from fewcase.study.errors import InputError
from report_pages import call
from scored_classes import ClassStudy

HOSTILE = "</text><script>alert(1)</script> $x_1$ & \"'"
CLASSES = ("AT", HOSTILE, "TUM")


def predictions_of(study):
    table = study.predictions("vit", 0.4)
    return table.assign(row=table["example"].str.extract(r"t(\d+)")[0].astype(np.int64))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two seeds of three folds and a test set, three classes, and the files of their runs."""
    made = ClassStudy(tmp_path_factory.mktemp("classes"), images=36, folds=3, seeds=2, tests=12)
    table, files = predictions_of(made), []
    for (seed, fold), part in table.groupby(["seed", "fold"]):
        path = made.folder / f"seed-{seed}-fold-{fold}.parquet"
        write_table(path, part.drop(columns=["seed", "fold"]))
        files.append(RunFile(seed, fold, path))
    return made, table, files


def subject(classes=CLASSES, **options):
    return Subject("Errors", False, "vit", "tissue", False, classes, unit="tile", **options)


def store(number, channels=3, side=8):
    """Images whose brightness is their row."""
    images = np.zeros((number, channels, side, side), np.uint8)
    images += np.arange(number, dtype=np.uint8)[:, None, None, None]
    return ImageStore(images.shape, False, (images,))


def by_hand(table, role):
    """Labels and mean scores of the examples of a role, without the code under test."""
    part = table[table["role"] == role]
    scores = part.pivot_table(index="example", values=["score_0", "score_1", "score_2"])
    return part.drop_duplicates("example").set_index("example")["label"].loc[scores.index], scores


def test_counts_are_those_of_the_confusion_matrix_of_mean_scores(study):
    _, table, files = study
    cases = read_cases(files)
    total = np.zeros((3, 3), np.int64)
    for role in ("validation", "test"):
        labels, scores = by_hand(table, role)
        expected = confusion_matrix(labels, scores.to_numpy().argmax(axis=1))
        np.testing.assert_array_equal(confusion(cases[cases["role"] == role], 3), expected)
        total += expected
    pairs = count_pairs(cases)
    wrong = {(i, j): total[i, j] for i in range(3) for j in range(3) if i != j and total[i, j]}
    assert pairs.set_index(["label", "called"])["errors"].to_dict() == wrong
    assert pairs["errors"].is_monotonic_decreasing
    assert (pairs["validation"] + pairs["test"] == pairs["errors"]).all()
    assert pairs["of"].tolist() == [total[label].sum() for label in pairs["label"]]


def test_scores_are_means_over_seeds_and_folds_are_those_of_each(study):
    _, table, files = study
    cases = read_cases(files).set_index(["role", "example"])
    for role, runs in (("validation", 2), ("test", 6)):
        _, scores = by_hand(table, role)
        found = cases.loc[role]
        assert (found["runs"] == runs).all()
        np.testing.assert_allclose(found["score"].loc[scores.index], scores.max(axis=1), rtol=1e-6)
    assert (cases.loc["test", "folds"] == "").all()
    own = table[table["role"] == "validation"].sort_values("seed").groupby("example")["fold"]
    expected = own.agg(lambda folds: "/".join(dict.fromkeys(map(str, folds))))
    assert cases.loc["validation", "folds"].to_dict() == expected.to_dict()


def test_the_surest_error_of_each_patient_comes_first(study):
    cases = read_cases(study[2])
    gallery = ErrorGallery.of(subject(), cases, pairs=2, number=3)
    every = count_pairs(cases)
    assert gallery.others == (len(every) - 2, every["errors"][2:].sum())
    for pair, chosen in zip(gallery.pairs.itertuples(), gallery.chosen, strict=True):
        of_pair = cases[(cases["label"] == pair.label) & (cases["called"] == pair.called)]
        best = of_pair.groupby("patient")["score"].max().sort_values(ascending=False)
        assert len(best) >= 3
        assert chosen["patient"].tolist() == best.index[:3].tolist()
        assert chosen["score"].tolist() == best.head(3).tolist()
    one = cases.assign(patient="p")
    chosen = ErrorGallery.of(subject(), one, number=4).chosen[0]
    assert chosen["score"].is_monotonic_decreasing
    wrong = one[(one["label"] != one["called"]) & (one["label"] == chosen["label"][0])]
    highest = wrong[wrong["called"] == chosen["called"][0]].nlargest(4, "score")
    assert chosen["example"].tolist() == highest["example"].tolist()


def test_every_picture_is_that_of_its_example(study):
    made, _, files = study
    gallery = ErrorGallery.of(subject(), read_cases(files))
    figure = gallery.draw(store(len(made.table)))
    shown = [int(np.asarray(axes.images[0].get_array()).flat[0]) for axes in figure.axes]
    names = [name for chosen in gallery.chosen for name in chosen["example"]]
    assert shown == [int(name[1:]) for name in names]
    words = [item.get_text() for item in figure.findobj(matplotlib.text.Text)]
    assert [word for word in words if word in names] == names
    boxes = [axes.get_position() for axes in figure.axes]
    assert min(box.y0 for box in boxes) > 0
    assert max(box.x1 for box in boxes) <= 1
    with pytest.raises(InputError, match="but there are 5 images"):
        gallery.draw(store(5))
    with pytest.raises(InputError, match="label 2 has no name"):
        ErrorGallery.of(subject(("a", "b")), gallery.cases)


def test_two_classes_are_called_at_the_fixed_threshold_of_their_set():
    scores = {"validation": [0.1, 0.3, 0.6, 0.2], "test": [0.1, 0.3, 0.6, 0.2]}
    parts = [
        pd.DataFrame(
            {
                "example": [f"{role}{i}" for i in range(4)],
                "parent": "r",
                "patient": [f"p{i}" for i in range(4)],
                "role": role,
                "label": [0, 0, 0, 1],
                "score_1": values,
                "seed": 0,
                "fold": 0,
            }
        )
        for role, values in scores.items()
    ]
    table = pd.concat(parts)
    cases = judge(table, {"validation": 0.2, "test": 0.7})
    assert cases.set_index("example")["called"].to_dict() == {
        "validation0": 0,
        "validation1": 1,
        "validation2": 1,
        "validation3": 1,
        "test0": 0,
        "test1": 0,
        "test2": 0,
        "test3": 0,
    }
    gallery = ErrorGallery.of(subject(("negative", "positive")), cases, {"validation": 0.2})
    assert gallery.chosen[0]["example"].tolist() == ["validation2", "validation1"]
    missed = gallery.chosen[1].iloc[0]
    assert (missed["example"], missed["score"]) == ("test3", pytest.approx(0.8))
    assert "positive is called from a score of 0.2 in validation" in gallery.caption()
    assert judge(table)["called"].tolist() == [0, 0, 1, 0] * 2


def test_an_arm_without_errors_says_so(study):
    cases = read_cases(study[2])
    gallery = ErrorGallery.of(subject(), cases.assign(called=cases["label"]))
    figure = gallery.draw(store(4))
    words = [item.get_text() for item in figure.findobj(matplotlib.text.Text)]
    assert "No example is called wrongly." in words
    assert "0 of 240 (0.0\u00a0%)" in gallery.caption()


def test_runs_on_other_images_are_refused(study, tmp_path):
    _, table, files = study
    moved = table[(table["seed"] == 1) & (table["fold"] == 0)]
    path = tmp_path / "moved.parquet"
    write_table(path, moved.assign(row=moved["row"] + 1).drop(columns=["seed", "fold"]))
    with pytest.raises(InputError, match="in different rows of the images"):
        read_cases(
            [*(file for file in files if (file.seed, file.fold) != (1, 0)), RunFile(1, 0, path)]
        )


def test_pictures_are_reduced_together_until_they_fit_and_small_ones_stay_sharp():
    random = np.random.default_rng(0)
    noise = [random.integers(0, 256, (300, 200, 3), dtype=np.uint8) for _ in range(3)]
    free, bound = reduced(noise), reduced(noise, 60_000)
    assert {picture.shape for picture in free} == {(224, 149, 3)}
    # Noise is not compressed.
    assert 40_000 < sum(picture.size for picture in bound) * 4 / 3 < 60_000
    small = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    large = reduced([small])[0]
    assert large.shape[0] > 100
    np.testing.assert_array_equal(large[:: large.shape[0] // 4, :: large.shape[0] // 4], small)


def test_long_names_keep_both_ends():
    cut = fitted("simulated-hospital-p0002-i000002/x0-y32", 1.0)
    assert cut.startswith("sim")
    assert cut.endswith("2/x0-y32")
    assert fitted("short", 1.0) == "short"


def test_the_stage_writes_text_that_stays_text(study, tmp_path):
    made, _, files = study
    images = np.zeros((len(made.table), 3, 8, 8), np.uint8)
    np.save(tmp_path / "images.npy", images)
    write_digest(tmp_path / "images.hash", {"shape": list(images.shape), "packed": False})
    told = {"title": "Errors", "simulated": True, "arm": "vit", "split": "s", "leaky": True}
    outputs = [tmp_path / f"errors.{kind}" for kind in ("svg", "png", "json")]
    call(
        "draw_errors.py",
        *("--content", json.dumps({**told, "classes": CLASSES, "unit": "tile"})),
        *("--predictions", *(file.path for file in files)),
        *("--runs", *(f"{file.seed}/{file.fold}" for file in files)),
        *("--images", tmp_path / "images.npy"),
        *("--svg", outputs[0], "--png", outputs[1], "--display", outputs[2]),
    )
    tags = {element.tag.rpartition("}")[2] for element in ET.parse(outputs[0]).iter()}
    assert not tags & {"script", "a", "foreignObject"}
    display = read_display(outputs[2])
    table = display.tables[0]
    assert table.title == "Errors (simulated) (leaky)"
    assert table.leaky
    assert HOSTILE in {row.cells[k].text for row in table.rows for k in (0, 1)}
    assert "as networks see them" in display.caption
