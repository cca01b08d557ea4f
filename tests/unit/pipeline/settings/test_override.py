"""Settings of one run, and what params.yaml holds after it."""

from __future__ import annotations

import pytest

from labelmint.runtime.errors import InputError
from pipeline.settings.override import overridden

LINE = "percents: [40, 60, 80, 100] # Percentages of the real training data\n"


@pytest.fixture
def path(checkout):
    return checkout / "params.yaml"


class TestPercents:
    def test_only_their_line_changes_and_the_file_is_put_back(self, checkout, path):
        before = path.read_text()
        assert LINE in before
        with overridden(checkout, [], {"percents": [20, 50]}, restore=False) as params:
            assert params.percents == [20, 50]
            shortened = LINE.replace("[40, 60, 80, 100] ", "[20, 50]          ")
            assert path.read_text() == before.replace(LINE, shortened)
        assert path.read_text() == before

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
    def test_they_are_put_back_after_an_error(self, checkout, path, error):
        before = path.read_bytes()
        with pytest.raises(error), overridden(checkout, [], {"percents": [20]}, restore=False):
            raise error
        assert path.read_bytes() == before

    def test_an_edit_during_the_run_is_kept_with_a_warning(self, checkout, path, caplog):
        with overridden(checkout, [], {"percents": [20]}, restore=False):
            edited = path.read_text().replace("epochs: 10", "epochs: 8")
            path.write_text(edited)
        assert path.read_text() == edited
        assert "params.yaml was edited during the run" in caplog.text

    def test_invalid_ones_change_nothing(self, checkout, path):
        before = path.read_bytes()
        with (
            pytest.raises(InputError, match="must be 1 to 100, got 0"),
            overridden(checkout, [], {"percents": [0]}, restore=False),
        ):
            pass
        assert path.read_bytes() == before


def test_an_experiment_stays_without_the_percents_of_the_run(checkout, path):
    with overridden(checkout, ["mnist_quick"], {"percents": [20]}, restore=False) as params:
        assert (params.dataset.name, params.percents) == ("mnist", [20])
    text = path.read_text()
    assert text.startswith("# Experiment: mnist_quick\n")
    assert "percents: [20]" not in text


def test_a_dry_run_takes_everything_back_and_leaves_nothing(checkout, path):
    path.write_text(path.read_text().replace("epochs: 10", "epochs: 8"))
    before, files = path.read_bytes(), set(checkout.iterdir())
    with overridden(checkout, ["mnist_quick"], {"percents": [20]}, restore=True) as params:
        assert (params.dataset.name, params.percents) == ("mnist", [20])
    assert path.read_bytes() == before
    assert set(checkout.iterdir()) == files
