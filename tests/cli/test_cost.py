import io

import pandas as pd
import pytest

from tests.training.tiny_runs import model_config
from yt8m_distill.analysis import cost_rows
from yt8m_distill.cli import cost
from yt8m_distill.data import RecordSchema
from yt8m_distill.models import ZOO, ModelConfig, write_model_flags

SMALL = ["--feature_sizes=6,2", "--num_classes=4", "--max_frames=8"]
SMALL += ["--lstm_cells=2", "--gru_cells=2", "--dbof_cluster_size=4", "--dbof_hidden_size=3"]
SMALL += ["--netvlad_cluster_size=4", "--netvlad_hidden_size=4", "--nextvlad_cluster_size=4"]
SMALL += ["--nextvlad_hidden_size=8", "--groups=2", "--attention_hidden_size=8", "--attention_heads=2"]


def run(*arguments):
    return cost.main(["yt8m-cost", *arguments])


def error(capsys, *arguments):
    assert run(*arguments) == 2
    output = capsys.readouterr()
    assert not output.out
    (line,) = output.err.splitlines()
    return line


def test_table_of_the_published_models(capsys):
    assert run("--model=HierarchicalLstmModel, NeXtVLADModel", "--num_sampled_frames=300,30,20,10") == 0
    table, notes = capsys.readouterr().out.split("\n\n")
    rows = [line.split() for line in table.splitlines()[1:]]
    assert rows == [
        ["HierarchicalLstmModel", "300", "5856.7", "100.0%", "125.8", "345.6", "5.058", "5.058*"],
        ["HierarchicalLstmModel", "30", "744.9", "12.7%", "125.8", "34.6", "0.520", "0.520"],
        ["HierarchicalLstmModel", "20", "571.9", "9.8%", "125.8", "23.0", "0.352", "0.268*"],
        ["HierarchicalLstmModel", "10", "398.9", "6.8%", "125.8", "11.5", "0.184", "0.167*"],
        ["NeXtVLADModel", "300", "1461.0", "100.0%", "89.0", "345.6", "1.337", "1.337"],
        ["NeXtVLADModel", "30", "222.1", "15.2%", "89.0", "34.6", "0.134", "0.134"],
        ["NeXtVLADModel", "20", "176.2", "12.1%", "89.0", "23.0", "0.089"],
        ["NeXtVLADModel", "10", "130.3", "8.9%", "89.0", "11.5", "0.045"],
    ]
    assert "* 0.268 is published for k=20 and is the cost of 15 frames" in notes
    assert "* 0.167 is published for k=10 and is the cost of 9 frames" in notes
    assert "* 5.058 is the cost of 300 frames" in notes


def test_every_model_and_budget_in_numbers(capsys):
    assert run("--format=csv", *SMALL) == 0
    table = pd.read_csv(io.StringIO(capsys.readouterr().out))
    frames = {name: [8, 6] if ZOO[name].frame_level else [1] for name in ZOO}  # of the default budgets, 6 is below 8
    assert {name: list(rows["frames"]) for name, rows in table.groupby("model", sort=False)} == frames
    row = table[(table["model"] == "LstmModel") & (table["frames"] == 6)].iloc[0]
    macs = 6 * (4 * 2 * (8 + 2) + 4 * 2 * (2 + 2)) + 2 * 4 * 5
    assert (row["macs"], row["bytes_read"], row["record_bytes"]) == (macs, 6 * 8, 8 * 8)
    assert table["published_flops"].isna().all()


def test_published_numbers_of_the_csv(capsys):
    assert run("--format=csv", "--model=HierarchicalLstmModel", "--num_sampled_frames=20") == 0
    table = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert list(table["published_flops"]) == [5_058_000_000, 268_000_000]
    assert list(table["published_is_of_frames"]) == [300, 15]


def test_a_trained_model_layer_by_layer(tmp_path, capsys):
    schema = RecordSchema(("rgb",), (4,), frame_features=True, num_classes=3, max_frames=8)
    config = model_config("LstmModel", schema, every_n=2, hyperparameters={"lstm_cells": 2, "lstm_layers": 1})
    write_model_flags(str(tmp_path), config, "CrossEntropyLoss")
    assert run(f"--train_dir={tmp_path}") == 0
    table, _, title, layers = capsys.readouterr().out.split("\n\n")
    rows = [line.split()[:4] for line in table.splitlines()[1:]]
    assert rows == [["LstmModel", "8", "0.000414", "100.0%"], ["LstmModel", "4", "0.000222", f"{222 / 414:.1%}"]]
    assert title == f"The 4 frames that {tmp_path} reads, by layer:"
    assert [line.split() for line in layers.splitlines()[1:]] == [
        ["encoder/lstm_0", "192", f"{4 * 48 / 222:.1%}"],
        ["classifier/gates", "18", f"{18 / 222:.1%}"],
        ["classifier/experts", "12", f"{12 / 222:.1%}"],
    ]
    assert run(f"--train_dir={tmp_path}", "--format=csv") == 0
    expected = "layer,macs\nencoder/lstm_0,192\nclassifier/gates,18\nclassifier/experts,12\n"
    assert capsys.readouterr().out == expected


