#!/usr/bin/env python3
"""GPTQ of one layer in PyTorch on the CPU, written from the paper (Frantar et al. 2022): dampening of 1% of the mean diagonal, columns by falling
diagonal (act-order), the upper Cholesky factor of the inverse Hessian, blocks of 128 columns whose errors reach the rest in one product. Scales are
absmax and symmetric, fitted to static groups before columns are reordered, so that groups stay runs of neighbours.

usage: gptq_torch.py [--columns N] [--rows M] [--tokens T] [--group G] [--bits B] [--repeat R] [--threads K]
Prints one line a repetition: seconds, and ||(W - Q) X||^2 / ||W X||^2. A fair peer on an AVX-512 machine sets OPENBLAS_CORETYPE=SKYLAKEX where OpenBLAS
does not choose it, and uses an OpenBLAS that is threaded by OpenMP."""
import argparse
import time

import torch


def quantize(w, scale, top):
    return torch.clamp(torch.round(w / scale), -(top + 1), top) * scale


def gptq(w, h, bits, group, block=128, dampening=0.01):
    w, h = w.clone(), h.clone()
    rows, columns = w.shape
    top = 2 ** (bits - 1) - 1
    scales = (2 * w.abs().reshape(rows, columns // group, group).amax(2) / (2 ** bits - 1)).half().float()
    order = torch.argsort(torch.diag(h), descending=True)
    w, h = w[:, order], h[order][:, order]
    h += torch.eye(columns) * dampening * torch.diag(h).mean()
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(h))
    u = torch.linalg.cholesky(inverse, upper=True)
    q = torch.zeros_like(w)
    for start in range(0, columns, block):
        end = min(start + block, columns)
        part, errors, local = w[:, start:end].clone(), torch.zeros(rows, end - start), u[start:end, start:end]
        for i in range(end - start):
            column = part[:, i]
            value = quantize(column, scales[:, order[start + i] // group], top)
            q[:, start + i] = value
            error = (column - value) / local[i, i]
            part[:, i:] -= error.unsqueeze(1).matmul(local[i, i:].unsqueeze(0))
            errors[:, i] = error
        w[:, end:] -= errors.matmul(u[start:end, end:])
    return q[:, torch.argsort(order)]


def main():
    parser = argparse.ArgumentParser()
    for name, value in (("columns", 4096), ("rows", 4096), ("tokens", 2048), ("group", 32), ("bits", 4), ("repeat", 3), ("threads", 2)):
        parser.add_argument("--" + name, type=int, default=value)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    with torch.no_grad():
        w = torch.randn(options.rows, options.columns) / 50
        x = (torch.randn(options.tokens, options.columns) + torch.randn(options.tokens, 1)) * torch.exp(torch.randn(options.columns))
        h = x.t().matmul(x) / options.tokens
        for _ in range(options.repeat):
            start, cpu = time.perf_counter(), time.process_time()
            q = gptq(w, h, options.bits, options.group)
            seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
            error = ((w - q).matmul(x.t()) ** 2).sum() / (w.matmul(x.t()) ** 2).sum()
            print(f"torch {torch.__version__} threads {options.threads} seconds {seconds:.3f} cpu {cpu:.3f} relative {error:.6f}", flush=True)


main()
