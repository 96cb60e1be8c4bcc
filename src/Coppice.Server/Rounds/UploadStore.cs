using System.Globalization;
using System.Security.Cryptography;
using Coppice.Formats;
using Coppice.Server.Store;

namespace Coppice.Server.Rounds;

/// <summary>
/// Updates that are on their way: a file an assignment, to which chunks are appended until the client commits. Several coordinators may share the folder, since a client's chunks may come to any of
/// them; whoever changes a file holds its lock, a file beside it that the system unlocks when its process dies.
/// </summary>
sealed class UploadStore
{
    const string LockEnding = ".lock";

    readonly string folder;

    /// <summary>Uploads in a folder, which is made.</summary>
    public UploadStore(string folder) => PrivateFolder.Create(this.folder = folder);

    /// <summary>Where an assignment's bytes are.</summary>
    public string PathOf(long assignment) => Path.Combine(folder, assignment.ToString(CultureInfo.InvariantCulture));

    /// <summary>Keeps all others away from an assignment's bytes until it is disposed; null where another does.</summary>
    public IDisposable? Lock(long assignment) => FileLock.Try(LockOf(assignment));

    /// <summary>The assignments of which anything is there.</summary>
    public IReadOnlySet<long> All() => Directory.EnumerateFiles(folder).Select(path => Path.GetFileName(path) is var name && name.EndsWith(LockEnding, StringComparison.Ordinal) ? name[..^LockEnding.Length] : name)
        .Where(name => name.All(char.IsAsciiDigit)).Select(name => long.Parse(name, CultureInfo.InvariantCulture)).ToHashSet();

    /// <summary>How many bytes are there.</summary>
    public long Length(long assignment)
    {
        try
        {
            // A file system on a network is sure of a length only once the file was opened.
            using FileStream stream = Open(assignment, FileMode.Open, FileAccess.Read);
            return stream.Length;
        }
        catch (FileNotFoundException)
        {
            return 0;
        }
    }

    /// <summary>Appends a chunk.</summary>
    public void Append(long assignment, ReadOnlySpan<byte> chunk)
    {
        using FileStream stream = Open(assignment, FileMode.Append, FileAccess.Write);
        stream.Write(chunk);
    }

    /// <summary>SHA-256 of the bytes that are there, in hexadecimal.</summary>
    public string Hash(long assignment)
    {
        using FileStream stream = Open(assignment, FileMode.Open, FileAccess.Read);
        return Convert.ToHexStringLower(SHA256.HashData(stream));
    }

    /// <summary>Throws the bytes away.</summary>
    public void Delete(long assignment) => File.Delete(PathOf(assignment));

    /// <summary>Throws away all that there is of an assignment that takes nothing any more: who had its lock, and who gets a new one, finds that out in the store.</summary>
    public void Forget(long assignment)
    {
        Delete(assignment);
        File.Delete(LockOf(assignment));
    }

    string LockOf(long assignment) => PathOf(assignment) + LockEnding;

    FileStream Open(long assignment, FileMode mode, FileAccess access) => new(PathOf(assignment), mode, access, FileShare.ReadWrite | FileShare.Delete, 1);
}
