import os
import pathlib
import signal
import subprocess
import sys

import pytest
import tensorflow as tf
from absl import flags

from yt8m_distill.cli import eval as eval_command
from yt8m_distill.cli import export_model, inference, train
from yt8m_distill.cli.command import is_cluster, run_command
from yt8m_distill.cli.common_flags import comma_list, integer_list

COMMANDS = {
    "train.py": train.main,
    "eval.py": eval_command.main,
    "inference.py": inference.main,
    "export_model.py": export_model.main,
}


def define_flags(groups):
    groups.add("Fruit", flags.DEFINE_integer, "apples", 3, "How many apples.", lower_bound=0)
    groups.add("Fruit", flags.DEFINE_string, "pear", "", "Kind of pear.")


def run(*argv, do=lambda values: None):
    return run_command("market.py", "sells fruit.", define_flags, do, ["market.py", *argv])


def test_flags_reach_the_command():
    seen = []
    assert run("--apples=5", "--pear", "nashi", do=lambda values: seen.append((values.apples, values.pear))) == 0
    assert run(do=lambda values: seen.append((values.apples, values.pear))) == 0
    assert seen == [(5, "nashi"), (3, "")]


@pytest.mark.parametrize(
    "argv, message",
    [
        (["--aples=5"], "Unknown command line flag 'aples'. Did you mean: apples ?"),
        (["--banana"], "Unknown command line flag 'banana'"),
        (["--apples=many"], "--apples"),
        (["--apples=-1"], "--apples"),
        (["--apples"], "apples"),
        (["5"], "Unexpected argument '5'. Flags are written --name=value."),
        (["--pear", "nashi", "and", "more"], "Unexpected argument 'and'."),
    ],
)
def test_a_wrong_command_line_is_one_line(argv, message, capsys):
    assert run(*argv, do=lambda values: pytest.fail("the command must not run")) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert err.startswith("market.py: error: ") and message in err and err.endswith("See market.py --help.\n")


def run_positional(*argv, do=lambda values: None):
    return run_command("market.py", "sells fruit.", define_flags, do, ["market.py", *argv], positional_flag="pear")


@pytest.mark.parametrize(
    "argv, pear",
    [
        (["nashi"], "nashi"),
        (["nashi", "--apples=5"], "nashi"),
        (["--apples=5", "nashi", "bosc"], "nashi,bosc"),
        (["--apples=5", "--", "--nashi"], "--nashi"),
        (["--pear=nashi"], "nashi"),
        ([], ""),
    ],
)
def test_one_flag_needs_no_name(argv, pear):
    seen = []
    assert run_positional(*argv, do=lambda values: seen.append(values.pear)) == 0
    assert seen == [pear]


def test_a_flagfile_that_is_no_text(tmp_path, capsys):
    path = tmp_path / "flags"
    path.write_bytes(b"\xff\xfe\x80")
    assert run(f"--flagfile={path}", do=lambda values: pytest.fail("the command must not run")) == 2
    error = capsys.readouterr().err
    assert error.startswith("market.py: error: --flagfile is not a text file (") and error.count("\n") == 1


def test_a_flag_is_given_once_with_or_without_its_name(capsys):
    assert run_positional("--pear=nashi", "bosc", do=lambda values: pytest.fail("the command must not run")) == 2
    message = "market.py: error: Unexpected argument 'bosc' beside --pear=nashi. See market.py --help.\n"
    assert capsys.readouterr().err == message


def test_help_says_which_flag_needs_no_name(capsys):
    assert run_positional("--help") == 0
    assert capsys.readouterr().out.startswith(
        "market.py: sells fruit.\n\nmarket.py [--flag=value ...] PEAR\n\nFruit:\n"
    )


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_lists_flags_by_group(flag, capsys):
    assert run(flag, do=lambda values: pytest.fail("the command must not run")) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("market.py: sells fruit.\n\nFruit:\n  --apples\n      How many apples. (default '3')\n")
    assert "  --pear\n      Kind of pear.\n\nHelp:\n  --help\n" in out


@pytest.mark.parametrize(
    "error",
    [
        ValueError("two\n  lines"),
        OSError("two lines"),
        ImportError("two lines"),
        tf.errors.NotFoundError(None, None, "two lines"),
    ],
)
def test_a_users_error_is_one_line(error, capsys):
    def fail(values):
        raise error

    assert run(do=fail) == 2
    assert capsys.readouterr().err == "market.py: error: two lines\n"
    with pytest.raises(type(error)):
        run("--debug", do=fail)


