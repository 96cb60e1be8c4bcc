using System.Text;
using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Tests.Formats;
using Coppice.Text;

namespace Coppice.Tests.Text;

public class Llama2CVocabularyTests
{
    // Scores fall with the id, as SentencePiece trains them, but for "ab".
    static readonly (string Piece, float Score)[] Extra = [(" ", -1), ("a", -2), ("b", -3), ("c", -4), ("é", -5), ("bc", -6), ("ab", -7), (" a", -8), (" ab", -9), ("cc", -6)];

    [Fact]
    public void Merges_the_best_score_first_and_of_equals_the_leftmost()
    {
        Tokenizer tokenizer = new(Llama2CVocabulary.Read(FileBytes(), null));
        Assert.Equal(["▁a", "bc"], Pieces(tokenizer, "abc"));       // bc (-6) before ab (-7), then " a"
        Assert.Equal(["▁ab"], Pieces(tokenizer, "ab"));             // ab (-7) before " a" (-8)
        Assert.Equal(["▁", "bc", "cc"], Pieces(tokenizer, "bccc")); // bc and cc have equal scores
        Assert.Equal(["▁", "é", "<0xE2>", "<0x82>", "<0xAC>"], Pieces(tokenizer, "é€"));
        Assert.Empty(tokenizer.Encode(""));
    }

    [Fact]
    public void Decoding_after_BOS_drops_the_space_that_encoding_put_there()
    {
        Tokenizer tokenizer = new(Llama2CVocabulary.Read(FileBytes(), null));
        Assert.Equal((1, 2), (tokenizer.BosId, tokenizer.EosId));
        foreach (string text in HostileText.Samples)
        {
            int[] ids = [1, .. tokenizer.Encode(text), 2];
            Assert.Equal(text, tokenizer.Decode(ids));
            Assert.Equal(HostileText.Utf8Length(text), tokenizer.ByteCount(ids));
        }
        Assert.Equal("a", tokenizer.Decode(tokenizer.Encode("a")));
    }

    [Fact]
    public void A_saved_folder_has_the_tokenizer_in_Hugging_Faces_layout()
    {
        using TemporaryFolder folder = new();
        File.WriteAllBytes(folder["tokenizer.bin"], FileBytes());
        Tokenizer tokenizer = Tokenizer.Load(folder.Path);
        tokenizer.Save(folder["saved"]);
        Assert.Equal(["tokenizer.json", "tokenizer_config.json"], Directory.GetFiles(folder["saved"]).Select(Path.GetFileName).Order());
        Tokenizer again = Tokenizer.Load(folder["saved"]);
        Assert.Equal((tokenizer.Hash, tokenizer.Count, 1, 2), (again.Hash, again.Count, again.BosId, again.EosId));
        Assert.All(HostileText.Samples, text => Assert.Equal(tokenizer.Encode(text), again.Encode(text)));
    }

    [Fact]
    public void Every_cut_of_the_file_is_refused()
    {
        byte[] file = FileBytes();
        for (int length = 0; length < file.Length; length++)
            Assert.Throws<CoppiceException>(() => Llama2CVocabulary.Read(file.AsSpan(0, length), 259 + Extra.Length));
        string message = Assert.Throws<CoppiceException>(() => Llama2CVocabulary.Read(file.AsSpan(0, file.Length - 1), null)).Message;
        Assert.Equal($"cut short: token 268 needs 2 bytes at {file.Length - 2}, the file has {file.Length - 1}", message);
    }

    [Fact]
    public void Another_count_than_the_models_is_refused()
    {
        Assert.Equal($"269 tokens end at byte {FileBytes().Length} of {FileBytes().Length}, the model has 512",
            Assert.Throws<CoppiceException>(() => Llama2CVocabulary.Read(FileBytes(), 512)).Message);
        Assert.Contains("the model has 268", Assert.Throws<CoppiceException>(() => Llama2CVocabulary.Read(FileBytes(), 268)).Message);
    }

    [Fact]
    public void A_length_that_cannot_be_is_refused()
    {
        byte[] file = FileBytes();
        BitConverter.TryWriteBytes(file.AsSpan(8), int.MaxValue);
        Assert.Contains("token 0 claims 2147483647 bytes", Assert.Throws<CoppiceException>(() => Llama2CVocabulary.Read(file, null)).Message);
    }

