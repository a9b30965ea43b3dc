"""Recipes: a whole pipeline as one TOML file (docs/recipes.md)."""

from sleuth.recipe.answering import Answering
from sleuth.recipe.loaded import Recipe, load_recipe

__all__ = ["Answering", "Recipe", "load_recipe"]
