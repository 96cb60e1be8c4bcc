using Coppice.Federation.Secure;
using Coppice.Tensors;

namespace Coppice.Tests.Federation.Secure;

public class SecurePlanTests
{
    static readonly SecureOptions Third = new() { Adversaries = 1.0 / 3, Dropouts = 0.2 }, Few = new() { Adversaries = 0.05, Dropouts = 0.05 };

    // By exact fractions in another language.
    [Theory]
    [InlineData(5, 4, 4, 3)]
    [InlineData(40, 25, 39, 24)]
    [InlineData(80, 49, 64, 17)]
    [InlineData(100, 61, 70, 21)]
    [InlineData(500, 301, 132, 60)]
    [InlineData(1000, 601, 160, 73)]
    [InlineData(10000, 6001, 206, 94)]
    public void Degree_and_threshold_are_the_least_that_keep_the_bounds(int clients, int minimum, int degree, int threshold)
    {
        SecurePlan plan = SecurePlan.For(clients, new SecureOptions());
        Assert.Equal((minimum, degree, threshold), (plan.Minimum, plan.Degree, plan.Threshold));
    }

    [Theory]
    [InlineData(100, 67, 74, 34)]
    [InlineData(1000, 667, 182, 109)]
    public void More_adversaries_take_more_neighbours(int clients, int minimum, int degree, int threshold)
    {
        SecurePlan plan = SecurePlan.For(clients, Third);
        Assert.Equal((minimum, degree, threshold), (plan.Minimum, plan.Degree, plan.Threshold));
    }

    [Fact]
    public void Fewer_take_fewer()
    {
        SecurePlan plan = SecurePlan.For(1000, Few);
        Assert.Equal((526, 34, 18), (plan.Minimum, plan.Degree, plan.Threshold));
        // One client alone never has a whole secret.
        Assert.Equal((3, 4, 2), (SecurePlan.For(5, Few).Minimum, SecurePlan.For(5, Few).Degree, SecurePlan.For(5, Few).Threshold));
    }

    [Theory]
    [InlineData(3, 16, 18)]
    [InlineData(5, 16, 19)]
    [InlineData(4, 2, 4)]
    [InlineData(5, 2, 4)]
    [InlineData(6, 2, 5)]
    [InlineData(256, 24, 32)]
    public void The_modulus_is_the_least_power_of_two_above_the_largest_sum(int clients, int bits, int modulusBits)
    {
        Assert.Equal(modulusBits, SecurePlan.For(clients, new SecureOptions { Bits = bits }).ModulusBits);
        long largest = clients * ((1L << bits) - 1);
        Assert.True(1L << modulusBits >= largest + 1 && 1L << (modulusBits - 1) < largest + 1);
    }

    [Theory]
    [InlineData(2, 16, "2 clients")]
    [InlineData(1, 16, "1 clients")]
    [InlineData(300, 24, "takes 33 bits")]
    public void What_hides_nobody_is_refused(int clients, int bits, string reason) =>
        Assert.Contains(reason, Assert.Throws<CoppiceException>(() => SecurePlan.For(clients, new SecureOptions { Bits = bits })).Message, StringComparison.Ordinal);

    [Fact]
    public void The_honest_of_the_fewest_clients_have_the_noise_together_and_the_modulus_has_room_for_it()
    {
        // Of 10 clients 2 may be adversaries, and 7 are the fewest: 5 clients' variances are (3 * 1000)^2.
        SecurePlan plan = SecurePlan.For(10, new SecureOptions { Bits = 8, Noise = 3, MaxWeight = 1 }, sensitivity: 1000);
        Assert.Equal((7, 5, 1_800_000L), (plan.Minimum, plan.Honest, plan.NoiseVariance));
        double largest = 10 * 255 + 2 * 10 * Math.Sqrt(10 * 1_800_000.0);
        Assert.True(1L << plan.ModulusBits > largest && 1L << (plan.ModulusBits - 1) <= largest);
        foreach (double sensitivity in new[] { 1e9, 1e30 })
            Assert.Contains("wanted fewer bits", Assert.Throws<CoppiceException>(() => SecurePlan.For(10, new SecureOptions { Noise = 3, MaxWeight = 1 }, sensitivity)).Message, StringComparison.Ordinal);
        Assert.Contains("weight is 1024, wanted 1", Assert.Throws<CoppiceException>(() => SecurePlan.For(10, new SecureOptions { Noise = 3 }, 1)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_tail_is_the_sum_of_its_draws()
    {
        // Of 10, 4 marked, 3 drawn: C(4, i) C(6, 3 - i) of 120 are 20, 60, 36, 4.
        Hypergeometric draw = new(10, 4, 3);
        Assert.True(draw.AtLeastIsBelow(3, 1, 4));
        Assert.False(draw.AtLeastIsBelow(3, 2, 4));
        Assert.True(draw.AtLeastIsBelow(2, 3, 0));
        Assert.False(draw.AtLeastIsBelow(2, 4, 0));
        Assert.True(draw.FewerIsBelow(1, 6, 0));
        Assert.False(draw.FewerIsBelow(1, 7, 0));
        Assert.True(draw.FewerIsBelow(0, 1000, 100));
        Assert.True(draw.AtLeastIsBelow(4, 1000, 100));
    }

    [Fact]
    public void Neighbours_are_mutual_and_k_in_number_in_an_order_that_the_hash_gives()
    {
        byte[] hash = [.. Enumerable.Repeat((byte)1, 32)], other = [.. Enumerable.Repeat((byte)2, 32)];
        MaskGraph graph = new(hash, 101, 10), again = new(hash, 101, 10), another = new(other, 101, 10), complete = new(hash, 6, 5);
        for (int client = 0; client < 101; client++)
        {
            int[] neighbours = graph.Neighbours(client);
            Assert.Equal(10, neighbours.Distinct().Count());
            Assert.DoesNotContain(client, neighbours);
            Assert.All(neighbours, neighbour => Assert.Contains(client, graph.Neighbours(neighbour)));
            Assert.Equal(neighbours, again.Neighbours(client));
        }
        Assert.Contains(Enumerable.Range(0, 101), client => !graph.Neighbours(client).SequenceEqual(another.Neighbours(client)));
        Assert.Equal([0, 1, 2, 4, 5], complete.Neighbours(3));
    }

    [Theory]
    [InlineData("hadamard:5", 5, 16, SecureTransform.Hadamard)]
    [InlineData("hadamard:0.5:8:100:0.1:0.3", 0.5, 8, SecureTransform.Hadamard)]
    [InlineData("plain:2", 2, 24, SecureTransform.None)]
    public void Options_have_names(string text, double clip, int bits, SecureTransform transform)
    {
        SecureOptions options = SecureOptions.Find(text);
        options.Validate();
        Assert.Equal((clip, bits, transform), (options.Clip, options.Bits, options.Transform));
    }

    [Theory]
    [InlineData("sum:1", "none of hadamard")]
    [InlineData("hadamard", "lacks a norm")]
    [InlineData("hadamard:1:1", "bits")]
    [InlineData("hadamard:1:16:10:0.3:0.2:9", "too many")]
    public void Other_names_are_refused(string text, string reason) => Assert.Contains(reason, Assert.Throws<CoppiceException>(() => SecureOptions.Find(text)).Message, StringComparison.Ordinal);

    [Fact]
    public void A_mix_of_dropouts_and_adversaries_that_leaves_no_majority_is_refused() =>
        Assert.Contains("too few are left", Assert.Throws<CoppiceException>(() => new SecureOptions { Dropouts = 0.4, Adversaries = 0.2 }.Validate()).Message, StringComparison.Ordinal);
}
