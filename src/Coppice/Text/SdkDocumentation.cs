using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using System.Xml;
using System.Xml.Linq;
using Coppice.Tensors;

namespace Coppice.Text;

/// <summary>One of three fixed parts of the documentation; a member is in the same part whatever the SDK's version.</summary>
public enum SdkPart
{
    /// <summary>90% of the members.</summary>
    Train,
    /// <summary>5% of the members.</summary>
    Valid,
    /// <summary>5% of the members.</summary>
    Test,
}

/// <summary>
/// The English prose of the XML documentation that every .NET SDK holds, one document a member: its name, then one line each for the
/// summary, remarks, parameters, result and exceptions. Overloads, families of generated types and shared source copy each other, so a member whose
/// summary an earlier member had is dropped, and so are single lines seen before. Hence no two parts share a line but a name.
/// </summary>
public sealed class SdkDocumentation
{
    static readonly string[] Packs = ["Microsoft.NETCore.App.Ref", "Microsoft.AspNetCore.App.Ref"];

    readonly SortedDictionary<string, string> files = new(StringComparer.Ordinal);

    /// <summary>Assemblies of different subjects that are in no <c>sdk</c> part: each is one client of federated fine-tuning.</summary>
    public static IReadOnlyList<string> ClientAssemblies { get; } =
    [
        "System.Security.Cryptography", "System.Data.Common", "System.Xml.ReaderWriter", "System.Net.Sockets", "System.Linq.Expressions",
    ];

    /// <summary>Assemblies whose text is instruction listings, not prose.</summary>
    static readonly string[] Skipped = ["System.Runtime.Intrinsics"];

    /// <param name="root">The folder that holds the SDK's <c>packs</c>; the one that this process runs from by default.</param>
    /// <exception cref="CoppiceException">There is no documentation under <paramref name="root"/>; the message names the folder looked in.</exception>
    public SdkDocumentation(string? root = null)
    {
        Root = root ?? RunningRoot();
        foreach (string pack in Packs)
            foreach (string file in Files(Path.Combine(Root, "packs", pack)))
                files.TryAdd(Path.GetFileNameWithoutExtension(file), file);
        if (files.Count == 0)
            throw new CoppiceException(
                $"No .NET SDK documentation: found no packs/{Packs[0]}/*/ref/*/*.xml in '{Root}'; install the .NET SDK (not only the runtime) or name its folder");
    }

    /// <summary>The folder that holds <c>packs</c>.</summary>
    public string Root { get; }

    /// <summary>Names of the documented assemblies, sorted, clients included.</summary>
    public IReadOnlyCollection<string> Assemblies => files.Keys;

    /// <summary>The documents of one part, over all assemblies but <see cref="ClientAssemblies"/>.</summary>
    public IEnumerable<Document> Read(SdkPart part)
    {
        HashSet<string> seen = new(StringComparer.Ordinal);
        return files.Keys.Except(ClientAssemblies).Except(Skipped)
            .SelectMany(assembly => Read(assembly, seen)).Where(document => PartOf(document.Source) == part);
    }

    /// <summary>The documents of one part of one assembly.</summary>
    /// <exception cref="CoppiceException">The SDK documents no such assembly.</exception>
    public IEnumerable<Document> Read(string assembly, SdkPart part) =>
        Read(assembly).Where(document => PartOf(document.Source) == part);

    /// <summary>All documents of one assembly, in the file's order; <see cref="Document.Source"/> is the member's documentation id.</summary>
    /// <exception cref="CoppiceException">The SDK documents no such assembly, or its file is not XML.</exception>
    public IEnumerable<Document> Read(string assembly) => Read(assembly, new HashSet<string>(StringComparer.Ordinal));

    IEnumerable<Document> Read(string assembly, HashSet<string> seen)
    {
        if (!files.TryGetValue(assembly, out string? file))
            throw new CoppiceException($"'{Root}' documents no assembly '{assembly}' ({files.Count} others, such as {files.Keys.First()})");
        foreach (XElement member in Members(file))
        {
            if ((string?)member.Attribute("name") is { Length: > 0 } id && Prose.Summary(member) is string summary && seen.Add(summary))
                yield return new Document(id, string.Join('\n', [Prose.Title(id, member), summary, .. Prose.Details(member).Where(seen.Add)]));
        }
    }

    /// <summary>
    /// The part of a member: the first four bytes of SHA-256 of its id without the parameter list (so overloads stay together), as a fraction of 2^32:
    /// below 0.90 train, below 0.95 valid, else test.
    /// </summary>
    public static SdkPart PartOf(string memberId)
    {
        byte[] hash = SHA256.HashData(Encoding.UTF8.GetBytes(memberId.Split('(')[0]));
        double fraction = System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(hash) / 4294967296.0;
        return fraction < 0.90 ? SdkPart.Train : fraction < 0.95 ? SdkPart.Valid : SdkPart.Test;
    }

    // .../dotnet/shared/Microsoft.NETCore.App/10.0.0/ -> .../dotnet
    static string RunningRoot() => Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", ".."));

    // PACK/VERSION/ref/FRAMEWORK/*.xml of the newest version and framework
    static string[] Files(string pack)
    {
        string? newest = Newest(pack);
        string? framework = newest is null ? null : Newest(Path.Combine(newest, "ref"));
        return framework is null ? [] : Directory.GetFiles(framework, "*.xml");
    }

    static string? Newest(string folder) => !Directory.Exists(folder) ? null : Directory.GetDirectories(folder)
        .OrderBy(path => VersionOf(Path.GetFileName(path))).ThenBy(path => path, StringComparer.Ordinal).LastOrDefault();

    // "10.0.1", "10.0.0-rc.1.2" and "net10.0" all compare by their numbers
    static Version VersionOf(string name) =>
        Version.TryParse(name.Split('-')[0].TrimStart('n', 'e', 't'), out Version? version) ? version : new Version();

    static IEnumerable<XElement> Members(string file)
    {
        try
        {
            return XDocument.Load(file, LoadOptions.PreserveWhitespace).Descendants("member");
        }
        catch (XmlException error)
        {
            throw new CoppiceException($"{file}: {error.Message}", error);
        }
    }
}
