"""The forward pass of a BERT encoder in numpy, as fast as torch's in float32 on the same cores.

    x   = LayerNorm(word[ids] + position + type[0])
    per layer:  a = softmax(q k' / sqrt(head)) v;   h = LayerNorm(x + a Wo + bo)
                x = LayerNorm(h + gelu(h Wi + bi) W2 + b2)          (Devlin et al. 2019, post-norm)

What makes it fast:
- A batch is *packed*: the tokens of all its texts stand one after another, so the linear layers see no
  padding. Attention runs per group of texts of equal length and needs no mask.
- Query, key and value are one product, with 1/sqrt(head) folded into the query's weights. A key's bias adds
  the same to all scores of a row, which softmax ignores; a value's bias passes through softmax unchanged and
  is folded into the output's bias.
- Elementwise work is in place, on buffers that are made once, in pieces that stay in the L2 cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sleuth.errors import ModelError

__all__ = ["NumpyBert", "Workspace", "half_gelu"]

Floats = NDArray[np.float32]

GELU_COEFFICIENTS = tuple(
    np.float32(c)
    for c in (
        0.04986699245354078,
        0.04103339426263763,
        0.011124164852986755,
        -0.0012804717958521707,
        0.000635697999773066,
    )
)
"""p(t) = 1 + c1 t + ... + c5 t^5 with p(t)^-32 = erfc(sqrt(2) t), t >= 0.

The form of Abramowitz and Stegun 7.1.28 (which has degree 6 and power 16), fitted by us so that the largest
error of gelu is smallest: 1.5e-7. Neither exponential nor clamp; p^32 overflows to infinity where erfc is 0.
"""

GELU_CHUNK = 32_768
"""Values at a time: three buffers of 128 kB stay in a 512 kB L2 cache. 16k is 10 % slower (measured, Zen 3)."""

SCORES_CHUNK = 65_536
"""Attention scores at a time, 256 kB (ours, for the same cache)."""

NORM_ROWS = 64
"""Rows of a LayerNorm at a time (ours, for the same cache at 384 dimensions)."""

SAFE_EXPONENT = 60.0
"""Scores within +-60 need no row maximum before exp: e^60 * 512 tokens is far below float32's 3e38."""


@dataclass(frozen=True, slots=True)
class _Layer:
    """One layer's weights, (in, out) each; `norm1` and `norm2` are (weight, bias)."""

    qkv: Floats
    query_bias: Floats
    attention_out: Floats
    attention_bias: Floats
    norm1: tuple[Floats, Floats]
    inner: Floats
    inner_bias: Floats
    outer: Floats
    outer_bias: Floats
    norm2: tuple[Floats, Floats]


class Workspace:
    """The buffers of one thread's forward passes.

    Args:
        model: Whose shapes they have.
        tokens: Most tokens of a batch.
    """

    def __init__(self, model: NumpyBert, tokens: int) -> None:
        def empty(*shape: int) -> Floats:
            return np.empty(shape, np.float32)

        self.tokens = tokens
        self.x, self.h, self.mixed = (empty(tokens, model.dim) for _ in range(3))
        self.qkv = empty(tokens, 3 * model.dim)
        self.inner = empty(tokens, model.inner_dim)
        self.scores = empty(max(SCORES_CHUNK, model.max_positions))
        piece = max(GELU_CHUNK, model.inner_dim)
        self.gelu = empty(piece), empty(piece)
        self.ones = np.ones(model.max_positions, np.float32)


