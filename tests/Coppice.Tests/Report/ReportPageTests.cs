using System.Text.RegularExpressions;
using System.Xml.Linq;
using Coppice.Evaluation;
using Coppice.Explanation;
using Coppice.Report;
using Coppice.Report.Data;
using Coppice.Tensors;

namespace Coppice.Tests.Report;

public partial class ReportPageTests
{
    static readonly string Html = Render(SampleReport.Create());

    static string Render(ReportData data) => ReportPage.RenderAsync(data).GetAwaiter().GetResult();

    /// <summary>As XML, which forgives nothing, once HTML's own elements without an end are closed.</summary>
    static XElement Parse(string html) => XDocument.Parse(Unclosed().Replace(html, "<$1$2 />")).Root!;

    [Fact]
    public void The_page_is_well_formed_and_has_every_section()
    {
        XElement page = Parse(Html);
        Assert.StartsWith("<!DOCTYPE html>", Html, StringComparison.Ordinal);
        string[] sections = [.. page.Descendants("section").Select(section => section.Attribute("id")!.Value)];
        Assert.Equal(["variants", "federation", "training", "layers", "blame", "errors", "texts", "attribution", "scores", "artifacts", "run"], sections);
        Assert.Equal(sections, page.Descendants("nav").Descendants("a").Select(link => link.Attribute("href")!.Value[1..]));
        string[] ids = [.. page.DescendantsAndSelf().Attributes("id").Select(id => id.Value)];
        Assert.Equal(ids.Distinct(), ids);
    }

    [Fact]
    public void Nothing_is_loaded_from_anywhere_and_no_script_runs()
    {
        XElement page = Parse(Html);
        Assert.DoesNotContain(page.Descendants(), element => element.Name.LocalName is "script" or "link" or "img" or "iframe" or "object" or "embed" or "base");
        Assert.All(page.Descendants().Attributes().Where(a => a.Name.LocalName is "href" or "src" or "action" or "srcset" or "data"), a => Assert.StartsWith("#", a.Value, StringComparison.Ordinal));
        Assert.DoesNotMatch(Loads(), Html);
        Assert.DoesNotContain(page.Descendants().Attributes(), a => a.Name.LocalName.StartsWith("on", StringComparison.Ordinal));
    }

    [Fact]
    public void Every_drawing_has_a_title_and_every_table_a_caption_and_headed_rows()
    {
        XElement page = Parse(Html);
        Assert.True(page.Descendants("svg").Count() > 5);
        Assert.All(page.Descendants("svg"), svg => Assert.False(string.IsNullOrWhiteSpace(svg.Element("title")?.Value)));
        Assert.All(page.Descendants("table"), table => Assert.False(string.IsNullOrWhiteSpace(table.Element("caption")?.Value)));
        Assert.All(page.Descendants("tbody").Elements("tr"), row => Assert.Equal("row", row.Element("th")?.Attribute("scope")?.Value));
        Assert.All(page.Descendants("tbody").Elements("tr"), row => Assert.Equal(row.Ancestors("table").First().Descendants("thead").Descendants("th").Count(), row.Elements().Count()));
    }

    [Fact]
    public void Hostile_text_is_shown_and_does_nothing()
    {
        string[] hostile = ["<script>alert(1)</script>", "\"' onmouseover='x", "a\0b\u0001c\u001b[31m", "\u202Eevil\u2066", "]]>--></style><b>", "\uD800", "\uFFFE", "&lt;&#x0;"];
        ComparedText text = new("</title>" + hostile[0], hostile[1], [.. hostile.Select((one, i) => new ComparedToken(new TokenComparison(0, i, i, 1, 2, 1, 2, 0.1), one, one, one))]);
        ReportData data = new()
        {
            Title = string.Concat(hostile),
            Summary = string.Join(" ", hostile),
            Texts = [text],
            Artifacts = [.. hostile.Select(one => new Artifact(one, one, 1, one))],
            Run = new RunFacts(hostile, [.. hostile.Select(one => (one, one))]),
            Scores = [.. hostile.Select(one => new VariantScore(one, new Score(one, 1, 0.1, 1, one)))],
        };
        string html = Render(data);
        XElement page = Parse(html);
        Assert.Empty(page.Descendants("script"));
        Assert.Empty(page.Descendants("b"));
        Assert.Empty(page.Descendants().Attributes("onmouseover"));
        Assert.Contains(page.Descendants("span"), span => span.Value == "a␀b␁c␛[31m");
        Assert.Contains(page.Descendants("span"), span => span.Value == "‹202E›evil‹2066›");
        Assert.Contains(page.Descendants("code"), code => code.Value == "<script>alert(1)</script>");
        Assert.DoesNotContain(html, c => c is < ' ' and not '\n' and not '\r' and not '\t');
    }

