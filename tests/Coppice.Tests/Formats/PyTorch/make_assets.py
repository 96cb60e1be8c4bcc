# Writes zip.bin and legacy.bin beside this file; made with PyTorch 1.13: python3 make_assets.py
import os
import torch

table = torch.arange(12, dtype=torch.float32).reshape(3, 4)
linear = torch.nn.Linear(2, 2)
with torch.no_grad():
    linear.weight.copy_(torch.tensor([[1.0, -2.0], [0.5, 0.25]]))
    linear.bias.copy_(torch.tensor([3.0, -1.0]))
state = linear.state_dict()
state["turned"] = table.t()
state["part"] = table[1:, 1:3]
state["bfloat16"] = torch.tensor([[1.0, -3.0]], dtype=torch.bfloat16)
state["parameter"] = torch.nn.Parameter(torch.tensor([1.5], dtype=torch.float16))
state["step"] = torch.tensor(7)
here = os.path.dirname(os.path.abspath(__file__))
torch.save({"epoch": 3, "state_dict": state}, os.path.join(here, "zip.bin"))
torch.save({"epoch": 3, "state_dict": state}, os.path.join(here, "legacy.bin"), _use_new_zipfile_serialization=False)
