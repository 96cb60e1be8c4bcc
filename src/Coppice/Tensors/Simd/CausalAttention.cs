using System.Runtime.Intrinsics;

namespace Coppice.Tensors.Simd;

/// <summary>The sizes of grouped-query attention (Ainslie et al. 2023): heads / keyValueHeads query heads share a key and value head.</summary>
/// <param name="Heads">Query heads.</param>
/// <param name="KeyValueHeads">Key and value heads, a divisor of <paramref name="Heads"/>.</param>
/// <param name="Width">Numbers in a head.</param>
internal readonly record struct AttentionShape(int Heads, int KeyValueHeads, int Width)
{
    /// <summary>Query heads that share a key and value head.</summary>
    public int Group => Heads / KeyValueHeads;

    /// <summary>Floats from a query row to the next.</summary>
    public int QueryStride => Heads * Width;

    /// <summary>Floats from a key row to the next.</summary>
    public int KeyStride => KeyValueHeads * Width;
}

/// <summary>
/// softmax(q k^T / sqrt(width)) v, where query i of a sequence sees keys 0 to i. A score takes its products in the order of the head's
/// numbers, an output those of the keys, with one rounding each, so that the result depends neither on the number of queries at a time nor on threads.
/// </summary>
internal static unsafe class CausalAttention
{
    const int WorthSharing = 1 << 15;

    /// <summary>Whole sequences side by side, each seeing itself alone; keeps log(sum(e^score)) [tokens, heads] for the backward pass.</summary>
    public static void Forward(
        WorkerPool pool, ReadOnlySpan<float> q, ReadOnlySpan<float> k, ReadOnlySpan<float> v, ReadOnlySpan<Sequence> sequences, AttentionShape shape,
        Span<float> y, Span<float> logSums)
    {
        long pairs = Check(q.Length, k.Length, v.Length, sequences, shape, y.Length, logSums.Length);
        fixed (float* pq = q, pk = k, pv = v, py = y, pl = logSums)
        fixed (Sequence* ps = sequences)
            Run(pool, new ForwardJob { Q = pq, K = pk, V = pv, Y = py, LogSums = pl, Sequences = ps, Shape = shape }, sequences.Length, pairs);
    }

    /// <summary>Adds the gradients of q, k and v, computing scores again from <paramref name="logSums"/> (Dao et al. 2022).</summary>
    public static void Backward(
        WorkerPool pool, ReadOnlySpan<float> q, ReadOnlySpan<float> k, ReadOnlySpan<float> v, ReadOnlySpan<float> y, ReadOnlySpan<float> dy,
        ReadOnlySpan<float> logSums, ReadOnlySpan<Sequence> sequences, AttentionShape shape, Span<float> dq, Span<float> dk, Span<float> dv)
    {
        long pairs = Check(q.Length, k.Length, v.Length, sequences, shape, y.Length, logSums.Length);
        Vectors.SameLength(dy.Length, y.Length);
        Vectors.SameLength(dq.Length, q.Length);
        Vectors.SameLength(dk.Length, k.Length);
        Vectors.SameLength(dv.Length, v.Length);
        fixed (float* pq = q, pk = k, pv = v, py = y, pdy = dy, pl = logSums, pdq = dq, pdk = dk, pdv = dv)
        fixed (Sequence* ps = sequences)
        {
            var job = new AttentionBackward
            {
                Q = pq,
                K = pk,
                V = pv,
                Y = py,
                Dy = pdy,
                LogSums = pl,
                Dq = pdq,
                Dk = pdk,
                Dv = pdv,
                Sequences = ps,
                Shape = shape,
            };
            Run(pool, job, sequences.Length, pairs);
        }
    }

    /// <summary>A part is a sequence and a key and value head.</summary>
    static void Run<TJob>(WorkerPool pool, TJob job, int sequences, long pairs) where TJob : struct, IAttentionJob
    {
        var parts = new Parts<TJob> { Job = job, Count = sequences * job.Shape.KeyValueHeads, Threads = pairs * job.Shape.QueryStride < WorthSharing ? 1 : pool.Threads };
        pool.Run(parts.Threads, ref parts);
    }

    static void Check(int q, int k, int v, int queries, int keys, AttentionShape shape, int y)
    {
        if (shape.Heads <= 0 || shape.KeyValueHeads <= 0 || shape.Width <= 0 || shape.Heads % shape.KeyValueHeads != 0)
            throw new ArgumentException($"attention: {shape}, wanted positive sizes and heads that fall into groups");
        if (queries < 0 || keys < queries || q != (long)queries * shape.QueryStride || y != q || k < (long)keys * shape.KeyStride || v < (long)keys * shape.KeyStride)
            throw new ArgumentException($"attention: q {q}, k {k}, v {v}, y {y} numbers for {queries} queries, {keys} keys, {shape}");
    }

