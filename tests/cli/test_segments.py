"""The 2019 challenge by the commands alone: trained on videos, evaluated and submitted on segments, scored."""

import json
import math
import types

import numpy as np
import pytest

from tests.metrics import plain_python_metrics as plain
from tests.records import make_ratings, make_videos, write_segments, write_videos
from tests.training.tiny_runs import read_scalars
from yt8m_distill.cli import eval as eval_command
from yt8m_distill.cli import inference, segment_eval_inference, train
from yt8m_distill.data import RecordSchema
from yt8m_distill.models import load_model

SCHEMA = RecordSchema(("rgb",), (4,), frame_features=True, num_classes=6, max_frames=15)
# Every rated segment has a frame at least, so that the submission can hold it.
VIDEOS = make_videos(SCHEMA, 12, num_frames=[15, 11, 13])
RATINGS = make_ratings(VIDEOS, SCHEMA)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model that train.py made from labelled videos, and the challenge's records."""
    folder = tmp_path_factory.mktemp("segments")
    write_videos(folder, make_videos(SCHEMA, 16, seed=1), SCHEMA, prefix="train")
    write_segments(folder, VIDEOS, RATINGS, SCHEMA, num_shards=2, prefix="validate")
    write_videos(folder, VIDEOS, SCHEMA, prefix="test", labels=None)
    train_dir = folder / "model"
    argv = [f"--train_data_pattern={folder}/train*", f"--train_dir={train_dir}", "--frame_features"]
    argv += ["--feature_names=rgb", "--feature_sizes=4", "--num_classes=6", "--max_frames=15", "--batch_size=8"]
    assert train.main(["train.py", *argv, "--model=FrameLevelLogisticModel", "--num_epochs=1"]) == 0
    return types.SimpleNamespace(folder=folder, train_dir=train_dir, model=load_model(str(train_dir)))


@pytest.fixture(scope="module")
def predictions(trained):
    """By the model alone: {(video id, start): float32 [6]} of all segments of all videos."""
    found = {}
    for video in VIDEOS:
        for start in range(0, len(video.frames), 5):
            frames = video.frames[start : start + 5][None]
            inputs = {"frames": frames, "num_frames": np.array([frames.shape[1]], np.int32)}
            found[video.video_id, start] = trained.model(inputs)["predictions"].numpy()[0]
    return found


def map_in_plain_python(listed_of_class):
    """mAP of {class: segments (id, start) with scores} against the ratings."""
    average_precisions = []
    for c in range(6):
        positives = {}
        for video, ratings in zip(VIDEOS, RATINGS):
            positives.update({(video.video_id, start): score > 0 for rated, start, score in ratings if rated == c})
        if any(positives.values()):
            listed = listed_of_class.get(c, {})
            pairs = [(listed[segment], positive) for segment, positive in positives.items() if segment in listed]
            average_precisions.append(plain.average_precision(pairs, sum(positives.values())))
    return math.fsum(average_precisions) / len(average_precisions)


def infer(trained, output, *flags):
    argv = [f"--train_dir={trained.train_dir}", f"--input_data_pattern={trained.folder}/test*", "--segment_labels"]
    assert inference.main(["inference.py", *argv, f"--output_file={output}", "--batch_size=7", *flags]) == 0
    header, *rows = output.read_text().splitlines()
    assert header == "Class,Segments"
    parts = {int(row.partition(",")[0]): row.partition(",")[2].split(" ") for row in rows}
    return {c: [(text.split(":")[0], int(text.split(":")[1])) for text in listed] for c, listed in parts.items()}


def score(trained, submission, *flags):
    output = submission.with_suffix(".json")
    argv = [f"--submission_file={submission}", f"--eval_data_pattern={trained.folder}/validate*"]
    argv += [f"--output_metrics_json={output}", *flags]
    assert segment_eval_inference.main(["segment_eval_inference.py", *argv]) == 0
    return json.loads(output.read_text())


def test_eval_on_segments(trained, predictions, tmp_path, capsys):
    output = tmp_path / "metrics.json"
    argv = [f"--train_dir={trained.train_dir}", f"--eval_data_pattern={trained.folder}/validate*", "--run_once"]
    argv += ["--segment_labels", "--batch_size=9", f"--output_metrics_json={output}"]
    assert eval_command.main(["eval.py", *argv]) == 0
    metrics = json.loads(output.read_text())
    of_class = {c: {segment: float(p[c]) for segment, p in predictions.items()} for c in range(6)}
    expected = map_in_plain_python(of_class)
    assert 0 < expected < 1 and metrics["segment_map"] == pytest.approx(expected, rel=1e-9)
    num_segments = sum(len({start for _, start, _ in ratings}) for ratings in RATINGS)
    assert metrics["num_examples"] == num_segments

    lines = capsys.readouterr().err.splitlines()
    pairs = metrics["num_rated_pairs"]
    assert pairs == sum(len({rating[:2] for rating in ratings}) for ratings in RATINGS)
    assert f"Segment mAP: {expected:.6f} over {pairs} rated pairs" in lines
    assert lines[-1] == f"Total: examples_processed: {num_segments}"
    scalars = read_scalars(trained.train_dir / "eval")
    assert set(scalars) == {
        *(f"GlobalStep/SegEval_{name}" for name in ("Hit@1", "Perr", "Loss", "Example_Second")),
        *(f"Epoch/SegEval_{name}" for name in ("Avg_Hit@1", "Avg_Perr", "Avg_Loss", "MAP", "GAP", "Segment_MAP")),
    }
    assert scalars["Epoch/SegEval_Segment_MAP"] == [(2, pytest.approx(expected))]


