using Coppice.Formats;
using Coppice.Weights;

namespace Coppice.Models;

/// <summary>What a matrix takes in a file, which is more than in memory where the file's format has no such form.</summary>
public static class WrittenBytes
{
    /// <summary>In a .gguf, as <see cref="LanguageModel.SaveGguf"/> writes it unless told otherwise: masks and grids that GGUF does not have become F16.</summary>
    public static long InGguf(Weight weight)
    {
        Weight made = GgufGrids.ToBlocks(DeferredWeight.Made(weight));
        GgmlType type = GgufBlocks.TypeOf(made);
        return (long)made.Rows * made.Columns / type.BlockSize * type.BlockBytes;
    }

    /// <summary>In a Hugging Face folder: integers with a mask of 2 of 4 are written with their zeros.</summary>
    public static long InFolder(Weight weight) => DeferredWeight.Made(weight) is TwoFourIntWeight integers ? integers.ToInt().ByteCount : weight.ByteCount;
}
