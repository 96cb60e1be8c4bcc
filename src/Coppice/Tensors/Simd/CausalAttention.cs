using System.Runtime.Intrinsics;

namespace Coppice.Tensors.Simd;

/// <summary>The sizes of grouped-query attention (Ainslie et al. 2023): heads / keyValueHeads query heads share a key and value head.</summary>
/// <param name="Heads">Query heads.</param>
/// <param name="KeyValueHeads">Key and value heads, a divisor of <paramref name="Heads"/>.</param>
/// <param name="Width">Numbers in a head.</param>
internal readonly record struct AttentionShape(int Heads, int KeyValueHeads, int Width)
{
    /// <summary>What products of queries and keys are multiplied by.</summary>
    public float Scale { get; init; } = 1 / MathF.Sqrt(Width);

    /// <summary>How many keys a query sees, itself and those before it; 0 for all.</summary>
    public int Window { get; init; }

    /// <summary>Which keys of its sequence a query sees.</summary>
    public Sight Sight { get; init; }

    /// <summary>c where scaled scores s become c tanh(s / c); 0 where they stay.</summary>
    public float Softcap { get; init; }

    /// <summary>Query heads that share a key and value head.</summary>
    public int Group => Heads / KeyValueHeads;

    /// <summary>Floats from a query row to the next.</summary>
    public int QueryStride => Heads * Width;

    /// <summary>Floats from a key row to the next.</summary>
    public int KeyStride => KeyValueHeads * Width;
}

/// <summary>Which keys of its sequence a query sees.</summary>
public enum Sight
{
    /// <summary>Its own and those before it.</summary>
    Past,

    /// <summary>All.</summary>
    All,
}

/// <summary>
/// softmax(scale q k^T) v, where query i of a sequence sees keys 0 to i, or the last of them in a window, or all keys of a sequence that may be another. A score takes its products in the order of the head's
/// numbers, an output those of the keys, with one rounding each, so that the result depends neither on the number of queries at a time nor on threads.
/// </summary>
internal static unsafe class CausalAttention
{
    const int WorthSharing = 1 << 15;

    /// <summary>Whole sequences side by side, each seeing itself alone.</summary>
    public static void Forward(
        WorkerPool pool, ReadOnlySpan<float> q, ReadOnlySpan<float> k, ReadOnlySpan<float> v, ReadOnlySpan<Sequence> sequences, AttentionShape shape,
        Span<float> y, Span<float> logSums) => Forward(pool, q, k, v, sequences, sequences, shape, y, logSums);

    /// <summary>Whole sequences side by side, the queries of each seeing one sequence of keys alone: their own, or with <see cref="Sight.All"/> any; keeps log(sum(e^score)) [tokens, heads] for the backward pass.</summary>
    public static void Forward(
        WorkerPool pool, ReadOnlySpan<float> q, ReadOnlySpan<float> k, ReadOnlySpan<float> v, ReadOnlySpan<Sequence> sequences, ReadOnlySpan<Sequence> keys, AttentionShape shape,
        Span<float> y, Span<float> logSums)
    {
        long pairs = Check(q.Length, k.Length, v.Length, sequences, keys, shape, y.Length, logSums.Length);
        fixed (float* pq = q, pk = k, pv = v, py = y, pl = logSums)
        fixed (Sequence* ps = sequences, pks = keys)
            Run(pool, new AttentionForward { Q = pq, K = pk, V = pv, Y = py, LogSums = pl, Sequences = ps, Keys = pks, Ahead = new(sequences.Length, pool.Threads), Shape = shape }, sequences.Length, pairs);
    }

    /// <summary>The gradients of <see cref="Forward(WorkerPool, ReadOnlySpan{float}, ReadOnlySpan{float}, ReadOnlySpan{float}, ReadOnlySpan{Sequence}, AttentionShape, Span{float}, Span{float})"/>.</summary>
    public static void Backward(
        WorkerPool pool, ReadOnlySpan<float> q, ReadOnlySpan<float> k, ReadOnlySpan<float> v, ReadOnlySpan<float> y, ReadOnlySpan<float> dy,
        ReadOnlySpan<float> logSums, ReadOnlySpan<Sequence> sequences, AttentionShape shape, Span<float> dq, Span<float> dk, Span<float> dv,
        AttentionModes modes) => Backward(pool, q, k, v, y, dy, logSums, sequences, sequences, shape, dq, dk, dv, modes);

