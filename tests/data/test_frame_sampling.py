from __future__ import annotations

import doctest
import fractions
import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from yt8m_distill.data import frame_sampling
from yt8m_distill.data.frame_sampling import METHODS, FrameSampler, sample_frame_indices

MAX_FRAMES = 300
DIVISORS = [j for j in range(1, MAX_FRAMES + 1) if MAX_FRAMES % j == 0]
NOT_STRIDE = [method for method in METHODS if method != "stride"]
LENGTHS = np.unique([*range(35), *range(35, 301, 7), 170, 299, 300])
# Lengths at which floor(N / 300 * slots) comes out one too low in float64, by every_n.
LOST_TO_ROUNDING = {
    1: {55, 79, 97, 110, 123, 158, 171, 194, 207, 220, 233, 246},
    2: {110, 158, 194, 220, 246},
    3: {87, 171, 174},
    4: {220},
    6: {174},
}
# The budgets of the paper's tables, and odd ones.
BUDGETS = [
    *({"num_sampled_frames": k} for k in (1, 2, 6, 7, 10, 15, 20, 30, 299, 300)),
    *({"frame_percent": percent} for percent in (0.3, 5, 10, 12.5, 25, 33.334, 50, 99.99, 100)),
    *({"every_n": j} for j in (1, 2, 7, 10, 33, 50, 151, 300)),
]


def budget_size(num_frames, num_sampled_frames=None, frame_percent=None, every_n=None):
    """How many frames a budget buys of a video, in exact arithmetic."""
    if num_frames == 0:
        return 0
    if num_sampled_frames is not None:
        return min(num_sampled_frames, num_frames)
    if frame_percent is not None:
        return max(1, math.floor(num_frames * fractions.Fraction(str(frame_percent)) / 100))
    num_slots = MAX_FRAMES // every_n
    return max(1, math.floor(fractions.Fraction(num_frames * num_slots, MAX_FRAMES)))


def indices_by_definition(method, num_frames, size):
    """The selectors' definitions, in plain Python; those of `stride` and `random` stand in their tests."""
    everything = list(range(num_frames))
    start = (num_frames - size) // 2
    third = math.ceil(size / 3)
    middle = math.ceil((size - third) / 2)
    middle_start = (num_frames - middle) // 2
    last = size - third - middle
    return {
        "uniform": [math.floor(fractions.Fraction(i * num_frames, size)) for i in range(size)],
        "first": everything[:size],
        "middle": everything[start : start + size],
        "last": everything[num_frames - size :],
        "first_middle_last": everything
        if num_frames <= size
        else everything[:third] + everything[middle_start : middle_start + middle] + everything[num_frames - last :],
    }[method]


# Examples by hand.


@pytest.mark.parametrize(
    "method, num_frames, k, expected",
    [
        ("uniform", 170, 6, [0, 28, 56, 85, 113, 141]),  # 170/6 = 28.33
        ("uniform", 7, 3, [0, 2, 4]),
        ("stride", 300, 6, [0, 50, 100, 150, 200, 250]),
        ("stride", 170, 6, [0, 50, 100]),  # 170 * 6 / 300 = 3.4
        ("stride", 49, 6, [0]),
        ("first", 170, 3, [0, 1, 2]),
        ("middle", 170, 4, [83, 84, 85, 86]),
        ("middle", 10, 3, [3, 4, 5]),  # floor(7 / 2) frames before it, 4 after
        ("last", 170, 3, [167, 168, 169]),
        # 10 -> 4 + 3 + 3 and 20 -> 7 + 7 + 6 frames.
        ("first_middle_last", 100, 10, [0, 1, 2, 3, 48, 49, 50, 97, 98, 99]),
        ("first_middle_last", 100, 20, [*range(7), *range(46, 53), *range(94, 100)]),
        ("first_middle_last", 100, 6, [0, 1, 49, 50, 98, 99]),
        ("first_middle_last", 100, 1, [0]),
        ("first_middle_last", 100, 2, [0, 49]),
    ],
)
def test_by_hand(method, num_frames, k, expected):
    assert sample_frame_indices(num_frames, k, method).tolist() == expected


