"""Entry of every stage: `python -m pipeline.stage STAGE [ARM]`. DVC names the arm in $DVC_STAGE instead.

Loads and checks params.yaml, starts tracking, reserves a GPU if the stage uses one, runs the stage, and turns
an error into one line and an exit code: 0 done, 2 user error, 1 failure, 75 something remote did not answer,
130 interrupted, 143 terminated.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
from dataclasses import asdict, fields
from importlib import import_module
from pathlib import Path
from typing import Any

from pipeline.failures import INTERRUPTED, TERMINATED, USER_ERROR, Terminated, outcome, sigterm_raises

try:
    import pydantic  # noqa: F401
    import ruamel.yaml  # noqa: F401
except ModuleNotFoundError as missing:  # started by another Python than the project's
    print(f"error: {outcome(missing)[0]}", file=sys.stderr)
    sys.exit(USER_ERROR)

from labelmint.runtime.allocator import keep_freed_memory
from labelmint.runtime.errors import InputError
from labelmint.runtime.parent_death import end_with_parent, end_with_parent_of_shell
from labelmint.runtime.portable import set_limits
from labelmint.runtime.progress import printable, say, shown_by
from labelmint.runtime.settings import flat
from pipeline.dvc.position import position
from pipeline.dvc.workspace_lock import single_instance
from pipeline.experiment_copy import link_inputs
from pipeline.gpus.reservation import reserved_for_stage
from pipeline.probes import bypass_proxy
from pipeline.project import PARAMS_FILE, project_of
from pipeline.settings import last_results, schema
from pipeline.terminal import display, messages_on_stderr, write_utf8
from pipeline.tracking import destinations, evaluations
from pipeline.tracking.repro_run import ReproRun
from pipeline.tracking.spool import SpoolTracker, open_tracker
from stages.paths import Arm, Paths


def main(arguments: list[str]) -> int:
    """Run one stage in the current folder. Returns the exit code."""
    write_utf8()
    bypass_proxy()
    keep_freed_memory()
    if not 1 <= len(arguments) <= 2:
        print(
            "usage: python -m pipeline.stage STAGE [ARM], e.g. train_generators dcgan-40-0", file=sys.stderr
        )
        return USER_ERROR
    stage = arguments[0]
    arm_name = arguments[1] if len(arguments) == 2 else arm_of(os.environ.get("DVC_STAGE", ""), stage)
    label = f"{stage} {arm_name}" if arm_name else stage
    parent: ReproRun | None = None
    tracker: SpoolTracker | None = None
    status = "FAILED"
    with sigterm_raises(), messages_on_stderr():
        try:
            root = Path.cwd()
            params = schema.load(root / PARAMS_FILE)
            if params.compute.portable:
                set_limits()  # before a stage imports torch
            arm = Arm.parse(arm_name) if arm_name else None
            link_inputs(root, params)
            trackers, project = params.tracking.chosen, project_of(root)
            destinations.check(trackers)
            parent = ReproRun(root, params)
            tracker = open_tracker(project, stage, arm, params.dataset.name, parent.key, trackers=trackers)
            number = announced(root, params)
            with reserved_for_stage(root, stage, params.compute.device), shown_by(display(number)):
                chosen = select(entry(stage).Params, params, arm)
                _run(stage, chosen, label, params.dataset.name, tracker)
            if stage == "evaluate" and arm is not None:
                evaluations.identify(root, params, arm, tracker)
            status = "FINISHED"
            return 0
        except (Exception, KeyboardInterrupt, Terminated) as error:
            if os.environ.get("LABELMINT_DEBUG"):
                traceback.print_exc()
            message, code = outcome(error)
            status = "KILLED" if code in (INTERRUPTED, TERMINATED) else "FAILED"
            print(f"error: {printable(f'{label}: {message}')}", file=sys.stderr, flush=True)
            return code
        finally:
            if tracker is not None:
                tracker.close(status)
            if parent is not None:
                parent.close(status)


def announced(root: Path, params: schema.Params) -> str:
    """Say which stage of how many this is, if DVC runs it. Returns: e.g. "5/23", or an empty string."""
    address = os.environ.get("DVC_STAGE", "")
    found = position(root, address, vars(params))
    if found is None or os.environ.get("RANK", "0") != "0":
        return ""
    say(f"stage {found[0]} of {found[1]}: {address}")
    return f"{found[0]}/{found[1]}"


def _run(stage: str, chosen: Any, label: str, dataset: str, tracker: SpoolTracker) -> None:
    root = Path.cwd()
    tracker.log_params(flat(asdict(chosen)))
    manifest = Paths(root).tensors / "manifest.json"
    before = manifest.stat().st_mtime_ns if manifest.exists() else None
    with single_instance(root, label.replace(" ", "@")):
        entry(stage).run(chosen, Paths(root), tracker)
    created = manifest.exists() and manifest.stat().st_mtime_ns != before
    tracker.log_data(manifest, dataset, "made" if created else "used")
    if stage == "report":
        _record(root)


def arm_of(address: str, stage: str) -> str | None:
    """Name of the arm in DVC's name of a stage, e.g. train_baselines@40-0, whose generator is called real.

    The arm is not part of the command in dvc.yaml, since DVC passes that to a shell: the name of a generator
    in params.yaml could be a command.
    """
    group, found, key = address.partition("@")
    if group != stage or not found:
        return None
    return f"real-{key}" if re.fullmatch(r"\d+-\d+", key) else key


def entry(stage: str) -> Any:
    """The module of a stage. Raises InputError if there is none."""
    name = f"stages.{stage}"
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name and name.startswith(error.name):
            raise InputError(f"no stage '{stage}'; `dvc stage list` shows them") from error
        raise


def select(kind: type, params: schema.Params, arm: Arm | None) -> Any:
    """The parameters that a stage declares, and nothing else.

    Fields of `kind` are groups of params.yaml, `arm`, or `family`, the group of the arm's generator.
    """
    chosen: dict[str, Any] = {}
    for name in (field.name for field in fields(kind)):
        if name not in ("arm", "family"):
            chosen[name] = getattr(params, name)
        elif arm is None:
            raise InputError("this stage needs an arm: GENERATOR-PERCENT-SEED, e.g. dcgan-40-0")
        elif name == "arm":
            chosen[name] = arm
        elif arm.generator not in params.families:
            raise InputError(f"families: no '{arm.generator}' in {PARAMS_FILE}")
        else:
            chosen[name] = params.families[arm.generator]
    return kind(**chosen)


def _record(root: Path) -> None:
    """Keep the results for `labelmint experiments`. An error here does not fail the finished stage."""
    try:
        last_results.record(root)
    except Exception as error:  # e.g. a malformed file among the experiments
        say(f"results not kept in the list of experiments: {error}")


if __name__ == "__main__":
    if "DVC_STAGE" in os.environ:
        end_with_parent()
        end_with_parent_of_shell()
    sys.exit(main(sys.argv[1:]))
