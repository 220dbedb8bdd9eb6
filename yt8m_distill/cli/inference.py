"""`inference.py`, `yt8m-inference`: a trained model's predictions as a Kaggle submission CSV or as JSON lines."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import tempfile

from absl import flags

from yt8m_distill.cli.command import run_command
from yt8m_distill.cli.common_flags import (
    create_strategy_from,
    define_bad_records_flag,
    define_checkpoint_flag,
    define_num_frames_flag,
    define_prediction_flags,
    define_strategy_flags,
    on_num_frames,
    skipped_records_from,
)
from yt8m_distill.cli.inference_shards import check_shard_flags, define_shard_flags, merge_shards, shard_from
from yt8m_distill.cli.segment_inference import (
    check_reads_segments,
    check_segment_flags,
    define_segment_flags,
    write_segment_predictions,
)
from yt8m_distill.cli.video_inference import (
    check_format_flags,
    define_format_flags,
    prediction_writer,
    write_video_predictions,
)

_logger = logging.getLogger(__name__)


def main(argv=None) -> int:
    return run_command(
        "inference.py", "writes predictions as a submission CSV or as JSON lines.", _define_flags, _run, argv
    )


def _define_flags(groups):
    group = "Inference"
    groups.add(group, flags.DEFINE_string, "train_dir", "", "The model: a train_dir,")
    groups.add(group, flags.DEFINE_string, "input_model_tgz", "", "or an archive made with --output_model_tgz.")
    groups.add(group, flags.DEFINE_string, "untar_model_dir", "/tmp/yt8m-model", "Where to unpack the archive.")
    define_checkpoint_flag(groups, group)
    define_num_frames_flag(groups, group)
    groups.add(group, flags.DEFINE_string, "input_data_pattern", "", "Globs of the TFRecords to classify.")
    groups.add(group, flags.DEFINE_string, "output_file", "", "The file to write.")
    groups.add(
        group,
        flags.DEFINE_string,
        "output_model_tgz",
        "",
        "Pack the model of --train_dir into this archive. Of several shards, the first one does it.",
    )
    groups.add(group, flags.DEFINE_integer, "top_k", 20, "Predictions a video, or a segment.", lower_bound=1)
    define_prediction_flags(groups, group)
    define_bad_records_flag(groups, group)
    define_format_flags(groups)
    define_segment_flags(groups)
    define_shard_flags(groups)
    define_strategy_flags(groups)


def _run(values):
    check_shard_flags(values)
    if values.merge_shards:
        merge_shards(values)
        return
    if bool(values.train_dir) == bool(values.input_model_tgz):
        raise ValueError("Give exactly one of --train_dir and --input_model_tgz.")
    if values.output_model_tgz and values.input_model_tgz:
        raise ValueError("--output_model_tgz packs a --train_dir, not an archive.")
    if not values.output_file and not values.output_model_tgz:
        raise ValueError("--output_file must not be empty.")
    if values.output_file and not values.input_data_pattern:
        raise ValueError("--input_data_pattern must not be empty.")
    if values.output_model_tgz and values.num_sampled_frames is not None:
        raise ValueError("--output_model_tgz packs the model as it was trained. Leave out --num_sampled_frames.")
    check_segment_flags(values)
    check_format_flags(values)
    shard = shard_from(values)
    with _model_dir(values, shard) as train_dir:
        _infer(values, train_dir, shard)


@contextlib.contextmanager
def _model_dir(values, shard):
    """The directory of the model, unpacked if it comes in an archive, and kept from other processes meanwhile."""
    from yt8m_distill.data.directory_lock import lock_directory
    from yt8m_distill.serving import unpack_model

    if not values.input_model_tgz:
        yield values.train_dir
        return
    # Shards on one machine must not replace the model that another is reading.
    directory = shard.part_of(values.untar_model_dir) if shard else values.untar_model_dir
    name = hashlib.sha256(os.path.realpath(directory).encode()).hexdigest()[:16]
    refusal = f"Another inference.py uses --untar_model_dir={directory}. Wait for it, or give another directory"
    with lock_directory(tempfile.gettempdir(), f".yt8m_untar_{name}.lock", refusal):
        unpack_model(values.input_model_tgz, directory)
        yield directory


def _infer(values, train_dir, shard):
    from yt8m_distill.models import checkpoint_path
    from yt8m_distill.serving import pack_model

    path = checkpoint_path(train_dir, values.checkpoint)
    if values.output_model_tgz and (shard is None or shard.index == 0):
        pack_model(os.path.join(train_dir, "model_flags.json"), path, values.output_model_tgz)
        _logger.info("Tarred model onto %s", values.output_model_tgz)
    if values.output_file:
        with skipped_records_from(values) as skipped:
            _write_predictions(values, train_dir, path, shard, skipped)


def _write_predictions(values, train_dir, path, shard, skipped):
    from yt8m_distill.data import check_first_record, list_record_files
    from yt8m_distill.models import load_model_at, load_model_config
    from yt8m_distill.serving import describe_run, write_part

    strategy = create_strategy_from(values, stands_alone=True)
    files = list_record_files(values.input_data_pattern, "input")
    own_files = shard.share_of(files) if shard else files
    share = f" of {len(files)}, the share of shard {shard.index} of {shard.count}" if shard else ""
    _logger.info("number of input files: %d%s", len(own_files), share)
    config = on_num_frames(load_model_config(train_dir), values)
    if values.segment_labels:
        check_reads_segments(config)
    check_first_record(files, config.schema, skip_bad=skipped is not None)
    write = prediction_writer(values, config.num_classes)
    with strategy.scope():
        model = load_model_at(config, path)
    if values.segment_labels:
        write_segment_predictions(values, model, files, strategy, skipped)
        return
    predict = functools.partial(write_video_predictions, values, model, own_files, strategy, write, skipped=skipped)
    if shard is None:
        predict(values.output_file)
        return
    settings = {name: values[name].value for name in ("output_format", "top_k", "vocabulary", "bad_records")}
    write_part(values.output_file, shard, describe_run(config, path, files, **settings), predict)
    _logger.info(
        "This is part %d of %d. When all are there: inference.py --merge_shards --num_shards=%d --output_file=%s",
        shard.index,
        shard.count,
        shard.count,
        values.output_file,
    )
