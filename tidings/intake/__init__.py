"""The pipeline: spooled bytes -> parse -> decide -> place -> archive -> outbox, and what people decide beside it."""
