"""Claims about the simulated slides: their stains, their classes, and who they are of."""

import itertools
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import ndimage
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GroupKFold, cross_val_predict

from fewcase.data.image_store import ImageStore
from fewcase.ingest.simulate import histology
from fewcase.ingest.simulate.histology import (
    divide,
    draw_look,
    plan_images,
    simulate_histology,
    simulate_patient,
)
from fewcase.ingest.simulate.histology_canvas import Canvas, Look, Nuclei
from fewcase.ingest.simulate.histology_fields import cell_walls, smooth_noise
from fewcase.ingest.simulate.histology_nuclei import (
    ANGLES,
    FIBROBLAST,
    LYMPHOCYTE,
    draw_stamps,
    scatter,
)
from fewcase.ingest.simulate.histology_stain import (
    RUIFROK,
    Staining,
    photograph,
    site_staining,
)
from fewcase.ingest.simulate.histology_tissue import TISSUES
from fewcase.study.errors import InputError
from fewcase.study.fields import read_section
from fewcase.study.image_sources import SimulateHistology

WORKFLOW = Path(__file__).parents[2] / "workflow"
BOWEL = ("ADI", "BACK", "DEB", "LYM", "MUC", "MUS", "NORM", "STR", "TUM")


def simulated(options):
    """Every image with its picture and its labels."""
    images = sorted(plan_images(options), key=lambda image: image.patient)
    groups = itertools.groupby(images, key=lambda image: image.patient)
    return [found for _, group in groups for found in simulate_patient(list(group), options)]


class Bowel(NamedTuple):
    """Tiles of nine tissues, with simple features."""

    pictures: np.ndarray
    classes: np.ndarray
    patients: np.ndarray
    sites: np.ndarray
    colour: np.ndarray
    texture: np.ndarray


@pytest.fixture(scope="module")
def bowel() -> Bowel:
    options = SimulateHistology(
        classes=dict.fromkeys(BOWEL, 32), width=112, height=112, patients=16, seed=1
    )
    found = simulated(options)
    pictures = np.array([picture for _, picture, _ in found])
    images = [image for image, _, _ in found]
    return Bowel(
        pictures,
        np.array([image.classes[0] for image in images]),
        np.array([image.patient for image in images]),
        np.array([image.site for image in images]),
        pictures.mean(axis=(1, 2)),
        np.array([texture(picture) for picture in pictures]),
    )


def texture(picture):
    """How grey levels vary at four scales and which way; blind to mean colour."""
    grey = picture.mean(axis=-1, dtype=np.float32)
    found = []
    for scale in (1, 2, 4, 8):
        blurred = ndimage.gaussian_filter(grey, scale)
        detail = grey - blurred
        spread = detail.std() + 1e-3
        steps = [np.abs(np.diff(blurred, axis=axis)).mean() for axis in (0, 1)]
        found += [spread, np.abs(detail).mean() / spread, ((detail / spread) ** 3).mean()]
        found += [sum(steps), abs(steps[0] - steps[1]) / (sum(steps) + 1e-3)]
    return found


def accuracy(features, labels, patients):
    """Balanced accuracy on patients who were not learned from."""
    forest = ExtraTreesClassifier(100, random_state=0)
    found = cross_val_predict(forest, features, labels, groups=patients, cv=GroupKFold(4))
    return balanced_accuracy_score(labels, found)


def test_classes_differ_in_texture_more_than_in_colour(bowel):
    colour = accuracy(bowel.colour, bowel.classes, bowel.patients)
    by_texture = accuracy(bowel.texture, bowel.classes, bowel.patients)
    assert 0.3 < colour < 0.75
    assert by_texture > 0.75
    assert by_texture > colour + 0.15


def test_sites_differ_in_stain_and_alike_sites_do_not(bowel):
    assert accuracy(bowel.colour, bowel.sites, bowel.patients) > 0.8
    apart = site_staining(np.random.default_rng(0), 1.0)
    other = site_staining(np.random.default_rng(1), 1.0)
    assert not np.allclose(apart.vectors, other.vectors, atol=0.01)
    alike = [site_staining(np.random.default_rng(i), 0.0) for i in range(2)]
    np.testing.assert_array_equal(alike[0].vectors, alike[1].vectors)
    assert alike[0].quality == alike[1].quality


