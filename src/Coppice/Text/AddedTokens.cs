using System.Text;
using System.Text.Json;
using Coppice.Tensors;
using Coppice.Text.Normalizers;
using Coppice.Text.TokenModels;

namespace Coppice.Text;

/// <summary>A token that is found in a text before it is cut into words.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Content">How it is written.</param>
/// <param name="IsControl">Hugging Face's "special": it has no text of its own, and stands for itself only where markers are parsed.</param>
sealed record AddedToken(int Id, string Content, bool IsControl)
{
    /// <summary>Found only where no word character touches it.</summary>
    public bool IsSingleWord { get; init; }

    /// <summary>Takes the white space before it along.</summary>
    public bool StripsLeft { get; init; }

    /// <summary>Takes the white space behind it along.</summary>
    public bool StripsRight { get; init; }

    /// <summary>Found in the normalized text, in its normalized spelling.</summary>
    public bool IsNormalized { get; init; }

    public static AddedToken Read(JsonPart part)
    {
        part.Only("id", "content", "single_word", "lstrip", "rstrip", "normalized", "special");
        bool isControl = part.Flag("special", false);
        string content = part.Text("content");
        return new AddedToken(part.Integer("id"), content.Length > 0 ? content : throw part.Error("has no character, so that every text would hold it everywhere"), isControl)
        {
            IsSingleWord = part.Flag("single_word", false),
            StripsLeft = part.Flag("lstrip", false),
            StripsRight = part.Flag("rstrip", false),
            IsNormalized = part.Flag("normalized", !isControl),
        };
    }

    public void Write(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteNumber("id", Id);
        json.WriteString("content", Content);
        json.WriteBoolean("single_word", IsSingleWord);
        json.WriteBoolean("lstrip", StripsLeft);
        json.WriteBoolean("rstrip", StripsRight);
        json.WriteBoolean("normalized", IsNormalized);
        json.WriteBoolean("special", IsControl);
        json.WriteEndObject();
    }
}

/// <summary>Finds added tokens in a text: the leftmost, and of those that begin there the longest.</summary>
sealed class AddedTokenSearch
{
    readonly Dictionary<int, AddedToken> tokens;
    readonly PrefixIndex index;
    readonly System.Buffers.SearchValues<string> spellings;

    /// <summary>Searches tokens by their spelling, or by what a normalizer makes of it.</summary>
    public AddedTokenSearch(IEnumerable<AddedToken> tokens, Normalizer? normalizer)
    {
        this.tokens = tokens.ToDictionary(token => token.Id);
        (string Token, int Id)[] entries = [.. this.tokens.Values.Select(token => (normalizer?.Normalize(token.Content) ?? token.Content, token.Id)).Where(entry => entry.Item1.Length > 0)];
        index = new PrefixIndex(entries);
        spellings = System.Buffers.SearchValues.Create([.. entries.Select(entry => entry.Token)], StringComparison.Ordinal);
    }

    /// <summary>Whether there is nothing to find.</summary>
    public bool IsEmpty => index.IsEmpty;

    /// <summary>The next token at or behind a place: where what it takes begins and ends, and its id; null where there is none.</summary>
    /// <param name="text">The text.</param>
    /// <param name="from">Where to look from.</param>
    /// <param name="taken">What earlier tokens have taken, which this one may not take along.</param>
    /// <param name="markers">Whether control tokens are found.</param>
    public (int Start, int End, int Id)? Next(ReadOnlySpan<char> text, int from, int taken, SpecialMarkers markers)
    {
        List<(int Length, int Id)> found = [];
        while (from < text.Length)
        {
            int at = text[from..].IndexOfAny(spellings);
            if (at < 0)
                return null;
            (int start, int end) = (from + at, 0);
            found.Clear();
            index.Find(text[start..], found);
            AddedToken token = tokens[found[^1].Id];
            end = from = start + found[^1].Length;
            if (token.IsControl && markers == SpecialMarkers.AsText || token.IsSingleWord && (EndsInWord(text[..start]) || StartsWithWord(text[end..])))
                continue;
            if (token.StripsLeft)
                while (start > taken && char.IsWhiteSpace(text[start - 1]))
                    start--;
            if (token.StripsRight)
                while (end < text.Length && char.IsWhiteSpace(text[end]))
                    end++;
            return (start, end, token.Id);
        }
        return null;
    }

    static bool EndsInWord(ReadOnlySpan<char> text) => Rune.DecodeLastFromUtf16(text, out Rune rune, out _) == System.Buffers.OperationStatus.Done && CharacterClasses.IsWord(rune);

    static bool StartsWithWord(ReadOnlySpan<char> text) => Rune.DecodeFromUtf16(text, out Rune rune, out _) == System.Buffers.OperationStatus.Done && CharacterClasses.IsWord(rune);
}
