using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Coppice.Tensors;

namespace Coppice.Text;

/// <summary>What is one document of a plain text file.</summary>
public enum DocumentUnit
{
    /// <summary>The whole file.</summary>
    File,
    /// <summary>Each line that is not blank.</summary>
    Line,
}

/// <summary>How <see cref="Corpus.Open"/> reads.</summary>
public sealed record CorpusOptions
{
    /// <summary>What is one document of a .txt or .md file.</summary>
    public DocumentUnit Unit { get; init; }

    /// <summary>The .NET SDK's folder for <c>sdk</c> texts; the one that runs this process by default.</summary>
    public string? SdkRoot { get; init; }
}

/// <summary>Documents in a fixed order, and a hash that names them.</summary>
public sealed class Corpus
{
    static readonly string[] Extensions = [".txt", ".md", ".jsonl"];

    readonly Lazy<string> hash;

    /// <param name="name">What to call it in signatures, such as "sdk:valid".</param>
    /// <param name="documents">In order.</param>
    public Corpus(string name, IReadOnlyList<Document> documents)
    {
        (Name, Documents) = (name, documents);
        hash = new(ComputeHash);
    }

    /// <summary>The spec that it was opened by.</summary>
    public string Name { get; }

    /// <summary>The texts, in order.</summary>
    public IReadOnlyList<Document> Documents { get; }

    /// <summary>Bytes of UTF-8 in all documents.</summary>
    public long ByteCount => Documents.Sum(document => (long)Encoding.UTF8.GetByteCount(document.Text));

    /// <summary>SHA-256 over the texts (each with its length; names do not count), in lower-case hex.</summary>
    public string Hash => hash.Value;

    /// <summary>
    /// Opens a text file (.txt, .md), a .jsonl file (a "text" a line), a folder of them (sorted by path), or the SDK's documentation: <c>sdk</c> and <c>sdk:train</c>,
    /// <c>sdk:valid</c>, <c>sdk:test</c>, and of one client assembly <c>sdk:client/NAME</c> or <c>sdk:client/NAME:valid</c>; the part is train where none is named.
    /// </summary>
    /// <exception cref="CoppiceException">There is no such file, folder, SDK, part or client; it holds no text; or a .jsonl line has no "text".</exception>
    public static Corpus Open(string spec, CorpusOptions? options = null, CancellationToken cancel = default)
    {
        options ??= new CorpusOptions();
        IEnumerable<Document> documents = spec == "sdk" || spec.StartsWith("sdk:", StringComparison.Ordinal) ? Sdk(spec, options)
            : File.Exists(spec) ? ReadFile(spec, options)
            : Directory.Exists(spec) ? ReadFolder(spec, options)
            : throw new CoppiceException($"No text at '{spec}': neither a file, a folder nor sdk[:train|:valid|:test|:client/NAME]");
        List<Document> read = [];
        foreach (Document document in documents)
        {
            cancel.ThrowIfCancellationRequested();
            read.Add(document);
        }
        return read.Count > 0 ? new Corpus(spec, read) : throw new CoppiceException($"'{spec}' holds no text (looked for {string.Join(", ", Extensions)})");
    }

    static IEnumerable<Document> Sdk(string spec, CorpusOptions options)
    {
        string[] words = spec.Split(':');
        string? client = words.Length > 1 && words[1].StartsWith("client/", StringComparison.Ordinal) ? words[1]["client/".Length..] : null;
        int partAt = client is null ? 1 : 2;
        SdkPart part = words.ElementAtOrDefault(partAt) switch
        {
            null or "train" => SdkPart.Train,
            "valid" => SdkPart.Valid,
            "test" => SdkPart.Test,
            _ => throw new CoppiceException($"'{spec}': '{words[partAt]}' is none of train, valid, test, client/NAME"),
        };
        if (words.Length > partAt + 1)
            throw new CoppiceException($"'{spec}': nothing may follow '{words[partAt]}'");
        if (client is not null && !SdkDocumentation.ClientAssemblies.Contains(client))
            throw new CoppiceException($"'{spec}': '{client}' is none of the clients {string.Join(", ", SdkDocumentation.ClientAssemblies)}");
        SdkDocumentation sdk = new(options.SdkRoot);
        return client is null ? sdk.Read(part) : sdk.Read(client, part);
    }

    static IEnumerable<Document> ReadFolder(string folder, CorpusOptions options) => Directory
        .EnumerateFiles(folder, "*", SearchOption.AllDirectories)
        .Where(file => Extensions.Contains(Path.GetExtension(file)))
        .Order(StringComparer.Ordinal)
        .SelectMany(file => ReadFile(file, options));

    static IEnumerable<Document> ReadFile(string file, CorpusOptions options) =>
        Path.GetExtension(file) == ".jsonl" ? Lines(file).Select(line => new Document(line.Source, JsonText(line)))
        : options.Unit == DocumentUnit.Line ? Lines(file)
        : string.IsNullOrWhiteSpace(File.ReadAllText(file)) ? [] : [new Document(file, File.ReadAllText(file))];

    static IEnumerable<Document> Lines(string file) => File.ReadLines(file)
        .Select((line, index) => new Document($"{file}:{index + 1}", line))
        .Where(line => !string.IsNullOrWhiteSpace(line.Text));

    static string JsonText(Document line)
    {
        try
        {
            using JsonDocument json = JsonDocument.Parse(line.Text);
            if (json.RootElement.ValueKind == JsonValueKind.Object && json.RootElement.TryGetProperty("text", out JsonElement text) && text.ValueKind == JsonValueKind.String)
                return text.GetString()!;
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            throw new CoppiceException($"{line.Source}: not JSON: {error.Message}", error);
        }
        throw new CoppiceException($"{line.Source}: no string \"text\" in this line");
    }

    string ComputeHash()
    {
        using IncrementalHash sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Span<byte> length = stackalloc byte[8];
        foreach (Document document in Documents)
        {
            byte[] utf8 = Encoding.UTF8.GetBytes(document.Text);
            BinaryPrimitives.WriteInt64LittleEndian(length, utf8.Length);
            sha.AppendData(length);
            sha.AppendData(utf8);
        }
        return Convert.ToHexStringLower(sha.GetHashAndReset());
    }
}
