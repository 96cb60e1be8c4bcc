using System.Diagnostics;
using System.Globalization;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Evaluation;

/// <summary>What a model takes in memory.</summary>
/// <param name="ModelBytes">Its weights as they are stored.</param>
/// <param name="CacheBytesPerToken">Keys and values of one token of context.</param>
/// <param name="PeakBytes">The most physical memory that this process, with all it did, ever held.</param>
public readonly record struct ModelMemory(long ModelBytes, long CacheBytesPerToken, long PeakBytes);

/// <summary>Sizes in memory and on disk.</summary>
public static class MemoryProbe
{
    /// <summary>What a model takes, and the process's peak so far.</summary>
    public static ModelMemory Measure(Model model, KeyValueFormat cache = KeyValueFormat.Float16) => new(model.ByteCount, KvCache.PerToken(model, cache), PeakBytes());

    /// <summary>The most physical memory that this process ever held: VmHWM of Linux, the peak working set elsewhere.</summary>
    public static long PeakBytes()
    {
        const string Status = "/proc/self/status";
        if (!File.Exists(Status))
        {
            using Process process = Process.GetCurrentProcess();
            return process.PeakWorkingSet64;
        }
        // "VmHWM:     81234 kB"
        string line = File.ReadLines(Status).FirstOrDefault(line => line.StartsWith("VmHWM:", StringComparison.Ordinal))
            ?? throw new CoppiceException($"{Status}: no line 'VmHWM:'; the peak memory cannot be told");
        return 1024 * long.Parse(line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
    }

    /// <summary>Bytes of a file, or of all files in a folder.</summary>
    /// <exception cref="CoppiceException">There is neither.</exception>
    public static long DiskBytes(string path) =>
        File.Exists(path) ? new FileInfo(path).Length
        : Directory.Exists(path) ? new DirectoryInfo(path).EnumerateFiles("*", SearchOption.AllDirectories).Sum(file => file.Length)
        : throw new CoppiceException($"{path}: there is no such file or folder");
}
