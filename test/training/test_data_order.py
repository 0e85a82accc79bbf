"""Which samples make up which batch."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_training import toy_data

from rgbd_seg_ros.errors import UserError
from rgbd_seg_training.loading import EndlessOrder, training_loader

sizes = st.integers(1, 30)


@settings(max_examples=60, deadline=None)
@given(sizes, sizes, st.integers(0, 5), st.integers(1, 6))
def test_the_epochs_are_slices_of_one_endless_sequence_of_passes(n: int, taken: int, seed: int, epochs: int) -> None:
    sequence = [i for epoch in range(epochs) for i in EndlessOrder(n, taken, seed, epoch)]
    assert len(sequence) == epochs * taken
    for start in range(0, len(sequence) - n + 1, n):
        assert sorted(sequence[start : start + n]) == list(range(start, start + n))


@settings(max_examples=60, deadline=None)
@given(sizes, st.integers(1, 8), st.integers(1, 4), st.integers(0, 5))
def test_processes_share_an_epoch_without_overlap(n: int, per_process: int, world: int, seed: int) -> None:
    taken = per_process * world
    parts = [list(EndlessOrder(n, taken, seed, 1, rank, world)) for rank in range(world)]
    assert {len(p) for p in parts} == {per_process}
    assert Counter(i for p in parts for i in p) == Counter(EndlessOrder(n, taken, seed, 1))


def test_another_seed_gives_another_order() -> None:
    assert list(EndlessOrder(20, 20, 0, 0)) != list(EndlessOrder(20, 20, 1, 0))


def test_passes_are_shuffled_differently() -> None:
    draws = list(EndlessOrder(20, 40, 0, 0))
    assert [d - 20 for d in draws[20:]] != draws[:20]


def test_an_empty_split_is_refused() -> None:
    with pytest.raises(UserError, match="empty"):
        EndlessOrder(0, 4, 0, 0)


def test_worker_processes_change_nothing() -> None:
    batches = []
    for workers in (0, 2):
        loader = training_loader(toy_data(), batch=2, batches=4, seed=3, epoch=2, workers=workers)
        batches.append([b["rgb"].sum().item() for b in loader])
    assert batches[0] == batches[1]
