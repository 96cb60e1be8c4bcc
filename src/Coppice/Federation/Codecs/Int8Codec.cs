using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
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
public sealed class Int8Codec(Int8Rounding rounding = Int8Rounding.Stochastic) : PositionalCodec
{
    /// <summary>Numbers that share a scale; the last run of a tensor may be shorter.</summary>
    public const int RunLength = Alignment;

    // Runs that are read from a message at a time.
    const int ReadRuns = 64;

    /// <inheritdoc/>
    public override string Name => rounding == Int8Rounding.Stochastic ? "int8" : "int8-feedback";

    /// <inheritdoc/>
    public override CodecTraits Traits => rounding == Int8Rounding.Stochastic ? CodecTraits.Unbiased : CodecTraits.Stateful;

    /// <inheritdoc/>
    public override UpdateKind Kind => UpdateKind.Delta;

    /// <inheritdoc/>
    public override IReadOnlyList<TensorSource> Encode(ParameterSet received, ParameterSet trained, ParameterSet? memory, Random random)
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
            sources.Add(TensorSource.Raw<float>(ScalesOf(name), DType.F32, [scales.Length], scales));
        }
        return sources;
    }

    /// <inheritdoc/>
    protected override IEnumerable<(string Name, DType Type, Shape Shape)> Parts(string name, Shape shape) => [(name, DType.I8, shape), (ScalesOf(name), DType.F32, [RunsOf(shape)])];

    /// <inheritdoc/>
    public override void Decode(SafeTensors message, string name, int first, Span<float> values)
    {
        Span<sbyte> codes = stackalloc sbyte[ReadRuns * RunLength];
        Span<float> scales = stackalloc float[ReadRuns];
        TensorEntry coded = message.Find(name), scaled = message.Find(ScalesOf(name));
        for (int at = 0; at < values.Length; at += codes.Length)
        {
            Span<float> part = values.Slice(at, Math.Min(codes.Length, values.Length - at));
            Span<sbyte> own = codes[..part.Length];
            Span<float> steps = scales[..((part.Length + RunLength - 1) / RunLength)];
            coded.ReadBytes(first + at, MemoryMarshal.AsBytes(own));
            scaled.ReadFinite((first + at) / RunLength, steps);
            if (own.Contains(sbyte.MinValue))
                throw FormatError.At(message.Path, $"tensor '{name}' holds -128, wanted -127 to 127");
            for (int i = 0; i < steps.Length; i++)
            {
                if (!(steps[i] >= 0 && float.IsFinite(steps[i] * 127)))
                    throw FormatError.At(message.Path, $"tensor '{ScalesOf(name)}' holds {steps[i]}, wanted 0 or more and finite numbers");
                Range range = RunAt(i, part.Length);
                Unpack(own[range], steps[i], part[range]);
            }
        }
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
        if (random is null)
            Round(values, scale, codes);
        else
            Round(values, scale, most, (ulong)random.NextInt64(), codes);
        return scale;
    }

    // To nearest, ties to even.
    static void Round(ReadOnlySpan<float> values, float scale, Span<sbyte> codes)
    {
        int i = 0;
        for (; i <= values.Length - Vector128<sbyte>.Count; i += Vector128<sbyte>.Count)
            Store(Vector512.Round(Steps(values, i, scale)), Vector512.Round(Steps(values, i + Vector512<double>.Count, scale)), codes[i..]);
        for (; i < values.Length; i++)
            codes[i] = (sbyte)Math.Round(values[i] / (double)scale);
    }

    // Number i goes up with the probability of its distance from below, as SplitMix64's output i decides.
    static void Round(ReadOnlySpan<float> values, float scale, int most, ulong seed, Span<sbyte> codes)
    {
        Vector512<double> end = Vector512.Create((double)most);
        int i = 0;
        for (; i <= values.Length - Vector128<sbyte>.Count; i += Vector128<sbyte>.Count)
            Store(Up(values, i), Up(values, i + Vector512<double>.Count), codes[i..]);
        for (; i < values.Length; i++)
            codes[i] = (sbyte)Math.Min(most, Math.Floor(values[i] / (double)scale + SplitMix.Unit(seed, (ulong)i)));

        Vector512<double> Up(ReadOnlySpan<float> values, int at) => Vector512.Min(Vector512.Floor(Steps(values, at, scale) + SplitMix.Units(seed, (ulong)at)), end);
    }

    static Vector512<double> Steps(ReadOnlySpan<float> values, int at, float scale)
    {
        (Vector256<double> low, Vector256<double> high) = Vector256.Widen(Vector256.Create(values.Slice(at, Vector256<float>.Count)));
        return Vector512.Create(low, high) / Vector512.Create((double)scale);
    }

    static void Store(Vector512<double> low, Vector512<double> high, Span<sbyte> codes)
    {
        Vector512<int> whole = Vector512.ConvertToInt32(Vector512.Narrow(low, high));
        Vector256<short> narrow = Vector256.Narrow(whole.GetLower(), whole.GetUpper());
        Vector128.Narrow(narrow.GetLower(), narrow.GetUpper()).CopyTo(codes);
    }

    /// <summary>codes * scale.</summary>
    internal static void Unpack(ReadOnlySpan<sbyte> codes, float scale, Span<float> values)
    {
        ref sbyte source = ref MemoryMarshal.GetReference(codes);
        int i = 0;
        for (; i <= codes.Length - Vector128<sbyte>.Count; i += Vector128<sbyte>.Count)
        {
            (Vector128<short> low, Vector128<short> high) = Vector128.Widen(Vector128.LoadUnsafe(ref source, (nuint)i));
            Store(low, values[i..]);
            Store(high, values[(i + Vector128<short>.Count)..]);
        }
        for (; i < codes.Length; i++)
            values[i] = codes[i] * scale;

        void Store(Vector128<short> steps, Span<float> target)
        {
            (Vector128<int> low, Vector128<int> high) = Vector128.Widen(steps);
            (Vector128.ConvertToSingle(low) * scale).CopyTo(target);
            (Vector128.ConvertToSingle(high) * scale).CopyTo(target[Vector128<int>.Count..]);
        }
    }

    static string ScalesOf(string name) => name + ".scale";

    static int RunsOf(Shape shape) => (shape.Length + RunLength - 1) / RunLength;

    static Range RunAt(int index, int length) => (index * RunLength)..Math.Min(length, (index + 1) * RunLength);
}
