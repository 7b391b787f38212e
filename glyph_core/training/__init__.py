"""How glyph-mini is made: synthetic pages and questions, the trainer, and the evaluation of what it reads."""
