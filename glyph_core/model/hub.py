"""Files of a checkpoint from the hub. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from glyph_core.errors import ModelError

SMALL_FILES = ("*.json", "*.jinja")  # no weights, no pickles and no code


def download(hub_id: str, patterns: Iterable[str], *, revision: str | None = None) -> Path:
    """The folder of a snapshot in the hub's cache, with the files that ``patterns`` name downloaded where they are not
    there. Raises ModelError."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(hub_id, allow_patterns=list(patterns), revision=revision))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(
            f"the model {hub_id!r} could not be fetched from the hub ({reason}); check the name and the network, or "
            "give a folder that holds the checkpoint"
        ) from error
