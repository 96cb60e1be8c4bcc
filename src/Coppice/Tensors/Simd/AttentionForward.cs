namespace Coppice.Tensors.Simd;

/// <summary>
/// The forward pass of <see cref="CausalAttention"/> for a sequence and a key and value head: keys are turned once, then each block of 32 queries takes
/// scores, softmax and output in turn, all of them in the second cache.
/// </summary>
internal unsafe struct AttentionForward : IAttentionJob
{
    const int Lane = AttentionBlock.Lane, Rows = AttentionBlock.Rows;

    public float* Q, K, V, Y, LogSums;
    public Sequence* Sequences, Keys;
    public AttentionAhead Ahead;

    public AttentionShape Shape { get; set; }

    public readonly void Execute<TL, TV>(int index, int keyValueHead) where TL : struct, ILanes<TV> where TV : struct
    {
        Sequence sequence = Sequences[index], seen = Keys[index];
        bool seesAll = Shape.Sight == Sight.All;
        int width = Shape.Width, all = seen.Length, padded = AttentionBlock.Padded(all), queryStride = Shape.QueryStride, valueStride = Shape.KeyStride;
        if (all == 0)
            return;
        nint keyStart = (nint)seen.Start * Shape.KeyStride + keyValueHead * width;
        bool looksAhead = Ahead.Next(index, keyValueHead, Shape.KeyValueHeads, out int nextIndex, out int nextHead);

        int room = AttentionBlock.RoomToWiden(all, width);
        float* keys = Scratch.Rent(ScratchSlot.Attention, padded * width + Rows * width + padded * Rows + StridedTile.Rows * StridedTile.Columns + 2 * Rows + room);
        float* queries = keys + padded * width, scores = queries + Rows * width, edge = scores + padded * Rows;
        float* maxima = edge + StridedTile.Rows * StridedTile.Columns, sums = maxima + Rows;
        Packing.Rows(K + keyStart, Shape.KeyStride, all, width, Rows, keys);
        float* values = AttentionBlock.Widened(V + keyStart, ref valueStride, all, width, sums + Rows);

        float scale = Shape.Scale;
        for (int head = keyValueHead * Shape.Group; head < (keyValueHead + 1) * Shape.Group; head++)
        {
            for (int first = 0; first < sequence.Length; first += Rows)
            {
                int rows = Math.Min(Rows, sequence.Length - first), visible = seesAll ? all : first + 1, count = seesAll ? all : first + rows;
                nint at = (nint)(sequence.Start + first) * queryStride + head * width;
                if (looksAhead && head % Shape.Group == 0)
                    Prefetch(Sequences[nextIndex], nextHead, first);
                Packing.Rows(Q + at, queryStride, rows, width, Rows, queries);
                AttentionBlock.Scores<TL, TV>(keys, queries, count, width, scores);
                if (Shape.Softcap != 0)
                    AttentionBlock.Cap<TL, TV>(scores, count, scale / Shape.Softcap);
                AttentionBlock.Mask(scores, visible, count);
                if (Shape.Window != 0)
                    AttentionBlock.MaskBefore(scores, visible - Shape.Window, rows, count);
                AttentionBlock.Softmax<TL, TV>(scores, count, scale, maxima, sums, Rows);
                AttentionBlock.Softmax<TL, TV>(scores + Lane, count, scale, maxima + Lane, sums + Lane, Rows);
                AttentionBlock.GatherKeys<TL, TV>(scores, values, valueStride, rows, visible, count, width, Accumulate.Overwrite, Y + at, queryStride, edge);
                for (int r = 0; r < rows; r++)
                {
                    if (LogSums is not null)
                        LogSums[(nint)(sequence.Start + first + r) * Shape.Heads + head] = maxima[r] + MathF.Log(sums[r]);
                    sums[r] = 1 / sums[r];
                }
                AttentionBlock.ScaleRows(Y + at, queryStride, sums, rows, width);
            }
        }
    }

    readonly void Prefetch(Sequence sequence, int keyValueHead, int first)
    {
        int rows = Math.Min(Rows, sequence.Length - first);
        nint row = sequence.Start + first, key = row * Shape.KeyStride + keyValueHead * Shape.Width, query = row * Shape.QueryStride + keyValueHead * Shape.Group * Shape.Width;
        AttentionBlock.Prefetch(K + key, Shape.KeyStride, rows, Shape.Width);
        AttentionBlock.Prefetch(V + key, Shape.KeyStride, rows, Shape.Width);
        AttentionBlock.Prefetch(Q + query, Shape.QueryStride, rows, Shape.Width);
        AttentionBlock.Prefetch(Y + query, Shape.QueryStride, rows, Shape.Width);
    }
}
