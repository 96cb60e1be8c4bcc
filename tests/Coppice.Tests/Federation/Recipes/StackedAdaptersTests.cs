using System.Collections.Immutable;
using Coppice.Compression;
using Coppice.Federation;
using Coppice.Federation.Codecs;
using Coppice.Federation.Recipes;
using Coppice.Federation.Strategies;
using Coppice.Federation.Widths;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Formats;
using Coppice.Training;
using Coppice.Weights;

namespace Coppice.Tests.Federation.Recipes;

public sealed class StackedAdaptersTests : IDisposable
{
    const string Recipe = "name: l\nsteps:\n  - fineTune: { tokens: 192, batchSize: 2, contextLength: 8, lora: 2, learningRate: 0.01, teacher: 0 }\n", Query = "model.layers.0.self_attn.q_proj";

    static readonly FleetOptions Options = new() { CalibrationTokens = 10_000, ContextLength = Tiny.Context, Adapters = AdapterAveraging.Stacked, Training = Tiny.Options with { LocalSteps = 2, Codec = new IdentityCodec() } };

    readonly WorkerPool pool = new(1);

    public void Dispose() => pool.Dispose();

    DecoderModel Train(IReadOnlyList<IClientChannel> channels, FleetOptions options, string recipe = Recipe, string? folder = null)
    {
        DecoderModel model = Tiny.Model();
        ClientTexts texts = new(channels, options, pool, folder, default);
        new CompressionPipeline(RecipeReader.Parse(recipe, "r"), pool) { Holders = texts, Base = () => Tiny.Model() }.Run(model, []);
        return model;
    }

    [Fact]
    public void Two_changes_of_different_ranks_add_up_by_hand()
    {
        Tensor weights = Tensor.From([2, 2], [1, 1, 1, 1]);
        // 0.25 [1, 2]^T [3, 4] + 0.75 ([1, 0]^T [1, 1] + [0, 2]^T [2, 0]), twice.
        StackedAdapters.Fold([(0.25, Tensor.From([1, 2], [3, 4]), Tensor.From([2, 1], [1, 2])), (0.75, Tensor.From([2, 2], [1, 1, 2, 0]), Tensor.From([2, 2], [1, 0, 0, 2]))], 2, weights);
        Assert.Equal([1 + 1.5f + 1.5f, 1 + 2f + 1.5f, 1 + 3f + 6f, 1 + 4f], weights.Data.ToArray());
    }

    [Theory]
    [InlineData("2", "identity")]
    [InlineData("client-0=1,client-1=3,2", "int8")]
    public void What_is_added_is_the_mean_of_the_clients_products(string ranks, string codec)
    {
        List<(int Samples, Tensor A, Tensor B)> sent = [];
        IClientChannel[] channels = [.. Tiny.Channels(pool, 3).Select(channel => new Tapped(channel, (task, exchange) =>
        {
            WireFormat.Control(task, out ReadOnlyMemory<byte> down);
            ReadOnlyMemory<byte> update = exchange();
            int samples = WireFormat.Control(update, out ReadOnlyMemory<byte> up)["samples"]!.GetValue<int>();
            using SafeTensors asked = SafeTensors.Read("task", down), answer = SafeTensors.Read("update", up);
            ParameterSet factors = new(asked.Names.Where(TrainedNumbers.IsBeside).Select(name => (name, asked.ReadTensor(name)))), decoded = CodecRegistry.Find(codec).Decode(answer, factors);
            Tensor a = Plus(codec, factors, decoded, Query + ".lora_A.weight"), b = Plus(codec, factors, decoded, Query + ".lora_B.weight");
            sent.Add((samples, a, b));
            return update;
        }))];
        DecoderModel model = Train(channels, Options with { Ranks = ClientRanks.Find(ranks), Training = Options.Training with { Codec = CodecRegistry.Find(codec) } }, Recipe.Replace("tokens: 192", "tokens: 64", StringComparison.Ordinal));
        Assert.Equal(3, sent.Count);
        float[] before = Weight(Tiny.Model()), after = Weight(model);
        double samples = sent.Sum(client => client.Samples);
        for (int i = 0; i < 16; i++)
            for (int j = 0; j < 16; j++)
            {
                double change = 0;
                foreach ((int own, Tensor a, Tensor b) in sent)
                    for (int k = 0; k < a.Shape[0]; k++)
                        change += own / samples * 2 * b.Data[i * a.Shape[0] + k] * (double)a.Data[k * 16 + j];
                Assert.Equal(before[16 * i + j] + change, after[16 * i + j], 1e-7);
            }
        Assert.NotEqual(before, after);

        static float[] Weight(DecoderModel model) => model.Matrices().First(part => part.Name == Query).Layer.Weight.ToDense();
        static Tensor Plus(string codec, ParameterSet received, ParameterSet decoded, string name) =>
            codec == "identity" ? decoded.Tensors[name] : Tensor.From(decoded.Tensors[name].Shape, [.. received.Tensors[name].Data.ToArray().Zip(decoded.Tensors[name].Data.ToArray(), (a, b) => a + b)]);
    }

