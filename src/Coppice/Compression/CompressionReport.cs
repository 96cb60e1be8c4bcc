using System.Collections.Immutable;
using Coppice.Models;

namespace Coppice.Compression;

/// <summary>What became of one matrix.</summary>
/// <param name="Name">Its full name, without <c>.weight</c>.</param>
/// <param name="Steps">The keys of the steps that it got; none where it was left alone.</param>
/// <param name="Kind">How it is stored now.</param>
/// <param name="Rows">Outputs.</param>
/// <param name="Columns">Inputs.</param>
/// <param name="Bytes">Stored bytes, with scales and masks.</param>
/// <param name="BitsPerWeight">Stored bits a weight, with scales and masks.</param>
/// <param name="Sparsity">The share of stored numbers that are 0.</param>
/// <param name="WeightError">||W - Q||^2 / ||W||^2, of the last pass that it was in.</param>
/// <param name="OutputError">||W x - Q x||^2 / ||W x||^2 over the calibration inputs; null where none were measured.</param>
/// <param name="Seconds">Time of its own steps, statistics not included.</param>
/// <param name="Warnings">What the user should know.</param>
public sealed record LayerResult(string Name, ImmutableArray<string> Steps, string Kind, int Rows, int Columns, long Bytes, double BitsPerWeight,
    double Sparsity, double WeightError, double? OutputError, double Seconds, ImmutableArray<string> Warnings)
{
    /// <summary>Calibration tokens that its statistics are of: fewer than all for an expert; null where none were measured.</summary>
    public long? Tokens { get; init; }
}

/// <summary>What a recipe did to a model.</summary>
/// <param name="Recipe">The recipe's canonical YAML.</param>
/// <param name="Layers">Every matrix, in the order in which they were worked on.</param>
/// <param name="CalibrationTokens">Tokens of text that the step that read most of it read in this run.</param>
/// <param name="BytesBefore">The model's stored bytes before.</param>
/// <param name="BytesAfter">The model's stored bytes now, vectors included.</param>
/// <param name="BitsPerWeight">Stored bits a parameter now, everything included.</param>
/// <param name="Sparsity">The share of all matrices' numbers that are 0.</param>
/// <param name="ResumedBlocks">Blocks, and matrices outside them, that an earlier, interrupted run had done.</param>
/// <param name="Seconds">Time of this run.</param>
public sealed record CompressionReport(string Recipe, ImmutableArray<LayerResult> Layers, long CalibrationTokens, long BytesBefore, long BytesAfter,
    double BitsPerWeight, double Sparsity, int ResumedBlocks, double Seconds)
{
    /// <summary>The compressed model: the one that was given, with other matrices, unless a step made another.</summary>
    public required Model Model { get; init; }

    /// <summary>The most bytes of scores that were held for steps that look at the whole model before they prune.</summary>
    public long ScoreBytes { get; init; }

    /// <summary>What steps over the whole model did, a line each.</summary>
    public ImmutableArray<string> Notes { get; init; } = [];

    /// <summary>What the user should know about those.</summary>
    public ImmutableArray<string> ModelWarnings { get; init; } = [];

    /// <summary>The same with kinds and bytes of the model as a file holds it, which are others where its format has no such form.</summary>
    public CompressionReport As(Model written)
    {
        Dictionary<string, Weights.Weight> matrices = written.Matrices().ToDictionary(matrix => matrix.Name, matrix => matrix.Layer.Weight);
        return this with
        {
            Layers = [.. Layers.Select(layer => matrices.TryGetValue(layer.Name, out Weights.Weight? weight) ? layer with { Kind = weight.Kind, Bytes = weight.ByteCount, BitsPerWeight = weight.BitsPerWeight } : layer)],
            BytesAfter = written.ByteCount,
            BitsPerWeight = written.BitsPerWeight,
        };
    }

    /// <summary>All warnings.</summary>
    public IEnumerable<string> Warnings => [.. ModelWarnings, .. Layers.SelectMany(layer => layer.Warnings)];
}

/// <summary>How far a run is: <paramref name="Done"/> of <paramref name="Total"/> matrices, the last of them <paramref name="Layer"/>.</summary>
public readonly record struct CompressionProgress(string Layer, int Done, int Total);
