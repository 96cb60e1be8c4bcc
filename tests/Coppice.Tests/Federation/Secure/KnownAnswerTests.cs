using System.Security.Cryptography;
using Coppice.Federation.Secure;
using Coppice.Tensors;

namespace Coppice.Tests.Federation.Secure;

/// <summary>The primitives give what standards say they give.</summary>
public class KnownAnswerTests
{
    [Fact]
    public void P256_agrees_on_the_point_of_RFC_5903()
    {
        using AgreementKey i = AgreementKey.FromPrivate(Bytes("C88F01F510D9AC3F70A292DAA2316DE544E9AAB8AFE84049C62A9C57862D1433"));
        using AgreementKey r = AgreementKey.FromPrivate(Bytes("C6EF9C5D78AE012A011164ACB397CE2088685D8F06BF9BE0B283AB46476BEE53"));
        Assert.Equal(Bytes("04DAD0B65394221CF9B051E1FECA5787D098DFE637FC90B9EF945D0C37725811805271A0461CDB8252D61F1C456FA3E59AB1F45B33ACCF5F58389E0577B8990BB3"), i.Public);
        Assert.Equal(Bytes("04D12DFB5289C8D4F81208B70270398C342296970A0BCCB74C736FC7554494BF6356FBF3CA366CC23E8157854C13C58D6AAC23F046ADA30F8353E74F33039872AB"), r.Public);
        byte[] common = Bytes("D6840F6B42F6EDAFD13116E0E12565202FEF8E9ECE7DCE03812464D04B9442DE");
        Assert.Equal(common, i.Agree("r", r.Public));
        Assert.Equal(common, r.Agree("i", i.Public));
        Assert.Equal(HKDF.DeriveKey(HashAlgorithmName.SHA256, common, 32, [1], [2, 3]), i.Derive("r", r.Public, [1], [2, 3]));
    }

    [Fact]
    public void HKDF_is_that_of_RFC_5869() => Assert.Equal(
        Bytes("3CB25F25FAACD57A90434F64D0362F2A2D2D0A90CF1A5A4C5DB02D56ECC4C5BF34007208D5B887185865"),
        HKDF.DeriveKey(HashAlgorithmName.SHA256, [.. Enumerable.Repeat((byte)0x0B, 22)], 42, Bytes("000102030405060708090A0B0C"), Bytes("F0F1F2F3F4F5F6F7F8F9")));

    [Fact]
    public void Counter_mode_is_that_of_SP_800_38A()
    {
        byte[] plain = Bytes("6BC1BEE22E409F96E93D7E117393172AAE2D8A571E03AC9C9EB76FAC45AF8E5130C81C46A35CE411E5FBC1191A0A52EFF69F2445DF4F9B17AD2B417BE66C3710");
        using AesCtr ctr = new(Bytes("603DEB1015CA71BE2B73AEF0857D77811F352C073B6108D72D9810A30914DFF4"), new UInt128(0xF0F1F2F3F4F5F6F7, 0xF8F9FAFBFCFDFEFF), plain.Length);
        byte[] stream = new byte[plain.Length];
        ctr.Fill(stream);
        Assert.Equal(Bytes("601EC313775789A5B7A7F504BBF3D228F443E3CA4D62B59ACA84E990CACAF5C52B0930DAA23DE94CE87017BA2D84988DDFC9C58DB67AADA613C2DD08457941A6"), plain.Zip(stream, (a, b) => (byte)(a ^ b)));
    }

    [Theory]
    [InlineData("", "530F8AFBC74536B9A963B4F1C4CB738B")]
    [InlineData("00000000000000000000000000000000", "CEA7403D4D606B6E074EC5D3BAF39D18D0D1C8A799996BF0265B98B5D48AB919")]
    public void A_sealed_message_is_that_of_the_GCM_specification(string message, string box) => Assert.Equal(Bytes(box), SealedBox.Seal(new byte[32], Bytes(message), []));

    [Fact]
    public void A_stream_is_the_same_however_it_is_taken()
    {
        const int count = 200_003;
        byte[] key = [.. Enumerable.Range(0, 32).Select(i => (byte)i)], whole = new byte[count], parts = new byte[count];
        // The counter passes 2^64 within the stream.
        UInt128 counter = new(7, ulong.MaxValue - 1000);
        using AesCtr once = new(key, counter, count), often = new(key, counter, 100);
        once.Fill(whole);
        Random random = new(1);
        for (int at = 0; at < count;)
        {
            int length = Math.Min(count - at, random.Next(3000));
            often.Fill(parts.AsSpan(at, length));
            at += length;
        }
        Assert.Equal(whole, parts);
        using Aes aes = Aes.Create();
        aes.Key = key;
        byte[] block = new byte[16];
        Assert.True(aes.EncryptEcb([0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0], block, PaddingMode.None) == 16);
        Assert.Equal(block, whole[(1001 * 16)..(1002 * 16)]);
    }

    [Fact]
    public void A_changed_box_does_not_open()
    {
        byte[] key = [.. Enumerable.Repeat((byte)9, 32)], box = SealedBox.Seal(key, [1, 2, 3], [4]);
        Assert.Equal([1, 2, 3], SealedBox.Open(key, box, [4]));
        Assert.Throws<CoppiceException>(() => SealedBox.Open(key, box, [5]));
        Assert.Throws<CoppiceException>(() => SealedBox.Open(new byte[32], box, [4]));
        Assert.Throws<CoppiceException>(() => SealedBox.Open(key, box[..10], [4]));
        for (int i = 0; i < box.Length; i++)
        {
            byte[] changed = [.. box];
            changed[i] ^= 1;
            Assert.Throws<CoppiceException>(() => SealedBox.Open(key, changed, [4]));
        }
    }

    [Fact]
    public void A_key_that_is_no_point_of_the_curve_is_refused_by_name()
    {
        using AgreementKey own = AgreementKey.Create(), other = AgreementKey.Create();
        byte[] off = [.. other.Public];
        off[40] ^= 1;
        foreach (byte[] wrong in (byte[][])[off, [4, .. new byte[64]], [4, .. Enumerable.Repeat((byte)0xFF, 64)], [2, .. other.Public[1..]], other.Public[..33], []])
            Assert.Contains("client 'eve'", Assert.Throws<CoppiceException>(() => own.Agree("eve", wrong)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("0000000000000000000000000000000000000000000000000000000000000000", false)]
    [InlineData("0000000000000000000000000000000000000000000000000000000000000001", true)]
    [InlineData("FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632550", true)]
    [InlineData("FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551", false)]
    [InlineData("01", false)]
    public void A_private_key_is_above_0_and_below_the_order(string hex, bool isPrivate)
    {
        Assert.Equal(isPrivate, AgreementKey.IsPrivate(Bytes(hex)));
        if (isPrivate)
            AgreementKey.FromPrivate(Bytes(hex)).Dispose();
    }

    static byte[] Bytes(string hex) => Convert.FromHexString(hex);
}
