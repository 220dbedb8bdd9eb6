"""Every section on tiny sizes: the rows that it promises."""

import pytest

from benchmarks import inference, memory, metrics, reader, selection, startup, training
from benchmarks.settings import Settings


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return Settings.for_smoke(str(tmp_path_factory.mktemp("benchmark")))


def test_reader_compares_each_stage_with_the_raw_rate_and_the_package_with_the_original(settings):
    rows = {row["stage"]: row for row in reader.measure(settings)}
    assert rows["raw read"]["share_of_raw_rate"] == 1
    assert all(row["videos_per_s"] > 0 for row in rows.values())
    compared = [stage for stage, row in rows.items() if row["times_the_original"] is not None]
    assert compared == ["evaluation, 6", "evaluation, all frames", "training, 6", "training, all frames"]
    for stage, original in (("evaluation, 6", "original, 6"), ("training, all frames", "original, all frames")):
        ratio = rows[stage]["videos_per_s"] / rows[original]["videos_per_s"]
        assert rows[stage]["times_the_original"] == pytest.approx(ratio)


def test_inference_compares_students_with_their_teacher(settings):
    teacher, student = inference.measure(settings)
    assert (teacher["frames"], student["frames"]) == ("all", "6")
    assert teacher["time_ratio"] == teacher["cpu_ratio"] == teacher["macs_ratio"] == 1
    assert student["time_ratio"] == pytest.approx(student["ms_per_video"] / teacher["ms_per_video"])
    # LSTM of 4 cells: 16 (24 + 4) a frame, 16 (8 + 4) a block, of which the teacher has 10 and the student 3;
    # classifier of 3 (2 gates and experts) on a state of 8: 8 * 30 * 5.
    assert teacher["gmacs_per_video"] * 1e9 == pytest.approx(20 * 448 + 10 * 192 + 1200)
    assert student["gmacs_per_video"] * 1e9 == pytest.approx(6 * 448 + 3 * 192 + 1200)


def test_selection_costs_little_beside_the_frames_that_are_read(settings):
    rows = {row["frames"]: row for row in selection.measure(settings)}
    assert list(rows) == ["all", "uniform 6", "skip_frame 6", "saliency 6"]
    macs = {frames: round(1e9 * row["gmacs_per_video"]) for frames, row in rows.items()}
    # LSTM of 4 cells: 16 (24 + 4) a frame. The classifier (5 outputs a class) reads 4 values, the policy a state of 8.
    frame, classifier = 16 * 28, 4 * 30 * 5
    assert macs["all"] == 20 * frame + classifier
    assert macs["uniform 6"] == 6 * frame + classifier
    assert macs["skip_frame 6"] == macs["uniform 6"] + 5 * 20 * 8  # five decisions among 20 skips
    assert macs["saliency 6"] == macs["uniform 6"] + 20 * (16 * 64 + 64)  # every frame is scored


def test_memory_is_that_of_each_command_quarter_by_quarter(settings):
    rows = memory.measure(settings)
    assert [row["what"] for row in rows] == ["train.py, 1 passes", "eval.py", "inference.py"]
    for row in rows:
        quarters = [row[f"quarter {number} (MB)"] for number in (1, 2, 3, 4)]
        assert row["videos"] == 8 and 100 < max(quarters) < 10_000  # TensorFlow alone takes as much


def test_training_times_full_steps(settings):
    row = training.measure_case(settings, training.Case("student", "none", batch_size=4))
    assert row["steps_timed"] == 1
    assert row["examples_per_s"] == pytest.approx(4 / row["s_per_step"])
    assert row["peak_memory_mb"] > 100  # TensorFlow alone takes as much


@pytest.mark.parametrize("scheme", ["serial", "parallel"])
def test_distillation_trains_a_student_of_a_teacher(settings, scheme):
    distiller, sampler = training._trainer(settings, training.Case(scheme, "none", batch_size=4))
    assert distiller.distillation_config.scheme == scheme
    assert distiller.teacher.sampler is None
    assert distiller.student.sampler.num_sampled_frames == 6
    assert sampler is None  # the pipeline gives the teacher all frames


def test_metrics_equal_plain_python(settings):
    row = metrics.measure_gain(settings)
    assert row["videos"] == 64
    seconds = row["accumulate_s"] + row["result_s"]
    assert row["times_plain_python"] == pytest.approx(row["plain_python_s"] / seconds)


def test_startup_times_the_first_prediction(settings):
    tracing, second = startup.measure_first_prediction(settings, budget=6)[-2:]
    assert second["seconds"] < tracing["seconds"]