    /// <summary>Writes or adds the gradients of q, k and v of the sequences' tokens, computing scores again from <paramref name="logSums"/> (Dao et al. 2022).</summary>
    public static void Backward(
        WorkerPool pool, ReadOnlySpan<float> q, ReadOnlySpan<float> k, ReadOnlySpan<float> v, ReadOnlySpan<float> y, ReadOnlySpan<float> dy,
        ReadOnlySpan<float> logSums, ReadOnlySpan<Sequence> sequences, ReadOnlySpan<Sequence> keys, AttentionShape shape, Span<float> dq, Span<float> dk, Span<float> dv,
        AttentionModes modes)
    {
        long pairs = Check(q.Length, k.Length, v.Length, sequences, keys, shape, y.Length, logSums.Length);
        Vectors.SameLength(dy.Length, y.Length);
        Vectors.SameLength(dq.Length, q.Length);
        Vectors.SameLength(dk.Length, k.Length);
        Vectors.SameLength(dv.Length, v.Length);
        fixed (float* pq = q, pk = k, pv = v, py = y, pdy = dy, pl = logSums, pdq = dq, pdk = dk, pdv = dv)
        fixed (Sequence* ps = sequences, pks = keys)
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
                Modes = modes,
                Sequences = ps,
                Keys = pks,
                Ahead = new(sequences.Length, pool.Threads),
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

    static long Check(int q, int k, int v, ReadOnlySpan<Sequence> sequences, ReadOnlySpan<Sequence> keys, AttentionShape shape, int y, int logSums)
    {
        if (shape.Heads <= 0 || shape.KeyValueHeads <= 0 || shape.Width <= 0 || shape.Heads % shape.KeyValueHeads != 0)
            throw new ArgumentException($"attention: {shape}, wanted positive sizes and heads that fall into groups");
        if (q % shape.QueryStride != 0 || k % shape.KeyStride != 0 || y != q || v != k || keys.Length != sequences.Length)
            throw new ArgumentException($"attention: q {q}, k {k}, v {v}, y {y} numbers, {sequences.Length} and {keys.Length} sequences, {shape}");
        Vectors.SameLength(logSums, q / shape.QueryStride * shape.Heads, nameof(CausalAttention));
        long pairs = 0;
        for (int i = 0; i < sequences.Length; i++)
        {
            CheckWithin(sequences[i], q / shape.QueryStride);
            CheckWithin(keys[i], k / shape.KeyStride);
            if (shape.Sight == Sight.Past && sequences[i] != keys[i])
                throw new ArgumentException($"attention: queries {sequences[i]} to keys {keys[i]}, of which they see the past");
            pairs += (long)sequences[i].Length * keys[i].Length;
        }
        return pairs;
    }

    static void CheckWithin(Sequence sequence, int tokens)
    {
        if (sequence.Start < 0 || sequence.Length < 0 || sequence.Length > tokens - sequence.Start)
            throw new ArgumentException($"attention: {sequence} of {tokens} tokens");
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
}

/// <summary>Which of the three gradients are replaced and which added to.</summary>
internal readonly record struct AttentionModes(Accumulate Queries, Accumulate Keys, Accumulate Values);

/// <summary>What a thread comes to after a part: its rows are asked for while the part is computed.</summary>
/// <param name="Sequences">Sequences in all; 0 looks at nothing ahead.</param>
/// <param name="Threads">Threads that take the parts in turn.</param>
internal readonly record struct AttentionAhead(int Sequences, int Threads)
{
    /// <summary>The part after (index, head), or false where there is none.</summary>
    public bool Next(int index, int head, int heads, out int nextIndex, out int nextHead)
    {
        (nextIndex, nextHead) = Math.DivRem(index * heads + head + Threads, heads);
        return nextIndex < Sequences;
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
