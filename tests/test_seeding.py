"""Streams of random numbers: every slot stands in one table, and no two streams overlap."""

import ast
from itertools import product

import numpy as np

from bapps_gen import seeding
from bapps_gen.seeding import MAX_SEED, Streams, generator
from support.package import MODULES

SLOTS = {name: value for name, value in vars(seeding).items() if name.startswith("SLOT_")}
STREAMS = list(product((0, 1, MAX_SEED), (0, 1, 2, 2**40, 2**64 - 1), SLOTS.values()))


def test_no_two_slots_have_the_same_number():
    assert len(set(SLOTS.values())) == len(SLOTS) >= 14
    assert all(0 < slot < 2**64 for slot in SLOTS.values())


def test_slots_are_defined_in_seeding_and_streams_are_asked_for_by_their_names():
    for module, path in MODULES.items():
        if module == "bapps_gen.seeding":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                assert not node.id.startswith("SLOT_"), module
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
                if name in ("words", "generator") and len(node.args) > 2:
                    assert not isinstance(node.args[2], ast.Constant), module


def test_streams_start_in_different_blocks_that_no_draws_can_bridge():
    starts = set()
    for stream in STREAMS:
        state = generator(*stream).bit_generator.state["state"]
        low, high, *index = (int(word) for word in state["counter"])
        assert (low, high) == (0, 0)  # 2^128 blocks to go until the index changes
        starts.add((*map(int, state["key"]), *index))
    assert len(starts) == len(STREAMS)


def test_streams_of_one_seed_share_no_number():
    streams = Streams()
    words = np.concatenate([streams.words(*stream, 500) for stream in STREAMS])
    assert len(np.unique(words)) == len(words)


def test_a_stream_does_not_depend_on_what_was_drawn_before():
    streams = Streams()
    fresh = {stream: Streams().words(*stream, 8).tolist() for stream in STREAMS}
    for stream in reversed(STREAMS):
        streams.at(*stream).normal(size=7)
        assert streams.words(*stream, 8).tolist() == fresh[stream]
        assert generator(*stream).bit_generator.random_raw(8).tolist() == fresh[stream]
