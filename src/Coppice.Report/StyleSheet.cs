namespace Coppice.Report;

/// <summary>The style sheet, carried in the assembly.</summary>
internal static class StyleSheet
{
    /// <summary>The whole element: its text is ours and must not be escaped.</summary>
    public static string Element { get; } = $"<style>\n{Read()}</style>";

    static string Read()
    {
        using Stream stream = typeof(StyleSheet).Assembly.GetManifestResourceStream("Coppice.Report.report.css")!;
        using StreamReader reader = new(stream);
        return reader.ReadToEnd();
    }
}
