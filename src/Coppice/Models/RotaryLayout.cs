namespace Coppice.Models;

/// <summary>Two ways to lay out what a rotary position turns. Ours, as Hugging Face's, pairs row i of a head with row i + d/2; GGUF's llama and llama2.c pair neighbours.</summary>
static class RotaryLayout
{
    /// <summary>For each of our rows the row where pairs lie side by side.</summary>
    public static int[] FromNeighbours(int heads, int headWidth)
    {
        int[] order = new int[heads * headWidth];
        for (int head = 0; head < heads; head++)
            for (int half = 0; half < 2; half++)
                for (int pair = 0; pair < headWidth / 2; pair++)
                    order[head * headWidth + half * (headWidth / 2) + pair] = head * headWidth + 2 * pair + half;
        return order;
    }
}