class NumpyBert:
    """A BERT encoder's weights and its forward pass.

    Args:
        tensors: The checkpoint's tensors, with or without the prefix "bert.".
        config: The checkpoint's config.json.
        where: The checkpoint, for messages.

    Attributes:
        dim, inner_dim, heads: Shapes.
        max_positions: Longest input.
        vocabulary: Number of word pieces.

    Raises:
        ModelError: Another architecture, or a tensor that is missing or of another shape than config.json says.
    """

    def __init__(self, tensors: Mapping[str, NDArray[Any]], config: Mapping[str, Any], *, where: str) -> None:
        _check_architecture(config, where)
        self.dim, self.heads = int(config["hidden_size"]), int(config["num_attention_heads"])
        self.inner_dim, self.max_positions = int(config["intermediate_size"]), int(config["max_position_embeddings"])
        self.vocabulary = int(config["vocab_size"])
        if self.dim % self.heads:
            raise ModelError(f"{where}: hidden_size {self.dim} is not a multiple of {self.heads} heads")
        take = _Tensors(tensors, where)
        d = self.dim
        self._words = take("embeddings.word_embeddings.weight", self.vocabulary, d)
        types = take("embeddings.token_type_embeddings.weight", int(config.get("type_vocab_size", 2)), d)
        self._positions = take("embeddings.position_embeddings.weight", self.max_positions, d) + types[0]
        self._norm = take.norm("embeddings.LayerNorm", d)
        self._layers = [self._layer(take, at) for at in range(int(config["num_hidden_layers"]))]
        self._epsilon = np.float32(config.get("layer_norm_eps", 1e-12))
        self._mean = np.full(d, 1 / d, np.float32)

    def _layer(self, take: _Tensors, at: int) -> _Layer:
        d, inner, name = self.dim, self.inner_dim, f"encoder.layer.{at}."
        scale = np.float32((d // self.heads) ** -0.5)
        wq, bq = take.linear(name + "attention.self.query", d, d)
        wk, _ = take.linear(name + "attention.self.key", d, d)
        wv, bv = take.linear(name + "attention.self.value", d, d)
        wo, bo = take.linear(name + "attention.output.dense", d, d)
        wi, bi = take.linear(name + "intermediate.dense", inner, d)
        w2, b2 = take.linear(name + "output.dense", d, inner)
        half = np.float32(0.5)  # half_gelu takes x / 2; a factor of two costs no precision
        return _Layer(
            qkv=np.concatenate([wq * scale, wk, wv]).T,
            query_bias=bq * scale,
            attention_out=wo.T,
            attention_bias=(bo + wo.astype(np.float64) @ bv.astype(np.float64)).astype(np.float32),
            norm1=take.norm(name + "attention.output.LayerNorm", d),
            inner=(wi * half).T,
            inner_bias=bi * half,
            outer=w2.T,
            outer_bias=b2,
            norm2=take.norm(name + "output.LayerNorm", d),
        )

    def hidden_states(self, ids: NDArray[np.int64], lengths: Sequence[int], work: Workspace) -> Floats:
        """Last hidden states of a packed batch.

        Args:
            ids: (n,) word pieces of all texts, one text after another.
            lengths: Tokens of each text, > 0, sum n; equal lengths next to each other are fastest.
            work: Buffers for at least n tokens.

        Returns:
            (n, dim), a view of `work` that the next call overwrites.
        """
        n, d = len(ids), self.dim
        x, h, mixed, qkv, inner = work.x[:n], work.h[:n], work.mixed[:n], work.qkv[:n], work.inner[:n]
        np.take(self._words, ids, axis=0, out=x)
        begin = 0
        for length in lengths:
            x[begin : begin + length] += self._positions[:length]
            begin += length
        self._layer_norm(x, self._norm)
        with np.errstate(over="ignore"):  # half_gelu: 1 / infinity is the 0 that is meant
            for layer in self._layers:
                np.matmul(x, layer.qkv, out=qkv)
                qkv[:, :d] += layer.query_bias
                self._attend(qkv, lengths, mixed, work)
                np.matmul(mixed, layer.attention_out, out=h)
                self._layer_norm(h, layer.norm1, x, layer.attention_bias)
                np.matmul(h, layer.inner, out=inner)
                half_gelu(inner, layer.inner_bias, *work.gelu)
                np.matmul(inner, layer.outer, out=x)
                self._layer_norm(x, layer.norm2, h, layer.outer_bias)
        return x

    def _attend(self, qkv: Floats, lengths: Sequence[int], out: Floats, work: Workspace) -> None:
        """Attention of every text within itself, (n, 3 dim) -> (n, dim)."""
        size = self.dim // self.heads
        for begin, count, length in _equal_runs(lengths, most=max(1, SCORES_CHUNK // self.heads)):
            end = begin + count * length
            q, k, v = qkv[begin:end].reshape(count, length, 3, self.heads, size).transpose(2, 0, 3, 1, 4)
            target = out[begin:end].reshape(count, length, self.heads, size).transpose(0, 2, 1, 3)
            heads = min(self.heads, max(1, SCORES_CHUNK // (count * length * length)))
            rows = length if length * length <= SCORES_CHUNK else max(1, SCORES_CHUNK // length)
            for head in range(0, self.heads, heads):
                some = slice(head, min(head + heads, self.heads))
                for row in range(0, length, rows):
                    these = slice(row, min(row + rows, length))
                    _attend_block(q[:, some, these], k[:, some], v[:, some], target[:, some, these], work)

    def _layer_norm(
        self, h: Floats, norm: tuple[Floats, Floats], residual: Floats | None = None, bias: Floats | None = None
    ) -> None:
        """h = LayerNorm(h + residual + bias), in place."""
        weight, shift = norm
        for begin in range(0, len(h), NORM_ROWS):
            rows = h[begin : begin + NORM_ROWS]
            if residual is not None:
                rows += residual[begin : begin + NORM_ROWS]
            if bias is not None:
                rows += bias
            rows -= (rows @ self._mean)[:, None]
            variance = np.einsum("ij,ij->i", rows, rows)
            variance /= np.float32(self.dim)
            variance += self._epsilon
            np.sqrt(variance, out=variance)
            rows /= variance[:, None]
            rows *= weight
            rows += shift


def half_gelu(half: Floats, bias: Floats, magnitude: Floats, power: Floats) -> None:
    """gelu(2 y) in place, for y = half + bias: y + |y| (1 - erfc(sqrt(2) |y|)), error 1.5e-7 before rounding.

    Args:
        half: (n, m), contiguous; half of the values whose gelu is wanted.
        bias: (m,).
        magnitude, power: Scratch of at least max(GELU_CHUNK, m) values each.
    """
    step = max(1, GELU_CHUNK // half.shape[1])
    first, *rest = reversed(GELU_COEFFICIENTS)
    for begin in range(0, len(half), step):
        y = half[begin : begin + step]
        y += bias
        t, p = magnitude[: y.size].reshape(y.shape), power[: y.size].reshape(y.shape)
        np.abs(y, out=t)
        np.multiply(t, first, out=p)
        for coefficient in rest:
            p += coefficient
            p *= t
        p += np.float32(1)
        for _ in range(5):
            np.square(p, out=p)
        np.divide(t, p, out=p)
        t -= p
        y += t


def _attend_block(q: Floats, k: Floats, v: Floats, out: Floats, work: Workspace) -> None:
    """softmax(q k') v for (texts, heads, rows, size) queries, written into `out` of the same shape."""
    texts, heads, rows, _ = q.shape
    length = k.shape[2]
    scores = work.scores[: texts * heads * rows * length].reshape(texts, heads, rows, length)
    np.matmul(q, k.transpose(0, 1, 3, 2), out=scores)
    if not (scores.max() < SAFE_EXPONENT and scores.min() > -SAFE_EXPONENT):
        scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    total = np.matmul(scores, work.ones[:length])
    np.matmul(scores, v, out=out)
    out /= total[..., None]


def _equal_runs(lengths: Sequence[int], *, most: int) -> Iterator[tuple[int, int, int]]:
    """(first token, texts, length) of neighbouring texts of equal length, at most `most` scores a head."""
    begin = at = 0
    while at < len(lengths):
        length = lengths[at]
        end = at
        limit = max(1, most // (length * length))
        while end < len(lengths) and lengths[end] == length and end - at < limit:
            end += 1
        yield begin, end - at, length
        begin += (end - at) * length
        at = end


class _Tensors:
    """A checkpoint's tensors by name, checked and as float32."""

    def __init__(self, tensors: Mapping[str, NDArray[Any]], where: str) -> None:
        self._tensors, self._where = tensors, where
        self._prefix = "bert." if "bert.embeddings.word_embeddings.weight" in tensors else ""

    def __call__(self, name: str, *shape: int) -> Floats:
        try:
            found = self._tensors[self._prefix + name]
        except KeyError:
            raise ModelError(f"{self._where}: the weights have no tensor {self._prefix + name!r}") from None
        if found.shape != shape:
            raise ModelError(f"{self._where}: tensor {name!r} has shape {found.shape}, config.json makes it {shape}")
        return np.asarray(found, dtype=np.float32)

    def linear(self, name: str, rows: int, columns: int) -> tuple[Floats, Floats]:
        """(weight (out, in), bias (out,))."""
        return self(name + ".weight", rows, columns), self(name + ".bias", rows)

    def norm(self, name: str, size: int) -> tuple[Floats, Floats]:
        """(weight, bias) of a LayerNorm."""
        return self(name + ".weight", size), self(name + ".bias", size)


def _check_architecture(config: Mapping[str, Any], where: str) -> None:
    """Refuse what this forward pass does not compute."""
    needed = {"model_type": "bert", "hidden_act": "gelu"}
    absolute = config.get("position_embedding_type", "absolute")
    for key, value in needed.items():
        if config.get(key) != value:
            raise ModelError(
                f"{where}: {key} is {config.get(key)!r}, the torch-free encoder computes {value!r} only; "
                "open it with kind='bi-encoder' (extra 'models')"
            )
    if absolute != "absolute":
        raise ModelError(f"{where}: position_embedding_type is {absolute!r}, the torch-free encoder has 'absolute'")
    sizes = "hidden_size", "num_attention_heads", "num_hidden_layers", "intermediate_size", "vocab_size"
    for key in (*sizes, "max_position_embeddings"):
        if not isinstance(config.get(key), int) or config[key] < 1:
            raise ModelError(f"{where}: config.json has {key}={config.get(key)!r}, expected a positive whole number")
