using Coppice.Compression;
using Coppice.Compression.Budget;
using Coppice.Tensors;

namespace Coppice.Tests.Compression.Budget;

public class KnapsackTests
{
    [Fact]
    public void What_saves_most_for_its_cost_is_taken_first()
    {
        // From 1 + 1: the second item's better option saves 9 for 2, the first's 4 for 1; 5 in all leaves room for both, 4 for the second alone, 3 for the first alone.
        IReadOnlyList<(double, double)>[] items = [[(1, 5), (2, 1)], [(1, 10), (3, 1)]];
        Assert.Equal([1, 1], Knapsack.Choose(items, 5)!);
        Assert.Equal([0, 1], Knapsack.Choose(items, 4)!);
        Assert.Equal([1, 0], Knapsack.Choose(items, 3)!);
        Assert.Equal([0, 0], Knapsack.Choose(items, 2)!);
        Assert.Null(Knapsack.Choose(items, 1.9));
    }

    [Fact]
    public void Options_that_cost_more_and_lose_more_are_never_chosen() =>
        Assert.Equal([2], Knapsack.Choose([[(1, 5), (3, 6), (2, 4), (5, 4)]], 10)!);

    [Fact]
    public void It_is_close_to_the_best_of_all_choices()
    {
        Random random = new(3);
        double ours = 0, best = 0;
        for (int trial = 0; trial < 200; trial++)
        {
            // Losses fall about fourfold for each step of cost, as with bits.
            IReadOnlyList<(double Cost, double Loss)>[] items = [.. Enumerable.Range(0, 5).Select(_ =>
            {
                double size = 1 + random.Next(4), sensitivity = Math.Exp(3 * random.NextDouble());
                return (IReadOnlyList<(double, double)>)[.. Enumerable.Range(2, 4).Select(bits => (size * bits, sensitivity * Math.Pow(4, -bits) * (0.8 + 0.4 * random.NextDouble())))];
            })];
            double least = items.Sum(options => options[0].Cost), budget = least + random.NextDouble() * (items.Sum(options => options[^1].Cost) - least);
            int[] chosen = Knapsack.Choose(items, budget)!;
            Assert.True(items.Select((options, i) => options[chosen[i]].Cost).Sum() <= budget + 1e-9);
            double loss = items.Select((options, i) => options[chosen[i]].Loss).Sum(), optimum = Best(items, 0, budget);
            Assert.True(loss >= optimum - 1e-12);
            (ours, best) = (ours + loss / optimum, best + 1);
        }
        Assert.InRange(ours / best, 1, 1.15);

        static double Best(IReadOnlyList<(double Cost, double Loss)>[] items, int item, double left) =>
            left < -1e-9 ? double.PositiveInfinity : item == items.Length ? 0 : items[item].Min(option => option.Loss + Best(items, item + 1, left - option.Cost));
    }

    [Theory]
    [InlineData("3.5bpw", 3.5, BudgetUnit.BitsPerWeight)]
    [InlineData("60MB", 60e6, BudgetUnit.Bytes)]
    [InlineData("1.5 GB", 1.5e9, BudgetUnit.Bytes)]
    [InlineData("30ms/token", 30, BudgetUnit.MillisecondsPerToken)]
    public void A_budget_is_read(string text, double amount, BudgetUnit unit) => Assert.Equal(new SizeBudget(amount, unit), SizeBudget.Parse(text));

    [Theory]
    [InlineData(""), InlineData("3"), InlineData("bpw"), InlineData("-1bpw"), InlineData("NaNMB"), InlineData("1e400MB"), InlineData("3 tokens")]
    public void What_is_no_budget_is_refused(string text) =>
        Assert.Equal($"budget '{text}', wanted such as 3.5bpw, 60MB or 30ms/token", Assert.Throws<CoppiceException>(() => SizeBudget.Parse(text)).Message);
}
