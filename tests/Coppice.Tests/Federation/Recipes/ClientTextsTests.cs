using Coppice.Compression;
using Coppice.Federation;
using Coppice.Federation.Codecs;
using Coppice.Federation.Recipes;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Formats;
using Coppice.Training;
using Coppice.Training.Quantized;
using Coppice.Weights;

namespace Coppice.Tests.Federation.Recipes;

public sealed class ClientTextsTests : IDisposable
{
    const string Gptq = "name: g\nsteps:\n  - gptq: { bits: 4, groupSize: 8 }\n", Wanda = "name: w\nsteps:\n  - wanda: { sparsity: 0.5 }\n";

    static readonly FleetOptions Options = new() { CalibrationTokens = 10_000, ContextLength = Tiny.Context, Training = Tiny.Options with { LocalSteps = 2, Codec = new IdentityCodec() } };

    readonly WorkerPool pool = new(1);

    public void Dispose() => pool.Dispose();

    ClientTexts Texts(int clients, FleetOptions? options = null, string? folder = null) => new(Tiny.Channels(pool, clients), options ?? Options, pool, folder, default);

    CompressionReport Compress(string recipe, DecoderModel model, ITextHolders holders, IReadOnlyList<int[]>? calibration = null) =>
        new CompressionPipeline(RecipeReader.Parse(recipe, "recipe.yaml"), pool) { Holders = calibration is null ? holders : null, Base = () => Tiny.Model() }.Run(model, calibration ?? []);

    // What clients cut their texts into, in any order.
    static IReadOnlyList<int[]> Pooled(int clients) =>
        [.. Enumerable.Range(0, clients).SelectMany(i => Tiny.Text(i, 200 + 40 * i).Chunk(Tiny.Context).Where(piece => piece.Length == Tiny.Context))];

    [Fact]
    public void Clients_sums_are_those_of_all_text_in_one_place()
    {
        DecoderModel apart = Tiny.Model(), together = Tiny.Model();
        CompressionReport report = Compress(Wanda, apart, Texts(3));
        Compress(Wanda, together, Texts(3), Pooled(3));
        Assert.Equal(Pooled(3).Sum(piece => piece.Length), report.CalibrationTokens);
        Assert.Equal(Tiny.Numbers(together), Tiny.Numbers(apart));
    }

    [Fact]
    public void Error_feedback_from_clients_sums_is_that_of_all_text_in_one_place()
    {
        DecoderModel apart = Tiny.Model(), together = Tiny.Model(), nearest = Tiny.Model();
        Compress(Gptq, apart, Texts(3));
        Compress(Gptq, together, Texts(3), Pooled(3));
        Compress("name: n\nsteps:\n  - roundToNearest: { bits: 4, groupSize: 8 }\n", nearest, Texts(3), []);
        float[] wanted = Tiny.Numbers(together), found = Tiny.Numbers(apart), plain = Tiny.Numbers(nearest);
        // Sums of floats in another order turn a few codes, and no more.
        Assert.True(Differ(wanted, found) < wanted.Length / 100, $"{Differ(wanted, found)} of {wanted.Length} differ");
        Assert.True(Differ(wanted, plain) > wanted.Length / 20);

        static int Differ(float[] a, float[] b) => a.Zip(b).Count(pair => pair.First != pair.Second);
    }

