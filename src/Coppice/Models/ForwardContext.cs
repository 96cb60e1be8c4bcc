using Coppice.Tensors;

namespace Coppice.Models;

/// <summary>What a forward pass works with: threads, arena, a tape when gradients are wanted, a cache when text is being continued.</summary>
public sealed class ForwardContext(WorkerPool pool, Tape? tape = null) : ComputeContext(pool, new Arena(), tape)
{
    /// <summary>Keys and values of what came before; the batch then is one sequence that continues it.</summary>
    public KvCache? Cache { get; init; }

    /// <summary>Called with every <see cref="Linear"/> and its input [tokens, inputs] before the product: how calibration sees activations.</summary>
    public Action<Linear, Tensor>? OnLinearInput { get; set; }
}
