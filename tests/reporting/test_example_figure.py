"""The contact sheet: as many classes, patients and pixels as there are, and the same every time."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fewcase.data.files import write_digest, write_table
from fewcase.data.image_store import ImageStore
from fewcase.reporting.display import read_display
from fewcase.reporting.example_figure import LARGEST_SIDE, choose_examples, draw_examples
from fewcase.study.errors import InputError

WORKFLOW = Path(__file__).parents[2] / "workflow"
CLASSES = ["AT", "BG & <b>", "TUM"]


def made(number=60, channels=3, side=32):
    """Images whose brightness is their row, and their examples."""
    label = np.arange(number) % 3
    images = np.zeros((number, channels, side, side), np.uint8)
    images += np.arange(number, dtype=np.uint8)[:, None, None, None]
    examples = pd.DataFrame(
        {
            "row": np.arange(number),
            "example": [f"e{i:03d}" for i in range(number)],
            "parent": [f"s{i // 6}" for i in range(number)],
            "patient": [f"p{i // 12}" for i in range(number)],
            "label": label,
        }
    )
    return ImageStore(images.shape, False, (images,)), examples


def shown_rows(figure):
    """Return the rows of the images of a sheet, read off their brightness, from the top down."""
    return [int(np.asarray(axes.images[0].get_array()).flat[0]) for axes in figure.axes]


def test_every_class_has_a_row_of_its_own_images():
    store, examples = made()
    figure = draw_examples("Sheet", store, examples, unit="tile", classes=CLASSES, number=4)
    rows = np.array(shown_rows(figure)).reshape(3, 4)
    assert (rows % 3 == [[0], [1], [2]]).all()
    assert len(set(rows.ravel().tolist())) == 12
    names = [text.get_text() for text in figure.texts]
    assert [name.split("\n") for name in names if name != "Sheet"] == [
        [name, "20 tiles"] for name in CLASSES
    ]


def test_patients_and_slides_come_once_before_any_comes_twice():
    _, examples = made(72)
    for label, chosen in choose_examples(examples, 3, 6).groupby("label"):
        assert set(chosen["label"]) == {label}
        assert chosen["patient"].nunique() == 6
    few = choose_examples(examples[examples["patient"] != "p0"], 3, 6)
    assert (few.groupby("label")["patient"].nunique() == 5).all()
    assert (few.groupby("label")["parent"].nunique() == 6).all()


def test_the_choice_is_that_of_the_seed_whatever_the_order_of_the_examples():
    _, examples = made()
    chosen = choose_examples(examples, 5)
    mixed = choose_examples(examples.sample(frac=1, random_state=1), 5)
    pd.testing.assert_frame_equal(chosen, mixed)
    assert chosen["row"].tolist() != choose_examples(examples, 6)["row"].tolist()
    alone = choose_examples(examples[examples["label"] == 2], 5)
    assert alone["row"].tolist() == chosen["row"][chosen["label"] == 2].tolist()


def test_a_class_without_examples_keeps_its_row_and_a_small_one_shows_all_it_has():
    store, examples = made()
    examples = examples[(examples["label"] != 1) & ((examples["label"] != 2) | (examples.row < 9))]
    figure = draw_examples("Sheet", store, examples, unit="image", classes=CLASSES, number=5)
    names = [text.get_text() for text in figure.texts]
    assert "BG & <b>\n0 images" in names
    assert sum(row % 3 == 2 for row in shown_rows(figure)) == 3


@pytest.mark.parametrize("channels", [1, 3])
def test_large_images_are_reduced_and_keep_their_colours(channels):
    store, examples = made(9, channels, 400)
    figure = draw_examples("Sheet", store, examples, unit="image", classes=CLASSES, number=2)
    pixels = figure.axes[0].images[0].get_array()
    assert pixels.shape[:2] == (LARGEST_SIDE, LARGEST_SIDE)
    assert pixels.ndim == (3 if channels == 3 else 2)


def test_twelve_classes_fit_a_page_without_touching():
    store, examples = made(120)
    examples["label"] = examples["row"] % 12
    names = [f"kind of tissue {i}" for i in range(12)]
    figure = draw_examples("Sheet", store, examples, unit="tile", classes=names)
    boxes = [axes.get_position() for axes in figure.axes]
    assert len(boxes) == 12 * 7
    assert min(box.y0 for box in boxes) > 0
    assert max(box.y1 for box in boxes) < 1
    rows = sorted({round(box.y0, 6): round(box.y1, 6) for box in boxes}.items())
    assert all(top < bottom for (_, top), (bottom, _) in itertools.pairwise(rows))


def test_images_of_another_run_and_labels_without_a_name_are_refused():
    store, examples = made()
    with pytest.raises(InputError, match="row 99, but there are 60 images"):
        draw_examples("S", store, examples.replace({"row": {0: 99}}), unit="tile", classes=CLASSES)
    with pytest.raises(InputError, match="label 2 has no name"):
        draw_examples("S", store, examples, unit="tile", classes=CLASSES[:2])


def test_the_stage_draws_the_same_bytes_twice_with_a_caption(tmp_path):
    store, examples = made()
    np.save(tmp_path / "images.npy", store.read(np.arange(60)))
    write_digest(tmp_path / "images.hash", {"shape": list(store.shape), "packed": False})
    write_table(tmp_path / "examples.parquet", examples)
    contents = []
    for name in ("one", "two"):
        words = ["--title", "Examples of cohort crc", "--simulated", "--unit-kind", "tile"]
        words += ["--images", "images.npy", "--examples", "examples.parquet", "--seed", "4"]
        words += ["--classes", json.dumps(CLASSES)]
        for kind in ("svg", "png"):
            words += [f"--{kind}", f"{name}.{kind}"]
        words += ["--display", f"{name}.json"]
        script = [sys.executable, WORKFLOW / "draw_examples.py", *words]
        done = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        contents.append([(tmp_path / f"{name}.{kind}").read_bytes() for kind in ("svg", "png")])
    assert contents[0] == contents[1]
    display = read_display(tmp_path / "one.json")
    assert display.title == "Examples of cohort crc (simulated)"
    assert display.caption.startswith("Some simulated tiles of each of 3 classes")
    assert display.tables == ()
