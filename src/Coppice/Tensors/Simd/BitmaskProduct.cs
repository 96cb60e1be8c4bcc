using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Coppice.Tensors.Simd;

/// <summary>
/// Products with <see cref="BitmaskPanels"/>. One to four rows spread each step's kept numbers over 32 lanes and multiply them there; more spread a block of steps
/// into memory once. The zeros take part like any number, so all give the bits of the dense product.
/// </summary>
internal static unsafe class BitmaskProduct
{
    const int Lanes = BitmaskPanels.Lanes, TileRows = 4;

    // Below this many weights one thread has read a matrix before another one wakes.
    const long WorthSharing = 256 << 10;

    // More rows than this are better off with a block of numbers spread once.
    const int MostInTiles = 8;

    /// <summary>y = x W^T, for x [rows, inputs] and y [rows, outputs], which do not overlap.</summary>
    public static void Multiply(WorkerPool pool, BitmaskPanels panels, ReadOnlySpan<float> x, int rows, Span<float> y)
    {
        if (rows < 0 || x.Length != (long)rows * panels.Inputs || y.Length != (long)rows * panels.Outputs)
            throw new ArgumentException($"product of [{rows}, {panels.Inputs}] ({x.Length} numbers) and sparse [{panels.Outputs}, {panels.Inputs}] into [{rows}, {panels.Outputs}] ({y.Length} numbers)");
        if (panels.Inputs == 0)
        {
            y.Clear();
            return;
        }
        fixed (float* px = x, py = y)
        {
            Job job = new() { Panels = panels, X = px, Y = py, Rows = rows, Parts = (long)rows * panels.Outputs * panels.Inputs < WorthSharing ? 1 : pool.Threads };
            pool.Run(job.Parts, ref job);
        }
        GC.KeepAlive(panels);
    }

    // A part is a band of panels.
    struct Job : IJob
    {
        public BitmaskPanels Panels;
        public float* X, Y;
        public int Rows, Parts;

        public readonly void Execute(int part)
        {
            (int first, int count) = Split.Part(Panels.PanelCount, 1, Parts, part);
            if (Rows > MostInTiles)
            {
                int outputs = Math.Min(count * Lanes, Panels.Outputs - first * Lanes);
                ExpandedPanels right = new(Panels, first);
                GemmLoops.Run(ref right, Gemm.Left(X, Panels.Inputs, Transpose.No), Y + first * Lanes, Panels.Outputs, Rows, outputs, Panels.Inputs, Accumulate.Overwrite);
                return;
            }
            for (int panel = first; panel < first + count; panel++)
                for (int done = 0; done < Rows;)
                {
                    // The last tile may reach back over rows that are done: the same numbers again.
                    int height = Rows - done == 1 || Rows == 1 ? 1 : Rows - done == 2 || Rows < TileRows ? 2 : TileRows, row = Math.Min(done, Rows - height);
                    Tile(panel, row, height);
                    done = row + height;
                }
        }

        readonly void Tile(int panel, int row, int height)
        {
            switch (SimdLevel.Active)
            {
                case SimdLevel.Vector512:
                    Tile<Lanes512, Vector512<float>>(panel, row, height);
                    break;
                case SimdLevel.Vector256:
                    Tile<Lanes256, Vector256<float>>(panel, row, height);
                    break;
                case SimdLevel.Vector128:
                    Tile<Lanes128, Vector128<float>>(panel, row, height);
                    break;
                default:
                    Tile<Lanes1, float>(panel, row, height);
                    break;
            }
        }

        [SkipLocalsInit]
        readonly void Tile<TL, TV>(int panel, int row, int height) where TL : struct, ILanes<TV> where TV : struct
        {
            float* sums = stackalloc float[TileRows * Lanes];
            float* x = X + (nint)row * Panels.Inputs;
            uint* masks = Panels.At(panel, 0, out ushort* kept);
            switch (height)
            {
                case 1:
                    Sum<OneRow, TL, TV>(masks, kept, Panels.Inputs, x, sums);
                    break;
                case 2:
                    Sum<TwoRows, TL, TV>(masks, kept, Panels.Inputs, x, sums);
                    break;
                default:
                    Sum<FourRows, TL, TV>(masks, kept, Panels.Inputs, x, sums);
                    break;
            }
            int count = Math.Min(Lanes, Panels.Outputs - panel * Lanes);
            for (int i = 0; i < height; i++)
                new ReadOnlySpan<float>(sums + i * Lanes, count).CopyTo(new Span<float>(Y + (nint)(row + i) * Panels.Outputs + panel * Lanes, count));
        }
    }

