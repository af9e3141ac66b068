"""Claims about the simulated B-scans: their layers, speckle and signs, and whom they are of."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import ndimage
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fewcase.ingest.image_folder import list_images
from fewcase.ingest.simulate import oct
from fewcase.ingest.simulate.fields import smooth_curve, smooth_field
from fewcase.ingest.simulate.files import generator
from fewcase.ingest.simulate.oct import (
    WIDTHS,
    draw_devices,
    draw_retina,
    draw_scan,
    plan_scans,
    simulate_oct,
)
from fewcase.ingest.simulate.oct_classes import CLASSES
from fewcase.ingest.simulate.oct_device import draw_device, draw_speckle, pieces_of
from fewcase.ingest.simulate.oct_picture import EXTINCTION, Picture, intensity
from fewcase.study.errors import InputError
from fewcase.study.fields import read_section
from fewcase.study.image_sources import SimulateOct

FOUR = ("NORMAL", "CNV", "DME", "DRUSEN")
CLEAR = {"height": 124, "scans": 1, "margins": 0, "site_shift": 0}
"""Scans that are easy to measure."""


def simulated(classes, **options):
    """Scans, pictures and places of lesions."""
    options = SimulateOct(classes=classes, **{"height": 96, **options})
    devices = draw_devices(options)
    return [(scan, *draw_scan(scan, options, devices[scan.site])) for scan in plan_scans(options)]


def surfaces(picture):
    """Rows of inner surface and pigment epithelium in each column, and the smoothed picture.

    The epithelium is the brightest row; the surface is where the bright region that it belongs to
    begins. White margins count as dark.
    """
    unit = picture.shape[0] / 96
    grey = picture.astype(np.float32)
    white = ndimage.binary_dilation(picture >= 250, iterations=2)
    grey[white & (ndimage.uniform_filter(grey, 5) > 235)] = 25
    smooth = ndimage.gaussian_filter(grey, (0.7 * unit, 2 * unit))
    epithelium = ndimage.median_filter(smooth.argmax(axis=0), int(5 * unit))
    bright = smooth > np.median(smooth[: int(8 * unit)]) + 18
    bright &= np.arange(len(picture))[:, None] <= epithelium
    regions, _ = ndimage.label(bright)
    own = np.unique(regions[epithelium, np.arange(picture.shape[1])])
    retina = np.isin(regions, own[own > 0])
    surface = np.where(retina.any(axis=0), retina.argmax(axis=0), epithelium)
    return surface, epithelium, smooth


def measures(picture):
    """What a reader would measure, in units of a 96th of the height."""
    unit = picture.shape[0] / 96
    surface, epithelium, smooth = surfaces(picture)
    x = np.linspace(-1, 1, picture.shape[1])
    rows = np.arange(len(picture))[:, None]
    thickness = (epithelium - surface) / unit
    curve = np.polyfit(x, epithelium / unit, 2)
    bumps = epithelium / unit - np.polyval(curve, x)
    inside = (rows > surface + 2 * unit) & (rows < epithelium - 3 * unit)
    usual = np.median(smooth[inside]) if inside.any() else 0
    centre = np.abs(x) < 0.2
    below = np.minimum(epithelium + int(9 * unit), len(picture) - 1)
    behind = smooth[below, np.arange(len(x))]
    before = smooth[(rows < surface - 3 * unit) & (rows > 4 * unit)]
    return {
        "thickness": np.median(thickness),
        "thickness in the middle": thickness[centre].mean(),
        "depth of the pit": np.median(thickness) - np.percentile(thickness[centre], 5),
        "bumps": bumps.std(),
        "curvature": curve[0],
        "holes": (smooth[inside] < 0.62 * usual).mean() if inside.any() else 0,
        "brightest inside": np.percentile(smooth[inside], 98) / usual if inside.any() else 0,
        "inside": usual,
        "choroid, uneven": behind.std(),
        "vitreous": np.percentile(before, 99.8) if before.size else 0,
    }


@pytest.fixture(scope="module")
def four() -> pd.DataFrame:
    """Scans of four classes: pictures, measures, who, where."""
    found = simulated(dict.fromkeys(FOUR, 48), scans=2, seed=3)
    table = pd.DataFrame([measures(picture) for _, picture, _ in found])
    of = pd.DataFrame([dataclasses.asdict(scan) for scan, _, _ in found])
    of["picture"] = [picture for _, picture, _ in found]
    return pd.concat([of, table], axis=1)


def accuracy(model, features, four):
    """Balanced accuracy on patients who were not learned from."""
    labels, cv = four["class_name"], GroupKFold(4)
    found = cross_val_predict(model, features, labels, groups=four["patient"], cv=cv)
    return balanced_accuracy_score(labels, found)


def test_grey_levels_alone_do_not_tell_classes_apart_but_shapes_do(four):
    grey = np.array([[picture.mean(), picture.std()] for picture in four["picture"]])
    by_grey = accuracy(make_pipeline(StandardScaler(), LogisticRegression()), grey, four)
    shapes = four.loc[:, "thickness":]
    by_shape = accuracy(ExtraTreesClassifier(100, random_state=0), shapes, four)
    assert by_grey < 0.45
    # Mild disease keeps classes from being told apart without fail.
    assert 0.5 < by_shape < 0.95
    assert by_shape > by_grey + 0.15


SIGNS = {
    "CNV": ("bumps", 1),
    "DRUSEN": ("bumps", 1),
    "DME": ("holes", 1),
    "CRVO": ("thickness", 1),
    "CSC": ("holes", 1),
    "PED": ("bumps", 1),
    "PCV": ("bumps", 1),
    "GA": ("choroid, uneven", 1),
    "GLAUCOMA": ("thickness", -1),
    "MYOPIA": ("curvature", -1),
    "DSM": ("curvature", 1),
    "MH": ("depth of the pit", 1),
    "RAO": ("inside", 1),
    "PVD": ("vitreous", 1),
    "RP": ("thickness", -1),
    "VMT": ("depth of the pit", -1),
    "ERM": ("thickness in the middle", 1),
    "RD": ("holes", 1),
}
"""What is measured of a class's sign, and whether it is more or less than in normal scans."""