def test_images_of_one_patient_look_alike():
    def share_between_patients(shift):
        """Share of the variance of colour that patients make (one-way analysis of variance)."""
        options = SimulateHistology(
            classes={"MUS": 48},
            width=48,
            height=48,
            patients=8,
            sites=("x",),
            patient_shift=shift,
        )
        colours = pd.DataFrame(
            [[image.patient, picture.mean()] for image, picture, _ in simulated(options)],
            columns=["patient", "colour"],
        ).groupby("patient")["colour"]
        within = colours.var(ddof=1).mean()
        between = colours.mean().var(ddof=1) - within / 6
        return between / (between + within)

    assert share_between_patients(1.0) > 0.4
    assert share_between_patients(0.0) < 0.2


def test_every_class_paints_something_of_its_own():
    options = SimulateHistology(classes=dict.fromkeys(TISSUES, 1), width=64, height=64, patients=1)
    pictures = {image.classes[0]: picture for image, picture, _ in simulated(options)}
    assert set(pictures) == set(TISSUES)
    for picture in pictures.values():
        assert picture.shape == (64, 64, 3)
        assert picture.dtype == np.uint8
    assert len({picture.tobytes() for picture in pictures.values()}) == len(TISSUES)


def test_a_seed_gives_the_same_bytes_and_another_one_others(tmp_path):
    options = {"classes": {"TUM": 3, "ADI": 2}, "width": 48, "height": 40, "patients": 2}
    for name, seed, threads in (("a", 0, 1), ("b", 0, 2), ("c", 1, 1)):
        section = read_section(SimulateHistology, {**options, "seed": seed}, "options")
        simulate_histology(section, tmp_path / name, threads=threads)
    a, b, c = (
        {p.relative_to(tmp_path / n): p.read_bytes() for p in (tmp_path / n).rglob("*.png")}
        for n in "abc"
    )
    assert len(a) == 5
    assert a == b
    assert not set(a.values()) & set(c.values())


def test_more_classes_and_images_leave_the_others_as_they_were():
    few = SimulateHistology(classes={"TUM": 2}, width=40, height=40, patients=3)
    more = SimulateHistology(classes={"LYM": 3, "TUM": 4}, width=40, height=40, patients=3)

    def of_tumour(options):
        return {
            image.number: picture.tobytes()
            for image, picture, _ in simulated(options)
            if image.classes == ("TUM",)
        }

    assert of_tumour(few).items() <= of_tumour(more).items()


def test_light_fades_by_the_law_of_beer_and_lambert():
    """Of one stain, the optical density of each colour is in proportion to its absorption."""
    vectors = np.array(RUIFROK) / np.linalg.norm(RUIFROK, axis=1, keepdims=True)
    clear = Staining(vectors, np.ones(2), np.full(3, 255.0), focus=0, noise=0, quality=97)
    ramp = np.repeat(np.linspace(0.1, 1.5, 16, dtype=np.float32)[None], 16, axis=1)
    ramp = np.repeat(ramp, 64, axis=0)
    none = np.zeros_like(ramp)
    for stain, both in enumerate(((ramp, none), (none, ramp))):
        picture = photograph(*both, clear, np.random.default_rng(0)).astype(float)
        density = -np.log(np.maximum(picture, 1) / 255).mean(axis=(0, 1))
        np.testing.assert_allclose(density / np.linalg.norm(density), vectors[stain], atol=0.03)


def test_nuclei_have_the_size_and_direction_of_their_kind():
    stamps = draw_stamps(np.random.default_rng(0), FIBROBLAST, 0.25)
    area = stamps.cover.sum(axis=(2, 3)) * 0.25**2
    wanted = math.pi / 4 * FIBROBLAST.length * FIBROBLAST.width
    assert area.mean() == pytest.approx(wanted, rel=0.2)
    side = np.arange(stamps.cover.shape[-1]) - stamps.cover.shape[-1] // 2
    for turn in range(ANGLES):
        cover = stamps.cover[turn].mean(axis=0)
        xx, xy, yy = (
            (cover * a * b).sum()
            for a, b in ((side, side), (side, side[:, None]), (side[:, None], side[:, None]))
        )
        found = 0.5 * math.atan2(2 * xy, xx - yy) % math.pi
        difference = abs(found - turn * math.pi / ANGLES)
        assert min(difference, math.pi - difference) < 0.1


def test_places_are_as_dense_as_their_spacing_says():
    rng = np.random.default_rng(0)
    inside = scatter(rng, (600, 600), 20)
    inside = inside[((inside >= 0) & (inside < 600)).all(axis=1)]
    assert len(inside) == pytest.approx(600**2 / (20**2 * math.sqrt(3) / 2), rel=0.05)
    half = np.zeros((600, 600), np.float32)
    half[:, :300] = 1
    only_left = scatter(rng, (600, 600), 20, chance=half, jitter=0)
    assert (only_left[:, 1] < 300).all()


