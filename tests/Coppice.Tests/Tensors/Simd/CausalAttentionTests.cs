using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Tests.Tensors.Simd;

[Collection(SimdCollection.Name)]
public sealed class CausalAttentionTests : IDisposable
{
    static readonly AttentionModes Adding = new(Accumulate.Add, Accumulate.Add, Accumulate.Add);

    readonly WorkerPool one = new(1), two = new(2);

    public void Dispose()
    {
        one.Dispose();
        two.Dispose();
    }

    public static TheoryData<SimdLevel> Levels => SimdTesting.LevelData;

    [Theory]
    [MemberData(nameof(Levels))]
    public void Ragged_sequences_agree_with_the_definition_in_double(SimdLevel level)
    {
        using var _ = SimdLevel.Select(level);
        foreach (var (shape, lengths) in Cases())
        {
            var problem = new Problem(shape, lengths);
            float[] y = new float[problem.Q.Length], logSums = new float[problem.Tokens * shape.Heads];
            CausalAttention.Forward(two, problem.Q, problem.K, problem.V, problem.Sequences, shape, y, logSums);
            SimdTesting.Close(problem.Output(), y, 2e-5, $"{shape}, lengths {string.Join(' ', lengths)}");
        }
    }

    [Theory]
    [MemberData(nameof(Levels))]
    public void Gradients_agree_with_finite_differences_and_add(SimdLevel level)
    {
        using var _ = SimdLevel.Select(level);
        foreach (var (shape, lengths) in ((AttentionShape, int[])[])[(new(2, 1, 5), [7, 1, 3]), (new(4, 2, 16), [19]), (new(1, 1, 34), [35])])
        {
            var problem = new Problem(shape, lengths);
            float[] y = new float[problem.Q.Length], logSums = new float[problem.Tokens * shape.Heads], dy = SimdTesting.Numbers(y.Length, 9);
            float[] dq = new float[problem.Q.Length], dk = [.. Enumerable.Repeat(1f, problem.K.Length)], dv = new float[problem.V.Length];
            CausalAttention.Forward(one, problem.Q, problem.K, problem.V, problem.Sequences, shape, y, logSums);
            CausalAttention.Backward(two, problem.Q, problem.K, problem.V, y, dy, logSums, problem.Sequences, shape, dq, dk, dv, Adding);
            double Loss() => SimdTesting.Dot(problem.Output(), dy);
            SimdTesting.Close(SimdTesting.Slopes(problem.Qd, Loss), dq, 1e-4, $"dq, {shape}");
            SimdTesting.Close([.. SimdTesting.Slopes(problem.Kd, Loss).Select(s => s + 1)], dk, 1e-4, $"dk, {shape}");
            SimdTesting.Close(SimdTesting.Slopes(problem.Vd, Loss), dv, 1e-4, $"dv, {shape}");
        }
    }

    [Fact]
    public void A_batch_gives_the_same_bits_at_every_width_and_thread_count()
    {
        foreach (var (shape, lengths) in Cases())
        {
            var problem = new Problem(shape, lengths);
            float[]? expected = null;
            List<float[]>? gradients = null;
            foreach (var level in SimdTesting.Levels)
            {
                using var _ = SimdLevel.Select(level);
                foreach (var pool in (WorkerPool[])[one, two])
                {
                    string what = $"{shape}, {level}, {pool.Threads} threads";
                    float[] y = new float[problem.Q.Length], logSums = new float[problem.Tokens * shape.Heads];
                    CausalAttention.Forward(pool, problem.Q, problem.K, problem.V, problem.Sequences, shape, y, logSums);
                    SimdTesting.SameBits(expected ??= y, y, what);

                    float[] dq = new float[problem.Q.Length], dk = new float[problem.K.Length], dv = new float[problem.V.Length];
                    CausalAttention.Backward(pool, problem.Q, problem.K, problem.V, y, problem.Q, logSums, problem.Sequences, shape, dq, dk, dv, Adding);
                    gradients ??= [dq, dk, dv];
                    SimdTesting.SameBits(gradients[0], dq, what + " dq");
                    SimdTesting.SameBits(gradients[1], dk, what + " dk");
                    SimdTesting.SameBits(gradients[2], dv, what + " dv");

                    // Over whatever was there, the same bits as onto zeros.
                    dq.AsSpan().Fill(float.NaN);
                    dk.AsSpan().Fill(float.NaN);
                    dv.AsSpan().Fill(float.NaN);
                    var replacing = new AttentionModes(Accumulate.Overwrite, Accumulate.Overwrite, Accumulate.Overwrite);
                    CausalAttention.Backward(pool, problem.Q, problem.K, problem.V, y, problem.Q, logSums, problem.Sequences, shape, dq, dk, dv, replacing);
                    SimdTesting.SameBits(gradients[0], dq, what + " dq replaced");
                    SimdTesting.SameBits(gradients[1], dk, what + " dk replaced");
                    SimdTesting.SameBits(gradients[2], dv, what + " dv replaced");
                }
            }
        }
    }

