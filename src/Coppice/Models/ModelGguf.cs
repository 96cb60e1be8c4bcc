using System.Globalization;
using Coppice.Formats;
using Coppice.Models.Families;
using Coppice.Tensors;
using Coppice.Text;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Models;

/// <summary>A model as llama.cpp reads it, whatever its kind.</summary>
static class ModelGguf
{
    /// <summary>Reads a file: the model and the vocabulary that it carries.</summary>
    public static (Model Model, Tokenizer Tokenizer) Load(string path)
    {
        using Gguf file = Gguf.Open(path);
        return Read(file, WeightReading.Whole);
    }

    /// <summary>Reads an open file, its matrices at once or on demand.</summary>
    public static (Model Model, Tokenizer Tokenizer) Read(Gguf file, WeightReading reading) => EncoderGguf.Reads(file) ? EncoderGguf.Read(file, reading) : DecoderGguf.Read(file, reading);

    /// <summary>Writes a file. Each matrix gets the type that holds its numbers exactly where there is one; <paramref name="type"/>, where given, is every matrix's. Vectors are F32.</summary>
    /// <returns>What was not stored exactly, by tensor.</returns>
    public static IReadOnlyList<GgufRounding> Save(Model model, Tokenizer tokenizer, string path, string name, GgmlType? type, WorkerPool? pool = null)
    {
        // Kinds as the model has them: putting rows in llama.cpp's order makes some weights dense.
        Dictionary<string, string> kinds = model.Matrices().ToDictionary(matrix => matrix.Name, matrix => matrix.Layer.Weight.Kind);
        List<GgufRounding> rounded = [];
        Save(model, tokenizer, path, name, pool is null ? null : new WritingOptions { Pool = pool }, (matrix, stored) =>
        {
            Weight weight = DeferredWeight.Made(stored);
            GgmlType chosen = type ?? GgufBlocks.TypeOf(weight);
            if (!GgufBlocks.IsExact(weight, chosen))
                rounded.Add(new GgufRounding(NameOf(model, matrix), kinds[matrix], chosen));
            return chosen;
        });
        return rounded;
    }

    /// <summary>Writes a file with each matrix, told by our name, in the type that <paramref name="typeOf"/> says; <paramref name="told"/> hears what that did to its numbers.</summary>
    public static void Save(Model model, Tokenizer tokenizer, string path, string name, WritingOptions? options, Func<string, Weight, GgmlType> typeOf, Action<string, StoredNumbers>? told = null)
    {
        if (model is EncoderModel encoder)
            EncoderGguf.Save(encoder, tokenizer, path, name, options, typeOf, told);
        else
            DecoderGguf.Save(model as DecoderModel ?? throw new CoppiceException($"{path}: llama.cpp has no architecture for {model.Family} models"), tokenizer, path, name, options, typeOf, told);
    }

    /// <summary>Whether llama.cpp has an architecture for a model.</summary>
    public static bool Knows(Model model) => model is EncoderModel || model is DecoderModel decoder && DecoderGguf.Knows(decoder);

    /// <summary>Why llama.cpp does not compute a model, or computes it otherwise; null where it does.</summary>
    public static string? Refuses(Model model) => model switch
    {
        EncoderModel encoder => EncoderGguf.Refuses(encoder.Config),
        DecoderModel decoder => DecoderGguf.Refuses(decoder.Config),
        _ => $"llama.cpp has no architecture for {model.Family} models",
    };

    /// <summary>llama.cpp's name for the tensor that holds a matrix of ours.</summary>
    public static string NameOf(Model model, string matrix) => PlaceOf(model, matrix).Name;

    /// <summary>The tensor of llama.cpp's that holds a matrix of ours.</summary>
    public static TensorPlace PlaceOf(Model model, string matrix) => model switch
    {
        EncoderModel => new TensorPlace(EncoderGguf.NameOf(matrix)),
        DecoderModel decoder => DecoderGguf.PlaceOf(decoder, matrix),
        _ => throw new CoppiceException($"{matrix}: llama.cpp has no architecture for {model.Family} models"),
    };

    // llama.cpp's llama_ftype: the type of most matrices.
    public static uint FileType(IEnumerable<GgufWriter.Source> sources) =>
        sources.Where(source => source.Entry.Weight is not null).GroupBy(source => source.Type).MaxBy(group => group.Count())!.Key.Name switch
        {
            "F32" => 0u,
            "F16" => 1u,
            "Q4_0" => 2u,
            "Q4_1" => 3u,
            "Q8_0" => 7u,
            "Q5_0" => 8u,
            "Q5_1" => 9u,
            "Q2_K" => 10u,
            "Q3_K" => 12u,
            "Q4_K" => 15u,
            "Q5_K" => 17u,
            "Q6_K" => 18u,
            "IQ2_XXS" => 19u,
            "IQ2_XS" => 20u,
            "IQ3_XXS" => 23u,
            "IQ4_NL" => 25u,
            "IQ3_S" => 26u,
            "IQ2_S" => 28u,
            "IQ4_XS" => 30u,
            "BF16" => 32u,
            "MXFP4" => 38u,
            string other => throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"ModelGguf: {other} has no file type")),
        };
}

/// <summary>A matrix whose numbers a GGUF file holds rounded: <paramref name="Tensor"/> was <paramref name="From"/> and became <paramref name="To"/>.</summary>
public sealed record GgufRounding(string Tensor, string From, GgmlType To);
