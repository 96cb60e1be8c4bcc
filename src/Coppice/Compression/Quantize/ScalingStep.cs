using Coppice.Compression.Structured;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Compression.Quantize;

/// <summary>A step that scales the channels between a decoder's matrices, block by block, so that it rounds better and computes what it did. The model itself is changed, and given back.</summary>
public abstract record ScalingStep : ModelStep
{
    // Of fewer tokens than this, which an expert may see, activations say little.
    const int FewestTokens = 32;

    /// <inheritdoc/>
    public override bool NeedsCalibration => true;

    /// <summary>What is gathered of inputs beside their sizes.</summary>
    private protected abstract Statistics Needs { get; }

    /// <summary>A factor for each channel, or null where all stay; and what to note of it.</summary>
    private protected abstract (double[]? Factors, string Note) Choose(ScalableInputs inputs, SeenInputs seen, ModelWork work);

    /// <summary>Throws where the step does not fit the matrices.</summary>
    private protected virtual void Check(string matrix, Linear reader)
    {
    }

    /// <inheritdoc/>
    public sealed override Model Apply(ModelWork work)
    {
        if (work.Model is not DecoderModel model)
            throw new CoppiceException($"{Key} scales decoders, and this is a {work.Model.Family} model");
        if (work.Calibration.Count == 0)
            throw new CoppiceException($"{Key} needs calibration text and there is none");
        Dictionary<MatrixLayer, string> names = model.Matrices().GroupBy(matrix => matrix.Layer).ToDictionary(group => group.Key, group => group.First().Name);
        foreach (Linear reader in model.Blocks.SelectMany(ScalableInputs.Of).SelectMany(inputs => inputs.Readers))
            Check(names[reader], reader);
        List<ScalableInputs> scalable = [];
        Dictionary<Linear, SeenInputs> seen = [];
        new BlockWalk(model, work)
        {
            Entered = layer =>
            {
                scalable = [.. ScalableInputs.Of(model.Blocks[layer])];
                foreach (ScalableInputs inputs in scalable)
                    seen.Add(inputs.Readers[0], new SeenInputs(inputs.Readers[0].Weight.Columns, Needs));
            },
            Reads = (_, linear, x) => seen.GetValueOrDefault(linear)?.Add(work.Pool, x.Data),
            Left = _ =>
            {
                // All choices before any change: what one scales another reads.
                List<(ScalableInputs Inputs, double[] Factors)> chosen = [];
                foreach (ScalableInputs inputs in scalable)
                {
                    string name = names[inputs.Readers[0]];
                    SeenInputs own = seen[inputs.Readers[0]];
                    if (own.Tokens < FewestTokens)
                    {
                        work.Warnings.Add($"{name}: {own.Tokens} calibration tokens reach it, fewer than {FewestTokens}: its inputs were not scaled");
                        continue;
                    }
                    (double[]? factors, string note) = Choose(inputs, own, work);
                    work.Notes.Add($"{name}: {note}");
                    if (factors is not null)
                        chosen.Add((inputs, factors));
                }
                foreach ((ScalableInputs inputs, double[] factors) in chosen)
                    inputs.Apply(factors);
                seen.Clear();
            },
        }.Run();
        return model;
    }
}

/// <summary>How large a matrix's inputs are over the tokens that were seen, and products of each two where those are wanted.</summary>
sealed class SeenInputs(int columns, Statistics kind)
{
    readonly double[] magnitudes = new double[columns], largest = new double[columns];

    public long Tokens { get; private set; }

    /// <summary>Of each two; null where they were not wanted.</summary>
    public InputStatistics? Products { get; } = kind == Statistics.Gram ? new InputStatistics(columns, Statistics.Gram) : null;

    public double MeanMagnitude(int column) => magnitudes[column] / Math.Max(1, Tokens);

    public double Largest(int column) => largest[column];

    /// <summary>Adds x [tokens, columns].</summary>
    public void Add(WorkerPool pool, ReadOnlySpan<float> x)
    {
        for (int start = 0; start < x.Length; start += columns)
            for (int j = 0; j < columns; j++)
            {
                float size = Math.Abs(x[start + j]);
                magnitudes[j] += size;
                largest[j] = Math.Max(largest[j], size);
            }
        Tokens += x.Length / columns;
        Products?.Add(pool, x);
    }
}