def test_a_submission_of_all_segments_scores_as_eval_does(trained, predictions, tmp_path, capsys):
    rows = infer(trained, tmp_path / "all.csv")
    assert list(rows) == list(range(6))
    for c, listed in rows.items():
        assert set(listed) == set(predictions)
        scores = [predictions[segment][c] for segment in listed]
        np.testing.assert_allclose(scores, sorted(scores, reverse=True), rtol=1e-6)
    of_class = {c: {segment: float(p[c]) for segment, p in predictions.items()} for c in range(6)}
    capsys.readouterr()
    metrics = score(trained, tmp_path / "all.csv")
    expected = map_in_plain_python(of_class)
    assert metrics["segment_map"] == pytest.approx(expected, rel=1e-9)
    assert metrics["num_rated_pairs"] == metrics["num_rated_pairs_submitted"]
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == f"Num classes: {metrics['num_classes']} | mAP@0: {expected:.6f}"


@pytest.mark.parametrize(
    "flags, whitelist, top_n",
    [
        (["--top_k=2"], None, 0),
        (["--top_k=1", "--segment_max_pred=8"], None, 5),
        (["--segment_max_pred=6"], "Index\n4\n0\n1\n", 0),
    ],
    ids=["few classes of a segment", "few segments of a class", "whitelist"],
)
def test_what_inference_writes_is_scored_as_by_hand(trained, predictions, flags, whitelist, top_n, tmp_path):
    if whitelist:
        (tmp_path / "ids.csv").write_text(whitelist)
        flags = [*flags, f"--segment_label_ids_file={tmp_path / 'ids.csv'}"]
    rows = infer(trained, tmp_path / "some.csv", *flags)
    settings = dict(flag.strip("-").split("=") for flag in flags)
    classes = [0, 1, 4] if whitelist else range(6)
    expected = {}
    for (video_id, start), scores in predictions.items():
        for c in sorted(classes, key=lambda c: -scores[c])[: int(settings.get("top_k", 20))]:
            expected.setdefault(c, []).append((-scores[c], video_id, start))
    limit = int(settings.get("segment_max_pred", 100000))
    listed = {c: [entry[1:] for entry in sorted(expected[c])[:limit]] for c in sorted(expected)}
    assert list(rows.items()) == list(listed.items())
    metrics = score(trained, tmp_path / "some.csv", f"--top_n={top_n}")
    best = {c: segments[: top_n or None] for c, segments in listed.items()}
    ranked = {c: {segment: -rank for rank, segment in enumerate(segments)} for c, segments in best.items()}
    assert metrics["segment_map"] == pytest.approx(map_in_plain_python(ranked), rel=1e-9)
    assert metrics["top_n"] == top_n


def test_batches_change_nothing(trained, tmp_path):
    assert infer(trained, tmp_path / "one.csv") == infer(trained, tmp_path / "other.csv", "--batch_size=512")


def test_the_label_cache_stands_for_the_records(trained, tmp_path, capsys):
    infer(trained, tmp_path / "all.csv")
    cache = f"--label_cache={tmp_path / 'cache.csv'}"
    metrics = score(trained, tmp_path / "all.csv", cache)
    assert (tmp_path / "cache.csv").read_text().count("\n") == metrics["num_rated_pairs"]
    capsys.readouterr()
    assert score(trained, tmp_path / "all.csv", cache, "--eval_data_pattern=none") == metrics
    assert f"Reading the ratings from {tmp_path / 'cache.csv'}" in capsys.readouterr().err


def test_the_originals_five_bugs(trained, tmp_path):
    """A header, ids as text, the last id of a line, classes that were not rated, classes that were left out."""
    ratings = {}
    for video, of_video in zip(VIDEOS, RATINGS):
        for c, start, rating in of_video:
            ratings.setdefault(c, {})[f"{video.video_id}:{start}"] = rating
    best = {c: sorted(of_class, key=lambda segment: -of_class[segment]) for c, of_class in ratings.items()}
    best[999] = ["x:0"]
    num_classes = sum(max(of_class.values()) > 0 for of_class in ratings.values())
    rows = "".join(f"{c},{' '.join(listed)}\n" for c, listed in best.items())
    for name, text in (("header", "Class,Segments\n" + rows), ("plain", rows), ("last", rows.rstrip("\n"))):
        (tmp_path / name).write_text(text)
        assert score(trained, tmp_path / name)["segment_map"] == 1.0
    # Positives last of their line: the only ones of each.
    rows = "".join(f"{c},x:0 {best[c][0]}\n" for c in best if c < 999)
    (tmp_path / "end.csv").write_text(rows)
    positives = [sum(map(bool, of_class.values())) for of_class in ratings.values()]
    expected = sum(1 / number for number in positives if number) / num_classes
    assert score(trained, tmp_path / "end.csv")["segment_map"] == pytest.approx(expected)
    # One class alone.
    only = next(c for c, of_class in ratings.items() if max(of_class.values()) > 0)
    (tmp_path / "one.csv").write_text(f"{only},{' '.join(best[only])}\n")
    assert score(trained, tmp_path / "one.csv")["segment_map"] == pytest.approx(1 / num_classes)
