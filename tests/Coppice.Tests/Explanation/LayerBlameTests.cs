using Coppice.Explanation;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Tests.Explanation;

public class LayerBlameTests
{
    static bool Damaged(string name) => name.Contains("layers.1.mlp.up_proj", StringComparison.Ordinal);

    [Fact]
    public void A_single_damaged_matrix_gets_all_of_the_blame()
    {
        using WorkerPool pool = new(1);
        DecoderModel model = TinyModels.Create(), compressed = TinyModels.Rounded(model, Damaged);
        BlameResult result = new LayerBlame().Measure(model, compressed, pool, TinyModels.Windows(4, 10));
        Assert.Equal(40, result.Tokens);
        Assert.True(result.Kl.Value > 1e-3);
        Assert.Equal(["embedding", "block 0", "block 1", "block 2", "head"], result.Stages.Select(blame => blame.Name));
        Assert.Equal(21, result.Matrices.Length);
        foreach (Blame blame in result.Stages.Concat(result.Matrices))
        {
            double expected = blame.Block == 1 && blame.Matrix is null or "mlp.up_proj" && blame.Block == 1 ? result.Kl.Value : 0;
            Assert.Equal(expected, blame.Removed.Value, 1e-5);
            Assert.Equal(expected, blame.Added.Value, 1e-5);
        }
    }

    [Fact]
    public void Restoring_a_block_is_what_replacing_its_weights_by_hand_gives()
    {
        using WorkerPool pool = new(1);
        DecoderModel model = TinyModels.Create(), compressed = TinyModels.Rounded(model, _ => true);
        List<ReadOnlyMemory<int>> windows = TinyModels.Windows(3, 10);
        Weight[] before = [.. compressed.Matrices().Select(part => part.Layer.Weight)];
        BlameResult result = new LayerBlame().Measure(model, compressed, pool, windows);
        Assert.Equal(before, compressed.Matrices().Select(part => part.Layer.Weight));

        double Kl(Func<string, bool> rough)
        {
            DecoderModel hybrid = TinyModels.Rounded(model, rough);
            double sum = 0;
            foreach (ReadOnlyMemory<int> window in windows)
                sum += PlainKl(Logits(model, pool, window), Logits(hybrid, pool, window), 37);
            return sum / result.Tokens;
        }

        double whole = Kl(_ => true);
        Assert.Equal(whole, result.Kl.Value, 1e-5);
        Blame block = result.Stages[3];
        Assert.Equal(whole - Kl(name => !name.Contains("layers.2.", StringComparison.Ordinal)), block.Removed.Value, 1e-5);
        Assert.Equal(Kl(name => name.Contains("layers.2.", StringComparison.Ordinal)), block.Added.Value, 1e-5);
        Blame query = result.Matrices.Single(blame => blame is { Block: 0, Matrix: "self_attn.q_proj" });
        Assert.Equal(whole - Kl(name => !name.Contains("layers.0.self_attn.q_proj", StringComparison.Ordinal)), query.Removed.Value, 1e-5);
    }

    [Fact]
    public void The_error_is_paired_over_windows()
    {
        using WorkerPool pool = new(1);
        DecoderModel model = TinyModels.Create(), compressed = TinyModels.Rounded(model, _ => true);
        List<ReadOnlyMemory<int>> windows = TinyModels.Windows(5, 10);
        double Removed(params int[] chosen) =>
            new LayerBlame { Detail = BlameDetail.Stages }.Measure(model, compressed, pool, [.. chosen.Select(i => windows[i])]).Stages[1].Removed.Value;
        double[] each = [.. Enumerable.Range(0, 5).Select(i => Removed(i, i))];
        double mean = each.Average(), error = Math.Sqrt(each.Sum(value => (value - mean) * (value - mean)) / (5 * 4));
        BlameResult all = new LayerBlame { Detail = BlameDetail.Stages }.Measure(model, compressed, pool, windows);
        Assert.Equal(mean, all.Stages[1].Removed.Value, 1e-6);
        Assert.Equal(error, all.Stages[1].Removed.StandardError, 1e-6);
    }

    [Fact]
    public void The_budget_ends_the_reading_after_whole_windows_and_two_are_needed()
    {
        using WorkerPool pool = new(1);
        DecoderModel model = TinyModels.Create();
        LayerBlame blame = new() { MaxTokens = 35, Detail = BlameDetail.Stages };
        Assert.Equal(30, blame.Measure(model, model, pool, TinyModels.Windows(9, 10)).Tokens);
        Assert.Contains("wanted two or more", Assert.Throws<CoppiceException>(() => blame.Measure(model, model, pool, TinyModels.Windows(1, 10))).Message);
    }

    static float[] Logits(Model model, WorkerPool pool, ReadOnlyMemory<int> window) => model.Forward(new Batch(window.Span), new ForwardContext(pool)).Data.ToArray();

    /// <summary>sum p ln(p / q), the textbook's way, in double.</summary>
    static double PlainKl(float[] left, float[] right, int vocabulary)
    {
        double sum = 0;
        foreach ((float[] l, float[] r) in left.Chunk(vocabulary).Zip(right.Chunk(vocabulary)))
        {
            double zl = l.Sum(x => Math.Exp(x)), zr = r.Sum(x => Math.Exp(x));
            sum += l.Zip(r).Sum(pair => Math.Exp(pair.First) / zl * (pair.First - Math.Log(zl) - pair.Second + Math.Log(zr)));
        }
        return sum;
    }
}
