"""From records to a submission and a SavedModel, by the commands alone."""

import json
import re
import shutil
import types

import numpy as np
import pytest
import tensorflow as tf

from tests.records import make_videos, real_files, write_videos
from tests.training.tiny_runs import FRAMES, MEANS, checkpoint_steps, model_config, read_scalars, save_model
from yt8m_distill.cli import eval as eval_command
from yt8m_distill.cli import export_model, inference, train
from yt8m_distill.data import RecordSchema
from yt8m_distill.metrics import EvaluationMetrics
from yt8m_distill.models import load_model

NUM_VIDEOS = 13


@pytest.fixture(scope="module")
def videos():
    return make_videos(MEANS, NUM_VIDEOS)


@pytest.fixture(scope="module")
def trained(videos, tmp_path_factory):
    """A model that train.py made."""
    folder = tmp_path_factory.mktemp("trained")
    write_videos(folder, videos, MEANS, num_shards=2)
    pattern = f"{folder}/shard*.tfrecord"
    train_dir = folder / "model"
    argv = [f"--train_data_pattern={pattern}", f"--eval_data_pattern={pattern}", f"--train_dir={train_dir}"]
    argv += ["--feature_names=mean_rgb", "--feature_sizes=4", "--num_classes=3", "--batch_size=8", "--num_epochs=1"]
    assert train.main(["train.py", *argv]) == 0
    return types.SimpleNamespace(train_dir=train_dir, pattern=pattern, model=load_model(str(train_dir)))


@pytest.fixture(scope="module")
def predictions(trained, videos):
    """By the model alone, without records and pipeline: float32 [13, 3]."""
    return trained.model({"features": np.stack([video.means for video in videos])})["predictions"].numpy()


def infer(*argv):
    return inference.main(["inference.py", "--top_k=3", *argv])


def test_train_leaves_what_the_others_need(trained):
    names = {path.name for path in trained.train_dir.iterdir()}
    assert {"model_flags.json", "checkpoint", "best"} < names
    assert checkpoint_steps(trained.train_dir) == [2]
    flags = json.loads((trained.train_dir / "model_flags.json").read_text())
    # The original's five keys, and its way of writing them.
    assert flags["model"] == "LogisticModel" and flags["label_loss"] == "CrossEntropyLoss"
    assert (flags["feature_names"], flags["feature_sizes"], flags["frame_features"]) == ("mean_rgb", "4", False)


def test_eval_measures_the_model(trained, predictions, videos, tmp_path, capsys):
    output = tmp_path / "metrics.json"
    flags = [
        f"--eval_data_pattern={trained.pattern}",
        "--batch_size=5",
        "--run_once",
        f"--output_metrics_json={output}",
    ]
    assert eval_command.main(["eval.py", f"--train_dir={trained.train_dir}", *flags]) == 0
    expected = EvaluationMetrics(num_classes=3)
    labels = np.array([[c in video.labels for c in range(3)] for video in videos])
    expected.accumulate(predictions, labels)
    written = json.loads(output.read_text())
    assert written.pop("global_step") == 2
    loss = written.pop("loss")
    assert written == pytest.approx(expected.result(), rel=1e-6)

    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["Using batch size of 5 for evaluation.", "number of evaluation files: 2"]
    assert f"Loading checkpoint for eval: {trained.train_dir}/model.ckpt-2" in lines
    shape = (
        "examples_processed: 5 | global_step 2 | Batch Hit@1: #.### | Batch PERR: #.### | Batch Loss: #.### | "
        "Examples_per_sec: #.### | "
    )
    assert sum(re.sub(r"\d+\.\d{3}", "#.###", line).startswith(shape) for line in lines) == 1
    assert lines[-3:] == [
        "Done with batched inference. Now calculating global performance metrics.",
        f"epoch/eval number 2 | Avg_Hit@1: {written['hit_at_one']:.3f} | Avg_PERR: {written['perr']:.3f} | "
        f"MAP: {written['map']:.3f} | GAP: {written['gap']:.3f} | Avg_Loss: {loss:.6f} | num_classes: 3",
        "Total: examples_processed: 13",
    ]

    scalars = read_scalars(trained.train_dir / "eval")
    assert set(scalars) == {
        *(f"GlobalStep/Eval_{name}" for name in ("Hit@1", "Perr", "Loss", "Example_Second")),
        *(f"Epoch/Eval_{name}" for name in ("Avg_Hit@1", "Avg_Perr", "Avg_Loss", "MAP", "GAP")),
    }
    assert scalars["Epoch/Eval_GAP"] == [(2, pytest.approx(written["gap"]))]
    assert len(scalars["GlobalStep/Eval_Hit@1"]) == 3  # batches of 5, 5 and 3


