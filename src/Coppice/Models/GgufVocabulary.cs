using System.Text;
using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Text;

namespace Coppice.Models;

/// <summary>A tokenizer as GGUF's metadata: byte-level BPE as model <c>gpt2</c> with pre-tokenizer <c>gpt-2</c>, SentencePiece BPE as <c>llama</c>.</summary>
static class GgufVocabulary
{
    const string Prefix = "tokenizer.ggml.", Gpt2 = "gpt2", Gpt2Pattern = "gpt-2", SentencePiece = "llama";

    // llama.cpp's llama_token_type.
    const int Normal = 1, Unknown = 2, Control = 3, UserDefined = 4, Unused = 5, Byte = 6;

    /// <summary>The keys for a tokenizer; ids that it lacks, up to the model's <paramref name="vocabulary"/>, are filled with unused tokens.</summary>
    public static IEnumerable<KeyValuePair<string, object>> Write(Tokenizer tokenizer, int vocabulary)
    {
        bool bytes = tokenizer is ByteLevelBpe;
        string[] tokens = new string[vocabulary];
        int[] types = new int[vocabulary];
        for (int id = 0; id < vocabulary; id++)
            (tokens[id], types[id]) = id >= tokenizer.Count ? ($"[unused{id}]", Unused) : tokenizer is ByteLevelBpe bpe ? Describe(bpe, id) : Describe((SentencePieceBpe)tokenizer, id);
        yield return new(Prefix + "model", bytes ? Gpt2 : SentencePiece);
        if (bytes)
            yield return new(Prefix + "pre", Gpt2Pattern);
        yield return new(Prefix + "tokens", tokens);
        if (tokenizer is SentencePieceBpe pieces)
            yield return new(Prefix + "scores", Enumerable.Range(0, vocabulary).Select(id => id < pieces.Count ? pieces.Score(id) : 0f).ToArray());
        yield return new(Prefix + "token_type", types);
        if (tokenizer is ByteLevelBpe { Merges: var merges })
            yield return new(Prefix + "merges", merges.Select(merge => $"{tokenizer.Token(merge.Left)} {tokenizer.Token(merge.Right)}").ToArray());
        if (tokenizer.BosId is { } bos)
            yield return new(Prefix + "bos_token_id", (uint)bos);
        if (tokenizer.EosId is { } eos)
            yield return new(Prefix + "eos_token_id", (uint)eos);
        yield return new(Prefix + "add_bos_token", tokenizer.BosId is not null);
    }

    /// <summary>The tokenizer that a file carries.</summary>
    public static Tokenizer Read(Gguf file)
    {
        string model = file.Get<string>(Prefix + "model");
        string[] tokens = file.Get<string[]>(Prefix + "tokens");
        int[] types = file.Metadata.ContainsKey(Prefix + "token_type") ? file.Get<int[]>(Prefix + "token_type") : [.. tokens.Select(_ => Normal)];
        if (types.Length != tokens.Length)
            throw new CoppiceException($"{file.Path}: {types.Length} token types for {tokens.Length} tokens");
        int? bos = Id("bos_token_id"), eos = Id("eos_token_id");
        // Unused ids at the end are the model's padding, not tokens.
        int count = tokens.Length;
        while (count > 0 && types[count - 1] == Unused)
            count--;
        try
        {
            return model switch
            {
                Gpt2 => ReadBytes(file, tokens[..count], types, bos, eos),
                SentencePiece when file.Get<float[]>(Prefix + "scores").Length < count => throw new CoppiceException($"{file.Get<float[]>(Prefix + "scores").Length} scores for {count} tokens"),
                SentencePiece => new SentencePieceBpe([.. tokens.Take(count).Select((token, id) => Encoding.UTF8.GetBytes(token.Replace('\u2581', ' ')))], file.Get<float[]>(Prefix + "scores")[..count]),
                _ => throw new CoppiceException($"the tokenizer model is '{model}', wanted {Gpt2} or {SentencePiece}"),
            };
        }
        catch (CoppiceException error) when (!error.Message.StartsWith(file.Path, StringComparison.Ordinal))
        {
            throw new CoppiceException($"{file.Path}: {error.Message}", error);
        }

        int? Id(string key) => file.Metadata.ContainsKey(Prefix + key) ? file.Get<int>(Prefix + key) is var id && (uint)id < (uint)tokens.Length ? id
            : throw new CoppiceException($"{file.Path}: {Prefix}{key} is {id} of {tokens.Length} tokens") : null;
    }

    static ByteLevelBpe ReadBytes(Gguf file, string[] tokens, int[] types, int? bos, int? eos)
    {
        string pattern = file.Get<string>(Prefix + "pre");
        if (pattern != Gpt2Pattern)
            throw new CoppiceException($"the pre-tokenizer is '{pattern}', wanted {Gpt2Pattern}");
        Dictionary<string, int> ids = new(StringComparer.Ordinal);
        Dictionary<int, AddedToken> added = [];
        for (int id = 0; id < tokens.Length; id++)
        {
            if (!ids.TryAdd(tokens[id], id))
                throw new CoppiceException($"tokens {ids[tokens[id]]} and {id} are both '{tokens[id]}'");
            if (types[id] is Control or UserDefined)
                added.Add(id, new AddedToken(tokens[id], IsControl: types[id] == Control));
        }
        return new ByteLevelBpe(tokens, [.. file.Get<string[]>(Prefix + "merges").Select(Merge)], added, bos, eos);

        (int, int, int) Merge(string merge)
        {
            int space = merge.Length == 0 ? -1 : merge.IndexOf(' ', 1);
            return space > 0 && ids.TryGetValue(merge[..space], out int left) && ids.TryGetValue(merge[(space + 1)..], out int right) && ids.TryGetValue(merge.Remove(space, 1), out int merged)
                ? (left, right, merged)
                : throw new CoppiceException($"the merge '{merge}' is of tokens that the vocabulary lacks");
        }
    }

    static (string, int) Describe(ByteLevelBpe tokenizer, int id) =>
        (tokenizer.Token(id), tokenizer.Added.TryGetValue(id, out AddedToken token) ? token.IsControl ? Control : UserDefined : Normal);

    // Ids 0 to 2 are unknown, BOS and EOS, the next 256 the bytes.
    static (string, int) Describe(SentencePieceBpe tokenizer, int id) => id switch
    {
        0 => ("<unk>", Unknown),
        1 => ("<s>", Control),
        2 => ("</s>", Control),
        < 3 + 256 => ($"<0x{id - 3:X2}>", Byte),
        _ => (tokenizer.Token(id).Replace(' ', '\u2581'), Normal),
    };
}
