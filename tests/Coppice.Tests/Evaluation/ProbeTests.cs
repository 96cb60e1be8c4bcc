using Coppice.Evaluation;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Formats;
using Coppice.Training;

namespace Coppice.Tests.Evaluation;

public sealed class ProbeTests
{
    [Fact]
    public void A_larger_model_is_slower_in_the_same_run()
    {
        using WorkerPool pool = new(1);
        DecoderModel small = TinyModels.Model(1);
        DecoderModel large = Initialization.Random(TinyModels.Config with { HiddenSize = 256, IntermediateSize = 1024, LayerCount = 4 }, 1);
        List<double> told = [];
        IReadOnlyList<Speed> speeds = SpeedProbe.Measure([small, large], [1, 2, 3, 4], pool, new SpeedOptions { Tokens = 8, Rounds = 3, WarmUp = 1 }, new Told(told));
        Assert.Equal(2, speeds.Count);
        Assert.True(speeds[1].TokenSeconds.Median > 2 * speeds[0].TokenSeconds.Median);
        Assert.True(speeds[1].TokensPerSecond < speeds[0].TokensPerSecond);
        Assert.True(speeds[0].FirstTokenSeconds.Median > 0 && speeds[0].TokenSeconds.Percentile(99) >= speeds[0].TokenSeconds.Percentile(95));
        Assert.Equal(4, speeds[0].PromptTokens);
        Assert.Equal(Enumerable.Range(1, 8).Select(i => i / 8.0), told);
    }

    [Fact]
    public void What_does_not_fit_the_context_is_refused()
    {
        using WorkerPool pool = new(1);
        Assert.Contains("context holds 48", Assert.Throws<CoppiceException>(() =>
            SpeedProbe.Measure([TinyModels.Model(1)], [1, 2], pool, new SpeedOptions { Tokens = 47 })).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_token_of_context_takes_the_bytes_that_the_cache_has_for_it()
    {
        DecoderModel model = TinyModels.Model(1);
        ModelMemory memory = MemoryProbe.Measure(model);
        Assert.Equal(new KvCache(model, 40).ByteCount, 40 * memory.CacheBytesPerToken);
        Assert.Equal(model.ByteCount, memory.ModelBytes);
    }

    [Fact]
    public void The_peak_grows_with_memory_that_is_touched_and_never_falls()
    {
        long before = MemoryProbe.PeakBytes();
        // More than everything so far, whatever other tests take and give back meanwhile.
        byte[] block = GC.AllocateUninitializedArray<byte>(checked((int)(before + (64 << 20))));
        block.AsSpan().Fill(1);
        GC.KeepAlive(block);
        Assert.True(MemoryProbe.PeakBytes() >= before + (16 << 20));
    }

    [Fact]
    public void A_folder_takes_what_its_files_take()
    {
        using TemporaryFolder folder = new();
        Directory.CreateDirectory(folder["inner"]);
        File.WriteAllBytes(folder["a"], new byte[10]);
        File.WriteAllBytes(folder["inner/b"], new byte[5]);
        Assert.Equal((15, 10), (MemoryProbe.DiskBytes(folder.Path), MemoryProbe.DiskBytes(folder["a"])));
        Assert.Throws<CoppiceException>(() => MemoryProbe.DiskBytes(folder["none"]));
    }

    [Fact]
    public void The_machine_tells_its_name_in_one_line()
    {
        SystemInfo info = SystemInfo.Current();
        Assert.False(string.IsNullOrWhiteSpace(info.Processor));
        Assert.DoesNotContain('\0', info.Processor);
        Assert.Equal(Environment.ProcessorCount, info.Cores);
        Assert.True(info.MemoryBytes > 0);
        Assert.DoesNotContain('\n', info.ToString());
    }

    sealed class Told(List<double> values) : IProgress<double>
    {
        public void Report(double value) => values.Add(value);
    }
}
