"""``glyph bench``: our renderer beside others, in one run. What it needs beyond us is the extra ``bench``."""
