"""The flow diagram: whatever the hospitals and reasons, nothing overflows and nothing is lost."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from fewcase.reporting.display import to_latex, to_markdown
from fewcase.reporting.figures import LEAKY_COLOUR
from fewcase.reporting.flow_figure import draw_flow
from fewcase.reporting.flow_table import boxes_of, lay_out_flow, read_account
from fewcase.splits.flow import ACCOUNT_COLUMNS, account_columns, follow
from fewcase.splits.sampling import draw_samples
from fewcase.study.errors import InputError
from image_cohorts import TISSUES, given_split, image_cohort, tile_cohort

LONG = (
    "the file of the signal ends long before the length that its own header promises, and what "
    "there is of it holds text in the places where numbers were expected by the reader"
)
UNBROKEN = "OneWordOfMoreThanAHundredLettersThatNobodyWouldWrite" * 3


def make_account(sites, reasons, *, tests=1, windows=1):
    """Return an account of made-up counts: three steps, reasons for the first, then test sets."""
    random = np.random.default_rng(0)
    boxes = [("recorded", "remaining", "", 900)]
    boxes += [("ingested", "left out", reason, 9) for reason in reasons]
    boxes += [
        ("ingested", "remaining", "", 900 - 9 * len(reasons)),
        ("labelled", "remaining", "", 500),
    ]
    boxes += [
        ("cross-validation", "test", f"{k} test", 40) for k in ("temporal", "external")[:tests]
    ]
    boxes += [
        ("cross-validation", "remaining", "", 400),
        ("training part of fold 1", "kept apart", "validation (the fold itself)", 40),
        ("training part of fold 1", "remaining", "", 360),
    ]
    rows = []
    for step, kind, reason, number in boxes:
        counts = random.multinomial(number, np.full(len(sites), 1 / len(sites)))
        positive = counts // 4
        cut = pd.NA if step in ("recorded", "ingested") else windows
        for site, n, p in [
            *zip(sites, counts, positive, strict=True),
            ("all", number, sum(positive)),
        ]:
            for label, m in [("positive", p), ("negative", n - p), ("unlabelled", 0), ("all", n)]:
                examples = pd.NA if cut is pd.NA else m * cut
                rows.append((step, kind, reason, site, label, m, m, examples))
    return pd.DataFrame(rows, columns=ACCOUNT_COLUMNS).astype({"examples": "Int64"})


def tiles_by_class(classes, sites, reasons):
    """Return an account as `make_account` does, of slides with tiles of so many classes."""
    random = np.random.default_rng(1)
    account = make_account(sites, reasons)
    keys = ["step", "kind", "reason", "site"]
    rows = []
    for key, box in account.groupby(keys, sort=False):
        whole = int(box["recordings"].iloc[-1])
        cut = key[0] not in ("recorded", "ingested")
        tiles = random.multinomial(60 * whole, np.full(len(classes), 1 / len(classes)))
        for name, number in zip(classes, tiles, strict=True):
            rows.append((*key, name, min(number, whole), min(number, whole), number))
        rows.append((*key, "all", whole, whole, 60 * whole))
        if not cut:
            rows[-len(classes) - 1 :] = [(*row[:-1], pd.NA) for row in rows[-len(classes) - 1 :]]
    return pd.DataFrame(rows, columns=account_columns("tile")).astype({"examples": "Int64"})


CASES = {
    "three hospitals": (["east", "north", "south"], ["no heart rate"], 1),
    "one hospital, nothing refused": (["clinic"], [], 0),
    "seven hospitals": ([f"University Hospital of City {i}" for i in range(7)], ["a", "b"], 2),
    "sixty hospitals": ([f"site {i:02d}" for i in range(60)], ["a"], 2),
    "long reasons": ([UNBROKEN, "$x_1$ & <b>"], [LONG, UNBROKEN, "$x^2$ & {y}"], 2),
    "thirty reasons": (["east", "west"], [f"reason number {i}" for i in range(30)], 1),
}


CLASSES = {
    "twelve classes": [f"tissue {i:02d}" for i in range(12)],
    "thirty classes": [f"tissue {i:02d}" for i in range(30)],
    "long classes": [UNBROKEN, LONG, "$x_1$ & <b>"],
}


@pytest.fixture(params=[*CASES, *CLASSES], scope="module")
def drawn(request):
    if request.param in CASES:
        sites, reasons, tests = CASES[request.param]
        account, unit = make_account(sites, reasons, tests=tests, windows=2), "window"
    else:
        account, unit = tiles_by_class(CLASSES[request.param], ["north", "south"], ["torn"]), "tile"
    figure = draw_flow(f"Cohort of {request.param}", account, unit=unit)
    figure.set_dpi(200)  # as it is saved
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    axes = figure.axes[0]
    boxes = [p.get_window_extent(renderer) for p in axes.patches if isinstance(p, Rectangle)]
    texts = [(t.get_text(), t.get_window_extent(renderer)) for t in axes.texts if t.get_text()]
    return figure, account, boxes, texts


def test_every_text_lies_within_one_box(drawn):
    _, _, boxes, texts = drawn
    for text, extent in texts:
        holders = [
            box
            for box in boxes
            if box.x0 <= extent.x0
            and extent.x1 <= box.x1
            and box.y0 - 1 <= extent.y0
            and extent.y1 <= box.y1 + 1
        ]
        assert len(holders) == 1, text


def test_no_two_boxes_touch_and_all_lie_on_the_page(drawn):
    figure, _, boxes, _ = drawn
    for one, two in itertools.combinations(boxes, 2):
        apart = one.x1 < two.x0 or two.x1 < one.x0 or one.y1 < two.y0 or two.y1 < one.y0
        assert apart
    page = figure.bbox
    assert min(box.x0 for box in boxes) > 0
    assert max(box.x1 for box in boxes) < page.x1
    assert min(box.y0 for box in boxes) > 0
    assert max(box.y1 for box in boxes) < page.y1


def test_there_is_a_box_for_each_step_each_test_set_and_what_was_left_out(drawn):
    _, account, boxes, _ = drawn
    keys = account[["step", "kind", "reason"]].drop_duplicates()
    left_out = keys[keys["kind"] == "left out"]
    assert len(boxes) == len(keys) - len(left_out) + left_out["step"].nunique()


def test_the_heading_stands_above_all_boxes(drawn):
    figure, _, boxes, _ = drawn
    renderer = FigureCanvasAgg(figure).get_renderer()
    heading = figure._suptitle.get_window_extent(renderer)
    assert heading.y0 >= max(box.y1 for box in boxes) - 1
    assert heading.y1 <= figure.bbox.y1


def words_of(figure):
    return " ".join(text.get_text() for text in figure.axes[0].texts)


def test_the_boxes_say_how_many_for_which_reason_and_where():
    figure = draw_flow("Cohort", make_account(["east", "north"], ["no heart rate", "name twice"]))
    words = words_of(figure)
    assert "9: no heart rate" in words
    assert "9: name twice" in words
    assert "900 recordings of 900 patients" in words
    assert "External test" not in words
    assert "Temporal test" in words
    assert "east" in words


def test_more_reasons_than_a_box_holds_are_counted_together():
    reasons = [f"reason number {i}" for i in range(30)]
    words = words_of(draw_flow("Cohort", make_account(["east"], reasons)))
    assert "207: 23 other reasons (see the table)" in words


def test_a_leaky_flow_has_a_red_heading_and_warns_in_red_rows():
    account = make_account(["east"], ["a"])
    figure = draw_flow("Cohort (leaky)", account, leaky=True)
    assert to_hex(figure._suptitle.get_color()).upper() == LEAKY_COLOUR
    table = lay_out_flow("Cohort (leaky)", account, simulated=False, leaky=True)[0]
    assert table.leaky
    assert all(row.leaky for row in table.rows)
    assert "Leaky" in table.notes[-1]


def test_the_tables_name_every_reason_and_hospital():
    sites, reasons, _ = CASES["sixty hospitals"][0], [f"reason {i}" for i in range(30)], 1
    tables = lay_out_flow("Cohort", make_account(sites, reasons), simulated=True)
    columns = [name for table in tables[1:] for name in table.columns[1:]]
    assert columns == sites
    assert max(len(table.columns) for table in tables) <= 9
    names = [row.cells[0].text for row in tables[0].rows]
    assert [f"left out: {reason}" for reason in reasons] == [n for n in names if "reason" in n]
    assert any("simulated" in note for note in tables[0].notes)
    for table in tables:
        assert all(len(row.cells) == len(table.columns) for row in table.rows)
        assert to_markdown(table).count("\n|") == len(table.rows) + 2
        assert to_latex(table, "flow")


def test_the_table_has_the_counts_of_the_account():
    account = make_account(["east", "north"], ["a"], windows=3)
    table = lay_out_flow("Cohort", account, simulated=False)[0]
    rows = {row.cells[0].text: [cell.text for cell in row.cells[1:]] for row in table.rows}
    assert rows["Recorded"][:3] == ["900", "900", "–"]
    assert rows["left out: a"][0] == "9"
    assert rows["With a label"][:3] == ["500", "500", "1,500"]


def test_a_hospital_named_all_is_a_hospital_in_every_box():
    box = boxes_of(make_account(["all", "east"], []))[0]
    assert box.records == 900
    assert sum(box.sites.values()) == 900
    assert set(box.sites) == {"all", "east"}


def test_an_account_is_read_back_as_it_was_written(tmp_path):
    account = make_account(["east", "NA"], ["a, b"])
    path = tmp_path / "flow.csv"
    account.to_csv(path, index=False)
    pd.testing.assert_frame_equal(read_account(path), account, check_dtype=False)
    path.write_text("step,site\nrecorded,east\n")
    with pytest.raises(InputError, match=r"flow\.csv: not an account"):
        read_account(path)


# Images and tiles --------------------------------------------------------------------------------


def followed(unit):
    """Return the account of a hand-made cohort of images, or of tiles with given parts."""
    if unit == "image":
        made, classes, split, samples = image_cohort(), ["Benign", "Invasive"], None, None
    else:
        made, classes = tile_cohort(), TISSUES
        split = given_split(made.cohort)
        samples = draw_samples(split, None, 1, 0)
    tables = (made.records, made.cohort, made.rejected, split, samples)
    return follow(*tables, unit=unit, classes=classes)


def test_up_to_twelve_classes_are_named_in_a_box_and_of_more_the_largest():
    for name, shown in [("twelve classes", 12), ("thirty classes", 11)]:
        account = tiles_by_class(CLASSES[name], ["north"], [])
        labelled = next(box for box in boxes_of(account) if box.step == "labelled")
        counts = labelled.examples_by_label
        words = words_of(draw_flow("Cohort", account, unit="tile"))
        largest = sorted(counts, key=lambda label: -counts[label])[:shown]
        assert all(f"{label} {counts[label]:,}" in words for label in largest)
        rest = sum(number for label, number in counts.items() if label not in largest)
        assert (f"other classes {rest:,}" in words) == (shown < len(counts))


def test_boxes_of_tiles_count_tiles_by_class_once_they_are_cut():
    words = words_of(draw_flow("Cohort slides", followed("tile"), unit="tile"))
    for text in (
        "10 images of 7 patients",
        "5 images of 4 patients, 20 tiles",
        "AT 8 · BG 7 · TUM 5",
        "1: no tile left",
        "47 tiles of 2 images: too little tissue",
        "1 (tiles: 5): no label",
        "Training and validation, as given",
        "Internal test",
        "1 image of 1 patient, 4 tiles",
    ):
        assert text in words, text
    before = words[: words.index("Readable")]
    assert "AT" not in before


def test_boxes_of_whole_images_name_classes_and_not_examples():
    words = words_of(draw_flow("Cohort scans", followed("image"), unit="image"))
    assert "36 images of 20 patients" in words
    assert "examples" not in words
    assert "Invasive 12" in words


def forbidden(text):
    """Return words of signal studies in a text."""
    words = ("recording", "window", "hospital", "FHR", "heart", "signal", "negative", "positive")
    return [word for word in words if word.lower() in text.lower()]


@pytest.mark.parametrize("unit", ["image", "tile"])
def test_no_word_of_a_signal_study_is_said_of_images(unit):
    account = followed(unit)
    assert forbidden(words_of(draw_flow("Cohort", account, unit=unit))) == []
    tables = lay_out_flow("Cohort", account, simulated=True, leaky=True, unit=unit)
    text = " ".join(map(to_markdown, tables))
    assert forbidden(text) == []
    assert "All images are simulated" in text
    assert tables[1].title == "Cohort: by site"


def test_the_table_of_tiles_counts_images_patients_and_tiles_by_class():
    table = lay_out_flow("Cohort", followed("tile"), simulated=False, unit="tile")[0]
    assert table.columns == ("Step", "Images", "Patients", "Tiles", *TISSUES, "Unlabelled")
    rows = {row.cells[0].text: [cell.text for cell in row.cells[1:]] for row in table.rows}
    assert rows["Found"] == ["10", "7", "–", "–", "–", "–", "–"]
    assert rows["With a label"] == ["5", "4", "20", "8", "7", "5", "0"]
    assert rows["some tiles left out: too little tissue"][:3] == ["2", "2", "47"]
    assert rows["test: internal test"] == ["1", "1", "5", "2", "2", "1", "0"]
    assert "The parts are those that the data come with." in table.notes[0]


def test_the_table_of_whole_images_has_no_second_count_of_them():
    table = lay_out_flow("Cohort", followed("image"), simulated=False, unit="image")[0]
    assert table.columns == ("Step", "Images", "Patients", "Benign", "Invasive", "Unlabelled")
    assert table.notes[0].startswith("Images add up from step to step; patients do not")


@pytest.mark.parametrize("unit", ["image", "tile"])
def test_an_account_of_images_is_read_back_as_it_was_written(unit, tmp_path):
    account = followed(unit)
    account.to_csv(tmp_path / "flow.csv", index=False)
    assert account.columns.tolist()[5] == "images"
    read = read_account(tmp_path / "flow.csv")
    pd.testing.assert_frame_equal(read, account, check_dtype=False)
    assert boxes_of(read) == boxes_of(account)
