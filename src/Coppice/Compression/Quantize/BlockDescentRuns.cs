using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Compression.Quantize;

/// <content>The moves of types whose runs of weights are points of a codebook.</content>
static partial class BlockDescent
{
    ref partial struct RowSpan
    {
        public readonly void SettleRuns()
        {
            for (int c = 0; c < Job.Width; c += Codebook.Run)
                SettleRun(c, 0, Residual, Error);
        }

        // A run's codes; what is left and its product with H are those from a column on.
        [SkipLocalsInit]
        readonly void SettleRun(int c, int from, Span<float> residual, Span<float> error)
        {
            const int Run = Codebook.Run;
            Span<float> metric = stackalloc float[Run * Run], pull = stackalloc float[Run], numbers = stackalloc float[Run];
            int place = First + c;
            for (int i = 0; i < Run; i++)
            {
                HessianRow(c + i).Slice(c, Run).CopyTo(metric[(i * Run)..]);
                metric[i * Run + i] += Job.Ridge;
                if (!(metric[i * Run + i] > 0))
                    return;
                (pull[i], numbers[i]) = (residual[c + i - from] + Job.Ridge * error[c + i - from], Job.Work.Original[place + i] - error[c + i - from]);
            }
            // What all else leaves for the run is near q + r / H_cc, and times its metric q A + r.
            Span<float> wanted = stackalloc float[Run];
            for (int i = 0; i < Run; i++)
                wanted[i] = numbers[i] + pull[i] / metric[i * Run + i];
            for (int i = 0; i < Run; i++)
                pull[i] += TensorPrimitives.Dot<float>(metric.Slice(i * Run, Run), numbers);
            Job.Blocks!.SettleRun(place, metric, pull, wanted);
            for (int i = 0; i < Run; i++)
                Move(c + i, Job.Blocks!.ValueAt(place + i) - numbers[i], from, residual, error);
        }

        // s of a group to the next on either side, its runs following.
        [SkipLocalsInit]
        public readonly void SettleGroupOfRuns(int start)
        {
            BlockGrid grid = Job.Blocks!;
            int size = grid.GroupSize, group = (First + start) / size;
            Span<byte> codes = grid.Codes.AsSpan(First + start, size), standing = stackalloc byte[size], best = stackalloc byte[size];
            Span<float> error = stackalloc float[size], residual = stackalloc float[size];
            codes.CopyTo(standing);
            (double least, int bestShift) = (0, 0);
            for (int by = -1; by <= 1; by += 2)
            {
                (int shift, _) = grid.Allowed(group, by, 0);
                if (shift == 0)
                    continue;
                Error.Slice(start, size).CopyTo(error);
                Residual.Slice(start, size).CopyTo(residual);
                grid.Shift(group, shift, 0);
                for (int i = 0; i < size; i++)
                    Move(start + i, grid.ValueAt(First + start + i) - (Job.Work.Original[First + start + i] - error[i]), start, residual, error);
                for (int run = 0; run < size; run += Codebook.Run)
                    SettleRun(start + run, start, residual, error);
                // Moving by d changes the sum by -d (r + r'), r' what is left of r after it.
                double change = 0;
                for (int i = 0; i < size; i++)
                    change -= (Error[start + i] - error[i]) * (Residual[start + i] + residual[i] + Job.Ridge * (Error[start + i] + error[i]));
                if (change < least)
                {
                    (least, bestShift) = (change, shift);
                    codes.CopyTo(best);
                }
                grid.Shift(group, -shift, 0);
                standing.CopyTo(codes);
            }
            if (bestShift == 0)
                return;
            grid.Shift(group, bestShift, 0);
            best.CopyTo(codes);
            Moved(start, size);
        }
    }
}
