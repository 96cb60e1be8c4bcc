using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using Coppice.Formats;
using Coppice.Tensors;
using Tensor = Coppice.Tensors.Tensor;

namespace Coppice.Federation.Codecs;

/// <summary>How a number between two steps of the grid becomes one of them.</summary>
public enum Int8Rounding
{
    /// <summary>Up with the probability of its distance from below: unbiased, nothing to keep (Alistarh et al. 2017).</summary>
    Stochastic,

    /// <summary>To nearest; what was lost is kept by the client and added to its next delta (Karimireddy et al. 2019).</summary>
    ErrorFeedback,
}

/// <summary>
/// The delta in 8 bits: each run of 256 numbers has a float32 scale s = max|x| / 127 and whole numbers q in -127..127 that stand for q s.
/// Tensors <c>NAME</c> (I8, the parameter's shape) and <c>NAME.scale</c> (F32, one a run). Stochastic rounding is the default: it needs no state, so
/// clients that take part seldom add no stale error, and its noise shrinks with the number of clients.
/// </summary>
public sealed class Int8Codec(Int8Rounding rounding = Int8Rounding.Stochastic) : ICodec
{
    /// <summary>Numbers that share a scale; the last run of a tensor may be shorter.</summary>
    public const int RunLength = 256;

    /// <inheritdoc/>
    public string Name => rounding == Int8Rounding.Stochastic ? "int8" : "int8-feedback";

    /// <inheritdoc/>
    public CodecTraits Traits => rounding == Int8Rounding.Stochastic ? CodecTraits.Unbiased : CodecTraits.Stateful;

    /// <inheritdoc/>
    public UpdateKind Kind => UpdateKind.Delta;

    /// <inheritdoc/>
    public IReadOnlyList<TensorSource> Encode(ParameterSet received, ParameterSet trained, ParameterSet? memory, Random random)
    {
        List<TensorSource> sources = [];
        float[] run = new float[RunLength], restored = new float[RunLength];
        foreach ((string name, Tensor after) in trained.Tensors)
        {
            sbyte[] codes = new sbyte[after.Shape.Length];
            float[] scales = new float[RunsOf(after.Shape)];
            for (int i = 0; i < scales.Length; i++)
            {
                Range range = RunAt(i, codes.Length);
                Span<float> p = run.AsSpan(0, range.End.Value - range.Start.Value);
                TensorPrimitives.Subtract(after.Data[range], received.Tensors[name].Data[range], p);
                if (memory is null)
                {
                    scales[i] = Pack(p, random, codes.AsSpan(range));
                    continue;
                }
                // p = D + e; send C(p); e = p - C(p)
                Span<float> e = memory.Tensors[name].Data[range], c = restored.AsSpan(0, p.Length);
                TensorPrimitives.Add<float>(p, e, p);
                scales[i] = Pack(p, null, codes.AsSpan(range));
                Unpack(codes.AsSpan(range), scales[i], c);
                TensorPrimitives.Subtract<float>(p, c, e);
            }
            sources.Add(TensorSource.Raw<sbyte>(name, DType.I8, [.. after.Shape.Select(size => (long)size)], codes));
            sources.Add(TensorSource.Raw<float>(name + ".scale", DType.F32, [scales.Length], scales));
        }
        return sources;
    }

    /// <inheritdoc/>
    public ParameterSet Decode(SafeTensors message, ParameterSet model)
    {
        CodecChecks.Check(message, model.Tensors.SelectMany(part => new[]
        {
            (part.Key, DType.I8, part.Value.Shape),
            (part.Key + ".scale", DType.F32, [RunsOf(part.Value.Shape)]),
        }));
        return model.Map((name, like) =>
        {
            ReadOnlySpan<sbyte> codes = MemoryMarshal.Cast<byte, sbyte>(message.Find(name).ToBytes());
            ReadOnlySpan<float> scales = message.ReadTensor(name + ".scale").Data;
            if (codes.Contains(sbyte.MinValue))
                throw FormatError.At(message.Path, $"tensor '{name}' holds -128, wanted -127 to 127");
            Tensor delta = new(like.Shape);
            for (int i = 0; i < scales.Length; i++)
            {
                if (!(scales[i] >= 0 && float.IsFinite(scales[i] * 127)))
                    throw FormatError.At(message.Path, $"tensor '{name}.scale' holds {scales[i]}, wanted 0 or more and finite numbers");
                Range range = RunAt(i, codes.Length);
                Unpack(codes[range], scales[i], delta.Data[range]);
            }
            return delta;
        });
    }

    /// <summary>Packs one run into codes of -<paramref name="most"/>..<paramref name="most"/> and returns its scale; rounds to nearest, ties to even, without <paramref name="random"/>.</summary>
    internal static float Pack(ReadOnlySpan<float> values, Random? random, Span<sbyte> codes, int most = 127)
    {
        double largest = Math.Abs((double)TensorPrimitives.MaxMagnitude(values));
        if (!double.IsFinite(largest))
            throw new CoppiceException($"Federation: a delta of {largest}; the local training diverged");
        float scale = (float)(largest / most);
        // Never below the exact quotient, so that no number is cut off at the end and the mean stays right.
        if (scale * (double)most < largest)
            scale = MathF.BitIncrement(scale);
        if (scale == 0)
        {
            codes.Clear();
            return 0;
        }
        for (int i = 0; i < values.Length; i++)
        {
            double steps = values[i] / (double)scale;
            codes[i] = (sbyte)(random is null ? Math.Round(steps) : Math.Min(most, Math.Floor(steps + random.NextDouble())));
        }
        return scale;
    }

    /// <summary>codes * scale.</summary>
    internal static void Unpack(ReadOnlySpan<sbyte> codes, float scale, Span<float> values)
    {
        for (int i = 0; i < codes.Length; i++)
            values[i] = codes[i] * scale;
    }

    static int RunsOf(Shape shape) => (shape.Length + RunLength - 1) / RunLength;

    static Range RunAt(int index, int length) => (index * RunLength)..Math.Min(length, (index + 1) * RunLength);
}
