"""`study.py`, `yt8m-study`: every run of a declared grid, and the report on them."""

from __future__ import annotations

import os

from absl import flags

from yt8m_distill.cli.command import run_command
from yt8m_distill.cli.common_flags import num_cores

_MOST_PROCESSES = 8
_PATTERNS = ("train_data_pattern", "eval_data_pattern")


def main(argv=None) -> int:
    return run_command(
        "study.py",
        "runs a grid of models, frame budgets, distillations and seeds, and reports on it. Interrupted, the same "
        "command goes on.",
        _define_flags,
        _run,
        argv,
    )


def _define_flags(groups):
    group = "Study"
    groups.add(
        group, flags.DEFINE_string, "grid", "", "JSON file that declares the runs, such as studies/audioset.json."
    )
    groups.add(group, flags.DEFINE_string, "output_dir", "", "Where runs, results.csv and report.md go.")
    for of in _PATTERNS:
        groups.add(group, flags.DEFINE_string, of, "", "Globs of records to use instead of those that the grid names.")
    groups.add(
        group,
        flags.DEFINE_integer,
        "num_processes",
        None,
        "Runs at the same time. The default is 1 on a GPU, else the number of cores, at most 8.",
        lower_bound=1,
    )
    groups.add(
        group,
        flags.DEFINE_string,
        "only",
        "",
        "Only runs whose name has a match of this regular expression, and their teachers.",
    )
    groups.add(group, flags.DEFINE_boolean, "list", False, "Print the names of the runs and which are done, and stop.")
    groups.add(group, flags.DEFINE_boolean, "report_only", False, "Write the report on what is done, and stop.")
    groups.add(
        group, flags.DEFINE_boolean, "smoke", False, "Instead of --grid: a tiny one on synthetic records, in a minute."
    )


def _run(values):
    from yt8m_distill.analysis.study import Study
    from yt8m_distill.analysis.study_grid import make_grid, read_grid
    from yt8m_distill.analysis.study_smoke import smoke_grid, write_smoke_records
    from yt8m_distill.analysis.study_timing import write_timings

    if not values.output_dir:
        raise ValueError("--output_dir must be given.")
    if bool(values.grid) == values.smoke:
        raise ValueError("Give either --grid, the JSON file that declares the runs, or --smoke.")
    patterns = {name: getattr(values, name) for name in _PATTERNS if getattr(values, name)}
    if values.smoke and patterns:
        raise ValueError(f"--smoke makes its own records and takes no --{next(iter(patterns))}.")
    if values.smoke:
        data_dir = os.path.join(values.output_dir, "data")
        write_smoke_records(data_dir)
        grid = make_grid(smoke_grid(data_dir))
    else:
        grid = read_grid(values.grid, patterns)
    study = Study(grid, values.output_dir, values.only)
    if values.list:
        for run in study.runs:
            print(f"{'done' if study.rows_of(run) else '-':5}{run.name}")
    elif values.report_only:
        _write_report(study)
    else:
        failed = study.execute(*_processes_and_threads(values.num_processes))
        write_timings(study.study_dir, [run for run in grid.runs if study.rows_of(run)])
        _write_report(study)
        if failed:
            names = ", ".join(failed)
            raise ValueError(
                f"{len(failed)} of {len(study.runs)} runs failed: {names}. The same command tries them again."
            )


def _write_report(study):
    from yt8m_distill.analysis.report import write_report

    study.write_results()
    print(f"The report is {write_report(study.study_dir)}")


def _processes_and_threads(num_processes):
    import tensorflow as tf

    if num_processes is None:
        num_processes = 1 if tf.config.list_physical_devices("GPU") else min(num_cores(), _MOST_PROCESSES)
    return num_processes, max(1, num_cores() // num_processes)
