"""Flags that several commands have, and how they become library objects."""

from __future__ import annotations

from absl import flags

from yt8m_distill.cli.command import is_cluster

MACHINE = "Machine"


def define_strategy_flags(groups) -> None:
    groups.add(
        MACHINE,
        flags.DEFINE_enum,
        "strategy",
        "auto",
        ["auto", "one_device", "mirrored", "multi_worker"],
        "tf.distribute strategy: multi_worker where TF_CONFIG names several workers, mirrored over GPUs where "
        "--num_gpu is above 1, else one_device. --strategy=mirrored takes all GPUs unless --num_gpu says fewer.",
    )
    groups.add(MACHINE, flags.DEFINE_integer, "num_gpu", 1, "The most GPUs to use.", lower_bound=1)


def create_strategy_from(values):
    """The strategy that the flags and TF_CONFIG ask for."""
    from yt8m_distill.training import create_strategy

    takes_all = values.strategy in ("mirrored", "multi_worker") and not values["num_gpu"].present
    return create_strategy(values.strategy, None if takes_all else values.num_gpu, is_cluster())


def define_checkpoint_flag(groups, group) -> None:
    groups.add(
        group,
        flags.DEFINE_enum,
        "checkpoint",
        "latest",
        ["latest", "best"],
        "Which checkpoint of a run: the latest, or the best by validation GAP (by segment mAP, of a run on segments).",
    )


def define_prediction_flags(groups, group) -> None:
    """How records are read and predicted where the rows of a CSV come of them."""
    groups.add(
        group, flags.DEFINE_integer, "batch_size", 512, "Examples a step of each replica.", lower_bound=1
    )
    groups.add(
        group,
        flags.DEFINE_integer,
        "num_readers",
        1,
        "Files read at once; above 1, their rows alternate in the CSV.",
        lower_bound=1,
    )


def comma_list(text: str) -> tuple[str, ...]:
    """The parts of a comma-separated flag, without the space around them."""
    return tuple(part.strip() for part in text.split(","))


def number_list(name: str, text: str) -> tuple[float, ...]:
    """The numbers of a comma-separated flag.

    Raises:
      ValueError: a part is not a number; names the flag.
    """
    try:
        return tuple(float(part) for part in comma_list(text))
    except ValueError:
        raise ValueError(f"--{name} must list numbers, separated by commas. Received: {text!r}.") from None


def integer_list(name: str, text: str) -> tuple[int, ...]:
    """The whole numbers of a comma-separated flag.

    Raises:
      ValueError: a part is not a whole number; names the flag.
    """
    try:
        return tuple(int(part) for part in comma_list(text))
    except ValueError:
        raise ValueError(
            f"--{name} must list whole numbers, separated by commas. Received: {text!r}."
        ) from None
