"""`export_model.py`, `yt8m-export`: a trained model as a SavedModel, or for a weak device as a LiteRT model."""

from __future__ import annotations

import logging
import os

from absl import flags

from yt8m_distill.cli.command import run_command
from yt8m_distill.cli.common_flags import define_checkpoint_flag, define_num_frames_flag, on_num_frames

_logger = logging.getLogger(__name__)

# Of the YouTube-8M challenge of 2018, for a model without compression.
_CHALLENGE_BYTES = 10**9


def main(argv=None) -> int:
    return run_command(
        "export_model.py", "exports a trained model as a SavedModel or a LiteRT model.", _define_flags, _run, argv
    )


def _define_flags(groups):
    group = "Export"
    groups.add(group, flags.DEFINE_string, "train_dir", "", "The model to export.")
    groups.add(group, flags.DEFINE_string, "output_dir", "", "Directory to write; must not exist, or be empty.")
    define_checkpoint_flag(groups, group)
    define_num_frames_flag(groups, group)
    groups.add(
        group,
        flags.DEFINE_enum,
        "format",
        "saved_model",
        ["saved_model", "litert"],
        "saved_model: for servers; takes records. litert: model.tflite for phones and boards; takes the frames that "
        "the student reads of one video, and model.json says which.",
    )
    groups.add(
        group,
        flags.DEFINE_enum,
        "precision",
        "float32",
        ["float32", "float16", "int8"],
        "Of the weights; int8 (dynamic range) for litert only.",
    )
    groups.add(
        group,
        flags.DEFINE_integer,
        "top_k",
        20,
        "Classes that a SavedModel's serving_default returns.",
        lower_bound=1,
    )
    group = "Check of a LiteRT model"
    groups.add(
        group,
        flags.DEFINE_string,
        "check_data_pattern",
        "",
        "Globs of labelled TFRecords: states how much GAP the exported model loses on them.",
    )
    groups.add(group, flags.DEFINE_integer, "check_max_videos", 1000, "Videos to check at most.", lower_bound=1)


def _run(values):
    from yt8m_distill.models import checkpoint_path, load_model_at, load_model_config

    for name in ("train_dir", "output_dir"):
        if not values[name].value:
            raise ValueError(f"--{name} must not be empty.")
    if values.check_data_pattern and values.format != "litert":
        raise ValueError("--check_data_pattern checks LiteRT models only. Add --format=litert, or leave it out.")
    if values["check_max_videos"].present and not values.check_data_pattern:
        raise ValueError("--check_max_videos needs --check_data_pattern.")
    if values["top_k"].present and values.format == "litert":
        raise ValueError("--top_k is for SavedModels; a LiteRT model returns all classes. Leave it out.")
    if values.precision == "int8" and values.format != "litert":
        raise ValueError("--precision=int8 is for LiteRT models. Add --format=litert, or use --precision=float16.")
    config = on_num_frames(load_model_config(values.train_dir), values)
    model = load_model_at(config, checkpoint_path(values.train_dir, values.checkpoint))
    if values.format == "litert":
        _export_litert(values, model)
        return
    from yt8m_distill.serving import export_saved_model

    export_saved_model(model, values.output_dir, values.top_k, values.precision)
    _logger.info("SavedModel written to %s", values.output_dir)
    _log_size(values)


def _export_litert(values, model):
    from yt8m_distill.cli.export_check import compare_on_records
    from yt8m_distill.data import check_first_record, list_record_files
    from yt8m_distill.serving import LiteRtModel, export_litert

    files = []
    if values.check_data_pattern:
        files = list_record_files(values.check_data_pattern, "check")
        check_first_record(files, model.schema)
    export_litert(model, values.output_dir, values.precision)
    _logger.info("LiteRT model written to %s", values.output_dir)
    _log_size(values)
    if files:
        found = compare_on_records(model, LiteRtModel(values.output_dir), files, values.check_max_videos)
        _logger.info(
            "GAP over %d videos: %.5f of the exported model, %.5f of the trained one, difference %+.5f. "
            "Largest difference of a prediction: %.2g",
            found.num_videos,
            found.exported_gap,
            found.gap,
            found.exported_gap - found.gap,
            found.largest_difference,
        )


def _log_size(values):
    size = _num_bytes(values.output_dir)
    verdict = "within" if size <= _CHALLENGE_BYTES else "above"
    _logger.info("Size: %.1f MB, %s the 1 GB of the YouTube-8M challenge of 2018.", size / 1e6, verdict)
    if size > _CHALLENGE_BYTES and values.precision == "float32":
        _logger.warning("--precision=float16 takes half of it.")


def _num_bytes(directory):
    import tensorflow as tf

    return sum(
        tf.io.gfile.stat(os.path.join(folder, name)).length
        for folder, _, names in tf.io.gfile.walk(directory)
        for name in names
    )
