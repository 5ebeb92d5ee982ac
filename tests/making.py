"""Until all tests import from support.datasets."""

from support.datasets import *  # noqa: F403
