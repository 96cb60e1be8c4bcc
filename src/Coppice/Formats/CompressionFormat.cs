namespace Coppice.Formats;

/// <summary>How compressed-tensors lays out a layer's quantized weight.</summary>
public enum CompressionFormat
{
    /// <summary><c>pack-quantized</c>: integers of 1 to 8 bits in words.</summary>
    PackQuantized,

    /// <summary><c>int-quantized</c>: signed bytes.</summary>
    IntQuantized,

    /// <summary><c>float-quantized</c>: 8-bit floating-point numbers.</summary>
    FloatQuantized,

    /// <summary><c>naive-quantized</c>: a byte a number, of either sort.</summary>
    NaiveQuantized,
}

static class CompressionFormats
{
    static readonly string[] Names = ["pack-quantized", "int-quantized", "float-quantized", "naive-quantized"];

    /// <summary>The file's name for it.</summary>
    public static string Name(this CompressionFormat format) => Names[(int)format];

    /// <summary>The format of a name, or null.</summary>
    public static CompressionFormat? Find(string name) => Array.IndexOf(Names, name) is >= 0 and int index ? (CompressionFormat)index : null;
}
