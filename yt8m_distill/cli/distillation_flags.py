"""train.py's flags of the distillation: scheme, losses, teacher."""

from __future__ import annotations

from absl import flags

from yt8m_distill.cli.common_flags import comma_list, define_teacher_checkpoint_flag

# Values of flags that are not on the command line, for a distillation.
RECIPES = {
    "published": {},
    "best": {
        "distillation_losses": "pred,ce",
        "prediction_kl": "bernoulli",
        "student_init": "auto",
        "frame_jitter": True,
        "ema_decay": 0.999,
    },
}
DEFAULT_RECIPE = "published"


def apply_recipe(values) -> None:
    """Gives the flags that the recipe of a distillation concerns, and that nobody has given, the recipe's values.

    Frames are jittered where the frame budget allows it.

    Raises:
      ValueError: `--recipe` without a distillation, or together with `--loss_preset`, which is another one.
    """
    if values.distillation == "none":
        if values["recipe"].present:
            raise ValueError("--recipe needs --distillation=serial or --distillation=parallel.")
        return
    if values.loss_preset:
        if values["recipe"].present:
            raise ValueError(f"--loss_preset={values.loss_preset} is a recipe of its own: give one of the two.")
        return
    for name, value in RECIPES[values.recipe].items():
        if not values[name].present and (name != "frame_jitter" or _can_jitter(values)):
            values[name].value = value


def _can_jitter(values):
    has_budget = values.num_sampled_frames is not None or values.frame_percent is not None
    return values.frame_sampling in ("uniform", None) and (has_budget or values.frame_sampling == "uniform")


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
        DEFAULT_RECIPE,
        list(RECIPES),
        "Defaults of a distillation. published: rep,pred,ce from scratch. best: pred,ce class by class, from the "
        "teacher's weights if they fit, with --frame_jitter and --ema_decay=0.999. Other flags override it.",
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
        "rep,pred,ce",
        "Any of rep (encodings), pred (probabilities), ce (labels), int (intermediate states).",
    )
    for name, what in (
        ("rep", "encoding"),
        ("pred", "probability"),
        ("ce", "label"),
        ("int", "intermediate"),
    ):
        groups.add(group, flags.DEFINE_float, f"{name}_weight", 1.0, f"Weight of the {what} loss.")
    groups.add(
        group,
        flags.DEFINE_enum,
        "prediction_kl",
        "categorical",
        ["categorical", "bernoulli"],
        "KL divergence of pred: over classes scaled to sum to 1 (the authors'), or class by class.",
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
        "Start the student from fresh weights, from the teacher's, or from the teacher's if they fit.",
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
    return DistillationConfig(
        scheme=values.distillation, intermediate_alignment=values.intermediate, **settings
    )
