using System.Text.Json;
using Coppice.Tensors;
using Coppice.Text.SentencePiece;

namespace Coppice.Text;

/// <summary>A tokenizer's files: which of them a folder has, and what is written into one.</summary>
static class TokenizerFolder
{
    const long MaxBytes = 256_000_000;

    /// <summary>Reads a folder or one file; every refusal names the file.</summary>
    public static Tokenizer Load(string path)
    {
        string[] names = [TokenizerJson.FileName, SentencePieceFile.DefaultFileName, SharedVocabulary.SourceFile, Llama2CVocabulary.DefaultFileName];
        string? file = Directory.Exists(path) ? names.Select(name => Path.Combine(path, name)).FirstOrDefault(File.Exists) : File.Exists(path) ? path : null;
        if (file is null)
            throw new CoppiceException($"'{path}' holds no tokenizer: looked for {string.Join(", ", names[..^1])} and {names[^1]}");
        byte[] bytes = ReadBytes(file);
        try
        {
            TokenizerParts parts = Path.GetExtension(file) switch
            {
                ".bin" => Llama2CVocabulary.Read(bytes, null),
                ".model" => SentencePieceFile.Read(bytes),
                ".spm" => SharedVocabulary.Read(bytes, Path.GetDirectoryName(Path.GetFullPath(file))!),
                _ => TokenizerJson.Read(bytes),
            };
            string folder = Path.GetDirectoryName(Path.GetFullPath(file))!;
            return new Tokenizer(Path.GetExtension(file) == ".bin" ? parts : parts with { Roles = TokenizerRoles.Read(folder, parts).Or(parts.Roles) });
        }
        catch (Exception error) when (error is CoppiceException or JsonException or InvalidOperationException or FormatException)
        {
            // what is quoted from the file must not break the line
            string reason = (error is CoppiceException ? "" : "not a tokenizer.json: ") + error.Message;
            string line = string.Concat(reason.Take(400).Select(letter => char.IsControl(letter) ? '?' : letter));
            throw new CoppiceException(line.StartsWith(Path.GetDirectoryName(file) is { Length: > 0 } at ? at : file, StringComparison.Ordinal) ? line : $"{file}: {line}", error);
        }
    }

    /// <summary>What is written into a folder: what was read, where it was read from files that other programs know, or tokenizer.json.</summary>
    public static IReadOnlyList<(string Name, Action<Stream> Write)> Files(Tokenizer tokenizer) =>
    [
        .. tokenizer.Parts.Files.Count > 0
            ? tokenizer.Parts.Files.Select(file => (file.Name, (Action<Stream>)(stream => stream.Write(file.Bytes))))
            : [(TokenizerJson.FileName, stream => TokenizerJson.Write(tokenizer.Parts, stream))],
        .. tokenizer.Parts.Roles.Write(tokenizer.Token),
    ];

    /// <summary>Reads a file of a size that a tokenizer may have.</summary>
    public static byte[] ReadBytes(string path)
    {
        try
        {
            long length = new FileInfo(path).Length;
            return length <= MaxBytes ? File.ReadAllBytes(path) : throw new CoppiceException($"{path}: has {length:N0} bytes, wanted a tokenizer of at most {MaxBytes:N0}");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new CoppiceException($"{path}: could not be read: {error.Message}", error);
        }
    }
}
