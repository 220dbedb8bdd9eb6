"""What users get wrong: each mistake ends a command with status 2 and one line that names it."""

import json
import pathlib
import shutil
import types

import numpy as np
import pytest
import tensorflow as tf

from tests.records import (
    frame_record,
    make_videos,
    record_of,
    video_record,
    with_segments,
    write_records,
    write_videos,
)
from tests.training.tiny_runs import FRAMES, MEANS, model_config, save_model, training_config
from yt8m_distill.cli import (
    cache_teacher,
    cost,
    doctor,
    download,
    ensemble,
    export_model,
    frames,
    inference,
    segment_eval_inference,
    study,
    synthetic,
    train,
)
from yt8m_distill.cli import convert_prediction_from_json_to_csv as convert
from yt8m_distill.cli import eval as eval_command
from yt8m_distill.training.train_dir import prepare_train_dir


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Records good and bad, and a trained model."""
    root = tmp_path_factory.mktemp("places")
    videos = make_videos(MEANS, 6)
    write_videos(root, videos, MEANS, prefix="good")
    write_videos(root, make_videos(FRAMES, 3), FRAMES, prefix="frames")
    whole = (root / "good00.tfrecord").read_bytes()
    (root / "truncated.tfrecord").write_bytes(whole[:-10])
    (root / "damaged.tfrecord").write_bytes(whole[:-30] + bytes([whole[-30] ^ 1]) + whole[-29:])
    (root / "text.tfrecord").write_text("id,labels\n" * 10)
    (root / "empty.tfrecord").write_bytes(b"")
    label = [record_of(video, MEANS) for video in videos] + [video_record({"mean_rgb": [0.0] * 4}, "off", [3])]
    write_records(root / "label.tfrecord", label)
    lengths = {"rgb": np.zeros([2, 4], np.uint8), "audio": np.zeros([3, 4], np.uint8)}
    write_records(root / "lengths.tfrecord", [frame_record(lengths, "odd")])

    save_model(root / "model", model_config().build())
    save_model(root / "frame_model", model_config("FrameLevelLogisticModel", FRAMES).build())
    rated = with_segments(record_of(make_videos(FRAMES, 1)[0], FRAMES), [0], [0], [1.0])
    lists = with_segments(record_of(make_videos(FRAMES, 1)[0], FRAMES, video_id="odd"), [0, 1], [0], [1.0])
    write_records(root / "rated.tfrecord", [rated])
    write_records(root / "lists.tfrecord", [rated, lists])
    for name, text in (("segments", "1,v:0\n"), ("twice", "1,v:0 v:0\n"), ("ids", "Index\n"), ("high", "3\n")):
        (root / f"{name}.csv").write_text(text)
    for name, key, value in (("bad_loss", "label_loss", "L2"), ("bad_model", "model", "GptModel")):
        shutil.copytree(root / "model", root / name)
        flags = json.loads((root / "model" / "model_flags.json").read_text())
        (root / name / "model_flags.json").write_text(json.dumps({**flags, key: value}))
    shutil.copytree(root / "model", root / "bad_json")
    (root / "bad_json" / "model_flags.json").write_text("{")
    prepare_train_dir(model_config(), training_config(root / "run", optimizer="AdamOptimizer"))
    tf.train.CheckpointManager(tf.train.Checkpoint(), str(root / "run"), 1).save()
    (root / "home").mkdir()
    (root / "home" / "thesis.tex").write_text("precious")
    (root / "bad.tgz").write_text("no archive")
    return root


def check(main, name, flags, message, places, capsys):
    flags = [flag.format(places=places) for flag in flags]
    assert main([name, *flags]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "Traceback" not in err
    *notes, error = err.splitlines()
    assert error.startswith(f"{name}: error: ")
    assert message.format(places=places) in error
    assert not any("rror" in note for note in notes)
    return types.SimpleNamespace(notes=notes, error=error)


GOOD = ["--train_data_pattern={places}/good*", "--feature_names=mean_rgb", "--feature_sizes=4", "--num_classes=3"]
ON_FRAMES = [
    "--train_data_pattern={places}/frames*",
    "--feature_names=rgb",
    "--feature_sizes=4",
    "--num_classes=3",
    "--max_frames=8",
    "--frame_features",
    "--model=FrameLevelLogisticModel",
]


@pytest.mark.parametrize(
    "flags, message",
    [
        # Data.
        (["--train_data_pattern={places}/nothing*"], "data_pattern='{places}/nothing*' matches no file"),
        (["--train_data_pattern="], "Unable to find training files. data_pattern='' is empty"),
        (["--eval_data_pattern={places}/nothing*"], "Unable to find evaluation files"),
        (["--feature_sizes=5"], "good00.tfrecord: feature 'mean_rgb' has 4 values, but feature_sizes says 5"),
        (["--feature_names=mean_audio"], "good00.tfrecord: has no feature 'mean_audio'"),
        (["--feature_sizes=4,4"], "(1 names), feature_sizes='4,4' (2 sizes)"),
        (["--feature_sizes=four"], "--feature_sizes must list whole numbers"),
        (["--train_data_pattern={places}/frames*"], "The record is frame-level (train.py --frame_features)"),
        (["--train_data_pattern={places}/text*"], "text.tfrecord: is not a TFRecord file"),
        (["--train_data_pattern={places}/empty*"], "hold no record"),
        (["--num_classes=1"], "num_classes must be at least 2"),
        # The model.
        (["--model=GptModel"], "Unknown model 'GptModel'. The models are: LogisticModel"),
        (["--model=LstmModel"], "LstmModel reads frames: add --frame_features"),
        (["--frame_features"], "LogisticModel reads mean features: leave out --frame_features"),
        (["--num_sampled_frames=3"], "LogisticModel reads mean features and cannot have a frame budget"),
        (["--lstm_cells=3"], "LogisticModel has no hyperparameter 'lstm_cells'"),
        (["--dropout_rate=1"], "dropout_rate must be in [0, 1)"),
        (["--video_level_classifier_model=Svm"], "video_level_classifier_model must be one of"),
        # The training.
        (["--optimizer=Magic"], "Unknown optimizer 'Magic'"),
        (["--label_loss=L2"], "label_loss must be one of CrossEntropyLoss"),
        (["--batch_size=0"], "batch_size must be at least 1"),
        (["--gradient_accumulation_steps=1" + 20 * "0"], "gradient_accumulation_steps must be at most 1000000"),
        (["--batch_size=1000001"], "batch_size must be at most 1000000. Received: 1000001"),
        (["--optimizer=Yogi", "--weight_decay=0.1"], "Optimizer 'Yogi' has no weight decay"),
        (
            ["--learning_rate_schedule=cosine", "--learning_rate_decay=0.9"],
            "--learning_rate_decay needs --learning_rate_schedule=exponential",
        ),
        (["--train_dir={places}/run", "--ema_decay=0.9"], "holds a run with ema_decay=0.0; this run has ema_decay=0.9"),
        (["--train_dir="], "train_dir must not be empty"),
        (["--train_dir={places}/bad.tgz"], "bad.tgz"),
        (["--train_dir={places}/run", "--label_loss=HingeLoss"], "holds a run with label_loss='CrossEntropyLoss'"),
        (["--train_dir={places}/home", "--start_new_model"], "it holds 'thesis.tex'"),
        (["--segment_labels"], "Segments are parts of frame-level records, and this model reads video-level ones"),
        (["--strategy=multi_worker"], "needs the environment variable TF_CONFIG"),
        (["--strategy=tpu"], "--strategy"),
        # The distillation.
        (["--distillation=serial"], "Serial distillation needs --teacher_dir"),
        (["--distillation=serial", "--teacher_dir={places}/home"], "No checkpoint file found in {places}/home"),
        (["--distillation=serial", "--distillation_losses=rep,mse"], "Received: 'mse'"),
        (["--rep_weight=2"], "--rep_weight needs --distillation=serial or --distillation=parallel"),
        (
            ["--distillation=parallel", "--loss_preset=authors_code", "--rep_weight=2"],
            "--loss_preset=authors_code sets --rep_weight: give one of the two",
        ),
        (
            ["--distillation=serial", "--teacher_dir={places}/model", "--match=intermediate"],
            "Loss 'int' cannot match frame states: the teacher has none",
        ),
    ],
)
def test_train(flags, message, places, tmp_path, capsys):
    check(train.main, "train.py", [*GOOD, f"--train_dir={tmp_path / 'new'}", *flags], message, places, capsys)


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--frame_sampling=uniform"], "frame_sampling='uniform' needs a budget"),
        (["--frame_sampling=best", "--num_sampled_frames=2"], "'best'"),
        (["--num_sampled_frames=2", "--every_n=2"], "every_n"),
        (["--model=LstmModel", "--num_blocks=2"], "LstmModel has no hyperparameter 'num_blocks'"),
        (["--feature_names=audio"], "frames00.tfrecord: has no feature 'audio'"),
        (["--segment_labels"], "frames00.tfrecord and what follows it, 1000 records at most, hold no rated segment"),
        (
            ["--distillation=serial", "--teacher_dir={places}/model"],
            "Teacher and student must agree on feature_names. Received: teacher ('mean_rgb',), student ('rgb',)",
        ),
    ],
)
def test_train_on_frames(flags, message, places, tmp_path, capsys):
    check(train.main, "train.py", [*ON_FRAMES, f"--train_dir={tmp_path / 'new'}", *flags], message, places, capsys)


@pytest.mark.parametrize(
    "flags, message",
    [
        ([*GOOD, "--train_data_pattern={places}/truncated*"], "truncated.tfrecord: truncated in record 5"),
        ([*GOOD, "--train_data_pattern={places}/damaged*"], "{places}/damaged.tfrecord: "),
        (
            [*GOOD, "--train_data_pattern={places}/label*"],
            "video 'off' in {places}/label.tfrecord record 6: a label is outside [0, num_classes=3)",
        ),
        (
            [*ON_FRAMES, "--train_data_pattern={places}/lengths*", "--feature_names=rgb,audio", "--feature_sizes=4,4"],
            "video 'odd' in {places}/lengths.tfrecord record 0: features 'rgb' and 'audio' have different numbers",
        ),
    ],
)
def test_train_on_bad_records(flags, message, places, tmp_path, capsys):
    check(train.main, "train.py", [*flags, f"--train_dir={tmp_path / 'new'}"], message, places, capsys)


@pytest.mark.parametrize(
    "config", ["worker0:2222", '{{"cluster": {{"worker": 2}}}}', '{{"cluster": {{"worker": "worker0:2222"}}}}']
)
def test_an_unreadable_cluster(config, places, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TF_CONFIG", config.format())
    flags = [*GOOD, f"--train_dir={tmp_path / 'new'}"]
    check(train.main, "train.py", flags, "TF_CONFIG is not a JSON object", places, capsys)


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--eval_data_pattern="], "Unable to find evaluation files. data_pattern='' is empty"),
        (["--eval_data_pattern={places}/frames*"], "frames00.tfrecord: has no feature 'mean_rgb'"),
        (["--eval_data_pattern={places}/truncated*"], "truncated.tfrecord: truncated in record 5"),
        (["--train_dir={places}/home"], "No checkpoint file found in {places}/home"),
        (["--checkpoint=best"], "Training keeps the best checkpoint when it is given --eval_data_pattern"),
        (["--train_dir={places}/bad_json"], "bad_json/model_flags.json: is not valid JSON"),
        (["--train_dir={places}/bad_model"], "bad_model/model_flags.json: Unknown model 'GptModel'"),
        (["--train_dir={places}/bad_loss"], "label_loss must be one of"),
        (["--segment_labels"], "--segment_labels needs a frame-level model; this one reads mean features"),
        (["--top_k=0"], "--top_k"),
        (["--batch_size=1000001"], "--batch_size=1000001: 1000001 is not an integer in the range [1, 1000000]"),
        (["--model=LogisticModel"], "Unknown command line flag 'model'"),
        (["--eval_interval_secs=inf"], "--eval_interval_secs=inf"),
    ],
)
def test_eval(flags, message, places, capsys):
    good = ["--train_dir={places}/model", "--eval_data_pattern={places}/good*", "--run_once"]
    check(eval_command.main, "eval.py", [*good, *flags], message, places, capsys)


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--train_dir="], "Give exactly one of --train_dir and --input_model_tgz"),
        (["--input_model_tgz={places}/bad.tgz"], "Give exactly one of --train_dir and --input_model_tgz"),
        (["--train_dir=", "--input_model_tgz={places}/bad.tgz"], "model archive {places}/bad.tgz: it is corrupt"),
        (["--input_data_pattern="], "--input_data_pattern must not be empty"),
        (["--output_file="], "--output_file must not be empty"),
        (["--input_data_pattern={places}/nothing*"], "Unable to find input files"),
        (["--top_k=4"], "--top_k=4 exceeds the number of classes, 3"),
        (["--train_dir={places}/home"], "No checkpoint file found in {places}/home"),
        (["--input_data_pattern={places}/truncated*"], "truncated.tfrecord: truncated in record 5"),
        (["--num_readers=0"], "--num_readers"),
        (["--segment_label"], "Unknown command line flag 'segment_label'"),
        (["--segment_labels"], "--segment_labels needs a frame-level model; this one reads mean features"),
        (["--segment_max_pred=3"], "--segment_max_pred needs --segment_labels"),
        (["--segment_label_ids_file=ids.csv"], "--segment_label_ids_file needs --segment_labels"),
    ],
)
def test_inference(flags, message, places, tmp_path, capsys):
    good = ["--train_dir={places}/model", "--input_data_pattern={places}/good*", "--top_k=2"]
    places_to_write = [f"--output_file={tmp_path / 'out.csv'}", f"--untar_model_dir={tmp_path / 'untar'}"]
    check(inference.main, "inference.py", [*good, *places_to_write, *flags], message, places, capsys)
    assert list(tmp_path.iterdir()) == []  # not half a file


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--segment_label_ids_file={places}/ids.csv"], "{places}/ids.csv: holds no class index"),
        (["--segment_label_ids_file={places}/high.csv"], "{places}/high.csv: line 1 is not a class from 0 to 2"),
        (["--segment_label_ids_file={places}/none.csv"], "{places}/none.csv"),
        (["--segment_max_pred=0"], "--segment_max_pred"),
        (["--input_data_pattern={places}/good*"], "good00.tfrecord: has no feature 'rgb'"),
        (["--train_dir={places}/model"], "--segment_labels needs a frame-level model"),
    ],
)
def test_inference_of_segments(flags, message, places, tmp_path, capsys):
    good = ["--train_dir={places}/frame_model", "--input_data_pattern={places}/frames*", "--segment_labels"]
    check(inference.main, "inference.py", [*good, f"--output_file={tmp_path / 'out'}", *flags], message, places, capsys)
    assert list(tmp_path.iterdir()) == []


def test_eval_on_bad_segments(places, capsys):
    flags = ["--train_dir={places}/frame_model", "--eval_data_pattern={places}/lists*", "--run_once"]
    problem = "segment_labels and segment_start_times have different lengths"
    message = f"video 'odd' in {{places}}/lists.tfrecord record 1: {problem}"
    check(eval_command.main, "eval.py", [*flags, "--segment_labels"], message, places, capsys)


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--submission_file="], "--submission_file must not be empty"),
        (["--submission_file={places}/none.csv"], "--submission_file: cannot find {places}/none.csv"),
        (["--submission_file={places}/twice.csv"], "{places}/twice.csv: line 1, class 1: lists segment v:0 twice"),
        (["--eval_data_pattern="], "Unable to find evaluation files"),
        (["--eval_data_pattern={places}/frames*"], "hold no rated segment"),
        (["--eval_data_pattern={places}/truncated*"], "truncated.tfrecord: truncated in record 5"),
        (["--eval_data_pattern={places}/lists*"], "video 'odd' in {places}/lists.tfrecord record 1: segment_labels"),
        (["--label_cache={places}/segments.csv"], "segments.csv: line 1 is not <video id>:<start time>,<class>"),
        (["--top_n=-1"], "--top_n"),
        (["--top_k=5"], "Unknown command line flag 'top_k'"),
    ],
)
def test_segment_eval_inference(flags, message, places, capsys):
    good = ["--submission_file={places}/segments.csv", "--eval_data_pattern={places}/rated*"]
    name = "segment_eval_inference.py"
    check(segment_eval_inference.main, name, [*good, *flags], message, places, capsys)


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--train_dir="], "--train_dir must not be empty"),
        (["--output_dir="], "--output_dir must not be empty"),
        (["--output_dir={places}/home"], "{places}/home"),
        (["--train_dir={places}/home"], "Cannot find {places}/home/model_flags.json"),
        (["--top_k=4"], "top_k must be from 1 to num_classes=3. Received: 4"),
        (["--format=onnx"], "value should be one of"),
    ],
)
def test_export_model(flags, message, places, tmp_path, capsys):
    good = ["--train_dir={places}/model", f"--output_dir={tmp_path / 'export'}", "--top_k=2"]
    check(export_model.main, "export_model.py", [*good, *flags], message, places, capsys)
    assert list(tmp_path.iterdir()) == []
    assert (places / "home" / "thesis.tex").read_text() == "precious"


OTHER_COMMANDS = [
    ("cost.py", cost, ["--max_frames=0"], "max_frames must be a whole number, at least 1. Received: 0"),
    ("cost.py", cost, ["--feature_sizes=1024"], "feature_names='rgb,audio' (2 names), feature_sizes='1024' (1 sizes)"),
    ("cost.py", cost, ["--train_dir={places}/home"], "Cannot find {places}/home/model_flags.json"),
    ("doctor.py", doctor, [], "Which files? For example: doctor.py 'yt8m/frame/train*.tfrecord'"),
    ("doctor.py", doctor, ["{places}/nothing*"], "data_pattern='{places}/nothing*' matches no file"),
    ("doctor.py", doctor, ["{places}/good*", "--num_classes=0"], "flag --num_classes=0: 0 is not integer >= 2"),
    ("download.py", download, [], "--partition must not be empty"),
    ("download.py", download, ["--partition=9/frame/train", "--output_dir={places}/s"], "A partition is <version>/"),
    ("download.py", download, ["--partition=2/frame/train", "--mirror=moon"], "should be one of <us|eu|asia>"),
    ("ensemble.py", ensemble, [], "Give exactly one of --train_dirs, --submission_files and --average_checkpoints"),
    ("ensemble.py", ensemble, ["--submission_files=a,b", "--weights=1", "--output_file=c"], "Give 2 weights, one for"),
    ("frames.py", frames, [], "--train_dir must not be empty"),
    ("frames.py", frames, ["--num_videos=0"], "flag --num_videos=0: 0 is not a positive integer"),
    ("cache_teacher.py", cache_teacher, [], "--teacher_dir must not be empty"),
    ("cache_teacher.py", cache_teacher, ["--top_n=0"], "flag --top_n=0: 0 is not a positive integer"),
    ("study.py", study, [], "--output_dir must be given"),
    ("study.py", study, ["--output_dir={places}/s", "--grid={places}/ids.csv"], "{places}/ids.csv: is not valid JSON"),
    ("study.py", study, ["--output_dir={places}/s", "--smoke", "--grid=a"], "Give either --grid, the JSON"),
    ("synthetic.py", synthetic, [], "--input_data_pattern is missing"),
    ("synthetic.py", synthetic, ["--telling_share=2"], "flag --telling_share=2: 2.0 is not a number in the range"),
    (
        "synthetic.py",
        synthetic,
        ["--input_data_pattern={places}/text*", "--output_dir={places}/s"],
        "{places}/text.tfrecord: is not a TFRecord file",
    ),
    ("convert_prediction_from_json_to_csv.py", convert, [], "--json_prediction_files_pattern must not be empty"),
]


@pytest.mark.parametrize("name, command, flags, message", OTHER_COMMANDS)
def test_other_commands(name, command, flags, message, places, capsys):
    check(command.main, name, flags, message, places, capsys)
    assert not (places / "s").exists()


def test_every_command_has_its_rows():
    scripts = {path.name for path in pathlib.Path(__file__).parents[2].glob("*.py")} - {"setup.py"}
    of_own_tests = {"train.py", "eval.py", "inference.py", "export_model.py", "segment_eval_inference.py"}
    assert scripts == of_own_tests | {name for name, *_ in OTHER_COMMANDS}
