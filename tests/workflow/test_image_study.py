"""A study of simulated tiles with generators: what it makes, what it reruns, what it refuses."""

import copy
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fewcase.explain.map_files import TRAINING, read_maps
from workspace import Workspace, run_once

GAN = {
    "size": 16, "channel_base": 64, "channel_max": 8, "latent": 8, "mapping_layers": 1,
    "embedding": 8, "batch_size": 8, "kimg": 0.064, "snapshot_kimg": 0.032, "r1_interval": 4,
}  # fmt: skip
TILES = {
    "source": "simulate_histology",
    "width": 64,
    "height": 64,
    "size": 32,
    "patients": 16,
    "validation": 0,
}
STUDY = {
    "study": "tiles",
    "preset": "smoke",
    "seeds": [0],
    "folds": 2,
    "inner_folds": 2,
    "cohorts": {
        "large": {**TILES, "sites": ["far"], "classes": {"ADI": 8, "LYM": 8, "MUS": 8}, "seed": 1},
        "small": {**TILES, "sites": ["here"], "classes": {"BG": 24, "TUM": 24}, "seed": 2},
    },
    "targets": {
        "kinds": {"cohort": "large", "rule": "classes", "classes": ["ADI", "LYM", "MUS"]},
        "tumour": {"cohort": "small", "rule": "classes", "classes": ["BG", "TUM"]},
    },
    "split": {"target": "tumour"},
    "images": {"size": 16},
    "explain": {
        "cases": 3, "extremes": 1, "shared": 1, "checks": 1, "grids": [2, 3],
        "steps": 2, "orders": 1, "randomised": 1,
    },
    "recipe": {
        "model": "test_resnet", "weights": "none", "epochs": 1, "batch_size": 16,
        "neg_per_pos": None, "oversample": True, "orient": "dihedral",
    },
    "gan": GAN,
    "gans": {"base": {"target": "kinds"}, "frozen": {"base": "base", "freeze": {"d": 1, "g": 2}}},
    "gan_quality": {
        "extractor": "test_resnet", "weights": "none", "images": 64, "snapshot_images": 32,
    },
    "experiments": {
        "data": {
            "layout": "matrix",
            "measures": ["accuracy", "balanced_accuracy"],
            "columns": "model",
            "fix": {"training_set": "both", "synthetic_ratio": 1},
            "vary": {"gan": [None, "frozen"], "model": ["test_resnet"]},
        },
    },
    "presets": {"smoke": {}},
}  # fmt: skip
REPORTED = {"score", "tabulate", "tabulate_checklist", "report"}
OF_GAN = {
    *("synthesise", "measure_gan", "draw_gan", "certify", "train"),
    *("tabulate_gan_quality", "tabulate_gan_memorisation", *REPORTED),
    *("tabulate_performance", "tabulate_shortcuts", "draw_errors", "draw_learning"),
    # They say what the certificates say.
    *("tabulate_maps", "draw_maps"),
}
OF_BASE = {"measure_base_gan", "draw_base_gan", "train_gan", *OF_GAN}