    [SharedDataFact("stories260K/tok512.bin", "tinystories/tinystories_1000.lines.txt")]
    public void Stories260K_has_the_tokens_and_bytes_that_llama2c_counts()
    {
        Tokenizer tokenizer = Tokenizer.Load(SharedDataFactAttribute.PathOf("stories260K/tok512.bin"));
        Assert.Equal([1, 403, 407, 261, 378], (int[])[1, .. tokenizer.Encode("Once upon a time")]);
        // each story with BOS, cut to the context of 512
        long tokens = 0, bytes = 0;
        foreach (string story in File.ReadLines(SharedDataFactAttribute.PathOf("tinystories/tinystories_1000.lines.txt")))
        {
            int[] ids = [1, .. tokenizer.Encode(story)];
            Assert.Equal(story, tokenizer.Decode(ids));
            tokens += Math.Min(ids.Length, 512) - 1;
            bytes += tokenizer.ByteCount(ids.AsSpan(0, Math.Min(ids.Length, 512)));
        }
        Assert.Equal(405_829, tokens);
        Assert.Equal(1.1414, 1.6085 / Math.Log(2) * tokens / bytes, 0.0001);
    }

    [SharedDataFact("stories260K/tok512.bin")]
    public void Encodes_as_the_slow_way_that_joins_the_best_pair_again_and_again()
    {
        Tokenizer tokenizer = Tokenizer.Load(SharedDataFactAttribute.PathOf("stories260K/tok512.bin"));
        string[] texts = [.. HostileText.Samples, "Once upon a time, there was a little girl named Lily. She loved to play outside!", "  two  spaces", "aaaaaaaaeeeeee"];
        Assert.All(texts.Where(text => text.Length > 0), text => Assert.Equal(Slow(tokenizer, text), tokenizer.Encode(text)));
    }

    static List<int> Slow(Tokenizer tokenizer, string text)
    {
        List<string> pieces = [.. Enumerable.Range(0, tokenizer.Count).Select(tokenizer.Token)];
        float[] scores = Scores(File.ReadAllBytes(SharedDataFactAttribute.PathOf("stories260K/tok512.bin")));
        List<int> ids = [];
        foreach (Rune rune in ("▁" + text.Replace(' ', '▁')).EnumerateRunes())
            if (pieces.IndexOf(rune.ToString()) is int id and >= 0)
                ids.Add(id);
            else
                ids.AddRange(Encoding.UTF8.GetBytes(rune.ToString()).Select(value => value + 3));
        while (true)
        {
            (int Position, int Id) best = (-1, -1);
            for (int i = 0; i + 1 < ids.Count; i++)
                if (pieces.IndexOf(pieces[ids[i]] + pieces[ids[i + 1]]) is int joined and >= 0 && (best.Id < 0 || scores[joined] > scores[best.Id]))
                    best = (i, joined);
            if (best.Id < 0)
                return ids;
            ids[best.Position] = best.Id;
            ids.RemoveAt(best.Position + 1);
        }
    }

    static float[] Scores(byte[] file)
    {
        List<float> scores = [];
        for (int at = 4; at < file.Length; at += 8 + BitConverter.ToInt32(file, at + 4))
            scores.Add(BitConverter.ToSingle(file, at));
        return [.. scores];
    }

    static string[] Pieces(Tokenizer tokenizer, string text) => [.. tokenizer.Encode(text).Select(tokenizer.Token)];

    static byte[] FileBytes()
    {
        IEnumerable<(string Piece, float Score)> tokens = [("<unk>", 0), ("\n<s>\n", 0), ("\n</s>\n", 0), .. Enumerable.Range(0, 256).Select(value => ($"<0x{value:X2}>", 0f)), .. Extra];
        using MemoryStream stream = new();
        using BinaryWriter writer = new(stream);
        writer.Write(tokens.Max(token => HostileText.Utf8Length(token.Piece)));
        foreach ((string piece, float score) in tokens)
        {
            writer.Write(score);
            writer.Write(HostileText.Utf8Length(piece));
            writer.Write(Encoding.UTF8.GetBytes(piece));
        }
        return stream.ToArray();
    }
}
