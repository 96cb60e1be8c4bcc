using Coppice.Evaluation;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Cli.Bench;

/// <summary>The products of every weight storage: one row against reading its bytes, more rows against the float32 peak.</summary>
static class KernelBench
{
    public readonly record struct Row(string Kind, string Activations, int Rows, Turns.Rates Rates);

    /// <summary>Every kind of weight that is timed.</summary>
    public static IReadOnlyList<string> Kinds { get; } =
        ["f32", "f16", "bf16", .. BlockFormat.All.Select(format => format.Name), "int8-g128", "int4-g32", "int4-g128-asym", "2:4-int4-g32", "2:4-f16", "sparse-f16"];

    /// <summary>Weights [outputs, inputs] of random numbers, of the kinds asked for.</summary>
    public static IEnumerable<Weight> Weights(IReadOnlySet<string> kinds, int outputs, int inputs) =>
        Kinds.Where(kinds.Contains).Select(kind => new RandomWeights(outputs, inputs).Of(kind));

    /// <summary>Times a weight's product with <paramref name="rows"/> rows.</summary>
    public static Row Measure(Weight weight, int rows, int rounds, WorkerPool pool, MachineProbe probe, CancellationToken cancel)
    {
        ForwardContext context = new(pool) { Activations = ActivationFormat.Int8 };
        Linear layer = new(weight);
        float[] numbers = new float[rows * weight.Columns];
        Random random = new(2);
        foreach (ref float number in numbers.AsSpan())
            number = random.NextSingle() - 0.5f;
        Tensor x = Tensor.From([rows, weight.Columns], numbers);
        void Product()
        {
            context.Reset();
            layer.Forward(x, context);
        }
        Turns.Rates rates = rows == 1
            ? Turns.Measure(rounds, weight.ByteCount, Product, probe.ReadBytesPerSecond, cancel)
            : Turns.Measure(rounds, 2.0 * rows * weight.Rows * weight.Columns, Product, probe.PeakFlops, cancel);
        return new Row(weight.Kind, weight.Wants == ActivationFormat.Int8 ? "int8" : "f32", rows, rates);
    }
}
