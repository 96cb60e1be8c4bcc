using System.Globalization;
using System.Text.Json;
using Coppice.Evaluation;
using Coppice.Tensors;

namespace Coppice.Cli;

/// <summary>coppice translate --reference: how near translations are to those that they should be.</summary>
/// <param name="Words">By words.</param>
/// <param name="Characters">By characters.</param>
sealed record TranslationReport(BleuScores Words, Score Characters)
{
    /// <summary>Lines of reference files for translations, and no more and no fewer of them.</summary>
    public static void Check(IReadOnlyList<string> files, IReadOnlyList<string[]> references, int translations)
    {
        foreach ((string file, string[] lines) in files.Zip(references))
            if (lines.Length != translations)
                throw new CoppiceException($"{file}: has {lines.Length:N0} lines, wanted one for each of the {translations:N0} texts to translate");
    }

    public static TranslationReport Measure(IReadOnlyList<string> translations, IReadOnlyList<string[]> references, int seed)
    {
        string[][] bySegment = [.. translations.Select((_, i) => references.Select(file => file[i]).ToArray())];
        return new TranslationReport(Bleu.Measure(translations, bySegment, new Random(seed)), ChrF.Measure(translations, bySegment, new Random(seed)).Score);
    }

    public void Say(Session session)
    {
        string interval = Words.Bleu.Samples > 1 ? string.Create(CultureInfo.InvariantCulture, $" ± {Words.Bleu.StandardError:0.00} (95%: {Words.Interval95.Low:0.00} to {Words.Interval95.High:0.00})") : "";
        session.Say(string.Create(CultureInfo.InvariantCulture,
            $"BLEU {Words.Bleu.Value:0.00}{interval}, n-grams {string.Join('/', Words.Precisions.Select(precision => precision.ToString("0.0", CultureInfo.InvariantCulture)))}, brevity penalty {Words.BrevityPenalty:0.000}, {Words.Words:N0} words of {Words.ReferenceWords:N0}; chrF2 {Characters.Value:0.00}"));
        session.Say(Words.Bleu.Signature);
    }

    public void Write(Utf8JsonWriter json)
    {
        json.Scores("scores", [Words.Bleu, Characters]);
        json.WriteStartArray("bleuInterval");
        foreach (double end in (double[])[Words.Interval95.Low, Words.Interval95.High])
            if (double.IsFinite(end))
                json.WriteNumberValue(end);
            else
                json.WriteNullValue();
        json.WriteEndArray();
    }
}
