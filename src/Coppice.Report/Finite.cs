using Coppice.Evaluation;
using Coppice.Explanation;
using Coppice.Report.Data;
using Coppice.Tensors;

namespace Coppice.Report;

/// <summary>Refuses numbers that a report cannot show. An unknown standard error (NaN) is no such number: it is left out.</summary>
internal static class Finite
{
    public static void Check(ReportData data)
    {
        foreach (Variant variant in data.Variants)
        {
            string where = $"variant '{variant.Name}'";
            Require(variant.BitsPerWeight, $"{where}: bits a weight");
            Require(variant.BitsPerByte, $"{where}: bits a byte");
            Require(variant.Kl, $"{where}: KL");
            Require(variant.Top1Agreement, $"{where}: top-1 agreement");
            Require(variant.TokensPerSecond, $"{where}: tokens a second");
        }
        foreach (FederationRound round in data.Rounds)
            Require(round.Loss ?? 0, $"round {round.Round}: loss");
        foreach (CurvePoint point in data.Training)
        {
            Require(point.Loss, $"training step {point.Step}: loss");
            Require(point.ValidationLoss ?? 0, $"training step {point.Step}: validation loss");
        }
        foreach (CompressedLayer layer in data.Layers)
            Require(layer.BitsPerWeight + layer.Sparsity + layer.RelativeError, $"layer '{layer.Name}': bits, sparsity or error");
        foreach (ComparedText text in data.Texts)
            foreach (ComparedToken token in text.Tokens)
                Require(token.Record.BaseNats + token.Record.CompressedNats + token.Record.Kl, $"text '{text.Title}', token {token.Record.Position}: nats or KL");
        foreach (ExplainedPrompt prompt in data.Prompts)
            foreach (Attribution one in new[] { prompt.Pair.Base, prompt.Pair.Compressed })
            {
                Require(one.Scores.Sum() + one.Output + one.BaselineOutput, $"attribution of '{prompt.TargetText}': scores or logits");
                if (prompt.TokenTexts.Count != one.Scores.Length)
                    throw new CoppiceException($"Report: {prompt.TokenTexts.Count} token texts for the {one.Scores.Length} scores of '{prompt.TargetText}'");
            }
        foreach (AgreementScore score in data.Agreement?.Scores ?? [])
            Require(score.Measured.Value + score.Floor.Value + score.Ceiling.Value + (score.Rescaled?.Value ?? 0), $"agreement '{score.Name}'");
        foreach (Blame blame in data.Blame is { } result ? [.. result.Stages, .. result.Matrices] : Array.Empty<Blame>())
            Require(blame.Removed.Value + blame.Added.Value, $"blame of {blame.Name} {blame.Matrix}".TrimEnd());
        foreach (MatrixErrors matrix in data.Errors?.Matrices ?? [])
            Require(matrix.Relative + matrix.Distribution.Sum() + matrix.Channels.Sum() + matrix.Predicted.Value, $"errors of {matrix.Name}");
        foreach (VariantScore score in data.Scores)
            Require(score.Score.Value, $"score '{score.Score.Metric}' of '{score.Variant}'");
    }

    static void Require(Estimate? estimate, string what) => Require(estimate?.Value ?? 0, what);

    static void Require(double value, string what)
    {
        if (!double.IsFinite(value))
            throw new CoppiceException($"Report: {what} is {Format.Css(value)}, wanted a finite number");
    }
}
