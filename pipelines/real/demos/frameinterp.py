"""Frame interpolation: the frame midway between two frames of a photo set in motion.

The paper took outputs of flow-based, learned and phase-based methods on the Middlebury benchmark
(section 2.1); learned ones need weights that come with no library, so there are none here. Two
objects, cut from the mirrored photo, move before the photo as background, each layer by a
translation, rotation and zoom of its own, so there are occlusions and motion boundaries as in that
benchmark (Baker et al., IJCV 2011). The layers rest in the middle frame, so the ground truth is
made without resampling; the frames half a step before and after it are what the algorithms see.
Speeds, sizes and parameters are this project's own choices.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.fft import fft2, fftfreq, ifft2

from bapps_gen.pipelines.real.demos.pixels import Plane, to_levels, uniform
from bapps_gen.pipelines.real.demos.records import Algorithm, DemoTask, Image, Scene

Flow = NDArray[np.float32]
"""Displacement (x, y) in px of every pixel, (H, W, 2)."""

_MARGIN = 1 / 16  # cut off each side, so that no border comes into the frames
_SHARPNESS = 1.0  # of an object's outline, 1/px
_BLOCK = 16
_LEVELS, _ORIENTATIONS = 6, 4  # of the pyramid; the coarsest band is of 128 px


@dataclass(frozen=True, slots=True)
class Frames:
    """The frames before and after the one to be made, uint8 (H, W, 3)."""

    before: Image
    after: Image


@dataclass(frozen=True, slots=True)
class Motion:
    """A layer's motion between the two frames.

    Args:
        shift: displacement (x, y), px.
        turn: degrees.
        zoom: 0.01 enlarges by 1 %.
        center: (x, y) about which it turns and zooms, px.
    """

    shift: tuple[float, float]
    turn: float
    zoom: float
    center: tuple[float, float]

    def matrix(self, time: float) -> NDArray[np.float64]:
        """The affine 2×3 matrix that moves points of the middle frame to their place at a time.

        Args:
            time: -1/2 for the frame before, +1/2 for the one after.
        """
        scale = (1.0 + self.zoom) ** time
        turned = cv2.getRotationMatrix2D(self.center, self.turn * time, scale)
        matrix = np.array(turned, np.float64)
        matrix[:, 2] += np.multiply(self.shift, time)
        return matrix


def prepare(photo: Image, donors: tuple[Image, ...], rng: np.random.Generator) -> Scene:
    """Two objects before a background, all in motion; the middle frame is the ground truth."""
    height, width = photo.shape[:2]
    side = min(height, width)
    background = _draw_motion(rng, (width / 2, height / 2), 0.02 * side, 0.05 * side)
    objects = []
    for part in (0.28, 0.72):  # one in each half, so that most patches are near an outline
        center = (width * part, height * uniform(rng, 0.25, 0.75))
        if width < height:
            center = (width * uniform(rng, 0.25, 0.75), height * part)
        outline = _draw_outline(rng, height, width, center, 0.16 * side, 0.24 * side)
        objects.append((outline, _draw_motion(rng, center, 0.05 * side, 0.12 * side)))
    before, middle, after = (
        _compose(photo, objects, background, time) for time in (-0.5, 0.0, 0.5)
    )
    return Scene(middle, Frames(before, after))


def _draw_motion(
    rng: np.random.Generator, center: tuple[float, float], slow: float, fast: float
) -> Motion:
    speed, direction = uniform(rng, slow, fast), uniform(rng, 0.0, 2 * np.pi)
    shift = (speed * float(np.cos(direction)), speed * float(np.sin(direction)))
    return Motion(shift, uniform(rng, -4.0, 4.0), uniform(rng, -0.04, 0.04), center)


def _draw_outline(
    rng: np.random.Generator,
    height: int,
    width: int,
    center: tuple[float, float],
    smallest: float,
    largest: float,
) -> Plane:
    """A smooth round shape as opacity in [0, 1], float32 (H, W)."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    y, x = y - center[1], x - center[0]
    angle = np.arctan2(y, x)
    radius = np.full_like(angle, uniform(rng, smallest, largest))
    for wave in (2, 3, 5):
        height_of_wave = uniform(rng, 0.0, 0.3 / wave) * largest
        radius += height_of_wave * np.cos(wave * angle + uniform(rng, 0.0, 2 * np.pi))
    inside = (radius - np.hypot(x, y)) * _SHARPNESS + 0.5
    return np.asarray(np.clip(inside, 0.0, 1.0), np.float32)


