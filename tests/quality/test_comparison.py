"""Claims about the table of generative quality, with generators whose faults are known."""

import numpy as np
import pytest

from fewcase.quality import comparison as quality
from fewcase.quality.comparison import ALL, COLUMNS, MEASURES, LabelledFeatures, measure_quality
from fewcase.quality.frechet import fit_gaussian, frechet_distance
from fewcase.quality.kernel_distance import kernel_distance
from fewcase.quality.manifolds import compare_manifolds

CLASSES = ("benign", "in situ", "invasive")


class Eight:
    """What a table says of features of eight numbers."""

    name = "eight numbers"
    resizer = "clean"

    def metric_name(self, metric):
        return f"{metric} of eight"


def draw(counts, seed, spread=1.0, apart=4.0):
    """Features around a place of their own for each class."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    places = apart * np.random.default_rng(9).normal(size=(len(counts), 8))
    features = places[labels] + spread * random.normal(size=(len(labels), 8))
    return LabelledFeatures(features.astype(np.float32), labels)


def table(train, synthetic, validation, seed=0):
    return measure_quality(train, synthetic, validation, CLASSES, Eight(), seed)


def row(found, name, sample="synthetic", reference="train"):
    chosen = found[
        (found["class"] == name) & (found["sample"] == sample) & (found["reference"] == reference)
    ]
    assert len(chosen) == 1
    return chosen.iloc[0]


@pytest.fixture(scope="module")
def faithful():
    return table(draw((150, 60, 90), 0), draw((400, 400, 400), 1), draw((50, 20, 30), 2))


def test_every_class_is_compared_with_both_references_and_has_a_floor(faithful):
    assert tuple(faithful.columns) == COLUMNS
    assert len(faithful) == 4 * 3
    for name in (ALL, *CLASSES):
        for sample, reference in (
            ("synthetic", "train"),
            ("synthetic", "validation"),
            ("train", "validation"),
        ):
            assert np.isfinite(
                row(faithful, name, sample, reference)[list(MEASURES)].tolist()
            ).all()
    assert (faithful["reason"] == "").all()
    assert (faithful["frechet_name"] == "frechet of eight").all()
    assert (faithful["extractor"] == "eight numbers").all()
    assert (faithful["d"] == 8).all()


def test_as_many_images_are_compared_as_are_real_class_by_class(faithful):
    assert row(faithful, ALL)[["n_real", "n_synthetic"]].tolist() == [300, 300]
    assert row(faithful, "in situ")[["n_real", "n_synthetic"]].tolist() == [60, 60]
    for sample in ("synthetic", "train"):
        floor = row(faithful, ALL, sample, "validation")
        assert floor[["n_real", "n_synthetic"]].tolist() == [100, 100]
    assert faithful["same_mix"].all()
    assert faithful["few_images"].all()


def test_the_mix_of_classes_of_the_real_images_is_kept():
    """Synthetic images in equal numbers, of a distribution that is right in every class."""
    counts = (800, 100, 100)
    matched = table(draw(counts, 0), draw((1000, 1000, 1000), 1), None)
    assert row(matched, ALL)["frechet"] < 0.5
    assert row(matched, ALL)["precision"] > 0.8
    # Drawn without regard to class, the distance would be that of the mixes.
    features = draw((333, 333, 334), 1).features
    mixed = frechet_distance(fit_gaussian(draw(counts, 0).features), fit_gaussian(features))
    assert mixed > 10 * row(matched, ALL)["frechet"]


def test_a_row_holds_what_its_measures_say_of_the_features():
    train, synthetic = draw((150, 60, 90), 0), draw((150, 60, 90), 1)
    found = row(table(train, synthetic, None), ALL)
    expected = frechet_distance(fit_gaussian(train.features), fit_gaussian(synthetic.features))
    assert found["frechet"] == pytest.approx(expected)
    manifolds = compare_manifolds(train.features, synthetic.features)
    assert found["coverage"] == manifolds.coverage
    assert found["recall"] == manifolds.recall
    kernel = kernel_distance(train.features, synthetic.features)
    assert found["subset_size"] == kernel.subset_size == 150
    assert found["kid"] == pytest.approx(kernel.value, abs=3 * kernel.sd)


def test_a_faithful_generator_comes_to_the_floor(faithful):
    for name in (ALL, *CLASSES):
        floor = row(faithful, name, "train", "validation")
        made = row(faithful, name, "synthetic", "validation")
        assert made["frechet"] < 2 * floor["frechet"]
        assert abs(made["coverage"] - floor["coverage"]) < 0.25


def test_the_floor_is_met_by_copies_of_training_images_and_train_is_not():
    """What tells them from a faithful generator is the distance to the training images."""
    train, validation = draw((150, 60, 90), 0), draw((50, 20, 30), 2)
    found = table(train, train, validation)
    assert row(found, ALL)["frechet"] < 1e-6
    floor = row(found, ALL, "train", "validation")
    made = row(found, ALL, "synthetic", "validation")
    assert made["frechet"] == pytest.approx(floor["frechet"], rel=0.3)


def test_each_fault_shows_in_its_class():
    good, wide = draw((200, 200, 200), 1), draw((200, 200, 200), 1, spread=2.0)
    features = np.where((good.labels == 2)[:, None], wide.features, good.features)
    faulty = LabelledFeatures(features, good.labels)
    found = table(draw((200, 200, 200), 0), faulty, None)
    assert row(found, "invasive")["precision"] < 0.7 < row(found, "benign")["precision"]
    assert row(found, "invasive")["frechet"] > 5 * row(found, "benign")["frechet"]
    assert row(found, "invasive")["kid"] > 5 * abs(row(found, "benign")["kid"])


def test_a_class_that_is_not_drawn_has_reasons_instead_of_values():
    found = table(draw((150, 60, 90), 0), draw((200, 0, 200), 1), draw((50, 3, 30), 2))
    missing = row(found, "in situ")
    assert missing[list(MEASURES)].isna().all()
    assert missing["reason"].startswith("60 real and 0 synthetic images; frechet needs 2")
    assert not missing["same_mix"]
    whole = row(found, ALL)
    assert whole["n_synthetic"] == 240
    assert not whole["same_mix"]
    assert whole["recall"] < 0.9
    assert whole["precision"] > 0.8


def test_few_images_have_the_measures_that_they_suffice_for():
    found = table(draw((150, 60, 90), 0), draw((150, 3, 5), 1), draw((50, 1, 30), 2))
    three = row(found, "in situ")
    assert np.isfinite(three["frechet"])
    assert np.isnan(three["kid"])
    assert np.isnan(three["recall"])
    assert "kid needs 4 images of each" in three["reason"]
    five = row(found, "invasive")
    assert np.isfinite(five["kid"])
    assert np.isnan(five["coverage"])
    assert "coverage need 6 images of each" in five["reason"]
    floor = row(found, "in situ", "train", "validation")
    assert floor[["n_real", "n_synthetic"]].tolist() == [1, 1]
    assert floor[list(MEASURES)].isna().all()


def test_the_draw_depends_on_the_seed_alone():
    sets = draw((150, 60, 90), 0), draw((400, 400, 400), 1), draw((50, 20, 30), 2)
    first, again, other = table(*sets), table(*sets), table(*sets, seed=1)
    assert first.equals(again)
    assert not first["frechet"].equals(other["frechet"])


def test_many_images_are_not_marked_as_few(monkeypatch):
    assert quality.FEWEST_IMAGES == 2048
    monkeypatch.setattr(quality, "FEWEST_IMAGES", 50)
    many = LabelledFeatures(np.random.default_rng(0).normal(size=(50, 2)), np.zeros(50, int))
    found = measure_quality(many, many, None, ("all of them",), Eight(), 0)
    assert not found["few_images"].any()
    fewer = LabelledFeatures(many.features[1:], many.labels[1:])
    assert measure_quality(fewer, many, None, ("all of them",), Eight(), 0)["few_images"].all()
    # No more images than features leave a covariance singular, however many they are.
    wide = LabelledFeatures(np.random.default_rng(0).normal(size=(60, 60)), np.zeros(60, int))
    assert measure_quality(wide, wide, None, ("all of them",), Eight(), 0)["few_images"].all()


def test_features_and_labels_go_together():
    with pytest.raises(ValueError, match="3 features, but 2 labels"):
        LabelledFeatures(np.zeros((3, 2)), np.zeros(2, int))
