using Coppice.Tensors;
using Coppice.Tensors.Simd;
using Coppice.Weights;

namespace Coppice.Models;

/// <summary>y = x W^T, or y = x W^T + b.</summary>
public sealed class Linear(Weight weight, Tensor? bias = null) : MatrixLayer(weight)
{
    readonly Embedding? tiedTo;

    /// <summary>A product with an embedding's own table: whatever replaces one replaces both.</summary>
    public Linear(Embedding table) : this(table.Weight) => tiedTo = table;

    /// <summary>The layer that holds the matrix: this, or the embedding that it is tied to.</summary>
    internal MatrixLayer Stored => tiedTo is null ? this : tiedTo;

    /// <summary>b [outputs], where there is one.</summary>
    public Tensor? Bias => bias;

    /// <summary>A change that stands beside the matrix, or none. It is no part of the model's own parameters.</summary>
    public LowRankAdapter? Adapter { get; set; }

    /// <inheritdoc/>
    public override IEnumerable<(string Name, Tensor Vector)> Vectors => bias is null ? [] : [("bias", bias)];

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
        bool records = trains || context.Records(x) || bias is not null && context.Records(bias);
        int tokens = x.Shape.Rows;
        Tensor y = context.Result([tokens, Weight.Rows], records);
        if (context.OmitsProducts && context.Tape is null)
        {
            y.Data.Clear();
            return y;
        }
        Rows result = new(y.Data, tokens, Weight.Rows);
        if (context.Activations != ActivationFormat.Float32 && Weight.Wants == ActivationFormat.Int8 && !Stored.KeepsFloatInputs && context.Tape is null)
            Weight.Multiply(context.Pool, context.Rounded(x, context.Activations == ActivationFormat.Int8Static ? Range : Int8Rows.OwnRange), result);
        else
            Weight.Multiply(context.Pool, new Rows(x.Data, tokens, Weight.Columns), result);
        if (records)
            context.Tape!.Record<Node>(y).Set(context.Pool, Weight, x, y);
        if (Adapter is not null)
            y = Adapter.AddTo(y, x, context);
        return bias is null ? y : AddBias.Apply(context, y, bias);
    }

    float Range => Stored.InputRange ?? throw new CoppiceException($"a matrix {Weight.Shape} has no range for its inputs, which int8-static rounds by: calibrate the model");

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
