using Coppice.Compression;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Tests.Compression;

public sealed class JournalTests : IDisposable
{
    readonly string folder = Directory.CreateTempSubdirectory("coppice-journal-").FullName;

    string Output => Path.Combine(folder, "out");

    public void Dispose() => Directory.Delete(folder, recursive: true);

    // One recipe for every kind of storage, table and head included.
    static readonly Recipe Mixed = RecipeReader.Parse("""
        name: mixed
        steps:
          - wanda: { pattern: "2:4", targets: ["*.q_proj", "*.gate_proj"] }
          - magnitude: { sparsity: 0.6, targets: ["*.k_proj"] }
          - random: { sparsity: 0.3, targets: ["*.o_proj"] }
          - gptq: { bits: 3, groupSize: 16, symmetric: false, targets: ["*.v_proj", "*.gate_proj"] }
          - ggufBlock: { type: q4_0, targets: "*.up_proj" }
          - ggufBlock: { type: q8_0, targets: "model.embed_tokens" }
          - roundToNearest: { bits: 8, groupSize: -1, targets: "lm_head" }
        """, "mixed.yaml");

    [Theory]
    [InlineData(1)]
    [InlineData(6)]
    [InlineData(7)]
    [InlineData(8)]
    [InlineData(13)]
    [InlineData(14)]
    [InlineData(15)]
    public void A_run_stopped_after_any_matrix_and_begun_again_ends_in_the_same_bytes(int stopAfter)
    {
        byte[] wanted = Bytes(Run(journal: false, new Watch(int.MaxValue)).Model);

        Assert.Throws<OperationCanceledException>(() => Run(journal: true, new Watch(stopAfter)));
        // A crash in the middle of a write leaves a partial file.
        File.WriteAllBytes(Path.Combine(Output + ".journal", "part-00001.safetensors.partial"), [1, 2, 3]);
        (DecoderModel model, CompressionReport report) = Run(journal: true, new Watch(int.MaxValue));

        Assert.Equal(wanted, Bytes(model));
        Assert.Equal(stopAfter < 15 ? stopAfter / 7 : 3, report.ResumedBlocks);
        Assert.Equal(model.Matrices().Select(matrix => matrix.Name).Order(), report.Layers.Select(layer => layer.Name).Order());
        Assert.All(report.Layers, layer => Assert.NotEmpty(layer.Kind));
    }

    [Theory]
    [InlineData(int.MaxValue)]
    [InlineData(3)]
    [InlineData(8)]
    [InlineData(15)]
    public void A_model_left_in_its_file_ends_in_the_same_bytes(int stopAfter)
    {
        string source = Path.Combine(folder, "source"), open = Path.Combine(folder, "open"), whole = Path.Combine(folder, "whole");
        Directory.CreateDirectory(source);
        ModelFolder.Save(Samples.Model(head: HeadKind.Untied), source, DType.F32, null, null);
        Write(ModelFolder.Load(source), null, whole, new Watch(int.MaxValue));

        if (stopAfter < int.MaxValue)
            Assert.Throws<OperationCanceledException>(() => FromFile(new Watch(stopAfter)));
        FromFile(new Watch(int.MaxValue));

        Assert.Equal(Directory.GetFiles(whole).Select(Path.GetFileName).Order(), Directory.GetFiles(open).Select(Path.GetFileName).Order());
        Assert.All(Directory.GetFiles(whole), file => Assert.Equal(File.ReadAllBytes(file), File.ReadAllBytes(Path.Combine(open, Path.GetFileName(file)))));

        void FromFile(Watch watch)
        {
            Model model = ModelFolder.Open(source, out ICheckpoint checkpoint);
            using (checkpoint)
            {
                Write(model, Journal.Open(Output, model, Folded, Samples.Tokens(), seed: 3), open, watch);
                Assert.DoesNotContain(model.Matrices(), matrix => matrix.Layer.Weight.IsInMemory);
            }
        }

        static void Write(Model model, Journal? journal, string place, Watch watch)
        {
            new CompressionPipeline(Folded, Samples.Pool) { Seed = 3 }.Run(model, Samples.Tokens(), journal, watch, watch.Token);
            Directory.CreateDirectory(place);
            ModelFolder.Save(model, place, DType.F16, null, null);
        }
    }

    // As Mixed, with what a folder can hold.
    static readonly Recipe Folded = RecipeReader.Parse("""
        name: folded
        steps:
          - magnitude: { sparsity: 0.6, targets: ["*.k_proj", "*.q_proj"] }
          - gptq: { bits: 3, groupSize: 16, symmetric: false, targets: ["*.v_proj", "*.gate_proj"] }
          - roundToNearest: { bits: 8, groupSize: -1, targets: "lm_head" }
        """, "folded.yaml");

