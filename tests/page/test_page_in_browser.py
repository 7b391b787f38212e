"""The page as people use it: in a real Chromium, against a real endpoint with glyph-mini on Ray Serve."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest
from PIL import Image

from glyph_core.config import preset
from glyph_core.documents.source import read_source
from glyph_core.rendering.renderer import PageRenderer
from tests.deployments.serving import wait_until
from tests.page.conftest import MAX_DOCUMENT_BYTES, PATIENCE_MS, REPOSITORY, Shoot
from tests.page.documents import write_docx, write_pdf

if TYPE_CHECKING:
    from playwright.sync_api import Locator, LocatorAssertions, Page

pytestmark = [pytest.mark.browser, pytest.mark.serve]

Visit = Callable[..., "Page"]
AGREEMENT, RENEWED = (
    REPOSITORY / "examples" / name for name in ("service_agreement.md", "service_agreement_renewed.md")
)
CELL_PX = 7  # of preset mini


def comes(locator: Locator) -> LocatorAssertions:
    """What holds in a while: the page goes on while a test looks at it."""
    from playwright.sync_api import expect

    expect.set_options(timeout=PATIENCE_MS)
    return expect(locator)


def add(page: Page, *paths: Path) -> None:
    page.locator("#upload input[type=file]").set_input_files(paths)
    for path in paths:
        page.locator("#documents label", has_text=path.name).wait_for()


def ask(page: Page, question: str) -> Locator:
    """The newest turn, when it is this question's."""
    page.locator("#question textarea, #question input").fill(question)
    page.locator("#ask").click()
    newest = page.locator(".turn.newest").filter(has_text=question)
    newest.wait_for()
    return newest


def answer_of(turn: Locator) -> str:
    """Without the numbers of its citations."""
    return str(turn.locator(".answer").evaluate(
        "(node) => { const copy = node.cloneNode(true); copy.querySelectorAll('.cite, .sr').forEach((c) => c.remove());"
        " return copy.textContent.trim() }"
    ))  # fmt: skip


def number(turn: Locator, name: str) -> str:
    return (
        turn.locator(".numbers div", has=turn.page.locator("dt", has_text=re.compile(f"^{name}$")))
        .locator("dd")
        .inner_text()
    )


def choose(page: Page, elem_id: str, label: str) -> None:
    page.locator(f"#{elem_id} input").first.click()
    page.get_by_role("option", name=label, exact=True).click()


def set_number(page: Page, elem_id: str, value: float) -> None:
    field = page.locator(f"#{elem_id} input[type=number]")
    field.fill(str(value))
    field.blur()


def yellow_box(picture: bytes) -> tuple[int, int, int, int]:
    """What is marked: left, top, right, bottom px of the screenshot."""
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    rows, columns = np.nonzero((red > 200) & (green > 180) & (blue < 200) & (red - blue > 50))
    return int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max())


def test_a_word_document_is_asked_about_with_every_option_set(visit: Visit, shoot: Shoot, tmp_path: Path) -> None:
    page = visit()
    shoot(page, "1-empty")
    add(page, write_docx(tmp_path / "maintenance plan.docx"))
    page.locator(".thumb img").first.wait_for()
    page.get_by_role("button", name="How pages are drawn").click()
    page.get_by_role("button", name="How the answer is written").click()
    choose(page, "preset", "compact")
    page.locator("#font_size label", has_text="14").click()
    page.locator("#line_spacing label", has_text="1.5").click()
    page.locator("#dpi label", has_text="96").click()
    page.locator("#highlight input").check()
    for name, value in (("temperature", 0.05), ("max_tokens", 64), ("top_p", 0.9)):
        set_number(page, name, value)
    wanted = ("preset=compact", "font_size_px=14", "line_height_px=21", "highlight=true")  # 96 dpi are its own
    page.locator(".thumb" + "".join(f"[data-url*='{option}']" for option in wanted)).first.wait_for()  # drawn anew
    shoot(page, "2-options")
    turn = ask(page, "Who is the Inspector?")
    assert answer_of(turn) == "Oscar Lindgren"
    assert int(number(turn, "Answer tokens")) <= 64
    page.reload()
    page.locator(".turn.newest").wait_for()
    page.get_by_role("button", name="How pages are drawn").click()
    page.get_by_role("button", name="How the answer is written").click()
    for name, value in (("font_size", "14"), ("line_spacing", "1.5"), ("dpi", "96")):
        comes(page.locator(f"#{name} input:checked")).to_have_value(value)
    comes(page.locator("#highlight input")).to_be_checked()
    for name, number_kept in (("temperature", "0.05"), ("max_tokens", "64"), ("top_p", "0.9")):
        comes(page.locator(f"#{name} input[type=number]")).to_have_value(number_kept)


