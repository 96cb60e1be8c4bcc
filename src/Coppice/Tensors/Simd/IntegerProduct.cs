using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Coppice.Tensors.Simd;

/// <summary>y = x W^T for rounded rows x and panels of integers: one row streams each panel once, more rows share a piece of a panel that is unpacked once.</summary>
internal static unsafe class IntegerProduct
{
    const int Columns = MicroKernel.PanelColumns;

    // Rows whose sums and activations stay in the second cache while a panel passes.
    const int RowBlock = 512;

    // Below this many bytes one thread has read a matrix before another one wakes.
    const long WorthSharing = 128 << 10;

    /// <summary>For x [rows, inputs] and y [rows, outputs].</summary>
    public static void Multiply<TP>(WorkerPool pool, PackedPanels<TP> panels, Int8Rows x, Span<float> y) where TP : struct, IIntegerPanels
    {
        if (x.Columns != panels.Inputs || y.Length != (long)x.Count * panels.Outputs)
            throw new ArgumentException($"product of [{x.Count}, {x.Columns}] and packed [{panels.Outputs}, {panels.Inputs}] into {y.Length} numbers");
        fixed (float* py = y)
        {
            var job = new Job<TP> { Panels = panels, X = x.Pointers, Y = py, Rows = x.Count };
            job.Parts = (long)x.Count * panels.PanelCount * panels.PanelBytes < WorthSharing ? 1 : pool.Threads;
            pool.Run(job.Parts, ref job);
        }
        GC.KeepAlive(x);
    }

    /// <summary>A part is a band of outputs.</summary>
    struct Job<TP> : IJob where TP : struct, IIntegerPanels
    {
        public PackedPanels<TP> Panels;
        public Int8Pointers X;
        public float* Y;
        public int Rows, Parts;

        public readonly void Execute(int part)
        {
            // Whether 16 bits hold a group's products: with zero in the middle of the codes, twice as many.
            if (!TP.Signed && 4 * TP.SumFours * (TP.Zero == 0 ? 1 : 2) >= TP.GroupSteps)
                Execute<In16Bits>(part);
            else
                Execute<In32Bits>(part);
        }

        readonly void Execute<TS>(int part) where TS : struct, ISumWidth
        {
            switch (SimdLevel.Active)
            {
                case SimdLevel.Vector512 when TS.Is32Bit && AvxVnni.IsSupported:
                    Execute<ByteLanes512, Vector512<int>, VnniHalves, Halves, Vector256<int>, Lanes512, Vector512<float>>(part);
                    break;
                case SimdLevel.Vector512:
                    Execute<ByteLanes512, Vector512<int>, DotLanes512<TS>, Vector512<int>, Vector512<int>, Lanes512, Vector512<float>>(part);
                    break;
                case SimdLevel.Vector256:
                    Execute<ByteLanes256, Vector256<int>, DotLanes256<TS>, Vector256<int>, Vector256<int>, Lanes256, Vector256<float>>(part);
                    break;
                case SimdLevel.Vector128:
                    Execute<ByteLanes128, Vector128<int>, DotLanes128<TS>, Vector128<int>, Vector128<int>, Lanes128, Vector128<float>>(part);
                    break;
                default:
                    Execute<ByteLanes1, int, DotLanes1, int, int, Lanes1, float>(part);
                    break;
            }
        }

        readonly void Execute<TB, TI, TD, TJ, TX, TL, TV>(int part)
            where TB : struct, IByteLanes<TI, TV> where TI : struct where TD : struct, IDotLanes<TJ, TX, TV> where TJ : struct where TX : struct where TL : struct, ILanes<TV> where TV : struct
        {
            if (Rows == 1)
                OneRow<TB, TI, TL, TV>(part);
            else
                ManyRows<TB, TI, TD, TJ, TX, TL, TV>(part);
        }

