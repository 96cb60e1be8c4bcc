using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.RegularExpressions;
using System.Text.Unicode;
using Coppice.Report.Data;
using Microsoft.AspNetCore.Components;
using Microsoft.AspNetCore.Components.Web;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace Coppice.Report;

/// <summary>A report as one HTML file that needs no network and no script.</summary>
public static partial class ReportPage
{
    /// <summary>The whole document. Text is escaped wherever it comes from.</summary>
    /// <exception cref="Tensors.CoppiceException">A number is not finite.</exception>
    public static async Task<string> RenderAsync(ReportData data)
    {
        Finite.Check(data);
        ServiceProvider services = new ServiceCollection()
            .AddSingleton<HtmlEncoder>(HtmlEncoder.Create(UnicodeRanges.All))
            .BuildServiceProvider();
        await using (services)
        await using (HtmlRenderer renderer = new(services, NullLoggerFactory.Instance))
        {
            ParameterView parameters = ParameterView.FromDictionary(new Dictionary<string, object?> { [nameof(Document.Data)] = data });
            string html = await renderer.Dispatcher.InvokeAsync(async () => (await renderer.RenderComponentAsync<Document>(parameters)).ToHtmlString());
            return ForbiddenCharacter().Replace(html, Picture);
        }
    }

    // The encoder writes a control character as a reference to it, which neither HTML nor XML allows: its picture stands for it.
    static string Picture(Match match)
    {
        int code = int.Parse(match.Groups[1].ValueSpan, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
        return code < 0x20 ? ((char)(0x2400 + code)).ToString() : "\uFFFD";
    }

    [GeneratedRegex("&#x([0-8BCEF]|1[0-9A-F]|[789][0-9A-F]|FFF[EF]);")]
    private static partial Regex ForbiddenCharacter();
}
