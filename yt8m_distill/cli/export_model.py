"""`export_model.py`, `yt8m-export`: a trained model as a SavedModel."""

from __future__ import annotations

import logging

from absl import flags

from yt8m_distill.cli.command import run_command
from yt8m_distill.cli.common_flags import define_checkpoint_flag

_logger = logging.getLogger(__name__)


def main(argv=None) -> int:
    return run_command(
        "export_model.py", "exports a trained model as a SavedModel.", _define_flags, _run, argv
    )


def _define_flags(groups):
    group = "Export"
    groups.add(group, flags.DEFINE_string, "train_dir", "", "The model to export.")
    groups.add(
        group, flags.DEFINE_string, "output_dir", "", "Directory to write; must not exist, or be empty."
    )
    define_checkpoint_flag(groups, group)
    groups.add(
        group, flags.DEFINE_integer, "top_k", 20, "Classes that serving_default returns.", lower_bound=1
    )


def _run(values):
    from yt8m_distill.models import load_model
    from yt8m_distill.serving import export_saved_model

    for name in ("train_dir", "output_dir"):
        if not values[name].value:
            raise ValueError(f"--{name} must not be empty.")
    model = load_model(values.train_dir, values.checkpoint)
    export_saved_model(model, values.output_dir, values.top_k)
    _logger.info("SavedModel written to %s", values.output_dir)
