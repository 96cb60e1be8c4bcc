using Coppice.Compression;
using Coppice.Compression.Structured;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Formats;
using Coppice.Tests.Models.Families;
using Coppice.Weights;

namespace Coppice.Tests.Compression.Structured;

/// <summary>Steps on whole models: what they choose, and what they refuse.</summary>
public sealed class StructuredStepTests : IDisposable
{
    readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    public static TheoryData<UnitScore> Scores => [.. Enum.GetValues<UnitScore>()];

    [Theory]
    [MemberData(nameof(Scores))]
    public void Neurons_that_add_nothing_are_those_that_go(UnitScore score)
    {
        DecoderModel model = Samples.Model();
        int[][] dead = [[1, 2, 40, 63], [0, 7, 8, 9]];
        for (int i = 0; i < 2; i++)
            foreach (int neuron in dead[i])
            {
                FeedForward part = (FeedForward)model.Blocks[i].FeedForward;
                Numbers(part.Gate!).Slice(neuron * 32, 32).Clear();
                Numbers(part.Up).Slice(neuron * 32, 32).Clear();
                for (int row = 0; row < 32; row++)
                    Numbers(part.Down)[row * 64 + neuron] = 0;
            }
        ModelWork work = Work(model);
        DecoderModel small = (DecoderModel)new PruneNeurons { Share = 1 / 16.0, Score = score, Multiple = 4 }.Apply(work);
        Assert.Equal(60, small.Config.IntermediateSize);
        Assert.Equal("layer 0: 4 of 64 neurons went, ", work.Notes[0][..31]);
        if (score != UnitScore.Random)
            Assert.Equal(Logits(model), Logits(small), (a, b) => Math.Abs(a - b) < 1e-6);
        Assert.Equal(score == UnitScore.Random, Logits(model).Zip(Logits(small)).Any(pair => Math.Abs(pair.First - pair.Second) > 1e-6));
    }

    [Theory]
    [InlineData(UnitScore.ActivationNorm), InlineData(UnitScore.ActivationVariance), InlineData(UnitScore.Taylor), InlineData(UnitScore.WeightNorm)]
    public void A_group_of_heads_that_adds_nothing_goes(UnitScore score)
    {
        DecoderModel model = Samples.Model();
        for (int i = 0; i < 2; i++)
            ClearHeads(model.Blocks[i].Attention, 2 * i, 2);
        ModelWork work = Work(model);
        DecoderModel small = (DecoderModel)new PruneHeads { Share = 0.5, Score = score }.Apply(work);
        Assert.Equal((2, 1, 8), (small.Config.HeadCount, small.Config.KeyValueHeadCount, small.Config.HeadWidth));
        Assert.Equal("layer 1: heads 2, 3 went, with ", work.Notes[1][..31]);
        Assert.Equal(Logits(model), Logits(small), (a, b) => Math.Abs(a - b) < 1e-6);
    }

    [Fact]
    public void A_query_head_of_each_group_goes()
    {
        DecoderModel model = Samples.Model();
        for (int i = 0; i < 2; i++)
        {
            ClearHeads(model.Blocks[i].Attention, i, 1);
            ClearHeads(model.Blocks[i].Attention, 3 - i, 1);
        }
        DecoderModel small = (DecoderModel)new PruneHeads { Share = 0.5, Unit = HeadUnit.Query }.Apply(Work(model));
        Assert.Equal((2, 2), (small.Config.HeadCount, small.Config.KeyValueHeadCount));
        Assert.Equal(Logits(model), Logits(small), (a, b) => Math.Abs(a - b) < 1e-6);
    }

    [Theory]
    [InlineData(UnitScore.ActivationNorm), InlineData(UnitScore.ActivationVariance), InlineData(UnitScore.Taylor), InlineData(UnitScore.WeightNorm)]
    public void Channels_that_hold_nothing_go(UnitScore score)
    {
        DecoderModel model = Samples.Model(head: HeadKind.Untied);
        int[] dead = [0, 5, 6, 31];
        // Beside larger embeddings a norm's epsilon is nothing.
        foreach (ref float value in Numbers(model.Embedding))
            value *= 100;
        foreach ((string name, MatrixLayer layer) in model.Matrices())
        {
            bool writes = name.EndsWith("o_proj", StringComparison.Ordinal) || name.EndsWith("down_proj", StringComparison.Ordinal);
            foreach (int channel in dead)
                for (int i = 0; i < (writes ? layer.Weight.Columns : layer.Weight.Rows); i++)
                    Numbers(layer)[writes ? channel * layer.Weight.Columns + i : i * layer.Weight.Columns + channel] = 0;
        }
        DecoderModel small = (DecoderModel)new PruneChannels { Share = 0.125, Score = score, Multiple = 4 }.Apply(Work(model));
        Assert.Equal(28, small.Config.HiddenSize);
        Assert.Equal(Logits(model), Logits(small), (a, b) => Math.Abs(a - b) < 1e-5);
    }

