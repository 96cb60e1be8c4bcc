using System.Runtime.CompilerServices;

namespace Coppice.Tensors.Simd;

/// <summary>
/// The gradients of <see cref="CausalAttention"/>. With p the weights and dp = dy v^T: ds = p (dp - dy.y) scale, dq = ds k, dk = ds^T q, dv = p^T dy.
/// Keys' and values' gradients gather over a head's query blocks and a group's heads in order, so that threads do not show.
/// </summary>
internal unsafe struct AttentionBackward : IAttentionJob
{
    public float* Q, K, V, Y, Dy, LogSums, Dq, Dk, Dv;
    public Sequence* Sequences;

    public AttentionShape Shape { get; set; }

    const int Lane = AttentionBlock.Lane, PanelRows = MicroKernel.PanelRows;

    public readonly void Execute<TL, TV>(int index, int keyValueHead) where TL : struct, ILanes<TV> where TV : struct
    {
        var sequence = Sequences[index];
        int width = Shape.Width, all = sequence.Length, keysPadded = AttentionBlock.Padded(all), widthPadded = AttentionBlock.Padded(width);
        int columns = (width + AttentionBlock.Rows - 1) / AttentionBlock.Rows * AttentionBlock.Rows;
        int scorePanel = keysPadded * Lane, outPanel = widthPadded * Lane, queryPanels = AttentionBlock.Rows * width;
        if (all == 0)
            return;

        float* keys = Scratch.Rent(
            ScratchSlot.Attention,
            2 * keysPadded * width + widthPadded * all + 2 * queryPanels + 2 * AttentionBlock.Rows * columns + 4 * scorePanel + 2 * outPanel
            + 2 * keysPadded * columns + AttentionBlock.Rows * PanelRows + Lane * (width + 3) + 3 * AttentionBlock.Rows);
        float* values = keys + keysPadded * width, keysAcross = values + keysPadded * width;
        float* queries = keysAcross + widthPadded * all, outGradients = queries + queryPanels;
        float* queryRows = outGradients + queryPanels, outGradientRows = queryRows + AttentionBlock.Rows * columns;
        float* scores = outGradientRows + AttentionBlock.Rows * columns, gradients = scores + 2 * scorePanel;
        float* results = gradients + 2 * scorePanel, dk = results + 2 * outPanel, dv = dk + keysPadded * columns;
        float* turned = dv + keysPadded * columns, left = turned + Lane * (width + 3);
        float* logSums = left + AttentionBlock.Rows * PanelRows, dots = logSums + AttentionBlock.Rows, ones = dots + AttentionBlock.Rows;

        nint keyStart = (nint)sequence.Start * Shape.KeyStride + keyValueHead * width;
        Packing.Rows(K + keyStart, Shape.KeyStride, all, width, PanelRows, keys);
        Packing.Rows(V + keyStart, Shape.KeyStride, all, width, PanelRows, values);
        Packing.Columns(K + keyStart, Shape.KeyStride, width, all, PanelRows, keysAcross);
        new Span<float>(dk, 2 * keysPadded * columns).Clear();
        new Span<float>(ones, AttentionBlock.Rows).Fill(1);

        float scale = 1 / MathF.Sqrt(width);
        for (int head = keyValueHead * Shape.Group; head < (keyValueHead + 1) * Shape.Group; head++)
        {
            for (int first = 0; first < all; first += AttentionBlock.Rows)
            {
                int rows = Math.Min(AttentionBlock.Rows, all - first), visible = first + rows;
                nint at = (nint)(sequence.Start + first) * Shape.QueryStride + head * width;
                AttentionBlock.PackQueries(Q + at, Shape.QueryStride, rows, width, queries);
                AttentionBlock.PackQueries(Dy + at, Shape.QueryStride, rows, width, outGradients);
                Packing.Columns(Q + at, Shape.QueryStride, width, rows, Lane, queryRows);
                Packing.Columns(Dy + at, Shape.QueryStride, width, rows, Lane, outGradientRows);
                for (int r = 0; r < AttentionBlock.Rows; r++)
                {
                    bool real = r < rows;
                    nint row = at + (nint)r * Shape.QueryStride;
                    logSums[r] = real ? LogSums[(nint)(sequence.Start + first + r) * Shape.Heads + head] : 0;
                    dots[r] = real ? Reduction.Sum(new DotSummand { X = Dy + row, Y = Y + row }, width) : 0;
                }

                AttentionBlock.Product<TL, TV>(keys, PanelRows * width, queries, Lane * width, visible, width, scores, scorePanel);
                AttentionBlock.Mask(scores, scorePanel, rows, first + 1, visible);
                AttentionBlock.Product<TL, TV>(values, PanelRows * width, outGradients, Lane * width, visible, width, gradients, scorePanel);
                AttentionBlock.WeightGradients<TL, TV>(scores, gradients, visible, scale, logSums, dots);
                AttentionBlock.WeightGradients<TL, TV>(scores + scorePanel, gradients + scorePanel, visible, scale, logSums + Lane, dots + Lane);

                AttentionBlock.Product<TL, TV>(keysAcross, PanelRows * all, gradients, scorePanel, width, visible, results, outPanel);
                for (int r = 0; r < rows; r += Lane)
                    AttentionBlock.WriteRows(
                        results + r / Lane * outPanel, ones, Math.Min(Lane, rows - r), width, turned, Accumulate.Add,
                        Dq + at + (nint)r * Shape.QueryStride, Shape.QueryStride);
                AddProduct<TL, TV>(scores, scorePanel, outGradientRows, rows, visible, columns, left, dv);
                AddProduct<TL, TV>(gradients, scorePanel, queryRows, rows, visible, columns, left, dk);
            }
        }

        for (int key = 0; key < all; key++)
        {
            Elementwise.Run(new AddOp { X = dk + (nint)key * columns, Y = Dk + keyStart + (nint)key * Shape.KeyStride }, 0, width);
            Elementwise.Run(new AddOp { X = dv + (nint)key * columns, Y = Dv + keyStart + (nint)key * Shape.KeyStride }, 0, width);
        }
    }

    /// <summary>sum [keys, columns] += weights^T [keys, rows] x values [rows, columns], the weights with queries in lanes, the values in panels [rows][16].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void AddProduct<TL, TV>(float* weights, int panel, float* values, int rows, int keys, int columns, float* left, float* sum)
        where TL : struct, ILanes<TV> where TV : struct
    {
        for (int key = 0; key < keys; key += PanelRows, weights += PanelRows * Lane, sum += (nint)PanelRows * columns)
        {
            Packing.Rows(weights, Lane, Math.Min(PanelRows, keys - key), Lane, PanelRows, left);
            Packing.Rows(weights + panel, Lane, Math.Min(PanelRows, keys - key), Lane, PanelRows, left + Lane * PanelRows);
            for (int column = 0; column < columns; column += 2 * Lane)
            {
                float* first = values + column * rows;
                MicroKernel.Tile<TL, TV>(rows, left, first, first + Lane * rows, sum + column, sum + column + Lane, columns, PanelRows, Accumulate.Add);
            }
        }
    }

    struct DotSummand : ISummand
    {
        public float* X, Y;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly TV Add<TL, TV>(int i, TV sum) where TL : struct, ILanes<TV> where TV : struct => TL.MultiplyAdd(TL.Load(X + i), TL.Load(Y + i), sum);
    }

    struct AddOp : IElementwise
    {
        public float* X, Y;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Apply<TL, TV>(int i) where TL : struct, ILanes<TV> where TV : struct => TL.Store(TL.Add(TL.Load(Y + i), TL.Load(X + i)), Y + i);
    }
}
