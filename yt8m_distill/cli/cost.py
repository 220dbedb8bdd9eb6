"""`cost.py`, `yt8m-cost`: what one video costs each model with each frame budget, or a trained model by layer."""

from __future__ import annotations

import dataclasses
import sys

from absl import flags

from yt8m_distill.cli.command import run_command
from yt8m_distill.cli.common_flags import comma_list, integer_list
from yt8m_distill.cli.model_flags import define_hyperparameter_flags, given_hyperparameters

_BUDGETS = (30, 20, 15, 10, 6)
_GOES_WITH_TRAIN_DIR = ("train_dir", "format", "help", "debug")
# Keys of the rows of `cost_rows`, in the order of a CSV's columns.
_NUMBERS = ("frames", "macs", "share", "selection_macs", "num_choices", "encoder_macs", "classifier_macs", "params")
_NUMBERS += ("trainable_params", "weights_bytes", "bytes_read", "record_bytes", "paper_flops")


def main(argv=None) -> int:
    description = "counts what one video costs: multiply-accumulates, weights, bytes read."
    return run_command("cost.py", description, _define_flags, _run, argv)


def _define_flags(groups):
    group = "Cost"
    groups.add(group, flags.DEFINE_string, "model", "", "Models, separated by commas. The default is all of them.")
    groups.add(
        group,
        flags.DEFINE_string,
        "num_sampled_frames",
        None,
        "Frame budgets, separated by commas, beside the teacher that reads all frames: 30,20,15,10,6 by default.",
    )
    groups.add(
        group,
        flags.DEFINE_enum,
        "frame_sampling",
        None,
        ["skip_frame", "saliency"],
        "Let students choose their frames; what this costs is a column. Other ways to choose cost nothing.",
    )
    groups.add(
        group,
        flags.DEFINE_string,
        "train_dir",
        "",
        "Instead: a trained model (its model_flags.json is enough), layer by layer.",
    )
    groups.add(
        group,
        flags.DEFINE_enum,
        "format",
        "text",
        ["text", "csv"],
        "A table to read, or all numbers in full as a CSV (with --train_dir, those of the layers).",
    )
    group = "Dataset"
    groups.add(group, flags.DEFINE_string, "feature_names", "rgb,audio", "Names of the features.")
    groups.add(group, flags.DEFINE_string, "feature_sizes", "1024,128", "Width of each feature, in the same order.")
    groups.add(group, flags.DEFINE_integer, "num_classes", 3862, "Size of the label vocabulary (4716 in 2017).")
    groups.add(group, flags.DEFINE_integer, "max_frames", 300, "Frames of a video.")
    define_hyperparameter_flags(groups)


def _run(values):
    if values.train_dir:
        _print_trained_model(values)
    else:
        _print_models(values)


def _print_models(values):
    from yt8m_distill.analysis import cost_rows

    rows = [row for configs in _chosen_models(values) for row in cost_rows(configs)]
    if values.format == "csv":
        _print_csv([_csv_row(row) for row in rows])
    else:
        _print_table(rows)


def _print_trained_model(values):
    from yt8m_distill.analysis import cost_rows
    from yt8m_distill.models import load_model_config

    for name in values:
        if values[name].present and name not in _GOES_WITH_TRAIN_DIR:
            raise ValueError(f"--{name} does not go with --train_dir, whose model_flags.json says it.")
    config = load_model_config(values.train_dir)
    # A teacher is its own first row: `reading_all_frames` would give it the default number of blocks.
    sees_less = config.has_frame_budget or config.has_low_resolution
    rows = cost_rows([config.reading_all_frames(), config] if sees_less else [config])
    own = rows[-1]
    if values.format == "csv":
        _print_csv([{"layer": name, "macs": macs} for name, macs in own["layers"].items()])
        return
    _print_table(rows)
    print(f"\nThe {own['frames']} frames that {values.train_dir} reads, by layer:\n")
    _print_columns(
        {
            "layer": list(own["layers"]),
            "MACs": [f"{macs:,}" for macs in own["layers"].values()],
            "share": [f"{macs / own['macs']:.1%}" for macs in own["layers"].values()],
        }
    )


