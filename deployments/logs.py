"""The stages' log: JSON lines, to which Serve adds time, deployment, replica and the request's id.

The request's id is the X-Request-ID header's, or one that Serve makes, and goes with every call that the request makes
in any stage; the answer's id (``chatcmpl-…``) stands beside it where the gateway and the decoder speak of the request.
No line holds a document's name or text, a question, an answer or an API key.
"""

from __future__ import annotations

import logging

# A child of Serve's own logger, whose handler writes the replica's file.
logger = logging.getLogger("ray.serve.glyph")


def show_library() -> None:
    """Has the library's lines (which attention runs, the memory plan, what was warmed up) written where the stages' own
    are; Serve's handlers are its own logger's alone."""
    library = logging.getLogger("glyph_core")
    library.setLevel(logging.INFO)
    for handler in logging.getLogger("ray.serve").handlers:
        library.addHandler(handler)
