#!/usr/bin/env python3
"""Trains a Llama-shaped model in PyTorch on random tokens: the peer of `Coppice.Bench train`, which trains the same model.

RMSNorm, rotary positions, causal attention, SwiGLU, tied head, cross entropy, clipping, AdamW; float32. Products that read the same input are
one product. Prints milliseconds of each step and, last, the tokens a second of the median step.

    OPENBLAS_CORETYPE=SKYLAKEX OMP_NUM_THREADS=2 python3 train_torch.py --threads 2 --steps 8
"""
import argparse
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn


class RMSNorm(nn.Module):
    def __init__(self, width, epsilon=1e-5):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.epsilon) * self.weight


def rotate(x, cos, sin):
    """x [batch, heads, tokens, head width]; number i of the first half turns with number i of the second."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


class Block(nn.Module):
    def __init__(self, width, heads, hidden):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = RMSNorm(width), RMSNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.gate_up = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x, cos, sin, mask):
        batch, tokens, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        scores = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5 + mask
        y = (F.softmax(scores, dim=-1) @ v).transpose(1, 2).reshape(batch, tokens, width)
        x = x + self.out(y)
        gate, up = self.gate_up(self.norm2(x)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)


class Llama(nn.Module):
    def __init__(self, vocabulary, width, heads, layers, hidden, tokens, theta=10000.0):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.blocks = nn.ModuleList(Block(width, heads, hidden) for _ in range(layers))
        self.norm = RMSNorm(width)
        half = width // heads // 2
        angles = torch.outer(torch.arange(tokens).float(), theta ** (-torch.arange(half).float() / half))
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())
        self.register_buffer("mask", torch.full((tokens, tokens), float("-inf")).triu(1))

    def forward(self, ids, targets):
        x = self.embedding(ids)
        for block in self.blocks:
            x = block(x, self.cos, self.sin, self.mask)
        logits = F.linear(self.norm(x), self.embedding.weight)
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1))


def main():
    parser = argparse.ArgumentParser()
    for name, value in dict(threads=1, steps=8, warmup=2, vocabulary=8192, width=384, heads=6, layers=6, hidden=1024, tokens=256, batch=8).items():
        parser.add_argument("--" + name, type=int, default=value)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    model = Llama(options.vocabulary, options.width, options.heads, options.layers, options.hidden, options.tokens)
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.95))
    # One thread is timed by the processor's clock, which other programs on the machine do not disturb, as the twin does.
    clock = time.process_time if options.threads == 1 else time.perf_counter
    seconds = []
    for step in range(options.warmup + options.steps):
        text = torch.randint(options.vocabulary, (options.batch, options.tokens + 1))
        start = clock()
        loss = model(text[:, :-1], text[:, 1:].contiguous())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        nats = loss.item()
        if step >= options.warmup:
            seconds.append(clock() - start)
            print(f"step {step + 1}: loss {nats:.4f}, {1e3 * seconds[-1]:.1f} ms", flush=True)
    parameters = sum(p.numel() for p in model.parameters())
    rate = options.batch * options.tokens / statistics.median(seconds)
    print(f"{parameters} parameters, {options.threads} thread(s), tokens/s: {rate:.1f}")


if __name__ == "__main__":
    main()
