"""Claims about the simulated ultrasound: its livers, their stages, its screens, whom it is of."""

import dataclasses
import itertools
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import ndimage, stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fewcase.ingest.masked_images import MaskedSource
from fewcase.ingest.simulate import ultrasound
from fewcase.ingest.simulate.files import generator
from fewcase.ingest.simulate.ultrasound import (
    draw_body,
    draw_patient,
    draw_scan,
    draw_scanners,
    echoes,
    lay_beams,
    simulate_ultrasound,
)
from fewcase.ingest.simulate.ultrasound_liver import VIEWS
from fewcase.ingest.simulate.ultrasound_plan import plan_scans
from fewcase.ingest.simulate.ultrasound_scanner import (
    draw_scanner,
)
from fewcase.ingest.simulate.ultrasound_sector import Converter
from fewcase.ingest.simulate.ultrasound_stages import STAGES, draw_signs
from fewcase.study.errors import InputError
from fewcase.study.fields import read_section
from fewcase.study.image_sources import SimulateUltrasound

PAPER = {"F0": 20, "F1": 20, "F2": 21, "F3": 34, "F4": 23}
"""Images of each stage in the study of Kang et al. (2020): 118 of 78 patients."""

USUAL = draw_scanner(np.random.default_rng(0), 0.0)


def simulated(classes, **options):
    """Planned scans, and the scans."""
    options = SimulateUltrasound(classes=classes, **{"size": 128, **options})
    scanners = draw_scanners(options)
    return [(scan, draw_scan(scan, options, scanners[scan.site])) for scan in plan_scans(options)]


@pytest.fixture(scope="module")
def many():
    """Scans of all stages at a size at which details can be measured, and their measures."""
    found = simulated(dict.fromkeys(STAGES, 16), size=240, seed=5)
    table = pd.DataFrame([dataclasses.asdict(scan) for scan, _ in found])
    table["scan"] = [scan for _, scan in found]
    table["mean"] = [scan.picture[scan.mask].mean() for _, scan in found]
    table["std"] = [scan.picture[scan.mask].std() for _, scan in found]
    table["share"] = [scan.mask.sum() / scan.inside.sum() for _, scan in found]
    table["coarse"] = [coarseness(scan) for _, scan in found]
    table["rough"] = [roughness(scan) for _, scan in found]
    return table


def blurred(values, within, deviation):
    """Gaussian mean of the values within a region."""
    weight = ndimage.gaussian_filter(within.astype(np.float32), deviation)
    return ndimage.gaussian_filter(values * within, deviation) / np.maximum(weight, 1e-3)


def coarseness(scan):
    """Share of the parenchyma's deviation that is left by a blur over 1.6 mm."""
    pixel = scan.sector.scale
    grey = scan.picture.astype(np.float32)
    tissue = ndimage.binary_erosion(scan.mask, iterations=round(6 / pixel))
    dark = ndimage.gaussian_filter(grey, 1.2 / pixel) < 0.6 * np.median(grey[tissue])
    tissue &= ~ndimage.binary_dilation(dark, iterations=round(3 / pixel))
    detail = (grey - blurred(grey, tissue, 8 / pixel)) * tissue
    return blurred(detail, tissue, 1.6 / pixel)[tissue].std() / detail[tissue].std()


