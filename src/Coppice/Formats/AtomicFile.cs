using Coppice.Tensors;

namespace Coppice.Formats;

/// <summary>What becomes of a file that was not finished.</summary>
enum Unfinished
{
    /// <summary>Nothing of it is left.</summary>
    Deleted,

    /// <summary>It stays as NAME.partial. One of an earlier run is begun anew.</summary>
    Kept,

    /// <summary>It stays as NAME.partial, and one of an earlier run is opened as it is.</summary>
    GoneOnWith,
}

/// <summary>Files that are written whole or not at all: <c>NAME.partial</c> beside the target, flushed to disk, then renamed over it.</summary>
public static class AtomicFile
{
    /// <summary>Writes a file through <paramref name="write"/>, in a folder that is made where there is none. Whatever fails, an older file at <paramref name="path"/> stays as it was and nothing partial is left.</summary>
    /// <exception cref="CoppiceException">The file system refused: a full disk, no permission, a file where a folder should be.</exception>
    public static void Write(string path, Action<FileStream> write) => Write(path, write, Unfinished.Deleted);

    internal static void Write(string path, Action<FileStream> write, Unfinished unfinished)
    {
        string partial = path + ".partial";
        bool ours = false;
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
            using (FileStream stream = new(partial, unfinished == Unfinished.GoneOnWith ? FileMode.OpenOrCreate : FileMode.Create, FileAccess.Write, FileShare.None, 1 << 16))
            {
                ours = true;
                write(stream);
                stream.Flush(flushToDisk: true);
            }
            File.Move(partial, path, overwrite: true);
        }
        catch (Exception error)
        {
            if (ours && unfinished == Unfinished.Deleted)
                File.Delete(partial);
            if (error is IOException or UnauthorizedAccessException)
                throw new CoppiceException($"{path}: could not be written: {error.Message}", error);
            throw;
        }
    }

    /// <summary>Writes a text file as UTF-8 without a byte-order mark.</summary>
    public static void WriteText(string path, string text) => Write(path, stream => stream.Write(System.Text.Encoding.UTF8.GetBytes(text)));
}
