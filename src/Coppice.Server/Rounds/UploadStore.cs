using System.Globalization;
using System.Security.Cryptography;

namespace Coppice.Server.Rounds;

/// <summary>Updates that are on their way: a file an assignment, to which chunks are appended until the client commits.</summary>
sealed class UploadStore
{
    readonly string folder;

    /// <summary>Uploads in a folder, which is made.</summary>
    public UploadStore(string folder) => Directory.CreateDirectory(this.folder = folder);

    /// <summary>Where an assignment's bytes are.</summary>
    public string PathOf(long assignment) => Path.Combine(folder, assignment.ToString(CultureInfo.InvariantCulture));

    /// <summary>How many bytes are there.</summary>
    public long Length(long assignment) => new FileInfo(PathOf(assignment)) is { Exists: true } file ? file.Length : 0;

    /// <summary>Appends a chunk.</summary>
    public void Append(long assignment, ReadOnlySpan<byte> chunk)
    {
        using FileStream stream = new(PathOf(assignment), FileMode.Append, FileAccess.Write, FileShare.None);
        stream.Write(chunk);
    }

    /// <summary>SHA-256 of the bytes that are there, in hexadecimal.</summary>
    public string Hash(long assignment)
    {
        using FileStream stream = File.OpenRead(PathOf(assignment));
        return Convert.ToHexStringLower(SHA256.HashData(stream));
    }

    /// <summary>Throws the bytes away.</summary>
    public void Delete(long assignment) => File.Delete(PathOf(assignment));
}
