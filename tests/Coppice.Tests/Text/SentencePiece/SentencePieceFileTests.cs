using System.Text;
using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Tests.Formats;
using Coppice.Text;

namespace Coppice.Tests.Text.SentencePiece;

public class SentencePieceFileTests
{
    static readonly (string Piece, float Score, int Kind)[] Pieces =
    [
        ("<unk>", 0, 2), ("<s>", 0, 3), ("</s>", 0, 3), ("▁", -3, 1), ("a", -2, 1), ("b", -2.5f, 1), ("▁a", -2.2f, 1), ("ab", -4, 1), ("abc", -9, 1), ("c", -4, 1), ("<sep>", 0, 4), ("zz", -1, 5), ("▁ab", -6.5f, 1),
    ];

    [Fact]
    public void Unigram_is_as_the_best_of_all_cuts()
    {
        Tokenizer tokenizer = Load(File(unigram: true));
        Assert.Equal((13, 1, 2, "Unigram"), (tokenizer.Count, tokenizer.BosId, tokenizer.EosId, tokenizer.Kind));
        Random random = new(3);
        for (int i = 0; i < 500; i++)
        {
            string text = string.Concat(Enumerable.Range(0, random.Next(1, 10)).Select(_ => "abc z"[random.Next(5)]));
            Assert.Equal(Best(text), tokenizer.Encode(text));
        }
    }

    [Fact]
    public void Blanks_at_the_ends_go_and_blanks_in_a_row_are_one()
    {
        Tokenizer tokenizer = Load(File(unigram: true));
        Assert.Equal(tokenizer.Encode("a b"), tokenizer.Encode("  a    b  "));
        Assert.Empty(tokenizer.Encode("   "));
        Assert.Equal("a b", tokenizer.Decode(tokenizer.Encode("a  b")));
        Assert.Equal([6, 10, 5], tokenizer.Encode("a<sep>b"));
        // A text that begins with a symbol has the space in front still.
        Assert.Equal([3, 10, 5], tokenizer.Encode("<sep>b"));
        Assert.Equal([3, 10, 5], tokenizer.Encode("  <sep>b"));
        Assert.DoesNotContain(2, tokenizer.Encode("</s>"));
    }

    [Fact]
    public void Bpe_merges_by_score()
    {
        Tokenizer tokenizer = Load(File(unigram: false));
        Assert.Equal([12, 9], tokenizer.Encode("abc"));     // ▁a (-2.2) before ab (-4), then ▁ab (-6.5); abc is of ab and c
        Assert.Equal("BPE", tokenizer.Kind);
    }

    [Fact]
    public void A_saved_folder_has_the_file_as_it_was()
    {
        using TemporaryFolder folder = new();
        System.IO.File.WriteAllBytes(folder["tokenizer.model"], File(unigram: true));
        Tokenizer tokenizer = Tokenizer.Load(folder.Path);
        tokenizer.Save(folder["saved"]);
        Assert.Equal(File(unigram: true), System.IO.File.ReadAllBytes(folder["saved/tokenizer.model"]));
        Assert.Equal(tokenizer.Hash, Tokenizer.Load(folder["saved"]).Hash);
    }

    [Fact]
    public void Damaged_files_are_read_or_refused_in_one_line()
    {
        byte[] file = File(unigram: true);
        Random random = new(1);
        for (int i = 0; i < 2000; i++)
        {
            byte[] damaged = i < file.Length ? file[..i] : [.. file];
            if (i >= file.Length)
                damaged[random.Next(damaged.Length)] ^= (byte)(1 << random.Next(8));
            try
            {
                Load(damaged).Encode("ab c");
            }
            catch (CoppiceException error)
            {
                Assert.DoesNotContain('\n', error.Message);
            }
        }
        Assert.Contains("trainer_spec.model_type is 3", Assert.Throws<CoppiceException>(() => Load([.. file, 0x12, 2, 0x18, 3])).Message, StringComparison.Ordinal);
    }

    static Tokenizer Load(byte[] file)
    {
        using TemporaryFolder folder = new();
        System.IO.File.WriteAllBytes(folder["m.model"], file);
        return Tokenizer.Load(folder["m.model"]);
    }

    // ModelProto: pieces (1), trainer_spec (2) with model_type (3), normalizer_spec (3) left at its defaults
    internal static byte[] File(bool unigram)
    {
        List<byte> file = [];
        foreach ((string piece, float score, int kind) in Pieces)
        {
            byte[] text = Encoding.UTF8.GetBytes(piece);
            byte[] message = [0x0A, (byte)text.Length, .. text, 0x15, .. BitConverter.GetBytes(score), 0x18, (byte)kind];
            file.AddRange([0x0A, (byte)message.Length, .. message]);
        }
        return [.. file, 0x12, 2, 0x18, (byte)(unigram ? 1 : 2)];
    }

    // Every cut of the text is tried; unknown characters cost the lowest score less 10, and in a row are one token.
    static List<int> Best(string text)
    {
        string spaced = string.Join(' ', text.Split(' ', StringSplitOptions.RemoveEmptyEntries));
        if (spaced.Length == 0)
            return [];
        string all = "▁" + spaced.Replace(' ', '▁');
        (float _, List<int> ids) = Cut(all);
        return [.. ids.Where((id, index) => id != 0 || index == 0 || ids[index - 1] != 0)];
    }

    static (float Score, List<int> Ids) Cut(string text)
    {
        if (text.Length == 0)
            return (0, []);
        (float Score, List<int> Ids) best = (float.NegativeInfinity, []);
        bool hasSingle = false;
        for (int id = 0; id < Pieces.Length; id++)
            if (Pieces[id].Kind == 1 && text.StartsWith(Pieces[id].Piece, StringComparison.Ordinal))
            {
                hasSingle |= Pieces[id].Piece.Length == 1;
                (float score, List<int> ids) = Cut(text[Pieces[id].Piece.Length..]);
                if (score + Pieces[id].Score > best.Score)
                    best = (score + Pieces[id].Score, [id, .. ids]);
            }
        if (!hasSingle)
        {
            (float score, List<int> ids) = Cut(text[1..]);
            if (score - 19 > best.Score)
                best = (score - 19, [0, .. ids]);
        }
        return best;
    }
}
