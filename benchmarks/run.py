"""Speed and memory of the package, measured side by side: `python benchmarks/run.py`.

    python benchmarks/run.py                                   # everything, full size: about half an hour on 2 cores
    python benchmarks/run.py --sections=reader,inference --output_json=benchmark.json
    python benchmarks/run.py --device=cpu                      # leave a GPU alone
    python benchmarks/run.py --smoke                           # tiny sizes: does everything work?

Each section runs in a process of its own, on the GPU if TensorFlow finds one, and ends with a table; the JSON, written
after each section, holds the same rows with all digits, the machine and the settings. Ratios compare what was timed
in turn, within seconds of each other: they hold on a busy machine, too, where the times themselves do not. What a row
means is said by the `measure` of its section, `benchmarks/<section>.py`.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # neither the benchmark nor, perhaps, the package is installed

from benchmarks.processes import in_fresh_process  # noqa: E402
from benchmarks.settings import Settings  # noqa: E402
from benchmarks.table import format_table  # noqa: E402

SECTIONS = ("reader", "inference", "selection", "training", "metrics", "memory", "startup", "weak_device")
OK, USER_ERROR = 0, 2


def main(argv=None) -> int:
    args = _parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # for the sections' processes
    if args.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    machine = in_fresh_process(_describe_machine)
    if args.device == "gpu" and machine["device"] != "gpu":
        print("benchmarks/run.py: error: --device=gpu, but TensorFlow finds no GPU.", file=sys.stderr)
        return USER_ERROR
    print(format_table([machine]), flush=True)
    with tempfile.TemporaryDirectory(dir=args.work_dir) as work_dir:
        settings = Settings.for_smoke(work_dir) if args.smoke else Settings(work_dir)
        report = {"machine": machine, "settings": dataclasses.asdict(settings), "sections": {}}
        for section in args.sections:
            report["sections"][section] = _run_section(section, settings)
            if args.output_json:
                _write(args.output_json, report)
    return OK


def _run_section(section, settings):
    """Measures one section, prints its table and returns what the JSON holds of it."""
    start = time.perf_counter()
    load_average = os.getloadavg()[0]
    rows = in_fresh_process(_measure, section, settings)
    seconds = time.perf_counter() - start
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    print(f"\n{section} ({seconds:.0f} s, load average before it {load_average:.1f})")
    print(format_table(rows), flush=True)
    return {"load_average": load_average, "seconds": seconds, "rows": rows}


def _write(path, report):
    # Not at the top: every section's process imports this module, and some of them need no TensorFlow.
    from yt8m_distill.data.atomic_file import open_atomic

    with open_atomic(path) as file:
        file.write(json.dumps(report, indent=2) + "\n")


def _measure(section, settings):
    return importlib.import_module(f"benchmarks.{section}").measure(settings)


def _describe_machine():
    from benchmarks.machine import describe_machine

    return describe_machine()


def _parse_args(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--smoke", action="store_true", help="tiny sizes")
    parser.add_argument("--sections", type=_sections, default=SECTIONS, help=f"any of {','.join(SECTIONS)}")
    parser.add_argument("--output_json", default="", help="write all rows to this file, too")
    parser.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto", help="gpu: fail without one")
    parser.add_argument("--work_dir", default=None, help="where the records go, 1 GB for a while")
    return parser.parse_args(argv)


def _sections(text):
    sections = tuple(text.split(","))
    unknown = [section for section in sections if section not in SECTIONS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no section {unknown[0]!r}; there are {', '.join(SECTIONS)}")
    return sections


if __name__ == "__main__":
    sys.exit(main())
