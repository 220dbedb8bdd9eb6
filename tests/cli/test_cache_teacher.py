"""cache_teacher.py, and train.py --teacher_cache --unlabelled_data_pattern after it."""

import json

import pytest

from tests.models.small_ensemble import make_model
from tests.training.tiny_runs import MEANS, checkpoint_steps, model_config, save_model, write_shards
from yt8m_distill.cli import cache_teacher, train


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    root = tmp_path_factory.mktemp("places")
    write_shards(root / "train")
    write_shards(root / "test", count=6, num_shards=1, seed=1)
    save_model(root / "one", make_model(model_config()))
    save_model(root / "two", make_model(model_config(), seed=1))
    return root


def run(places, *flags):
    return cache_teacher.main(["cache_teacher.py", f"--input_data_pattern={places}/t*/*.tfrecord", *flags])


def test_a_student_of_two_cached_teachers(places, tmp_path, capsys):
    """Video-level models, labelled and unlabelled records."""
    teachers = f"--teacher_dir={places}/one,{places}/two"
    assert run(places, teachers, f"--output_dir={tmp_path / 'cache'}") == 0
    err = capsys.readouterr().err
    assert "number of input files: 3, of which the cache lacks 3" in err
    assert f"Teacher cache of 28 videos in {tmp_path / 'cache'}" in err
    manifest = json.loads((tmp_path / "cache" / "manifest.json").read_text())
    assert manifest["layout"] == {"num_classes": 3, "top_n": 3, "encoding_size": 0}
    assert len(manifest["teachers"]) == 2
    flags = [
        f"--train_data_pattern={places}/train/*",
        f"--unlabelled_data_pattern={places}/test/*",
        f"--train_dir={tmp_path / 'student'}",
        f"--teacher_cache={tmp_path / 'cache'}",
        "--distillation=serial",
        "--distillation_losses=pred,ce",
        "--feature_sizes=4",
        f"--num_classes={MEANS.num_classes}",
        "--batch_size=8",
        "--num_epochs=1",
        "--finetune_epochs=1",
    ]
    assert train.main(["train.py", teachers, *flags]) == 0
    assert "Number of training files: 2 and 1 unlabelled ones." in capsys.readouterr().err
    assert checkpoint_steps(tmp_path / "student")[-1] == 4 + 3  # of 28 videos and of 22
    flags.append(f"--train_dir={tmp_path / 'other'}")
    assert train.main(["train.py", f"--teacher_dir={places}/two", *flags]) == 2
    assert "it was made of 2, and now there are 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags, message",
    [
        ([], "--teacher_dir must not be empty"),
        (["--teacher_dir={}/one"], "--output_dir must not be empty"),
        (["--teacher_dir={}/none", "--output_dir={}/x"], "Cannot find {}/none/model_flags.json"),
        (["--teacher_dir={0}/one,{0}/two", "--output_dir={0}/x", "--encodings"], "Several teachers have no encoding"),
    ],
)
def test_user_errors_are_one_line(flags, message, places, capsys):
    assert run(places, *(flag.format(places) for flag in flags)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message.format(places) in line
