using Coppice.Tensors;
using Coppice.Tensors.Simd;
using CrossEntropy = Coppice.Tensors.Simd.CrossEntropy;
using SoftTargets = Coppice.Tensors.Simd.SoftTargets;

namespace Coppice.Tests.Tensors.Simd;

/// <summary>Elementwise and row kernels against the formula in double, at every width and ragged length.</summary>
[Collection(SimdCollection.Name)]
public sealed class FusedKernelTests : IDisposable
{
    readonly WorkerPool one = new(1), two = new(2);

    public void Dispose()
    {
        one.Dispose();
        two.Dispose();
    }

    public static TheoryData<SimdLevel> Levels => SimdTesting.LevelData;

    [Theory]
    [MemberData(nameof(Levels))]
    public void Exponential_is_within_two_units_everywhere_and_zero_below_its_range(SimdLevel level)
    {
        using var _ = SimdLevel.Select(level);
        float[] x = [.. Enumerable.Range(-87_000, 175_000).Select(i => i / 1000f)];
        float[] y = new float[x.Length];
        Vectors.Exp(x, y);
        for (int i = 0; i < x.Length; i++)
        {
            double wanted = Math.Exp(x[i]);
            Assert.True(Math.Abs(y[i] - wanted) <= 2.4e-7 * wanted, $"exp({x[i]}) = {y[i]:R}, wanted {wanted:R}");
        }
        float[] edges = [float.NegativeInfinity, -1000, -88, 0, -0f, 200, float.PositiveInfinity, float.NaN];
        Vectors.Exp(edges, edges);
        Assert.Equal([0, 0, 0, 1, 1], edges[..5]);
        Assert.True(edges[5] > 2e38f && float.IsFinite(edges[5]) && edges[6] == edges[5]);
        Assert.True(float.IsNaN(edges[7]));
    }

    [Fact]
    public void No_width_position_or_thread_changes_a_bit()
    {
        Dictionary<string, float[]> expected = [];
        foreach (var level in SimdTesting.Levels)
        {
            using var _ = SimdLevel.Select(level);
            foreach (var pool in (WorkerPool[])[one, two])
                foreach (int n in (int[])[1, 15, 67, 200])
                    foreach (var (name, values) in Everything(pool, rows: 131, n))
                    {
                        string key = $"{name} of {n}";
                        if (!expected.TryAdd(key, values))
                            SimdTesting.SameBits(expected[key], values, $"{key} at {level} with {pool.Threads} threads");
                    }
        }
    }

    IEnumerable<(string Name, float[] Values)> Everything(WorkerPool pool, int rows, int n)
    {
        int length = rows * n;
        float[] x = SimdTesting.Numbers(length, 1), u = SimdTesting.Numbers(length, 2), dy = SimdTesting.Numbers(length, 3), w = SimdTesting.Numbers(n, 4);

        float[] r = new float[rows], y = new float[length], dx = new float[length], dw = new float[n];
        RmsNorm.Forward(pool, x, w, 1e-5f, r, y);
        RmsNorm.Backward(pool, x, w, r, dy, dx, dw);
        yield return ("norm", y);
        yield return ("norm dx", dx);
        yield return ("norm dw", dw);

        float[] z = new float[length], dg = new float[length], du = new float[length];
        Gate.Forward<Silu>(pool, x, u, z);
        Gate.Backward<Silu>(pool, x, u, dy, dg, Accumulate.Add, du, Accumulate.Add);
        yield return ("gate", z);
        yield return ("gate dg", dg);
        yield return ("gate du", du);

        float[] logits = [.. x.Select(v => v * 20)];
        double[] losses = new double[rows];
        CrossEntropy.LossAndGradient(pool, logits, [.. Enumerable.Range(0, rows).Select(i => i % n)], 0.25f, losses);
        yield return ("loss", [.. losses.Select(v => (float)v)]);
        yield return ("loss dx", logits);

        float[] mixed = [.. x.Select(v => v * 20)];
        SoftTargets.LossAndGradient(pool, mixed, [.. u.Select(v => v * 20)], [.. Enumerable.Range(0, rows).Select(i => i % n)], new SoftTargetsSettings(2, 0.5f), 0.25f, losses);
        yield return ("soft loss", [.. losses.Select(v => (float)v)]);
        yield return ("soft loss dx", mixed);

        float[] p = [.. x], m = [.. u], v = [.. dy.Select(Math.Abs)];
        AdamW.Step(pool, dy, new AdamWSettings(0.01f), 3, 0.5f, p, m, v);
        yield return ("adam", p);
        yield return ("adam m", m);
        yield return ("adam v", v);
        yield return ("squares", [(float)Vectors.SumOfSquares(x)]);
    }

