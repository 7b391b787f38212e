"""``python -m tests.deployments.run_glyph …`` is ``glyph …``, of this tree."""

from deployments.cli import app

app()
