"""Training batches: what they hold, and on what alone they depend."""

import gc
import itertools
import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from blindsr.config import registry
from blindsr.config.schema import TrainParams
from blindsr.data.patch_store import PatchStore
from blindsr.plugins.degradations import second_order
from blindsr.plugins.degradations.base import Degradation
from blindsr.runtime.errors import UserError
from blindsr.training.loading import Loader
from blindsr.training.samples import Batches, generator


def make(store: PatchStore, train: TrainParams, degradation: Degradation, **changes: int) -> Batches:
    return Batches(store, train, degradation, **({"seed": 0, "views": 2, "scale": 4} | changes))


@pytest.fixture(scope="module")
def batches(store: PatchStore, train_params: TrainParams, degradation: Degradation) -> Batches:
    return make(store, train_params, degradation)


def test_shapes_and_ranges(batches: Batches) -> None:
    lr, hr = batches[0]
    assert lr.shape == (4, 3, 16, 16)
    assert hr.shape == (2, 3, 64, 64)
    for tensor in (lr, hr):
        assert tensor.dtype == torch.float32
        assert tensor.min() >= 0
        assert tensor.max() <= 1
    levels = lr * 255
    assert torch.allclose(levels, levels.round(), atol=1e-4)


def test_one_view_takes_as_many_lr_images_from_twice_the_patches(
    store: PatchStore, train_params: TrainParams, degradation: Degradation
) -> None:
    lr, hr = make(store, train_params, degradation, views=1)[0]
    assert len(lr) == len(hr) == 4


def test_one_view_sees_the_first_views_of_two(
    store: PatchStore, train_params: TrainParams, degradation: Degradation, batches: Batches
) -> None:
    single, double = make(store, train_params, degradation, views=1)[3], batches[3]
    assert torch.equal(single.hr[:2], double.hr)
    assert torch.equal(single.lr[:2], double.lr[:2])


@pytest.mark.parametrize("views", [3, 4])
def test_more_views_are_those_of_fewer_and_others(
    store: PatchStore, train_params: TrainParams, degradation: Degradation, views: int
) -> None:
    """Twelve LR images: of six patches in two views, four in three, three in four."""
    train = train_params.model_copy(update={"batch": 12})
    few, many = (make(store, train, degradation, views=number)[1] for number in (2, views))
    patches = 12 // views
    assert (len(many.lr), len(many.hr)) == (12, patches)
    assert torch.equal(many.hr, few.hr[:patches])
    by_view = many.lr.unflatten(0, (views, patches))
    assert torch.equal(by_view[:2], few.lr.unflatten(0, (2, 6))[:, :patches])
    for first in range(views):
        for second in range(first):
            assert (by_view[first] - by_view[second]).abs().mean() > 0.005


def test_a_batch_that_its_views_do_not_divide_is_one_line(
    store: PatchStore, train_params: TrainParams, degradation: Degradation
) -> None:
    with pytest.raises(UserError, match="train.batch 4 cannot hold 3 views of each patch: set it to a multiple of 3"):
        make(store, train_params, degradation, views=3)
    odd = train_params.model_copy(update={"batch": 3})
    assert len(make(store, odd, degradation, views=1)[0].lr) == 3


def test_a_window_too_small_for_the_degradation_is_one_line(
    store: PatchStore, train_params: TrainParams, degradation: Degradation
) -> None:
    small = train_params.model_copy(update={"crop": 32, "window": 72})
    with pytest.raises(UserError, match="a window of 72 px is too small for .* set train.window to at least 74, and"):
        make(store, small, degradation)


