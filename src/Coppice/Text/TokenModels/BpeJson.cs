using System.Text.Json;

namespace Coppice.Text.TokenModels;

/// <summary>A BPE model as tokenizer.json has it.</summary>
static class BpeJson
{
    public static Bpe Read(JsonPart part)
    {
        part.Only("vocab", "merges", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", "byte_fallback", "ignore_merges");
        if (part.Find("dropout") is { } dropout && dropout.Number() != 0)
            throw dropout.Error("is not 0: ids would be drawn at random");
        Vocabulary vocabulary = Vocabulary.Read(part.Get("vocab"));
        BpeOptions options = new()
        {
            Unknown = part.Find("unk_token") is { } unknown ? vocabulary.Find(unknown.Text()) : null,
            FusesUnknown = part.Flag("fuse_unk", false),
            FallsBackToBytes = part.Flag("byte_fallback", false),
            IgnoresMerges = part.Flag("ignore_merges", false),
            Prefix = part.Text("continuing_subword_prefix", ""),
            Suffix = part.Text("end_of_word_suffix", ""),
        };
        Dictionary<(int, int), Merge> merges = [];
        int rank = 0;
        bool arePairs = false;
        foreach (JsonPart merge in part.Items("merges"))
        {
            arePairs |= merge.Element.ValueKind == JsonValueKind.Array;
            (string left, string right) = Pair(merge);
            string joined = left + (options.Prefix.Length > 0 && right.StartsWith(options.Prefix, StringComparison.Ordinal) ? right[options.Prefix.Length..] : right);
            // of a pair that is there twice the last counts, as in Hugging Face's reader
            merges[(Id(left), Id(right))] = new Merge(rank++, Id(joined));

            int Id(string token) => vocabulary.Find(token) ?? throw merge.Error($"needs the token '{token}', which the vocabulary has not");
        }
        return new Bpe(vocabulary, merges, options, TokenModel.OptionsOf(part, "vocab", "merges")) { WritesPairs = arePairs };
    }

    // "a b" or ["a", "b"]
    static (string Left, string Right) Pair(JsonPart merge)
    {
        string[] pair = merge.Element.ValueKind == JsonValueKind.Array ? [.. merge.Items().Select(half => half.Text())] : merge.Text().Split(' ');
        return pair.Length == 2 ? (pair[0], pair[1]) : throw merge.Error($"is {merge.Element.GetRawText()}, wanted two tokens");
    }
}
