using System.Globalization;
using System.Text.Json;
using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Text;
using Coppice.Text.SentencePiece;
using Coppice.Text.TokenModels;

namespace Coppice.Models;

/// <summary>A tokenizer as GGUF's metadata: byte-level BPE as model <c>gpt2</c> with the name of its pre-tokenizer, SentencePiece BPE as <c>llama</c>, Unigram as <c>t5</c>, WordPiece as <c>bert</c>.</summary>
static class GgufVocabulary
{
    const string Prefix = "tokenizer.ggml.", ChatTemplate = "tokenizer.chat_template", Gpt2 = "gpt2", Llama = "llama", T5 = "t5", Bert = "bert";

    /// <summary>The keys for a tokenizer; ids that it lacks, up to the model's <paramref name="vocabulary"/>, are filled with unused tokens.</summary>
    /// <exception cref="CoppiceException">llama.cpp has no tokenizer that cuts texts as this one does.</exception>
    public static IEnumerable<KeyValuePair<string, object>> Write(Tokenizer tokenizer, int vocabulary)
    {
        TokenizerParts parts = tokenizer.Parts;
        Dictionary<int, AddedToken> added = parts.Added.ToDictionary(token => token.Id);
        string[] tokens = new string[vocabulary];
        int[] types = new int[vocabulary];
        for (int id = 0; id < vocabulary; id++)
        {
            bool exists = id < tokenizer.Count && tokenizer.Token(id).Length > 0;
            tokens[id] = exists ? tokenizer.Token(id) : string.Create(CultureInfo.InvariantCulture, $"[unused{id}]");
            types[id] = (int)(!exists ? PieceKind.Unused : added.TryGetValue(id, out AddedToken? token) ? token.IsControl ? PieceKind.Control : PieceKind.UserDefined : PieceKind.Normal);
        }
        if (Array.Find(tokens, token => token.Contains('\0')) is not null)
            throw new CoppiceException($"token {Array.FindIndex(tokens, token => token.Contains('\0'))} holds the character U+0000, at which llama.cpp ends a token");
        List<KeyValuePair<string, object>> keys = parts.Model switch
        {
            Bpe bpe when TokenizerParts.EndsInBytes(parts.PreTokenizer) => Bytes(parts, bpe),
            Bpe bpe => GgufSentencePiece.Write(parts, bpe, tokens, types),
            Unigram unigram => GgufSentencePiece.Write(parts, unigram, tokens, types),
            WordPiece pieces => GgufWordPiece.Write(parts, pieces, tokens, types),
            _ => throw new CoppiceException($"llama.cpp has no tokenizer for {tokenizer.Kind}"),
        };
        keys.AddRange([new(Prefix + "tokens", tokens), new(Prefix + "token_type", types)]);
        foreach ((string key, int? id) in ((string, int?)[])[("bos_token_id", tokenizer.BosId), ("eos_token_id", tokenizer.EosId)])
            if (id is { } token)
                keys.Add(new(Prefix + key, (uint)token));
        keys.Add(new(Prefix + "add_bos_token", tokenizer.BosId is not null));
        if (parts.Roles.ChatTemplate is { } template)
            keys.Add(new(ChatTemplate, template));
        return keys;
    }