def test_a_policy_costs_81920_macs_a_decision(tmp_path, capsys):
    assert run("--frame_sampling=skip_frame", "--num_sampled_frames=10") == 0
    table, notes = capsys.readouterr().out.split("\n\n")
    rows = [line.split() for line in table.splitlines()[1:]]
    assert [row[:2] for row in rows] == [[name, k] for name in ("LstmModel", "GruModel") for k in ("300", "10")]
    assert " ".join(rows[1]) == "LstmModel 10 193.5 3.7% 9 x 81,920 37.2 11.5"
    assert "choosing: what choosing the frames takes of the MACs" in notes
    assert run("--frame_sampling=skip_frame", "--num_sampled_frames=10", "--model=LstmModel", "--format=csv") == 0
    table = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert list(table["selection_macs"]) == [0, 9 * 81_920] and list(table["num_choices"]) == [0, 9]

    config = ModelConfig("LstmModel", ("rgb",), (4,), frame_sampling="skip_frame", num_sampled_frames=10)
    write_model_flags(str(tmp_path), config, "CrossEntropyLoss")
    assert run(f"--train_dir={tmp_path}") == 0
    output = capsys.readouterr().out
    assert "LstmModel     300" in output and "9 x 81,920" in output and "737,280" in output


def test_a_trained_student_of_a_lower_resolution_is_compared_with_the_full_one(tmp_path, capsys):
    schema = RecordSchema(("rgb",), (4,), frame_features=True, num_classes=3, max_frames=8)
    small = {"lstm_cells": 2, "lstm_layers": 1, "leading_values": "rgb:1", "frame_pooling": 2}
    write_model_flags(str(tmp_path), model_config("LstmModel", schema, hyperparameters=small), "CrossEntropyLoss")
    assert run(f"--train_dir={tmp_path}") == 0
    rows = [line.split() for line in capsys.readouterr().out.split("\n\n")[0].splitlines()[1:]]
    macs = [8 * 4 * 2 * (4 + 2) + 30, 4 * 4 * 2 * (1 + 2) + 30]  # 30 of the classifier
    assert [float(row[2]) for row in rows] == [macs[0] / 1e6, macs[1] / 1e6]


def test_a_trained_teacher_keeps_its_blocks(tmp_path, capsys):
    schema = RecordSchema(("rgb",), (4,), frame_features=True, num_classes=3, max_frames=40)
    teacher = model_config("HierarchicalLstmModel", schema, hyperparameters={"lstm_cells": 2, "num_blocks": 4})
    write_model_flags(str(tmp_path), teacher, "CrossEntropyLoss")
    assert run(f"--train_dir={tmp_path}", "--format=csv") == 0
    macs = dict(line.split(",") for line in capsys.readouterr().out.splitlines()[1:])
    assert int(macs["encoder/block_lstm/lstm_0"]) == 4 * 4 * 2 * (4 * 2 + 2)  # steps, gates, cells, inputs and state


def test_what_cannot_be_counted_is_one_line(tmp_path, capsys):
    assert "Unknown model 'Lstm'. The models are: LogisticModel" in error(capsys, "--model=Lstm")
    assert "--num_sampled_frames must list numbers from 1 to max_frames=8. Received: '4,9'." in error(
        capsys, *SMALL, "--num_sampled_frames=4,9"
    )
    assert "--num_sampled_frames must list whole numbers" in error(capsys, "--num_sampled_frames=30;20")
    assert "--gru_cells is a hyperparameter of none of these models: LstmModel" in error(
        capsys, "--model=LstmModel", "--gru_cells=3"
    )
    assert "--model does not go with --train_dir" in error(capsys, "--model=LstmModel", f"--train_dir={tmp_path}")
    assert "MoeModel reads mean features and has no frames to choose" in error(
        capsys, "--model=MoeModel", "--frame_sampling=saliency"
    )
    assert "--skip_min is a hyperparameter of none of these models: LstmModel" in error(
        capsys, "--model=LstmModel", "--skip_min=3"
    )
    assert f"Cannot find {tmp_path}/model_flags.json" in error(capsys, f"--train_dir={tmp_path}")


def test_a_hyperparameter_changes_the_models_that_have_it(capsys):
    models = ["--model=LstmModel,MoeModel", "--lstm_cells=3", "--num_sampled_frames=2"]
    assert run("--format=csv", *models, *SMALL[:3]) == 0
    table = pd.read_csv(io.StringIO(capsys.readouterr().out))
    sizes = {"feature_names": ("rgb", "audio"), "feature_sizes": (6, 2), "num_classes": 4, "max_frames": 8}
    lstm = ModelConfig("LstmModel", **sizes, hyperparameters={"lstm_cells": 3})
    student = ModelConfig("LstmModel", **sizes, num_sampled_frames=2, hyperparameters={"lstm_cells": 3})
    rows = [*cost_rows([lstm, student]), *cost_rows([ModelConfig("MoeModel", **sizes)])]
    expected = [row["macs"] for row in rows]
    assert list(table["macs"]) == expected


@pytest.mark.parametrize("flag", ["--model", "--train_dir", "--num_sampled_frames", "--format", "--lstm_cells"])
def test_help_names_the_flags(flag, capsys):
    assert run("--help") == 0
    assert flag in capsys.readouterr().out