def roughness(scan):
    """Deviation of the bright line at the liver's upper edge from a smooth one, in mm."""
    pixel = scan.sector.scale
    grey = ndimage.gaussian_filter(scan.picture.astype(np.float32), (0.3 / pixel, 0.5 / pixel))
    columns = np.flatnonzero(scan.mask.sum(axis=0) > 40 / pixel)
    columns = columns[len(columns) // 7 : -len(columns) // 7]
    away = np.arange(-round(4 / pixel), round(4 / pixel) + 1)
    rows = scan.mask[:, columns].argmax(axis=0) + away[:, None]
    bright = (grey[rows, columns] - grey[rows, columns].min(axis=0) + 0.01) ** 4
    line = (bright * away[:, None]).sum(axis=0) / bright.sum(axis=0) * pixel
    return (line - ndimage.gaussian_filter1d(line, 12 / pixel)).std()


def test_the_liver_is_one_smooth_region_within_the_sector(many):
    assert many["share"].between(0.25, 0.6).all()
    assert many["share"].std() > 0.03
    for scan in many["scan"]:
        assert not (scan.mask & ~scan.inside).any()
        assert ndimage.label(scan.mask)[1] == 1
    for scan in many["scan"][::4]:
        assert (ndimage.binary_fill_holes(scan.mask) == scan.mask).all()
        # Opening with a disc of 6 mm takes off next to nothing but sharp corners.
        pixel = scan.sector.scale
        disc = np.hypot(*np.mgrid[-6:7, -6:7]) * pixel <= 6
        assert ndimage.binary_opening(scan.mask, disc).sum() > 0.97 * scan.mask.sum()


def laid_out(scan, options, drawn):
    """The body of a scan that was drawn, and the distance from the outline of its liver."""
    rng = generator(options.seed, "image", scan.patient, scan.number)
    return draw_body(lay_beams(drawn.sector), draw_patient(scan, options), scan.number, rng)


def test_the_mask_is_where_tissue_attenuates_as_the_liver_does():
    options = SimulateUltrasound(classes={"F1": 6, "F4": 6}, size=200)
    scanners = draw_scanners(options)
    for scan in plan_scans(options):
        drawn = draw_scan(scan, options, scanners[scan.site])
        body, bare = laid_out(scan, options, drawn)
        tissue = np.isclose(body.loss, draw_patient(scan, options).signs.loss, atol=1e-3)
        assert tissue[bare < -4].mean() < 0.01
        assert tissue[bare > 4].mean() > 0.75
        shown = Converter(body.beams).picture(bare, -1) > 0
        left, top, right, bottom = drawn.sector.box()
        np.testing.assert_array_equal(drawn.mask[top:bottom, left:right], shown)


def test_vessels_and_fluid_are_dark_and_the_diaphragm_is_bright():
    options = SimulateUltrasound(classes={"F0": 30}, size=256, site_shift=0, sites=("x",))
    seen = {}
    for scan in plan_scans(options):
        patient = draw_patient(scan, options)
        view = VIEWS[patient.views[scan.number]]
        if view.name in seen:
            continue
        drawn = draw_scan(scan, options, USUAL)
        body, bare = laid_out(scan, options, drawn)
        beams = body.beams
        decibels = 10 * np.log10(echoes(body, USUAL, 0.0))
        tissue = (bare > 4) & np.isclose(body.loss, patient.signs.loss, atol=1e-3)
        fluid = (body.loss < 0.16) & (beams.depth > 30)
        fluid = ndimage.binary_erosion(fluid, iterations=2)
        bright = (body.steady > 2) & (np.abs(bare) < 4) & (beams.depth > 60)
        usual = np.median(decibels[tissue])
        seen[view.name] = (
            np.median(decibels[fluid]) - usual if fluid.sum() > 20 else np.nan,
            np.median(decibels[bright]) - usual,
        )
    found = np.array(list(seen.values()))
    assert len(found) == len(VIEWS)
    assert np.nanmax(found[:, 0]) < -8
    assert found[:, 1].min() > 6


def test_texture_and_surface_coarsen_with_the_stage_and_stages_overlap(many):
    order = many["stage"].map(STAGES.index)
    for measure in ("coarse", "rough"):
        means = many.groupby("stage")[measure].mean()
        assert stats.spearmanr(range(5), means)[0] > 0.8
        assert 0.25 < stats.spearmanr(order, many[measure])[0] < 0.95
        assert means["F4"] - means["F0"] > many.groupby("stage")[measure].std().mean()
        neighbours = [many.loc[many["stage"] == stage, measure] for stage in STAGES]
        assert all(a.max() > b.min() for a, b in itertools.pairwise(neighbours))


def accuracy(table, measures):
    """Balanced accuracy for F0/F1, F2/F3 and F4, on patients who were not learned from."""
    groups = table["stage"].map({"F0": 0, "F1": 0, "F2": 1, "F3": 1, "F4": 2})
    cv = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
    found = cross_val_predict(model, table[measures], groups, groups=table["patient"], cv=cv)
    return balanced_accuracy_score(groups, found)


def test_grey_levels_do_not_tell_stages_apart_but_texture_and_surface_do(many):
    by_grey = accuracy(many, ["mean", "std"])
    assert by_grey < 0.6
    assert accuracy(many, ["share"]) < 0.5
    assert accuracy(many, ["coarse", "rough"]) > by_grey + 0.1


def test_signs_of_patients_rise_with_the_stage_and_not_without_severity():
    def drawn(stage, severity=1.0):
        rng = np.random.default_rng(7)
        signs = [draw_signs(rng, stage, severity, 1.0) for _ in range(150)]
        return pd.DataFrame([dataclasses.asdict(one) for one in signs])

    tables = [drawn(stage) for stage in STAGES]
    means = pd.DataFrame([table.mean() for table in tables])
    falling = {"walls", "nodules"}
    for name in means:
        change = means[name].diff()[1:] * (-1 if name in falling else 1)
        assert (change > 0).all(), name
    for lower, higher in itertools.pairwise(tables):
        assert 0.02 < (lower["grain"].to_numpy()[:, None] > higher["grain"].to_numpy()).mean() < 0.3
    none = [drawn(stage, 0.0).drop(columns="severity") for stage in STAGES]
    for other in none[1:]:
        pd.testing.assert_frame_equal(other, none[0])


def test_text_is_burnt_in_around_the_sector_and_never_over_it():
    options = SimulateUltrasound(classes={"F0": 1}, size=128)
    scan = plan_scans(options)[0]
    sides = []
    for style in np.linspace(0.01, 0.99, 12).tolist():
        scanner = dataclasses.replace(USUAL, style=style)
        with_text = draw_scan(scan, options, scanner)
        without = draw_scan(scan, dataclasses.replace(options, screen=False), scanner)
        inside = with_text.inside
        np.testing.assert_array_equal(with_text.picture[inside], without.picture[inside])
        np.testing.assert_array_equal(with_text.mask, without.mask)
        assert without.picture[~inside].max() == 0
        left, top, right, bottom = with_text.sector.box()
        written = with_text.picture.copy()
        mark = written[top:bottom, left:right] * ~inside[top:bottom, left:right]
        # Within the sector's box there is the mark of the probe's side alone, in a corner.
        rows, columns = np.nonzero(mark)
        assert len(rows)
        assert rows.max() < 0.1 * len(mark)
        assert columns.max() < 0.15 * mark.shape[1]
        written[top:bottom, left:right] = 0
        assert written[:top].max() > 100
        sides.append(
            (written[top:bottom, :left] > 100).sum() > (written[top:bottom, right:] > 100).sum()
        )
    assert 0 < np.mean(sides) < 1


def test_scanners_of_sites_differ_unless_told_not_to():
    a, b = (draw_scanner(np.random.default_rng(i), 1.0) for i in range(2))
    numbers = [f.name for f in dataclasses.fields(a) if f.name not in ("looks", "compensation")]
    assert all(getattr(a, name) != getattr(b, name) for name in numbers)
    a, b = (draw_scanner(np.random.default_rng(i), 0.0) for i in range(2))
    assert dataclasses.replace(a, style=0) == dataclasses.replace(b, style=0)


def test_the_numbers_of_the_paper_are_those_of_its_patients():
    scans = plan_scans(SimulateUltrasound(classes=PAPER))
    table = pd.DataFrame([dataclasses.asdict(scan) for scan in scans])
    assert table["stage"].value_counts().to_dict() == PAPER
    patients = table.groupby("patient")
    assert len(patients) == 78
    assert set(patients.size()) == {1, 2, 3}
    assert (patients[["stage", "site", "part"]].nunique() == 1).all(axis=None)
    assert set(table["part"]) == {""}
    assert (table.groupby("site").size() > 40).all()


def test_parts_are_of_patients_and_have_their_shares_of_each_stage():
    scans = plan_scans(
        SimulateUltrasound(classes=dict.fromkeys(STAGES, 300), validation=0.2, test=0.1)
    )
    patients = pd.DataFrame([dataclasses.asdict(s) for s in scans]).groupby("patient").first()
    shares = patients.groupby("stage")["part"].value_counts(normalize=True).unstack()
    np.testing.assert_allclose(shares["validation"], 0.2, atol=0.02)
    np.testing.assert_allclose(shares["test"], 0.1, atol=0.02)
    assert (patients.groupby(["site", "part", "stage"]).size() > 5).all()


def contents(folder):
    """Bytes of all pictures, by their path."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.png")}


def test_a_seed_gives_the_same_bytes_for_any_number_of_threads(tmp_path):
    options = {"classes": {"F4": 4, "F0": 3}, "size": 96}
    for name, seed, threads in (("a", 0, 1), ("b", 0, 3), ("c", 1, 2)):
        section = read_section(SimulateUltrasound, {**options, "seed": seed}, "options")
        simulate_ultrasound(section, tmp_path / name, threads=threads)
    a, b, c = (contents(tmp_path / name) for name in "abc")
    assert len(a) == 14
    assert a == b
    assert len({*a.values(), *c.values()}) == 28


def test_more_images_patients_and_stages_leave_the_others_as_they_were():
    def pictures(classes):
        found = simulated(classes, size=96)
        return {scan: (drawn.picture.tobytes(), drawn.mask.tobytes()) for scan, drawn in found}

    few = pictures({"F1": 4})
    more = pictures({"F0": 2, "F1": 7, "F4": 1})
    assert len(more) == 10
    assert few.items() <= more.items()


@pytest.mark.parametrize("shares", [{}, {"validation": 0.3}])
def test_files_are_read_back_with_patient_site_and_stage(tmp_path, shares):
    options = SimulateUltrasound(classes={"F0": 5, "F3": 4}, size=96, **shares)
    simulate_ultrasound(options, tmp_path / "liver", threads=2)
    stored = json.loads((tmp_path / "liver" / "simulation.json").read_text())
    assert read_section(SimulateUltrasound, stored, "options") == options
    source = MaskedSource(options.as_masked_images(), tmp_path / "liver")
    listed = {image.record: image for image in source.list_images()}
    scanners = draw_scanners(options)
    scans = {scan.name: scan for scan in plan_scans(options)}
    assert listed.keys() == scans.keys()
    assert len(listed) == 9
    for name, image in listed.items():
        scan = scans[name]
        wanted = (f"simulated-{scan.site}-p{scan.patient:04d}", scan.site, scan.part, scan.stage)
        assert (image.patient, image.site, image.part, image.class_name) == wanted
        opened = source.open(image)
        mask = f"{scan.part}/{scan.stage}/{name}_mask.png".lstrip("/")
        assert json.loads(opened.columns["masks"]) == [mask]
        # The image area is found on the screen.
        box = [opened.columns[side] for side in ("left", "top", "right", "bottom")]
        drawn = draw_scan(scan, options, scanners[scan.site])
        np.testing.assert_allclose(box, drawn.sector.box(), atol=5)
        files = [tmp_path / "liver" / image.path]
        files.append(tmp_path / "liver" / mask)
        with Image.open(files[0]) as picture, Image.open(files[1]) as mask:
            assert picture.mode == mask.mode == "L"
            assert picture.size == mask.size == (128, 96)
            assert "simulated" in picture.info["Comment"]
            assert "simulated" in mask.info["Comment"]
            assert set(np.unique(mask)) == {0, 255}
            np.testing.assert_array_equal(np.asarray(mask) > 0, drawn.mask)
            np.testing.assert_array_equal(picture, drawn.picture)


def test_a_simulation_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    simulate_ultrasound(SimulateUltrasound(classes={"F0": 1}, size=96), tmp_path / "out")
    before = contents(tmp_path)

    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(ultrasound, "draw_scan", fail)
    with pytest.raises(ZeroDivisionError):
        simulate_ultrasound(SimulateUltrasound(classes={"F1": 1}, size=96), tmp_path / "out")
    assert contents(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": {"F5": 1}}, "classes.F5: no such stage"),
        ({"classes": {"F0": -1}}, "classes.F0: -1 images"),
        ({"classes": {"F0": 0}}, "classes: no image of any stage"),
        ({"classes": {"F0": 1}, "sites": ["a-b"]}, "sites: 'a-b', expected letters"),
        ({"classes": {"F0": 1}, "sites": ["a", "a"]}, "sites: .* each once"),
        ({"classes": {"F0": 1}, "validation": 0.6, "test": 0.4}, "leave no patient"),
    ],
)
def test_options_that_cannot_be_simulated_are_named(options, message):
    with pytest.raises(InputError, match=message):
        plan_scans(read_section(SimulateUltrasound, options, "options"))
