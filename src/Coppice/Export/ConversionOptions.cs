using Coppice.Formats;

namespace Coppice.Export;

/// <summary>What a model is written as.</summary>
public enum ModelFormat
{
    /// <summary>A Hugging Face folder of plain numbers.</summary>
    Safetensors,

    /// <summary>A Hugging Face folder, packed matrices in llm-compressor's parts.</summary>
    CompressedTensors,

    /// <summary>A Hugging Face folder, packed matrices in GPTQ's parts.</summary>
    Gptq,

    /// <summary>A Hugging Face folder, packed matrices in AWQ's parts.</summary>
    Awq,

    /// <summary>llama.cpp's file.</summary>
    Gguf,

    /// <summary>llama2.c's file, float32.</summary>
    Llama2C,

    /// <summary>A folder with an ONNX graph.</summary>
    Onnx,
}

/// <summary>Whether numbers that were rounded once may be rounded again.</summary>
public enum Requantizing
{
    /// <summary>A matrix whose grid the format has not is a failure.</summary>
    Refused,

    /// <summary>It becomes plain numbers, or the type asked for, and the report says so.</summary>
    Allowed,
}

/// <summary>How to convert.</summary>
public sealed record ConversionOptions
{
    /// <summary>What to write.</summary>
    public required ModelFormat Format { get; init; }

    /// <summary>How to store numbers, by the format's own name; null keeps them as they are. In GPTQ, AWQ and compressed-tensors it is for what is not packed.</summary>
    public string? Type { get; init; }

    /// <summary>What to do with packed matrices that have no exact form.</summary>
    public Requantizing Requantizing { get; init; }

    /// <summary>The largest file of a folder.</summary>
    public long ShardBytes { get; init; } = WritingOptions.DefaultShardBytes;
}
