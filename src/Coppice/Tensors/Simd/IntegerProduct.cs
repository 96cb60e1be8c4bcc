using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Coppice.Tensors.Simd;

/// <summary>y = x W^T for rounded rows x and panels of integers: one row streams each panel once, more rows take a pair of panels after another and share its codes.</summary>
internal static unsafe class IntegerProduct
{
    const int Columns = MicroKernel.PanelColumns, TileRows = 6;

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
            switch (SimdLevel.Active)
            {
                case SimdLevel.Vector512:
                    Execute<ByteLanes512, Vector512<int>, Lanes512, Vector512<float>>(part);
                    break;
                case SimdLevel.Vector256:
                    Execute<ByteLanes256, Vector256<int>, Lanes256, Vector256<float>>(part);
                    break;
                case SimdLevel.Vector128:
                    Execute<ByteLanes128, Vector128<int>, Lanes128, Vector128<float>>(part);
                    break;
                default:
                    Execute<ByteLanes1, int, Lanes1, float>(part);
                    break;
            }
        }

        readonly void Execute<TB, TI, TL, TV>(int part)
            where TB : struct, IByteLanes<TI, TV> where TI : struct where TL : struct, ILanes<TV> where TV : struct
        {
            if (Rows == 1)
                OneRow<TB, TI, TL, TV>(part);
            else
                ManyRows<TB, TI, TL, TV>(part);
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

        [SkipLocalsInit]
        readonly void ManyRows<TB, TI, TL, TV>(int part)
            where TB : struct, IByteLanes<TI, TV> where TI : struct where TL : struct, ILanes<TV> where TV : struct
        {
            // With 16 registers four rows fill them.
            float* result = stackalloc float[TileRows * IntegerTile.ResultStride];
            var (first, count) = Split.Part(Panels.Outputs, 2 * Columns, Parts, part);
            for (int column = first; column < first + count; column += 2 * Columns)
            {
                int width = Math.Min(2 * Columns, Panels.Outputs - column);
                RowTiles tiles = new(Rows, TL.Count == Columns ? TileRows : 4);
                while (tiles.Next(out int from, out int tile))
                {
                    Int8Pointers x = X.From(from);
                    if (tile == 6)
                        IntegerTile.Run<SixRows, TP, TB, TI, TL, TV>(Panels, column, from == 0 && column % TP.Lanes == 0, x, result);
                    else if (tile == 4)
                        IntegerTile.Run<FourRows, TP, TB, TI, TL, TV>(Panels, column, from == 0 && column % TP.Lanes == 0, x, result);
                    else
                        IntegerTile.Run<TwoRows, TP, TB, TI, TL, TV>(Panels, column, from == 0 && column % TP.Lanes == 0, x, result);
                    for (int i = 0; i < tile; i++)
                        new ReadOnlySpan<float>(result + i * IntegerTile.ResultStride, width).CopyTo(new Span<float>(Y + (nint)(from + i) * Panels.Outputs + column, width));
                }
            }
        }
    }
}
