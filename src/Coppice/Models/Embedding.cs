using System.Numerics.Tensors;
using Coppice.Tensors;
using Coppice.Weights;
using Tensor = Coppice.Tensors.Tensor;

namespace Coppice.Models;

/// <summary>Token ids to their rows of a table.</summary>
public sealed class Embedding(Weight weight) : MatrixLayer(weight)
{
    /// <summary>[tokens] to [tokens, width].</summary>
    public Tensor Forward(Batch batch, ForwardContext context) => Rows(batch.Ids, context);

    /// <summary>Rows of the table, by their numbers, to [numbers, width].</summary>
    internal Tensor Rows(ReadOnlyMemory<int> rows, ForwardContext context)
    {
        ReadOnlySpan<int> tokens = rows.Span;
        bool trains = context.Tape is not null && Weight is DenseWeight { Values.RequiresGrad: true };
        // Where the table is frozen what lies above may train: the rest of a pass then finds a gradient wherever it looks.
        Tensor y = context.Result([tokens.Length, Weight.Columns], context.Tape is not null);
        for (int i = 0; i < tokens.Length; i++)
        {
            if ((uint)tokens[i] >= (uint)Weight.Rows)
                throw new CoppiceException($"Token id {tokens[i]} at position {i}: the model's vocabulary has {Weight.Rows}; its tokenizer does not match");
            Weight.Unpack(tokens[i], y.Data.Slice(i * Weight.Columns, Weight.Columns));
        }
        if (trains)
            context.Tape!.Record<Node>(y).Set((DenseWeight)Weight, rows, y);
        return y;
    }

    sealed class Node : TapeNode
    {
        DenseWeight table = null!;
        ReadOnlyMemory<int> rows;
        Tensor y = null!;

        public void Set(DenseWeight table, ReadOnlyMemory<int> rows, Tensor y) => (this.table, this.rows, this.y) = (table, rows, y);

        public override void Backward()
        {
            int width = table.Columns;
            Span<float> gradient = table.Values.Grad!.Data;
            ReadOnlySpan<float> dy = y.Grad!.Data;
            ReadOnlySpan<int> tokens = rows.Span;
            for (int i = 0; i < tokens.Length; i++)
            {
                Span<float> row = gradient.Slice(tokens[i] * width, width);
                TensorPrimitives.Add(row, dy.Slice(i * width, width), row);
            }
        }
    }
}
