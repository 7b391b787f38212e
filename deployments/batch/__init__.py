"""Many questions about many documents, asked of an endpoint, with a result that survives kills."""
