using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Coppice.Tensors.Simd;

/// <summary>y = x W^T for rounded rows x and a matrix in <see cref="TwoFourPanels"/>.</summary>
internal sealed unsafe class TwoFourProduct
{
    const int Lanes = TwoFourPanels.Lanes, Alignment = 64, TileRows = 6;

    // Below this many bytes one thread has read a matrix before another one wakes.
    const long WorthSharing = 128 << 10;

    readonly byte[] memory; // keeps what start points to
    readonly byte* start;
    readonly int outputs, inputs, panelBytes;

    /// <summary>Room for a matrix; <see cref="Panel"/> takes its bytes, which are zeros at first.</summary>
    public TwoFourProduct(int outputs, int inputs)
    {
        (this.outputs, this.inputs) = (outputs, inputs);
        panelBytes = checked((inputs + TwoFourPanels.Steps - 1) / TwoFourPanels.Steps * TwoFourPanels.Bytes);
        memory = GC.AllocateArray<byte>(checked(PanelCount * panelBytes + Alignment), pinned: true);
        start = (byte*)(((nint)Unsafe.AsPointer(ref memory[0]) + Alignment - 1) & -Alignment);
    }

    /// <summary>Panels of 32 outputs.</summary>
    public int PanelCount => (outputs + Lanes - 1) / Lanes;

    /// <summary>The bytes of a panel.</summary>
    public Span<byte> Panel(int panel)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)panel, (uint)PanelCount);
        return new Span<byte>(start + (nint)panel * panelBytes, panelBytes);
    }

    /// <summary>For x [rows, inputs] and y [rows, outputs].</summary>
    public void Multiply(WorkerPool pool, Int8Rows x, Span<float> y)
    {
        if (x.Columns != inputs || y.Length != (long)x.Count * outputs)
            throw new ArgumentException($"product of [{x.Count}, {x.Columns}] and 2:4 [{outputs}, {inputs}] into {y.Length} numbers");
        fixed (float* py = y)
        {
            var job = new Job { Weights = this, X = x.Pointers, Y = py, Rows = x.Count };
            job.Parts = (long)x.Count * PanelCount * panelBytes < WorthSharing ? 1 : pool.Threads;
            pool.Run(job.Parts, ref job);
        }
        GC.KeepAlive(x);
    }

    /// <summary>A part is a band of outputs.</summary>
    struct Job : IJob
    {
        public TwoFourProduct Weights;
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

        [SkipLocalsInit]
        readonly void Execute<TB, TI, TL, TV>(int part)
            where TB : struct, IByteLanes<TI, TV> where TI : struct where TL : struct, ILanes<TV> where TV : struct
        {
            float* result = stackalloc float[TileRows * Lanes];
            var (first, count) = Split.Part(Weights.outputs, Lanes, Parts, part);
            for (int column = first; column < first + count; column += Lanes)
            {
                byte* panel = Weights.start + (nint)(column / Lanes) * Weights.panelBytes;
                int width = Math.Min(Lanes, Weights.outputs - column);
                RowTiles tiles = new(Rows, TL.Count == MicroKernel.PanelColumns ? TileRows : 4);
                while (tiles.Next(out int row, out int rows))
                {
                    Int8Pointers x = X.From(row);
                    switch (rows)
                    {
                        case 6:
                            TwoFourTile.Run<SixRows, TB, TI, TL, TV>(panel, row == 0, Weights.inputs, x, result);
                            break;
                        case 4:
                            TwoFourTile.Run<FourRows, TB, TI, TL, TV>(panel, row == 0, Weights.inputs, x, result);
                            break;
                        case 2:
                            TwoFourTile.Run<TwoRows, TB, TI, TL, TV>(panel, row == 0, Weights.inputs, x, result);
                            break;
                        default:
                            TwoFourTile.Run<OneRow, TB, TI, TL, TV>(panel, row == 0, Weights.inputs, x, result);
                            break;
                    }
                    for (int i = 0; i < rows; i++)
                        new ReadOnlySpan<float>(result + i * Lanes, width).CopyTo(new Span<float>(Y + (nint)(row + i) * Weights.outputs + column, width));
                }
            }
        }
    }
}
