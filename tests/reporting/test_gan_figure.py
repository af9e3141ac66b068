"""Figures of generators: what they draw and how near it comes, and every image in its place."""

import json

import matplotlib.text
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

from fake_gans import (
    CLASSES,
    add_pictures,
    closeness,
    history,
    make_gan,
    quality,
    write_store,
)
from fewcase.data.files import write_csv, write_table
from fewcase.data.image_store import ImageStore
from fewcase.gan.measure import TRUNCATIONS as MEASURED_TRUNCATIONS
from fewcase.images.resize import resize_batch
from fewcase.reporting.display import read_display
from fewcase.reporting.figures import COLOURS, LEAKY_COLOUR, save
from fewcase.reporting.gan_figure import COLUMNS, LARGEST_SIDE, GanFigure, side_of, title_of
from fewcase.reporting.gan_memorisation import tabulate_memorisation
from fewcase.reporting.gan_memorisation_figure import (
    LOWEST,
    caption_of_memorisation,
    draw_memorisation,
)
from fewcase.reporting.gan_pictures import TRUNCATIONS, read_gan_pictures, real_images
from fewcase.reporting.gan_quality import tabulate_quality
from fewcase.reporting.gan_quality_figure import caption_of_quality, draw_quality
from fewcase.reporting.gan_runs import read_gan_runs
from fewcase.reporting.gan_table_parts import GanSubject
from fewcase.study.errors import InputError
from report_pages import call

SUBJECT = GanSubject("Generators", True, "tile", {"nct": "crc"})


def words(figure):
    return [item.get_text() for item in figure.findobj(matplotlib.text.Text)]


def titles(figure):
    return [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]


# Tables' figures ---------------------------------------------------------------------------------


def quality_figure(paths):
    runs = read_gan_runs(paths)
    numbers = tabulate_quality(runs, SUBJECT.cohorts)
    return draw_quality(SUBJECT, numbers, runs), caption_of_quality(SUBJECT, numbers)


def memorisation_figure(paths):
    runs = read_gan_runs(paths)
    numbers = tabulate_memorisation(runs, SUBJECT.cohorts)
    return draw_memorisation(SUBJECT, numbers, runs), caption_of_memorisation(SUBJECT, numbers)


def test_distances_to_training_and_validation_and_the_floor_stand_in_the_row_of_a_generator(
    tmp_path,
):
    other = (12.0, *[0.5] * 5)
    paths = [
        make_gan(tmp_path, "nct", rows=quality((6.0, *[0.5] * 5), base=True)),
        *(make_gan(tmp_path, "a", "s", 0, f, rows=quality((9.0 + f, *[0.5] * 5))) for f in (0, 1)),
        make_gan(tmp_path, "b", "s", rows=quality(other, (3.0, *[0.5] * 5))),
    ]
    figure, _ = quality_figure(paths)
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        *("nct · base: cohort crc", "a", "b")
    ]
    drawn = {container.get_label(): container[0].get_xydata() for container in axes.containers}
    np.testing.assert_allclose(drawn["to training images"][:, 0], [6, 9.5, 12])
    np.testing.assert_allclose(drawn["to validation images"][:, 0], [9.5, 12])
    np.testing.assert_allclose(drawn["floor: real training images"][:, 0], [2, 3])
    assert np.round(drawn["to validation images"][:, 1]).tolist() == [1, 2]
    assert np.round(drawn["to training images"][:, 1]).tolist() == [0, 1, 2]
    assert axes.get_xlabel() == "FID (clean)"


def test_each_training_has_its_course_with_the_chosen_snapshot_marked(tmp_path):
    paths = [make_gan(tmp_path, "a", "s", 0, fold) for fold in (0, 1)]
    figure, caption = quality_figure(paths)
    upper, lower = figure.axes[1:3]
    lines = [line for line in upper.lines if line.get_linestyle() != "None"]
    np.testing.assert_allclose(lines[0].get_xydata(), [[2, 9], [4, 5], [6, 3], [8, 4]])
    np.testing.assert_allclose(lines[1].get_ydata(), [10, 6, 4, 5])
    assert [line.get_color() for line in lines] == [COLOURS[0], COLOURS[1]] * 2
    circles = [line for line in upper.lines if line.get_linestyle() == "None"]
    assert [tuple(line.get_xydata()[0]) for line in circles] == [(6, 3), (6, 4)] * 2
    known = history()
    np.testing.assert_allclose(lower.lines[0].get_ydata(), known["probability"])
    np.testing.assert_allclose(lower.lines[1].get_ydata(), known["real_sign"])
    assert "chosen" in caption
    assert "simulated images" in caption


