using Coppice.Tensors;

namespace Coppice.Text.TokenModels;

/// <summary>Spellings by id and ids by spelling. Ids may leave gaps, but no id or token may be there twice.</summary>
sealed class Vocabulary
{
    /// <summary>Ids are below this: a file of a few bytes must not ask for gigabytes.</summary>
    public const int MaxId = 1 << 22;

    readonly Dictionary<string, int> ids = new(StringComparer.Ordinal);
    readonly List<string?> tokens = [];

    /// <summary>Adds a token.</summary>
    /// <exception cref="CoppiceException">Its id is another token's or out of range, or it has another id.</exception>
    public void Add(string token, int id)
    {
        if ((uint)id >= MaxId)
            throw new CoppiceException($"token '{token}' has id {id}, wanted less than {MaxId:N0}");
        while (tokens.Count <= id)
            tokens.Add(null);
        if (tokens[id] is { } other && other != token)
            throw new CoppiceException($"token '{token}' has id {id}, which is '{other}'");
        if (!ids.TryAdd(token, id) && ids[token] != id)
            throw new CoppiceException($"token '{token}' has ids {ids[token]} and {id}");
        tokens[id] = token;
    }

    /// <summary>The largest id and one.</summary>
    public int Count => tokens.Count;

    /// <summary>The spelling of an id; null in a gap.</summary>
    public string? this[int id] => (uint)id < (uint)tokens.Count ? tokens[id] : null;

    /// <summary>The id of a spelling.</summary>
    public int? Find(ReadOnlySpan<char> token) => ids.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(token, out int id) ? id : null;

    /// <summary>Every token with its id, by id.</summary>
    public IEnumerable<(string Token, int Id)> Entries => tokens.Index().Where(entry => entry.Item is not null).Select(entry => (entry.Item!, entry.Index));

    /// <summary>Reads an object of ids by token.</summary>
    public static Vocabulary Read(JsonPart part)
    {
        Vocabulary vocabulary = new();
        foreach ((string token, JsonPart id) in part.Fields())
            try
            {
                vocabulary.Add(token, id.Integer());
            }
            catch (CoppiceException error) when (error.Message.StartsWith("token ", StringComparison.Ordinal))
            {
                throw part.Error($"is wrong: {error.Message}");
            }
        return vocabulary;
    }
}