def _compose(
    photo: Image, objects: list[tuple[Plane, Motion]], background: Motion, time: float
) -> Image:
    """The frame at a time, without the margin; at 0 nothing has moved."""
    height, width = photo.shape[:2]
    ground = photo.astype(np.float32)
    mirrored = np.ascontiguousarray(ground[:, ::-1])

    def move(layer: Plane, motion: Motion) -> Plane:
        return cv2.warpAffine(  # type: ignore[return-value]
            layer,
            motion.matrix(time),
            (width, height),
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REFLECT_101,
        )

    frame = move(ground, background) if time else ground
    for outline, motion in objects:
        opacity, layer = outline, mirrored
        if time:
            opacity, layer = np.clip(move(outline, motion), 0, 1), move(mirrored, motion)
        frame = frame + opacity[..., None] * (layer - frame)
    margin = int(min(height, width) * _MARGIN)
    inner = frame[margin : height - margin, margin : width - margin]
    return to_levels(inner / 255.0)


def blend(frames: Frames) -> Image:
    """The mean of both frames."""
    return _mean(frames.before, frames.after)


def phase_based(frames: Frames) -> Image:
    """Half the phase difference of every band of a complex steerable pyramid, without decimation.

    From coarse to fine, a difference is unwrapped toward what the coarser band predicts, and
    replaced by that where they are far apart, as in the paper's shift correction. What is finer
    and coarser than all bands is averaged.
    """
    pair = np.stack([frames.before, frames.after]).astype(np.float32).transpose(0, 3, 1, 2)
    spectra = fft2(pair)
    total = pair.mean(axis=0)
    for center in np.arange(_ORIENTATIONS) * np.pi / _ORIENTATIONS:
        phase: NDArray[np.float32] | None = None
        for level in reversed(range(_LEVELS)):
            # twice, since the opposite half of the spectrum is left out
            first, second = 2 * ifft2(spectra * _band(pair.shape[2:], level, center))
            found = np.angle((second * first.conj()).sum(axis=0))  # one for all channels
            if phase is not None:
                found += 2 * np.pi * np.rint((2 * phase - found) / (2 * np.pi))
                found = np.where(np.abs(found - 2 * phase) > np.pi / 2, 2 * phase, found)
            phase = found
            half = np.exp(0.5j * phase)
            total += ((half - 1) * first + (half.conj() - 1) * second).real / 2
    return np.ascontiguousarray(to_levels(total.transpose(1, 2, 0) / 255.0))


@lru_cache(maxsize=_LEVELS * _ORIENTATIONS)
def _band(shape: tuple[int, ...], level: int, center: float) -> Plane:
    """The share of each frequency in a band, about an octave wide; bands and orientations overlap.

    Over all orientations, their opposites and levels the shares add up to 1, but for the ends.
    """
    y, x = fftfreq(shape[0])[:, None], fftfreq(shape[1])[None]
    octave = np.log2(0.25 / np.maximum(np.hypot(y, x), 1e-9))  # 0 at the finest band's middle
    radial = np.cos(np.clip(octave - level, -1, 1) * np.pi / 2) ** 2
    away = np.abs((np.arctan2(y, x) - center + np.pi) % (2 * np.pi) - np.pi)
    angular = np.cos(np.clip(away * _ORIENTATIONS / np.pi, 0, 1) * np.pi / 2) ** 2
    return np.asarray(radial * angular, np.float32)


