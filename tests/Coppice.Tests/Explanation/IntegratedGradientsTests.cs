using Coppice.Explanation;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Tests.Explanation;

public class IntegratedGradientsTests
{
    static readonly int[] Tokens = [4, 11, 7, 30, 2];

    [Theory]
    [InlineData(PathBaseline.MeanEmbedding)]
    [InlineData(PathBaseline.RandomTokens)]
    public void Scores_add_up_to_the_change_of_the_logit_ever_better_with_more_steps(PathBaseline baseline)
    {
        using WorkerPool pool = new(1);
        DecoderModel model = TinyModels.Create();
        double[] residuals = [.. new[] { 2, 8, 32, 128 }.Select(steps =>
            Math.Abs(new IntegratedGradients { Steps = steps, Baseline = baseline }.Explain(model, pool, Tokens, 9).Residual))];
        Assert.True(residuals[0] > 10 * residuals[3] && residuals[1] > residuals[3], string.Join(", ", residuals));
        Assert.InRange(residuals[3], 0, 2e-3);
    }

    [Fact]
    public void The_whole_is_the_logit_that_a_plain_forward_gives()
    {
        using WorkerPool pool = new(1);
        DecoderModel model = TinyModels.Create();
        Attribution attribution = new IntegratedGradients { Steps = 4, Baseline = PathBaseline.Zero }.Explain(model, pool, Tokens, 9);
        ForwardContext context = new(pool);
        Assert.Equal(model.Forward(new Batch(Tokens), context).Data[4 * 37 + 9], attribution.Output, 1e-5);
        // RMSNorm of zeros is zero, all the way to the head.
        Assert.Equal(0, attribution.BaselineOutput);
        Assert.Equal(attribution.Scores.Sum() - attribution.Output, attribution.Residual, 1e-12);
    }

    [Fact]
    public void Passes_of_any_size_give_the_same_scores()
    {
        using WorkerPool pool = new(2);
        DecoderModel model = TinyModels.Create();
        Attribution one = new IntegratedGradients { Steps = 9, TokensPerPass = 1 }.Explain(model, pool, Tokens, 9);
        Attribution many = new IntegratedGradients { Steps = 9, TokensPerPass = 256 }.Explain(model, pool, Tokens, 9);
        for (int i = 0; i < Tokens.Length; i++)
            Assert.Equal(one.Scores[i], many.Scores[i], 1e-5);
    }

    [Fact]
    public void A_weight_of_any_kind_is_explained_through_its_stored_numbers()
    {
        using WorkerPool pool = new(1);
        DecoderModel half = TinyModels.Create(), dense = TinyModels.Create();
        foreach (((_, MatrixLayer stored), (_, MatrixLayer plain)) in half.Matrices().Zip(dense.Matrices()))
        {
            stored.Weight = HalfWeight.From(HalfFormat.BFloat16, stored.Weight.Rows, stored.Weight.Columns, stored.Weight.ToDense());
            plain.Weight = new DenseWeight(Tensor.From(stored.Weight.Shape, stored.Weight.ToDense()));
        }
        IntegratedGradients method = new() { Steps = 6 };
        Attribution through = method.Explain(half, pool, Tokens, 9), reference = method.Explain(dense, pool, Tokens, 9);
        for (int i = 0; i < Tokens.Length; i++)
            Assert.Equal(reference.Scores[i], through.Scores[i], 1e-4);
    }

    [Fact]
    public void What_cannot_be_explained_is_refused_in_one_line()
    {
        using WorkerPool pool = new(1);
        DecoderModel model = TinyModels.Create();
        IntegratedGradients method = new();
        Assert.Contains("no tokens", Assert.Throws<CoppiceException>(() => method.Explain(model, pool, [], 0)).Message);
        Assert.Contains("target id 37", Assert.Throws<CoppiceException>(() => method.Explain(model, pool, Tokens, 37)).Message);
        using CancellationTokenSource source = new();
        source.Cancel();
        Assert.Throws<OperationCanceledException>(() => method.Explain(model, pool, Tokens, 1, source.Token));
    }
}
