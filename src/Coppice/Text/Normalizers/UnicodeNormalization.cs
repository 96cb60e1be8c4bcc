using System.Buffers;
using System.Globalization;
using System.Reflection;
using System.Text;

namespace Coppice.Text.Normalizers;

/// <summary>
/// Unicode's normalization forms (UAX #15). .NET leaves normalization to the system's ICU and gives texts back unchanged where it runs without one, so the tables are our own.
/// </summary>
static class UnicodeNormalization
{
    const int HangulFirst = 0xAC00, LeadFirst = 0x1100, VowelFirst = 0x1161, TailFirst = 0x11A7, VowelCount = 21, TailCount = 28, SyllableCount = 19 * VowelCount * TailCount;

    sealed class Tables
    {
        public readonly Dictionary<int, byte> Classes = [];
        public readonly Dictionary<int, int[]> Canonical = [], Compatibility = [];
        public readonly Dictionary<(int, int), int> Composites = [];
    }

    static readonly Lazy<Tables> Data = new(Read);

    /// <summary>The text in a form.</summary>
    public static string Normalize(string text, NormalizationForm form)
    {
        bool composed = form is NormalizationForm.FormC or NormalizationForm.FormKC, compatible = form is NormalizationForm.FormKC or NormalizationForm.FormKD;
        // the first character that the form could change
        char first = compatible ? '\u00A0' : composed ? '\u0300' : '\u00C0';
        if (!text.AsSpan().ContainsAnyInRange(first, '\uFFFF'))
            return text;
        Tables tables = Data.Value;
        List<int> points = new(text.Length + 16);
        foreach (Rune rune in text.EnumerateRunes())
            Decompose(rune.Value, compatible, tables, points);
        Order(points, tables);
        if (composed)
            Compose(points, tables);
        StringBuilder builder = new(points.Count);
        foreach (int point in points)
            builder.Append(new Rune(point));
        return builder.ToString();
    }

    static void Decompose(int point, bool compatible, Tables tables, List<int> points)
    {
        int syllable = point - HangulFirst;
        if ((uint)syllable < SyllableCount)
        {
            points.Add(LeadFirst + syllable / (VowelCount * TailCount));
            points.Add(VowelFirst + syllable / TailCount % VowelCount);
            if (syllable % TailCount is int tail and > 0)
                points.Add(TailFirst + tail);
        }
        else if (compatible && tables.Compatibility.TryGetValue(point, out int[]? parts) || tables.Canonical.TryGetValue(point, out parts))
        {
            points.AddRange(parts);
        }
        else
        {
            points.Add(point);
        }
    }

    // Marks in a row are put in the order of their classes, those of one class left as they came.
    static void Order(List<int> points, Tables tables)
    {
        for (int start = 0; start < points.Count; start++)
        {
            int end = start;
            bool isOrdered = true;
            for (int last = 0; end < points.Count && tables.Classes.TryGetValue(points[end], out byte marks); end++, last = marks)
                isOrdered &= marks >= last;
            if (isOrdered)
            {
                start = Math.Max(start, end - 1);
                continue;
            }
            int[] ordered = [.. points[start..end].OrderBy(point => tables.Classes[point])];
            for (int i = 0; i < ordered.Length; i++)
                points[start + i] = ordered[i];
            start = end - 1;
        }
    }

    static void Compose(List<int> points, Tables tables)
    {
        int starter = -1, lastClass = 0, kept = 0;
        for (int i = 0; i < points.Count; i++)
        {
            int point = points[i];
            int marks = tables.Classes.GetValueOrDefault(point);
            // blocked when a character between has a class as high, or is a starter
            bool isNext = starter >= 0 && (kept == starter + 1 || lastClass != 0 && lastClass < marks);
            if (isNext && Composite(points[starter], point, tables) is int composite and >= 0)
            {
                points[starter] = composite;
                continue;
            }
            if (marks == 0)
                starter = kept;
            lastClass = marks;
            points[kept++] = point;
        }
        points.RemoveRange(kept, points.Count - kept);
    }

    static int Composite(int first, int second, Tables tables)
    {
        if ((uint)(first - LeadFirst) < 19 && (uint)(second - VowelFirst) < VowelCount)
            return HangulFirst + ((first - LeadFirst) * VowelCount + second - VowelFirst) * TailCount;
        if ((uint)(first - HangulFirst) < SyllableCount && (first - HangulFirst) % TailCount == 0 && (uint)(second - TailFirst - 1) < TailCount - 1)
            return first + second - TailFirst;
        return tables.Composites.GetValueOrDefault((first, second), -1);
    }

    static Tables Read()
    {
        Tables tables = new();
        List<(int Composite, int[] Parts)> composing = [];
        using Stream stream = Assembly.GetExecutingAssembly().GetManifestResourceStream("UnicodeDecompositions.txt")!;
        using StreamReader lines = new(stream);
        SearchValues<char> marks = SearchValues.Create("=+-~");
        while (lines.ReadLine() is { } line)
        {
            int sign = line.StartsWith('#') ? -1 : line.Contains('=') ? line.IndexOf('=') : line.AsSpan().IndexOfAny(marks);
            if (sign < 0)
                continue;
            if (line[sign] == '=')
            {
                string[] range = line[..sign].Split('-');
                for (int point = Hex(range[0]); point <= Hex(range[^1]); point++)
                    tables.Classes[point] = byte.Parse(line.AsSpan(sign + 1), CultureInfo.InvariantCulture);
                continue;
            }
            int[] parts = [.. line[(sign + 1)..].Split(' ').Select(Hex)];
            (line[sign] == '~' ? tables.Compatibility : tables.Canonical)[Hex(line[..sign])] = parts;
            if (line[sign] == '+')
                composing.Add((Hex(line[..sign]), parts));
        }
        // A composite is made of the composite of all parts but the last, and the last.
        Dictionary<string, int> byParts = composing.ToDictionary(entry => string.Join(' ', entry.Parts), entry => entry.Composite, StringComparer.Ordinal);
        foreach ((int composite, int[] parts) in composing)
            tables.Composites[(parts.Length == 2 ? parts[0] : byParts[string.Join(' ', parts[..^1])], parts[^1])] = composite;
        return tables;

        static int Hex(string digits) => int.Parse(digits, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
    }
}