def block_matching(frames: Frames) -> Image:
    """Bilateral block matching, as in televisions.

    For every block of 16×16 px of the middle frame, with those around it, all symmetric motions
    through it up to 1/8 of the shorter side are tried; the least absolute difference of gray,
    plus a little for length, wins.
    """
    before, after = _gray(frames)
    height, width = before.shape
    blocks = (-(-height // _BLOCK), -(-width // _BLOCK))
    reach = max(2, round(min(height, width) / 16))
    padding = (
        reach,
        reach + blocks[0] * _BLOCK - height,
        reach,
        reach + blocks[1] * _BLOCK - width,
    )
    before = np.asarray(cv2.copyMakeBorder(before, *padding, cv2.BORDER_REPLICATE), np.uint8)
    after = np.asarray(cv2.copyMakeBorder(after, *padding, cv2.BORDER_REPLICATE), np.uint8)

    def moved(gray: Image, x: int, y: int) -> Image:
        top, left = reach + y, reach + x
        return gray[top : top + blocks[0] * _BLOCK, left : left + blocks[1] * _BLOCK]

    least = np.full(blocks, np.inf, np.float32)
    best = np.zeros((*blocks, 2), np.float32)
    for y in range(-reach, reach + 1):
        for x in range(-reach, reach + 1):
            difference = cv2.absdiff(moved(before, -x, -y), moved(after, x, y)).astype(np.float32)
            cost = cv2.resize(difference, blocks[::-1], interpolation=cv2.INTER_AREA)
            cost = cv2.blur(cost, (3, 3)) + 0.1 * float(np.hypot(x, y))
            better = cost < least
            least[better] = cost[better]
            best[better] = (2 * x, 2 * y)
    flow = best.repeat(_BLOCK, axis=0).repeat(_BLOCK, axis=1)[:height, :width]
    return _halfway(frames, flow, -flow)


def farneback(frames: Frames) -> Image:
    """Both frames warped halfway by Farnebäck's flow in both directions."""

    def flow(first: Image, second: Image) -> Flow:
        start = np.zeros((*first.shape, 2), np.float32)
        found = cv2.calcOpticalFlowFarneback(first, second, start, 0.5, 5, 21, 4, 7, 1.5, 0)
        return np.asarray(found, np.float32)

    before, after = _gray(frames)
    return _halfway(frames, flow(before, after), flow(after, before))


def dis_checked(frames: Frames) -> Image:
    """Both frames warped halfway by DIS flow, each pixel mostly from where the flow is consistent.

    Where following one direction's flow and the other's back ends far from the start, a pixel is
    occluded (Baker et al. 2011, section 3.3): weights fall off as a Gaussian of 1 px.
    """
    before, after = _gray(frames)
    forward, backward = _dis(before, after), _dis(after, before)
    weights = []
    for flow, opposite in ((forward, backward), (backward, forward)):
        away = np.linalg.norm(flow + _sample_flow(opposite, flow), axis=-1)
        trust = np.exp(-0.5 * away**2) + 1e-3
        weights.append(_sample_flow(trust, -0.5 * flow)[..., None])
    first = _sample(frames.before, -0.5 * forward).astype(np.float32)
    second = _sample(frames.after, -0.5 * backward).astype(np.float32)
    mixed = (weights[0] * first + weights[1] * second) / (weights[0] + weights[1])
    return to_levels(mixed / 255.0)


def _dis(first: Image, second: Image) -> Flow:
    start = np.zeros((*first.shape, 2), np.float32)
    # an object of its own for every flow: one keeps state from call to call
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(estimator.calc(first, second, start), np.float32)


def _halfway(frames: Frames, forward: Flow, backward: Flow) -> Image:
    """The mean of both frames, sampled where the flow halfway leads.

    The flow from the middle frame is not known; as in Super SloMo (Jiang et al., CVPR 2018,
    equation 4) it is taken as the mean of both directions' at the same place.
    """
    step = 0.25 * (forward - backward)
    return _mean(_sample(frames.before, -step), _sample(frames.after, step))


def _sample(image: Image, flow: Flow) -> Image:
    """The image at every pixel's place plus its flow, uint8 (H, W, 3)."""
    return np.asarray(_remap(image, flow, cv2.INTER_CUBIC), np.uint8)


def _sample_flow(values: NDArray[np.float32], flow: Flow) -> NDArray[np.float32]:
    """A flow or a plane at every pixel's place plus a flow."""
    return np.asarray(_remap(values.astype(np.float32), flow, cv2.INTER_LINEAR), np.float32)


def _remap(values: NDArray[np.generic], flow: Flow, interpolation: int) -> cv2.typing.MatLike:
    y, x = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    return cv2.remap(
        values,  # type: ignore[arg-type]
        x + flow[..., 0],
        y + flow[..., 1],
        interpolation,
        borderMode=cv2.BORDER_REPLICATE,
    )


def _mean(first: Image, second: Image) -> Image:
    return ((first.astype(np.uint16) + second + 1) // 2).astype(np.uint8)


def _gray(frames: Frames) -> tuple[Image, Image]:
    first, second = (
        np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.uint8)
        for frame in (frames.before, frames.after)
    )
    return first, second


TASK = DemoTask(
    least=80,
    prepare=prepare,
    algorithms={
        "blend": Algorithm(blend, "the mean of both frames"),
        "phase-based": Algorithm(phase_based, "Meyer et al., CVPR 2015"),
        "block-matching": Algorithm(block_matching, "Choi, Han, Kim and Ko, IEEE TCSVT 2007"),
        "farneback": Algorithm(
            farneback, "Farnebäck, SCIA 2003; OpenCV's `calcOpticalFlowFarneback`"
        ),
        "dis-checked": Algorithm(
            dis_checked, "Kroeger et al., ECCV 2016; OpenCV's `DISOpticalFlow`"
        ),
    },
)
