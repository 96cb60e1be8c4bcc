using Coppice.Tensors;

namespace Coppice.Formats;

/// <summary>A tensor and its place in a file.</summary>
/// <param name="Name">Told in reports.</param>
/// <param name="Offset">From the file's start on.</param>
/// <param name="ByteCount">How many bytes <paramref name="Write"/> writes.</param>
/// <param name="Write">Writes them to a stream that stands at <paramref name="Offset"/>.</param>
sealed record PlacedTensor(string Name, long Offset, long ByteCount, Action<FileStream> Write);

/// <summary>Writes a file whose header says where everything lies: each tensor goes to its place, and the bytes between are 0. With a journal, an interrupted writer goes on after the last tensor.</summary>
static class PlacedFile
{
    /// <summary>Writes the file, whole or not at all.</summary>
    /// <param name="path">The file. With a journal, one that is there is taken for finished, and <c>NAME.partial</c> is gone on with.</param>
    /// <param name="header">The first bytes.</param>
    /// <param name="length">Bytes of the whole file.</param>
    /// <param name="tensors">In the order in which they are made.</param>
    /// <param name="options">Its progress is the caller's to report.</param>
    /// <param name="told">Hears of every tensor that is in place.</param>
    public static void Write(string path, ReadOnlySpan<byte> header, long length, IReadOnlyList<PlacedTensor> tensors, WritingOptions options, Action<PlacedTensor> told)
    {
        if (options.Journal is not null && File.Exists(path))
        {
            foreach (PlacedTensor tensor in tensors)
                told(tensor);
            return;
        }
        byte[] head = header.ToArray();
        AtomicFile.Write(path, stream =>
        {
            stream.SetLength(length);
            stream.Write(head);
            foreach (PlacedTensor tensor in tensors)
            {
                if (options.Cancel.IsCancellationRequested)
                    options.Journal?.Flush(stream);
                options.Cancel.ThrowIfCancellationRequested();
                if (options.Journal?.Has(tensor.Name) != true)
                    WriteTensor(stream, tensor, options.Journal);
                told(tensor);
            }
            options.Journal?.Flush(stream);
        }, options.Journal is null ? Unfinished.Deleted : options.Journal.Resumed > 0 ? Unfinished.GoneOnWith : Unfinished.Kept);
    }

    static void WriteTensor(FileStream stream, PlacedTensor tensor, WriteJournal? journal)
    {
        stream.Seek(tensor.Offset, SeekOrigin.Begin);
        tensor.Write(stream);
        if (stream.Position != tensor.Offset + tensor.ByteCount)
            throw new InvalidOperationException($"tensor '{tensor.Name}' wrote {stream.Position - tensor.Offset:N0} bytes, wanted {tensor.ByteCount:N0}");
        journal?.Add(tensor.Name, tensor.ByteCount, stream);
    }
}
