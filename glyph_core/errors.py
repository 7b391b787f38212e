"""Every error that this project raises on purpose, one HTTP status each.

GlyphError                          500
├── InvalidInputError               400  the request or its contents are at fault; asking again won't help
│   ├── InvalidRequestError         400  a field has a value that we cannot honour
│   ├── ModelNotFoundError          404  another model was asked for than the one that is served
│   ├── NotFoundError               404  a file or a collection that is not there, or is somebody else's
│   ├── QuotaError                  413  more bytes than an owner may keep here
│   ├── PinnedShareError            413  pinned documents would hold more of the KV memory than they may
│   ├── ContextLengthError          400  prompt and answer together exceed the model's context
│   ├── EmptyDocumentError          400  a document holds nothing to read
│   ├── UnsupportedDocumentError    415  a document of a type that we cannot read
│   ├── InvalidDocumentError        422  a document of a known type whose bytes are damaged
│   ├── DocumentTooLargeError       413  more bytes, pages, pixels or memory than the limits allow
│   ├── DocumentTimeoutError        422  a document whose reader gave nothing within the time limit
│   └── RenderConfigError           400  a render configuration that gives unreadable pages
├── ModelError                      500  a checkpoint is missing, incomplete or of an unknown family
├── ConfigError                     500  the service was configured in a way that cannot work
├── AuthenticationError             401  no API key, or one that is not known here
├── ForbiddenError                  403  a page of another site asks through a browser of this machine
├── OverloadedError                 429  queues are full; asking again later will help
│   └── RateLimitError              429  an API key's own rate or number of requests is used up
├── NotReadyError                   503  the chain has not answered its warm-up request yet
├── RequestTimeoutError             504  the request's own deadline passed
└── StageError                      502  a stage died or broke its contract while it served this request

Each takes one message, says in it what was wrong and what to do, and survives pickling with its attributes, so
that it can cross from replica to replica. ``code`` is the OpenAI error code, ``param`` the request field at fault,
``retry_after_s`` says after which time asking again may help.
"""

from __future__ import annotations

from typing import ClassVar


class GlyphError(Exception):
    """Root of the tree."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    retry_after_s: float | None = None

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param

    @property
    def message(self) -> str:
        return str(self.args[0])


class InvalidInputError(GlyphError):
    status = 400
    code = "invalid_input"


class InvalidRequestError(InvalidInputError):
    code = "invalid_request"


class ModelNotFoundError(InvalidInputError):
    status = 404
    code = "model_not_found"


class NotFoundError(InvalidInputError):
    status = 404
    code = "not_found"


class QuotaError(InvalidInputError):
    status = 413
    code = "quota_exceeded"


class PinnedShareError(InvalidInputError):
    status = 413
    code = "pinned_share_exceeded"


class ContextLengthError(InvalidInputError):
    code = "context_length_exceeded"


class EmptyDocumentError(InvalidInputError):
    code = "empty_document"


class UnsupportedDocumentError(InvalidInputError):
    status = 415
    code = "unsupported_document"


class InvalidDocumentError(InvalidInputError):
    status = 422
    code = "invalid_document"


class DocumentTooLargeError(InvalidInputError):
    status = 413
    code = "document_too_large"


class DocumentTimeoutError(InvalidInputError):
    status = 422
    code = "document_timeout"


class RenderConfigError(InvalidInputError):
    code = "invalid_render_config"


class ModelError(GlyphError):
    code = "model_error"


class ConfigError(GlyphError):
    code = "config_error"


class AuthenticationError(GlyphError):
    status = 401
    code = "invalid_api_key"


class ForbiddenError(GlyphError):
    status = 403
    code = "forbidden"


class OverloadedError(GlyphError):
    status = 429
    code = "overloaded"
    retry_after_s = 1.0


class RateLimitError(OverloadedError):
    code = "rate_limit_exceeded"

    def __init__(self, message: str, *, param: str | None = None, retry_after_s: float = 1.0) -> None:
        super().__init__(message, param=param)
        self.retry_after_s = retry_after_s


class NotReadyError(GlyphError):
    status = 503
    code = "not_ready"
    retry_after_s = 5.0


class RequestTimeoutError(GlyphError):
    status = 504
    code = "timeout"


class StageError(GlyphError):
    status = 502
    code = "stage_failed"