def test_noise_is_smooth_and_standard():
    field = smooth_noise(np.random.default_rng(0), (400, 500), 10)
    assert field.shape == (400, 500)
    assert field.mean() == pytest.approx(0, abs=0.1)
    assert field.std() == pytest.approx(1, abs=0.1)
    assert np.abs(np.diff(field, axis=1)).max() < 0.6


def test_walls_lie_between_the_nearest_points():
    wall, cell = cell_walls(np.random.default_rng(0), (120, 150), 30)
    assert (wall >= 0).all()
    borders = cell[:, 1:] != cell[:, :-1]
    assert wall[:, 1:][borders].max() < 2
    # Cells at the edge are cut.
    assert 20 <= len(np.unique(cell)) <= 42


def test_a_patient_has_one_look_and_no_shift_makes_all_alike():
    assert draw_look(np.random.default_rng(0), 0.0) == Look()
    looks = [draw_look(np.random.default_rng(i), 1.0) for i in range(50)]
    assert np.std([look.cellularity for look in looks]) > 0.05


def test_more_cellular_patients_have_more_nuclei():
    def nuclear_area(cellularity):
        nuclei = Nuclei((0,), 0.5)
        canvas = Canvas((300, 300), Look(cellularity), nuclei, np.random.default_rng(0))
        canvas.strew(LYMPHOCYTE, 20)
        return (canvas.haematoxylin > 0.5).mean()

    assert nuclear_area(1.5) == pytest.approx(1.5 * nuclear_area(1.0), rel=0.15)


def plan(**options):
    return plan_images(read_section(SimulateHistology, options, "options"))


def test_parts_are_of_patients_and_have_the_share_that_was_asked_for():
    images = plan(classes=dict.fromkeys(BOWEL, 40), patients=40, validation=0.25, test=0.15)
    parts = {}
    for image in images:
        assert parts.setdefault(image.patient, image.part) == image.part
    counts = pd.Series(parts).value_counts().to_dict()
    assert counts == {"train": 24, "validation": 10, "test": 6}
    of_sites = {(image.part, image.site) for image in images}
    assert len(of_sites) == 6


def test_mixed_patients_have_all_classes_and_others_one():
    mixed = plan(classes={"TUM": 20, "STR": 20}, patients=5)
    assert {
        p: len({i.classes for i in mixed if i.patient == p}) for p in range(5)
    } == dict.fromkeys(range(5), 2)
    apart = plan(classes={"Normal": 30, "Benign": 10}, patients=8, mixed=False, validation=0.5)
    classes = {}
    for image in apart:
        assert classes.setdefault(image.patient, image.classes) == image.classes
    assert sorted(classes) == list(range(8))
    assert pd.Series(classes.values()).value_counts().to_dict() == {("Normal",): 6, ("Benign",): 2}
    halves = pd.Series([(i.classes[0], i.part) for i in apart]).value_counts()
    assert halves["Normal", "validation"] == 15
    assert halves["Benign", "validation"] == 5


def test_as_many_images_as_were_asked_for_one_patient_each():
    images = plan(classes={"Normal": 100, "Benign": 100}, patients=200, mixed=False)
    assert len({image.patient for image in images}) == 200
    counts = pd.Series([(i.classes[0], i.part) for i in images]).value_counts()
    assert counts.to_dict() == {
        ("Normal", "train"): 75,
        ("Benign", "train"): 75,
        ("Normal", "validation"): 25,
        ("Benign", "validation"): 25,
    }


