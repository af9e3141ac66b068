"""The sheet of explanation maps: which cases are shown, in what order, and what it warns of."""

import json
import xml.etree.ElementTree as ET

import matplotlib.text
import numpy as np
import pandas as pd
import pytest

from fewcase.explain.dida import brightness_scale, mixed_map
from fewcase.explain.grids import WHOLE, slit_grids, square_grids
from fewcase.explain.map_files import MapSet, write_maps
from fewcase.explain.pictures import colour_map, map_of_class, overlay
from fewcase.reporting.display import read_display
from fewcase.reporting.map_cases import DIVIDED, RIGHT, WRONG, choose_cases, list_cases
from fewcase.reporting.map_sheet import MapSheet
from fewcase.reporting.performance import Subject
from fewcase.study.errors import InputError
from report_pages import call

HOSTILE = "</text><script>alert(1)</script> $x_1$ & \"'"
CLASSES = ("CNV", "DME", "DRUSEN", HOSTILE)
SIDE = 200


def made(number=24, seed=0, classes=CLASSES, slits=False, first=0, **about):
    """Maps of chance, of cases whose pictures have the brightness of their number."""
    random = np.random.default_rng(seed)
    channels = ["fhr-none", "uc-none"] if slits else ["grey"]
    shape = len(channels), 40 if slits else SIDE, SIDE
    grids = square_grids(*shape[1:], 1, sizes=(3, 7))
    if slits:
        grids = slit_grids(*shape[1:], 30.0, channels, minutes=(5.0, 10.0))
    cells = sum(grid.cells for grid in grids)
    scores = random.dirichlet(np.ones(len(classes)), number).astype(np.float32)
    cases = pd.DataFrame(
        {
            "case": range(number),
            "example": [f"e{first + i:03d}" for i in range(number)],
            "parent": "",
            "patient": [f"p{(first + i) // 2}" for i in range(number)],
            "site": "A",
            "role": "validation",
            "label": random.integers(0, len(classes), number),
            "fold": 0,
            "drawn": True,
            **{f"score_{k}": scores[:, k] for k in range(len(classes))},
        }
    )
    pictures = np.zeros((number, *shape), np.uint8)
    pictures += np.arange(first, first + number, dtype=np.uint8)[:, None, None, None]
    changes = random.normal(size=(number, cells, len(classes))).astype(np.float32)
    changes *= random.random((number, 1, 1), np.float32)
    told = {"score": "log_odds", "fill": "black", "seed": 0, "fold": 0, "channels": channels}
    told["window_minutes"] = 30.0 if slits else None
    return MapSet(cases, pictures, changes, grids, classes, {**told, **about})


def subject(unit="image", classes=CLASSES):
    return Subject("Maps", False, "vit", "oct", False, tuple(classes), unit=unit)


def words(figure):
    return [item.get_text() for item in figure.findobj(matplotlib.text.Text)]


@pytest.mark.parametrize("slits", [False, True])
def test_conflict_is_the_smaller_of_both_sides_of_the_mixed_map(slits):
    maps = made(6, slits=slits)
    cases = list_cases([maps])
    for row in cases.itertuples():
        changes = maps.differences[row.case]
        scale = brightness_scale(changes)
        mixed = mixed_map(maps.grids, changes[:, row.called], scale, group=WHOLE)
        sides = scale * mixed.positive.mean(), scale * mixed.negative.mean()
        assert (row.speaks_for, row.speaks_against) == pytest.approx(sides, rel=1e-4)
        assert row.conflict == pytest.approx(min(sides), rel=1e-4)


def test_blocks_hold_the_surest_right_the_surest_wrong_and_the_most_divided():
    maps = made(40)
    maps.cases["patient"] = maps.cases["example"]
    maps.cases.loc[3, "label"] = -1
    scores = maps.scores
    called, highest = scores.argmax(axis=1), scores.max(axis=1)
    label = maps.cases["label"].to_numpy()
    order = np.argsort(-highest)
    right = [i for i in order if called[i] == label[i]][:3]
    wrong = [i for i in order if called[i] != label[i] >= 0][:3]
    conflict = list_cases([maps])["conflict"].to_numpy()
    divided = [i for i in np.argsort(-conflict) if i not in (*right, *wrong)][:3]
    blocks = choose_cases(list_cases([maps]))
    assert [block.kind for block in blocks] == [RIGHT, WRONG, DIVIDED]
    assert [block.cases["case"].tolist() for block in blocks] == [right, wrong, divided]


