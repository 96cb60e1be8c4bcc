namespace Coppice.Text.PostProcessors;

/// <summary>Texts and tokens in a fixed order, each with its type.</summary>
sealed class Template : PostProcessor
{
    // ids of a token, or the first (0) or the second (1) text
    readonly record struct Piece(int[]? Ids, int Text, int Type);

    readonly IReadOnlyList<Piece> single, pair;

    Template(IReadOnlyList<Piece> single, IReadOnlyList<Piece> pair) => (this.single, this.pair) = (single, pair);

    public static Template From(JsonPart part)
    {
        part.Only("single", "pair", "special_tokens");
        Dictionary<string, int[]> tokens = new(StringComparer.Ordinal);
        if (part.Find("special_tokens") is { } specials)
            foreach ((string name, JsonPart token) in specials.Fields())
                tokens[name] = [.. token.Only("id", "ids", "tokens").Items("ids").Select(id => id.Integer())];
        return new Template([.. part.Get("single").Items().Select(Read)], [.. part.Items("pair").Select(Read)]);

        Piece Read(JsonPart piece)
        {
            piece.Only("SpecialToken", "Sequence");
            if (piece.Find("SpecialToken") is { } special)
                return new Piece(tokens.TryGetValue(special.Only("id", "type_id").Text("id"), out int[]? ids) ? ids : throw special.Error($"names '{special.Text("id")}', which special_tokens has not"), 0, special.Integer("type_id", 0));
            JsonPart text = piece.Get("Sequence").Only("id", "type_id");
            return new Piece(null, text.Text("id") switch { "A" => 0, "B" => 1, string other => throw text.Error($"is '{other}', wanted A or B") }, text.Integer("type_id", 0));
        }
    }

    public override TokenSequence Apply(TokenSequence first, TokenSequence? second) => Join(
    [
        .. (second is null ? single : pair).Select(piece => TokenSequence.Of(piece.Ids ?? (piece.Text == 0 ? first.Ids : second?.Ids ?? []), piece.Type)),
    ]);
}
