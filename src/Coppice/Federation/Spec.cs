using System.Globalization;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Federation;

/// <summary>A part of a run by name, with parameters after colons: <c>topk:0.01:int4</c>. Parameters that are left out, or empty, take their defaults.</summary>
sealed class Spec
{
    readonly string kind, text;
    readonly string[] parts;
    int next = 1;

    /// <summary>Takes a text apart; <paramref name="kind"/> names what it is for in errors.</summary>
    public Spec(string kind, string text) => (this.kind, this.text, parts) = (kind, text, text.Split(':'));

    /// <summary>Before the first colon.</summary>
    public string Name => parts[0];

    /// <summary>The next parameter: a number from <paramref name="least"/> to <paramref name="most"/>.</summary>
    public double Number(string name, double? fallback, double least, double most)
    {
        if (Next() is not { } word)
            return fallback ?? throw Error($"lacks {name}");
        return double.TryParse(word, NumberStyles.Float, CultureInfo.InvariantCulture, out double value) && value >= least && value <= most
            ? value
            : throw Error(string.Create(CultureInfo.InvariantCulture, $"has {name} '{word}', wanted a number from {least} to {most}"));
    }

    /// <summary>The next parameter: a whole number from <paramref name="least"/> to <paramref name="most"/>.</summary>
    public int Whole(string name, int fallback, int least, int most)
    {
        double value = Number(name, fallback, least, most);
        return value == Math.Floor(value) ? (int)value : throw Error(string.Create(CultureInfo.InvariantCulture, $"has {name} {value}, wanted a whole number"));
    }

    /// <summary>The next parameter: one of some words, the first where it is left out.</summary>
    public string Word(string name, params ReadOnlySpan<string> words)
    {
        string word = Next() ?? words[0];
        return words.Contains(word) ? word : throw Error($"has {name} '{word}', wanted {string.Join(" or ", words!)}");
    }

    /// <summary>The value made, once no parameter is left over.</summary>
    public T End<T>(T value) => next >= parts.Length ? value : throw Error($"has '{parts[next]}' too many");

    /// <summary>The refusal of a name that is none of those there are.</summary>
    public CoppiceException Unknown(IEnumerable<string> names) => FormatError.At(kind, $"'{text}' is none of {string.Join(", ", names)}");

    CoppiceException Error(string message) => FormatError.At(kind, $"'{text}' {message}");

    string? Next()
    {
        string? word = next < parts.Length && parts[next].Length > 0 ? parts[next] : null;
        next++;
        return word;
    }
}
