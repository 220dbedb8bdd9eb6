"""A study: every run of a grid once, in several processes, as often interrupted as it may be; then the report.

<study_dir>/grid.json           the grid
<study_dir>/results.csv         a row a finished run (see `study_run.COLUMNS`), in the order of the grid
<study_dir>/timings.csv         how long the models take, see `study_timing.write_timings`
<study_dir>/report.md           the report, see `report.write_report`
<study_dir>/runs/<run>/         train/ (the train_dir), run.json (what it is), row.json (what came of it), log.txt
<study_dir>/runs/cache_of_<teachers>/   the same of a teacher cache, which is in cache/
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import logging
import os
import re
import shutil
import time
import traceback

import pandas as pd
import tensorflow as tf

from yt8m_distill.analysis.study_cache import StudyCache
from yt8m_distill.analysis.study_grid import StudyGrid
from yt8m_distill.analysis.study_run import COLUMNS, StudyRun, data_fingerprint, run_dir_of
from yt8m_distill.data.atomic_file import open_atomic
from yt8m_distill.data.directory_lock import lock_directory
from yt8m_distill.worker_pool import ThisProcess, WorkerPool

_logger = logging.getLogger(__name__)
_ASKED, _ROW = "run.json", "row.json"
_USER_ERRORS = (ValueError, OSError, ImportError, tf.errors.OpError)


@dataclasses.dataclass(frozen=True)
class _Task:
    """A run or a cache of a study, with the digest of what it is asked for."""

    run: StudyRun | StudyCache
    study_dir: str
    digest: str


class Study:
    """The runs of a grid and what has come of them in a directory.

    Args:
      grid: what to run.
      study_dir: local directory; made if it is missing.
      only: regular expression; runs whose names it matches, and their teachers. "" for all.

    Raises:
      DataError: no records under a pattern of the grid.
      ValueError: `only` is no regular expression, or matches no run.
    """

    def __init__(self, grid: StudyGrid, study_dir: str, only: str = ""):
        self.grid = grid
        self.study_dir = study_dir
        self._by_name = {run.name: run for run in (*grid.runs, *grid.caches)}
        self._digests = self._digests_of_runs()
        self.runs = _selected(self._by_name, only)
        self._finished_runs = {}  # what has been read of them

    def rows_of(self, run: StudyRun | StudyCache) -> list[dict] | None:
        """The rows of a finished run (none of a cache); None if it is not, or was another run under this name."""
        finished = self._finished(run)
        return finished["rows"] if finished else None

    def _finished(self, run):
        if run.name not in self._finished_runs:
            row = _read_json(os.path.join(self._directory(run), _ROW))
            if not row or row["digest"] != self._digests[run.name]:
                return None
            self._finished_runs[run.name] = row
        return self._finished_runs[run.name]

    def execute(self, num_processes: int, num_threads: int) -> dict[str, str]:
        """Executes the runs that are not finished, and writes results.csv after each.

        Args:
          num_processes: runs at the same time. 1 executes them in this process.
          num_threads: of TensorFlow in each process; not used in this process.

        Returns:
          Error by name of each run that failed; a run whose teacher failed is one of them.
        """
        self.write_results()
        waiting = [run for run in _in_order_of_execution(self.runs) if self.rows_of(run) is None]
        self._report_changed(waiting)
        progress = _StudyProgress(len(self.runs), len(waiting), num_processes)
        failed = {}
        if num_processes == 1:
            pool = ThisProcess(_execute_task)
        else:
            pool = WorkerPool(num_processes, _execute_task, functools.partial(_share_machine, num_threads))
        with pool:
            while waiting or pool.is_busy:
                self._submit_ready(waiting, failed, pool)
                for task, error in pool.wait() if pool.is_busy else []:
                    if error is not None:
                        failed[task.run.name] = str(error)
                        progress.show_failed(task.run.name, str(error))
                        continue
                    self.write_results()
                    progress.show_finished(task.run.name, self._finished(task.run))
        return failed

    def write_results(self) -> None:
        """Writes grid.json, and results.csv of all finished runs of the grid."""
        os.makedirs(self.study_dir, exist_ok=True)
        self._check_same_study()
        _write_json(os.path.join(self.study_dir, "grid.json"), self.grid.source)
        rows = [row for run in self.grid.runs for row in self.rows_of(run) or []]
        table = pd.DataFrame(rows, columns=list(COLUMNS))
        for name in ("num_sampled_frames", "seed", "macs", "params", "steps", "num_epochs"):
            table[name] = table[name].astype("Int64")  # integers, some of them empty
        with open_atomic(os.path.join(self.study_dir, "results.csv")) as file:
            table.to_csv(file, index=False, lineterminator="\n")

    def _check_same_study(self):
        """A study may grow; another one must not delete its runs, which may have the same names."""
        before = _read_json(os.path.join(self.study_dir, "grid.json")) or self.grid.source
        for name in ("title", "train_data_pattern", "eval_data_pattern"):
            if before[name] != self.grid.source[name]:
                raise ValueError(
                    f"{self.study_dir} holds another study: its {name} is {before[name]!r}, this one's "
                    f"{self.grid.source[name]!r}. Give another --output_dir."
                )

    def _submit_ready(self, waiting, failed, pool):
        for run in list(waiting):
            lost = [name for name in run.needs if name in failed]
            if lost:
                failed[run.name] = f"needs {lost[0]}, which failed"
                waiting.remove(run)
            elif pool.has_room and all(self.rows_of(self._by_name[name]) is not None for name in run.needs):
                waiting.remove(run)
                pool.submit(_Task(run, self.study_dir, self._digests[run.name]))

    def _report_changed(self, waiting):
        changed = [run.name for run in waiting if _is_of_another(self._directory(run), self._digests[run.name])]
        if changed:
            _logger.warning(
                "The grid, the data or a teacher has changed: %d run(s) are done anew, %s%s.",
                len(changed),
                ", ".join(changed[:3]),
                ", ..." if len(changed) > 3 else "",
            )

    def _directory(self, run):
        return run_dir_of(self.study_dir, run.name)

    def _digests_of_runs(self):
        digests, fingerprints = {}, {}
        for run in self._by_name.values():  # teachers first
            if run.data_patterns not in fingerprints:
                fingerprints[run.data_patterns] = data_fingerprint(*run.data_patterns)
            of_teachers = [digests[name] for name in run.learned_from]
            digests[run.name] = run.digest(fingerprints[run.data_patterns], of_teachers)
        return digests


def _selected(runs, only):
    """The runs whose names match, and all that they need, by name."""
    try:
        names = [name for name in runs if re.search(only, name)]
    except re.error as error:
        raise ValueError(f"{only!r} is not a regular expression: {error}.") from error
    if not names:
        raise ValueError(f"No run's name matches {only!r}. The first of {len(runs)} is {next(iter(runs))!r}.")
    for name in names:
        names += [needed for needed in runs[name].needs if needed not in names]
    return [run for run in runs.values() if run.name in names]


def _in_order_of_execution(runs):
    """What others need, then seed by seed: an unfinished study has some seeds of all methods."""
    needed = {name for run in runs for name in run.needs}
    first = [run for run in runs if run.name in needed]
    return first + sorted((run for run in runs if run.name not in needed), key=lambda run: run.seed)


def _share_machine(num_threads):
    """Limits what this process takes of the cores and of a GPU's memory, before it uses either."""
    tf.config.threading.set_intra_op_parallelism_threads(num_threads)
    tf.config.threading.set_inter_op_parallelism_threads(num_threads)
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)


