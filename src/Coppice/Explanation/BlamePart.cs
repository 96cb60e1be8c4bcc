using Coppice.Evaluation;
using Coppice.Models;

namespace Coppice.Explanation;

/// <summary>A part that both models have, and how to take it from either.</summary>
internal sealed class BlamePart(Model baseModel, Model compressed, int stage, string? matrix)
{
    /// <summary>The base's part, to put into the compressed model.</summary>
    public Transplant FromBase { get; } = new(baseModel, stage, matrix);

    /// <summary>The compressed part, to put into the base.</summary>
    public Transplant FromCompressed { get; } = new(compressed, stage, matrix);

    /// <summary>Names of a block's matrices, in the order in which they compute.</summary>
    public static IEnumerable<string> MatrixNames(TransformerBlock block) =>
        block.Walk().Where(part => part.Layer is MatrixLayer).Select(part => part.Name);

    /// <summary>The part with what was measured.</summary>
    public Blame Blame(Estimate removed, Estimate added)
    {
        int last = baseModel.Blocks.Count + 1;
        int? block = stage > 0 && stage < last ? stage - 1 : null;
        return new Blame(block is { } number ? $"block {number}" : stage == 0 ? "embedding" : "head", block, matrix, removed, added);
    }
}

/// <summary>One stage of the donor (0 the embedding, then the blocks, last the head), or one matrix of its block.</summary>
internal readonly record struct Transplant(Model Donor, int Stage, string? Matrix);
