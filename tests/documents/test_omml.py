"""Office's formulas as LaTeX."""

from __future__ import annotations

import pytest
from lxml import etree

from glyph_core.documents.docx.omml import latex_of

M = "http://schemas.openxmlformats.org/officeDocument/2006/math"


def t(text: str) -> str:
    return f"<m:r><m:t>{text}</m:t></m:r>"


def chr_(name: str, sign: str) -> str:
    return f'<m:{name}Pr><m:chr m:val="{sign}"/></m:{name}Pr>'


A, B, N = f"<m:e>{t('a')}</m:e>", f"<m:e>{t('b')}</m:e>", f"<m:sub>{t('n=1')}</m:sub>"
FRACTION = f"<m:f>%s<m:num>{t('n')}</m:num><m:den>{t('k')}</m:den></m:f>"
NO_BAR = FRACTION % '<m:fPr><m:type m:val="noBar"/></m:fPr>'
MATRIX = f"<m:m><m:mr>{A}{B}</m:mr><m:mr>{B}{A}</m:mr></m:m>"


@pytest.mark.parametrize(
    ("omml", "latex"),
    [
        (t("x+1"), "x+1"),
        (t("α≤∞"), r"\alpha \leq \infty"),
        (t("5%"), r"5\%"),
        (FRACTION % "", r"\frac{n}{k}"),
        (FRACTION % '<m:fPr><m:type m:val="lin"/></m:fPr>', "{n}/{k}"),
        (f"<m:d><m:e>{NO_BAR}</m:e></m:d>", r"\binom{n}{k}"),
        (f"<m:sSup>{A}<m:sup>{t('2')}</m:sup></m:sSup>", "a^2"),
        (f"<m:sSubSup>{A}{N}<m:sup>{t('2')}</m:sup></m:sSubSup>", "a_{n=1}^2"),
        (f"<m:sPre>{N}<m:sup>{t('2')}</m:sup>{A}</m:sPre>", "{}_{n=1}^2a"),
        (f"<m:nary>{chr_('nary', '∑')}{N}<m:sup>{t('∞')}</m:sup>{A}</m:nary>", r"\sum_{n=1}^{\infty} a"),
        (f"<m:nary>{A}</m:nary>", r"\int a"),
        (f"<m:rad><m:deg>{t('3')}</m:deg>{A}</m:rad>", r"\sqrt[3]{a}"),
        (f"<m:rad><m:deg/>{A}</m:rad>", r"\sqrt{a}"),
        (f"<m:d>{A}{B}</m:d>", r"\left( a | b \right)"),
        (f'<m:d><m:dPr><m:begChr m:val="⟨"/><m:endChr m:val="]"/></m:dPr>{A}</m:d>', r"\left\langle a \right]"),
        (MATRIX, r"\begin{matrix} a & b \\ b & a \end{matrix}"),
        (
            f'<m:d><m:dPr><m:begChr m:val="{{"/><m:endChr m:val=""/></m:dPr><m:e><m:eqArr>{A}{B}</m:eqArr></m:e></m:d>',
            r"\begin{cases} a \\ b \end{cases}",
        ),
        (f"<m:eqArr><m:e>{t('a=b#(1)')}</m:e></m:eqArr>", r"\begin{aligned} a=b\qquad (1) \end{aligned}"),
        (f"<m:acc>{chr_('acc', chr(0x20D7))}{A}</m:acc>", r"\vec{a}"),
        (f'<m:bar><m:barPr><m:pos m:val="top"/></m:barPr>{A}</m:bar>', r"\overline{a}"),
        (f"<m:groupChr>{A}</m:groupChr>", r"\underbrace{a}"),
        (
            f"<m:func><m:fName><m:limLow><m:e>{t('lim')}</m:e><m:lim>{t('x→0')}</m:lim></m:limLow></m:fName>{A}</m:func>",
            r"\lim_{x\to 0} a",
        ),
        (f"<m:func><m:fName>{t('sin')}</m:fName>{A}</m:func>", r"\sin a"),
        (f"<m:phant>{A}</m:phant><m:unheardOf>{B}</m:unheardOf>", "ab"),
        (f"<m:r><m:rPr><m:nor/></m:rPr><m:t>if </m:t></m:r>{t('x')}", r"\text{if }x"),
    ],
)
def test_formulas(omml: str, latex: str) -> None:
    assert latex_of(etree.fromstring(f'<m:oMath xmlns:m="{M}">{omml}</m:oMath>')) == latex
