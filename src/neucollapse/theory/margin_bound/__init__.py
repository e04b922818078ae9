"""Margin, covering and few-shot bounds, term by term: diagnostics of a classifier, never guarantees."""
