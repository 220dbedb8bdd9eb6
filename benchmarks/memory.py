"""Memory over a long run: many small shards through train.py, eval.py and inference.py."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.records import real_lengths, write_records
from benchmarks.timing import report_progress

_ROOT = Path(__file__).resolve().parents[1]
_MODEL = "FrameLevelLogisticModel"
_SECONDS_BETWEEN_LOOKS = 0.2


def measure(settings) -> list[dict]:
    """A row a command: the most memory, MB (10^6 bytes), that its process held in each quarter of its time.

    The first quarter starts Python and TensorFlow and fills buffers. Memory that then grows would not last a day.
    """
    small = dataclasses.replace(settings, max_frames=settings.memory_max_frames)
    lengths = real_lengths(small.memory_videos_per_file, small.max_frames)
    report_progress("memory: writing records")
    write_records(small, "memory", lengths, small.memory_files)
    pattern = os.path.join(small.work_dir, "memory-*.tfrecord")
    train_dir = os.path.join(small.work_dir, "memory")
    features = [
        f"--feature_names={','.join(small.feature_names)}",
        f"--feature_sizes={','.join(map(str, small.feature_sizes))}",
        f"--num_classes={small.num_classes}",
        f"--max_frames={small.max_frames}",
    ]
    training = [f"--train_dir={train_dir}", f"--train_data_pattern={pattern}", "--frame_features", *features]
    training += [f"--model={_MODEL}", "--batch_size=128", f"--num_epochs={small.memory_epochs}"]
    csv = os.path.join(small.work_dir, "memory.csv")
    commands = {
        f"train.py, {small.memory_epochs} passes": ["train.py", *training],
        "eval.py": ["eval.py", f"--train_dir={train_dir}", f"--eval_data_pattern={pattern}", "--run_once"],
        "inference.py": [
            "inference.py",
            f"--train_dir={train_dir}",
            f"--input_data_pattern={pattern}",
            f"--output_file={csv}",
        ],
    }
    rows = []
    for name, arguments in commands.items():
        report_progress(f"memory: {name}")
        quarters = [max(part) for part in np.array_split(_megabytes_of_command(arguments), 4)]
        row = {"what": name, "videos": len(lengths) * small.memory_files}
        rows.append({**row, **{f"quarter {number} (MB)": most for number, most in enumerate(quarters, 1)}})
    return rows


def _megabytes_of_command(arguments):
    """What a process of this command holds, look after look, at least four times.

    Raises:
      subprocess.CalledProcessError: the command failed; its output says why.
    """
    command = [sys.executable, *arguments]
    megabytes = []
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            megabytes.append(_megabytes_of(process.pid))
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    megabytes = [value for value in megabytes if value]  # none of a process that has just ended
    return megabytes * 4 if len(megabytes) < 4 else megabytes


def _megabytes_of(pid):
    """What a process holds; 0 if it has ended."""
    if sys.platform == "linux":
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return 0.0
        kilobytes = next((line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")), 0)
    else:
        kilobytes = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True).stdout or 0
    return int(kilobytes) * 1024 / 1e6
