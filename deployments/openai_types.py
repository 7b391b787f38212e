"""What comes in: OpenAI's chat completions request, as far as we honour it.

Nothing is ignored in silence. A field of OpenAI's that we don't honour may be there at a value that changes nothing
(:data:`INERT`); at any other, and for any other field, :func:`parse_chat_request` raises an error that names it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from deployments.vector_stores.filters import Filter, RankingOptions
from deployments.wire import Wire, checked, json_of
from glyph_core.answering.structure import ANY_OBJECT, schema_text
from glyph_core.citations import GroundingMode
from glyph_core.config import ReadingConfig
from glyph_core.errors import InvalidRequestError

INERT: Mapping[str, tuple[Any, ...]] = {
    "audio": (),
    "frequency_penalty": (0, 0.0),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"],),
    "n": (1,),
    "parallel_tool_calls": (True, False),
    "prediction": (),
    "presence_penalty": (0, 0.0),
    "reasoning_effort": (),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "tool_choice": ("none", "auto"),
    "top_logprobs": (0,),
    "verbosity": ("medium",),
    "web_search_options": (),
}
INERT_IN_MESSAGE: Mapping[str, tuple[Any, ...]] = {
    "audio": (), "function_call": (), "name": (), "refusal": (), "tool_calls": ([],),
}  # fmt: skip
# They tell about the sender, or about an earlier answer that is sent back as it came, and never change an answer.
LABELS = ("metadata", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "user")
LABELS_IN_MESSAGE = ("annotations",)


class FileContent(Wire):
    """A document: a data URL, bare base64, or the id of an uploaded file. Its type is told by its content."""

    file_data: str | None = Field(None, repr=False)
    file_id: str | None = Field(None, max_length=256)
    filename: str | None = Field(None, max_length=1024)

    @model_validator(mode="after")
    def _is_here_or_there(self) -> Self:
        if (self.file_data is None) == (self.file_id is None):
            raise ValueError("a file holds either file_data or file_id")
        return self


class ImageUrl(Wire):
    url: str = Field(repr=False)
    detail: Literal["auto", "high"] | None = None  # a picture is shown in its own size, whatever of these is asked


class Part(Wire):
    type: Literal["text", "file", "image_url"]
    text: str | None = None
    file: FileContent | None = None
    image_url: ImageUrl | None = None

    @model_validator(mode="after")
    def _holds_what_its_type_says(self) -> Self:
        given = [name for name in ("text", "file", "image_url") if getattr(self, name) is not None]
        if given != [self.type]:
            raise ValueError(f"a part of type {self.type!r} holds the field {self.type!r} and no other of its kind")
        return self


class ChatMessage(Wire):
    """A turn. The thinking of earlier answers may be sent along, and is not shown to the model again."""

    role: Literal["system", "developer", "user", "assistant"]
    content: list[Part]
    reasoning_content: str | None = None

    @field_validator("content", mode="before")
    @classmethod
    def _text_is_one_part(cls, content: Any) -> Any:
        return [{"type": "text", "text": content}] if isinstance(content, str) else content

    @model_validator(mode="after")
    def _documents_are_the_users(self) -> Self:
        if self.role != "user" and any(part.type != "text" for part in self.content):
            raise ValueError(f"only a user's message can hold documents; this one is the {self.role}'s")
        return self


class StreamOptions(Wire):
    include_usage: bool = False
    include_obfuscation: Literal[False] | None = None


class JsonSchema(Wire):
    """``name`` and ``description`` are labels; every schema is enforced, strict or not."""

    name: str = Field(max_length=64)
    description: str | None = None
    json_schema: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None


class ResponseFormat(Wire):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _has_a_schema_where_it_says_so(self) -> Self:
        if (self.json_schema is not None) != (self.type == "json_schema"):
            raise ValueError("json_schema goes with the type 'json_schema', and with no other")
        return self

    def as_schema(self) -> str:
        """What the answer must keep to. Raises InvalidRequestError for what cannot be enforced."""
        return ANY_OBJECT if self.json_schema is None else schema_text(self.json_schema.json_schema)


class FileSearchTool(Wire):
    """OpenAI's tool: pages of these vector stores are found, and read before the question is answered."""

    type: Literal["file_search"]
    vector_store_ids: list[str] = Field(min_length=1, max_length=16)
    max_num_results: int | None = Field(None, ge=1, le=50, description="pages; None: as many as the model reads well")
    filters: Filter | None = None
    ranking_options: RankingOptions = Field(default_factory=RankingOptions)


