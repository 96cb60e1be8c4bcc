using Coppice.Evaluation;
using Coppice.Explanation;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Tests.Explanation;

public class AgreementTests
{
    [Fact]
    public void Measures_are_those_computed_by_hand()
    {
        // Ranks 4 1 3 2 against 3 1 4 2: squared differences 1 0 1 0, so rho = 1 - 6 * 2 / (4 * 15) = 0.8.
        Agreement agreement = Agreement.Between([4.0, -1, 2, 1], [2.0, -1, 5, 1], top: 1);
        Assert.Equal(0.8, agreement.Spearman, 1e-12);
        Assert.Equal(0, agreement.TopJaccard);
        Assert.Equal((8 + 1 + 10 + 1) / (Math.Sqrt(22) * Math.Sqrt(31)), agreement.Cosine, 1e-12);
        // The two strongest are {0, 2} on both sides.
        Assert.Equal(1, Agreement.Between([4.0, -1, 2, 1], [2.0, -1, 5, 1], top: 2).TopJaccard);
    }

    [Fact]
    public void Ties_share_their_mean_rank_and_scores_without_variation_agree_with_nothing()
    {
        // Ranks 1.5 1.5 3 against 1 2 3: covariance 0.75 * 2, deviations sqrt(1.5) and sqrt(2).
        Assert.Equal(1.5 / Math.Sqrt(1.5 * 2), Agreement.Between([1.0, 1, 2], [1.0, 2, 3], 1).Spearman, 1e-12);
        Assert.Equal(0, Agreement.Between([1.0, 1, 1], [1.0, 2, 3], 1).Spearman);
        Assert.Equal(0, Agreement.Between([0.0, 0, 0], [1.0, 2, 3], 1).Cosine);
    }

    [Fact]
    public void Floor_is_rescaled_to_zero_and_ceiling_to_one()
    {
        Estimate Rescaled(double[] measured) => AgreementScore.From("x", measured, [0.2, 0.1], [0.8, 0.9]).Rescaled!.Value;
        Assert.Equal(0, Rescaled([0.2, 0.1]).Value, 1e-12);
        Assert.Equal(1, Rescaled([0.8, 0.9]).Value, 1e-12);
        // Each prompt left out: (0.45 - 0.1) / 0.8 and (0.55 - 0.2) / 0.6; the jackknife's error is sqrt(1/2 * sum of squares about the mean).
        double a = 0.35 / 0.8, b = 0.35 / 0.6;
        Assert.Equal(Math.Abs(a - b) / 2, Rescaled([0.55, 0.45]).StandardError, 1e-12);
        Assert.Null(AgreementScore.From("x", [0.5], [0.5], [0.5]).Rescaled);
        Assert.True(double.IsNaN(AgreementScore.From("x", [0.5], [0.1], [0.9]).Rescaled!.Value.StandardError));
    }

    [Fact]
    public void A_model_agrees_with_itself_more_than_with_noise_and_gets_its_weights_back()
    {
        using WorkerPool pool = new(1);
        DecoderModel model = TinyModels.Create();
        Weight[] before = [.. model.Matrices().Select(part => part.Layer.Weight)];
        AgreementStudy study = new() { Explainer = new() { Steps = 20 }, Top = 3 };
        AgreementResult result = study.Measure(model, TinyModels.Rounded(model, _ => false), pool, TinyModels.Windows(3, 8));
        Assert.Equal(before, model.Matrices().Select(part => part.Layer.Weight));
        Assert.Equal(3, result.Pairs.Length);
        AgreementScore cosine = result.Scores.Single(score => score.Name == "Cosine");
        Assert.Equal(1, cosine.Measured.Value, 1e-9);
        Assert.True(cosine.Floor.Value < 0.8 * cosine.Ceiling.Value, $"floor {cosine.Floor}, ceiling {cosine.Ceiling}");
        Assert.True(cosine.Rescaled!.Value.Value >= 0.99);
    }

    [Fact]
    public void Coarser_weights_agree_less()
    {
        using WorkerPool pool = new(1);
        DecoderModel model = TinyModels.Create();
        AgreementStudy study = new() { Explainer = new() { Steps = 20 }, Top = 3 };
        double Cosine(Func<string, bool> rough) =>
            study.Measure(model, TinyModels.Rounded(model, rough), pool, TinyModels.Windows(3, 8)).Scores.Single(score => score.Name == "Cosine").Measured.Value;
        Assert.True(Cosine(_ => true) < Cosine(name => name.Contains("layers.2.mlp", StringComparison.Ordinal)));
    }
}
