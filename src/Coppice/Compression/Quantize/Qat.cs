using System.Collections.Immutable;
using System.Globalization;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Training;
using Coppice.Training.Quantized;
using Coppice.Weights;

namespace Coppice.Compression.Quantize;

/// <summary>Trains the model while its matrices are rounded, with a learned step for each group, and stores the integers that it ends with (Esser et al. 2020). All other numbers train beside them.</summary>
public sealed record Qat : TrainingStep
{
    /// <inheritdoc/>
    public override string Key => "qat";

    /// <inheritdoc/>
    public override bool TakesTargets => true;

    /// <summary>How the matrices are rounded; which is told by the step's targets.</summary>
    public QuantizedTraining Grid { get; init; } = new();

    /// <summary>Above 0, half of the loss is on embeddings that are shifted by this, over their root mean square, to where the loss grows.</summary>
    public double Adversarial { get; init; }

    private protected override IEnumerable<(string Name, string Value)> Method =>
    [
        ("bits", Number(Grid.Bits)), ("groupSize", Number(Grid.GroupSize)), ("symmetric", Grid.Symmetric ? "true" : "false"),
        ("start", Grid.Start == StepStart.SquaredError ? "squaredError" : "meanSize"),
        ("adversarial", Number(Adversarial)), ("noise", Number(Grid.Noise)), ("jitter", Number(Grid.Jitter)),
    ];

    internal static Qat Read(OptionReader options)
    {
        QuantizedTraining defaults = new();
        int groupSize = options.Int("groupSize", defaults.GroupSize, IntWeight.WholeRow, 1 << 20);
        return groupSize == 0 ? throw options.Wrong("groupSize", $"{IntWeight.WholeRow} for whole rows, or 1 and more") : Read(options, new Qat()) with
        {
            Grid = new QuantizedTraining
            {
                Bits = options.Int("bits", defaults.Bits, 2, 8),
                GroupSize = groupSize,
                Symmetric = options.Choice("symmetric", defaults.Symmetric, ("true", true), ("false", false)),
                Start = options.Choice("start", defaults.Start, ("squaredError", StepStart.SquaredError), ("meanSize", StepStart.MeanSize)),
                Noise = options.Between("noise", defaults.Noise, -1e-9, double.PositiveInfinity),
                Jitter = options.Between("jitter", defaults.Jitter, -1e-9, 1),
            },
            Adversarial = options.Between("adversarial", 0, -1e-9, double.PositiveInfinity),
        };
    }

    internal override IReadOnlyList<string> Quantizes(Model model, string place)
    {
        IReadOnlyList<(string Name, MatrixLayer Layer)> chosen = MatrixTargets.Chosen(model, Targets, Ignore, place);
        foreach ((string name, MatrixLayer layer) in chosen)
            if (QuantizeStep.RefusesGroups(Grid.GroupSize, layer.Weight.Columns) is { } reason)
                throw new CoppiceException($"{place}: {name} {layer.Weight.Shape}: {reason}");
        return [.. chosen.Select(matrix => matrix.Name)];
    }

    private protected override TrainingOptions With(Model model, TrainingOptions options) => options with
    {
        Quantization = Grid with { Matrices = [.. Quantizes(model, Key)], Noise = Math.Max(0, Grid.Noise), Jitter = Math.Max(0, Grid.Jitter) },
        Adversarial = Math.Max(0, Adversarial),
    };

    private protected override (string What, string How) Finish(Model model, WorkerPool pool) =>
        (string.Create(CultureInfo.InvariantCulture, $"int{Grid.Bits} matrices and all other numbers"), "");
}
