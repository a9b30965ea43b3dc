"""Find candidates: by words, by vectors, by both, or from a run that another system wrote."""
