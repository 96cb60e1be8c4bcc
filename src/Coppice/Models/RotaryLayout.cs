using Coppice.Weights;

namespace Coppice.Models;

/// <summary>Two ways to lay out what a rotary position turns. Ours, as Hugging Face's, pairs row i of a head with row i + d/2; GGUF's llama and llama2.c pair neighbours.</summary>
static class RotaryLayout
{
    /// <summary>Rows of <paramref name="heads"/> heads, pairs apart, to pairs side by side.</summary>
    public static Weight ToNeighbours(Weight weight, int heads) => weight.Reorder(Order(weight.Rows, heads, (half, place, d) => half * (d / 2) + place, (half, place, d) => 2 * place + half));

    /// <summary>The way back.</summary>
    public static Weight FromNeighbours(Weight weight, int heads) => weight.Reorder(Order(weight.Rows, heads, (half, place, d) => 2 * place + half, (half, place, d) => half * (d / 2) + place));

    static int[] Order(int rows, int heads, Func<int, int, int, int> from, Func<int, int, int, int> to)
    {
        int d = rows / heads;
        int[] order = new int[rows];
        for (int head = 0; head < heads; head++)
            for (int half = 0; half < 2; half++)
                for (int place = 0; place < d / 2; place++)
                    order[head * d + to(half, place, d)] = head * d + from(half, place, d);
        return order;
    }
}