def test_tensorflows_names_of_operations_are_left_out(capsys):
    def fail(values):
        raise tf.errors.InvalidArgumentError(None, None, "{{function_node __wrapped__Get}} no frames [Op:Get] name: ")

    assert run(do=fail) == 2
    assert capsys.readouterr().err == "market.py: error: no frames\n"


def test_an_error_without_words_has_a_name(capsys):
    def fail(values):
        raise FileNotFoundError

    assert run(do=fail) == 2
    assert capsys.readouterr().err == "market.py: error: FileNotFoundError\n"


def test_a_programming_error_is_not_hidden():
    def fail(values):
        raise KeyError("bug")

    with pytest.raises(KeyError):
        run(do=fail)


def test_ctrl_c_has_its_own_status(capsys):
    def interrupt(values):
        raise KeyboardInterrupt

    assert run(do=interrupt) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_sigterm_is_an_interruption():
    def be_terminated(values):
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("went on")

    before = signal.getsignal(signal.SIGTERM)
    assert run(do=be_terminated) == 130
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize(
    "config, expected",
    [
        ("", False),
        ("{}", False),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}', False),
        ('{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}', True),
        ('{"cluster": {"chief": ["a:1"], "worker": ["b:1"]}, "task": {"type": "chief", "index": 0}}', True),
    ],
)
def test_clusters(config, expected, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config)
    assert is_cluster() is expected


@pytest.mark.parametrize("config", ["garbage", "[1]", "3", '{"cluster": ["a:1"]}', '{"cluster": {"worker": 2}}'])
def test_no_clusters(config, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(ValueError, match="TF_CONFIG is not a JSON object with 'cluster' and 'task'"):
        is_cluster()


def test_comma_lists():
    assert comma_list("rgb, audio") == ("rgb", "audio")
    assert integer_list("feature_sizes", "1024, 128") == (1024, 128)
    for text in ("1024,", "1024;128", "", "1.5"):
        with pytest.raises(ValueError, match=f"--feature_sizes must list whole numbers.*Received: '{text}'"):
            integer_list("feature_sizes", text)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_each_command(name, capsys):
    assert COMMANDS[name]([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{name}: ") and "--train_dir" in out and "(default " in out
    groups = {
        "train.py": [
            *("Data", "Model", "Classifier", "Frame budget", "Training", "Regularisation and averaging"),
            *("Distillation", "Machine", "LstmModel, HierarchicalLstmModel", "HierarchicalLstmModel", "GruModel"),
            *("LstmModel, GruModel", "DbofModel", "NetVLADModelLF", "NeXtVLADModel, MixtureNeXtVLADModel"),
            *("MixtureNeXtVLADModel", "AttentionPoolingModel", "Lower resolution, of models on frames"),
            *("Frame budget: --frame_sampling=skip_frame", "Frame budget: --frame_sampling=saliency", "Help"),
        ],
        "eval.py": ["Evaluation", "Machine", "Help"],
        "inference.py": ["Inference", "Segments", "Shards", "Machine", "Help"],
        "export_model.py": ["Export", "Check of a LiteRT model", "Help"],
    }[name]
    assert [line[:-1] for line in out.splitlines()[1:] if line and line[0] != " "] == groups


@pytest.mark.parametrize(
    "name, flag, nearest",
    [
        ("train.py", "--base_learning_rat=1", "base_learning_rate"),
        ("eval.py", "--runonce", "run_once"),
        ("inference.py", "--topk=3", "top_k"),
        ("export_model.py", "--outputdir=x", "output_dir"),
    ],
)
def test_each_command_suggests_the_nearest_flag(name, flag, nearest, capsys):
    assert COMMANDS[name]([name, flag]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and f"Did you mean: {nearest} ?" in err


@pytest.mark.parametrize("name", COMMANDS)
def test_the_scripts_at_the_top_run_the_commands(name):
    """Also that help needs no TensorFlow, whose import takes seconds."""
    root = pathlib.Path(__file__).parents[2]
    code = (
        "import runpy, sys; sys.modules['tensorflow'] = None; sys.argv = [sys.argv[1], '--help']; "
        "sys.path.insert(0, '.'); runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, name], cwd=root, env={**os.environ}, capture_output=True, text=True
    )
    assert (run.returncode, run.stderr) == (0, "") and run.stdout.startswith(f"{name}: ")


def test_help_into_a_pipe_that_nobody_reads():
    with open("/dev/full", "w") as full:
        run = subprocess.run(
            [sys.executable, "-m", "yt8m_distill.cli.cost", "--help"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert (run.returncode, run.stderr) == (0, "")