def test_runs_stand_together_one_case_of_each_patient_first_and_no_example_twice():
    one, other = made(60, seed=1, first=0), made(60, seed=2, first=30, fold=1)
    cases = list_cases([one, other])
    blocks = choose_cases(cases, 5)
    names = [name for block in blocks for name in block.cases["example"]]
    assert len(set(names)) == len(names) == 15
    for block in blocks:
        assert block.cases["patient"].is_unique
    right = cases[cases["label"] == cases["called"]].sort_values("score", ascending=False)
    best = right.drop_duplicates("patient").head(5)
    assert blocks[0].cases["score"].tolist() == best["score"].tolist()
    with pytest.raises(InputError, match="folder 2 has the classes"):
        list_cases([one, made(3, classes=("a", "b"))])
    with pytest.raises(InputError, match="folder 2 has the score 'logit'"):
        list_cases([one, made(3, score="logit")])
    with pytest.raises(InputError, match="no case is explained"):
        list_cases([made(0)])


@pytest.mark.parametrize(("mix", "said"), [("rgb", "purple both"), ("signed", "cancelled")])
def test_a_row_is_the_original_and_the_maps_of_the_three_likeliest_classes(mix, said):
    maps = made(12, mix=mix)
    sheet = MapSheet.of(subject(), [maps], 1)
    figure = sheet.draw()
    pictures = [np.asarray(axes.images[0].get_array()) for axes in figure.axes]
    chosen = pd.concat([block.cases for block in sheet.blocks])
    assert len(pictures) == 4 * len(chosen) == 12
    for row, case in enumerate(chosen["case"]):
        assert (pictures[4 * row] == case).all()
        top = np.argsort(-maps.scores[case], kind="stable")[:3]
        for place, k in enumerate(top):
            coloured = colour_map(map_of_class(maps, case, int(k)), mix)
            laid = overlay(maps.pictures[case], coloured)
            np.testing.assert_array_equal(pictures[4 * row + 1 + place], laid)
    assert said in sheet.caption()
    texts = words(figure)
    first = chosen.iloc[0]
    assert f"{CLASSES[first['called']]} {first['score']:.3f}"[-8:] in " ".join(texts)
    assert [text for text in texts if text in set(chosen["example"])] == chosen["example"].tolist()


def test_signals_are_drawn_as_strips_of_the_class_called():
    maps = made(6, classes=("negative", "positive"), slits=True)
    sheet = MapSheet.of(subject("window", maps.class_names), [maps], 1)
    figure = sheet.draw()
    assert len(figure.axes) == sum(len(block.cases) for block in sheet.blocks)
    height, width = figure.axes[0].images[0].get_array().shape[:2]
    assert width > 1.5 * height
    assert "in the paper both cancel" in sheet.caption()
    assert any(text.startswith("labelled ") for text in words(figure))


def test_the_caption_says_where_a_network_is_no_better_than_chance():
    bad, good = made(6, no_better_than_chance=True), made(6, first=6, no_better_than_chance=False)
    warning = "no better than chance"
    alone = MapSheet.of(subject(), [bad])
    assert "This network is no better than chance" in alone.caption()
    assert any(warning in note.lower() for note in alone.lay_out().notes)
    assert "1 of 2 runs" in MapSheet.of(subject(), [good, bad]).caption()
    fine = MapSheet.of(subject(), [good])
    assert warning not in fine.caption()
    assert not any(warning in note.lower() for note in fine.lay_out().notes)


def test_a_block_without_cases_says_so():
    maps = made(4)
    maps.cases["label"] = maps.scores.argmax(axis=1)
    sheet = MapSheet.of(subject(), [maps], 1)
    assert words(sheet.draw()).count("No such case.") == 1
    assert sheet.blocks[1].cases.empty


def test_the_stage_writes_text_that_stays_text(tmp_path):
    write_maps(tmp_path / "fold-0", made(3))
    told = {"title": "Maps", "simulated": True, "arm": "vit", "split": "s", "leaky": False}
    outputs = [tmp_path / f"maps.{kind}" for kind in ("svg", "png", "json")]
    call(
        "draw_maps.py",
        *("--content", json.dumps({**told, "classes": CLASSES, "unit": "image"})),
        *("--maps", tmp_path / "fold-0", "--svg", outputs[0], "--png", outputs[1]),
        *("--display", outputs[2]),
    )
    tags = {element.tag.rpartition("}")[2] for element in ET.parse(outputs[0]).iter()}
    assert not tags & {"script", "a", "foreignObject"}
    assert outputs[0].stat().st_size < 1_000_000
    display = read_display(outputs[2])
    assert display.tables[0].title == "Maps (simulated)"
    assert display.caption.startswith("Explanation maps of 3 simulated images by arm vit")
    assert "mixed map" in display.caption
