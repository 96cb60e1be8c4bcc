namespace Coppice.Training.Sparse;

/// <summary>The highest of many scores, in three passes over their bits and without memory of its own.</summary>
static class HighestScores
{
    const int Bins = 1 << 11;

    /// <summary>Sets <paramref name="mask"/> to one at the <paramref name="keep"/> highest scores and to zero elsewhere; of equal ones the first stay. Scores are numbers, of any sign.</summary>
    public static void Mark(ReadOnlySpan<float> scores, int keep, Span<float> mask)
    {
        if (keep <= 0)
        {
            mask.Clear();
            return;
        }
        uint least = Find(scores, keep, out int equal);
        for (int i = 0; i < scores.Length; i++)
        {
            uint key = Ordered(scores[i]);
            mask[i] = key > least || key == least && equal-- > 0 ? 1 : 0;
        }
    }

    // The keep-th highest key, and how many that are equal to it belong to the highest.
    static uint Find(ReadOnlySpan<float> scores, int keep, out int equal)
    {
        Span<int> counts = stackalloc int[Bins];
        uint found = 0, known = 0;
        foreach (int shift in (ReadOnlySpan<int>)[21, 10, 0])
        {
            uint digits = shift == 0 ? (1u << 10) - 1 : Bins - 1;
            counts.Clear();
            foreach (float score in scores)
            {
                uint key = Ordered(score);
                if ((key & known) == found)
                    counts[(int)(key >> shift & digits)]++;
            }
            uint digit = digits;
            for (; counts[(int)digit] < keep; digit--)
                keep -= counts[(int)digit];
            found |= digit << shift;
            known |= digits << shift;
        }
        equal = keep;
        return found;
    }

    // Orders as the float does: negative ones by their bits turned round, the others above them. Both zeros are one.
    static uint Ordered(float score)
    {
        uint bits = BitConverter.SingleToUInt32Bits(score + 0f);
        return (bits & 0x80000000) != 0 ? ~bits : bits | 0x80000000;
    }
}
