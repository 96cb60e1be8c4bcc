using System.CommandLine;
using Coppice.Weights;

namespace Coppice.Cli;

/// <summary>--activations: what products with integer matrices read their inputs as.</summary>
static class ActivationArgument
{
    public static Option<string?> Create(string description) => Options.Choice("--activations", description, "f32", "int8");

    public static ActivationFormat Of(string? word, ActivationFormat otherwise) => word switch
    {
        null => otherwise,
        "int8" => ActivationFormat.Int8,
        _ => ActivationFormat.Float32,
    };
}
