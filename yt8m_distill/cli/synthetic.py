"""`synthetic.py`, `yt8m-synthetic`: frame-level records made of real video-level ones."""

from __future__ import annotations

import contextlib
import os

from absl import flags

from yt8m_distill.cli.command import run_command
from yt8m_distill.cli.common_flags import num_cores

_FEATURES = {"mean_rgb": 1024, "mean_audio": 128}
_ROWS = {
    "std": "spread within a video (std)",
    "std_spread": "... how much it differs between values",
    "lag_1": "autocorrelation, 1 second",
    "lag_5": "autocorrelation, 5 seconds",
    "still_steps": "nearly still steps",
    "leading_directions": "variance in 10 leading directions",
    "clipped": "bytes 0 or 255",
}


def main(argv=None) -> int:
    description = "makes frame-level records of real video-level ones: real means and labels, invented frames."
    return run_command("synthetic.py", description, _define_flags, _run, argv)


def _define_flags(groups):
    group = "Input"
    groups.add(
        group,
        flags.DEFINE_string,
        "input_data_pattern",
        "",
        "Video-level records with mean_rgb and mean_audio, as globs separated by commas. All are held in memory, "
        "4.6 kB a video.",
    )
    groups.add(
        group, flags.DEFINE_integer, "num_classes", 3862, "Size of the label vocabulary (4716 in 2017).", lower_bound=2
    )
    group = "Output"
    groups.add(group, flags.DEFINE_string, "output_dir", "", "Where the shards go.")
    groups.add(group, flags.DEFINE_string, "prefix", "train", "Of the shards' names: train0000.tfrecord and so on.")
    groups.add(group, flags.DEFINE_integer, "num_shards", 10, "How many files.", lower_bound=1, upper_bound=10**4)
    groups.add(
        group,
        flags.DEFINE_integer,
        "num_videos",
        None,
        "Only so many, the first of the input; all without this flag. 0.27 MB a video.",
        lower_bound=1,
    )
    groups.add(group, flags.DEFINE_boolean, "overwrite", False, "Replace shards of that prefix in --output_dir.")
    group = "Videos"
    groups.add(group, flags.DEFINE_integer, "seed", 0, "Of all that is invented.", lower_bound=0)
    groups.add(group, flags.DEFINE_integer, "max_frames", 300, "The most frames of a video.", lower_bound=1)
    groups.add(
        group,
        flags.DEFINE_float,
        "mixed_share",
        1 / 3,
        "Share of the videos to mix: scenes of one or two other videos that share a label, with the labels of all.",
        lower_bound=0.0,
        upper_bound=1.0,
    )
    groups.values["mixed_share"].default_as_str = "a third"
    groups.add(
        group,
        flags.DEFINE_float,
        "telling_share",
        1.0,
        "Below 1, only this share of a video's frames is about its labels, in one to three shots anywhere in it; the "
        "others are of a few fillers, and no video is mixed.",
        lower_bound=0.0,
        upper_bound=1.0,
    )
    group = "Machine"
    groups.add(group, flags.DEFINE_integer, "num_workers", None, "Processes; the default is one a core.", lower_bound=1)


def _run(values):
    from yt8m_distill.data import RecordSchema, list_record_files
    from yt8m_distill.data.reframed_shards import read_video_means, write_reframed_shards
    from yt8m_distill.data.reframed_summary import summarize_reframed
    from yt8m_distill.data.reframing import ReframedVideos

    for name in ("input_data_pattern", "output_dir", "prefix"):
        if not values[name].value:
            raise ValueError(f"--{name} is missing.")
    if os.path.basename(values.prefix) != values.prefix:
        raise ValueError(f"--prefix is of file names; the folder is --output_dir. Received: {values.prefix!r}.")
    files = list_record_files(values.input_data_pattern)
    if values.overwrite and os.path.abspath(values.output_dir) in {os.path.dirname(os.path.abspath(f)) for f in files}:
        raise ValueError(f"--overwrite might delete the input, which is in --output_dir={values.output_dir}, too.")
    schema = RecordSchema(tuple(_FEATURES), tuple(_FEATURES.values()), num_classes=values.num_classes)
    means = read_video_means(files, schema)
    videos = ReframedVideos(means, values.seed, values.max_frames, values.mixed_share, values.telling_share)
    total = values.num_videos or len(videos)
    with _progress_line(total) as show:
        paths = write_reframed_shards(
            videos,
            values.output_dir,
            values.prefix,
            values.num_shards,
            total,
            values.num_workers or num_cores(),
            values.overwrite,
            show,
        )
    print(f"Wrote {total} videos: {paths[0]} to {os.path.basename(paths[-1])}.")
    _print_summary(summarize_reframed(paths, videos), means)


@contextlib.contextmanager
def _progress_line(total):
    """Yields a function (number of videos done, total) -> None that keeps a line of progress up to date."""
    from yt8m_distill.training.progress import Progress

    progress = Progress(total, "videos")

    def show(done, total):
        progress.reach(done)
        if done == total or progress.is_due():
            progress.show(done, f"{done} of {total} videos | {progress.rate:.0f} videos/s")

    progress.start_timing()
    try:
        yield show
    finally:
        progress.close()


def _print_summary(summary, means):
    import numpy as np
    import pandas as pd

    from yt8m_distill.data.frame_statistics import REAL_STATISTICS

    columns = {}
    for name, statistics in summary.statistics.items():
        columns[f"{name} written"] = [statistics[key] for key in _ROWS]
        columns[f"{name} real"] = [REAL_STATISTICS[name][key] for key in _ROWS]
    print(f"\n{summary.num_videos} of them, read back:")
    if columns:
        print("\n(real: the one frame-level record that the figures are known of, SjJ3, 170 frames)\n")
        print(pd.DataFrame(columns, index=list(_ROWS.values())).to_string(float_format="{:.3f}".format))
        print(
            "\nThe real video stands still in a title and a closing card; between these, 9 % of the steps are nearly"
            "\nstill in rgb and audio alike.\n"
        )
    frames = np.array(summary.num_frames)
    in_records = np.mean([len(labels) for labels in means.labels])
    lines = [
        f"Frames of a video: mean {frames.mean():.0f}, median {np.median(frames):.0f}, 300 in "
        f"{np.mean(frames == 300):.0%} (real: 230, 232, 29%).",
        f"Labels of a video: {np.mean(summary.num_labels):.1f} ({in_records:.1f} in the input); "
        f"{summary.mixed_share:.0%} of the videos have scenes of others.",
        f"Means: {summary.mean_residual:.4f} from those of the input, whose spread between videos is "
        f"{summary.mean_spread:.2f}.",
    ]
    print("\n".join(lines))
