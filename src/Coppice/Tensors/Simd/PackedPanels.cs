using System.Runtime.CompilerServices;

namespace Coppice.Tensors.Simd;

/// <summary>Packs plain matrices W [outputs, inputs] for products y = x W^T, a share of the panels on each thread.</summary>
internal static unsafe class PackedPanels
{
    /// <summary>Packs float32 numbers.</summary>
    public static PackedPanels<Float32Panels> Float32(WorkerPool pool, ReadOnlySpan<float> w, int outputs, int inputs)
    {
        PackedPanels<Float32Panels> panels = Room<Float32Panels>(w.Length, outputs, inputs);
        fixed (float* numbers = w)
        {
            FloatJob job = new() { Panels = panels, Numbers = numbers, Parts = PartsOf(pool, panels) };
            pool.Run(job.Parts, ref job);
        }
        return panels;
    }

    /// <summary>Packs IEEE half precision numbers, given as their bits. A file's are read, so that its map takes no memory.</summary>
    public static PackedPanels<Float16Panels> Float16(WorkerPool pool, ReadOnlyMemory<ushort> w, int outputs, int inputs) => Halves<Float16Panels>(pool, w, outputs, inputs);

    /// <summary>Packs bfloat16 numbers, given as their bits. A file's are read, so that its map takes no memory.</summary>
    public static PackedPanels<BFloat16Panels> BFloat16(WorkerPool pool, ReadOnlyMemory<ushort> w, int outputs, int inputs) => Halves<BFloat16Panels>(pool, w, outputs, inputs);

    static PackedPanels<TDecoder> Halves<TDecoder>(WorkerPool pool, ReadOnlyMemory<ushort> w, int outputs, int inputs) where TDecoder : struct, IPanelDecoder
    {
        PackedPanels<TDecoder> panels = Room<TDecoder>(w.Length, outputs, inputs);
        HalfJob<TDecoder> job = new() { Panels = panels, Numbers = w, Parts = PartsOf(pool, panels) };
        pool.Run(job.Parts, ref job);
        return panels;
    }

    static PackedPanels<TDecoder> Room<TDecoder>(int given, int outputs, int inputs) where TDecoder : struct, IPanelDecoder => given == (long)outputs * inputs
        ? new PackedPanels<TDecoder>(outputs, inputs)
        : throw new ArgumentException($"packed weight: {given} numbers for [{outputs}, {inputs}]");

    static int PartsOf<TDecoder>(WorkerPool pool, PackedPanels<TDecoder> panels) where TDecoder : struct, IPanelDecoder => Math.Min(pool.Threads, Math.Max(panels.PanelCount, 1));

    struct FloatJob : IJob
    {
        public PackedPanels<Float32Panels> Panels;
        public float* Numbers;
        public int Parts;

        public readonly void Execute(int part)
        {
            (int first, int count) = Split.Part(Panels.PanelCount, 1, Parts, part);
            for (int panel = first; panel < first + count; panel++)
                Filling<float, Float32Panels>.Panel(Panels, panel, Numbers + (nint)panel * Float32Panels.Lanes * Panels.Inputs);
        }
    }

    struct HalfJob<TDecoder> : IJob where TDecoder : struct, IPanelDecoder
    {
        public PackedPanels<TDecoder> Panels;
        public ReadOnlyMemory<ushort> Numbers;
        public int Parts;

        public readonly void Execute(int part)
        {
            (int first, int count) = Split.Part(Panels.PanelCount, 1, Parts, part);
            int most = TDecoder.Lanes * Panels.Inputs;
            using FileRun<ushort> run = new(Numbers, most);
            for (int panel = first; panel < first + count; panel++)
                fixed (ushort* rows = run.Read(panel * most, Math.Min(most, Numbers.Length - panel * most)))
                    Filling<ushort, TDecoder>.Panel(Panels, panel, rows);
        }
    }

    static class Filling<T, TDecoder> where T : unmanaged where TDecoder : struct, IPanelDecoder
    {
        // Steps at a time, so that what is written stays in the first cache.
        const int Steps = 32;

        public static void Panel(PackedPanels<TDecoder> panels, int panel, T* rows) =>
            Fill(rows, Math.Min(TDecoder.Lanes, panels.Outputs - panel * TDecoder.Lanes), panels.Inputs, (T*)(panels.Start + (nint)panel * panels.PanelBytes));

        // Rows [lanes][inputs] to [inputs][lanes].
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        static void Fill(T* rows, int lanes, int inputs, T* to)
        {
            for (int start = 0; start < inputs; start += Steps)
                for (int lane = 0; lane < lanes; lane++)
                {
                    T* from = rows + (nint)lane * inputs;
                    for (int step = start; step < Math.Min(start + Steps, inputs); step++)
                        to[(nint)step * TDecoder.Lanes + lane] = from[step];
                }
        }
    }
}

