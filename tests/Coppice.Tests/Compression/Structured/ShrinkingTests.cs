using Coppice.Compression.Structured;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Formats;
using Coppice.Tests.Models.Families;
using Coppice.Text;
using Coppice.Weights;

namespace Coppice.Tests.Compression.Structured;

/// <summary>Units that add nothing go, and nothing changes; in every family.</summary>
public sealed class ShrinkingTests : IDisposable
{
    static readonly int[] tokens = [3, 17, 0, 5, 5, 111, 2, 8, 214, 1, 256, 4];

    readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    public static TheoryData<string> Kinds => [.. RandomCheckpoint.Families];

    public static TheoryData<string> KindsOfFreeHeads => [.. RandomCheckpoint.Families.Where(kind => kind is not ("gpt2" or "opt") && !kind.StartsWith("gpt_neox", StringComparison.Ordinal))];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Keeping_everything_gives_the_same_model_apart(string kind)
    {
        DecoderModel model = Load(kind), same = Shrinking.Apply(model, KeptUnits.All(model));
        Assert.Equal(model.Config, same.Config);
        Assert.Equal(Logits(model), Logits(same));
        foreach ((_, MatrixLayer layer) in same.Matrices())
            ((DenseWeight)layer.Weight).Values.Data.Clear();
        Assert.NotEqual(Logits(model), Logits(same));
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Neurons_that_nothing_reads_go_without_a_trace(string kind)
    {
        DecoderModel model = Load(kind);
        KeptUnits kept = WithNeurons(model, 5);
        for (int i = 0; i < model.Blocks.Count; i++)
            foreach ((FeedForward part, int[] neurons) in KeptUnits.Parts(model.Blocks[i].FeedForward).Zip(kept.Layers[i].Neurons))
                foreach (int gone in Gone(neurons, part.Down.Weight.Columns))
                    ClearColumn(part.Down, gone);
        SameAfter(model, kept, 1e-5);
    }

    [Theory]
    [MemberData(nameof(KindsOfFreeHeads))]
    public void Query_heads_that_nothing_reads_go_without_a_trace(string kind)
    {
        DecoderModel model = LoadLarge(kind);
        // Of each pair that shares keys the one goes, another in each layer.
        KeptUnits kept = KeptUnits.All(model) with { Layers = [.. KeptUnits.All(model).Layers.Select(layer => layer with { Heads = [layer.Layer % 2, 3 - layer.Layer % 2] })] };
        foreach ((TransformerBlock block, KeptLayer layer) in model.Blocks.Zip(kept.Layers))
            foreach (int gone in Gone(layer.Heads, 4))
                ClearHead(block.Attention, gone);
        SameAfter(model, kept, 1e-5);
    }

    [Theory]
    [MemberData(nameof(KindsOfFreeHeads))]
    public void Key_value_groups_that_nothing_reads_go_without_a_trace(string kind)
    {
        DecoderModel model = LoadLarge(kind);
        KeptUnits kept = KeptUnits.All(model) with { Layers = [.. KeptUnits.All(model).Layers.Select(layer => layer with { KeyValueHeads = [layer.Layer % 2], Heads = [layer.Layer % 2 * 2, layer.Layer % 2 * 2 + 1] })] };
        foreach ((TransformerBlock block, KeptLayer layer) in model.Blocks.Zip(kept.Layers))
        {
            foreach (int gone in Gone(layer.Heads, 4))
                ClearHead(block.Attention, gone);
            foreach (int gone in Gone(layer.KeyValueHeads, 2))
                ClearRows(block.Attention.Key, gone * block.Attention.HeadWidth, block.Attention.HeadWidth);
        }
        SameAfter(model, kept, 1e-5);
    }

    [Theory]
    [MemberData(nameof(KindsOfFreeHeads))]
    public void Channels_that_hold_nothing_go_without_a_trace(string kind)
    {
        DecoderModel model = LoadLarge(kind);
        int[] gone = [3, 4, 17, 31];
        KeptUnits kept = KeptUnits.All(model) with { Channels = Gone(gone, 32) };
        foreach (int channel in gone)
        {
            ClearColumn(model.Embedding, channel);
            foreach (TransformerBlock block in model.Blocks)
            {
                ClearRows(block.Attention.Output, channel, 1);
                foreach (FeedForward part in KeptUnits.Parts(block.FeedForward))
                    ClearRows(part.Down, channel, 1);
            }
        }
        SameAfter(model, kept, 1e-5);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_layer_that_adds_nothing_goes_without_a_trace(string kind)
    {
        DecoderModel model = Load(kind);
        TransformerBlock last = model.Blocks[2];
        ClearRows(last.Attention.Output, 0, 32);
        foreach (FeedForward part in KeptUnits.Parts(last.FeedForward))
            ClearRows(part.Down, 0, 32);
        KeptUnits all = KeptUnits.All(model);
        SameAfter(model, all with { Layers = [.. all.Layers.Take(2)] }, 1e-5);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void What_is_left_is_written_and_read_again(string kind)
    {
        DecoderModel model = Load(kind);
        KeptUnits kept = WithNeurons(model, 7);
        if (KindsOfFreeHeads.Contains(kind))
            kept = kept with { Layers = [.. kept.Layers.Select(layer => layer with { KeyValueHeads = [1], Heads = [3] })], Channels = [.. Enumerable.Range(2, 28)] };
        DecoderModel small = Shrinking.Apply(model, kept with { Layers = [.. kept.Layers.Take(2)] });
        using TemporaryFolder written = new();
        ModelFolder.Save(small, written.Path, DType.F32, 1, 2);
        DecoderModel again = (DecoderModel)ModelFolder.Load(written.Path);
        // Gemma's embeddings are multiplied by the root of the width, which the file does not say.
        Assert.Equal(small.Config with { EmbeddingScale = null }, again.Config with { EmbeddingScale = null });
        Close(Logits(small), Logits(again), 1e-6);
    }

    [Theory]
    [InlineData("llama-biased"), InlineData("qwen2"), InlineData("gemma3_text"), InlineData("mixtral"), InlineData("gpt2")]
    public void A_model_in_its_file_is_cut_as_one_in_memory(string kind)
    {
        DecoderModel model = Load(kind), open = (DecoderModel)ModelFolder.Open(folder.Path, out ICheckpoint file);
        using ICheckpoint opened = file;
        KeptUnits kept = WithNeurons(model, 6);
        DecoderModel small = Shrinking.Apply(open, kept);
        Assert.DoesNotContain(small.Matrices(), matrix => matrix.Layer.Weight.IsInMemory);
        foreach ((float[] wanted, float[] found) in Shrinking.Apply(model, kept).Matrices().Select(matrix => matrix.Layer.Weight.ToDense()).Zip(small.Matrices().Select(matrix => matrix.Layer.Weight.ToDense())))
            Assert.Equal(wanted, found);
    }

    [Fact]
    public void A_family_that_stores_no_head_width_keeps_its_heads()
    {
        DecoderModel model = Load("gpt2");
        KeptUnits kept = KeptUnits.All(model), fewer = kept with { Layers = [.. kept.Layers.Select(layer => layer with { KeyValueHeads = [0, 1], Heads = [0, 1] })] };
        Assert.Equal("a gpt2 model's settings have no place for the width of a head: 2 heads of 8 numbers have to make up a width of 32; prune its neurons or layers", Assert.Throws<CoppiceException>(() => Shrinking.Apply(model, fewer)).Message);
        // Half of both is a model like any other.
        DecoderModel half = Shrinking.Apply(model, fewer with { Channels = [.. Enumerable.Range(0, 16)] });
        Assert.Equal((16, 2, 8), (half.Config.HiddenSize, half.Config.HeadCount, half.Config.HeadWidth));
    }

    [Theory]
    [InlineData("llama", null), InlineData("mixtral", null), InlineData("qwen3", null), InlineData("qwen3_moe", null), InlineData("gemma3_text", null)]
    [InlineData("qwen2", "qwen2"), InlineData("qwen2_moe", "qwen2moe"), InlineData("phi3", "phi3"), InlineData("olmo2", "olmo2")]
    public void A_gguf_with_fewer_heads_is_written_where_llama_cpp_reads_it(string kind, string? refused)
    {
        DecoderModel model = Load(kind);
        KeptUnits kept = KeptUnits.All(model);
        DecoderModel small = Shrinking.Apply(model, kept with { Layers = [.. kept.Layers.Select(layer => layer with { KeyValueHeads = [1], Heads = [2, 3] })] });
        Tokenizer tokenizer = BpeTrainer.Train(["a"], new BpeTraining { VocabularySize = RandomCheckpoint.Vocabulary });
        string path = folder["model.gguf"];
        if (refused is null)
        {
            ModelGguf.Save(small, tokenizer, path, "tiny", GgmlType.F32);
            Close(Logits(small), Logits((DecoderModel)ModelGguf.Load(path).Model), 1e-5);
        }
        else
            Assert.Equal($"{path}: in llama.cpp's {refused} models all heads make up the width, in this one 2 of 8 numbers stand beside a width of 32; write it as a folder",
                Assert.Throws<CoppiceException>(() => ModelGguf.Save(small, tokenizer, path, "tiny", GgmlType.F32)).Message);
    }

    [Fact]
    public void Layers_with_and_without_a_window_keep_their_places()
    {
        DecoderModel model = Load("gemma2");
        KeptUnits kept = KeptUnits.All(model);
        Assert.Equal("in a gemma2 model every 2 layers one sees all tokens: layer 1 cannot become layer 0; drop runs of 2 layers", Assert.Throws<CoppiceException>(() => Shrinking.Apply(model, kept with { Layers = [.. kept.Layers.Skip(1)] })).Message);
        Assert.Equal(1, Shrinking.Apply(model, kept with { Layers = [kept.Layers[2]] }).Config.LayerCount);
    }

    [Fact]
    public void Layers_without_experts_are_known_by_their_new_places()
    {
        DecoderModel model = Load("qwen2_moe-mixed");
        KeptUnits kept = KeptUnits.All(model);
        ExpertOptions experts = Shrinking.Apply(model, kept with { Layers = [.. kept.Layers.Skip(1)] }).Config.Experts!;
        Assert.Equal([false, true], [experts.Has(0), experts.Has(1)]);
    }

    [Fact]
    public void Packed_matrices_are_refused()
    {
        DecoderModel model = Samples.Model();
        model.Blocks[1].FeedForward.Stages[0].Groups[0][0].Weight = new IntWeight(4, 32, 64, 32, new byte[64 * 32], new Half[64], []);
        Assert.Equal("model.layers.1.mlp.gate_proj is stored as int4-g32 already; shrink the model that it was made from", Assert.Throws<CoppiceException>(() => Shrinking.Apply(model, KeptUnits.All(model))).Message);
    }

    // Another choice in each part.
    static KeptUnits WithNeurons(DecoderModel model, int drop)
    {
        KeptUnits all = KeptUnits.All(model);
        return all with { Layers = [.. all.Layers.Select(layer => layer with { Neurons = [.. layer.Neurons.Select((neurons, i) => neurons.Where(n => (n + i + layer.Layer) % 4 != 0 || n >= 4 * drop).Take(neurons.Length - drop).ToArray())] })] };
    }

    static int[] Gone(int[] kept, int all) => [.. Enumerable.Range(0, all).Except(kept)];

    static void ClearHead(Attention attention, int head)
    {
        int width = attention.HeadWidth;
        ClearRows(attention.Query, head * width, width);
        for (int j = 0; j < width; j++)
            ClearColumn(attention.Output, head * width + j);
    }

    static void ClearRows(Linear linear, int first, int count)
    {
        ((DenseWeight)linear.Weight).Values.Data.Slice(first * linear.Weight.Columns, count * linear.Weight.Columns).Clear();
        linear.Bias?.Data.Slice(first, count).Clear();
    }

    static void ClearColumn(MatrixLayer layer, int column)
    {
        Span<float> numbers = ((DenseWeight)layer.Weight).Values.Data;
        for (int at = column; at < numbers.Length; at += layer.Weight.Columns)
            numbers[at] = 0;
    }

    static void SameAfter(DecoderModel model, KeptUnits kept, double tolerance)
    {
        DecoderModel small = Shrinking.Apply(model, kept);
        Assert.True(small.ParameterCount < model.ParameterCount);
        Close(Logits(model), Logits(small), tolerance);
    }

    // With embeddings beside which a norm's epsilon, that weighs more in a mean of fewer numbers, is nothing.
    DecoderModel LoadLarge(string kind)
    {
        DecoderModel model = Load(kind);
        foreach (ref float value in ((DenseWeight)model.Embedding.Weight).Values.Data)
            value *= 30;
        return model;
    }

    DecoderModel Load(string kind)
    {
        new RandomCheckpoint(kind).Write(folder.Path);
        return (DecoderModel)ModelFolder.Load(folder.Path);
    }

    static float[] Logits(DecoderModel model) => model.Forward(new Batch(tokens), new ForwardContext(Samples.Pool)).Data.ToArray();

    static void Close(float[] wanted, float[] found, double tolerance)
    {
        double size = Math.Sqrt(wanted.Average(value => (double)value * value));
        Assert.Equal(wanted.Length, found.Length);
        for (int i = 0; i < wanted.Length; i++)
            Assert.True(Math.Abs(wanted[i] - found[i]) <= tolerance * size, $"logit {i}: {found[i]}, wanted {wanted[i]}; they are of size {size}");
    }
}
