namespace Coppice.Evaluation;

/// <summary>How well a score tells positives, which should have the higher one, from negatives, over all thresholds.</summary>
public static class RocCurve
{
    /// <summary>The area under the curve: the probability that a positive scores above a negative, equal scores counting half (Mann and Whitney 1947). 0.5 is guessing.</summary>
    public static double Area(IReadOnlyCollection<double> positives, IReadOnlyCollection<double> negatives)
    {
        double area = 0, truePositives = 0;
        foreach ((int right, int wrong) in Steps(positives, negatives))
        {
            area += wrong * (truePositives + right / 2.0);
            truePositives += right;
        }
        return area / ((double)positives.Count * negatives.Count);
    }

    /// <summary>The largest share of positives above a threshold that no more than a share of the negatives is above.</summary>
    public static double TruePositivesAt(double falsePositives, IReadOnlyCollection<double> positives, IReadOnlyCollection<double> negatives)
    {
        int right = 0, wrong = 0;
        foreach ((int moreRight, int moreWrong) in Steps(positives, negatives))
        {
            wrong += moreWrong;
            if (wrong > falsePositives * negatives.Count)
                break;
            right += moreRight;
        }
        return (double)right / positives.Count;
    }

    // Falling thresholds: how many positives and negatives have each score.
    static IEnumerable<(int Right, int Wrong)> Steps(IReadOnlyCollection<double> positives, IReadOnlyCollection<double> negatives)
    {
        if (positives.Count == 0 || negatives.Count == 0)
            throw new ArgumentException($"RocCurve: {positives.Count} positives and {negatives.Count} negatives, wanted some of both");
        return positives.Select(score => (Score: score, Right: 1)).Concat(negatives.Select(score => (Score: score, Right: 0)))
            .GroupBy(example => example.Score).OrderByDescending(group => group.Key).Select(group => (group.Sum(example => example.Right), group.Count(example => example.Right == 0)));
    }
}
