using Coppice.Tensors;

namespace Coppice.Compression.Structured;

/// <summary>What calibration saw of a matrix's inputs: moments of each, and products of each two where those are wanted.</summary>
sealed class Inputs(int columns, Statistics kind)
{
    /// <summary>Of each input by itself.</summary>
    public Moments Moments { get; } = new(columns);

    /// <summary>Of each two; null where they were not wanted.</summary>
    public InputStatistics? Products { get; } = kind == Statistics.Gram ? new InputStatistics(columns, Statistics.Gram) : null;

    /// <summary>Adds x [tokens, columns].</summary>
    public void Add(WorkerPool pool, ReadOnlySpan<float> x)
    {
        Moments.Add(x);
        Products?.Add(pool, x);
    }
}
