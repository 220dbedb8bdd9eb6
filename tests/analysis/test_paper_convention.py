import re

import pytest

from yt8m_distill.analysis import PUBLISHED, cost_rows, model_cost, paper_flops
from yt8m_distill.models import ZOO, ModelConfig, create_model
from yt8m_distill.models.shapes import build_without_values

YT8M = {"feature_names": ("rgb", "audio"), "feature_sizes": (1024, 128)}


@pytest.fixture(scope="module")
def full_size():
    names = ("HierarchicalLstmModel", "NeXtVLADModel")
    return {name: build_without_values(ModelConfig(name, **YT8M)) for name in names}


@pytest.mark.parametrize("frames, billions", [(300, "5.058"), (30, "0.520"), (15, "0.268"), (9, "0.167")])
def test_published_flops_of_hrnn(full_size, frames, billions):
    flops = paper_flops(full_size["HierarchicalLstmModel"], frames)
    assert f"{flops / 1e9:.3f}" == billions
    assert flops == frames * 16_805_888 + 15_818_752  # a frame, and the logistic regression on 4096 values


@pytest.mark.parametrize("frames, billions", [(300, "1.337"), (30, "0.134")])
def test_published_flops_of_nextvlad(full_size, frames, billions):
    flops = paper_flops(full_size["NeXtVLADModel"], frames)
    assert f"{flops / 1e9:.3f}" == billions
    assert flops == frames * (1024 * 2048 + 2048 * 8 * 128 + 8 * 128 * 256)


def test_each_published_figure_is_the_cost_of_the_frames_it_says(full_size):
    for published in PUBLISHED:
        flops = paper_flops(full_size[published.model], published.counted_frames)
        assert f"{flops / 1e9:.3f}" == f"{published.billions:.3f}"
        is_inconsistent = published.counted_frames != published.frames
        match = re.search(r"(\d+) frames cost (\d\.\d+)", published.note)
        assert bool(match) == is_inconsistent
        if is_inconsistent:
            flops = paper_flops(full_size[published.model], published.frames)
            assert match.groups() == (str(published.frames), f"{flops / 1e9:.3f}")


def test_published_figures_stand_beside_models_of_the_published_size_only():
    budgets = (None, 20, 15)
    configs = [ModelConfig("HierarchicalLstmModel", **YT8M, num_sampled_frames=k) for k in budgets]
    first, second, third = (row["published"] for row in cost_rows(configs))
    assert (first.frames, first.billions) == (300, 5.058)
    assert (second.frames, second.billions, second.counted_frames) == (20, 0.268, 15)
    assert third is None
    (of_2017,) = cost_rows([ModelConfig("HierarchicalLstmModel", **YT8M, num_classes=4716)])
    assert of_2017["published"] is None


def test_models_of_few_cells_by_hand():
    sizes = {"feature_names": ("audio", "rgb"), "feature_sizes": (2, 6), "num_classes": 5, "max_frames": 12}
    hrnn = create_model("HierarchicalLstmModel", **sizes, lstm_cells=3, lstm_layers=1, num_sampled_frames=4)
    # 6 values of rgb, 3 of the state; 14 element-wise operations; cell and hidden state to 5 classes.
    assert model_cost(hrnn)["paper_flops"] == 4 * (4 * 3 * (6 + 3) + 14 * 3) + 2 * 3 * 5
    nextvlad = {"nextvlad_cluster_size": 4, "nextvlad_hidden_size": 8, "groups": 4, "gating_reduction": 2}
    branch = 7 * (6 * 12 + 12 * 2 * 2 + 2 * 2 * 6)  # rgb comes second: 2 clusters and 2 groups
    model = create_model("NeXtVLADModel", **sizes, **nextvlad)
    assert model_cost(model, num_frames=7)["paper_flops"] == branch
    mixture = create_model("MixtureNeXtVLADModel", **sizes, **nextvlad, mix_number=2)
    assert model_cost(mixture, num_frames=7)["paper_flops"] == 2 * branch


@pytest.mark.parametrize("name", ZOO)
def test_the_convention_says_nothing_of_other_models_and_of_sound(name):
    sizes = {"num_classes": 3, "max_frames": 4}
    covered = ("HierarchicalLstmModel", "NeXtVLADModel", "MixtureNeXtVLADModel")
    if name not in covered:
        config = ModelConfig(name, ("rgb",), (4,), **sizes)
    else:
        config = ModelConfig(name, ("audio_embedding",), (4,), **sizes)
    assert model_cost(build_without_values(config))["paper_flops"] is None
