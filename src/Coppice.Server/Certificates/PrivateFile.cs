using System.Text;

namespace Coppice.Server.Certificates;

/// <summary>Files that only their owner may read, written whole or not at all.</summary>
static class PrivateFile
{
    public static void Write(string path, string text)
    {
        FileStreamOptions options = new() { Mode = FileMode.Create, Access = FileAccess.Write, Share = FileShare.None };
        if (!OperatingSystem.IsWindows())
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        // The mode is that of a file that is made, so one that is left over goes first.
        string partial = path + ".partial";
        File.Delete(partial);
        using (FileStream stream = new(partial, options))
        {
            stream.Write(Encoding.UTF8.GetBytes(text));
            stream.Flush(flushToDisk: true);
        }
        File.Move(partial, path, overwrite: true);
    }
}
