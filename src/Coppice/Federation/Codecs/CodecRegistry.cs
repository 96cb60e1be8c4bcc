namespace Coppice.Federation.Codecs;

/// <summary>The codecs there are, by name and parameters.</summary>
public static class CodecRegistry
{
    /// <summary>What a name looks like; parameters in brackets may be left out.</summary>
    public static IReadOnlyList<string> Forms { get; } =
    [
        "identity", "float16", "int8", "int8-feedback", "int4", "sign", "topk:SHARE[:int4|float16]", "randomk:SHARE[:int4|float16]", "powersgd[:RANK]", "pq[:WIDTH[:CODES]]", "bookpq[:WIDTH[:CODES]]", "sketch:SHARE[:ROWS]", "mask:SHARE",
    ];

    /// <summary>A codec by its name, such as <c>int8</c> or <c>topk:0.01:int4</c>.</summary>
    /// <exception cref="Tensors.CoppiceException">There is none of that name, or a parameter is not what it takes.</exception>
    public static ICodec Find(string text)
    {
        Spec spec = new("codec", text);
        return spec.Name switch
        {
            "identity" => spec.End(new IdentityCodec()),
            "float16" => spec.End(new Float16Codec()),
            "int8" => spec.End(new Int8Codec(Int8Rounding.Stochastic)),
            "int8-feedback" => spec.End(new Int8Codec(Int8Rounding.ErrorFeedback)),
            "int4" => spec.End(new Int4Codec()),
            "sign" => spec.End(new SignCodec()),
            "topk" => spec.End(new TopKCodec(Share(spec), Format(spec))),
            "randomk" => spec.End(new RandomKCodec(Share(spec), Format(spec))),
            "powersgd" => spec.End(new PowerSgdCodec(spec.Whole("a rank", 4, 1, 256))),
            "pq" => spec.End(new ProductCodec(spec.Whole("a width", 8, 2, 64), spec.Whole("a number of codes", 256, 2, 256))),
            "bookpq" => spec.End(new SharedProductCodec(spec.Whole("a width", 8, 2, 64), spec.Whole("a number of codes", 256, 2, 256))),
            "sketch" => spec.End(new SketchCodec(Share(spec), spec.Whole("a number of rows", 3, 1, 9))),
            "mask" => spec.End(new MaskCodec(Share(spec))),
            _ => throw spec.Unknown(Forms),
        };
    }

    static double Share(Spec spec) => spec.Number("a share", null, 1e-6, 1);

    static SparseValues Format(Spec spec) => spec.Word("a format", "int4", "float16") == "int4" ? SparseValues.Int4 : SparseValues.Float16;
}
