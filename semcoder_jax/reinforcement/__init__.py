"""Learns from rewards: samples answers, judges them by real runs, and makes good ones likelier.

    semcoder reinforce --config=configs/grpo_quickstart.py --workdir=DIR

A step draws prompts from PyX records, samples a group of answers to each with the present weights,
rewards every answer by terms that the sandbox and the step verifier decide, and makes one or more
updates on them. It stands above training and inference and has neither a second trainer nor a
second sampler: state, optimizer, sharded step, checkpoints, workdir and log are those of training,
whose step takes another loss; the engine decodes with the very arrays that training updates, on
the same mesh, for full and LoRA runs alike.

    prompts ─→ rollouts ─→ judging (questions, rewards) ─→ advantages ─→ objective, in training.step
       └─────────────── loop: checkpoint, resume, stop, log, rollout_store ────────────────┘

- `prompts`: which records a step asks; the position is part of the checkpoint
- `questions`: what a record asks, read from its prompt, and what its reference answer claims
- `rollouts`: answers from the engine, with their log-probabilities; their batch for the step
- `judging`: runs what answers say in the sandbox, verifies their steps, finds the first wrong one
- `rewards`: the terms of the reward by name; each is 0 to 1, the reward their weighted mean
- `advantages`: group statistics, advantages of tokens, weights of tokens
- `objective`: GRPO's loss and its variants, on the device, in pieces of `compute.loss_chunk`
- `rollout_store`: WORKDIR/rollouts.jsonl, every answer with its verdicts
- `session`: opens all that the steps of a session use, from a config and a workdir
- `loop`: the steps of a session: sample, judge, update, save, log
- `improvement`: rejection sampling: answers that real runs confirm become records

What makes a resumed run equal to an unbroken one, bit for bit: parameters, moments and the position
among the prompts are in the checkpoint; the random stream of an answer follows from the run's seed,
the step and the row; the engine decodes without drafts, whose use is decided by timing; and no step
uses rollouts of an earlier one. The reference of the KL term is the initial model, loaded again and
compared with the checksum in the checkpoint.

The engine's log-probabilities are the "old" ones of the ratio. At the first update of a step the
trainer's must equal them: their largest difference is the logged `drift`.

Sources: Shao et al., DeepSeekMath (GRPO), arXiv 2402.03300; Liu et al., Understanding R1-Zero-Like
Training (Dr. GRPO), arXiv 2503.20783; Yu et al., DAPO, arXiv 2503.14476; ExecVerify, arXiv
2603.11226; Schulman, Approximating KL Divergence (2020).

Axes: P prompt, G sample of a prompt, R row (all samples of a step), B row of this process, T time.
"""