    [Fact]
    public void The_layer_that_changes_least_is_left_out()
    {
        DecoderModel model = Samples.Model();
        Numbers(model.Blocks[0].Attention.Output).Clear();
        Numbers(((FeedForward)model.Blocks[0].FeedForward).Down).Clear();
        ModelWork work = Work(model);
        DecoderModel small = (DecoderModel)new DropLayers { Count = 1 }.Apply(work);
        Assert.Equal("layer 0 went: block influence 0.0000, ", work.Notes.Single()[..38]);
        Assert.Equal(Logits(model), Logits(small));
        Assert.Equal(Logits(small), Logits((DecoderModel)new DropLayers { Count = 1, Score = LayerScore.Taylor }.Apply(Work(model))));
        Assert.Equal(Logits(small), Logits((DecoderModel)new DropLayers { Layers = [0] }.Apply(new ModelWork { Model = model, Pool = Samples.Pool })));
    }

    [Fact]
    public void Windowed_layers_go_in_whole_turns()
    {
        new RandomCheckpoint("gemma2").Write(folder.Path);
        DecoderModel model = (DecoderModel)ModelFolder.Load(folder.Path);
        ModelWork work = Work(model);
        Assert.Equal(1, ((DecoderModel)new DropLayers { Count = 2 }.Apply(work)).Config.LayerCount);
        Assert.StartsWith("layers 0 to 1 went: ", work.Notes.Single(), StringComparison.Ordinal);
        Refused("dropLayers: 1 of 3 layers cannot go; a gemma2 model loses them 2 at a time, and at least one stays", new DropLayers { Count = 1 }, model);
    }

    [Fact]
    public void Every_family_loses_a_share_of_everything()
    {
        foreach (string kind in RandomCheckpoint.Families)
        {
            new RandomCheckpoint(kind).Write(folder.Path);
            DecoderModel model = (DecoderModel)ModelFolder.Load(folder.Path);
            DecoderModel small = (DecoderModel)new PruneNeurons { Share = 0.25, Multiple = 4 }.Apply(Work(model));
            if (kind is not ("gpt2" or "opt") && !kind.StartsWith("gpt_neox", StringComparison.Ordinal))
                small = (DecoderModel)new PruneChannels { Share = 0.25, Multiple = 4 }.Apply(Work((DecoderModel)new PruneHeads { Share = 0.5 }.Apply(Work(small))));
            Assert.True(small.ParameterCount < 0.97 * model.ParameterCount, kind);
            Assert.All(Logits(small), logit => Assert.True(float.IsFinite(logit)));
        }
    }

