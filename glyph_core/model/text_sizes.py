"""The sizes of a language model that runs behind our attention, whatever it is made of."""

from __future__ import annotations

from typing import Any

from glyph_core.errors import ModelError


class TextSizes:
    """What a :class:`glyph_core.model.family.TextModel` says of itself."""

    def __init__(self, text: Any, num_deepstack: int) -> None:
        """``text``: transformers' configuration of the language model. ``num_deepstack``: the first layers that get
        features of a page of their own. Raises ModelError for a model whose attention ours is not."""
        _refuse_windows(text)
        self.num_layers: int = text.num_hidden_layers
        self.num_heads: int = text.num_attention_heads
        self.num_kv_heads: int = text.num_key_value_heads
        self.head_dim: int = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        self.hidden_size: int = text.hidden_size
        self.feature_size: int = text.hidden_size * (1 + num_deepstack)
        self.vocab_size: int = text.vocab_size


def _refuse_windows(config: Any) -> None:
    """Our attention sees the whole sequence, so a model of sliding windows would answer otherwise than it should:
    raises ModelError for it."""
    layers, window = getattr(config, "layer_types", None), getattr(config, "sliding_window", None)
    if "sliding_attention" in layers if layers else window is not None:
        raise ModelError(
            f"its language model ({config.model_type}) attends to the last {window} tokens only, which we don't do; "
            "where prompts stay shorter than that, set sliding_window to null in config.json"
        )
