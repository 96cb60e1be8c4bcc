using System.Text.Json;
using Coppice.Formats;

namespace Coppice.Federation.Recipes;

/// <summary>Server to client: compare two models on your held-out text. They come with it, as <c>base.NAME</c> and <c>compressed.NAME</c>.</summary>
/// <param name="ContextLength">Tokens of a window.</param>
/// <param name="Windows">How many windows, at most.</param>
sealed record ComparisonTask(string Format, string Run, string Client, int ContextLength, int Windows, JsonElement Base, JsonElement Compressed)
{
    public const string CurrentFormat = "coppice.comparison.1", BasePrefix = "base.", CompressedPrefix = "compressed.";

    public static ComparisonTask Read(string name, ReadOnlyMemory<byte> message, out ReadOnlyMemory<byte> tensors)
    {
        ComparisonTask task = Message.Read(name, message, FederationJson.Default.ComparisonTask, out tensors);
        return task.ContextLength >= 1 && task.Windows >= 1 ? task : throw FormatError.At(name, $"contextLength {task.ContextLength}, windows {task.Windows}; wanted 1 or more each");
    }
}

/// <summary>Client to server: means over its tokens, each with its standard error over windows.</summary>
sealed record ComparisonAnswer(string Format, string Run, string Client, ClientComparison Result)
{
    public static ClientComparison Read(string name, ReadOnlyMemory<byte> message, ComparisonTask task)
    {
        ComparisonAnswer answer = Message.Read(name, message, FederationJson.Default.ComparisonAnswer, out ReadOnlyMemory<byte> rest);
        if ((answer.Format, answer.Run, answer.Client, answer.Result.Client) != (ComparisonTask.CurrentFormat, task.Run, task.Client, task.Client) || rest.Length > 0)
            throw FormatError.At(name, $"is '{answer.Format}' of client '{answer.Client}' with {rest.Length} bytes more; wanted '{ComparisonTask.CurrentFormat}' of client '{task.Client}' in the same run");
        ClientComparison result = answer.Result;
        if (result.Tokens < 1 || !new[] { result.BaseNats, result.CompressedNats, result.Kl, result.KlError, result.DeltaError, result.Top1Agreement }.All(value => value >= -1e-6 && double.IsFinite(value)))
            throw FormatError.At(name, "has numbers that cannot be");
        return result;
    }
}

/// <summary>What compression costs one client, on text that the server never sees.</summary>
/// <param name="Client">Its name.</param>
/// <param name="Tokens">Tokens that were scored.</param>
/// <param name="IsHeldOut">Whether that text was kept apart; otherwise it is what the client trains on.</param>
/// <param name="BaseNats">Mean nats a token of the base.</param>
/// <param name="CompressedNats">The same of the compressed model.</param>
/// <param name="DeltaError">Standard error of the difference, paired, over windows.</param>
/// <param name="Kl">Mean KL(base || compressed), nats a token.</param>
/// <param name="KlError">Its standard error over windows.</param>
/// <param name="Top1Agreement">Share of tokens where both think the same one likeliest.</param>
public sealed record ClientComparison(string Client, long Tokens, bool IsHeldOut, double BaseNats, double CompressedNats, double DeltaError, double Kl, double KlError, double Top1Agreement);
