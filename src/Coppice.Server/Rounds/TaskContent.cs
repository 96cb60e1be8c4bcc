namespace Coppice.Server.Rounds;

/// <summary>A task message: what is the client's own, and then the model's file, which all clients of a round share.</summary>
/// <param name="Control">The frame up to the tensors, or all of it.</param>
/// <param name="Model">The file with the tensors, or null.</param>
sealed record TaskContent(byte[] Control, string? Model)
{
    /// <summary>Bytes in all.</summary>
    public long Length => Control.Length + (Model is null ? 0 : new FileInfo(Model).Length);

    /// <summary>Writes the message from a byte on, and returns how many bytes that were.</summary>
    public async Task<long> Write(Stream target, long from, CancellationToken cancel)
    {
        long length = Length;
        if (from < Control.Length)
            await target.WriteAsync(Control.AsMemory((int)from), cancel);
        if (Model is null)
            return length - from;
        await using FileStream stream = new(Model, FileMode.Open, FileAccess.Read, FileShare.Read, 1, FileOptions.Asynchronous | FileOptions.SequentialScan);
        stream.Seek(Math.Max(0, from - Control.Length), SeekOrigin.Begin);
        await stream.CopyToAsync(target, 1 << 18, cancel);
        return length - from;
    }
}
