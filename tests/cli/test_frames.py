"""`frames.py`: the files that it writes, and what it says of wrong ones."""

import dataclasses

import pytest

from tests.records import make_videos, write_videos
from tests.training.tiny_runs import FRAMES, MEANS, model_config, save_model
from yt8m_distill.analysis import video_plots
from yt8m_distill.cli import frames

PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("places")
    videos = make_videos(FRAMES, 4, num_frames=[8, 0, 3])
    videos[0] = dataclasses.replace(videos[0], video_id="../a b")
    (folder / "records").mkdir()
    write_videos(folder / "records", videos, FRAMES)
    (folder / "empty").mkdir()
    write_videos(folder / "empty", make_videos(FRAMES, 2, num_frames=0), FRAMES)
    save_model(folder / "model", model_config("FrameLevelLogisticModel", FRAMES, num_sampled_frames=2).build())
    save_model(folder / "means", model_config("LogisticModel", MEANS).build())
    (folder / "vocabulary.csv").write_text("Index,Name\n0,cat\n1,\n2,dog\n")
    return folder


def draw(places, output, *flags):
    command = [f"--train_dir={places}/model", f"--input_data_pattern={places}/records/*", f"--output_dir={output}"]
    return frames.main(["frames.py", *command, *flags])


def test_a_picture_a_video_and_one_of_all(places, tmp_path, capsys):
    flags = [f"--vocabulary={places}/vocabulary.csv", "--window=3", "--num_sampled_frames=4"]
    assert draw(places, tmp_path / "pictures", *flags) == 0
    written = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert written[0] == "000____a_b.png" and written[-1] == "chosen_against_uniform.png" and len(written) == 4
    assert all((tmp_path / "pictures" / name).read_bytes().startswith(PNG) for name in written)
    assert "8 frames, 4 read" in capsys.readouterr().err


def test_a_model_is_compared_with_as_many_frames_spread_evenly(places, tmp_path, monkeypatch):
    seen = []

    def figure(chosen, uniform):
        seen.append([[len(indices) for indices in of_videos] for of_videos in (chosen, uniform)])
        return drawn(chosen, uniform)

    drawn = video_plots.chosen_figure
    monkeypatch.setattr(video_plots, "chosen_figure", figure)
    save_model(tmp_path / "teacher", model_config("FrameLevelLogisticModel", FRAMES).build())
    assert draw(places, tmp_path / "pictures", f"--train_dir={tmp_path}/teacher", "--window=3") == 0
    assert seen == [[[8, 3, 8], [8, 3, 8]]]


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--train_dir={places}/means"], "reads mean features and chooses no frames"),
        (["--train_dir={places}/nothing"], "Cannot find {places}/nothing/model_flags.json"),
        (["--input_data_pattern={places}/none*"], "Unable to find input files"),
        (["--input_data_pattern={places}/empty/*"], "hold no video with frames"),
        (["--output_dir="], "--output_dir must not be empty"),
        (["--vocabulary={places}/model/model_flags.json"], "model_flags.json"),
    ],
)
def test_says_what_is_wrong(flags, message, places, tmp_path, capsys):
    assert draw(places, tmp_path, *(flag.format(places=places) for flag in flags)) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("frames.py: error: ") and message.format(places=places) in error