def test_signs_of_classes_are_measured_where_they_should_be():
    found = simulated({"NORMAL": 20, **dict.fromkeys(SIGNS, 10)}, **CLEAR, seed=4)
    table = pd.DataFrame(
        [{"class": scan.class_name, **measures(picture)} for scan, picture, _ in found]
    )
    normal = table[table["class"] == "NORMAL"]
    separated = {}
    for name, (measure, sign) in SIGNS.items():
        both = np.concatenate([normal[measure], table.loc[table["class"] == name, measure]])
        separated[name] = roc_auc_score(np.arange(len(both)) >= len(normal), sign * both)
    assert min(separated.values()) > 0.7, separated
    assert np.median(list(separated.values())) > 0.9, separated


def test_layers_of_the_retina_are_in_their_order():
    found = simulated({"NORMAL": 5}, height=496, scans=1, margins=0, site_shift=0, seed=2)
    profiles = []
    for _, picture, lesion in found:
        assert not lesion.any()
        surface, epithelium, _ = surfaces(picture)
        away = np.flatnonzero(epithelium - surface > 65)
        depth = np.linspace(-0.5, 2.5, 181)[:, None]
        rows = surface[away] + depth * (epithelium - surface)[away]
        lines = picture[rows.round().astype(int).clip(0, 495), away]
        profiles.append(lines.mean(axis=1) / picture.mean())
    profile = np.mean(profiles, axis=0)

    def level(first, last, of=np.mean):
        return of(profile[int((first + 0.5) * 60) : int((last + 0.5) * 60) + 1])

    vitreous, fibres, plexiform = level(-0.4, -0.1), level(0, 0.15, np.max), level(0.2, 0.45)
    nuclear, ellipsoid = level(0.6, 0.75, np.min), level(0.82, 0.92, np.max)
    epithelium, choroid, deep = level(0.95, 1.1, np.max), level(1.2, 1.4), level(2.2, 2.4)
    assert vitreous < 0.8 * nuclear
    assert nuclear < 0.8 * plexiform < plexiform < fibres < ellipsoid < epithelium
    assert vitreous < choroid < 0.7 * epithelium
    assert deep < 0.75 * choroid
    # Between photoreceptors and pigment epithelium it is darker than in either.
    assert level(0.85, 1.0, np.min) < ellipsoid


