"""Runs every command of the README, on records of a few videos and with models of a few cells."""

import dataclasses
import importlib
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.file_server import FileServer
from tests.records import make_ratings, make_videos, record_of, write_records, write_segments, write_videos
from yt8m_distill.cli.command import FlagGroups
from yt8m_distill.data import RecordSchema

README = (Path(__file__).parents[1] / "README.md").read_text()
# These build environments or run this very suite: .ci/run runs them, on both stacks.
RUN_BY_CI = ("make ", "pip install", "python -m venv")
RUN_BY_OTHER_TESTS = ("python benchmarks/run.py",)  # tests/benchmarks
# The commands are for the real dataset; their last flags shrink them here.
SMALLER = {
    "train.py": ["--num_epochs=1", "--batch_size=4"],
    # Building the graphs of recurrent layers takes minutes; `make demo` and tests/cli/test_workflow.py train these.
    "--regularization_penalty=2": ["--model=FrameLevelLogisticModel"],
    "synthetic.py": ["--num_workers=1", "--max_frames=12", "--num_shards=1", "--num_videos=4"],
    "studies/": ["--list"],  # tests/analysis and `--smoke` run studies
    "--model=NeXtVLADModel": ["--nextvlad_cluster_size=2", "--nextvlad_hidden_size=8", "--groups=2"]
    + ["--batch_size=2", "--export_model_steps=1", "--max_steps=3", "--num_epochs=2"],
}


def code_blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands():
    lines = "\n".join(code_blocks("bash")).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A directory with the README's data under the README's names."""
    root = tmp_path_factory.mktemp("readme")
    schemas = {
        "yt8m/frame": RecordSchema(("rgb", "audio"), (1024, 128), frame_features=True),
        "yt8m/video": RecordSchema(("mean_rgb", "mean_audio"), (1024, 128)),
        "audioset": RecordSchema(("audio_embedding",), (128,), frame_features=True, num_classes=527, max_frames=10),
    }
    for folder, schema in schemas.items():
        (root / folder).mkdir(parents=True)
        for prefix in ("train", "validate", "test"):
            write_videos(root / folder, make_videos(schema, 4), schema, prefix=prefix)
    schema = schemas["yt8m/frame"]
    videos = make_videos(schema, 4)
    (root / "yt8m/segments").mkdir()
    write_segments(root / "yt8m/segments", videos, make_ratings(videos, schema), schema, prefix="validate")
    (root / "yt8m/segment_label_ids.csv").write_text("Index\n" + "".join(f"{number}\n" for number in range(0, 3862, 2)))
    shutil.copytree(Path(__file__).parents[1] / "studies", root / "studies")
    names = "".join(f'{number},"class {number}"\n' for number in range(3862))
    (root / "yt8m/vocabulary.csv").write_text("Index,Name\n" + names)
    return root


@pytest.fixture
def server(tmp_path):
    """The dataset's server, with a shard of other videos."""
    schema = RecordSchema(("rgb", "audio"), (1024, 128), frame_features=True)
    others = [dataclasses.replace(video, video_id=f"other {video.video_id}") for video in make_videos(schema, 2)]
    shard = Path(write_records(tmp_path / "shard", [record_of(video, schema) for video in others]))
    with FileServer() as server:
        server.add_partition("2/frame/train", {"trainb7.tfrecord": shard.read_bytes()})
        yield server


def test_every_command_of_the_readme_runs(dataset, server, monkeypatch, capsys):
    monkeypatch.chdir(dataset)
    monkeypatch.setitem(SMALLER, "download.py", [f"--base_url={server.url}", "--shard=1,1"])
    ran = []
    for command in commands():
        if " ".join(command).startswith(RUN_BY_CI + RUN_BY_OTHER_TESTS):
            continue
        assert command[0] == "python", command
        program = command[1]
        module = importlib.import_module("yt8m_distill.cli." + program.removesuffix(".py"))
        smaller = [flag for word, flags in SMALLER.items() if any(word in part for part in command) for flag in flags]
        status = module.main(command[1:] + smaller)
        assert status == 0, (command, capsys.readouterr().err)
        ran.append(program)
    doors = {path.name for path in (Path(__file__).parents[1]).glob("*.py")} - {"setup.py"}
    assert set(ran) == doors
    assert Path("yt8m/frame/train0121.tfrecord").exists()  # b7, in base 62
    assert Path("submission.csv").read_text() == Path("again.csv").read_text()
    assert {path.name for path in Path("student_litert").iterdir()} == {"model.tflite", "model.json"}


def test_every_flag_that_is_named_exists():
    defined = set()
    for door in Path(__file__).parents[1].glob("*.py"):
        if door.name != "setup.py":
            groups = FlagGroups()
            importlib.import_module(f"yt8m_distill.cli.{door.stem}")._define_flags(groups)
            defined |= set(groups.values)
    prose = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    named = set(re.findall(r"--([a-z]\w*)", prose))
    assert {"frame_sampling", "ema_decay"} <= named
    of_families = {name for name in named if name.endswith("_")}  # --dbof_*
    assert named - of_families <= defined | {"help"}
    assert all(any(flag.startswith(family) for flag in defined) for family in of_families)


def test_the_python_example_runs():
    (example,) = code_blocks("python")
    frames = np.random.default_rng(0).integers(0, 256, (2, 300, 1152), dtype=np.uint8)
    exec(example, {"frames": frames, "num_frames": np.array([170, 3], np.int32)})
