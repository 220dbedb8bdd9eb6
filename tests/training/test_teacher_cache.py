"""Distillation from a teacher cache, and on unlabelled records: whole runs."""

import dataclasses
import re

import numpy as np
import pytest

from tests.models.small_ensemble import make_model
from tests.records import make_videos, record_of, write_records
from tests.training.tiny_runs import (
    FRAMES,
    checkpoint_values,
    model_config,
    save_model,
    training_config,
    write_shards,
)
from yt8m_distill.cli import cache_teacher
from yt8m_distill.data import DataError
from yt8m_distill.distillation import DistillationConfig
from yt8m_distill.stack import keras
from yt8m_distill.training import train
from yt8m_distill.training.run_files import find_run_files

TEACHER = model_config("FrameLevelLogisticModel", FRAMES)
STUDENT = model_config("FrameLevelLogisticModel", FRAMES, num_sampled_frames=3)


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """22 labelled and 10 unlabelled videos, a teacher of random weights, and what it says of all of them."""
    root = tmp_path_factory.mktemp("places")
    write_shards(root / "train", FRAMES)
    (root / "test").mkdir()
    bad = [record_of(video, FRAMES, labels=(99,)) for video in make_videos(FRAMES, 10, seed=5)]
    write_records(root / "test" / "shard00.tfrecord", bad)
    save_model(root / "teacher", make_model(TEACHER))
    save_model(root / "other", make_model(TEACHER, seed=1))
    flags = [f"--teacher_dir={root / 'teacher'}", f"--input_data_pattern={root}/*/shard*.tfrecord", "--encodings"]
    assert cache_teacher.main(["cache_teacher.py", *flags, f"--output_dir={root / 'cache'}", "--batch_size=8"]) == 0
    manifest = (root / "cache" / "manifest.json").read_text()
    (root / "without").mkdir()
    (root / "without" / "manifest.json").write_text(re.sub('"encoding_size": .*', '"encoding_size": 0', manifest))
    return root


def config_of(places, train_dir, **changes):
    settings = {
        "distillation": DistillationConfig(),
        "teacher_dir": str(places / "teacher"),
        "teacher_cache": str(places / "cache"),
        "unlabelled_data_pattern": str(places / "test" / "*.tfrecord"),
        "base_learning_rate": 0.1,
        "keep_checkpoints": 1,
        **changes,
    }
    return training_config(train_dir, str(places / "train" / "*.tfrecord"), **settings)


@pytest.fixture(scope="module")
def cached(places, tmp_path_factory):
    """A pass of four steps over all videos, from the cache."""
    train_dir = tmp_path_factory.mktemp("cached")
    assert train(STUDENT, config_of(places, train_dir))["step"] == 4
    return train_dir


def test_a_cached_run_is_the_run_up_to_float16(places, cached, tmp_path):
    train(STUDENT, config_of(places, tmp_path, teacher_cache=""))
    of_cache, of_teacher = checkpoint_values(cached), checkpoint_values(tmp_path)
    assert of_cache.keys() == of_teacher.keys()
    kernel = "model/classifier/dense/kernel"
    np.testing.assert_allclose(of_cache[kernel], of_teacher[kernel], rtol=2e-3, atol=2e-3)
    keras.utils.set_random_seed(0)
    assert np.abs(of_teacher[kernel] - STUDENT.build().classifier.get_weights()[0]).max() > 0.1  # what it has learned


def test_a_curriculum_reads_the_same_frames_with_and_without_the_cache(places, tmp_path):
    kernels = []
    for number, changes in enumerate([{}, {"teacher_cache": ""}]):
        settings = {"num_epochs": 2, "curriculum_frames": 8, "curriculum_epochs": 1, **changes}
        train(STUDENT, config_of(places, tmp_path / str(number), **settings))
        kernels.append(checkpoint_values(tmp_path / str(number))["model/classifier/dense/kernel"])
    np.testing.assert_allclose(*kernels, rtol=4e-3, atol=4e-3)


def test_a_run_on_unlabelled_records_resumes(places, cached, tmp_path):
    for max_steps in (2, None):
        train(STUDENT, config_of(places, tmp_path, max_steps=max_steps))
    one, other = checkpoint_values(cached), checkpoint_values(tmp_path)
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def find(places, student=STUDENT, **changes):
    return find_run_files(student, config_of(places, "unused", **changes))


def test_what_a_run_reads(places):
    files = find(places)
    assert [len(part) for part in (files.labelled, files.unlabelled, files.evaluation)] == [2, 1, 0]
    assert abs(files.num_labelled - 22) <= 2 and abs(files.num_unlabelled - 10) <= 1
    assert len(files.cache_files()) == 3 and find(places, teacher_cache="").cache_files() == []


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"teacher_dir": "{}/other"}, "is another teacher's: it has weights="),
        ({"teacher_dir": "{0}/teacher,{0}/other"}, "it was made of 1, and now there are 2"),
        ({"teacher_cache": "{}/without"}, "Loss 'rep' needs the teacher's encodings.*cache_teacher.py --encodings"),
        ({"teacher_cache": "{}/test"}, "is no teacher cache"),
        ({"unlabelled_data_pattern": "{}/train/shard00*"}, "matches both --train_data_pattern and --unlabelled"),
        ({"unlabelled_data_pattern": "{}/nothing*"}, "Unable to find unlabelled files"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message, places):
    changes = {name: value.format(places) for name, value in changes.items()}
    with pytest.raises(DataError, match=message):
        find(places, **changes)


def test_a_teacher_that_reads_other_frames_is_refused(places, tmp_path):
    few = dataclasses.replace(TEACHER, num_sampled_frames=3, frame_jitter=True)
    save_model(tmp_path, make_model(few))
    with pytest.raises(DataError, match="num_sampled_frames=None, and this one has 3"):
        find(places, teacher_dir=str(tmp_path))
    jittered = dataclasses.replace(STUDENT, frame_jitter=True)
    with pytest.raises(DataError, match="share frame_jitter"):
        find(places, jittered, teacher_dir=str(tmp_path))


def test_files_that_the_cache_lacks_are_refused(places, tmp_path):
    pattern = write_shards(tmp_path / "more", FRAMES, count=2, num_shards=1)
    with pytest.raises(DataError, match=r"it has nothing of more/shard00.tfrecord"):
        find(places, unlabelled_data_pattern=pattern)
