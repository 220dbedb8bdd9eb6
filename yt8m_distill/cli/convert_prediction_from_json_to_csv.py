"""`convert_prediction_from_json_to_csv.py`: predictions in JSON lines as a submission CSV."""

from __future__ import annotations

import logging

from absl import flags

from yt8m_distill.cli.command import run_command

_NAME = "convert_prediction_from_json_to_csv.py"
_logger = logging.getLogger(__name__)


def main(argv=None) -> int:
    return run_command(_NAME, "converts predictions in JSON lines to a submission CSV.", _define_flags, _run, argv)


def _define_flags(groups):
    group = "Conversion"
    groups.add(
        group,
        flags.DEFINE_string,
        "json_prediction_files_pattern",
        "",
        "Globs of the predictions, written by inference.py --output_format=jsonl or by batch prediction with a "
        "SavedModel: one JSON object a line.",
    )
    groups.add(group, flags.DEFINE_string, "csv_output_file", "", "The CSV to write.")


def _run(values):
    from yt8m_distill.data import list_record_files
    from yt8m_distill.serving import json_lines_to_submission

    for name in ("json_prediction_files_pattern", "csv_output_file"):
        if not values[name].value:
            raise ValueError(f"--{name} must not be empty.")
    files = list_record_files(values.json_prediction_files_pattern, "prediction")
    total = json_lines_to_submission(files, values.csv_output_file)
    _logger.info("%d predictions of %d file(s) written to %s", total, len(files), values.csv_output_file)
