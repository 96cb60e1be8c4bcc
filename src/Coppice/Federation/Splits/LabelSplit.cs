using System.Globalization;
using Coppice.Tensors;

namespace Coppice.Federation.Splits;

/// <summary>A client for each label: author, speaker, topic. Labels with fewer than a least number of documents take no part.</summary>
/// <param name="least">Documents that a label needs.</param>
sealed class LabelSplit(int least) : ISplit
{
    public string Name => string.Create(CultureInfo.InvariantCulture, $"label:{least}");

    public bool UsesLabels => true;

    public IReadOnlyList<ClientShare> Deal(IReadOnlyList<string> labels, Random random)
    {
        ClientShare[] shares = [.. labels.Index().GroupBy(document => document.Item, document => document.Index, StringComparer.Ordinal).Where(group => group.Count() >= least)
            .OrderBy(group => group.Key, StringComparer.Ordinal).Select(group => new ClientShare(group.Key, [.. group]))];
        return shares.Length > 0 ? shares : throw new CoppiceException($"split '{Name}': none of {labels.Distinct(StringComparer.Ordinal).Count():N0} labels has {least:N0} documents");
    }
}
