namespace Coppice.Formats;

/// <summary>Folders that only their owner may look into (0700), on systems that have such modes.</summary>
public static class PrivateFolder
{
    /// <summary>Makes a folder; one that is there stays as it is. Those above it that are missing are made as the system makes folders.</summary>
    public static void Create(string path)
    {
        if (OperatingSystem.IsWindows())
            Directory.CreateDirectory(path);
        else
            Directory.CreateDirectory(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }
}
