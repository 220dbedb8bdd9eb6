import numpy as np
import pytest
import tensorflow as tf

from yt8m_distill.data import FrameSampler
from yt8m_distill.distillation.alignment import block_state_loss, frame_state_loss

MAX_FRAMES, WIDTH = 300, 3
NUM_FRAMES = np.array([300, 299, 170, 61, 60, 30, 12, 9, 1, 0])
SAMPLERS = {
    "uniform": FrameSampler("uniform", num_sampled_frames=30),
    "stride": FrameSampler("stride", every_n=10),
    "random": FrameSampler("random", num_sampled_frames=30),
}


def states_of(seed, num_states):
    states = np.random.default_rng(seed).normal(size=(len(NUM_FRAMES), num_states, WIDTH))
    return states.astype(np.float32)


def student_outputs(sampler, **states):
    indices, num_sampled = sampler.sample(NUM_FRAMES, np.arange(len(NUM_FRAMES)))
    places = {"frame_indices": tf.constant(indices), "num_frames": tf.constant(num_sampled, tf.int32)}
    return {**places, **{name: tf.constant(value) for name, value in states.items()}}


def mean_distance(pairs):
    return float(np.mean([np.sum((t - s) ** 2) for t, s in pairs])) if pairs else 0.0


# ---- frames


@pytest.mark.parametrize("method", SAMPLERS)
def test_frame_states_are_compared_after_the_same_frame(method):
    sampler = SAMPLERS[method]
    teacher, student = states_of(0, MAX_FRAMES), states_of(1, 30)
    received = frame_state_loss({"frame_states": tf.constant(teacher)}, student_outputs(sampler, frame_states=student))
    for video, num_frames in enumerate(NUM_FRAMES):
        indices, num_sampled = sampler.sample(np.asarray(num_frames), np.asarray(video))
        pairs = [(teacher[video, indices[step]], student[video, step]) for step in range(int(num_sampled))]
        np.testing.assert_allclose(received[video], mean_distance(pairs), rtol=1e-5)


def test_a_stride_student_is_compared_at_every_tenth_frame():
    teacher = np.zeros([len(NUM_FRAMES), MAX_FRAMES, WIDTH], np.float32)
    teacher[:, ::10] = 1  # what the student has; any other frame differs
    student = np.ones([len(NUM_FRAMES), 30, WIDTH], np.float32)
    outputs = student_outputs(SAMPLERS["stride"], frame_states=student)
    np.testing.assert_array_equal(frame_state_loss({"frame_states": tf.constant(teacher)}, outputs), 0)


# ---- blocks: the authors' student, every tenth frame in 5 blocks of 6, against 20 blocks of 15


def test_student_block_b_meets_teacher_block_4b_plus_3():
    teacher = tf.range(20.0)[None, :, None]  # one video of 300 frames, its states the numbers of the blocks
    outputs = {"frame_indices": tf.range(0, 300, 10, tf.int64)[None], "num_frames": tf.constant([30])}
    student = {**outputs, "block_states": tf.constant([[[3.0], [7.0], [11.0], [15.0], [19.0]]])}
    np.testing.assert_array_equal(block_state_loss({"block_states": teacher}, student, 15, 6), [0])
    student = {**outputs, "block_states": tf.constant([[[3.0], [7.0], [12.0], [15.0], [19.0]]])}
    np.testing.assert_allclose(block_state_loss({"block_states": teacher}, student, 15, 6), [1 / 5])


@pytest.mark.parametrize("method", SAMPLERS)
def test_block_states_are_compared_where_both_have_seen_the_last_frame_of_the_students_block(method):
    sampler = SAMPLERS[method]
    teacher, student = states_of(2, 20), states_of(3, 5)
    outputs = student_outputs(sampler, block_states=student)
    received = block_state_loss({"block_states": tf.constant(teacher)}, outputs, 15, 6)
    for video, num_frames in enumerate(NUM_FRAMES):
        indices, num_sampled = sampler.sample(np.asarray(num_frames), np.asarray(video))
        blocks = [indices[: int(num_sampled)][start : start + 6] for start in range(0, int(num_sampled), 6)]
        pairs = [(teacher[video, frames[-1] // 15], student[video, b]) for b, frames in enumerate(blocks)]
        np.testing.assert_allclose(received[video], mean_distance(pairs), rtol=1e-5)


def test_blocks_without_frames_are_left_out():
    teacher = np.zeros([len(NUM_FRAMES), 20, WIDTH], np.float32)
    student = np.zeros([len(NUM_FRAMES), 5, WIDTH], np.float32)
    student[:, 1:] = 100
    received = block_state_loss(
        {"block_states": tf.constant(teacher)}, student_outputs(SAMPLERS["stride"], block_states=student), 15, 6
    ).numpy()
    is_one_block = NUM_FRAMES <= 61  # 6 frames of every tenth; the authors round down
    assert (received[is_one_block] == 0).all() and (received[~is_one_block] > 0).all()


def test_a_video_shorter_than_the_block_has_its_state_compared_once():
    """30 frames: 3 of every tenth in the student's first block, the last of them in the teacher's second."""
    teacher = np.tile(np.arange(20, dtype=np.float32)[None, :, None], (1, 1, 2))
    outputs = {
        "frame_indices": tf.constant([[0, 10, 20, 0, 0, 0]], tf.int64),
        "num_frames": tf.constant([3]),
        "block_states": tf.zeros([1, 1, 2]),
    }
    np.testing.assert_array_equal(block_state_loss({"block_states": tf.constant(teacher)}, outputs, 15, 6), [2 * 1**2])
