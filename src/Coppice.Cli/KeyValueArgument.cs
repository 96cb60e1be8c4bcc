using System.CommandLine;
using Coppice.Tensors;

namespace Coppice.Cli;

/// <summary>--kv: how keys and values of a text so far are kept.</summary>
static class KeyValueArgument
{
    public static Option<string?> Create() => Options.Choice("--kv", "How keys and values are kept; f16 unless told otherwise", "f32", "f16", "int8", "int4", "int4-token");

    public static KeyValueFormat Of(string? word) => word switch
    {
        "f32" => KeyValueFormat.Float32,
        "int8" => KeyValueFormat.Int8,
        "int4" => KeyValueFormat.Int4,
        "int4-token" => KeyValueFormat.Int4Token,
        _ => KeyValueFormat.Float16,
    };
}
