"""Known checkpoints: what they are, their prompts, lengths, licence and scale.

A name that is not here needs an explicit kind, unless the checkpoint's own configuration says what it is;
nothing is guessed from parts of a name. Prompts and lengths are those of BRIGHT's evaluation
(github.com/xlang-ai/BRIGHT, `configs/` and `retrievers.py`) and of ReasonIR's (facebookresearch/ReasonIR);
a field that those do not state is None or "", and the checkpoint's own configuration then decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sleuth.errors import UnknownName
from sleuth.models.checkpoint import Pooling
from sleuth.models.minilm_files import MINILM_SHA256

__all__ = ["Kind", "ModelCard", "get_card", "list_models"]

Kind = Literal["bert", "bi-encoder"]
"""bert: a BERT-shaped sentence encoder, run without torch. bi-encoder: any, with torch (extra `models`)."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One known checkpoint.

    Attributes:
        name: Our short name.
        hub_name: Its name on the model hub.
        kind: What runs it.
        licence: As its authors state it; "unrecorded" means: read its page before use.
        scale: What its scores mean.
        dim: Vector length, None where unrecorded.
        max_tokens: Longest input it is used with; None leaves it to the checkpoint.
        query_prompt, doc_prompt: Put before texts. `{instruction}` is the user's or the default instruction;
            with an empty one a query gets the document's prompt.
        instruction: The default instruction.
        pooling: None leaves it to the checkpoint.
        pool_prompt: Whether the prompt's tokens are pooled; None leaves it to the checkpoint.
        bidirectional: A decoder that is run without the causal mask.
        sha256: File -> expected hash, where files are checked.
        note: What a user should know.
    """

    name: str
    hub_name: str
    kind: Kind
    licence: str
    scale: Literal["cosine"] = "cosine"
    dim: int | None = None
    max_tokens: int | None = None
    query_prompt: str | None = None
    doc_prompt: str | None = None
    instruction: str = ""
    pooling: Pooling | None = None
    pool_prompt: bool | None = None
    bidirectional: bool = False
    sha256: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


EMBED_PROMPTS = {"query_prompt": "<|user|>\n{instruction}\n<|embed|>\n", "doc_prompt": "<|embed|>\n"}
"""GritLM's wrapper, ReasonIR's too."""

INSTRUCT_PROMPTS = {"query_prompt": "Instruct: {instruction}\nQuery: ", "doc_prompt": ""}
"""E5-Mistral's wrapper, SFR's too."""

POST = "Given a post, retrieve relevant passages that help answer the post"
"""Ours: BRIGHT's instruction for StackExchange tasks ("Given a biology post, ...") without the task's name."""

CARDS = (
    ModelCard(
        name="minilm",
        hub_name="sentence-transformers/all-MiniLM-L6-v2",
        kind="bert",
        licence="Apache-2.0",
        dim=384,
        max_tokens=256,
        query_prompt="",
        doc_prompt="",
        pooling="mean",
        sha256=MINILM_SHA256,
        note="The default: small, runs without torch.",
    ),
    ModelCard(
        name="reasonir-8b",
        hub_name="reasonir/ReasonIR-8B",
        kind="bi-encoder",
        licence="CC-BY-NC-4.0",
        dim=4096,
        max_tokens=32_768,
        instruction=POST,
        pooling="mean",
        pool_prompt=False,
        bidirectional=True,
        note="Made for reasoning-intensive queries; about 16 GB in bfloat16; no commercial use.",
        **EMBED_PROMPTS,  # type: ignore[arg-type]
    ),
    ModelCard(
        name="gritlm-7b",
        hub_name="GritLM/GritLM-7B",
        kind="bi-encoder",
        licence="unrecorded",
        max_tokens=2048,
        instruction=POST,
        pooling="mean",
        pool_prompt=False,
        bidirectional=True,
        note="BRIGHT cuts its queries at 256 tokens and its documents at 2048.",
        **EMBED_PROMPTS,  # type: ignore[arg-type]
    ),
    ModelCard(
        name="e5-mistral-7b",
        hub_name="intfloat/e5-mistral-7b-instruct",
        kind="bi-encoder",
        licence="unrecorded",
        max_tokens=4096,
        instruction=POST,
        **INSTRUCT_PROMPTS,  # type: ignore[arg-type]
    ),
    ModelCard(
        name="sfr-mistral",
        hub_name="Salesforce/SFR-Embedding-Mistral",
        kind="bi-encoder",
        licence="unrecorded",
        max_tokens=4096,
        instruction=POST,
        **INSTRUCT_PROMPTS,  # type: ignore[arg-type]
    ),
    ModelCard(
        name="bge-large-en",
        hub_name="BAAI/bge-large-en-v1.5",
        kind="bert",
        licence="unrecorded",
        query_prompt="Represent this {instruction} for searching relevant passages: ",
        doc_prompt="",
        instruction="post",
        note="BERT-shaped; BRIGHT's instruction names the task, as in 'biology post'.",
    ),
)


def list_models() -> tuple[ModelCard, ...]:
    """All known checkpoints, the default first."""
    return CARDS


def get_card(name: str) -> ModelCard:
    """The card of a known checkpoint, by our name or the hub's.

    Raises:
        UnknownName: There is none; lists the nearest.
    """
    for card in CARDS:
        if name in (card.name, card.hub_name):
            return card
    raise UnknownName("model", name, [card.name for card in CARDS])
