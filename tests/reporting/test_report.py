"""The report: what the page holds, what is red, and which mistake is named."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fewcase.data.files import write_json, write_table
from fewcase.reporting import report, report_appendix
from fewcase.reporting.display import (
    LEAKY_NOTE,
    SIMULATED_NOTE,
    Cell,
    DisplayTable,
    Row,
    read_display,
    write_display,
)
from report_pages import Page, call

HOSTILE = "<script>alert('1')</script>"
STEPS = ("recorded", "ingested", "labelled")
PICTURE = "<svg xmlns='http://www.w3.org/2000/svg'/>"
CONTENT: dict[str, Any] = {
    "study": "ctg",
    "title": f"Births {HOSTILE}",
    "preset": "smoke",
    "simulated": True,
    "leaky": True,
    "experiments": ["models"],
    "cohorts": {"ctg": "simulate_ctg"},
    "split": "apgar-patient-none",
    "runs": 30,
}
TABLE = DisplayTable(
    "Title (simulated)",
    ("Model", "AUC"),
    (
        Row((Cell(HOSTILE), Cell("0.812", best=True))),
        Row((Cell("image-level (leaky)"), Cell("0.911")), leaky=True),
        Row((Cell("mixed"), Cell("0.922", leaky=True)), starts_group=True),
    ),
    f"How to read: {HOSTILE} higher is better.",
    (SIMULATED_NOTE, "Only once.", LEAKY_NOTE),
    1,
)
NAMES = ("performance", "shortcuts", "models", "flow-ctg-apgar", "labels", "reproduction", "claim")


def write_flow(folder: Path) -> tuple[Path, Path]:
    rows = [
        (step, site, label, 100 - 10 * i, 90 - 10 * i)
        for i, step in enumerate(STEPS)
        for site in (HOSTILE, "Ibi", "all")
        for label in ("positive", "negative", "unlabelled", "all")
    ]
    place = folder / "ctg" / "apgar"
    place.mkdir(parents=True)
    columns = ["step", "site", "label", "recordings", "patients"]
    pd.DataFrame(rows, columns=columns).to_csv(place / "flow.csv", index=False)
    refusals = {"record": ["r1", "r2", "r3"], "stage": ["ingest", "signal", "signal"]}
    reasons = ["truncated signal", "too short", "too short"]
    table = pd.DataFrame(refusals).assign(reason=reasons, detail=HOSTILE)
    write_table(place / "rejected.parquet", table)
    return place / "flow.csv", place / "rejected.parquet"


def write_certificates(folder: Path) -> list[Path]:
    part = {"examples": 40, "parents": 40, "patients": 30, "groups": 30, "by_label": {"0": 40}}
    paths = []
    for name, status in [("clean", "clean"), ("img", "leaky"), ("anonymous", "unknown")]:
        of_patients = {"clean": "disjoint"}.get(status, status)
        checks = [
            {"name": "patients", "status": of_patients, "compared": 30, "shared": 7, "detail": ""},
            {"name": HOSTILE, "status": "disjoint", "compared": 40, "shared": 0, "detail": ""},
        ]
        fold = {"fold": 0, "training": part, "stopping": part, "validation": part}
        certificate = {
            "split": name,
            "seed": 0,
            "scheme": "image" if status == "leaky" else "patient",
            "duplicates": "group",
            "status": status,
            "digest": "0123456789abcdef",
            "checks": checks,
            "folds": [fold],
            "test": part,
            "sites": {HOSTILE: "training"},
            "excluded": {},
            "notes": [HOSTILE],
        }
        paths.append(folder / f"certificate-{name}.json")
        write_json(paths[-1], certificate)
    return paths


@dataclasses.dataclass
class Files:
    """What a page is made from, and the page."""

    folder: Path
    options: dict[str, list[Path]]

    def make(self, content: dict[str, Any] = CONTENT, **options: list[Path]) -> int:
        """Run the stage with some of its files replaced."""
        flat: list[Any] = ["--content", json.dumps(content)]
        for name, paths in (self.options | options).items():
            flat += [f"--{name}", *paths]
        return call("make_report.py", *flat)

    @property
    def page(self) -> str:
        return (self.folder / "report.html").read_text(encoding="utf-8")


def write_files(folder: Path) -> Files:
    """Write a display and a figure of every kind, one that nobody asked for among them."""
    for name in (*NAMES, "unheard_of"):
        first = dataclasses.replace(TABLE, title=f"{name} (simulated)", leaky=name == "shortcuts")
        widths = (0.3, 0.6) if name == "claim" else ()
        second = dataclasses.replace(TABLE, title=f"{name}: more", widths=widths)
        write_display(folder / f"{name}.json", [first, second], f"{name} caption {HOSTILE}.")
        (folder / f"{name}.svg").write_text(PICTURE)
    flow, rejected = write_flow(folder)
    (folder / "arms.csv").write_text(f"arm,model,seed\nvit,{HOSTILE},1\nlogistic,logistic,1\n")
    write_json(folder / "study.json", {"study": "ctg", "note": "</pre>" + HOSTILE})
    (folder / "steps-ctg.svg").write_text(PICTURE)
    shown = [name for name in (*NAMES, "unheard_of") if name not in ("reproduction", "claim")]
    options = {
        "displays": [folder / f"{name}.json" for name in (*NAMES, "unheard_of")],
        "figures": [folder / f"{name}.svg" for name in shown],
        "flows": [flow],
        "rejected": [rejected],
        "steps": [folder / "steps-ctg.svg"],
        "certificates": write_certificates(folder),
        "arms": [folder / "arms.csv"],
        "study": [folder / "study.json"],
        "out": [folder / "report.html"],
    }
    return Files(folder, options)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Make the report once, by its command."""
    found = write_files(tmp_path_factory.mktemp("report"))
    assert found.make() == 0
    return found


