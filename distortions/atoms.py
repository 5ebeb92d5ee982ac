"""The table of the 20 traditional distortions (Zhang et al., CVPR 2018, Table 2, left).

The paper names the distortions and publishes no ranges: every range here is this project's own.
`SeverityParameter.range` is (mild, strong): the values at severity 0.2 and at severity 1. They were
chosen on 64×64 patches of photographs so that LPIPS (AlexNet, v0.1) has a median near 0.03 at the
mild end, a stand-in for "just noticeable" without human data, and near 0.5 at the strong end, where
noise and blur are as strong as in the paper's figure 1. What does not reach 0.5 goes as far as
patches stay recognizable. The documentation has the figures (explanation/calibration.md);
benchmarks/calibrate.py measures them.
"""

from __future__ import annotations

from bapps_gen.distortions import blur, compression, noise, photometric, spatial
from bapps_gen.distortions.definition import Distortion, RandomParameter, SeverityParameter

_ANGLE = RandomParameter(
    name="angle",
    unit="degrees",
    default=0.0,
    range=(0.0, 360.0),
    allowed=(-360.0, 360.0),
    summary="direction: 0 is right, 90 is down",
)

_FOLDS = "1 lets the image fold over where it is moved far; 0 stretches it instead"
_FOLDING = RandomParameter("folding", "", 0.0, (0.0, 1.0), _FOLDS, (0.0, 0.0), integer=True)

_SPACING = RandomParameter(
    name="spacing",
    unit="px",
    default=24.0,
    range=(20.0, 28.0),
    allowed=(4.0, 256.0),
    integer=True,
    summary="distance between control points",
)


def _sigma(mild: float, strong: float) -> SeverityParameter:
    return SeverityParameter(
        name="sigma",
        unit="of full scale",
        identity=0.0,
        range=((mild, strong),),
        allowed=(0.0, 1.0),
        summary="standard deviation",
    )


def _displacement(mild: float, strong: float, summary: str) -> SeverityParameter:
    return SeverityParameter(
        name="displacement",
        unit="px",
        identity=0.0,
        range=((mild, strong),),
        allowed=(0.0, 512.0),
        summary=summary,
    )


