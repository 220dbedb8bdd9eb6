"""ensemble.py: several models as one, and averages of submissions and checkpoints, by the command line."""

import json
import re
import types

import numpy as np
import pytest
import tensorflow as tf

from tests.models.small_ensemble import make_model
from tests.records import make_videos, record_of, write_videos
from tests.training.tiny_runs import FRAMES, MEANS, model_config, save_model, training_config, write_shards
from yt8m_distill.cli import convert_prediction_from_json_to_csv, ensemble, export_model, inference
from yt8m_distill.cli import eval as eval_command
from yt8m_distill.cli.command import FlagGroups
from yt8m_distill.models import load_model, write_model_flags
from yt8m_distill.training import evaluate, train

NUM_VIDEOS = 11


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Records, two models of mean features, one of frames and one of more classes."""
    root = tmp_path_factory.mktemp("places")
    videos = make_videos(MEANS, NUM_VIDEOS)
    write_videos(root, videos, MEANS, num_shards=2)
    write_videos(root, make_videos(FRAMES, 2), FRAMES, prefix="frames")
    models = [make_model(model_config(name), seed) for seed, name in enumerate(("LogisticModel", "MoeModel"))]
    for name, model, step in zip("ab", models, (30, 7)):
        save_model(root / name, model, step)
    save_model(root / "frames", model_config("FrameLevelLogisticModel", FRAMES).build())
    save_model(root / "more_classes", model_config(num_classes=4).build())
    (root / "one.csv").write_text("VideoId,LabelConfidencePairs\nx,0 0.5\ny,1 0.5\n")
    (root / "two.csv").write_text("VideoId,LabelConfidencePairs\nx,2 0.8\n")
    features = np.stack([video.means for video in videos])
    predictions = [model({"features": features})["predictions"].numpy() for model in models]
    return types.SimpleNamespace(
        root=root, videos=videos, records=f"{root}/shard*", mean=predictions[0] * 0.75 + predictions[1] * 0.25
    )


def run(places, *flags):
    return ensemble.main(["ensemble.py", *(flag.format(places=places.root) for flag in flags)])


def error_of(places, capsys, *flags):
    assert run(places, *flags) == 2
    out, err = capsys.readouterr()
    *notes, error = err.splitlines()
    assert out == "" and "Traceback" not in err and error.startswith("ensemble.py: error: ")
    assert not any("rror" in note for note in notes)
    return error


def test_evaluates_classifies_and_exports_at_once(places, tmp_path, capsys):
    flags = ["--train_dirs={places}/a, {places}/b", "--weights=3,1", "--top_k=2", "--batch_size=4"]
    flags += [f"--eval_data_pattern={places.records}", f"--output_metrics_json={tmp_path}/metrics.json"]
    flags += [f"--input_data_pattern={places.records}", f"--output_file={tmp_path}/mean.csv"]
    assert run(places, *flags, f"--output_dir={tmp_path}/saved") == 0
    order = np.argsort(-places.mean, axis=1)[:, :2]

    lines = capsys.readouterr().err.splitlines()
    assert f"Member of weight 0.75: {places.root}/a/model.ckpt-30" in lines
    assert f"Member of weight 0.25: {places.root}/b/model.ckpt-7" in lines
    names = ("Avg_Hit@1", "Avg_PERR", "MAP", "GAP", "Avg_Loss", "num_classes")
    shape = r"epoch/eval number 30" + "".join(rf" \| {name}: [\d.]+" for name in names)
    assert sum(re.fullmatch(shape, line) is not None for line in lines) == 1
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    hits = [order[row, 0] in video.labels for row, video in enumerate(places.videos)]
    assert metrics["hit_at_one"] == pytest.approx(np.mean(hits)) and metrics["num_examples"] == NUM_VIDEOS
    assert metrics["global_step"] == 30
    assert [member["weight"] for member in metrics["members"]] == [0.75, 0.25]
    assert not list(places.root.glob("*/eval"))  # the members' directories are left alone

    header, *rows = (tmp_path / "mean.csv").read_text().splitlines()
    assert header == "VideoId,LabelConfidencePairs" and len(rows) == NUM_VIDEOS
    for row, video, best, scores in zip(rows, places.videos, order, places.mean):
        video_id, pairs = row.split(",")
        assert video_id == video.video_id and pairs.split()[::2] == list(map(str, best))
        np.testing.assert_allclose(list(map(float, pairs.split()[1::2])), scores[best], rtol=1e-5)

    serve = tf.saved_model.load(f"{tmp_path}/saved").signatures["serving_default"]
    served = serve(example_bytes=tf.constant([record_of(video, MEANS) for video in places.videos]))
    np.testing.assert_array_equal(served["class_indexes"], order)
    np.testing.assert_allclose(served["predictions"], np.take_along_axis(places.mean, order, axis=1), rtol=1e-5)


def test_one_member_gives_the_csv_of_inference(places, tmp_path):
    flags = [f"--input_data_pattern={places.records}", "--top_k=3", "--strategy=mirrored"]
    assert run(places, "--train_dirs={places}/a", f"--output_file={tmp_path}/one.csv", *flags) == 0
    argv = [f"--train_dir={places.root}/a", f"--output_file={tmp_path}/two.csv", *flags]
    assert inference.main(["inference.py", *argv]) == 0
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


GOOD = ("--train_dirs={places}/a,{places}/b", "--eval_data_pattern={places}/shard*")


@pytest.mark.parametrize(
    "flags, message",
    [
        ((), "Give exactly one of --train_dirs, --submission_files and --average_checkpoints."),
        (("--eval_data_pattern=x",), "Give exactly one of --train_dirs, --submission_files"),
        ((*GOOD, "--submission_files=a.csv"), "Give exactly one of --train_dirs, --submission_files"),
        ((*GOOD, "--train_dir=x"), "--train_dir does not go with --train_dirs."),
        (GOOD[:1], "Give --eval_data_pattern, --input_data_pattern with --output_file, or --output_dir."),
        ((*GOOD, "--input_data_pattern=x"), "--input_data_pattern and --output_file go together"),
        ((*GOOD, "--output_file=x"), "--input_data_pattern and --output_file go together"),
        ((GOOD[0], "--output_dir=x", "--output_metrics_json=x"), "--output_metrics_json needs --eval_data_pattern"),
        ((*GOOD, "--train_dirs={places}/a,,{places}/b"), "--train_dirs must list paths, separated by commas"),
        ((*GOOD, "--weights=2,x"), "--weights must list numbers, separated by commas. Received: '2,x'"),
        ((*GOOD, "--weights=2"), "Give 2 weights, one for each. Received: 1."),
        ((*GOOD, "--weights=2,0"), "weights must be positive numbers. Received: 0.0"),
        ((*GOOD, "--train_dirs={places}/a,{places}/none"), "No checkpoint file found in {places}/none"),
        ((*GOOD, "--checkpoint=best"), "No checkpoint file found in {places}/a/best"),
        ((*GOOD, "--eval_data_pattern={places}/none*"), "Unable to find evaluation files"),
        ((*GOOD, "--eval_data_pattern={places}/frames*.tfrecord"), "has no feature 'mean_rgb'"),
        (
            (*GOOD, "--train_dirs={places}/a,{places}/more_classes"),
            "must agree on num_classes: {places}/a has 3, {places}/more_classes has 4",
        ),
        ((*GOOD, "--train_dirs={places}/a,{places}/frames"), "must agree on feature_names"),
        ((GOOD[0], "--output_dir={places}/a", "--top_k=2"), "it or choose another directory: '{places}/a'"),
        ((GOOD[0], "--output_dir={out}/saved", "--top_k=4"), "top_k must be from 1 to num_classes=3. Received: 4"),
        # Submissions.
        (("--submission_files={places}/one.csv",), "--submission_files needs --output_file."),
        (
            ("--submission_files={places}/one.csv", "--output_file={out}/x", "--checkpoint=best"),
            "--checkpoint does not go with --submission_files.",
        ),
        (
            ("--submission_files={places}/one.csv,{places}/two.csv", "--output_file={out}/x"),
            "{places}/two.csv has no row for video 'y', which {places}/one.csv has.",
        ),
        (("--submission_files={places}/one.csv,{places}/none.csv", "--output_file={out}/x"), "none.csv"),
        # Checkpoints.
        (("--average_checkpoints=2",), "--average_checkpoints needs --train_dir."),
        (("--average_checkpoints=2", "--train_dir={places}/a"), "--average_checkpoints needs --output_dir."),
        (("--average_checkpoints=0",), "average_checkpoints"),
        (
            ("--average_checkpoints=2", "--train_dir={places}/a", "--output_dir={out}/x"),
            "{places}/a keeps 1 checkpoint(s), too few to average 2.",
        ),
        (
            ("--average_checkpoints=2", "--train_dir={places}/a", "--output_dir={out}/x", "--weights=1,1"),
            "--weights does not go with --average_checkpoints.",
        ),
    ],
)
def test_errors(flags, message, places, tmp_path, capsys):
    flags = [flag.replace("{out}", str(tmp_path)) for flag in flags]
    assert message.format(places=places.root) in error_of(places, capsys, *flags)
    assert list(tmp_path.iterdir()) == []  # not half a file


def test_too_many_predictions_fail_before_the_evaluation(places, tmp_path, capsys):
    flags = [*GOOD, "--input_data_pattern={places}/shard*", f"--output_file={tmp_path}/x", "--top_k=4"]
    assert run(places, *flags) == 2
    err = capsys.readouterr().err
    assert err.endswith("ensemble.py: error: --top_k=4 exceeds the number of classes, 3; lower it\n")
    assert "GAP" not in err


def test_averages_submissions(places, tmp_path, capsys):
    (tmp_path / "three.csv").write_text("VideoId,LabelConfidencePairs\ny,1 0.1\nx,2 0.8 0 0.1\n")
    flags = [f"--submission_files={{places}}/one.csv,{tmp_path}/three.csv", "--weights=3,1", "--top_k=1"]
    assert run(places, *flags, f"--output_file={tmp_path}/mean.csv") == 0
    # x: 0 -> .375 + .025, 2 -> .2. y: 1 -> .375 + .025.
    assert (tmp_path / "mean.csv").read_text() == "VideoId,LabelConfidencePairs\nx,0 0.4\ny,1 0.4\n"
    assert f"Average of 2 files, 2 videos, written to {tmp_path}/mean.csv" in capsys.readouterr().err


def test_an_averaged_run_is_a_train_dir(tmp_path, capsys):
    pattern = write_shards(tmp_path / "records", count=16)
    train(model_config(), training_config(tmp_path / "run", pattern, export_model_steps=1, base_learning_rate=5.0))
    flags = [f"--train_dir={tmp_path}/run", f"--output_dir={tmp_path}/averaged", "--average_checkpoints=2"]
    assert ensemble.main(["ensemble.py", *flags]) == 0
    assert "Average of the checkpoints of steps 1, 2 written to" in capsys.readouterr().err

    averaged = f"--train_dir={tmp_path}/averaged"
    flags = [averaged, f"--eval_data_pattern={pattern}", "--run_once", f"--output_metrics_json={tmp_path}/metrics"]
    assert eval_command.main(["eval.py", *flags]) == 0
    metrics = json.loads((tmp_path / "metrics").read_text())
    assert metrics.pop("global_step") == 2
    assert metrics == pytest.approx(evaluate(load_model(f"{tmp_path}/averaged"), tf.io.gfile.glob(pattern)))
    flags = [averaged, f"--input_data_pattern={pattern}", f"--output_file={tmp_path}/out.csv", "--top_k=1"]
    assert inference.main(["inference.py", *flags, f"--output_model_tgz={tmp_path}/model.tgz"]) == 0
    assert export_model.main(["export_model.py", averaged, f"--output_dir={tmp_path}/saved", "--top_k=1"]) == 0


def test_the_loss_is_that_of_the_first_member(places, tmp_path):
    """The original's hinge loss, max(0, 1 - y p) with y = 1 or -1, added up over the classes."""
    write_model_flags(str(tmp_path / "a"), model_config(), "HingeLoss")
    for path in (places.root / "a").glob("*ck*"):
        (tmp_path / "a" / path.name).write_bytes(path.read_bytes())
    flags = [f"--train_dirs={tmp_path}/a,{{places}}/b", "--weights=3,1", f"--eval_data_pattern={places.records}"]
    assert run(places, *flags, f"--output_metrics_json={tmp_path}/metrics.json") == 0
    signs = np.array([[1 if c in video.labels else -1 for c in range(3)] for video in places.videos])
    expected = np.maximum(0, 1 - signs * places.mean).sum(axis=1).mean()
    assert json.loads((tmp_path / "metrics.json").read_text())["loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("command", [ensemble, convert_prediction_from_json_to_csv])
def test_every_flag_has_a_help_text(command):
    groups = FlagGroups()
    command._define_flags(groups)
    assert all(groups.values[name].help for name in groups.values)
