"""What goes out is never taken back, and joined it is the whole."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from glyph_core.answering.channel import IncrementalDecoder, TextChannel


def decode_bytes(token_ids: Sequence[int]) -> str:
    return bytes(token_ids).decode("utf-8", errors="replace")


@given(st.text(max_size=40))
def test_incremental_decoding_equals_decoding_at_once(text: str) -> None:
    decoder = IncrementalDecoder(decode_bytes)
    pieces = [decoder.push(token) for token in text.encode()]
    assert "".join(pieces) + decoder.flush() == text


@given(
    st.lists(st.one_of(st.binary(max_size=4), st.text(max_size=3).map(str.encode), st.just(b"\x80" * 9)), max_size=9)
)
def test_bytes_that_make_no_character_are_given_out_too(pieces: list[bytes]) -> None:
    content, longest = b"".join(pieces), 0

    def decode(token_ids: Sequence[int]) -> str:
        nonlocal longest
        longest = max(longest, len(token_ids))
        return decode_bytes(token_ids)

    decoder = IncrementalDecoder(decode)
    shown = "".join(decoder.push(token) for token in content)
    assert decode_bytes(content).startswith(shown)
    assert shown + decoder.flush() == decode_bytes(content)
    assert longest < 32  # of a model that writes nothing else, the whole was decoded again for each token


def test_no_half_character_is_shown() -> None:
    decoder = IncrementalDecoder(decode_bytes)
    assert [decoder.push(token) for token in "é!".encode()] == ["", "é", "!"]


def test_an_unfinished_character_comes_out_as_a_replacement() -> None:
    decoder = IncrementalDecoder(decode_bytes)
    assert decoder.push("é".encode()[0]) == ""
    assert decoder.flush() == "\ufffd"


@given(
    st.lists(st.text(alphabet="ab \n.", max_size=5), max_size=12),
    st.lists(st.text(alphabet="ab .", min_size=1, max_size=4), max_size=3),
)
@example(["ab", "aa"], ["abaa"])  # the first piece is shorter than what is held back
@example(["ba", " "], ["a", "ba "])  # one stands within another, and is complete first
@example(["ba "], ["a", "ba "])
def test_shown_pieces_join_to_the_text_before_the_first_stop(pieces: list[str], stop: list[str]) -> None:
    channel, shown = TextChannel(stop), ""
    for piece in pieces:
        shown += channel.push(piece)
        assert "".join(pieces).lstrip().startswith(shown)
        if channel.stopped:
            break
    shown += channel.close()
    whole = "".join(pieces).lstrip()
    ends = [(at + len(s), at) for s in stop if (at := whole.find(s)) >= 0]
    assert shown == channel.text == (whole[: min(ends)[1]] if ends else whole).rstrip()


def test_nothing_is_shown_that_may_become_a_stop_string() -> None:
    channel = TextChannel(["END"])
    assert [channel.push(c) for c in "aENx"] == ["", "", "a", "E"]
    assert channel.close() == "Nx"
