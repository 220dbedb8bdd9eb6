"""`frames.py`, `yt8m-frames`: pictures of the frames that selectors and a trained model read of single videos."""

from __future__ import annotations

import logging
import os
import re

from absl import flags

from yt8m_distill.cli.command import run_command
from yt8m_distill.cli.common_flags import define_checkpoint_flag, define_num_frames_flag, on_num_frames

_logger = logging.getLogger(__name__)
_DEFAULT_BUDGET = 10  # for the selectors beside a model that reads all frames


def main(argv=None) -> int:
    description = "draws, video by video, the frames that selectors and a trained model read, and where classes show."
    return run_command("frames.py", description, _define_flags, _run, argv)


def _define_flags(groups):
    group = "Pictures"
    groups.add(group, flags.DEFINE_string, "train_dir", "", "The model's train_dir.")
    define_checkpoint_flag(groups, group)
    groups.add(
        group, flags.DEFINE_string, "input_data_pattern", "", "Globs of TFRecords, of which the first videos are taken."
    )
    groups.add(group, flags.DEFINE_string, "output_dir", "", "Where the pictures go, a PNG a video.")
    groups.add(group, flags.DEFINE_integer, "num_videos", 10, "How many videos.", lower_bound=1)
    define_num_frames_flag(groups, group)
    groups.add(
        group,
        flags.DEFINE_integer,
        "window",
        15,
        "Frames that the model sees at once for the scores along time.",
        lower_bound=1,
    )
    groups.add(group, flags.DEFINE_string, "vocabulary", "", "The dataset's CSV of class names.")


def _run(values):
    for name in ("train_dir", "input_data_pattern", "output_dir"):
        if not values[name].value:
            raise ValueError(f"--{name} must not be empty.")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise ValueError("Pictures need matplotlib: pip install 'yt8m_distill[report]'") from None

    from yt8m_distill.analysis.video_pictures import read_videos
    from yt8m_distill.data import check_first_record, list_record_files, read_vocabulary, readable_errors
    from yt8m_distill.models import checkpoint_path, load_model_at, load_model_config

    config = load_model_config(values.train_dir)
    if not config.frame_level:
        raise ValueError(f"{values.train_dir} holds a {config.model}, which reads mean features and chooses no frames.")
    if config.has_frame_budget:
        config = on_num_frames(config, values)
    model = load_model_at(config, checkpoint_path(values.train_dir, values.checkpoint))
    budget = config.num_slots if config.has_frame_budget else values.num_sampled_frames or _DEFAULT_BUDGET
    files = list_record_files(values.input_data_pattern, "input")
    check_first_record(files, model.schema)
    names = read_vocabulary(values.vocabulary, config.num_classes) if values.vocabulary else None
    os.makedirs(values.output_dir, exist_ok=True)
    with readable_errors(files, model.schema):
        readings = read_videos(model, files, values.num_videos, min(budget, config.max_frames), values.window)
        _draw(values.output_dir, readings, names)


def _draw(output_dir, readings, names):
    from yt8m_distill.analysis.plots import save_figure
    from yt8m_distill.analysis.video_pictures import spread_evenly
    from yt8m_distill.analysis.video_plots import chosen_figure, video_figure

    chosen, uniform = [], []
    for number, reading in enumerate(readings):
        path = os.path.join(output_dir, f"{number:03d}_{_file_name(reading.video_id)}.png")
        save_figure(video_figure(reading, names), path)
        _logger.info("%s: %d frames, %d read", path, reading.num_frames, len(reading.chosen[-1][1]))
        chosen.append(reading.chosen[-1][1])
        uniform.append(spread_evenly(reading.num_frames, len(chosen[-1])))
    if not chosen:
        raise ValueError("These records hold no video with frames.")
    path = os.path.join(output_dir, "chosen_against_uniform.png")
    save_figure(chosen_figure(chosen, uniform), path)
    _logger.info("%s: all %d videos", path, len(chosen))


def _file_name(video_id):
    """A video's id without what a path must not hold; ids are other people's text."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", video_id)[:40]
