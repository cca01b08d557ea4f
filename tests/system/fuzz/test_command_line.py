"""Random command lines: an exit code of the contract and one line, whatever the arguments are."""

from __future__ import annotations

import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.command import labelmint
from tests.conftest import ROOT
from tests.integration.fuzz.bounds import bounded

COMMANDS = (
    *("use", "import", "experiments", "check", "results", "sample", "run", "serve"),
    *("params", "ui", "compare", "sync", "doctor"),
)
OPTIONS = (
    *("--json", "--quick", "--name", "--size", "--fit", "--count", "--out", "--class", "--format", "--seed"),
    *("--workers", "--percents", "--experiment", "--cron", "--dry-run", "--force", "--help", "--debug"),
    *("--port", "--plot", "--", "-x"),
)
VALUES = (
    *("no_such_experiment", "dcgan", "dcgan-40-0", "tree", "nowhere/at/all"),
    *("0", "-1", "9" * 30, "nan", "mine", "cover"),
)
WORDS = st.one_of(
    st.sampled_from(COMMANDS), st.sampled_from(OPTIONS), st.sampled_from(VALUES), st.text(max_size=10)
)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A folder with the project's experiments and settings, but no data."""
    root = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "experiments", root / "experiments")
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, root / name)
    return root


@bounded(15)
@given(command=st.sampled_from(["compare", "sync", "doctor"]), rest=st.lists(WORDS, max_size=4))
def test_commands_that_ask_servers(checkout, command, rest):
    """No server answers, and the spool is empty."""
    code, out, err = labelmint(checkout, command, *rest)
    assert code in (0, 1, 2), (code, err)
    assert "Traceback" not in err or "--debug" in rest
    assert not code or "error: " in err or "problem" in out or "Usage" in out + err, (out, err)


@bounded(25)
@given(arguments=st.lists(WORDS, min_size=1, max_size=7))
def test_command_line(checkout, arguments):
    # `run`, `serve` and `ui` would start a server or a long run: such a line gets an argument that ends it.
    if arguments[0] in ("run", "serve") and "--help" not in arguments:
        arguments = [arguments[0], "--experiment", "no_such_experiment", *arguments[1:]]
        if "--" in arguments or arguments.count("--experiment") > 1:
            return
    if arguments[0] == "ui":
        arguments.insert(1, "--no-such-option")
    code, out, err = labelmint(checkout, *arguments)
    assert code in (0, 1, 2), (code, err)
    assert "Traceback" not in err or "--debug" in arguments
    if code:
        assert err.strip().splitlines()[-1].startswith("error: ") or "Usage" in out + err, err
