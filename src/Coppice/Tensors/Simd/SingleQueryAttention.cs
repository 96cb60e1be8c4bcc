using System.Runtime.CompilerServices;

namespace Coppice.Tensors.Simd;

/// <summary>
/// <see cref="CausalAttention"/> of one query, where packing keys and values would cost more than the products. The heads of a group lie in lanes for the
/// scores and the softmax, a head's numbers for the output; every sum has the order of the blocks, and so their bits.
/// </summary>
internal unsafe struct SingleQueryAttention : IAttentionJob
{
    const int Lane = AttentionBlock.Lane;

    public float* Q, K, V, Y;

    /// <summary>Keys that the query sees.</summary>
    public int Keys;

    public AttentionShape Shape { get; set; }

    public readonly void Execute<TL, TV>(int sequence, int keyValueHead) where TL : struct, ILanes<TV> where TV : struct
    {
        int width = Shape.Width, stride = Shape.KeyStride;
        float* queries = Scratch.Rent(ScratchSlot.Attention, Lane * (width + Keys) + 2 * Lane), scores = queries + Lane * width;
        float* maxima = scores + Lane * Keys, sums = maxima + Lane;
        float* keys = K + keyValueHead * width, values = V + keyValueHead * width;
        for (int head = 0; head < Shape.Group; head += Lane)
        {
            int heads = Math.Min(Lane, Shape.Group - head);
            nint at = (nint)(keyValueHead * Shape.Group + head) * width;
            Packing.Rows(Q + at, width, heads, width, Lane, queries);
            for (int lane = 0; lane < heads; lane += TL.Count)
                Scores<TL, TV>(queries + lane, keys, stride, Keys, width, scores + lane);
            // Lanes without a head hold whatever was there; nobody reads them.
            AttentionBlock.Softmax<TL, TV>(scores, Keys, 1 / MathF.Sqrt(width), maxima, sums);
            for (int lane = 0; lane < heads; lane++)
                Output<TL, TV>(scores + lane, values, stride, Keys, width, 1 / sums[lane], Y + at + lane * width);
        }
    }

    // Six keys at a time hide the latency of the additions.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Scores<TL, TV>(float* queries, float* keys, int stride, int count, int width, float* scores) where TL : struct, ILanes<TV> where TV : struct
    {
        int key = 0;
        for (; key <= count - 6; key += 6, scores += 6 * Lane)
        {
            float* k0 = keys + (nint)key * stride, k1 = k0 + stride, k2 = k1 + stride, k3 = k2 + stride, k4 = k3 + stride, k5 = k4 + stride;
            TV a = default, b = default, c = default, d = default, e = default, f = default;
            for (int i = 0; i < width; i++)
            {
                TV q = TL.Load(queries + i * Lane);
                a = TL.MultiplyAdd(TL.Broadcast(k0[i]), q, a);
                b = TL.MultiplyAdd(TL.Broadcast(k1[i]), q, b);
                c = TL.MultiplyAdd(TL.Broadcast(k2[i]), q, c);
                d = TL.MultiplyAdd(TL.Broadcast(k3[i]), q, d);
                e = TL.MultiplyAdd(TL.Broadcast(k4[i]), q, e);
                f = TL.MultiplyAdd(TL.Broadcast(k5[i]), q, f);
            }
            TL.Store(a, scores);
            TL.Store(b, scores + Lane);
            TL.Store(c, scores + 2 * Lane);
            TL.Store(d, scores + 3 * Lane);
            TL.Store(e, scores + 4 * Lane);
            TL.Store(f, scores + 5 * Lane);
        }
        for (; key < count; key++, scores += Lane)
        {
            float* k = keys + (nint)key * stride;
            TV a = default;
            for (int i = 0; i < width; i++)
                a = TL.MultiplyAdd(TL.Broadcast(k[i]), TL.Load(queries + i * Lane), a);
            TL.Store(a, scores);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Output<TL, TV>(float* weights, float* values, int stride, int count, int width, float factor, float* output)
        where TL : struct, ILanes<TV> where TV : struct
    {
        int i = 0;
        for (; i <= width - 4 * TL.Count; i += 4 * TL.Count)
        {
            TV a = default, b = default, c = default, d = default;
            float* v = values + i;
            for (int key = 0; key < count; key++, v += stride)
            {
                TV weight = TL.Broadcast(weights[key * Lane]);
                a = TL.MultiplyAdd(weight, TL.Load(v), a);
                b = TL.MultiplyAdd(weight, TL.Load(v + TL.Count), b);
                c = TL.MultiplyAdd(weight, TL.Load(v + 2 * TL.Count), c);
                d = TL.MultiplyAdd(weight, TL.Load(v + 3 * TL.Count), d);
            }
            TV scale = TL.Broadcast(factor);
            TL.Store(TL.Multiply(a, scale), output + i);
            TL.Store(TL.Multiply(b, scale), output + i + TL.Count);
            TL.Store(TL.Multiply(c, scale), output + i + 2 * TL.Count);
            TL.Store(TL.Multiply(d, scale), output + i + 3 * TL.Count);
        }
        for (; i <= width - TL.Count; i += TL.Count)
            TL.Store(Column<TL, TV>(weights, values + i, stride, count, factor), output + i);
        for (; i < width; i++)
            output[i] = Column<Lanes1, float>(weights, values + i, stride, count, factor);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static TV Column<TL, TV>(float* weights, float* values, int stride, int count, float factor) where TL : struct, ILanes<TV> where TV : struct
    {
        TV sum = default;
        for (int key = 0; key < count; key++, values += stride)
            sum = TL.MultiplyAdd(TL.Broadcast(weights[key * Lane]), TL.Load(values), sum);
        return TL.Multiply(sum, TL.Broadcast(factor));
    }
}
