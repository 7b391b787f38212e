"""What crosses replicas survives the crossing."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from ray import cloudpickle
from ray.exceptions import ActorDiedError, RayTaskError
from ray.serve.exceptions import BackPressureError

from deployments.faults import as_glyph_error, is_replica_death
from deployments.packing import pack, unpack
from deployments.protocol import DecoderStats, EncoderStats, RenderedPage, StageReport
from deployments.renderer import RendererStats
from glyph_core.engine.stats import EngineStats
from glyph_core.errors import GlyphError, OverloadedError, StageError
from glyph_core.types import Answer, Page, PageError, PageFeatures, PagePlan, Progress, TextDelta, Timings, Usage
from tests.deployments.fakes import range_of, request_about, stored

PLAN = PagePlan(3, 476, 868, "ab" * 16)
ANSWER = Answer("text", "stop", (1, 2), Usage(1, 2, 3, 4, 5), Timings(1, 2, 3, 4, 5, 6), 1)


def tree(error: type[GlyphError] = GlyphError) -> Iterator[type[GlyphError]]:
    yield error
    for child in error.__subclasses__():
        yield from tree(child)


@pytest.mark.parametrize(
    "value",
    [stored(b"text"), request_about(3), range_of(3), StageReport("decoder", "cpu", {"torch": "2"}), RendererStats(3),
     DecoderStats(1, EngineStats(1, 2, 3, 4, 5, 6)), EncoderStats(1, 2, 3, 4, 5), ANSWER,
     Progress(1, 2, 3, 4), TextDelta("a", True)],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_pickle_round_trip(value: object) -> None:
    assert pickle.loads(cloudpickle.dumps(value)) == value


@pytest.mark.parametrize("error", sorted(tree(), key=lambda error: error.__name__))
def test_errors_cross_with_all_that_they_say(error: type[GlyphError]) -> None:
    """As Ray carries them: wrapped, pickled, and of a class made on the fly at the other end."""
    wrapped = RayTaskError("answer", "traceback", error("what was wrong", param="messages"))
    arrived = pickle.loads(cloudpickle.dumps(wrapped)).as_instanceof_cause()
    ours = as_glyph_error(arrived, "decoder")
    assert type(ours) is error
    assert (ours.message, ours.param, ours.status) == ("what was wrong", "messages", error.status)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_features_cross_as_they_are_and_out_of_band(dtype: torch.dtype) -> None:
    features = torch.randn(7, 32).to(dtype)
    error = PageError("scan.pdf", 1, "it hangs")
    packed = pack(PageFeatures(PLAN, (1, 2, 14), features, error), render_s=0.1, encode_s=0.2)
    buffers: list[pickle.PickleBuffer] = []
    message = pickle.dumps(packed, protocol=5, buffer_callback=buffers.append)
    assert sum(buffer.raw().nbytes for buffer in buffers) == features.nbytes
    received = pickle.loads(message, buffers=[bytes(buffer.raw()) for buffer in buffers])  # read-only, as Ray's
    arrived = unpack(received)
    assert (arrived.plan, arrived.grid_thw, arrived.features.dtype) == (PLAN, (1, 2, 14), dtype)
    assert arrived.error == error
    assert torch.equal(arrived.features, features)
    assert arrived.features.data_ptr() != received.values.ctypes.data  # its own memory


def test_features_that_cannot_cross_say_so() -> None:
    with pytest.raises(StageError, match="float64"):
        pack(PageFeatures(PLAN, (1, 2, 14), torch.zeros(7, 32, dtype=torch.float64)), render_s=0, encode_s=0)


def test_pixels_cross_out_of_band() -> None:
    buffers: list[pickle.PickleBuffer] = []
    rendered = RenderedPage(Page(PLAN, np.zeros((868, 476), np.uint8)), 0.1)
    message = pickle.dumps(rendered, protocol=5, buffer_callback=buffers.append)
    assert len(message) < 1000
    assert pickle.loads(message, buffers=buffers).page.pixels.shape == (868, 476)


def test_a_range_is_cut_into_pieces_that_make_it_up() -> None:
    pieces = range_of(10, start=3).cut(4)
    assert [(piece.start, piece.stop) for piece in pieces] == [(3, 7), (7, 11), (11, 13)]
    assert [(piece.start, piece.stop) for piece in pieces[0].after(3).cut(4)] == [(6, 7)]
    assert len(pieces[2].after(2)) == 0


def test_only_the_callees_own_death_is_a_death() -> None:
    assert is_replica_death(ActorDiedError())
    assert not is_replica_death(RayTaskError("encode_range", "traceback", ActorDiedError()).as_instanceof_cause())


def test_a_full_queue_is_an_overload() -> None:
    assert isinstance(as_glyph_error(BackPressureError(5, 4), "decoder"), OverloadedError)
