"""Token ids of glyph-mini: 256 bytes, then GLM's special tokens, as its tokenizer files say."""

from __future__ import annotations

SPECIAL_TOKENS = (
    "[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>", "<|endoftext|>", "<|image|>",
    "<|video|>", "<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>", "<think>",
    "</think>", "<answer>", "</answer>",
)  # fmt: skip
ID_OF = {token: 256 + index for index, token in enumerate(SPECIAL_TOKENS)}
VOCAB_SIZE = 288  # a multiple of 32

BEGIN_OF_IMAGE, END_OF_IMAGE = ID_OF["<|begin_of_image|>"], ID_OF["<|end_of_image|>"]
END_OF_TEXT = ID_OF["<|endoftext|>"]
# What the chat template puts before the pages of a user turn, and between the question and the answer.
PROMPT_HEAD = (ID_OF["[gMASK]"], ID_OF["<sop>"], ID_OF["<|user|>"], ord("\n"))
ANSWER_HEAD = (ID_OF["<|assistant|>"], ord("\n"))
