import numpy as np
import pytest

from yt8m_distill.analysis import model_cost
from yt8m_distill.models import create_model

YT8M = {"feature_names": ("rgb", "audio"), "feature_sizes": (1024, 128)}
TINY = {"feature_names": ("rgb",), "feature_sizes": (6,), "num_classes": 5, "max_frames": 12}


def lstm_step(num_inputs, cells):
    """MACs of one step of one LSTM layer: four gates, each reading the input and the hidden state."""
    return 4 * cells * (num_inputs + cells)


def published_hrnn_millions(frames, blocks):
    """The code's H-RNN at 4716 classes: two levels of two layers of 1024 cells, and two experts with three gates."""
    lower = lstm_step(1152, 1024) + lstm_step(1024, 1024)
    upper = lstm_step(4096, 1024) + lstm_step(1024, 1024)
    return round((frames * lower + blocks * upper + 4096 * 4716 * 5) / 1e6)


@pytest.mark.parametrize(
    "frames, blocks, millions", [(300, 20, 5874), (30, 5, 762), (20, 5, 589), (15, 5, 503), (10, 5, 416)]
)
def test_the_formula_gives_the_known_cost(frames, blocks, millions):
    assert published_hrnn_millions(frames, blocks) == millions


def test_full_size_student_costs_what_is_known():
    student = create_model("HierarchicalLstmModel", **YT8M, num_classes=4716, num_sampled_frames=30)
    cost = model_cost(student)
    assert round(cost["macs"] / 1e6) == 762
    assert cost["params"] == 143_271_128
    assert cost["frames"] == 30
    assert cost["macs"] == cost["encoder_macs"] + cost["classifier_macs"]


def test_hierarchical_lstm_of_few_cells():
    teacher = create_model("HierarchicalLstmModel", **TINY, lstm_cells=3, lstm_layers=1, num_blocks=4)
    # 12 frames in blocks of 3; the upper level reads the state [c, h] of each block.
    assert model_cost(teacher)["encoder_macs"] == 12 * lstm_step(6, 3) + 4 * lstm_step(6, 3)
    # 7 frames are 3 blocks, the last one of 1 frame.
    assert model_cost(teacher, num_frames=7)["encoder_macs"] == 7 * lstm_step(6, 3) + 3 * lstm_step(6, 3)
    assert model_cost(teacher)["classifier_macs"] == 6 * 5 * 5


def test_lstm_and_its_frame_budget():
    student = create_model("LstmModel", **TINY, lstm_cells=2, lstm_layers=2, num_sampled_frames=4)
    assert model_cost(student, num_frames=12)["encoder_macs"] == 4 * (lstm_step(6, 2) + lstm_step(2, 2))
    assert model_cost(student, num_frames=3)["encoder_macs"] == 3 * (lstm_step(6, 2) + lstm_step(2, 2))


@pytest.mark.parametrize(
    "name, classifier_macs",
    [("LogisticModel", 6 * 5), ("MoeModel", 6 * 5 * 5), ("FrameLevelLogisticModel", 6 * 5)],
)
def test_models_without_recurrence_cost_their_classifier(name, classifier_macs):
    model = create_model(name, **TINY)
    cost = model_cost(model)
    assert (cost["encoder_macs"], cost["classifier_macs"]) == (0, classifier_macs)
    assert cost["params"] == sum(int(np.prod(weight.shape)) for weight in model.weights)