    [Theory]
    [MemberData(nameof(Levels))]
    public void Rms_norm_and_its_gradients_agree_with_the_formula(SimdLevel level)
    {
        using var _ = SimdLevel.Select(level);
        foreach (int n in (int[])[1, 2, 3, 7, 16, 31, 64, 65, 70, 128, 255])
        {
            const int Rows = 5;
            float[] x = SimdTesting.Numbers(Rows * n, 1), w = SimdTesting.Numbers(n, 2), dy = SimdTesting.Numbers(Rows * n, 3);
            double[] Loss(double[] x, double[] w)
            {
                double[] y = new double[Rows * n];
                for (int row = 0; row < Rows; row++)
                {
                    double squares = 0;
                    for (int i = 0; i < n; i++)
                        squares += x[row * n + i] * x[row * n + i];
                    for (int i = 0; i < n; i++)
                        y[row * n + i] = x[row * n + i] / Math.Sqrt(squares / n + 1e-3) * w[i];
                }
                return y;
            }
            double[] xd = SimdTesting.Doubles(x), wd = SimdTesting.Doubles(w);
            float[] r = new float[Rows], y = new float[x.Length], dx = new float[x.Length], dw = new float[n];
            RmsNorm.Forward(two, x, w, 1e-3f, r, y);
            RmsNorm.Backward(two, x, w, r, dy, dx, dw);
            SimdTesting.Close(Loss(xd, wd), y, 1e-5, $"y of {n}");
            double Weighted() => SimdTesting.Dot(Loss(xd, wd), dy);
            SimdTesting.Close(SimdTesting.Slopes(xd, Weighted), dx, 2e-4, $"dx of {n}");
            SimdTesting.Close(SimdTesting.Slopes(wd, Weighted), dw, 2e-4, $"dw of {n}");
        }
    }

    [Theory]
    [MemberData(nameof(Levels))]
    public void The_gate_and_its_gradients_agree_with_the_formula_and_gradients_add(SimdLevel level)
    {
        using var _ = SimdLevel.Select(level);
        for (int n = 0; n <= 70; n++)
        {
            float[] g = [.. SimdTesting.Numbers(n, 1).Select(v => v * 8)], u = SimdTesting.Numbers(n, 2), dy = SimdTesting.Numbers(n, 3);
            double[] gd = SimdTesting.Doubles(g), ud = SimdTesting.Doubles(u);
            double[] Formula() => [.. gd.Zip(ud, (g, u) => g / (1 + Math.Exp(-g)) * u)];
            float[] y = new float[n], dg = new float[n], du = [.. Enumerable.Repeat(1f, n)];
            Gate.Forward<Silu>(one, g, u, y);
            Gate.Backward<Silu>(one, g, u, dy, dg, Accumulate.Add, du, Accumulate.Add);
            SimdTesting.Close(Formula(), y, 1e-6, $"y of {n}");
            double Weighted() => SimdTesting.Dot(Formula(), dy);
            SimdTesting.Close(SimdTesting.Slopes(gd, Weighted), dg, 1e-5, $"dg of {n}");
            SimdTesting.Close([.. SimdTesting.Slopes(ud, Weighted).Select(s => s + 1)], du, 1e-5, $"du of {n}");
        }
    }

    [Theory]
    [MemberData(nameof(Levels))]
    public void Rotation_turns_pairs_by_the_angle_and_the_inverse_turns_back(SimdLevel level)
    {
        using var _ = SimdLevel.Select(level);
        foreach (int size in (int[])[2, 6, 16, 34, 64])
        {
            const int Heads = 3, Known = 9;
            int half = size / 2;
            int[] positions = [4, 0, 8, 8];
            float[] angles = [.. Enumerable.Range(0, Known * half).Select(i => i / half * MathF.Pow(100, -(float)(i % half) / half))];
            float[] cos = [.. angles.Select(MathF.Cos)], sin = [.. angles.Select(MathF.Sin)];
            float[] x = SimdTesting.Numbers(positions.Length * Heads * size), y = new float[x.Length];
            double[] expected = new double[x.Length];
            for (int row = 0; row < positions.Length; row++)
                for (int head = 0; head < Heads; head++)
                    for (int i = 0; i < half; i++)
                    {
                        int a = (row * Heads + head) * size + i, b = a + half;
                        double angle = angles[positions[row] * half + i];
                        expected[a] = x[a] * Math.Cos(angle) - x[b] * Math.Sin(angle);
                        expected[b] = x[b] * Math.Cos(angle) + x[a] * Math.Sin(angle);
                    }
            Rotary.Turn(two, x, positions, cos, sin, size, size, RotaryDirection.Forward, Accumulate.Overwrite, y);
            SimdTesting.Close(expected, y, 1e-6, $"heads of {size}");
            Rotary.Turn(two, y, positions, cos, sin, size, size, RotaryDirection.Inverse, Accumulate.Overwrite, y);
            SimdTesting.Close(SimdTesting.Doubles(x), y, 1e-6, $"heads of {size} turned back");
            Rotary.Turn(two, y, positions, cos, sin, size, size, RotaryDirection.Forward, Accumulate.Add, y);
            Assert.Throws<ArgumentException>(() =>
                Rotary.Turn(two, x, [0, 0, Known, 0], cos, sin, size, size, RotaryDirection.Forward, Accumulate.Overwrite, y));
        }
    }

