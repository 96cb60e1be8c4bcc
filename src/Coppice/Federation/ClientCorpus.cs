using Coppice.Tensors;
using Coppice.Text;

namespace Coppice.Federation;

/// <summary>A client's name and text, before it is tokenized.</summary>
/// <param name="Client">Its name.</param>
/// <param name="Train">What it trains on.</param>
/// <param name="HeldOut">What its losses are measured on, where the source has such a part.</param>
public sealed record ClientCorpus(string Client, Corpus Train, Corpus? HeldOut)
{
    /// <summary>Clients of different texts: <c>sdk</c> gives one for each of <see cref="SdkDocumentation.ClientAssemblies"/> with its valid part held out; a folder gives one for each file and subfolder, by name.</summary>
    /// <exception cref="CoppiceException">The folder is absent or holds no text.</exception>
    public static IReadOnlyList<ClientCorpus> Open(string spec, CorpusOptions? options = null, CancellationToken cancel = default)
    {
        if (spec == "sdk")
            return [.. SdkDocumentation.ClientAssemblies.Select(name =>
                new ClientCorpus(name, Corpus.Open($"sdk:client/{name}", options, cancel), Corpus.Open($"sdk:client/{name}:valid", options, cancel)))];
        if (!Directory.Exists(spec))
            throw new CoppiceException($"{spec}: no such folder; wanted 'sdk' or a folder with a file or subfolder of text for each client");
        string[] entries = [.. Directory.GetFileSystemEntries(spec).Where(entry => !Path.GetFileName(entry).StartsWith('.')).Order(StringComparer.Ordinal)];
        return entries.Length > 0
            ? [.. entries.Select(entry => new ClientCorpus(Path.GetFileName(entry), Corpus.Open(entry, options, cancel), HeldOut: null))]
            : throw new CoppiceException($"{spec}: is empty, wanted a file or subfolder of text for each client");
    }
}
