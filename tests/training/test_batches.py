import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewcase.study.errors import InputError
from fewcase.training.batches import count_batches, draw_batches


def labels_of(negatives, positives):
    return np.repeat([0, 1], [negatives, positives]).astype(np.int64)


def test_the_paper_s_training_set_makes_54_batches_of_12_and_73():
    labels = labels_of(3942, 648)
    batches = draw_batches(labels, 85, True, (0, 0, 0))
    assert len(batches) == 54
    assert {(len(b), int(labels[b].sum())) for b in batches} == {(85, 12)}
    assert sorted(np.concatenate(batches)) == list(range(4590))


@given(
    negatives=st.integers(1, 300),
    positives=st.integers(1, 60),
    third=st.integers(0, 40),
    size=st.integers(2, 90),
    seed=st.integers(0, 5),
)
def test_every_row_is_seen_once_and_classes_are_spread_to_within_one(
    negatives, positives, third, size, seed
):
    labels = np.repeat([0, 1, 2], [negatives, positives, third]).astype(np.int64)
    if size > len(labels) or np.bincount(labels)[np.unique(labels)].min() < -(-len(labels) // size):
        return
    batches = draw_batches(labels, size, True, (seed,))
    assert sorted(np.concatenate(batches)) == list(range(len(labels)))
    assert len(batches) == count_batches(len(labels), size)
    lengths = [len(batch) for batch in batches]
    assert max(lengths) <= size
    assert max(lengths) - min(lengths) <= 1
    for label in np.unique(labels):
        counts = [int((labels[batch] == label).sum()) for batch in batches]
        assert max(counts) - min(counts) <= 1
        assert min(counts) >= 1


@pytest.mark.parametrize("ratio", [True, False])
def test_where_the_last_is_dropped_all_batches_are_full_and_other_rows_are_over_each_time(ratio):
    labels = labels_of(60, 27)
    assert count_batches(87, 10, drop_last=True) == 8
    over = set()
    for epoch in range(20):
        batches = draw_batches(labels, 10, ratio, (epoch,), drop_last=True)
        assert [len(batch) for batch in batches] == [10] * 8
        seen = np.concatenate(batches)
        assert len(set(seen)) == 80
        over |= set(range(87)) - set(seen)
    assert len(over) > 60


@given(rows=st.integers(2, 200), size=st.integers(2, 90))
def test_shuffled_batches_see_every_row_once_too(rows, size):
    if size > rows:
        return
    batches = draw_batches(np.zeros(rows, np.int64), size, False, (1,))
    assert sorted(np.concatenate(batches)) == list(range(rows))
    assert max(map(len, batches)) - min(map(len, batches)) <= 1


@pytest.mark.parametrize("ratio", [True, False])
def test_batches_are_fixed_by_their_key_and_differ_between_epochs(ratio):
    labels = labels_of(90, 30)
    first, again = (np.concatenate(draw_batches(labels, 20, ratio, (1, 0, 3))) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    for key in [(2, 0, 3), (1, 1, 3), (1, 0, 4)]:
        assert (np.concatenate(draw_batches(labels, 20, ratio, key)) != first).any()


def test_classes_are_mixed_within_a_batch_and_rows_meet_others_each_epoch():
    labels = labels_of(60, 60)
    batch = draw_batches(labels, 40, True, (0,))[0]
    assert 5 < (np.diff(labels[batch]) != 0).sum() < 35
    companions = [
        {frozenset(b.tolist()) for b in draw_batches(labels, 40, True, (e,))} for e in range(5)
    ]
    assert len(set.union(*companions)) == 15


def test_shuffled_batches_vary_in_their_ratio():
    labels = labels_of(900, 150)
    counts = [labels[batch].sum() for batch in draw_batches(labels, 70, False, (0,))]
    assert len(set(counts)) > 3


def test_a_batch_larger_than_the_training_part_is_refused():
    with pytest.raises(InputError, match=r"batch_size: 85 is more than the 40 examples"):
        draw_batches(labels_of(30, 10), 85, True, (0,))


def test_batches_without_a_positive_are_refused_with_the_size_that_would_do():
    labels = labels_of(97, 3)
    with pytest.raises(InputError, match=r"Give at least 34"):
        draw_batches(labels, 20, True, (0,))
    assert all(labels[batch].sum() == 1 for batch in draw_batches(labels, 34, True, (0,)))
    assert len(draw_batches(labels, 20, False, (0,))) == 5


def test_oversampling_draws_every_class_equally_often_and_no_row_much_more_than_another():
    labels = np.repeat([0, 1, 2], [70, 20, 8])
    batches = draw_batches(labels, 14, ratio_batches=True, key=(0,), oversample=True)
    drawn = np.concatenate(batches)
    assert len(drawn) == 98
    counts = np.bincount(labels[drawn])
    assert counts.max() - counts.min() <= 1
    for label in range(3):
        times = np.bincount(drawn, minlength=98)[labels == label]
        assert times.max() - times.min() <= 1
    # Each batch has each class as often as any other, to within one.
    for batch in batches:
        in_batch = np.bincount(labels[batch], minlength=3)
        assert in_batch.max() - in_batch.min() <= 1


def test_oversampling_gives_all_rows_of_a_large_class_their_turn_over_epochs():
    labels = np.repeat([0, 1], [60, 6])
    seen = [draw_batches(labels, 11, True, key=(0, epoch), oversample=True) for epoch in range(12)]
    assert set(np.concatenate([row for epoch in seen for row in epoch])) == set(range(66))
