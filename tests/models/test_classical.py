import numpy as np
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fewcase.models.classical import fit_logistic
from fewcase.study.errors import InputError


@pytest.fixture(scope="module")
def sample():
    generator = np.random.default_rng(0)
    labels = (generator.random(300) < 0.15).astype(np.int64)
    features = generator.normal(size=(300, 4)) * [1, 20, 300, 0.1] + labels[:, None]
    features[generator.random(features.shape) < 0.1] = np.nan
    return features, labels


def test_the_fit_agrees_with_a_pipeline_of_scikit_learn(sample):
    features, labels = sample
    model = fit_logistic(features[:200], labels[:200], {"C": 0.3})
    reference = make_pipeline(
        SimpleImputer(strategy="median"),
        StandardScaler(),
        LogisticRegression(C=0.3, class_weight="balanced", max_iter=1000),
    ).fit(features[:200], labels[:200])
    np.testing.assert_allclose(
        model.logits(features), reference.decision_function(features), rtol=1e-9, atol=1e-9
    )


def test_its_parameters_are_enough_to_predict_again(sample):
    features, labels = sample
    model = fit_logistic(features, labels)
    kept = model.arrays()
    filled = np.where(np.isnan(features), kept["median"], features)
    logits = (filled - kept["mean"]) / kept["scale"] @ kept["coefficient"] + kept["intercept"]
    np.testing.assert_allclose(logits, model.logits(features))


def test_a_feature_without_any_value_changes_nothing(sample):
    features, labels = sample
    empty = np.column_stack([features, np.full(len(features), np.nan)])
    with_it, without = fit_logistic(empty, labels), fit_logistic(features, labels)
    np.testing.assert_allclose(with_it.logits(empty), without.logits(features), atol=1e-9)


def test_one_class_and_unknown_options_are_refused(sample):
    features, labels = sample
    with pytest.raises(InputError, match="one class"):
        fit_logistic(features[labels == 0], labels[labels == 0])
    with pytest.raises(InputError, match="max_iter"):
        fit_logistic(features, labels, {"max_iterr": 5})