def test_distances_of_other_orders_of_magnitude_are_drawn_on_a_logarithmic_axis(tmp_path):
    course = history(distances=(300.0, 90.0, 20.0, 5.0))
    path = make_gan(tmp_path, "a", "s", course=course)
    figure, _ = quality_figure([path])
    assert figure.axes[1].get_yscale() == "log"
    save(figure, tmp_path / "figure.svg")
    assert not any("mathdefault" in word for word in words(figure))
    assert quality_figure([make_gan(tmp_path, "b", "s")])[0].axes[1].get_yscale() == "linear"


def test_of_many_generators_twelve_have_panels_those_that_copy_first(tmp_path):
    paths = [make_gan(tmp_path, f"g{i:02d}", "s") for i in range(13)]
    paths.append(make_gan(tmp_path, "parrot", "s", verdict={"copies": True, "why": "copies"}))
    said = "Of 14 generators 12 are drawn, those that copy before others."
    of_quality, of_copies = quality_figure(paths), memorisation_figure(paths)
    for figure, caption in (of_quality, of_copies):
        assert titles(figure) == ["parrot (copies)", *(f"g{i:02d}" for i in range(11))]
        assert said in caption
    # All have a row among the distances, and the one that copies is red there as well.
    labels = of_quality[0].axes[0].get_yticklabels()
    assert len(labels) == 14
    assert [label.get_color() for label in labels].count(LEAKY_COLOUR) == 1
    twelve = tabulate_memorisation(read_gan_runs(paths[:12]), {})
    assert "are drawn" not in caption_of_memorisation(SUBJECT, twelve)


def test_ratios_are_shares_of_all_images_and_perfect_copies_are_red_at_the_left(tmp_path):
    verdict = {"copies": True, "why": "15 of 60 images are copies"}
    paths = [
        make_gan(tmp_path, "a", "s", 0, 0, copies=15, verdict=verdict),
        make_gan(tmp_path, "a", "s", 0, 1),
    ]
    figure, caption = memorisation_figure(paths)
    assert len(figure.axes) == 4
    stairs = figure.axes[0].patches
    colours = [to_hex(patch.get_facecolor()) for patch in stairs]
    values, edges, _ = stairs[0].get_data()
    assert values.sum() == pytest.approx(1)
    assert edges[0] <= LOWEST
    assert values[0] == pytest.approx(15 / 120)
    assert colours[1] == LEAKY_COLOUR.lower()
    assert stairs[1].get_data().values.sum() == pytest.approx(15 / 120)
    # The line of validation images lies where ratios to these do.
    held_out = pd.concat([pd.read_parquet(path.parent / "closeness.parquet") for path in paths])[
        "feature_validation_ratio"
    ]
    counted = np.histogram(held_out.clip(edges[0], edges[-1]), edges)[0] / len(held_out)
    np.testing.assert_allclose(stairs[2].get_data().values, counted)
    assert titles(figure) == ["a (copies)"]
    assert "Images that count as copies are red" in caption
    assert "simulated images" in caption


def test_a_base_generator_has_ratios_to_training_images_alone(tmp_path):
    figure, _ = memorisation_figure([make_gan(tmp_path, "nct")])
    assert titles(figure) == ["nct\nbase: cohort crc"]
    assert len(figure.axes[0].patches) == 1


# The images of a generator -----------------------------------------------------------------------


def made(number=60, channels=3, side=16, classes=3):
    """Images whose brightness is their row, so that each is known wherever it is shown."""
    images = np.zeros((number, channels, side, side), np.uint8)
    images += np.arange(number, dtype=np.uint8)[:, None, None, None]
    return images, np.arange(number) % classes


@pytest.fixture
def gan(tmp_path):
    images, labels = made()
    path = make_gan(tmp_path, "tuned", "tissue", 3, 1)
    add_pictures(path.parent, images, labels)
    store = write_store(tmp_path / "images.npy", images)
    return path, images, labels, store


def read(path, store):
    pictures = read_gan_pictures(read_gan_runs([path])[0])
    real = real_images(pictures, ImageStore.open([store]), COLUMNS, 0)
    return pictures, real, GanFigure.of(pictures, real)


def panel(figure, title):
    panels = [panel for shelf in figure.shelves for panel in shelf]
    return next(panel for panel in panels if panel.title.startswith(title))


