using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Coppice.Tensors.Simd;

/// <summary>Packs plain matrices W [outputs, inputs] for products y = x W^T.</summary>
internal static class PackedPanels
{
    /// <summary>Packs float32 numbers.</summary>
    public static PackedPanels<Float32Panels> Float32(ReadOnlySpan<float> w, int outputs, int inputs)
    {
        var panels = new PackedPanels<Float32Panels>(outputs, inputs);
        Pack(w, outputs, inputs, panels);
        return panels;
    }

    /// <summary>Packs IEEE half precision numbers.</summary>
    public static PackedPanels<Float16Panels> Float16(ReadOnlySpan<Half> w, int outputs, int inputs)
    {
        var panels = new PackedPanels<Float16Panels>(outputs, inputs);
        Pack(w, outputs, inputs, panels);
        return panels;
    }

    /// <summary>Packs bfloat16 numbers, given as their bits.</summary>
    public static PackedPanels<BFloat16Panels> BFloat16(ReadOnlySpan<ushort> w, int outputs, int inputs)
    {
        var panels = new PackedPanels<BFloat16Panels>(outputs, inputs);
        Pack(w, outputs, inputs, panels);
        return panels;
    }

    static void Pack<T, TDecoder>(ReadOnlySpan<T> w, int outputs, int inputs, PackedPanels<TDecoder> panels) where T : unmanaged where TDecoder : struct, IPanelDecoder
    {
        if (w.Length != (long)outputs * inputs)
            throw new ArgumentException($"packed weight: {w.Length} numbers for [{outputs}, {inputs}]");
        for (int row = 0; row < outputs; row++)
            PutRow<T, TDecoder>(w.Slice(row * inputs, inputs), panels, row);
    }

    /// <summary>Puts a row of the matrix into its lane of panels of plain numbers, [step][lane].</summary>
    public static void PutRow<T, TDecoder>(ReadOnlySpan<T> values, PackedPanels<TDecoder> panels, int row) where T : unmanaged where TDecoder : struct, IPanelDecoder
    {
        int lane = row % TDecoder.Lanes;
        Span<T> to = MemoryMarshal.Cast<byte, T>(panels.Panel(row / TDecoder.Lanes));
        for (int step = 0; step < values.Length; step++)
            to[step * TDecoder.Lanes + lane] = values[step];
    }
}

/// <summary>
/// A matrix [outputs, inputs] in panels, stored as <typeparamref name="TDecoder"/> reads them. One row of x streams each panel once, and so do
/// a few; more decode a piece of a panel once and use it for all. All give the bits of <see cref="Gemm"/> on the same numbers.
/// </summary>
internal sealed unsafe class PackedPanels<TDecoder> where TDecoder : struct, IPanelDecoder
{
    const int Columns = MicroKernel.PanelColumns, Alignment = 64;

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
        memory = GC.AllocateArray<byte>(checked(PanelCount * PanelBytes + Alignment), pinned: true);
        Start = (byte*)(((nint)Unsafe.AsPointer(ref memory[0]) + Alignment - 1) & -Alignment);
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
