"""Training a checkpoint of any family on pages that we render: align its projector, then instruct all of it."""
