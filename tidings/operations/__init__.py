"""Whole-site work that is neither serving nor one command: the demo, check, rebuild."""
