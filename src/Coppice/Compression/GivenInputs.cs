using Coppice.Formats;
using Coppice.Models;
using Coppice.Models.Families;
using Coppice.Tensors;

namespace Coppice.Compression;

/// <summary>An importance matrix in place of calibration: mean squares of what enters each matrix of a model, gathered elsewhere on the model as it was.</summary>
sealed class GivenInputs
{
    readonly DecoderModel model;
    readonly ImportanceMatrix importance;

    /// <summary>Takes an importance matrix for a model.</summary>
    /// <exception cref="CoppiceException">It is of another model: none of its entries is one of this one's matrices, or one has other inputs.</exception>
    public GivenInputs(Model model, ImportanceMatrix importance)
    {
        (this.model, this.importance) = (model as DecoderModel ?? throw new CoppiceException($"an importance matrix is for decoders, and this is a {model.Family} model"), importance);
        int known = 0;
        foreach ((string name, MatrixLayer layer) in model.Matrices())
            if (importance.Entries.TryGetValue(DecoderGguf.PlaceOf(this.model, name).Name, out InputImportance? entry))
            {
                known++;
                if (entry.Columns != layer.Weight.Columns || ExpertOf(name, layer) >= entry.Counts.Length)
                    throw new CoppiceException($"the importance matrix is of another model: {name} {layer.Weight.Shape} has {entry.Counts.Length} times {entry.Columns} inputs there");
            }
        if (known == 0)
            throw new CoppiceException($"the importance matrix is of another model: none of its {importance.Entries.Count} entries, such as '{importance.Entries.Keys.First()}', is a matrix of this one");
    }

    /// <summary>What a matrix's inputs are like, or null where no token reached it or nothing is said of it.</summary>
    public InputStatistics? Of(string name, MatrixLayer layer) =>
        importance.Entries.TryGetValue(DecoderGguf.PlaceOf(model, name).Name, out InputImportance? entry) && ExpertOf(name, layer) is var expert && entry.Counts[expert] > 0
            ? InputStatistics.Given(entry.MeanSquares(expert), entry.Counts[expert])
            : null;

    // Which matrix of a stack.
    int ExpertOf(string name, MatrixLayer layer) => DecoderGguf.PlaceOf(model, name) is { StoredShape.Length: 3, Rows: [int first, ..] } ? first / layer.Weight.Rows : 0;
}