        [SkipLocalsInit]
        readonly void OneRow<TB, TI, TL, TV>(int part)
            where TB : struct, IByteLanes<TI, TV> where TI : struct where TL : struct, ILanes<TV> where TV : struct
        {
            float* result = stackalloc float[IntegerRow.Vectors * Columns];
            var (first, count) = Split.Part(Panels.Outputs, TP.Lanes, Parts, part);
            for (int column = first; column < first + count; column += IntegerRow.Vectors * TL.Count)
            {
                byte* panel = Panels.At(column, out int lane);
                IntegerRow.Run<TP, TB, TI, TL, TV>(panel, lane, Panels.Inputs, X, result);
                int width = Math.Min(IntegerRow.Vectors * TL.Count, first + count - column);
                new ReadOnlySpan<float>(result, width).CopyTo(new Span<float>(Y + column, width));
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        readonly void ManyRows<TB, TI, TD, TJ, TX, TL, TV>(int part)
            where TB : struct, IByteLanes<TI, TV> where TI : struct where TD : struct, IDotLanes<TJ, TX, TV> where TJ : struct where TX : struct where TL : struct, ILanes<TV> where TV : struct
        {
            const int Lanes = IntegerTile.Stride;
            var (first, count) = Split.Part(Panels.Outputs, Lanes, Parts, part);
            UnpackedPanel<TP> unpacked = new(Scratch.Rent(ScratchSlot.Right, UnpackedPanel<TP>.Room));
            for (int row = 0; row < Rows; row += RowBlock)
            {
                int rows = Math.Min(RowBlock, Rows - row);
                // The last tile may have a row too many.
                float* sums = Scratch.Rent(ScratchSlot.Left, (rows + 1) * Lanes);
                for (int column = first; column < first + count; column += Lanes)
                {
                    byte* panel = Panels.At(column, out _);
                    new Span<float>(sums, rows * Lanes).Clear();
                    for (int step = 0; step < Panels.Inputs; step += UnpackedPanel<TP>.Steps)
                    {
                        int steps = Math.Min(UnpackedPanel<TP>.Steps, (Panels.Inputs - step + TP.BlockSteps - 1) / TP.BlockSteps * TP.BlockSteps);
                        unpacked.Fill<TB, TI, TL, TV>(panel + step / TP.BlockSteps * TP.BlockBytes, steps);
                        unpacked.FillBases<TD, TJ, TX, TL, TV>(steps);
                        Tiles<TD, TJ, TX, TL, TV>(unpacked, steps / TP.GroupSteps, X.From(row, step), rows, sums);
                    }
                    int width = Math.Min(Lanes, Panels.Outputs - column);
                    for (int i = 0; i < rows; i++)
                        new ReadOnlySpan<float>(sums + i * Lanes, width).CopyTo(new Span<float>(Y + (nint)(row + i) * Panels.Outputs + column, width));
                }
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        static void Tiles<TD, TJ, TX, TL, TV>(UnpackedPanel<TP> panel, int groups, Int8Pointers x, int rows, float* sums)
            where TD : struct, IDotLanes<TJ, TX, TV> where TJ : struct where TX : struct where TL : struct, ILanes<TV> where TV : struct
        {
            // Six rows fill 32 registers, four where sums take two of them, or where there are 16.
            bool sixFit = TL.Count == Columns && typeof(TJ) == typeof(Vector512<int>);
            for (int row = 0, tile; row < rows; row += tile)
            {
                int left = rows - row;
                tile = left > 4 && sixFit ? 6 : left > 2 ? 4 : 2;
                if (tile == 6)
                    IntegerTile.Run<SixRows, TP, TD, TJ, TX, TL, TV>(panel, groups, x.From(row), sums + row * IntegerTile.Stride);
                else if (tile == 4)
                    IntegerTile.Run<FourRows, TP, TD, TJ, TX, TL, TV>(panel, groups, x.From(row), sums + row * IntegerTile.Stride);
                else
                    IntegerTile.Run<TwoRows, TP, TD, TJ, TX, TL, TV>(panel, groups, x.From(row), sums + row * IntegerTile.Stride);
            }
        }
    }
}
