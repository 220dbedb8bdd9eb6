"""Which teacher state a student's state is compared with, for the INTERMEDIATE student of "I Have Seen Enough".

The paper compares "the representation of the frames j, 2j and so on computed by the teacher and student" and draws a
flat RNN. How to align two levels of blocks is our reading, as is comparing the top layer's hidden state.
"""

from __future__ import annotations

import tensorflow as tf

from yt8m_distill.distillation.losses import masked_state_loss


def frame_state_loss(teacher: dict, student: dict):
    """Compares the states after each frame that the student read with the teacher's after the same frame.

    Args:
      teacher, student: what `VideoClassifier.encode_and_classify` returned for the same videos; the teacher read all
        frames up to the student's last one.

    Returns:
      float32 [B].
    """
    indices = student["frame_indices"]  # [B, k]
    is_valid = tf.sequence_mask(student["num_frames"], tf.shape(indices)[1])
    teacher_states = tf.gather(teacher["frame_states"], indices, batch_dims=1)  # [B, k, H]
    return masked_state_loss(teacher_states, student["frame_states"], is_valid)


def upsampled(values, student: dict, teacher: dict):
    """The student's values after each step, [B, k, H], as the teacher's steps go: after the last frame that both have
    read. That is the nearest neighbour in a student that pools frames in time.

    Returns:
      values [B, T, H], and where they can be compared, bool [B, T]: where the teacher's step holds a frame, and the
      student has read one by then.
    """
    frames, num_frames = student["frame_indices"], student["num_frames"]  # [B, k], [B]
    in_use = tf.sequence_mask(num_frames, tf.shape(frames)[1])
    ascending = tf.where(in_use, frames, frames.dtype.max)
    steps = tf.searchsorted(ascending, teacher["frame_indices"], side="right") - 1  # [B, T]
    rows = tf.broadcast_to(tf.range(tf.shape(steps)[0])[:, None], tf.shape(steps))
    # Not tf.gather with batch_dims, whose gradient fails for a replica that has no video.
    values = tf.gather_nd(values, tf.stack([rows, tf.maximum(steps, 0)], axis=-1))
    is_step = tf.sequence_mask(teacher["num_frames"], tf.shape(steps)[1])
    return values, is_step & (steps >= 0)


def block_state_loss(teacher: dict, student: dict, teacher_block_length: int, student_block_length: int):
    """Compares the states after each of the student's blocks with the teacher's after the block of the same frame.

    With the authors' stride and 5 blocks against 20, student block b meets teacher block 4 b + 3: both have seen the
    same 60 (b + 1) seconds.

    Returns:
      float32 [B].
    """
    student_states = student["block_states"]  # [B, blocks, H]
    starts = tf.range(tf.shape(student_states)[1]) * student_block_length  # [blocks]
    num_frames = student["num_frames"][:, None]  # [B, 1]
    is_valid = starts < num_frames
    last_slot = tf.maximum(tf.minimum(starts + student_block_length, num_frames) - 1, 0)  # [B, blocks]
    last_frame = tf.gather(student["frame_indices"], last_slot, batch_dims=1)
    teacher_states = tf.gather(teacher["block_states"], last_frame // teacher_block_length, batch_dims=1)
    return masked_state_loss(teacher_states, student_states, is_valid)