/// <summary>
/// A matrix [outputs, inputs] in panels, stored as <typeparamref name="TDecoder"/> reads them. One row of x streams each panel once, and so do
/// a few; more decode a piece of a panel once and use it for all. All give the bits of <see cref="Gemm"/> on the same numbers.
/// </summary>
internal sealed unsafe class PackedPanels<TDecoder> where TDecoder : struct, IPanelDecoder
{
    const int Columns = MicroKernel.PanelColumns;

    // Below this many bytes one thread has read a matrix before another one wakes.
    const long WorthSharing = 256 << 10;

    readonly byte[] memory; // keeps what Start points to

    /// <summary>Room for a matrix; <see cref="Panel"/> takes its bytes, which are zeros at first.</summary>
    public PackedPanels(int outputs, int inputs)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(outputs);
        ArgumentOutOfRangeException.ThrowIfNegative(inputs);
        (Outputs, Inputs) = (outputs, inputs);
        PanelBytes = checked((inputs + TDecoder.BlockSteps - 1) / TDecoder.BlockSteps * TDecoder.BlockBytes);
        Start = PanelMemory.Take(checked(PanelCount * PanelBytes), out memory);
    }

    /// <summary>Rows of the matrix.</summary>
    public int Outputs { get; }

    /// <summary>Columns of the matrix.</summary>
    public int Inputs { get; }

    /// <summary>The first panel, on a cache line's boundary; valid as long as this lives.</summary>
    public byte* Start { get; }

    /// <summary>Panels, the last one padded with zeros.</summary>
    public int PanelCount => (Outputs + TDecoder.Lanes - 1) / TDecoder.Lanes;

    /// <summary>Bytes of a panel.</summary>
    public int PanelBytes { get; }

    /// <summary>The bytes of a panel.</summary>
    public Span<byte> Panel(int panel)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)panel, (uint)PanelCount);
        return new Span<byte>(Start + (nint)panel * PanelBytes, PanelBytes);
    }

    /// <summary>The panel that an output lies in, and its lane there.</summary>
    public byte* At(int output, out int lane)
    {
        lane = output % TDecoder.Lanes;
        return Start + (nint)(output / TDecoder.Lanes) * PanelBytes;
    }

    /// <summary>y = x W^T, for x [rows, inputs] and y [rows, outputs], which do not overlap.</summary>
    public void Multiply(WorkerPool pool, ReadOnlySpan<float> x, int rows, Span<float> y)
    {
        if (rows < 0 || x.Length != (long)rows * Inputs || y.Length != (long)rows * Outputs)
            throw new ArgumentException($"product of [{rows}, {Inputs}] ({x.Length} numbers) and packed [{Outputs}, {Inputs}] into [{rows}, {Outputs}] ({y.Length} numbers)");
        fixed (float* px = x, py = y)
        {
            var job = new Job { Panels = this, X = px, Y = py, Rows = rows, Parts = (long)rows * PanelCount * PanelBytes < WorthSharing ? 1 : pool.Threads };
            pool.Run(job.Parts, ref job);
        }
        GC.KeepAlive(this);
    }

    /// <summary>A part is a band of outputs, or of rows where those are more.</summary>
    struct Job : IJob
    {
        public PackedPanels<TDecoder> Panels;
        public float* X, Y;
        public int Rows, Parts;

        public readonly void Execute(int part)
        {
            int outputs = Panels.Outputs;
            if (Rows == 1)
            {
                var (first, count) = Split.Part(outputs, 4 * Columns, Parts, part);
                RowProduct.Run(Panels, first, count, X, Y + first);
            }
            else if (FewRowsProduct.Pays<TDecoder>(Rows))
            {
                var (first, count) = Split.Part(outputs, 4 * Columns, Parts, part);
                FewRowsProduct.Run(Panels, first, count, X, Rows, Y + first, outputs);
            }
            else if (Rows >= outputs)
            {
                var (row, count) = Split.Part(Rows, MicroKernel.PanelRows, Parts, part);
                Multiply(row, count, 0, outputs);
            }
            else
            {
                var (first, count) = Split.Part(outputs, 2 * Columns, Parts, part);
                Multiply(0, Rows, first, count);
            }
        }

        readonly void Multiply(int row, int rows, int first, int count)
        {
            int inputs = Panels.Inputs, outputs = Panels.Outputs;
            var right = new DecodedPanels<TDecoder>(Panels, first, count);
            var left = Gemm.Left(X + (nint)row * inputs, inputs, Transpose.No);
            GemmLoops.Run(ref right, left, Y + (nint)row * outputs + first, outputs, rows, count, inputs, Accumulate.Overwrite);
        }
    }
}
