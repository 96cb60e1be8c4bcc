using Coppice.Compression;
using Coppice.Compression.Quantize;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Tests.Compression;

public class CompressionPipelineTests
{
    [Theory]
    [InlineData("int8", "int8-channel", "f16", 8.5)]
    [InlineData("int4", "int4-g32", "f16", 4.5)]
    [InlineData("int4-gptq", "int4-g32", "f16", 4.5)]
    [InlineData("q8_0", "q8_0", "q8_0", 8.5)]
    [InlineData("q4_0", "q4_0", "q8_0", 4.5)]
    [InlineData("sparse50", "sparse-f16", "f16", 10.5)]
    [InlineData("2:4", "2:4-f16", "f16", 9)]
    [InlineData("2:4-int4", "2:4-int4-g32", "f16", 3.5)]
    public void A_preset_stores_blocks_and_table_as_it_says(string preset, string blocks, string table, double bits)
    {
        DecoderModel model = Samples.Model();
        CompressionReport report = Compress(model, Presets.Get(preset));
        foreach (TransformerBlock block in model.Blocks)
            foreach (Linear linear in block.Stages.SelectMany(stage => stage.Matrices))
            {
                Assert.StartsWith(blocks[..3], linear.Weight.Kind);
                Assert.Equal(bits, linear.Weight.BitsPerWeight, 0.8);
            }
        Assert.Equal(table, model.Embedding.Weight.Kind);
        Assert.Equal(model.Matrices().Count(), report.Layers.Length);
        Assert.Equal(blocks, report.Layers[0].Kind);
        Assert.Equal(model.ByteCount, report.BytesAfter);
        Assert.Equal(6 * 24, report.CalibrationTokens);
        Assert.All(report.Layers.Where(layer => !layer.Steps.IsEmpty), layer => Assert.InRange(layer.OutputError!.Value, 1e-9, 0.9));
        Assert.Empty(report.Warnings);
    }

    [Theory]
    [InlineData("sparse50")]
    [InlineData("2:4")]
    [InlineData("2:4-int4")]
    public void Half_of_every_pruned_matrix_is_zero(string preset)
    {
        DecoderModel model = Samples.Model();
        Compress(model, Presets.Get(preset));
        Assert.All(model.Blocks.SelectMany(block => block.Stages).SelectMany(stage => stage.Matrices), linear => Assert.InRange(linear.Weight.Sparsity(), 0.499, 0.7));
    }

    [Fact]
    public void Each_stage_sees_its_inputs_as_the_stages_before_left_them()
    {
        // The first block's output projection, made by hand: statistics from a model whose q, k and v are compressed already.
        DecoderModel compressed = Samples.Model(), byHand = Samples.Model();
        Gptq step = new() { Bits = 2, GroupSize = 8 };
        Compress(compressed, new Recipe("r", [step]));
        Attention attention = byHand.Blocks[0].Attention;
        (attention.Query.Weight, attention.Key.Weight, attention.Value.Weight) =
            (compressed.Blocks[0].Attention.Query.Weight, compressed.Blocks[0].Attention.Key.Weight, compressed.Blocks[0].Attention.Value.Weight);
        LayerWork work = Samples.Work(attention.Output.Weight.ToDense(), 32, InputsOf(byHand, attention.Output));
        step.Apply(work);
        Assert.Equal(work.Grid!.ToDense(), compressed.Blocks[0].Attention.Output.Weight.ToDense());

        DecoderModel untouchedModel = Samples.Model();
        Linear output = untouchedModel.Blocks[0].Attention.Output;
        LayerWork plain = Samples.Work(output.Weight.ToDense(), 32, InputsOf(untouchedModel, output));
        step.Apply(plain);
        Assert.NotEqual(plain.Grid!.Codes, work.Grid.Codes);
    }

    [Fact]
    public void Matrices_that_no_step_names_become_halves_and_what_was_in_halves_is_left_as_it_is()
    {
        DecoderModel model = Samples.Model(head: HeadKind.Untied);
        HalfWeight kept = HalfWeight.From(HalfFormat.BFloat16, 64, 32, model.Output.Weight.ToDense());
        model.Output.Weight = kept;
        CompressionReport report = Compress(model, new Recipe("r", [new RoundToNearest { GroupSize = 32, Targets = ["*.mlp.*"] }]));
        Assert.Same(kept, model.Output.Weight);
        Assert.Equal("f16", model.Blocks[0].Attention.Query.Weight.Kind);
        LayerResult query = report.Layers.Single(layer => layer.Name == "model.layers.0.self_attn.q_proj");
        Assert.Empty(query.Steps);
        Assert.InRange(query.WeightError, 0, 1e-6);
    }

    [Theory]
    [InlineData(HeadKind.Tied, "model.embed_tokens")]
    [InlineData(HeadKind.Untied, "lm_head")]
    public void The_head_is_compressed_with_the_inputs_that_it_reads(HeadKind head, string name)
    {
        DecoderModel model = Samples.Model(head: head);
        CompressionReport report = Compress(model, new Recipe("r", [new Gptq { GroupSize = 16, Targets = [name] }]));
        LayerResult result = report.Layers.Single(layer => layer.Name == name);
        Assert.Equal("int4-g16", result.Kind);
        Assert.InRange(result.OutputError!.Value, 1e-6, 0.05);
        Assert.Equal(model.Output.Weight.Kind, result.Kind);
    }

