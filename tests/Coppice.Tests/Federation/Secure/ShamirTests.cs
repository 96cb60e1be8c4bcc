using System.Buffers.Binary;
using System.Security.Cryptography;
using Coppice.Federation.Secure;

namespace Coppice.Tests.Federation.Secure;

public class ShamirTests
{
    static readonly byte[] Secret = [.. Enumerable.Range(0, 32).Select(i => (byte)(255 - i))];

    static readonly int[] Points = [1, 2, 5, 1000];

    // By whole numbers in another language: coefficients are (i + 1) 0x9E3779B97F4A7C15 mod 2^64, its lower 61 bits.
    static readonly string[] Known =
    [
        "3F73DD7A2868A01B8C5C007107487714D9452367E6274E0D262F465DC507250672186953C5081E1E",
        "D6D7E6F53ABC240FCAA15DE6E569B719BF6BD4D690174A04B3354BC73BC5DC0EA7FFC1B707949118",
        "9CA7FE55D621E51E7EB56C2449A2DE1360C3DAF2BB22D80841D148C12EA3D11D23DFB68FC244ED11",
        "1722AFCFB1E4EA03D0A93ED6F943880F8931CEDC41A3251B43B95DE38902C306FC40EDE9F2828211",
    ];

    [Fact]
    public void Shares_are_those_that_were_computed_elsewhere()
    {
        using Counting random = new();
        Assert.Equal(Known, Shamir.Split(Secret, 3, Points, random).Select(Convert.ToHexString));
    }

    [Fact]
    public void Every_three_of_four_give_the_secret_and_two_do_not()
    {
        byte[][] shares = [.. Known.Select(Convert.FromHexString)];
        for (int left = 0; left < 4; left++)
        {
            int[] kept = [.. Enumerable.Range(0, 4).Where(i => i != left)];
            Assert.Equal(Secret, Shamir.Combine([.. kept.Select(i => Points[i])], [.. kept.Select(i => shares[i])]));
        }
        Assert.NotEqual(Secret, Shamir.Combine([1, 2], shares[..2]));
        Assert.NotEqual(Secret, Shamir.Combine([1, 2, 1000], shares[..3]));
        byte[] changed = [.. shares[1]];
        changed[0] ^= 1;
        Assert.NotEqual(Secret, Shamir.Combine([1, 2, 5], [shares[0], changed, shares[2]]));
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(1, 5)]
    [InlineData(2, 2)]
    [InlineData(41, 60)]
    public void Any_threshold_of_any_number(int threshold, int count)
    {
        using RandomNumberGenerator random = RandomNumberGenerator.Create();
        Random draw = new(count);
        foreach (byte[] secret in (byte[][])[new byte[32], [.. Enumerable.Repeat((byte)0xFF, 32)], RandomNumberGenerator.GetBytes(32)])
        {
            int[] points = [.. Enumerable.Range(1, count)], kept = [.. points];
            byte[][] shares = Shamir.Split(secret, threshold, points, random);
            Assert.All(shares, share => Assert.True(Shamir.IsShare(share)));
            draw.Shuffle(kept);
            Assert.Equal(secret, Shamir.Combine(kept.AsSpan(0, threshold), [.. kept.Take(threshold).Select(point => shares[point - 1])]));
        }
    }

    [Fact]
    public void What_is_no_share_is_told_apart()
    {
        Assert.False(Shamir.IsShare(new byte[39]));
        byte[] large = new byte[40];
        BinaryPrimitives.WriteUInt64LittleEndian(large.AsSpan(8), Shamir.Prime);
        Assert.False(Shamir.IsShare(large));
        Assert.Contains("point 5", Assert.Throws<ArgumentException>(() => Shamir.Combine([5, 5], [new byte[40], new byte[40]])).Message, StringComparison.Ordinal);
        using Counting random = new();
        Assert.Throws<ArgumentException>(() => Shamir.Split(Secret, 5, Points, random));
        Assert.Throws<ArgumentException>(() => Shamir.Split(Secret[..31], 2, Points, random));
    }

    sealed class Counting : RandomNumberGenerator
    {
        ulong count;

        public override void GetBytes(byte[] data) => BinaryPrimitives.WriteUInt64LittleEndian(data, unchecked(++count * 0x9E3779B97F4A7C15));
    }
}
