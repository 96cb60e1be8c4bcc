using System.Text.Json;
using Coppice.Text.Decoders;
using Coppice.Text.Normalizers;
using Coppice.Text.PostProcessors;
using Coppice.Text.PreTokenizers;
using Coppice.Text.TokenModels;

namespace Coppice.Text;

/// <summary>The steps of a tokenizer, as tokenizer.json names them.</summary>
sealed record TokenizerParts
{
    /// <summary>Tokens that are found before the text is cut.</summary>
    public required IReadOnlyList<AddedToken> Added { get; init; }

    /// <summary>Rewrites what lies between them.</summary>
    public Normalizer? Normalizer { get; init; }

    /// <summary>Cuts it into words; without it all of it is one.</summary>
    public PreTokenizer? PreTokenizer { get; init; }

    /// <summary>Encodes a word.</summary>
    public required TokenModel Model { get; init; }

    /// <summary>Puts a model's tokens around a text.</summary>
    public PostProcessor? PostProcessor { get; init; }

    /// <summary>Turns tokens into text; without it they are words.</summary>
    public Decoder? Decoder { get; init; }

    /// <summary>All of tokenizer.json but "added_tokens" and "model", kept for writing it back.</summary>
    public required IReadOnlyList<(string Name, JsonElement Value)> Sections { get; init; }

    /// <summary>The files that it was read from where those say more than tokenizer.json can, such as SentencePiece's.</summary>
    public IReadOnlyList<(string Name, byte[] Bytes)> Files { get; init; } = [];

    /// <summary>What single tokens are for, and the files that say so.</summary>
    public TokenizerRoles Roles { get; init; } = new();

    /// <summary>What users call it.</summary>
    public string Kind => Model is Bpe && EndsInBytes(PreTokenizer) ? "byte-level BPE" : Model.Kind;

    /// <summary>The id of a token by its spelling.</summary>
    public int? Find(string token) => Added.FirstOrDefault(added => added.Content == token)?.Id ?? Model.Vocabulary.Find(token);

    /// <summary>Whether words are cut into bytes.</summary>
    public static bool EndsInBytes(PreTokenizer? step) => step is ByteLevel || step is PreTokenizerSequence { Parts: [.., ByteLevel] };

    /// <summary>Everything that decides how a text is encoded, as bytes.</summary>
    public byte[] Definition()
    {
        using MemoryStream stream = new();
        using BinaryWriter writer = new(stream);
        writer.Write($"{Normalizer} | {PreTokenizer} | {Model.GetType().Name}");
        foreach ((string token, int id) in Model.Vocabulary.Entries)
        {
            writer.Write(id);
            writer.Write(token);
        }
        foreach (AddedToken token in Added.OrderBy(token => token.Id))
            writer.Write(token.ToString());
        Model.Describe(writer);
        writer.Flush();
        return stream.ToArray();
    }
}
