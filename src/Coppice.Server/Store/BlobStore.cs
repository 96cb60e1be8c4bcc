using System.Diagnostics;
using System.Security.Cryptography;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Server.Store;

/// <summary>Files named by the SHA-256 of their bytes, so that what is there is whole and right, and what is written twice, by whomever, is there once.</summary>
sealed class BlobStore
{
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    readonly string folder;
    readonly Durability durability;

    /// <summary>Blobs in a folder, which is made.</summary>
    public BlobStore(string folder, Durability durability = Durability.Full)
    {
        (this.folder, this.durability) = (folder, durability);
        PrivateFolder.Create(folder);
    }

    /// <summary>Where a blob lies.</summary>
    /// <exception cref="CoppiceException">There is none.</exception>
    public string PathOf(string blob) => Has(blob) ? Path.Combine(folder, blob) : throw new CoppiceException($"{folder}: has no blob {blob}; the folder is damaged");

    /// <summary>Whether a blob is there.</summary>
    public bool Has(string blob) => File.Exists(Path.Combine(folder, blob));

    /// <summary>Keeps bytes and returns their name.</summary>
    public string Put(byte[] bytes) => Put(path => File.WriteAllBytes(path, bytes));

    /// <summary>Keeps what <paramref name="write"/> writes to the path that it gets.</summary>
    public string Put(Action<string> write)
    {
        string partial = Path.Combine(folder, $"{Guid.NewGuid():N}.partial");
        try
        {
            write(partial);
            return Adopt(partial);
        }
        catch (IOException error)
        {
            File.Delete(partial);
            throw new CoppiceException($"{folder}: a blob could not be written: {error.Message}", error);
        }
    }

    /// <summary>Takes a file of the same file system over and returns its name as a blob.</summary>
    /// <param name="path">The file, which nobody else changes any more.</param>
    /// <param name="hash">Its SHA-256, where the caller has just found that.</param>
    public string Adopt(string path, string? hash = null)
    {
        string blob;
        using (FileStream stream = new(path, FileMode.Open, FileAccess.ReadWrite, FileShare.Read))
        {
            blob = hash ?? Convert.ToHexStringLower(SHA256.HashData(stream));
            if (durability == Durability.Full)
                stream.Flush(flushToDisk: true);
        }
        using (Alone())
        {
            // What is there may be mapped by a reader. It counts as new, so that it stays until a row names it.
            if (Touch(blob))
                File.Delete(path);
            else
                File.Move(path, Path.Combine(folder, blob), overwrite: true);
        }
        return blob;
    }

    /// <summary>Notes that a blob is wanted, though no row may name it; false where there is none.</summary>
    public bool Touch(string blob)
    {
        try
        {
            File.SetLastWriteTimeUtc(Path.Combine(folder, blob), DateTime.UtcNow);
            return true;
        }
        catch (FileNotFoundException)
        {
            return false;
        }
    }

    /// <summary>Throws away all that is not wanted any more, what writers that died left behind as well, and returns how many files that were.</summary>
    /// <param name="wanted">What rows name.</param>
    /// <param name="grace">Files younger than that stay: a row that names them may be on its way.</param>
    public int Sweep(IReadOnlySet<string> wanted, TimeSpan grace)
    {
        int count = 0;
        foreach (string path in Directory.EnumerateFiles(folder).Where(path => !wanted.Contains(Path.GetFileName(path))).ToArray())
            using (Alone())
                if (File.Exists(path) && File.GetLastWriteTimeUtc(path) <= DateTime.UtcNow - grace)
                {
                    File.Delete(path);
                    count++;
                }
        return count;
    }

    string LockFile => Path.TrimEndingDirectorySeparator(folder) + ".lock";

    // Held for no longer than a file takes to be moved or deleted, so that none is deleted that is just being taken in again.
    IDisposable Alone()
    {
        for (long start = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(start) < Patience; Thread.Sleep(1))
            if (FileLock.Try(LockFile) is { } alone)
                return alone;
        throw new CoppiceException($"{LockFile}: is held by another process for {Patience.TotalSeconds:0} seconds");
    }
}
