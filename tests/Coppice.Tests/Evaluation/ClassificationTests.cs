using Coppice.Evaluation;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Formats;
using Coppice.Tests.Models.Families;
using Coppice.Text;

namespace Coppice.Tests.Evaluation;

public sealed class ClassificationTests : IDisposable
{
    readonly TemporaryFolder folder = new();
    readonly WorkerPool pool = new(2);

    public void Dispose()
    {
        pool.Dispose();
        folder.Dispose();
    }

    [Fact]
    public void Accuracy_and_nats_are_those_of_each_text_alone()
    {
        (EncoderModel model, Tokenizer tokenizer) = Model();
        string[] texts = ["a", "bb a", "abc abc abc", "zz", "q"];
        File.WriteAllLines(folder["task.tsv"], ["sentence\tlabel", .. texts.Select((text, i) => $"{text}\t{(i % 2 == 0 ? "good" : "0")}")]);
        ClassificationScores scores = Classification.Measure(model, tokenizer, LabelledTexts.Read(folder["task.tsv"]), pool);
        double nats = 0, right = 0;
        foreach ((string text, int i) in texts.Select((text, i) => (text, i)))
        {
            double[] row = [.. model.Forward(new Batch([.. tokenizer.EncodeForModel(text).Ids]), new ForwardContext(pool)).Data.ToArray().Select(score => (double)score)];
            int truth = i % 2 == 0 ? 2 : 0;
            nats += Math.Log(row.Sum(Math.Exp)) - row[truth];
            right += Array.IndexOf(row, row.Max()) == truth ? 1 : 0;
        }
        Assert.Equal(right / 5, scores.Accuracy.Value, 1e-9);
        Assert.Equal(nats / 5, scores.NegativeLogLikelihood.Value, 1e-5);
        double p = right / 5;
        Assert.Equal(Math.Sqrt(p * (1 - p) / 4), scores.Accuracy.StandardError, 1e-9);
        (Score gain, Score agreement) = scores.Against(scores);
        Assert.Equal((0, 1), (gain.Value, agreement.Value));
    }

    [Fact]
    public void Both_layouts_of_a_task_hold_the_same_texts()
    {
        File.WriteAllText(folder["task.tsv"], "sentence1\tsentence2\tlabel\nso\tthus\t1\n");
        File.WriteAllText(folder["task.jsonl"], """{"sentence1": "so", "sentence2": "thus", "label": 1}""");
        Assert.Equal(new LabelledText("so", "thus", "1"), Assert.Single(LabelledTexts.Read(folder["task.tsv"]).Texts));
        Assert.Equal(new LabelledText("so", "thus", "1"), Assert.Single(LabelledTexts.Read(folder["task.jsonl"]).Texts));
    }

    [Theory]
    [InlineData("task.tsv", "sentence\tlabel\nonly one cell\n", "line 2 has 1 cells, wanted 2")]
    [InlineData("task.tsv", "words\tlabel\na\t1\n", "its head line has columns words, label")]
    [InlineData("task.tsv", "sentence\tlabel\n", "holds no labelled texts")]
    [InlineData("task.jsonl", "{", "line 1: is no JSON")]
    [InlineData("task.jsonl", "{\"label\": 1}", "has none of sentence, text, sentence1")]
    public void A_damaged_task_is_refused_with_its_line(string name, string content, string said)
    {
        File.WriteAllText(folder[name], content);
        Assert.Contains(said, Assert.Throws<CoppiceException>(() => LabelledTexts.Read(folder[name])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_label_that_is_no_class_is_refused()
    {
        (EncoderModel model, Tokenizer tokenizer) = Model();
        File.WriteAllText(folder["task.tsv"], "sentence\tlabel\na\texcellent\n");
        Assert.Contains("text 1 has the label 'excellent', the model's classes are bad, so-so, good",
            Assert.Throws<CoppiceException>(() => Classification.Measure(model, tokenizer, LabelledTexts.Read(folder["task.tsv"]), pool)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Empty_lines_are_passed_over_and_a_text_without_tokens_is_refused()
    {
        File.WriteAllText(folder["task.tsv"], "sentence\tlabel\na\t1\n\nb\t2\n\n");
        File.WriteAllText(folder["task.jsonl"], "{\"text\": \"a\", \"label\": 1}\n\n  \n{\"text\": \"b\", \"label\": 2}\n");
        Assert.Equal(LabelledTexts.Read(folder["task.tsv"]).Texts.ToArray(), LabelledTexts.Read(folder["task.jsonl"]).Texts.ToArray());
        (EncoderModel model, Tokenizer tokenizer) = Model();
        File.WriteAllText(folder["task.tsv"], "sentence\tlabel\na\t1\n\t2\n");
        Assert.Contains("text 2 has no tokens", Assert.Throws<CoppiceException>(() => Classification.Measure(model, tokenizer, LabelledTexts.Read(folder["task.tsv"]), pool)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Texts_that_are_cut_are_counted()
    {
        (EncoderModel model, Tokenizer tokenizer) = Model();
        File.WriteAllText(folder["task.tsv"], $"sentence\tlabel\na\t1\n{new string('b', 50)}\t2\n");
        Assert.Equal(1, Classification.Measure(model, tokenizer, LabelledTexts.Read(folder["task.tsv"]), pool).Cut);
    }

    (EncoderModel Model, Tokenizer Tokenizer) Model()
    {
        new RandomEncoder("roberta ForSequenceClassification").Write(folder.Path);
        return ((EncoderModel)ModelFolder.Load(folder.Path), BpeTrainer.Train(["a"], new BpeTraining { VocabularySize = RandomEncoder.Vocabulary }));
    }
}
