"""The formats that values of each kind take in training; those of held-out pages are in values.py.

A drawn value that looks like one of a held-out format is drawn again (see :mod:`~glyph_core.training.shapes`).
"""

from __future__ import annotations

from glyph_core.training.formats_of_figures import FIGURES
from glyph_core.training.formats_of_measures import MEASURES
from glyph_core.training.formats_of_names import NAMES
from glyph_core.training.value_makers import Format

TRAINED: dict[str, tuple[Format, ...]] = {**FIGURES, **MEASURES, **NAMES}