    // sums [rows][32]; at 512 bits they stay in two registers a row, below that they take turns: a stretch of steps is spread once and multiplied lane by lane.
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Sum<TR, TL, TV>(uint* masks, ushort* kept, int inputs, float* x, float* sums) where TR : struct, IRowCount where TL : struct, ILanes<TV> where TV : struct
    {
        const int Line = 64;
        byte* room = stackalloc byte[BitmaskPanels.Stretch * Lanes * sizeof(ushort) + Line];
        ushort* spread = (ushort*)(((nint)room + Line - 1) & -Line);
        new Span<float>(sums, TR.Rows * Lanes).Clear();
        for (int start = 0; start < inputs; start += BitmaskPanels.Stretch)
        {
            int steps = Math.Min(BitmaskPanels.Stretch, inputs - start);
            ushort* to = spread;
            // Half of the numbers are kept, as a rule.
            Prefetching.Run((byte*)masks, BitmaskPanels.Stretch * sizeof(uint));
            Prefetching.Run((byte*)kept, BitmaskPanels.Stretch * Lanes * sizeof(ushort) / 2);
            for (uint* end = masks + steps; masks < end; masks++, to += Lanes)
                kept = BitmaskExpansion.Expand<TL, TV>(*masks, kept, to);
            for (int lane = 0; lane < Lanes; lane += 2 * TL.Count)
                Stretch<TR, TL, TV>(spread + lane, steps, x + start, inputs, sums + lane);
        }
    }

    // s{row}{vector}; rows past TR.Rows vanish when this is compiled.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Stretch<TR, TL, TV>(ushort* spread, int steps, float* x, int stride, float* sums) where TR : struct, IRowCount where TL : struct, ILanes<TV> where TV : struct
    {
        float* t1 = sums + (TR.Rows > 1 ? Lanes : 0), t2 = sums + (TR.Rows > 2 ? 2 * Lanes : 0), t3 = sums + (TR.Rows > 2 ? 3 * Lanes : 0);
        TV s00 = TL.Load(sums), s01 = TL.Load(sums + TL.Count), s10 = TL.Load(t1), s11 = TL.Load(t1 + TL.Count);
        TV s20 = TL.Load(t2), s21 = TL.Load(t2 + TL.Count), s30 = TL.Load(t3), s31 = TL.Load(t3 + TL.Count);
        for (int step = 0; step < steps; step++, spread += Lanes, x++)
        {
            TV w0 = TL.LoadFiniteHalf(spread), w1 = TL.LoadFiniteHalf(spread + TL.Count);
            TV v = TL.Broadcast(x[0]); s00 = TL.MultiplyAdd(v, w0, s00); s01 = TL.MultiplyAdd(v, w1, s01);
            if (TR.Rows > 1)
            {
                v = TL.Broadcast(x[stride]); s10 = TL.MultiplyAdd(v, w0, s10); s11 = TL.MultiplyAdd(v, w1, s11);
            }
            if (TR.Rows > 2)
            {
                v = TL.Broadcast(x[2 * stride]); s20 = TL.MultiplyAdd(v, w0, s20); s21 = TL.MultiplyAdd(v, w1, s21);
                v = TL.Broadcast(x[3 * stride]); s30 = TL.MultiplyAdd(v, w0, s30); s31 = TL.MultiplyAdd(v, w1, s31);
            }
        }
        TL.Store(s00, sums); TL.Store(s01, sums + TL.Count);
        if (TR.Rows > 1)
        {
            TL.Store(s10, t1); TL.Store(s11, t1 + TL.Count);
        }
        if (TR.Rows > 2)
        {
            TL.Store(s20, t2); TL.Store(s21, t2 + TL.Count);
            TL.Store(s30, t3); TL.Store(s31, t3 + TL.Count);
        }
    }

    /// <summary>Gives the product's loops a panel's block of steps as float32.</summary>
    struct ExpandedPanels(BitmaskPanels panels, int firstPanel) : IRightPanels
    {
        const int Columns = MicroKernel.PanelColumns;

        int blockColumn, blockStep, blockSteps;
        float* expanded;

        public void Begin(int column, int columns, int step, int steps)
        {
            (blockColumn, blockStep, blockSteps) = (column, step, steps);
            expanded = Scratch.Rent(ScratchSlot.Right, 2 * Columns * steps);
        }

        public readonly void Get(int column, out float* first, out float* second)
        {
            first = expanded;
            second = expanded + (nint)Columns * blockSteps;
            uint* masks = panels.At(firstPanel + (blockColumn + column) / Lanes, blockStep, out ushort* kept);
            switch (SimdLevel.Active)
            {
                case SimdLevel.Vector512:
                    Expand<Lanes512, Vector512<float>>(masks, kept, blockSteps, first, second);
                    break;
                case SimdLevel.Vector256:
                    Expand<Lanes256, Vector256<float>>(masks, kept, blockSteps, first, second);
                    break;
                case SimdLevel.Vector128:
                    Expand<Lanes128, Vector128<float>>(masks, kept, blockSteps, first, second);
                    break;
                default:
                    Expand<Lanes1, float>(masks, kept, blockSteps, first, second);
                    break;
            }
        }

        [SkipLocalsInit]
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        static void Expand<TL, TV>(uint* masks, ushort* kept, int steps, float* first, float* second) where TL : struct, ILanes<TV> where TV : struct
        {
            ushort* spread = stackalloc ushort[Lanes];
            for (int step = 0; step < steps; step++, first += Columns, second += Columns)
            {
                kept = BitmaskExpansion.Expand<TL, TV>(masks[step], kept, spread);
                for (int lane = 0; lane < Columns; lane += TL.Count)
                {
                    TL.Store(TL.LoadFiniteHalf(spread + lane), first + lane);
                    TL.Store(TL.LoadFiniteHalf(spread + Columns + lane), second + lane);
                }
            }
        }
    }
}