    static long Check(int q, int k, int v, ReadOnlySpan<Sequence> sequences, AttentionShape shape, int y, int logSums)
    {
        int tokens = shape.QueryStride > 0 ? q / shape.QueryStride : 0;
        Check(q, k, v, tokens, tokens, shape, y);
        Vectors.SameLength(logSums, tokens * shape.Heads, nameof(CausalAttention));
        long pairs = 0;
        foreach (var sequence in sequences)
        {
            if (sequence.Start < 0 || sequence.Length < 0 || sequence.Length > tokens - sequence.Start)
                throw new ArgumentException($"attention: {sequence} of {tokens} tokens");
            pairs += (long)sequence.Length * sequence.Length;
        }
        return pairs;
    }

    struct Parts<TJob> : IJob where TJob : struct, IAttentionJob
    {
        public TJob Job;
        public int Count, Threads;

        public readonly void Execute(int part)
        {
            int heads = Job.Shape.KeyValueHeads;
            for (int i = part; i < Count; i += Threads)
            {
                switch (SimdLevel.Active)
                {
                    case SimdLevel.Vector512:
                        Job.Execute<Lanes512, Vector512<float>>(i / heads, i % heads);
                        break;
                    case SimdLevel.Vector256:
                        Job.Execute<Lanes256, Vector256<float>>(i / heads, i % heads);
                        break;
                    case SimdLevel.Vector128:
                        Job.Execute<Lanes128, Vector128<float>>(i / heads, i % heads);
                        break;
                    default:
                        Job.Execute<Lanes1, float>(i / heads, i % heads);
                        break;
                }
            }
        }
    }

    struct ForwardJob : IAttentionJob
    {
        public float* Q, K, V, Y, LogSums;
        public Sequence* Sequences;

        public AttentionShape Shape { get; set; }

        public readonly void Execute<TL, TV>(int index, int keyValueHead) where TL : struct, ILanes<TV> where TV : struct
        {
            const int Lane = AttentionBlock.Lane;
            var sequence = Sequences[index];
            int width = Shape.Width, widthPadded = AttentionBlock.Padded(width), all = sequence.Length, keysPadded = AttentionBlock.Padded(all);
            nint keyStart = (nint)sequence.Start * Shape.KeyStride + keyValueHead * width;

            int scorePanel = keysPadded * Lane, outPanel = widthPadded * Lane;
            float* keyPanels = Scratch.Rent(ScratchSlot.Attention, keysPadded * width + widthPadded * all + 2 * (Lane * width + scorePanel + outPanel) + Lane * (width + 3) + 4 * Lane);
            float* valuePanels = keyPanels + keysPadded * width, queryPanels = valuePanels + widthPadded * all;
            float* scores = queryPanels + 2 * Lane * width, outputs = scores + 2 * scorePanel, turned = outputs + 2 * outPanel;
            float* maxima = turned + Lane * (width + 3), sums = maxima + 2 * Lane;
            Packing.Rows(K + keyStart, Shape.KeyStride, all, width, MicroKernel.PanelRows, keyPanels);
            Packing.Columns(V + keyStart, Shape.KeyStride, width, all, MicroKernel.PanelRows, valuePanels);

            float scale = 1 / MathF.Sqrt(width);
            for (int head = keyValueHead * Shape.Group; head < (keyValueHead + 1) * Shape.Group; head++)
            {
                for (int first = 0; first < sequence.Length; first += AttentionBlock.Rows)
                {
                    int rows = Math.Min(AttentionBlock.Rows, sequence.Length - first), visible = first + 1, keys = visible + rows - 1;
                    nint at = (nint)(sequence.Start + first) * Shape.QueryStride + head * width;
                    AttentionBlock.PackQueries(Q + at, Shape.QueryStride, rows, width, queryPanels);
                    AttentionBlock.Product<TL, TV>(keyPanels, MicroKernel.PanelRows * width, queryPanels, Lane * width, keys, width, scores, scorePanel);
                    AttentionBlock.Mask(scores, scorePanel, rows, visible, keys);
                    AttentionBlock.Softmax<TL, TV>(scores, keys, scale, maxima, sums);
                    AttentionBlock.Softmax<TL, TV>(scores + scorePanel, keys, scale, maxima + Lane, sums + Lane);
                    AttentionBlock.Product<TL, TV>(valuePanels, MicroKernel.PanelRows * all, scores, scorePanel, width, keys, outputs, outPanel);

                    for (int r = 0; r < rows; r++)
                    {
                        if (LogSums is not null)
                            LogSums[(nint)(sequence.Start + first + r) * Shape.Heads + head] = maxima[r] + MathF.Log(sums[r]);
                        sums[r] = 1 / sums[r];
                    }
                    for (int r = 0; r < rows; r += Lane)
                        AttentionBlock.WriteRows(
                            outputs + r / Lane * outPanel, sums + r, Math.Min(Lane, rows - r), width, turned, Accumulate.Overwrite,
                            Y + at + (nint)r * Shape.QueryStride, Shape.QueryStride);
                }
            }
        }
    }
}

/// <summary>Attention for one sequence and one key and value head.</summary>
internal interface IAttentionJob
{
    /// <summary>Heads and their width.</summary>
    AttentionShape Shape { get; }

    /// <summary>Does the part at one width.</summary>
    void Execute<TL, TV>(int sequence, int keyValueHead) where TL : struct, ILanes<TV> where TV : struct;
}
