using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Tests.Formats;

public sealed class BinaryFileTests
{
    [Theory]
    [InlineData(0, 4096)]
    [InlineData(6, 5000)]
    [InlineData(7, 333)]
    [InlineData(16378, 3)]
    [InlineData(40, 0)]
    public void A_view_holds_the_bytes_of_its_place_aligned_or_not_and_outlives_the_file_object(int offset, int count)
    {
        using TemporaryFolder folder = new();
        string path = Path.Combine(folder.Path, "numbers");
        byte[] bytes = [.. Enumerable.Range(0, 16384).Select(i => (byte)(i * 31 >> 3))];
        File.WriteAllBytes(path, bytes);
        ReadOnlyMemory<ushort> view, copy = new BinaryFile("bytes", bytes).View<ushort>(offset, count, "numbers");
        using (BinaryFile file = new(path))
            view = file.View<ushort>(offset, count, "numbers");
        GC.Collect();
        GC.WaitForPendingFinalizers();
        Assert.Equal(MemoryMarshal.Cast<byte, ushort>(bytes.AsSpan(offset, 2 * count)), view.Span);
        Assert.Equal(copy.Span, view.Span);
    }

    [Fact]
    public void A_place_past_the_end_is_refused_before_it_is_mapped()
    {
        using TemporaryFolder folder = new();
        string path = Path.Combine(folder.Path, "numbers");
        File.WriteAllBytes(path, new byte[100]);
        using BinaryFile file = new(path);
        Assert.Equal($"{path}: tensor 'x' goes on past byte 100, where the file ends", Assert.Throws<CoppiceException>(() => file.View<ushort>(2, 50, "tensor 'x'")).Message);
        Assert.Throws<CoppiceException>(() => file.View<ulong>(0, int.MaxValue, "tensor 'x'"));
    }

    [Fact]
    public void A_file_that_is_replaced_keeps_its_bytes_for_those_who_mapped_it()
    {
        using TemporaryFolder folder = new();
        string path = Path.Combine(folder.Path, "numbers");
        AtomicFile.Write(path, stream => stream.Write(Enumerable.Repeat((byte)1, 10000).ToArray()));
        using BinaryFile file = new(path);
        ReadOnlyMemory<byte> view = file.View<byte>(0, 10000, "numbers");
        AtomicFile.Write(path, stream => stream.Write([2, 2]));
        Assert.Equal(10000, view.Span.Count((byte)1));
    }

    [Fact]
    public void A_map_that_nobody_holds_is_given_back()
    {
        if (!File.Exists("/proc/self/maps"))
            return;
        using TemporaryFolder folder = new();
        string path = Path.Combine(folder.Path, "given-back");
        File.WriteAllBytes(path, new byte[10000]);
        Hold(path);
        for (int i = 0; i < 20 && IsMapped(path); i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
        Assert.False(IsMapped(path));

        [MethodImpl(MethodImplOptions.NoInlining)]
        static void Hold(string path)
        {
            using BinaryFile file = new(path);
            ReadOnlyMemory<byte> view = file.View<byte>(0, 10000, "numbers");
            Assert.True(IsMapped(path));
            Assert.Equal(0, view.Span[9999]);
        }

        static bool IsMapped(string path) => File.ReadLines("/proc/self/maps").Any(line => line.Contains(path, StringComparison.Ordinal));
    }
}