    [Fact]
    public void A_table_that_enters_no_product_gets_a_steps_form_that_looks_at_no_inputs()
    {
        CompressionReport report = Compress(Samples.Model(head: HeadKind.Untied), new Recipe("r", [new Gptq { GroupSize = 16, Targets = ["model.embed_tokens"] }]));
        Assert.Equal("int4-g16", report.Layers.Single(layer => layer.Name == "model.embed_tokens").Kind);
        Assert.Equal("model.embed_tokens: it enters no product: it got roundToNearest in place of gptq", Assert.Single(report.Warnings));
    }

    [Fact]
    public void Without_calibration_plain_rounding_works_and_GPTQ_says_what_it_misses()
    {
        CompressionReport report = new CompressionPipeline(Presets.Get("int4"), Samples.Pool).Run(Samples.Model(), []);
        Assert.All(report.Layers, layer => Assert.Null(layer.OutputError));
        string message = Assert.Throws<CoppiceException>(() => new CompressionPipeline(Presets.Get("int4-gptq"), Samples.Pool).Run(Samples.Model(), [])).Message;
        Assert.Equal("recipe 'int4-gptq' needs calibration text and there is none", message);
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(70_000f)]
    public void A_weight_that_cannot_be_stored_is_named_before_any_work(float value)
    {
        DecoderModel model = Samples.Model();
        ((DenseWeight)((FeedForward)model.Blocks[1].FeedForward).Up.Weight).Values.Data[3 * 32 + 7] = value;
        string message = Assert.Throws<CoppiceException>(() => Compress(model, Presets.Get("int4"))).Message;
        Assert.StartsWith("model.layers.1.mlp.up_proj: the weight at row 3, column 7 is ", message);
        Assert.IsType<DenseWeight>(model.Blocks[0].Attention.Query.Weight);
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(1e30f)]
    public void An_activation_that_is_not_finite_names_the_matrix(float gain)
    {
        DecoderModel model = Samples.Model();
        model.Blocks[1].Norms.BeforeFeedForward!.Vectors.First().Vector.Data[4] = gain;
        string message = Assert.Throws<CoppiceException>(() => Compress(model, Presets.Get("int4-gptq"))).Message;
        Assert.StartsWith("model.layers.1.mlp.gate_proj: calibration's activations are not finite in input channel 4", message);
    }

    [Fact]
    public void A_sequence_past_the_context_is_refused()
    {
        string message = Assert.Throws<CoppiceException>(() => new CompressionPipeline(Presets.Get("sparse50"), Samples.Pool).Run(Samples.Model(), Samples.Tokens(length: 33))).Message;
        Assert.Equal("a calibration sequence has 33 tokens, wanted 1 to the model's context of 32", message);
    }

    [Fact]
    public void Random_pruning_depends_on_the_seed_alone()
    {
        Recipe recipe = RecipeReader.Parse("steps: [random: { sparsity: 0.3 }]", "r");
        DecoderModel first = Samples.Model(), second = Samples.Model(), third = Samples.Model();
        Compress(first, recipe, seed: 1);
        Compress(second, recipe, seed: 1);
        Compress(third, recipe, seed: 2);
        Assert.Equal(first.Blocks[0].Attention.Query.Weight.ToDense(), second.Blocks[0].Attention.Query.Weight.ToDense());
        Assert.NotEqual(first.Blocks[0].Attention.Query.Weight.ToDense(), third.Blocks[0].Attention.Query.Weight.ToDense());
        Assert.NotEqual(first.Blocks[0].Attention.Query.Weight.ToDense().Select(w => w == 0), first.Blocks[0].Attention.Output.Weight.ToDense().Select(w => w == 0));
    }

    [Fact]
    public void GPTQ_loses_less_output_than_rounding_in_every_stage_of_the_first_block()
    {
        double[] Errors(string preset) => [.. Compress(Samples.Model(), Presets.Get(preset)).Layers.Take(3).Select(layer => layer.OutputError!.Value)];
        foreach ((double gptq, double plain) in Errors("int4-gptq").Zip(Errors("int4")))
            Assert.True(gptq < plain, $"{gptq} against {plain}");
    }

    static CompressionReport Compress(DecoderModel model, Recipe recipe, int seed = 0) =>
        new CompressionPipeline(recipe, Samples.Pool) { Seed = seed }.Run(model, Samples.Tokens());

    static InputStatistics InputsOf(DecoderModel model, Linear reader)
    {
        InputStatistics statistics = new(reader.Weight.Columns, Statistics.Gram);
        ForwardContext context = new(Samples.Pool);
        context.OnLinearInput = (seen, x) =>
        {
            if (ReferenceEquals(seen, reader))
                statistics.Add(Samples.Pool, x.Data);
        };
        Batch batch = new();
        foreach (int[] sequence in Samples.Tokens())
            batch.Add(sequence);
        model.Forward(batch, context);
        return statistics;
    }
}
