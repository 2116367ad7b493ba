"""The weekly digest: when it is due, what it tells, how it looks and where its replies go."""
