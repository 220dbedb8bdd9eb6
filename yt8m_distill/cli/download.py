"""`download.py`, `yt8m-download`: the shards of a partition of YouTube-8M, complete and verified."""

from __future__ import annotations

import contextlib
import logging

from absl import flags

from yt8m_distill.cli.command import run_command
from yt8m_distill.cli.common_flags import integer_list

_MAX_REASONS = 3
_logger = logging.getLogger(__name__)


def main(argv=None) -> int:
    description = "downloads a partition of YouTube-8M, goes on where it was interrupted, verifies every file."
    return run_command("download.py", description, _define_flags, _run, argv)


def _define_flags(groups):
    group = "What"
    groups.add(
        group,
        flags.DEFINE_string,
        "partition",
        "",
        "<version>/<kind>/<split>, for instance 2/frame/train: version 2 is the release of 2018, 3 has the rated "
        "segments; kind is video or frame; split is train, validate or test. Kinds of version 1 are video_level and "
        "frame_level.",
    )
    groups.add(
        group,
        flags.DEFINE_string,
        "shard",
        "1,1",
        "X,Y for part X of Y of the files, 1 <= X <= Y; 1,100 is a hundredth. The parts are those of the dataset's own "
        "script.",
    )
    groups.add(group, flags.DEFINE_boolean, "list", False, "Print what would be fetched, and fetch only the plan.")
    group = "From"
    groups.add(group, flags.DEFINE_enum, "mirror", "us", ["us", "eu", "asia"], "The server nearest to you.")
    groups.add(
        group,
        flags.DEFINE_string,
        "base_url",
        "",
        "A private mirror with the same folders, instead: <base_url>/2/download_plans/frame_train.json and "
        "<base_url>/2/frame/train/trainaa.tfrecord.",
    )
    groups.add(group, flags.DEFINE_integer, "num_parallel", 8, "Files at a time.", lower_bound=1, upper_bound=256)
    groups.add(
        group,
        flags.DEFINE_integer,
        "num_retries",
        5,
        "Further tries at a file that brings nothing new; none where the server says 403 or 404.",
        lower_bound=0,
    )
    group = "To"
    groups.add(
        group,
        flags.DEFINE_string,
        "output_dir",
        "",
        "Where the files go. A file is <name>.part until it is complete and has the right checksum.",
    )
    groups.add(
        group, flags.DEFINE_float, "keep_free_gb", 1.0, "Space to leave free on that disk, in GB.", lower_bound=0.0
    )
    groups.add(
        group, flags.DEFINE_boolean, "verify", False, "Read all files again, those verified by earlier runs included."
    )


def _run(values):
    from yt8m_distill.data.download.http import HttpClient, HttpOptions
    from yt8m_distill.data.download.plan import select_shard
    from yt8m_distill.data.download.source import Source, fetch_plan, keep_plan

    for name in ("partition",) if values.list else ("partition", "output_dir"):
        if not values[name].value:
            raise ValueError(f"--{name} must not be empty.")
    shard = integer_list("shard", values.shard)
    if len(shard) != 2 or not 1 <= shard[0] <= shard[1]:
        raise ValueError(f"--shard is X,Y for part X of Y, 1 <= X <= Y. Received: {values.shard!r}.")
    if not values.keep_free_gb <= 1e12:  # nor is it nan
        raise ValueError(f"--keep_free_gb is in GB. Received: {values.keep_free_gb}.")
    source = Source(values.partition, values.mirror, values.base_url)
    options = HttpOptions(num_retries=values.num_retries)
    try:
        plan, is_online = fetch_plan(source, HttpClient(options), values.output_dir)
        files = select_shard(plan, *shard)
        _logger.info("%s: %d files, of which %d in shard %s.", source.plan_url, len(plan), len(files), values.shard)
        if values.list:
            _list(files, source, values.output_dir)
            return
        if is_online:
            keep_plan(source, plan, values.output_dir)
        report = _download(files, source, values, options, is_online)
    except KeyboardInterrupt:
        _logger.info("Interrupted. The same command goes on where this one stopped.")
        raise
    _tell(report, values.output_dir)


def _list(files, source, output_dir):
    from yt8m_distill.data.download.state import VerifiedFiles

    verified = VerifiedFiles(output_dir) if output_dir else None
    missing = [file for file in files if not (verified and verified.knows(file.local_name, file.md5))]
    for file in missing:
        print(f"{file.local_name}\t{source.file_url(file.name)}\t{file.md5}")
    _logger.info("%d files to fetch; %d are there and verified.", len(missing), len(files) - len(missing))


def _download(files, source, values, options, is_online):
    from yt8m_distill.data.download.downloader import download_files

    with _progress_line() as show:
        return download_files(
            files,
            source.file_url,
            values.output_dir,
            num_parallel=values.num_parallel,
            keep_free=round(values.keep_free_gb * 1e9),
            verify_all=values.verify,
            may_download=is_online,
            options=options,
            on_progress=show,
        )


def _tell(report, output_dir):
    """States the outcome; OSError if a file is missing."""
    from yt8m_distill.data.download.downloader import ALREADY_THERE, DOWNLOADED
    from yt8m_distill.data.download.space import format_bytes

    there = f"{report.count(DOWNLOADED)} downloaded, {report.count(ALREADY_THERE)} already there"
    if report.is_complete:
        received = format_bytes(report.bytes_received)
        _logger.info("All %d files in %s are verified: %s; %s received.", report.num_files, output_dir, there, received)
        return
    parts = [f"{len(report.failures)} of {report.num_files} files failed ({there})"]
    reasons = [f"{file.name}: {file.reason}" for file in report.failures if file.reason not in report.stopped]
    parts += reasons[:_MAX_REASONS]
    if len(reasons) > _MAX_REASONS:
        parts.append(f"and {len(reasons) - _MAX_REASONS} more")
    if report.stopped:
        num_left = report.num_files - len(report.results)
        parts.append(f"stopped with {num_left} files not tried, because {report.stopped}")
    raise OSError("; ".join(parts) + ". The same command tries again what is missing.")


@contextlib.contextmanager
def _progress_line():
    """Yields a function (DownloadProgress) -> None that keeps a line of progress up to date."""
    from yt8m_distill.data.download.space import format_bytes
    from yt8m_distill.training.progress import Progress

    line = Progress(None, "bytes")
    received = 0

    def show(progress):
        nonlocal received
        line.count(progress.bytes_received - received)
        received = progress.bytes_received
        line.total = progress.bytes_expected
        if line.is_due():
            there = f"{progress.files_done} of {progress.num_files} files | {format_bytes(progress.bytes_there)}"
            line.show(progress.bytes_there, f"{there} | {line.rate / 1e6:.1f} MB/s")

    line.start_timing()
    try:
        yield show
    finally:
        line.close()