def brightness(panel):
    return panel.cells[:, :, 1, 1, 0]


def test_each_class_has_a_row_of_synthetic_images_of_the_chosen_snapshot(gan):
    path, _, labels, store = gan
    pictures, _, figure = read(path, store)
    shown = panel(figure, "Synthetic images")
    assert shown.left == CLASSES
    np.testing.assert_array_equal(brightness(shown), pictures.samples[2, :, :, 0, 0, 0])
    assert (labels[brightness(shown)] == [[0], [1], [2]]).all()
    # Snapshots were kept after 2, 4, 6 and 8 thousand images; the weights are those after 6.
    over = panel(figure, "Over training")
    assert over.left == ("2.0", "4.0", "6.0", "8.0")
    assert over.bold == {2}
    np.testing.assert_array_equal(brightness(over), pictures.samples[:, :, 0, 0, 0, 0])
    assert over.above == CLASSES


def test_real_images_are_of_their_class_and_of_different_patients(gan):
    path, _, labels, store = gan
    _, _, figure = read(path, store)
    rows = brightness(panel(figure, "Real images"))
    assert rows.shape == (3, COLUMNS)
    assert (labels[rows] == [[0], [1], [2]]).all()
    patients = rows % 5
    assert all(len(set(of_class.tolist())) == 5 for of_class in patients)


def test_real_images_are_brought_to_the_generators_size(gan, tmp_path):
    path, _, labels, _ = gan
    random = np.random.default_rng(0)
    large = random.integers(0, 256, (60, 3, 40, 40), dtype=np.uint8)
    _, real, _ = read(path, write_store(tmp_path / "large.npy", large))
    small = resize_batch(large, 16)
    for label, of_class in enumerate(real):
        for image in of_class:
            found = [row for row in range(60) if (small[row] == image).all()]
            assert [labels[row] for row in found] == [label]


def test_a_class_with_few_real_images_leaves_places_white(gan, tmp_path):
    path, images, _, store = gan
    labels = np.where(np.arange(60) < 2, 1, 0)
    add_pictures(path.parent, images, labels, ("many", "few"))
    shown = panel(read(path, store)[2], "Real images")
    assert set(brightness(shown)[1, :2]) == {0, 1}
    assert (shown.cells[1, 2:] == 255).all()
    assert (brightness(shown)[0] < 60).all()


def test_interpolations_truncations_and_mixed_styles_stand_in_their_order(gan):
    path, _, _, store = gan
    pictures, _, figure = read(path, store)
    steps = panel(figure, "From one latent")
    np.testing.assert_array_equal(brightness(steps), pictures.interpolation[:, :, 0, 0, 0])
    assert steps.left == CLASSES
    cut = panel(figure, "Truncation, AT")
    np.testing.assert_array_equal(brightness(cut), pictures.truncation[:, :, 0, 0, 0])
    assert cut.left == ("ψ 0", "ψ 0.35", "ψ 0.7", "ψ 1")
    assert TRUNCATIONS == MEASURED_TRUNCATIONS
    mixed = panel(figure, "Mixed styles, AT")
    assert (mixed.cells[0, 0] == 255).all()
    np.testing.assert_array_equal(brightness(mixed)[1:], pictures.mixing[1:, :, 0, 0, 0])


def test_closest_pairs_stand_side_by_side_over_their_ratio_and_copies_are_red(gan):
    path, _, _, store = gan
    write_table(path.parent / "closeness.parquet", closeness(np.random.default_rng(0), copies=2))
    _, _, figure = read(path, store)
    for k, space in enumerate(("features", "pixels")):
        pairs = panel(figure, f"Closest pairs by {space}")
        side = pairs.cells.shape[2]
        first, second = pairs.cells[0, :, 1, 1, 0], pairs.cells[0, :, 1, side + 2, 0]
        assert first.tolist() == list(range(8 * k, 8 * k + 8))
        assert second.tolist() == list(range(8 * k + 1, 8 * k + 9))
        ratios = np.linspace(0, 1, 16)[8 * k : 8 * k + 8]
        assert pairs.below == tuple(f"{ratio:.2f}" for ratio in ratios)
        assert pairs.red == {0, 1}
    drawn = figure.draw("Title")
    red = [text.get_text() for text in drawn.texts if text.get_color() == LEAKY_COLOUR]
    assert red == ["0.00", "0.07", "0.53", "0.60"]