@pytest.fixture
def own_files(tmp_path: Path) -> Files:
    """Return files that a test may spoil."""
    return write_files(tmp_path)


def test_every_display_file_given_is_on_the_page_with_its_figure(files: Files) -> None:
    page = Page(files.page)
    for path in files.options["displays"]:
        for table in read_display(path).tables:
            assert sum(text.endswith(f". {table.title}") for text in page.texts) == 1
    for path in files.options["figures"]:
        assert sum(f"{path.stem} caption {HOSTILE}." in text for text in page.texts) == 1
    assert page.open == []
    pictures = [values for tag, values in page.elements if tag == "img"]
    assert len(pictures) == len(files.options["figures"]) + 1


def test_parts_stand_in_the_order_that_a_reader_needs(files: Files) -> None:
    parts = [text.split("</h2>")[0] for text in files.page.split("<h2>")[1:]]
    assert parts == [
        "The default arm",
        "Experiments",
        "Data",
        "Splits",
        "Paper and guidelines",
        "More results",
        "Appendix",
    ]
    places = [files.page.index(f"Table {i}. ") for i in range(1, 20)]
    assert places == sorted(places)
    data = files.page.index("<h2>Data")
    assert files.page.index("flow-ctg-apgar caption", data) < files.page.index("Refused", data)


def test_contents_lead_to_every_section(files: Files) -> None:
    page = Page(files.page)
    anchors = {values["id"] for tag, values in page.elements if tag == "section"}
    links = [str(values["href"])[1:] for tag, values in page.elements if tag == "a"]
    assert set(links) == anchors
    assert len(links) == len(set(links))


def test_the_page_needs_no_network_and_runs_nothing(files: Files) -> None:
    page = Page(files.page)
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "iframe", "object", "embed", "form"}
    for tag, values in page.elements:
        assert not any(name.startswith("on") for name in values)
        assert "http" not in str(values.get("href", "")) + str(values.get("src", ""))[:30]
        assert tag != "img" or str(values["src"]).startswith("data:image/svg")
    assert "@import" not in files.page
    assert "url(" not in files.page
    assert "default-src 'none'" in files.page


def test_hostile_names_stay_text_wherever_they_stand(files: Files) -> None:
    page = Page(files.page)
    assert "<script" not in files.page
    # In the title, cells, sentences above tables, captions, certificates, refusals and arms.
    assert len([text for text in page.texts if HOSTILE in text]) > 20


def test_how_to_read_stands_above_each_table(files: Files) -> None:
    readings = files.page.count('<p class="reading">How to read: ')
    assert readings == files.page.count("<table>") > 15
    assert files.page.count("<caption>") == readings
    for piece in files.page.split("<table>")[:-1]:
        assert '<p class="reading">' in piece[-1200:]


def test_leaky_and_unknown_things_are_red_and_others_are_not(files: Files) -> None:
    red = Page(files.page).red
    assert "0.911" in red
    assert "0.922" in red
    assert any("img is leaky" in text for text in red)
    assert any(text.startswith("Patients are not known under anonymous") for text in red)
    assert any(text.endswith("shortcuts (simulated)") for text in red)
    assert "What shortcuts reach" not in red
    assert {"shared 7 of 30", "unknown"} <= set(red)
    assert any(text.startswith("Unknown under anonymous: patients are not known") for text in red)
    assert "disjoint (30)" not in red
    assert not any("1 of 3 splits certified" in text for text in red)
    honest = Page(files.page.replace("shortcuts (simulated)", ""))
    assert honest.red.count("0.812") == 1  # of the table that is leaky as a whole


