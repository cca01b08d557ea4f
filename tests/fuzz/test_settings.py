"""params.yaml, experiments and the command line, spoiled at random: one line and a code, and nothing half done."""

from __future__ import annotations

import io
import json
import os
import sys
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from labelmint.runtime.errors import InputError
from pipeline.cli import main as cli
from pipeline.settings import experiments
from pipeline.settings import schema as settings
from tests.conftest import ROOT
from tests.fuzz.conftest import bounded, limited
from tests.fuzz.mutations import spoiled_bytes, spoiled_tree
from tests.fuzz.table import ALIAS_BOMB

TEXT = (ROOT / "experiments" / "default.yaml").read_bytes()
CONTENT = YAML(typ="safe").load(TEXT.decode())


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    import shutil

    root = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "experiments", root / "experiments")
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, root / name)
    return root


def one_line(error: InputError) -> None:
    assert str(error) and "\n" not in str(error) and len(str(error)) < 2000


@bounded
@given(content=spoiled_tree(CONTENT))
def test_settings(content):
    try:
        settings.check(content, "params.yaml")
    except InputError as error:
        one_line(error)


@bounded
@given(content=spoiled_bytes(TEXT))
def test_the_text_of_settings(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "params.yaml"
    path.write_bytes(content)
    try:
        settings.load(path)
    except InputError as error:
        one_line(error)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("generators: [dcgan]", f"generators: {ALIAS_BOMB}"),
        ("generators: [dcgan]", "generators: " + ALIAS_BOMB.replace("[*", "{<<: [*").replace("],", "]},")[:-1] + "}]"),
        ("generators: [dcgan]", "generators: &a {b: *a}"),
        ("generators: [dcgan]", "generators: " + "[" * 45 + "]" * 45),
        ("generators: [dcgan]", "generators: 2001-13-45"),
        ("generators: [dcgan]", "generators:\n  " + "- " * 5000),
        ("seeds: [0]", f"seeds: [{'9' * 5000}]"),
        ("  cgan:", "  2001-01-01:"),
        ("  cgan:", "  ? [1, 2]\n  :"),
    ],
)
def test_what_other_yaml_may_hold(tmp_path, old, new):
    text = TEXT.decode()
    assert old in text
    (tmp_path / "params.yaml").write_text(text.replace(old, new, 1))
    with limited(), pytest.raises(InputError, match="params.yaml: ") as raised:
        settings.load(tmp_path / "params.yaml")
    one_line(raised.value)


def test_an_alias_may_stand_for_a_few_values(tmp_path):
    text = (
        TEXT.decode()
        .replace("percents: [40, 60, 80, 100]", "percents: &a [40]", 1)
        .replace("seeds: [0]", "seeds: *a", 1)
    )
    (tmp_path / "params.yaml").write_text(text)
    assert settings.load(tmp_path / "params.yaml").seeds == [40]


OVERLAY = {
    "about": {"source": "A", "cost": "B"},
    "dataset": {"name": "mnist", "image_size": 28, "channels": 1},
    "generators": ["dcgan"],
    "families": {"dcgan": {"generator": {"filters": [32], "kernels": [4, 4]}}},
    "quick": {"training": {"epochs": 1}},
}


@bounded
@given(overlay=spoiled_tree(OVERLAY), quick=st.booleans())
def test_experiments(project, overlay, quick):
    """`use` writes settings that pass, or nothing."""
    (project / "experiments" / "fuzzed.yaml").write_text(f"# A title.\n{json.dumps(overlay)}\n")
    before = (project / "params.yaml").read_bytes()
    try:
        experiments.use(project, experiments.Choice.named(["fuzzed"], quick))
        settings.load(project / "params.yaml")
    except InputError as error:
        one_line(error)
        assert (project / "params.yaml").read_bytes() == before
    finally:
        (project / "experiments" / "fuzzed.yaml").unlink()
        (project / "params.yaml").write_bytes(TEXT)


WORDS = st.one_of(
    st.sampled_from(["use", "import", "experiments", "check", "results", "sample", "run", "serve", "params", "ui", "compare", "sync", "doctor"]),
    st.sampled_from(
        ["--json", "--quick", "--name", "--size", "--fit", "--count", "--out", "--class", "--format", "--seed", "--workers", "--percents", "--experiment", "--cron", "--dry-run", "--force", "--help", "--debug", "--port", "--plot", "--", "-x"]
    ),
    st.sampled_from(["no_such_experiment", "dcgan", "dcgan-40-0", "tree", "nowhere/at/all", "0", "-1", "9" * 30, "nan", "mine", "cover"]),
    st.text(max_size=10),
)  # fmt: skip


@bounded
@given(command=st.sampled_from(["compare", "sync", "doctor"]), rest=st.lists(WORDS, max_size=4))
def test_what_asks_servers(project, command, rest):
    """None answers, and no record waits."""
    code, out, err = called(project, [command, *rest])
    assert code in (0, 1, 2), (code, err)
    assert "Traceback" not in err or "--debug" in rest
    assert not code or "error: " in err or "problem" in out or "Usage" in out + err, (out, err)


@bounded
@given(arguments=st.lists(WORDS, min_size=1, max_size=7))
def test_command_line(project, arguments):
    # These would start something that stays, or be asked for more than a test has time for.
    if arguments and arguments[0] in ("run", "serve") and "--help" not in arguments:
        arguments = [arguments[0], "--experiment", "no_such_experiment", *arguments[1:]]
        if "--" in arguments or arguments.count("--experiment") > 1:
            return
    if arguments[0] == "ui":
        arguments.insert(1, "--no-such-option")
    code, out, err = called(project, arguments)
    assert code in (0, 1, 2), (code, err)
    assert "Traceback" not in err or "--debug" in arguments
    if code:
        assert err.strip().splitlines()[-1].startswith("error: ") or "Usage" in out + err, err


def called(root: Path, arguments: list[str]) -> tuple[int, str, str]:
    """`labelmint ARGUMENTS` in this process."""
    out, err, before, given_ = io.StringIO(), io.StringIO(), Path.cwd(), sys.argv
    os.chdir(root)
    sys.argv = ["labelmint", *arguments]
    try:
        with redirect_stdout(out), redirect_stderr(err), suppress(BrokenPipeError):
            cli.main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    finally:
        os.chdir(before)
        sys.argv = given_
        os.environ.pop("LABELMINT_DEBUG", None)
    return code, out.getvalue(), err.getvalue()
