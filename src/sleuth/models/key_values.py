"""Keys and values of a causal model's layers: frozen ones that many rows read, growing ones of answers being written.

Over the caches of transformers (`cache_utils`, 5.2 or newer); torch and transformers are imported when they are needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

__all__ = ["Pairs", "frozen", "growing", "join_rows", "keep_rows", "pairs_of", "token_bytes"]

Pairs = list[tuple[Any, Any]]
"""Keys and values of each layer, (1, heads, L, head_dim), of one prompt's beginning."""


def pairs_of(cache: Any, length: int | None = None) -> Pairs:
    """What a cache of one row holds of its first `length` tokens, copied so that nothing else is kept alive."""
    return [(layer.keys[:, :, :length].clone(), layer.values[:, :, :length].clone()) for layer in cache.layers]


def growing(config: Any, pairs: Pairs | None = None, rows: int = 1) -> Any:
    """A cache that keeps what it is given, begun with `pairs` in each of `rows` rows."""
    from transformers import DynamicCache

    cache = DynamicCache(config=config)
    for at, (keys, values) in enumerate(pairs or ()):
        cache.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), at)
    return cache


def frozen(pairs: Pairs, rows: int) -> Any:
    """A cache that every layer reads and none adds to: nothing is kept of tokens that are scored once.

    `rows` rows share one copy; each layer's join with the new tokens lives as long as that layer's attention.
    """
    from transformers.cache_utils import Cache

    return Cache(layers=[_frozen_layer()(keys, values, rows) for keys, values in pairs])


@lru_cache(maxsize=1)
def _frozen_layer() -> Any:
    import torch
    from transformers.cache_utils import DynamicLayer

    class FrozenLayer(DynamicLayer):  # type: ignore[misc]
        def __init__(self, keys: Any, values: Any, rows: int) -> None:
            super().__init__()
            self.dtype, self.device = keys.dtype, keys.device
            self.keys, self.values = keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1)
            self.is_initialized = True

        def update(self, key_states: Any, value_states: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
            return torch.cat([self.keys, key_states], dim=-2), torch.cat([self.values, value_states], dim=-2)

    return FrozenLayer


def keep_rows(cache: Any, rows: Any) -> None:
    """Drop all rows of a growing cache but these (a tensor of positions)."""
    for layer in cache.layers:
        layer.keys, layer.values = layer.keys[rows], layer.values[rows]


def join_rows(config: Any, caches: Sequence[Any]) -> Any:
    """One growing cache from several, rows after rows; shorter ones are filled with zeros at the end."""
    from torch import cat
    from torch.nn.functional import pad

    longest = max(int(cache.layers[0].keys.shape[2]) for cache in caches)
    joined = growing(config)
    for at in range(len(caches[0].layers)):
        sides = []
        for name in ("keys", "values"):
            parts = [getattr(cache.layers[at], name) for cache in caches]
            sides.append(cat([pad(part, (0, 0, 0, longest - part.shape[2])) for part in parts]))
        joined.update(sides[0], sides[1], at)
    return joined


def token_bytes(config: Any, item_bytes: int) -> int:
    """Bytes that one token's keys and values take over all layers."""
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(2 * config.num_hidden_layers * heads * size * item_bytes)
