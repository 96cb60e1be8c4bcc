using Coppice.Tensors;

namespace Coppice.Compression.Structured;

/// <summary>What calibration saw of a feed-forward part's neurons: moments of each, and products of each two where those are wanted.</summary>
sealed class NeuronInputs(int neurons, Statistics kind)
{
    /// <summary>Of each neuron by itself.</summary>
    public Moments Moments { get; } = new(neurons);

    /// <summary>Of each two; null where they were not wanted.</summary>
    public InputStatistics? Products { get; } = kind == Statistics.Gram ? new InputStatistics(neurons, Statistics.Gram) : null;

    /// <summary>Adds activations [tokens, neurons].</summary>
    public void Add(WorkerPool pool, ReadOnlySpan<float> x)
    {
        Moments.Add(x);
        Products?.Add(pool, x);
    }
}
