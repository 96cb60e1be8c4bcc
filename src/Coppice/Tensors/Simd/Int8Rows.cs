using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Coppice.Tensors.Simd;

/// <summary>
/// Rows of float32 numbers rounded for integer products: 32 neighbours of a row share a scale, x = q max|x| / 127 with q from -127 to 127, ties to even; with a range that is given, all
/// have that in place of their max|x|, and numbers beyond it are cut off.
/// Reusable: a second fill of the same size allocates nothing.
/// </summary>
internal sealed unsafe class Int8Rows
{
    /// <summary>The range that stands for each group's own.</summary>
    public const float OwnRange = 0;

    /// <summary>Numbers that share a scale.</summary>
    public const int Group = 32;

    // Rows are padded with zeros to whole blocks of the panels that they meet, and lie an odd number of cache lines apart, so that those of a tile do not contend
    // for the same places of the first cache.
    const int Padding = 256, Alignment = 64;

    // Below this many numbers one thread has rounded them before another one wakes.
    const long WorthSharing = 1 << 14;

    byte[] memory = [];
    sbyte* codes;
    byte* raised;
    short* wide;
    float* scales, sums;
    int* biases, biases16;

    /// <summary>How many rows.</summary>
    public int Count { get; private set; }

    /// <summary>Numbers in a row.</summary>
    public int Columns { get; private set; }

    /// <summary>Where the rows lie.</summary>
    public Int8Pointers Pointers => new(codes, raised, wide, scales, sums, biases, biases16, Stride);

    int Padded => (Columns + Padding - 1) / Padding * Padding;

    int Stride => Padded + Alignment;

    /// <summary>Rounds x [count, columns], each group by its largest number or all within a range.</summary>
    public void Fill(WorkerPool pool, ReadOnlySpan<float> x, int count, int columns, float range = OwnRange)
    {
        if (x.Length != (long)count * columns)
            throw new ArgumentException($"Int8Rows: {x.Length} numbers for [{count}, {columns}]");
        (Count, Columns) = (count, columns);
        // Tiles take an even number of rows.
        Reserve((count + 1L) / 2 * 2 * Stride);
        fixed (float* px = x)
        {
            var job = new Job { Rows = this, X = px, Range = range, Parts = (int)Math.Min(x.Length < WorthSharing ? 1 : pool.Threads, Math.Max(count, 1)) };
            pool.Run(job.Parts, ref job);
        }
    }

