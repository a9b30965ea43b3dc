"""What a model answered means: thoughts, permutations, scores, choices, grades."""
