using System.Collections.Immutable;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Models.Families;
using Coppice.Tensors;

namespace Coppice.Compression;

/// <summary>Gathers an importance matrix: the sums of squares of what enters each matrix, as the model is.</summary>
public static class ImportanceCollection
{
    /// <summary>Runs a model over token sequences, block after block.</summary>
    /// <param name="model">One that llama.cpp has names for.</param>
    /// <param name="sequences">Each at most the model's context long.</param>
    /// <param name="dataset">What to call the text.</param>
    /// <param name="pool">Threads for the products.</param>
    /// <param name="progress">Told after every block.</param>
    /// <param name="cancel">Stops the run.</param>
    /// <exception cref="CoppiceException">There is no text, llama.cpp has no architecture for the model, or an activation is not finite.</exception>
    public static ImportanceMatrix Gather(DecoderModel model, IReadOnlyList<int[]> sequences, string dataset, WorkerPool pool, IProgress<CompressionProgress>? progress = null, CancellationToken cancel = default)
    {
        if (sequences.Count == 0)
            throw new CoppiceException($"{dataset}: holds no text to gather an importance matrix on");
        Calibration calibration = new(model, sequences, pool);
        Dictionary<MatrixLayer, string> names = model.Matrices().ToDictionary(matrix => matrix.Layer, matrix => matrix.Name);
        Dictionary<string, InputImportance> entries = new(StringComparer.Ordinal);
        for (int i = 0; i < model.Blocks.Count; i++)
        {
            IReadOnlyDictionary<Linear, InputStatistics> inputs = calibration.AdvanceMeasuring(model.Blocks[i], i, cancel);
            foreach (Linear linear in model.Blocks[i].Stages.SelectMany(stage => stage.Matrices))
                Add(linear, inputs.GetValueOrDefault(linear));
            progress?.Report(new CompressionProgress($"block {i}", i + 1, model.Blocks.Count));
        }
        HashSet<MatrixLayer> inBlocks = [.. model.Blocks.SelectMany(block => block.Stages).SelectMany(stage => stage.Matrices)];
        foreach (MatrixLayer layer in names.Keys.Where(layer => !inBlocks.Contains(layer)))
            if (calibration.MeasureHead(layer, Statistics.ColumnNorms, cancel) is { } inputs)
                Add(layer, inputs);
        return new ImportanceMatrix([dataset], sequences.Count, sequences.Max(sequence => sequence.Length), entries.ToImmutableSortedDictionary(StringComparer.Ordinal));

        // An expert that no token was sent to has seen nothing.
        void Add(MatrixLayer layer, InputStatistics? inputs)
        {
            if (inputs?.FirstNonFinite() is >= 0 and int channel)
                throw new CoppiceException($"{names[layer]}: activations are not finite in input channel {channel}; the model is damaged");
            TensorPlace at = DecoderGguf.PlaceOf(model, names[layer]);
            InputImportance own = new([.. Enumerable.Range(0, layer.Weight.Columns).Select(column => inputs is null ? 0 : (float)(inputs.MeanSquare(column) * inputs.Tokens))], [inputs?.Tokens ?? 0]);
            if (!entries.TryGetValue(at.Name, out InputImportance? earlier))
                entries.Add(at.Name, own);
            else if (at.StoredShape is { Length: 3 })
                entries[at.Name] = new InputImportance([.. earlier.SumsOfSquares, .. own.SumsOfSquares], [.. earlier.Counts, .. own.Counts]);
            // Other matrices that llama.cpp stores as one read the same inputs.
        }
    }
}
