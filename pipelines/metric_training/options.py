"""How a metric is trained; light to import.

Defaults are those of the paper (Zhang et al., CVPR 2018, section 3 and appendix B) and of the
original program (`train.py` and `lpips/trainer.py` of richzhang/PerceptualSimilarity): Adam of
1e-4 with β .5 and .999, 50 triplets in a batch, 5 epochs and 5 of linear decay, dropout .5.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from bapps_gen.checks import Option, convert_options
from bapps_gen.errors import UserError, out_of_range
from bapps_gen.pipelines.rows.options import SEED
from bapps_gen.pipelines.scoring.options import MetricOptions

MODES = ("lin", "tune", "scratch")

HELD_OUT_SHARE = 0.1
"""Of the photos, where no validation sets are named. Our own choice."""


@dataclass(frozen=True, slots=True)
class MetricTrainingOptions:
    """How a metric is trained; see the help of each option.

    Args:
        net: the text that names a feature net, such as "alex" or "features:mine.py:net".
        mode: "lin" trains linear weights over the net's features, which stay; "tune" trains the
            net as well, from the weights that it has; "scratch" from random ones.
        weights: file of the net's weights, instead of one from the default locations.
        start: file of a metric of mode "lin" over the same net, with whose linear weights and
            ranking network "tune" begins; None for random ones.
        epochs: with the full learning rate.
        decay_epochs: after these, over which it falls linearly.
        batch: triplets in a step; the last of an epoch may have fewer.
        learning_rate: of Adam.
        beta1, beta2: of Adam.
        dropout: share of the differences of features that are left out before the linear weights.
        weight_votes: whether a row counts by its number of votes.
        val_fraction: share of the photos held out where no validation sets are named; None for
            HELD_OUT_SHARE.
        seed: of the order of rows, the initial weights, dropout and the photos held out.
        device: "auto", "cpu", "cuda" or "mps".
        precision: "auto", "float32" or "bfloat16", of the net.
        compile: "auto", "yes" or "no": whether passes of a net that is trained are compiled.

    Raises:
        UserError: for an unknown mode, or a value out of range.
    """

    net: str = Option(
        "text",
        "feature net: alex, vgg or squeeze, or another, such as random-NET, features:FILE.py:NAME "
        "or timm:NAME",
        default="alex",
        metavar="NET",
    ).field()
    mode: str = Option(
        "text",
        "lin: linear weights over the net's features; tune: the net as well; scratch: the net "
        "from random weights",
        default="lin",
        choices=MODES,
    ).field()
    weights: str | None = Option(
        "text",
        "weights of the net, .safetensors or .pth",
        metavar="FILE",
        default_text="bundled for alex, otherwise BAPPS_GEN_WEIGHTS, torch's cache or a download",
        is_place=True,
    ).field()
    start: str | None = Option(
        "text",
        "metric that --mode lin trained over the same net: --mode tune begins with its linear "
        "weights and ranking network",
        metavar="FILE",
        default_text="random ones",
        is_place=True,
    ).field()
    epochs: int = Option(
        "integer", "epochs with the full learning rate", default=5, low=0, high=10_000, metavar="N"
    ).field()
    decay_epochs: int = Option(
        "integer",
        "epochs after these, over which the learning rate falls linearly",
        default=5,
        low=0,
        high=10_000,
        metavar="N",
    ).field()
    batch: int = Option(
        "integer", "triplets in a step", default=50, low=1, high=100_000, metavar="N"
    ).field()
    learning_rate: float = Option(
        "number", "learning rate of Adam", default=1e-4, low=1e-8, high=1.0, metavar="X"
    ).field()
    beta1: float = Option(
        "number", "β1 of Adam", default=0.5, low=0.0, high=0.9999, metavar="X"
    ).field()
    beta2: float = Option(
        "number", "β2 of Adam", default=0.999, low=0.0, high=0.999999, metavar="X"
    ).field()
    dropout: float = Option(
        "number",
        "share of the differences of features left out before the linear weights",
        default=0.5,
        low=0.0,
        high=0.5,
        metavar="X",
    ).field()
    weight_votes: bool = Option(
        "flag",
        "weight each row by its number of votes",
        default=False,
        default_text="every row counts the same",
    ).field()
    val_fraction: float | None = Option(
        "number",
        "share of the photos held out for validation where --val names no sets",
        low=0.001,
        high=0.9,
        metavar="X",
        default_text=f"{HELD_OUT_SHARE:g}",
    ).field()
    seed: int = replace(
        SEED, help="of the order of rows, initial weights, dropout and photos held out"
    ).field()
    device: str = MetricOptions.__dataclass_fields__["device"].metadata["option"].field()
    precision: str = Option(
        "text",
        "of the net: float32; bfloat16; or auto: for lin, that of stored features if there are "
        "any, otherwise bfloat16 where the processor or GPU has it in hardware and float32 "
        "elsewhere",
        default="auto",
        choices=("auto", "float32", "bfloat16"),
    ).field()
    compile: str = Option(
        "text",
        "with tune and scratch, compile the net: yes, no, or auto: on a GPU, if a C compiler is "
        "installed",
        default="auto",
        choices=("auto", "yes", "no"),
    ).field()

    def __post_init__(self) -> None:
        convert_options(self)
        if self.start is not None and self.mode != "tune":
            raise UserError(
                f"start = {self.start} goes with mode = tune alone; leave it out, or give that"
            )
        if self.mode == "lin" and self.compile == "yes":
            raise UserError(
                "compile = yes does not go with mode = lin, which runs the net once; leave it out"
            )
        if not self.total_epochs:
            raise out_of_range("epochs", 0, "at least 1 with the decay-epochs", "give --epochs 5")

    @property
    def total_epochs(self) -> int:
        """Epochs in all."""
        return self.epochs + self.decay_epochs

    def rate(self, epoch: int) -> float:
        """The learning rate in an epoch, counted from 1.

        As in the original program, which lowers it after each of the decay epochs, the first of
        these still has the full rate, and the last 1/N of it.
        """
        lowered = max(0, epoch - self.epochs - 1)
        return self.learning_rate * (1.0 - lowered / max(1, self.decay_epochs))

    def values(self) -> dict[str, Any]:
        """What weights depend on, as plain values for the spec of a training."""
        steps = ("mode", "epochs", "decay_epochs", "batch", "learning_rate", "beta1", "beta2")
        return {name: getattr(self, name) for name in (*steps, "dropout", "weight_votes", "seed")}
