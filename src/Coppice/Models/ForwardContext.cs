using Coppice.Tensors;
using Coppice.Tensors.Simd;
using Coppice.Weights;

namespace Coppice.Models;

/// <summary>What a forward pass works with: threads, arena, a tape when gradients are wanted.</summary>
public sealed class ForwardContext(WorkerPool pool, Tape? tape = null) : ComputeContext(pool, new Arena(), tape)
{
    /// <summary>What a pass with a tape keeps for its way back.</summary>
    public KeptActivations Keeps { get; init; }

    /// <summary>Called with every <see cref="Linear"/> and its input [tokens, inputs] before the product: how calibration sees activations.</summary>
    public Action<Linear, Tensor>? OnLinearInput { get; set; }

    /// <summary>Whether products give zeros: when <see cref="OnLinearInput"/> has seen what it was after, the rest of a pass need not be computed. Without effect while a tape records.</summary>
    internal bool OmitsProducts { get; set; }

    /// <summary>What matrices may round their inputs to: with <see cref="ActivationFormat.Int8"/>, those of integers multiply integers. Without effect while a tape records. A tensor is rounded once between two resets: its numbers must not change in place meanwhile.</summary>
    public ActivationFormat Activations { get; set; }

    /// <summary>Says that on the way forward nothing reads the numbers of a result again: they are kept as <see cref="Keeps"/> says.</summary>
    internal void Shelve(Tensor result)
    {
        if (Tape is not null && Keeps == KeptActivations.BFloat16)
            result.Narrow();
    }

    /// <summary>Says that nothing reads the numbers of a result again, on the way back neither.</summary>
    internal void Discard(Tensor result)
    {
        if (Tape is not null)
            result.GiveBackNumbers();
    }

    readonly Int8Rows rounded = new();
    (Tensor? Source, long Generation, float Range) roundedFrom;

    /// <summary>x [tokens, inputs] rounded to 8 bits, within a range or each group by its own, once for all matrices that read it one after another.</summary>
    internal Int8Rows Rounded(Tensor x, float range)
    {
        if (roundedFrom != (x, Arena.Generation, range))
        {
            rounded.Fill(Pool, x.Data, x.Shape.Rows, x.Shape.Columns, range);
            roundedFrom = (x, Arena.Generation, range);
        }
        return rounded;
    }
}
