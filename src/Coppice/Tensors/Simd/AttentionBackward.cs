using System.Runtime.CompilerServices;

namespace Coppice.Tensors.Simd;

/// <summary>
/// The gradients of <see cref="CausalAttention"/>. With p the weights and dp = dy v^T: ds = p (dp - dy.y) scale, dq = ds k, dk = ds^T q, dv = p^T dy.
/// Keys' and values' gradients gather over a head's query blocks and a group's heads in order, so that threads do not show.
/// </summary>
internal unsafe struct AttentionBackward : IAttentionJob
{
    const int Rows = AttentionBlock.Rows;

    public float* Q, K, V, Y, Dy, LogSums, Dq, Dk, Dv;
    public Sequence* Sequences, Keys;
    public AttentionAhead Ahead;
    public AttentionModes Modes;

    public AttentionShape Shape { get; set; }

    public readonly void Execute<TL, TV>(int index, int keyValueHead) where TL : struct, ILanes<TV> where TV : struct
    {
        Sequence sequence = Sequences[index], seen = Keys[index];
        bool seesAll = Shape.Sight == Sight.All;
        int width = Shape.Width, all = seen.Length, padded = AttentionBlock.Padded(all), queryStride = Shape.QueryStride, keyStride = Shape.KeyStride;
        if (all == 0)
            return;
        bool looksAhead = Ahead.Next(index, keyValueHead, Shape.KeyValueHeads, out int nextIndex, out int nextHead);

        int keyRoom = AttentionBlock.RoomToWiden(all, width), queryRoom = AttentionBlock.RoomToWiden(Rows, width);
        float* keys = Scratch.Rent(
            ScratchSlot.Attention,
            2 * padded * width + 2 * Rows * width + 2 * padded * Rows + StridedTile.Rows * StridedTile.Columns + 2 * Rows + keyRoom + 2 * queryRoom + (Shape.Softcap != 0 ? padded * Rows : 0));
        float* values = keys + padded * width, queries = values + padded * width, outGradients = queries + Rows * width;
        float* scores = outGradients + Rows * width, gradients = scores + padded * Rows, edge = gradients + padded * Rows;
        float* logSums = edge + StridedTile.Rows * StridedTile.Columns, dots = logSums + Rows;
        float* wideKeys = dots + Rows, wideQueries = wideKeys + keyRoom, wideOutGradients = wideQueries + queryRoom, slopes = wideOutGradients + queryRoom;

        nint keyStart = (nint)seen.Start * keyStride + keyValueHead * width;
        Packing.Rows(K + keyStart, keyStride, all, width, Rows, keys);
        Packing.Rows(V + keyStart, keyStride, all, width, Rows, values);
        int wideKeyStride = keyStride;
        wideKeys = AttentionBlock.Widened(K + keyStart, ref wideKeyStride, all, width, wideKeys);

        float scale = Shape.Scale;
        for (int head = keyValueHead * Shape.Group; head < (keyValueHead + 1) * Shape.Group; head++)
        {
            for (int first = 0; first < sequence.Length; first += Rows)
            {
                int rows = Math.Min(Rows, sequence.Length - first), visible = seesAll ? all : first + 1, count = seesAll ? all : first + rows, wideStride = queryStride, wideDyStride = queryStride;
                nint at = (nint)(sequence.Start + first) * queryStride + head * width;
                if (looksAhead && head % Shape.Group == 0)
                    Prefetch(Sequences[nextIndex], nextHead, first);
                Packing.Rows(Q + at, queryStride, rows, width, Rows, queries);
                Packing.Rows(Dy + at, queryStride, rows, width, Rows, outGradients);
                float* q = AttentionBlock.Widened(Q + at, ref wideStride, rows, width, wideQueries);
                float* dy = AttentionBlock.Widened(Dy + at, ref wideDyStride, rows, width, wideOutGradients);
                for (int r = 0; r < Rows; r++)
                {
                    bool real = r < rows;
                    nint row = at + (nint)r * queryStride;
                    logSums[r] = real ? LogSums[(nint)(sequence.Start + first + r) * Shape.Heads + head] : 0;
                    dots[r] = real ? Reduction.Sum(new DotSummand { X = Dy + row, Y = Y + row }, width) : 0;
                }

                AttentionBlock.Scores<TL, TV>(keys, queries, count, width, scores);
                if (Shape.Softcap != 0)
                    AttentionBlock.Cap<TL, TV>(scores, count, scale / Shape.Softcap, slopes);
                AttentionBlock.Mask(scores, visible, count);
                if (Shape.Window != 0)
                    AttentionBlock.MaskBefore(scores, visible - Shape.Window, rows, count);
                AttentionBlock.Scores<TL, TV>(values, outGradients, count, width, gradients);
                AttentionBlock.WeightGradients<TL, TV>(scores, gradients, count, scale, logSums, dots);

                if (Shape.Softcap != 0)
                    Elementwise.Run(new SlopeOp { Slopes = slopes, Gradients = gradients }, 0, count * Rows);

                AttentionBlock.GatherKeys<TL, TV>(gradients, wideKeys, wideKeyStride, rows, visible, count, width, Modes.Queries, Dq + at, queryStride, edge);
                // A key's gradient begins with the block that sees it first.
                int fresh = !seesAll ? first : first == 0 ? 0 : count;
                Accumulate keyMode = head % Shape.Group == 0 ? Modes.Keys : Accumulate.Add, valueMode = head % Shape.Group == 0 ? Modes.Values : Accumulate.Add;
                AttentionBlock.GatherQueries<TL, TV>(scores, dy, wideDyStride, rows, visible, count, fresh, width, valueMode, Dv + keyStart, keyStride, edge);
                AttentionBlock.GatherQueries<TL, TV>(gradients, q, wideStride, rows, visible, count, fresh, width, keyMode, Dk + keyStart, keyStride, edge);
            }
        }
    }

    readonly void Prefetch(Sequence sequence, int keyValueHead, int first)
    {
        int rows = Math.Min(Rows, sequence.Length - first), width = Shape.Width;
        nint row = sequence.Start + first, key = row * Shape.KeyStride + keyValueHead * width, query = row * Shape.QueryStride + keyValueHead * Shape.Group * width;
        AttentionBlock.Prefetch(K + key, Shape.KeyStride, rows, width);
        AttentionBlock.Prefetch(V + key, Shape.KeyStride, rows, width);
        AttentionBlock.Prefetch(Dk + key, Shape.KeyStride, rows, width);
        AttentionBlock.Prefetch(Dv + key, Shape.KeyStride, rows, width);
        AttentionBlock.Prefetch(Q + query, Shape.QueryStride, rows, width);
        AttentionBlock.Prefetch(Y + query, Shape.QueryStride, rows, width);
        AttentionBlock.Prefetch(Dy + query, Shape.QueryStride, rows, width);
        AttentionBlock.Prefetch(Dq + query, Shape.QueryStride, rows, width);
    }

    struct SlopeOp : IElementwise
    {
        public float* Slopes, Gradients;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Apply<TL, TV>(int i) where TL : struct, ILanes<TV> where TV : struct =>
            TL.Store(TL.Multiply(TL.Load(Slopes + i), TL.Load(Gradients + i)), Gradients + i);
    }

    struct DotSummand : ISummand
    {
        public float* X, Y;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly TV Add<TL, TV>(int i, TV sum) where TL : struct, ILanes<TV> where TV : struct => TL.MultiplyAdd(TL.Load(X + i), TL.Load(Y + i), sum);
    }
}
