"""The page's replica. Gradio is imported in it and nowhere else: six seconds of CPU that no stage waits for."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

from pydantic import Field

from deployments.serve_side import ServeSide
from glyph_core.config import Config, LimitConfig

if TYPE_CHECKING:
    from fastapi import FastAPI


class PageArgs(Config):
    """What the page can be told; a misspelt name fails the deployment."""

    num_cpus: float = Field(0.1, ge=0)
    endpoint: str | None = Field(None, description="root URL of the API that it asks; None: this Serve's own")
    max_document_bytes: int = Field(
        LimitConfig().max_document_bytes, ge=1, description="a larger upload is refused; the endpoint's own limit"
    )


class Page:
    def __init__(self, args: PageArgs, serve_side: ServeSide) -> None:
        self._args = args
        self._endpoint = args.endpoint or serve_side.local_url()

    def __serve_build_asgi_app__(self) -> FastAPI:  # Serve calls it in the replica
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # it asks when it is imported
        if "GRADIO_TEMP_DIR" not in os.environ:
            os.environ["GRADIO_TEMP_DIR"] = tempfile.mkdtemp(prefix="glyph-page-")
        from deployments.page.site import build_site

        return build_site(self._endpoint, self._args.max_document_bytes)
