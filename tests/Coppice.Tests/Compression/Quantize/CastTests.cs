using Coppice.Compression;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Tests.Compression.Quantize;

public class CastTests
{
    [Fact]
    public void Matrices_become_the_type_that_is_asked_for_and_others_f16()
    {
        DecoderModel model = Samples.Model();
        float[] before = model.Blocks[0].FeedForward.Stages[0].Groups[0][0].Weight.ToDense();
        CompressionReport report = Run(model, "cast: { type: bf16, targets: \"*.mlp.*\" }");
        Assert.All(report.Layers, layer => Assert.Equal(layer.Name.Contains(".mlp.", StringComparison.Ordinal) ? "bf16" : "f16", layer.Kind));
        float[] after = model.Blocks[0].FeedForward.Stages[0].Groups[0][0].Weight.ToDense();
        // Seven bits of mantissa and the one ahead of them: off by at most 2^-8 of itself.
        Assert.All(before.Zip(after), pair => Assert.InRange(Math.Abs(pair.First - pair.Second), 0, Math.Abs(pair.First) / 256));
        Assert.NotEqual(before, after);
    }

    [Fact]
    public void A_matrix_of_bf16_becomes_f16_where_it_is_asked_for_and_stays_otherwise()
    {
        foreach (string type in new[] { "f16", "bf16" })
        {
            DecoderModel model = Samples.Model();
            Linear query = model.Blocks[0].Attention.Query, key = model.Blocks[0].Attention.Key;
            foreach (Linear linear in new[] { query, key })
                linear.Weight = HalfWeight.From(HalfFormat.BFloat16, linear.Weight.Rows, linear.Weight.Columns, linear.Weight.ToDense());
            Run(model, $"cast: {{ type: {type}, targets: \"*.q_proj\" }}");
            Assert.Equal((type, "bf16"), (query.Weight.Kind, key.Weight.Kind));
        }
    }

    [Fact]
    public void What_was_pruned_stays_zero()
    {
        DecoderModel model = Samples.Model();
        Recipe recipe = RecipeReader.Parse("name: r\nsteps:\n  - magnitude: { sparsity: 0.6 }\n  - cast: { type: bf16 }\n", "r");
        new CompressionPipeline(recipe, Samples.Pool).Run(model, []);
        Assert.Equal(("bf16", 0.6), (model.Blocks[0].Attention.Query.Weight.Kind, Math.Round(model.Blocks[0].Attention.Query.Weight.Sparsity(), 2)));
    }

    [Fact]
    public void Whole_numbers_are_off_by_half_a_step_of_their_row()
    {
        DecoderModel model = Samples.Model();
        Linear query = model.Blocks[0].Attention.Query;
        float[] before = query.Weight.ToDense();
        Run(model, "cast: { type: int16 }");
        Int16Weight weight = Assert.IsType<Int16Weight>(query.Weight);
        float[] after = weight.ToDense();
        for (int i = 0; i < before.Length; i++)
        {
            float most = before.AsSpan(i / weight.Columns * weight.Columns, weight.Columns).ToArray().Max(Math.Abs);
            Assert.InRange(Math.Abs(before[i] - after[i]), 0, most / 65534 * 1.001f);
        }
        Assert.NotEqual(before, after);
    }

    [Fact]
    public void A_row_of_zeros_has_a_scale_of_0_and_a_hand_made_row_its_codes()
    {
        Int16Weight weight = Int16Weight.From(2, 3, [0, 0, 0, -2, 1.5f, 0.5f]);
        Assert.Equal([0, 0, 0, -32767, 24575, 8192], weight.Codes.ToArray());
        Assert.Equal([0, 2f / 32767], weight.Scales.ToArray());
    }

    static CompressionReport Run(DecoderModel model, string step) => new CompressionPipeline(RecipeReader.Parse($"name: r\nsteps:\n  - {step}\n", "r"), Samples.Pool).Run(model, []);
}
