"""Messages about bad settings of a project, commands in it, and outputs of its stages."""

from __future__ import annotations

from tests.integration.fuzz.bad_inputs import both, flip, replaced, settings_folder, stored_set, written
from tests.integration.fuzz.error_row import Row

_TRAIN = "stage train_generators dcgan-40-0"

SETTINGS = [
    Row(
        "an unknown setting",
        "labelmint check",
        "params.yaml: unknown setting 'training.epoch'; did you mean 'epochs'?",
        arrange=replaced("  epochs: 10", "  epoch: 10"),
    ),
    Row(
        "a setting out of its range",
        "labelmint check",
        "params.yaml: percents[1] must be 1 to 100, got 140",
        arrange=replaced("[40, 60, 80, 100]", "[40, 140]"),
    ),
    Row(
        "a setting of the wrong type",
        "labelmint check",
        "params.yaml: training.epochs must be an integer from 1 to 100000, got 'many'",
        arrange=replaced("epochs: 10 ", "epochs: many "),
    ),
    Row(
        "settings that are not YAML",
        "labelmint check",
        "params.yaml: not YAML: …",
        arrange=written("params.yaml", "dataset: ["),
    ),
    Row(
        "settings saved as UTF-16",
        "labelmint check",
        "params.yaml: line 1 is not UTF-8; save the file in this encoding",
        arrange=written("params.yaml", "dataset:".encode("utf-16")),
    ),
    Row(
        "a setting that is not finite",
        "labelmint check",
        "params.yaml: classifier.learning_rate must be a number above 0, got inf",
        arrange=replaced("learning_rate: 4.0e-3", "learning_rate: .inf"),
    ),
    Row(
        "an alias that contains itself",
        "labelmint use own",
        "experiments/own.yaml: cannot be read as settings: Circular reference detected",
        arrange=written("experiments/own.yaml", "generators: &a [*a]\n"),
    ),
    Row(
        "settings that are nested too deeply",
        "labelmint check",
        "params.yaml: nested too deeply",
        arrange=written("params.yaml", "a: " + "[" * 1_000),
    ),
    Row(
        "a settings file that is too large",
        "labelmint check",
        "params.yaml: larger than 1,000,000 bytes",
        arrange=written("params.yaml", "#" * 1_000_001),
    ),
    Row(
        "a generator without settings",
        "labelmint check",
        "params.yaml: generators: 'dcgn' is not in families; did you mean 'dcgan'?",
        arrange=replaced("generators: [dcgan]", "generators: [dcgn]"),
    ),
    Row(
        "a generator named `$(touch x)`",
        "labelmint check",
        "params.yaml: families: '$(touch x)' must be lower-case letters, digits and _, "
        "starting with a letter",
        arrange=replaced("  cgan:", '  "$(touch x)":'),
    ),
    Row(
        "an unknown experiment",
        "labelmint use mnist_quik",
        "no experiment 'mnist_quik'; did you mean 'mnist_quick' or 'mnist'?; "
        "`labelmint experiments` lists all …",
    ),
    Row(
        "an experiment with a bad setting",
        "labelmint use own",
        "experiments/own.yaml: seeds[0] must be at least 0, got -1",
        arrange=written("experiments/own.yaml", "seeds: [-1]\n"),
    ),
    Row(
        "a folder in place of a file",
        "stage prepare",
        "prepare: params.yaml: Is a directory",
        code=1,
        arrange=settings_folder,
    ),
]

COMMANDS = [
    Row(
        "an unknown command",
        "labelmint chek",
        "No such command 'chek'. Did you mean 'check'?; `labelmint --help` shows its usage",
    ),
    Row(
        "an option's value of the wrong type",
        "labelmint sample dcgan --count many --out x",
        "Invalid value for '--count': Input should be a valid integer, unable to parse string as an integer; "
        "`labelmint sample --help` shows its usage",
    ),
    Row(
        "percents that are not numbers",
        "labelmint run --percents half",
        "--percents 'half': expected whole numbers such as 40,60",
    ),
    Row(
        "a generator that was not trained",
        "labelmint sample dcgan --count 1 --out x",
        "no generator 'dcgan'; `make repro` trains some, or name the folder of one",
    ),
    Row(
        "a pickle in place of a generator",
        "labelmint sample ./g.pt --count 1 --out x",
        "g.pt is a pickle, which can execute code when opened, so it is refused; "
        "labelmint opens generator.safetensors with architecture.json beside it",
        arrange=written("g.pt", b"\x80\x04."),
    ),
    Row(
        "a time zone that is none",
        "labelmint serve --timezone CEST",
        "--timezone 'CEST': no time zone has this name; take one of a place, e.g. Europe/Vienna, or UTC",
    ),
    Row("an unknown stage", "stage polish", "polish: no stage 'polish'; `dvc stage list` shows them"),
    Row(
        "a name that is not an arm",
        "stage evaluate dcgan",
        "evaluate dcgan: 'dcgan' is not an arm: write GENERATOR-PERCENT-SEED, such as dcgan-40-0",
    ),
]

OUTPUTS = [
    Row(
        "a missing input of a stage",
        _TRAIN,
        "train_generators dcgan-40-0: data/tensors/images.npy is missing; `dvc repro` makes it",
    ),
    Row(
        "a flipped bit in a tensor file",
        _TRAIN,
        "train_generators dcgan-40-0: data/tensors/images.npy: damaged, its checksum is not the one in "
        "checksums.json; delete it and run again",
        arrange=stored_set(flip),
    ),
    Row(
        "a description that is not JSON",
        _TRAIN,
        "train_generators dcgan-40-0: data/tensors/dataset.json: not JSON (…); delete it and run again",
        arrange=stored_set(written("data/tensors/dataset.json", "{")),
    ),
    Row(
        "a learning rate with which training diverges",
        "stage train_feature_network",
        "train_feature_network: feature network: its features are no longer finite after step 20; "
        "lower feature_network.learning_rate",
        code=1,
        arrange=both(
            stored_set(
                written("data/tensors/dataset.json", '{"mirror": [false, false], "classes": ["a", "b"]}')
            ),
            both(
                replaced("steps: 400 ", "steps: 20 "),
                replaced("learning_rate: 2.0e-3     # Largest", "learning_rate: 1.0e+30     # Largest"),
            ),
        ),
    ),
    Row(
        "metrics that are not JSON",
        "stage report",
        "report: data/metrics/dcgan-40-0.json: not JSON (…); delete it and run again",
        arrange=written("data/metrics/dcgan-40-0.json", "NaN,"),
    ),
]