def _execute_task(task: _Task) -> str | None:
    """Executes a run and writes its rows; returns the error of one that failed."""
    directory = run_dir_of(task.study_dir, task.run.name)
    os.makedirs(directory, exist_ok=True)
    with _logged_to(os.path.join(directory, "log.txt")):
        try:
            with lock_directory(directory, ".lock", f"{directory} is in use: another study.py executes this run"):
                _prepare(directory, task)
                started = time.perf_counter()
                rows = task.run.execute(task.study_dir)
                seconds = round(time.perf_counter() - started, 2)
                _write_json(os.path.join(directory, _ROW), {"digest": task.digest, "seconds": seconds, "rows": rows})
        except _USER_ERRORS as error:
            traceback.print_exc()
            return " ".join(str(error).split()) or type(error).__name__
    return None


def _prepare(directory, task):
    """Deletes what another run of this name left, so that this one does not go on from it."""
    if _is_of_another(directory, task.digest):
        with contextlib.suppress(FileNotFoundError):
            os.remove(os.path.join(directory, _ROW))
        for name in ("train", "cache"):
            shutil.rmtree(os.path.join(directory, name), ignore_errors=True)
    _write_json(os.path.join(directory, _ASKED), {"digest": task.digest, "run": dataclasses.asdict(task.run)})


def _is_of_another(directory, digest):
    begun = _read_json(os.path.join(directory, _ASKED))
    return begun is not None and begun["digest"] != digest


class _StudyProgress:
    """A line for each run that ends: how many are done, how it went, how long the others will take."""

    def __init__(self, num_runs, num_waiting, num_processes):
        self._num_runs = num_runs
        self._num_done = num_runs - num_waiting
        self._num_failed = 0
        self._num_processes = num_processes
        self._seconds = []
        _logger.info("%d of %d runs are done.", self._num_done, num_runs)

    def show_finished(self, name, finished):
        self._num_done += 1
        self._seconds.append(finished["seconds"])
        left = self._num_runs - self._num_done - self._num_failed
        seconds = int(left * sum(self._seconds) / len(self._seconds) / self._num_processes)
        _logger.info(
            "%d of %d runs | time left %d:%02d:%02d | %s",
            self._num_done,
            self._num_runs,
            seconds // 3600,
            seconds // 60 % 60,
            seconds % 60,
            name + (f": GAP {finished['rows'][-1]['gap']:.4f}" if finished["rows"] else ""),
        )

    def show_failed(self, name, error):
        self._num_failed += 1
        _logger.error("%d of %d runs | %s FAILED: %s", self._num_done, self._num_runs, name, error)


@contextlib.contextmanager
def _logged_to(path):
    """Sends what a run has to say into its own file."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    with open(path, "a", encoding="utf-8", buffering=1) as file, contextlib.redirect_stderr(file):
        root.handlers[:] = [logging.StreamHandler(file)]
        root.setLevel(logging.INFO)
        try:
            yield
        finally:
            root.handlers[:] = handlers
            root.setLevel(level)


def _read_json(path):
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def _write_json(path, content):
    with open_atomic(path) as file:
        file.write(json.dumps(content, indent=2) + "\n")
