using System.Numerics.Tensors;
using Coppice.Tensors;
using Coppice.Tensors.Simd;
using Coppice.Weights;
using Tensor = Coppice.Tensors.Tensor;

namespace Coppice.Models;

/// <summary>A change of low rank that stands beside a matrix: y += scale (x A^T) B^T (Hu et al. 2021, eq. 3). The matrix itself may be stored in any way.</summary>
public sealed class LowRankAdapter
{
    readonly Linear down, up;

    /// <summary>Wraps (does not copy) A [rank, inputs] and B [outputs, rank].</summary>
    public LowRankAdapter(Tensor a, Tensor b, float scale)
    {
        if (a.Shape.Rank != 2 || b.Shape.Rank != 2 || a.Shape[0] != b.Shape[1])
            throw new ArgumentException($"LowRankAdapter: A {a.Shape} and B {b.Shape}, wanted [rank, inputs] and [outputs, rank]");
        (A, B, Scale) = (a, b, scale);
        (down, up) = (new Linear(new DenseWeight(a)), new Linear(new DenseWeight(b)));
    }

    /// <summary>[rank, inputs].</summary>
    public Tensor A { get; }

    /// <summary>[outputs, rank].</summary>
    public Tensor B { get; }

    /// <summary>What the product of both is multiplied by: alpha / rank.</summary>
    public float Scale { get; }

    /// <summary>y [tokens, outputs] with what becomes of x [tokens, inputs] added.</summary>
    internal Tensor AddTo(Tensor y, Tensor x, ForwardContext context) =>
        Add.Apply(context, y, up.Forward(Rescale.Apply(context, down.Forward(x, context), Scale), context));

    /// <summary>dense += scale B A, for dense [outputs, inputs].</summary>
    internal void AddTo(WorkerPool pool, Span<float> dense)
    {
        int rank = A.Shape[0], inputs = A.Shape[1], outputs = B.Shape[0];
        float[] scaled = B.Data.ToArray();
        TensorPrimitives.Multiply(scaled, Scale, scaled);
        Gemm.Multiply(pool, Transpose.No, Transpose.No, outputs, inputs, rank, scaled, rank, A.Data, inputs, dense, inputs, Accumulate.Add);
    }
}
