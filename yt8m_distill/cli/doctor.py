"""`doctor.py`, `yt8m-doctor`: examines TFRecord files, says what is wrong with them and which flags fit them."""

from __future__ import annotations

import contextlib
import json
import sys

from absl import flags

from yt8m_distill.cli.command import run_command
from yt8m_distill.cli.common_flags import comma_list, integer_list, num_cores

# Less is examined by this process sooner than others have imported TensorFlow.
_BYTES_WORTH_PROCESSES = 1_000_000_000
_NAMED_FILES = 3


def main(argv=None) -> int:
    description = "examines TFRecord files: damage, what they hold, whether they fit each other, flags for train.py."
    return run_command("doctor.py", description, _define_flags, _run, argv, positional_flag="input_data_pattern")


def _define_flags(groups):
    group = "Input"
    groups.add(
        group,
        flags.DEFINE_string,
        "input_data_pattern",
        "",
        "Files to examine, as globs separated by commas; may be given without the name of this flag.",
    )
    groups.add(
        group,
        flags.DEFINE_boolean,
        "lengths_only",
        False,
        "Look for truncated files alone. Quick, since it reads no record; a damaged record goes unnoticed.",
    )
    group = "What the records should be"
    groups.add(
        group, flags.DEFINE_integer, "num_classes", None, "A label that is not below this is a flaw.", lower_bound=2
    )
    groups.add(
        group,
        flags.DEFINE_integer,
        "max_frames",
        None,
        "Videos with more frames than this are counted; without it, than 300.",
        lower_bound=1,
    )
    groups.add(
        group,
        flags.DEFINE_string,
        "feature_names",
        "",
        "Features that each record must have; without it, those that most records have.",
    )
    groups.add(group, flags.DEFINE_string, "feature_sizes", "", "Their widths.")
    group = "Output"
    groups.add(group, flags.DEFINE_string, "output_json", "", "Write all figures and problems to this file, too.")
    group = "Machine"
    groups.add(
        group,
        flags.DEFINE_integer,
        "num_processes",
        None,
        "Files examined at once; the default is one a core, or 1 for less than 1 GB.",
        lower_bound=1,
    )


def _run(values):
    from yt8m_distill.cli.doctor_report import diagnose, lengths_dict, lengths_lines, report_dict, report_lines
    from yt8m_distill.data import DataError, list_record_files
    from yt8m_distill.data.atomic_file import open_atomic
    from yt8m_distill.data.doctor.examination import Expectations
    from yt8m_distill.data.doctor.record_doctor import examine_files

    if not values.input_data_pattern:
        raise ValueError("Which files? For example: doctor.py 'yt8m/frame/train*.tfrecord'.")
    expected = Expectations(values.num_classes, _feature_sizes(values))
    files = list_record_files(values.input_data_pattern)
    # Opened first: who cannot write there should not learn it after hours.
    output = open_atomic(values.output_json) if values.output_json else contextlib.nullcontext()
    with output as file:
        with _progress_line(files) as (show, num_bytes):
            num_processes = values.num_processes or (num_cores() if num_bytes > _BYTES_WORTH_PROCESSES else 1)
            examination = examine_files(files, expected, values.lengths_only, min(num_processes, len(files)), show)
        diagnosis = diagnose(examination, expected, values.max_frames)
        lines, figures = (lengths_lines, lengths_dict) if values.lengths_only else (report_lines, report_dict)
        print("\n".join(lines(diagnosis)))
        if file is not None:
            json.dump({"input_data_pattern": values.input_data_pattern, **figures(diagnosis)}, file, indent=1)
            file.write("\n")
    sys.stdout.flush()  # before the line on standard error
    if diagnosis.problems:
        raise DataError(_summary(diagnosis))


def _feature_sizes(values):
    if not values.feature_names and not values.feature_sizes:
        return {}
    from yt8m_distill.data import RecordSchema

    names, sizes = comma_list(values.feature_names), integer_list("feature_sizes", values.feature_sizes)
    RecordSchema(names, sizes)  # raises what is wrong with them
    return dict(zip(names, sizes))


@contextlib.contextmanager
def _progress_line(files):
    """Yields a function (number of files, bytes done) -> None that keeps a line up to date, and the bytes of all."""
    import tensorflow as tf

    from yt8m_distill.training.progress import Progress

    num_bytes = 0
    for path in files:
        with contextlib.suppress(tf.errors.OpError):  # the examination says what is wrong with it
            num_bytes += tf.io.gfile.stat(path).length
    progress = Progress(num_bytes, "bytes")

    def show(num_files, done):
        progress.reach(done)
        if num_files == len(files) or progress.is_due():
            progress.show(done, f"{num_files} of {len(files)} files | {progress.rate / 1e6:.0f} MB/s")

    progress.start_timing()
    try:
        yield show, num_bytes
    finally:
        progress.close()


def _summary(diagnosis):
    """One line: how many files have problems of each kind, and the first of them with what is wrong."""
    reports = diagnosis.examination.files
    damaged = [report.path for report in reports if report.is_damaged]
    others = [path for path in diagnosis.problems if path not in set(damaged)]
    named = [f"{path}: {diagnosis.problems[path][0]}" for path in (damaged + others)[:_NAMED_FILES]]
    counts = [
        f"{len(paths)} of {len(reports)} files {'is' if len(paths) == 1 else 'are'} {problem}"
        for paths, problem in ((damaged, "damaged"), (others, "flawed or inconsistent"))
        if paths
    ]
    more = "; ..." if len(diagnosis.problems) > _NAMED_FILES else ""
    return f"{' and '.join(counts)}: {'; '.join(named)}{more}"
