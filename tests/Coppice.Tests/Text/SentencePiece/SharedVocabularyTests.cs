using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Tests.Formats;
using Coppice.Text;

namespace Coppice.Tests.Text.SentencePiece;

public sealed class SharedVocabularyTests : IDisposable
{
    const string Ids = """{"</s>": 0, "<unk>": 1, "▁a": 2, "b": 3, "▁": 4, "▁Haus": 5, "chen": 6, ">>deu<<": 7, "c": 8, "<pad>": 9}""";

    readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void Pieces_of_the_source_have_the_ids_of_both_languages()
    {
        Tokenizer tokenizer = Load();
        Assert.Equal((10, null, 0, "Unigram of two languages"), (tokenizer.Count, tokenizer.BosId, tokenizer.EosId, tokenizer.Kind));
        // ▁a and b cost less than ▁ab, c has a piece of its own.
        Assert.Equal([2, 3], tokenizer.Encode("ab"));
        Assert.Equal([2, 8], tokenizer.Encode("ac"));
        // a stands in source.spm, but has no id; z is in neither.
        Assert.Equal([2, 1], tokenizer.Encode("aa"));
        Assert.Equal([2, 3, 1], tokenizer.Encode("abz"));
        Assert.Equal("a Hauschen", tokenizer.Decode([2, 5, 6, 0]));
    }

    [Fact]
    public void A_language_s_marker_is_one_token_and_what_follows_begins_a_text()
    {
        Tokenizer tokenizer = Load();
        Assert.Equal([7, 2, 3], tokenizer.Encode(">>deu<< ab"));
        Assert.Equal([7, 2, 3], tokenizer.Encode(">>deu<<ab"));
        Assert.DoesNotContain(0, tokenizer.Encode("</s>"));
    }

    [Fact]
    public void A_saved_folder_has_the_files_as_they_were()
    {
        Tokenizer tokenizer = Load();
        File.WriteAllBytes(folder["target.spm"], [1, 2, 3]);
        tokenizer = Tokenizer.Load(folder.Path);
        tokenizer.Save(folder["saved"]);
        foreach (string name in (string[])["source.spm", "target.spm", "vocab.json"])
            Assert.Equal(File.ReadAllBytes(folder[name]), File.ReadAllBytes(folder[$"saved/{name}"]));
        Assert.Equal(tokenizer.Hash, Tokenizer.Load(folder["saved"]).Hash);
    }

    [Theory]
    [InlineData(null, "there is no such file"), InlineData("[]", "is no object of ids by token"), InlineData("{\"a\": 1", "is no object of ids by token"), InlineData("{\"a\": 0}", "has no token '<unk>'"), InlineData("{\"<unk>\": -1}", "is no object of ids by token")]
    public void Other_ids_are_refused_by_the_file_s_name(string? ids, string reason)
    {
        File.WriteAllBytes(folder["source.spm"], SentencePieceFileTests.File(unigram: true));
        if (ids is not null)
            File.WriteAllText(folder["vocab.json"], ids);
        CoppiceException error = Assert.Throws<CoppiceException>(() => Tokenizer.Load(folder.Path));
        Assert.StartsWith(folder["vocab.json"], error.Message, StringComparison.Ordinal);
        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
    }

    Tokenizer Load()
    {
        File.WriteAllBytes(folder["source.spm"], SentencePieceFileTests.File(unigram: true));
        File.WriteAllText(folder["vocab.json"], Ids);
        return Tokenizer.Load(folder.Path);
    }
}