def test_the_answer_comes_with_progress_and_its_evidence_opens_on_the_right_words(
    visit: Visit, shoot: Shoot, tmp_path: Path
) -> None:
    page = visit()
    pdf = write_pdf(tmp_path / "rental agreement.pdf")
    add(page, pdf)
    page.evaluate(
        "() => { window.seen = []; new MutationObserver(() => document.querySelectorAll('#live .stage').forEach("
        "(stage) => window.seen.push(stage.textContent.trim()))).observe(document.querySelector('#live'), "
        "{ childList: true, subtree: true, characterData: true }) }"
    )
    turn = ask(page, "Who is the Property Manager?")
    assert answer_of(turn) == "Helen Marsh"
    seen = set(page.evaluate("window.seen"))
    assert {"Waiting for the service", "Pages drawn1/1"} <= seen
    assert any(re.fullmatch(r"Tokens written\d+", stage) for stage in seen)

    assert number(turn, "Pages") == "1"
    assert float(number(turn, "Compression").rstrip("×")) > 0
    assert number(turn, "Cached tokens").startswith("0 of ")
    for stage in ("Draw", "Encode", "Prefill", "First token", "Whole answer"):
        assert re.fullmatch(r"[\d.]+ m?s", number(turn, stage)), stage
    shoot(page, "3-answer")

    turn.locator("button.cite.passage").first.click()
    viewer = page.locator("dialog.glyph-viewer[open]")
    viewer.locator("img").evaluate("(image) => image.decode()")
    shoot(page, "4-evidence")
    renderer, source = PageRenderer(preset("mini")), read_source(pdf)
    text = renderer.text(source)
    at = text.index("Helen Marsh")
    line = next(span for span in renderer.spans(source, 0) if span.start <= at < span.stop)
    left = line.box[0] + CELL_PX * (at - line.start)
    expected = np.array([left, line.box[1], left + CELL_PX * len("Helen Marsh"), line.box[3]])
    width = int(str(page.locator(".thumb").first.get_attribute("data-width")))
    for zoom in ("as it opens", "Larger"):
        if zoom == "Larger":
            viewer.get_by_role("button", name=zoom).click()
        sheet = viewer.locator(".glyph-sheet")
        scale = sheet.evaluate("(sheet) => sheet.clientWidth") / width
        marked = np.array(yellow_box(sheet.screenshot())) / scale
        assert np.abs(marked - expected).max() < 6, (zoom, marked, expected)
    page.keyboard.press("Escape")
    assert not viewer.is_visible()

    again = ask(page, "What is the Monthly Rent?")
    assert answer_of(again) == "$2,150"
    assert int(number(again, "Cached tokens").partition(" ")[0]) >= int(number(again, "Visual tokens")) // 2
    again.locator(".fast").wait_for()
    assert page.locator(".history summary").all_inner_texts()[0].startswith("Who is the Property Manager?")
    shoot(page, "5-again")

    with page.expect_download() as download:
        again.get_by_role("link", name="Save as JSON").click()
    exported = json.loads(Path(download.value.path()).read_bytes())
    assert exported["answer"] == "$2,150"
    assert exported["glyph"]["citations"][0]["regions"]
    with page.expect_download() as download:
        again.get_by_role("link", name="Save as Markdown").click()
    assert "## Evidence" in Path(download.value.path()).read_text(encoding="utf-8")


