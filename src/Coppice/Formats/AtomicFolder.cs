using Coppice.Tensors;

namespace Coppice.Formats;

/// <summary>What to do with a folder that is already there.</summary>
public enum ExistingFolder
{
    /// <summary>Fail unless it is empty.</summary>
    Refuse,

    /// <summary>Replace it if Coppice wrote it, fail if it holds anything else.</summary>
    ReplaceOurs,
}

/// <summary>Folders that appear whole or not at all: filled as <c>NAME.partial</c>, flushed to disk, then renamed.</summary>
public static class AtomicFolder
{
    /// <summary>The file that marks a folder as written by Coppice, which alone may be replaced, and names what it wrote there.</summary>
    public const string Marker = ".coppice";

    /// <summary>Fills a new folder through <paramref name="fill"/>, which gets the path to write below.</summary>
    /// <exception cref="CoppiceException">The target holds something that must not be lost, or the file system refused.</exception>
    public static void Write(string path, ExistingFolder existing, Action<string> fill)
    {
        path = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        string partial = path + ".partial";
        CheckTarget(path, existing);
        try
        {
            DeleteOurs(partial);
            Directory.CreateDirectory(partial);
            File.WriteAllBytes(Path.Combine(partial, Marker), []);
            fill(partial);
            foreach (string file in Directory.EnumerateFiles(partial, "*", SearchOption.AllDirectories))
                using (FileStream stream = new(file, FileMode.Open, FileAccess.ReadWrite))
                    stream.Flush(flushToDisk: true);
            Replace(path, partial);
        }
        catch (Exception error)
        {
            if (File.Exists(Path.Combine(partial, Marker)))
                Directory.Delete(partial, recursive: true);
            if (error is IOException or UnauthorizedAccessException)
                throw new CoppiceException($"{path}: could not be written: {error.Message}", error);
            throw;
        }
    }

    /// <summary>Moves a folder that <see cref="Write"/> finished elsewhere on the same file system to its place.</summary>
    /// <exception cref="CoppiceException">The target holds something that must not be lost, or the file system refused.</exception>
    public static void Move(string finished, string path, ExistingFolder existing)
    {
        path = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        CheckTarget(path, existing);
        try
        {
            Replace(path, finished);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new CoppiceException($"{path}: could not be written: {error.Message}", error);
        }
    }

    static void Replace(string path, string finished)
    {
        string old = path + ".old";
        DeleteOurs(old);
        File.WriteAllLines(Path.Combine(finished, Marker), Entries(finished));
        bool replaces = Directory.Exists(path);
        if (replaces)
            Directory.Move(path, old);
        try
        {
            Directory.Move(finished, path);
        }
        catch (Exception) when (replaces)
        {
            Directory.Move(old, path);
            throw;
        }
        DeleteOurs(old);
    }

    /// <summary>Throws now if <see cref="Write"/> would refuse the target later.</summary>
    public static void CheckTarget(string path, ExistingFolder existing)
    {
        if (File.Exists(path))
            throw new CoppiceException($"{path}: is a file, wanted a folder to write; name another or remove it");
        if (!Directory.Exists(path) || !Directory.EnumerateFileSystemEntries(path).Any())
            return;
        if (!File.Exists(Path.Combine(path, Marker)))
            throw new CoppiceException($"{path}: the folder is not empty and was not written by Coppice; name another or remove it");
        string[] written = File.ReadAllLines(Path.Combine(path, Marker));
        if (written.Length > 0 && Entries(path).Except(written).FirstOrDefault() is { } added)
            throw new CoppiceException($"{path}: holds {added}, which Coppice did not write there; move it away, or name another folder");
        if (existing == ExistingFolder.Refuse)
            throw new CoppiceException($"{path}: the folder is there already; name another or remove it");
    }

    static IEnumerable<string> Entries(string folder) => Directory.EnumerateFileSystemEntries(folder).Select(entry => Path.GetFileName(entry)).Where(name => name != Marker).Order(StringComparer.Ordinal);

    // An empty folder has nothing to lose; one with the marker is a remainder of an earlier run.
    static void DeleteOurs(string path)
    {
        if (!Directory.Exists(path))
            return;
        if (Directory.EnumerateFileSystemEntries(path).Any() && !File.Exists(Path.Combine(path, Marker)))
            throw new CoppiceException($"{path}: the folder is in the way and was not written by Coppice; remove it");
        Directory.Delete(path, recursive: true);
    }
}
