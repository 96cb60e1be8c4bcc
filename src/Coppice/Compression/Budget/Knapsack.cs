namespace Coppice.Compression.Budget;

/// <summary>One option of each item so that their costs fit a budget and their losses are least together.</summary>
public static class Knapsack
{
    /// <summary>The index of each item's option. First along the lower convex hulls of items' options, the most loss saved for a cost first (the Lagrangian's solution), then any exchange of one option that still fits and saves loss.</summary>
    /// <param name="items">For each item its options: what they cost and what they lose, in any order.</param>
    /// <param name="budget">What all chosen options may cost together.</param>
    /// <returns>Null where even the cheapest options cost more.</returns>
    public static int[]? Choose(IReadOnlyList<IReadOnlyList<(double Cost, double Loss)>> items, double budget)
    {
        List<int>[] hulls = [.. items.Select(Hull)];
        int[] chosen = [.. hulls.Select(hull => hull[0])];
        double left = budget - items.Select((options, item) => options[chosen[item]].Cost).Sum();
        if (left < -1e-9 * Math.Abs(budget))
            return null;
        List<(int Item, int Place, double Saved)> moves = [];
        for (int item = 0; item < items.Count; item++)
            for (int i = 1; i < hulls[item].Count; i++)
            {
                ((double cost, double loss), (double costBefore, double lossBefore)) = (items[item][hulls[item][i]], items[item][hulls[item][i - 1]]);
                moves.Add((item, i, (lossBefore - loss) / (cost - costBefore)));
            }
        int[] place = new int[items.Count];
        foreach ((int item, int at, double _) in moves.OrderByDescending(move => move.Saved).ThenBy(move => move.Item).ThenBy(move => move.Place))
        {
            double more = items[item][hulls[item][at]].Cost - items[item][chosen[item]].Cost;
            if (at != place[item] + 1 || more > left)
                continue;
            (place[item], chosen[item]) = (at, hulls[item][at]);
            left -= more;
        }
        while (Exchange(items, chosen, ref left))
            ;
        return chosen;
    }

    // The one exchange that saves most.
    static bool Exchange(IReadOnlyList<IReadOnlyList<(double Cost, double Loss)>> items, int[] chosen, ref double left)
    {
        (int item, int option, double saved) best = (-1, -1, 0);
        for (int item = 0; item < items.Count; item++)
            for (int option = 0; option < items[item].Count; option++)
            {
                double saved = items[item][chosen[item]].Loss - items[item][option].Loss;
                if (saved > best.saved && items[item][option].Cost - items[item][chosen[item]].Cost <= left)
                    best = (item, option, saved);
            }
        if (best.item < 0)
            return false;
        left -= items[best.item][best.option].Cost - items[best.item][chosen[best.item]].Cost;
        chosen[best.item] = best.option;
        return true;
    }

    // Options by rising cost, below which no line between two others passes, each losing less than the one before.
    static List<int> Hull(IReadOnlyList<(double Cost, double Loss)> options)
    {
        List<int> hull = [];
        foreach (int option in Enumerable.Range(0, options.Count).OrderBy(i => options[i].Cost).ThenBy(i => options[i].Loss))
        {
            (double cost, double loss) = options[option];
            if (hull.Count > 0 && loss >= options[hull[^1]].Loss)
                continue;
            while (hull.Count > 1 && (options[hull[^1]].Loss - options[hull[^2]].Loss) * (cost - options[hull[^2]].Cost) >= (loss - options[hull[^2]].Loss) * (options[hull[^1]].Cost - options[hull[^2]].Cost))
                hull.RemoveAt(hull.Count - 1);
            hull.Add(option);
        }
        return hull;
    }
}