def test_of_two_documents_only_the_ticked_one_is_asked(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    add(page, write_pdf(tmp_path / "lease.pdf"), write_docx(tmp_path / "plan.docx"))
    page.locator("#documents label", has_text="lease.pdf").locator("input").uncheck()
    turn = ask(page, "Who is the Inspector?")
    assert answer_of(turn) == "Oscar Lindgren"
    assert turn.locator(".about").inner_text() == "about plan.docx"
    comes(page.locator(".glyph-gallery section")).to_have_count(1)


def test_a_reload_keeps_documents_and_conversation(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    add(page, write_pdf(tmp_path / "lease.pdf"))
    ask(page, "Who is the Tenant?")
    page.reload()
    page.locator(".turn.newest", has_text="Who is the Tenant?").wait_for()
    comes(page.locator("#documents label")).to_have_text(["lease.pdf"])
    turn = ask(page, "What is the Contract Number?")
    assert answer_of(turn) == "RA-3391-07"
    page.locator("a[data-language=zh]").click()
    page.get_by_role("button", name="提问").wait_for()
    page.locator(".turn.newest", has_text="What is the Contract Number?").wait_for()
    page.locator("#forget").click()
    page.locator("#documents label").wait_for(state="detached")
    page.reload()
    page.get_by_text("添加文档并提问").wait_for()


def test_two_documents_are_compared_and_a_clause_opens(visit: Visit, shoot: Shoot) -> None:
    page = visit()
    page.get_by_role("tab", name="Compare").click()
    page.locator("#compare-run").click()
    page.get_by_text("Add both documents.").wait_for()
    for side, path in (("first", AGREEMENT), ("second", RENEWED)):
        page.locator(f"#compare-{side} input[type=file]").set_input_files(path)
        page.locator(f"#compare-{side}", has_text=path.stem).locator("a, td").first.wait_for()
    page.locator("#compare-run").click()
    page.locator(".compared table").wait_for()
    shoot(page, "6-compare")
    notice = page.locator(".compared tr", has_text="Notice Period")
    assert notice.locator("del").all_inner_texts() == ["60"]
    assert notice.locator("ins").all_inner_texts() == ["90"]
    notice.locator("button.cite").last.click()
    viewer = page.locator("dialog.glyph-viewer[open]")
    assert "service_agreement_renewed.md" in viewer.locator(".bar span").inner_text()
    viewer.locator("rect").first.wait_for(state="attached")


def test_what_goes_wrong_is_a_sentence_to_act_on(visit: Visit, shoot: Shoot, tmp_path: Path) -> None:
    page = visit()
    page.locator("#ask").click()
    page.get_by_text("Write a question, or choose a task.").wait_for()
    page.locator("#question textarea, #question input").fill("What is it?")
    page.locator("#ask").click()
    page.get_by_text("Add a document first").wait_for()

    large = tmp_path / "large.txt"
    large.write_bytes(b"x" * (MAX_DOCUMENT_BYTES + 1))
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if "/upload" in request.url else None)
    page.locator("#upload input[type=file]").set_input_files(large)
    alert = page.get_by_role("alert").filter(has_text="large.txt")
    alert.wait_for()
    assert "2.0 MB" in alert.inner_text()
    assert "It was not sent" in alert.inner_text()
    assert sent == []

    broken = tmp_path / "broken.pdf"
    broken.write_bytes(write_pdf(tmp_path / "whole.pdf").read_bytes()[:400])
    add(page, broken)
    page.locator("#question textarea, #question input").fill("What is it?")
    page.locator("#ask").click()
    problem = page.locator("#message .glyph-problem")
    problem.wait_for()
    shoot(page, "7-problem")
    assert "broken.pdf" in problem.inner_text()
    assert page.locator("#ask").is_visible()


def test_stop_cancels_the_request_in_the_service(visit: Visit, page_url: str, tmp_path: Path) -> None:
    page = visit()
    book = tmp_path / "book.txt"
    book.write_text("\n".join(f"Entry {number}: the sea was calm and nothing was seen." for number in range(2500)))
    add(page, book)
    page.locator("#question textarea, #question input").fill("Who is the Harbour Master?")
    page.locator("#ask").click()
    page.locator("#live .stage", has_text="Windows read").wait_for()
    page.locator("#stop").click()
    page.get_by_text("Stopped.").wait_for()
    status = page_url.replace("/gradio", "/status")

    def is_idle() -> bool:
        return bool(httpx.get(status, timeout=30, trust_env=False).json()["requests"]["open"] == 0)

    assert wait_until(is_idle, 30) < 30
    assert page.locator("#ask").is_visible()
    assert page.locator("#live article").count() == 0


def test_a_phone_in_chinese_and_the_dark(visit: Visit, shoot: Shoot) -> None:
    page = visit(390, 844, locale="zh-CN", color_scheme="dark")
    assert page.url.endswith("/gradio/zh/")
    page.get_by_text("将文件拖放到此处").wait_for()  # Gradio's own words follow
    page.locator("button.example").first.click()
    turn = page.locator(".turn.newest")
    turn.wait_for()
    assert answer_of(turn) == "State of Vermont"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("document.body.classList.contains('dark')")
    page.locator(".thumb img").first.scroll_into_view_if_needed()
    page.locator(".thumb img").first.evaluate("(image) => image.decode()")
    shoot(page, "8-phone-chinese-dark")
    page.get_by_role("tab", name="对比").click()
    page.locator("#compare-example").click()
    page.locator(".compared table").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    shoot(page, "9-phone-compare")


def test_the_keyboard_is_enough(visit: Visit) -> None:
    page = visit()
    page.locator("button.example").first.focus()
    page.keyboard.press("Enter")
    page.locator(".turn.newest").wait_for()
    question = page.locator("#question textarea, #question input")
    question.focus()
    question.fill("What is the Liability Cap?")
    page.keyboard.press("Enter")
    turn = page.locator(".turn.newest", has_text="Liability Cap")
    turn.wait_for()
    cite = turn.locator("button.cite.passage").first
    for _ in range(40):
        page.keyboard.press("Tab")
        if cite.evaluate("(button) => button === document.activeElement"):
            break
    page.keyboard.press("Enter")
    viewer = page.locator("dialog.glyph-viewer[open]")
    viewer.wait_for()
    width = viewer.locator(".glyph-sheet").evaluate("(sheet) => sheet.clientWidth")
    page.keyboard.press("+")
    assert viewer.locator(".glyph-sheet").evaluate("(sheet) => sheet.clientWidth") > width
    page.keyboard.press("Escape")
    viewer.wait_for(state="hidden")
    assert cite.evaluate("(button) => button === document.activeElement")


def test_a_task_wants_enough_documents(visit: Visit) -> None:
    page = visit()
    page.locator("#paste button").first.click()
    page.locator("#pasted textarea").fill("Fee: $12\nProvider: Quill Ltd\n")
    page.locator("#paste-add").click()
    page.locator("#documents label", has_text="pasted text 1.txt").wait_for(timeout=PATIENCE_MS)
    choose(page, "task", "Compare")
    page.locator("#ask").click()
    page.get_by_text("needs 2 documents").wait_for()
