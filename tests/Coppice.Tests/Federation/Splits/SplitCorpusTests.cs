using Coppice.Federation;
using Coppice.Federation.Splits;
using Coppice.Tensors;
using Coppice.Tests.Formats;
using Coppice.Text;

namespace Coppice.Tests.Federation.Splits;

public class SplitCorpusTests
{
    [Fact]
    public void Speeches_of_a_play_are_labelled_with_their_speakers()
    {
        using TemporaryFolder folder = new();
        File.WriteAllText(folder["play.txt"], "Anna:\nGood day.\nAnd you?\n\n\nBert:\nGood day.\n\nCarl:\n\nAnna:\nWell: well.\n");
        IReadOnlyList<LabelledDocument> speeches = LabelledDocuments.Open(folder["play.txt"]);
        Assert.Equal([("Anna", "Good day.\nAnd you?"), ("Bert", "Good day."), ("Anna", "Well: well.")], speeches.Select(speech => (speech.Label, speech.Document.Text)));
        Assert.EndsWith("play.txt:6", speeches[1].Document.Source, StringComparison.Ordinal);
    }

    [Fact]
    public void Labels_are_a_field_of_the_lines_or_the_folder_of_the_file()
    {
        using TemporaryFolder folder = new();
        File.WriteAllText(folder["lines.jsonl"], """{"text":"rose","author":"anna"}""" + "\n" + """{"text":"violet","author":7}""" + "\n");
        File.WriteAllText(folder["lines.tsv"], "sentence\tlabel\nrose\t0\nviolet\t1\n");
        Directory.CreateDirectory(folder["corpus/poems"]);
        File.WriteAllText(folder["corpus/poems/one.txt"], "rose\nviolet");
        File.WriteAllText(folder["corpus/letter.txt"], "dear");
        Assert.Equal([("anna", "rose"), ("7", "violet")], LabelledDocuments.Open(folder["lines.jsonl"], "author").Select(text => (text.Label, text.Document.Text)));
        Assert.Equal([("0", "rose"), ("1", "violet")], LabelledDocuments.Open(folder["lines.tsv"]).Select(text => (text.Label, text.Document.Text)));
        Assert.Equal([("letter.txt", "dear"), ("poems", "rose"), ("poems", "violet")],
            LabelledDocuments.Open(folder["corpus"], options: new CorpusOptions { Unit = DocumentUnit.Line }).Select(text => (text.Label, text.Document.Text)));
    }

    [Fact]
    public void What_has_no_labels_is_said_in_a_line()
    {
        using TemporaryFolder folder = new();
        File.WriteAllText(folder["prose.txt"], "Anna:\nGood day.\n\nIt rained.\n");
        File.WriteAllText(folder["lines.jsonl"], """{"text":"rose"}""" + "\n");
        ISplit split = SplitRegistry.Find("label");
        Refused("line 4 is 'It rained.', wanted a speaker as 'NAME:'", folder["prose.txt"]);
        Refused("lines have no labels", folder["prose.txt"], new CorpusOptions { Unit = DocumentUnit.Line });
        Refused("none.txt: could not be read", folder["none.txt"]);
        Refused("line 1", folder["lines.jsonl"]);
        Refused("sdk:train: has no labels", "sdk:train");
        Assert.Equal(4, SplitCorpus.Open(folder["prose.txt"], SplitRegistry.Find("iid:3"), 1, options: new CorpusOptions { Unit = DocumentUnit.Line }).Clients.Sum(client => client.Train.Documents.Count) + 1);

        void Refused(string said, string spec, CorpusOptions? options = null)
        {
            string message = Assert.Throws<CoppiceException>(() => SplitCorpus.Open(spec, split, 1, options: options)).Message;
            Assert.Contains(said, message, StringComparison.Ordinal);
            Assert.DoesNotContain('\n', message);
        }
    }

    [Fact]
    public void A_share_of_each_clients_documents_is_held_out_and_every_document_is_in_one_place()
    {
        LabelledDocument[] documents = [.. Enumerable.Range(0, 200).Select(i => new LabelledDocument(new Document($"{i}", $"text {i}"), $"{i % 4}"))];
        SplitCorpus dealt = SplitCorpus.Deal("corpus", documents, SplitRegistry.Find("dirichlet:0.5:6"), 5, 0.2);
        Assert.Equal(Enumerable.Range(0, 200).Select(i => $"text {i}").Order(), dealt.Clients.SelectMany(client => client.Train.Documents.Concat(client.HeldOut?.Documents ?? [])).Select(document => document.Text).Order());
        Assert.All(dealt.Clients, client => Assert.InRange((client.HeldOut?.Documents.Count ?? 0) - (0.2 * (client.Train.Documents.Count + (client.HeldOut?.Documents.Count ?? 0))), -0.5, 1));
        Assert.Equal(0, dealt.LeftOut);
        Assert.All(SplitCorpus.Deal("corpus", documents, SplitRegistry.Find("iid:6"), 5, 0).Clients, client => Assert.Null(client.HeldOut));
        Assert.Throws<CoppiceException>(() => SplitCorpus.Deal("corpus", documents, SplitRegistry.Find("iid:6"), 5, 1));
    }

    [Fact]
    public void Labels_diverge_fully_by_label_and_little_where_alpha_is_large()
    {
        LabelledDocument[] documents = [.. Enumerable.Range(0, 400).Select(i => new LabelledDocument(new Document($"{i}", $"text {i}"), $"{i % 4}"))];
        Assert.Equal(1, Divergence("label"), 1e-9);
        Assert.InRange(Divergence("dirichlet:1000:4"), 0, 0.01);
        Assert.InRange(Divergence("dirichlet:0.1:4"), 0.3, 1);
        Assert.Null(SplitCorpus.Deal("corpus", documents, SplitRegistry.Find("iid:4"), 1).LabelDivergence);

        double Divergence(string split) => SplitCorpus.Deal("corpus", documents, SplitRegistry.Find(split), 1).LabelDivergence!.Value;
    }
}
