"""Batches in buckets, outputs in given memory, profiles; on a GPU, replays of CUDA graphs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

import netspec
from netspec.backends.cuda import bound
from netspec.backends.cuda.executor import BATCHES, CudaExecutor
from netspec.runtime.verification import random_images
from tests.backends.cuda.helpers import DEVICE, assert_exact, both, load_rows
from tests.kernels.helpers import gpu, only_on_gpu

SMALL = "net example\ninput image 3x4x2\n"
ROWS = "a: conv 1x1, 4 | relu | maxpool 2x2/2, round=ceil\nb: fc 3"


def buckets(model: netspec.Compiled) -> list[int]:
    assert isinstance(model.refresh(), CudaExecutor)
    return sorted(model.refresh()._bound_plans)


def test_a_batch_runs_in_the_smallest_bucket_that_holds_it() -> None:
    model, exact = both(load_rows(ROWS, SMALL))
    for batch in (1, 3, 4, 5, 3):
        assert_exact(model, exact, batch)
    assert buckets(model) == [1, 4, 8]


def test_an_empty_batch_gives_empty_outputs() -> None:
    model, _ = both(load_rows(ROWS, SMALL))
    y = model(torch.empty(0, 2, 3, 4, dtype=torch.float64, device=DEVICE))
    assert y.shape == (0, 3)
    assert buckets(model) == []


def test_a_batch_beyond_the_largest_bucket_is_refused() -> None:
    model, _ = both(load_rows(ROWS, SMALL))
    image = torch.empty(1, 2, 3, 4, dtype=torch.float64, device=DEVICE).expand(257, -1, -1, -1)
    with pytest.raises(ValueError, match="a batch of 257 images is more than the 256"):
        model(image)
    assert BATCHES[-1] == 256


def test_images_in_any_layout() -> None:
    model, exact = both(load_rows(ROWS, SMALL))
    (image,) = random_images(model.net, batch=2)
    with torch.no_grad():
        wanted = exact(image)
        turned = image.flip(0).to(DEVICE)
        for same_image in (
            image.to(DEVICE),
            image.to(DEVICE, memory_format=torch.channels_last),
            turned.flip(0),
            image.repeat(1, 1, 1, 2)[..., :4].to(DEVICE),
        ):
            torch.testing.assert_close(model(same_image).cpu(), wanted, rtol=1e-12, atol=1e-12)


def test_outputs_are_written_where_they_are_wanted() -> None:
    model, _ = both(load_rows(ROWS + "\noutput a, b", SMALL))
    image = random_images(model.net, batch=3)[0].to(DEVICE)
    with torch.inference_mode():
        wanted = model(image)
    places = [torch.full_like(y, torch.nan) for y in wanted]
    outputs = model(image, out=places)
    for y, place, right in zip(outputs, places, wanted, strict=True):
        assert y.data_ptr() == place.data_ptr()
        assert torch.equal(place, right)


@pytest.mark.parametrize(
    ("size", "dtype", "error", "message"),
    [
        ((2, 3), torch.float64, ValueError, r"returns b as \[3, 3\], but out= is \[2, 3\]"),
        ((3, 3), torch.float32, TypeError, "out= is in torch.float32"),
    ],
)
def test_other_memory_is_refused(
    size: tuple[int, ...], dtype: torch.dtype, error: type[Exception], message: str
) -> None:
    model, _ = both(load_rows(ROWS, SMALL))
    image = random_images(model.net, batch=3)[0].to(DEVICE)
    with pytest.raises(error, match=message):
        model(image, out=torch.empty(size, dtype=dtype, device=DEVICE))


def test_more_or_fewer_places_than_outputs_are_refused() -> None:
    model, _ = both(load_rows(ROWS, SMALL))
    image = random_images(model.net, batch=1)[0].to(DEVICE)
    with pytest.raises(ValueError, match="returns b, but out= has 0 tensors"):
        model(image, out=[])


def test_nothing_is_written_to_given_memory_with_gradients() -> None:
    model, _ = both(load_rows(ROWS, SMALL))
    image = random_images(model.net, batch=3)[0].to(DEVICE).requires_grad_()
    with pytest.raises(ValueError, match="out= in training mode or with gradients"):
        model(image, out=torch.empty(3, 3, dtype=torch.float64, device=DEVICE))


def test_inputs_of_different_batches_are_refused() -> None:
    header = "net two\ninput left 4\ninput right 3\n"
    model, _ = both(load_rows("a from left, right: concat", header))
    left, right = (
        torch.zeros(n, m, dtype=torch.float64, device=DEVICE) for n, m in ((2, 4), (1, 3))
    )
    with pytest.raises(ValueError, match="images for each input, not 2 for left, 1 for right"):
        model(left, right)


def test_a_profile_times_every_step() -> None:
    model, exact = both(load_rows(ROWS, SMALL))
    image = random_images(model.net, batch=2)[0].to(DEVICE)
    profile = model.profile(image)
    assert [(t.stage, t.implementation) for t in profile] == [
        (s.stage, s.implementation) for s in model.lowered.plan.steps
    ]
    assert all(t.seconds > 0 for t in profile)
    assert_exact(model, exact, 2)


def test_a_gpu_waits_while_the_steps_of_a_profile_are_launched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise the time of a short step would be the time that Python takes to launch it."""
    model, _ = both(load_rows(ROWS, SMALL))
    image = random_images(model.net, batch=1)[0].to(DEVICE)
    executor = model.refresh()
    assert isinstance(executor, CudaExecutor)
    plan = executor.bound_plan([image])
    plan.profile([image])
    order: list[str] = []

    class Watch:
        def __init__(self) -> None:
            order.append("start")

        def stop(self) -> None:
            order.append("stop")

        def seconds(self) -> float:
            return 1.0

    monkeypatch.setattr(bound, "Stopwatch", Watch)
    monkeypatch.setattr(plan, "_is_gpu", True)
    monkeypatch.setattr(torch.cuda, "_sleep", lambda clocks: order.append("wait"))
    assert len(plan._timed()) == len(plan.steps)
    assert order == ["wait", *["start", "stop"] * len(plan.steps)]