def test_a_note_that_the_page_has_said_is_not_repeated_but_warnings_are(files: Files) -> None:
    page = Page(files.page)
    assert SIMULATED_NOTE not in page.texts
    displays = len(files.options["displays"])
    assert page.texts.count("Only once.") == displays + 1  # the line above the folded checklist
    assert page.texts.count(LEAKY_NOTE) == 2 * displays + 1  # the certificates'


def test_the_head_says_what_the_data_are_and_the_box_what_words_mean(files: Files) -> None:
    text = Page(files.page).text
    for words in (
        "80 of 100 recordings are used, of 70 patients; 80 are positive",
        "no number on this page says anything about patients",
        "no evidence of how good a method is",
        "How to read this page",
        "Not shown to beat the best shortcut",
        "adjusted for how many are compared",
        "truncated signal",
        "Where this page was made",
    ):
        assert words in text, words


def test_long_checklists_are_folded_and_other_tables_are_not(files: Files) -> None:
    folded = files.page.split("Show the filled checklist")[1].split("</details>")[0]
    assert folded.count("<table>") == 2
    assert files.page.count("Show the filled checklist") == 1
    assert 'style="width: 33.3%"' in folded


def test_a_real_study_without_leaks_has_nothing_red_but_the_key(own_files: Files) -> None:
    content = CONTENT | {"simulated": False, "leaky": False, "title": "Births", "preset": "full"}
    rows = TABLE.rows[:1]
    table = dataclasses.replace(TABLE, rows=rows, notes=())
    write_display(own_files.folder / "models.json", [table])
    kept = [own_files.folder / "models.json"]
    clean = own_files.options["certificates"][:1]
    assert own_files.make(content, displays=kept, figures=[], certificates=clean) == 0
    page = Page(own_files.page)
    assert page.red == ["Red"]
    assert "simulated recordings" not in page.text
    assert "real recordings" in page.text
    assert "1 split certified: no patient, recording or copy on two sides." in page.texts


def test_a_broken_display_file_is_named(
    own_files: Files, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_files.folder / "labels.json").write_text('{"tables": [{"title": 3}], "caption": ""}')
    assert own_files.make() == 1
    said = caplog.text + capsys.readouterr().err
    assert "labels.json: not a display file (tables[0]: columns is None; expected a list)" in said
    assert not (own_files.folder / "report.html").exists()


def test_an_experiment_without_a_display_is_named(
    own_files: Files, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    assert own_files.make(CONTENT | {"experiments": ["models", "gone"]}) == 1
    assert "no display of experiment 'gone'" in caplog.text + capsys.readouterr().err


def test_a_content_that_is_no_json_is_refused(own_files: Files) -> None:
    given = ("--arms", "a", "--study", "b", "--out", own_files.folder / "report.html")
    assert call("make_report.py", "--content", "{", *given) == 1


ARMS = """arm,model,model_options,weights,augment,epochs,bags
vit_small_patch16_224+depth=4+embed_dim=192,vit_small_patch16_224,"{""depth"": 4, ""embed_dim"": 192}",none,cutmix,8,1
lcnet_050,lcnet_050,{},none,none,8,1
logistic,logistic,{},,,,1
"""  # noqa: E501


def test_the_appendix_lists_what_differs_and_gives_a_classical_arm_a_dash(tmp_path: Path) -> None:
    path = tmp_path / "arms.csv"
    path.write_text(ARMS)
    differs, shared = report_appendix.arm_tables(path)
    assert differs.columns == ("Arm", "Model", "Augmentation")
    assert [[cell.text for cell in row.cells[1:]] for row in differs.rows] == [
        ["vit_small_patch16_224 (depth 4, embed_dim 192)", "cutmix"],
        ["lcnet_050", "none"],
        ["logistic", "–"],
    ]
    assert "fitted to features" in differs.reading
    assert [[cell.text for cell in row.cells] for row in shared.rows] == [
        ["Weights", "none"],
        ["Epochs", "8"],
        ["Bags", "1"],
    ]


def test_lines_of_the_page_break_between_factors_and_not_within_one() -> None:
    assert str(report.breakable("vit+depth=4+<b>")) == "vit+<wbr>depth=4+<wbr>&lt;b&gt;"
    shown = str(report.breakable("vit (depth 4, num_heads 3)"))
    assert shown == "vit (depth\u00a04, num_heads\u00a03)"
    for unbroken in ("training part, under-sampled", "+0.014 [−0.297 to 0.325]"):
        assert report.breakable(unbroken) == unbroken
