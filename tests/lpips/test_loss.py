"""LPIPS as a loss: gradients by numerical differences, and finite where roots and norms are 0."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from bapps_gen.errors import UserError
from bapps_gen.lpips import load_lpips
from bapps_gen.lpips.differences import squared_differences, unit_features
from bapps_gen.lpips.feature_net import FeatureNet
from bapps_gen.lpips.nets import load_net
from support.nets import lpips_over


class Tiny(nn.Module):
    """Two smooth maps, and one that a rectifier with a low offset leaves at 0 nearly everywhere."""

    def __init__(self, dtype, offset=-50.0):
        super().__init__()
        rng = torch.Generator().manual_seed(0)
        self.first, self.second, self.dead = (
            nn.Conv2d(inputs, 4, 3, stride=2, dtype=dtype) for inputs in (3, 4, 4)
        )
        for value in self.parameters():
            value.data = torch.randn(value.shape, generator=rng, dtype=dtype) * 0.5
        nn.init.constant_(self.dead.bias, offset)

    def forward(self, x):
        a = torch.tanh(self.first(x))
        return [a, torch.tanh(self.second(a)), torch.relu(self.dead(a))]


def tiny(dtype="float32", offset=-50.0):
    net = Tiny(getattr(torch, dtype), offset).eval().requires_grad_(False)
    ones = (0.0,) * 3, (1.0,) * 3
    record = FeatureNet("tiny", "tiny", net, (4, 4, 4), 9, *ones, "0" * 16)
    return lpips_over(record, dtype)


FEATURES = """
import torch
from torch import nn

class Edges(nn.Module):
    \"\"\"Differences from smoother images, 0 where these are of one color; and a map of 0.\"\"\"

    def forward(self, x):
        maps = []
        for _ in range(2):
            smooth = nn.functional.avg_pool2d(x, 3, stride=1)
            maps.append(x[..., 1:-1, 1:-1] - smooth)
            x = smooth[..., ::2, ::2]
        return [*maps, torch.zeros_like(x)]
"""


@pytest.fixture(scope="module")
def edges(tmp_path_factory):
    """A function from a dtype to LPIPS over a net in a user's file."""
    path = tmp_path_factory.mktemp("net") / "mine.py"
    path.write_text(FEATURES)

    def load(dtype):
        return lpips_over(load_net(f"features:{path}:Edges"), dtype)

    return load


def images(seed, side, count=1):
    values = np.random.default_rng(seed).uniform(0.05, 0.95, (count, 3, side, side))
    return torch.from_numpy(values)


@pytest.fixture(scope="module")
def alex64():
    return load_lpips("alex", dtype="float64")


@pytest.fixture(scope="module")
def alex():
    return load_lpips("alex")


FORMS = [{}, {"spatial": True}, {"per_layer": True}, {"spatial": True, "per_layer": True}]


@pytest.mark.parametrize("options", FORMS)
@pytest.mark.parametrize("which", ["tiny", "features"])
def test_gradients_pass_a_numerical_check_in_every_element(which, options, edges):
    model = tiny("float64") if which == "tiny" else edges("float64")
    a, b = images(1, 9).requires_grad_(), images(2, 9).requires_grad_()

    def loss(a, b):
        return model.distance(a, b, value_range=(0, 1), **options)

    assert torch.autograd.gradcheck(loss, (a, b))
    equal = a.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(loss, (a, equal), fast_mode=True)


def test_gradients_of_triplets_pass_a_numerical_check_in_every_element():
    model = tiny("float64")
    a, b = images(1, 9).requires_grad_(), images(2, 9).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: model.triplet(a, b, b, value_range=(0, 1)), (a, b))


def test_second_derivatives_of_a_tiny_net_pass_a_numerical_check():
    model = tiny("float64", offset=2.0)
    a, b = images(1, 9).requires_grad_(), images(2, 9)
    assert torch.autograd.gradgradcheck(
        lambda a: model.distance(a, b, value_range=(0, 1)), (a,), fast_mode=True
    )


@pytest.mark.parametrize("options", FORMS)
def test_gradients_of_alex_pass_a_numerical_check(alex64, options):
    a, b = images(3, 35).requires_grad_(), images(4, 35).requires_grad_()

    def loss(a, b):
        return alex64.distance(a, b, value_range=(0, 1), **options)

    check = {"eps": 1e-7, "atol": 1e-5, "rtol": 1e-3, "fast_mode": True}
    assert torch.autograd.gradcheck(loss, (a, b), **check)


CASES = {
    "identical": lambda: (images(5, 40), images(5, 40)),
    "black and black": lambda: (torch.zeros(1, 3, 40, 40), torch.zeros(1, 3, 40, 40)),
    "black and white": lambda: (torch.zeros(1, 3, 40, 40), torch.ones(1, 3, 40, 40)),
    "gray and a photo": lambda: (torch.full((1, 3, 40, 40), 0.5), images(6, 40)),
    "one color and nearly it": lambda: (
        torch.full((1, 3, 40, 40), 0.3),
        torch.full((1, 3, 40, 40), 0.3 + 1e-7),
    ),
    "half equal": lambda: (
        images(7, 40),
        torch.cat([images(7, 40)[..., :20], images(8, 40)[..., 20:]], 3),
    ),
}


