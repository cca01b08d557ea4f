"""The one entry of every stage: `python -m pipeline.stage STAGE [ARM]`. Started by DVC, the arm is in $DVC_STAGE.

Loads and checks params, starts tracking, runs, and turns an error into one line and an exit code:
0 done, 2 a person's mistake, 1 a failure, 75 something elsewhere could not be reached, 130 interrupted, 143 terminated.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import traceback
from dataclasses import asdict, fields
from importlib import import_module
from pathlib import Path
from typing import Any

from labelmint.runtime.errors import InputError, Unreachable
from labelmint.runtime.parent_death import end_with_parent, end_with_parent_of_shell
from labelmint.runtime.progress import printable, say
from labelmint.runtime.settings import flat
from pipeline import failures
from pipeline.dvc.workspace_lock import single_instance
from pipeline.settings import experiments
from pipeline.settings import schema as settings
from pipeline.terminal import messages_on_stderr
from pipeline.tracking.spool import SpoolTracker, open_tracker
from stages.paths import Arm, Paths

UNREACHABLE = 75  # EX_TEMPFAIL of sysexits.h: trying again may help


class Terminated(BaseException):
    """SIGTERM, as an exception, so that files are closed and workers ended on the way out."""


def main(arguments: list[str]) -> int:
    """Exit code of the stage in `arguments`, whose messages go to stderr."""
    with messages_on_stderr():
        return _main(arguments)


def _main(arguments: list[str]) -> int:
    if not 1 <= len(arguments) <= 2:
        print("usage: python -m pipeline.stage STAGE [ARM], such as train_generators dcgan-40-0", file=sys.stderr)
        return 2
    stage = arguments[0]
    arm_name = arguments[1] if len(arguments) == 2 else arm_of(os.environ.get("DVC_STAGE", ""), stage)
    label = f"{stage} {arm_name}" if arm_name else stage
    signal.signal(signal.SIGTERM, _terminate)
    tracker: SpoolTracker | None = None
    status = "FAILED"
    try:
        root = Path.cwd()
        everything = settings.load(root / settings.PARAMS_FILE)
        arm = Arm.parse(arm_name) if arm_name else None
        tracker = open_tracker(root, stage, arm, everything.dataset.name)
        module = entry(stage)
        chosen = select(module.Params, everything, arm)
        tracker.log_params(flat(asdict(chosen)))
        manifest = Paths(root).tensors / "manifest.json"
        before = manifest.stat().st_mtime_ns if manifest.exists() else None
        with single_instance(root, label.replace(" ", "@")):
            module.run(chosen, Paths(root), tracker)
        made = manifest.exists() and manifest.stat().st_mtime_ns != before
        tracker.log_data(manifest, everything.dataset.name, "made" if made else "used")
        if stage == "report":
            _record(root)
        status = "FINISHED"
        return 0
    except Unreachable as error:
        return _fail(label, str(error), UNREACHABLE)
    except InputError as error:
        return _fail(label, str(error), 2)
    except KeyboardInterrupt:
        status = "KILLED"
        return _fail(label, "interrupted; run again to go on", 130)
    except Terminated:
        status = "KILLED"
        return _fail(label, "terminated; run again to go on", 143)
    except Exception as error:
        return _fail(label, failures.describe(error), 1)
    finally:
        if tracker is not None:
            tracker.close(status)


def arm_of(address: str, stage: str) -> str | None:
    """address: what DVC calls a stage, such as train_baselines@40-0. A baseline has no generator, which an arm calls real.

    The key is no part of the command in dvc.yaml, since DVC hands that to a shell as it is: a generator's name in params.yaml
    could be a command.
    """
    group, found, key = address.partition("@")
    if group != stage or not found:
        return None
    return f"real-{key}" if re.fullmatch(r"\d+-\d+", key) else key


def entry(stage: str) -> Any:
    """The module that runs `stage`. Raises: InputError when there is none."""
    name = f"stages.{stage}"
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name and name.startswith(error.name):
            raise InputError(f"no stage '{stage}'; `dvc stage list` shows them") from error
        raise


def select(kind: type, everything: settings.Params, arm: Arm | None) -> Any:
    """What a stage declares that it reads, and nothing else: fields of `kind` are groups of params.yaml, `arm`, or
    `family`, which is the arm's own."""
    names = [field.name for field in fields(kind)]
    chosen: dict[str, Any] = {}
    for name in names:
        if name not in ("arm", "family"):
            chosen[name] = getattr(everything, name)
        elif arm is None:
            raise InputError("this stage needs an arm: GENERATOR-PERCENT-SEED, such as dcgan-40-0")
        elif name == "arm":
            chosen[name] = arm
        elif arm.generator not in everything.families:
            raise InputError(f"families: no '{arm.generator}' in {settings.PARAMS_FILE}")
        else:
            chosen[name] = everything.families[arm.generator]
    return kind(**chosen)


def _record(root: Path) -> None:
    """For `labelmint experiments`. The stage is done, whatever comes of it."""
    try:
        experiments.record(root)
    except Exception as error:  # such as a damaged file among the experiments
        say(f"results not kept in the list of experiments: {error}")


def _fail(label: str, message: str, code: int) -> int:
    if os.environ.get("LABELMINT_DEBUG"):
        traceback.print_exc()
    print(f"error: {printable(f'{label}: {message}')}", file=sys.stderr, flush=True)
    return code


def _terminate(signum: int, frame: Any) -> None:
    raise Terminated


if __name__ == "__main__":
    if "DVC_STAGE" in os.environ:
        end_with_parent()
        end_with_parent_of_shell()
    sys.exit(main(sys.argv[1:]))
