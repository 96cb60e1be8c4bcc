using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Coppice.Tensors;

namespace Coppice.Text.TokenModels;

/// <summary>The type that scores are summed in: two ways to cut a text may differ in the last digit only.</summary>
enum ScorePrecision
{
    /// <summary>float64, as Hugging Face.</summary>
    Double,
    /// <summary>float32, as SentencePiece.</summary>
    Single,
}

/// <summary>
/// A unigram language model (Kudo 2018): of all ways to cut a text into tokens, that of the highest sum of log probabilities, by Viterbi's algorithm. A character that is no token costs the lowest score less 10;
/// such characters in a row are one unknown token, or their bytes.
/// </summary>
sealed class Unigram : TokenModel
{
    const double UnknownPenalty = 10;

    readonly double[] scores;
    readonly int? unknown;
    readonly double unknownScore;
    readonly int[]? bytes;
    readonly ScorePrecision precision;
    readonly Lazy<PrefixIndex> index;

    /// <param name="vocabulary">Every token.</param>
    /// <param name="scores">Log probabilities by id.</param>
    /// <param name="unknown">The unknown token.</param>
    /// <param name="fallsBack">Whether unknown characters become the tokens of their bytes.</param>
    /// <param name="isNormal">Whether a text may stand for a token.</param>
    /// <param name="precision">What scores are summed in.</param>
    /// <param name="json">The fields of "model" other than the vocabulary.</param>
    public Unigram(Vocabulary vocabulary, double[] scores, int? unknown, bool fallsBack, Func<int, bool> isNormal, ScorePrecision precision, JsonElement json) : base(vocabulary, json)
    {
        (this.scores, this.unknown, this.precision) = (scores, unknown, precision);
        double least = scores.Where((_, id) => isNormal(id)).DefaultIfEmpty().Min() - UnknownPenalty;
        unknownScore = precision == ScorePrecision.Single ? (float)least : least;
        int?[] all = [.. Enumerable.Range(0, 256).Select(value => vocabulary.Find(string.Create(CultureInfo.InvariantCulture, $"<0x{value:X2}>")))];
        bytes = fallsBack && !all.Contains(null) ? [.. all.Select(id => id!.Value)] : null;
        HashSet<int> excluded = [.. bytes ?? []];
        index = new(() => new PrefixIndex(vocabulary.Entries.Where(entry => isNormal(entry.Id) && !excluded.Contains(entry.Id) && !Control.Contains(entry.Id))));
    }

    public static Unigram From(JsonPart part)
    {
        part.Only("vocab", "unk_id", "byte_fallback");
        Vocabulary vocabulary = new();
        List<double> scores = [];
        foreach (JsonPart entry in part.Get("vocab").Items())
        {
            JsonPart[] pair = [.. entry.Items()];
            if (pair.Length != 2)
                throw entry.Error("is no token with its score");
            try
            {
                vocabulary.Add(pair[0].Text(), scores.Count);
            }
            catch (CoppiceException error) when (error.Message.StartsWith("token ", StringComparison.Ordinal))
            {
                throw entry.Error($"is wrong: {error.Message}");
            }
            scores.Add(pair[1].Number());
        }
        int? unknown = part.Find("unk_id")?.Integer();
        if (unknown >= scores.Count)
            throw part.Get("unk_id").Error($"is {unknown} of {scores.Count:N0} tokens");
        return new Unigram(vocabulary, [.. scores], unknown, part.Flag("byte_fallback", false), _ => true, ScorePrecision.Double, OptionsOf(part, "vocab"));
    }

    /// <inheritdoc/>
    public override string Kind => "Unigram";

    /// <summary>A token's log probability.</summary>
    public double Score(int id) => id < scores.Length ? scores[id] : 0;

    /// <summary>The unknown token.</summary>
    public int? Unknown => unknown;

    /// <inheritdoc/>
    protected internal override void EncodeWord(ReadOnlySpan<char> word, bool areBytes, List<int> ids)
    {
        (double Score, int Start, int Id)[] best = ArrayPool<(double, int, int)>.Shared.Rent(word.Length + 1);
        best.AsSpan(0, word.Length + 1).Fill((0, -1, -1));
        List<(int Length, int Id)> found = [];
        for (int at = 0; at < word.Length;)
        {
            int length = char.IsHighSurrogate(word[at]) ? 2 : 1;
            bool hasSingle = false;
            found.Clear();
            index.Value.Find(word[at..], found);
            foreach ((int tokenLength, int id) in found)
            {
                // a token may not end within a character
                if (at + tokenLength < word.Length && char.IsLowSurrogate(word[at + tokenLength]))
                    continue;
                Offer(at, at + tokenLength, scores[id], id);
                hasSingle |= tokenLength == length;
            }
            if (!hasSingle)
                Offer(at, at + length, unknownScore, -1);
            at += length;
        }

        int start = ids.Count;
        bool wasUnknown = false;
        for (int end = word.Length; end > 0;)
        {
            (_, int from, int id) = best[end];
            // from the end, so bytes of a character come last first
            if (id >= 0 && id != unknown)
                ids.Add(id);
            else if (bytes is not null)
                AddBytes(word[from..end], ids);
            else if (!wasUnknown)
                ids.Add(unknown ?? throw new CoppiceException($"The tokenizer has no token for '{word[from..end]}' and none for what is unknown"));
            wasUnknown = (id < 0 || id == unknown) && bytes is null;
            end = from;
        }
        ArrayPool<(double, int, int)>.Shared.Return(best);
        ids.Reverse(start, ids.Count - start);

        void Offer(int from, int to, double score, int id)
        {
            double sum = best[from].Score + score, kept = precision == ScorePrecision.Single ? (float)sum : sum;
            // SentencePiece compares a piece's sum before it is rounded with what was kept, which decides between equal sums.
            if (best[to].Start < 0 || (id < 0 ? kept : sum) > best[to].Score)
                best[to] = (kept, from, id);
        }
    }

    void AddBytes(ReadOnlySpan<char> character, List<int> ids)
    {
        Span<byte> utf8 = stackalloc byte[4];
        int count = Encoding.UTF8.GetBytes(character, utf8);
        for (int i = count - 1; i >= 0; i--)
            ids.Add(bytes![utf8[i]]);
    }

    /// <inheritdoc/>
    public override void WriteVocabulary(Utf8JsonWriter json)
    {
        json.WriteStartArray("vocab");
        for (int id = 0; id < scores.Length; id++)
        {
            json.WriteStartArray();
            json.WriteStringValue(Vocabulary[id]);
            json.WriteNumberValue(scores[id]);
            json.WriteEndArray();
        }
        json.WriteEndArray();
    }

    /// <inheritdoc/>
    public override void Describe(BinaryWriter writer)
    {
        writer.Write($"{unknown} {bytes is not null}");
        foreach (double score in scores)
            writer.Write(score);
    }
}
