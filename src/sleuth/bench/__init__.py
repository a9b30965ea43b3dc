"""Benchmarks and their reports: known collections, comparisons, pages."""
