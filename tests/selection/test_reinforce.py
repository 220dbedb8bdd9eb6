"""The REINFORCE gradient against the true gradient of the expected reward."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from yt8m_distill.selection.reinforce import mean_of_others, reinforce_losses, returns_of, root_mean_square

NUM_ACTIONS = 3
# An episode has two decisions. The second is made in the state that the first has led to.
REWARDS = np.random.default_rng(0).normal(size=(2, NUM_ACTIONS, NUM_ACTIONS)).astype(np.float32)
LOGITS = np.random.default_rng(1).normal(size=(1 + NUM_ACTIONS, NUM_ACTIONS)).astype(np.float32)
EPISODES = list(itertools.product(range(NUM_ACTIONS), repeat=2))


def rewards_of(first, second):
    """What the two decisions earn; the first of them at once, whatever comes next."""
    return REWARDS[0, first, 0], REWARDS[1, first, second]


def expected_reward(logits):
    """By enumeration of all episodes, in NumPy."""
    policy = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    return sum(policy[0, a] * policy[1 + a, b] * sum(rewards_of(a, b)) for a, b in EPISODES)


def finite_differences(function, point, step=1e-4):
    gradient = np.zeros_like(point)
    for index in np.ndindex(*point.shape):
        there, back = point.copy(), point.copy()
        there[index] += step
        back[index] -= step
        gradient[index] = (function(there) - function(back)) / (2 * step)
    return gradient


@pytest.mark.parametrize("baselines", [(0.0, 0.0), (0.7, -1.3)])
def test_its_mean_over_all_episodes_is_the_gradient_of_the_expected_reward(baselines):
    logits = tf.Variable(LOGITS)
    first, second = (np.array(column) for column in zip(*EPISODES))
    with tf.GradientTape() as tape:
        log_policy = tf.nn.log_softmax(logits)
        log_probs = tf.stack(
            [tf.gather(log_policy[0], first), tf.gather_nd(log_policy, np.stack([1 + first, second], axis=1))], axis=1
        )  # [episodes, 2]
        rewards = tf.constant([rewards_of(*episode) for episode in EPISODES])
        advantages = returns_of(rewards) - tf.constant([baselines] * len(EPISODES))
        losses = reinforce_losses(log_probs, advantages, tf.ones_like(rewards, tf.bool))
        probability = tf.stop_gradient(tf.exp(tf.reduce_sum(log_probs, axis=1)))
        mean_loss = tf.reduce_sum(probability * losses)
    expected = finite_differences(expected_reward, LOGITS.astype(np.float64))
    np.testing.assert_allclose(-tape.gradient(mean_loss, logits), expected, atol=2e-6)


@pytest.mark.parametrize("exploration", [0.0, 0.3])
def test_pairs_of_episodes_that_judge_each_other_give_the_gradient_too(exploration):
    """What SkipFrame does: each episode is compared with the other; one action ends it before its second decision."""
    ends = 2

    def policy_of(logits):
        policy = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
        return (1 - exploration) * policy + exploration / NUM_ACTIONS

    def expected(logits):
        """Of what is earned while there is another to compare with: both episodes decide a second time, or neither."""
        policy = policy_of(logits)
        total = 0.0
        for (a, b), (c, d) in itertools.product(EPISODES, EPISODES):
            probability = policy[0, a] * policy[1 + a, b] * policy[0, c] * policy[1 + c, d]
            total += probability * sum(map(earned, (a, c), (b, d)))
        return total

    def earned(first, second):
        return rewards_of(first, second)[0] + (0 if first == ends else rewards_of(first, second)[1])

    logits = tf.Variable(LOGITS)
    pairs = list(itertools.product(EPISODES, EPISODES))
    with tf.GradientTape() as tape:
        policy = (1 - exploration) * tf.nn.softmax(logits) + exploration / NUM_ACTIONS
        log_policy, mean_loss = tf.math.log(policy), 0.0
        for pair in pairs:
            log_probs = tf.stack([[log_policy[0, a], log_policy[1 + a, b]] for a, b in pair])
            second = [0.0 if a == ends else rewards_of(a, b)[1] for a, b in pair]
            rewards = tf.constant([[rewards_of(a, b)[0], late] for (a, b), late in zip(pair, second)])
            is_decision = tf.constant([[True, a != ends] for a, _ in pair])
            returns = returns_of(rewards)
            # Alone in its second decision, an episode learns from no comparison; here it is compared with 0.
            baselines, _ = mean_of_others(returns, is_decision)
            losses = reinforce_losses(log_probs, returns - baselines, is_decision)
            probability = tf.stop_gradient(tf.exp(tf.reduce_sum(log_probs)))
            mean_loss += probability * tf.reduce_sum(losses)
    np.testing.assert_allclose(
        -tape.gradient(mean_loss, logits), finite_differences(expected, LOGITS.astype(np.float64)), atol=1e-5
    )


def test_returns_are_what_is_still_to_come():
    np.testing.assert_allclose(returns_of(tf.constant([[1.0, -2.0, 5.0], [0.0, 0.0, 3.0]])), [[4, 3, 5], [3, 3, 3]])


def test_decisions_after_the_end_count_nothing_and_advantages_carry_no_gradient():
    log_probs, advantages = tf.constant([[-0.5, -1.0, -2.0]]), tf.constant([[1.0, 2.0, 3.0]])
    with tf.GradientTape() as tape:
        tape.watch([log_probs, advantages])
        loss = reinforce_losses(log_probs, advantages, tf.constant([[True, True, False]]))
    assert float(loss[0]) == pytest.approx(1 * 0.5 + 2 * 1.0)
    of_log_probs, of_advantages = tape.gradient(loss, [log_probs, advantages])
    np.testing.assert_allclose(of_log_probs, [[-1.0, -2.0, 0.0]])
    assert of_advantages is None


def test_the_mean_of_the_others():
    returns = tf.constant([[1.0, 2.0, 9.0], [3.0, 4.0, 5.0], [8.0, 7.0, 7.0]])
    is_decision = tf.constant([[True, True, False], [True, True, True], [True, False, False]])
    means, has_others = mean_of_others(returns, is_decision)
    np.testing.assert_allclose(means[0, :2], [5.5, 4])
    np.testing.assert_allclose(means[1], [4.5, 2, 0])
    assert means[2, 0] == 2
    np.testing.assert_array_equal(has_others, [[True, True, False], [True, True, False], [True, False, False]])
    assert float(root_mean_square(returns, is_decision)) == pytest.approx(np.sqrt((1 + 4 + 9 + 16 + 25 + 64) / 6))
