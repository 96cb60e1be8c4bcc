using Coppice.Server.Store;

namespace Coppice.Server.Rounds;

/// <summary>A task message: what is the client's own, and then the model's file, which all clients of a round share.</summary>
/// <param name="Assignment">What it is for.</param>
/// <param name="Control">The frame up to the tensors.</param>
/// <param name="Model">The file with the tensors.</param>
sealed record TaskContent(AssignmentRow Assignment, byte[] Control, string Model)
{
    /// <summary>Bytes in all.</summary>
    public long Length => Control.Length + new FileInfo(Model).Length;

    /// <summary>Writes the message from a byte on, and returns how many bytes that were.</summary>
    public async Task<long> Write(Stream target, long from, CancellationToken cancel)
    {
        long length = Length;
        if (from < Control.Length)
            await target.WriteAsync(Control.AsMemory((int)from), cancel);
        await using FileStream stream = new(Model, FileMode.Open, FileAccess.Read, FileShare.Read, 1, FileOptions.Asynchronous | FileOptions.SequentialScan);
        stream.Seek(Math.Max(0, from - Control.Length), SeekOrigin.Begin);
        await stream.CopyToAsync(target, 1 << 18, cancel);
        return length - from;
    }
}
