"""Settings given as text."""

from __future__ import annotations

import pytest

from labelmint.runtime.errors import InputError
from pipeline.settings import experiments, schema
from pipeline.settings.assignments import of_run, parse
from tests.command import labelmint


@pytest.mark.parametrize(
    ("texts", "changes"),
    [
        (["training.epochs=5"], {"training": {"epochs": 5}}),
        (["training.epochs=5 percents=[20,100]"], {"training": {"epochs": 5}, "percents": [20, 100]}),
        (["percents=[20, 100]  seeds=[1]"], {"percents": [20, 100], "seeds": [1]}),
        (["a.b.c=1.5", "a.b.d=null", "a.e=x y"], {"a": {"b": {"c": 1.5, "d": None}, "e": "x y"}}),
        (["dataset.path=/data/a=b"], {"dataset": {"path": "/data/a=b"}}),
        (
            ["families.dcgan.generator={filters: [8]}"],
            {"families": {"dcgan": {"generator": {"filters": [8]}}}},
        ),
        ([], {}),
    ],
)
def test_values_are_yaml(texts, changes):
    assert parse(texts) == changes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs", "'epochs': expected NAME=VALUE, e.g. training.epochs=5"),
        ("5 training.epochs=5", "expected NAME=VALUE"),
        ("percents=[20", r"percents=\[20: not a value as in YAML"),
        ("a=1 a.b=2", "a.b=2: not a value as in YAML"),
    ],
)
def test_what_is_no_assignment_is_refused_in_one_line(text, message):
    with pytest.raises(InputError, match=message) as error:
        parse([text])
    assert "\n" not in str(error.value)


def test_settings_of_a_run():
    assert of_run([40], "training.epochs=5") == {"percents": [40], "training": {"epochs": 5}}


class TestUse:
    """`labelmint use -S`, which writes params.yaml."""

    def test_single_settings_change_nothing_else(self, checkout):
        path = checkout / "params.yaml"
        lines = path.read_text().splitlines()
        done = labelmint(checkout, "use", "-S", "training.epochs=5", "-S", "percents=[20, 100]")
        assert (done.code, done.err) == (0, "params.yaml now holds default (edited)\n")
        params = schema.load(path)
        assert (params.training.epochs, params.percents) == (5, [20, 100])
        changed = [line for line in path.read_text().splitlines() if line not in lines]
        assert [line.split(":")[0].strip() for line in changed] == ["percents", "epochs"]

    def test_on_top_of_an_experiment(self, checkout):
        assert labelmint(checkout, "use", "mnist_quick", "-S", "seeds=[3]").code == 0
        params = schema.load(checkout / "params.yaml")
        assert (params.dataset.name, params.seeds) == ("mnist", [3])
        assert experiments.in_use(checkout).names == ("mnist_quick",)

    def test_dry_run(self, checkout):
        before = (checkout / "params.yaml").read_bytes()
        done = labelmint(checkout, "use", "-S", "seeds=[3]", "--dry-run")
        assert done.out == "seeds: [0] -> [3]\n"
        assert (checkout / "params.yaml").read_bytes() == before

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["-S", "training.epoch=5"], "unknown setting 'training.epoch'; did you mean 'epochs'?"),
            (["-S", "training.epochs=0"], "training.epochs must be"),
            ([], "name an experiment, or a setting with -S"),
        ],
    )
    def test_the_schema_refuses(self, checkout, arguments, message):
        before = (checkout / "params.yaml").read_bytes()
        done = labelmint(checkout, "use", *arguments)
        assert done.code == 2
        assert message in done.err
        assert (checkout / "params.yaml").read_bytes() == before