    [Fact]
    public void An_expert_that_few_tokens_reach_is_judged_by_its_weights()
    {
        new RandomCheckpoint("mixtral").Write(folder.Path);
        ModelWork work = new() { Model = ModelFolder.Load(folder.Path), Pool = Samples.Pool, Calibration = [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]] };
        new PruneNeurons { Share = 0.5, Multiple = 8 }.Apply(work);
        Assert.Equal(15, work.Warnings.Count);
        Assert.Contains("calibration tokens reach it, fewer than 32: its neurons went by the norm of their weights", work.Warnings[0], StringComparison.Ordinal);
    }

    [Fact]
    public void What_cannot_be_is_refused()
    {
        DecoderModel model = Samples.Model();
        Refused("pruneNeurons: none of 64 neurons goes for a share of 0.1 in multiples of 32; ask for more", new PruneNeurons { Share = 0.1 }, model);
        Refused("pruneHeads: none of 2 key-value heads goes for a share of 0.2; ask for more", new PruneHeads { Share = 0.2 }, model);
        Refused("dropLayers: 2 of 2 layers cannot go; at least one stays", new DropLayers { Count = 2 }, model);
        Refused("dropLayers: there is no layer 2, the model has layers 0 to 1", new DropLayers { Layers = [2] }, model);
        Refused("dropLayers: all 2 layers would go", new DropLayers { Layers = [0, 1] }, model);
        Assert.Equal("pruneNeurons needs calibration text and there is none", Assert.Throws<CoppiceException>(() => new PruneNeurons { Share = 0.5 }.Apply(new ModelWork { Model = model, Pool = Samples.Pool })).Message);
        model.Embedding.Weight = new DenseWeight(Tensor.From([64, 32], [.. Enumerable.Repeat(float.NaN, 64 * 32)]));
        Refused("what leaves layer 0 on calibration text is not finite; the model is damaged", new PruneNeurons { Share = 0.5 }, model);
    }

    [Theory]
    [InlineData("dropLayers: { count: 2, score: random }"), InlineData("dropLayers: { count: 2, score: taylor }"), InlineData("pruneHeads: { score: taylor, share: 0.5, unit: query, reconstruct: false }"), InlineData("dropLayers: { share: 0.3, score: blockInfluence }"), InlineData("dropLayers: { layers: [3, 4] }")]
    [InlineData("pruneHeads: { score: weightNorm, share: 0.5, unit: query, reconstruct: false }"), InlineData("pruneNeurons: { score: activationVariance, share: 0.3, multiple: 64, reconstruct: false }"), InlineData("pruneNeurons: { score: random, share: 0.3, multiple: 64, reconstruct: true, dampening: 0.1 }")]
    [InlineData("surgeonNeurons: { share: 0.3, multiple: 64, reconstruct: true, dampening: 0.1 }"), InlineData("mergeNeurons: { share: 0.3, multiple: 64, reconstruct: false }"), InlineData("graphPruning: { neighbours: 8, share: 0.3, multiple: 1, reconstruct: false }")]
    [InlineData("pruneChannels: { score: activationNorm, share: 0.1, multiple: 32, reconstruct: false }")]
    public void Options_are_written_as_they_are_read(string step) =>
        Assert.Contains(step, RecipeReader.Parse($"steps:\n  - {step}\n", "test").ToYaml(), StringComparison.Ordinal);

    [Theory]
    [InlineData("dropLayers: { layers: [x] }", "test:2: dropLayers.layers is a list, wanted a list of layers' numbers, such as [3, 4]")]
    [InlineData("dropLayers: { layers: [1], count: 2 }", "test:2: dropLayers.count is 2, wanted nothing beside layers")]
    [InlineData("dropLayers: { share: 0.5, count: 2 }", "test:2: dropLayers.share is 0.5, wanted nothing beside count")]
    [InlineData("pruneNeurons: { targets: '*.mlp.*' }", "test:2: pruneNeurons.targets is *.mlp.*, wanted nothing: this step is about the whole model")]
    [InlineData("pruneHeads: { dampening: 0.1 }", "test:2: pruneHeads.dampening is 0.1, wanted nothing unless reconstruct is true")]
    [InlineData("pruneHeads: { unit: key }", "test:2: pruneHeads.unit is key, wanted group or query")]
    public void Options_that_cannot_be_are_refused_with_their_place(string step, string said) =>
        Assert.Equal(said, Assert.Throws<CoppiceException>(() => RecipeReader.Parse($"steps:\n  - {step}\n", "test")).Message);

    static void Refused(string said, ModelStep step, DecoderModel model) => Assert.Equal(said, Assert.Throws<CoppiceException>(() => step.Apply(Work(model))).Message);

    static ModelWork Work(DecoderModel model) => new() { Model = model, Pool = Samples.Pool, Calibration = [.. Samples.Tokens().Select(tokens => tokens[..12])], Random = new Random(3) };

    static Span<float> Numbers(MatrixLayer layer) => ((DenseWeight)layer.Weight).Values.Data;

    // All of the heads and, where both of a pair go, of the keys and values that they share.
    static void ClearHeads(Attention attention, int first, int count)
    {
        Numbers(attention.Query).Slice(first * 8 * 32, count * 8 * 32).Clear();
        for (int row = 0; row < 32; row++)
            Numbers(attention.Output).Slice(row * 32 + first * 8, count * 8).Clear();
        if (count == 2)
            foreach (Linear shared in new[] { attention.Key, attention.Value })
                Numbers(shared).Slice(first / 2 * 8 * 32, 8 * 32).Clear();
    }

    static float[] Logits(DecoderModel model) => model.Forward(new Batch([3, 17, 0, 5, 5, 11, 2, 8]), new ForwardContext(Samples.Pool)).Data.ToArray();
}