    [Fact]
    public void Lengths_that_do_not_fit_are_refused()
    {
        var shape = new AttentionShape(4, 2, 8);
        float[] y = new float[32];
        Assert.Throws<ArgumentException>(() =>
            CausalAttention.Forward(one, new float[32], new float[16], new float[16], [new Sequence(0, 2)], shape, y, new float[4]));
    }

    [Fact]
    public void A_second_pass_of_the_same_size_allocates_nothing()
    {
        var problem = new Problem(new(4, 2, 16), [40, 9]);
        float[] y = new float[problem.Q.Length], logSums = new float[problem.Tokens * 4];
        float[] dq = new float[problem.Q.Length], dk = new float[problem.K.Length], dv = new float[problem.V.Length];
        Allocations.None(() =>
        {
            CausalAttention.Forward(two, problem.Q, problem.K, problem.V, problem.Sequences, problem.Shape, y, logSums);
            CausalAttention.Backward(two, problem.Q, problem.K, problem.V, y, y, logSums, problem.Sequences, problem.Shape, dq, dk, dv, Adding);
        });
    }

    static IEnumerable<(AttentionShape Shape, int[] Lengths)> Cases() =>
    [
        (new(1, 1, 1), [1, 2]),
        (new(2, 2, 3), [0, 5, 13]),
        (new(6, 2, 16), [33, 12]),
        (new(3, 1, 30), [70]),
        (new(40, 1, 8), [9]),
        (new(2, 1, 64), [49]),
    ];

    /// <summary>Queries, keys and values of sequences side by side, and the definition of attention in double.</summary>
    sealed class Problem
    {
        public Problem(AttentionShape shape, int[] lengths)
        {
            Shape = shape;
            Sequences = [.. lengths.Select((length, i) => new Sequence(lengths[..i].Sum(), length))];
            Tokens = lengths.Sum();
            Q = [.. SimdTesting.Numbers(Tokens * shape.QueryStride, 1).Select(x => 2 * x)];
            K = [.. SimdTesting.Numbers(Tokens * shape.KeyStride, 2).Select(x => 2 * x)];
            V = SimdTesting.Numbers(Tokens * shape.KeyStride, 3);
            Qd = SimdTesting.Doubles(Q);
            Kd = SimdTesting.Doubles(K);
            Vd = SimdTesting.Doubles(V);
        }

        public AttentionShape Shape { get; }

        public Sequence[] Sequences { get; }

        public int Tokens { get; }

        public float[] Q { get; }

        public float[] K { get; }

        public float[] V { get; }

        public double[] Qd { get; }

        public double[] Kd { get; }

        public double[] Vd { get; }

        public double[] Output()
        {
            var (heads, keyHeads, width) = Shape;
            double[] y = new double[Qd.Length];
            foreach (var sequence in Sequences)
                for (int i = 0; i < sequence.Length; i++)
                    for (int head = 0; head < heads; head++)
                    {
                        int query = ((sequence.Start + i) * heads + head) * width;
                        int KeyAt(int j) => ((sequence.Start + j) * keyHeads + head / (heads / keyHeads)) * width;
                        double[] weights = new double[i + 1];
                        for (int j = 0; j <= i; j++)
                        {
                            double score = 0;
                            for (int d = 0; d < width; d++)
                                score += Qd[query + d] * Kd[KeyAt(j) + d];
                            weights[j] = Math.Exp(score / Math.Sqrt(width));
                        }
                        double sum = weights.Sum();
                        for (int j = 0; j <= i; j++)
                            for (int d = 0; d < width; d++)
                                y[query + d] += weights[j] / sum * Vd[KeyAt(j) + d];
                    }
            return y;
        }
    }
}