    [Theory]
    [MemberData(nameof(Levels))]
    public void Cross_entropy_and_its_gradient_agree_with_the_formula(SimdLevel level)
    {
        using var _ = SimdLevel.Select(level);
        foreach (int classes in (int[])[1, 2, 5, 16, 33, 64, 70, 300])
        {
            float[] logits = [.. SimdTesting.Numbers(3 * classes).Select(v => 5 * v)];
            int[] targets = [0, CrossEntropy.Ignored, classes - 1];
            double[] xd = SimdTesting.Doubles(logits), losses = new double[3], again = new double[3];
            double Formula(int row)
            {
                if (targets[row] < 0)
                    return 0;
                double sum = 0;
                for (int i = 0; i < classes; i++)
                    sum += Math.Exp(xd[row * classes + i]);
                return Math.Log(sum) - xd[row * classes + targets[row]];
            }
            CrossEntropy.Loss(two, logits, targets, losses);
            CrossEntropy.LossAndGradient(two, logits, targets, 0.5f, again);
            for (int row = 0; row < 3; row++)
            {
                Assert.Equal(Formula(row), losses[row], 1e-5);
                Assert.Equal(losses[row], again[row]);
            }
            SimdTesting.Close(SimdTesting.Slopes(xd, () => 0.5 * (Formula(0) + Formula(1) + Formula(2))), logits, 1e-5, $"{classes} classes");
        }
        Assert.Throws<ArgumentException>(() => CrossEntropy.Loss(one, new float[6], [0, 3], new double[2]));
    }

    [Theory]
    [MemberData(nameof(Levels))]
    public void Three_steps_of_AdamW_agree_with_the_formula(SimdLevel level)
    {
        using var _ = SimdLevel.Select(level);
        for (int n = 0; n <= 70; n++)
        {
            float[] p = SimdTesting.Numbers(n, 1), m = new float[n], v = new float[n];
            double[] pd = SimdTesting.Doubles(p), md = new double[n], vd = new double[n];
            for (int step = 1; step <= 3; step++)
            {
                float[] g = SimdTesting.Numbers(n, 10 + step);
                AdamW.Step(one, g, new AdamWSettings(0.01f, 0.9f, 0.95f, 1e-8f, 0.1f), step, 0.5f, p, m, v);
                for (int i = 0; i < n; i++)
                {
                    md[i] = 0.9 * md[i] + 0.1 * 0.5 * g[i];
                    vd[i] = 0.95 * vd[i] + 0.05 * 0.25 * g[i] * g[i];
                    pd[i] -= 0.01 * 0.1 * pd[i];
                    pd[i] -= 0.01 * (md[i] / (1 - Math.Pow(0.9, step))) / (Math.Sqrt(vd[i] / (1 - Math.Pow(0.95, step))) + 1e-8);
                }
            }
            SimdTesting.Close(pd, p, 2e-6, $"{n} parameters");
        }
    }

    [Theory]
    [MemberData(nameof(Levels))]
    public void Plain_vector_operations_agree_with_the_formula(SimdLevel level)
    {
        using var _ = SimdLevel.Select(level);
        foreach (int n in Enumerable.Range(0, 71).Append(40_000))
        {
            float[] a = SimdTesting.Numbers(n, 1), b = SimdTesting.Numbers(n, 2), c = [.. b];
            Vectors.AddScaled(two, a, 0.3f, c);
            SimdTesting.Close([.. a.Zip(b, (x, y) => y + 0.3 * x)], c, 1e-6, $"axpy of {n}");
            Vectors.Add(two, a, b, c);
            SimdTesting.Close([.. a.Zip(b, (x, y) => (double)x + y)], c, 1e-6, $"sum of {n}");
            Vectors.Scale(two, -2, c);
            SimdTesting.Close([.. a.Zip(b, (x, y) => -2.0 * (x + y))], c, 1e-6, $"scaling of {n}");
            Assert.Equal(a.Sum(x => (double)x * x), Vectors.SumOfSquares(a), 1e-6 * Math.Max(1, n));
        }
        Assert.Throws<ArgumentException>(() => Vectors.Add(one, new float[3], new float[2], new float[3]));
    }
}
