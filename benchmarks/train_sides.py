"""Runs one side of train.py in its own process, which makes one update per request."""

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.models import has_weights

LEARNING_RATE = 1e-4


def serve(name: str, directory: Path, work, accelerator: bool) -> None:
    """Answers requests of train.Side, one per line of standard input, until it ends."""
    side = JaxSide(directory, work, accelerator) if name == "jax" else None
    side = side or TorchSide(directory, work, accelerator, compiled=name == "compiled")
    ragged = work.packed_batches() if name == "jax" else work.padded_batches()
    batches = {
        "full": [side.place(batch, full=True) for batch in work.full_batches()],
        "ragged": [side.place(batch, full=False) for batch in ragged],
    }
    for line in sys.stdin:
        question = json.loads(line)
        answer = None
        match question["do"]:
            case "losses":
                answer = [side.update(batch) for batch in batches["full"]]
            case "update":
                started = time.monotonic()
                side.update(batches[question["kind"]][question["number"]])
                answer = time.monotonic() - started
            case "forget_peak":
                side.forget_peak()
            case "peak":
                answer = side.peak()
            case "ragged_sizes":
                answer = side.sizes(work) | {
                    "useful": int(sum((batch["segment_ids"] != 0).sum() for batch in ragged)),
                    "positions": sum(batch["tokens"].size for batch in ragged),
                }
        print("answer", json.dumps(answer), flush=True)


def forget_host_peak() -> None:
    """Resets the kernel's high-water mark to the current resident set (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def host_peak() -> int:
    status = Path("/proc/self/status").read_text().splitlines()
    for line in status:
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class JaxSide:
    """Runs the real training step on one device."""

    def __init__(self, directory: Path, work, accelerator: bool):
        import jax

        from semcoder_jax import hf
        from semcoder_jax.commands.cpu import keep_freed_memory
        from semcoder_jax.config import parse_run
        from semcoder_jax.model import sharding
        from semcoder_jax.training.state import TrainSetup, create_state
        from semcoder_jax.training.step import make_train_step

        if not accelerator:
            keep_freed_memory()  # as `semcoder train` does
        self._jax, self._sharding = jax, sharding
        device = jax.devices()[0]
        self._on_host = device.platform == "cpu"
        # Logits of the whole batch at once, as in torch, so that nothing is computed twice.
        compute = {
            "dtype": "float32",
            "unroll": work.model["num_hidden_layers"],
            "loss_chunk": work.length,
        }
        if accelerator:
            compute = {"dtype": "bfloat16", "remat": "save_attention"}
        self._config = hf.read_config(directory)
        # Without stored weights no other side starts from them: these are made on the device.
        model = {"init_from": str(directory)} if has_weights(directory) else {}
        # The data section is required but unused: the benchmark makes the batches.
        run = parse_run(
            {
                "model": model,
                "compute": compute,
                "data": {
                    "source": "synthetic",
                    "sequence_length": work.length,
                    "global_batch_size": work.rows,
                },
                "optimizer": {
                    "peak_learning_rate": LEARNING_RATE,
                    "min_learning_rate": LEARNING_RATE,
                },
                "train": {"num_steps": 1000},
            }
        )
        self._mesh = sharding.make_mesh({}, [device])
        setup = TrainSetup.of(run, self._config, run.train.num_steps, self._mesh)
        self._state = create_state(setup)
        self._step = make_train_step(setup, run.train)

    def place(self, batch, *, full: bool):
        return self._sharding.put_batch(batch, self._mesh)

    def update(self, batch) -> float:
        """Makes an update, waits for it, and returns the loss before it."""
        self._state, metrics = self._step(self._state, {}, batch)
        self._jax.block_until_ready(self._state)
        return float(metrics["loss"])

    def forget_peak(self) -> None:
        """Resets the peak on CPU; a JAX device's peak cannot be reset."""
        if self._on_host:
            forget_host_peak()

    def peak(self) -> int:
        if self._on_host:
            return host_peak()
        return self._jax.devices()[0].memory_stats()["peak_bytes_in_use"]

    def sizes(self, work) -> dict:
        from semcoder_jax.model import flops

        kind = self._jax.devices()[0].device_kind
        model = flops.model_flops(self._config, work.rows, work.length)
        return {"flops": model, "peak_flops": flops.peak_flops(kind)}


class TorchSide:
    """Runs LlamaForCausalLM with torch's fastest options: SDPA, fused AdamW."""

    def __init__(self, directory: Path, work, accelerator: bool, *, compiled: bool):
        import torch
        from transformers import LlamaForCausalLM

        self._torch, self._directory = torch, directory
        on_gpu = accelerator and torch.cuda.is_available()
        if accelerator and not on_gpu and work.model["hidden_size"] > 256:
            raise SystemExit("torch has no accelerator here")
        self._device = torch.device("cuda" if on_gpu else "cpu")
        self._autocast = accelerator
        model = LlamaForCausalLM.from_pretrained(
            directory, dtype=torch.float32, attn_implementation="sdpa"
        ).to(self._device)
        model.config.use_cache = False
        if accelerator:
            torch.set_float32_matmul_precision("high")
            model.gradient_checkpointing_enable({"use_reentrant": False})
        self._model = model.train()
        self._forward = torch.compile(model) if compiled else model
        self._optimizer = torch.optim.AdamW(
            model.parameters(), lr=LEARNING_RATE, weight_decay=0.0, fused=True
        )

    def place(self, batch, *, full: bool) -> dict:
        """Converts a batch to the model's inputs; full rows need no mask."""
        torch = self._torch
        targets = torch.from_numpy(np.where(batch["loss_mask"], batch["targets"], -100)).long()
        tensors = {
            "input_ids": torch.from_numpy(np.ascontiguousarray(batch["tokens"])).long(),
            "labels": targets,
            "shift_labels": targets,
        }
        if not full:
            tensors["attention_mask"] = torch.from_numpy(batch["segment_ids"]).long()
        return {name: tensor.to(self._device) for name, tensor in tensors.items()}

    def update(self, batch: dict) -> float:
        torch = self._torch
        self._optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._autocast):
            loss = self._forward(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        self._optimizer.step()
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        return loss.item()

    def forget_peak(self) -> None:
        if self._device.type == "cuda":
            self._torch.cuda.reset_peak_memory_stats()
        else:
            forget_host_peak()

    def peak(self) -> int:
        if self._device.type == "cuda":
            return self._torch.cuda.max_memory_allocated()
        return host_peak()

    def sizes(self, work) -> dict:
        from semcoder_jax import hf
        from semcoder_jax.model import flops

        config = hf.read_config(self._directory)
        known = None
        if self._device.type == "cuda":
            known = flops.peak_flops(self._torch.cuda.get_device_name())
        model = flops.model_flops(config, work.rows, work.length)
        return {"flops": model, "peak_flops": known}
