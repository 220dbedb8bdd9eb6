"""`doctor.py`: what it prints, writes and returns; what the figures are is tested with the library."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tests.records import (
    flip_bit,
    frame_record,
    make_ratings,
    make_videos,
    real_files,
    video_record,
    write_records,
    write_segments,
    write_videos,
)
from yt8m_distill.cli import doctor
from yt8m_distill.data import RecordSchema

FRAMES = RecordSchema(("rgb", "audio"), (8, 4), frame_features=True, num_classes=5, max_frames=20)
MEANS = RecordSchema(("mean_rgb", "mean_audio"), (8, 4), num_classes=5)
ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Folders of files: good ones; some of them cut off, damaged and odd; one of records that repeat."""
    root = tmp_path_factory.mktemp("places")
    for name in ("good", "bad", "twice", "rated"):
        (root / name).mkdir()
    videos = make_videos(FRAMES, 12, num_frames=[3, 8])
    write_videos(root / "good", videos, FRAMES, num_shards=3, id_key="video_id")
    files = write_videos(root / "bad", videos, FRAMES, num_shards=4)
    cut, flipped = pathlib.Path(files[1]), pathlib.Path(files[2])
    cut.write_bytes(cut.read_bytes()[:-10])
    flip_bit(flipped, 20)
    write_records(root / "bad" / "means.tfrecord", [video_record({"mean_rgb": [1.0] * 8}, "m", [9])])
    (root / "bad" / "page.tfrecord").write_text("<html>404 Not Found</html>")
    write_videos(root / "twice", videos, FRAMES, num_shards=2)
    write_videos(root / "twice", videos[5:7], FRAMES, prefix="again")
    write_segments(root / "rated", videos, make_ratings(videos, FRAMES), FRAMES)
    return root


def run(*argv):
    return doctor.main(["doctor.py", *map(str, argv)])


def test_good_files(places, capsys):
    assert run(f"{places}/good/*.tfrecord") == 0
    out, err = capsys.readouterr()
    assert "error" not in err and "100%" in err
    rows = dict(line.split("  ", 1) for line in out.split("\n\n")[0].splitlines() if line[0] != " ")
    rows = {name: text.strip() for name, text in rows.items()}
    assert rows["files"] == "3: 3 good, 0 with problems"
    assert rows["records"] == "12: 12 good, 0 flawed, 0 damaged"
    assert (rows["kind"], rows["key of the id"]) == ("frame-level", "video_id; 12 different ids")
    assert rows["features"] == "audio: bytes 4 a frame, in 12 records"
    assert rows["frames a video"] == "3 to 8, median 5.5, mean 5.5"
    assert rows["labelled videos"] == "12" and "Problems" not in out
    flags = "--frame_features --feature_names=rgb,audio --feature_sizes=8,4 --num_classes=4716 --max_frames=8"
    assert f"\nFlags for this data:\n  {flags}\n  (--num_classes is a guess: " in out


def test_problems_are_listed_and_end_with_status_2(places, tmp_path, capsys):
    bad, output = places / "bad", tmp_path / "doctor.json"
    assert run(f"{bad}/*", f"--output_json={output}", "--num_classes=5") == 2
    out, err = capsys.readouterr()
    problems = [
        f"{bad}/means.tfrecord: record 0: label 9 is outside [0, num_classes=5)",
        f"{bad}/means.tfrecord: 1 of 1 records are video-level; most are frame-level",
        f"{bad}/page.tfrecord: is not a TFRecord file, but an HTML page, perhaps of a failed download",
        f"{bad}/shard01.tfrecord: truncated in record 2, of which 10 bytes are missing",
        f"{bad}/shard02.tfrecord: record 0 fails its checksum",
    ]
    assert out.split("Problems:\n")[1].split("\n\n")[0].splitlines() == problems
    assert "records          14: 10 good, 1 flawed, 3 damaged" in out
    last = err.splitlines()[-1]
    assert last.startswith("doctor.py: error: 3 of 6 files are damaged and 1 of 6 files is flawed or inconsistent: ")
    assert f"{bad}/page.tfrecord: is not" in last and last.endswith("; ...")
    written = json.loads(output.read_text())
    assert (written["num_files"], written["num_files_with_problems"], written["num_problems"]) == (6, 4, 5)
    assert (written["num_good"], written["num_flawed"], written["num_damaged"]) == (10, 1, 3)
    assert [f"{file['path']}: {problem}" for file in written["files"] for problem in file["problems"]] == problems
    assert [file["ends_early"] for file in written["files"]] == [False, True, False, True, False, False]
    assert [file["is_damaged"] for file in written["files"]] == [False, True, False, True, True, False]


