"""Readers and writers, one format a file; `readers.py` tells the formats apart."""