    [Fact]
    public void A_finished_run_is_read_back_whole()
    {
        (DecoderModel first, CompressionReport one) = Run(journal: true, new Watch(int.MaxValue));
        (DecoderModel second, CompressionReport two) = Run(journal: true, new Watch(0));
        Assert.Equal(Bytes(first), Bytes(second));
        Assert.Equal(4, two.ResumedBlocks);
        Assert.Equal(one.Layers.Select(layer => (layer.Name, layer.Kind, layer.OutputError, layer.Seconds, string.Join(' ', layer.Steps))),
            two.Layers.Select(layer => (layer.Name, layer.Kind, layer.OutputError, layer.Seconds, string.Join(' ', layer.Steps))));
    }

    [Fact]
    public void Another_runs_journal_is_refused()
    {
        DecoderModel model = Samples.Model(head: HeadKind.Untied);
        int[][] tokens = Samples.Tokens();
        Journal.Open(Output, model, Mixed, tokens, seed: 3);
        Journal.Open(Output, model, Mixed, Samples.Tokens(), seed: 3);
        foreach (Action other in new Action[]
        {
            () => Journal.Open(Output, Samples.Model(seed: 9, head: HeadKind.Untied), Mixed, tokens, 3),
            () => Journal.Open(Output, model, Presets.Get("int4"), tokens, 3),
            () => Journal.Open(Output, model, Mixed, Samples.Tokens(seed: 8), 3),
            () => Journal.Open(Output, model, Mixed, tokens, 4),
        })
            Assert.Equal($"{Output}.journal: holds the work of another run (model, recipe, a checkpoint that it reads, calibration text, seed or machine differ); delete it, or name another output",
                Assert.Throws<CoppiceException>(other).Message);
    }

    [Fact]
    public void A_folder_that_is_no_journal_is_left_alone()
    {
        Directory.CreateDirectory(Output + ".journal");
        File.WriteAllText(Path.Combine(Output + ".journal", "thesis.txt"), "years of work");
        Assert.Throws<CoppiceException>(() => Journal.Open(Output, Samples.Model(), Mixed, [], 0));
        Assert.Equal(["thesis.txt"], Directory.GetFiles(Output + ".journal").Select(Path.GetFileName));
    }

    [Fact]
    public void Where_another_run_is_at_work_a_second_one_is_refused()
    {
        Directory.CreateDirectory(Output + ".journal");
        using (new FileStream(Path.Combine(Output + ".journal", "lock"), FileMode.Create, FileAccess.Write, FileShare.None))
            Assert.Equal($"{Output}.journal: another run is at work there; wait for its end, or name another output", Assert.Throws<CoppiceException>(() => Journal.Open(Output, Samples.Model(), Mixed, [], 0)).Message);
        Journal.Open(Output, Samples.Model(), Mixed, [], 0).DeleteIfEmpty();
        Assert.False(Directory.Exists(Output + ".journal"));
    }

    [Fact]
    public void It_is_gone_once_it_is_deleted()
    {
        Journal.Open(Output, Samples.Model(), Mixed, [], 0).Delete();
        Assert.False(Directory.Exists(Output + ".journal"));
    }

    (DecoderModel Model, CompressionReport Report) Run(bool journal, Watch watch)
    {
        DecoderModel model = Samples.Model(head: HeadKind.Untied);
        int[][] tokens = Samples.Tokens();
        Journal? own = journal ? Journal.Open(Output, model, Mixed, tokens, seed: 3) : null;
        CompressionReport report = new CompressionPipeline(Mixed, Samples.Pool) { Seed = 3 }.Run(model, tokens, own, watch, watch.Token);
        return (model, report);
    }

    static byte[] Bytes(DecoderModel model)
    {
        string file = Path.GetTempFileName();
        try
        {
            SafeTensorsWriter.WriteFile(file, model.Matrices().SelectMany(matrix => WeightParts.Of(matrix.Name, matrix.Layer.Weight)));
            return File.ReadAllBytes(file);
        }
        finally
        {
            File.Delete(file);
        }
    }

    /// <summary>Stops a run after some matrices; after 0 it lets pass only what does no work.</summary>
    sealed class Watch(int stopAfter) : IProgress<CompressionProgress>
    {
        readonly CancellationTokenSource source = new();

        public CancellationToken Token => source.Token;

        public void Report(CompressionProgress value)
        {
            Assert.NotEqual(0, stopAfter);
            if (value.Done == stopAfter)
                source.Cancel();
        }
    }
}
