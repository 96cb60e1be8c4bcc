using Coppice.Compression;
using Coppice.Compression.Quantize;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Formats;
using Coppice.Tests.Models.Families;
using Coppice.Weights;

namespace Coppice.Tests.Compression.Quantize;

/// <summary>Rotations, and models whose channels are turned by them.</summary>
public sealed class RotateTests : IDisposable
{
    readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    public static TheoryData<string> Kinds => [.. RandomCheckpoint.Families];

    [Theory]
    [InlineData(1), InlineData(2), InlineData(8), InlineData(10), InlineData(24), InlineData(45), InlineData(256)]
    public void A_rotation_is_orthogonal(int width)
    {
        foreach (Rotation rotation in new[] { Rotation.Hadamard(width, new Random(width)), Rotation.Any(width, new Random(width)) })
        {
            float[] rows = Matrix(rotation);
            for (int i = 0; i < width; i++)
                for (int j = 0; j <= i; j++)
                {
                    double product = 0;
                    for (int k = 0; k < width; k++)
                        product += (double)rows[i * width + k] * rows[j * width + k];
                    Assert.Equal(i == j ? 1 : 0, product, 1e-5);
                }
        }
    }

    [Fact]
    public void A_power_of_two_is_turned_by_signs_and_sylvesters_matrix()
    {
        Rotation rotation = Rotation.Hadamard(4, new Random(3));
        float[] rows = Matrix(rotation), sylvester = [1, 1, 1, 1, 1, -1, 1, -1, 1, 1, -1, -1, 1, -1, -1, 1];
        Assert.Equal(1, rotation.Part);
        for (int channel = 0; channel < 4; channel++)
            // The channel's own sign, times what the matrix has for it.
            Assert.Equal(sylvester[(channel * 4)..(channel * 4 + 4)].Select(value => value * 0.5f * Math.Sign(rows[channel * 4])), rows[(channel * 4)..(channel * 4 + 4)]);
    }

    [Fact]
    public void Of_another_width_the_odd_part_is_turned_at_random() =>
        Assert.All(Matrix(Rotation.Hadamard(12, new Random(3))), value => Assert.InRange(Math.Abs(value), 1e-6, 0.5 + 1e-6));

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Turned_heads_leave_what_every_family_computes(string kind) => Unchanged(kind, "rotate: { residual: false }");

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_turned_stream_leaves_what_a_family_with_root_mean_squares_computes(string kind)
    {
        DecoderModel plain = Written(kind);
        if (plain.FinalNorm is LayerNorm)
            Refused(plain, "take the mean of all channels away");
        else if (plain.Blocks[0].Norms.AfterAttention is not null)
            Refused(plain, "scale channels on their way into the residual stream");
        else
            foreach (string rotations in new[] { "hadamard", "random" })
                foreach (TransformerBlock block in Unchanged(kind, $"rotate: {{ kind: {rotations} }}").Blocks)
                    Assert.All(new[] { block.Norms.BeforeAttention, block.Norms.BeforeFeedForward }, norm => Assert.All(((RmsNorm)norm!).Gain.Data.ToArray(), gain => Assert.Equal(1, gain)));
    }

    [Fact]
    public void Even_gains_behind_a_part_stay_and_turn_with_the_stream()
    {
        new RandomCheckpoint("gemma2").Write(folder.Path);
        DecoderModel plain = (DecoderModel)ModelFolder.Load(folder.Path), turned = (DecoderModel)ModelFolder.Load(folder.Path);
        foreach (DecoderModel model in new[] { plain, turned })
            foreach (RmsNorm norm in model.Blocks.SelectMany(block => new[] { block.Norms.AfterAttention, block.Norms.AfterFeedForward }).Append(model.FinalNorm).Cast<RmsNorm>())
                norm.Gain.Data.Fill(1.5f);
        Assert.Same(turned, Step("rotate: {}").Apply(Work(turned)));
        Close(plain, turned);
    }

    [Fact]
    public void A_tied_head_gets_a_table_of_its_own_where_the_last_norm_scales()
    {
        DecoderModel model = Samples.Model(), even = Samples.Model();
        ((RmsNorm)model.FinalNorm).Gain.Data[5] = 2;
        double before = Samples.Loss(model, Samples.Tokens()), evenBefore = Samples.Loss(even, Samples.Tokens());
        ModelWork work = Work(model), evenWork = Work(even);
        DecoderModel turned = (DecoderModel)Step("rotate: {}").Apply(work), stillTied = (DecoderModel)Step("rotate: {}").Apply(evenWork);
        Assert.Equal(HeadKind.Untied, turned.Config.Head);
        Assert.Contains("the head has a table [64, 32] of its own now", Assert.Single(work.Warnings), StringComparison.Ordinal);
        Assert.Equal(before, Samples.Loss(turned, Samples.Tokens()), 1e-4);
        Assert.Equal(HeadKind.Tied, stillTied.Config.Head);
        Assert.Empty(evenWork.Warnings);
        Assert.Equal(evenBefore, Samples.Loss(stillTied, Samples.Tokens()), 1e-4);
    }

    [Fact]
    public void A_seed_gives_one_rotation()
    {
        float[] Query(int seed)
        {
            DecoderModel model = Samples.Model();
            Step("rotate: {}").Apply(new ModelWork { Model = model, Pool = Samples.Pool, Random = new Random(seed) });
            return model.Blocks[0].Attention.Query.Weight.ToDense();
        }
        Assert.Equal(Query(1), Query(1));
        Assert.NotEqual(Query(1), Query(2));
    }