def test_training_ends_with_the_metrics_of_eval(trained):
    best = json.loads((trained.train_dir / "best" / "metrics.json").read_text())
    assert best["step"] == 2 and best["num_examples"] == NUM_VIDEOS


def test_inference_writes_what_the_model_says(trained, predictions, videos, tmp_path):
    output = tmp_path / "predictions.csv"
    flags = [f"--train_dir={trained.train_dir}", f"--input_data_pattern={trained.pattern}", "--batch_size=5"]
    assert infer(*flags, f"--output_file={output}") == 0
    rows = ["VideoId,LabelConfidencePairs"]
    for video, scores in zip(videos, predictions):
        best_first = sorted(range(3), key=lambda c: -scores[c])
        rows.append(f"{video.video_id}," + " ".join(f"{c} {scores[c]:g}" for c in best_first))
    # Six digits of the same scores, which batches may round differently in the last.
    written = output.read_bytes().decode().split("\n")
    assert written[0] == rows[0] and written[-1] == "" and len(written) == len(rows) + 1
    for row, expected in zip(written[1:], rows[1:]):
        (video_id, pairs), (expected_id, expected_pairs) = row.split(","), expected.split(",")
        assert video_id == expected_id and re.fullmatch(r"(\d+ [\d.e-]+ ?){3}(?<! )", pairs)
        assert pairs.split()[::2] == expected_pairs.split()[::2]
        scores = [[float(score) for score in text.split()[1::2]] for text in (pairs, expected_pairs)]
        np.testing.assert_allclose(*scores, rtol=1e-5)


def test_an_archive_predicts_the_same(trained, tmp_path):
    archive, original, unpacked = tmp_path / "model.tgz", tmp_path / "original.csv", tmp_path / "unpacked.csv"
    pattern = f"--input_data_pattern={trained.pattern}"
    flags = [f"--train_dir={trained.train_dir}", f"--output_model_tgz={archive}"]
    assert infer(*flags, pattern, f"--output_file={original}") == 0
    packed = archive.read_bytes()
    assert infer(*flags) == 0  # packs without predicting
    assert archive.read_bytes() == packed
    flags = [f"--input_model_tgz={archive}", f"--untar_model_dir={tmp_path / 'unpacked'}"]
    assert infer(*flags, pattern, f"--output_file={unpacked}") == 0
    assert unpacked.read_bytes() == original.read_bytes()


def test_an_unpacked_model_is_not_replaced_while_it_is_used(trained, tmp_path, monkeypatch, capsys):
    archive = tmp_path / "model.tgz"
    assert infer(f"--train_dir={trained.train_dir}", f"--output_model_tgz={archive}") == 0
    flags = [f"--input_model_tgz={archive}", f"--untar_model_dir={tmp_path / 'unpacked'}", "--output_file=none.csv"]
    flags.append(f"--input_data_pattern={trained.pattern}")
    statuses = []
    monkeypatch.setattr(inference, "_infer", lambda *_: statuses.append(infer(*flags)))
    assert infer(*flags) == 0 and statuses == [2]
    assert "Another inference.py uses --untar_model_dir=" in capsys.readouterr().err
    assert infer(*flags) == 0  # once the other has ended


