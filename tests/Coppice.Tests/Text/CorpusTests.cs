using Coppice.Tensors;
using Coppice.Tests.Formats;
using Coppice.Text;

namespace Coppice.Tests.Text;

public class CorpusTests
{
    [Fact]
    public void A_text_file_is_one_document_or_one_a_line()
    {
        using TemporaryFolder folder = new();
        File.WriteAllText(folder["a.txt"], "one\n\n two \nthree");
        Assert.Equal(["one\n\n two \nthree"], Texts(folder["a.txt"]));
        Assert.Equal(["one", " two ", "three"], Texts(folder["a.txt"], DocumentUnit.Line));
        Assert.Equal($"{folder["a.txt"]}:3", Corpus.Open(folder["a.txt"], new CorpusOptions { Unit = DocumentUnit.Line }).Documents[1].Source);
    }

    [Fact]
    public void A_folder_is_read_in_the_order_of_its_paths_and_a_jsonl_file_has_a_text_a_line()
    {
        using TemporaryFolder folder = new();
        Directory.CreateDirectory(folder["b"]);
        File.WriteAllText(folder["b/z.txt"], "third");
        File.WriteAllText(folder["a.jsonl"], "{\"text\":\"first\",\"n\":1}\n\n{\"text\":\"second\\n\"}\n");
        File.WriteAllText(folder["c.md"], "fourth");
        File.WriteAllText(folder["ignored.bin"], "no");
        File.WriteAllText(folder["empty.txt"], " \n");
        Assert.Equal(["first", "second\n", "third", "fourth"], Texts(folder.Path));
    }

    [Fact]
    public void The_hash_names_the_texts_and_where_they_part()
    {
        static string Hash(params string[] texts) => new Corpus("x", [.. texts.Select((text, i) => new Document($"{i}", text))]).Hash;
        Assert.Equal(Hash("ab", "c"), new Corpus("y", [new Document("other", "ab"), new Document("names", "c")]).Hash);
        Assert.NotEqual(Hash("ab", "c"), Hash("a", "bc"));
        Assert.NotEqual(Hash("ab", "c"), Hash("c", "ab"));
    }

    [Theory]
    [InlineData("[1]", "no string \"text\" in this line")]
    [InlineData("{\"text\":1}", "no string \"text\" in this line")]
    [InlineData("{\"text\"", "not JSON: ")]
    public void A_wrong_line_is_named(string line, string message)
    {
        using TemporaryFolder folder = new();
        File.WriteAllText(folder["a.jsonl"], "{\"text\":\"fine\"}\n" + line);
        Assert.StartsWith($"{folder["a.jsonl"]}:2: {message}", Assert.Throws<CoppiceException>(() => Corpus.Open(folder["a.jsonl"])).Message);
    }

    [Theory]
    [InlineData("no/such/place", "No text at 'no/such/place': neither a file, a folder nor sdk[:train|:valid|:test|:client/NAME]")]
    [InlineData("sdk:dev", "'sdk:dev': 'dev' is none of train, valid, test, client/NAME")]
    [InlineData("sdk:train:x", "'sdk:train:x': nothing may follow 'train'")]
    public void A_spec_that_names_nothing_is_one_clear_line(string spec, string message) =>
        Assert.Equal(message, Assert.Throws<CoppiceException>(() => Corpus.Open(spec)).Message);

    [Fact]
    public void An_unknown_client_is_told_the_ones_there_are() =>
        Assert.StartsWith("'sdk:client/Nobody': 'Nobody' is none of the clients System.", Assert.Throws<CoppiceException>(() => Corpus.Open("sdk:client/Nobody")).Message);

    [Fact]
    public void A_folder_without_text_is_refused()
    {
        using TemporaryFolder folder = new();
        Assert.Equal($"'{folder.Path}' holds no text (looked for .txt, .md, .jsonl)", Assert.Throws<CoppiceException>(() => Corpus.Open(folder.Path)).Message);
    }

    static string[] Texts(string spec, DocumentUnit unit = DocumentUnit.File) =>
        [.. Corpus.Open(spec, new CorpusOptions { Unit = unit }).Documents.Select(document => document.Text)];
}
