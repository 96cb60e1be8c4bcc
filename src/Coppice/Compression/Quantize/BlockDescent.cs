using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using Coppice.Tensors;
using Coppice.Tensors.Simd;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Compression.Quantize;

/// <summary>Coordinate descent on (w - q) H (w - q)^T over all that a block stores: each code in turn goes to the level nearest what the others leave for it, q + r / H_cc with r = (w - q) H (Behdin et al. 2023), each run of a codebook to a point; then each group's scale and minimum, and each block's units, go where they serve the codes best. No move makes it larger.</summary>
static partial class BlockDescent
{
    // Columns that are settled before the others hear of it; of whole blocks.
    const int Span = 256;

    // Rows of a part.
    const int Rows = 16;

    /// <summary>So many sweeps over a block's codes and parts, with a share of the mean square on H's diagonal.</summary>
    public static void Run(LayerWork work, BlockGrid grid, InputStatistics inputs, double dampening, int sweeps) => Run(work, grid, grid, inputs, dampening, sweeps);

    /// <summary>One over the codes of a grid, whose scales stand.</summary>
    public static void Run(LayerWork work, Grid grid, InputStatistics inputs, double dampening) => Run(work, grid, null, inputs, dampening, 1);

    static void Run(LayerWork work, ICodes codes, BlockGrid? blocks, InputStatistics inputs, double dampening, int sweeps)
    {
        int rows = work.Rows, columns = work.Columns;
        float[] error = new float[rows * columns], residual = new float[rows * Math.Min(Span, columns)];
        codes.Unpack(0, error);
        TensorPrimitives.Subtract<float>(work.Original, error, error);
        for (int sweep = 0; sweep < sweeps; sweep++)
            for (int start = 0; start < columns; start += Span)
            {
                work.Cancel.ThrowIfCancellationRequested();
                int width = Math.Min(Span, columns - start);
                Gemm.Multiply(work.Pool, Transpose.No, Transpose.No, rows, width, columns, error, columns, inputs.Gram[start..], columns, residual, width, Accumulate.Overwrite);
                SpanJob job = new() { Work = work, Codes = codes, Blocks = blocks, Gram = inputs.Gram, Error = error, Residual = residual, Start = start, Width = width, Ridge = (float)(dampening * inputs.MeanOfSquares) };
                work.Pool.Run((rows + Rows - 1) / Rows, ref job);
            }
    }

    ref struct SpanJob : IJob
    {
        public LayerWork Work;
        public ICodes Codes;
        public BlockGrid? Blocks;
        public ReadOnlySpan<float> Gram;
        public float[] Error, Residual;
        public int Start, Width;
        public float Ridge;

        public void Execute(int part)
        {
            for (int row = part * Rows; row < Math.Min(Work.Rows, (part + 1) * Rows); row++)
            {
                RowSpan span = new() { Job = this, Row = row, Residual = Residual.AsSpan(row * Width, Width), Error = Error.AsSpan(row * Work.Columns + Start, Width) };
                if (Blocks?.Format.Shape.Codebook is null)
                    span.SettleCodes();
                else
                    span.SettleRuns();
                for (int block = 0; Blocks is { } grid && block < Width; block += grid.Format.Size)
                {
                    for (int group = block; grid.HasGroupScales && group < block + grid.Format.Size; group += grid.GroupSize)
                    {
                        span.SettleGroup(group);
                        if (grid.Format.Shape.Codebook is not null)
                            span.SettleGroupOfRuns(group);
                    }
                    span.SettleUnits(block);
                }
            }
        }
    }

