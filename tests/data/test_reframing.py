from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.data.made_means import SIZES, made_means
from yt8m_distill.data.frame_statistics import REAL_STATISTICS, dequantized, frame_statistics
from yt8m_distill.data.reframing import ReframedVideos, VideoMeans, draw_num_frames

VIDEOS = made_means()


def one_mean(value, label=()):
    return VideoMeans(["a"], [label], {"rgb": np.full((1, 8), value, np.float32)})


def test_frames_are_bytes_of_the_features_sizes():
    for number in range(5):
        labels, frames = ReframedVideos(VIDEOS).video(number)
        assert {name: values.shape[1] for name, values in frames.items()} == SIZES
        assert all(values.dtype == np.uint8 for values in frames.values())
        assert 1 <= len(frames["rgb"]) == len(frames["audio"]) <= 300
        assert set(VIDEOS.labels[number]) <= set(labels)


@pytest.mark.parametrize("mixed_share", [0, 1])
def test_frames_average_to_the_real_means(mixed_share):
    reframed = ReframedVideos(VIDEOS, mixed_share=mixed_share)
    errors, num_scenes = [], set()
    for number in range(20):
        _, frames = reframed.video(number)
        scenes, lengths = reframed.scenes(number)
        num_scenes.add(len(scenes))
        for name, values in frames.items():
            for scene, part in zip(scenes, np.split(dequantized(values), np.cumsum(lengths)[:-1])):
                # Rounding one frame may be wrong by a byte, 0.016.
                np.testing.assert_allclose(part.mean(axis=0), VIDEOS.means[name][scene], atol=0.02)
                errors.append(np.mean((part.mean(axis=0) - VIDEOS.means[name][scene]) ** 2) * len(part))
    assert num_scenes == ({1, 2, 3} if mixed_share else {1})
    # Random rounding has at most a quarter of a byte's square as its variance; the tolerance is 0.02 bytes.
    assert np.sqrt(np.mean(errors)) < 0.5 * 4 / 255 + 0.02 * 4 / 255 * np.sqrt(300)


@pytest.mark.parametrize("value", [-1.99, -1.9, 0, 1.7, 2, 2.0078])
def test_means_near_the_ends_of_the_range_are_met(value):
    _, frames = ReframedVideos(one_mean(value)).video(0)
    np.testing.assert_allclose(dequantized(frames["rgb"]).mean(axis=0), value, atol=0.01)


def test_a_video_of_one_frame_is_its_mean():
    _, frames = ReframedVideos(VIDEOS, max_frames=1).video(7)
    np.testing.assert_allclose(dequantized(frames["audio"][0]), VIDEOS.means["audio"][7], atol=4 / 255 + 1e-3)


@pytest.mark.parametrize("name", ["rgb", "audio"])
def test_videos_vary_as_the_real_record_does(name):
    reframed = ReframedVideos(VIDEOS, max_frames=170)  # the real record's length
    rows = [frame_statistics(reframed.video(number)[1][name]) for number in range(40) if number % 20]
    statistics = {key: np.mean([row[key] for row in rows]) for key in rows[0]}
    real = REAL_STATISTICS[name]
    assert statistics["std"] == pytest.approx(real["std"], abs=0.04)
    assert statistics["lag_1"] == pytest.approx(real["lag_1"], abs=0.05)
    assert statistics["lag_5"] == pytest.approx(real["lag_5"], abs=0.05)
    assert statistics["std_spread"] == pytest.approx(real["std_spread"], abs=0.05)
    assert statistics["still_steps"] == pytest.approx(0.1, abs=0.03)


def test_numbers_of_frames_are_drawn_as_real_videos_have_them():
    # Published with the records: from 1 to 301 frames, 230 in the mean, 232 in the median, 29 % of exactly 300.
    rng = np.random.default_rng(0)
    num_frames = np.array([draw_num_frames(rng) for _ in range(20_000)])
    assert (num_frames.min(), num_frames.max()) == (1, 300)
    assert num_frames.mean() == pytest.approx(230, abs=2)
    assert np.median(num_frames) == pytest.approx(232, abs=2)
    assert np.mean(num_frames == 300) == pytest.approx(0.29, abs=0.01)


def test_the_same_video_whatever_else_is_asked_for():
    reframed, again, other = ReframedVideos(VIDEOS), ReframedVideos(VIDEOS), ReframedVideos(VIDEOS, seed=1)
    expected = {number: reframed.video(number) for number in (3, 4)}
    again.video(0)
    for number in (4, 3):
        labels, frames = again.video(number)
        assert labels == expected[number][0]
        for name in SIZES:
            np.testing.assert_array_equal(frames[name], expected[number][1][name])
    differing = other.video(3)[1]["rgb"]
    assert not np.array_equal(differing, expected[3][1]["rgb"])


