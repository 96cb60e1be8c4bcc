using System.Text;
using Coppice.Tensors;

namespace Coppice.Formats;

/// <summary>The tensors of an unfinished output that are safe on disk, a line each. The same run started again leaves them as they are.</summary>
public sealed class WriteJournal : IDisposable
{
    // A flush waits for the disk, so many tensors share one.
    const long FlushBytes = 256 << 20;

    readonly FileStream file;
    readonly HashSet<string> finished = new(StringComparer.Ordinal);
    readonly List<string> unflushed = [];
    long unflushedBytes;

    WriteJournal(FileStream file) => this.file = file;

    /// <summary>Tensors that an earlier run had finished.</summary>
    public int Resumed { get; private init; }

    /// <summary>Opens a journal, or begins a new one where there is none or it is of another run.</summary>
    /// <param name="path">The file.</param>
    /// <param name="signature">One line that tells runs apart whose bytes would differ.</param>
    /// <exception cref="CoppiceException">The file system refused, or another process writes this output.</exception>
    public static WriteJournal Open(string path, string signature)
    {
        FileStream? file = null;
        try
        {
            file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            using StreamReader reader = new(file, Encoding.UTF8, leaveOpen: true);
            // What follows the last line's end was cut off by a kill.
            string[] lines = reader.ReadToEnd().Split('\n')[..^1];
            bool isOurs = lines.Length > 0 && lines[0] == signature;
            WriteJournal journal = new(file) { Resumed = isOurs ? lines.Length - 1 : 0 };
            if (isOurs)
                journal.finished.UnionWith(lines.Skip(1));
            file.SetLength(0);
            journal.Write([signature, .. journal.finished.Order(StringComparer.Ordinal)]);
            return journal;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            file?.Dispose();
            throw new CoppiceException($"{path}: could not be used as a journal: {error.Message}", error);
        }
    }

    /// <summary>Whether a tensor is written already.</summary>
    internal bool Has(string tensor) => finished.Contains(tensor);

    /// <summary>Remembers a tensor once the file that holds it is flushed to disk.</summary>
    internal void Add(string tensor, long bytes, FileStream holder)
    {
        unflushed.Add(tensor);
        unflushedBytes += bytes;
        if (unflushedBytes >= FlushBytes)
            Flush(holder);
    }

    /// <summary>Flushes a file to disk and remembers what it holds.</summary>
    internal void Flush(FileStream holder)
    {
        holder.Flush(flushToDisk: true);
        Write(unflushed);
        finished.UnionWith(unflushed);
        unflushed.Clear();
        unflushedBytes = 0;
    }

    void Write(IEnumerable<string> lines)
    {
        foreach (string line in lines)
            file.Write(Encoding.UTF8.GetBytes(line + "\n"));
        file.Flush(flushToDisk: true);
    }

    /// <inheritdoc/>
    public void Dispose() => file.Dispose();
}