ATOMS: tuple[Distortion, ...] = (
    Distortion(
        name="lightness_shift",
        version=1,
        family="photometric",
        summary="lighter or darker by the same L* everywhere (CIELAB)",
        parameters=(
            SeverityParameter(
                name="delta",
                unit="L*",
                identity=0.0,
                range=((13.0, 50.0), (-13.0, -50.0)),
                allowed=(-100.0, 100.0),
                summary="change of lightness",
            ),
        ),
        function=photometric.shift_lightness,
    ),
    Distortion(
        name="color_shift",
        version=1,
        family="photometric",
        summary="a color cast: every pixel moved in the a*b* plane (CIELAB)",
        parameters=(
            SeverityParameter(
                name="distance",
                unit="ΔE*ab",
                identity=0.0,
                range=((9.0, 70.0),),
                allowed=(0.0, 200.0),
                summary="distance in the a*b* plane",
            ),
            RandomParameter(
                name="hue",
                unit="degrees",
                default=0.0,
                range=(0.0, 360.0),
                allowed=(-360.0, 360.0),
                summary="direction in the a*b* plane: 0 is +a* (red), 90 is +b* (yellow)",
            ),
        ),
        function=photometric.shift_color,
    ),
    Distortion(
        name="contrast",
        version=1,
        family="photometric",
        summary="less or more contrast about the mean luma",
        parameters=(
            SeverityParameter(
                name="gain",
                unit="",
                identity=1.0,
                range=((0.67, 0.12), (1.5, 4.0)),
                allowed=(0.0, 10.0),
                summary="factor on the distance from the mean",
            ),
        ),
        function=photometric.scale_contrast,
    ),
    Distortion(
        name="saturation",
        version=1,
        family="photometric",
        summary="duller or more vivid colors by a factor on chroma (CIELAB)",
        parameters=(
            SeverityParameter(
                name="gain",
                unit="",
                identity=1.0,
                range=((0.65, 0.0), (1.45, 5.0)),
                allowed=(0.0, 10.0),
                summary="factor on chroma; 0 is gray",
            ),
        ),
        function=photometric.scale_saturation,
    ),
    Distortion(
        name="uniform_white",
        version=1,
        family="noise",
        summary="white noise with a uniform distribution",
        parameters=(
            SeverityParameter(
                name="amplitude",
                unit="of full scale",
                identity=0.0,
                range=((0.045, 0.23),),
                allowed=(0.0, 1.0),
                summary="largest value of either sign",
            ),
        ),
        function=noise.add_uniform,
    ),
    Distortion(
        name="gaussian_white",
        version=1,
        family="noise",
        summary="white noise with a normal distribution",
        parameters=(_sigma(0.026, 0.14),),
        function=noise.add_gaussian,
    ),
    Distortion(
        name="pink",
        version=1,
        family="noise",
        summary="noise with power falling as 1/f",
        parameters=(_sigma(0.022, 0.13),),
        function=noise.add_pink,
    ),
    Distortion(
        name="blue",
        version=1,
        family="noise",
        summary="noise with power rising as f",
        parameters=(_sigma(0.03, 0.15),),
        function=noise.add_blue,
    ),
    Distortion(
        name="gaussian_colored",
        version=1,
        family="noise",
        summary="noise with a spectrum between violet and brown",
        parameters=(
            _sigma(0.025, 0.14),
            RandomParameter(
                name="exponent",
                unit="",
                default=0.0,
                range=(-2.0, 2.0),
                allowed=(-2.0, 2.0),
                summary="power falls as 1/f**exponent: -2 is violet, 0 white, 2 brown",
            ),
        ),
        function=noise.add_colored,
    ),
    Distortion(
        name="checkerboard",
        version=2,
        family="noise",
        summary="the colored pattern that transposed convolutions leave",
        parameters=(
            _sigma(0.037, 0.24),
            RandomParameter(
                name="period",
                unit="px",
                default=2.0,
                choices=(2.0, 4.0),
                allowed=(2.0, 4.0),
                integer=True,
                summary="stride of the transposed convolution",
            ),
        ),
        function=noise.add_checkerboard,
    ),
    Distortion(
        name="gaussian_blur",
        version=2,
        family="blur",
        summary="Gaussian blur",
        parameters=(
            SeverityParameter(
                name="sigma",
                unit="px",
                identity=0.0,
                range=((0.6, 6.0),),
                allowed=(0.0, 100.0),
                summary="standard deviation of the kernel",
            ),
        ),
        function=blur.blur_gaussian,
    ),
    Distortion(
        name="bilateral",
        version=2,
        family="blur",
        summary="bilateral filter: flattens textures and keeps strong edges",
        parameters=(
            SeverityParameter(
                name="sigma_color",
                unit="levels",
                identity=0.0,
                range=((45.0, 300.0),),
                allowed=(0.0, 1000.0),
                summary="color differences (|ΔR| + |ΔG| + |ΔB|) that are smoothed",
            ),
            RandomParameter(
                name="sigma_space",
                unit="px",
                default=2.4,
                range=(1.8, 2.95),
                allowed=(0.0, 50.0),
                summary="spatial standard deviation",
            ),
        ),
        function=blur.blur_bilateral,
    ),
    Distortion(
        name="shift",
        version=1,
        family="spatial",
        summary="the whole image moved",
        parameters=(
            SeverityParameter(
                name="distance",
                unit="px",
                identity=0.0,
                range=((2.1, 18.0),),
                allowed=(0.0, 512.0),
                summary="length of the move",
            ),
            _ANGLE,
        ),
        function=spatial.shift,
    ),
    Distortion(
        name="affine_warp",
        version=2,
        family="spatial",
        summary="random rotation, scaling and shear about the center",
        parameters=(_displacement(3.2, 20.0, "root mean square move of the corners"),),
        function=spatial.warp_affine,
    ),
    Distortion(
        name="homography",
        version=2,
        family="spatial",
        summary="random perspective: each corner moved in its own direction",
        parameters=(_displacement(2.4, 19.0, "move of each corner"),),
        function=spatial.warp_homography,
    ),
    Distortion(
        name="linear_warp",
        version=2,
        family="spatial",
        summary="dense flow, interpolated linearly from random control points",
        parameters=(_displacement(2.0, 15.0, "move of each control point"), _SPACING, _FOLDING),
        function=spatial.warp_linear,
    ),
    Distortion(
        name="cubic_warp",
        version=2,
        family="spatial",
        summary="dense flow, interpolated cubically from random control points",
        parameters=(_displacement(1.6, 12.0, "move of each control point"), _SPACING, _FOLDING),
        function=spatial.warp_cubic,
    ),
    Distortion(
        name="ghosting",
        version=1,
        family="spatial",
        summary="a displaced copy blended in",
        parameters=(
            SeverityParameter(
                name="weight",
                unit="",
                identity=0.0,
                range=((0.25, 0.5),),
                allowed=(0.0, 1.0),
                summary="share of the copy",
            ),
            RandomParameter(
                name="distance",
                unit="px",
                default=10.0,
                range=(5.0, 18.0),
                allowed=(0.0, 512.0),
                summary="how far the copy is moved",
            ),
            _ANGLE,
        ),
        function=spatial.ghost,
    ),
    Distortion(
        name="chromatic_aberration",
        version=2,
        family="spatial",
        summary="red and blue moved or scaled in opposite directions against green",
        parameters=(
            SeverityParameter(
                name="displacement",
                unit="px",
                identity=0.0,
                range=((1.1, 12.0), (-1.1, -12.0)),
                allowed=(-512.0, 512.0),
                summary="move of red; of its corners where radial = 1",
            ),
            RandomParameter(
                name="angle",
                unit="degrees",
                default=0.0,
                range=(0.0, 180.0),
                allowed=(-360.0, 360.0),
                summary="direction where radial = 0: 0 is right, 90 is down",
            ),
            RandomParameter(
                name="radial",
                unit="",
                default=0.0,
                choices=(0.0, 1.0),
                allowed=(0.0, 1.0),
                integer=True,
                summary="0 moves red and blue as a whole, 1 scales them about the center",
            ),
        ),
        function=spatial.aberrate,
    ),
    Distortion(
        name="jpeg",
        version=1,
        family="compression",
        summary="JPEG",
        parameters=(
            SeverityParameter(
                name="quality",
                unit="",
                identity=100.0,
                range=((33.0, 3.0),),
                allowed=(1.0, 100.0),
                integer=True,
                summary="libjpeg's quality",
            ),
            RandomParameter(
                name="subsampling",
                unit="",
                default=420.0,
                choices=(444.0, 422.0, 420.0),
                allowed=(420.0, 444.0),
                integer=True,
                summary="chroma subsampling",
            ),
        ),
        function=compression.compress_jpeg,
        has_identity=False,
    ),
)
"""In the order of the paper's families; manifests name distortions by name and version."""
