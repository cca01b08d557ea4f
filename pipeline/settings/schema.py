"""params.yaml: one typed schema, checked as a whole before any stage starts."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Interval, MinLen
from typing_extensions import Doc

from labelmint.classifiers.settings import Classifier, FeatureNetwork
from labelmint.data.settings import Dataset
from labelmint.gans.settings import Family, Synthesis
from labelmint.metrics.settings import Metrics
from labelmint.runtime.errors import InputError
from labelmint.runtime.settings import Compute
from labelmint.runtime.validation import Settings, explain, hints
from labelmint.runtime.words import did_you_mean
from labelmint.training.settings import Training

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_MAX_BYTES = 1_000_000  # of a settings file
RENAMED = {
    "classifier.weak_checks": "classifier.simple_classifiers",
    "classifier.checks": "classifier.evaluations",
    "classifier.holdout_most": "classifier.holdout_max_images",
    "classifier.moment": "classifier.checkpoint",
    "classifier.real_share": "classifier.real_fraction",
    "families.*.critic_steps": "families.*.n_critic",
}
"""Settings of earlier versions and their names now; * stands for the name of a family."""


@dataclass(frozen=True)
class Tracking(Settings):
    """Where runs are recorded beside MLflow. No result depends on it."""

    tensorboard: Annotated[
        bool,
        Doc("Whether TensorBoard's event files are written, to `tensorboard/`. Needs its package."),
    ] = False

    @property
    def chosen(self) -> list[str]:
        """Names of the trackers that are switched on."""
        return [field.name for field in fields(self) if getattr(self, field.name)]


@dataclass(frozen=True)
class Params(Settings):
    """An arm is one generator x one fraction of the real training data x one replicate."""

    dataset: Dataset
    generators: Annotated[list[str], Doc("Generators to train, each one of `families`.")]
    percents: Annotated[
        list[Annotated[int, Interval(ge=1, le=100)]],
        MinLen(1),
        Doc("Percentages of the real training data. Smaller ones are subsets of larger ones."),
    ]
    seeds: Annotated[
        list[Annotated[int, Ge(0)]],
        MinLen(1),
        Doc("Seeds of the replicates. Each has its own subsets, generators and classifiers."),
    ]
    first_look: Annotated[
        bool, Doc("Whether sizes are those of a first look. The report then says that nothing is a result.")
    ]
    families: dict[str, Family]
    training: Training
    synthesis: Synthesis
    classifier: Classifier
    feature_network: FeatureNetwork
    metrics: Metrics
    compute: Compute
    tracking: Tracking = Tracking()

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("generators", "percents", "seeds"):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise ValueError(f"{name}: {values} names one twice")
        end = self.classifier.learning_curve_percent
        if self.classifier.learning_curve and end not in self.percents:
            raise ValueError(
                f"classifier.learning_curve_percent: {end} is not among percents {self.percents}, of whose "
                "baselines it names the one that trains the points of classifier.learning_curve"
            )
        for name in self.families:
            if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
                raise ValueError(
                    f"families: '{name}' must be lower-case letters, digits and _, starting with a letter"
                )
        for name in self.generators:
            if name not in self.families:
                raise ValueError(
                    f"generators: '{name}' is not in families{did_you_mean(name, self.families)}"
                )
            self.families[name].generator.start_size(self.dataset.image_size)
            if self.dataset.multi_hot and self.families[name].labels == "per_class":
                raise ValueError(
                    f"generators: '{name}' trains one generator per class, but the "
                    f"{len(self.dataset.attributes)} dataset.attributes make multi-hot labels, not classes; "
                    "name one attribute"
                )


def load(path: Path) -> Params:
    """Read and check params.yaml. Raises InputError in one line: file, setting, what is wrong with it."""
    return check(read(path), str(path))


def read(path: Path) -> dict[str, Any]:
    """Unchecked content of a file of settings. Raises InputError if it is missing or no YAML mapping."""
    from ruamel.yaml.error import YAMLError

    text = text_of(path)
    try:
        content = parse(text)
    except RecursionError as error:
        raise InputError(f"{path}: nested too deeply") from error
    except (YAMLError, ValueError) as error:  # ValueError: e.g. a date in the 13th month
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected settings, one 'name: value' per line")
    return content


def text_of(path: Path) -> str:
    """Text of a file of settings, without the byte order mark and the CRs that editors of Windows add.

    Raises: InputError if the file is missing, too large or not UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing; run in the folder of the project") from error
    if len(content) > _MAX_BYTES:
        raise InputError(f"{path}: larger than {_MAX_BYTES:,} bytes")
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}: line {line} is not UTF-8; save the file in this encoding") from error


def parse(text: str) -> Any:
    """YAML as nested dicts and lists, which the caller may change.

    Raises: YAMLError, ValueError, RecursionError.
    """
    return copy.deepcopy(_parsed(text))


@lru_cache(maxsize=128)
def _parsed(text: str) -> Any:
    """Content of a text. Commands read the default settings several times, which take ruamel.yaml 0.2 s."""
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True).load(text)


def check(content: dict[str, Any], where: str) -> Params:
    """Settings from nested dicts. Raises InputError that starts with `where`."""
    from pydantic import ValidationError

    try:
        _refuse_unknown(content, Params, where, "")
        # As JSON, since strict validation of Python values takes no mapping for a dataclass.
        return _adapter().validate_json(json.dumps(content, default=str))
    except ValidationError as error:
        raise InputError(f"{where}: {explain(error, Params, content)}") from error
    except (TypeError, ValueError, RecursionError) as error:  # e.g. a date as a name, or a cycle of aliases
        raise InputError(f"{where}: cannot be read as settings: {' '.join(str(error).split())}") from error


@lru_cache
def _adapter() -> TypeAdapter[Params]:
    from pydantic import TypeAdapter

    return TypeAdapter(Params)


def overlay(base: dict[str, Any], changes: dict[str, Any]) -> None:
    """Apply `changes` to `base` in place: mappings merge, everything else replaces."""
    for name, value in changes.items():
        if isinstance(value, dict) and isinstance(base.get(name), dict):
            overlay(base[name], value)
        else:
            base[name] = value


def new_name(name: str) -> str | None:
    """Name that a setting of earlier versions has now, or None if it was not renamed."""
    family = re.match(r"families\.([^.]+)\.", name)
    pattern = name.replace(f".{family[1]}.", ".*.", 1) if family else name
    if pattern not in RENAMED:
        return None
    return RENAMED[pattern].replace("*", family[1]) if family else RENAMED[pattern]


def _refuse_unknown(content: Any, kind: Any, where: str, path: str) -> None:
    """Refuse unknown and missing settings by name; pydantic would not suggest the one that was meant."""
    if not is_dataclass(kind) or not isinstance(content, dict):
        return
    known = hints(kind)  # type: ignore[arg-type]  # a class here, never an instance
    for name, value in content.items():
        if renamed := new_name(f"{path}{name}"):
            raise InputError(f"{where}: {path}{name} is now {renamed}")
        if name not in known:
            raise InputError(f"{where}: unknown setting '{path}{name}'{did_you_mean(str(name), known)}")
        if name == "families" and isinstance(value, dict):
            for family, settings in value.items():
                _refuse_unknown(settings, Family, where, f"{path}families.{family}.")
        else:
            _refuse_unknown(value, known[name], where, f"{path}{name}.")
    required = [field.name for field in fields(kind) if field.default is field.default_factory is MISSING]
    if missing := [name for name in required if name not in content]:
        raise InputError(f"{where}: missing {', '.join(missing)}")
