"""Uploaded files over HTTP: OpenAI's Files API on :mod:`glyph_core.storage`, and pictures of their pages."""