def _chosen_models(values):
    """For each model its configurations: all frames first, then the budgets."""
    from yt8m_distill.models import ZOO, ModelConfig
    from yt8m_distill.models.learned_selection import LEARNED_SELECTIONS

    selection = LEARNED_SELECTIONS.get(values.frame_sampling)
    names = comma_list(values.model) if values.model else _models_with(selection)
    given, of_selection = given_hyperparameters(values), selection.hyperparameters if selection else {}
    for name in given:
        if name not in of_selection and not any(name in ZOO[model].hyperparameters for model in names if model in ZOO):
            raise ValueError(f"--{name} is a hyperparameter of none of these models: {', '.join(names)}.")
    chosen = []
    for name in names:
        known = ZOO[name].hyperparameters if name in ZOO else {}
        config = ModelConfig(
            name,
            comma_list(values.feature_names),
            integer_list("feature_sizes", values.feature_sizes),
            values.num_classes,
            values.max_frames,
            hyperparameters={key: value for key, value in given.items() if key in known},
        )
        student = {"frame_sampling": values.frame_sampling}
        student["hyperparameters"] = {key: value for key, value in given.items() if key in {**known, **of_selection}}
        budgets = _budgets(values) if config.frame_level or selection else []
        chosen.append([config, *(dataclasses.replace(config, num_sampled_frames=k, **student) for k in budgets)])
    return chosen


def _models_with(selection):
    """Names of the models that work with a learned selection; of all models without one."""
    from yt8m_distill.models import ZOO

    if selection is None:
        return tuple(ZOO)
    return selection.models or tuple(name for name in ZOO if ZOO[name].frame_level)


def _budgets(values):
    if values.num_sampled_frames is None:
        return [k for k in _BUDGETS if k < values.max_frames]
    budgets = integer_list("num_sampled_frames", values.num_sampled_frames)
    if not all(1 <= k <= values.max_frames for k in budgets):
        raise ValueError(
            f"--num_sampled_frames must list numbers from 1 to max_frames={values.max_frames}. "
            f"Received: {values.num_sampled_frames!r}."
        )
    return [k for k in budgets if k != values.max_frames]


def _print_table(rows):
    from yt8m_distill.analysis import PUBLISHED

    chooses = any(row["selection_macs"] for row in rows)
    _print_columns(
        {
            "model": [row["model"] for row in rows],
            "frames": [row["frames"] for row in rows],
            "MACs (M)": [_short(row["macs"] / 1e6) for row in rows],
            "of teacher": [f"{row['share']:.1%}" for row in rows],
            **({"choosing (MACs)": [_choosing(row) for row in rows]} if chooses else {}),
            "params (M)": [_short(row["params"] / 1e6) for row in rows],
            "KB read": [_short(row["bytes_read"] / 1e3) for row in rows],
            "paper FLOPs (B)": [_billions(row["paper_flops"]) for row in rows],
            "published": [_published(row["published"]) for row in rows],
        }
    )
    print(
        "\nMACs: multiplications with their addition in all matrix products, for one video of full length. params: all "
        "weights,\nwith the averages of batch normalisation. paper FLOPs: the paper's convention (1 MAC = 1 FLOP, rgb "
        "only; H-RNN as a\nflat LSTM with a logistic regression, NeXtVLAD without what follows the pooling)."
    )
    if chooses:
        print("choosing: what choosing the frames takes of the MACs, as so many choices of so many MACs each.")
    shown = [row["published"] for row in rows]
    for published in PUBLISHED:
        if published in shown and published.note:
            print(f"* {published.note}")


def _choosing(row):
    return f"{row['num_choices']} x {row['selection_macs'] // row['num_choices']:,}" if row["num_choices"] else ""


def _short(number):
    return f"{number:.1f}" if number >= 1 else f"{number:.3g}"


def _billions(flops):
    return "" if flops is None else f"{flops / 1e9:.3f}"


def _published(published):
    return "" if published is None else f"{published.billions:.3f}{'*' if published.note else ' '}"


def _csv_row(row):
    published = row["published"]
    return {
        "model": row["model"],
        **{name: row[name] for name in _NUMBERS},
        "published_flops": None if published is None else round(published.billions * 1e9),
        "published_is_of_frames": None if published is None else published.counted_frames,
    }


def _print_csv(rows):
    import pandas as pd

    print(pd.DataFrame(rows).convert_dtypes().to_csv(index=False), end="")


def _print_columns(columns):
    import pandas as pd

    print(pd.DataFrame(columns).to_string(index=False))


if __name__ == "__main__":
    sys.exit(main())
