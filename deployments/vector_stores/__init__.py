"""Collections over HTTP, under OpenAI's name for them, and questions about what is in them."""