def test_the_export_serves_the_same(trained, predictions, videos, tmp_path):
    flags = [f"--train_dir={trained.train_dir}", f"--output_dir={tmp_path / 'export'}", "--top_k=2"]
    assert export_model.main(["export_model.py", *flags, "--checkpoint=best"]) == 0
    serve = tf.saved_model.load(str(tmp_path / "export")).signatures["serving_default"]
    records = [record for path in sorted(tf.io.gfile.glob(trained.pattern)) for record in tf.data.TFRecordDataset(path)]
    outputs = serve(example_bytes=tf.stack(records))
    assert [video_id.decode() for video_id in outputs["video_id"].numpy()] == [video.video_id for video in videos]
    np.testing.assert_array_equal(outputs["class_indexes"], np.argsort(-predictions)[:, :2])
    np.testing.assert_allclose(outputs["predictions"], -np.sort(-predictions)[:, :2], rtol=1e-5)


def test_unlabelled_records_pass_inference(trained, videos, tmp_path):
    write_videos(tmp_path, videos, MEANS, labels=None, id_key="video_id")
    flags = [
        f"--train_dir={trained.train_dir}",
        f"--input_data_pattern={tmp_path}/*",
        f"--output_file={tmp_path / 'out'}",
    ]
    assert infer(*flags) == 0
    assert (tmp_path / "out").read_text().count("\n") == 1 + NUM_VIDEOS


def test_a_student_needs_nothing_of_its_teacher(tmp_path, capsys):
    write_videos(tmp_path, make_videos(FRAMES, 9), FRAMES)
    pattern, teacher, student = tmp_path / "*.tfrecord", tmp_path / "teacher", tmp_path / "student"
    small = {"lstm_cells": 2, "lstm_layers": 1, "video_level_classifier_model": "LogisticModel"}
    save_model(teacher, model_config("LstmModel", FRAMES, hyperparameters=small).build())

    argv = [f"--train_data_pattern={pattern}", f"--train_dir={student}", "--batch_size=8", "--num_epochs=1"]
    argv += ["--frame_features", "--feature_names=rgb", "--feature_sizes=4", "--num_classes=3", "--max_frames=8"]
    argv += ["--model=LstmModel", *(f"--{name}={value}" for name, value in small.items())]
    argv += ["--frame_sampling=uniform", "--num_sampled_frames=2", "--optimizer=SGD"]
    argv += ["--distillation=serial", f"--teacher_dir={teacher}", "--match=intermediate", "--recipe=published"]
    assert train.main(["train.py", *argv, "--finetune_epochs=1"]) == 0
    assert "Distillation done at step 2; fine-tuning the student on the labels." in capsys.readouterr().err
    recorded = json.loads((student / "model_flags.json").read_text())
    assert recorded["training"]["distillation"]["losses"] == ["rep", "pred", "ce", "int"]
    assert recorded["num_sampled_frames"] == 2

    shutil.rmtree(teacher)
    flags = [f"--train_dir={student}", f"--eval_data_pattern={pattern}", "--run_once"]
    assert eval_command.main(["eval.py", *flags]) == 0
    assert "epoch/eval number 4 | " in capsys.readouterr().err


@pytest.mark.parametrize(
    "pattern, features, sizes, frame_features, num_classes, num_videos",
    [
        ("yt8m_2018_frame/SjJ3.tfrecord", ("rgb", "audio"), (1024, 128), True, 3862, 1),
        ("yt8m_2017_video/testa0*", ("mean_rgb", "mean_audio"), (1024, 128), False, 4716, 163),
    ],
    ids=["one video of 170 frames", "unlabelled of 2017"],
)
def test_real_records_pass_inference(pattern, features, sizes, frame_features, num_classes, num_videos, tmp_path):
    files = real_files(pattern)
    schema = RecordSchema(features, sizes, frame_features, num_classes)
    save_model(tmp_path, model_config("FrameLevelLogisticModel" if frame_features else "LogisticModel", schema).build())
    output = tmp_path / "predictions.csv"
    assert infer(f"--train_dir={tmp_path}", f"--input_data_pattern={','.join(files)}", f"--output_file={output}") == 0
    assert output.read_text().count("\n") == 1 + num_videos