@pytest.mark.parametrize("case", list(CASES))
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("spatial", [False, True])
def test_gradients_are_finite_where_others_give_nan(case, dtype, spatial, edges):
    for model in (load_lpips("alex", dtype=dtype), tiny(dtype), edges(dtype)):
        a, b = (image.float().requires_grad_() for image in CASES[case]())
        distance = model.distance(a, b, value_range=(0, 1), spatial=spatial)
        assert distance.isfinite().all()
        distance.sum().backward()
        for image in (a, b):
            assert image.grad is not None
            assert image.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_norms_of_0_and_near_it_have_finite_gradients(dtype):
    levels = [0.0, 1e-45, 1e-38, 1e-20, 1e-10, 1.0, 1e18]
    rows = [[0.0, level, -level] for level in levels]
    flat = torch.tensor(rows, dtype=dtype).T[None, :, :, None].requires_grad_()
    unit = unit_features(flat, dtype)
    assert unit.isfinite().all()
    (unit * torch.tensor([1.0, 2.0, 3.0], dtype=dtype)).sum().backward()
    assert flat.grad is not None
    assert flat.grad.isfinite().all()


def test_features_that_are_0_everywhere_have_no_distance_and_no_gradient():
    zeros = torch.zeros(4, 5, 3, 3, requires_grad=True)
    difference = squared_differences(zeros, 2, torch.float32)
    assert not difference.any()
    difference.sum().backward()
    assert zeros.grad is not None
    assert not zeros.grad.any()


def test_a_step_from_dead_features_to_living_ones_is_finite():
    model = tiny(offset=-7.0)
    a = torch.zeros(1, 3, 24, 24, requires_grad=True)
    b = images(9, 24).float()
    assert not model.trunk(a * 2 - 1)[2].any()
    assert model.trunk(b * 2 - 1)[2].any()
    model.distance(a, b, value_range=(0, 1)).sum().backward()
    assert a.grad is not None
    assert a.grad.isfinite().all()
    assert a.grad.abs().max() > 0


def test_the_gradient_of_a_spatial_map_is_where_the_images_differ(alex):
    a = images(10, 96).float()
    b = a.clone()
    b[..., :32, :32] = images(11, 32).float()
    a.requires_grad_()
    alex.distance(a, b, value_range=(0, 1), spatial=True).sum().backward()
    assert a.grad is not None
    near, far = a.grad[..., :32, :32].abs().mean(), a.grad[..., 80:, 80:].abs().mean()
    assert near > 20 * far


def test_the_mean_of_a_spatial_map_pulls_like_the_distance(alex):
    a, b = (images(seed, 64).float() for seed in (12, 13))
    gradients = []
    for spatial in (False, True):
        given = a.clone().requires_grad_()
        alex.distance(given, b, value_range=(0, 1), spatial=spatial).mean().backward()
        gradients.append(given.grad.flatten())
    # Enlarging a map weights its positions a little unevenly at the edges.
    assert torch.cosine_similarity(*gradients, dim=0) > 0.97


def descend(model, start, target, rate, steps):
    """The losses of an image that is optimized towards another."""
    image = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([image], rate)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = model.distance(image, target, value_range=(0, 1)).sum()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            image.clamp_(0, 1)
        losses.append(float(loss.detach()))
    assert image.isfinite().all()
    return losses


def test_an_optimized_image_comes_close(alex):
    target = images(14, 48).float()
    losses = descend(alex, torch.full_like(target, 0.5), target, rate=0.05, steps=30)
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize(("which", "share"), [("alex", 0.1), ("features", 0.5)])
def test_a_noisy_photo_is_restored(which, share, alex, edges, triplets):
    photo = torch.from_numpy(triplets[0][:1]).permute(0, 3, 1, 2) / 255
    noise = torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))
    model = alex if which == "alex" else edges("float32")
    losses = descend(model, (photo + 0.1 * noise).clamp(0, 1), photo, rate=0.01, steps=40)
    assert losses[-1] < share * losses[0]
    assert losses[-1] < losses[20] < losses[10] < losses[0]


@pytest.mark.parametrize("low", [torch.bfloat16, torch.float16])
def test_autocast_has_no_effect(alex, low):
    a, b = (images(seed, 48).float() for seed in (17, 18))
    results = []
    for enabled in (False, True):
        given = a.clone().requires_grad_()
        with torch.autocast("cpu", low, enabled=enabled):
            distance = alex.distance(given, b, value_range=(0, 1))
            distance.sum().backward()
            results.append((distance.detach(), given.grad, alex.embed(b, value_range=(0, 1))))
    for plain, cast in zip(*results, strict=True):
        assert cast.dtype == torch.float32
        assert torch.equal(plain, cast)


def test_an_image_that_leaves_its_range_is_told_with_its_range(alex):
    target = images(14, 48).float()
    image = (target + 0.2).requires_grad_()
    with pytest.raises(
        UserError, match=r"a = 0\.25\S* to 1\.\S+ is not allowed.* value_range 0 to 1"
    ):
        alex.distance(image, target, value_range=(0, 1))
    with pytest.raises(UserError, match="declare its range"):
        alex.distance(image, target)


def test_the_range_scales_gradients(alex):
    a, b = (images(seed, 48).float() for seed in (15, 16))
    gradients = []
    for low, high in ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)):
        given = (a * (high - low) + low).requires_grad_()
        other = b * (high - low) + low
        alex.distance(given, other, value_range=(low, high)).sum().backward()
        gradients.append(given.grad * (high - low))
    for other in gradients[1:]:
        np.testing.assert_allclose(other, gradients[0], atol=1e-5 * float(gradients[0].abs().max()))