    [Fact]
    public void Outliers_go_and_rounding_errs_less()
    {
        DecoderModel model = Samples.Model();
        foreach (TransformerBlock block in model.Blocks)
            foreach (Linear reader in new[] { block.Attention.Query, block.Attention.Key, block.Attention.Value, ((FeedForward)block.FeedForward).Gate!, ((FeedForward)block.FeedForward).Up })
            {
                float[] weights = reader.Weight.ToDense();
                for (int row = 0; row < reader.Weight.Rows; row++)
                    weights[row * 32 + 3] *= 20;
                reader.Weight = new DenseWeight(Tensor.From(reader.Weight.Shape, weights));
            }
        Weight before = model.Blocks[1].Attention.Query.Weight;
        Step("rotate: {}").Apply(Work(model));
        Weight after = model.Blocks[1].Attention.Query.Weight;
        Assert.True(Kurtosis(after) < 0.3 * Kurtosis(before), $"{Kurtosis(after)} after, {Kurtosis(before)} before");
        Assert.True(after.ToDense().Max(Math.Abs) < 0.6 * before.ToDense().Max(Math.Abs));
        Assert.True(RoundingError(after) < 0.5 * RoundingError(before), $"{RoundingError(after)} after, {RoundingError(before)} before");
    }

    [Fact]
    public void Training_lowers_what_rounding_errs_by_and_leaves_the_loss()
    {
        DecoderModel drawn = Samples.Model(), trained = Samples.Model();
        double before = Samples.Loss(drawn, Samples.Tokens());
        ModelWork work = Work(trained);
        Step("rotate: { heads: false }").Apply(Work(drawn));
        Step("rotate: { heads: false, train: 40 }").Apply(work);
        Assert.Equal(before, Samples.Loss(trained, Samples.Tokens()), 1e-4);
        double plain = MeanError(drawn), less = MeanError(trained);
        Assert.True(less < 0.85 * plain, $"{less} of {plain}");
        Assert.StartsWith("40 steps: rounding to 4 bits", Assert.Single(work.Notes), StringComparison.Ordinal);

        static double MeanError(DecoderModel model) => model.Blocks.SelectMany(block => block.Stages).SelectMany(stage => stage.Groups).SelectMany(group => group).Average(linear => RoundingError(linear.Weight));
    }

    [Theory]
    [InlineData("rotate: { bits: 3 }", "nothing unless train says how many steps"), InlineData("rotate: { residual: false, train: 9 }", "rotations of heads are not trained")]
    [InlineData("rotate: { residual: false, heads: false }", "nothing would be turned"), InlineData("rotate: { kind: haar }", "wanted hadamard or random"), InlineData("rotate: { targets: \"*\" }", "this step is about the whole model")]
    public void What_makes_no_sense_is_refused_when_it_is_read(string step, string reason) =>
        Assert.Contains(reason, Assert.Throws<CoppiceException>(() => Step(step)).Message, StringComparison.Ordinal);

    // Row c is what channel c alone becomes.
    static float[] Matrix(Rotation rotation)
    {
        float[] rows = new float[rotation.Width * rotation.Width];
        for (int i = 0; i < rotation.Width; i++)
            rows[i * rotation.Width + i] = 1;
        rotation.Apply(Samples.Pool, rows);
        return rows;
    }

    static double Kurtosis(Weight weight)
    {
        float[] numbers = weight.ToDense();
        return numbers.Average(value => Math.Pow(value, 4)) / Math.Pow(numbers.Average(value => Math.Pow(value, 2)), 2);
    }

    // Of 4 bits with a scale a row, as a part of the numbers' squares.
    static double RoundingError(Weight weight)
    {
        double lost = 0, all = 0;
        foreach (float[] row in weight.ToDense().Chunk(weight.Columns))
        {
            double step = row.Max(Math.Abs) / 7;
            lost += row.Sum(value => Math.Pow(value - step * Math.Round(value / step), 2));
            all += row.Sum(value => Math.Pow(value, 2));
        }
        return lost / all;
    }

    DecoderModel Unchanged(string kind, string step)
    {
        DecoderModel plain = Written(kind), turned = (DecoderModel)Step(step).Apply(Work((DecoderModel)ModelFolder.Load(folder.Path)));
        Close(plain, turned);
        Assert.NotEqual(plain.Blocks[0].Attention.Output.Weight.ToDense(), turned.Blocks[0].Attention.Output.Weight.ToDense());
        return turned;
    }

    void Refused(DecoderModel model, string reason)
    {
        float[] weights = model.Blocks[0].Attention.Query.Weight.ToDense();
        Assert.Contains(reason, Assert.Throws<CoppiceException>(() => Step("rotate: {}").Apply(Work(model))).Message, StringComparison.Ordinal);
        Assert.Equal(weights, model.Blocks[0].Attention.Query.Weight.ToDense());
    }

    DecoderModel Written(string kind)
    {
        new RandomCheckpoint(kind).Write(folder.Path);
        return (DecoderModel)ModelFolder.Load(folder.Path);
    }

    static void Close(DecoderModel plain, DecoderModel turned)
    {
        float[] before = Logits(plain), after = Logits(turned);
        float size = before.Max(Math.Abs);
        Assert.Equal(before, after, (a, b) => Math.Abs(a - b) <= 1e-3f * size);
    }

    static float[] Logits(DecoderModel model) => model.Forward(new Batch(new[] { 3, 17, 20, 5, 90, 41 }), new ForwardContext(Samples.Pool)).Data.ToArray();

    static ModelStep Step(string yaml) => (ModelStep)RecipeReader.Parse($"name: r\nsteps:\n  - {yaml}\n", "r").Steps[0];

    static ModelWork Work(DecoderModel model) => new() { Model = model, Pool = Samples.Pool, Random = new Random(7) };
}
