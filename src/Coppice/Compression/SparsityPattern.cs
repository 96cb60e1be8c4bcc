using System.Globalization;

namespace Coppice.Compression;

/// <summary>N:M sparsity: of every <paramref name="Of"/> neighbours in a row at most <paramref name="Keep"/> are not zero.</summary>
public readonly record struct SparsityPattern(int Keep, int Of)
{
    /// <summary>The share that is zero.</summary>
    public double Sparsity => 1 - (double)Keep / Of;

    /// <summary>Whether what follows it keeps at most two of every four neighbours, as 2:4, 1:2, 1:4 or 2:8 do.</summary>
    public bool IsTwoOfFour => this is (1, 2) || Keep <= 2 && Of % 4 == 0;

    /// <summary>Reads <c>2:4</c>; 1 to M - 1 are kept, and M is at most 64.</summary>
    public static bool TryParse(string text, out SparsityPattern pattern)
    {
        pattern = default;
        string[] parts = text.Split(':');
        if (parts.Length != 2 || !int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out int keep)
            || !int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out int of) || keep < 1 || keep >= of || of > 64)
            return false;
        pattern = new SparsityPattern(keep, of);
        return true;
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Keep}:{Of}");
}
