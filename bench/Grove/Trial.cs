using System.Globalization;
using Coppice.Compression;
using Coppice.Evaluation;
using Coppice.Models;

namespace Coppice.Bench;

/// <summary>A recipe over the default model, once for each calibration seed, or once where a seed changes nothing: a row of a table.</summary>
public sealed class Trial
{
    readonly Grove grove;
    readonly List<(Comparison Cost, CompressionReport Report, long Peak)> runs = [];

    /// <summary>Does the work.</summary>
    public Trial(Grove grove, Recipe recipe, int calibrationTokens, IReadOnlyList<int> seeds)
    {
        this.grove = grove;
        foreach (int seed in Grove.Draws(recipe) ? seeds : [seeds[0]])
        {
            // Without a step that looks at it, text still tells the output error.
            IReadOnlyList<int[]> calibration = grove.Calibration(calibrationTokens, seed);
            (CompressionReport report, long peak) = PeakMemory.Of(() => grove.Compress(recipe, calibration, seed));
            runs.Add((grove.Cost(report.Model), report, peak));
        }
    }

    /// <summary>The first run's model as its file has it.</summary>
    public LanguageModel Written => field ??= grove.Written(runs[0].Report.Model);

    /// <summary>Tokens a second, and against the base's; see <see cref="Grove.Speed"/>.</summary>
    public (double TokensPerSecond, double Ratio) Speed => grove.Speed(Written.Model);

    /// <summary>Mean KL divergence, nats a token.</summary>
    public double Kl => runs.Average(run => run.Cost.Kl.Value);

    /// <summary>That of the first run, with its standard error over documents.</summary>
    public Score FirstKl => runs[0].Cost.Kl;

    /// <summary>The standard deviation of KL over seeds; null of one run.</summary>
    public double? KlSpread => Grove.Spread([.. runs.Select(run => run.Cost.Kl.Value)]);

    /// <summary>" ± 0.00123", or nothing.</summary>
    public string? KlSpreadText => KlSpread?.ToString(" ± 0.00000", CultureInfo.InvariantCulture);

    /// <summary>Mean bits a byte of text.</summary>
    public double BitsPerByte => runs.Average(run => run.Cost.Compressed.BitsPerByte.Value);

    /// <summary>Mean share of tokens whose likeliest next one is the base's.</summary>
    public double Top1 => runs.Average(run => run.Cost.Top1Agreement.Value);

    /// <summary>Mean of ||Wx - Qx||^2 / ||Wx||^2 over the matrices that a step edited.</summary>
    public double? OutputError => runs.Average(run => run.Report.Layers.Where(layer => layer.Steps.Length > 0).Average(layer => layer.OutputError));

    /// <summary>Mean seconds of the work.</summary>
    public double Seconds => runs.Average(run => run.Report.Seconds);

    /// <summary>Mean of the most bytes that the work took beyond what the process held.</summary>
    public double PeakBytes => runs.Average(run => run.Peak);

    /// <summary>Stored bits a weight over the matrices that a step edited.</summary>
    public double BitsPerWeight
    {
        get
        {
            LayerResult[] layers = [.. runs[0].Report.Layers.Where(layer => layer.Steps.Length > 0)];
            return 8.0 * layers.Sum(layer => layer.Bytes) / layers.Sum(layer => (double)layer.Rows * layer.Columns);
        }
    }
}
