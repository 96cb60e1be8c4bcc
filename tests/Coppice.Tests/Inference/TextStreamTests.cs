using System.Text;
using Coppice.Inference;
using Coppice.Tests.Evaluation;
using Coppice.Text;

namespace Coppice.Tests.Inference;

public sealed class TextStreamTests
{
    // A tokenizer with no merges: each byte is a token.
    static readonly Tokenizer Bytes = BpeTrainer.Train(["a"], new BpeTraining { VocabularySize = 257 });

    [Fact]
    public void A_character_comes_out_with_its_last_byte()
    {
        TextStream stream = new(Bytes);
        string[] pieces = [.. Bytes.Encode("aé東😀").Select(id => stream.Add(id).ToString())];
        Assert.Equal(["a", "", "é", "", "", "東", "", "", "", "😀"], pieces);
        Assert.Equal("", stream.End().ToString());
    }

    [Fact]
    public void A_character_that_is_never_completed_becomes_a_replacement()
    {
        TextStream stream = new(Bytes);
        int[] ids = Bytes.Encode("東");
        Assert.Equal("", stream.Add(ids[0]).ToString() + stream.Add(ids[1]).ToString());
        Assert.Equal("\uFFFD", stream.End().ToString());
        Assert.Equal("a", stream.Add(Bytes.Encode("a")[0]).ToString());
    }

    [Fact]
    public void Any_tokens_give_the_text_of_decoding_them_at_once()
    {
        Random random = new(2);
        for (int round = 0; round < 200; round++)
        {
            int[] ids = [.. Enumerable.Range(0, random.Next(30)).Select(_ => random.Next(TinyModels.Tokenizer.Count))];
            TextStream stream = new(TinyModels.Tokenizer);
            StringBuilder text = new();
            foreach (int id in ids)
                text.Append(stream.Add(id));
            text.Append(stream.End());
            Assert.Equal(TinyModels.Tokenizer.Decode(ids), text.ToString());
        }
    }
}