@pytest.mark.parametrize("j, num_valid", [(2, 150), (4, 75), (10, 30), (20, 15), (50, 6)])
def test_stride_of_a_full_video_gives_the_published_k(j, num_valid):
    indices = sample_frame_indices(300, every_n=j, method="stride")
    assert indices.tolist() == list(range(0, 300, j))
    assert len(indices) == num_valid


@pytest.mark.parametrize("j", DIVISORS)
def test_stride_is_the_formula_of_the_authors_code(j):
    rounded_away = set()
    for num_frames in range(1, MAX_FRAMES + 1):
        received = sample_frame_indices(num_frames, every_n=j, method="stride").tolist()
        # In float64 then truncated, as they compute it; but a video shorter than the stride gives one frame here.
        num_valid = max(1, int(num_frames / 300 * int(300 / j)))
        if len(received) != num_valid:
            rounded_away.add(num_frames)
            assert num_frames % j == 0 and len(received) == num_valid + 1 == num_frames / j
        assert received == [j * i for i in range(len(received))]
    # Ours is the exact product. Theirs is just below a whole number, and loses a frame, at few lengths for small j.
    assert rounded_away == LOST_TO_ROUNDING.get(j, set())


def test_docstring_example():
    assert doctest.testmod(frame_sampling).failed == 0
    assert doctest.testmod(frame_sampling).attempted == 1


# Every method and budget, every length of a video.


@pytest.mark.parametrize("budget", BUDGETS, ids=str)
@pytest.mark.parametrize("method", [method for method in NOT_STRIDE if method != "random"])
def test_follows_its_definition(method, budget):
    sampler = FrameSampler(method, **budget)
    indices, num_sampled = sampler.sample(LENGTHS)
    assert indices.dtype == num_sampled.dtype == np.int64
    assert indices.shape == (len(LENGTHS), sampler.num_slots)
    for video, num_frames in enumerate(LENGTHS.tolist()):
        size = budget_size(num_frames, **budget)
        expected = indices_by_definition(method, num_frames, size) if size else []
        assert num_sampled[video] == size
        assert indices[video].tolist() == expected + [0] * (sampler.num_slots - size)


