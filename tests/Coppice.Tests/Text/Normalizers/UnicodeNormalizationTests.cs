using System.Text;
using Coppice.Text.Normalizers;

namespace Coppice.Tests.Text.Normalizers;

public class UnicodeNormalizationTests
{
    // From Unicode's NormalizationTest.txt: source, NFC, NFD, NFKC, NFKD.
    [Theory]
    [InlineData("1E0A", "1E0A", "0044 0307", "1E0A", "0044 0307")]
    [InlineData("1E0A 0323", "1E0C 0307", "0044 0323 0307", "1E0C 0307", "0044 0323 0307")]
    [InlineData("1E14 0304", "1E14 0304", "0045 0304 0300 0304", "1E14 0304", "0045 0304 0300 0304")]
    [InlineData("05B8 05B9 05B1 0591 05C3 05B0 05AC 059F", "05B1 05B8 05B9 0591 05C3 05B0 05AC 059F", "05B1 05B8 05B9 0591 05C3 05B0 05AC 059F", "05B1 05B8 05B9 0591 05C3 05B0 05AC 059F", "05B1 05B8 05B9 0591 05C3 05B0 05AC 059F")]
    [InlineData("AC00", "AC00", "1100 1161", "AC00", "1100 1161")]
    [InlineData("1100 1161 11A8", "AC01", "1100 1161 11A8", "AC01", "1100 1161 11A8")]
    [InlineData("AC00 11A8", "AC01", "1100 1161 11A8", "AC01", "1100 1161 11A8")]
    [InlineData("FB01", "FB01", "FB01", "0066 0069", "0066 0069")]
    [InlineData("212B", "00C5", "0041 030A", "00C5", "0041 030A")]
    [InlineData("0958", "0915 093C", "0915 093C", "0915 093C", "0915 093C")]
    [InlineData("1D15E", "1D157 1D165", "1D157 1D165", "1D157 1D165", "1D157 1D165")]
    [InlineData("1D7CE", "1D7CE", "1D7CE", "0030", "0030")]
    [InlineData("FDFA", "FDFA", "FDFA", "0635 0644 0649 0020 0627 0644 0644 0647 0020 0639 0644 064A 0647 0020 0648 0633 0644 0645", "0635 0644 0649 0020 0627 0644 0644 0647 0020 0639 0644 064A 0647 0020 0648 0633 0644 0645")]
    [InlineData("0061 0315 0300 05AE 0062", "00E0 05AE 0315 0062", "0061 05AE 0300 0315 0062", "00E0 05AE 0315 0062", "0061 05AE 0300 0315 0062")]
    public void Forms_are_those_of_Unicodes_test_file(string source, string nfc, string nfd, string nfkc, string nfkd)
    {
        string text = Text(source);
        Assert.Equal(Text(nfc), UnicodeNormalization.Normalize(text, NormalizationForm.FormC));
        Assert.Equal(Text(nfd), UnicodeNormalization.Normalize(text, NormalizationForm.FormD));
        Assert.Equal(Text(nfkc), UnicodeNormalization.Normalize(text, NormalizationForm.FormKC));
        Assert.Equal(Text(nfkd), UnicodeNormalization.Normalize(text, NormalizationForm.FormKD));
    }

    [Fact]
    public void Every_character_keeps_the_invariants_of_the_forms()
    {
        List<int> wrong = [];
        for (int point = 0xA0; point < 0x30000; point++)
        {
            if (!Rune.IsValid(point))
                continue;
            string text = new Rune(point).ToString();
            string c = Form(text, NormalizationForm.FormC), d = Form(text, NormalizationForm.FormD), kc = Form(text, NormalizationForm.FormKC), kd = Form(text, NormalizationForm.FormKD);
            if (Form(d, NormalizationForm.FormC) != c || Form(c, NormalizationForm.FormD) != d || Form(kd, NormalizationForm.FormKC) != kc || Form(kc, NormalizationForm.FormKD) != kd || Form(c, NormalizationForm.FormC) != c)
                wrong.Add(point);
        }
        Assert.Empty(wrong);
        static string Form(string text, NormalizationForm form) => UnicodeNormalization.Normalize(text, form);
    }

    [Fact]
    public void A_million_marks_in_a_row_are_put_in_order_soon()
    {
        string text = "a" + string.Concat(Enumerable.Repeat("\u0301\u0323", 500_000));
        string ordered = UnicodeNormalization.Normalize(text, NormalizationForm.FormD);
        Assert.Equal("a" + new string('\u0323', 500_000) + new string('\u0301', 500_000), ordered);
    }

    static string Text(string points) => string.Concat(points.Split(' ').Select(point => new Rune(Convert.ToInt32(point, 16)).ToString()));
}
