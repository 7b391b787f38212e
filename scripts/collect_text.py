#!/usr/bin/env python3
"""Collects the words and the prose that glyph-mini is trained on from this machine's packages into one file.

apt-get install wamerican        # the word list
scripts/collect_text.py --out build/text_sources.json.gz
"""

from __future__ import annotations

import argparse
import sys
import sysconfig
from pathlib import Path

from glyph_core.training.text_sources import TextSources, read_paragraphs, read_words, save

DOCUMENT_ROOTS = (
    "/usr/share/doc", "/usr/share/man/man1", "/usr/share/man/man7", "/usr/share/man/man8", "/usr/share/perl",
    "/usr/share/vim", sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dictionary", type=Path, default=Path("/usr/share/dict/american-english"))
    parser.add_argument("--documents", type=Path, nargs="*", default=[Path(root) for root in DOCUMENT_ROOTS])
    parser.add_argument("--max-prose-chars", type=int, default=6_000_000)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    words, names = read_words(args.dictionary)
    paragraphs = read_paragraphs([root for root in args.documents if root.is_dir()], args.max_prose_chars)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    save(TextSources(words, names, paragraphs), args.out)
    sys.stderr.write(f"{len(words)} words, {len(names)} names, {len(paragraphs)} paragraphs in {args.out}\n")


if __name__ == "__main__":
    main()
