using System.Collections.Immutable;
using Coppice.Models;
using Coppice.Weights;

namespace Coppice.Compression;

/// <summary>Where the matrices of one part of a run are: those that lie in a file come into memory for their work, and go back to the file, or to the journal, after it.</summary>
sealed class Residence(IReadOnlyList<(string Name, MatrixLayer Layer)> matrices, Journal? journal, int part)
{
    readonly Weight[] stored = [.. matrices.Select(matrix => matrix.Layer.Weight)];

    // Weakly, so that a matrix goes when another takes its place.
    readonly WeakReference<Weight>?[] brought = new WeakReference<Weight>?[matrices.Count];

    /// <summary>For a look at matrices that do not change: they are read, and <see cref="Leave"/> lets go of them.</summary>
    public static Residence Of(IEnumerable<MatrixLayer> layers)
    {
        Residence residence = new([.. layers.Select(layer => ("", layer))], journal: null, part: 0);
        residence.BringIn();
        return residence;
    }

    /// <summary>Reads what is not at hand.</summary>
    public void BringIn()
    {
        for (int i = 0; i < matrices.Count; i++)
            if (brought[i] is null)
            {
                MatrixLayer layer = matrices[i].Layer;
                // What an earlier run left in the journal is another matrix than the model's own.
                bool isStored = ReferenceEquals(layer.Weight, stored[i]);
                Weight own = isStored ? MatrixLayout.InMemory(stored[i]) : stored[i];
                if (isStored)
                    layer.Weight = own;
                brought[i] = new WeakReference<Weight>(own);
            }
    }

    /// <summary>Writes what changed since it was brought in.</summary>
    public void Keep(ImmutableArray<LayerResult> results) =>
        journal?.Write(part, matrices.Where((matrix, i) => !IsAsBrought(i)).Select(matrix => (matrix.Name, matrix.Layer.Weight)), results);

    bool IsAsBrought(int i) => brought[i] is { } weak && weak.TryGetTarget(out Weight? own) && ReferenceEquals(matrices[i].Layer.Weight, own);

    /// <summary>Lets go of what a file holds.</summary>
    public void Leave()
    {
        bool leaves = false;
        for (int i = 0; i < matrices.Count; i++)
        {
            (string name, MatrixLayer layer) = matrices[i];
            if (stored[i].IsInMemory || ReferenceEquals(layer.Weight, stored[i]))
                continue;
            leaves = true;
            if (IsAsBrought(i))
                layer.Weight = stored[i];
            else if (journal is not null)
                layer.Weight = journal.Stored(part, name, layer.Weight);
        }
        // The collector is in no hurry where there is memory, but who leaves a model in its file wants it for something else.
        if (leaves)
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true);
    }
}
