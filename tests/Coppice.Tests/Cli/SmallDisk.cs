using System.Diagnostics;

namespace Coppice.Tests.Cli;

/// <summary>A disk of a few kilobytes in memory, which only root can mount.</summary>
sealed class SmallDisk : IDisposable
{
    SmallDisk(string path) => Path = path;

    public string Path { get; }

    /// <summary>The disk at a new folder; null where it cannot be mounted.</summary>
    public static SmallDisk? Mount(string path, int kilobytes)
    {
        Directory.CreateDirectory(path);
        return OperatingSystem.IsLinux() && Run("mount", "-t", "tmpfs", "-o", $"size={kilobytes}k", "coppice-test", path) ? new SmallDisk(path) : null;
    }

    public void Dispose() => Run("umount", Path);

    static bool Run(string command, params string[] args)
    {
        try
        {
            using Process process = Process.Start(new ProcessStartInfo(command, args) { RedirectStandardError = true })!;
            process.WaitForExit();
            return process.ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            // There is no such command here.
            return false;
        }
    }
}

/// <summary>A test that fills a disk; skipped where none can be mounted.</summary>
sealed class SmallDiskFactAttribute : FactAttribute
{
    static readonly Lazy<bool> CanMount = new(() =>
    {
        string path = Directory.CreateTempSubdirectory("coppice-disk-").FullName;
        using (SmallDisk? disk = SmallDisk.Mount(path, kilobytes: 16))
        {
            if (disk is null)
                return false;
        }
        Directory.Delete(path);
        return true;
    });

    public SmallDiskFactAttribute()
    {
        if (!CanMount.Value)
            Skip = "no small disk to fill: mounting one takes Linux and root";
    }
}
