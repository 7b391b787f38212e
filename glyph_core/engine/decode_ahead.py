"""Decode steps given to the device before the host has seen the tokens of the step before.

While the device computes a step, the host hands out the tokens of the last one, schedules and plans: at a batch of 32
that takes a fifth of the step's own time, and the device would wait for it. So where all sequences take the likeliest
token, the next step is launched over the same sequences at once, and its tokens never leave the device. If it then
turns out that a sequence has ended, its row is thrown away; others' rows count. Keys and values that were written for
a row that is thrown away lie in blocks that no other sequence reads before it has written them itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from glyph_core.engine.decode_runner import DecodeRunner, LaunchedStep, StepInputs
from glyph_core.engine.sampler import SampledToken, as_tokens
from glyph_core.engine.scheduler import Chunk
from glyph_core.engine.sequence import Sequence as EngineSequence

MakeInputs = Callable[[Sequence[Chunk]], StepInputs]


@dataclass(slots=True)
class Flight:
    """A decode step that the device has been given, of which the engine has not heard yet."""

    chunks: Sequence[Chunk]
    step: LaunchedStep
    places: dict[EngineSequence, int] = field(init=False)
    num_preemptions: list[int] = field(init=False)  # of each sequence at the launch
    token_ids: list[int] | None = None  # that it computes; None while only the device knows them

    def __post_init__(self) -> None:
        self.places = {chunk.sequence: place for place, chunk in enumerate(self.chunks)}
        self.num_preemptions = [chunk.sequence.num_preemptions for chunk in self.chunks]

    def place_of(self, chunk: Chunk) -> int | None:
        """The row that computes ``chunk``; None where none does."""
        place = self.places.get(chunk.sequence)
        if place is None or self.token_ids is None:
            return None
        is_same = (
            self.chunks[place].start == chunk.start
            and chunk.num_tokens == 1
            and self.num_preemptions[place] == chunk.sequence.num_preemptions
            and self.token_ids[place] == chunk.sequence.token_ids[chunk.start]
        )
        return place if is_same else None

    def tokens(self) -> list[SampledToken]:
        """Waits for them."""
        return as_tokens(self.step.fetched.wait(), [chunk.sequence.sampler_state for chunk in self.chunks])


class DecodeAhead:
    """Runs decode steps and keeps one in flight where it can."""

    def __init__(self, runner: DecodeRunner, block_size: int) -> None:
        self._runner, self._block_size = runner, block_size
        self._flight: Flight | None = None

    def take(self, chunks: Sequence[Chunk]) -> tuple[Flight | None, list[int | None]]:
        """The step in flight, if it computes any of ``chunks``, and its row for each of them."""
        flight, self._flight = self._flight, None
        places = [flight.place_of(chunk) if flight else None for chunk in chunks]
        return (flight if any(place is not None for place in places) else None), places

    def launch(self, chunks: Sequence[Chunk], make_inputs: MakeInputs) -> Flight:
        """A step of which the host knows the tokens."""
        flight = Flight(chunks, self._runner.launch(make_inputs(chunks)))
        flight.token_ids = [chunk.sequence.token_ids[chunk.start] for chunk in chunks]
        return flight

    def launch_next(self, chunks: Sequence[Chunk], flight: Flight, make_inputs: MakeInputs) -> None:
        """The step after ``flight``, which computes ``chunks``, unless a sequence draws its token otherwise than by
        taking the likeliest, or has no room for it."""
        if not all(chunk.sequence.sampler_state.is_greedy for chunk in chunks):
            return
        going_on = [chunk for chunk in chunks if chunk.stop + 1 < chunk.sequence.max_num_tokens]
        has_room = all(chunk.stop < len(chunk.sequence.block_table) * self._block_size for chunk in going_on)
        if going_on and has_room:
            following = [Chunk(chunk.sequence, chunk.stop, chunk.stop + 1, is_sampled=True) for chunk in going_on]
            places = [flight.places[chunk.sequence] for chunk in following]
            step = self._runner.launch(make_inputs(following), (flight.step, places))
            self._flight = Flight(following, step)

    def learn(self, flight: Flight, tokens: Sequence[SampledToken]) -> None:
        """``flight`` gave ``tokens``: those that the step after it computes."""
        if self._flight is not None:
            self._flight.token_ids = [tokens[flight.places[chunk.sequence]].token_id for chunk in self._flight.chunks]
