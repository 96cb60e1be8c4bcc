using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;
using System.Resources;
using System.Runtime.InteropServices;
using Coppice.Tensors;

namespace Coppice.Bench;

/// <summary>A message of the SDK in English and in another language.</summary>
/// <param name="Assembly">The assembly that has it.</param>
/// <param name="Source">English.</param>
/// <param name="Target">The other language.</param>
public sealed record SdkMessage(string Assembly, string Source, string Target);

/// <summary>Parallel text that every .NET SDK holds: an assembly's messages in English, and under the same keys those of its satellite, <c>LANGUAGE/NAME.resources.dll</c> beside it. Files are read and none is loaded.</summary>
public static class SdkMessages
{
    /// <summary>Single lines of a few words in both languages, no two of them the same but for digits, signs and capitals: an assembly that the SDK has several times, or shared source, is counted once.</summary>
    /// <param name="language">The satellites' folder, such as <c>de</c>.</param>
    /// <param name="longest">The most characters of a side.</param>
    /// <exception cref="CoppiceException">The SDK has no satellites of that language.</exception>
    public static IReadOnlyList<SdkMessage> Read(string language, int longest)
    {
        string root = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", "..", "sdk"));
        if (!Directory.Exists(root))
            throw new CoppiceException($"No .NET SDK: found no folder '{root}'; install the SDK (not only the runtime)");
        string end = $".{language}.resources";
        List<SdkMessage> messages = [];
        HashSet<string> seen = new(StringComparer.Ordinal);
        foreach (string satellite in Directory.EnumerateFiles(root, "*.resources.dll", SearchOption.AllDirectories).Where(file => Path.GetFileName(Path.GetDirectoryName(file)) == language).Order(StringComparer.Ordinal))
        {
            string name = Path.GetFileName(satellite)[..^".resources.dll".Length], neutral = Path.Combine(Path.GetDirectoryName(Path.GetDirectoryName(satellite))!, name + ".dll");
            if (!File.Exists(neutral))
                continue;
            IReadOnlyDictionary<string, string> english = Strings(neutral, ".resources");
            foreach ((string key, string target) in Strings(satellite, end))
                if (english.TryGetValue(key, out string? source) && Fits(source, longest) && Fits(target, longest) && source != target && seen.Add(Letters(source)) && seen.Add(Letters(target)))
                    messages.Add(new SdkMessage(name, source, target));
        }
        return messages.Count > 0 ? messages : throw new CoppiceException($"'{root}' has no messages in '{language}'");
    }

    // Words and no lists of names or formats.
    static bool Fits(string text, int longest) => text.Length <= longest && text.Count(' ') >= 2 && text.AsSpan().IndexOfAny('\n', '\r', '\t') < 0 && 4 * text.Count(char.IsLetter) > 3 * text.Count(letter => letter != ' ') && text == text.Trim();

    static string Letters(string text) => string.Concat(text.Where(char.IsLetter)).ToLowerInvariant();

    // By the set's name without its end, and key.
    static Dictionary<string, string> Strings(string file, string end)
    {
        Dictionary<string, string> strings = new(StringComparer.Ordinal);
        using PEReader image = new(File.OpenRead(file));
        if (!image.HasMetadata || image.PEHeaders.CorHeader is not { ResourcesDirectory.Size: > 0 } header)
            return strings;
        MetadataReader metadata = image.GetMetadataReader();
        foreach (ManifestResource set in metadata.ManifestResources.Select(metadata.GetManifestResource).Where(set => set.Implementation.IsNil))
        {
            string name = metadata.GetString(set.Name);
            if (!name.EndsWith(end, StringComparison.Ordinal))
                continue;
            BlobReader blob = image.GetSectionData(header.ResourcesDirectory.RelativeVirtualAddress).GetReader(checked((int)set.Offset), header.ResourcesDirectory.Size - checked((int)set.Offset));
            using ResourceReader reader = new(new MemoryStream(blob.ReadBytes(blob.ReadInt32())));
            System.Collections.IDictionaryEnumerator entries = reader.GetEnumerator();
            while (entries.MoveNext())
            {
                reader.GetResourceData((string)entries.Key, out string type, out byte[] data);
                if (type == "ResourceTypeCode.String")
                    strings.TryAdd($"{name[..^end.Length]}/{entries.Key}", new BinaryReader(new MemoryStream(data)).ReadString());
            }
        }
        return strings;
    }
}
