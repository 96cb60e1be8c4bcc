using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;

namespace Coppice.Weights.Blocks;

/// <summary>Rounds a run of eight numbers, divided by their scale, to the levels of a codebook.</summary>
static class CodebookRounding
{
    const int Run = Codebook.Run;

    // Signs and points in turn, at most.
    const int Rounds = 8;

    /// <summary>By the sum of squared errors, each weighed: signs are the numbers' own, but for the one that costs least where their number has to be even.</summary>
    [SkipLocalsInit]
    public static void Nearest(Codebook book, ReadOnlySpan<float> numbers, ReadOnlySpan<float> weights, Span<byte> codes)
    {
        Span<float> x = stackalloc float[Run];
        int signs = 0, cheapest = 0;
        for (int i = 0; i < Run; i++)
        {
            signs |= numbers[i] < 0 ? 1 << i : 0;
            x[i] = Math.Abs(numbers[i]);
            if (weights[i] * x[i] < weights[cheapest] * x[cheapest])
                cheapest = i;
        }
        if (book.HasEvenSigns && BitOperations.PopCount((uint)signs) % 2 != 0)
        {
            signs ^= 1 << cheapest;
            x[cheapest] = -x[cheapest];
        }
        for (int start = 0; start < Run; start += book.Length)
            book.Put(CodebookPoints.Nearest(book, x[start..], weights[start..]), signs >> start, codes[start..]);
    }

    /// <summary>By v A v^T - 2 b v^T, from the codes that are there: the best points with signs standing, then each sign, and each pair of signs, whose change makes it less, in turn. Never larger than it was; returns it.</summary>
    /// <param name="metric">A [8, 8], symmetric.</param>
    /// <param name="pull">b.</param>
    [SkipLocalsInit]
    public static float Settle(Codebook book, ReadOnlySpan<sbyte> levels, ReadOnlySpan<float> metric, ReadOnlySpan<float> pull, Span<byte> codes)
    {
        Span<float> v = stackalloc float[Run];
        for (int i = 0; i < Run; i++)
            v[i] = levels[codes[i]];
        for (int round = 0; round < Rounds; round++)
        {
            bool isMoved = false;
            for (int start = 0; start < Run; start += book.Length)
                isMoved |= SettlePoint(book, levels, metric, pull, start, v, codes);
            if (!SettleSigns(book, metric, pull, v, codes) && (!isMoved || book.Length == Run))
                break;
        }
        float cost = 0;
        for (int i = 0; i < Run; i++)
            cost += v[i] * (TensorPrimitives.Dot(metric.Slice(i * Run, Run), v) - 2 * pull[i]);
        return cost;
    }

    // The best magnitudes from a place on, all else standing.
    static bool SettlePoint(Codebook book, ReadOnlySpan<sbyte> levels, ReadOnlySpan<float> metric, ReadOnlySpan<float> pull, int start, Span<float> v, Span<byte> codes)
    {
        Span<float> linear = stackalloc float[Run], squares = stackalloc float[Run * (Run + 1) / 2];
        int signs = 0, at = 0, length = book.Length;
        for (int i = 0; i < length; i++)
        {
            ReadOnlySpan<float> row = metric.Slice((start + i) * Run, Run);
            float sign = v[start + i] < 0 ? -1 : 1, slope = -pull[start + i];
            signs |= sign < 0 ? 1 << i : 0;
            for (int j = 0; j < Run; j++)
                if (j < start || j >= start + length)
                    slope += row[j] * v[j];
            linear[i] = 2 * sign * slope;
            for (int j = 0; j < i; j++)
                squares[at++] = 2 * row[start + j] * (v[start + j] < 0 ? -sign : sign);
            squares[at++] = row[start + i];
        }
        Span<byte> best = stackalloc byte[Run];
        book.Put(CodebookPoints.Least(book, linear, squares), signs, best);
        if (best[..length].SequenceEqual(codes.Slice(start, length)))
            return false;
        best[..length].CopyTo(codes[start..]);
        for (int i = start; i < start + length; i++)
            v[i] = levels[codes[i]];
        return true;
    }

    static bool SettleSigns(Codebook book, ReadOnlySpan<float> metric, ReadOnlySpan<float> pull, Span<float> v, Span<byte> codes)
    {
        Span<float> change = stackalloc float[Run];
        for (int turned = 0; turned < Run; turned++)
        {
            // That v_i becomes -v_i changes the sum by 4 v_i^2 A_ii - 4 v_i r_i with r = v A - b; that v_j does too, by 8 v_i v_j A_ij more.
            for (int i = 0; i < Run; i++)
                change[i] = 4 * v[i] * (v[i] * metric[i * Run + i] - TensorPrimitives.Dot(metric.Slice(i * Run, Run), v) + pull[i]);
            (float least, int first, int second) = (0, -1, -1);
            for (int i = 0; i < Run; i++)
            {
                if (!book.HasEvenSigns && change[i] < least)
                    (least, first, second) = (change[i], i, -1);
                for (int j = 0; j < i; j++)
                    if (change[i] + change[j] + 8 * v[i] * v[j] * metric[i * Run + j] is var both && both < least)
                        (least, first, second) = (both, i, j);
            }
            if (first < 0 || !(least < -1e-6f * Math.Abs(v[first] * pull[first])))
                return turned > 0;
            Turn(book, v, codes, first);
            if (second >= 0)
                Turn(book, v, codes, second);
        }
        return true;
    }

    static void Turn(Codebook book, Span<float> v, Span<byte> codes, int i) => (v[i], codes[i]) = (-v[i], book.Negated(codes[i]));
}
