using Coppice.Tensors;

namespace Coppice.Formats;

/// <summary>How a model's file is written.</summary>
public sealed record WritingOptions
{
    /// <summary>Above this a folder's file is split.</summary>
    public const long DefaultShardBytes = 5_000_000_000;

    /// <summary>Threads that read, round and write matrices; without it the caller's alone.</summary>
    public WorkerPool? Pool { get; init; }

    /// <summary>Remembers finished tensors, so that an interrupted run goes on after the last of them.</summary>
    public WriteJournal? Journal { get; init; }

    /// <summary>Told after every tensor.</summary>
    public IProgress<WriteProgress>? Progress { get; init; }

    /// <summary>Looked at before every tensor.</summary>
    public CancellationToken Cancel { get; init; }

    /// <summary>The largest file of a folder, but for a tensor that is larger.</summary>
    public long ShardBytes { get; init; } = DefaultShardBytes;
}

/// <summary>How far a file, or all files of a folder, are.</summary>
/// <param name="Tensor">The last one.</param>
/// <param name="Done">Bytes of tensors that are written.</param>
/// <param name="Total">Bytes of all.</param>
public readonly record struct WriteProgress(string Tensor, long Done, long Total);