def test_panels_keep_to_the_page_and_do_not_overlap(gan):
    path, images, labels, store = gan
    for classes in (2, 3, 9, 12):
        labels = np.arange(60) % classes
        names = [f"a kind of tissue called {k}" for k in range(classes)]
        add_pictures(path.parent, images, labels, names, kimg=tuple(range(100, 900, 100)))
        drawn = read(path, store)[2].draw("Title")
        boxes = [axes.get_position() for axes in drawn.axes]
        assert len(boxes) == 8
        assert min(box.x0 for box in boxes) >= 0
        assert max(box.x1 for box in boxes) <= 1
        assert min(box.y0 for box in boxes) > 0
        assert max(box.y1 for box in boxes) < 1
        written = [text for text in drawn.texts if text.get_text()]
        frames = [text.get_window_extent(FigureCanvasAgg(drawn).get_renderer()) for text in written]
        assert max(frame.x1 for frame in frames) <= drawn.bbox.x1
        headings = [
            frame.transformed(drawn.transFigure.inverted())
            for frame, text in zip(frames, written, strict=True)
            if text.get_text().startswith("(")
        ]
        assert len(headings) == 8
        boxes += headings
        for i, one in enumerate(boxes):
            for other in boxes[i + 1 :]:
                apart = one.x1 <= other.x0 or other.x1 <= one.x0
                assert apart or one.y1 <= other.y0 or other.y1 <= one.y0


def test_images_are_in_the_picture_pixel_by_pixel_with_white_between_them(gan):
    path, _, _, store = gan
    _, _, figure = read(path, store)
    shown = panel(figure, "Synthetic images")
    picture = np.asarray(figure.draw("Title").axes[0].images[0].get_array())
    side = shown.cells.shape[2]
    step = side + shown.gap
    assert picture.shape == (3 * step - shown.gap, 6 * step - shown.gap, 3)
    np.testing.assert_array_equal(picture[step : step + side, :side], shown.cells[1, 0])
    assert (picture[:, side : side + shown.gap] == 255).all()


def test_small_images_are_enlarged_by_whole_pixels_and_large_ones_reduced():
    assert side_of(100, 16) == 64
    assert side_of(20, 16) == LARGEST_SIDE
    assert side_of(20, 200) == LARGEST_SIDE
    assert side_of(100, 64) == 64
    assert side_of(400, 256) < 64


def test_grey_images_are_grey_and_colours_keep_their_order(gan, tmp_path):
    path, _, labels, _ = gan
    grey, _ = made(channels=1)
    add_pictures(path.parent, grey, labels)
    cells = panel(read(path, write_store(tmp_path / "grey.npy", grey))[2], "Real images").cells
    assert (cells == cells[..., :1]).all()
    colours = np.repeat(np.array([200, 100, 50], np.uint8)[None, :, None, None], 60, axis=0)
    colours = np.broadcast_to(colours, (60, 3, 16, 16)).copy()
    add_pictures(path.parent, colours, labels)
    cells = panel(read(path, write_store(tmp_path / "rgb.npy", colours))[2], "Real images").cells
    assert (cells == [200, 100, 50]).all()


def test_captions_say_what_each_panel_is_and_what_was_found(gan):
    path, _, _, store = gan
    _, _, figure = read(path, store)
    caption = figure.caption("tile", True)
    letters = [f"({letter})" for letter in "abcdefgh"]
    places = [caption.index(letter) for letter in letters]
    assert places == sorted(places)
    headings = [text for text in words(figure.draw("Title")) if text.startswith("(")]
    assert [text[:3] for text in headings] == letters
    assert headings[1].endswith("Real images")
    assert caption[places[1] :].startswith("(b) Real images of the same classes")
    assert "simulated tiles" in caption
    assert "after 6.0 thousand images" in caption
    assert "a generator that copies shows pairs that are the same" in caption
    assert caption.endswith("no copies were found.")
    assert "simulated" not in figure.caption("tile", False)
    assert "FHR, UC and baseline" not in caption
    assert "FHR, UC and baseline are shown as red, green and blue" in figure.caption("window", True)


def test_a_generator_that_copies_says_so_in_title_and_caption(gan, tmp_path):
    _, _, _, store = gan
    why = "9 of 60 images are copies in pixel space"
    copying = make_gan(tmp_path, "tuned", "tissue", 3, 1, verdict={"copies": True, "why": why})
    pictures, _, figure = read(copying, store)
    title = title_of(pictures, {})
    assert title == "Generator tuned (copies): split tissue, seed 3, fold 1"
    assert figure.draw(title).get_suptitle() == title
    assert figure.draw(title)._suptitle.get_color() == LEAKY_COLOUR
    assert f"This generator copies training images: {why}." in figure.caption("tile", False)


