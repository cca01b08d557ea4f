"""Settings are checked at construction, and stay plain frozen dataclasses."""

from __future__ import annotations

import json
import pickle
import re
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, is_dataclass, replace
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Gt, Interval, MaxLen
from typing_extensions import Doc

from labelmint.classifiers.settings import Augmentation, Classifier, FeatureNetwork
from labelmint.data.settings import Dataset
from labelmint.gans.network_settings import DiscriminatorNetwork, GeneratorNetwork
from labelmint.gans.settings import Family, Optimizer, Synthesis
from labelmint.metrics.settings import Metrics, Representation
from labelmint.runtime.settings import Compute, flat
from labelmint.runtime.validation import Forms, Settings, hints, type_name, unwrap
from labelmint.training.settings import Training

GROUPS: list[type[Any]] = [
    *(Dataset, GeneratorNetwork, DiscriminatorNetwork, Optimizer, Family, Synthesis, Training),
    *(Augmentation, Classifier, FeatureNetwork, Representation, Metrics, Compute),
]


@dataclass(frozen=True)
class Inner(Settings):
    rate: Annotated[float, Gt(0), Doc("Rate.")] = 0.5


@dataclass(frozen=True)
class Outer(Settings):
    count: Annotated[int, Interval(ge=1, le=8), Doc("Count.")] = 1
    kind: Annotated[Literal["a", "b", "c"], Doc("Kind.")] = "a"
    sizes: Annotated[list[Annotated[int, Ge(1)]], MaxLen(2), Doc("Sizes.")] = field(default_factory=list)
    limit: Annotated[Annotated[int, Ge(1)] | Literal["auto"], Doc("Limit.")] = "auto"
    name: Annotated[str | None, Doc("Name.")] = None
    flag: Annotated[bool, Doc("Flag.")] = False
    device: Annotated[str, Forms(("cpu", "cuda", "cuda:N")), Doc("Device.")] = "cpu"
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.count > len(self.sizes) + 1:
            raise ValueError("count exceeds sizes")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"count": 0}, "count must be 1 to 8, got 0"),
        ({"count": "5"}, "count must be an integer from 1 to 8, got '5'"),
        ({"count": True}, "count must be an integer from 1 to 8, got True"),
        ({"kind": "d"}, "kind must be a, b or c, got 'd'"),
        ({"sizes": [3, 0]}, "sizes[1] must be at least 1, got 0"),
        ({"sizes": [1, 2, 3]}, "sizes must have at most 2 entries, got 3"),
        ({"sizes": 3}, "sizes must be a list, each entry an integer of at least 1, got 3"),
        ({"limit": 0}, "limit must be an integer of at least 1 or auto, got 0"),
        ({"name": 3}, "name must be text or null, got 3"),
        ({"flag": 1}, "flag must be true or false, got 1"),
        ({"inner": 3}, "inner must be a group of settings, got 3"),
        ({"count": 0, "flag": 1}, "count must be 1 to 8, got 0; flag must be true or false, got 1"),
        ({"count": 3}, "count exceeds sizes"),
        ({"device": "cuda:x"}, "device must be cpu, cuda or cuda:N, got 'cuda:x'"),
        ({"device": "cuda:01"}, "device must be cpu, cuda or cuda:N, got 'cuda:01'"),
        ({"device": "cuda:1\n"}, r"device must be cpu, cuda or cuda:N, got 'cuda:1\n'"),
        ({"device": "cuda:1000"}, "device must be cpu, cuda or cuda:N, got 'cuda:1000'"),
        ({"device": 0}, "device must be cpu, cuda or cuda:N, got 0"),
    ],
)
def test_refuses_a_wrong_value_in_words(changes, message):
    exactly = f"^{re.escape(message)}$"
    with pytest.raises(ValueError, match=exactly):
        Outer(**changes)
    with pytest.raises(ValueError, match=exactly):
        replace(Outer(), **changes)


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:0", "cuda:10", "cuda:999"])
def test_a_text_with_a_number_is_taken(device):
    assert Outer(device=device).device == device


def test_quotes_no_more_than_the_start_and_end_of_a_long_value():
    with pytest.raises(ValueError, match="name must be text or null") as error:
        Outer(name=["x" * 1000])  # type: ignore[arg-type]
    assert len(str(error.value)) < 100
    with pytest.raises(ValueError, match="kind must be a, b or c") as error:
        Outer(kind="x" * 1000)  # type: ignore[arg-type]
    assert len(str(error.value)) < 200


def test_a_value_is_checked_but_not_converted():
    """Values and their types are part of checkpoints' identities."""
    given = Inner(rate=1)
    assert type(given.rate) is int
    assert json.dumps(asdict(given)) == '{"rate": 1}'
    with pytest.raises(ValueError, match="rate must be a number above 0, got nan"):
        Inner(rate=float("nan"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("count", "integer, 1 to 8"),
        ("kind", "a | b | c"),
        ("sizes", "list of integer, at least 1"),
        ("limit", "integer, at least 1 or auto"),
        ("name", "text or null"),
        ("flag", "true | false"),
        ("device", "cpu | cuda | cuda:N"),
    ],
)
def test_names_types_with_their_ranges(name, expected):
    assert type_name(hints(Outer)[name]) == expected


@pytest.mark.parametrize("group", GROUPS)
def test_groups_are_plain_dataclasses(group: Any):
    made: Any = group()
    assert is_dataclass(group())
    assert pickle.loads(pickle.dumps(made)) == made == replace(made)
    assert [each.name for each in fields(made)] == list(asdict(made))
    with pytest.raises(FrozenInstanceError):
        setattr(made, fields(made)[0].name, None)
    with pytest.raises(TypeError, match="no_such_setting"):
        group(no_such_setting=1)


@pytest.mark.parametrize("group", GROUPS)
def test_every_setting_has_a_meaning(group):
    for name, annotation in hints(group).items():
        plain, metadata = unwrap(annotation)
        docs = [each.documentation for each in metadata if isinstance(each, Doc)]
        assert is_dataclass(plain) or (len(docs) == 1 and docs[0].endswith(".")), name


def test_flat():
    assert flat({"a": {"b": 1, "c": {"d": [2]}}, "e": 3}) == {"a.b": 1, "a.c.d": [2], "e": 3}