@pytest.mark.parametrize("j", DIVISORS)
def test_stride_budgets_agree(j):
    lengths = np.arange(MAX_FRAMES + 1)
    expected = FrameSampler("stride", every_n=j).sample(lengths)
    for budget in ({"num_sampled_frames": MAX_FRAMES // j}, {"frame_percent": 100 / j}):
        for received, wanted in zip(FrameSampler("stride", **budget).sample(lengths), expected):
            np.testing.assert_array_equal(received, wanted)


@settings(max_examples=300, deadline=None)
@given(
    method=st.sampled_from(METHODS),
    num_frames=st.integers(0, MAX_FRAMES),
    budget=st.one_of(
        st.fixed_dictionaries({"num_sampled_frames": st.integers(1, MAX_FRAMES)}),
        st.fixed_dictionaries({"frame_percent": st.integers(1, 10_000).map(lambda percent: percent / 100)}),
        st.fixed_dictionaries({"every_n": st.integers(1, MAX_FRAMES)}),
    ),
    stride=st.sampled_from(DIVISORS),
    seed=st.integers(0, 2**40),
)
def test_samples_distinct_valid_frames_in_order(method, num_frames, budget, stride, seed):
    budget = {"every_n": stride} if method == "stride" else budget
    indices, num_sampled = FrameSampler(method, **budget).sample(np.asarray(num_frames), seed)
    indices = indices[:num_sampled]
    assert num_sampled == budget_size(num_frames, **budget)
    assert (np.diff(indices) > 0).all()
    assert ((indices >= 0) & (indices < num_frames)).all()
    if len(indices) == num_frames:
        assert indices.tolist() == list(range(num_frames))


@pytest.mark.parametrize("method", NOT_STRIDE)
def test_takes_the_whole_of_a_video_that_is_shorter_than_k(method):
    assert sample_frame_indices(12, 30, method, seed=4).tolist() == list(range(12))
    assert sample_frame_indices(30, 30, method, seed=4).tolist() == list(range(30))


@pytest.mark.parametrize("method", METHODS)
def test_takes_nothing_of_a_video_without_frames(method):
    assert sample_frame_indices(0, 6, method).tolist() == []


@pytest.mark.parametrize("budget", [{"num_sampled_frames": 15}, {"frame_percent": 10}, {"every_n": 20}], ids=str)
@pytest.mark.parametrize("method", METHODS)
def test_tensorflow_graph_picks_the_same_frames_as_numpy(method, budget):
    sampler = FrameSampler(method, **budget)
    lengths = np.arange(MAX_FRAMES + 1)
    seeds = lengths * 7_654_321 + 5
    spec = tf.TensorSpec([None], tf.int64)
    sample = tf.function(sampler.sample).get_concrete_function(spec, spec)
    in_graph = sample(tf.constant(lengths), tf.constant(seeds))
    for received, expected in zip(in_graph, sampler.sample(lengths, seeds)):
        assert received.dtype == tf.int64
        np.testing.assert_array_equal(received, expected)


@pytest.mark.parametrize("method", METHODS)
def test_one_video_and_nested_batches(method):
    sampler = FrameSampler(method, 6)
    lengths = np.array([[300, 170, 0], [1, 5, 6]])
    seeds = np.arange(6).reshape(2, 3)
    indices, num_sampled = sampler.sample(lengths, seeds)
    in_tensorflow = sampler.sample(tf.constant(lengths), tf.constant(seeds))
    np.testing.assert_array_equal(in_tensorflow[0], indices)
    np.testing.assert_array_equal(in_tensorflow[1], num_sampled)
    for place in np.ndindex(2, 3):
        alone = sample_frame_indices(int(lengths[place]), 6, method, seed=int(seeds[place]))
        assert indices[place][: num_sampled[place]].tolist() == alone.tolist()


# Random draws.


def test_random_is_seeded():
    draws = {tuple(sample_frame_indices(300, 10, "random", seed=seed)) for seed in range(200)}
    again = {tuple(sample_frame_indices(300, 10, "random", seed=seed)) for seed in range(200)}
    assert draws == again
    assert len(draws) == 200


def test_random_reads_one_seed_for_all_videos():
    indices, _ = FrameSampler("random", 10).sample(np.array([300, 300]), seed=3)
    assert indices[0].tolist() == indices[1].tolist() == sample_frame_indices(300, 10, "random", seed=3).tolist()


@pytest.mark.parametrize("seeds", [np.arange(4000), 7919 * np.arange(4000) + 2**31 - 10], ids=["near", "far"])
def test_random_draws_every_frame_equally_often(seeds):
    num_frames, k = 60, 6
    indices, _ = FrameSampler("random", k).sample(np.full(len(seeds), num_frames), seeds)
    counts = np.bincount(indices.ravel(), minlength=num_frames)
    expected = len(seeds) * k / num_frames  # 400, with standard deviation sqrt(4000 * 0.1 * 0.9) = 19
    assert np.abs(counts - expected).max() < 5 * 19
    # Draws without replacement: chi-square over (1 - k/N) has N - 1 = 59 degrees of freedom, so mean 59, std 10.9.
    chi_square = ((counts - expected) ** 2 / expected).sum() / (1 - k / num_frames)
    assert chi_square < 59 + 5 * 10.9


def test_random_draws_frames_independently_of_their_neighbours():
    seeds = np.arange(4000)
    indices, _ = FrameSampler("random", 2).sample(np.full(len(seeds), 20), seeds)
    adjacent = (np.diff(indices) == 1).mean()
    # 19 of the 190 pairs of frames are neighbours: 0.1, with standard deviation sqrt(0.1 * 0.9 / 4000) = 0.0047.
    assert abs(adjacent - 0.1) < 5 * 0.0047


def test_random_draws_of_different_videos_overlap_as_chance_has_it():
    indices, _ = FrameSampler("random", 30).sample(np.full(2000, 300), np.arange(2000))
    overlaps = [len(np.intersect1d(one, other)) for one, other in zip(indices[:-1], indices[1:])]
    # Hypergeometric: mean 30 * 30 / 300 = 3, variance 3 * 0.9 * 270 / 299 = 2.44.
    assert abs(np.mean(overlaps) - 3) < 5 * math.sqrt(2.44 / len(overlaps))


# The number of slots, and what is refused.


@pytest.mark.parametrize(
    "budget, num_slots",
    [
        ({"num_sampled_frames": 20}, 20),
        ({"frame_percent": 5}, 15),
        ({"frame_percent": 10}, 30),
        ({"frame_percent": 25}, 75),
        ({"frame_percent": 50}, 150),
        ({"frame_percent": 100}, 300),
        ({"frame_percent": 100 / 3}, 100),
        ({"frame_percent": 0.1}, 1),
        ({"every_n": 10}, 30),
        ({"every_n": 33}, 9),
        ({"num_sampled_frames": 4, "max_frames": 10}, 4),
    ],
    ids=str,
)
def test_num_slots_is_what_the_longest_video_gives(budget, num_slots):
    sampler = FrameSampler("uniform", **budget)
    assert sampler.num_slots == num_slots
    assert sampler.sample(np.array(sampler.max_frames))[1] == num_slots


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"method": "best", "num_sampled_frames": 6}, "must be one of uniform, .*Received: 'best'"),
        ({}, "exactly one of num_sampled_frames, frame_percent and every_n. Received: none"),
        ({"num_sampled_frames": 6, "every_n": 50}, "Received: num_sampled_frames=6, every_n=50"),
        ({"num_sampled_frames": 0}, "num_sampled_frames must be a whole number from 1 to 300. Received: 0"),
        ({"num_sampled_frames": 301}, "from 1 to 300. Received: 301"),
        ({"num_sampled_frames": 1.5}, "a whole number .*Received: 1.5"),
        ({"frame_percent": 0}, r"frame_percent must be a number in \(0, 100\]. Received: 0"),
        ({"frame_percent": 100.5}, "Received: 100.5"),
        ({"frame_percent": math.nan}, "Received: nan"),
        ({"every_n": -1}, "every_n must be .*Received: -1"),
        ({"every_n": 301}, "Received: 301"),
        ({"every_n": 20, "max_frames": 10}, "every_n must be a whole number from 1 to 10. Received: 20"),
    ],
    ids=str,
)
def test_rejects(arguments, message):
    with pytest.raises(ValueError, match=message):
        FrameSampler(**arguments)


