"""The ``glyph`` command in process: what stands on stdout, what on stderr, and the exit status."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from deployments.cli import app
from deployments.cli_render import file_stems
from glyph_core.config import preset
from tests.tiny_checkpoint import make_tiny_glm4v

QUESTION, TRUTH = "What is the Governing Law?", "State of Vermont"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def only_object(result: Result) -> dict[str, Any]:
    """What stdout holds, which must be one JSON object and nothing else."""
    loaded = json.loads(result.stdout)
    assert isinstance(loaded, dict)
    return loaded


# render


def test_render_writes_the_pages_that_it_lists(tmp_path: Path, examples: Path) -> None:
    result = run("render", examples / "field_station_handbook.txt", "--out", tmp_path / "pages", "--json")
    assert result.exit_code == 0
    report = only_object(result)
    assert report["pages"] == len(report["page_images"]) > 1
    assert {Path(image["file"]) for image in report["page_images"]} == set((tmp_path / "pages").iterdir())
    for index, image in enumerate(report["page_images"]):
        with Image.open(image["file"]) as pixels:
            assert pixels.size == (image["width_px"], image["height_px"])
            assert pixels.convert("L").getextrema() == (0, 255)  # ink on paper
        assert (image["page_index"], image["document"]) == (index, "field_station_handbook.txt")
        assert image["num_visual_tokens"] == image["width_px"] * image["height_px"] // 28**2
    assert report["num_visual_tokens"] == sum(image["num_visual_tokens"] for image in report["page_images"])
    assert report["compression_ratio"] == report["num_text_tokens"] / report["num_visual_tokens"]
    assert report["text_tokens_estimated"]  # glyph-mini's tokenizer counts bytes
    assert report["render_ms"] > 0


def test_render_takes_several_documents_of_one_name(tmp_path: Path) -> None:
    files = []
    for folder, text in (("a", "first"), ("b", "second")):
        files.append(tmp_path / folder / "note.txt")
        files[-1].parent.mkdir()
        files[-1].write_text(text)
    report = only_object(run("render", *files, "--out", tmp_path / "out", "--json"))
    assert [Path(image["file"]).name for image in report["page_images"]] == ["note.txt-0001.png", "note.txt~2-0001.png"]
    first, second = ((tmp_path / "out" / Path(image["file"]).name).read_bytes() for image in report["page_images"])
    assert first != second


def test_names_that_look_numbered_get_stems_of_their_own() -> None:
    names = ["a", "a", "a~2", "a"]
    assert len(set(file_stems(names))) == len(names)


def test_render_draws_as_the_preset_says(tmp_path: Path, examples: Path) -> None:
    document = examples / "field_station_handbook.txt"
    report = only_object(run("render", document, "--out", tmp_path, "--preset", "glyph-en", "--json"))
    assert report["page_images"][0]["height_px"] == preset("glyph-en").page_height_px


def test_render_tells_of_characters_without_a_glyph(tmp_path: Path) -> None:
    (tmp_path / "odd.txt").write_text("a \ue123 b")  # for private use
    result = run("render", tmp_path / "odd.txt", "--out", tmp_path / "out", "--json")
    assert result.exit_code == 0
    assert only_object(result)["warnings"]
    assert "warning: " in result.stderr


def test_render_takes_the_preset_s_knobs(tmp_path: Path, examples: Path) -> None:
    document = examples / "service_agreement.md"
    knobs = ["--preset", "glyph-en", "--dpi", "96", "--newline-marks"]
    (image,) = only_object(run("render", document, "--out", tmp_path, *knobs, "--json"))["page_images"]
    assert 595 < image["width_px"] <= round(595 * 96 / 72)
    with Image.open(image["file"]) as pixels:
        assert pixels.mode == "RGB"  # the marks are red
    refused = run("render", document, "--out", tmp_path, "--preset", "glyph-en", "--font-size", "4", "--json")
    assert (refused.exit_code, only_object(refused)["error"]["code"]) == (1, "invalid_render_config")


def test_render_says_what_stands_where(tmp_path: Path, examples: Path) -> None:
    document = examples / "service_agreement.md"
    (image,) = only_object(run("render", document, "--out", tmp_path, "--spans", "--json"))["page_images"]
    spans = json.loads(Path(image["spans_file"]).read_text(encoding="utf-8"))
    assert (spans["document"], spans["page_index"]) == ("service_agreement.md", 0)
    text = document.read_text(encoding="utf-8")
    assert "".join(span["text"] for span in spans["spans"]).split() == text.replace("\n", "").split()
    with Image.open(image["file"]) as pixels:
        for span in spans["spans"]:
            assert text[span["start"] : span["stop"]] == span["text"]
            assert pixels.crop(span["box"]).getextrema()[0] < 255  # ink


def test_a_gallery_holds_all_pages_in_itself(tmp_path: Path, examples: Path) -> None:
    files = sorted(examples.iterdir())
    report = only_object(run("render", *files, "--out", tmp_path, "--spans", "--gallery", "--json"))
    page = Path(report["gallery"]).read_text(encoding="utf-8")
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(sources) == report["pages"]
    for source, image in zip(sources, report["page_images"], strict=True):
        assert base64.b64decode(source.removeprefix("data:image/png;base64,")) == Path(image["file"]).read_bytes()
    assert "<title>Governing Law: State of Vermont</title></rect>" in page


def test_render_s_out_must_be_a_folder(tmp_path: Path, examples: Path) -> None:
    (tmp_path / "pages").write_text("mine")
    result = run("render", examples / "service_agreement.md", "--out", tmp_path / "pages")
    assert result.exit_code == 1
    assert "pages need a folder" in result.stderr
    assert (tmp_path / "pages").read_text() == "mine"


def test_render_loads_no_model_library(tmp_path: Path, examples: Path) -> None:
    arguments = ["render", str(examples / "service_agreement.md"), "--out", str(tmp_path)]
    program = (
        f"import sys; from deployments.cli import app; app({arguments}, standalone_mode=False); "
        "print([name for name in ('torch', 'transformers', 'ray') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "[]"


def test_render_for_people_names_pages_files_and_tokens(tmp_path: Path, examples: Path) -> None:
    result = run("render", examples / "service_agreement.md", "--out", tmp_path)
    assert [line.split(":")[0] for line in result.stdout.splitlines()] == ["pages", "files", "tokens"]
    assert str(tmp_path / "service_agreement.md-0001.png") in result.stdout


# ask


def test_ask_prints_the_answer_and_nothing_else(examples: Path) -> None:
    result = run("ask", examples / "service_agreement.md", QUESTION)
    assert (result.exit_code, result.stdout) == (0, f"{TRUTH}\n")


def test_ask_json_says_what_the_answer_took(examples: Path) -> None:
    documents = [examples / "service_agreement.md", examples / "field_station_handbook.txt"]
    report = only_object(run("ask", *documents, "Who is the Project Manager?", "--json"))
    assert report["answer"] == "Ruth Albright"
    assert (report["finish_reason"], report["model"], report["reasoning"]) == ("stop", "glyph-mini", "")
    assert report["glyph"]["pages"] > 1
    assert report["usage"]["prompt_tokens_details"]["visual_tokens"] > 0
    assert report["glyph"]["timings"]["e2e_ms"] >= report["glyph"]["timings"]["ttft_ms"] > 0


def test_ask_stops_at_max_tokens(examples: Path) -> None:
    result = run("ask", examples / "service_agreement.md", QUESTION, "--max-tokens", "5", "--json")
    report = only_object(result)
    assert (report["finish_reason"], report["usage"]["completion_tokens"]) == ("length", 5)
    assert TRUTH.startswith(report["answer"])


@pytest.mark.parametrize(
    ("argument", "missing"), [("service_agreement.md", "the question about"), ("Who?", "document")]
)
def test_ask_says_what_is_missing(examples: Path, argument: str, missing: str) -> None:
    given = examples / argument
    result = run("ask", given if given.exists() else argument)
    assert result.exit_code == 2
    assert missing in (said := " ".join(result.stderr.replace("│", " ").split()))
    assert "is missing" in said


def test_version() -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"glyph-serve {version('glyph-serve')}\n")


def test_ask_takes_no_file_for_a_question(examples: Path) -> None:
    result = run("ask", examples / "service_agreement.md", examples / "field_station_handbook.txt")
    assert result.exit_code == 2
    assert "the question comes last" in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize("option", ["--pin", "--no-pin"])
def test_ask_pins_nothing_in_this_process(examples: Path, option: str) -> None:
    result = run("ask", examples / "service_agreement.md", "Who?", option)
    assert result.exit_code == 2
    assert "are for the endpoint at --url" in " ".join(result.stderr.replace("│", " ").split())


def test_ask_draws_with_temperature_by_seed(examples: Path, tmp_path: Path) -> None:
    model = make_tiny_glm4v(tmp_path)  # never sure of anything, unlike a trained one

    def drawn(seed: int) -> str:
        arguments = ["--model", str(model), "--temperature", "2", "--max-tokens", "12", "--seed", str(seed), "--json"]
        return str(only_object(run("ask", examples / "service_agreement.md", "Tell me a story.", *arguments))["answer"])

    first, again, other = drawn(1), drawn(1), drawn(2)
    assert first == again != other


# what goes wrong


UNREADABLE = {
    "missing": (None, "invalid_request", "cannot be read"),
    "empty": (b"", "empty_document", "note.txt"),
    "blank": (b" \n\t\n", "empty_document", "note.txt"),
    "rtf": (b"{\\rtf1 text}", "unsupported_document", "application/rtf"),
    "pdf": (b"%PDF-1.7\n", "invalid_document", "note.txt"),
    "damaged": (b"\xff\xd8\xff\xe0 no picture", "invalid_document", "note.txt"),
}


@pytest.mark.parametrize(("content", "code", "says"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_document_that_cannot_be_read_is_one_sentence(
    tmp_path: Path, content: bytes | None, code: str, says: str
) -> None:
    document = tmp_path / "note.txt"
    if content is not None:
        document.write_bytes(content)
    result = run("render", document, "--out", tmp_path / "out", "--json")
    assert result.exit_code == 1
    error = only_object(result)["error"]
    assert (error["code"], set(error)) == (code, {"message", "type", "code", "param"})
    assert says in error["message"]
    assert result.stderr == f"error: {error['message']}\n"


def test_a_folder_is_no_document(tmp_path: Path) -> None:
    result = run("ask", tmp_path, QUESTION)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"error: {tmp_path} is a folder; name the documents in it, each by itself\n"


def test_ask_tells_of_such_a_document_too(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    result = run("ask", tmp_path / "empty.txt", QUESTION)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: document 'empty.txt'")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["ask", "render"])
def test_a_model_that_is_not_there_is_named(tmp_path: Path, examples: Path, command: str) -> None:
    tail = [QUESTION] if command == "ask" else ["--out", tmp_path]
    result = run(command, examples / "service_agreement.md", *tail, "--model", "glyph-maxi")
    assert result.exit_code == 1
    assert "'glyph-maxi'" in result.stderr


def test_an_output_folder_that_cannot_be_made_is_named(tmp_path: Path, examples: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run("render", examples / "service_agreement.md", "--out", tmp_path / "file" / "pages", "--json")
    assert result.exit_code == 1
    assert str(tmp_path / "file") in only_object(result)["error"]["message"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["ask", "one-argument-only"],
        ["ask", "d.txt", " "],
        ["ask", "d.txt", "q", "--max-tokens", "0"],
        ["ask", "d.txt", "q", "--temperature", "-1"],
        ["ask", "d.txt", "q", "--preset", "tiny"],
        ["ask", "d.txt", "q", "--max-tokns", "3"],
        ["render", "d.txt"],
        ["serve", "--port", "70000"],
        ["reticulate"],
        [],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout if arguments else "") == (2, "")


def test_a_value_that_only_the_configuration_knows_to_be_wrong_exits_with_2_too(examples: Path) -> None:
    result = run("ask", examples / "service_agreement.md", QUESTION, "--top-p", "0", "--json")
    assert result.exit_code == 2
    assert only_object(result)["error"]["param"] == "top_p"


@pytest.mark.parametrize("command", ["serve", "render", "ask"])
def test_help_tells_the_defaults(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"})
    assert "[default: glyph-mini]" in result.output


def test_help_loads_neither_torch_nor_ray() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from deployments.cli import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "sys.exit(', '.join({'torch', 'ray', 'transformers'} & set(sys.modules)) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
