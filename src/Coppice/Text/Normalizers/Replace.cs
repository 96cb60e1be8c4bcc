using System.Text;
using Coppice.Text.Patterns;

namespace Coppice.Text.Normalizers;

/// <summary>White space at the ends goes.</summary>
sealed record Strip(bool Left, bool Right) : Normalizer
{
    public override string Normalize(string text)
    {
        string left = Left ? text.TrimStart() : text;
        return Right ? left.TrimEnd() : left;
    }
}

/// <summary>A text in front of every text that is not empty.</summary>
sealed record Prepend(string Text) : Normalizer
{
    public override string Normalize(string text) => text.Length == 0 ? text : Text + text;
}

/// <summary>Every match of a pattern becomes a text.</summary>
sealed record Replace(Pattern Pattern, string Content) : Normalizer
{
    public static Replace From(JsonPart part)
    {
        part.Only("pattern", "content");
        return new Replace(Pattern.Read(part.Get("pattern")), part.Text("content"));
    }

    public override string Normalize(string text)
    {
        if (Pattern is LiteralPattern { Text: { Length: > 0 } literal })
            return text.Replace(literal, Content, StringComparison.Ordinal);
        List<Range> matches = [];
        Pattern.Find(text, matches);
        if (matches.Count == 0)
            return text;
        StringBuilder builder = new(text.Length);
        int at = 0;
        foreach (Range match in matches)
        {
            builder.Append(text, at, match.Start.Value - at).Append(Content);
            at = match.End.Value;
        }
        return builder.Append(text, at, text.Length - at).ToString();
    }
}