    void Reserve(long numbers)
    {
        // A number takes a byte, another one raised, two more as 16 bits, and a 32nd of five 4-byte numbers.
        long bytes = 4 * numbers + numbers / Group * 20 + Alignment;
        if (memory.Length < bytes)
            memory = GC.AllocateUninitializedArray<byte>(checked((int)bytes), pinned: true);
        byte* start = (byte*)(((nint)Unsafe.AsPointer(ref memory[0]) + Alignment - 1) & -Alignment);
        codes = (sbyte*)start;
        raised = (byte*)(start + numbers);
        wide = (short*)(start + 2 * numbers);
        scales = (float*)(start + 4 * numbers);
        sums = scales + numbers / Group;
        biases = (int*)(sums + numbers / Group);
        biases16 = biases + numbers / Group;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    void FillRow(float* x, int row, float range)
    {
        float* padded = stackalloc float[Group];
        int stride = Stride;
        for (int group = 0; group < Padded / Group; group++)
        {
            long at = (long)row * stride + group * Group;
            float* from = x + group * Group;
            int count = Math.Clamp(Columns - group * Group, 0, Group);
            if (count < Group)
            {
                new Span<float>(padded, Group).Clear();
                new ReadOnlySpan<float>(from, count).CopyTo(new Span<float>(padded, Group));
                from = padded;
            }
            int first, sum;
            scales[at / Group] = SimdLevel.Active == SimdLevel.Scalar
                ? RoundScalar(from, range, codes + at, out first, out sum)
                : RoundVectors(from, range, codes + at, out first, out sum);
            if (Count == 1)
                Widen(codes + at, wide + at);
            else
                Raise(codes + at, raised + at);
            sums[at / Group] = -scales[at / Group] * sum;
            biases[at / Group] = -8 * sum;
            biases16[2 * at / Group] = -32 * first;
            biases16[2 * at / Group + 1] = -32 * (sum - first);
        }
    }

    // Adding 1.5 * 2^23 leaves the number, rounded to nearest, in the low bits.
    const float Magic = 12582912f;

    static float RoundScalar(float* x, float range, sbyte* codes, out int first, out int sum)
    {
        float max = 0;
        for (int i = 0; i < Group; i++)
            max = MathF.Max(max, MathF.Abs(x[i]));
        max = range == OwnRange ? max : range;
        float inverse = max > 0 ? 127 / max : 0;
        first = sum = 0;
        for (int i = 0; i < Group; i++)
        {
            codes[i] = (sbyte)BitConverter.SingleToInt32Bits(Math.Clamp(x[i], -max, max) * inverse + Magic);
            sum += codes[i];
            first += i < Group / 2 ? codes[i] : 0;
        }
        return max / 127;
    }

    // first: the sum of the first 16.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static float RoundVectors(float* x, float range, sbyte* codes, out int first, out int sum)
    {
        Vector256<float> a = Vector256.Load(x), b = Vector256.Load(x + 8), c = Vector256.Load(x + 16), d = Vector256.Load(x + 24);
        Vector256<float> larger = Vector256.Max(Vector256.Max(Vector256.Abs(a), Vector256.Abs(b)), Vector256.Max(Vector256.Abs(c), Vector256.Abs(d)));
        Vector128<float> four = Vector128.Max(larger.GetLower(), larger.GetUpper());
        four = Vector128.Max(four, Vector128.Shuffle(four, Vector128.Create(2, 3, 0, 1)));
        float max = Vector128.Max(four, Vector128.Shuffle(four, Vector128.Create(1, 0, 3, 2)))[0];
        if (range != OwnRange)
        {
            max = range;
            Vector256<float> most = Vector256.Create(max), least = Vector256.Create(-max);
            (a, b, c, d) = (Vector256.Min(Vector256.Max(a, least), most), Vector256.Min(Vector256.Max(b, least), most), Vector256.Min(Vector256.Max(c, least), most), Vector256.Min(Vector256.Max(d, least), most));
        }
        float inverse = max > 0 ? 127 / max : 0;
        Vector256<float> factor = Vector256.Create(inverse), magic = Vector256.Create(Magic);
        Vector256<short> low = Vector256.Narrow((a * factor + magic).AsInt32(), (b * factor + magic).AsInt32());
        Vector256<short> high = Vector256.Narrow((c * factor + magic).AsInt32(), (d * factor + magic).AsInt32());
        Vector256<sbyte> rounded = Vector256.Narrow(low, high);
        rounded.Store(codes);
        if (Avx2.IsSupported)
        {
            // Of every eight bytes the sum, without signs: 128 more each.
            Vector256<ushort> eights = Avx2.SumAbsoluteDifferences(rounded.AsByte() ^ Vector256.Create((byte)128), Vector256<byte>.Zero);
            first = eights[0] + eights[4] - Group / 2 * 128;
            sum = first + eights[8] + eights[12] - Group / 2 * 128;
        }
        else
        {
            first = Vector256.Sum(low << 8 >> 8);
            sum = first + Vector256.Sum(high << 8 >> 8);
        }
        return max / 127;
    }

    // Of every four the second and the third change places.
    static void Widen(sbyte* codes, short* wide)
    {
        Vector256<sbyte> all = Vector256.Load(codes);
        Vector256<short> swap = Vector256.Create(0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15);
        Vector256.Store(Vector256.Shuffle(Vector256.WidenLower(all), swap), wide);
        Vector256.Store(Vector256.Shuffle(Vector256.WidenUpper(all), swap), wide + 16);
    }

    static void Raise(sbyte* codes, byte* raised)
    {
        for (int i = 0; i < Group; i += sizeof(ulong))
            *(ulong*)(raised + i) = *(ulong*)(codes + i) ^ 0x8080808080808080;
    }

    struct Job : IJob
    {
        public Int8Rows Rows;
        public float* X;
        public float Range;
        public int Parts;

        public readonly void Execute(int part)
        {
            var (first, count) = Split.Part(Rows.Count, 1, Parts, part);
            for (int row = first; row < first + count; row++)
                Rows.FillRow(X + (nint)row * Rows.Columns, row, Range);
        }
    }
}

/// <summary>Rounded rows as the kernels read them; a row's codes are <paramref name="stride"/> apart, what belongs to 32 of them <paramref name="stride"/> / 32.</summary>
/// <param name="codes">q.</param>
/// <param name="raised">q + 128, without a sign; where there are several rows.</param>
/// <param name="wide">q as 16 bits, where there is one row; of every four the second and the third have changed places, so that pairs are the even and the odd ones.</param>
/// <param name="scales">One for 32 codes.</param>
/// <param name="sums">-scale * the sum of 32 codes.</param>
/// <param name="biases">-8 * the sum of 32 codes.</param>
/// <param name="biases16">-32 * the sum of 16 codes.</param>
/// <param name="stride">Codes from one row to the next.</param>
internal readonly unsafe struct Int8Pointers(sbyte* codes, byte* raised, short* wide, float* scales, float* sums, int* biases, int* biases16, int stride)
{
    public readonly sbyte* Codes = codes;
    public readonly byte* Raised = raised;
    public readonly short* Wide = wide;
    public readonly float* Scales = scales, Sums = sums;
    public readonly int* Biases = biases, Biases16 = biases16;
    public readonly int Stride = stride;

    /// <summary>What a group's products are too large by where the code <see cref="IIntegerPanels.Zero"/> stands for zero, with the other sign: -zero * the sum of the codes of the group that begins at <paramref name="step"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Bias<TP>(int step) where TP : struct, IIntegerPanels =>
        TP.GroupSteps == 16 ? (Biases16[(uint)step / 16] >> 5) * TP.Zero : (Biases[(uint)step / Int8Rows.Group] >> 3) * TP.Zero;

    /// <summary>-scale * the sum of the codes of the group that begins at <paramref name="step"/>; nothing where there are no offsets.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public float Sum<TP>(nint step) where TP : struct, IIntegerPanels =>
        !TP.HasOffsets ? 0 : TP.GroupSteps == 16 ? Scales[(nuint)step / Int8Rows.Group] * (Biases16[(nuint)step / 16] >> 5) : Sums[(nuint)step / Int8Rows.Group];

    /// <summary>The rows from <paramref name="row"/> on, from <paramref name="step"/> on, a multiple of 32.</summary>
    public Int8Pointers From(int row, int step = 0)
    {
        nint at = (nint)row * Stride + step, group = at / Int8Rows.Group;
        return new Int8Pointers(Codes + at, Raised + at, Wide + at, Scales + group, Sums + group, Biases + group, Biases16 + 2 * group, Stride);
    }
}
