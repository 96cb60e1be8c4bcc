using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Coppice.Tensors.Simd;

/// <summary>A calculation on element i of several arrays that needs no other element. It holds pointers that its maker has checked.</summary>
internal interface IElementwise
{
    /// <summary>Calculates <c>TL.Count</c> elements from <paramref name="i"/> on.</summary>
    void Apply<TL, TV>(int i) where TL : struct, ILanes<TV> where TV : struct;
}

/// <summary>The loop around an <see cref="IElementwise"/>: whole vectors, then one element at a time with the same bits.</summary>
internal static class Elementwise
{
    // Elements below which another thread would cost more than it does.
    const int WorthSharing = 1 << 14;

    /// <summary>Elements start to end - 1 on this thread.</summary>
    public static void Run<TOp>(TOp op, int start, int end) where TOp : struct, IElementwise
    {
        switch (SimdLevel.Active)
        {
            case SimdLevel.Vector512:
                Loop<TOp, Lanes512, Vector512<float>>(op, start, end);
                break;
            case SimdLevel.Vector256:
                Loop<TOp, Lanes256, Vector256<float>>(op, start, end);
                break;
            case SimdLevel.Vector128:
                Loop<TOp, Lanes128, Vector128<float>>(op, start, end);
                break;
            default:
                Loop<TOp, Lanes1, float>(op, start, end);
                break;
        }
    }

    /// <summary>Elements 0 to count - 1, shared among the pool's threads.</summary>
    public static void Run<TOp>(WorkerPool pool, TOp op, int count) where TOp : struct, IElementwise
    {
        var job = new Job<TOp> { Op = op, Count = count, Parts = count < WorthSharing ? 1 : pool.Threads };
        pool.Run(job.Parts, ref job);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Loop<TOp, TL, TV>(TOp op, int start, int end) where TOp : struct, IElementwise where TL : struct, ILanes<TV> where TV : struct
    {
        int i = start;
        for (; i <= end - TL.Count; i += TL.Count)
            op.Apply<TL, TV>(i);
        for (; i < end; i++)
            op.Apply<Lanes1, float>(i);
    }

    struct Job<TOp> : IJob where TOp : struct, IElementwise
    {
        public TOp Op;
        public int Count, Parts;

        public readonly void Execute(int part)
        {
            var (start, count) = Split.Part(Count, 64, Parts, part);
            Run(Op, start, start + count);
        }
    }
}
