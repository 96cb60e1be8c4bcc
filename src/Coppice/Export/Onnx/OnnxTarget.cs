using System.Collections.Immutable;
using System.Globalization;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Google.Protobuf;
using static Coppice.Export.Onnx.TensorProto.Types;

namespace Coppice.Export.Onnx;

/// <summary>A Hugging Face folder with <c>onnx/model.onnx</c> and its numbers in <c>onnx/model.onnx_data</c>, which optimum and transformers.js look for. Types are f32 and f16 and, for integers by DequantizeLinear, f32-qdq and f16-qdq.</summary>
sealed class OnnxTarget : ConversionTarget
{
    /// <summary>The file of numbers beside the graph.</summary>
    public const string DataName = "model.onnx_data";

    const string GraphName = "model.onnx", FolderName = "onnx";

    // Version 21 is the first with 4-bit numbers and scales by block.
    const long IrVersion = 10, OpsetVersion = 21;

    // Enough for every type, and what processors like.
    const long Alignment = 64;

    readonly OnnxPrecision precision;
    readonly OnnxIntegers integers;

    public OnnxTarget(ConversionOptions options) => (precision, integers) = options.Type?.ToLowerInvariant() switch
    {
        null or "f32" => (OnnxPrecision.Float32, OnnxIntegers.MatMulNBits),
        "f16" => (OnnxPrecision.Float16, OnnxIntegers.MatMulNBits),
        "f32-qdq" => (OnnxPrecision.Float32, OnnxIntegers.DequantizeLinear),
        "f16-qdq" => (OnnxPrecision.Float16, OnnxIntegers.DequantizeLinear),
        _ => throw new CoppiceException($"onnx has no type '{options.Type}', wanted f32, f16, f32-qdq or f16-qdq"),
    };

    /// <inheritdoc/>
    public override bool IsFolder => true;

    /// <inheritdoc/>
    public override (ImmutableArray<string> Files, ImmutableArray<string> LeftOut) Write(ConversionSource source, string built, string name, WritingOptions writing, Refusal refusal)
    {
        DecoderModel model = source.Model.Language.Model as DecoderModel ?? throw new CoppiceException($"{source.Path}: is a {source.Model.Language.Model.Family}, and only decoders are written as ONNX");
        OnnxGraph graph = new();
        OnnxMatrices matrices = new(graph, model, precision, integers, refusal);
        OnnxDecoder.Build(model, graph, matrices);
        string folder = Path.Combine(built, FolderName);
        Directory.CreateDirectory(folder);
        WriteData(Path.Combine(folder, DataName), graph.Graph, matrices.Tensors, writing);
        ModelProto file = new()
        {
            IrVersion = IrVersion,
            ProducerName = "coppice",
            ProducerVersion = typeof(OnnxTarget).Assembly.GetName().Version!.ToString(3),
            Graph = graph.Graph,
            OpsetImport = { new OperatorSetIdProto { Version = OpsetVersion }, new OperatorSetIdProto { Domain = "com.microsoft", Version = 1 } },
        };
        AtomicFile.Write(Path.Combine(folder, GraphName), file.WriteTo);
        FolderFiles.WriteConfig(source, built, precision == OnnxPrecision.Float16 ? DType.F16 : DType.F32, null);
        return FolderFiles.Complete(source, built);
    }

    static void WriteData(string path, GraphProto graph, IReadOnlyList<OnnxTensor> tensors, WritingOptions writing)
    {
        using WorkerPool own = new(1);
        List<PlacedTensor> placed = [];
        long at = 0, done = 0, total = tensors.Sum(tensor => tensor.Source.ByteCount);
        foreach ((TensorSource source, DataType type, IReadOnlyList<long> shape) in tensors)
        {
            placed.Add(new PlacedTensor(source.Name, at, source.ByteCount, stream => source.Write(stream, writing.Pool ?? own)));
            graph.Initializer.Add(new TensorProto
            {
                Name = source.Name,
                DataType = type,
                Dims = { shape },
                DataLocation = DataLocation.External,
                ExternalData = { Pair("location", DataName), Pair("offset", at.ToString(CultureInfo.InvariantCulture)), Pair("length", source.ByteCount.ToString(CultureInfo.InvariantCulture)) },
            });
            at = (at + source.ByteCount + Alignment - 1) / Alignment * Alignment;
        }
        PlacedFile.Write(path, [], at, placed, writing, tensor => writing.Progress?.Report(new WriteProgress(tensor.Name, done += tensor.ByteCount, total)));

        static StringStringEntryProto Pair(string key, string value) => new() { Key = key, Value = value };
    }

    /// <inheritdoc/>
    public override IEnumerable<ConvertedTensor> Compare(ConversionSource source, string built, Refusal refusal, WorkerPool pool)
    {
        using OnnxFile written = new(Path.Combine(built, FolderName, GraphName));
        foreach (CheckpointEntry entry in ModelCheckpoint.Entries(source.Model.Language.Model))
            yield return Compare(entry, entry.Weight is null ? new CheckpointEntry(entry.Name, written.Vector(entry.Name)) : new CheckpointEntry(entry.Name, written.Matrix(entry.Name[..^".weight".Length], entry.Shape)), refusal.Of(entry.Name), pool);
    }
}
