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
from fewcase.reporting.flow_figure import boxes_of, draw_flow, lay_out_flow, read_account
from fewcase.splits.flow import ACCOUNT_COLUMNS
from fewcase.study.errors import InputError

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


CASES = {
    "three hospitals": (["east", "north", "south"], ["no heart rate"], 1),
    "one hospital, nothing refused": (["clinic"], [], 0),
    "seven hospitals": ([f"University Hospital of City {i}" for i in range(7)], ["a", "b"], 2),
    "sixty hospitals": ([f"site {i:02d}" for i in range(60)], ["a"], 2),
    "long reasons": ([UNBROKEN, "$x_1$ & <b>"], [LONG, UNBROKEN, "$x^2$ & {y}"], 2),
    "thirty reasons": (["east", "west"], [f"reason number {i}" for i in range(30)], 1),
}


@pytest.fixture(params=CASES, scope="module")
def drawn(request):
    sites, reasons, tests = CASES[request.param]
    account = make_account(sites, reasons, tests=tests, windows=2)
    figure = draw_flow(f"Cohort of {request.param}", account)
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
    assert box.recordings == 900
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