def test_speckle_is_fully_developed_and_correlated_over_the_point_spread():
    spread = (1.4, 0.9)
    speckle = draw_speckle(np.random.default_rng(0), (500, 500), spread, looks=1)
    assert speckle.mean() == pytest.approx(1, abs=1e-3)
    assert speckle.std() == pytest.approx(1, rel=0.03)
    # Intensity is distributed exponentially (Goodman 1976) …
    for threshold in (0.5, 1.0, 2.0, 4.0):
        assert (speckle > threshold).mean() == pytest.approx(np.exp(-threshold), rel=0.1)
    # … and correlated by the square of the field's correlation.
    for axis, width in enumerate(spread):
        for lag in (1, 2):
            product = (np.roll(speckle, lag, axis) - 1) * (speckle - 1)
            wanted = np.exp(-(lag**2) / (4 * width**2)) ** 2
            assert product.mean() / speckle.var() == pytest.approx(wanted, abs=0.05)
    rng = np.random.default_rng(1)
    pieces = [pieces_of(speckle, (300, 400), number, rng) / number for number in (1, 4, 16)]
    for piece, contrast in zip(pieces, (1, 0.5, 0.25), strict=True):
        assert piece.std() / piece.mean() == pytest.approx(contrast, rel=0.1)


def test_a_piece_that_leaves_the_tile_goes_on_at_its_other_side():
    tile = np.arange(35, dtype=np.float32).reshape(5, 7)
    places = set()
    for seed in range(200):
        piece = pieces_of(tile, (4, 6), 1, np.random.default_rng(seed))
        row, column = divmod(int(piece[0, 0]), 7)
        places.add((row, column))
        np.testing.assert_array_equal(piece, np.roll(tile, (-row, -column), (0, 1))[:4, :6])
    assert len(places) == 35


def canvas(rows=120, columns=90, axial=4.0, lateral=12.0):
    x = (np.arange(columns) - columns / 2) * np.float32(lateral)
    tops = {"vitreous": np.full(columns, -9.0), "sclera": np.full(columns, 101.0)}
    return Picture((rows, columns), x, axial, tops, np.random.default_rng(0))


def test_light_fades_exponentially_and_absorbing_things_cast_shadows():
    picture = canvas()
    grey = {"vitreous": np.zeros(90), "sclera": np.full(90, 80.0)}
    picture.fill(("vitreous", "sclera"), grey)
    # The edge at 101 µm is a quarter into its pixel.
    assert picture.light[24].max() == 0
    np.testing.assert_allclose(picture.light[25] / intensity(80), 0.75, rtol=1e-5)
    picture.ellipse((0, 250), (60, 20), 80, absorb=0.7)
    shaded = np.asarray(picture.shaded(), float)
    slope = np.diff(np.log(shaded[30:, 0])) / 4
    np.testing.assert_allclose(slope, -EXTINCTION * intensity(80), rtol=1e-3)
    middle = int(np.argmin(np.abs(picture.x)))
    assert shaded[50, middle] == pytest.approx(shaded[50, 0], rel=1e-5)
    assert shaded[90, middle] / shaded[90, 0] == pytest.approx(np.exp(-0.7), rel=0.08)


def test_round_things_have_the_size_that_was_asked_for_and_are_marked():
    picture = canvas()
    picture.light += 1
    picture.ellipse((0, 240), (200, 100), 0)
    area = (1 - picture.light).sum() * 4 * 12
    assert area == pytest.approx(np.pi * 200 * 100, rel=0.02)
    assert picture.lesion.sum() * 48 == pytest.approx(area, rel=0.03)
    down, across = ndimage.center_of_mass(picture.lesion)
    assert (down + 0.5) * 4 == pytest.approx(240, abs=2)
    assert picture.x[round(across)] == pytest.approx(0, abs=12)


