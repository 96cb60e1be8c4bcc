using System.Globalization;
using Coppice.Evaluation;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Cli;

/// <summary>coppice eval --task: how well a classifier tells texts' classes, against its base if there is one.</summary>
static class ClassifierReport
{
    public static int Run(Session session, string task, string name, string? baseName, ActivationFormat activations, CancellationToken cancel)
    {
        LabelledTexts data = LabelledTexts.Read(task);
        LanguageModel language = ModelArgument.Load(name);
        LanguageModel? against = baseName is null ? null : ModelArgument.Load(baseName);
        ClassificationScores scores = Measure(session, language, name, data, activations, cancel);
        ClassificationScores? before = against is null ? null : Measure(session, against, baseName!, data, activations, cancel);
        IReadOnlyList<Score> mine = [scores.Accuracy, scores.NegativeLogLikelihood];
        IReadOnlyList<Score> theirs = before is null ? [] : [before.Accuracy, before.NegativeLogLikelihood];
        IReadOnlyList<Score> compared = before is null ? [] : [scores.Against(before).Gain, scores.Against(before).Agreement];

        session.Table(before is null ? ["", "model"] : ["", "model", "base"],
        [
            .. mine.Select((score, i) => (string[])[score.Metric, Show(score), .. before is null ? (string[])[] : [Show(theirs[i])]]),
            ["bits a weight", Bits(language), .. against is null ? (string[])[] : [Bits(against)]],
        ]);
        foreach (Score score in compared)
            session.Line($"{score.Metric} {Show(score)}");
        if (scores.Cut > 0)
            session.Line($"{scores.Cut} of {data.Texts.Length} texts are longer than the model's {language.Model.ContextLength} tokens, and were cut at their end");
        session.Line(scores.Accuracy.Signature);
        session.Document(json =>
        {
            json.Scores("scores", mine);
            json.Scores("base", theirs);
            json.Scores("comparison", compared);
            json.WriteNumber("cutTexts", scores.Cut);
            json.WriteNumber("bitsPerWeight", language.Model.BitsPerWeight);
        });
        return ExitCode.Done;
    }

    static ClassificationScores Measure(Session session, LanguageModel language, string name, LabelledTexts data, ActivationFormat activations, CancellationToken cancel) => language.Model is EncoderModel encoder
        ? session.Track("classifying", ticks => Classification.Measure(encoder, language.Tokenizer, data, session.Pool, activations, new Told<double>(share => ticks.Report(new Tick(share))), cancel))
        : throw new CoppiceException($"{name}: is a {language.Model.Family} model, which classifies nothing; --task takes an encoder with a classifier");

    static string Show(Score score) => string.Create(CultureInfo.InvariantCulture, $"{score.Value:0.0000} ± {score.StandardError:0.0000}");

    static string Bits(LanguageModel language) => language.Model.BitsPerWeight.ToString("0.000", CultureInfo.InvariantCulture);
}