@pytest.mark.parametrize("ranks", [1, 2])
def test_draws_are_those_of_the_lr_images_in_their_order(
    store: PatchStore, train_params: TrainParams, degradation: Degradation, ranks: int
) -> None:
    """Degrading the whole windows by hand with them, each rank its own, gives the LR images of the batch."""
    train = train_params.model_copy(update={"usm_target": False})
    for rank in range(ranks):
        batches = make(store, train, degradation, ranks=ranks, rank=rank)
        draws, batch = batches.draws(6), batches[6]
        assert len(draws) == len(batch.lr)
        parts, samples = 2 // ranks, range(rank * 2 // ranks, (rank + 1) * 2 // ranks)
        for i, drawn in enumerate(draws):
            sample, view = samples[i % parts], i // parts
            stream = generator(0, 6, sample, 1 + view)
            assert degradation.draw(stream, 144, 144, 4) == drawn
            window, top, left = batches._cut(6, sample)
            image = torch.from_numpy(window.copy()).permute(2, 0, 1)[None].float() / 255
            lr = degradation.apply(image, [drawn], [stream], 4)[0]
            assert torch.equal(lr[:, top // 4 : top // 4 + 16, left // 4 : left // 4 + 16], batch.lr[i])


@pytest.mark.parametrize("name", registry.names("degradation"))
def test_any_degradation_makes_batches_in_both_ways(
    store: PatchStore, train_params: TrainParams, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Batches, "together", 1)
    batches = make(store, train_params, registry.build("degradation", name, {}), views=2)
    lr, hr = batches[0]
    assert (lr.shape, hr.shape) == ((4, 3, 16, 16), (2, 3, 64, 64))
    finished = batches.finish(batches.sources(0), torch.device("cpu"))[0]
    torch.testing.assert_close(finished.hr, hr, rtol=0, atol=1e-3)
    means = [batch.mean((2, 3)) * 255 for batch in (finished.lr, lr)]
    assert (means[0] - means[1]).abs().max() < 12  # of 256 pixels; the noise is another one
    json.dumps(batches.describe(0))


def test_each_sample_of_a_group_has_noise_of_its_own(batches: Batches, monkeypatch: pytest.MonkeyPatch) -> None:
    """From its own generator, after its parameters; as sent from a worker process."""
    monkeypatch.setattr(Batches, "together", 2)
    keys = pickle.loads(pickle.dumps(batches.sources(1))).keys.tolist()
    wanted = []
    for iteration in (2, 3):
        for view, sample in itertools.product(range(2), range(2)):
            stream = generator(0, iteration, sample, 1 + view)
            batches._draw(stream)
            wanted.append(stream.integers(2**63))
    assert keys == wanted


def test_views_are_two_independent_degradations_of_one_crop(batches: Batches) -> None:
    lr, hr = batches[0]
    small = torch.nn.functional.interpolate(hr, scale_factor=0.25, mode="area")
    for first, second, clean in zip(lr[:2], lr[2:], small, strict=True):
        assert (first - second).abs().mean() > 0.005  # not the same draw
        for view in (first, second):  # but of the same place
            correlation = np.corrcoef(view.flatten().numpy(), clean.flatten().numpy())[0, 1]
            assert correlation > 0.5


def test_a_batch_depends_on_seed_and_iteration_alone(
    store: PatchStore, train_params: TrainParams, degradation: Degradation, batches: Batches
) -> None:
    again = make(store, train_params, degradation)
    later, first = again[5], again[0]
    assert torch.equal(first.lr, batches[0].lr)
    assert torch.equal(later.lr, batches[5].lr)
    assert not torch.equal(first.hr, later.hr)
    other_seed = make(store, train_params, degradation, seed=1)[0]
    assert not torch.equal(first.hr, other_seed.hr)


def test_a_sample_does_not_depend_on_the_size_of_the_batch(
    store: PatchStore, train_params: TrainParams, degradation: Degradation, batches: Batches
) -> None:
    larger = make(store, train_params.model_copy(update={"batch": 8}), degradation)[2]
    assert torch.equal(larger.hr[:2], batches[2].hr)
    assert torch.equal(larger.lr[[0, 1, 4, 5]], batches[2].lr)


@pytest.mark.parametrize("workers", [0, 1, 2, 7])
def test_workers_change_nothing(batches: Batches, workers: int) -> None:
    loader = Loader(batches, 2, 5, workers, torch.device("cpu"))
    for iteration, batch in zip(range(2, 5), loader, strict=True):
        assert torch.equal(batch.lr, batches[iteration].lr)
        assert torch.equal(batch.hr, batches[iteration].hr)


@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_the_parts_of_all_ranks_are_the_batch_of_one(
    store: PatchStore, train_params: TrainParams, degradation: Degradation, ranks: int, views: int
) -> None:
    train = train_params.model_copy(update={"batch": 8})
    whole = make(store, train, degradation, views=views)[3]
    parts = [make(store, train, degradation, views=views, ranks=ranks, rank=rank)[3] for rank in range(ranks)]
    assert {len(part.lr) for part in parts} == {8 // ranks}
    assert torch.equal(torch.cat([part.hr for part in parts]), whole.hr)
    by_view = [part.lr.unflatten(0, (views, -1)) for part in parts]
    assert torch.equal(torch.cat(by_view, dim=1).flatten(0, 1), whole.lr)


def test_ranks_that_cannot_share_equally_are_one_line(
    store: PatchStore, train_params: TrainParams, degradation: Degradation
) -> None:
    with pytest.raises(UserError, match="4 processes cannot share the 2 patches of a batch equally: set"):
        make(store, train_params, degradation, ranks=4)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the memory of this process from /proc")
def test_memory_is_steady_over_100_000_windows(batches: Batches) -> None:
    def read(iterations: range) -> int:
        """Read 10 windows of each iteration; the anonymous memory of this process after that, in KiB."""
        for iteration in iterations:
            for sample in range(10):
                batches._cut(iteration, sample)[0][::8, ::8].sum()
        gc.collect()
        status = Path("/proc/self/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+) kB", status)[1])

    before = read(range(100))
    after = read(range(100, 10_100))
    assert after - before < 4096  # 100,000 kept numbers of 28 bytes would be 2.7 MiB, one window of 144 px is 61 KiB


def test_crops_lie_in_the_image_where_the_window_says(
    store: PatchStore, train_params: TrainParams, degradation: Degradation
) -> None:
    plain = train_params.model_copy(update={"usm_target": False})
    batches = make(store, plain, degradation, views=1)
    images = [torch.from_numpy(store.image(n).copy()).permute(2, 0, 1).float() / 255 for n in range(2)]
    for iteration in range(4):
        for crop in batches[iteration].hr:
            found = False
            for image in (*images, *(image.flip(2) for image in images)):
                rows = image.unfold(1, 64, 1).unfold(2, 64, 1)  # every position
                corner = (rows[:, :, :, 0, 0] == crop[:, 0, 0, None, None]).all(0).nonzero()
                found |= any(torch.equal(rows[:, y, x], crop) for y, x in corner.tolist())
            assert found


def test_positions_follow_the_released_crop(
    store: PatchStore, train_params: TrainParams, degradation: Degradation
) -> None:
    """With patches under 400 px, a crop starts on the LR grid of its patch, uniformly."""
    batches = make(store, train_params, degradation)
    starts = []
    for sample in range(2000):
        start, inside = batches._place(generator(0, 0, sample, 9), 40, 160, 260)
        assert start >= 0
        assert start + 144 <= 260
        assert 0 <= inside <= 144 - 64
        starts.append(start + inside - 40)
    assert set(starts) == set(range(0, 97, 4))
    assert stats.chisquare(np.bincount(np.array(starts) // 4)).pvalue > 1e-4


def test_large_patches_are_first_cut_to_400_px(
    store: PatchStore, train_params: TrainParams, degradation: Degradation
) -> None:
    batches = make(store, train_params, degradation)
    positions = [sum(batches._place(generator(0, 0, sample, 9), 0, 480, 2000)) for sample in range(20000)]
    assert min(positions) == 0
    assert max(positions) == 80 + 336
    # the sum of U{0..80} and 4 U{0..84}: mean 40 + 168
    assert np.mean(positions) == pytest.approx(208, abs=3)
    assert np.var(positions) == pytest.approx((81**2 - 1) / 12 + 16 * (85**2 - 1) / 12, rel=0.05)


def test_crops_meet_the_jpeg_blocks_in_all_eight_phases(
    store: PatchStore, train_params: TrainParams, degradation: Degradation
) -> None:
    batches = make(store, train_params, degradation)
    inside = [batches._place(generator(0, 0, sample, 9), 800, 480, 2000)[1] // 4 for sample in range(2000)]
    assert stats.chisquare(np.bincount(np.array(inside) % 8)).pvalue > 1e-4


def test_flips_are_fair_and_can_be_turned_off(
    store: PatchStore, train_params: TrainParams, degradation: Degradation
) -> None:
    flips = []
    on, off = (
        make(store, train_params.model_copy(update={"horizontal_flip": flip, "usm_target": False}), degradation)
        for flip in (True, False)
    )
    for sample in range(300):
        with_flip, without = on._cut(0, sample), off._cut(0, sample)
        same = np.array_equal(with_flip[0], without[0])
        assert same or np.array_equal(with_flip[0][:, ::-1], without[0])
        flips.append(not same)
    assert stats.binomtest(sum(flips), len(flips)).pvalue > 1e-4


def test_images_smaller_than_the_crop_are_one_line(
    store: PatchStore, train_params: TrainParams, degradation: Degradation
) -> None:
    with pytest.raises(UserError, match="larger than the smallest training image"):
        make(store, train_params.model_copy(update={"crop": 256, "window": 256}), degradation)


@pytest.mark.parametrize("usm_target", [False, True])
def test_a_batch_finished_on_a_device_is_that_of_the_cpu(
    store: PatchStore, train_params: TrainParams, usm_target: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without noise: the same targets and views, up to rounding."""
    quiet = {"noise_sigma": (0.0, 0.0), "poisson_scale": (0.0, 0.0)}
    degradation = second_order.build(first=quiet, second=quiet)
    batches = make(store, train_params.model_copy(update={"usm_target": usm_target, "batch": 8}), degradation)
    monkeypatch.setattr(Batches, "together", 3)
    sources = pickle.loads(pickle.dumps(batches.sources(2)))  # as it comes from a worker process
    finished = batches.finish(sources, torch.device("cpu"))
    for iteration, batch in enumerate(finished, 2 * 3):
        wanted = batches[iteration]
        torch.testing.assert_close(batch.hr, wanted.hr, rtol=0, atol=1e-3)
        assert batch.lr.shape == wanted.lr.shape
        error = (batch.lr - wanted.lr).square().mean((1, 2, 3)) * 255**2
        assert error.median() < 1  # squared levels: a last bit before JPEG's rounding makes a level here and there
        assert error.max() < 30


@pytest.mark.parametrize(
    ("batch", "ranks", "side", "together"),
    [(16, 1, 96, 50), (16, 4, 96, 200), (16, 1, 144, 22), (128, 1, 144, 2), (400, 1, 144, 1)],
)
def test_a_gpu_makes_so_many_batches_at_once(
    store: PatchStore,
    train_params: TrainParams,
    degradation: Degradation,
    batch: int,
    ranks: int,
    side: int,
    together: int,
) -> None:
    """About 128 windows of 240 px."""
    train = train_params.model_copy(update={"batch": batch, "window": side})
    assert make(store, train, degradation, ranks=ranks).together == together
