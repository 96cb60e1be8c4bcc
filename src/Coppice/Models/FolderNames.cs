using Coppice.Formats;
using Coppice.Models.Families;

namespace Coppice.Models;

/// <summary>
/// How a Hugging Face folder calls its tensors, where not as its family's class does. A checkpoint of the model below a head lacks that model's prefix (<c>transformer.</c> of GPT-2's), and one of a whole model has it
/// where only the model below the head is wanted. Checkpoints made from TensorFlow's have norms of gamma and beta.
/// </summary>
sealed class FolderNames
{
    const string Norm = "LayerNorm.";

    readonly string prefix;
    readonly bool isStripped, isAdded, hasGammas;

    /// <summary>Finds the naming by a file's names.</summary>
    /// <param name="checkpoint">The file.</param>
    /// <param name="table">The class's name of the table of tokens, which every file has.</param>
    /// <param name="prefix">What the class with a head puts before its model's tensors; the class may be the one without.</param>
    public FolderNames(ICheckpoint checkpoint, string table, string prefix)
    {
        this.prefix = prefix;
        HashSet<string> names = [.. checkpoint.Names];
        bool isPrefixed = table.StartsWith(prefix, StringComparison.Ordinal);
        isStripped = isPrefixed && !names.Contains(table) && names.Contains(table[prefix.Length..]);
        isAdded = !isPrefixed && !names.Contains(table) && names.Contains(prefix + table);
        hasGammas = names.Any(name => name.EndsWith(Norm + "gamma", StringComparison.Ordinal));
    }

    /// <summary>The file's name of what the class calls <paramref name="name"/>.</summary>
    public string Of(string name)
    {
        if (isAdded)
            name = prefix + name;
        else if (isStripped && name.StartsWith(prefix, StringComparison.Ordinal))
            name = name[prefix.Length..];
        return !hasGammas ? name
            : name.EndsWith(Norm + "weight", StringComparison.Ordinal) ? name[..^"weight".Length] + "gamma"
            : name.EndsWith(Norm + "bias", StringComparison.Ordinal) ? name[..^"bias".Length] + "beta"
            : name;
    }

    /// <summary>Where the file keeps what the class keeps at <paramref name="place"/>.</summary>
    public TensorPlace Of(TensorPlace place) => place with { Name = Of(place.Name) };

    /// <summary>Whether a tensor of the file may stay unused, by what <paramref name="mayStay"/> says of the class's names.</summary>
    public bool MayStay(string name, Func<string, bool> mayStay) =>
        mayStay(name) || isStripped && mayStay(prefix + name) || isAdded && name.StartsWith(prefix, StringComparison.Ordinal) && mayStay(name[prefix.Length..]);
}
