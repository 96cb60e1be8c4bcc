using System.Text.Json;
using Coppice.Tensors;
using Coppice.Text.Normalizers;
using Coppice.Text.TokenModels;

namespace Coppice.Text.SentencePiece;

/// <summary>
/// The tokenizer of a translation model (Marian's layout in Hugging Face's folders): source.spm cuts a text into pieces, and vocab.json, which holds the pieces of both languages, gives them their ids. What it has no
/// id for is unknown. A target language's marker, such as <c>>>deu&lt;&lt;</c>, is one token.
/// </summary>
sealed class SharedVocabulary : TokenModel
{
    public const string SourceFile = "source.spm";

    const string TargetFile = "target.spm", IdsFile = "vocab.json", Unknown = "<unk>", End = "</s>", Padding = "<pad>";

    readonly TokenModel pieces;
    readonly int[] ids;

    SharedVocabulary(TokenModel pieces, Vocabulary shared, int unknown) : base(shared, pieces.Options)
    {
        this.pieces = pieces;
        ids = [.. Enumerable.Range(0, pieces.Vocabulary.Count).Select(piece => pieces.Vocabulary[piece] is { } spelling && shared.Find(spelling) is { } id ? id : unknown)];
    }

    /// <summary>The steps of the source's file and of the files beside it.</summary>
    /// <exception cref="CoppiceException">One of them is damaged, or vocab.json is absent or has no token for what is unknown.</exception>
    public static TokenizerParts Read(byte[] source, string folder)
    {
        string path = Path.Combine(folder, IdsFile), target = Path.Combine(folder, TargetFile);
        if (!File.Exists(path))
            throw new CoppiceException($"{path}: there is no such file; {SourceFile} needs it for its pieces' ids");
        byte[] json = TokenizerFolder.ReadBytes(path);
        TokenizerParts own = SentencePieceFile.Read(source);
        own.Model.Control = [.. own.Added.Where(token => token.IsControl).Select(token => token.Id)];
        Vocabulary shared = ReadIds(path, json);
        int unknown = shared.Find(Unknown) ?? throw new CoppiceException($"{path}: has no token '{Unknown}'");
        return own with
        {
            Added =
            [
                .. from name in (string[])[Unknown, End, Padding] where shared.Find(name) is not null select new AddedToken(shared.Find(name)!.Value, name, IsControl: true),
                .. from entry in shared.Entries where IsLanguage(entry.Token) select new AddedToken(entry.Id, entry.Token, IsControl: false),
            ],
            Model = new SharedVocabulary(own.Model, shared, unknown),
            Normalizer = new WholeText(own.Normalizer!),
            Roles = new TokenizerRoles { Eos = shared.Find(End) },
            Files = [(SourceFile, source), .. File.Exists(target) ? [(TargetFile, TokenizerFolder.ReadBytes(target))] : ((string, byte[])[])[], (IdsFile, json)],
        };
    }

    /// <inheritdoc/>
    public override string Kind => $"{pieces.Kind} of two languages";

    /// <inheritdoc/>
    protected internal override void EncodeWord(ReadOnlySpan<char> word, bool areBytes, List<int> ids)
    {
        int start = ids.Count;
        pieces.EncodeWord(word, areBytes, ids);
        for (int i = start; i < ids.Count; i++)
            ids[i] = this.ids[ids[i]];
    }

    /// <inheritdoc/>
    public override void WriteVocabulary(Utf8JsonWriter json) => throw new CoppiceException($"a translation model's tokenizer has two vocabularies, which {TokenizerJson.FileName} cannot say");

    /// <inheritdoc/>
    public override void Describe(BinaryWriter writer)
    {
        pieces.Describe(writer);
        foreach (int id in ids)
            writer.Write(id);
    }

    static Vocabulary ReadIds(string path, byte[] json)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(json);
            return Vocabulary.Read(new JsonPart(document.RootElement));
        }
        catch (Exception error) when (error is CoppiceException or JsonException or InvalidOperationException or FormatException)
        {
            throw new CoppiceException($"{path}: is no object of ids by token: {error.Message}", error);
        }
    }

    static bool IsLanguage(string token) => token.Length > 4 && token.StartsWith(">>", StringComparison.Ordinal) && token.EndsWith("<<", StringComparison.Ordinal);

    // What follows a language's marker is a text of its own.
    sealed record WholeText(Normalizer Inner) : Normalizer
    {
        public override string Normalize(string text) => Inner.Normalize(text);
    }
}
