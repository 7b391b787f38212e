"""What the page makes of an answer: marks, overlays, numbers, exports. No browser."""

from __future__ import annotations

import base64
import json
import re
from html import escape
from typing import Any

from deployments.page.answer_marks import answer_html
from deployments.page.comparison import comparison_html
from deployments.page.conversation import turns_html
from deployments.page.evidence import MARGIN_PX, DocumentPages, gallery_html, overlay_svg, views_of
from deployments.page.export import turn_json, turn_markdown
from deployments.page.session import Document, Options, Session, Turn
from deployments.page.strings import words_of
from glyph_core.config import PRESETS

WORDS = words_of("en")
LEASE = Document(id="file-1", name="lease <1>.md", num_bytes=10)
DEED = Document(id="file-2", name="deed.md", num_bytes=10)


def page_url(document: Document, number: int) -> str:
    return f"../pages/open/{document.id}/{number}.png"


def region(page_index: int, *box: int) -> dict[str, Any]:
    return {"page_index": page_index, "source_page": None, "box": list(box), "page_size": [476, 868]}


def citation(start: int, stop: int, *regions: dict[str, Any], document: int = 0) -> dict[str, Any]:
    return {
        "document": document, "filename": LEASE.name, "page_index": regions[0]["page_index"] if regions else None,
        "source_page": None, "regions": list(regions), "text": "60 days <b>", "offset": 0, "length": 7,
        "answer_start": start, "answer_stop": stop, "similarity": 1.0, "occurrences": 1,
    }  # fmt: skip


def value(text: str, start: int, written: str | None = None, source: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"kind": "number", "text": text, "start": start, "stop": start + len(text),
            "written": written or text, "source": list(source)}  # fmt: skip


def turn(answer: str, citations: list[dict[str, Any]], grounding: dict[str, Any] | None = None) -> Turn:
    details = {"cached_tokens": 400, "visual_tokens": 476, "text_tokens_equivalent": 364, "estimated": True}
    timings = dict.fromkeys(("render_ms", "encode_ms", "prefill_ms", "ttft_ms", "tpot_ms", "e2e_ms"), 1.0)
    return Turn(
        question="How long <i>?", documents=[LEASE, DEED], page_query={}, answer=answer, finish_reason="stop",
        model="glyph-mini",
        usage={"prompt_tokens": 500, "completion_tokens": 7, "prompt_tokens_details": details},
        glyph={"pages": 2, "compression_ratio": 0.765, "confidence": 0.99, "confidence_is_calibrated": True,
               "citations": citations, "grounding": grounding, "warnings": ["a <warning>"],
               "timings": {**timings, "overlap": 1.2}},
    )  # fmt: skip


def plain(html: str) -> str:
    return re.sub(r"<[^>]*>", "", re.sub(r'<span class="sr">.*?</span>', "", html))


def test_values_and_citations_stand_where_the_api_says() -> None:
    answer = "It is 60 days & 1,480 per month."
    grounding = {
        "supported": [value("60", 6)],
        "repaired": [value("1,480", 16, written="1,430", source=("1,480",))],
        "unsupported": [],
    }
    html = answer_html(answer, {"citations": [citation(0, 13)], "grounding": grounding}, lambda n, c: f"[{n}]", WORDS)
    assert '<mark class="supported" title="Stands in the documents" tabindex="0">60</mark> days[1] &amp; ' in html
    assert re.search(r'<mark class="repaired" title="[^"]*1,430[^"]*"[^>]*>1,480<span', html)
    assert plain(html) == answer.replace("&", "&amp;").replace("days", "days[1]")


def test_an_answer_in_markdown_becomes_a_table_and_keeps_its_marks() -> None:
    answer = "| what | how much |\n|---|---|\n| fee | 1,480 |\n| cap | 25,000 |\n"
    unsupported = {"unsupported": [value("25,000", answer.index("25,000"), source=("26,000",))]}
    html = answer_html(answer, {"citations": [], "grounding": unsupported}, lambda n, c: "", WORDS)
    assert html.count("<tr>") == 3
    assert re.search(r'<td><mark class="unsupported" title="[^"]*26,000[^"]*"[^>]*>25,000', html)


def test_an_exact_answer_is_shown_as_it_is() -> None:
    for answer in ("__init__.py * 2 * 3", "# 5", "<script>alert(1)</script>", "![x](http://elsewhere/x.png)"):
        html = answer_html(answer, {}, lambda n, c: "", WORDS)
        assert html == f'<p class="plain">{escape(answer)}</p>'


def test_markdown_brings_nothing_from_elsewhere() -> None:
    html = answer_html(
        "# T\n![x](http://e.example/x.png) [y](http://e.example) <img src=x>", {}, lambda n, c: "", WORDS
    )
    assert "<h1>" in html
    assert "<img" not in html
    assert "<a " not in html


