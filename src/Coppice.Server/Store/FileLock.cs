namespace Coppice.Server.Store;

/// <summary>A file that one process or thread has at a time; the system lets go of it when its process dies. On a network's file system it is that system's lock.</summary>
static class FileLock
{
    // EAGAIN of Linux and of macOS, and Windows' sharing violation.
    static readonly int[] Held = [11, 35, unchecked((int)0x80070020)];

    /// <summary>Takes the lock until it is disposed; null where another has it.</summary>
    public static IDisposable? Try(string path)
    {
        try
        {
            return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, 1);
        }
        catch (IOException error) when (Held.Contains(error.HResult))
        {
            return null;
        }
    }
}
