"""Claims about annotations and tissue: how much of a tile a class or tissue covers."""

import json

import numpy as np
import pytest

from fewcase.images.annotations import AnnotationError, best_class, coverage, find_annotation
from fewcase.images.grid import lay_grid
from fewcase.images.tissue import column_shares, optical_density
from made_images import box, feature, save, write_outlines

GRID = lay_grid(200, 200, size=100, overlap=50, edge="drop")
SIZE = (200, 200)


def covered(path, classes=None, mask_classes=None, grid=GRID, size=SIZE):
    return coverage(path, grid, size, classes or {}, mask_classes or {})


def table(shares):
    """Shares by class as rows and columns of tiles."""
    return {name: values.reshape(3, 3).round(2).tolist() for name, values in shares.items()}


def test_an_outline_covers_the_tiles_that_lie_in_it(tmp_path):
    path = write_outlines(tmp_path / "s.geojson", [feature([box(0, 0, 100, 200)], "TUM")])
    found = covered(path)
    assert list(found) == ["TUM"]
    expected = [[1, 0.5, 0]] * 3
    np.testing.assert_allclose(found["TUM"].reshape(3, 3), expected, atol=0.02)


def test_a_hole_is_not_covered_and_pieces_add_up(tmp_path):
    holed = feature([box(0, 0, 200, 200), box(50, 50, 150, 150)], "A")
    pieces = feature([[box(50, 50, 100, 150)], [box(100, 50, 150, 150)]], "B", "MultiPolygon")
    found = covered(write_outlines(tmp_path / "s.geojson", [holed, pieces]))
    middle = 4
    assert found["A"][middle] == pytest.approx(0, abs=0.03)
    assert found["B"][middle] == pytest.approx(1, abs=0.03)
    assert found["A"][0] == pytest.approx(0.75, abs=0.03)


def test_a_slanted_outline_covers_what_geometry_says(tmp_path):
    triangle = [[0, 0], [200, 0], [0, 200], [0, 0]]
    found = covered(write_outlines(tmp_path / "s.geojson", [feature([triangle], "A")]))["A"]
    np.testing.assert_allclose(found[[0, 2, 4, 8]], [1, 0.5, 0.5, 0], atol=0.02)


@pytest.mark.parametrize(
    "content",
    [
        [feature([box(0, 0, 100, 200)], "TUM")],
        feature([box(0, 0, 100, 200)], "TUM"),
        [
            {**feature([box(0, 0, 100, 200)], ""), "properties": {"classification": "TUM"}},
            {**feature([box(0, 0, 200, 200)], ""), "properties": {"classification": None}},
            {**feature([box(0, 0, 200, 200)], ""), "properties": None},
            feature([[0, 0], [9, 9]], "TUM", "LineString"),
        ],
        [
            {
                **feature([box(0, 0, 100, 200)], ""),
                "properties": {"classification": {"names": ["TUM"]}},
            }
        ],
    ],
)
def test_the_forms_in_which_qupath_has_exported_are_read(tmp_path, content):
    path = tmp_path / "s.json"
    path.write_text(json.dumps(content))
    np.testing.assert_allclose(covered(path)["TUM"][:2], [1, 0.5], atol=0.02)


def test_classes_are_renamed_and_those_left_out_cover_nothing(tmp_path):
    features = [feature([box(0, 0, 100, 200)], "Tumor"), feature([box(100, 0, 200, 200)], "Pen")]
    path = write_outlines(tmp_path / "s.geojson", features)
    assert list(covered(path, classes={"Tumor": "TUM"})) == ["TUM"]


def test_a_label_mask_counts_pixels_at_any_size(tmp_path):
    labels = np.zeros((200, 200), np.uint8)
    labels[:, :100], labels[:100, 100:] = 1, 2
    classes = {"1": "A", "2": "B"}
    expected = {"A": [[1, 0.5, 0]] * 3, "B": [[0, 0.5, 1], [0, 0.25, 0.5], [0, 0, 0]]}
    for step in (1, 2, 5):
        path = save(tmp_path / f"{step}.png", labels[::step, ::step])
        assert table(covered(path, mask_classes=classes)) == expected


def test_a_mask_of_other_proportions_is_refused(tmp_path):
    path = save(tmp_path / "m.png", np.zeros((100, 120), np.uint8))
    with pytest.raises(AnnotationError, match="120 × 100") as caught:
        covered(path, mask_classes={"1": "A"})
    assert caught.value.reason == "unfitting annotation"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.geojson", b"{torn"),
        ("b.geojson", b'{"features": [{"properties": {"classification": {"name": "A"}}}]}'),
        ("c.geojson", b"[1, 2]"),
        ("d.png", b"no image"),
    ],
)
def test_a_broken_annotation_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AnnotationError) as caught:
        covered(tmp_path / name, mask_classes={"1": "A"})
    assert caught.value.reason == "damaged annotation"
    assert name in caught.value.detail


def test_an_annotation_is_called_as_its_image_wherever_the_path_ends(tmp_path):
    for name in ("x/slide.1.geojson", "flat.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find_annotation(tmp_path, "data/x/slide.1.svs") == tmp_path / "x/slide.1.geojson"
    assert find_annotation(tmp_path, "data/x/flat.svs") == tmp_path / "flat.png"
    with pytest.raises(AnnotationError, match="no other with one of the suffixes") as caught:
        find_annotation(tmp_path, "data/other.svs")
    assert caught.value.reason == "missing annotation"


def test_the_class_that_covers_most_wins_if_it_covers_enough():
    shares = {"A": np.array([0.6, 0.3, 0.5, 0.5]), "B": np.array([0.4, 0.4, 0.5, 0.49])}
    assert best_class(shares, 4, 0.5).tolist() == ["A", "", "A", "A"]
    assert best_class({}, 2, 0.5).tolist() == ["", ""]


def test_optical_density_is_the_logarithm_of_what_passes():
    pixels = np.array([[[255, 255, 255], [94, 94, 94], [255, 94, 35]]], np.uint8)
    found = optical_density(pixels)[0]
    np.testing.assert_allclose(found, [0, 1, (0 + 1 + 1.986) / 3], atol=0.003)


def test_shares_of_columns_are_plain_means():
    rng = np.random.default_rng(0)
    mask = rng.random((40, 300)) < 0.4
    x = np.array([0, 17, 260])
    expected = [mask[:, a : a + 40].mean() for a in x]
    np.testing.assert_allclose(column_shares(mask, x, 40, 300), expected)
    beyond = column_shares(mask, np.array([280]), 40, 300)[0]
    assert beyond == pytest.approx(mask[:, 280:].sum() / 1600)
