"""Decodes greedily with transformers."""

import torch


def generate_greedily(oracle, prompt: list[int], count: int, **options) -> list[int]:
    """Returns the next `count` greedy tokens after `prompt`, fewer if EOS is one."""
    output = oracle.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        max_new_tokens=count,
        do_sample=False,
        pad_token_id=0,
        **options,
    )
    return output[0, len(prompt) :].tolist()