def test_every_class_draws_something_of_its_own_in_the_same_eye():
    options = SimulateOct(classes={"NORMAL": 1}, height=96, margins=0)
    one = plan_scans(options)[0]
    light = {}
    for name in CLASSES:
        scan = dataclasses.replace(one, class_name=name)
        eye, rng = (generator(5, purpose, 0) for purpose in ("eye", "scan"))
        retina = draw_retina(scan, options, eye, rng)
        picture = retina.paint()
        light[name] = np.log1p(picture.shaded())
        assert np.isfinite(light[name]).all()
        assert picture.lesion.any() == (name != "NORMAL")
        assert picture.lesion.mean() < 0.6
    assert len(light) == 33
    names = list(light)
    differences = [
        np.abs(light[a] - light[b]).mean() for i, a in enumerate(names) for b in names[:i]
    ]
    assert min(differences) > 0.01
    assert all(len(recipe.shows) > 10 for recipe in CLASSES.values())


def test_lesions_lie_where_the_masks_say():
    found = simulated(dict.fromkeys(("DME", "DRUSEN", "GA", "PVD"), 10), **CLEAR, seed=6)
    for name in ("DME", "DRUSEN", "GA", "PVD"):
        contrast = []
        for scan, picture, lesion in found:
            if scan.class_name != name:
                continue
            surface, epithelium, smooth = surfaces(picture)
            rows = np.arange(len(picture))[:, None]
            if name == "DME":  # the darkest places of the retina
                inside = (rows > surface + 2) & (rows < epithelium - 3)
                dark = smooth < np.percentile(smooth[inside], 4)
                contrast.append(lesion[inside & dark].mean() - lesion[inside & ~dark].mean())
            elif name == "DRUSEN":  # near the epithelium
                away = np.abs(rows - epithelium)[lesion]
                contrast.append(np.median(away) < 6)
            elif name == "GA":  # a brighter choroid
                columns = lesion.sum(axis=0) > 8
                below = (rows > epithelium + 6) & (rows < epithelium + 16)
                inside, outside = smooth[below & columns], smooth[below & ~columns]
                contrast.append(inside.mean() > outside.mean())
            else:  # bright in the vitreous
                ring = ndimage.binary_dilation(lesion, iterations=5) & ~lesion & (picture < 240)
                contrast.append(picture[lesion].mean() > picture[ring].mean() + 5)
        assert np.mean(contrast) > (0.25 if name == "DME" else 0.7), name


def test_sites_differ_in_their_devices_and_alike_sites_do_not(four):
    noise = np.array([picture[3:9].std() for picture in four["picture"]])
    dark = np.array([np.percentile(picture, 20) for picture in four["picture"]])
    forest = ExtraTreesClassifier(60, random_state=0)
    features, sites = np.stack([noise, dark], axis=1), four["site"]
    cv = GroupKFold(4)
    found = cross_val_predict(forest, features, sites, groups=four["patient"], cv=cv)
    assert balanced_accuracy_score(sites, found) > 0.7
    first, second = (draw_device(np.random.default_rng(i), 0.0, 64) for i in range(2))
    for field in ("pieces", "strength", "floor", "blur", "contrast", "black", "fading"):
        assert getattr(first, field) == getattr(second, field)


def test_scans_of_one_eye_are_of_one_disease():
    found = simulated({"DRUSEN": 60}, scans=6, margins=0, sites=("x",))
    table = pd.DataFrame(
        [[scan.patient * 2 + scan.eye, picture.shape[1], lesion.sum()]
         for scan, picture, lesion in found],
        columns=["eye", "width", "area"],
    )  # fmt: skip
    assert (table.groupby("eye")["width"].nunique() == 1).all()
    of_eyes = table.groupby("eye")["area"]
    assert of_eyes.var().mean() < 0.5 * table["area"].var()
    eyes = pd.DataFrame([[s.patient, s.eye, s.number] for s, _, _ in found], columns=list("pen"))
    assert set(eyes.groupby("p")["e"].nunique()) == {1, 2}
    assert 1 < eyes.groupby("p")["n"].count().mean() < 11


