#!/usr/bin/env python3
"""Whether bitsandbytes and Coppice read the same numbers out of a 4-bit folder, whichever of them wrote it. Needs torch and bitsandbytes; the CPU is enough.

usage: bitsandbytes_nf4.py compare FOLDER PLAIN     FOLDER's matrices as bitsandbytes reads them against PLAIN, the same folder as `coppice convert FOLDER --format safetensors --type f32 -o PLAIN` reads it
       bitsandbytes_nf4.py write PLAIN FOLDER [--type nf4|fp4] [--block N] [--nested]     PLAIN's matrices rounded and packed by bitsandbytes; --nested: scales of 8 bits ("double quantization")

compare prints the largest difference of any number at float32, at the type that the folder names, and of the outputs of a Linear4bit; it exits 1 where numbers differ at float32."""
import argparse
import json
import os
import shutil
import struct
import sys

import bitsandbytes
import torch
from bitsandbytes.functional import QuantState, dequantize_4bit, quantize_4bit

TYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "U8": torch.uint8}
STATE = ".quant_state.bitsandbytes__"


def read(folder):
    with open(os.path.join(folder, "model.safetensors"), "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    header.pop("__metadata__", None)
    return {name: torch.frombuffer(bytearray(data[slice(*entry["data_offsets"])]), dtype=TYPES[entry["dtype"]]).reshape(entry["shape"]) for name, entry in header.items()}


def save(folder, tensors):
    header, parts, place = {}, [], 0
    for name, tensor in tensors.items():
        parts.append(tensor.contiguous().numpy().tobytes())
        kind = next(kind for kind, dtype in TYPES.items() if dtype == tensor.dtype)
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [place, place := place + len(parts[-1])]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(folder, "model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(parts))


def compare(folder, plain):
    tensors, ours = read(folder), read(plain)
    names = [name.rsplit(STATE, 1)[0] for name in tensors if STATE in name]
    exact, rounded, product, blocks = 0.0, 0.0, 0.0, set()
    torch.manual_seed(1)
    for name in names:
        parts = {key[len(name) + 1:]: tensor for key, tensor in tensors.items() if key.startswith(name + ".")}
        state = QuantState.from_dict(dict(parts), torch.device("cpu"))
        blocks.add((state.quant_type, state.blocksize, state.nested))
        weight = ours[name]
        own = dequantize_4bit(tensors[name], state)
        rounded = max(rounded, (own.float() - weight.to(own.dtype).float()).abs().max().item())
        # A Linear4bit as Transformers fills it.
        rows, columns = state.shape
        layer = bitsandbytes.nn.Linear4bit(columns, rows, bias=False, compute_dtype=torch.float32)
        layer.weight = bitsandbytes.nn.Params4bit.from_prequantized(tensors[name], parts, requires_grad=False, device="cpu", module=layer)
        x = torch.randn(4, columns)
        product = max(product, ((layer(x) - x @ weight.T).abs().max() / (x @ weight.T).abs().max()).item())
        state.dtype = torch.float32
        exact = max(exact, (dequantize_4bit(tensors[name], state) - weight).abs().max().item())
    kinds = ", ".join(f"{kind} in blocks of {size}{', nested' if nested else ''}" for kind, size, nested in sorted(blocks))
    print(f"bitsandbytes {bitsandbytes.__version__}: {len(names)} matrices, {sum(ours[name].numel() for name in names):,} numbers, {kinds}")
    print(f"largest difference: {exact:g} at float32, {rounded:g} at the folder's type, {product:g} of the largest output of Linear4bit")
    sys.exit(0 if names and exact == 0 else 1)


def write(plain, folder, kind, block, nested):
    os.makedirs(folder)
    tensors = {}
    for name, tensor in read(plain).items():
        if tensor.dim() != 2 or "embed" in name or "head" in name:
            tensors[name] = tensor.half()
            continue
        packed, state = quantize_4bit(tensor.half(), blocksize=block, quant_type=kind, compress_statistics=nested)
        tensors[name] = packed
        tensors.update({f"{name}.{part}": value for part, value in state.as_dict(packed=True).items()})
    save(folder, tensors)
    for file in os.listdir(plain):
        if file.startswith("tokenizer"):
            shutil.copy(os.path.join(plain, file), folder)
    with open(os.path.join(plain, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True, "load_in_8bit": False, "bnb_4bit_quant_type": kind,
                                     "bnb_4bit_use_double_quant": nested, "bnb_4bit_compute_dtype": "float16", "bnb_4bit_quant_storage": "uint8"}
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file, indent=2)


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("work", choices=("compare", "write"))
parser.add_argument("source")
parser.add_argument("other")
parser.add_argument("--type", default="nf4", choices=("nf4", "fp4"))
parser.add_argument("--block", type=int, default=64)
parser.add_argument("--nested", action="store_true")
args = parser.parse_args()
if args.work == "compare":
    compare(args.source, args.other)
else:
    write(args.source, args.other, args.type, args.block, args.nested)