    [Fact]
    public void The_mean_of_factors_is_another_model_and_training_that_was_stopped_goes_on()
    {
        DecoderModel stacked = Train(Tiny.Channels(pool, 3), Options), mean = Train(Tiny.Channels(pool, 3), Options with { Adapters = AdapterAveraging.Mean }), frozen = Train(Tiny.Channels(pool, 3), Options with { Adapters = AdapterAveraging.FrozenInputs });
        Assert.NotEqual(Tiny.Numbers(stacked), Tiny.Numbers(mean));
        Assert.NotEqual(Tiny.Numbers(frozen), Tiny.Numbers(mean));

        using TemporaryFolder folder = new();
        RunJournal journal = new(folder["run"]);
        int left = 4;
        IClientChannel[] dying = [.. Tiny.Channels(pool, 3, journal).Select(channel => new Tapped(channel, (_, ask) => left-- > 0 ? ask() : throw new OperationCanceledException()))];
        Assert.Throws<OperationCanceledException>(() => Train(dying, Options, folder: folder["run"]));
        Assert.Equal(Tiny.Numbers(stacked), Tiny.Numbers(Train(Tiny.Channels(pool, 3, journal), Options, folder: folder["run"])));
    }

    [Fact]
    public void What_is_pruned_stays_0()
    {
        DecoderModel model = Train(Tiny.Channels(pool, 2), Options, Recipe.Replace("steps:\n", "steps:\n  - magnitude: { sparsity: 0.5 }\n", StringComparison.Ordinal));
        Weight matrix = model.Matrices().First(part => part.Name == Query).Layer.Weight;
        Assert.IsType<SparseWeight>(matrix);
        Assert.Equal(0.5, matrix.Sparsity(), 0.01);
    }

    [Fact]
    public void What_cannot_be_is_one_line()
    {
        Assert.Contains("wanted changes that are stacked", Assert.Throws<CoppiceException>(() => Train(Tiny.Channels(pool, 1), Options with { Adapters = AdapterAveraging.Mean, Ranks = ClientRanks.Find("2") })).Message, StringComparison.Ordinal);
        Assert.Contains("wanted strategy fedavg or fedprox", Assert.Throws<CoppiceException>(() => Train(Tiny.Channels(pool, 1), Options with { Training = Options.Training with { Strategy = new FedAvgM() } })).Message, StringComparison.Ordinal);
        Assert.Contains("rank 99, but", Assert.Throws<CoppiceException>(() => Train(Tiny.Channels(pool, 1), Options with { Ranks = ClientRanks.Find("99") })).Message, StringComparison.Ordinal);
        Assert.Contains("wanted a whole number", Assert.Throws<CoppiceException>(() => ClientRanks.Find("2.5")).Message, StringComparison.Ordinal);
    }
}
