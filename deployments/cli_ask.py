"""``glyph ask``: one question about documents, in this process or at an endpoint, with the same events and result."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from deployments.answer_stream import AnswerStream, AskEvent, AskResult
from deployments.cli_console import ProgressBars, print_json, print_notes, print_text, print_warnings
from deployments.cli_evidence import print_evidence
from deployments.client import endpoint_client, file_json, raise_for_error, root_of, served_model, unreachable
from deployments.openai_answers import Json, glyph_json, usage_json
from glyph_core.config import PRESETS, EvidenceConfig, ReadingConfig, SamplingConfig, SecondLookConfig
from glyph_core.documents.source import read_source
from glyph_core.errors import InvalidRequestError
from glyph_core.types import Answer, DocumentSource, Progress, TextDelta


@dataclass(frozen=True, slots=True)
class Question:
    documents: tuple[DocumentSource, ...]
    text: str
    system: str | None
    sampling: SamplingConfig
    preset: str | None  # None: what the model was made for
    evidence: EvidenceConfig = field(default_factory=EvidenceConfig)
    template: str | None = None
    second_look: bool | None = None  # None: the service's way; in this process off
    pin: bool | None = None


def read_sources(files: Sequence[Path]) -> tuple[DocumentSource, ...]:
    """Raises InvalidRequestError for a file that cannot be read."""
    return tuple(read_source(path) for path in files)


def read_schema(file: Path) -> str:
    """Raises InvalidRequestError for a file that holds no JSON schema that an answer can keep to."""
    from glyph_core.answering.structure import schema_text

    try:
        return schema_text(json.loads(file.read_bytes()))
    except OSError as error:
        raise InvalidRequestError(f"the schema cannot be read: {file}: {error.strerror}", param="schema") from error
    except ValueError as error:
        raise InvalidRequestError(f"{file} holds no JSON schema: {error}", param="schema") from error


def show(events: Iterable[AskEvent], *, as_json: bool) -> None:
    """Shows the answer on stdout, a terminal's as it comes, or only the whole result as JSON; everything else on
    stderr."""
    shown = ""
    with ProgressBars() as bars:
        for event in events:
            match event:
                case Progress():
                    bars.update("pages rendered", event.num_pages_rendered, event.num_pages)
                    bars.update("pages encoded", event.num_pages_encoded, event.num_pages)
                    if event.num_windows > 1:
                        bars.update("windows read", event.num_windows_read, event.num_windows)
                case TextDelta(text, is_reasoning=False) if not as_json and sys.stdout.isatty():
                    bars.stop()
                    print_text(text)
                    shown += text
                case AskResult():
                    bars.stop()
                    _show_result(event, shown, as_json=as_json)


def _show_result(result: AskResult, shown: str, *, as_json: bool) -> None:
    if as_json:
        print_json(result.as_json())
    else:
        written = result.glyph.get("written", result.answer) if shown else result.answer
        print_text(written.removeprefix(shown) + "\n")  # read in several windows, it comes whole
        print_notes({"answer": result.answer} if shown and written != result.answer else {})
        print_evidence(result.glyph)
        print_notes(result.as_lines())
    print_warnings(result.glyph["warnings"])


def ask_in_process(question: Question, model: str) -> Iterator[AskEvent]:
    """Raises ModelError, and an InvalidInputError for what cannot be read or asked."""
    from glyph_core.answering.request import AnswerRequest
    from glyph_core.answering.task_templates import load_templates, template_called
    from glyph_core.pipeline import Pipeline

    pipeline = Pipeline.from_pretrained(model)
    text = question.text
    if question.template is not None:
        text = template_called(question.template, load_templates()).fill(text, len(question.documents))
    request = AnswerRequest.about(
        question.documents,
        text,
        system=question.system,
        sampling=question.sampling,
        render=PRESETS[question.preset] if question.preset else None,
        evidence=question.evidence,
        reading=ReadingConfig(second_look=SecondLookConfig(enabled=bool(question.second_look))),
    )
    for event in pipeline.stream(request):
        yield _result(event, pipeline.reader.checkpoint.name) if isinstance(event, Answer) else event


def _result(answer: Answer, model: str) -> AskResult:
    return AskResult(
        answer.text, answer.reasoning, answer.finish_reason, model, usage_json(answer.usage), glyph_json(answer)
    )


def ask_endpoint(question: Question, url: str, model: str | None) -> Iterator[AskEvent]:
    """``url`` is an endpoint's root, with or without /v1; ``model`` None asks the one that it serves.

    Raises the endpoint's own error, and StageError where it is out of reach or breaks off.
    """
    base_url = f"{root_of(url)}/v1"
    try:
        with endpoint_client(base_url) as client:
            body = request_json(question, model or served_model(client.get("/models")))
            with client.stream("POST", "/chat/completions", json=body) as response:
                raise_for_error(response)
                stream = AnswerStream()
                for line in response.iter_lines():
                    yield from stream.events(line)
                yield stream.result()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise unreachable(base_url, error) from error


def request_json(question: Question, model: str) -> Json:
    """The request in OpenAI's form; ``glyph`` is our extension of it."""
    files = [{"type": "file", "file": file_json(source.name, source.content)} for source in question.documents]
    system = [{"role": "system", "content": question.system}] if question.system else []
    sampling = question.sampling.model_dump(exclude_defaults=True, exclude={"ignore_eos", "json_schema"})
    return {
        "model": model,
        "messages": [*system, {"role": "user", "content": [*files, {"type": "text", "text": question.text}]}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": question.sampling.max_tokens,
        **sampling,
        **_response_format(question.sampling.json_schema),
        "glyph": _options(question),
    }


def _response_format(schema: str | None) -> Json:
    if schema is None:
        return {}
    form = {"name": "answer", "schema": json.loads(schema)}
    return {"response_format": {"type": "json_schema", "json_schema": form}}


def _options(question: Question) -> Json:
    told = {
        "preset": question.preset,
        "template": question.template,
        "second_look": question.second_look,
        "pin": question.pin,
    }
    evidence = question.evidence.model_dump(exclude_defaults=True)
    return {"progress": True, **evidence, **{name: value for name, value in told.items() if value is not None}}