def test_everything_is_called_simulated(tmp_path):
    options = SimulateHistology(
        classes={"TUM": 4, "STR": 4}, width=32, height=32, patients=2, sites=("x",)
    )
    simulate_histology(options, tmp_path / "out")
    names = [path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*.png")]
    assert all(name.name.startswith("simulated-x-p") for name in names)
    assert {name.parts[0] for name in names} == {"train", "validation"}
    assert {name.parts[1] for name in names} == {"TUM", "STR"}
    stored = json.loads((tmp_path / "out" / "simulation.json").read_text())
    assert read_section(SimulateHistology, stored, "options") == options


def test_regions_fill_an_image_and_the_mask_tells_their_classes():
    options = SimulateHistology(
        classes={"BG": 3, "LYM": 3, "AT": 3}, width=200, height=160, regions=3, patients=2
    )
    found = simulated(options)
    assert len(found) == 3
    darkness = {1: [], 2: [], 3: []}
    for image, picture, labels in found:
        assert labels.shape == picture.shape[:2] == (160, 200)
        named = {list(options.classes)[value - 1] for value in np.unique(labels)}
        assert named == set(image.classes)
        for value in np.unique(labels):
            darkness[value].append(255 - picture[labels == value].mean())
    # Lymphocytes are dark, glass and fat are not.
    assert np.mean(darkness[2]) > np.mean(darkness[1] + darkness[3]) + 30


def test_regions_are_in_one_piece_each_and_none_is_forgotten():
    for seed in range(5):
        region = divide(np.random.default_rng(seed), (180, 240), 5)
        sizes = np.bincount(region.ravel(), minlength=5)
        assert (sizes > 0.02 * region.size).all()
        largest = [
            np.bincount(ndimage.label(region == number)[0].ravel())[1:].max() for number in range(5)
        ]
        assert (largest > 0.9 * sizes).all()


def test_a_simulation_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    options = SimulateHistology(classes={"TUM": 2}, width=32, height=32, patients=2)
    simulate_histology(options, tmp_path / "out")
    before = sorted(path.name for path in (tmp_path / "out").rglob("*"))
    monkeypatch.setitem(histology.TISSUES, "STR", lambda canvas: 1 / 0)
    broken = SimulateHistology(classes={"TUM": 1, "STR": 1}, width=32, height=32, patients=1)
    with pytest.raises(ZeroDivisionError):
        simulate_histology(broken, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").rglob("*")) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": {"TUMR": 1}}, "classes.TUMR: no such tissue. Did you mean 'TUM'"),
        ({"classes": {"TUM": -1}}, "classes.TUM: -1 images"),
        ({"classes": {"TUM": 0}}, "classes: no image of any class"),
        (
            {"classes": {"Normal": 1, "Benign": 1}, "patients": 1, "mixed": False},
            "patients: 1, but 2 classes need one each",
        ),
        ({"classes": {"TUM": 1}, "sites": ["a-b"]}, "sites: 'a-b', expected letters"),
        ({"classes": {"TUM": 1}, "sites": []}, "sites: .* expected one name or more"),
        ({"classes": {"TUM": 1}, "validation": 0.6, "test": 0.4}, "leave no patient"),
    ],
)
def test_options_that_cannot_be_simulated_are_named(options, message):
    with pytest.raises(InputError, match=message):
        plan(**options)


def test_simulated_files_are_ingested_cut_and_prepared_like_real_ones(tmp_path):
    options = {
        "classes": {"AT": 4, "LYM": 4, "MM": 4},
        "width": 160,
        "height": 160,
        "patients": 3,
        "regions": 3,
        "validation": 0.34,
        "size": 40,
        "overlap": 20,
        "min_coverage": 0.8,
    }
    text, data = json.dumps(options), tmp_path / "slides of histology"
    source = ("--source", "simulate_histology", "--options", text)
    records, examples = tmp_path / "records", tmp_path / "tile"

    def stage(name, *arguments):
        script = WORKFLOW / f"{name}_images.py"
        done = subprocess.run(
            [sys.executable, script, *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    stage("simulate", *source, "--out", data)
    stage("ingest", *source, "--data", data, "--out", records)
    table = records / "records.parquet"
    stage("tile", *source, "--data", data, "--records", table, "--out", examples)
    listed = examples / "examples.parquet"
    out = ("--options", '{"size": 32}', "--out", tmp_path / "32.npy")
    stage("prepare", "--data", data, "--records", table, "--examples", listed, *out)

    tiles, of = pd.read_parquet(listed), pd.read_parquet(table)
    assert len(of) == 4
    assert of["patient_known"].all()
    assert of["class"].eq("").all()
    assert set(of["part"]) == {"train", "validation"}
    assert of["record"].str.fullmatch(r"simulated-\w+-p\d{4}-i\d{6}").all()
    assert set(tiles["class"]) == {"AT", "LYM", "MM"}
    assert ImageStore.open([tmp_path / "32.npy"]).shape == (len(tiles), 3, 32, 32)
    # Each tile has the class that the mask gives 0.8 of it, to a pixel of its edge.
    paths = of.set_index("record")["path"].str.replace("slides", "annotations")
    for tile in tiles.sample(12, random_state=0).to_dict("records"):
        labels = np.asarray(Image.open(data / paths[tile["parent"]]))
        inside = labels[tile["y"] : tile["y"] + 40, tile["x"] : tile["x"] + 40]
        share = (inside == 1 + list(options["classes"]).index(tile["class"])).mean()
        assert share >= 0.8
