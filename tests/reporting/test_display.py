"""Tables ready for printing: what is written reads back, and a broken file is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fewcase.reporting.display import (
    Cell,
    Display,
    DisplayTable,
    Row,
    leaky_note,
    read_display,
    simulated_note,
    to_latex,
    to_long_latex,
    to_markdown,
    unknown_note,
    warnings_below,
    write_display,
    write_tables,
)
from fewcase.study.errors import InputError

NUMBERS = DisplayTable(
    "Models",
    ("Model", "AUC"),
    (
        Row((Cell("vit"), Cell("0.812", best=True))),
        Row((Cell("resnet"), Cell("0.9", leaky=True)), starts_group=True),
        Row((Cell("x | y <b>"), Cell("0.99")), leaky=True),
    ),
    "How to read: higher is better.",
    ("CV: five folds & 3 seeds.",),
    1,
)
PROSE = DisplayTable(
    "Checklist",
    ("Item", "Answer"),
    (Row((Cell("1"), Cell("a long sentence about patient_id"))),),
    "How to read: one row is one item.",
    (),
    2,
    leaky=True,
    widths=(0.1, 0.8),
)


def test_tables_and_caption_read_back_as_they_were_written(tmp_path: Path) -> None:
    write_display(tmp_path / "a.json", [NUMBERS, PROSE], "Each dot is an arm.")
    found = read_display(tmp_path / "a.json")
    assert found == Display((NUMBERS, PROSE), "Each dot is an arm.")


def break_cells(content: dict[str, Any]) -> None:
    content["tables"][0]["rows"][1]["cells"].pop()


BREAKS: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (break_cells, r"tables\[0\], rows\[1\] has 1 cells; expected 2"),
    (lambda c: c["tables"][0].pop("reading"), r"tables\[0\]: reading is None; expected text"),
    (lambda c: c["tables"][1].update(title=3), r"tables\[1\]: title is 3; expected text"),
    (lambda c: c["tables"][1].update(words=True), "words is True; expected a whole number"),
    (lambda c: c["tables"][1].update(widths=[0.5]), r"tables\[1\] has 1 widths; expected 2"),
    (lambda c: c["tables"][0].update(notes=[1]), r"notes is \[1\]; expected a list"),
    (
        lambda c: c["tables"][0]["rows"][0]["cells"][0].update(best="yes"),
        r"rows\[0\]: best is 'yes'; expected true or false",
    ),
    (lambda c: c.update(tables={}), r"the file: tables is {}; expected a list"),
    (lambda c: c["tables"].append("x"), r"tables\[2\] is 'x'; expected an object"),
]


@pytest.mark.parametrize(("spoil", "message"), BREAKS)
def test_a_broken_display_file_is_named_with_the_place(
    tmp_path: Path, spoil: Callable[[dict[str, Any]], Any], message: str
) -> None:
    path = tmp_path / "broken.json"
    write_display(path, [NUMBERS, PROSE])
    content = json.loads(path.read_text())
    spoil(content)
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=rf"broken.json: not a display file .*{message}"):
        read_display(path)


def test_a_file_that_is_no_object_or_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(InputError, match=r"list.json: .*expected an object"):
        read_display(tmp_path / "list.json")
    with pytest.raises(InputError, match=r"gone.json"):
        read_display(tmp_path / "gone.json")


def test_how_to_read_stands_above_the_table_in_every_form() -> None:
    for table, latex in [
        (NUMBERS, to_latex(NUMBERS, "x")),
        (PROSE, to_long_latex(PROSE, "x")),
    ]:
        lines = to_markdown(table).splitlines()
        assert lines[2] == table.reading
        assert lines[4].startswith("| ")
        assert latex.index("How to read") < latex.index(r"\toprule")


def test_red_is_for_leaky_cells_rows_and_titles_alone() -> None:
    latex = to_latex(NUMBERS, "x")
    assert latex.count(r"\textcolor{red}{") == 1 + len(NUMBERS.columns)
    assert r"\textcolor{red}{0.9}" in latex
    assert r"\textbf{0.812}" in latex
    assert r"\caption{\textcolor{red}{Checklist}" in to_long_latex(PROSE, "x")


def test_one_call_writes_all_forms_and_numbers_the_labels(tmp_path: Path) -> None:
    paths = {name: tmp_path / "out" / f"sheet.{name}" for name in ("md", "tex")}
    write_tables([NUMBERS, PROSE], "A figure.", **paths, display=tmp_path / "out" / "sheet.json")
    assert paths["md"].read_text().count("### ") == 2
    latex = paths["tex"].read_text()
    assert [label in latex for label in (r"{tab:sheet}", r"{tab:sheet-2}")] == [True, True]
    assert latex.count(r"\begin{tabular}") == latex.count(r"\begin{longtable}") == 1
    assert read_display(tmp_path / "out" / "sheet.json").caption == "A figure."
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_a_figure_without_tables_has_a_title_and_others_need_none(tmp_path: Path) -> None:
    write_display(tmp_path / "sheet.json", [], "How to read it.", "A sheet")
    assert read_display(tmp_path / "sheet.json") == Display((), "How to read it.", "A sheet")
    write_display(tmp_path / "plain.json", [NUMBERS])
    assert "title" not in json.loads((tmp_path / "plain.json").read_text())
    assert read_display(tmp_path / "plain.json").title == ""


@pytest.mark.parametrize("unit", ["image", "tile"])
def test_warnings_speak_of_images_where_these_were_acquired(unit: str) -> None:
    told = (unknown_note(unit),)
    notes = warnings_below(True, [("a", True, ()), ("b", False, told)], unit)
    assert simulated_note(unit) in notes
    assert leaky_note(unit) in notes
    assert notes[1].startswith("Unknown under b: patients are not known; each image counts")
    assert "recording" not in " ".join(notes)
    assert "All recordings are simulated" in warnings_below(True, [])[0]
