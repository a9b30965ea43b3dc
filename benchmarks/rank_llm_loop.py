"""rank_llm 0.25.7's own reranking loop over HTTP: run by `benchmarks.llm_overhead --peer-python`, not by itself.

    python rank_llm_loop.py URL REQUESTS.json

Its environment, apart from ours because of transformers (this is what its OpenAI path imports):

    pip install --no-deps rank-llm==0.25.7
    pip install openai tiktoken ftfy dacite python-dotenv tqdm pyyaml torch 'transformers==4.53.3'

Two stand-ins, both in its favour: `vllm` is empty classes (it is imported, not used), and texts are counted in words
instead of by tiktoken, whose tables are fetched over the network at first use. Prints one line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
import types
from importlib import metadata
from pathlib import Path

__all__: list[str] = []


class Words:
    """Stands in for a tokenizer of tiktoken's."""

    def encode(self, text: str) -> list[str]:
        return text.split()


def main() -> None:
    stand_in()
    from rank_llm.data import Candidate, Query, Request
    from rank_llm.rerank.listwise.rank_gpt import SafeOpenai
    from rank_llm.rerank.rankllm import PromptMode

    url, data = sys.argv[1], json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    requests = [
        Request(
            query=Query(text=entry["query"], qid=str(q)),
            candidates=[
                Candidate(docid=f"{q}-{d}", score=float(100 - d), doc={"text": text})
                for d, text in enumerate(entry["passages"])
            ],
        )
        for q, entry in enumerate(data)
    ]
    ranker = SafeOpenai(
        model="instant", context_size=128_000, prompt_mode=PromptMode.RANK_GPT, keys="none", base_url=f"{url}/"
    )
    ranker.rerank_batch(requests[:1], rank_end=100)  # warms up
    cpu, start = time.process_time(), time.perf_counter()
    results = ranker.rerank_batch(requests, rank_end=100, populate_invocations_history=True)
    seconds, cpu_s = time.perf_counter() - start, time.process_time() - cpu
    calls = sum(len(result.invocations_history) for result in results)
    found = {"version": metadata.version("rank-llm"), "calls": calls, "seconds": seconds, "cpu_s": cpu_s}
    sys.stdout.write("\n" + json.dumps(found) + "\n")


def stand_in() -> None:
    vllm, outputs = types.ModuleType("vllm"), types.ModuleType("vllm.outputs")
    for name in ("LLM", "SamplingParams", "RequestOutput"):
        setattr(vllm, name, type(name, (), {}))
    outputs.RequestOutput = vllm.RequestOutput  # type: ignore[attr-defined]
    sys.modules.update({"vllm": vllm, "vllm.outputs": outputs})
    import tiktoken

    tiktoken.get_encoding = lambda name: Words()  # type: ignore[assignment,return-value]


if __name__ == "__main__":
    main()
