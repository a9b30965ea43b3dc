"""Label scores of prompts that share a beginning: Sleuth with and without sharing, against plain batches.

    python -m benchmarks.local_llm
    python -m benchmarks.local_llm --shared 500 --rest 100 --repeats 5

A random Qwen3-shaped model, made here; its scores mean nothing, its time does. Plain batches are as one writes them
with transformers: padded on the left, with a mask, in the order given, the last position's logits only, or all of them.
The sides take turns on one thread; times are of the process. Differences are to one unpadded prompt at a time.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np

from benchmarks.machine import header

Prompts = list[list[int]]
LABELS = [11, 12]


def make_model(folder: Path, *, layers: int, width: int, vocabulary: int, window: int) -> None:
    import torch
    from tokenizers import Tokenizer, models
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        num_key_value_heads=max(1, width // 128),
        head_dim=64,
        max_position_embeddings=window,
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)
    Tokenizer(models.WordLevel({"a": 0}, unk_token="a")).save(str(folder / "tokenizer.json"))


def make_prompts(count: int, shared: int, rest: int, vocabulary: int) -> Prompts:
    rng = np.random.default_rng(0)
    head = rng.integers(1, vocabulary, shared).tolist()
    sizes = rng.integers(rest // 2, rest * 3 // 2 + 1, count)
    return [head + rng.integers(1, vocabulary, size).tolist() for size in sizes]


def plain_batches(folder: Path, batch_size: int, *, all_logits: bool) -> Callable[[Prompts], np.ndarray]:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder).eval()

    def score(prompts: Prompts) -> np.ndarray:
        found = []
        for begin in range(0, len(prompts), batch_size):
            batch = prompts[begin : begin + batch_size]
            longest = max(map(len, batch))
            ids = torch.tensor([[0] * (longest - len(one)) + one for one in batch])
            mask = torch.tensor([[0] * (longest - len(one)) + [1] * len(one) for one in batch])
            with torch.inference_mode():
                keep = 0 if all_logits else 1
                logits = model(input_ids=ids, attention_mask=mask, logits_to_keep=keep).logits[:, -1]
            found.append(torch.log_softmax(logits.float(), -1)[:, LABELS].numpy())
        return np.concatenate(found)

    return score


def sides(folder: Path, batch_size: int) -> dict[str, Callable[[Prompts], np.ndarray]]:
    from sleuth.models.causal_lm import CausalLM

    def fresh(share: bool) -> Callable[[Prompts], np.ndarray]:
        lm = CausalLM(folder, device="cpu", batch_size=batch_size, share=share)

        def score(prompts: Prompts) -> np.ndarray:
            lm._held = None  # every repeat begins without a beginning that is known already
            return lm.label_logprobs(prompts, LABELS)

        return score

    return {
        "Sleuth": fresh(True),
        "Sleuth, nothing shared": fresh(False),
        "transformers, last position": plain_batches(folder, batch_size, all_logits=False),
        "transformers, all logits": plain_batches(folder, batch_size, all_logits=True),
    }


def measure(args: argparse.Namespace) -> list[str]:
    import torch

    torch.set_num_threads(1)
    prompts = make_prompts(args.prompts, args.shared, args.rest, args.vocabulary)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        window = args.shared + 2 * args.rest + 8
        make_model(folder, layers=args.layers, width=args.width, vocabulary=args.vocabulary, window=window)
        runs = sides(folder, args.batch_size)
        alone = plain_batches(folder, 1, all_logits=False)(prompts)
        times: dict[str, list[float]] = {name: [] for name in runs}
        worst = {}
        for name, run in runs.items():
            worst[name] = float(np.abs(np.exp(run(prompts)) / np.exp(alone) - 1).max())  # and a first, unmeasured pass
        for _ in range(args.repeats):
            for name, run in runs.items():
                begin = time.process_time()
                run(prompts)
                times[name].append(time.process_time() - begin)
    ours = times["Sleuth"]
    rows = [
        f"| {name} | {min(taken):.2f} ({max(taken):.2f}) | {len(prompts) / min(taken):.1f} | "
        f"{statistics.median(a / b for a, b in zip(taken, ours, strict=True)):.2f} | {worst[name]:.0e} |"
        for name, taken in times.items()
    ]
    tokens = sum(map(len, prompts))
    return [
        f"{len(prompts)} prompts, {args.shared} tokens shared, {args.rest // 2} to {args.rest * 3 // 2} of their own "
        f"({tokens:,} in all, {args.shared + tokens - len(prompts) * args.shared:,} distinct); random weights, "
        f"{args.layers} layers of {args.width}, vocabulary {args.vocabulary:,}; batches of {args.batch_size}, float32, "
        f"one thread; best (worst) of {args.repeats} alternating runs; transformers {version('transformers')}.",
        "",
        "| side | CPU seconds | prompts/s | time against Sleuth | largest relative difference of a label's probability |",
        "|---|---|---|---|---|",
        *rows,
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--shared", type=int, default=300)
    parser.add_argument("--rest", type=int, default=100)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--vocabulary", type=int, default=32_000)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, help="also write the table here, below the header")
    args = parser.parse_args()
    given = [one for one in sys.argv[1:] if one != "--output" and one != str(args.output)]
    lines = [*header(" ".join(["python -m benchmarks.local_llm", *given])), "", *measure(args)]
    print("\n".join(lines))
    if args.output is not None:
        args.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