    [Fact]
    public void A_result_for_one_client_is_that_of_its_text_alone_or_of_all_as_others_count()
    {
        DecoderModel own = Tiny.Model(), alone = Tiny.Model(), whole = Tiny.Model(), all = Tiny.Model(), half = Tiny.Model();
        FleetOptions forTwo = Options with { For = Tiny.Name(2) };
        ClientTexts texts = Texts(3, forTwo);
        Compress(Wanda, own, texts);
        Compress(Wanda, alone, new ClientTexts([Tiny.Channels(pool, 3)[2]], Options, pool, null, default));
        Compress(Wanda, whole, Texts(3, forTwo with { Others = 1 }));
        Compress(Wanda, half, Texts(3, forTwo with { Others = 0.5 }));
        Compress(Wanda, all, Texts(3));
        Assert.Equal(Tiny.Numbers(alone), Tiny.Numbers(own));
        Assert.Equal(Tiny.Numbers(all), Tiny.Numbers(whole));
        Assert.NotEqual(Tiny.Numbers(all), Tiny.Numbers(own));
        Assert.NotEqual(Tiny.Numbers(half), Tiny.Numbers(own));
        Assert.Equal([Tiny.Name(2)], texts.Compare(Tiny.Model(), own).Select(client => client.Client));
        Assert.Contains("'nobody', which is not in the run", Assert.Throws<CoppiceException>(() => Texts(3, Options with { For = "nobody" })).Message, StringComparison.Ordinal);
        Assert.Contains("others count 2", Assert.Throws<CoppiceException>(() => Texts(3, forTwo with { Others = 2 })).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_norm_is_all_that_leaves_where_no_more_is_needed_and_each_matrix_goes_down_once()
    {
        ClientTexts wanda = Texts(3), gptq = Texts(3);
        Compress(Wanda, Tiny.Model(), wanda);
        Compress(Gptq, Tiny.Model(), gptq);
        Assert.Equal(5, wanda.Traffic.Steps);
        Assert.True(wanda.Traffic.BytesUp < gptq.Traffic.BytesUp / 2, $"{wanda.Traffic.BytesUp} and {gptq.Traffic.BytesUp}");
        Assert.True(gptq.Traffic.BytesDown < 3 * 4 * ParameterSet.Copy(Tiny.Model()).Count + 3 * 5 * 4096, $"{gptq.Traffic.BytesDown}");
    }

    [Fact]
    public void Clients_that_do_not_answer_or_have_lost_their_place_are_left_out_and_come_back()
    {
        ClientTexts texts = Texts(3, Options with { Dropout = 0.25, Seed = 4 });
        DecoderModel model = Tiny.Model();
        Compress(Gptq, model, texts);
        Assert.NotEmpty(texts.Traffic.Dropped);
        Assert.Contains("'client-", texts.Traffic.Dropped[0], StringComparison.Ordinal);
        Assert.All(model.Blocks.SelectMany(block => block.Stages).SelectMany(stage => stage.Matrices), matrix => Assert.IsType<IntWeight>(matrix.Weight));

        IClientChannel[] channels = Tiny.Channels(pool, 2);
        int asked = 0;
        // A client that is started anew at every other question knows nothing of what came before.
        channels[1] = new Tapped(channels[1], (task, _) => new Client(Tiny.Name(1), Tiny.Text(1, 240), pool).Answer(task)) is var forgetful ? new Tapped(forgetful, (_, ask) => { asked++; return ask(); }) : null!;
        ClientTexts again = new(channels, Options, pool, null, default);
        Compress(Gptq, Tiny.Model(), again);
        Assert.True(asked >= 5);
        Assert.All(again.Traffic.Dropped, line => Assert.Contains("goes on from step", line, StringComparison.Ordinal));
        Assert.Equal(2, again.Traffic.Dropped.Length);
    }

    [Fact]
    public void What_cannot_be_is_one_line()
    {
        IClientChannel silent = new Tapped(Tiny.Channels(pool, 1)[0], (_, _) => throw new CoppiceException("is away"));
        ClientTexts nobody = new([silent], Options, pool, null, default);
        Assert.Contains("no client answered", Assert.Throws<CoppiceException>(() => Compress(Gptq, Tiny.Model(), nobody)).Message, StringComparison.Ordinal);
        Assert.Contains("dropLayers looks at whole texts", Assert.Throws<CoppiceException>(() => Compress("name: d\nsteps:\n  - dropLayers: { count: 1 }\n", Tiny.Model(), Texts(1))).Message, StringComparison.Ordinal);
        Assert.Contains("wanted symmetric", Assert.Throws<CoppiceException>(() => Compress("name: q\nsteps:\n  - qat: { bits: 4, groupSize: 8, symmetric: false, tokens: 64, batchSize: 2, contextLength: 8, teacher: 0 }\n", Tiny.Model(), Texts(1))).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("qat: { bits: 4, groupSize: 8, tokens: 96, batchSize: 2, contextLength: 8, teacher: 0 }", false)]
    [InlineData("qat: { bits: 3, groupSize: 8, tokens: 96, batchSize: 2, contextLength: 8, teacher: 0.5 }", true)]
    [InlineData("fineTune: { tokens: 96, batchSize: 2, contextLength: 8, lora: 2, teacher: 0 }", false)]
    public void One_client_trains_to_the_bits_of_plain_training(string step, bool hasTeacher)
    {
        DecoderModel federated = Tiny.Model();
        Compress($"name: t\nsteps:\n  - {step}\n", federated, Texts(1));

        DecoderModel plain = Tiny.Model();
        int seed = new Random(0).Next();
        bool isLora = step.Contains("lora", StringComparison.Ordinal);
        TrainingOptions options = new()
        {
            Steps = 6,
            BatchSize = 2,
            ContextLength = 8,
            LearningRate = 2e-4,
            WarmupSteps = 1,
            Seed = seed,
            FreezesAdapterInputs = isLora,
            Quantization = isLora ? null : new QuantizedTraining { Bits = step.Contains("bits: 3", StringComparison.Ordinal) ? 3 : 4, GroupSize = 8 },
            Distillation = new DistillationOptions { Share = hasTeacher ? 0.5 : 0 },
        };
        if (isLora)
            Lora.Attach(plain, new LoraOptions { Rank = 2, Alpha = 4 }, seed);
        TrainingRun.Train(plain, new TokenWindows(Tiny.Text(0), 8, seed), null, options, pool, null, teacher: hasTeacher ? Tiny.Model() : null);
        if (isLora)
            Lora.Merge(plain, pool);
        Assert.NotEqual(Tiny.Numbers(Tiny.Model()), Tiny.Numbers(plain));
        Assert.Equal(Tiny.Numbers(plain), Tiny.Numbers(federated));
    }

    [Fact]
    public void What_is_pruned_stays_0_over_rounds_whatever_the_codec_spreads()
    {
        DecoderModel model = Tiny.Model();
        FleetOptions sketched = Options with { Training = Options.Training with { Codec = CodecRegistry.Find("sketch:0.5") } };
        CompressionReport report = Compress("name: p\nsteps:\n  - magnitude: { sparsity: 0.5 }\n  - fineTune: { tokens: 192, batchSize: 2, contextLength: 8, learningRate: 0.01 }\n", model, Texts(2, sketched));
        Assert.Contains("3 rounds of 2 steps at 2 clients", Assert.Single(report.Notes), StringComparison.Ordinal);
        Weight matrix = model.Matrices().First(part => part.Name.EndsWith("up_proj", StringComparison.Ordinal)).Layer.Weight;
        Assert.IsType<SparseWeight>(matrix);
        Assert.Equal(0.5, matrix.Sparsity(), 0.02);
    }

    [Theory]
    [InlineData("rigl", 0.75)]
    [InlineData("gradual", 0.5)]
    public void A_step_that_prunes_while_it_trains_does_so_by_votes_and_stores_the_result_sparsely(string prune, double sparsity)
    {
        DecoderModel model = Tiny.Model();
        CompressionReport report = Compress(FormattableString.Invariant($"name: p\nsteps:\n  - fineTune: {{ tokens: 384, batchSize: 2, contextLength: 8, prune: {prune}, sparsity: {sparsity}, pruneEvery: 2 }}\n"), model, Texts(2));
        Assert.Contains("6 rounds of 2 steps at 2 clients", Assert.Single(report.Notes), StringComparison.Ordinal);
        Assert.All(model.Blocks.SelectMany(block => block.Stages).SelectMany(stage => stage.Matrices), matrix => Assert.Equal((true, sparsity), (matrix.Weight is SparseWeight or TwoFourWeight, Math.Round(matrix.Weight.Sparsity(), 2))));
    }

    [Fact]
    public void Training_that_was_stopped_goes_on_to_the_same_bytes()
    {
        const string Recipe = "name: q\nsteps:\n  - qat: { bits: 4, groupSize: 8, tokens: 192, batchSize: 2, contextLength: 8 }\n";
        DecoderModel undisturbed = Tiny.Model(), resumed = Tiny.Model();
        Compress(Recipe, undisturbed, Texts(2));

        using TemporaryFolder folder = new();
        RunJournal journal = new(folder["run"]);
        int left = 4;
        IClientChannel[] dying = [.. Tiny.Channels(pool, 2, journal).Select(channel => new Tapped(channel, (_, ask) => left-- > 0 ? ask() : throw new OperationCanceledException()))];
        Assert.Throws<OperationCanceledException>(() => Compress(Recipe, Tiny.Model(), new ClientTexts(dying, Options, pool, folder["run"], default)));
        Compress(Recipe, resumed, new ClientTexts(Tiny.Channels(pool, 2, journal), Options, pool, folder["run"], default));
        Assert.Equal(Tiny.Numbers(undisturbed), Tiny.Numbers(resumed));
    }

    [Fact]
    public void Each_client_says_what_compression_costs_it()
    {
        DecoderModel compressed = Tiny.Model();
        ClientTexts texts = Texts(2);
        IReadOnlyList<ClientComparison> same = texts.Compare(Tiny.Model(), compressed);
        Assert.Equal([Tiny.Name(0), Tiny.Name(1)], same.Select(client => client.Client));
        Assert.All(same, client => Assert.Equal((0, 0, 1, client.BaseNats), (client.Kl, client.DeltaError, client.Top1Agreement, client.CompressedNats)));
        Assert.Equal(Tiny.Context * Math.Min(32, 199 / Tiny.Context), same[0].Tokens);

        Compress(Gptq, compressed, texts);
        Assert.All(texts.Compare(Tiny.Model(), compressed), client => Assert.True(client.Kl > 0 && client.KlError > 0 && client.BaseNats != client.CompressedNats && !client.IsHeldOut));
    }
}
