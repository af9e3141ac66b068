"""The report of image studies: in the words of images, with contact sheets and synthetic images."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fewcase.data.files import write_json, write_table
from fewcase.reporting.display import Cell, DisplayTable, Row, simulated_note, write_display
from fewcase.reporting.report_data import describe_cohorts, describe_preset
from fewcase.splits.certificate import certify
from image_cohorts import GIVEN, Made, given_split, image_cohort, tile_cohort
from report_pages import Page, call

PICTURE = "<svg xmlns='http://www.w3.org/2000/svg'/>"
CONTENT: dict[str, Any] = {
    "study": "histology",
    "title": "Tissue of the bowel",
    "preset": "smoke",
    "simulated": False,
    "experiments": ["models"],
    "cohorts": {"slides": "tiles", "scans": "image_folder"},
    "unit_kinds": {"slides": "tile", "scans": "image"},
    "split": "tissue-patient-none",
    "runs": 12,
}
SIGNAL_WORDS = re.compile(
    r"recording|FHR|window|hospital|heart|signal|wfdb|positive|negative", re.I
)
ARMS = """arm,model,augment,orient,fhr_cutoff,uc_scale,baseline,slit_minutes,bags
resnet18+flips,resnet18,none,flips,,,block10,,1
resnet34,resnet34,none,none,,,block10,,1
"""


def table(title: str, unit: str = "tile") -> DisplayTable:
    rows = (Row((Cell("resnet18"), Cell("0.812", best=True))),)
    notes = (simulated_note(unit), "Told once.")
    return DisplayTable(title, ("Model", "Accuracy"), rows, "How to read: higher.", notes, 1)


def write_cohort(folder: Path, cohort: str, target: str, made: Made) -> tuple[Path, Path]:
    place = folder / cohort / target
    place.mkdir(parents=True)
    made.flow.to_csv(place / "flow.csv", index=False)
    write_table(place / "rejected.parquet", made.rejected)
    return place / "flow.csv", place / "rejected.parquet"


def write_certificate(folder: Path) -> Path:
    split = given_split(tile_cohort().cohort)
    records = pd.DataFrame({"record": split["parent"].unique(), "patient_known": False})
    pairs = pd.DataFrame(columns=["example_a", "example_b", "kind", "transform", "correlation"])
    facts = {"compared": 99, "featureless": 3}
    found = certify(split, GIVEN, 0, pairs, facts, {}, records, name="tissue", unit="tile")
    write_json(folder / "certificate.json", found)
    return folder / "certificate.json"


def write_files(folder: Path) -> dict[str, list[Any]]:
    names = ("models", "flow-slides-tissue", "flow-scans-kind", "labels", "gans-quality")
    for name in names:
        write_display(folder / f"{name}.json", [table(f"Table of {name}")], f"Caption of {name}.")
    for name in ("examples-slides-tissue", "examples-scans-kind"):
        write_display(folder / f"{name}.json", [], f"Caption of {name}.", f"Sheet of {name}")
    pictures = [*names, "examples-slides-tissue", "examples-scans-kind", "gans-grid", "gans-fid"]
    for name in pictures:
        (folder / f"{name}.svg").write_text(PICTURE)
    (folder / "arms.csv").write_text(ARMS)
    write_json(folder / "study.json", {"study": "histology"})
    flows = [
        write_cohort(folder, "slides", "tissue", tile_cohort()),
        write_cohort(folder, "scans", "kind", image_cohort()),
    ]
    return {
        "displays": sorted(folder.glob("*[a-z].json")),
        "figures": [folder / f"{name}.svg" for name in pictures],
        "flows": [flow for flow, _ in flows],
        "rejected": [rejected for _, rejected in flows],
        "certificates": [write_certificate(folder)],
        "arms": [folder / "arms.csv"],
        "study": [folder / "study.json"],
        "out": [folder / "report.html"],
    }


def make(folder: Path, content: dict[str, Any], **changes: list[Any]) -> str:
    options = write_files(folder)
    shown = {*options["displays"]} - {folder / "study.json", folder / "certificate.json"}
    options["displays"] = sorted(shown)
    flat: list[Any] = ["--content", json.dumps(content)]
    for name, paths in (options | changes).items():
        flat += [f"--{name}", *paths]
    assert call("make_report.py", *flat) == 0
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    captions = {"gans-grid": "Synthetic images of each class."}
    return make(tmp_path_factory.mktemp("report"), CONTENT | {"captions": captions})


def test_no_word_of_signal_studies_is_on_the_page(page: str) -> None:
    text = Page(page).text
    assert SIGNAL_WORDS.findall(text) == []
    assert "real images" in text
    assert "no patient, image or copy" not in text  # patients are not known here
    assert "each such image counts as a patient of its own" in text


def test_the_head_tells_images_tiles_and_classes(page: str) -> None:
    texts = Page(page).texts
    assert (
        "Real images: cohort slides (source tiles), target tissue: 5 of 10 images are used, of 4 "
        "patients, cut into 20 tiles; by class AT 8, BG 7, TUM 5."
    ) in texts
    assert (
        "Real images: cohort scans (source image_folder), target kind: 36 of 43 images are used, "
        "of 20 patients; by class Benign 24, Invasive 12."
    ) in texts
    text = " ".join(texts)
    assert "on few images, for few epochs" in text
    assert "one tile or image of a class gets a higher score for this class" in text
    assert "balanced accuracy is the mean of this share over the classes" in text


def test_contact_sheets_stand_behind_the_flow_of_their_cohort(page: str) -> None:
    places = [
        page.index(f"Caption of {name}.")
        for name in (
            *("flow-scans-kind", "examples-scans-kind"),
            *("flow-slides-tissue", "examples-slides-tissue"),
        )
    ]
    assert places == sorted(places)
    assert page.index("<h2>Data") < places[0]
    assert places[-1] < page.index("Refused images</bdi></h3>")
    assert page.count("Sheet of examples-slides-tissue</bdi></h3>") == 1
    assert "From recording to image" not in page


def test_synthetic_images_have_a_part_of_their_own_with_figures_that_have_no_table(
    page: str,
) -> None:
    parts = [text.split("</h2>")[0] for text in page.split("<h2>")[1:]]
    assert (
        parts
        == [
            *("The default arm", "Experiments", "Synthetic images", "Data", "Splits", "Appendix"),
        ][-len(parts) :]
    )
    part = page.split("<h2>Synthetic images")[1].split("<h2>")[0]
    assert part.count("<img") == 3
    assert "Table of gans-quality" in part
    assert "Synthetic images of each class." in part
    assert "gans-fid" in part
    assert page.count("gans-") == part.count("gans-") + page.split("</nav>")[0].count("gans-")


def test_refused_images_are_counted_once_for_each_reason(page: str) -> None:
    part = page.split("Refused images</bdi></h3>")[1]
    tiles = part.split("</table>")[0]
    counts = dict(re.findall(r"<bdi>([a-z ]+)</bdi></td>.*?number \"><bdi>(\d+)<", tiles, re.S))
    assert counts == {
        "no class": "1",
        "torn file": "1",
        "too little tissue": "2",
        "no annotation": "1",
        "no tile left": "1",
        "no label": "3",
    }


def test_factors_of_signals_and_packages_that_read_them_are_left_out(page: str) -> None:
    appendix = page.split("<h2>Appendix")[1]
    assert "Mirroring and turning" in appendix
    for word in ("FHR", "UC scale", "Slit", "block10", "wfdb"):
        assert word not in appendix
    assert "pillow" in appendix


def test_simulated_images_were_measured_on_nobody(tmp_path: Path) -> None:
    text = Page(make(tmp_path, CONTENT | {"simulated": True})).text
    assert "Simulated images were measured on nobody" in text
    assert "simulated images" in text
    assert simulated_note("tile") not in text  # the head has said it


def test_a_study_of_both_kinds_tells_each_in_its_own_words(tmp_path: Path) -> None:
    content = CONTENT | {"cohorts": {**CONTENT["cohorts"], "ctg": "ctu_uhb"}}
    place = tmp_path / "ctg" / "apgar"
    place.mkdir(parents=True)
    rows = [
        (step, "all", label, number, number, number)
        for step in ("recorded", "labelled")
        for label, number in [("positive", 3), ("negative", 4), ("unlabelled", 0), ("all", 7)]
    ]
    columns = ["step", "site", "label", "recordings", "patients", "examples"]
    pd.DataFrame(rows, columns=columns).to_csv(place / "flow.csv", index=False)
    (tmp_path / "steps-ctg.svg").write_text(PICTURE)
    (tmp_path / "images").mkdir()
    made = write_files(tmp_path / "images")
    flows = [place / "flow.csv", *made["flows"]]
    notes = describe_cohorts(content, flows)
    assert "7 of 7 recordings are used, of 7 patients; 3 are positive." in notes[0]
    assert "cut into 20 tiles" in notes[1]
    assert "on few images and recordings, for" in describe_preset(content)
    page = make(tmp_path / "more", content, flows=flows, steps=[tmp_path / "steps-ctg.svg"])
    text = Page(page).text
    assert "real images and recordings" in text
    assert "Refused images and recordings" in text
    assert "From recording to image" in text
    assert "FHR baseline" in text
    assert "wfdb" in text
    assert "pillow" in text