def contents(folder):
    """Bytes of all pictures, by their path."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.jpeg")}


def test_a_seed_gives_the_same_bytes_for_any_number_of_threads(tmp_path):
    options = {"classes": {"CNV": 5, "NORMAL": 4}, "height": 64, "scans": 2}
    for name, seed, threads in (("a", 0, 1), ("b", 0, 3), ("c", 1, 1)):
        section = read_section(SimulateOct, {**options, "seed": seed}, "options")
        simulate_oct(section, tmp_path / name, threads=threads)
    a, b, c = (contents(tmp_path / name) for name in "abc")
    assert len(a) == 9
    assert a == b
    assert not set(a.values()) & set(c.values())
    assert len(set(a.values())) == 9


def test_more_scans_classes_and_patients_leave_the_others_as_they_were():
    def pictures(classes):
        found = simulated(classes, height=64, scans=2)
        return {(s.part, s.class_name, s.name): p.tobytes() for s, p, _ in found}

    few, more = pictures({"CNV": 5}), pictures({"SCAR": 3, "CNV": 9, "NORMAL": 4})
    assert len(more) == 16
    assert few.items() <= more.items()


def test_parts_are_of_patients_and_have_the_share_that_was_asked_for():
    classes = dict.fromkeys(FOUR, 400)
    scans = plan_scans(SimulateOct(classes=classes, scans=5, validation=0.2, test=0.1))
    table = pd.DataFrame([dataclasses.asdict(scan) for scan in scans])
    assert table["class_name"].value_counts().eq(400).all()
    patients = table.groupby("patient")[["part", "site", "class_name"]]
    assert (patients.nunique() == 1).all(axis=None)
    first = patients.first()
    shares = first.groupby(["class_name", "part"]).size().unstack()
    shares = shares.div(shares.sum(axis=1), axis=0)
    assert (shares["validation"] - 0.2).abs().max() < 0.02
    assert (shares["test"] - 0.1).abs().max() < 0.02
    assert (first.groupby(["site", "part", "class_name"]).size() > 1).all()
    whole = plan_scans(SimulateOct(classes={"CNV": 3}, validation=0, test=0))
    assert {scan.part for scan in whole} == {""}


@pytest.mark.parametrize(("patients", "wanted"), [(2, 1), (4, 1), (6, 2), (20, 5)])
def test_few_patients_are_dealt_as_evenly_as_many(patients, wanted):
    scans = plan_scans(SimulateOct(classes={"DME": patients}, scans=1, validation=0.25))
    assert len({scan.patient for scan in scans}) == patients
    assert abs(sum(scan.part == "validation" for scan in scans) - wanted) <= (patients == 2)


@pytest.mark.parametrize("file_type", ["jpeg", "png"])
def test_files_are_read_back_as_a_folder_of_images(tmp_path, file_type):
    options = SimulateOct(
        classes={"NORMAL": 6, "DME": 6}, height=64, scans=3, test=0.25, file_type=file_type
    )
    simulate_oct(options, tmp_path / "oct", threads=2)
    stored = json.loads((tmp_path / "oct" / "simulation.json").read_text())
    assert read_section(SimulateOct, stored, "options") == options
    listed = list(list_images(options.as_image_folder(), tmp_path / "oct"))
    scans = {scan.name: scan for scan in plan_scans(options)}
    assert len(listed) == len(scans) == 12
    for image in listed:
        scan = scans[image.record]
        assert image.patient == f"simulated-{scan.site}-p{scan.patient:06d}"
        assert image.patient_known
        assert (image.site, image.part, image.class_name) == (
            *(scan.site, scan.part, scan.class_name),
        )
        assert image.path == f"{scan.part}/{scan.class_name}/{scan.name}.{file_type}"
        with Image.open(tmp_path / "oct" / image.path) as picture:
            assert (picture.mode, picture.height, picture.format) == ("L", 64, file_type.upper())
            comment = picture.info.get("Comment", picture.info.get("comment"))
            assert b"simulated" in (comment if isinstance(comment, bytes) else comment.encode())


def test_scans_have_the_sizes_and_margins_of_oct2017():
    found = simulated({"NORMAL": 60}, height=124, scans=1, margins=0.5)
    assert {picture.shape[1] for _, picture, _ in found} == {wide // 4 for wide in WIDTHS}
    assert {picture.shape[0] for _, picture, _ in found} == {124}
    white = [(picture == 255).mean() for _, picture, _ in found]
    assert 0.3 < np.mean(np.array(white) > 0.003) < 0.75
    none = simulated({"NORMAL": 12}, height=64, scans=1, margins=0)
    assert max((picture == 255).mean() for _, picture, _ in none) < 0.003


def test_scans_resemble_real_ones(real_data):
    folder = real_data / "oct2017-subset" / "OCT2017" / "train" / "NORMAL"
    if not folder.is_dir():
        pytest.skip("the subset of OCT2017 is not at hand")
    paths = sorted(folder.glob("*.jpeg"))[::12]
    real = [np.asarray(Image.open(path)) for path in paths]
    made = [p for _, p, _ in simulated({"NORMAL": 6}, height=496, scans=1, margins=0, seed=1)]

    def described(picture):
        # White margins are no part of the eye.
        dark = np.where(picture > 250, 25, picture).astype(float)
        tops = dark[40:100].ravel()
        detail = dark[40:100] - dark[40:100].mean()
        neighbours = [
            (detail[1:] * detail[:-1]).mean() / detail.var(),
            (detail[:, 1:] * detail[:, :-1]).mean() / detail.var(),
        ]
        surface, epithelium, smooth = surfaces(picture)
        brightest = smooth[epithelium, np.arange(picture.shape[1])].mean()
        thickness = np.median(epithelium - surface)
        return [dark.mean(), dark.std(), tops.mean(), tops.std(), *neighbours, brightest, thickness]

    of_real, of_made = (np.median([described(p) for p in s], axis=0) for s in (real, made))
    ratio = of_made / of_real
    assert (ratio > 0.5).all(), ratio
    assert (ratio < 2).all(), ratio


def test_curves_and_fields_are_standard_and_smooth():
    curves = np.stack([smooth_curve(np.random.default_rng(i), 300, 40) for i in range(200)])
    assert curves.dtype == np.float32
    assert curves.std() == pytest.approx(1, abs=0.05)
    assert curves.mean() == pytest.approx(0, abs=0.05)
    assert np.abs(np.diff(curves, axis=1)).mean() < 0.1
    field = smooth_field(np.random.default_rng(0), (400, 500), (8, 30))
    assert field.shape == (400, 500)
    assert field.std() == pytest.approx(1, abs=0.08)
    steps = [np.diff(field, axis=axis).std() for axis in (0, 1)]
    assert steps[0] / steps[1] == pytest.approx(30 / 8, rel=0.1)


def test_a_simulation_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    simulate_oct(SimulateOct(classes={"NORMAL": 2}, height=64), tmp_path / "out")
    before = contents(tmp_path)

    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(oct, "draw_scan", fail)
    with pytest.raises(ZeroDivisionError):
        simulate_oct(SimulateOct(classes={"CNV": 1}, height=64), tmp_path / "out")
    assert contents(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": {"DRUSE": 1}}, "classes.DRUSE: no such class. Did you mean 'DRUSEN'"),
        ({"classes": {"CNV": -1}}, "classes.CNV: -1 scans"),
        ({"classes": {"CNV": 0}}, "classes: no scan of any class"),
        ({"classes": {"CNV": 1}, "sites": ["a-b"]}, "sites: 'a-b', expected letters"),
        ({"classes": {"CNV": 1}, "sites": ["a", "a"]}, "sites: .* each once"),
        ({"classes": {"CNV": 1}, "validation": 0.6, "test": 0.4}, "leave no patient"),
    ],
)
def test_options_that_cannot_be_simulated_are_named(options, message):
    with pytest.raises(InputError, match=message):
        plan_scans(read_section(SimulateOct, options, "options"))
