using System.Globalization;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Compression.Quantize;

/// <summary>Half-quadratic quantization (Badri and Shaji 2023): whole numbers with a zero point, for the least sum of |error|^p with p below 1, so that the few large errors cost less than the many small ones. No calibration.</summary>
public sealed record Hqq : QuantizeStep
{
    /// <summary>The paper's groups of 64.</summary>
    public Hqq() => (GroupSize, Symmetric) = (64, false);

    /// <inheritdoc/>
    public override string Key => "hqq";

    /// <summary>The p of the norm, between 0 and 1.</summary>
    public double Norm { get; init; } = 0.7;

    /// <summary>The most rounds; a group is left where a round no longer helps.</summary>
    public int Rounds { get; init; } = 20;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, string Value)> Options =>
    [
        ("bits", Bits.ToString(CultureInfo.InvariantCulture)),
        ("groupSize", GroupSize.ToString(CultureInfo.InvariantCulture)),
        ("norm", Norm.ToString("R", CultureInfo.InvariantCulture)),
        ("rounds", Rounds.ToString(CultureInfo.InvariantCulture)),
    ];

    /// <inheritdoc/>
    public override void Apply(LayerWork work)
    {
        work.Grid = NewGrid(work);
        GroupJob job = new(work.Masked(), work.Grid, new HalfQuadratic((float)Norm, Rounds));
        work.Pool.Run(work.Rows, ref job);
    }

    readonly struct GroupJob(float[] weights, Grid grid, HalfQuadratic solver) : IJob
    {
        public void Execute(int part)
        {
            for (int group = part * grid.Groups; group < (part + 1) * grid.Groups; group++)
            {
                ReadOnlySpan<float> values = weights.AsSpan(group * grid.GroupSize, grid.GroupSize);
                (grid.Scales[group], grid.Zeros[group]) = solver.Fit(values, grid.Bits);
                Span<byte> codes = grid.Codes.AsSpan(group * grid.GroupSize, grid.GroupSize);
                for (int i = 0; i < codes.Length; i++)
                    codes[i] = grid.Nearest(values[i], group);
            }
        }
    }
}

/// <summary>
/// The solver: errors are split into what is shrunk away, e = shrink(w - q), and what a scale is fitted to, w - e, in turns, while the weight of the split grows. The paper moves a zero point that is no whole number; codes here have whole ones, so that
/// those beside the plain one are tried and the scale moves.
/// </summary>
/// <param name="norm">p.</param>
/// <param name="rounds">The most rounds.</param>
readonly struct HalfQuadratic(float norm, int rounds)
{
    // The paper's, for errors in units of the plain scale.
    const float Beta = 10, Kappa = 1.01f;

    /// <summary>A scale and a zero point whose error is never above that of <see cref="UniformGrid.Fit(ReadOnlySpan{float}, int, bool, float)"/>.</summary>
    public (Half Scale, byte Zero) Fit(ReadOnlySpan<float> values, int bits)
    {
        (Half plain, byte middle) = UniformGrid.Fit(values, bits, symmetric: false);
        if (plain == Half.Zero)
            return (plain, middle);
        (Half, byte) best = (plain, middle);
        double least = double.PositiveInfinity;
        // The plain one first: of equal ones it stays.
        foreach (int step in (ReadOnlySpan<int>)[0, -1, 1])
        {
            int zero = middle + step;
            if (zero < 0 || zero >= 1 << bits)
                continue;
            Half scale = plain;
            float beta = Beta;
            double before = double.PositiveInfinity;
            for (int round = 0; round <= rounds; round++, beta *= Kappa)
            {
                double error = Error(values, (float)scale, (byte)zero, bits);
                if (error < least)
                    (best, least) = ((scale, (byte)zero), error);
                float next = Refit(values, (float)scale, (byte)zero, bits, (float)plain, beta);
                if (error >= before || !(next > 0) || Half.IsInfinity((Half)next))
                    break;
                (before, scale) = (error, (Half)next);
            }
        }
        return best;
    }

    /// <summary>Sum of |w - scale (code - zero)|^p.</summary>
    public double Error(ReadOnlySpan<float> values, float scale, byte zero, int bits)
    {
        double sum = 0;
        foreach (float value in values)
            sum += MathF.Pow(Math.Abs(value - scale * (UniformGrid.Code(value, scale, zero, bits) - zero)), norm);
        return sum;
    }

    // The scale that codes fit best once errors are shrunk: sum (q - z)(w - e) / sum (q - z)^2.
    float Refit(ReadOnlySpan<float> values, float scale, byte zero, int bits, float unit, float beta)
    {
        double cross = 0, square = 0;
        foreach (float value in values)
        {
            int code = UniformGrid.Code(value, scale, zero, bits) - zero;
            float error = unit * Shrink((value - scale * code) / unit, beta);
            cross += code * (double)(value - error);
            square += code * code;
        }
        return square > 0 ? (float)(cross / square) : 0;
    }

    /// <summary>The generalized soft threshold: sign(x) max(|x| - |x|^(p-1) / beta, 0).</summary>
    public float Shrink(float x, float beta) => x == 0 ? 0 : MathF.CopySign(Math.Max(Math.Abs(x) - MathF.Pow(Math.Abs(x), norm - 1) / beta, 0), x);
}