def test_an_overlay_covers_its_box_in_the_pages_own_pixels() -> None:
    svg = overlay_svg(476, 868, [(100, 112, 240.5, 126)])
    assert 'viewBox="0 0 476 868"' in svg
    x, y, width, height = (float(re.search(rf' {name}="([\d.]+)"', svg)[1]) for name in ("x", "y", "width", "height"))  # type: ignore[index]
    assert (x, y, x + width, y + height) == (100 - MARGIN_PX, 112 - MARGIN_PX, 240.5 + MARGIN_PX, 126 + MARGIN_PX)


def test_a_citation_over_two_pages_is_two_views() -> None:
    views = views_of([region(0, 1, 2, 3, 4), region(1, 5, 6, 7, 8), region(1, 9, 9, 9, 9)], LEASE, page_url, WORDS)
    assert [view.url for view in views] == [page_url(LEASE, 1), page_url(LEASE, 2)]
    assert [view.overlay.count("<rect") for view in views] == [1, 2]


def test_the_gallery_marks_each_documents_own_pages() -> None:
    sizes = [(476, 868), (476, 300)]
    cited = [citation(0, 1, region(1, 1, 2, 3, 4), document=1)]
    html = gallery_html([DocumentPages(LEASE, sizes), DocumentPages(DEED, sizes)], cited, page_url, WORDS)
    marked = [bool(re.search("<rect", figure)) for figure in html.split("<figure>")[1:]]
    assert marked == [False, False, False, True]
    assert "lease &lt;1&gt;.md" in html


def test_turns_escape_what_they_show_and_keep_the_newest_open() -> None:
    older, newest = turn("old", []), turn("60 days", [citation(0, 7, region(0, 1, 2, 3, 4))])
    html = turns_html([older, newest], lambda _: page_url, WORDS)
    assert html.index("60 days") < html.index("old")
    assert "How long &lt;i&gt;?" in html
    assert "a &lt;warning&gt;" in html
    assert "<i>?" not in html
    assert "80% of the prompt was read before" in html


def test_an_export_holds_the_answer_and_its_evidence() -> None:
    made = turn("60 days", [citation(0, 7, region(0, 1, 2, 3, 4))], {"unsupported": [value("60", 0)]})
    markdown = turn_markdown(made, WORDS)
    for part in ("# How long", "60 days", "60 days <b>", "page 1", "deed.md", "0.77×", "Does not stand in"):
        assert part in markdown, part
    assert turn_json(made)["glyph"]["citations"][0]["regions"][0]["box"] == [1, 2, 3, 4]
    html = turns_html([made], lambda _: page_url, WORDS)
    _, content = re.findall(r'download="answer\.json" href="data:([^,]*),([^"]*)"', html)[0]
    assert json.loads(base64.b64decode(content)) == turn_json(made)


def test_options_become_the_apis_render_fields() -> None:
    own = PRESETS["mini"].model_dump()
    assert Options().render_fields(own) == {}
    assert Options(preset="readable", font_size_px=16, line_spacing=2.0).render_fields(own) == {
        "font_size_px": 16.0, "line_height_px": 32.0,
    }  # fmt: skip
    assert Options(highlight=True).page_query(own) == {"highlight": "true"}
    scaled = Options(preset="glyph-en", dpi=144).render_fields(own)
    assert (scaled["page_width_px"], scaled["font_size_px"]) == (1190, 18.0)


def test_a_session_survives_its_way_through_the_browser_and_an_older_pages_does_not() -> None:
    session = Session(documents=[LEASE]).with_turn(turn("60 days", []))
    assert Session.of(json.loads(json.dumps(session.as_json()))) == session
    assert Session.of({"files": []}) == Session.of(None) == Session()


def clause(text: str, page_index: int | None = 0) -> dict[str, Any]:
    regions = [] if page_index is None else [region(page_index, 1, 2, 3, 4)]
    return {"label": "", "text": text, "offset": 0, "length": len(text), "page_index": page_index, "regions": regions}


def test_a_comparison_marks_what_changed_on_both_sides() -> None:
    changes = [{"first": "60", "second": "90"}, {"first": "", "second": "& more"}]
    rows = [
        {"kind": "changed", "similarity": 0.9, "first": clause("Notice: 60 <days>"),
         "second": clause("Notice: 90 <days> & more", 1), "changes": changes},
        {"kind": "only_second", "similarity": 0.0, "first": None, "second": clause("New", None), "changes": []},
    ]  # fmt: skip
    counts = {"same": 3, "changed": 1, "moved": 0, "only_first": 0, "only_second": 1}
    found = {"rows": rows, "counts": counts, "markdown": "| a |", "warnings": []}
    html = comparison_html(found, [LEASE, DEED], page_url, WORDS)
    assert "Notice: <del>60</del> &lt;days&gt;<small>page 1" in html
    assert "Notice: <ins>90</ins> &lt;days&gt; <ins>&amp; more</ins><small>page 2" in html
    assert "<td></td><td><ins>New</ins></td>" in html
    assert page_url(DEED, 2) in html
    assert "3 clauses are the same, 1 changed" in html
