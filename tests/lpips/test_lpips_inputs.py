"""Which images LPIPS takes, and what it says of others."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bapps_gen.errors import UserError
from bapps_gen.lpips import load_lpips


@pytest.fixture(scope="module")
def alex():
    return load_lpips("alex")


def as_float(images, low, high, dtype=np.float32):
    return (np.moveaxis(images, -1, 1) / 255 * (high - low) + low).astype(dtype)


@pytest.mark.parametrize("span", [(0, 1), (-1, 1), (0.0, 255.0), (-3.5, 2)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])
def test_float_images_of_any_declared_range_equal_uint8_images(alex, triplets, span, dtype, kind):
    ref, noisy, moved = triplets
    expected = alex.triplet(ref, noisy, moved)
    given = [kind(as_float(images, *span, dtype)) for images in triplets]
    actual = alex.triplet(*given, value_range=span)
    for one, two in zip(expected, actual, strict=True):
        assert two.numpy() == pytest.approx(one.numpy(), abs=2e-6)


@pytest.mark.parametrize(
    "view",
    [
        lambda images: images[::-1],
        lambda images: np.ascontiguousarray(images[:, ::-1])[:, ::-1],
        lambda images: np.asfortranarray(images),
        lambda images: np.frombuffer(images.tobytes(), np.uint8).reshape(images.shape),
        lambda images: torch.from_numpy(images.copy()),
        lambda images: torch.from_numpy(images.transpose(3, 0, 1, 2).copy()).permute(1, 2, 3, 0),
    ],
    ids=["reversed", "negative steps", "Fortran order", "read-only", "torch", "torch planes"],
)
def test_the_memory_layout_does_not_matter(alex, triplets, view):
    ref, noisy, _ = triplets
    given = view(ref), view(noisy)
    expected = alex.distance(*(np.asarray(images).copy() for images in given))
    assert alex.distance(*given).numpy() == pytest.approx(expected.numpy(), abs=1e-6)


def test_other_byte_orders_and_half_floats_are_read(alex, triplets):
    a, b = (as_float(images, 0, 1) for images in triplets[:2])
    expected = alex.distance(a, b, value_range=(0, 1)).numpy()
    swapped = alex.distance(a.astype(">f4"), b.astype(">f4"), value_range=(0, 1))
    assert swapped.numpy() == pytest.approx(expected, abs=1e-7)
    half = alex.distance(a.astype(np.float16), b.astype(np.float16), value_range=(0, 1))
    assert half.numpy() == pytest.approx(expected, abs=1e-3)


def test_rounding_at_the_ends_of_the_range_is_no_error(alex):
    a = np.full((1, 3, 32, 32), np.nextafter(np.float32(1), np.float32(2)), np.float32)
    assert alex.distance(a, a, value_range=(-1, 1)).tolist() == [0.0]


U8 = np.zeros((2, 64, 64, 3), np.uint8)
F32 = np.zeros((2, 3, 64, 64), np.float32)
RANGE = {"value_range": (0, 1)}


def with_value(value):
    images = F32.copy()
    images[1, 2, 63, 63] = value
    return images


@pytest.mark.parametrize(
    ("a", "b", "options", "says"),
    [
        (U8, U8[:1], {}, "2 of 64x64 and 1 of 64x64"),
        (U8, U8[:, :32], {}, "2 of 64x64 and 2 of 32x64"),
        (U8, F32, RANGE, "a is uint8"),
        (F32, U8, RANGE, "b is uint8"),
        (U8, U8, {"value_range": (0, 255)}, "leave value_range out"),
        (U8[..., 0], U8[..., 0], {}, "(2, 64, 64)"),
        (U8[..., :1], U8[..., :1], {}, "(N, H, W, 3)"),
        (U8.transpose(0, 3, 1, 2), U8, {}, "(N, H, W, 3)"),
        (U8[None], U8[None], {}, "(1, 2, 64, 64, 3)"),
        (U8[:, :30], U8[:, :30], {}, "at least 31x31"),
        (U8.astype(np.uint16), U8, {}, "uint16"),
        (U8.astype(bool), U8, {}, "bool"),
        (U8.astype(object), U8, {}, "object"),
        (U8, torch.zeros(2, 64, 64, 3, dtype=torch.int32), {}, "b is int32"),
        (U8.tolist(), U8, {}, "a is a list"),
        (None, U8, {}, "a is a NoneType"),
        (F32, F32, {}, "declare its range"),
        (F32.transpose(0, 2, 3, 1), F32, RANGE, "(N, 3, H, W)"),
        (F32[0, 0], F32[0, 0], RANGE, "(64, 64)"),
        (with_value(1.01), F32, RANGE, "a = 0 to 1.01"),
        (F32, with_value(-0.5), RANGE, "b = -0.5 to 0"),
        (F32, with_value(np.nan), RANGE, "b holds values that are not finite"),
        (F32, with_value(np.inf), RANGE, "b holds values that are not finite"),
        (F32, F32, {"value_range": (1, 0)}, "low < high"),
        (F32, F32, {"value_range": (0, np.inf)}, "low < high"),
        (F32, F32, {"value_range": 1}, "low < high"),
        (F32, F32, {"value_range": (0, 1, 2)}, "low < high"),
    ],
)
def test_images_that_cannot_be_compared_are_refused_in_one_line(alex, a, b, options, says):
    with pytest.raises(UserError) as caught:
        alex.distance(a, b, **options)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_triplet_names_the_image_that_is_wrong(alex):
    with pytest.raises(UserError, match="p1"):
        alex.triplet(U8, U8, U8[:, :40])