@pytest.mark.parametrize(
    "budget, spacing",
    [
        ({"every_n": 33}, "33"),  # the authors' code: 10 indices, but 9 slots
        ({"num_sampled_frames": 7}, "42.8571"),
        ({"num_sampled_frames": 40}, "7.5"),  # divides 300, but is no whole number of frames
        ({"frame_percent": 40}, "2.5"),
        ({"frame_percent": 33}, "3.0303"),
    ],
    ids=str,
)
def test_stride_must_divide_the_longest_video_into_whole_frames(budget, spacing):
    with pytest.raises(ValueError, match=f"divides max_frames=300; .* a spacing of {spacing} frames"):
        FrameSampler("stride", **budget)


@pytest.mark.parametrize("num_frames", [-1, 301])
def test_rejects_an_impossible_number_of_frames(num_frames):
    with pytest.raises(ValueError, match=f"from 0 to max_frames=300. Received: {num_frames}"):
        sample_frame_indices(num_frames, 6)


# ---- jitter


@given(num_frames=st.integers(0, 300), k=st.integers(1, 60), seed=st.integers(0, 2**40), in_graph=st.booleans())
@settings(deadline=None, max_examples=60)
def test_jitter_draws_one_frame_of_each_share(num_frames, k, seed, in_graph):
    sampler = FrameSampler("uniform", k, jitter=True)
    lengths = np.asarray(num_frames)
    indices, num_sampled = sampler.sample(tf.constant(lengths) if in_graph else lengths, seed, training=True)
    used = int(num_sampled)
    assert used == min(k, num_frames)
    for slot, index in enumerate(np.asarray(indices)[:used]):
        assert slot * num_frames // used <= index < (slot + 1) * num_frames // used
    assert not np.asarray(indices)[used:].any()


