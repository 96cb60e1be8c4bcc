using System.Runtime.InteropServices;
using Coppice.Evaluation;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Cli.Bench;

/// <summary>The products of every weight storage: one row against reading its bytes, more rows against the float32 peak.</summary>
static class KernelBench
{
    public readonly record struct Row(string Kind, string Activations, int Rows, Turns.Rates Rates);

    /// <summary>Weights [outputs, inputs] of random numbers, all kinds that there are.</summary>
    public static IEnumerable<Weight> Weights(int outputs, int inputs)
    {
        float[] values = new float[outputs * inputs];
        Random random = new(1);
        foreach (ref float value in values.AsSpan())
            value = random.NextSingle() - 0.5f;
        yield return new DenseWeight(Tensor.From([outputs, inputs], values));
        yield return HalfWeight.From(HalfFormat.Float16, outputs, inputs, values);
        yield return HalfWeight.From(HalfFormat.BFloat16, outputs, inputs, values);
        yield return BlockWeight.From<Q8_0>(outputs, inputs, values);
        yield return BlockWeight.From<Q4_0>(outputs, inputs, values);
        yield return Blocks<Q4_K>(144, 0, 2);
        yield return Blocks<Q6_K>(210, 208);
        byte[] codes = new byte[values.Length];
        random.NextBytes(codes);
        yield return new IntWeight(8, 128, outputs, inputs, codes, Scales(128), []);
        foreach (ref byte code in codes.AsSpan())
            code &= 15;
        yield return new IntWeight(4, 32, outputs, inputs, codes, Scales(32), []);
        yield return new IntWeight(4, 128, outputs, inputs, codes, Scales(128), [.. Scales(128).Select(_ => (byte)7)]);
        for (int i = 0; i < values.Length; i += 4)
        {
            int first = random.Next(4), second = (first + 1 + random.Next(3)) % 4;
            values[i + first] = values[i + second] = 0;
        }
        yield return TwoFourIntWeight.From(4, 32, outputs, inputs, values, codes, Scales(32), []);
        yield return TwoFourWeight.From(outputs, inputs, values);
        yield return SparseWeight.From(outputs, inputs, values);

        Half[] Scales(int group) => [.. Enumerable.Repeat((Half)0.01f, outputs * (inputs / group))];

        // Any bytes are a block, where the halves among them are of a moderate size.
        BlockWeight<TBlock> Blocks<TBlock>(int bytes, params int[] halves) where TBlock : unmanaged, IBlock<TBlock>
        {
            TBlock[] blocks = new TBlock[values.Length / 256];
            Span<byte> all = MemoryMarshal.AsBytes(blocks.AsSpan());
            random.NextBytes(all);
            for (int i = 0; i < blocks.Length; i++)
                foreach (int half in halves)
                    BitConverter.TryWriteBytes(all[(i * bytes + half)..], (Half)0.01f);
            return new BlockWeight<TBlock>(outputs, inputs, blocks);
        }
    }

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