def test_threads_may_share_a_model() -> None:
    model, exact = both(load_rows(ROWS, SMALL))
    images = [random_images(model.net, batch=2, seed=seed)[0] for seed in range(8)]
    with torch.no_grad():
        wanted = [exact(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        outputs = list(pool.map(lambda image: model(image.to(DEVICE)).cpu(), images))
    for y, right in zip(outputs, wanted, strict=True):
        torch.testing.assert_close(y, right, rtol=1e-12, atol=1e-12)


@gpu
@only_on_gpu
def test_a_graph_replays_with_fresh_images() -> None:
    net = load_rows(ROWS, SMALL)
    model = netspec.compile(net, device="cuda", dtype=torch.bfloat16)
    exact = netspec.reference(net, dtype=torch.float64)
    exact.load_state_dict({k: v.double().cpu() for k, v in model.state_dict().items()})
    for seed in range(3):
        image = random_images(net, batch=2, seed=seed)[0].bfloat16()
        y = model(image.cuda()).cpu().double()
        torch.testing.assert_close(y, exact(image.double()).detach(), rtol=2**-5, atol=2**-5)


@gpu
@only_on_gpu
def test_threads_on_streams_of_their_own_wait_for_each_other() -> None:
    model = netspec.compile(load_rows(ROWS, SMALL), device="cuda", dtype=torch.float32)
    images = [random_images(model.net, batch=4, seed=s)[0].float().cuda() for s in range(16)]
    wanted = [model(image) for image in images]
    torch.cuda.synchronize()

    def run(image: torch.Tensor) -> torch.Tensor:
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            y = model(image)
        stream.synchronize()
        return y

    with ThreadPoolExecutor(4) as pool:
        for y, right in zip(pool.map(run, images), wanted, strict=True):
            assert torch.equal(y, right)
