"""Where uploaded files are kept, and how many."""

from __future__ import annotations

from pydantic import Field

from glyph_core.config.base import Config


class FeatureStoreConfig(Config):
    """Pages' features on disk, so that they outlive the encoder."""

    gb: float = Field(0.0, ge=0, description="of features, the oldest going first; 0 keeps none on disk")
    path: str | None = Field(
        None, description="a folder on the encoder's machine; None: glyph-serve in its user's cache"
    )


class StoreConfig(Config):
    """The store of uploaded files and of collections. Several gateways may share one."""

    path: str | None = Field(
        None, description="a folder, or an fsspec URL such as s3://bucket/glyph; None: glyph-serve in the user's data"
    )
    index: str | None = Field(
        None, description="a folder on this machine for the SQLite index; None: path, which must be a folder then"
    )
    quota_gb: float | None = Field(10.0, gt=0, description="GiB of one owner's files together; None: any number")
    keep_days: float | None = Field(None, gt=0, description="of files whose upload names no expiry; None: for ever")