def test_json_has_all_figures(places, tmp_path):
    output = tmp_path / "doctor.json"
    assert run(f"{places}/rated/*", f"--output_json={output}", "--max_frames=5") == 0
    written = json.loads(output.read_text())
    assert written["num_frames"] == {"min": 3, "median": 5.5, "mean": 5.5, "max": 8, "counts": {"3": 6, "8": 6}}
    assert (written["max_frames"], written["num_videos_beyond_max_frames"]) == (5, 6)
    assert written["kinds"] == {"frame-level": 12} and written["id_keys"] == {"id": 12}
    rgb = {"name": "rgb", "level": "frame-level", "dtype": "bytes", "width": 8, "num_records": 12}
    assert rgb in written["features"]
    assert written["segments"]["videos"] == 12
    assert {"--segment_labels", "--max_frames=5"} <= set(written["flags"])
    assert sum(written["labels"]["counts"].values()) == sum(
        int(number) * count for number, count in written["labels_of_a_video"]["counts"].items()
    )


def test_ids_that_occur_more_than_once(places, capsys):
    folder = places / "twice"
    assert run(f"{folder}/*") == 2
    out, err = capsys.readouterr()
    assert f"{folder}/again00.tfrecord: 2 of 2 records have an id that occurs more than once" in out
    assert "Ids that occur more than once: 2\n" in out
    assert f"'v005': {folder}/again00.tfrecord record 0, {folder}/shard00.tfrecord record 5\n" in out
    assert "3 of 3 files are flawed or inconsistent" in err


def test_lengths_alone(places, tmp_path, capsys):
    output = tmp_path / "doctor.json"
    assert run(f"{places}/good/*", "--lengths_only") == 0
    assert capsys.readouterr().out.startswith("files  3: 3 good, 0 with problems\nbytes  ")
    assert run(f"{places}/bad/*", "--lengths_only", f"--output_json={output}") == 2
    out, err = capsys.readouterr()
    assert "truncated in record 2" in out and "fails its checksum" not in out and "records" not in out
    assert "2 of 6 files are damaged" in err
    written = json.loads(output.read_text())
    assert written["num_damaged_files"] == 2 and "kinds" not in written and "flags" not in written


def test_only_the_first_problems_are_shown(tmp_path, capsys):
    write_records(tmp_path / "records", [video_record({"mean_rgb": [np.nan]}, f"v{number}") for number in range(130)])
    output = tmp_path / "doctor.json"
    assert run(tmp_path / "records", f"--output_json={output}") == 2
    out = capsys.readouterr().out
    assert "record 19: feature 'mean_rgb' holds NaN" in out and "record 20" not in out
    assert "... and 110 more; --output_json has the first 100 of each file" in out
    (file,) = json.loads(output.read_text())["files"]
    assert (len(file["problems"]), file["num_problems_left_out"]) == (100, 30)


@pytest.mark.parametrize(
    "argv, message",
    [
        ([], "Which files? For example: doctor.py 'yt8m/frame/train*.tfrecord'."),
        (["{places}/none*"], "Unable to find input files"),
        (["{places}/good/*", "--input_data_pattern=x"], "Unexpected argument '{places}/good/*' beside"),
        (["{places}/good/*", "--feature_names=rgb"], "--feature_sizes must list whole numbers"),
        (["{places}/good/*", "--feature_names=rgb", "--feature_sizes=8,4"], "must list the same number of features"),
        (["{places}/good/*", "--feature_sizes=8"], "feature_names must be distinct and not empty"),
        (["{places}/good/*", "--num_classes=1"], "--num_classes"),
        (["{places}/good/*", "--num_processes=0"], "--num_processes"),
        (["{places}/good/*", "--output_json={places}/good"], "{places}/good"),
    ],
)
def test_says_what_is_wrong(argv, message, places, capsys):
    assert run(*(argument.format(places=places) for argument in argv)) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("doctor.py: error: ") and message.format(places=places) in error


def test_expected_features(places, capsys):
    assert run(f"{places}/good/*", "--feature_names=rgb, audio", "--feature_sizes=8,4") == 0
    assert run(f"{places}/good/*", "--feature_names=rgb", "--feature_sizes=1024") == 2
    assert "not 1024 as --feature_sizes says" in capsys.readouterr().out


def test_a_long_video(tmp_path, capsys):
    path = write_records(tmp_path / "long", [frame_record({"rgb": np.ones([301, 2], np.uint8)}, labels=[1])])
    assert run(path) == 0
    out = capsys.readouterr().out
    assert "mean 301.0; 1 has more than 300" in out and "--max_frames=301" in out


def test_the_script_at_the_top_helps_without_tensorflow():
    code = (
        "import runpy, sys; sys.modules['tensorflow'] = None; sys.argv = ['doctor.py', '--help']; "
        "sys.path.insert(0, '.'); runpy.run_path('doctor.py', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "doctor.py [--flag=value ...] INPUT_DATA_PATTERN\n" in done.stdout


def test_real_records(capsys):
    real_files("yt8m_2017_video/*.tfrecord")
    assert run(ROOT.parent / "shared" / "data" / "yt8m_2017_video" / "*.tfrecord") == 0
    out = capsys.readouterr().out
    assert "531: 531 good, 0 flawed, 0 damaged" in out and "163 records without the key labels" in out
    assert "--feature_names=mean_rgb,mean_audio --feature_sizes=1024,128 --num_classes=4716\n" in out
