using System.Runtime.CompilerServices;

namespace Coppice.Tensors.Simd;

/// <summary>Which way <see cref="Rotary"/> turns.</summary>
internal enum RotaryDirection
{
    /// <summary>By the position's angle.</summary>
    Forward,

    /// <summary>Back: the gradient of the forward turn.</summary>
    Inverse,
}

/// <summary>
/// Rotary position (Su et al. 2021) in the half-split layout of Hugging Face checkpoints: in each head, elements i and i + headSize / 2 are a pair
/// that is turned by the angle of (position, i).
/// </summary>
internal static unsafe class Rotary
{
    const int WorthSharing = 1 << 14;

    /// <summary>Turns x [rows, heads * headSize] into y, which may be x.</summary>
    /// <param name="pool">Threads that share the rows.</param>
    /// <param name="x">[rows, heads * headSize].</param>
    /// <param name="positions">[rows], rows of the tables.</param>
    /// <param name="cos">Cosines [positions, turned / 2].</param>
    /// <param name="sin">Sines [positions, turned / 2].</param>
    /// <param name="headSize">Numbers a head.</param>
    /// <param name="turned">How many of them are turned, even; those behind are left, so that y has to be x where there are any.</param>
    /// <param name="direction">Forward or inverse.</param>
    /// <param name="mode">Whether y is replaced or added to.</param>
    /// <param name="y">[rows, heads * headSize].</param>
    /// <exception cref="ArgumentException">Lengths do not fit, or a position is outside the tables.</exception>
    public static void Turn(
        WorkerPool pool, ReadOnlySpan<float> x, ReadOnlySpan<int> positions, ReadOnlySpan<float> cos, ReadOnlySpan<float> sin,
        int headSize, int turned, RotaryDirection direction, Accumulate mode, Span<float> y)
    {
        int rows = positions.Length;
        Vectors.SameLength(x.Length, y.Length);
        Vectors.SameLength(cos.Length, sin.Length);
        if (turned <= 0 || turned % 2 != 0 || turned > headSize || x.Length % Math.Max(1, rows * headSize) != 0 || (rows == 0 && x.Length > 0))
            throw new ArgumentException($"Rotary: {x.Length} numbers for {rows} rows of heads of {headSize}");
        int known = cos.Length / (turned / 2);
        foreach (int position in positions)
            if ((uint)position >= (uint)known)
                throw new ArgumentException($"Rotary: position {position}, the tables have {known}");
        if (rows == 0)
            return;
        fixed (float* px = x, pc = cos, ps = sin, py = y)
        fixed (int* pp = positions)
        {
            var job = new Job
            {
                X = px,
                Cos = pc,
                Sin = ps,
                Y = py,
                Positions = pp,
                Rows = rows,
                Width = x.Length / rows,
                HeadSize = headSize,
                Turned = turned,
                Sign = direction == RotaryDirection.Forward ? 1 : -1,
                Mode = mode,
                Parts = x.Length < WorthSharing ? 1 : pool.Threads,
            };
            pool.Run(job.Parts, ref job);
        }
    }

    struct Job : IJob
    {
        public float* X, Cos, Sin, Y;
        public int* Positions;
        public int Rows, Width, HeadSize, Turned, Parts;
        public float Sign;
        public Accumulate Mode;

        public readonly void Execute(int part)
        {
            var (start, count) = Split.Part(Rows, 1, Parts, part);
            int half = Turned / 2;
            for (int row = start; row < start + count; row++)
            {
                nint angles = (nint)Positions[row] * half, at = (nint)row * Width;
                for (int head = 0; head < Width; head += HeadSize)
                {
                    Elementwise.Run(new TurnOp
                    {
                        X = X + at + head,
                        Y = Y + at + head,
                        Cos = Cos + angles,
                        Sin = Sin + angles,
                        Half = half,
                        Sign = Sign,
                        Mode = Mode,
                    }, 0, half);
                }
            }
        }
    }

    struct TurnOp : IElementwise
    {
        public float* X, Y, Cos, Sin;
        public int Half;
        public float Sign;
        public Accumulate Mode;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Apply<TL, TV>(int i) where TL : struct, ILanes<TV> where TV : struct
        {
            TV a = TL.Load(X + i), b = TL.Load(X + i + Half), cos = TL.Load(Cos + i), sin = TL.Multiply(TL.Broadcast(Sign), TL.Load(Sin + i));
            TV first = TL.Subtract(TL.Multiply(a, cos), TL.Multiply(b, sin)), second = TL.Add(TL.Multiply(b, cos), TL.Multiply(a, sin));
            if (Mode == Accumulate.Add)
            {
                first = TL.Add(first, TL.Load(Y + i));
                second = TL.Add(second, TL.Load(Y + i + Half));
            }
            TL.Store(first, Y + i);
            TL.Store(second, Y + i + Half);
        }
    }
}
