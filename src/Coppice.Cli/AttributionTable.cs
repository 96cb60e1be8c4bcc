using System.Globalization;
using Coppice.Evaluation;
using Coppice.Explanation;
using Coppice.Report.Data;

namespace Coppice.Cli;

/// <summary>Explanations on a terminal.</summary>
static class AttributionTable
{
    /// <summary>A row a token; without a base, one column of scores.</summary>
    public static void Print(Session session, ExplainedPrompt prompt, Explains what)
    {
        session.Line($"next token {Quoted(prompt.TargetText)}, {prompt.Pair.Base.Method}, in logits:");
        session.Table(what == Explains.Change ? ["token", "base", "compressed"] : ["token", "logits"],
        [
            .. prompt.TokenTexts.Select((token, i) => Row(Quoted(token), prompt.Pair.Base.Scores[i], prompt.Pair.Compressed.Scores[i])),
            Row("(residual)", prompt.Pair.Base.Residual, prompt.Pair.Compressed.Residual),
        ]);

        IReadOnlyList<string> Row(string name, double first, double second) => what == Explains.Change ? [name, Signed(first), Signed(second)] : [name, Signed(first)];
    }

    /// <summary>A row a measure of agreement, with what it has to be read against.</summary>
    public static void Print(Session session, AgreementResult agreement) => session.Table(["agreement of base and compressed", "measured", "floor", "ceiling", "rescaled"],
        agreement.Scores.Select(score => (IReadOnlyList<string>)[score.Name, Fixed(score.Measured.Value), Fixed(score.Floor.Value), Fixed(score.Ceiling.Value), score.Rescaled is { } rescaled ? Fixed(rescaled.Value) : ""]));

    /// <summary>A row a stage: the KL that goes when it is restored, and that comes when it alone is compressed.</summary>
    public static void Print(Session session, BlameResult blame)
    {
        session.Line(string.Create(CultureInfo.InvariantCulture, $"KL {blame.Kl.Value:F4} ± {blame.Kl.StandardError:F4} nats a token over {blame.Tokens:N0} tokens, by part:"));
        session.Table(["part", "goes when restored", "comes when compressed alone"], blame.Stages.Select(part => (IReadOnlyList<string>)[part.Name, With(part.Removed), With(part.Added)]));

        static string With(Estimate estimate) => string.Create(CultureInfo.InvariantCulture, $"{estimate.Value:F4} ± {estimate.StandardError:F4}");
    }

    /// <summary>A row a kind of matrix: how far its weights are off, and what that should cost.</summary>
    public static void Print(Session session, WeightErrorResult errors)
    {
        session.Line(string.Create(CultureInfo.InvariantCulture, $"weights' errors should cost {errors.Predicted.Value:F4} ± {errors.Predicted.StandardError:F4} nats a token together:"));
        session.Table(["matrices", "count", "squared error / squares", "largest / rms weight", "KL, predicted"], errors.Matrices.GroupBy(matrix => matrix.Name[(matrix.Name.LastIndexOf('.') + 1)..]).Select(kind => (IReadOnlyList<string>)
        [
            kind.Key, kind.Count().ToString(CultureInfo.InvariantCulture), kind.Average(matrix => matrix.Relative).ToString("F5", CultureInfo.InvariantCulture),
            kind.Max(matrix => matrix.Distribution[^1]).ToString("F3", CultureInfo.InvariantCulture), kind.Sum(matrix => matrix.Predicted.Value).ToString("F5", CultureInfo.InvariantCulture),
        ]));
    }

    static string Quoted(string token) => $"'{token.ReplaceLineEndings("\\n")}'";

    static string Signed(double value) => value.ToString("+0.000;-0.000;0.000", CultureInfo.InvariantCulture);

    static string Fixed(double value) => value.ToString("F3", CultureInfo.InvariantCulture);
}

/// <summary>What an explanation is about.</summary>
enum Explains
{
    /// <summary>One model.</summary>
    Model,

    /// <summary>What compression changed.</summary>
    Change,
}
