"""What all commands share: parsing flags, reporting errors in one line, exit statuses."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import sys
import textwrap
from typing import Callable

from absl import flags

from yt8m_distill.signals import signals_handled_by

OK, USER_ERROR, INTERRUPTED = 0, 2, 130


class FlagGroups:
    """The flags of one command, in named groups.

    Attributes:
      values: the `absl.flags.FlagValues` that holds them.
    """

    def __init__(self):
        self.values = flags.FlagValues()
        self._groups: dict[str, list[str]] = {}

    def add(self, group: str, define: Callable, name: str, *args, **kwargs) -> None:
        """Defines one flag, `define` being one of absl's `DEFINE_*` functions."""
        define(name, *args, flag_values=self.values, **kwargs)
        self._groups.setdefault(group, []).append(name)

    def help(self) -> str:
        """All flags by group, with their defaults."""
        lines = []
        for group, names in self._groups.items():
            lines.append(f"\n{group}:")
            for name in names:
                flag = self.values[name]
                default = "" if flag.default in (None, "") else f" (default {flag.default_as_str})"
                text = f"{flag.help}{default}"
                lines.append(f"  --{name}")
                lines += textwrap.wrap(text, 96, initial_indent=" " * 6, subsequent_indent=" " * 6)
        return "\n".join(lines)


def run_command(
    name: str, description: str, define_flags: Callable, run: Callable, argv=None, positional_flag: str = ""
) -> int:
    """Parses the command line, runs the command and returns its exit status.

    User errors are one line on standard error and status 2; `--debug` shows where they come from. SIGTERM, by which
    batch systems end a job, does what Ctrl-C does.

    Args:
      name: of the command, for messages.
      description: one line for `--help`.
      define_flags: function that adds the command's flags to a `FlagGroups`.
      run: function (FlagValues) -> None.
      argv: the command line with the program's name; None for this process's.
      positional_flag: name of a flag that lists globs and may be given without its name. Several arguments, which are
        what a shell makes of a glob without quotes, become such a list. "" refuses arguments without a name.
    """
    groups = FlagGroups()
    define_flags(groups)
    groups.add("Help", flags.DEFINE_boolean, "help", False, "Show this text.", short_name="h")
    groups.add("Help", flags.DEFINE_boolean, "debug", False, "Show the Python traceback of an error.")
    argv = sys.argv if argv is None else argv
    try:
        positional = groups.values(argv)[1:]
        if groups.values["help"].value:
            return _print_help(f"{name}: {description}\n{_usage(name, positional_flag)}{groups.help()}")
        if positional and positional_flag:
            _fill(groups.values[positional_flag], positional)
        elif positional:
            raise flags.Error(f"Unexpected argument {positional[0]!r}. Flags are written --name=value.")
    except flags.Error as error:
        return _report(name, error, f"See {name} --help.")
    except UnicodeDecodeError as error:  # from within absl, which does not say whose
        return _report(name, ValueError(f"--flagfile is not a text file ({error})."), f"See {name} --help.")
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr, force=True)
    for library in ("absl", "tensorflow"):
        logging.getLogger(library).setLevel(logging.WARNING)  # their notes are for their developers
    try:
        with signals_handled_by(signal.default_int_handler, [signal.SIGTERM]):
            return _run(name, run, groups.values)
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(name, run, values):
    import tensorflow as tf  # takes seconds: not for --help, not for a mistyped flag

    try:
        run(values)
    except (ValueError, OSError, ImportError, tf.errors.OpError) as error:
        if values["debug"].value:
            raise
        return _report(name, error)
    return OK


def is_cluster() -> bool:
    """Whether TF_CONFIG names more than one worker.

    Raises:
      ValueError: TF_CONFIG is not what TensorFlow reads.
    """
    text = os.environ.get("TF_CONFIG", "")
    if not text:
        return False
    try:
        cluster = json.loads(text).get("cluster", {})
        workers = [cluster.get(name, []) for name in ("worker", "chief")]
        if not all(isinstance(addresses, list) for addresses in workers):
            raise ValueError("its workers must be lists of addresses")
        return sum(map(len, workers)) > 1
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"TF_CONFIG is not a JSON object with 'cluster' and 'task': {error}") from error


def _print_help(text):
    try:
        print(text, flush=True)
    except OSError:  # whoever read it has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return OK


def _usage(name, positional_flag):
    return f"\n{name} [--flag=value ...] {positional_flag.upper()}\n" if positional_flag else ""


def _fill(flag, positional):
    if flag.present:
        raise flags.Error(f"Unexpected argument {positional[0]!r} beside --{flag.name}={flag.value}.")
    flag.parse(",".join(positional))


def _report(name, error, hint=""):
    # TensorFlow wraps its messages in the names of operations.
    message = re.sub(r"\{\{.*?\}\}|\[Op:.*?\]( name: *)?", "", str(error))
    message = " ".join(message.split()) or type(error).__name__
    print(f"{name}: error: {message} {hint}".rstrip(), file=sys.stderr)
    return USER_ERROR
