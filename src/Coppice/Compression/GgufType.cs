namespace Coppice.Compression;

/// <summary>GGUF's block types that Coppice packs. Each block is 32 inputs with one f16 scale.</summary>
public enum GgufType
{
    /// <summary>Signed bytes: 8.5 bits a weight.</summary>
    Q8_0,

    /// <summary>Four bits around a fixed middle: 4.5 bits a weight.</summary>
    Q4_0,
}