def test_an_unmixed_video_depends_on_its_own_record_alone():
    alone = VideoMeans(VIDEOS.ids[5:6], VIDEOS.labels[5:6], {name: m[5:6] for name, m in VIDEOS.means.items()})
    _, expected = ReframedVideos(VIDEOS, mixed_share=0).video(5)
    _, frames = ReframedVideos(alone, mixed_share=0).video(0)
    np.testing.assert_array_equal(frames["rgb"], expected["rgb"])


def test_scenes_come_from_videos_that_share_a_label():
    reframed = ReframedVideos(VIDEOS, mixed_share=1)
    counts = set()
    for number in range(len(VIDEOS.ids)):
        scenes, lengths = reframed.scenes(number)
        counts.add(len(scenes))
        assert number in scenes and len(set(scenes)) == len(scenes) == len(lengths)
        assert min(lengths[:-1], default=5) >= 5 and lengths[-1] >= 1
        labels, frames = reframed.video(number)
        assert len(frames["rgb"]) == sum(lengths)
        assert set(labels) == set().union(*(VIDEOS.labels[scene] for scene in scenes))
        assert labels == sorted(labels)
        assert all(set(VIDEOS.labels[scene]) & set(VIDEOS.labels[number]) for scene in scenes)
    assert counts >= {2, 3}


def test_about_the_stated_share_is_mixed():
    videos = made_means(num_videos=600)
    reframed = ReframedVideos(videos)
    mixed = np.mean([len(reframed.scenes(number)[0]) > 1 for number in range(600)])
    # Of a third; a scene may be drawn from the video itself, and videos of few frames have one.
    assert 0.27 < mixed < 0.37


@pytest.mark.parametrize("labels", [[[1], [2], [3]], [[], [], []]])
def test_videos_that_share_no_label_are_not_mixed(labels):
    videos = dataclasses.replace(made_means(num_videos=3), labels=labels)
    reframed = ReframedVideos(videos, mixed_share=1)
    assert [len(reframed.scenes(number)[0]) for number in range(3)] == [1, 1, 1]
    assert [reframed.video(number)[0] for number in range(3)] == labels


@pytest.mark.parametrize("options", [{"max_frames": 0}, {"mixed_share": -0.1}, {"mixed_share": 1.5}])
def test_options_out_of_range_are_refused(options):
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=rf"{name} must be .* Received: {value}"):
        ReframedVideos(VIDEOS, **options)


@pytest.mark.parametrize("value", [np.nan, np.inf, -2.1, 5])
def test_means_that_bytes_cannot_have_are_refused(value):
    with pytest.raises(ValueError, match=f"Video 'a': the mean of rgb value 0 .* Received: {np.float32(value)}"):
        one_mean(value)


def test_unknown_features_are_refused():
    with pytest.raises(ValueError, match=r"rgb, audio\. Received: 'flow'"):
        VideoMeans(["a"], [[]], {"flow": np.zeros((1, 4), np.float32)})


# Labels in few shots.


@pytest.mark.parametrize("share", [0.01, 0.15, 0.8])
def test_a_share_of_the_frames_is_the_videos_own(share):
    means = made_means(num_videos=60)
    videos = ReframedVideos(means, telling_share=share, max_frames=200)
    fillers, starts = set(), []
    for number in range(60):
        scenes, lengths = videos.scenes(number)
        labels, frames = videos.video(number)
        num_frames = len(frames["rgb"])
        assert lengths.min() > 0 and lengths.sum() == num_frames
        assert labels == sorted(means.labels[number])
        is_own = scenes == number
        assert abs(lengths[is_own].sum() - max(1, share * num_frames)) <= 0.5
        fillers |= set(scenes[~is_own].tolist())
        # Each scene has the mean of the video that it comes from.
        for scene, start, length in zip(scenes, np.cumsum(lengths) - lengths, lengths):
            written = dequantized(frames["rgb"][start : start + length]).mean(axis=0)
            np.testing.assert_allclose(written, videos.means["rgb"][scene], atol=0.01 + 1 / length)
            if scene == number:
                starts.append(start / num_frames)
    assert fillers <= set(range(60, 80)) and (share > 0.5 or len(fillers) > 10)
    assert np.std(starts) > 0.15  # anywhere in the video


def test_two_splits_share_their_fillers():
    """Or a selector could learn nothing on one that holds on the other."""
    splits = [made_means(num_videos=500, seed=seed) for seed in (1, 2)]
    one, two = (ReframedVideos(means, telling_share=0.1).means["rgb"][500:] for means in splits)
    spread = splits[0].means["rgb"].std(axis=0)
    assert np.abs(one - two).mean() < 0.1 * spread.mean()
    assert 0.8 < (np.std(one, axis=0) / spread).mean() < 1.2
    np.testing.assert_array_equal(ReframedVideos(splits[0]).means["rgb"], splits[0].means["rgb"])


def test_telling_share_out_of_range():
    for share in (0, 1.1, float("nan")):
        with pytest.raises(ValueError, match="telling_share must be above 0, at most 1"):
            ReframedVideos(made_means(), telling_share=share)
    with pytest.raises(ValueError, match="needs other videos"):
        ReframedVideos(one_mean(0.5), telling_share=0.5)
