using Coppice.Compression.Structured;
using Coppice.Federation;
using Coppice.Federation.Strategies;
using Coppice.Federation.Widths;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Training;

namespace Coppice.Tests.Federation.Widths;

public class SubModelTests
{
    const string Query = "model.layers.0.self_attn.q_proj.weight", Key = "model.layers.0.self_attn.k_proj.weight", Output = "model.layers.1.self_attn.o_proj.weight",
        Up = "model.layers.1.mlp.up_proj.weight", Down = "model.layers.0.mlp.down_proj.weight";

    static SubModel Half() => SubModel.Of(Wide.Model(), 0.5);

    [Fact]
    public void Half_the_width_has_the_first_group_of_heads_and_the_first_neurons()
    {
        ParameterSet whole = ParameterSet.Copy(Wide.Model()), half = Half().Take(whole);
        Assert.Equal((2, 1, 10, 16, 4), (Half().Config.HeadCount, Half().Config.KeyValueHeadCount, Half().Config.IntermediateSize, Half().Config.HiddenSize, Half().Config.HeadWidth));
        // Rows of the first two query heads, of the first key head, and of the first ten neurons; columns of those where they are read.
        Assert.Equal(whole.Tensors[Query].Data[..(8 * 16)].ToArray(), half.Tensors[Query].Data.ToArray());
        Assert.Equal(whole.Tensors[Key].Data[..(4 * 16)].ToArray(), half.Tensors[Key].Data.ToArray());
        Assert.Equal(whole.Tensors[Up].Data[..(10 * 16)].ToArray(), half.Tensors[Up].Data.ToArray());
        Assert.Equal([.. Enumerable.Range(0, 16).SelectMany(row => whole.Tensors[Output].Data.Slice(16 * row, 8).ToArray())], half.Tensors[Output].Data.ToArray());
        Assert.Equal([.. Enumerable.Range(0, 16).SelectMany(row => whole.Tensors[Down].Data.Slice(20 * row, 10).ToArray())], half.Tensors[Down].Data.ToArray());
        Assert.Same(whole.Tensors["model.embed_tokens.weight"], half.Tensors["model.embed_tokens.weight"]);
    }

    [Theory]
    [InlineData(0.01, 1, 1)]
    [InlineData(0.3, 1, 6)]
    [InlineData(0.5, 1, 10)]
    [InlineData(0.51, 2, 11)]
    [InlineData(1, 2, 20)]
    public void Units_are_rounded_up_and_at_least_one(double width, int groups, int neurons)
    {
        SubModel part = SubModel.Of(Wide.Model(), width);
        Assert.Equal((groups, neurons), (part.Config.KeyValueHeadCount, part.Config.IntermediateSize));
    }

    [Fact]
    public void As_a_model_it_is_what_shrinking_makes_of_the_same_units()
    {
        DecoderModel model = Wide.Model();
        KeptUnits all = KeptUnits.All(model), kept = all with { Layers = [.. all.Layers.Select(layer => layer with { KeyValueHeads = [0], Heads = [0, 1], Neurons = [[.. Enumerable.Range(0, 10)]] })] };
        Assert.Equal(Tiny.Numbers(Shrinking.Apply(model, kept)), Tiny.Numbers(Half().Build(model)));
    }

    [Fact]
    public void A_family_without_a_place_for_a_heads_width_keeps_all_heads()
    {
        DecoderModel model = Initialization.Random(new DecoderConfig { Family = "gpt2", HiddenSize = 16, IntermediateSize = 20, LayerCount = 1, HeadCount = 4, KeyValueHeadCount = 4, HeadWidth = 4, VocabularySize = 32, ContextLength = 8 }, 1);
        SubModel half = SubModel.Of(model, 0.5);
        Assert.Equal((4, 10), (half.Config.HeadCount, half.Config.IntermediateSize));
    }

    [Theory]
    [InlineData("fedavg")]
    [InlineData("fedavgm:0.5:2")]
    [InlineData("fedadam:0.1")]
    public void A_part_that_has_everything_counts_as_the_whole_bit_for_bit(string name)
    {
        IStrategy strategy = StrategyRegistry.Find(name);
        DecoderModel model = Wide.Model();
        ParameterSet current = ParameterSet.Copy(model);
        SubModel all = SubModel.Of(model, 1);
        foreach (UpdateKind kind in new[] { UpdateKind.Weights, UpdateKind.Delta })
        {
            WeightedUpdate[] plain = [.. Enumerable.Range(2, 3).Select(i => new WeightedUpdate(Tiny.Name(i), i, ParameterSet.Copy(Wide.Model(i))))];
            ParameterSet expected = Next(plain), found = Next([.. plain.Select(update => update with { Part = all })]);
            Assert.All(expected.Tensors, part => Assert.Equal(part.Value.Data.ToArray(), found.Tensors[part.Key].Data.ToArray()));

            ParameterSet Next(WeightedUpdate[] updates) => strategy.Aggregate(current, kind, updates, new AggregationContext(3, 3, 1, strategy.NewState(current)));
        }
    }

    [Fact]
    public void Each_number_is_averaged_over_those_who_have_it()
    {
        DecoderModel model = Wide.Model();
        ParameterSet current = ParameterSet.Copy(model);
        SubModel half = SubModel.Of(model, 0.5), tenth = SubModel.Of(model, 0.1);
        // Deltas of 1 on all of 20 neurons with 3 windows, of 5 on ten with 1, and of 12 on two with 4.
        WeightedUpdate[] updates = [Of("a", 3, null, 1), Of("b", 1, half, 5), Of("c", 4, tenth, 12)];
        ParameterSet next = new FedAvg().Aggregate(current, UpdateKind.Delta, updates, new AggregationContext(3, 3, 1, null));
        float[] moved = [.. Enumerable.Range(0, 20).Select(row => next.Tensors[Up].Data[row * 16] - current.Tensors[Up].Data[row * 16])];
        // (3 + 5 + 48) / 8 = 7, (3 + 5) / 4 = 2, and 1.
        Assert.All(moved.Select((value, row) => (value, Wanted: row < 2 ? 7f : row < 10 ? 2 : 1)), pair => Assert.Equal(pair.Wanted, pair.value, 1e-5f));

        // Without the whole model's client nobody has the last ten.
        next = new FedAvg().Aggregate(current, UpdateKind.Delta, updates[1..], new AggregationContext(2, 2, 1, null));
        Assert.Equal(current.Tensors[Up].Data[160..].ToArray(), next.Tensors[Up].Data[160..].ToArray());
        Assert.Equal(current.Tensors[Up].Data[32] + 5, next.Tensors[Up].Data[32], 1e-5f);

        WeightedUpdate Of(string client, int samples, SubModel? part, float value) => new(client, samples, (part?.Take(current) ?? current).Map((_, tensor) =>
        {
            Tensor filled = new(tensor.Shape);
            filled.Data.Fill(value);
            return filled;
        }))
        { Part = part };
    }
}
