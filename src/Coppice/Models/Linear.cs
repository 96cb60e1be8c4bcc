using Coppice.Tensors;
using Coppice.Tensors.Simd;
using Coppice.Weights;

namespace Coppice.Models;

/// <summary>y = x W^T.</summary>
public sealed class Linear(Weight weight) : MatrixLayer(weight)
{
    readonly Embedding? tiedTo;

    /// <summary>A product with an embedding's own table: whatever replaces one replaces both.</summary>
    public Linear(Embedding table) : this(table.Weight) => tiedTo = table;

    /// <inheritdoc/>
    public override Weight Weight
    {
        get => tiedTo?.Weight ?? base.Weight;
        set
        {
            if (tiedTo is null)
                base.Weight = value;
            else
                tiedTo.Weight = value;
        }
    }

    /// <summary>x [tokens, inputs] to [tokens, outputs].</summary>
    public Tensor Forward(Tensor x, ForwardContext context)
    {
        context.OnLinearInput?.Invoke(this, x);
        bool trains = context.Tape is not null && Weight is DenseWeight { Values.RequiresGrad: true };
        bool records = trains || context.Records(x);
        int tokens = x.Shape.Rows;
        Tensor y = context.Result([tokens, Weight.Rows], records);
        Rows result = new(y.Data, tokens, Weight.Rows);
        if (context.Activations == ActivationFormat.Int8 && Weight.Wants == ActivationFormat.Int8 && context.Tape is null)
            Weight.Multiply(context.Pool, context.Rounded(x), result);
        else
            Weight.Multiply(context.Pool, new Rows(x.Data, tokens, Weight.Columns), result);
        if (records)
            context.Tape!.Record<Node>().Set(context.Pool, Weight, x, y);
        return y;
    }

    sealed class Node : TapeNode
    {
        WorkerPool pool = null!;
        Weight weight = null!;
        Tensor x = null!, y = null!;

        public void Set(WorkerPool pool, Weight weight, Tensor x, Tensor y) => (this.pool, this.weight, this.x, this.y) = (pool, weight, x, y);

        public override void Backward()
        {
            int tokens = x.Shape.Rows;
            Rows dy = new(y.Grad!.Data, tokens, weight.Rows);
            if (x.RequiresGrad && weight is DenseWeight floats)
                floats.MultiplyTransposed(pool, dy, new Rows(x.ClaimGradient(out Accumulate mode), tokens, weight.Columns), mode);
            else if (x.Grad is { } dx)
                weight.MultiplyTransposed(pool, dy, new Rows(dx.Data, tokens, weight.Columns));
            if (weight is DenseWeight { Values.RequiresGrad: true } dense)
                dense.AddGradient(pool, new Rows(x.Data, tokens, weight.Columns), dy);
        }
    }
}