    [Fact]
    public void What_is_empty_is_left_out()
    {
        XElement page = Parse(Render(new ReportData { Title = "Nothing yet", Summary = "No section." }));
        Assert.Empty(page.Descendants("section"));
        Assert.Empty(page.Descendants("nav"));
        Assert.Empty(page.Descendants("svg"));
        Assert.Equal("Nothing yet", page.Descendants("h1").Single().Value);
    }

    [Fact]
    public void Charts_of_one_point_and_of_equal_points_are_drawn()
    {
        ReportData one = new()
        {
            Title = "t",
            Summary = "s",
            Rounds = [new FederationRound(1, 2, 0, 10, 20, 3)],
            Training = [new CurvePoint(1, 2)],
            Variants = [new Variant { Name = "only", Bytes = 1, BitsPerWeight = 4, Kl = SampleReport.E(0.1, double.NaN) }],
            Texts = [new ComparedText("flat", "same", [new ComparedToken(new TokenComparison(0, 0, 1, 1, 1, 0, 0, 0), "a", "a", "a")])],
        };
        string html = Render(one);
        Assert.DoesNotContain("NaN", html, StringComparison.Ordinal);
        Assert.DoesNotContain("∞", html, StringComparison.Ordinal);
        Assert.Equal(2, Parse(html).Descendants("circle").Count(circle => circle.Attribute("class")!.Value.StartsWith("dot", StringComparison.Ordinal)));
        Render(one with { Rounds = [one.Rounds[0], new FederationRound(2, 2, 0, 10, 20, 3)], Training = [], Texts = [new ComparedText("empty", "same", [])] });
    }

    [Fact]
    public void A_number_that_is_none_is_refused_by_name()
    {
        ReportData sample = SampleReport.Create();
        AssertRefused("variant 'x': KL is NaN", sample with { Variants = [sample.Variants[0] with { Name = "x", Kl = SampleReport.E(double.NaN, 1) }] });
        AssertRefused("round 3: loss", sample with { Rounds = [new FederationRound(3, 1, 0, 1, 1, double.PositiveInfinity)] });
        AssertRefused("training step 5: loss", sample with { Training = [new CurvePoint(5, double.NaN)] });
        AssertRefused("blame of head", sample with { Blame = sample.Blame! with { Stages = [new Blame("head", null, null, SampleReport.E(double.NaN, 0), SampleReport.E(0, 0))] } });
        AssertRefused("score 'nll' of 'a'", sample with { Scores = [new VariantScore("a", new Score("nll", double.NaN, 0, 1, ""))] });

        static void AssertRefused(string message, ReportData data) =>
            Assert.Contains(message, Assert.Throws<CoppiceException>(() => Render(data)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_value_stands_with_its_error_and_a_residual_is_printed()
    {
        string text = Parse(Html).Value;
        Assert.Contains("1.223 ± 0.011", text, StringComparison.Ordinal);
        Assert.Contains("(3.10 ± 0.42)×10⁻⁵", text, StringComparison.Ordinal);
        Assert.Contains("94.04 ± 0.32", text, StringComparison.Ordinal);
        Assert.Contains("Residual", text, StringComparison.Ordinal);
        Assert.Contains("0.00210", text, StringComparison.Ordinal);
    }

    [GeneratedRegex(@"<(meta|br)\b([^>]*?) ?/?>")]
    private static partial Regex Unclosed();

    [GeneratedRegex(@"url\(|@import|(src|href)\s*=\s*[""']?\s*(https?:)?//", RegexOptions.IgnoreCase)]
    private static partial Regex Loads();
}