def test_of_many_classes_the_first_twelve_are_shown(gan):
    path, images, _, store = gan
    add_pictures(path.parent, images, np.arange(60) % 15, [f"c{k}" for k in range(15)])
    _, _, figure = read(path, store)
    assert panel(figure, "Synthetic images").left == tuple(f"c{k}" for k in range(12))
    assert "Of 15 classes the first 12 are shown." in figure.caption("image", False)


def test_classes_may_be_called_anything(gan, tmp_path):
    path, images, labels, store = gan
    names = ('<script>"x"</script>', "$x^2$ & y", "a very long name " * 20)
    add_pictures(path.parent, images, labels, names)
    drawn = read(path, store)[2].draw("Title")
    save(drawn, tmp_path / "figure.svg")
    assert b"<script" not in (tmp_path / "figure.svg").read_bytes()
    shown = " ".join(words(drawn))
    assert "$x^2$ & y" in shown
    assert max(len(line) for text in words(drawn) for line in text.split("\n")) < 90


def test_the_largest_figure_of_noise_stays_below_three_megabytes(gan, tmp_path):
    path, _, _, _ = gan
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (72, 3, 128, 128), dtype=np.uint8)
    names = [f"class {k}" for k in range(9)]
    add_pictures(path.parent, noise, np.arange(72) % 9, names, kimg=tuple(range(1, 9)))
    figure = read(path, write_store(tmp_path / "noise.npy", noise))[2]
    save(figure.draw("Title"), tmp_path / "figure.svg")
    assert 1e6 < (tmp_path / "figure.svg").stat().st_size < 3e6


def test_files_of_different_runs_are_refused(gan, tmp_path):
    path, images, labels, store = gan
    with pytest.raises(InputError, match="60 of 1 channels"):
        read(path, write_store(tmp_path / "grey.npy", images[:, :1].copy()))
    with pytest.raises(InputError, match="learned from row 59"):
        read(path, write_store(tmp_path / "few.npy", images[:40]))
    write_table(path.parent / "closeness.parquet", closeness(np.random.default_rng(0), 4))
    with pytest.raises(InputError, match=r"not in closeness\.parquet"):
        read(path, store)
    np.save(path.parent / "samples.npy", images)
    with pytest.raises(InputError, match=r"samples\.npy: uint8 \(60, 3, 16, 16\)"):
        read(path, store)
    add_pictures(path.parent, images, labels)
    np.save(path.parent / "interpolation.npy", images[None, :8])
    with pytest.raises(InputError, match=r"interpolation\.npy: \(1,\) images, expected \(3,\)"):
        read(path, store)
    (path.parent / "mixing.npy").write_bytes(b"torn")
    with pytest.raises(InputError, match=r"mixing\.npy: torn"):
        read(path, store)
    write_csv(path.parent / "memorisation.csv", pd.DataFrame({"copies": [True]}))
    add_pictures(path.parent, images, labels)
    with pytest.raises(InputError, match=r"closeness\.parquet|memorisation\.csv"):
        read(path, store)


def test_the_stage_draws_the_same_bytes_twice_with_title_and_caption(tmp_path):
    images, labels = made()
    path = make_gan(tmp_path, "nct")
    add_pictures(path.parent, images, labels)
    store = write_store(tmp_path / "images.npy", images)
    contents = []
    for name in ("one", "two"):
        outputs = [
            word
            for kind, end in (("svg", "svg"), ("png", "png"), ("display", "json"))
            for word in (f"--{kind}", tmp_path / f"{name}.{end}")
        ]
        options = ["--gan", path, "--images", store, "--cohorts", json.dumps({"nct": "crc"})]
        assert call("draw_gan.py", *options, "--simulated", "--unit-kind", "tile", *outputs) == 0
        contents.append([(tmp_path / f"{name}.{end}").read_bytes() for end in ("svg", "png")])
    assert contents[0] == contents[1]
    display = read_display(tmp_path / "one.json")
    assert display.title == "Base generator nct: cohort crc (simulated)"
    assert display.tables == ()
    assert display.caption.startswith("Images of 16 × 16 pixels that the generator draws, beside")