class WindowOptions(Wire):
    overlap_pages: int | None = Field(None, ge=0, le=64, description="pages that windows share; None: the service's")
    combine: bool | None = Field(None, description="ask once more about the pages of the best windows' answers")


class GlyphOptions(Wire):
    """Our own extension of a request."""

    preset: str | None = Field(None, description="a render preset; None: the service's")
    render: dict[str, Any] = Field(default_factory=dict, description="fields of RenderConfig that differ from it")
    timeout_s: float | None = Field(None, gt=0, description="the request's own deadline, in seconds after its arrival")
    template: str | None = Field(None, description="a task template; the last message's text goes into it")
    citations: bool = Field(True, description="tell the passages that the answer rests on")
    grounding: GroundingMode = Field("repair", description="of the answer's values; see config.EvidenceConfig")
    windows: WindowOptions = Field(default_factory=WindowOptions)
    second_look: bool | None = Field(None, description="look at doubtful pages again, larger; None: the service's way")
    pin: bool | None = Field(None, description="keep the documents' KV blocks from eviction from now on, or no longer")
    search_rounds: int = Field(1, ge=1, le=3, description="of file_search: an answer may be what is looked up next")
    progress: bool = Field(False, description="stream chunks without choices that tell how far the request is")


class ChatRequest(Wire):
    model: str
    messages: list[ChatMessage] = Field(min_length=1)
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    stop: list[str] = Field(default_factory=list, max_length=16)
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    repetition_penalty: float | None = Field(None, gt=0, le=10)
    response_format: ResponseFormat | None = None
    tools: list[FileSearchTool] = Field(default_factory=list, max_length=1)
    glyph: GlyphOptions = Field(default_factory=GlyphOptions)

    @field_validator("response_format")
    @classmethod
    def _text_is_no_format(cls, response_format: ResponseFormat | None) -> ResponseFormat | None:
        return None if response_format is None or response_format.type == "text" else response_format

    @field_validator("stop", mode="before")
    @classmethod
    def _one_stop_is_a_list(cls, stop: Any) -> Any:
        return [stop] if isinstance(stop, str) else stop or []

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise InvalidRequestError("stream_options goes with stream=true only", param="stream_options")
        if self.stop and self.response_format is not None:
            raise InvalidRequestError("stop would cut the JSON of response_format; leave one of them out", param="stop")
        limits = {self.max_tokens, self.max_completion_tokens} - {None}
        if len(limits) > 1:
            raise InvalidRequestError(
                f"max_tokens={self.max_tokens} and max_completion_tokens={self.max_completion_tokens} differ; they "
                "mean the same, so send one of them",
                param="max_tokens",
            )
        return self


def parse_chat_request(body: bytes | bytearray) -> ChatRequest:
    """Raises InvalidRequestError that names the field at fault. A field that is null is one that is not there."""
    sent = json_of(body)
    if not isinstance(sent, dict):
        raise InvalidRequestError("the request body must be a JSON object")
    request = {name: value for name, value in sent.items() if value is not None}
    if request.get("tool_choice") == "none":
        request.pop("tools", None)
    _drop_inert(request, INERT, LABELS, "")
    messages = request.get("messages")
    for index, message in enumerate(messages if isinstance(messages, list) else []):
        if isinstance(message, dict):
            _drop_inert(message, INERT_IN_MESSAGE, LABELS_IN_MESSAGE, f"messages.{index}.")
    return checked(ChatRequest, request)


def reading_of(options: GlyphOptions, base: ReadingConfig) -> ReadingConfig:
    """How documents are read for a request: ``base``, but for what it says itself."""
    windows = base.windows.model_copy(update=options.windows.model_dump(exclude_none=True))
    looks = {} if options.second_look is None else {"enabled": options.second_look}
    return ReadingConfig(windows=windows, second_look=base.second_look.model_copy(update=looks))


def file_ids_of(request: ChatRequest) -> list[str]:
    """Of the uploaded files among its documents."""
    files = (part.file for message in request.messages for part in message.content)
    return [file.file_id for file in files if file is not None and file.file_id is not None]


def _drop_inert(
    fields: dict[str, Any], inert: Mapping[str, tuple[Any, ...]], labels: Sequence[str], prefix: str
) -> None:
    for label in labels:
        fields.pop(label, None)
    for name in inert.keys() & fields.keys():
        value = fields.pop(name)
        harmless = any(type(value) is type(allowed) and value == allowed for allowed in inert[name])
        if value is not None and not harmless:
            allowed = " or ".join(repr(value) for value in inert[name]) or "null"
            raise InvalidRequestError(
                f"{prefix}{name} is not supported by this service; remove it, or leave it at {allowed}",
                param=f"{prefix}{name}",
            )
