using Coppice.Federation.Splits;
using Coppice.Tensors;

namespace Coppice.Tests.Federation.Splits;

public class SplitTests
{
    static readonly string[] labels = [.. Enumerable.Range(0, 1000).Select(i => $"label{i * i % 7}")];

    [Theory]
    [InlineData("label")]
    [InlineData("iid:7")]
    [InlineData("dirichlet:0.3:10")]
    [InlineData("dirichlet:100:3:50")]
    [InlineData("shards:2:10")]
    [InlineData("power:1.5:10")]
    public void Every_document_goes_to_one_client_and_a_seed_decides_which(string name)
    {
        ISplit split = SplitRegistry.Find(name);
        IReadOnlyList<ClientShare> first = split.Deal(labels, new Random(3)), again = split.Deal(labels, new Random(3)), other = split.Deal(labels, new Random(4));
        Assert.Equal(Enumerable.Range(0, labels.Length), first.SelectMany(share => share.Documents).Order());
        Assert.All(first, share => Assert.NotEmpty(share.Documents));
        Assert.All(first, share => Assert.Equal(share.Documents.Order(), share.Documents));
        Assert.Equal(first.Select(share => share.Client).Order(StringComparer.Ordinal), first.Select(share => share.Client));
        Assert.Equal(first.Select(share => share.Documents.ToArray()), again.Select(share => share.Documents.ToArray()));
        Assert.Equal(name == "label", first.Zip(other).All(pair => pair.First.Documents.SequenceEqual(pair.Second.Documents)));
    }

    [Fact]
    public void Sizes_follow_the_power_law_to_one_document()
    {
        double sum = Enumerable.Range(1, 10).Sum(k => Math.Pow(k, -1.5));
        foreach ((int k, ClientShare share) in SplitRegistry.Find("power:1.5:10").Deal(labels, new Random(1)).Index())
            Assert.InRange(share.Documents.Length, (1000 * Math.Pow(k + 1, -1.5) / sum) - 1, (1000 * Math.Pow(k + 1, -1.5) / sum) + 1);
        Assert.All(SplitRegistry.Find("iid:7").Deal(labels, new Random(1)), share => Assert.InRange(share.Documents.Length, 142, 143));
    }

    // A share of Dirichlet(alpha, ..., alpha) over N has mean 1 / N and variance (N - 1) / (N^2 (N alpha + 1)).
    [Theory]
    [InlineData(0.1)]
    [InlineData(0.5)]
    [InlineData(1)]
    [InlineData(8)]
    public void Dirichlet_shares_have_the_mean_and_the_variance_of_the_law(double alpha)
    {
        const int N = 5, Draws = 20_000;
        Random random = new(7);
        double[] shares = new double[N];
        double sum = 0, squares = 0;
        for (int draw = 0; draw < Draws; draw++)
        {
            DirichletSplit.Sample(alpha, random, shares);
            Assert.Equal(1, shares.Sum(), 1e-12);
            sum += shares[2];
            squares += (shares[2] - (1.0 / N)) * (shares[2] - (1.0 / N));
        }
        double variance = (N - 1) / (N * N * ((N * alpha) + 1));
        Assert.Equal(1.0 / N, sum / Draws, 5 * Math.Sqrt(variance / Draws));
        Assert.Equal(1, squares / Draws / variance, 0.06);
    }

    [Fact]
    public void A_tiny_alpha_gives_a_label_to_one_client_and_a_huge_one_to_all_alike()
    {
        double[] shares = new double[10];
        DirichletSplit.Sample(1e-6, new Random(1), shares);
        Assert.Equal(1, shares.Max(), 1e-9);
        DirichletSplit.Sample(1e6, new Random(1), shares);
        Assert.All(shares, share => Assert.Equal(0.1, share, 1e-3));
    }

    [Fact]
    public void Label_shares_of_a_dirichlet_split_are_those_drawn_for_the_label()
    {
        string[] two = [.. Enumerable.Repeat("a", 600), .. Enumerable.Repeat("b", 400)];
        IReadOnlyList<ClientShare> dealt = SplitRegistry.Find("dirichlet:1:4").Deal(two, new Random(11));
        Random same = new(11);
        double[] shares = new double[4];
        Dealing.Shuffled(two, same);
        foreach ((string label, int count) in new[] { ("a", 600), ("b", 400) })
        {
            DirichletSplit.Sample(1, same, shares);
            for (int k = 0; k < 4; k++)
                Assert.InRange(dealt[k].Documents.Count(place => two[place] == label), (count * shares[k]) - 1, (count * shares[k]) + 1);
        }
    }

    [Fact]
    public void Shards_are_of_one_size_and_hold_few_labels()
    {
        string[] ten = [.. Enumerable.Range(0, 1000).Select(i => $"{i % 10}")];
        IReadOnlyList<ClientShare> dealt = SplitRegistry.Find("shards:2:5").Deal(ten, new Random(1));
        Assert.All(dealt, share => Assert.Equal(200, share.Documents.Length));
        Assert.All(dealt, share => Assert.Equal(2, share.Documents.Select(place => ten[place]).Distinct().Count()));
    }

    [Fact]
    public void Labels_with_few_documents_take_no_part_where_a_least_number_says_so()
    {
        IReadOnlyList<ClientShare> dealt = SplitRegistry.Find("label:2").Deal(["b", "a", "c", "b", "a", "a"], new Random(1));
        Assert.Equal(["a", "b"], dealt.Select(share => share.Client));
        Assert.Equal([1, 4, 5], dealt[0].Documents.ToArray());
    }

    [Theory]
    [InlineData("half", "split: 'half' is none of label[:LEAST], iid")]
    [InlineData("dirichlet:0", "split: 'dirichlet:0' has an alpha '0', wanted a number from")]
    [InlineData("dirichlet:x:3", "has an alpha 'x'")]
    [InlineData("iid:2.5", "has a number of clients 2.5, wanted a whole number")]
    [InlineData("power:1:5:9", "has '9' too many")]
    public void A_name_that_cannot_be_is_refused(string name, string said) =>
        Assert.Contains(said, Assert.Throws<CoppiceException>(() => SplitRegistry.Find(name)).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("iid:5", "split 'iid:5': 4 documents leave client 3 with none; wanted fewer clients")]
    [InlineData("power:3:4", "split 'power:3:4': 4 documents leave client 3 with none; wanted fewer clients or a smaller exponent")]
    [InlineData("shards:3:2", "split 'shards:3:2': 6 shards of 4 documents; wanted fewer clients or shards")]
    [InlineData("dirichlet:0.01:4", "split 'dirichlet:0.01:4:1': 4 documents of 2 labels left a client with fewer than 1 in each of 100 draws")]
    [InlineData("label:3", "split 'label:3': none of 2 labels has 3 documents")]
    public void Too_few_documents_are_refused_in_a_line(string name, string said) =>
        Assert.StartsWith(said, Assert.Throws<CoppiceException>(() => SplitRegistry.Find(name).Deal(["a", "b", "a", "b"], new Random(1))).Message, StringComparison.Ordinal);

    [Fact]
    public void A_split_is_found_again_by_its_name() =>
        Assert.All(["label:2", "iid:4", "dirichlet:0.3:4:2", "shards:2:3", "power:0.5:3"], name => Assert.Equal(name, SplitRegistry.Find(name).Name));
}
