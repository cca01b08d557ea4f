"""The benchmark of evaluate, on few images of noise: both ways agree, and all parts are timed."""

from __future__ import annotations

import json
import sys

from benchmarks import evaluate


def test_every_part_is_timed_in_both_ways(tmp_path, monkeypatch, capsys):
    found = tmp_path / "found.json"
    options = [str(tmp_path), "--images", "150", "--real", "240", "--steps", "3", "--json", str(found)]
    monkeypatch.setattr(sys, "argv", ["benchmarks/evaluate.py", *options])
    evaluate.main()
    assert "noise instead" in capsys.readouterr().out
    seconds = json.loads(found.read_text())["seconds"]
    searches = {"features", "frechet", "kid", "precision_recall", "diversity", "memorization"}
    assert seconds.keys() == {"predictions", *searches, "in all"}
    for name in searches:
        assert min(seconds[name].values()) > 0, name
    assert seconds["in all"]["now"] < sum(each["now"] for each in seconds.values())
