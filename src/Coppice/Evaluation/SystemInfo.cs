using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using System.Text;
using Coppice.Tensors.Simd;

namespace Coppice.Evaluation;

/// <summary>The machine that a figure was measured on.</summary>
/// <param name="Processor">Its name, or its architecture where it tells no name.</param>
/// <param name="Cores">Logical processors that this process may use.</param>
/// <param name="Simd">The vector width in use.</param>
/// <param name="OperatingSystem">Name and version.</param>
/// <param name="Runtime">.NET's version.</param>
/// <param name="MemoryBytes">Memory that this process may use.</param>
public sealed record SystemInfo(string Processor, int Cores, SimdLevel Simd, string OperatingSystem, string Runtime, long MemoryBytes)
{
    /// <summary>This machine.</summary>
    public static SystemInfo Current() => new(
        BrandString() ?? CpuInfoName() ?? RuntimeInformation.ProcessArchitecture.ToString(), Environment.ProcessorCount, SimdLevel.Active,
        RuntimeInformation.OSDescription, RuntimeInformation.FrameworkDescription, GC.GetGCMemoryInfo().TotalAvailableMemoryBytes);

    /// <summary>One line to print with figures.</summary>
    public override string ToString() =>
        $"{Processor}, {Cores} logical cores, {Simd}, {OperatingSystem}, {Runtime}";

    // The 48 characters of CPUID leaves 0x80000002 to 0x80000004.
    static string? BrandString()
    {
        if (!X86Base.IsSupported || (uint)X86Base.CpuId(unchecked((int)0x80000000), 0).Eax < 0x80000004)
            return null;
        Span<int> words = stackalloc int[12];
        for (int leaf = 0; leaf < 3; leaf++)
            (words[4 * leaf], words[4 * leaf + 1], words[4 * leaf + 2], words[4 * leaf + 3]) = X86Base.CpuId(unchecked((int)(0x80000002 + leaf)), 0);
        string name = Encoding.ASCII.GetString(MemoryMarshal.AsBytes(words)).Trim('\0', ' ');
        return name.Length > 0 ? name : null;
    }

    // Other processors: what Linux tells.
    static string? CpuInfoName()
    {
        const string File = "/proc/cpuinfo";
        return !System.IO.File.Exists(File) ? null : System.IO.File.ReadLines(File)
            .Where(line => line.StartsWith("model name", StringComparison.Ordinal) || line.StartsWith("Model", StringComparison.Ordinal))
            .Select(line => line[(line.IndexOf(':') + 1)..].Trim()).FirstOrDefault();
    }
}
