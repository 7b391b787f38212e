"""The page that people open: Gradio in a Serve application of its own, which asks the endpoint as anybody does."""