    /// <summary>A run of one row's columns: what is left of the weights there, and its product with H.</summary>
    ref partial struct RowSpan
    {
        public SpanJob Job;
        public int Row;
        public Span<float> Residual, Error;

        readonly int First => Row * Job.Work.Columns + Job.Start;

        readonly ReadOnlySpan<float> HessianRow(int column) => Job.Gram.Slice((Job.Start + column) * Job.Work.Columns + Job.Start, Job.Width);

        public readonly void SettleCodes()
        {
            for (int c = 0; c < Job.Width; c++)
            {
                float diagonal = HessianRow(c)[c] + Job.Ridge;
                if (!(diagonal > 0))
                    continue;
                int place = First + c;
                float was = Job.Work.Original[place] - Error[c];
                bool isKept = Job.Work.Mask is null || Job.Work.Mask[place];
                Move(c, Job.Codes.Settle(place, isKept ? was + (Residual[c] + Job.Ridge * Error[c]) / diagonal : 0) - was);
            }
        }

        // s and m of a group, codes standing.
        [SkipLocalsInit]
        public readonly void SettleGroup(int start)
        {
            BlockGrid grid = Job.Blocks!;
            int group = (First + start) / grid.GroupSize;
            Span<float> levels = stackalloc float[grid.GroupSize], ones = stackalloc float[grid.GroupSize];
            (float unit, float minUnit) = grid.UnitsOf(group);
            grid.LevelsOf(group, levels);
            TensorPrimitives.Multiply(levels, unit, levels);
            ones.Fill(-minUnit);
            Quadratic cost = CostOf(start, levels, ones);
            (double scale, double min) = cost.Least();
            scale /= grid.Format.Shape.ScaleStep;
            (int bestScale, int bestMin) = (0, 0);
            double least = 0;
            for (int i = -1; i <= 1; i++)
                for (int j = -1; j <= 1; j++)
                {
                    (int ds, int dm) = grid.Allowed(group, (int)Math.Clamp(Math.Round(scale), -300, 300) + i, (int)Math.Clamp(Math.Round(min), -300, 300) + j);
                    double change = cost.At(ds, dm);
                    if (change < least)
                        (least, bestScale, bestMin) = (change, ds, dm);
                }
            if (least < 0)
            {
                grid.Shift(group, bestScale, bestMin);
                Moved(start, grid.GroupSize);
            }
        }

        // d and dmin of a block, all else standing.
        [SkipLocalsInit]
        public readonly void SettleUnits(int start)
        {
            BlockGrid grid = Job.Blocks!;
            int size = grid.Format.Size, block = (First + start) / size, groupSize = grid.GroupSize;
            Span<float> levels = stackalloc float[size], mins = stackalloc float[size];
            BlockParts parts = grid.Parts(block);
            for (int group = 0; group < size / groupSize; group++)
            {
                Span<float> own = levels.Slice(group * groupSize, groupSize);
                grid.LevelsOf(block * (size / groupSize) + group, own);
                TensorPrimitives.Multiply(own, parts.Scales[group] * grid.Format.Shape.UnitShare, own);
                mins.Slice(group * groupSize, groupSize).Fill(-parts.Mins[group]);
            }
            Quadratic cost = CostOf(start, levels, mins);
            (double scale, double min) = cost.Least();
            (Half was, Half wasMin) = (parts.Units[0], parts.Units[1]);
            (Half now, Half nowMin) = (grid.Format.Shape.NearestUnit((double)was + scale), grid.Format.Shape.NearestUnit((double)wasMin + min));
            if (!Half.IsFinite(now) || !Half.IsFinite(nowMin) || !(cost.At((double)now - (double)was, (double)nowMin - (double)wasMin) < 0))
                return;
            (parts.Units[0], parts.Units[1]) = (now, nowMin);
            Moved(start, size);
        }

        // What it costs that the run's numbers grow by a u + b v.
        readonly Quadratic CostOf(int start, ReadOnlySpan<float> u, ReadOnlySpan<float> v)
        {
            Quadratic cost = default;
            for (int i = 0; i < u.Length; i++)
            {
                ReadOnlySpan<float> h = HessianRow(start + i).Slice(start, u.Length);
                double hu = TensorPrimitives.Dot(h, u) + Job.Ridge * u[i], hv = TensorPrimitives.Dot(h, v) + Job.Ridge * v[i], r = Residual[start + i] + Job.Ridge * Error[start + i];
                cost.UU += hu * u[i];
                cost.UV += hu * v[i];
                cost.VV += hv * v[i];
                cost.UR += r * u[i];
                cost.VR += r * v[i];
            }
            return cost;
        }

        // Numbers that changed with their scales.
        [SkipLocalsInit]
        readonly void Moved(int start, int count)
        {
            Span<float> now = stackalloc float[count];
            Job.Blocks!.Unpack(First + start, count, now);
            for (int i = 0; i < count; i++)
                Move(start + i, now[i] - (Job.Work.Original[First + start + i] - Error[start + i]));
        }

        readonly void Move(int column, float change) => Move(column, change, 0, Residual, Error);

        readonly void Move(int column, float change, int from, Span<float> residual, Span<float> error)
        {
            if (change == 0)
                return;
            error[column - from] -= change;
            TensorPrimitives.MultiplyAdd(HessianRow(column).Slice(from, residual.Length), -change, residual, residual);
        }
    }

    /// <summary>a^2 UU + 2 a b UV + b^2 VV - 2 a UR - 2 b VR.</summary>
    struct Quadratic
    {
        public double UU, UV, VV, UR, VR;

        public readonly double At(double a, double b) => a * a * UU + 2 * a * b * UV + b * b * VV - 2 * a * UR - 2 * b * VR;

        /// <summary>Where it is least; along u alone where v adds nothing.</summary>
        public readonly (double A, double B) Least()
        {
            double determinant = UU * VV - UV * UV;
            if (determinant > 1e-9 * UU * VV)
                return ((UR * VV - VR * UV) / determinant, (VR * UU - UR * UV) / determinant);
            return UU > 0 ? (UR / UU, 0) : (0, 0);
        }
    }
}
