"""train.py's flags of the distillation: scheme, losses, teacher."""

from __future__ import annotations

from absl import flags

from yt8m_distill.cli.common_flags import comma_list, define_teacher_checkpoint_flag

# What a recipe gives flags that are not on the command line. The flags' own defaults are those of `best`.
RECIPES = {
    "best": {"student_init": "auto", "frame_jitter": True, "ema_decay": 0.999},
    "published": {
        "distillation_losses": "rep,pred,ce",
        "prediction_kl": "categorical",
        "pred_weight": 1.0,
        "student_init": "scratch",
    },
}


def apply_recipe(values) -> None:
    """Gives the flags that the recipe of a distillation concerns, and that nobody has given, the recipe's values.

    Frames are jittered where the frame budget allows it, weights averaged where the optimizer does not do so itself.
    The losses of `--loss_preset` are published ones.

    Raises:
      ValueError: `--recipe` without a distillation, or together with `--loss_preset`, which is another one.
    """
    if values.distillation == "none":
        if values["recipe"].present:
            raise ValueError("--recipe needs --distillation=serial or --distillation=parallel.")
        return
    if values.loss_preset and values["recipe"].present:
        raise ValueError(f"--loss_preset={values.loss_preset} is a recipe of its own: give one of the two.")
    for name, value in RECIPES["published" if values.loss_preset else values.recipe].items():
        is_possible = {"frame_jitter": _can_jitter, "ema_decay": _can_average}.get(name, lambda values: True)
        if not values[name].present and is_possible(values):
            values[name].value = value


def _can_jitter(values):
    has_budget = values.num_sampled_frames is not None or values.frame_percent is not None
    return values.frame_sampling in ("uniform", None) and (has_budget or values.frame_sampling == "uniform")


def _can_average(values):
    from yt8m_distill.training import AVERAGING_OPTIMIZERS

    return values.optimizer not in AVERAGING_OPTIMIZERS


def define_distillation_flags(groups):
    group = "Distillation"
    groups.add(
        group,
        flags.DEFINE_enum,
        "distillation",
        "none",
        ["none", "serial", "parallel"],
        "serial: learn from the trained teacher in --teacher_dir. parallel: train teacher and student together.",
    )
    groups.add(
        group,
        flags.DEFINE_enum,
        "recipe",
        "best",
        list(RECIPES),
        "Defaults of a distillation. best: 5 pred + ce, class by class, from the teacher's weights if they fit, with "
        "--frame_jitter and --ema_decay=0.999. published: rep + pred + ce, from scratch. Other flags override it.",
    )
    groups.add(
        group,
        flags.DEFINE_string,
        "teacher_dir",
        "",
        "The teacher's train_dir. serial: or several, comma-separated; the mean of their predictions teaches.",
    )
    define_teacher_checkpoint_flag(groups, group)
    groups.add(
        group,
        flags.DEFINE_string,
        "teacher_cache",
        "",
        "serial: learn from what cache_teacher.py kept of that teacher, which then never runs, and only the student's "
        "frames are decoded.",
    )
    groups.add(
        group,
        flags.DEFINE_string,
        "unlabelled_data_pattern",
        "",
        "serial: globs of more TFRecords for the student, such as a test split. Their labels are not read.",
    )
    groups.add(
        group,
        flags.DEFINE_string,
        "distillation_losses",
        "pred,ce",
        "Any of rep (encodings), pred (probabilities), ce (labels), int (intermediate states); for a student of lower "
        "resolution also frame (probabilities frame by frame) and map (states as a map in time).",
    )
    for name, weight, what in (
        ("rep", 1.0, "encoding"),
        ("pred", 5.0, "probability"),
        ("ce", 1.0, "label"),
        ("int", 1.0, "intermediate"),
        ("frame", 1.0, "frame by frame"),
        ("map", 100.0, "feature map"),
    ):
        groups.add(group, flags.DEFINE_float, f"{name}_weight", weight, f"Weight of the {what} loss.")
    groups.add(
        group,
        flags.DEFINE_enum,
        "prediction_kl",
        "bernoulli",
        ["bernoulli", "categorical"],
        "KL divergence of pred. bernoulli: class by class. categorical: of classes scaled to sum to 1, as the authors.",
    )
    groups.add(
        group,
        flags.DEFINE_float,
        "temperature",
        1.0,
        "Divides the logits of teacher and student in pred; above 1 softens both.",
    )
    groups.add(
        group,
        flags.DEFINE_boolean,
        "normalize_rep",
        False,
        "Divide rep by the squared length of the teacher's encoding.",
    )
    groups.add(
        group,
        flags.DEFINE_enum,
        "match",
        "final",
        ["final", "intermediate"],
        "intermediate adds int to --distillation_losses.",
    )
    groups.add(
        group,
        flags.DEFINE_enum,
        "intermediate",
        "frame",
        ["frame", "block", "both"],
        "States that int compares: after each frame, after each block, or both.",
    )
    groups.add(
        group,
        flags.DEFINE_enum,
        "loss_preset",
        None,
        ["authors_code"],
        "The losses and weights of the authors' code: 2 rep + pred summed over the batch + ce.",
    )
    groups.add(
        group,
        flags.DEFINE_boolean,
        "project_encoding",
        False,
        "Learn a linear map between encodings of different width, for rep.",
    )
    groups.add(
        group,
        flags.DEFINE_boolean,
        "share_classifier",
        False,
        "parallel: one classifier for teacher and student.",
    )
    groups.add(
        group,
        flags.DEFINE_enum,
        "student_init",
        "scratch",
        ["scratch", "teacher", "auto"],
        "Start the student from fresh weights, from the teacher's, or (--recipe=best) from the teacher's if they fit.",
    )
    groups.add(
        group,
        flags.DEFINE_integer,
        "finetune_epochs",
        0,
        "Passes on the labels alone, after the distillation.",
    )


def distillation_config_from(values):
    from yt8m_distill.distillation import LOSS_PRESETS, DistillationConfig

    names = (
        "rep_weight",
        "pred_weight",
        "ce_weight",
        "int_weight",
        "frame_weight",
        "map_weight",
        "prediction_kl",
        "temperature",
        "normalize_rep",
        "project_encoding",
        "share_classifier",
    )
    choices = ("distillation_losses", "match", "intermediate", "loss_preset")
    if values.distillation == "none":
        for name in (*names, *choices):
            if values[name].present:
                raise ValueError(f"--{name} needs --distillation=serial or --distillation=parallel.")
        return None
    settings = {name: values[name].value for name in names}
    settings["losses"] = comma_list(values.distillation_losses)
    if values.loss_preset:
        preset = LOSS_PRESETS[values.loss_preset]
        for name in preset:
            flag = "distillation_losses" if name == "losses" else name
            if flag in values and values[flag].present:
                raise ValueError(f"--loss_preset={values.loss_preset} sets --{flag}: give one of the two.")
        settings.update(preset)
    if values.match == "intermediate" and "int" not in settings["losses"]:
        settings["losses"] = (*settings["losses"], "int")
    return DistillationConfig(scheme=values.distillation, intermediate_alignment=values.intermediate, **settings)