    /// <summary>The tokenizer that a file carries.</summary>
    public static Tokenizer Read(Gguf file)
    {
        string model = file.Get<string>(Prefix + "model");
        string[] tokens = file.Get<string[]>(Prefix + "tokens");
        int[] types = file.Get(Prefix + "token_type", (int[])[.. tokens.Select(_ => (int)PieceKind.Normal)]);
        if (types.Length != tokens.Length)
            throw new CoppiceException($"{file.Path}: {types.Length} token types for {tokens.Length} tokens");
        int wrong = Array.FindIndex(types, type => type is < 0 or > 6);
        if (wrong >= 0)
            throw new CoppiceException($"{file.Path}: token {wrong} has type {types[wrong]}, wanted 0 to 6");
        (int? bos, int? eos) = (Id("bos_token_id"), Id("eos_token_id"));
        // Unused ids at the end are the model's padding, not tokens.
        int count = tokens.Length;
        while (count > 0 && types[count - 1] == (int)PieceKind.Unused)
            count--;
        try
        {
            TokenizerParts parts = model switch
            {
                Gpt2 => Bytes(file, tokens[..count], types),
                Llama or T5 => GgufSentencePiece.Read(file, tokens[..count], types, model == T5 ? SentencePieceModel.Unigram : SentencePieceModel.Bpe, Id("unknown_token_id")),
                Bert => GgufWordPiece.Read(file, tokens[..count], types),
                _ => throw new CoppiceException($"{Prefix}model is '{model}', wanted {Gpt2}, {Llama}, {T5} or {Bert}"),
            };
            string template = file.Get(ChatTemplate, "");
            return new Tokenizer(parts with { Roles = new TokenizerRoles { Bos = bos ?? parts.Roles.Bos, Eos = eos ?? parts.Roles.Eos, ChatTemplate = template.Length > 0 ? template : null } });
        }
        catch (CoppiceException error) when (!error.Message.StartsWith(file.Path, StringComparison.Ordinal))
        {
            throw new CoppiceException($"{file.Path}: {error.Message}", error);
        }

        int? Id(string key) => !file.Metadata.ContainsKey(Prefix + key) ? null
            : file.Get<int>(Prefix + key) is var id && (uint)id < (uint)tokens.Length ? id : throw new CoppiceException($"{file.Path}: {Prefix}{key} is {id} of {tokens.Length} tokens");
    }

    static List<KeyValuePair<string, object>> Bytes(TokenizerParts parts, Bpe bpe)
    {
        if (GgufPreTokenizer.Of(parts, bpe.Does.IgnoresMerges) is not { } known || bpe.Does.Prefix.Length + bpe.Does.Suffix.Length > 0)
            throw new CoppiceException($"llama.cpp has no tokenizer that cuts texts as this one does: {parts.Normalizer?.ToString() ?? "no normalizer"}; {parts.PreTokenizer}; ignore_merges {bpe.Does.IgnoresMerges}");
        return
        [
            new(Prefix + "model", Gpt2),
            new(Prefix + "pre", known.Names[0]),
            new(Prefix + "merges", bpe.Merges.Select(merge => $"{bpe.Vocabulary[merge.Left]} {bpe.Vocabulary[merge.Right]}").ToArray()),
        ];
    }

    static TokenizerParts Bytes(Gguf file, string[] tokens, int[] types)
    {
        GgufPreTokenizer known = GgufPreTokenizer.Of(file.Get<string>(Prefix + "pre"));
        Vocabulary vocabulary = new();
        List<AddedToken> added = [];
        for (int id = 0; id < tokens.Length; id++)
        {
            if (types[id] != (int)PieceKind.Unused)
                vocabulary.Add(tokens[id], id);
            if (types[id] is (int)PieceKind.Control or (int)PieceKind.UserDefined)
                added.Add(new AddedToken(id, tokens[id], IsControl: types[id] == (int)PieceKind.Control));
        }
        Dictionary<(int, int), Merge> merges = [];
        foreach (string merge in file.Get<string[]>(Prefix + "merges"))
        {
            int space = merge.Length == 0 ? -1 : merge.IndexOf(' ', 1);
            if (space < 0 || vocabulary.Find(merge.AsSpan(0, space)) is not { } left || vocabulary.Find(merge.AsSpan(space + 1)) is not { } right || vocabulary.Find(merge.Remove(space, 1)) is not { } joined)
                throw new CoppiceException($"the merge '{merge}' is of tokens that the vocabulary lacks");
            merges.TryAdd((left, right), new Merge(merges.Count, joined));
        }
        string ignores = known.IgnoresMerges ? "true" : "false";
        using JsonDocument options = JsonDocument.Parse($$"""{"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false, "ignore_merges": {{ignores}}}""");
        Bpe bpe = new(vocabulary, merges, new BpeOptions { IgnoresMerges = known.IgnoresMerges }, options.RootElement.Clone());
        return TokenizerJson.Compose($$"""
            {
              "normalizer": {{known.Normalizer}},
              "pre_tokenizer": {{known.PreTokenizer}},
              "post_processor": null,
              "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}
            }
            """, bpe, added);
    }
}
