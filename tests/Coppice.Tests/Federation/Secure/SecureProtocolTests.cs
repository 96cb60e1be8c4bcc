using Coppice.Federation.Secure;

namespace Coppice.Tests.Federation.Secure;

/// <summary>The sum is the plain one, whoever drops out where, or there is none.</summary>
public class SecureProtocolTests
{
    static readonly SecureOptions Options = new();

    [Theory]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(7)]
    public void With_everybody_there_the_sum_is_exact(int clients)
    {
        using Attempt attempt = new(clients, Options);
        Assert.Equal(attempt.PlainSum(), attempt.Run());
    }

    [Fact]
    public void With_noise_the_sum_is_that_of_clients_and_of_noise_as_planned()
    {
        SecureOptions options = Options with { Bits = 6, Noise = 4, MaxWeight = 1 };
        double squares = 0;
        const int rounds = 40;
        for (int seed = 1; seed <= rounds; seed++)
        {
            using Attempt attempt = new(5, options, new Dictionary<int, int> { [2] = 4 }, seed);
            uint[] plain = attempt.PlainSum(), sum = attempt.Run();
            int bits = attempt.Server.Plan.ModulusBits;
            Assert.Equal(plain[Attempt.Numbers..], sum[Attempt.Numbers..]);
            for (int i = 0; i < Attempt.Numbers; i++)
                squares += Math.Pow((int)(sum[i] - plain[i]) << (32 - bits) >> (32 - bits), 2) / (5.0 * attempt.Server.Plan.NoiseVariance);
        }
        Assert.InRange(squares / (rounds * Attempt.Numbers), 0.85, 1.15);
    }

    // 10 clients, of which 3 drop out: at each step, and spread over steps.
    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(2, 2, 2)]
    [InlineData(3, 3, 3)]
    [InlineData(4, 4, 4)]
    [InlineData(5, 5, 5)]
    [InlineData(1, 2, 3)]
    [InlineData(3, 4, 5)]
    [InlineData(2, 3, 4)]
    public void With_a_third_gone_at_any_steps_the_sum_is_exact(int first, int second, int third)
    {
        for (int seed = 1; seed <= 3; seed++)
        {
            int[] gone = [.. Enumerable.Range(0, 10)];
            new Random(seed).Shuffle(gone);
            using Attempt attempt = new(10, Options, new Dictionary<int, int> { [gone[0]] = first, [gone[1]] = second, [gone[2]] = third }, seed);
            uint[] sum = attempt.Run();
            Assert.Equal(attempt.PlainSum(), sum);
            Assert.Equal(attempt.Here(3).Select(i => attempt.Names[i]), attempt.Server.Survivors);
        }
    }

    [Fact]
    public void In_a_sparse_graph_with_a_third_gone_the_sum_is_exact()
    {
        SecureOptions options = Options with { Dropouts = 0.3, Adversaries = 0, PrivacyBits = 10, CorrectnessBits = 10 };
        Random random = new(5);
        int[] gone = [.. Enumerable.Range(0, 60)];
        random.Shuffle(gone);
        using Attempt attempt = new(60, options, gone.Take(18).ToDictionary(i => i, _ => random.Next(2, 6)));
        Assert.Equal(attempt.PlainSum(), attempt.Run());
        Assert.InRange(attempt.Server.Plan.Degree, 4, 40);
    }

    [Theory]
    [InlineData(2, 0.0)]
    [InlineData(24, 0.0)]
    [InlineData(16, 0.3)]
    public void Any_number_of_bits(int bits, double dropouts)
    {
        using Attempt attempt = new(5, Options with { Bits = bits, Dropouts = dropouts }, new Dictionary<int, int> { [3] = 4 });
        Assert.Equal(attempt.PlainSum(), attempt.Run());
    }

    [Theory]
    [InlineData(1, "2 clients")]
    [InlineData(2, "have sent shares, wanted 7 or more")]
    [InlineData(3, "have sent masked numbers, wanted 7 or more")]
    [InlineData(4, "have signed the survivors, wanted 7 or more")]
    [InlineData(5, "have sent shares to unmask, wanted 7 or more")]
    public void Below_the_threshold_there_is_no_sum(int step, string reason)
    {
        using Attempt attempt = new(10, Options, Enumerable.Range(0, step == 1 ? 8 : 4).ToDictionary(i => 2 * i % 10 + i / 5, _ => step));
        string message = Attempt.Refusal(() => attempt.Run());
        Assert.Contains(step == 1 ? reason : $"6 of 10 clients {reason}", message, StringComparison.Ordinal);
        if (step > 1)
            Assert.Contains("no update is revealed", message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_the_server_gets_of_one_client_is_as_good_as_random()
    {
        // Numbers that are all 0 come out masked: their mean and the mean of their squares are those of uniform numbers of 19 bits.
        using Attempt attempt = new(5, Options);
        attempt.Keys();
        attempt.Shares();
        byte[] packed = attempt.Clients[0].Mask(attempt.Server.DeliveriesFor(attempt.Names[0]), new uint[100_000]);
        uint[] words = new uint[packed.Length / 4], numbers = new uint[100_000];
        Buffer.BlockCopy(packed, 0, words, 0, packed.Length);
        Coppice.Coding.BitPacking.Unpack(words, attempt.Server.Plan.ModulusBits, numbers);
        Assert.Equal(19, attempt.Server.Plan.ModulusBits);
        double[] shares = [.. numbers.Select(number => number / (double)(1 << 19))];
        Assert.InRange(shares.Average(), 0.5 - 5 * Math.Sqrt(1.0 / 12 / shares.Length), 0.5 + 5 * Math.Sqrt(1.0 / 12 / shares.Length));
        Assert.InRange(shares.Average(x => x * x), 1.0 / 3 - 0.005, 1.0 / 3 + 0.005);
    }

    [Fact]
    public void Masks_are_not_used_twice()
    {
        // The same numbers in two attempts look different at every place but by chance (2^-19 a number).
        byte[][] sent = [.. Enumerable.Range(0, 2).Select(_ =>
        {
            using Attempt attempt = new(5, Options);
            attempt.Keys();
            attempt.Shares();
            return attempt.Clients[0].Mask(attempt.Server.DeliveriesFor(attempt.Names[0]), new uint[1000]);
        })];
        Assert.InRange(sent[0].Zip(sent[1]).Count(pair => pair.First == pair.Second), 0, 40);
    }
}