def test_jitter_draws_every_frame_of_a_share_equally_often():
    seeds = np.arange(4000)
    indices, _ = FrameSampler("uniform", 3, jitter=True).sample(np.full(4000, 10), seeds, training=True)
    # Shares 0-2, 3-5 and 6-9; a share of three expects 1333 draws of each frame with standard deviation 30.
    for slot, share in enumerate([range(3), range(3, 6), range(6, 10)]):
        counts = np.bincount(indices[:, slot], minlength=10)
        assert counts[list(share)].sum() == 4000
        assert np.abs(counts[list(share)] - 4000 / len(share)).max() < 150
    first, second = (indices[:, slot] - indices[:, slot].mean() for slot in (0, 1))
    assert abs(np.mean(first * second)) < 0.06  # shares are drawn independently: standard deviation 0.67 / sqrt(4000)


def test_jitter_is_for_training_and_for_uniform_alone():
    plain, jittered = FrameSampler("uniform", 4), FrameSampler("uniform", 4, jitter=True)
    lengths = np.array([300, 7, 3])
    for received, expected in zip(jittered.sample(lengths, 5), plain.sample(lengths)):
        np.testing.assert_array_equal(received, expected)
    for received, expected in zip(plain.sample(lengths, 5, training=True), plain.sample(lengths)):
        np.testing.assert_array_equal(received, expected)
    assert (jittered.sample(lengths, 5, training=True)[0] != plain.sample(lengths)[0]).any()
    with pytest.raises(ValueError, match=r"frame_jitter needs frame_sampling='uniform'. Received: 'first'"):
        FrameSampler("first", 4, jitter=True)


# ---- several budgets in training


def test_each_video_is_read_at_one_of_the_budgets_equally_often():
    sampler = FrameSampler("uniform", 30, budgets=(6, 10, 30))
    indices, num_sampled = sampler.sample(np.full(3000, 300), np.arange(3000), training=True)
    counts = [np.count_nonzero(num_sampled == budget) for budget in (6, 10, 30)]
    assert sum(counts) == 3000
    assert np.abs(np.array(counts) - 1000).max() < 130  # standard deviation 26
    assert indices.shape == (3000, 30)
    ten = int(np.argmax(num_sampled == 10))
    np.testing.assert_array_equal(indices[ten], [*range(0, 300, 30), *[0] * 20])


def test_a_short_video_has_no_more_frames_than_it_has():
    _, num_sampled = FrameSampler("random", 30, budgets=(6, 30)).sample(np.full(50, 4), np.arange(50), training=True)
    assert (num_sampled == 4).all()


def test_budgets_are_for_training_alone():
    sampler = FrameSampler("uniform", 30, budgets=(6, 10, 30))
    for received, expected in zip(sampler.sample(np.array([300, 7]), 3), FrameSampler("uniform", 30).sample([300, 7])):
        np.testing.assert_array_equal(received, expected)


def test_budgets_and_jitter_are_the_same_in_numpy_and_tensorflow():
    sampler = FrameSampler("uniform", 8, budgets=(2, 5, 8), jitter=True)
    lengths, seeds = np.array([300, 11, 3, 0] * 10), np.arange(40)
    expected = sampler.sample(lengths, seeds, training=True)
    received = sampler.sample(tf.constant(lengths), tf.constant(seeds), training=True)
    for values, reference in zip(received, expected):
        np.testing.assert_array_equal(values, reference)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"num_sampled_frames": 8, "budgets": (2, 4)}, "the last of them num_sampled_frames=8. Received: 2, 4"),
        ({"num_sampled_frames": 8, "budgets": (8, 2)}, "ascending"),
        ({"num_sampled_frames": 8, "budgets": (0, 8)}, "ascending"),
        ({"num_sampled_frames": 8, "budgets": (2.5, 8)}, "ascending"),
        ({"frame_percent": 10, "budgets": (2, 8)}, "go with num_sampled_frames"),
        ({"method": "stride", "num_sampled_frames": 10, "budgets": (5, 10)}, "not with frame_sampling='stride'"),
    ],
)
def test_budgets_that_make_no_sense(settings, message):
    with pytest.raises(ValueError, match=message):
        FrameSampler(**settings)
