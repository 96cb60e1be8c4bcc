using System.Text.Json;
using Coppice.Formats.PyTorch;
using Coppice.Tensors;

namespace Coppice.Formats;

/// <summary>Opens a Hugging Face folder's weights, whatever holds them: safetensors or PyTorch's own files, plain or quantized.</summary>
public static class Checkpoint
{
    /// <summary>The model's description.</summary>
    public const string ConfigName = "config.json";

    // AutoGPTQ's and AutoAWQ's own files, from before config.json had a place for them.
    const string GptqConfigName = "quantize_config.json", AwqConfigName = "quant_config.json";

    /// <summary>Opens a folder. Only headers are read.</summary>
    /// <exception cref="CoppiceException">A file is absent, damaged or unreadable, or the model is quantized in a way that is not read.</exception>
    public static ICheckpoint Open(string folder, WeightReading reading = WeightReading.Whole)
    {
        TensorContainer tensors = OpenContainer(folder);
        try
        {
            tensors.Reading = reading;
            using QuantizationJson? quantization = QuantizationJson.Find(folder);
            return quantization is null ? tensors : quantization.Method switch
            {
                CompressionConfig.Method => new CompressedCheckpoint(tensors, CompressionConfig.Parse(quantization.Path, quantization.Element)),
                GptqConfig.Method => new GptqCheckpoint(tensors, GptqConfig.Parse(quantization.Path, quantization.Element)),
                AwqConfig.Method => new AwqCheckpoint(tensors, AwqConfig.Parse(quantization.Path, quantization.Element)),
                BitsAndBytes.Method => BitsAndBytesCheckpoint.Open(tensors, quantization.Path, quantization.Element),
                OwnLayout.Method => new OwnCheckpoint(tensors),
                string method => throw FormatError.At(quantization.Path,
                    $"{CompressionConfig.Key}: the model is stored by '{method}', wanted {CompressionConfig.Method}, {GptqConfig.Method}, {AwqConfig.Method}, {BitsAndBytes.Method} or {OwnLayout.Method}"),
            };
        }
        catch
        {
            tensors.Dispose();
            throw;
        }
    }

    // AutoGPTQ named its one file after its settings.
    static TensorContainer OpenContainer(string folder)
    {
        bool Has(string name) => File.Exists(Path.Combine(folder, name));
        if (Has(SafeTensors.SingleName) || Has(SafeTensors.IndexName))
            return SafeTensors.Open(folder);
        if (Has(PyTorchCheckpoint.SingleName) || Has(PyTorchCheckpoint.IndexName))
            return PyTorchCheckpoint.Open(folder);
        string[] others = Directory.Exists(folder) ? Directory.GetFiles(folder, "*.safetensors") : [];
        return others.Length == 1
            ? SafeTensors.Open(others[0])
            : throw FormatError.At(folder, $"has neither {SafeTensors.SingleName} nor {SafeTensors.IndexName}, {PyTorchCheckpoint.SingleName} or {PyTorchCheckpoint.IndexName}{(others.Length == 0 ? "" : $", but {others.Length} other .safetensors files")}");
    }

    /// <summary>What a folder says of its quantization.</summary>
    internal sealed class QuantizationJson : IDisposable
    {
        readonly JsonDocument document;

        QuantizationJson(string path, JsonDocument document, JsonElement element, string? method)
        {
            (Path, this.document, Element) = (path, document, element);
            Method = method ?? (element.ValueKind == JsonValueKind.Object && element.TryGetProperty("quant_method", out JsonElement found) && found.ValueKind == JsonValueKind.String ? found.GetString()! : "");
        }

        /// <summary>The file that it was found in.</summary>
        public string Path { get; }

        /// <summary>The object; gone when this is disposed.</summary>
        public JsonElement Element { get; }

        /// <summary>quant_method, or what the file's name says.</summary>
        public string Method { get; }

        /// <summary>What config.json holds or, where it is silent, one of the older files; null where the model is not quantized.</summary>
        public static QuantizationJson? Find(string folder)
        {
            string path = System.IO.Path.Combine(folder, ConfigName);
            if (File.Exists(path))
            {
                JsonDocument document = JsonFile.Read(path);
                foreach (string key in (ReadOnlySpan<string>)[CompressionConfig.Key, CompressionConfig.OldKey])
                    if (document.RootElement.ValueKind == JsonValueKind.Object && document.RootElement.TryGetProperty(key, out JsonElement found) && found.ValueKind != JsonValueKind.Null)
                        return new QuantizationJson(path, document, found, null);
                document.Dispose();
            }
            foreach ((string name, string method) in (ReadOnlySpan<(string, string)>)[(GptqConfigName, GptqConfig.Method), (AwqConfigName, AwqConfig.Method)])
                if (File.Exists(path = System.IO.Path.Combine(folder, name)))
                {
                    JsonDocument document = JsonFile.Read(path);
                    return new QuantizationJson(path, document, document.RootElement, method);
                }
            return null;
        }

        public void Dispose() => document.Dispose();
    }
}
