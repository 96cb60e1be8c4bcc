using System.Text.Json.Serialization;

namespace Coppice.Federation.Remote;

/// <summary>What client and server say in JSON besides the messages of a round. docs/federation-protocol.md has every field.</summary>
static class Wire
{
    /// <summary>The version that paths begin with.</summary>
    public const int Version = 1;

    /// <summary>The largest chunk of an update.</summary>
    public const int ChunkBytes = 4 << 20;

    /// <summary>The header that says where in an update a chunk begins, and where the server's part of it ends.</summary>
    public const string OffsetHeader = "Upload-Offset";

    /// <summary>The longest reason of a failure, in characters.</summary>
    public const int ReasonLength = 500;

    /// <summary>What can be a reason: one line that is not too long.</summary>
    public static bool IsReason(string text) => text.Length is > 0 and <= ReasonLength && !text.Any(char.IsControl);

    /// <summary>A reason from any message.</summary>
    public static string ReasonOf(string message) => message.Trim() is { Length: > 0 } text
        ? string.Concat(text.Take(ReasonLength).Select(letter => char.IsControl(letter) ? ' ' : letter))
        : "without a reason";
}

/// <summary>A file that clients need.</summary>
sealed record OfferedFile(string Name, long Bytes, string Sha256);

/// <summary>A run, as clients see it.</summary>
sealed record RunInfo(int Version, string Run, string State, int Round, int Rounds, string Codec, int ContextLength, int ChunkBytes, long UpdateBytes, IReadOnlyList<OfferedFile> Tokenizer);

/// <summary>What a client is asked.</summary>
sealed record AssignmentInfo(long Id, int Round, long TaskBytes, DateTimeOffset Deadline);

/// <summary>How much of an update is there.</summary>
sealed record UploadInfo(long Bytes);

/// <summary>An update that is all there.</summary>
sealed record CommitRequest(long Bytes, string Sha256);

/// <summary>Why a client has no answer.</summary>
sealed record FailureReport(string Reason);

/// <summary>A refusal.</summary>
sealed record ErrorInfo(string Error);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true, AllowDuplicateProperties = false)]
[JsonSerializable(typeof(RunInfo))]
[JsonSerializable(typeof(AssignmentInfo))]
[JsonSerializable(typeof(UploadInfo))]
[JsonSerializable(typeof(CommitRequest))]
[JsonSerializable(typeof(FailureReport))]
[JsonSerializable(typeof(ErrorInfo))]
sealed partial class WireJson : JsonSerializerContext;
