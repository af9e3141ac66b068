"""The logistic regression is scikit-learn's, kept as a few arrays that predict without it."""

import numpy as np
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fewcase.models.classical import fit_logistic, weighted_shares
from fewcase.study.errors import InputError


def _sample(classes):
    generator = np.random.default_rng(0)
    rare = (generator.random(300) < 0.15).astype(np.int64)
    labels = rare if classes == 2 else generator.integers(0, classes, 300)
    features = generator.normal(size=(300, 4)) * [1, 20, 300, 0.1]
    features[:, 0] += labels
    features[:, 1] -= 10.0 * (labels == 1)
    features[generator.random(features.shape) < 0.1] = np.nan
    return features, labels


def _softmax(logits):
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def sample():
    return _sample(2)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_the_fit_agrees_with_a_pipeline_of_scikit_learn(classes):
    features, labels = _sample(classes)
    model = fit_logistic(features[:200], labels[:200], {"C": 0.3}, classes=classes)
    reference = make_pipeline(
        SimpleImputer(strategy="median"),
        StandardScaler(),
        LogisticRegression(C=0.3, class_weight="balanced", max_iter=1000),
    ).fit(features[:200], labels[:200])
    found = _softmax(model.logits(features))
    np.testing.assert_allclose(found, reference.predict_proba(features), rtol=1e-9, atol=1e-12)


def test_two_classes_are_the_log_odds_of_the_second(sample):
    features, labels = sample
    model = fit_logistic(features, labels)
    logits = model.logits(features)
    assert (logits[:, 0] == 0).all()
    assert model.coefficient.shape == (4,)
    kept = model.arrays()
    filled = np.where(np.isnan(features), kept["median"], features)
    odds = (filled - kept["mean"]) / kept["scale"] @ kept["coefficient"] + kept["intercept"]
    np.testing.assert_array_equal(odds, logits[:, 1])


@pytest.mark.parametrize("present", [(0, 2, 3), (1, 3)])
def test_a_class_without_training_rows_is_never_predicted(present):
    features, labels = _sample(4)
    there = np.isin(labels, present)
    model = fit_logistic(features[there], labels[there], classes=4)
    reference = make_pipeline(
        SimpleImputer(strategy="median"),
        StandardScaler(),
        LogisticRegression(class_weight="balanced", max_iter=1000),
    ).fit(features[there], labels[there])
    found = _softmax(model.logits(features))
    absent = [number for number in range(4) if number not in present]
    assert (found[:, absent] == 0).all()
    np.testing.assert_allclose(found[:, present], reference.predict_proba(features), rtol=1e-8)


def test_without_features_every_row_has_the_same_score(sample):
    _, labels = sample
    nothing = np.empty((300, 0))
    even = _softmax(fit_logistic(nothing, labels).logits(nothing))
    assert (even == 0.5).all()
    plain = _softmax(fit_logistic(nothing, labels, {"class_weight": None}).logits(nothing))
    np.testing.assert_allclose(plain, np.tile(np.bincount(labels) / 300, (300, 1)))


def test_a_feature_without_any_value_changes_nothing(sample):
    features, labels = sample
    empty = np.column_stack([features, np.full(len(features), np.nan)])
    with_it, without = fit_logistic(empty, labels), fit_logistic(features, labels)
    np.testing.assert_allclose(with_it.logits(empty), without.logits(features), atol=1e-9)


def test_the_shares_that_a_model_sees_count_class_weights():
    labels = np.array([0] * 6 + [1] * 3 + [2])
    np.testing.assert_allclose(weighted_shares(labels, None, 3), [0.6, 0.3, 0.1])
    np.testing.assert_allclose(weighted_shares(labels, "balanced", 3), [1 / 3] * 3)
    np.testing.assert_allclose(weighted_shares(labels, {1: 2.0, 2: 8.0}, 3), [0.3, 0.3, 0.4])
    np.testing.assert_allclose(weighted_shares(labels[:9], "balanced", 3), [0.5, 0.5, 0])


def test_one_class_and_unknown_options_are_refused(sample):
    features, labels = sample
    with pytest.raises(InputError, match="one class"):
        fit_logistic(features[labels == 0], labels[labels == 0])
    with pytest.raises(InputError, match="max_iter"):
        fit_logistic(features, labels, {"max_iterr": 5})
