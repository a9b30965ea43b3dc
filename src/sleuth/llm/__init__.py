"""Chat backends: what is asked of a language model, how, and what it cost."""
