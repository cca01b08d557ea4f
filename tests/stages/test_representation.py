"""The linear SVM against the library's, in bounded memory; features of discriminators, by the stage."""

from __future__ import annotations

import re
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch

from labelmint.data.storage.tensors import load_set
from labelmint.gans import archive
from labelmint.gans.registry import build_discriminator
from labelmint.gans.settings import DiscriminatorNetwork, Family
from labelmint.metrics import representation, svm
from labelmint.metrics.settings import Representation
from labelmint.runtime.atomic_files import load_json
from labelmint.runtime.tracker import NullTracker
from pipeline.stage import entry, select
from stages.paths import Arm
from tests.conftest import CPU
from tests.stages.test_arms import beside

ARM = Arm("dcgan", 100, 0)


def points(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Three overlapping classes in 12 dimensions."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    return rng.normal(0, 1, (count, 12)) + 1.2 * np.eye(3, 12)[labels], labels


class TestMachine:
    def test_is_liblinears(self):
        from sklearn.svm import LinearSVC

        values, labels = points(400, 0)
        table = svm.Table.of(values, np.arange(400))
        ours, converged = svm.fit(table, labels, 3, 2.0, iterations=5000)
        assert converged
        scaled = np.concatenate([part for _, part in table.chunks()])
        library = LinearSVC(C=2.0, dual=False, tol=1e-10, fit_intercept=False, max_iter=100_000).fit(scaled, labels)
        assert np.allclose(ours, library.coef_, atol=5e-3)
        held, truth = points(1000, 1)
        others = table.others(held, np.arange(1000))
        told = svm.classify(others, ours)
        assert (told == library.predict(np.concatenate([part for _, part in others.chunks()]))).mean() > 0.998
        assert (told == truth).mean() > 0.6

    def test_chunks_change_nothing(self, monkeypatch):
        values, labels = points(200, 0)
        table = svm.Table.of(values, np.arange(200))
        whole, _ = svm.fit(table, labels, 3, 1.0)
        monkeypatch.setattr(svm, "_CHUNK_BYTES", 4 * 12 * 7)  # seven rows at a time
        again, _ = svm.fit(svm.Table.of(values, np.arange(200)), labels, 3, 1.0)
        assert np.allclose(whole, again, atol=1e-3)

    def test_features_are_scaled_and_dead_ones_left_out(self):
        values, _ = points(500, 0)
        values = np.concatenate([1e3 * values + 7, np.full((500, 1), 3.3)], 1)
        scaled = np.concatenate([part for _, part in svm.Table.of(values, np.arange(500)).chunks()])
        assert (scaled[:, -1] == 1).all() and (scaled[:, 12] == 0).all()
        assert (scaled[:, :12] ** 2).mean() == pytest.approx(1 / 13, rel=1e-3)

    def test_memory_stays_bounded_at_28672_features(self, tmp_path):
        """3,000 images: 344 MB as float32, 688 MB as the float64 that liblinear would make. In chunks of 16 MiB it takes no more for 50,000."""
        rng = np.random.default_rng(0)
        values = np.lib.format.open_memmap(tmp_path / "f.npy", "w+", np.float16, (3000, 28_672))
        for at in range(0, 3000, 100):
            values[at : at + 100] = rng.normal(0, 1, (100, 28_672))
        labels = np.arange(3000) % 2
        values[labels == 1, :50] += 2
        tracemalloc.start()
        weights, converged = svm.fit(svm.Table.of(values, np.arange(3000)), labels, 2, 1.0, iterations=5)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert not converged and weights.shape == (2, 28_673) and peak < 200 << 20
        # Rows of a chunk, not of the set, decide: at 28,672 features they are 146.
        assert svm.rows_per_chunk(28_672) == 146


class TestProbe:
    def test_numbers_of_labels_that_leave_none_to_choose_c_on_are_left_out(self):
        labels = np.repeat([0, 1, 2], [400, 500, 401])
        counts, reasons = representation.triable(labels, [100, 399, 400, 1000])
        assert counts == [100, 399]
        assert [reason.split(":")[0] for reason in reasons] == ["400 labels per class left out", "1000 labels per class left out"]  # fmt: skip

    def test_fits_that_stop_early_are_counted(self):
        training, test = points(90, 0), points(60, 1)
        stopped, done = (
            representation.probe(
                training, test, 3, 10, Representation(draws=2, c=[1.0, 10.0], iterations=iterations), 0
            )
            for iterations in (3, 1000)
        )
        assert (stopped["fits"], stopped["unconverged"]) == (6, 6) and (done["fits"], done["unconverged"]) == (6, 0)


class TestFeatures:
    @pytest.mark.parametrize(
        ("filters", "strides", "pooling", "size", "expected"),
        [
            # Radford et al. 2016: every layer of a 32 px discriminator to a 4 x 4 grid.
            ([128, 128, 256, 256, 512, 512], [1, 2, 1, 2, 1, 2], "grid", 4, 28_672),
            # The report: 2 x 2 max-pooling of 128, 256 and 512 maps at 32 px.
            ([128, 256, 512], [2, 2, 2], "window", 2, 14_336),
        ],
    )
    def test_as_many_as_published(self, filters, strides, pooling, size, expected):
        network = DiscriminatorNetwork(filters=filters, kernels=[3] * len(filters), strides=strides)
        built = build_discriminator(Family(labels="none", discriminator=network), (3, 32, 32), 0).eval()
        extractor = representation.Extractor([built], 0, pooling, size, CPU)
        assert extractor(np.zeros((2, 3, 32, 32), np.uint8)).shape == (2, expected)

    def test_pooling_takes_the_largest(self):
        extractor = representation.Extractor([], 0, "grid", 2, CPU)
        maps = torch.arange(16.0).reshape(1, 1, 4, 4)
        assert extractor._pooled(maps).flatten().tolist() == [5, 7, 13, 15]

    def test_the_discriminator_is_kept_as_it_was_trained(self, workspace):
        """Not with its first weights, and with the statistics of real images."""
        (images, _), folder = load_set(workspace.tensors), workspace.generator(ARM)
        networks = archive.load_discriminators(folder)
        assert len(networks) == 10
        made = representation.extractors(folder, np.asarray(images), Representation(), CPU, 0)
        weights = [
            dict(made[name].networks[3].named_parameters()) for name in ("discriminator", "untrained discriminator")
        ]
        name = next(name for name in weights[0] if name.endswith("weight"))
        assert not torch.equal(weights[0][name], weights[1][name])
        # Statistics of batch normalisation are those of real images, not the initial ones.
        norms = [
            module for module in made["discriminator"].networks[3].modules() if isinstance(module, torch.nn.BatchNorm2d)
        ]
        assert norms and all(not torch.equal(norm.running_mean, torch.zeros_like(norm.running_mean)) for norm in norms)


@pytest.mark.parametrize("labels", ["per_class", "none"])
def test_through_the_stage(params, workspace, tmp_path, labels, request):
    if labels == "none":
        from tests.stages.test_labels import all_stages

        families = params.families | {"dcgan": replace(params.families["dcgan"], labels="none")}
        own = Representation(measured=True, labels_per_class=[5, 12], draws=2, c=[0.3, 3.0], iterations=50)
        asked = replace(params, families=families, percents=[100], metrics=replace(params.metrics, representation=own))
        layout = all_stages(asked, tmp_path)
        page = (layout.reports / "index.html").read_text()
        assert "linear SVM on" in page and "12 labels per class left out: the smallest class has" in page
        assert re.search(r"<td>5</td><td>50</td>.*<td>70 further labels</td><td>\d of 6</td>", page)
    else:
        layout = beside(workspace, tmp_path)
        (tmp_path / "data" / "classifiers").symlink_to(workspace.root / "data" / "classifiers")
        own = Representation(measured=True, labels_per_class=[5, 12], draws=2, c=[0.3, 3.0], iterations=50)
        module = entry("evaluate")
        module.run(select(module.Params, replace(params, metrics=replace(params.metrics, representation=own)), ARM), layout, NullTracker())  # fmt: skip
    told = load_json(layout.metrics(ARM))["representation"]
    rows = told["rows"]
    assert told["left_out"] == ["12 labels per class left out: the smallest class has 12 training images, and C is chosen on others of them"]  # fmt: skip
    assert [(row["features"], row["labels_per_class"]) for row in rows] == [
        (name, count) for name in ("discriminator", "untrained discriminator", "pixels") for count in (None, 5)
    ]
    sizes = {row["features"]: row["size"] for row in rows}
    networks = 10 if labels == "per_class" else 1
    assert sizes == {"discriminator": 96 * 16 * networks, "untrained discriminator": 96 * 16 * networks, "pixels": 256}
    for row in rows:
        assert row["low"] <= row["accuracy"] <= row["high"] and set(row["C"]) <= {0.3, 3.0}
        assert row["accuracy"] > (0.75 if row["labels_per_class"] is None else 0.5)
        few = row["labels_per_class"] is not None
        assert (row["n_labels"], row["n_validation"]) == ((50, 70) if few else (120, 10))
        assert row["fits"] == (6 if few else 3) >= row["unconverged"]
    assert not list(layout.checkpoints.glob("tmp*"))  # nothing large is left behind