@pytest.fixture(scope="session")
def finished_tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the study above after its first run, made once for all workers."""
    return run_once(tmp_path_factory.getbasetemp(), "finished-tiles", STUDY, Path.mkdir)


@pytest.fixture
def tiles(finished_tiles: Path, tmp_path: Path) -> Workspace:
    """Return a copy of the finished study, times and all, that a test may change."""
    shutil.copytree(finished_tiles, tmp_path / "copy", copy_function=shutil.copy2)
    return Workspace(tmp_path / "copy")


def with_key(path: str, value: object) -> dict:
    study = copy.deepcopy(STUDY)
    *folders, last = path.split(".")
    place = study
    for key in folders:
        place = place.setdefault(key, {})
    place[last] = value
    return study


def test_a_second_run_has_nothing_to_do_and_every_synthetic_image_is_certified(
    finished_tiles: Path,
) -> None:
    assert Workspace(finished_tiles).planned() == {}
    results = finished_tiles / "results" / "tiles" / "smoke"
    (certificate,) = (results / "splits").rglob("certificate-*.json")
    checks = {check["name"]: check for check in json.loads(certificate.read_text())["checks"]}
    assert checks["synthetic images"]["status"] == "disjoint"
    assert checks["base generators"]["status"] == "disjoint"
    assert checks["base generators"]["compared"] == 96
    drawn = sum(
        len(np.load(path, mmap_mode="r"))
        for path in (results / "gans").rglob("synthetic-*/images.npy")
    )
    assert checks["synthetic images"]["compared"] == drawn > 0


def test_an_arm_of_both_trains_on_as_many_synthetic_images_as_real_ones(
    finished_tiles: Path,
) -> None:
    results = finished_tiles / "results" / "tiles" / "smoke"
    sample = pd.read_parquet(next((results / "splits").rglob("ratio-all*/seed-0.parquet")))
    for fold in (0, 1):
        real = (sample["fold"] == fold).sum()
        drawn = np.load(
            next((results / "gans/frozen").rglob(f"fold-{fold}/synthetic-0/images.npy"))
        )
        assert len(drawn) == real
        (history,) = (results / "runs").glob(f"*gan=frozen*/*/seed-0/fold-{fold}/options.json")
        assert json.loads(history.read_text())["recipe"]["gan"] == "frozen"


def test_the_frozen_blocks_of_a_generator_are_those_of_its_base(finished_tiles: Path) -> None:
    from safetensors.numpy import load_file

    gans = finished_tiles / "results" / "tiles" / "smoke" / "gans"
    base = load_file(gans / "base/base/networks.safetensors")
    options = json.loads(next((gans / "frozen").rglob("fold-1/options.json")).read_text())
    ours = load_file(next((gans / "frozen").rglob("fold-1/networks.safetensors")))
    assert options["frozen"]
    for name in options["frozen"]:
        np.testing.assert_array_equal(ours[name], base[name], err_msg=name)


def test_the_page_speaks_of_images_and_never_of_recordings(finished_tiles: Path) -> None:
    page = (finished_tiles / "results/tiles/smoke/report.html").read_text().lower()
    page = re.sub(r"base64,[^\"']*", "", page)
    for word in ("recording", "fetal", "hospital", "fhr"):
        assert word not in page, word
    assert "simulated images" in page
    assert "synthetic images" in page


@pytest.mark.parametrize(
    ("key", "value", "stages"),
    [
        ("gans.frozen.freeze", {"d": 2, "g": 2}, {"train_gan", "plan", *OF_GAN}),
        ("gans.base.r1_gamma", 0.5, {"train_base_gan", "plan", *OF_BASE}),
        (
            "gan_quality.images",
            48,
            {"train_base_gan", "plan", *OF_BASE},
        ),
    ],
)
def test_a_key_of_a_generator_reruns_it_and_what_follows(
    tiles: Workspace, key: str, value: object, stages: set[str]
) -> None:
    tiles.write_study(with_key(key, value))
    planned = tiles.planned()
    assert set(planned) == stages
    # Of the two arms, the one of real images alone stands.
    assert planned["train"] == 2


def test_a_change_in_a_generator_s_code_leaves_classifiers_of_real_images_alone(
    tiles: Workspace,
) -> None:
    tiles.edit("workflow/fewcase/gan/conditioning.py", "VARIANTS =", "_UNUSED = 1\nVARIANTS =")
    planned = tiles.planned()
    assert set(planned) == {"train_base_gan", *OF_BASE}
    assert planned["train"] == 2


def test_another_augmentation_of_classifiers_trains_no_generator(tiles: Workspace) -> None:
    tiles.write_study(with_key("recipe.orient", "flips"))
    planned = tiles.planned()
    assert planned["train"] == 4
    assert not {"train_gan", "train_base_gan", "synthesise", "prepare", "split"} & set(planned)


@pytest.mark.parametrize(
    ("key", "value", "stages"),
    [
        ("explain.fill", "white", {"plan", "tabulate_checklist"}),
        ("recipe.epochs", 2, {"plan", "train", "score", "draw_errors", "draw_learning"}),
    ],
)
def test_maps_are_made_again_where_their_options_or_networks_change(
    tiles: Workspace, key: str, value: object, stages: set[str]
) -> None:
    of_maps = {"explain", "view", "tabulate_maps", "draw_maps", "report"}
    tiles.write_study(with_key(key, value))
    planned = set(tiles.planned())
    assert stages | of_maps <= planned
    if "train" not in stages:
        assert planned == stages | of_maps


def test_every_run_of_the_default_arm_is_explained_and_its_page_and_checks_are_there(
    finished_tiles: Path,
) -> None:
    results = finished_tiles / "results/tiles/smoke"
    folders = [path.parent for path in results.rglob("maps/**/grids.json")]
    assert sorted(folder.name for folder in folders) == ["fold-0", "fold-1"]
    for folder in folders:
        maps = read_maps(folder)
        # The shared examples of one fold were trained on in the other.
        assert len(maps.cases) >= 3
        assert set(maps.cases["role"]) <= {"validation", TRAINING}
        assert maps.differences.shape[1] == 4 + 9
    (page,) = results.rglob("maps/**/view.html")
    assert str(maps.cases["example"].iloc[0]) in page.read_text()
    table = pd.read_csv(results / "tables/explanations.csv")
    assert table["split"].tolist() == ["tumour-patient-none"]


def test_a_class_with_a_single_image_stops_its_generator_and_says_what_to_do(
    checkout: Workspace,
) -> None:
    study = with_key("cohorts.large.classes", {"ADI": 8, "LYM": 8, "MUS": 1})
    study["cohorts"]["large"] |= {"size": 64}
    checkout.write_study(study)
    base = "results/tiles/smoke/gans/base/base/weights.safetensors"
    printed = checkout.snakemake(
        "--cores", "2", "--configfile", "study.yaml", "--", base, check=False
    )
    assert "class 'MUS' has 1 training images" in printed
    assert "Merge the class with another one" in printed
